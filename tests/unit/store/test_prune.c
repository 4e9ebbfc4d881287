/* What a write removes, on a token that does not always remove it. */
#include "tests/unit/store/fixture.h"

#define AT_FORMAT 4 /* in an envelope; what has a format of the future may have any version */

/* A value, and above it an object of which nobody can tell the version. */
static void place_both(const char *name)
{
    struct buf bytes = BUF_INIT;
    fx_put(name, "old");
    fx_seal(fx.token, name, 2, "new", &bytes);
    bytes.data[AT_FORMAT] = 2;
    fx_place(name, buf_span(&bytes));
    buf_free(&bytes);
    {
        SCOPED_LOCK(&fx.store->work);
        assert_ok(rescan_locked(fx.store));
    }
    assert_fails_with(fx_try_get(fx.store, name), ERR_DAMAGED, "may be its newest version");
}

/* The token keeps the n-th object that the next write over both removes. */
static void keep_nth(int n)
{
    char rule[64];
    if (!softhsm_fault_module()) skip();
    assert_int_equal(softhsm_fault(&fx.hsm, ""), 0);
    place_both("a/b/calm");
    softhsm_fault_clear_log(&fx.hsm);
    fx_put("a/b/calm", "healed");
    int others = softhsm_fault_count(&fx.hsm, "C_DestroyObject") - 2; /* session keys, say */
    assert_true(others >= 0);
    place_both("a/b/c");
    snprintf(rule, sizeof rule, "C_DestroyObject rv=0x30 after=%d count=1", others + n - 1);
    assert_int_equal(softhsm_fault(&fx.hsm, rule), 0);
}

static void test_prune__what_hides_the_new_version_goes_first(void **state)
{
    keep_nth(2);
    assert_int_equal(fx_put("a/b/c", "healed"), 2);
    assert_value("a/b/c", "healed");
    assert_int_equal(fx_objects("a/b/c"), 2); /* the old one, until the next write */
    assert_int_equal(fx_put("a/b/c", "again"), 3);
    assert_int_equal(fx_objects("a/b/c"), 1);
}

/* It is there, and nobody is given it: so it is not acknowledged. */
static void test_prune__a_version_that_stays_hidden_is_told(void **state)
{
    uint64_t version = 0;
    keep_nth(1);
    assert_fails_with(fx_try_put(fx.store, "a/b/c", "healed", &version), ERR_TOKEN_DOWN,
                      "resource a/b/c version 2 is written, but");
    assert_int_equal(version, 0);
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_DAMAGED);
    assert_int_equal(fx_objects("a/b/c"), 2); /* the older one goes all the same */
    assert_int_equal(fx_put("a/b/c", "again"), 3);
    assert_value("a/b/c", "again");
    assert_int_equal(fx_objects("a/b/c"), 1);
}

static void test_prune__a_delete_and_a_batch_tell_it_too(void **state)
{
    struct store_batch_put put = {
        .put = {.kind = ENVELOPE_RESOURCE, .name = "a/b/c", .value = SPAN_LIT("x")}};
    keep_nth(1);
    assert_ok(store_put_batch(fx.store, &put, 1));
    assert_fails_with(err_load(&put.outcome), ERR_TOKEN_DOWN, "is written, but");
    keep_nth(1);
    assert_fails_with(store_delete(fx.store, ENVELOPE_RESOURCE, "a/b/c", false, 0, NULL), ERR_TOKEN_DOWN,
                      "is written, but");
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_DAMAGED);
    fx_delete("a/b/c");
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_NOTFOUND);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_store_faults, teardown_token)
    const struct CMUnitTest tests[] = {
        TEST(test_prune__what_hides_the_new_version_goes_first),
        TEST(test_prune__a_version_that_stays_hidden_is_told),
        TEST(test_prune__a_delete_and_a_batch_tell_it_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

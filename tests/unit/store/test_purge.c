#include "tests/unit/store/fixture.h"

static int setup(void **state)
{
    setup_store(state);
    struct store_config config = fx_config();
    config.keep_versions = 5;
    fx_open_store(config);
    return 0;
}

static size_t gone;

static err_t purge(const char *name)
{
    gone = 0;
    return store_purge(fx.store, ENVELOPE_RESOURCE, name, &gone);
}

static void test_store_purge__a_deleted_name_goes_whole(void **state)
{
    fx_put("a/b/c", "one");
    fx_put("a/b/c", "two");
    fx_put("other/b/c", "stays");
    fx_delete("a/b/c");
    assert_int_equal(fx_objects("a/b/c"), 3);
    char before[P11_EPOCH_TEXT], after[P11_EPOCH_TEXT];
    assert_ok(p11_epoch_read(fx.token, before));
    assert_ok(purge("a/b/c"));
    assert_int_equal(gone, 3);
    assert_ok(p11_epoch_read(fx.token, after));
    assert_string_not_equal(before, after); /* other brokers are told */
    assert_int_equal(fx_objects("a/b/c"), 0);
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_NOTFOUND);
    assert_fails(purge("a/b/c"), ERR_NOTFOUND);
    assert_value("other/b/c", "stays");
    assert_int_equal(fx_put("a/b/c", "anew"), 1);
}

/* What somebody else took meanwhile is in nobody's way. */
static void test_store_purge__what_is_gone_already(void **state)
{
    struct p11_object o[4];
    size_t n = 0;
    fx_put("a/b/c", "one");
    fx_put("a/b/c", "two");
    fx_delete("a/b/c");
    assert_ok(p11_object_find(fx.token, "a/b/c", o, 4, &n));
    assert_int_equal(n, 3);
    assert_ok(p11_object_destroy(fx.token, o[1]));
    assert_ok(purge("a/b/c"));
    assert_int_equal(fx_objects("a/b/c"), 0);
}

static void test_store_purge__not_what_is_in_use(void **state)
{
    fx_put("a/b/c", "one");
    assert_fails_with(purge("a/b/c"), ERR_CONFLICT, "delete it first");
    assert_value("a/b/c", "one");
    assert_fails(purge("no/such/name"), ERR_NOTFOUND);
    assert_fails(purge("no name"), ERR_USAGE);
}

static void test_store_purge__from_the_moment_it_expired(void **state)
{
    struct store_put put = {.kind = ENVELOPE_RESOURCE, .name = "a/b/c", .value = SPAN_LIT("x"),
                            .not_after = 2000};
    clock_test_set(1500);
    assert_ok(store_put(fx.store, &put, NULL));
    clock_test_set(2000);
    assert_fails(purge("a/b/c"), ERR_CONFLICT);
    assert_value("a/b/c", "x");
    clock_test_set(2001);
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_NOTFOUND);
    assert_ok(purge("a/b/c"));
    assert_int_equal(fx_objects("a/b/c"), 0);
}

static void test_store_purge__a_reader_does_not(void **state)
{
    fx_put("a/b/c", "one");
    fx_delete("a/b/c");
    struct store_config config = fx_config();
    config.writable = false;
    config.writer = "hsm1";
    fx_restart(config);
    assert_fails_with(purge("a/b/c"), ERR_READONLY, "hsm1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_store_purge__a_deleted_name_goes_whole, setup),
        cmocka_unit_test_setup(test_store_purge__what_is_gone_already, setup),
        cmocka_unit_test_setup(test_store_purge__not_what_is_in_use, setup),
        cmocka_unit_test_setup(test_store_purge__from_the_moment_it_expired, setup),
        cmocka_unit_test_setup(test_store_purge__a_reader_does_not, setup),
    };
    return cmocka_run_group_tests(tests, setup_token, teardown_token);
}

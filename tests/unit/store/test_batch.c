/* Batches are read back by one find: token calls are counted, since a find is linear in the objects. */
#include "tests/unit/store/fixture.h"

static struct store_rewrapped done;

static void rules(const char *text)
{
    if (!softhsm_fault_module()) skip();
    assert_int_equal(softhsm_fault(&fx.hsm, text), 0);
    softhsm_fault_clear_log(&fx.hsm);
}

static void assert_calls(int creations, int finds)
{
    assert_int_equal(softhsm_fault_count(&fx.hsm, "C_CreateObject"), creations);
    assert_int_equal(softhsm_fault_count(&fx.hsm, "C_FindObjectsInit"), finds);
    softhsm_fault_clear_log(&fx.hsm);
}

static const char *name_of(unsigned i)
{
    static char name[32];
    snprintf(name, sizeof name, "a/b/%u", i);
    return name;
}

static void next_kek(void)
{
    struct p11_kek_info kek;
    assert_ok(p11_kek_create(fx.token, true, &kek));
}

/* Values under the first key, and the second one in use. */
static void fill(unsigned n)
{
    for (unsigned i = 0; i < n; i++) fx_put(name_of(i), name_of(i));
    next_kek();
}

static void rewrap(size_t moved, size_t left)
{
    assert_ok(store_rewrap(fx.store, STORE_REWRAP_MAX, &done));
    assert_int_equal(done.moved, moved);
    assert_int_equal(done.left, left);
}

static unsigned under_the_new_key(unsigned n)
{
    unsigned count = 0;
    for (unsigned i = 0; i < n; i++) {
        assert_value(name_of(i), name_of(i));
        assert_int_equal(fx_objects(name_of(i)), 1);
        count += fx.entry.kek_generation == 2;
    }
    return count;
}

/* ---- rotation ----------------------------------------------------------------------------- */

static void test_rewrap__one_find_a_batch(void **state)
{
    fill(2 * STORE_REWRAP_MAX + 1);
    rules("");
    rewrap(STORE_REWRAP_MAX, STORE_REWRAP_MAX + 1);
    assert_calls(STORE_REWRAP_MAX, 1);
    rewrap(STORE_REWRAP_MAX, 1);
    assert_calls(STORE_REWRAP_MAX, 1);
    rewrap(1, 0);
    assert_calls(1, 1);
    assert_int_equal(under_the_new_key(2 * STORE_REWRAP_MAX + 1), 2 * STORE_REWRAP_MAX + 1);
}

static void test_rewrap__one_that_is_not_taken_fails_alone(void **state)
{
    fill(6);
    rules("C_CreateObject rv=0x31 after=3 count=1");
    assert_fails_with(store_rewrap(fx.store, 6, &done), ERR_FULL, "to the active key");
    rules("");
    assert_int_equal(under_the_new_key(6), 5);
    rewrap(1, 0);
    assert_int_equal(under_the_new_key(6), 6);
}

/* The old ones are all there is then. */
static void test_rewrap__nothing_goes_that_was_not_read_back(void **state)
{
    fill(6);
    rules("C_FindObjectsInit rv=0x30 count=1");
    assert_fails(store_rewrap(fx.store, 6, &done), ERR_TOKEN_DOWN);
    rules("");
    assert_int_equal(under_the_new_key(6), 0);
    rewrap(6, 0);
    assert_int_equal(under_the_new_key(6), 6);
}

static void test_rewrap__one_that_is_not_read_back_fails_alone(void **state)
{
    fill(6);
    rules("C_GetAttributeValue rv=0x30 after=1 count=1"); /* the epoch is read first */
    assert_fails(store_rewrap(fx.store, 6, &done), ERR_TOKEN_DOWN);
    rules("");
    assert_int_equal(under_the_new_key(6), 5);
    rewrap(1, 0);
    assert_int_equal(under_the_new_key(6), 6);
}

/* What cannot be opened ends nothing; what the token does not open just now ends the batch before it. */
static void test_rewrap__what_was_prepared_goes_all_the_way(void **state)
{
    fill(6);
    rules("C_Decrypt rv=0x30 after=5"); /* two for each */
    assert_fails(store_rewrap(fx.store, 6, &done), ERR_TOKEN_DOWN);
    rules("");
    assert_int_equal(under_the_new_key(6), 2);
    rewrap(4, 0);
}

static void test_rewrap__large_ones_are_fewer(void **state)
{
    static uint8_t large[1u << 20];
    struct store_put put = {.kind = ENVELOPE_RESOURCE, .value = span_of(large, sizeof large)};
    for (unsigned i = 0; i < 5; i++) {
        put.name = name_of(i);
        assert_ok(store_put(fx.store, &put, NULL));
    }
    next_kek();
    rewrap(STORE_BATCH_BYTES / sizeof large, 1);
    rewrap(1, 0);
}

/* ---- writes ------------------------------------------------------------------------------- */

static struct store_batch_put batch[STORE_BATCH_MAX];
static char names[STORE_BATCH_MAX][32];

static struct store_batch_put *prepare(unsigned n)
{
    memset(batch, 0, sizeof batch);
    for (unsigned i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "%s", name_of(i));
        batch[i].put = (struct store_put){.kind = ENVELOPE_RESOURCE, .name = names[i], .value = span_str(names[i]),
                                         .has_if_match = true};
    }
    return batch;
}

static enum err_class code_of(unsigned i)
{
    return batch[i].outcome.err.code;
}

static void test_put_batch__one_find(void **state)
{
    rules("");
    assert_ok(store_put_batch(fx.store, prepare(STORE_BATCH_MAX), STORE_BATCH_MAX));
    assert_calls(STORE_BATCH_MAX, 1);
    assert_int_equal(under_the_new_key(STORE_BATCH_MAX), 0); /* all there, once */
    softhsm_fault_clear_log(&fx.hsm);
    prepare(3);
    for (unsigned i = 0; i < 3; i++) batch[i].put.if_match = 1;
    assert_ok(store_put_batch(fx.store, batch, 3));
    assert_calls(3, 1);
    for (unsigned i = 0; i < 3; i++) assert_int_equal(batch[i].version, 2);
    assert_int_equal(under_the_new_key(3), 0); /* the old ones are gone */
}

static void test_put_batch__each_has_its_outcome(void **state)
{
    fx_put("a/b/1", "there");
    prepare(5);
    batch[2].put.name = "no name";
    batch[3].put.name = "a/b/0";
    assert_ok(store_put_batch(fx.store, batch, 5));
    assert_int_equal(code_of(0), ERR_NONE);
    assert_int_equal(code_of(1), ERR_PRECONDITION);
    assert_int_equal(code_of(2), ERR_USAGE);
    assert_int_equal(code_of(3), ERR_CONFLICT);
    assert_int_equal(code_of(4), ERR_NONE);
    assert_value("a/b/0", "a/b/0");
    assert_value("a/b/1", "there");
    assert_value("a/b/4", "a/b/4");
}

/* The old version stays where the new one was not read back. */
static void test_put_batch__one_that_is_not_taken_fails_alone(void **state)
{
    for (unsigned i = 0; i < 4; i++) fx_put(name_of(i), "old");
    prepare(4);
    for (unsigned i = 0; i < 4; i++) batch[i].put.if_match = 1;
    rules("C_CreateObject rv=0x31 after=1 count=1");
    assert_ok(store_put_batch(fx.store, batch, 4));
    rules("");
    for (unsigned i = 0; i < 4; i++) assert_int_equal(code_of(i), i == 1 ? ERR_FULL : ERR_NONE);
    for (unsigned i = 0; i < 4; i++) assert_value(name_of(i), i == 1 ? "old" : name_of(i));
    fx_restart(fx_config());
    for (unsigned i = 0; i < 4; i++) assert_value(name_of(i), i == 1 ? "old" : name_of(i));
}

static void test_put_batch__a_reader_does_not(void **state)
{
    struct store_config config = fx_config();
    config.writable = false;
    fx_open_store(config);
    assert_fails(store_put_batch(fx.store, prepare(1), 1), ERR_READONLY);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_store_faults, teardown_token)
    const struct CMUnitTest tests[] = {
        TEST(test_rewrap__one_find_a_batch),
        TEST(test_rewrap__one_that_is_not_taken_fails_alone),
        TEST(test_rewrap__one_that_is_not_read_back_fails_alone),
        TEST(test_rewrap__nothing_goes_that_was_not_read_back),
        TEST(test_rewrap__what_was_prepared_goes_all_the_way),
        TEST(test_rewrap__large_ones_are_fewer),
        TEST(test_put_batch__one_find),
        TEST(test_put_batch__each_has_its_outcome),
        TEST(test_put_batch__one_that_is_not_taken_fails_alone),
        TEST(test_put_batch__a_reader_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

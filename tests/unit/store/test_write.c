#include "tests/unit/store/fixture.h"

static void test_store_put__value_comes_back(void **state)
{
    assert_int_equal(fx_put("a/b/c", "hello"), 1);
    assert_value("a/b/c", "hello");
    assert_int_equal(fx.entry.version, 1);
    assert_int_equal(fx.entry.size, 5);
    assert_int_equal(fx.entry.state, STORE_LIVE);
    assert_int_equal(fx.entry.kek_generation, 1);
    assert_int_equal(fx.entry.versions, 1);
    assert_string_equal(fx.entry.name, "a/b/c");
}

static void test_store_put__overwrite_keeps_one(void **state)
{
    fx_put("a/b/c", "one");
    assert_int_equal(fx_put("a/b/c", "two"), 2);
    assert_value("a/b/c", "two");
    assert_int_equal(fx_objects("a/b/c"), 1);
}

static void test_store_put__empty_value(void **state)
{
    fx_put("a/b/c", "");
    assert_value("a/b/c", "");
    assert_int_equal(fx.entry.state, STORE_LIVE);
}

static void test_store_put__keep_three(void **state)
{
    struct store_config config = fx_config();
    config.keep_versions = 3;
    fx_open_store(config);
    for (uint64_t v = 1; v <= 5; v++) assert_int_equal(fx_put("a/b/c", "x"), v);
    assert_int_equal(fx_objects("a/b/c"), 3);
    assert_int_equal(fx_delete("a/b/c"), 6); /* the tombstone is one of the three */
    assert_int_equal(fx_objects("a/b/c"), 3);
    fx_restart(config);
    assert_fails_with(fx_try_get(fx.store, "a/b/c"), ERR_NOTFOUND, "was deleted (version 6)");
    assert_int_equal(fx_put("a/b/c", "y"), 7);
    assert_value("a/b/c", "y");
    assert_int_equal(fx.entry.versions, 3);
}

/* Policies have a history of their own length. */
static void test_store_put__keep_policies(void **state)
{
    struct store_config config = fx_config();
    config.keep_policies = 4;
    fx_open_store(config);
    struct store_put put = {.kind = ENVELOPE_POLICY, .name = "p", .value = SPAN_LIT("text")};
    for (int i = 0; i < 6; i++) assert_ok(store_put(fx.store, &put, NULL));
    for (int i = 0; i < 3; i++) fx_put("a/b/c", "x");
    assert_int_equal(fx_objects("strongroom:policy:p"), 4);
    assert_int_equal(fx_objects("a/b/c"), 1);
    config.keep_policies = 0; /* one, as for resources */
    fx_open_store(config);
    assert_ok(store_put(fx.store, &put, NULL));
    assert_int_equal(fx_objects("strongroom:policy:p"), 1);
}

static void test_store_put__fewer_versions_after_the_setting_shrank(void **state)
{
    struct store_config config = fx_config();
    config.keep_versions = 4;
    fx_open_store(config);
    for (int i = 0; i < 4; i++) fx_put("a/b/c", "x");
    fx_open_store(fx_config());
    fx_put("a/b/c", "y");
    assert_int_equal(fx_objects("a/b/c"), 1);
}

static void test_store_put__survives_a_restart(void **state)
{
    fx_put("a/b/c", "one");
    fx_put("x/y/z", "other");
    fx_put("a/b/c", "two");
    fx_restart(fx_config());
    assert_value("a/b/c", "two");
    assert_value("x/y/z", "other");
    assert_int_equal(fx_put("a/b/c", "three"), 3);
}

static void test_store_put__attributes(void **state)
{
    struct store_put put = {.kind = ENVELOPE_RESOURCE, .name = "a/b/c", .value = SPAN_LIT("{}"),
                            .content_type = "application/json", .not_after = 2000};
    clock_test_set(1500);
    assert_ok(store_put(fx.store, &put, NULL));
    fx_restart(fx_config());
    assert_value("a/b/c", "{}");
    assert_string_equal(fx.entry.content_type, "application/json");
    assert_int_equal(fx.entry.not_after, 2000);
    assert_int_equal(fx.entry.created, 1500);
}

static void test_store_put__refuses(void **state)
{
    static char big[VALUE_MAX + 1];
    static char type[129];
    memset(type, 'x', 128);
    const struct {
        struct store_put put;
        enum err_class class;
        const char *says;
    } rows[] = {
        {{.kind = ENVELOPE_RESOURCE, .name = "a/b"}, ERR_USAGE, "2 segments"},
        {{.kind = ENVELOPE_CANARY, .name = "a"}, ERR_USAGE, "kind 4"},
        {{.kind = ENVELOPE_RESOURCE, .name = "a/b/c", .value = span_of(big, sizeof big)},
         ERR_TOOLARGE, "2097153 bytes; the limit is 2097152"},
        {{.kind = ENVELOPE_RESOURCE, .name = "a/b/c", .content_type = type}, ERR_USAGE,
         "content type"},
        {{.kind = ENVELOPE_RESOURCE, .name = "a/b/c", .content_type = "a\r\nb: c"}, ERR_USAGE,
         "content type"},
        {{.kind = ENVELOPE_RESOURCE, .name = "a/b/c", .not_after = -1}, ERR_USAGE, "not-after"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_fails_with(store_put(fx.store, &rows[i].put, NULL), rows[i].class, rows[i].says);
    assert_int_equal(fx_stats().live, 0);
}

static void test_store_put__largest_value(void **state)
{
    static uint8_t big[VALUE_MAX];
    memset(big, 'v', sizeof big);
    struct store_put put = {.kind = ENVELOPE_RESOURCE, .name = "a/b/c",
                            .value = span_of(big, sizeof big)};
    assert_ok(store_put(fx.store, &put, NULL));
    assert_ok(fx_try_get(fx.store, "a/b/c"));
    assert_true(secret_equal(secret_span(fx.value), put.value));
}

static void test_store_put__configured_limit(void **state)
{
    struct store_config config = fx_config();
    config.value_max = 3;
    fx_open_store(config);
    fx_put("a/b/c", "123");
    assert_fails_with(fx_try_put(fx.store, "a/b/c", "1234", NULL), ERR_TOOLARGE, "limit is 3");
}

static void test_store_put__precondition(void **state)
{
    static const struct {
        char what; /* put, delete */
        uint64_t if_match;
        enum err_class class;
    } rows[] = {
        {'p', 1, ERR_PRECONDITION}, /* there is none yet */
        {'p', 0, ERR_NONE},         /* 1 */
        {'p', 0, ERR_PRECONDITION},
        {'p', 2, ERR_PRECONDITION},
        {'p', 1, ERR_NONE},         /* 2 */
        {'d', 1, ERR_PRECONDITION},
        {'d', 2, ERR_NONE},         /* 3: tombstone */
        {'p', 3, ERR_PRECONDITION}, /* a tombstone is none */
        {'d', 0, ERR_NOTFOUND},
        {'p', 0, ERR_NONE},         /* 4 */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct store_put put = {.kind = ENVELOPE_RESOURCE, .name = "a/b/c", .value = SPAN_LIT("v"),
                                .has_if_match = true, .if_match = rows[i].if_match};
        struct err e = rows[i].what == 'p' ? store_put(fx.store, &put, NULL)
                                           : store_delete(fx.store, ENVELOPE_RESOURCE, "a/b/c",
                                                          true, rows[i].if_match, NULL);
        if (e.code != rows[i].class) fail_msg("row %zu: %s", i, err_text(e));
    }
    assert_value("a/b/c", "v");
    assert_int_equal(fx.entry.version, 4);
}

static void test_store_delete__and_put_again(void **state)
{
    fx_put("a/b/c", "one");
    assert_int_equal(fx_delete("a/b/c"), 2);
    assert_fails_with(fx_try_get(fx.store, "a/b/c"), ERR_NOTFOUND, "a/b/c was deleted");
    assert_int_equal(fx_objects("a/b/c"), 1); /* the value itself is gone */
    assert_fails_with(store_delete(fx.store, ENVELOPE_RESOURCE, "a/b/c", false, 0, NULL),
                      ERR_NOTFOUND, "there is no resource a/b/c");
    assert_int_equal(fx_put("a/b/c", "two"), 3);
    assert_value("a/b/c", "two");
}

static void test_store_delete__tombstone_survives_a_restart(void **state)
{
    fx_put("a/b/c", "one");
    fx_delete("a/b/c");
    fx_restart(fx_config());
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_NOTFOUND);
    assert_int_equal(fx_stats().deleted, 1);
    assert_int_equal(fx_put("a/b/c", "two"), 3);
}

/* Killed between the tombstone and the value's end: whoever asks again is told that there is none, and so it is. */
static void test_store_delete__one_that_was_cut_off_is_ended(void **state)
{
    struct envelope_meta meta = {.kind = ENVELOPE_RESOURCE, .version = 2, .created = 1000,
                                 .name = SPAN_LIT("a/b/c"), .tombstone = true};
    struct buf bytes = BUF_INIT;
    fx_put("a/b/c", "secret");
    assert_ok(p11_seal(fx.token, &meta, SPAN_LIT(""), &bytes));
    fx_place("a/b/c", buf_span(&bytes));
    buf_free(&bytes);
    fx_restart(fx_config());
    assert_int_equal(fx_objects("a/b/c"), 2);
    assert_fails_with(store_delete(fx.store, ENVELOPE_RESOURCE, "a/b/c", false, 0, NULL), ERR_NOTFOUND,
                      "there is no resource a/b/c");
    assert_int_equal(fx_objects("a/b/c"), 1);
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_NOTFOUND);
}

static void test_store_delete__nothing_there(void **state)
{
    assert_fails(store_delete(fx.store, ENVELOPE_RESOURCE, "a/b/c", false, 0, NULL), ERR_NOTFOUND);
    assert_fails(store_delete(fx.store, ENVELOPE_RESOURCE, "..", false, 0, NULL), ERR_USAGE);
}

/* What is written must be readable after a restart, with all that others have put there. */
static void test_store_put__not_beyond_what_can_be_read(void **state)
{
    struct store_batch_put batch[2] = {
        {.put = {.kind = ENVELOPE_RESOURCE, .name = "a/b/1", .value = SPAN_LIT("x")}},
        {.put = {.kind = ENVELOPE_RESOURCE, .name = "a/b/2", .value = SPAN_LIT("x")}}};
    uint64_t version = 0;
    size_t gone = 0;
    fx_leave_room(2, 0);
    fx_put("a/b/c", "one");
    assert_ok(store_put_batch(fx.store, batch, 2));
    assert_int_equal(batch[0].outcome.err.code, ERR_NONE);
    assert_int_equal(batch[1].outcome.err.code, ERR_FULL);
    assert_fails_with(fx_try_put(fx.store, "a/b/c", "two", &version), ERR_FULL, "purge what is not needed");
    assert_value("a/b/c", "one");
    fx_delete("a/b/c"); /* the way out */
    assert_ok(store_purge(fx.store, ENVELOPE_RESOURCE, "a/b/c", &gone));
    fx_put("a/b/2", "x");
    fx_leave_room(0, STORE_SPARE_DELETE);
    assert_fails(store_delete(fx.store, ENVELOPE_RESOURCE, "a/b/2", false, 0, NULL), ERR_FULL);
}

static void test_store_put__reader_names_the_writer(void **state)
{
    fx_put("a/b/c", "one");
    struct store_config config = fx_config();
    config.writable = false;
    config.writer = "host-a.example";
    fx_open_store(config);
    assert_fails_with(fx_try_put(fx.store, "a/b/c", "two", NULL), ERR_READONLY, "host-a.example");
    assert_fails_with(store_delete(fx.store, ENVELOPE_RESOURCE, "a/b/c", false, 0, NULL),
                      ERR_READONLY, "host-a.example");
    assert_value("a/b/c", "one");
    config.writer = NULL;
    fx_open_store(config);
    assert_fails_with(fx_try_put(fx.store, "a/b/c", "two", NULL), ERR_READONLY, "as a reader");
}

static void test_store_put__kinds_do_not_meet(void **state)
{
    struct store_put policy = {.kind = ENVELOPE_POLICY, .name = "resource-policy",
                               .value = SPAN_LIT("package policy")};
    assert_ok(store_put(fx.store, &policy, NULL));
    assert_int_equal(fx_objects("strongroom:policy:resource-policy"), 1);
    fx_restart(fx_config());
    assert_fails(store_get(fx.store, ENVELOPE_REFERENCE_VALUE, "resource-policy", &fx.value, NULL),
                 ERR_NOTFOUND);
    assert_ok(store_get(fx.store, ENVELOPE_POLICY, "resource-policy", &fx.value, NULL));
    assert_span(secret_span(fx.value), "package policy");
}

static void test_store_put__without_a_kek(void **state)
{
    struct p11 *bare = NULL;
    struct store *s = NULL;
    assert_int_equal(softhsm_add_token(&fx.hsm, "bare"), 0);
    struct store_config config = fx_config();
    store_close(TAKE_PTR(fx.store));
    p11_close(TAKE_PTR(fx.token)); /* SoftHSM sees a new token after C_Initialize only */
    fx_open_token("pkcs11:token=bare", &bare);
    config.token = bare;
    assert_ok(store_open(&config, &s));
    assert_fails_with(fx_try_put(s, "a/b/c", "x", NULL), ERR_HUMAN, "kek create");
    store_close(s);
    p11_close(bare);
    fx_open_token(fx.hsm.uri, &fx.token);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup_store)
    const struct CMUnitTest tests[] = {
        TEST(test_store_put__value_comes_back),
        TEST(test_store_put__overwrite_keeps_one),
        TEST(test_store_put__empty_value),
        TEST(test_store_put__keep_three),
        TEST(test_store_put__keep_policies),
        TEST(test_store_put__fewer_versions_after_the_setting_shrank),
        TEST(test_store_put__survives_a_restart),
        TEST(test_store_put__attributes),
        TEST(test_store_put__refuses),
        TEST(test_store_put__largest_value),
        TEST(test_store_put__configured_limit),
        TEST(test_store_put__precondition),
        TEST(test_store_delete__and_put_again),
        TEST(test_store_delete__tombstone_survives_a_restart),
        TEST(test_store_delete__one_that_was_cut_off_is_ended),
        TEST(test_store_delete__nothing_there),
        TEST(test_store_put__not_beyond_what_can_be_read),
        TEST(test_store_put__reader_names_the_writer),
        TEST(test_store_put__kinds_do_not_meet),
        TEST(test_store_put__without_a_kek),
    };
    return cmocka_run_group_tests(tests, setup_token, teardown_token);
}

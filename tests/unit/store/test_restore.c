#include "tests/unit/store/fixture.h"

static struct buf bytes;

static int teardown(void **state)
{
    buf_free(&bytes);
    return teardown_token(state);
}

static int setup(void **state)
{
    setup_store(state);
    struct store_config config = fx_config();
    config.keep_versions = 5;
    fx_open_store(config);
    return 0;
}

static struct store_config keeping(unsigned versions)
{
    struct store_config config = fx_config();
    config.keep_versions = versions;
    return config;
}

static err_t restore(uint64_t version, uint64_t *ret)
{
    struct store_restore r = {.kind = ENVELOPE_RESOURCE, .name = "a/b/c", .version = version};
    return store_restore(fx.store, &r, ret);
}

static void test_store_restore__as_the_next_version(void **state)
{
    uint64_t version = 0;
    fx_put("a/b/c", "one");
    fx_put("a/b/c", "two");
    fx_put("a/b/c", "three");
    assert_ok(restore(1, &version));
    assert_int_equal(version, 4);
    assert_value("a/b/c", "one");
    assert_int_equal(fx.entry.version, 4);
    assert_int_equal(fx_objects("a/b/c"), 4);
    fx_restart(keeping(5));
    assert_value("a/b/c", "one");
    assert_ok(restore(3, &version)); /* and forth again */
    assert_int_equal(version, 5);
    assert_value("a/b/c", "three");
}

static void test_store_restore__keeps_the_attributes(void **state)
{
    struct store_put put = {.kind = ENVELOPE_RESOURCE, .name = "a/b/c", .value = SPAN_LIT("{}"),
                            .content_type = "application/json", .not_after = 2000};
    clock_test_set(1500);
    assert_ok(store_put(fx.store, &put, NULL));
    fx_put("a/b/c", "plain");
    clock_test_set(1600);
    assert_ok(restore(1, NULL));
    assert_value("a/b/c", "{}");
    assert_string_equal(fx.entry.content_type, "application/json");
    assert_int_equal(fx.entry.not_after, 2000);
    assert_int_equal(fx.entry.created, 1600); /* when it was restored */
}

static void test_store_restore__refuses(void **state)
{
    static const struct { uint64_t version; enum err_class class; const char *says; } rows[] = {
        {0, ERR_NOTFOUND, "versions begin at 1"},
        {2, ERR_NOTFOUND, "a/b/c was deleted (version 2)"},
        {3, ERR_NOTFOUND, "a/b/c has expired"},
        {4, ERR_CONFLICT, "resource a/b/c is at version 4 already"},
        {5, ERR_NOTFOUND, "has no version 5, or no longer"},
        {VERSION_UNKNOWN, ERR_NOTFOUND, "has no version"},
    };
    clock_test_set(1500);
    fx_put("a/b/c", "one");
    fx_delete("a/b/c");
    struct store_put put = {.kind = ENVELOPE_RESOURCE, .name = "a/b/c", .value = SPAN_LIT("three"),
                            .not_after = 1600};
    assert_ok(store_put(fx.store, &put, NULL));
    fx_put("a/b/c", "four");
    clock_test_set(1601);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_fails_with(restore(rows[i].version, NULL), rows[i].class, rows[i].says);
    struct store_restore other = {.kind = ENVELOPE_RESOURCE, .name = "x/y/z", .version = 1};
    assert_fails_with(store_restore(fx.store, &other, NULL), ERR_NOTFOUND,
                      "there is no resource x/y/z");
    other.kind = ENVELOPE_POLICY;
    other.name = "a/b/c";
    assert_fails_with(store_restore(fx.store, &other, NULL), ERR_NOTFOUND,
                      "there is no policy a/b/c");
    assert_value("a/b/c", "four");
    assert_int_equal(fx.entry.version, 4);
}

static void test_store_restore__undeletes(void **state)
{
    uint64_t version = 0;
    fx_put("a/b/c", "one");
    fx_delete("a/b/c");
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_NOTFOUND);
    assert_ok(restore(1, &version));
    assert_int_equal(version, 3);
    assert_value("a/b/c", "one");
}

static void test_store_restore__what_is_no_longer_kept(void **state)
{
    for (int i = 0; i < 6; i++) fx_put("a/b/c", "x");
    assert_fails_with(restore(1, NULL), ERR_NOTFOUND, "has no version 1, or no longer");
    assert_ok(restore(2, NULL)); /* the oldest that is kept; it goes by this very write */
    assert_fails(restore(2, NULL), ERR_NOTFOUND);
    assert_int_equal(fx_objects("a/b/c"), 5);
}

/* A bit of what lies on the token is flipped, under a version that the store has not opened. */
static void place_tampered(uint64_t version, size_t at_from_end)
{
    fx_seal(fx.token, "a/b/c", version, "tampered", &bytes);
    bytes.data[bytes.len - at_from_end] ^= 1;
    fx_place("a/b/c", buf_span(&bytes));
}

static void test_store_restore__never_what_does_not_verify(void **state)
{
    fx_put("a/b/c", "one");
    place_tampered(2, 1);
    fx_restart(keeping(5));
    fx_put("a/b/c", "three");
    assert_fails_with(restore(2, NULL), ERR_DAMAGED,
                      "version 2 of resource a/b/c is damaged: it does not verify");
    assert_value("a/b/c", "three");
    assert_int_equal(fx_stats().damaged, 0); /* the name is well: its newest version is */
}

static void test_store_restore__heals_a_damaged_newest(void **state)
{
    uint64_t version = 0;
    fx_put("a/b/c", "one");
    place_tampered(2, 1);
    fx_restart(keeping(5));
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_DAMAGED);
    assert_fails(restore(2, NULL), ERR_DAMAGED);
    assert_ok(restore(1, &version));
    assert_int_equal(version, 3);
    assert_value("a/b/c", "one");
    fx_place("a/b/c", SPAN_LIT("SRE1\x02")); /* nobody can tell its version */
    fx_restart(keeping(5));
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_DAMAGED);
    assert_ok(restore(3, &version));
    assert_int_equal(version, 4);
    assert_value("a/b/c", "one");
}

/* ---- who else looks and writes ----------------------------------------------------------- */

struct peek {
    const char *writes; /* or NULL */
    char saw[32];
    enum err_class ends;
};

static err_t peek(void *arg, struct span value)
{
    struct peek *p = arg;
    snprintf(p->saw, sizeof p->saw, "%.*s", (int) value.len, (const char *) value.data);
    if (p->writes) fx_put("a/b/c", p->writes); /* between reading and writing */
    if (p->ends) FAIL(p->ends, "no");
    return ERR_OK;
}

static void test_store_restore__check_sees_the_value_and_may_end_it(void **state)
{
    struct peek p = {.ends = ERR_USAGE};
    fx_put("a/b/c", "one");
    fx_put("a/b/c", "two");
    struct store_restore r = {.kind = ENVELOPE_RESOURCE, .name = "a/b/c", .version = 1,
                              .check = peek, .arg = &p};
    assert_fails_with(store_restore(fx.store, &r, NULL), ERR_USAGE, "no");
    assert_string_equal(p.saw, "one");
    assert_value("a/b/c", "two");
    assert_int_equal(fx.entry.version, 2);
}

static void test_store_restore__another_wrote_meanwhile(void **state)
{
    struct peek p = {.writes = "three"};
    uint64_t version = 0;
    fx_put("a/b/c", "one");
    fx_put("a/b/c", "two");
    struct store_restore r = {.kind = ENVELOPE_RESOURCE, .name = "a/b/c", .version = 1,
                              .check = peek, .arg = &p, .has_if_match = true, .if_match = 2};
    assert_fails_with(store_restore(fx.store, &r, NULL), ERR_PRECONDITION, "is at version 3, not 2");
    assert_value("a/b/c", "three");
    r.has_if_match = false; /* then the last one stays, as with any write */
    p.writes = "four";
    assert_ok(store_restore(fx.store, &r, &version));
    assert_int_equal(version, 5);
    assert_value("a/b/c", "one");
}

static void test_store_restore__another_store_wrote(void **state)
{
    struct store *second = NULL;
    struct store_config config = keeping(5);
    fx_put("a/b/c", "one");
    assert_ok(store_open(&config, &second));
    assert_ok(fx_try_put(second, "a/b/c", "two", NULL));
    assert_ok(fx_try_put(second, "a/b/c", "three", NULL));
    store_close(second);
    assert_ok(restore(2, NULL)); /* which our catalog may not know yet */
    assert_value("a/b/c", "two");
    assert_int_equal(fx.entry.version, 4);
}

static void test_store_restore__reader(void **state)
{
    struct store_config config = keeping(5);
    fx_put("a/b/c", "one");
    fx_put("a/b/c", "two");
    config.writable = false;
    config.writer = "host-a.example";
    fx_open_store(config);
    assert_fails_with(restore(1, NULL), ERR_READONLY, "host-a.example");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(test_store_restore__as_the_next_version),
        TEST(test_store_restore__keeps_the_attributes),
        TEST(test_store_restore__refuses),
        TEST(test_store_restore__undeletes),
        TEST(test_store_restore__what_is_no_longer_kept),
        TEST(test_store_restore__never_what_does_not_verify),
        TEST(test_store_restore__heals_a_damaged_newest),
        TEST(test_store_restore__check_sees_the_value_and_may_end_it),
        TEST(test_store_restore__another_wrote_meanwhile),
        TEST(test_store_restore__another_store_wrote),
        TEST(test_store_restore__reader),
    };
    return cmocka_run_group_tests(tests, setup_token, teardown);
}

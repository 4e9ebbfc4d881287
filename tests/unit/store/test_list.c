#include "tests/unit/store/fixture.h"

static struct {
    size_t count, stop_at;
    char last[NAME_MAX_BYTES + 1];
    struct store_entry entries[8];
} seen;

static err_t note(void *arg, const struct store_entry *e)
{
    if (strcmp(e->name, seen.last) <= 0) FAIL(ERR_INTERNAL, "%s after %s", e->name, seen.last);
    snprintf(seen.last, sizeof seen.last, "%s", e->name);
    if (seen.count < 8) seen.entries[seen.count] = *e;
    seen.count++;
    if (seen.count == seen.stop_at) FAIL(ERR_LIMIT, "enough");
    return ERR_OK;
}

static size_t list(enum envelope_kind kind, const char *prefix, bool with_deleted)
{
    struct store_listing all = {.kind = kind, .prefix = prefix, .deleted = with_deleted};
    bool more = true;
    memset(&seen, 0, sizeof seen);
    assert_ok(store_list(fx.store, &all, note, NULL, &more));
    assert_false(more);
    return seen.count;
}

static void test_store_list__five_hundred_in_name_order(void **state)
{
    char name[32];
    for (unsigned i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "repo%u/key/%u", i % 3, i * 7919 % 1000);
        fx_put(name, "value");
    }
    assert_int_equal(list(ENVELOPE_RESOURCE, NULL, false), 500);
    assert_int_equal(list(ENVELOPE_RESOURCE, "repo1/", false), 167);
    assert_int_equal(list(ENVELOPE_RESOURCE, "repo", false), 500);
    assert_int_equal(list(ENVELOPE_RESOURCE, "repo2/key/77", true) > 0, 1);
    assert_int_equal(list(ENVELOPE_RESOURCE, "repo3", true), 0);
    fx_restart(fx_config());
    assert_int_equal(list(ENVELOPE_RESOURCE, "", false), 500);
    assert_int_equal(fx_stats().live, 500);
}

static void test_store_list__kinds_and_states(void **state)
{
    struct store_put policy = {.kind = ENVELOPE_POLICY, .name = "p", .value = SPAN_LIT("x")};
    assert_ok(store_put(fx.store, &policy, NULL));
    fx_put("b/b/live", "12345");
    fx_put("a/b/deleted", "x");
    fx_delete("a/b/deleted");
    fx_place("c/b/damaged", SPAN_LIT("SRE1\x02"));
    fx_restart(fx_config());
    assert_int_equal(list(ENVELOPE_POLICY, NULL, true), 1);
    assert_int_equal(list(ENVELOPE_REFERENCE_VALUE, NULL, true), 0);
    assert_int_equal(list(ENVELOPE_RESOURCE, NULL, false), 2);
    assert_int_equal(list(ENVELOPE_RESOURCE, NULL, true), 3);
    assert_int_equal(seen.entries[0].state, STORE_DELETED);
    assert_int_equal(seen.entries[0].version, 2);
    assert_int_equal(seen.entries[1].state, STORE_LIVE);
    assert_int_equal(seen.entries[1].size, 5);
    assert_int_equal(seen.entries[2].state, STORE_DAMAGED);
    assert_int_equal(seen.entries[2].version, 0); /* nobody can tell */
    struct store_stats stats = fx_stats();
    assert_int_equal(stats.live, 2); /* the policy too */
    assert_int_equal(stats.deleted, 1);
    assert_int_equal(stats.damaged, 1);
}

/* Each page begins behind the last name of the one before; tombstones count only where they are told. */
static void test_store_list__by_pages(void **state)
{
    static const struct { size_t limit; bool deleted; size_t pages[4]; } rows[] = {
        {1, false, {1, 1, 1}}, {2, false, {2, 1}}, {3, false, {3}}, {4, false, {3}}, {2, true, {2, 2}},
    };
    fx_put("a/b/1", "x");
    fx_put("a/b/2", "x");
    fx_delete("a/b/2");
    fx_put("a/b/3", "x");
    fx_put("a/b/4", "x");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct store_listing page = {.kind = ENVELOPE_RESOURCE, .limit = rows[i].limit, .deleted = rows[i].deleted};
        bool more = true;
        memset(&seen, 0, sizeof seen);
        for (size_t n = 0, before = 0; more; before = seen.count, n++) {
            char after[NAME_MAX_BYTES + 1];
            snprintf(after, sizeof after, "%s", seen.last);
            page.after = after;
            assert_ok(store_list(fx.store, &page, note, NULL, &more));
            assert_int_equal(seen.count - before, rows[i].pages[n]);
        }
        assert_int_equal(seen.count, rows[i].deleted ? 4 : 3);
    }
}

static const struct store_listing resources = {.kind = ENVELOPE_RESOURCE};

static err_t delete_it(void *arg, const struct store_entry *e)
{
    seen.count++;
    return store_delete(fx.store, e->kind, e->name, false, 0, NULL);
}

/* No lock is held while it is visited. */
static void test_store_list__visit_may_use_the_store(void **state)
{
    fx_put("a/b/1", "x");
    fx_put("a/b/2", "x");
    memset(&seen, 0, sizeof seen);
    assert_ok(store_list(fx.store, &resources, delete_it, NULL, NULL));
    assert_int_equal(seen.count, 2);
    assert_int_equal(list(ENVELOPE_RESOURCE, NULL, false), 0);
}

static void test_store_list__error_of_visit_ends_it(void **state)
{
    fx_put("a/b/1", "x");
    fx_put("a/b/2", "x");
    memset(&seen, 0, sizeof seen);
    seen.stop_at = 1;
    assert_fails(store_list(fx.store, &resources, note, NULL, NULL), ERR_LIMIT);
    assert_int_equal(seen.count, 1);
}

/* ---- the versions of one name ------------------------------------------------------------ */

static err_t keep(void *arg, const struct store_entry *e)
{
    assert_true(seen.count < 8);
    seen.entries[seen.count++] = *e;
    return seen.count == seen.stop_at ? ERR_MAKE(ERR_LIMIT, "enough") : ERR_OK;
}

static err_t list_versions(enum envelope_kind kind, const char *name)
{
    memset(&seen, 0, sizeof seen);
    return store_list_versions(fx.store, kind, name, keep, NULL);
}

static void place_sealed(const char *name, uint64_t version)
{
    struct buf bytes = BUF_INIT;
    fx_seal(fx.token, name, version, "copy", &bytes);
    fx_place(name, buf_span(&bytes));
    buf_free(&bytes);
}

static void test_store_list_versions__newest_first(void **state)
{
    struct store_config config = fx_config();
    config.keep_versions = 3;
    fx_open_store(config);
    clock_test_set(1000);
    fx_put("a/b/c", "1");
    fx_put("a/b/c", "22");
    clock_test_set(2000);
    fx_put("a/b/c", "333");
    fx_delete("a/b/c");
    for (int restarted = 0; restarted < 2; restarted++) {
        assert_ok(list_versions(ENVELOPE_RESOURCE, "a/b/c"));
        assert_int_equal(seen.count, 3); /* the first one is beyond what is kept */
        static const struct store_entry want[] = {
            {.version = 4, .state = STORE_DELETED, .created = 2000},
            {.version = 3, .state = STORE_LIVE, .created = 2000, .size = 3},
            {.version = 2, .state = STORE_LIVE, .created = 1000, .size = 2}};
        for (size_t i = 0; i < 3; i++) {
            assert_string_equal(seen.entries[i].name, "a/b/c");
            assert_int_equal(seen.entries[i].version, want[i].version);
            assert_int_equal(seen.entries[i].state, want[i].state);
            assert_int_equal(seen.entries[i].created, want[i].created);
            assert_int_equal(seen.entries[i].size, want[i].size);
            assert_int_equal(seen.entries[i].versions, 3);
        }
        fx_restart(config);
    }
}

static void test_store_list_versions__copies_and_unreadable_ones(void **state)
{
    place_sealed("a/b/c", 1);
    place_sealed("a/b/c", 1); /* a rotation that was cut short */
    place_sealed("a/b/c", 2);
    fx_place("a/b/c", SPAN_LIT("SRE1\x02"));
    fx_place("a/b/c", SPAN_LIT("SRE1\x02"));
    fx_restart(fx_config());
    assert_ok(list_versions(ENVELOPE_RESOURCE, "a/b/c"));
    static const struct { uint64_t version; enum store_state state; } want[] = {
        {0, STORE_DAMAGED}, {0, STORE_DAMAGED}, {2, STORE_LIVE}, {1, STORE_LIVE}};
    assert_int_equal(seen.count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(seen.entries[i].version, want[i].version);
        assert_int_equal(seen.entries[i].state, want[i].state);
    }
}

static void test_store_list_versions__nothing_there(void **state)
{
    fx_put("a/b/c", "x");
    assert_fails_with(list_versions(ENVELOPE_RESOURCE, "x/y/z"), ERR_NOTFOUND,
                      "there is no resource x/y/z");
    assert_fails_with(list_versions(ENVELOPE_POLICY, "a/b/c"), ERR_NOTFOUND, "no policy");
    memset(&seen, 0, sizeof seen);
    seen.stop_at = 1;
    assert_fails(store_list_versions(fx.store, ENVELOPE_RESOURCE, "a/b/c", keep, NULL), ERR_LIMIT);
}

static void test_store_list_versions__what_another_wrote(void **state)
{
    struct store *second = NULL;
    struct store_config config = fx_config();
    assert_ok(store_open(&config, &second));
    assert_ok(fx_try_put(second, "a/b/c", "x", NULL));
    store_close(second);
    assert_ok(list_versions(ENVELOPE_RESOURCE, "a/b/c"));
    assert_int_equal(seen.count, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup_store)
    const struct CMUnitTest tests[] = {
        TEST(test_store_list__five_hundred_in_name_order),
        TEST(test_store_list__kinds_and_states),
        TEST(test_store_list__by_pages),
        TEST(test_store_list__visit_may_use_the_store),
        TEST(test_store_list__error_of_visit_ends_it),
        TEST(test_store_list_versions__newest_first),
        TEST(test_store_list_versions__copies_and_unreadable_ones),
        TEST(test_store_list_versions__nothing_there),
        TEST(test_store_list_versions__what_another_wrote),
    };
    return cmocka_run_group_tests(tests, setup_token, teardown_token);
}

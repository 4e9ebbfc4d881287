#include "tests/unit/store/fixture.h"

#include <pthread.h>
#include <stdatomic.h>

static struct buf bytes;

static int setup(void **state)
{
    buf_free(&bytes);
    return setup_store(state);
}

static int teardown(void **state)
{
    buf_free(&bytes);
    return teardown_token(state);
}

static void test_store_get__unknown(void **state)
{
    assert_fails_with(fx_try_get(fx.store, "a/b/c"), ERR_NOTFOUND, "there is no resource a/b/c");
    assert_fails(fx_try_get(fx.store, ""), ERR_NOTFOUND);
    assert_fails_with(store_get(fx.store, ENVELOPE_POLICY, "p", &fx.value, NULL), ERR_NOTFOUND,
                      "there is no policy p");
}

static void test_store_get__expiry(void **state)
{
    struct store_put put = {.kind = ENVELOPE_RESOURCE, .name = "a/b/c", .value = SPAN_LIT("v"),
                            .not_after = 5000};
    clock_test_set(4000);
    assert_ok(store_put(fx.store, &put, NULL));
    clock_test_set(5000);
    assert_value("a/b/c", "v"); /* good until the end of that second */
    clock_test_set(5001);
    assert_fails_with(fx_try_get(fx.store, "a/b/c"), ERR_NOTFOUND, "a/b/c has expired");
    assert_int_equal(fx_stats().live, 1); /* it stays until it is purged */
    assert_int_equal(fx_put("a/b/c", "new"), 2);
    assert_value("a/b/c", "new");
}

static struct version *newest(enum envelope_kind kind, const char *name)
{
    return catalog_find(fx.store->catalog, kind, name)->versions;
}

/* A token may give a handle to another object at once: what is there now is sound, and not what was asked for. */
static void test_store_get__handle_that_leads_to_another(void **state)
{
    struct store_put policy = {.kind = ENVELOPE_POLICY, .name = "one", .value = SPAN_LIT("policy")};
    struct store_put values = {.kind = ENVELOPE_REFERENCE_VALUE, .name = "one", .value = SPAN_LIT("values")};
    struct store_config config = fx_config();
    config.cache_bytes = 0;
    config.keep_versions = 2;
    fx_open_store(config);
    fx_put("a/b/c", "mine");
    fx_put("a/b/d", "another's");
    newest(ENVELOPE_RESOURCE, "a/b/c")->object = newest(ENVELOPE_RESOURCE, "a/b/d")->object;
    assert_value("a/b/c", "mine");
    fx_put("a/b/c", "mine, newer");
    newest(ENVELOPE_RESOURCE, "a/b/c")->object = newest(ENVELOPE_RESOURCE, "a/b/c")->older->object;
    assert_value("a/b/c", "mine, newer");
    assert_ok(store_put(fx.store, &policy, NULL));
    assert_ok(store_put(fx.store, &values, NULL));
    newest(ENVELOPE_POLICY, "one")->object = newest(ENVELOPE_REFERENCE_VALUE, "one")->object;
    secret_free(TAKE_PTR(fx.value));
    assert_ok(store_get(fx.store, ENVELOPE_POLICY, "one", &fx.value, NULL));
    assert_span(secret_span(fx.value), "policy");
}

/* One bit of the payload or of the bound header, in a version above a good one. */
static void place_tampered(size_t at_from_end, const char *name, uint64_t version)
{
    fx_seal(fx.token, name, version, "tampered", &bytes);
    bytes.data[bytes.len - at_from_end] ^= 1;
    fx_place(name, buf_span(&bytes));
}

static void test_store_get__damaged_newest_is_never_replaced_by_an_older_one(void **state)
{
    fx_put("a/b/c", "good");
    place_tampered(1, "a/b/c", 2);
    fx_restart(fx_config());
    assert_int_equal(fx_stats().damaged, 0); /* nobody has opened it yet */
    for (int i = 0; i < 2; i++)
        assert_fails_with(fx_try_get(fx.store, "a/b/c"), ERR_DAMAGED,
                          "resource a/b/c is damaged: its newest version 2 does not verify; put "
                          "it again to replace it");
    assert_int_equal(fx_stats().damaged, 1);
    assert_null(fx.value);
    assert_int_equal(fx_put("a/b/c", "healed"), 3);
    assert_value("a/b/c", "healed");
    assert_int_equal(fx_stats().damaged, 0);
    assert_int_equal(fx_objects("a/b/c"), 1);
}

static void test_store_get__tampered_header(void **state)
{
    fx_seal(fx.token, "a/b/c", 1, "value", &bytes);
    bytes.data[15] = 200; /* "version 200" */
    fx_place("a/b/c", buf_span(&bytes));
    fx_seal(fx.token, "x/y/z", 1, "value", &bytes);
    bytes.data[7] = 0;
    bytes.data[23] ^= 1; /* created */
    fx_place("x/y/z", buf_span(&bytes));
    fx_restart(fx_config());
    assert_fails_with(fx_try_get(fx.store, "a/b/c"), ERR_DAMAGED, "version 200");
    assert_fails(fx_try_get(fx.store, "x/y/z"), ERR_DAMAGED);
    assert_int_equal(fx_put("a/b/c", "new"), 201);
}

static void test_store_get__note_of_damage_survives_a_rescan(void **state)
{
    place_tampered(1, "a/b/c", 1);
    fx_restart(fx_config());
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_DAMAGED);
    char epoch[P11_EPOCH_TEXT];
    assert_ok(p11_epoch_touch(fx.token, epoch));
    assert_ok(store_refresh(fx.store));
    assert_int_equal(fx_stats().rescans, 1);
    assert_int_equal(fx_stats().damaged, 1);
}

/* A note of damage is no verdict: what opens again is served again. */
static void test_store_get__heals_when_it_opens_again(void **state)
{
    fx_put("a/b/c", "good");
    catalog_find(fx.store->catalog, ENVELOPE_RESOURCE, "a/b/c")->versions->broken = true;
    assert_int_equal(fx_stats().damaged, 1);
    assert_value("a/b/c", "good");
    assert_int_equal(fx.entry.state, STORE_LIVE);
    assert_int_equal(fx_stats().damaged, 0);
}

/* The object was destroyed between looking and reading: the reader looks again. */
static void test_store_get__lost_object(void **state)
{
    struct store_config config = fx_config();
    config.cache_bytes = 0;
    fx_put("a/b/c", "one");
    fx_open_store(config);
    struct p11_object found[1];
    size_t n = 0;
    assert_ok(p11_object_find(fx.token, "a/b/c", found, 1, &n));
    fx_seal(fx.token, "a/b/c", 2, "two", &bytes);
    fx_place("a/b/c", buf_span(&bytes));
    assert_ok(p11_object_destroy(fx.token, found[0])); /* without touching the epoch */
    assert_value("a/b/c", "two");
    assert_int_equal(fx_stats().rescans, 1);
    assert_ok(p11_object_find(fx.token, "a/b/c", found, 1, &n));
    assert_ok(p11_object_destroy(fx.token, found[0]));
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_NOTFOUND);
}

/* ---- one given version -------------------------------------------------------------------- */

static err_t get_version(uint64_t version)
{
    secret_free(TAKE_PTR(fx.value));
    return store_get_version(fx.store, ENVELOPE_RESOURCE, "a/b/c", version, &fx.value, &fx.entry);
}

static void keep_versions(unsigned versions, size_t cache_bytes)
{
    struct store_config config = fx_config();
    config.keep_versions = versions;
    config.cache_bytes = cache_bytes;
    fx_restart(config);
}

static void test_store_get_version__each_that_is_kept(void **state)
{
    keep_versions(3, STORE_CACHE_DEFAULT);
    static const char *const values[] = {"one", "two", "three", "four"};
    for (size_t i = 0; i < 4; i++) fx_put("a/b/c", values[i]);
    for (size_t round = 0; round < 2; round++) {
        assert_fails_with(get_version(1), ERR_NOTFOUND, "has no version 1, or no longer");
        for (uint64_t v = 2; v <= 4; v++) {
            assert_ok(get_version(v));
            assert_span(secret_span(fx.value), values[v - 1]);
            assert_int_equal(fx.entry.version, v);
            assert_int_equal(fx.entry.size, strlen(values[v - 1]));
            assert_int_equal(fx.entry.state, STORE_LIVE);
            assert_int_equal(fx.entry.versions, 3);
        }
        assert_fails(get_version(5), ERR_NOTFOUND);
        assert_fails_with(get_version(0), ERR_NOTFOUND, "versions begin at 1");
        keep_versions(3, 0);
    }
}

static void test_store_get_version__tombstone_and_expiry(void **state)
{
    keep_versions(3, STORE_CACHE_DEFAULT);
    struct store_put put = {.kind = ENVELOPE_RESOURCE, .name = "a/b/c", .value = SPAN_LIT("v"),
                            .not_after = 5000};
    clock_test_set(4000);
    assert_ok(store_put(fx.store, &put, NULL));
    fx_delete("a/b/c");
    assert_ok(get_version(1)); /* though the name is deleted */
    assert_fails_with(get_version(2), ERR_NOTFOUND, "was deleted (version 2)");
    clock_test_set(5001);
    assert_fails_with(get_version(1), ERR_NOTFOUND, "has expired");
}

static void test_store_get_version__damage_is_that_versions_own(void **state)
{
    place_tampered(1, "a/b/c", 1);
    keep_versions(3, STORE_CACHE_DEFAULT);
    fx_put("a/b/c", "good");
    assert_fails_with(get_version(1), ERR_DAMAGED,
                      "version 1 of resource a/b/c is damaged: it does not verify");
    assert_null(fx.value);
    assert_ok(get_version(2));
    assert_value("a/b/c", "good");
    assert_int_equal(fx_stats().damaged, 0);
    place_tampered(1, "a/b/c", 3);
    keep_versions(3, STORE_CACHE_DEFAULT);
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_DAMAGED);
    assert_ok(get_version(2)); /* only by its number */
    assert_span(secret_span(fx.value), "good");
}

/* An envelope of a newer suite: the header tells its version, nobody can read it. */
static void test_store_get_version__unreadable(void **state)
{
    fx_seal(fx.token, "a/b/c", 1, "value", &bytes);
    bytes.data[5] = 99;
    fx_place("a/b/c", buf_span(&bytes));
    keep_versions(3, STORE_CACHE_DEFAULT);
    assert_fails_with(get_version(1), ERR_DAMAGED,
                      "version 1 of resource a/b/c is damaged: it cannot be read");
    assert_fails(get_version(VERSION_UNKNOWN), ERR_NOTFOUND);
    assert_null(fx.value);
}

/* What is looked at once does not drive out what is served. */
static void test_store_get_version__is_not_cached(void **state)
{
    keep_versions(3, STORE_CACHE_DEFAULT);
    fx_put("a/b/c", "one");
    size_t cached = fx_stats().cached_bytes;
    fx_put("a/b/c", "two");
    assert_int_equal(fx_stats().cached_bytes, cached);
    assert_ok(get_version(1));
    assert_int_equal(fx_stats().cached_bytes, cached);
}

/* ---- threads ----------------------------------------------------------------------------- */

#define READERS 4
#define WRITES 40
static atomic_bool stop;
static atomic_uint reads, wrong;

/* A value is one digit repeated; a mixture of two versions would show. */
static bool is_whole(struct span v)
{
    for (size_t i = 1; i < v.len; i++)
        if (v.data[i] != v.data[0]) return false;
    return v.len >= 100;
}

static void *read_all_the_time(void *arg)
{
    uint64_t last = 0;
    while (!stop) {
        struct secret *value = NULL;
        struct store_entry entry;
        struct err e = store_get(fx.store, ENVELOPE_RESOURCE, "a/b/c", &value, &entry);
        if (!err_ok(e)) {
            fprintf(stderr, "reader: %s\n", err_text(e));
            wrong++;
            continue;
        }
        if (!is_whole(secret_span(value)) || entry.version < last) wrong++;
        last = entry.version;
        secret_free(value);
        reads++;
    }
    return NULL;
}

static void write_versions(unsigned from, unsigned to)
{
    char value[600];
    for (unsigned i = from; i < to; i++) {
        memset(value, '0' + (int) (i % 10), sizeof value);
        value[100 + i * 7 % 400] = '\0';
        fx_put("a/b/c", value);
    }
}

static void read_beside_a_writer(size_t cache_bytes)
{
    struct store_config config = fx_config();
    config.cache_bytes = cache_bytes;
    fx_open_store(config);
    write_versions(0, 1);
    pthread_t threads[READERS];
    stop = false;
    reads = wrong = 0;
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_all_the_time, NULL), 0);
    write_versions(1, WRITES);
    stop = true;
    for (size_t i = 0; i < READERS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(wrong, 0);
    assert_true(reads > 0);
    assert_int_equal(fx_objects("a/b/c"), 1);
}

static void test_store_get__beside_a_writer(void **state)
{
    read_beside_a_writer(STORE_CACHE_DEFAULT);
}

static void test_store_get__beside_a_writer_without_cache(void **state)
{
    read_beside_a_writer(0); /* each read goes to an object that may be destroyed meanwhile */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(test_store_get__unknown),
        TEST(test_store_get__expiry),
        TEST(test_store_get__handle_that_leads_to_another),
        TEST(test_store_get__damaged_newest_is_never_replaced_by_an_older_one),
        TEST(test_store_get__tampered_header),
        TEST(test_store_get__note_of_damage_survives_a_rescan),
        TEST(test_store_get__heals_when_it_opens_again),
        TEST(test_store_get__lost_object),
        TEST(test_store_get_version__each_that_is_kept),
        TEST(test_store_get_version__tombstone_and_expiry),
        TEST(test_store_get_version__damage_is_that_versions_own),
        TEST(test_store_get_version__unreadable),
        TEST(test_store_get_version__is_not_cached),
        TEST(test_store_get__beside_a_writer),
        TEST(test_store_get__beside_a_writer_without_cache),
    };
    return cmocka_run_group_tests(tests, setup_token, teardown);
}

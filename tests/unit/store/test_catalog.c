#include "broker/store/catalog.h"
#include "tests/lib/test.h"

static struct catalog *catalog;

static int setup(void **state)
{
    return err_ok(catalog_new(1000, &catalog)) ? 0 : -1;
}

static int teardown(void **state)
{
    catalog_free(catalog);
    return 0;
}

static void add(enum envelope_kind kind, const char *name, uint64_t version, uint64_t handle)
{
    struct envelope e = {.meta = {.suite = 1, .version = version, .created = (int64_t) version * 10},
                         .ciphertext.len = 5};
    struct version *v = NULL;
    struct entry *spare = NULL;
    struct blob *b = blob_new(SPAN_LIT("bytes"));
    assert_ok(version_new(&e, 1, (struct p11_object){handle, 1}, &v));
    assert_ok(entry_new(kind, name, &spare));
    catalog_insert(catalog, &spare, v, b, true);
    free(spare);
    blob_unref(b);
}

static void drop(enum envelope_kind kind, const char *name, uint64_t handle)
{
    catalog_remove(catalog, kind, name, (struct p11_object){handle, 1});
}

static void test_catalog_find__by_name_and_kind(void **state)
{
    add(ENVELOPE_RESOURCE, "a/b/c", 1, 1);
    add(ENVELOPE_POLICY, "a/b/c", 4, 2);
    assert_int_equal(catalog_find(catalog, ENVELOPE_RESOURCE, "a/b/c")->versions->version, 1);
    assert_int_equal(catalog_find(catalog, ENVELOPE_POLICY, "a/b/c")->versions->version, 4);
    assert_null(catalog_find(catalog, ENVELOPE_REFERENCE_VALUE, "a/b/c"));
    assert_null(catalog_find(catalog, ENVELOPE_RESOURCE, "a/b/"));
    assert_int_equal(catalog->names, 2);
}

static void test_catalog_insert__only_the_newest_is_cached(void **state)
{
    add(ENVELOPE_RESOURCE, "a/b/c", 2, 1);
    add(ENVELOPE_RESOURCE, "a/b/c", 3, 2); /* the one before is no longer worth memory */
    add(ENVELOPE_RESOURCE, "a/b/c", 1, 3); /* and this one never was */
    const struct version *v = catalog_find(catalog, ENVELOPE_RESOURCE, "a/b/c")->versions;
    assert_non_null(v->bytes);
    assert_null(v->older->bytes);
    assert_null(v->older->older->bytes);
    assert_int_equal(catalog->cache.bytes, v->bytes->memory);
    assert_int_equal(catalog->objects, 3);
    assert_int_equal(catalog->names, 1);
}

static void test_catalog_remove__name_goes_with_its_last_version(void **state)
{
    add(ENVELOPE_RESOURCE, "a/b/c", 1, 1);
    add(ENVELOPE_RESOURCE, "a/b/c", 2, 2);
    drop(ENVELOPE_RESOURCE, "a/b/c", 77); /* nobody's */
    drop(ENVELOPE_RESOURCE, "x/y/z", 1);
    drop(ENVELOPE_RESOURCE, "a/b/c", 2);
    assert_int_equal(catalog_find(catalog, ENVELOPE_RESOURCE, "a/b/c")->versions->version, 1);
    drop(ENVELOPE_RESOURCE, "a/b/c", 1);
    assert_null(catalog_find(catalog, ENVELOPE_RESOURCE, "a/b/c"));
    assert_int_equal(catalog->names, 0);
    assert_int_equal(catalog->objects, 0);
    assert_int_equal(catalog->cache.bytes, 0);
}

static void count(void *arg, const struct entry *e) { (*(size_t *) arg)++; }

static void test_catalog__grows(void **state)
{
    char name[32];
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "r/t/%u", i);
        add(ENVELOPE_RESOURCE, name, i + 1, i + 1);
    }
    assert_true(catalog->bucket_count >= 4096); /* lookups stay O(1) */
    for (unsigned i = 0; i < 5000; i += 2) {
        snprintf(name, sizeof name, "r/t/%u", i);
        drop(ENVELOPE_RESOURCE, name, i + 1);
    }
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "r/t/%u", i);
        assert_int_equal(catalog_find(catalog, ENVELOPE_RESOURCE, name) != NULL, i % 2);
    }
    size_t n = 0;
    catalog_each(catalog, count, &n);
    assert_int_equal(n, 2500);
}

static void test_entry_describe__the_newest(void **state)
{
    add(ENVELOPE_RESOURCE, "a/b/c", 1, 1);
    add(ENVELOPE_RESOURCE, "a/b/c", 2, 2);
    struct store_entry e;
    entry_describe(catalog_find(catalog, ENVELOPE_RESOURCE, "a/b/c"), &e);
    assert_string_equal(e.name, "a/b/c");
    assert_int_equal(e.version, 2);
    assert_int_equal(e.created, 20);
    assert_int_equal(e.versions, 2);
    assert_int_equal(e.size, 5);
    assert_int_equal(e.state, STORE_LIVE);
    assert_string_equal(e.content_type, "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_catalog_find__by_name_and_kind),
        TEST(test_catalog_insert__only_the_newest_is_cached),
        TEST(test_catalog_remove__name_goes_with_its_last_version),
        TEST(test_catalog__grows),
        TEST(test_entry_describe__the_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

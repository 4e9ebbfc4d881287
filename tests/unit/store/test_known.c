#include "broker/store/known.h"
#include "tests/lib/test.h"

static struct catalog *catalog;
static struct known known;

static int setup(void **state)
{
    return err_ok(catalog_new(1000, &catalog)) ? 0 : -1;
}

static int teardown(void **state)
{
    known_free(&known);
    catalog_free(catalog);
    return 0;
}

static void add(const char *name, uint64_t version, struct p11_object o, bool unreadable)
{
    struct envelope e = {.meta = {.suite = 1, .version = version}};
    struct version *v = NULL;
    struct entry *spare = NULL;
    if (unreadable) assert_ok(version_new_unreadable(version, o, &v));
    else assert_ok(version_new(&e, 1, o, &v));
    assert_ok(entry_new(ENVELOPE_RESOURCE, name, &spare));
    catalog_insert(catalog, &spare, v, NULL, false);
    free(spare);
}

static void test_known__nothing(void **state)
{
    assert_ok(known_new(catalog, &known));
    assert_int_equal(known.n, 0);
    assert_null(known_find(&known, (struct p11_object){1, 1}));
}

static void test_known_find__every_version_of_every_name(void **state)
{
    char name[32];
    for (uint64_t i = 1; i <= 100; i++) {
        snprintf(name, sizeof name, "a/b/%u", (unsigned) i % 50);
        add(name, i, (struct p11_object){i * 37 % 101, 7}, false);
    }
    assert_ok(known_new(catalog, &known));
    for (uint64_t i = 1; i <= 100; i++) {
        const struct known_object *k = known_find(&known, (struct p11_object){i * 37 % 101, 7});
        snprintf(name, sizeof name, "a/b/%u", (unsigned) i % 50);
        assert_non_null(k);
        assert_int_equal(k->version->version, i);
        assert_string_equal(k->entry->name, name);
    }
    assert_null(known_find(&known, (struct p11_object){101, 7}));
    assert_null(known_find(&known, (struct p11_object){UINT64_MAX, 7}));
}

static void test_known_find__not_of_another_opening(void **state)
{
    add("a/b/c", 1, (struct p11_object){5, 7}, false);
    assert_ok(known_new(catalog, &known));
    assert_non_null(known_find(&known, (struct p11_object){5, 7}));
    assert_null(known_find(&known, (struct p11_object){5, 8}));
}

static void test_known_find__not_what_could_not_be_read(void **state)
{
    add("a/b/c", 2, (struct p11_object){5, 7}, true);
    add("a/b/c", 1, (struct p11_object){6, 7}, false);
    assert_ok(known_new(catalog, &known));
    assert_null(known_find(&known, (struct p11_object){5, 7}));
    assert_int_equal(known_find(&known, (struct p11_object){6, 7})->version->version, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_known__nothing),
        TEST(test_known_find__every_version_of_every_name),
        TEST(test_known_find__not_of_another_opening),
        TEST(test_known_find__not_what_could_not_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/store/version.h"
#include "tests/lib/test.h"

static struct version *list;

static int teardown(void **state)
{
    while (list) {
        struct version *v = list;
        list = v->older;
        version_free(v);
    }
    return 0;
}

struct row {
    uint64_t version;
    uint32_t generation;
    uint64_t handle;
    bool unreadable, tombstone;
};

static void add(struct row r)
{
    struct envelope e = {.meta = {.suite = 1, .version = r.version, .tombstone = r.tombstone}};
    struct p11_object o = {r.handle, 1};
    struct version *v = NULL;
    if (r.unreadable) assert_ok(version_new_unreadable(r.version, o, &v));
    else assert_ok(version_new(&e, r.generation, o, &v));
    versions_insert(&list, v);
}

static void assert_handles(const uint64_t *handles)
{
    const struct version *v = list;
    for (; *handles; handles++, v = v->older) {
        assert_non_null(v);
        assert_int_equal(v->object.handle, *handles);
    }
    assert_null(v);
}
#define HANDLES(...) ((const uint64_t[]){__VA_ARGS__, 0})

static void test_versions_insert__newest_first(void **state)
{
    add((struct row){.version = 2, .generation = 1, .handle = 20});
    add((struct row){.version = 10, .generation = 1, .handle = 10});
    add((struct row){.version = 1, .generation = 1, .handle = 30});
    assert_handles(HANDLES(10, 20, 30));
    assert_int_equal(versions_highest(list), 10);
    assert_int_equal(versions_state(list), STORE_LIVE);
    assert_int_equal(versions_count(list), 3);
}

static void test_version_before__equal_versions(void **state)
{
    add((struct row){.version = 3, .generation = 1, .handle = 5});
    add((struct row){.version = 3, .generation = 2, .handle = 9});
    add((struct row){.version = 3, .generation = 2, .handle = 7});
    add((struct row){.version = 3, .handle = 1, .unreadable = true});
    assert_handles(HANDLES(7, 9, 5, 1));
    assert_int_equal(versions_state(list), STORE_LIVE);
}

static void test_versions_state__what_the_newest_says(void **state)
{
    add((struct row){.version = 1, .generation = 1, .handle = 1});
    add((struct row){.version = 2, .generation = 1, .handle = 2, .tombstone = true});
    assert_int_equal(versions_state(list), STORE_DELETED);
    add((struct row){.version = 3, .handle = 3, .unreadable = true});
    assert_int_equal(versions_state(list), STORE_DAMAGED);
    assert_int_equal(versions_highest(list), 3);
    add((struct row){.version = 4, .generation = 1, .handle = 4});
    assert_int_equal(versions_state(list), STORE_LIVE);
    list->broken = true;
    assert_int_equal(versions_state(list), STORE_DAMAGED);
}

static void test_versions_state__unknown_version_may_be_the_newest(void **state)
{
    add((struct row){.version = 7, .generation = 1, .handle = 1});
    add((struct row){.version = VERSION_UNKNOWN, .handle = 2, .unreadable = true});
    assert_int_equal(versions_state(list), STORE_DAMAGED);
    assert_int_equal(versions_highest(list), 7);
}

static void test_versions_highest__none_known(void **state)
{
    assert_int_equal(versions_highest(NULL), 0);
    add((struct row){.version = VERSION_UNKNOWN, .handle = 2, .unreadable = true});
    assert_int_equal(versions_highest(list), 0);
}

/* A sound header with the highest number there is: nothing could be written above it. */
static void test_version_new__version_beyond_counting(void **state)
{
    add((struct row){.version = UINT64_MAX, .generation = 1, .handle = 1});
    assert_true(list->unreadable);
}

static void assert_surplus(unsigned keep, const uint64_t *handles)
{
    struct p11_object surplus[16];
    size_t n = versions_surplus(list, keep, surplus);
    for (size_t i = 0; i < n; i++) assert_int_equal(surplus[i].handle, handles[i]);
    assert_int_equal(handles[n], 0);
}

static void test_versions_surplus__oldest_first(void **state)
{
    for (uint64_t v = 1; v <= 4; v++)
        add((struct row){.version = v, .generation = 1, .handle = 10 * v, .tombstone = v == 3});
    assert_surplus(1, HANDLES(10, 20, 30));
    assert_surplus(2, HANDLES(10, 20)); /* the tombstone counts */
    assert_surplus(3, HANDLES(10));
    assert_surplus(4, HANDLES(0));
    assert_surplus(9, HANDLES(0));
}

static void test_versions_surplus__copies_and_unreadable_ones_go(void **state)
{
    add((struct row){.version = VERSION_UNKNOWN, .handle = 90, .unreadable = true}); /* hides the others */
    add((struct row){.version = 5, .generation = 2, .handle = 50});
    add((struct row){.version = 5, .generation = 1, .handle = 51});
    add((struct row){.version = 4, .handle = 40, .unreadable = true});
    add((struct row){.version = 3, .generation = 1, .handle = 30});
    assert_surplus(2, HANDLES(90, 40, 51));
    assert_surplus(1, HANDLES(90, 30, 40, 51));
}

static void test_version_new__attributes(void **state)
{
    static const struct {
        const char *not_after; /* 8 bytes unless len says otherwise */
        size_t len;
        const char *type;
        int64_t wants_not_after;
        const char *wants_type;
        bool unreadable;
    } rows[] = {
        {"\0\0\0\0\0\0\1\2", 8, "text/plain", 258, "text/plain", false},
        {"\0\0\0\0\0\0\1", 7, "text/plain", 0, "text/plain", true},
        {"\0\0\0\0\0\0\0\1\2", 9, "a", 0, "a", true},
        {"\0\0\0\0\0\0\0\0", 8, "a", 0, "a", true},
        {"\x80\0\0\0\0\0\0\0", 8, "a", 0, "a", true},
        {"\0\0\0\0\0\0\0\1", 8, "a\r\nX: y", 1, NULL, false},
        {"\0\0\0\0\0\0\0\1", 8, "", 1, NULL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct envelope e = {.meta = {.suite = 1, .version = 1, .attribute_count = 2}};
        e.meta.attributes[0] = (struct envelope_attribute){ENVELOPE_CONTENT_TYPE,
                                                           span_str(rows[i].type)};
        e.meta.attributes[1] = (struct envelope_attribute){
            ENVELOPE_NOT_AFTER, span_of(rows[i].not_after, rows[i].len)};
        struct version *v = NULL;
        assert_ok(version_new(&e, 1, (struct p11_object){0}, &v));
        assert_int_equal(v->not_after, rows[i].wants_not_after);
        assert_int_equal(v->unreadable, rows[i].unreadable);
        if (rows[i].wants_type) assert_string_equal(v->content_type, rows[i].wants_type);
        else assert_null(v->content_type);
        version_free(v);
    }
}

static void test_content_type_ok__length_at_and_beyond_the_limit(void **state)
{
    char text[128];
    memset(text, 'x', sizeof text);
    assert_true(content_type_ok(span_of(text, 127)));
    assert_false(content_type_ok(span_of(text, 128)));
}

static void test_versions_find__by_number(void **state)
{
    struct version *mine = NULL, v[] = {
        {.version = 3, .generation = 1, .object.handle = 1},
        {.version = 3, .generation = 2, .object.handle = 2}, /* this copy counts */
        {.version = 1, .object.handle = 3},
        {.version = VERSION_UNKNOWN, .unreadable = true, .object.handle = 4},
    };
    assert_null(versions_find(NULL, 1));
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) versions_insert(&mine, &v[i]);
    assert_ptr_equal(versions_find(mine, 3), &v[1]);
    assert_ptr_equal(versions_find(mine, 1), &v[2]);
    assert_null(versions_find(mine, 2));
    assert_null(versions_find(mine, 0));
    assert_null(versions_find(mine, VERSION_UNKNOWN));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_versions_find__by_number),
        TEST(test_versions_insert__newest_first),
        TEST(test_version_before__equal_versions),
        TEST(test_versions_state__what_the_newest_says),
        TEST(test_versions_state__unknown_version_may_be_the_newest),
        TEST(test_versions_highest__none_known),
        TEST(test_version_new__version_beyond_counting),
        TEST(test_versions_surplus__oldest_first),
        TEST(test_versions_surplus__copies_and_unreadable_ones_go),
        TEST(test_version_new__attributes),
        TEST(test_content_type_ok__length_at_and_beyond_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

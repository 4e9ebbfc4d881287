#include "broker/store/cache.h"
#include "tests/lib/test.h"

#define COUNT 5
static struct cache cache;
static struct version versions[COUNT];

static int setup(void **state)
{
    cache = (struct cache){.budget = 1000};
    memset(versions, 0, sizeof versions);
    return 0;
}

static int teardown(void **state)
{
    for (size_t i = 0; i < COUNT; i++) cache_drop(&cache, &versions[i]);
    return 0;
}

/* The sanitizers' heaps give what is asked for, so a blob takes `memory` bytes. */
static void keep(size_t i, size_t memory, bool make_room)
{
    static const uint8_t bytes[2000];
    struct blob *b = blob_new(span_of(bytes, memory - sizeof *b));
    assert_non_null(b);
    assert_int_equal(b->memory, memory);
    cache_keep(&cache, &versions[i], b, make_room);
    blob_unref(b);
}

static void assert_cached(const char *wanted) /* a digit for each */
{
    size_t bytes = 0;
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(versions[i].bytes != NULL, strchr(wanted, '0' + (int) i) != NULL);
        if (versions[i].bytes) bytes += versions[i].bytes->memory;
    }
    assert_int_equal(cache.bytes, bytes);
    assert_true(cache.bytes <= cache.budget);
}

static void test_cache_keep__least_recently_used_make_room(void **state)
{
    for (size_t i = 0; i < 3; i++) keep(i, 330, true);
    assert_cached("012");
    cache_use(&cache, &versions[0]);
    keep(3, 330, true);
    assert_cached("023");
    keep(4, 660, true);
    assert_cached("34");
}

static void test_cache_keep__without_making_room(void **state)
{
    keep(0, 600, false);
    keep(1, 410, false);
    assert_cached("0");
    keep(2, 400, false);
    assert_cached("02");
}

static void test_cache_keep__budget_at_and_beyond(void **state)
{
    keep(0, 100, true);
    keep(1, 1001, true);
    assert_cached("0"); /* nobody had to go for what cannot be kept */
    keep(2, 1000, true);
    assert_cached("2");
}

static void test_cache_keep__replaces(void **state)
{
    keep(0, 900, true);
    keep(0, 500, true);
    assert_cached("0");
    assert_int_equal(cache.bytes, 500);
}

static void test_cache_keep__no_budget(void **state)
{
    cache.budget = 0;
    keep(0, 17, true);
    assert_cached("");
}

static void test_cache_drop__anywhere(void **state)
{
    for (size_t i = 0; i < COUNT; i++) keep(i, 200, true);
    cache_drop(&cache, &versions[2]);
    cache_drop(&cache, &versions[4]);
    cache_drop(&cache, &versions[0]);
    assert_cached("13");
    cache_use(&cache, &versions[0]);
    assert_ptr_equal(cache.latest, &versions[3]);
    assert_ptr_equal(cache.stalest, &versions[1]);
}

static void test_blob__outlives_the_cache(void **state)
{
    keep(0, 300, true);
    struct blob *mine = blob_ref(versions[0].bytes);
    cache_drop(&cache, &versions[0]);
    assert_int_equal(blob_span(mine).len, 300 - sizeof *mine); /* AddressSanitizer watches */
    assert_int_equal(blob_span(mine).data[299 - sizeof *mine], 0);
    blob_unref(mine);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_cache_keep__least_recently_used_make_room),
        TEST(test_cache_keep__without_making_room),
        TEST(test_cache_keep__budget_at_and_beyond),
        TEST(test_cache_keep__replaces),
        TEST(test_cache_keep__no_budget),
        TEST(test_cache_drop__anywhere),
        TEST(test_blob__outlives_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

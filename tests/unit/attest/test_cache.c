#include "broker/attest/cache.h"
#include "tests/unit/attest/mint.h"

#define MAX 8

static struct cache *cache;

static int setup(void **state)
{
    assert_ok(cache_new(MAX, &cache));
    return 0;
}

static int teardown(void **state)
{
    cache_free(cache);
    return 0;
}

static struct digest digest_of(unsigned n)
{
    struct digest d = {0};
    assert_ok(digest_compute(DIGEST_SHA256, span_of(&n, sizeof n), &d));
    return d;
}

static void put(unsigned n, int64_t exp)
{
    struct json_doc *doc = NULL;
    struct guest *g = NULL;
    struct digest d = digest_of(n);
    struct guest_rules rules = {0};
    assert_ok(json_parse(SPAN_LIT("{}"), &doc));
    struct guest_token t = {.text = SPAN_LIT("t"), .sha256 = &d, .payload = SPAN_LIT("{}"),
                            .claims = json_root(doc), .exp = exp};
    assert_ok(guest_new(&t, &rules, &g));
    assert_ok(cache_put(cache, &d, g));
    guest_unref(g);
    json_free(doc);
}

static bool has(unsigned n, int64_t now)
{
    struct digest d = digest_of(n);
    struct guest *g = cache_get(cache, &d, now);
    guest_unref(g);
    return g != NULL;
}

static void test_cache_get__until_exp_and_leeway(void **state)
{
    put(1, NOON);
    assert_true(has(1, NOON));
    assert_false(has(2, NOON));
    assert_true(has(1, NOON + TOKEN_LEEWAY_SECONDS));
    assert_false(has(1, NOON + TOKEN_LEEWAY_SECONDS + 1));
    assert_int_equal(cache_count(cache), 0);
}

static void test_cache_put__oldest_makes_room(void **state)
{
    for (unsigned i = 0; i < MAX; i++) put(i, NOON);
    assert_true(has(0, NOON)); /* a look does not make it younger */
    assert_int_equal(cache_count(cache), MAX);
    put(MAX, NOON);
    assert_int_equal(cache_count(cache), MAX);
    assert_false(has(0, NOON));
    for (unsigned i = 1; i <= MAX; i++) assert_true(has(i, NOON));
}

static void test_cache_put__twice(void **state)
{
    put(1, NOON);
    put(1, NOON + 5);
    assert_int_equal(cache_count(cache), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_cache_get__until_exp_and_leeway),
        TEST(test_cache_put__oldest_makes_room),
        TEST(test_cache_put__twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

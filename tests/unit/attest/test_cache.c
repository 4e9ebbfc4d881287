#include "broker/attest/cache.h"
#include "tests/unit/attest/mint.h"

#define MAX 8

static struct cache *cache;

static int setup(void **state)
{
    assert_ok(cache_new(MAX, GUEST_CACHE_BYTES, &cache));
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

static void put_claims(unsigned n, int64_t exp, struct span claims)
{
    struct json_doc *doc = NULL;
    struct guest *g = NULL;
    struct digest d = digest_of(n);
    struct guest_rules rules = {0};
    assert_ok(json_parse(claims, &doc));
    struct guest_token t = {.text = SPAN_LIT("t"), .sha256 = &d, .payload = claims,
                            .claims = json_root(doc), .exp = exp};
    assert_ok(guest_new(&t, &rules, &g));
    assert_ok(cache_put(cache, &d, g));
    guest_unref(g);
    json_free(doc);
}

static void put(unsigned n, int64_t exp)
{
    put_claims(n, exp, SPAN_LIT("{}"));
}

static bool has(unsigned n, int64_t now)
{
    struct digest d = digest_of(n);
    struct guest *g = cache_get(cache, &d, now, 0);
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

/* What was verified before a key went is not known any more. */
static void test_cache_get__verified_before_a_removal(void **state)
{
    struct digest d = digest_of(1);
    put(1, NOON); /* with no key gone */
    assert_null(cache_get(cache, &d, NOON, 1));
    assert_int_equal(cache_count(cache), 0);
    assert_false(has(1, NOON));
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

/* {"a":"xxx.."} with so many x. */
static struct span long_claims(size_t len)
{
    static char text[300000];
    int n = snprintf(text, sizeof text, "{\"a\":\"%0*d\"}", (int) len, 0);
    return span_of(text, (size_t) n);
}

/* One large guest drives out as many small ones as it needs room; one larger than all is not kept. */
static void test_cache_put__memory(void **state)
{
    cache_free(cache);
    assert_ok(cache_new(MAX, 200000, &cache));
    for (unsigned i = 0; i < MAX; i++) put_claims(i, NOON, long_claims(10000));
    assert_int_equal(cache_count(cache), MAX);
    put_claims(100, NOON, long_claims(150000));
    assert_true(has(100, NOON));
    assert_true(has(MAX - 1, NOON));
    assert_false(has(0, NOON));
    assert_in_range(cache_count(cache), 2, MAX - 2);
    put_claims(101, NOON, long_claims(250000));
    assert_false(has(101, NOON));
    assert_true(has(100, NOON));
    put_claims(102, NOON, long_claims(190000));
    assert_int_equal(cache_count(cache), 1);
    assert_true(has(102, NOON));
    assert_false(has(102, NOON + TOKEN_LEEWAY_SECONDS + 1)); /* and its room is free again */
    put_claims(103, NOON, long_claims(190000));
    assert_true(has(103, NOON));
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
        TEST(test_cache_get__verified_before_a_removal),
        TEST(test_cache_put__oldest_makes_room),
        TEST(test_cache_put__memory),
        TEST(test_cache_put__twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

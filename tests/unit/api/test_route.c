#include "broker/api/route.h"
#include "tests/lib/test.h"

#define KBS "/kbs/v0/"

static struct route route;

static int teardown(void **state)
{
    route_free(&route);
    return 0;
}

static err_t parse(const char *path, const char *query)
{
    route_free(&route);
    return route_parse(span_str(path), KBS, query ? span_str(query) : span_of(NULL, 0), &route);
}

/* Segments joined by '|', so that empty ones and slashes show. */
static const char *shown(void)
{
    static char out[512];
    size_t n = 0;
    for (size_t i = 0; i < route.segment_count; i++)
        n += (size_t) snprintf(out + n, sizeof out - n, "%s%s", i ? "|" : "", route.segments[i]);
    return out;
}

/* name=value pairs joined by '&' after decoding. */
static const char *shown_query(void)
{
    static char out[512];
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < route.query_count; i++)
        n += (size_t) snprintf(out + n, sizeof out - n, "%s%s=%s", i ? "&" : "",
                               route.query[i].name, route.query[i].value);
    return out;
}

static void test_route_parse__decodes_once(void **state)
{
    static const struct { const char *path, *segments; } rows[] = {
        {KBS "resource/a/b/c", "resource|a|b|c"},
        {KBS "resource//a/b/c", "resource||a|b|c"},
        {KBS "resource/a/b/c/", "resource|a|b|c|"},
        {KBS, ""},
        {KBS "resource", "resource"},
        {KBS "%72esource/a/b/c", "resource|a|b|c"},
        {KBS "resource%2Fa%2fb/c", "resource|a|b|c"},
        {KBS "resource/a%252Fb", "resource|a%2Fb"},      /* once, not twice */
        {KBS "resource/100%", "resource|100%"},          /* no escape: stays */
        {KBS "resource/%4", "resource|%4"},
        {KBS "resource/%zz%4g", "resource|%zz%4g"},
        {KBS "resource/a+b", "resource|a+b"},            /* a space in a query only */
        {KBS "resource/a%20b%2B", "resource|a b+"},
        {KBS "resource/../%2e%2E/.", "resource|..|..|."}, /* dot segments stay */
        {KBS "resource/%e4%bd%a0", "resource|\xe4\xbd\xa0"},
        {KBS "resource/%ff", "resource|\xff"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_ok(parse(rows[i].path, NULL));
        assert_string_equal(shown(), rows[i].segments);
        assert_int_equal(route.query_count, 0);
    }
}

static void test_route_parse__prefix_is_exact(void **state)
{
    static const char *const paths[] = {"/kbs/v0", "/kbs/v1/resource", "/KBS/v0/resource",
                                        "/kbs%2Fv0/resource", "/kbs/v0%2Fresource", "/", ""};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_fails(parse(paths[i], NULL), ERR_NOTFOUND);
}

static void test_route_parse__escaped_nul(void **state)
{
    assert_fails_with(parse(KBS "resource/a%00/b/c", NULL), ERR_USAGE, "NUL");
    assert_fails_with(parse(KBS "%00", NULL), ERR_USAGE, "NUL");
    assert_fails_with(parse(KBS "resource", "a=b%00c"), ERR_USAGE, "NUL");
    assert_fails_with(parse(KBS "resource", "a=1&b%00=2"), ERR_USAGE, "NUL");
    assert_ok(parse(KBS "resource/%2500", "a=%2500"));
    assert_string_equal(shown_query(), "a=%00");
}

static void test_route_parse__query(void **state)
{
    static const struct { const char *query, *pairs; } rows[] = {
        {"", ""},
        {"a=b", "a=b"},
        {"a", "a="},
        {"a=", "a="},
        {"=b", "=b"},
        {"=", "="},
        {"&&a=b&&", "a=b"},
        {"a=b=c", "a=b=c"},
        {"a=1&b=2&a=3", "a=3&b=2"},                   /* the last wins */
        {"%61=1&a=2", "a=2"},                         /* compared decoded */
        {"a+b=c+d", "a b=c d"},
        {"a%2Bb=c%26d%3De", "a+b=c&d=e"},
        {"a=%zz%4", "a=%zz%4"},
        {"a=%253D", "a=%3D"},
        {"A=1&a=2", "A=1&a=2"},
        {"a=/b/c?d", "a=/b/c?d"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_ok(parse(KBS "resource", rows[i].query));
        assert_string_equal(shown_query(), rows[i].pairs);
    }
}

static void test_route_parse__segment_limit(void **state)
{
    struct buf path = BUF_INIT;
    buf_add_str(&path, KBS "s");
    for (int i = 1; i < ROUTE_MAX_SEGMENTS; i++) buf_add_str(&path, "/s");
    assert_ok(parse(buf_str(&path), NULL));
    assert_int_equal(route.segment_count, ROUTE_MAX_SEGMENTS);
    buf_add_str(&path, "%2Fs");
    assert_fails_with(parse(buf_str(&path), NULL), ERR_USAGE, "more than 32 segments");
    assert_null(route.text); /* nothing is left of what failed */
    buf_free(&path);
}

static void test_route_parse__query_limit(void **state)
{
    struct buf query = BUF_INIT;
    for (int i = 0; i < ROUTE_MAX_PAIRS; i++) buf_addf(&query, "n%d=v&", i);
    assert_ok(parse(KBS "resource", buf_str(&query)));
    assert_int_equal(route.query_count, ROUTE_MAX_PAIRS);
    buf_add_str(&query, "n3=again&n0=too"); /* known names take no room */
    assert_ok(parse(KBS "resource", buf_str(&query)));
    assert_string_equal(route.query[0].value, "too");
    buf_add_str(&query, "&one=more");
    assert_fails_with(parse(KBS "resource", buf_str(&query)), ERR_USAGE, "more than 32 names");
    buf_free(&query);
}

static void test_route_parse__many_tiny_pairs_fit(void **state)
{
    struct buf query = BUF_INIT;
    for (int i = 0; i < 20000; i++) buf_add_str(&query, i % 2 ? "a&" : "=&");
    assert_ok(parse(KBS "resource", buf_str(&query)));
    assert_int_equal(route.query_count, 2);
    buf_free(&query);
}

static void test_route_join__from_a_segment_on(void **state)
{
    char out[16];
    assert_ok(parse(KBS "resource/a/b/c", NULL));
    assert_true(route_join(&route, 1, out, sizeof out));
    assert_string_equal(out, "a/b/c");
    assert_true(route_join(&route, 0, out, sizeof out));
    assert_string_equal(out, "resource/a/b/c");
    assert_true(route_join(&route, 4, out, sizeof out));
    assert_string_equal(out, "");
    assert_true(route_join(&route, 99, out, sizeof out));
    assert_string_equal(out, "");
    assert_ok(parse(KBS "resource//a/", NULL));
    assert_true(route_join(&route, 1, out, sizeof out));
    assert_string_equal(out, "/a/");
}

static void test_route_join__room(void **state)
{
    char out[6] = "";
    assert_ok(parse(KBS "resource/a/b/c", NULL));
    assert_true(route_join(&route, 1, out, 6)); /* with its NUL just so */
    assert_string_equal(out, "a/b/c");
    assert_false(route_join(&route, 1, out, 5));
    assert_string_equal(out, "a/b"); /* whole segments only */
    assert_false(route_join(&route, 1, out, 1));
    assert_string_equal(out, "");
}

static void test_route_free__twice(void **state)
{
    assert_ok(parse(KBS "resource/a?b", "c=d"));
    route_free(&route);
    assert_int_equal(route.segment_count, 0);
    route_free(&route);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_route_parse__decodes_once),
        cmocka_unit_test(test_route_parse__prefix_is_exact),
        cmocka_unit_test(test_route_parse__escaped_nul),
        cmocka_unit_test(test_route_parse__query),
        cmocka_unit_test(test_route_parse__segment_limit),
        cmocka_unit_test(test_route_parse__query_limit),
        cmocka_unit_test(test_route_parse__many_tiny_pairs_fit),
        cmocka_unit_test(test_route_join__from_a_segment_on),
        cmocka_unit_test(test_route_join__room),
        cmocka_unit_test(test_route_free__twice),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}

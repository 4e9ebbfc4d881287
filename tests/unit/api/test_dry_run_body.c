#include "broker/api/dry_run_body.h"
#include "broker/base/limits.h"
#include "tests/lib/test.h"

static struct dry_run_body body;
static struct buf text;

static int teardown(void **state)
{
    dry_run_body_done(&body);
    buf_free(&text);
    return 0;
}

static err_t parse(const char *json)
{
    dry_run_body_done(&body);
    return dry_run_body_parse(span_str(json), 7, &body);
}

static void test_parse__nothing_given(void **state)
{
    static const char *const rows[] = {"", "{}", " {} "};
    for (size_t i = 0; i < 3; i++) {
        assert_ok(parse(rows[i]));
        assert_null(body.policy);
        assert_false(body.has_requests);
        assert_int_equal(body.count, 0);
    }
}

static void check_request(const struct dry_run_request *r, const char *plugin, const char *resource,
                          size_t segments, size_t pairs)
{
    assert_string_equal(r->request.plugin, plugin);
    assert_string_equal(r->resource, resource);
    assert_int_equal(r->request.path_count, segments);
    assert_int_equal(r->request.query_count, pairs);
    assert_int_equal(r->request.now_ns, 7);
    assert_ptr_equal(r->request.claims, r->claims);
    assert_non_null(policy_claims_value(r->claims));
}

static void test_parse__one_request_beside_the_policy(void **state)
{
    assert_ok(parse("{\"policy\":\"package policy\\n\",\"claims\":{\"a\":1},\"plugin\":\"pkcs11\","
                    "\"resource\":\"resource/a//c\",\"query\":{\"k\":\"v\",\"l\":\"\"}}"));
    assert_string_equal(body.policy, "package policy\n");
    assert_true(body.has_requests);
    assert_int_equal(body.count, 1);
    check_request(&body.requests[0], "pkcs11", "resource/a//c", 4, 2);
    static const char *const path[] = {"resource", "a", "", "c"};
    for (size_t i = 0; i < 4; i++) assert_string_equal(body.requests[0].request.path[i], path[i]);
    assert_string_equal(body.requests[0].request.query[0].name, "k");
    assert_string_equal(body.requests[0].request.query[0].value, "v");
    assert_ok(parse("{\"claims\":{}}"));
    check_request(&body.requests[0], "resource", "", 0, 0);
}

static void test_parse__several_requests(void **state)
{
    assert_ok(parse("{\"requests\":[]}"));
    assert_true(body.has_requests);
    assert_int_equal(body.count, 0);
    assert_ok(parse("{\"requests\":[{\"claims\":{},\"resource\":\"a/b/c\"},"
                    "{\"claims\":{\"x\":[1.5]},\"plugin\":\"p\"}]}"));
    assert_int_equal(body.count, 2);
    check_request(&body.requests[0], "resource", "a/b/c", 3, 0);
    check_request(&body.requests[1], "p", "", 0, 0);
}

static void test_parse__mistakes(void **state)
{
    static const struct { const char *json, *says; } rows[] = {
        {"{", "byte"},
        {"[]", "takes a JSON object"},
        {"\"policy\"", "takes a JSON object"},
        {"{\"polcy\":\"\"}", "unknown member \"polcy\"; a dry run knows policy, requests"},
        {"{\"policy\":1}", "\"policy\" is not a string"},
        {"{\"policy\":null}", "\"policy\" is not a string"},
        {"{\"resource\":\"a/b/c\"}", "needs \"claims\""},
        {"{\"claims\":[]}", "needs \"claims\""},
        {"{\"claims\":\"eyJ\"}", "needs \"claims\""},
        {"{\"claims\":{},\"resource\":[\"a\"]}", "\"resource\" is not a string"},
        {"{\"claims\":{},\"plugin\":7}", "\"plugin\" is not a string"},
        {"{\"claims\":{},\"query\":[]}", "\"query\" is not an object"},
        {"{\"claims\":{},\"query\":{\"a\":1}}", "a value in \"query\" is not a string"},
        {"{\"claims\":{},\"requests\":[]}", "not both"},
        {"{\"requests\":{}}", "\"requests\" is not an array"},
        {"{\"requests\":[7]}", "request 1: a dry run takes a JSON object"},
        {"{\"requests\":[{\"claims\":{}},{\"policy\":\"\",\"claims\":{}}]}",
         "request 2: unknown member \"policy\""},
        {"{\"requests\":[{\"claims\":{}},{\"claims\":{}},{}]}", "request 3: a request needs"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_fails_with(parse(rows[i].json), ERR_USAGE, rows[i].says);
}

static void put_repeated(const char *before, const char *what, size_t count, const char *after)
{
    buf_reset(&text);
    buf_add_str(&text, before);
    for (size_t i = 0; i < count; i++) buf_addf(&text, "%s%s", i ? "," : "", what);
    buf_add_str(&text, after);
}

static void put_long(const char *before, size_t count, const char *unit, const char *after)
{
    buf_reset(&text);
    buf_add_str(&text, before);
    for (size_t i = 0; i < count; i++) buf_add_str(&text, unit);
    buf_add_str(&text, after);
}

static void test_parse__at_and_beyond_the_limits(void **state)
{
    for (size_t over = 0; over < 2; over++) {
        enum err_class class = over ? ERR_USAGE : ERR_NONE;
        put_repeated("{\"requests\":[", "{\"claims\":{}}", DRY_RUN_REQUESTS_MAX + over, "]}");
        assert_int_equal(parse(buf_str(&text)).code, class);
        put_long("{\"claims\":{},\"resource\":\"a", ROUTE_MAX_SEGMENTS - 1 + over, "/a", "\"}");
        assert_int_equal(parse(buf_str(&text)).code, class);
        put_long("{\"policy\":\"", POLICY_MAX + over, "x", "\"}");
        assert_int_equal(parse(buf_str(&text)).code, class);
        buf_reset(&text);
        buf_add_str(&text, "{\"claims\":{},\"query\":{");
        for (size_t i = 0; i < ROUTE_MAX_PAIRS + over; i++)
            buf_addf(&text, "%s\"q%zu\":\"v\"", i ? "," : "", i);
        buf_add_str(&text, "}}");
        assert_int_equal(parse(buf_str(&text)).code, class);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_parse__nothing_given),
        TEST(test_parse__one_request_beside_the_policy),
        TEST(test_parse__several_requests),
        TEST(test_parse__mistakes),
        TEST(test_parse__at_and_beyond_the_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/base/json.h"
#include "tests/lib/test.h"

static err_t parse(const char *text, struct json_doc **ret)
{
    return json_parse(span_str(text), ret);
}

/* What the text may be is tested in test_json_check.c; here, that parsing asks for it. */
static void test_parse__refuses_what_is_not_strict(void **state)
{
    static const char *const bad[] = {"", "[1,]", "{} x", "\"\\u0000\"", "\"\xff\"", "NaN"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct json_doc *doc = NULL;
        assert_fails(parse(bad[i], &doc), ERR_USAGE);
        assert_null(doc);
    }
}

static void test_parse__duplicate_members_are_refused(void **state)
{
    static const char *const bad[] = {
        "{\"a\":1,\"a\":2}", "{\"a\":{\"b\":1,\"c\":2,\"b\":3}}", "{\"\\u0061\":1,\"a\":2}",
        "[{\"\":1,\"\":1}]",
    };
    struct json_doc *doc = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails_with(parse(bad[i], &doc), ERR_USAGE, "comes twice");
    assert_ok(parse("{\"a\":{\"a\":1},\"A\":2,\"b\":{\"a\":3}}", &doc));
    json_free(doc);
}

static void test_get__is_case_sensitive_and_typed(void **state)
{
    struct json_doc *doc = NULL;
    assert_ok(parse(" {\"Name\":\"x\",\"n\":-12,\"b\":true,\"z\":null,\"a\":[1,[2],{}],"
                    "\"esc\":\"\\u00e9\\ud83d\\ude00\\/\"} ", &doc));
    struct json root = json_root(doc);
    int64_t n = 0;
    bool b = false;
    assert_null(json_string(json_get(root, "name")));
    assert_string_equal(json_string(json_get(root, "Name")), "x");
    assert_true(json_int(json_get(root, "n"), &n) && n == -12);
    assert_true(json_bool(json_get(root, "b"), &b) && b);
    assert_int_equal(json_type(json_get(root, "z")), JSON_NULL);
    assert_int_equal(json_type(json_get(root, "none")), JSON_ABSENT);
    assert_int_equal(json_count(json_get(root, "a")), 3);
    assert_string_equal(json_string(json_get(root, "esc")), "\xc3\xa9\xf0\x9f\x98\x80/");
    assert_false(json_present(json_get(json_get(root, "none"), "deeper")));
    json_free(doc);
}

static void test_text__is_what_was_received(void **state)
{
    struct json_doc *doc = NULL;
    assert_ok(parse("{\"a\" : [ 1.50, 9007199254740993 , {\"b\": 1e400}],\"c\":\"\\u0041\"}", &doc));
    struct json a = json_get(json_root(doc), "a");
    assert_span(json_text(a), "[ 1.50, 9007199254740993 , {\"b\": 1e400}]");
    assert_span(json_text(json_first(a)), "1.50");
    assert_span(json_text(json_pointer(json_root(doc), "/a/2/b")), "1e400");
    assert_span(json_text(json_get(json_root(doc), "c")), "\"\\u0041\"");
    int64_t n = 0;
    assert_true(json_int(json_pointer(json_root(doc), "/a/1"), &n));
    assert_true(n == INT64_C(9007199254740993)); /* cJSON alone would say ...992 */
    assert_false(json_int(json_first(a), &n));
    json_free(doc);
}

static void test_int__range(void **state)
{
    struct json_doc *doc = NULL;
    assert_ok(parse("[9223372036854775807,-9223372036854775808,9223372036854775808,1e3,1.0]", &doc));
    struct json j = json_first(json_root(doc));
    int64_t n = 0;
    assert_true(json_int(j, &n) && n == INT64_MAX);
    assert_true(json_int(j = json_next(j), &n) && n == INT64_MIN);
    for (int i = 0; i < 3; i++) assert_false(json_int(j = json_next(j), &n));
    json_free(doc);
}

static void test_pointer__rfc6901(void **state)
{
    struct json_doc *doc = NULL;
    assert_ok(parse("{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"m~n\":8,\"s\":\"t\"}", &doc));
    struct json root = json_root(doc);
    assert_span(json_text(json_pointer(root, "/foo/1")), "\"baz\"");
    assert_span(json_text(json_pointer(root, "/")), "0");
    assert_span(json_text(json_pointer(root, "/a~1b")), "1");
    assert_span(json_text(json_pointer(root, "/m~0n")), "8");
    assert_true(json_pointer(root, "").node == root.node);
    static const char *const none[] = {"/foo/2", "/foo/x", "/foo/", "foo", "/s/0", "/nope/deep"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(json_present(json_pointer(root, none[i])));
    json_free(doc);
}

static void test_need__names_the_member(void **state)
{
    struct json_doc *doc = NULL;
    assert_ok(parse("{\"version\":4}", &doc));
    const char *s = NULL;
    assert_fails_with(json_need_string(json_root(doc), "version", "the request", &s), ERR_USAGE,
                      "member \"version\" of the request is a number, not a string");
    assert_fails_with(json_need_string(json_root(doc), "tee", "the request", &s), ERR_USAGE,
                      "is missing");
    json_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse__refuses_what_is_not_strict),
        cmocka_unit_test(test_parse__duplicate_members_are_refused),
        cmocka_unit_test(test_get__is_case_sensitive_and_typed),
        cmocka_unit_test(test_text__is_what_was_received),
        cmocka_unit_test(test_int__range),
        cmocka_unit_test(test_pointer__rfc6901),
        cmocka_unit_test(test_need__names_the_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

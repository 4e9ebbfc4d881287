#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "tests/lib/test.h"

static err_t parse(const char *text, struct json_doc **ret)
{
    return json_parse(span_str(text), ret);
}

static void test_parse__refuses_what_is_not_strict(void **state)
{
    static const char *const bad[] = {
        "", " ", "{", "}", "[1,]", "{\"a\":1,}", "{a:1}", "{'a':1}", "[1 2]", "01", "-", "1.", ".5",
        "1e", "+1", "nul", "truee", "\"", "\"\\x\"", "\"\\u12\"", "\"\\u0000\"", "\"\\ud800\"",
        "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"a\tb\"", "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"",
        "{\"a\":1,\"a\":2}", "{\"a\":{\"b\":1,\"c\":2,\"b\":3}}", "{} x", "[1]]", "NaN", "\xef\xbb\xbf{}",
        "{\"\\u0061\":1,\"a\":2}", "1 2", "[,1]", "{,}", "{\"a\"}", "/* c */ 1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct json_doc *doc = NULL;
        struct err e = parse(bad[i], &doc);
        if (e.code != ERR_USAGE) fail_msg("accepted or misjudged: %s (%s)", bad[i], err_text(e));
        assert_null(doc);
    }
}

static void test_parse__nul_inside_is_refused(void **state)
{
    struct json_doc *doc = NULL;
    assert_fails(json_parse(span_of("\"a\0b\"", 5), &doc), ERR_USAGE);
    assert_fails(json_parse(span_of("{}\0", 3), &doc), ERR_USAGE);
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

/* n opening brackets, then n closing ones */
static void nest(struct buf *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++) buf_add_byte(b, '[');
    for (unsigned i = 0; i < n; i++) buf_add_byte(b, ']');
}

static void test_limits__depth_at_and_beyond(void **state)
{
    struct json_doc *doc = NULL;
    struct buf b = BUF_INIT;
    nest(&b, JSON_MAX_DEPTH);
    assert_ok(json_parse(buf_span(&b), &doc));
    json_free(doc);
    buf_reset(&b);
    nest(&b, JSON_MAX_DEPTH + 1);
    assert_fails(json_parse(buf_span(&b), &doc), ERR_TOOLARGE);
    buf_free(&b);
}

static void test_limits__values_at_and_beyond(void **state)
{
    struct json_doc *doc = NULL;
    struct buf b = BUF_INIT;
    buf_add_byte(&b, '[');
    for (unsigned i = 0; i < JSON_MAX_VALUES - 1; i++) buf_add_str(&b, i ? ",0" : "0");
    buf_add_byte(&b, ']');
    assert_ok(json_parse(buf_span(&b), &doc));
    json_free(doc);
    b.len--;
    buf_add_str(&b, ",0]");
    assert_fails(json_parse(buf_span(&b), &doc), ERR_TOOLARGE);
    buf_free(&b);
}

static void test_limits__text_at_and_beyond(void **state)
{
    struct json_doc *doc = NULL;
    struct buf b = BUF_INIT;
    uint8_t *at = buf_extend(&b, JSON_MAX_TEXT);
    memset(at, ' ', JSON_MAX_TEXT);
    at[0] = '1';
    assert_ok(json_parse(buf_span(&b), &doc));
    json_free(doc);
    buf_add_byte(&b, ' ');
    assert_fails(json_parse(buf_span(&b), &doc), ERR_TOOLARGE);
    buf_free(&b);
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

static void test_write__compact_and_minimal(void **state)
{
    struct buf b = BUF_INIT;
    struct json_out o = JSON_OUT(&b);
    json_begin_object(&o);
    json_member_str(&o, "a", "q\"\\/\b\f\n\r\t\x01 \xc3\xa9");
    json_key(&o, "list");
    json_begin_array(&o);
    json_put_int(&o, -1);
    json_put_uint(&o, UINT64_MAX);
    json_put_bool(&o, false);
    json_put_null(&o);
    json_begin_object(&o);
    json_end_object(&o);
    json_end_array(&o);
    json_member_raw(&o, "raw", SPAN_LIT("1.50"));
    json_end_object(&o);
    assert_span(buf_span(&b), "{\"a\":\"q\\\"\\\\/\\b\\f\\n\\r\\t\\u0001 \xc3\xa9\",\"list\":[-1,"
                              "18446744073709551615,false,null,{}],\"raw\":1.50}");
    buf_free(&b);
}

static void test_canonical__rfc8785_order(void **state)
{
    struct json_doc *doc = NULL;
    struct buf b = BUF_INIT;
    struct json_out o = JSON_OUT(&b);
    /* the order of RFC 8785 3.2.3: UTF-16 units, so U+1F600 sorts before U+FB33 */
    assert_ok(parse("{ \"\xef\xac\xb3\":1, \"\xf0\x9f\x98\x80\":2, \"b\" : [ {\"z\":1,\"a\":\"\\u000a\"} ],"
                    " \"\\r\":3, \"1\":4, \"\xc3\xb6\":5, \"\xe2\x82\xac\":6 }", &doc));
    json_put_canonical(&o, json_root(doc));
    assert_span(buf_span(&b), "{\"\\r\":3,\"1\":4,\"b\":[{\"a\":\"\\n\",\"z\":1}],\"\xc3\xb6\":5,"
                              "\"\xe2\x82\xac\":6,\"\xf0\x9f\x98\x80\":2,\"\xef\xac\xb3\":1}");
    json_free(doc);
    buf_reset(&b);
    assert_ok(parse("[1.5]", &doc));
    json_put_canonical(&o, json_root(doc));
    assert_fails(buf_ok(&b), ERR_TOOLARGE); /* refused rather than wrong */
    json_free(doc);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse__refuses_what_is_not_strict),
        cmocka_unit_test(test_parse__nul_inside_is_refused),
        cmocka_unit_test(test_get__is_case_sensitive_and_typed),
        cmocka_unit_test(test_text__is_what_was_received),
        cmocka_unit_test(test_int__range),
        cmocka_unit_test(test_pointer__rfc6901),
        cmocka_unit_test(test_limits__depth_at_and_beyond),
        cmocka_unit_test(test_limits__values_at_and_beyond),
        cmocka_unit_test(test_limits__text_at_and_beyond),
        cmocka_unit_test(test_need__names_the_member),
        cmocka_unit_test(test_write__compact_and_minimal),
        cmocka_unit_test(test_canonical__rfc8785_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/base/json.h"
#include "tests/lib/test.h"

static struct buf out;

static int begin(void **state)
{
    out = BUF_INIT;
    return 0;
}

static int end(void **state)
{
    buf_free(&out);
    return 0;
}

static void test_write__compact_and_minimal(void **state)
{
    struct json_out o = JSON_OUT(&out);
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
    assert_span(buf_span(&out), "{\"a\":\"q\\\"\\\\/\\b\\f\\n\\r\\t\\u0001 \xc3\xa9\",\"list\":[-1,"
                                "18446744073709551615,false,null,{}],\"raw\":1.50}");
}

static void test_write__members_of_every_kind(void **state)
{
    struct json_out o = JSON_OUT(&out);
    json_begin_object(&o);
    json_member_span(&o, "span", span_of("ab\0c", 4));
    json_member_int(&o, "int", INT64_MIN);
    json_member_uint(&o, "uint", 0);
    json_member_bool(&o, "yes", true);
    json_member_span(&o, "k\"ey", span_of(NULL, 0));
    json_end_object(&o);
    assert_ok(buf_ok(&out));
    assert_span(buf_span(&out), "{\"span\":\"ab\\u0000c\",\"int\":-9223372036854775808,\"uint\":0,"
                                "\"yes\":true,\"k\\\"ey\":\"\"}");
}

/* Runs of plain bytes are looked at eight at a time: each byte at each place in three eights. */
static void test_write__escapes_wherever_they_stand(void **state)
{
    char text[24], wanted[64], escaped[8];
    for (int c = 0; c < 0x80; c++)
        for (size_t at = 0; at < sizeof text; at++) {
            memset(text, 'a', sizeof text);
            text[at] = (char) c;
            const char *shorts = c ? strchr("\bb\tt\nn\ff\rr\"\"\\\\", c) : NULL;
            if (shorts && !(c >= 'a' && c <= 'z')) snprintf(escaped, sizeof escaped, "\\%c", shorts[1]);
            else snprintf(escaped, sizeof escaped, c < 0x20 ? "\\u%04x" : "%c", c);
            snprintf(wanted, sizeof wanted, "\"%.*s%s%.*s\"", (int) at, "aaaaaaaaaaaaaaaaaaaaaaaa", escaped,
                     (int) (sizeof text - 1 - at), "aaaaaaaaaaaaaaaaaaaaaaaa");
            buf_reset(&out);
            struct json_out o = JSON_OUT(&out);
            json_put_span(&o, span_of(text, sizeof text));
            assert_span(buf_span(&out), wanted);
        }
}

static void test_write__every_number(void **state)
{
    static const struct { int64_t value; const char *text; } rows[] = {
        {0, "0"}, {9, "9"}, {10, "10"}, {-9, "-9"}, {-10, "-10"}, {INT64_MAX, "9223372036854775807"},
        {INT64_MIN, "-9223372036854775808"}, {1795521600, "1795521600"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_reset(&out);
        struct json_out o = JSON_OUT(&out);
        json_put_int(&o, rows[i].value);
        assert_span(buf_span(&out), rows[i].text);
    }
}

static void test_write__commas_after_containers(void **state)
{
    struct json_out o = JSON_OUT(&out);
    json_begin_array(&o);
    json_begin_array(&o);
    json_end_array(&o);
    json_begin_object(&o);
    json_key(&o, "a");
    json_begin_array(&o);
    json_end_array(&o);
    json_member_bool(&o, "b", false);
    json_end_object(&o);
    json_put_str(&o, "x");
    json_end_array(&o);
    assert_span(buf_span(&out), "[[],{\"a\":[],\"b\":false},\"x\"]");
}

/* What is written is strict JSON, and reads as what was given: each byte in turn. */
static void test_write__every_character_comes_back(void **state)
{
    for (int c = 1; c < 0x80; c++) {
        char text[] = {'<', (char) c, '>', '\0'};
        struct json_doc *doc = NULL;
        struct json_out o = JSON_OUT(&out);
        buf_reset(&out);
        json_put_str(&o, text);
        assert_ok(json_parse(buf_span(&out), &doc));
        assert_string_equal(json_string(json_root(doc)), text);
        json_free(doc);
    }
}

/* A text that was cut in the middle of a character, or comes from a token, may be no UTF-8. */
static void test_write__bytes_that_are_no_text(void **state)
{
    static const struct { const char *text, *wanted; } rows[] = {
        {"cut \xc3", "\"cut \uFFFD\""},
        {"\xc3\xa9\xe2\x82", "\"\xc3\xa9\uFFFD\uFFFD\""},
        {"\xf0\x9f\x98\x80\xff\"", "\"\U0001F600\uFFFD\\\"\""},
        {"\x80" "a\xed\xa0\x80", "\"\uFFFDa\uFFFD\uFFFD\uFFFD\""},
        {"\xc0\x80", "\"\uFFFD\uFFFD\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct json_doc *doc = NULL;
        struct json_out o = JSON_OUT(&out);
        buf_reset(&out);
        json_put_str(&o, rows[i].text);
        assert_span(buf_span(&out), rows[i].wanted);
        assert_ok(json_parse(buf_span(&out), &doc));
        json_free(doc);
    }
}

static void test_write__over_the_limit_is_asked_once(void **state)
{
    struct json_out o = JSON_OUT(&out);
    out.max = 10;
    json_begin_array(&o);
    json_put_str(&o, "far too long a text");
    json_end_array(&o);
    assert_fails(buf_ok(&out), ERR_TOOLARGE);
}

/* ---- RFC 8785 ------------------------------------------------------------------------------- */

static void canonical(const char *text)
{
    struct json_doc *doc = NULL;
    struct json_out o = JSON_OUT(&out);
    buf_free(&out);
    assert_ok(json_parse(span_str(text), &doc));
    json_put_canonical(&o, json_root(doc));
    json_free(doc);
}

static void test_canonical__rfc8785_order(void **state)
{
    /* the order of RFC 8785 3.2.3: UTF-16 units, so U+1F600 sorts before U+FB33 */
    canonical("{ \"\xef\xac\xb3\":1, \"\xf0\x9f\x98\x80\":2, \"b\" : [ {\"z\":1,\"a\":\"\\u000a\"} ],"
              " \"\\r\":3, \"1\":4, \"\xc3\xb6\":5, \"\xe2\x82\xac\":6 }");
    assert_span(buf_span(&out), "{\"\\r\":3,\"1\":4,\"b\":[{\"a\":\"\\n\",\"z\":1}],\"\xc3\xb6\":5,"
                                "\"\xe2\x82\xac\":6,\"\xf0\x9f\x98\x80\":2,\"\xef\xac\xb3\":1}");
}

static void test_canonical__values(void **state)
{
    static const struct { const char *text, *wanted; } rows[] = {
        {" [ ] ", "[]"}, {" { } ", "{}"}, {" null ", "null"}, {"true", "true"}, {" -5 ", "-5"},
        {"-0", "0"}, {"\"\\u0041\\/\\u20ac\"", "\"A/\xe2\x82\xac\""}, {"\"\\u001F\"", "\"\\u001f\""},
        {"{\"ab\":1,\"a\":2,\"\":3}", "{\"\":3,\"a\":2,\"ab\":1}"},
        {"{\"\xee\x80\x80\":1,\"\xf4\x8f\xbf\xbf\":2,\"\xed\x9f\xbf\":3}", /* U+E000 U+10FFFF U+D7FF */
         "{\"\xed\x9f\xbf\":3,\"\xf4\x8f\xbf\xbf\":2,\"\xee\x80\x80\":1}"},
        {"{\"o\":{\"b\":[3,2,1],\"a\":{\"d\":1,\"c\":2}}}",
         "{\"o\":{\"a\":{\"c\":2,\"d\":1},\"b\":[3,2,1]}}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        canonical(rows[i].text);
        assert_span(buf_span(&out), rows[i].wanted);
    }
}

static void test_canonical__other_numbers_fail_rather_than_be_wrong(void **state)
{
    static const char *const texts[] = {"[1.5]", "[1e3]", "{\"a\":9223372036854775808}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        canonical(texts[i]);
        assert_fails(buf_ok(&out), ERR_TOOLARGE);
    }
}

static void test_canonical__again_is_the_same(void **state)
{
    struct buf first = BUF_INIT;
    canonical("{\"z\":[{\"y\":\"\\u00e9\",\"x\":-1}],\"a\":null}");
    buf_add_span(&first, buf_span(&out));
    canonical(buf_str(&first));
    assert_span(buf_span(&out), buf_str(&first));
    buf_free(&first);
}

#define WRITES(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WRITES(test_write__compact_and_minimal),
        WRITES(test_write__members_of_every_kind),
        WRITES(test_write__escapes_wherever_they_stand),
        WRITES(test_write__every_number),
        WRITES(test_write__commas_after_containers),
        WRITES(test_write__every_character_comes_back),
        WRITES(test_write__bytes_that_are_no_text),
        WRITES(test_write__over_the_limit_is_asked_once),
        WRITES(test_canonical__rfc8785_order),
        WRITES(test_canonical__values),
        WRITES(test_canonical__other_numbers_fail_rather_than_be_wrong),
        WRITES(test_canonical__again_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

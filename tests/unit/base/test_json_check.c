#include "broker/base/json.h"
#include "broker/base/json_check.h"
#include "broker/base/limits.h"
#include "tests/lib/test.h"

#include <stdio.h>

/* Its result, and the spans thrown away. */
static struct err check(struct span text)
{
    struct json_spans spans = {0};
    struct err e = json_check(text, &spans);
    free(spans.at);
    return e;
}

static void test_json_check__accepts(void **state)
{
    static const char *const good[] = {
        "{}", "[]", "0", "-0", "10", "-1.5e+10", "1E0", "0.0", "\"\"", "true", "false", "null",
        " \t\r\n1 \t\r\n", "[[],{}]", "{\"\":1}", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u0041\"",
        "\"\\ud83d\\ude00\"", "\"\\uD83D\\uDE00\"", "\"\x7f\"", "\"\xf0\x9f\x98\x80\"", "1e999",
        "{\"a\":[1,{\"b\":null}],\"c\":\"d\"}",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!err_ok(check(span_str(good[i])))) fail_msg("refused: %s", good[i]);
}

static void test_json_check__refuses_what_is_not_strict(void **state)
{
    static const char *const bad[] = {
        "", " ", "{", "}", "[", "]", "[1,]", "{\"a\":1,}", "{a:1}", "{'a':1}", "[1 2]", "01", "-",
        "-01", "1.", ".5", "1e", "1e+", "+1", "0x1", "nul", "truee", "True", "NaN", "Infinity",
        "\"", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\u0000\"", "\"\\ud800\"",
        "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\ud800\\ud800\"", "\"\\ud800x\"", "\"\\ud800\\",
        "\"a\tb\"", "\"\x1f\"", "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "{} x", "[1]]",
        "\xef\xbb\xbf{}", "1 2", "[,1]", "{,}", "{\"a\"}", "{\"a\":}", "{1:2}", "[1}", "{\"a\":1]",
        "/* c */ 1", "1 // c", "\f1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = check(span_str(bad[i]));
        if (e.code != ERR_USAGE) fail_msg("accepted or misjudged: %s (%s)", bad[i], err_text(e));
    }
}

static void test_json_check__a_nul_inside_is_refused(void **state)
{
    assert_fails(check(span_of("\"a\0b\"", 5)), ERR_USAGE);
    assert_fails(check(span_of("{}\0", 3)), ERR_USAGE);
    assert_fails(check(span_of("[1\0]", 4)), ERR_USAGE);
    assert_fails(check(span_of("\"\\\0\"", 4)), ERR_USAGE);
}

/* The text lies at the end of a block, without a NUL: ASan sees a byte too many. */
static void test_json_check__never_reads_past_the_end(void **state)
{
    static const char text[] = "{\"a\\u0041\\ud83d\\ude00\":[true,false,null,-1.5e+3,\"x\"]}";
    for (size_t len = 0; len < sizeof text; len++) {
        uint8_t *exact = malloc(len ? len : 1);
        memcpy(exact, text, len);
        struct err e = check(span_of(exact, len));
        free(exact);
        if (len == sizeof text - 1) assert_true(err_ok(e));
        else assert_int_equal(e.code, ERR_USAGE);
    }
}

static void test_json_check__says_where_and_what(void **state)
{
    assert_fails_with(check(SPAN_LIT("[1,]")), ERR_USAGE, "at byte 3: expected a digit");
    assert_fails_with(check(SPAN_LIT("{\"a\" 1}")), ERR_USAGE, "at byte 5: expected ':'");
    assert_fails_with(check(SPAN_LIT("{} x")), ERR_USAGE, "at byte 3: text after the value");
    assert_fails_with(check(SPAN_LIT("\"\\udc00\"")), ERR_USAGE, "lone surrogate");
    assert_fails_with(check(SPAN_LIT("\"\xff\"")), ERR_USAGE, "not UTF-8");
}

static void test_json_check__spans_in_document_order(void **state)
{
    static const char *const wanted[] = {"{\"a\": [1, {}] ,\"b\":\"\\u0041\"}", "[1, {}]", "1", "{}",
                                         "\"\\u0041\""};
    struct json_spans spans = {0};
    char text[64];
    snprintf(text, sizeof text, " %s ", wanted[0]);
    assert_ok(json_check(span_str(text), &spans));
    assert_int_equal(spans.count, 5);
    for (size_t i = 0; i < 5; i++) assert_span(spans.at[i], wanted[i]);
    free(spans.at);
}

/* ---- limits --------------------------------------------------------------------------------- */

/* n opening brackets, then n closing ones */
static void nest(struct buf *b, unsigned n)
{
    buf_reset(b);
    for (unsigned i = 0; i < n; i++) buf_add_byte(b, '[');
    for (unsigned i = 0; i < n; i++) buf_add_byte(b, ']');
}

static void test_limits__depth_at_and_beyond(void **state)
{
    struct buf b = BUF_INIT;
    nest(&b, JSON_MAX_DEPTH);
    assert_ok(check(buf_span(&b)));
    nest(&b, JSON_MAX_DEPTH + 1);
    assert_fails(check(buf_span(&b)), ERR_TOOLARGE);
    buf_free(&b);
}

static void test_limits__values_at_and_beyond(void **state)
{
    struct buf b = BUF_INIT;
    buf_add_byte(&b, '[');
    for (unsigned i = 0; i < JSON_MAX_VALUES - 1; i++) buf_add_str(&b, i ? ",0" : "0");
    buf_add_byte(&b, ']');
    assert_ok(check(buf_span(&b)));
    b.len--;
    buf_add_str(&b, ",0]");
    assert_fails(check(buf_span(&b)), ERR_TOOLARGE);
    buf_free(&b);
}

static void test_limits__text_at_and_beyond(void **state)
{
    struct buf b = BUF_INIT;
    uint8_t *at = buf_extend(&b, JSON_MAX_TEXT);
    memset(at, ' ', JSON_MAX_TEXT);
    at[0] = '1';
    assert_ok(check(buf_span(&b)));
    buf_add_byte(&b, ' ');
    assert_fails(check(buf_span(&b)), ERR_TOOLARGE);
    buf_free(&b);
}

/* ---- UTF-8 (RFC 3629) ----------------------------------------------------------------------- */

static void test_utf8_valid__table(void **state)
{
    static const struct { const char *text; bool valid; } rows[] = {
        {"", true}, {"ascii", true}, {"\x7f", true},
        {"\xc2\x80", true}, {"\xdf\xbf", true},                 /* U+0080, U+07FF */
        {"\xe0\xa0\x80", true}, {"\xef\xbf\xbf", true},         /* U+0800, U+FFFF */
        {"\xed\x9f\xbf", true}, {"\xee\x80\x80", true},         /* around the surrogates */
        {"\xf0\x90\x80\x80", true}, {"\xf4\x8f\xbf\xbf", true}, /* U+10000, U+10FFFF */
        {"\x80", false}, {"\xbf", false}, {"a\x80", false},     /* continuation alone */
        {"\xc0\x80", false}, {"\xc1\xbf", false},               /* overlong */
        {"\xe0\x9f\xbf", false}, {"\xf0\x8f\xbf\xbf", false},
        {"\xed\xa0\x80", false}, {"\xed\xbf\xbf", false},       /* surrogates */
        {"\xf4\x90\x80\x80", false}, {"\xf5\x80\x80\x80", false}, {"\xff", false}, {"\xfe", false},
        {"\xc2", false}, {"\xe2\x82", false}, {"\xf0\x9f\x98", false}, /* cut */
        {"\xc2g", false}, {"\xe2\x82g", false}, {"\xf0\x9f\x98g", false}, {"\xe2g\x82", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (utf8_valid(span_str(rows[i].text)) != rows[i].valid) fail_msg("row %zu", i);
    /* and the same behind and before so much ASCII, since that is passed over by eights */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int before = 0; before < 18; before++) {
            char text[64];
            for (int after = 0; after < 10; after++) {
                snprintf(text, sizeof text, "%.*s%s%.*s", before, "abcdefghijklmnopqrst",
                         rows[i].text, after, "abcdefghijkl");
                if (utf8_valid(span_str(text)) != rows[i].valid)
                    fail_msg("row %zu behind %d, before %d", i, before, after);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_check__accepts),
        cmocka_unit_test(test_json_check__refuses_what_is_not_strict),
        cmocka_unit_test(test_json_check__a_nul_inside_is_refused),
        cmocka_unit_test(test_json_check__never_reads_past_the_end),
        cmocka_unit_test(test_json_check__says_where_and_what),
        cmocka_unit_test(test_json_check__spans_in_document_order),
        cmocka_unit_test(test_limits__depth_at_and_beyond),
        cmocka_unit_test(test_limits__values_at_and_beyond),
        cmocka_unit_test(test_limits__text_at_and_beyond),
        cmocka_unit_test(test_utf8_valid__table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

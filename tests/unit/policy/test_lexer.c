#include "policy/lexer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LEN(a) (sizeof(a) / sizeof(a)[0])

static void expect_token(struct rego_lexer *l, enum rego_kind kind, const char *text, unsigned line,
                         unsigned column)
{
    struct rego_token t = rego_lexer_next(l);
    assert_int_equal(t.kind, kind);
    assert_int_equal(t.len, strlen(text));
    assert_memory_equal(t.text, text, t.len);
    assert_int_equal(t.line, line);
    assert_int_equal(t.column, column);
}

static void test_next__positions_count_characters(void **state)
{
    const char *text = "# \xc3\xa9t\xc3\xa9\r\nallow\t:= \"\xc3\xa9\"; # rest\n  {x.y}";
    struct rego_lexer l;
    rego_lexer_init(&l, text, strlen(text));
    expect_token(&l, REGO_NAME, "allow", 2, 1);
    expect_token(&l, REGO_SIGN, ":=", 2, 7);
    expect_token(&l, REGO_STRING, "\"\xc3\xa9\"", 2, 10);
    expect_token(&l, REGO_SIGN, ";", 2, 13);
    expect_token(&l, REGO_SIGN, "{", 3, 3);
    expect_token(&l, REGO_NAME, "x", 3, 4);
    expect_token(&l, REGO_SIGN, ".", 3, 5);
    expect_token(&l, REGO_NAME, "y", 3, 6);
    expect_token(&l, REGO_SIGN, "}", 3, 7);
    expect_token(&l, REGO_END, "", 3, 8);
    expect_token(&l, REGO_END, "", 3, 8);
}

static void test_next__one_token(void **state)
{
    static const struct { const char *text; enum rego_kind kind; } rows[] = {
        {"_", REGO_NAME},      {"a1_B", REGO_NAME},     {"0", REGO_NUMBER},
        {"10", REGO_NUMBER},   {"1.5e-10", REGO_NUMBER}, {"2E+3", REGO_NUMBER},
        {"\"\"", REGO_STRING}, {"\"\\u00e9\\n\\\"\"", REGO_STRING},
        {"`a\nb\\`", REGO_STRING},
        {":=", REGO_SIGN},     {"==", REGO_SIGN},       {"!=", REGO_SIGN},
        {"<=", REGO_SIGN},     {">=", REGO_SIGN},       {"=", REGO_SIGN},
        {"|", REGO_SIGN},      {"&", REGO_SIGN},        {";", REGO_SIGN},
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct rego_lexer l;
        rego_lexer_init(&l, rows[i].text, strlen(rows[i].text));
        struct rego_token t = rego_lexer_next(&l);
        if (t.kind != rows[i].kind || t.len != strlen(rows[i].text))
            fail_msg("`%s` gave kind %d, %zu bytes", rows[i].text, t.kind, t.len);
        assert_int_equal(rego_lexer_next(&l).kind, REGO_END);
    }
}

static void test_next__bad_stays_bad(void **state)
{
    static const char *const rows[] = {
        "01", "1.", "1e", "1e+", "12ab", "1.5x", "\"", "\"a", "\"a\n\"", "\"\\x\"", "\"\\u12g4\"",
        "\"\\", "\"\\u12", "`", "`a", "$", "@x", "'a'", "\xc3\xa9", "!", "~", "\x01",
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct rego_lexer l;
        rego_lexer_init(&l, rows[i], strlen(rows[i]));
        struct rego_token t = rego_lexer_next(&l);
        if (t.kind != REGO_BAD) fail_msg("`%s` gave kind %d", rows[i], t.kind);
        assert_non_null(t.problem);
        assert_int_equal(t.column, 1);
        assert_int_equal(rego_lexer_next(&l).kind, REGO_BAD);
    }
}

static void test_next__nul_is_no_end(void **state)
{
    struct rego_lexer l;
    rego_lexer_init(&l, "a\0b", 3);
    expect_token(&l, REGO_NAME, "a", 1, 1);
    assert_int_equal(rego_lexer_next(&l).kind, REGO_BAD);
    rego_lexer_init(&l, "\"a\0b\"", 5);
    assert_int_equal(rego_lexer_next(&l).kind, REGO_BAD);
}

static void test_next__stops_at_the_given_length(void **state)
{
    struct rego_lexer l;
    rego_lexer_init(&l, "allowed", 5);
    expect_token(&l, REGO_NAME, "allow", 1, 1);
    expect_token(&l, REGO_END, "", 1, 6);
    rego_lexer_init(&l, ":=", 1);
    expect_token(&l, REGO_SIGN, ":", 1, 1);
    rego_lexer_init(&l, "\"a\"", 2);
    assert_int_equal(rego_lexer_next(&l).kind, REGO_BAD);
}

static void test_token_same__spelling_and_kind(void **state)
{
    const char *text = "a \"a\" a \"\\u0061\"";
    struct rego_lexer l;
    rego_lexer_init(&l, text, strlen(text));
    struct rego_token t[4];
    for (size_t i = 0; i < LEN(t); i++) t[i] = rego_lexer_next(&l);
    assert_true(rego_token_same(&t[0], &t[2]));
    assert_false(rego_token_same(&t[0], &t[1]));
    assert_false(rego_token_same(&t[1], &t[3]));
    assert_true(rego_token_is(&t[0], "a"));
    assert_false(rego_token_is(&t[0], "ab"));
    struct rego_token end = rego_lexer_next(&l);
    assert_false(rego_token_is(&end, ""));
}

static void test_utf8_valid__edges(void **state)
{
    static const struct { const char *text; bool ok; size_t valid; } rows[] = {
        {"", true, 0}, {"a\x7f", true, 0}, {"\xc2\x80", true, 0}, {"\xdf\xbf", true, 0},
        {"\xe0\xa0\x80", true, 0}, {"\xed\x9f\xbf", true, 0}, {"\xee\x80\x80", true, 0},
        {"\xf0\x90\x80\x80", true, 0}, {"\xf4\x8f\xbf\xbf", true, 0},
        {"a\x80", false, 1}, {"\xc0\x80", false, 0}, {"\xc1\xbf", false, 0},
        {"ab\xc2", false, 2}, {"\xe0\x9f\xbf", false, 0}, {"\xed\xa0\x80", false, 0},
        {"\xe2\x82", false, 0}, {"\xe2\x82x", false, 0}, {"\xf0\x8f\xbf\xbf", false, 0},
        {"\xf4\x90\x80\x80", false, 0}, {"\xf5\x80\x80\x80", false, 0}, {"\xff", false, 0},
        {"\xf1\x80\x80x", false, 0},
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        size_t valid = 0;
        bool ok = rego_utf8_valid(rows[i].text, strlen(rows[i].text), &valid);
        if (ok != rows[i].ok || valid != rows[i].valid) fail_msg("row %zu: %d, %zu", i, ok, valid);
    }
}

/* A keyword is one unless it stands before a dot. */
static void test_next__symbols(void **state)
{
    static const struct { const char *text; enum rego_symbol symbol; const char *name; } rows[] = {
        {"if", REGO_IF, "if"}, {"if.x", REGO_SYMBOL_NONE, "identifier"}, {"iff", REGO_SYMBOL_NONE, "identifier"},
        {"contains", REGO_CONTAINS, "contains"}, {"true", REGO_TRUE, "true"},
        {":=", REGO_ASSIGN, "assign"}, {"= =", REGO_UNIFY, "eq"}, {"==", REGO_EQUAL, "equal"},
        {"<=", REGO_LTE, "lte"}, {"<", REGO_LT, "lt"}, {"{", REGO_LBRACE, "{"}, {"1", REGO_SYMBOL_NONE, "number"},
        {"\"\"", REGO_SYMBOL_NONE, "string"}, {"", REGO_SYMBOL_NONE, "eof"}, {"!", REGO_SYMBOL_NONE, "illegal"},
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct rego_lexer l;
        rego_lexer_init(&l, rows[i].text, strlen(rows[i].text));
        struct rego_token t = rego_lexer_next(&l);
        assert_int_equal(t.symbol, rows[i].symbol);
        assert_string_equal(rego_token_name(&t), rows[i].name);
    }
    assert_true(rego_symbol_is_keyword(REGO_PACKAGE));
    assert_true(rego_symbol_is_keyword(REGO_FALSE));
    assert_false(rego_symbol_is_keyword(REGO_ASSIGN));
    assert_false(rego_symbol_is_keyword(REGO_SYMBOL_NONE));
    assert_int_equal(rego_keyword("every", 5), REGO_EVERY);
    assert_int_equal(rego_keyword("ever", 4), REGO_SYMBOL_NONE);
}

static void test_next__white_space_before(void **state)
{
    static const struct { const char *text; bool spaced, newline; } rows[] = {
        {"a[", false, false}, {"a [", true, false}, {"a\n[", true, true}, {"a#\n[", true, true},
        {"a\t[", true, false},
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct rego_lexer l;
        rego_lexer_init(&l, rows[i].text, strlen(rows[i].text));
        assert_true(rego_lexer_next(&l).newline); /* the first token begins a line */
        struct rego_token t = rego_lexer_next(&l);
        assert_true(t.spaced == rows[i].spaced && t.newline == rows[i].newline);
    }
}

static void count_comment(void *context, const struct rego_token *t)
{
    assert_int_equal(t->text[0], '#');
    *(size_t *) context += t->len;
}

static void test_next__tells_of_comments(void **state)
{
    const char *text = "# ab\nx #\n#c";
    size_t bytes = 0;
    struct rego_lexer l;
    rego_lexer_init(&l, text, strlen(text));
    l.comment = count_comment;
    l.context = &bytes;
    while (rego_lexer_next(&l).kind != REGO_END) continue;
    assert_int_equal(bytes, 4 + 1 + 2);
}

static void test_template__literal_parts(void **state)
{
    static const struct { const char *text; char quote; size_t len; bool more, bad; } rows[] = {
        {"abc\"x", '"', 3, false, false}, {"abc{x", '"', 3, true, false}, {"\"", '"', 0, false, false},
        {"a\\{b\"", '"', 4, false, false}, {"a\\\\{b", '"', 3, true, false}, {"}\"", '"', 1, false, false},
        {"a\n\"`", '`', 3, false, false}, {"\\{\\n{", '`', 4, true, false},
        {"abc", '"', 0, false, true}, {"a\nb\"", '"', 0, false, true}, {"\\x\"", '"', 0, false, true},
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct rego_lexer l;
        bool more;
        rego_lexer_init(&l, rows[i].text, strlen(rows[i].text));
        struct rego_token t = rego_lexer_template(&l, rows[i].quote, &more);
        assert_int_equal(t.kind, rows[i].bad ? REGO_BAD : REGO_STRING);
        assert_true((t.problem != NULL) == rows[i].bad && more == rows[i].more);
        if (rows[i].bad) continue;
        assert_int_equal(t.len, rows[i].len);
        assert_ptr_equal(l.at, rows[i].text + rows[i].len + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next__symbols),
        cmocka_unit_test(test_next__white_space_before),
        cmocka_unit_test(test_next__tells_of_comments),
        cmocka_unit_test(test_template__literal_parts),
        cmocka_unit_test(test_next__positions_count_characters),
        cmocka_unit_test(test_next__one_token),
        cmocka_unit_test(test_next__bad_stays_bad),
        cmocka_unit_test(test_next__nul_is_no_end),
        cmocka_unit_test(test_next__stops_at_the_given_length),
        cmocka_unit_test(test_token_same__spelling_and_kind),
        cmocka_unit_test(test_utf8_valid__edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/unit/policy/tree.h"

static void test_parse_string__escapes(void **state)
{
    static const struct tree_row rows[] = {
        {"\"a\\\"b\\\\c\\/d\"", "'a\"b\\c/d'"},
        {"\"\\b\\f\\n\\r\\t\"", "'\b\f\n\r\t'"},
        {"\"\\u0041\\u00e9\\u20ac\"", "'A\xc3\xa9\xe2\x82\xac'"},
        {"\"\\ud83d\\ude00\"", "'\xf0\x9f\x98\x80'"},
        {"\"\\ud83d\"", "'\xef\xbf\xbd'"},
        {"\"\\ude00x\"", "'\xef\xbf\xbdx'"},
        {"\"\\ud83d\\u0041\"", "'\xef\xbf\xbd" "A'"},
        {"`a\\n\"b`", "'a\\n\"b'"},
        {"`a\nb`", "'a\nb'"},
        {"\"a\nb\"", "! <query>:1:1: rego_parse_error: illegal token: a string does not end on its "
                     "line, or holds a control character"},
        {"\"\\x\"", "! <query>:1:1: rego_parse_error: illegal token: a string has an unknown escape"},
        {"`a", "! <query>:1:1: rego_parse_error: illegal token: a raw string does not end"},
    };
    check_rows(rows, LEN(rows), tree_of_term);
}

static void test_parse_string__nul(void **state)
{
    struct arena *a = arena_new(1 << 16);
    struct rego_errors errors = {0};
    const struct rego_term *t = tree_parse_term(a, "\"a\\u0000b\"", 10, &errors);

    assert_non_null(t);
    assert_int_equal(t->text.len, 3);
    assert_memory_equal(t->text.at, "a\0b", 3);
    arena_free(a);
}

static void test_parse_template__parts(void **state)
{
    static const struct tree_row rows[] = {
        {"$\"\"", "(template)"}, {"$\"a b\"", "(template 'a b')"},
        {"$\"{x}\"", "(template (test x))"},
        {"$\"a{x}b{1 + 2}\"", "(template 'a' (test x) 'b' (test (plus 1 2)))"},
        {"$\"\\{x} \\\" \\u0041\"", "(template '{x} \" A')"},
        {"$`\\{x} \\n {x}`", "(template '{x} \\n ' (test x))"},
        {"$\"{{1}} {{\"a\": \"}\"}}\"", "(template (test (set 1)) ' ' (test (object 'a' '}')))"},
        {"$\"{$\"<{x}>\"}\"", "(template (test (template '<' (test x) '>')))"},
        {"$\"{ f(x) with input as 1 }\"", "(template (test (f x) with input 1))"},
        {"$`\n{x}\n`", "(template '\n' (test x) '\n')"},
        {"[$\"{x}\", 1]", "(array (template (test x)) 1)"},
        {"$\"{x\"", "! <query>:1:5: rego_parse_error: illegal token: a string does not end"},
        {"$\"x", "! <query>:1:3: rego_parse_error: illegal token: a template string does not end"},
        {"$\"{}\"", "! <query>:1:4: rego_parse_error: invalid template-string expression: it is empty"},
        {"$\"{not x}\"",
         "! <query>:1:4: rego_parse_error: invalid template-string expression: a value is expected"},
        {"$\"{x := 1}\"",
         "! <query>:1:4: rego_parse_error: invalid template-string expression: a value is expected"},
        {"$\"{x y}\"",
         "! <query>:1:6: rego_parse_error: unexpected identifier token: expected } in template string"},
    };
    check_rows(rows, LEN(rows), tree_of_term);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_string__escapes),
        cmocka_unit_test(test_parse_string__nul),
        cmocka_unit_test(test_parse_template__parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/unit/policy/tree.h"

static void test_parse_array__forms(void **state)
{
    static const struct tree_row rows[] = {
        {"[]", "(array)"}, {"[1]", "(array 1)"}, {"[1, [2],]", "(array 1 (array 2))"},
        {"[a + 1, b]", "(array (plus a 1) b)"},
        {"[x in xs, y]", "(array (internal.member_2 x xs) y)"},
        {"[(k, v in xs)]", "(array (internal.member_3 k v xs))"},
        {"[x | x := 1]", "(arraycomprehension x {(assign x 1)})"},
        {"[a | b]", "(arraycomprehension a {(test b)})"},
        {"[a | b, c]", "(array (or a b) c)"},
        {"[(a | b)]", "(array (or a b))"},
        {"[(x + 1) | x := xs[_]]", "(arraycomprehension (plus x 1) {(assign x (ref xs _))})"},
        {"[a + b | c]", "(array (or (plus a b) c))"},
        {"[1 2]", "! <query>:1:4: rego_parse_error: unexpected number token: expected \",\" or \"]\""},
        {"[,]", "! <query>:1:2: rego_parse_error: unexpected , token"},
        {"[x | ]", "! <query>:1:6: rego_parse_error: unexpected ] token"},
    };
    check_rows(rows, LEN(rows), tree_of_term);
}

static void test_parse_braces__forms(void **state)
{
    static const struct tree_row rows[] = {
        {"{}", "(object)"}, {"set()", "(set)"}, {"{1}", "(set 1)"}, {"{1, 1, }", "(set 1 1)"},
        {"{\"a\": 1, b: [2],}", "(object 'a' 1 b (array 2))"},
        {"{a.b: 1}", "(object (ref a 'b') 1)"},
        {"{1 + 1: 2}", "(object (plus 1 1) 2)"},
        {"{x | x := 1; y}", "(setcomprehension x {(assign x 1)(test y)})"},
        {"{x | some x in xs\n y}", "(setcomprehension x {(some-in x xs)(test y)})"},
        {"{k: v | v := o[k]}", "(objectcomprehension k v {(assign v (ref o k))})"},
        {"{a | b, c}", "(set (or a b) c)"},
        {"{k: a | b, c: d}", "(object k (or a b) c d)"},
        {"{{x | x}}", "(set (setcomprehension x {(test x)}))"},
        {"{[1], {2}}", "(set (array 1) (set 2))"},
        {"{1: 2, 3}", "! <query>:1:9: rego_parse_error: unexpected } token: expected \":\""},
        {"{1", "! <query>:1:3: rego_parse_error: unexpected eof token: expected \",\" or \"}\""},
        {"{1:}", "! <query>:1:4: rego_parse_error: unexpected } token"},
    };
    check_rows(rows, LEN(rows), tree_of_term);
}

/* The way that got further explains better: here the comprehension. */
static void test_try_comprehension__tells_of_the_furthest(void **state)
{
    static const struct tree_row rows[] = {
        {"[x | x := 1; y y]",
         "! <query>:1:16: rego_parse_error: unexpected identifier token: expected \\n or ; or ]"},
    };
    check_rows(rows, LEN(rows), tree_of_term);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_array__forms),
        cmocka_unit_test(test_parse_braces__forms),
        cmocka_unit_test(test_try_comprehension__tells_of_the_furthest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

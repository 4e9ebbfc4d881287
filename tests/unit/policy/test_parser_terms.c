#include "tests/unit/policy/tree.h"

static void test_parse_term__scalars(void **state)
{
    static const struct tree_row rows[] = {
        {"null", "null"}, {"true", "true"}, {"false", "false"}, {"x", "x"}, {"_", "_"},
        {"1", "1"}, {"-1", "-1"}, {"- 1.5e3", "-1.5e3"}, {"18446744073709551616", "18446744073709551616"},
        {"-x", "(minus x)"}, {"-f(x)", "(minus (f x))"}, {"- -1", "(minus -1)"},
        {"contains", "contains"}, {"contains(x, y)", "(contains x y)"},
        {".5", "0.5"}, {"-.5e1", "-0.5e1"}, {"[.5,-1]", "(array 0.5 -1)"},
        {".5.5", "! <query>:1:2: rego_parse_error: unexpected number token: expected number"},
        {"01", "! <query>:1:1: rego_parse_error: illegal token: a number is not written as in JSON"},
        {"", "! <query>:1:1: rego_parse_error: found empty body"},
        {"if", "! <query>:1:1: rego_parse_error: unexpected if keyword"},
        {"1 2", "! <query>:1:3: rego_parse_error: unexpected number token: expected \\n or ;"},
    };
    check_rows(rows, LEN(rows), tree_of_term);
}

static void test_parse_infix__precedence(void **state)
{
    static const struct tree_row rows[] = {
        {"1 + 2 * 3", "(plus 1 (mul 2 3))"},
        {"1 * 2 + 3", "(plus (mul 1 2) 3)"},
        {"1 - 2 - 3", "(minus (minus 1 2) 3)"},
        {"1-2", "(minus 1 2)"},
        {"1 - -2", "(minus 1 -2)"},
        {"8 / 2 % 3", "(rem (div 8 2) 3)"},
        {"(1 + 2) * 3", "(mul (plus 1 2) 3)"},
        {"a | b & c - d", "(or a (and b (minus c d)))"},
        {"a == b | c", "(equal a (or b c))"},
        {"a + 1 != b", "(neq (plus a 1) b)"},
        {"a < b", "(lt a b)"}, {"a <= b", "(lte a b)"}, {"a > b", "(gt a b)"}, {"a >= b", "(gte a b)"},
        {"x in xs", "(internal.member_2 x xs)"},
        {"x + 1 in xs | ys", "(internal.member_2 (plus x 1) (or xs ys))"},
        {"x in xs in ys", "(internal.member_2 (internal.member_2 x xs) ys)"},
        {"(k, v in xs)", "(internal.member_3 k v xs)"},
        {"k, v in xs", "(internal.member_3 k v xs)"},
        {"x == y in z", "(internal.member_2 (equal x y) z)"},
        {"1 +", "! <query>:1:4: rego_parse_error: unexpected eof token"},
        {"(1", "! <query>:1:3: rego_parse_error: non-terminated expression"},
    };
    check_rows(rows, LEN(rows), tree_of_term);
}

static void test_parse_ref__forms(void **state)
{
    static const struct tree_row rows[] = {
        {"a.b.c", "(ref a 'b' 'c')"},
        {"a[\"b-c\"][0][x]", "(ref a 'b-c' 0 x)"},
        {"a[b.c]", "(ref a (ref b 'c'))"},
        {"a[1 + 2]", "(ref a (plus 1 2))"},
        {"a.if.contains.true", "(ref a 'if' 'contains' 'true')"},
        {"if.a", "(ref if 'a')"}, {"null.a", "(ref null 'a')"}, {"not.a", "(ref not 'a')"},
        {"[1, 2][0]", "(ref (array 1 2) 0)"},
        {"{\"a\": 1}.a", "(ref (object 'a' 1) 'a')"},
        {"f(x).y[0]", "(ref (f x) 'y' 0)"},
        {"a.b.c(x, [y])", "(a.b.c x (array y))"},
        {"a[\"b\"](x)", "(a.b x)"},
        {"f()", "(f)"}, {"f(x,)", "(f x)"},
        {"a. b", "! <query>:1:4: rego_parse_error: unexpected identifier token: expected identifier"},
        {"a .b", "! <query>:1:3: rego_parse_error: unexpected . token: expected \\n or ;"},
        {"a [0]", "! <query>:1:3: rego_parse_error: unexpected [ token: expected \\n or ;"},
        {"\"s\"[0]", "! <query>:1:1: rego_parse_error: illegal ref (head cannot be string)"},
        {"a[x](1)", "! <query>:1:1: rego_parse_error: the name of a function must be made of constants"},
        {"f(1)(2)", "! <query>:1:5: rego_parse_error: unexpected ( token: expected \\n or ;"},
        {"f(1 2)", "! <query>:1:5: rego_parse_error: unexpected number token: expected \",\" or \")\""},
        {"a[0", "! <query>:1:4: rego_parse_error: unexpected eof token: expected ]"},
    };
    check_rows(rows, LEN(rows), tree_of_term);
}

static void test_parse_term__span(void **state)
{
    struct arena *a = arena_new(1 << 16);
    struct rego_errors errors = {0};
    const char *text = " \"\xc3\xa9\" == f(x).y ";
    const struct rego_term *t = tree_parse_term(a, text, strlen(text), &errors);

    assert_non_null(t);
    assert_int_equal(t->at.offset, 1);
    assert_int_equal(t->at.len, strlen(text) - 2);
    const struct rego_term *ref = t->call->args[1];
    assert_int_equal(ref->at.column, 9); /* characters: the e with its accent is one */
    assert_int_equal(ref->at.offset, 9);
    assert_int_equal(ref->at.len, strlen("f(x).y"));
    assert_true(ref->ref.path[0]->dotted);
    arena_free(a);
}

/* Operators in a row deepen the tree without nesting; whatever stands around or within them adds to that. */
static void test_parse_infix__operators_in_a_row(void **state)
{
    static const struct { const char *open, *part, *close; unsigned nests, in_row; bool good; } rows[] = {
        { "", " + 1", "", 0, REGO_PARSE_HEIGHT - 2, true }, /* the operand is a level too, and the query */
        { "", " + 1", "", 0, REGO_PARSE_HEIGHT, false },
        { "", " in x", "", 0, REGO_PARSE_HEIGHT - 2, true },
        { "", " in x", "", 0, REGO_PARSE_HEIGHT, false },
        { "[", " + 1", "]", 100, (REGO_PARSE_HEIGHT - 100) / 100 - 1, true },
        { "[", " + 1", "]", 100, (REGO_PARSE_HEIGHT - 100) / 100 + 2, false },
        { "(", " * 1 + 1", ")", 100, REGO_PARSE_HEIGHT / 200 + 2, false },
        { "f(", " == 1", ")", 150, REGO_PARSE_HEIGHT / 150 + 1, false },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        static struct rego_errors errors;
        struct arena *a = arena_new(1 << 24);
        struct text t;
        errors = (struct rego_errors) { 0 };
        text_init(&t, a);
        for (unsigned n = 0; n < rows[i].nests; n++) text_add_string(&t, rows[i].open);
        text_add_string(&t, "1");
        for (unsigned n = 0; n <= rows[i].nests; n++) {
            for (unsigned k = 0; k < rows[i].in_row; k++) text_add_string(&t, rows[i].part);
            if (n < rows[i].nests) text_add_string(&t, rows[i].close);
        }
        bool good = tree_parse_term(a, text_end(&t), t.len, &errors);
        if (good != rows[i].good) fail_msg("row %zu: %s", i, good ? "taken" : errors.items[0].text);
        if (!good) assert_non_null(strstr(errors.items[0].text, "operators in a row"));
        arena_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_term__scalars),
        cmocka_unit_test(test_parse_infix__precedence),
        cmocka_unit_test(test_parse_infix__operators_in_a_row),
        cmocka_unit_test(test_parse_ref__forms),
        cmocka_unit_test(test_parse_term__span),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

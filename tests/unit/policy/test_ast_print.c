#include "policy/ast_print.h"

#include "tests/unit/policy/tree.h"

/* What is printed for each text; NULL: the text itself. Printing it once more changes nothing. */
static const struct { const char *text, *printed; } modules[] = {
    {"package p\n", NULL},
    {"package p\n\nimport data.a\nimport input.b as c\n\nx := 1\n", NULL},
    {"package p\nimport rego.v1\nx=1 y:=2", "package p\n\nimport rego.v1\n\nx = 1\n\ny := 2\n"},
    {"package p\n\ndefault allow := false\n\nallow if input.x == 1\n", NULL},
    {"package p\n\nallow := {\"a\": [1, -2.5e3, null]} if {\n\tsome k, v in input\n\tnot v\n} else := 2\n",
     NULL},
    {"package p\n\nf(x, [_, \"a\\n\"]) := y if every z in x {\n\tz > 1\n\ty\n}",
     "package p\n\nf(x, [_, \"a\\n\"]) := y if {\n\tevery z in x {\n\t\tz > 1\n\t\ty\n\t}\n}\n"},
    {"package p\n\na.b[x].if contains [x, y] if some x, y\n", NULL},
    {"package p\n\nx if {{1}}", "package p\n\nx if {\n\t{1}\n}\n"},
    {"package p\n\nx if {1} == y", "package p\n\nx if {\n\t{1} == y\n}\n"},
    {"package p\n\nx if not {1} == y\n", NULL},
    {"package p\n\nx if {y | y}[z] := 1", "package p\n\nx if {\n\t{y | y}[z] := 1\n}\n"},
    {"package p\n\nx := [(1 + 2) * 3, {y: z | y := 1; z := y}, set(), f(1).a, -y]\n", NULL},
    {"package p\n\nx := $`a\\{{y with input.z as 1}\"\n`",
     "package p\n\nx := $\"a\\{{y with input.z as 1}\\\"\\n\"\n"},
    {"package p\n\nx := `\\a`", "package p\n\nx := \"\\\\a\"\n"},
    {"package p\n\nx := \"\\u0000\\u001f\\u007f\xc3\xa9\"",
     "package p\n\nx := \"\\u0000\\u001f\x7f\xc3\xa9\"\n"},
    {"package p\n\nx if { y; -1; -z + 1 == 2; -3 in y; (-1); not -1 }",
     "package p\n\nx if {\n\ty;\n\t-1;\n\t-z + 1 == 2;\n\t-3 in y\n\t(-1)\n\tnot -1\n}\n"},
    {"package p\n\nx := [(k, v in y), k in y | z, 1]\n", NULL},
};

static const char *print(struct arena *a, const char *text)
{
    struct rego_errors errors = {0};
    struct text to;
    const struct rego_module_ast *m = rego_parse_module(a, "m", text, strlen(text), &errors);

    if (!m) fail_msg("%s: %s", text, errors.items[0].text);
    text_init(&to, a);
    rego_print_module(&to, m);
    return text_end(&to);
}

static void test_print_module__is_stable(void **state)
{
    for (size_t i = 0; i < LEN(modules); i++) {
        struct arena *a = arena_new(1 << 20);
        const char *once = print(a, modules[i].text);
        assert_string_equal(once, modules[i].printed ? modules[i].printed : modules[i].text);
        assert_string_equal(print(a, once), once);
        arena_free(a);
    }
}

static void test_print_body__one_line(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct rego_errors errors = {0};
    struct text to;
    const char *text = "x := 1\ny; not z with input as 2";
    const struct rego_body *b = rego_parse_query(a, text, strlen(text), &errors);

    assert_non_null(b);
    text_init(&to, a);
    rego_print_body(&to, b);
    text_add_char(&to, '\n');
    rego_print_expr(&to, b->exprs[1]);
    assert_string_equal(text_end(&to), "x := 1; y; not z with input as 2\ny");
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_print_module__is_stable),
        cmocka_unit_test(test_print_body__one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

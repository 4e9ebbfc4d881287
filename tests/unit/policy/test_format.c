/* format.c and format_tokens.c. */
#include "policy/format.h"
#include "policy/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct layout { const char *text, *want; };

/* Laid out as wanted, and what is laid out stays as it is. */
static void check(const char *text, const char *want)
{
    struct arena *a = arena_new((size_t) 32 << 20);
    for (int round = 0; round < 2; round++) {
        struct rego_errors errors;
        struct text t;
        const struct rego_module m = { "test.rego", round ? want : text, strlen(round ? want : text) };
        text_init(&t, a);
        if (!rego_format(&t, &m, &errors)) fail_msg("%s: %s", m.text, errors.items[0].text);
        assert_string_equal(text_end(&t), want);
    }
    arena_free(a);
}

#define TABLE(rows) \
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows)[0]; i++) check((rows)[i].text, (rows)[i].want)

static void test_format__preamble(void **state)
{
    static const struct layout rows[] = {
        { "package   policy", "package policy\n" },
        { "package p\nimport rego.v1\nimport   data.x   as y\nq := 1\n",
          "package p\n\nimport rego.v1\nimport data.x as y\n\nq := 1\n" },
        { "# head   \n\n\n\npackage p\ndefault   allow=false", "# head\n\npackage p\n\ndefault allow = false\n" },
    };
    TABLE(rows);
}

static void test_format__bodies_have_a_line_an_expression(void **state)
{
    static const struct layout rows[] = {
        { "package p\n\nq if{input.a;input.b}", "package p\n\nq if {\n\tinput.a\n\tinput.b\n}\n" },
        { "package p\n\nq if   input.a", "package p\n\nq if input.a\n" },
        { "package p\n\nq if{ every x in input.xs{x>1;x<3} }",
          "package p\n\nq if {\n\tevery x in input.xs {\n\t\tx > 1\n\t\tx < 3\n\t}\n}\n" },
        { "package p\n\nq := 1 if{input.a}\nelse := 2 if{input.b}else := 3",
          "package p\n\nq := 1 if {\n\tinput.a\n} else := 2 if {\n\tinput.b\n} else := 3\n" },
        { "package p\nq if{input.a}{input.b}",
          "package p\n\nq if {\n\tinput.a\n} {\n\tinput.b\n}\n" },
        { "package p\n\nq if {{1}=={1}}\nr := 1", "package p\n\nq if {\n\t{1} == {1}\n}\n\nr := 1\n" },
    };
    TABLE(rows);
}

static void test_format__spaces(void **state)
{
    static const struct layout rows[] = {
        { "package p\n\nq := [ 1,-2 , 3-1,- input.x ]", "package p\n\nq := [1, -2, 3 - 1, -input.x]\n" },
        { "package p\n\nq := {\"a\":1,\"b\" :{ 1 ,2}}", "package p\n\nq := {\"a\": 1, \"b\": {1, 2}}\n" },
        { "package p\n\nq := [a|some a in input.xs ;a>1]", "package p\n\nq := [a | some a in input.xs; a > 1]\n" },
        { "package p\n\nq if not   f( 1,2 )\n\nf(x,y):=z if z:=x-y",
          "package p\n\nq if not f(1, 2)\n\nf(x, y) := z if z := x - y\n" },
        { "package p\n\nq if input.a[  \"b\" ].c   with input.a   as 3",
          "package p\n\nq if input.a[\"b\"].c with input.a as 3\n" },
        { "package p\n\nq := (1+2)*(input.a|{1})", "package p\n\nq := (1 + 2) * (input.a | {1})\n" },
        { "package p\n\nq := $\"a {input.x+1} b\"", "package p\n\nq := $\"a {input.x+1} b\"\n" },
        { "package p\n\nq := `raw\n  \t  text`", "package p\n\nq := `raw\n  \t  text`\n" },
        { "package p\n\nq[x].y contains z if some x,z in input", "package p\n\nq[x].y contains z if some x, z in input\n" },
    };
    TABLE(rows);
}

static void test_format__the_author_s_lines_stay(void **state)
{
    static const struct layout rows[] = {
        { "package p\n\nq := [\n1,\n{\"a\":[\n2]}\n]", "package p\n\nq := [\n\t1,\n\t{\"a\": [\n\t\t2]}\n]\n" },
        { "package p\n\nq := f([{\n\"a\":1\n}])", "package p\n\nq := f([{\n\t\"a\": 1\n}])\n" },
        { "package p\n\nq := 1 +\n2\n+ 3", "package p\n\nq := 1 +\n\t2\n\t+ 3\n" },
        { "package p\n\na := 1\n\n\n\nb := 2\nc := 3", "package p\n\na := 1\n\nb := 2\nc := 3\n" },
    };
    TABLE(rows);
}

static void test_format__comments_stay_where_they_are(void **state)
{
    static const struct layout rows[] = {
        { "package p # of this\n\n   # above\nq if { # open\ninput.a;   # why\n\n   # own\ninput.b # last\n  # end\n} # behind",
          "package p # of this\n\n# above\nq if { # open\n\tinput.a # why\n\n\t# own\n\tinput.b # last\n\t# end\n} # behind\n" },
        { "package p\n\nq := {\n# first\n\"a\":1, # one\n\n\"b\":2\n# last\n}",
          "package p\n\nq := {\n\t# first\n\t\"a\": 1, # one\n\n\t\"b\": 2\n\t# last\n}\n" },
        { "package p\n\nq := 1 if input.a\n\n# why\nelse := 2", "package p\n\nq := 1 if input.a\n\n# why\nelse := 2\n" },
        { "package p\n\nq := \"# no comment\" # one", "package p\n\nq := \"# no comment\" # one\n" },
    };
    TABLE(rows);
}

static void test_format__a_text_that_does_not_parse_is_refused(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct rego_errors errors;
    struct text t;
    static const char text[] = "package p\n\nallow {\n";
    const struct rego_module m = { "test.rego", text, sizeof text - 1 };
    text_init(&t, a);
    assert_false(rego_format(&t, &m, &errors));
    assert_true(errors.count > 0);
    assert_int_equal(errors.items[0].line, 3);
    arena_free(a);
}

static void test_format__says_when_memory_is_short(void **state)
{
    static const char text[] = "package p\n\nq := [1, 2, 3]\n";
    const struct rego_module m = { "test.rego", text, sizeof text - 1 };
    size_t refused = 0;
    for (size_t bytes = 64; bytes < 1 << 16; bytes *= 2) {
        struct arena *a = arena_new(bytes);
        struct rego_errors errors;
        struct text t;
        text_init(&t, a);
        bool done = rego_format(&t, &m, &errors);
        assert_int_equal(done, errors.count == 0);
        refused += !done;
        arena_free(a);
    }
    assert_true(refused > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format__preamble),
        cmocka_unit_test(test_format__bodies_have_a_line_an_expression),
        cmocka_unit_test(test_format__spaces),
        cmocka_unit_test(test_format__the_author_s_lines_stay),
        cmocka_unit_test(test_format__comments_stay_where_they_are),
        cmocka_unit_test(test_format__a_text_that_does_not_parse_is_refused),
        cmocka_unit_test(test_format__says_when_memory_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

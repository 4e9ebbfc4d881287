#include "tests/unit/policy/tree.h"

#include "policy/ast_print.h"

struct state {
    struct arena *arena;
    struct rego_errors errors;
};

static int setup(void **state)
{
    static struct state s;

    s = (struct state){.arena = arena_new(1 << 22)};
    *state = &s;
    return s.arena ? 0 : -1;
}

static int teardown(void **state)
{
    arena_free(((struct state *) *state)->arena);
    return 0;
}

static const struct rego_module_ast *parse(struct state *s, const char *text)
{
    return rego_parse_module(s->arena, "m.rego", text, strlen(text), &s->errors);
}

static void test_parse_module__package(void **state)
{
    static const struct { const char *text, *package; } rows[] = {
        {"package a", "package a\n"},
        {"# c\n\npackage a.b[\"c-d\"].if", "package a.b[\"c-d\"].if\n"},
        {"package a\n# end", "package a\n"},
        {"", "! m.rego:1:1: rego_parse_error: empty module"},
        {"# only\n", "! m.rego:2:1: rego_parse_error: empty module"},
        {"x := 1", "! m.rego:1:1: rego_parse_error: package expected"},
        {"package", "! m.rego:1:8: rego_parse_error: unexpected eof token: expected identifier"},
        {"package a[1]", "! m.rego:1:11: rego_parse_error: unexpected number in path: expected a string"},
        {"package a\npackage b",
         "! m.rego:2:1: rego_parse_error: unexpected package keyword: expected rule head name"},
    };
    struct state *s = *state;
    for (size_t i = 0; i < LEN(rows); i++) {
        struct text to;
        char message[300];
        s->errors = (struct rego_errors){0};
        text_init(&to, s->arena);
        const struct rego_module_ast *m = parse(s, rows[i].text);
        if (m)
            rego_print_module(&to, m);
        else
            text_addf(&to, "! %s", first_error(&s->errors, message, sizeof message));
        assert_string_equal(text_end(&to), rows[i].package);
    }
}

static void test_parse_module__imports(void **state)
{
    static const struct { const char *text, *error; } rows[] = {
        {"import data.a.b", ""}, {"import data.a[\"b\"] as c", ""}, {"import input", ""},
        {"import input.x as y", ""}, {"import data", ""},
        {"import rego.v1", ""}, {"import future.keywords", ""}, {"import future.keywords.in", ""},
        {"import future.keywords.every", ""}, {"import data.if.x", ""}, {"import data.if as x", ""},
        {"import a.b", "2:8: rego_parse_error: unexpected import path, must begin with one of: "
                       "{data, future, input, rego}, got: a"},
        {"import data.if", "2:8: rego_parse_error: unexpected import path, must not end with a "
                           "keyword, got: if"},
        {"import data.a as if", "2:18: rego_parse_error: unexpected import alias, must not be a "
                             "keyword, got: if"},
        {"import rego.v2", "2:1: rego_parse_error: invalid import, must be `rego.v1`"},
        {"import rego.v1 as x", "2:1: rego_parse_error: `future` and `rego` imports cannot be aliased"},
        {"import future.x", "2:1: rego_parse_error: invalid import, must be `future.keywords`"},
        {"import future.keywords.not",
         "2:24: rego_parse_error: unexpected keyword, must be one of [contains every if in]"},
        {"import data[x]", "2:13: rego_parse_error: unexpected var in path: expected a string"},
        {"import f(x)", "2:8: rego_parse_error: unexpected call: expected a path"},
        {"import", "2:7: rego_parse_error: unexpected eof token: expected identifier"},
    };
    struct state *s = *state;
    for (size_t i = 0; i < LEN(rows); i++) {
        char text[100], message[300];
        s->errors = (struct rego_errors){0};
        snprintf(text, sizeof text, "package p\n%s", rows[i].text);
        const struct rego_module_ast *m = parse(s, text);
        const char *got = first_error(&s->errors, message, sizeof message);
        assert_string_equal(got[0] ? got + strlen("m.rego:") : "", rows[i].error);
        assert_true(!m == (rows[i].error[0] != '\0'));
        if (m) assert_int_equal(m->import_count, 1);
        if (m) assert_true(m->imports[0].no_op == (rows[i].text[7] == 'r' || rows[i].text[7] == 'f'));
    }
}

static void test_parse_module__reports_several_errors(void **state)
{
    struct state *s = *state;
    const char *text = "package p\n"
                       "a := \"x\n"       /* line 2 */
                       "b := 1\n"
                       "c if {\n"
                       "\tx == := 2\n"   /* line 5 */
                       "}\n"
                       "d { x }\n"       /* line 7 */
                       "\n"
                       "e := 1\n"
                       "f := [1, 2\n"    /* seen at line 11 */
                       "g := 3\n";
    static const unsigned lines[] = {2, 5, 7, 11};

    assert_null(parse(s, text));
    assert_int_equal(s->errors.count, LEN(lines));
    for (size_t i = 0; i < LEN(lines); i++) assert_int_equal(s->errors.items[i].line, lines[i]);
    assert_string_equal(s->errors.items[1].source, " x == := 2");
    assert_string_equal(s->errors.items[1].text, "unexpected assign token");
    assert_string_equal(s->errors.items[2].hint,
                        "Rego of before version 1: write `d if {`");
}

static void test_parse_module__stops_at_the_most_errors(void **state)
{
    struct state *s = *state;
    char text[1000] = "package p\n";

    for (int i = 0; i < 3 * REGO_ERRORS_MAX; i++) strncat(text, "x := }\n", 8);
    assert_null(parse(s, text));
    assert_int_equal(s->errors.count, REGO_ERRORS_MAX);
}

static void test_parse_module__keeps_comments(void **state)
{
    struct state *s = *state;
    const struct rego_module_ast *m =
        parse(s, "# first\npackage p # second\nx if { # third\n\ty # fourth\n}\n#\n");
    static const char *const texts[] = {" first", " second", " third", " fourth", ""};

    assert_non_null(m);
    assert_int_equal(m->comment_count, LEN(texts)); /* once each, though the body is read twice */
    for (size_t i = 0; i < LEN(texts); i++) assert_true(rego_text_is(m->comments[i].text, texts[i]));
    assert_int_equal(m->comments[3].at.line, 4);
    assert_int_equal(m->comments[3].at.column, 4);
}

static void test_parse_module__spans(void **state)
{
    struct state *s = *state;
    const char *text = "package p\nf(x) := 1 if {\n\tx\n} else := 2\n";
    const struct rego_module_ast *m = parse(s, text);

    assert_non_null(m);
    const struct rego_rule *r = m->rules[0];
    assert_ptr_equal(r->module, m);
    assert_ptr_equal(r->otherwise->module, m);
    assert_int_equal(r->at.line, 2);
    assert_memory_equal(text + r->at.offset, "f(x) := 1 if {\n\tx\n}", r->at.len);
    assert_int_equal(r->at.len, strlen("f(x) := 1 if {\n\tx\n}"));
    assert_int_equal(r->head_at.len, strlen("f(x) := 1"));
    assert_int_equal(r->otherwise->at.line, 4);
    assert_int_equal(r->otherwise->at.len, strlen("else := 2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_parse_module__package, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parse_module__imports, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parse_module__reports_several_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parse_module__stops_at_the_most_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parse_module__keeps_comments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parse_module__spans, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

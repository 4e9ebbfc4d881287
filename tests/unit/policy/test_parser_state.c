/* The limits of the parser, each at and beyond. */
#include "tests/unit/policy/tree.h"

#include <stdlib.h>

static struct rego_errors errors;

/* before, then `unit` n times, `middle`, `after` n times; a term. */
static bool parses(unsigned n, const char *unit, const char *middle, const char *after)
{
    struct arena *a = arena_new(1 << 24);
    struct text to;

    errors = (struct rego_errors){0};
    text_init(&to, a);
    for (unsigned i = 0; i < n; i++) text_add_string(&to, unit);
    text_add_string(&to, middle);
    for (unsigned i = 0; i < n; i++) text_add_string(&to, after);
    const char *text = text_end(&to);
    bool ok = tree_parse_term(a, text, to.len, &errors) != NULL;
    arena_free(a);
    return ok;
}

static void test_parser_enter__depth(void **state)
{
    static const struct { const char *unit, *middle, *after; unsigned levels; } rows[] = {
        {"[", "1", "]", 1}, {"(", "1", ")", 1}, {"{", "1", "}", 1}, {"{1:", "1", "}", 1},
        {"f(", "1", ")", 1}, {"-", "x", "", 2}, {"[1|", "1", "]", 2}, {"$\"{", "1", "}\"", 2},
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        unsigned most = (REGO_PARSE_DEPTH - 2) / rows[i].levels;
        if (!parses(most, rows[i].unit, rows[i].middle, rows[i].after))
            fail_msg("%s: %s", rows[i].unit, errors.items[0].text);
        if (parses(most + 1, rows[i].unit, rows[i].middle, rows[i].after)) fail_msg("%s", rows[i].unit);
        assert_string_equal(errors.items[0].text, "nested more than 200 levels deep");
        assert_false(parses(50000, rows[i].unit, rows[i].middle, rows[i].after));
    }
}

/* Each `[a | X, 1]` is tried as a comprehension and then read again as a list. */
static void test_parser_advance__rereading(void **state)
{
    assert_true(parses(3, "[a|", "1", ",1]"));
    assert_false(parses(60, "[a|", "1", ",1]"));
    assert_string_equal(errors.items[0].text, "the text is nested in too many ways to read it");
}

static void test_parser_init__utf8(void **state)
{
    struct arena *a = arena_new(1 << 16);
    const char *text = "\"a\xc3\xa9\"\n == \"\xff\"";

    errors = (struct rego_errors){0};
    assert_null(tree_parse_term(a, text, strlen(text), &errors));
    assert_int_equal(errors.count, 1);
    assert_int_equal(errors.items[0].line, 2);
    assert_int_equal(errors.items[0].column, 6);
    assert_string_equal(errors.items[0].source, " == \"");
    arena_free(a);
}

static void test_parser_init__bytes(void **state)
{
    struct arena *a = arena_new(1 << 16);
    char *text = malloc(REGO_PARSE_BYTES + 1);

    assert_non_null(text);
    memset(text, ' ', REGO_PARSE_BYTES + 1);
    text[0] = '1';
    errors = (struct rego_errors){0};
    assert_non_null(tree_parse_term(a, text, REGO_PARSE_BYTES, &errors));
    assert_null(tree_parse_term(a, text, REGO_PARSE_BYTES + 1, &errors));
    assert_int_equal(errors.count, 1);
    free(text);
    arena_free(a);
}

/* Whatever allocation fails: an error, never a tree with holes. */
static void test_parser_alloc__every_cap(void **state)
{
    const char *text = "package p\nimport data.x as y # c\nf(x) := $\"a{x}\" if { some k, v in x\n"
                       "every z in {1: [2]} { z with input as {k | k} } } else := -x[0].b\n";
    bool done = false;

    for (size_t cap = 0; !done; cap += 48) {
        struct arena *a = arena_new(cap);
        errors = (struct rego_errors){0};
        done = rego_parse_module(a, "m", text, strlen(text), &errors) != NULL;
        assert_true(done == (errors.count == 0));
        assert_true(done || arena_failed(a));
        assert_true(cap < 1 << 20);
        arena_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parser_enter__depth),
        cmocka_unit_test(test_parser_advance__rereading),
        cmocka_unit_test(test_parser_init__utf8),
        cmocka_unit_test(test_parser_init__bytes),
        cmocka_unit_test(test_parser_alloc__every_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

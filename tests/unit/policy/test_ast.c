#include "tests/unit/policy/tree.h"

static const struct rego_span nowhere;

static void test_term_new__kinds(void **state)
{
    struct arena *a = arena_new(1 << 16);
    const struct rego_term *s = rego_term_string(a, "a\0b", 3, nowhere);
    struct rego_term *v = rego_term_new(a, REGO_TERM_VAR, nowhere);
    const struct rego_term *b = rego_term_new(a, REGO_TERM_BOOL, nowhere);

    assert_int_equal(s->text.len, 3);
    assert_memory_equal(s->text.at, "a\0b", 4); /* a terminator follows */
    v->var.name = (struct rego_text){"_", 1};
    assert_true(rego_term_is_wildcard(v));
    assert_true(rego_term_is_var(v, "_"));
    assert_false(rego_term_is_var(s, "a"));
    assert_true(rego_term_is_scalar(b) && rego_term_is_scalar(s));
    assert_false(rego_term_is_scalar(v));
    arena_free(a);
}

static void test_term_new__full_arena(void **state)
{
    struct arena *a = arena_new(0);

    assert_null(rego_term_new(a, REGO_TERM_NULL, nowhere));
    assert_null(rego_term_string(a, "a", 1, nowhere));
    arena_free(a);
}

static void test_text__compare(void **state)
{
    const struct rego_text ab = {"ab", 2}, a = {"ab", 1}, empty = {NULL, 0};

    assert_true(rego_text_is(ab, "ab"));
    assert_false(rego_text_is(a, "ab"));
    assert_true(rego_text_equal(a, (struct rego_text){"a", 1}));
    assert_false(rego_text_equal(a, ab));
    assert_true(rego_text_equal(empty, (struct rego_text){"", 0}));
}

static void test_op__every_one_has_names(void **state)
{
    assert_null(rego_op_sign(REGO_OP_NONE));
    for (enum rego_op op = REGO_OP_NONE + 1; op < REGO_OPS; op++) {
        assert_non_null(rego_op_sign(op));
        assert_non_null(rego_op_builtin(op));
    }
    assert_string_equal(rego_op_builtin(REGO_OP_KEY_IN), "internal.member_3");
    for (int kind = REGO_TERM_NULL; kind <= REGO_TERM_CALL; kind++)
        assert_non_null(rego_term_kind_name((enum rego_term_kind) kind));
}

struct seen { char text[100]; size_t most; };

static bool see(struct rego_term *part, void *context)
{
    struct seen *s = context;

    assert_int_equal(part->kind, REGO_TERM_VAR);
    strncat(s->text, part->var.name.at, 2);
    return strlen(s->text) < s->most;
}

static void test_each_part__visits_all_once(void **state)
{
    static const struct { const char *text, *parts; } rows[] = {
        {"1", ""}, {"x", ""}, {"a[b][c]", "abc"}, {"[a, b]", "ab"}, {"{a, b}", "ab"},
        {"{a: b, c: d}", "abcd"}, {"[a | b]", "a"}, {"{a | b}", "a"}, {"{a: b | c}", "ab"},
        {"f(a, b)", "ab"}, {"a + b", "ab"}, {"$\"x{a}y{b}\"", "ab"},
    };
    struct arena *arena = arena_new(1 << 20);
    for (size_t i = 0; i < LEN(rows); i++) {
        struct rego_errors errors = {0};
        struct seen seen = {.most = 100}, one = {.most = 1};
        const struct rego_term *t =
            tree_parse_term(arena, rows[i].text, strlen(rows[i].text), &errors);
        assert_non_null(t);
        assert_true(rego_term_each_part(t, see, &seen));
        assert_string_equal(seen.text, rows[i].parts);
        assert_true(rego_term_each_part(t, see, &one) == (rows[i].parts[0] == '\0'));
        assert_true(strlen(one.text) <= 1);
    }
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_term_new__kinds),
        cmocka_unit_test(test_term_new__full_arena),
        cmocka_unit_test(test_text__compare),
        cmocka_unit_test(test_op__every_one_has_names),
        cmocka_unit_test(test_each_part__visits_all_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

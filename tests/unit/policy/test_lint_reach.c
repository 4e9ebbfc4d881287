/* lint_reach.c: what a rule depends on, by whatever way. */
#include "tests/unit/policy/linter.h"

#include "policy/compile.h"

/* The rules of a module, as far as lint_reach needs them. */
static void with_rules(struct linter *l, const char *text)
{
    struct rego_errors errors = { 0 };
    const struct rego_module m = { "p.rego", text, strlen(text) };
    l->program = compile_modules(l->arena, &m, 1, NULL, &errors);
    assert_non_null(l->program);
    l->groups = arena_alloc_array(l->arena, l->program->group_count, sizeof *l->groups);
    const struct checked_group **entries = arena_alloc_array(l->arena, 1, sizeof *entries);
    assert_true(l->groups && entries);
    for (size_t i = 0; i < l->program->group_count; i++)
        if (strcmp(l->program->groups[i]->name, "data.policy.allow") == 0) entries[0] = l->program->groups[i];
    l->entries = entries;
    assert_non_null(entries[0]);
}

static void test_lint_depends__by_any_way(void **state)
{
    static const struct { const char *body; unsigned on; } CASES[] = {
        { "1 == 1", 0 },
        { "input.x", DEPENDS_INPUT },
        { "data.plugin == \"a\"", DEPENDS_PLUGIN },
        { "data.query.x", DEPENDS_REQUEST },
        { "not data.plugin", DEPENDS_PLUGIN },
        { "every x in input { x }", DEPENDS_INPUT },
        { "count([x | x := data.query[_]]) > 0", DEPENDS_REQUEST },
        { "by_rule", DEPENDS_INPUT | DEPENDS_PLUGIN },
        { "by_function(1)", DEPENDS_REQUEST },
        { "by_default == 3", DEPENDS_INPUT },
        { "by_else", DEPENDS_PLUGIN },
        { "data.policy.below.one", DEPENDS_INPUT },
        { "data.policy.below[_]", DEPENDS_INPUT | DEPENDS_REQUEST },
        { "1 == 1 with input.x as data.plugin", DEPENDS_PLUGIN },
    };
    (void) state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct linter *l = linter_new(LINTS_CLAIMS);
        struct text t;
        text_init(&t, l->arena);
        text_addf(&t, "package policy\nallow if { %s }\n", CASES[i].body);
        text_add_string(&t, "by_rule if { input.x; other }\nother if data.plugin\nby_function(x) if data.query.y == x\n"
                            "default by_default := 3\nby_default := 4 if input.x\n"
                            "by_else := 1 if false else := 2 if data.plugin\n"
                            "below.one := input.x\nbelow.two := data.query.x\n");
        with_rules(l, text_end(&t));
        lint_reach(l);
        unsigned on = lint_depends(l, l->entries[0]->rules[0]);
        if (on != CASES[i].on) print_error("%s\n", CASES[i].body);
        assert_int_equal(on, CASES[i].on);
        linter_free(l);
    }
}

static void test_lint_reach__from_entries_and_tests(void **state)
{
    static const struct { const char *name; bool reached; } EXPECTED[] = {
        { "data.policy.allow", true }, { "data.policy.used", true }, { "data.policy.used_by_used", true },
        { "data.policy.test_it", true }, { "data.policy.fixture", true }, { "data.policy.unused", false },
        { "data.policy.below.one", true }, { "data.policy.below.two", true }, { "data.policy.tested", false },
    };
    struct linter *l = linter_new(LINTS_CLAIMS);
    (void) state;
    with_rules(l, "package policy\nallow if { used(1); data.policy.below[_] }\nused(x) if x == used_by_used\n"
                  "used_by_used := 1\ntest_it if fixture\nfixture := 1\nunused := fixture\nbelow.one := 1\n"
                  "below.two := 2\ntested := 1\n");
    lint_reach(l);
    for (size_t i = 0; i < l->program->group_count; i++) {
        const struct checked_group *g = l->program->groups[i];
        size_t k = 0;
        while (k < sizeof EXPECTED / sizeof *EXPECTED && strcmp(EXPECTED[k].name, g->name) != 0) k++;
        assert_true(k < sizeof EXPECTED / sizeof *EXPECTED);
        assert_int_equal(l->groups[g->number].reached, EXPECTED[k].reached);
        assert_int_equal(lint_is_test(g), strcmp(g->name, "data.policy.test_it") == 0);
    }
    linter_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lint_depends__by_any_way),
        cmocka_unit_test(test_lint_reach__from_entries_and_tests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

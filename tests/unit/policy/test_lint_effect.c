/* lint_effect.c: what a body needs, what opens it, what is loose in it. */
#include "tests/unit/policy/linter.h"

static const struct checked_place PLACE = { 0, 3, 4, 50 };

static struct effect *reading(struct linter *l, const char *way, bool whole)
{
    struct effect *e = effect_new(l);
    effect_read(l, e, linter_way(l, way), whole);
    return e;
}

static void test_effect_read__deepest_missing_part(void **state)
{
    static const struct { const char *way; bool whole; const char *missing; } CASES[] = {
        { "iss", false, NULL },
        { "parts.cpu0.status", false, "parts.cpu0" },
        { "parts.cpu0", false, "parts.cpu0" },
        { "parts.cpu0", true, NULL },
        { "parts.cpu0.evidence.tdx", false, "parts.cpu0.evidence.tdx" },
        { "parts.cpu0.evidence.tdx", true, "parts.cpu0" },
        { "parts.cpu0.evidence.tdx.a.b", true, "parts.cpu0.evidence.tdx.a" },
        { "parts.cpu.status", false, NULL }, /* there is no such path: a lint of its own */
    };
    struct linter *l = linter_new(LINTS_CLAIMS);
    (void) state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const struct effect *e = reading(l, CASES[i].way, CASES[i].whole);
        assert_int_equal(e->open_count, CASES[i].missing ? 1 : 0);
        if (CASES[i].missing) assert_ptr_equal(e->opens[0].missing, linter_way(l, CASES[i].missing));
        assert_int_equal(e->need_count, 1);
    }
    linter_free(l);
}

static void test_effect_and_not__turns_round(void **state)
{
    struct linter *l = linter_new(LINTS_CLAIMS);
    struct effect *inner = reading(l, "parts.cpu0.status", false), *once = effect_new(l), *twice = effect_new(l);
    (void) state;
    effect_and_not(l, once, inner, PLACE);
    assert_int_equal(once->need_count, 0);
    assert_int_equal(once->open_count, 0);
    assert_int_equal(once->loose_count, 1);
    assert_int_equal(once->loose[0].lint, LINT_FAIL_OPEN);
    assert_int_equal(once->loose[0].place.line, 3);
    effect_and_not(l, twice, once, PLACE);
    assert_int_equal(twice->loose_count, 0);
    assert_int_equal(twice->open_count, 1);
    effect_and(l, twice, once);
    assert_int_equal(twice->loose_count, 1);
    effect_drop_loose(twice, once);
    assert_int_equal(twice->loose_count, 0);
    linter_free(l);
}

static bool settles(struct linter *l, const char *missing, const char *need)
{
    struct effect *e = effect_new(l);
    effect_and_not(l, e, reading(l, missing, false), PLACE);
    effect_need(l, e, linter_way(l, need));
    effect_settle(e);
    return e->loose_count == 0;
}

static void test_effect_settle__needs(void **state)
{
    struct linter *l = linter_new(LINTS_CLAIMS);
    (void) state;
    assert_true(settles(l, "parts.cpu0.status", "parts.cpu0"));
    assert_true(settles(l, "parts.cpu0.status", "parts.cpu0.level"));
    assert_true(settles(l, "parts._.status", "parts.cpu0"));
    assert_true(settles(l, "parts._.status", "parts._"));
    assert_false(settles(l, "parts.cpu0.status", "parts.gpu0"));
    assert_false(settles(l, "parts.cpu0.status", "parts._"));
    assert_false(settles(l, "parts.cpu0.status", "parts"));
    assert_false(settles(l, "parts.cpu0.evidence.tdx.x", "parts.cpu0.evidence.tdx"));
    assert_false(settles(l, "parts._.evidence.tdx", "parts.cpu0.evidence.tdx"));
    assert_true(settles(l, "parts._.evidence.tdx", "parts._.evidence.tdx.x"));
    linter_free(l);
}

static void test_effect_or__common_needs(void **state)
{
    struct linter *l = linter_new(LINTS_CLAIMS);
    (void) state;
    struct effect *same = effect_or(l, reading(l, "parts.cpu0.status", false), reading(l, "parts.cpu0.level", false));
    assert_int_equal(same->need_count, 1);
    assert_ptr_equal(same->needs[0], cell_some_member(l, linter_way(l, "parts.cpu0")));
    struct effect *some = effect_or(l, reading(l, "parts.cpu0.status", false), reading(l, "parts.gpu0.level", false));
    assert_int_equal(some->need_count, 1);
    assert_ptr_equal(some->needs[0], cell_some_member(l, linter_way(l, "parts")));
    assert_int_equal(some->open_count, 2);
    struct effect *never = reading(l, "iss", false), *other = reading(l, "exp", false);
    effect_limit(never, OUTCOME_NEVER);
    assert_ptr_equal(effect_or(l, never, other), other);
    assert_ptr_equal(effect_or(l, other, never), other);
    assert_ptr_equal(effect_or(l, NULL, other), other);
    effect_limit(other, OUTCOME_MAYBE);
    assert_int_equal(effect_or(l, other, reading(l, "iss", false))->outcome, OUTCOME_ALWAYS);
    linter_free(l);
}

static void test_effect_need__as_many_as_are_kept(void **state)
{
    struct linter *l = linter_new("\"any\"");
    struct effect *e = effect_new(l);
    (void) state;
    for (unsigned i = 0; i < 2 * LINT_LIST_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "k%u", i / 2);
        effect_read(l, e, linter_way(l, name), false);
        effect_loose(l, e, (struct loose) { LINT_TEMPLATE, PLACE, e->opens[e->open_count - 1] });
    }
    assert_int_equal(e->need_count, LINT_LIST_MAX);
    effect_read(l, e, linter_way(l, "more"), false);
    effect_loose(l, e, (struct loose) { LINT_EVERY_EMPTY, PLACE, e->opens[0] });
    assert_int_equal(e->need_count, LINT_LIST_MAX);
    assert_int_equal(e->open_count, LINT_LIST_MAX);
    assert_int_equal(e->loose_count, LINT_LIST_MAX);
    linter_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_effect_read__deepest_missing_part),
        cmocka_unit_test(test_effect_and_not__turns_round),
        cmocka_unit_test(test_effect_settle__needs),
        cmocka_unit_test(test_effect_or__common_needs),
        cmocka_unit_test(test_effect_need__as_many_as_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

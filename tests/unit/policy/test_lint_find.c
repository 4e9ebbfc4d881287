/* lint_find.c: findings, and what is told only when it was found in every look. */
#include "tests/unit/policy/linter.h"

static struct checked_place at(uint32_t offset)
{
    return (struct checked_place) { 0, 1, offset + 1, offset };
}

static void test_lint_look__every_time(void **state)
{
    struct linter *l = linter_new(LINTS_CLAIMS);
    const char what[3] = "";
    (void) state;
    for (int i = 0; i < 2; i++) { /* the first is found twice, the second once, the third never */
        struct look *first = lint_look(l, LINT_NEVER_TRUE, &what[0]);
        struct finding *f = lint_look_hit(l, first, at(1), "first %d", i);
        assert_int_equal(f != NULL, i == 0);
        lint_hint(l, f, "hint %d", i);
        struct look *second = lint_look(l, LINT_NEVER_TRUE, &what[1]);
        if (i) lint_look_hit(l, second, at(2), "second");
        lint_look(l, LINT_NEVER_TRUE, &what[2]);
    }
    struct look *other = lint_look(l, LINT_TYPE_MISMATCH, &what[1]); /* another lint at the same place */
    lint_look_hit(l, other, at(2), "other");
    assert_int_equal(l->finding_count, 0);
    lint_looks_end(l);
    assert_int_equal(l->finding_count, 2);
    assert_string_equal(l->findings[0]->text, "first 0");
    assert_string_equal(l->findings[0]->hint, "hint 0");
    assert_string_equal(l->findings[1]->text, "other");
    assert_true(lint_found(l, LINT_NEVER_TRUE));
    assert_false(lint_found(l, LINT_PACKAGE));
    linter_free(l);
}

static void test_lint_tell_loose__each_place_once(void **state)
{
    struct linter *l = linter_new(LINTS_CLAIMS);
    struct effect *e = effect_new(l);
    struct cell *parts = linter_way(l, "parts"), *tdx = linter_way(l, "parts.cpu0.evidence.tdx");
    struct read one = { tdx, tdx }, some = { cell_some_member(l, parts), parts };
    (void) state;
    effect_loose(l, e, (struct loose) { LINT_FAIL_OPEN, at(1), one });
    effect_loose(l, e, (struct loose) { LINT_FAIL_OPEN, at(1), some });
    effect_loose(l, e, (struct loose) { LINT_FAIL_OPEN, at(2), some });
    effect_loose(l, e, (struct loose) { LINT_EVERY_EMPTY, at(3), some });
    effect_loose(l, e, (struct loose) { LINT_TEMPLATE, at(4), one });
    lint_tell_loose(l, e);
    lint_tell_loose(l, e);
    assert_int_equal(l->finding_count, 4);
    assert_string_equal(l->findings[1]->text, "this holds as well when input.parts is empty");
    assert_string_equal(l->findings[1]->hint, "demand one in the same body: count(input.parts) > 0");
    assert_string_equal(l->findings[2]->text, "`every` holds when input.parts is empty");
    assert_string_equal(l->findings[2]->hint, "demand one in the same body: count(input.parts) > 0");
    assert_non_null(strstr(l->findings[0]->text, "input.parts.cpu0.evidence.tdx is missing"));
    assert_non_null(strstr(l->findings[3]->hint, "in the same body: input.parts.cpu0.evidence.tdx"));
    linter_free(l);
}

static void test_lint_find__long_text(void **state)
{
    struct linter *l = linter_new(LINTS_CLAIMS);
    char text[3 * REGO_TEXT_MAX];
    (void) state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    const struct finding *f = lint_find(l, LINT_PACKAGE, at(0), "%s", text);
    assert_int_equal(strlen(f->text), 2 * REGO_TEXT_MAX - 1);
    lint_hint(l, NULL, "no finding, no hint");
    linter_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lint_look__every_time),
        cmocka_unit_test(test_lint_tell_loose__each_place_once),
        cmocka_unit_test(test_lint_find__long_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

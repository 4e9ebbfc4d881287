/* lint_near.c: the nearest path, rule, word. */
#include "tests/unit/policy/linter.h"

static const char SCHEMA[] =
    "{\"iat\": \"number\", \"submods\": {\"cpu#\": {\"ear.status\": \"string good|bad\", \"vector\": {\"executables\": \"number\"},"
    " \"evidence\": {\"tdx?\": {\"quote\": {\"mr_td\": \"string\"}}}}, \"*#\": {\"ear.status\": \"string good|bad\"}},"
    " \"any\": {\"*\": \"any\"}, \"~tee\": \"look elsewhere\"}";

static const char *hint_at(struct linter *l, const char *parent, const char *key)
{
    struct finding f = { 0 };
    lint_near_member(l, &f, linter_way(l, parent), value_string_z(l->arena, key), NULL, 0);
    return f.hint ? f.hint : "";
}

static void test_lint_near_member__hints(void **state)
{
    static const struct { const char *parent, *key, *hint; } CASES[] = {
        { "", "iats", "did you mean input.iat?" },
        { "", "tee", "look elsewhere" },
        { "", "submod", "did you mean input.submods?" },
        { "", "executables", "did you mean input.submods.cpu0.vector.executables?" },
        { "", "mr_td", "did you mean input.submods.cpu0.evidence.tdx.quote.mr_td?" },
        { "", "ear.status", "did you mean input.submods.cpu0[\"ear.status\"]?" },
        { "", "x.executables", "did you mean input.submods.cpu0.vector.executables?" },
        { "", "unheard", "input has any, iat, submods" },
        { "submods", "cpu", "did you mean input.submods.cpu0?" },
        { "submods", "unheard", "input.submods has cpu0" },
        { "submods._", "ear.state", "did you mean input.submods[_][\"ear.status\"]?" },
        { "submods.cpu0", "ear.status.executables", "did you mean input.submods.cpu0.vector.executables?" },
        { "submods.cpu0.vector", "iat", "did you mean input.iat?" },
        { "iat", "x", "input.iat is a number" },
        { "", "", "input has any, iat, submods" },
        { "", ".", "input has any, iat, submods" },
    };
    struct linter *l = linter_new(SCHEMA);
    (void) state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        assert_string_equal(hint_at(l, CASES[i].parent, CASES[i].key), CASES[i].hint);
    linter_free(l);
}

/* More names than are listed, and one of each kind of key that is no name. */
static void test_lint_near_member__long_list(void **state)
{
    struct linter *l = linter_new("{\"a\":\"any\",\"b\":\"any\",\"c?\":\"any\",\"d\":\"any\",\"e\":\"any\",\"f\":\"any\","
                                  "\"g\":\"any\",\"h\":\"any\",\"i\":\"any\",\"*\":\"any\",\"*#\":\"any\"}");
    (void) state;
    assert_string_equal(hint_at(l, "", "unheard"), "input has a, b, c, d, e, f, g, h");
    linter_free(l);
}

static void test_lint_near_word__or_list(void **state)
{
    struct linter *l = linter_new(SCHEMA);
    struct finding f = { 0 };
    (void) state;
    lint_near_word(l, &f, linter_way(l, "submods.cpu0.ear.status"), value_string_z(l->arena, "x"));
    assert_null(f.hint); /* no such path, no words */
    const struct value *key = value_string_z(l->arena, "ear.status");
    struct cell *status = cell_member(l, linter_way(l, "submods.cpu0"), key, NULL, false);
    lint_near_word(l, &f, status, value_string_z(l->arena, "goood"));
    assert_string_equal(f.hint, "did you mean \"good\"?");
    lint_near_word(l, &f, status, value_string_z(l->arena, "fine"));
    assert_string_equal(f.hint, "it is one of good, bad");
    linter_free(l);
}

static void test_lint_is_near__names(void **state)
{
    static const struct { const char *name; bool near; } CASES[] = {
        { "allowed", true }, { "alow", true }, { "Allow", true }, { "allows", true }, { "is_allowed", true },
        { "allow_release", true }, { "may_allow", true }, { "disallow", false }, { "not_allowed", false },
        { "deny", false }, { "a", false }, { "", false },
    };
    (void) state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        assert_int_equal(lint_is_near(CASES[i].name, "allow"), CASES[i].near);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lint_near_member__hints),
        cmocka_unit_test(test_lint_near_member__long_list),
        cmocka_unit_test(test_lint_near_word__or_list),
        cmocka_unit_test(test_lint_is_near__names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Explanations: which bodies, rules and attempts are told, and their limits. */
#include "tests/unit/policy/explained.h"

#include <stdio.h>
#include <stdlib.h>

#define P "package t\n"
#define CHECK(cases) check_explained(cases, sizeof(cases) / sizeof((cases)[0]), true)

static void test_explain__rules_and_bodies(void **state)
{
    static const struct explain_case cases[] = {
        { "denied by default", P "default p := false\np if input.a == 1\np if input.b", "{\"a\":2}",
          "data.t.p is false\n"
          "  p.rego:3: p  stopped\n    line 3: input.a == 1\n        left is 2\n"
          "  p.rego:4: p  stopped\n    line 4: input.b\n        input.b is undefined; input has a\n"
          "  p.rego:2: default p := false  holds: false\n" },
        { "allowed, and what was not tried is not told", P "p if input.a == 1\np if input.b", "{\"a\":1}",
          "data.t.p is true\n  p.rego:2: p  holds\n" },
        { "rules that decided, rules that held", P "p if {\n q\n r\n}\nq := 1\nr if s\ns if false", NULL,
          "data.t.p is undefined\n  p.rego:2: p  stopped\n    line 4: r\n        data.t.r is undefined\n"
          "data.t.r is undefined\n  p.rego:7: r  stopped\n    line 7: s\n        data.t.s is undefined\n"
          "data.t.s is undefined\n  p.rego:8: s  stopped\n    line 8: false\n        it is false\n"
          "also held: data.t.q\n" },
        { "else branches", P "p := 1 if input.a else := 2 if input.b", "{\"a\":false,\"b\":1}",
          "data.t.p is 2\n  p.rego:2: p := 1  stopped\n    line 2: input.a\n        input.a is false\n"
          "  p.rego:2: else := 2  holds: 2\n" },
        { "a call that says why it is undefined", P "p := json.patch({}, input)", "[{\"op\":\"remove\",\"path\":\"a\"}]",
          "data.t.p is undefined\n  p.rego:2: p := json.patch({}, input)  stopped\n    line 2: p := json.patch({}, input)\n"
          "        json.patch({}, [{\"op\": \"remove\", \"path\": \"a\"}]) is undefined: operation 1: there is nothing at "
          "its \"path\"\n" },
        { "no such rule", P "pp := 1", NULL,
          "the query is undefined\n    line 1: data.t.p\n        there is no data.t.p\n" },
    };
    CHECK(cases);
}

static void test_explain__loops(void **state)
{
    static const struct explain_case cases[] = {
        { "attempts are counted, the furthest is told", P "p if {\n some s in input\n s.a\n s.b\n}",
          "[{\"a\":1,\"b\":false},{\"a\":false},{}]",
          "data.t.p is undefined\n  p.rego:2: p  stopped\n    the best of 3 attempts:\n    line 5: s.b\n"
          "        input[0].b is false\n" },
        { "functions are told of their last call", P "p if every x in input { f(x) }\nf(x) if x < 2", "[1,5]",
          "data.t.p is undefined\n  p.rego:2: p  stopped\n    line 2: f(x)\n        data.t.f(5) is undefined\n"
          "        where x is input[1]\n"
          "data.t.f is undefined  (the last of 2 evaluations)\n  p.rego:3: f(x)  stopped\n    line 3: x < 2\n"
          "        left is 5\n" },
        { "comprehensions", P "p if count([1 | some x in input; x > 1]) == 3", "[0,1,2]",
          "data.t.p is undefined\n  p.rego:2: p  stopped\n    line 2: count([1 | some x in input; x > 1]) == 3\n"
          "        left is 1\n    of what was collected, 2 attempts were dropped; the best of these:\n"
          "      line 2: x > 1\n          input[1] is 1\n" },
    };
    CHECK(cases);
}

static void test_explain__negation_that_holds_by_absence(void **state)
{
    static const struct explain_case cases[] = {
        { "a path mistyped", P "p if not input.debgu", "{\"debug\":true}",
          "data.t.p is true\n  p.rego:2: p  holds\n    but a negation in it holds only because a path leads nowhere:\n"
          "    line 2: not input.debgu\n        input.debgu is undefined; input has debug\n" },
        { "a path that is there", P "p if not input.debug", "{\"debug\":false}", "data.t.p is true\n  p.rego:2: p  holds\n" },
        { "a rule that is undefined", P "p if not q\nq if false", NULL, "data.t.p is true\n  p.rego:2: p  holds\n" },
    };
    CHECK(cases);
}

static void test_explain__errors_are_told_with_what_was_seen(void **state)
{
    static const struct explain_case cases[] = {
        { "conflict", P "p := 1\np := 2", NULL,
          "error: p.rego:3:1: eval_conflict_error: complete rules must not produce multiple outputs\n"
          "data.t.p is undefined\n  p.rego:2: p := 1  holds: 1\n" },
    };
    CHECK(cases);
    struct explained x = explain_text(P "p if count([1 | some a in input; some b in input; some c in input; a == b]) == 0",
                                      "[1,2,3,4,5,6,7,8,9,10]", 100);
    char line[EXPLAIN_SHORT_MAX];
    explain_short(x.explanation, line, sizeof line);
    assert_int_equal(x.explanation->status, REGO_LIMIT);
    assert_string_equal(line, "p.rego:2:51: limit_error: the evaluation takes too many steps");
    explained_free(&x);
}

/* ---- limits ---- */

/* `count` times the line, from malloc. */
static char *many(const char *head, const char *format, unsigned count)
{
    size_t size = strlen(head) + count * (strlen(format) + 24) + 1, len = 0;
    char *text = malloc(size);
    len += (size_t) snprintf(text, size, "%s", head);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    for (unsigned i = 0; i < count; i++) len += (size_t) snprintf(text + len, size - len, format, i, i);
#pragma GCC diagnostic pop
    return text;
}

static void test_explain__bodies_that_came_furthest_are_told(void **state)
{
    char *module = many(P "p if { true; true; input.x }\n", "p if input.a%u == %u\n", EXPLAIN_BODIES_MAX + 5);
    char *last = many(module, "p if { true; input.y }\n", 1);
    struct explained x = explain_text(last, "{}", 0);
    const struct explain_rule *r = &x.explanation->rules[0];
    assert_int_equal(r->body_count, EXPLAIN_BODIES_MAX);
    assert_int_equal(r->bodies_left_out, 7);
    assert_int_equal(r->bodies[0].passed, 2);
    assert_string_equal(r->bodies[EXPLAIN_BODIES_MAX - 1].stop.statement, "input.y");
    explained_free(&x);
    free(last);
    free(module);
}

static void test_explain__rules_are_counted_beyond_the_limit(void **state)
{
    char *chain = many(P "p if input.q0\n", "p if q%u\nq%u if false\n", EXPLAIN_BODIES_MAX + 8);
    struct explained x = explain_text(chain, "{}", 0);
    assert_int_equal(x.explanation->rule_count, EXPLAIN_BODIES_MAX);
    assert_int_equal(x.explanation->rules[0].bodies_left_out, 9);
    explained_free(&x);
    free(chain);
}

static void test_explain__a_screen_is_enough(void **state)
{
    char *module = many(P, "p if q%u\nq%u if { input.a }\n", EXPLAIN_BODIES_MAX);
    char *more = many(module, "q0 if { input.b%u; %u }\n", EXPLAIN_BODIES_MAX);
    struct explained x = explain_text(more, "{}", 0);
    struct text t;
    text_init(&t, x.arena);
    explain_print(&t, x.explanation);
    const char *text = text_end(&t);
    size_t lines = 0;
    for (const char *c = text; *c; c++) lines += *c == '\n';
    assert_int_equal(lines, EXPLAIN_LINES_MAX + 1);
    assert_non_null(strstr(text, " more lines\n"));
    explained_free(&x);
    free(more);
    free(module);
}

static void test_explain__long_texts_are_cut_at_characters(void **state)
{
    char *module = many(P "p if \"", "\xc3\xa4\xc3\xa4%u%u", 200);
    char *whole = many(module, "\" == input.a", 1);
    struct explained x = explain_text(whole, "{\"a\":1}", 0);
    const char *statement = x.explanation->rules[0].bodies[0].stop.statement;
    assert_in_range(strlen(statement), EXPLAIN_STATEMENT_MAX, EXPLAIN_STATEMENT_MAX + 4);
    assert_non_null(strstr(x.explanation->rules[0].bodies[0].stop.why, "input.a is 1"));
    for (size_t size = 8; size < 60; size++) {
        char line[EXPLAIN_SHORT_MAX];
        explain_short(x.explanation, line, size);
        assert_in_range(strlen(line), size - 5, size - 1);
        assert_true((unsigned char) line[strlen(line) - 1] != 0xc3);
    }
    explained_free(&x);
    free(whole);
    free(module);
}

static void test_explain_value__has_the_stop(void **state)
{
    struct explained x = explain_text(P "p if input.a == 1", "{\"a\":2}", 0);
    struct text t;
    text_init(&t, x.arena);
    json_write(&t, explain_value(x.explanation, x.arena));
    assert_string_equal(text_end(&t),
                        "{\"held\":[],\"reason\":\"p.rego:2: input.a == 1: left is 2\",\"rules\":[{\"bodies\":[{"
                        "\"attempts\":1,\"default\":false,\"file\":\"p.rego\",\"head\":\"p\",\"line\":2,\"outcome\":\"stopped\","
                        "\"passed\":0,\"stop\":{\"column\":6,\"expression\":\"input.a == 1\",\"file\":\"p.rego\",\"line\":2,"
                        "\"why\":\"left is 2\"}}],\"defined\":false,\"evaluations\":1,\"name\":\"data.t.p\"}],\"steps\":3}");
    explained_free(&x);
}

static void test_explain__without_memory(void **state)
{
    struct explained x = explain_text(P "p if input.a == 1", "{\"a\":2}", 0);
    struct rego_input in = { 0 };
    for (size_t bytes = 64; bytes < 4096; bytes += 256) {
        struct arena *small = arena_new(bytes);
        struct rego_result result;
        const struct explanation *e = explain(x.run, 0, &in, small, &result);
        if (e) assert_non_null(e->rules[0].bodies[0].stop.why);
        if (bytes == 64) assert_null(e);
        arena_free(small);
    }
    explained_free(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_explain__rules_and_bodies),
        cmocka_unit_test(test_explain__loops),
        cmocka_unit_test(test_explain__negation_that_holds_by_absence),
        cmocka_unit_test(test_explain__errors_are_told_with_what_was_seen),
        cmocka_unit_test(test_explain__bodies_that_came_furthest_are_told),
        cmocka_unit_test(test_explain__rules_are_counted_beyond_the_limit),
        cmocka_unit_test(test_explain__a_screen_is_enough),
        cmocka_unit_test(test_explain__long_texts_are_cut_at_characters),
        cmocka_unit_test(test_explain_value__has_the_stop),
        cmocka_unit_test(test_explain__without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What a tracer is told, as one line an event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/checked.h"
#include "policy/json.h"
#include "policy/plan.h"
#include "policy/rego.h"
#include "policy/trace.h"

#include <stdlib.h>
#include <string.h>

struct row { const char *name, *module, *input, *want; };

static const char *const reasons[TRACE_REASONS] = {
    "undefined", "no-member", "not-true", "unequal", "compared", "not-in",
    "no-collection", "shape", "never", "problem", "negated", "turns-over",
};

static void put_value(struct text *t, const struct value *v)
{
    if (!v) return;
    text_add_char(t, ' ');
    value_print(t, v);
}

static void note(void *context, const struct trace_event *e)
{
    static const char *const kinds[] = { "enter", "leave", "body", "expr", "failed", "held" };
    struct text *t = context;
    if (!e->group) return; /* the query's own */
    text_addf(t, "%s", kinds[e->kind]);
    if (e->kind == TRACE_ENTER || e->kind == TRACE_LEAVE) text_addf(t, " %s", e->group->name + strlen("data.t."));
    if (e->kind == TRACE_BODY || e->kind == TRACE_HELD) text_addf(t, " %u", e->origin->rule->place.line);
    if (e->kind == TRACE_EXPR || e->kind == TRACE_FAILED) {
        struct checked_place at = e->origin->expr ? e->origin->expr->place : e->origin->rule->place;
        text_addf(t, " %u:%u", at.line, at.column);
    }
    if (e->kind == TRACE_FAILED) text_addf(t, " %s", reasons[e->reason]);
    put_value(t, e->value);
    put_value(t, e->left);
    put_value(t, e->right);
    if (e->problem) text_addf(t, " (%s)", e->problem);
    if (e->reason == TRACE_TURNS_OVER && e->kind == TRACE_FAILED) text_addf(t, " %zu", e->turns);
    text_add_char(t, '\n');
}

static struct rego_program *compile(const char *module, bool traced)
{
    static const char *const query = "data.t.p";
    struct rego_module m = { "test.rego", module, strlen(module) };
    struct rego_options o = { .queries = &query, .query_count = 1, .traced = traced };
    struct rego_errors errors;
    struct rego_program *p = rego_compile(&m, 1, &o, &errors);
    if (!p) fail_msg("%s", errors.items[0].text);
    return p;
}

static const char *trace(struct arena *a, const struct row *r, bool traced)
{
    struct rego_program *p = compile(r->module, traced);
    struct rego_run *run = rego_run_new(p, 0);
    struct text t;
    text_init(&t, a);
    const struct tracer tracer = { note, &t };
    struct rego_input in = { .tracer = &tracer };
    if (r->input) in.input = json_to_value(a, r->input, strlen(r->input), NULL, NULL);
    struct rego_result result;
    rego_eval(run, 0, &in, &result);
    rego_run_free(run);
    rego_program_free(p);
    const char *text = text_end(&t);
    assert_non_null(text);
    return text;
}

static void check(const struct row *rows, size_t count)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < count; i++) {
        struct arena *a = arena_new(1 << 20);
        const char *got = trace(a, &rows[i], true);
        if (strcmp(got, rows[i].want) != 0) {
            print_error("%s:\nwant\n%sgot\n%s", rows[i].name, rows[i].want, got);
            wrong++;
        }
        arena_free(a);
    }
    assert_int_equal(wrong, 0);
}

#define CHECK(rows) check(rows, sizeof(rows) / sizeof((rows)[0]))
#define P "package t\n"

static void test_trace__bodies(void **state)
{
    static const struct row rows[] = {
        { "held", P "p if input.a == 1", "{\"a\":1}", "enter p\nbody 2\nexpr 2:6\nexpr 2:6\nheld 2 true\nleave p true\n" },
        { "unequal", P "p if input.a == 1", "{\"a\":2}",
          "enter p\nbody 2\nexpr 2:6\nexpr 2:6\nfailed 2:6 unequal 2 1\nleave p\n" },
        { "undefined", P "p if input.a == 1", "{\"b\":2}",
          "enter p\nbody 2\nexpr 2:6\nfailed 2:6 no-member {\"b\": 2} \"a\"\nleave p\n" },
        { "no input", P "p if input.a", NULL, "enter p\nbody 2\nexpr 2:6\nfailed 2:6 undefined\nleave p\n" },
        { "nothing left out", P "p if {\n x := 5\n true\n}", NULL,
          "enter p\nbody 2\nexpr 3:2\nexpr 4:2\nheld 2 true\nleave p true\n" },
        { "else", P "p := 1 if false else := 2", NULL,
          "enter p\nbody 2\nexpr 2:11\nfailed 2:11 not-true false\nbody 2\nheld 2 2\nleave p 2\n" },
        { "default", P "default p := 3\np := 1 if input", NULL,
          "enter p\nbody 3\nexpr 3:11\nfailed 3:11 undefined\nbody 2\nheld 2 3\nleave p 3\n" },
        { "a rule in a rule", P "p if q\nq if 1 > 2", NULL,
          "enter p\nbody 2\nexpr 2:6\nenter q\nbody 3\nexpr 3:6\nfailed 3:6 compared 1 2\nleave q\n"
          "failed 2:6 undefined\nleave p\n" },
        { "a builtin's error", P "p if count(1) == 1", NULL,
          "enter p\nbody 2\nexpr 2:6\nfailed 2:6 problem (count: operand 1 must be one of {array, object, set, string} but got "
          "number)\nleave p\n" },
        { "arguments", P "p if f(2)\nf(1)", NULL,
          "enter p\nbody 2\nexpr 2:6\nenter f\nbody 3\nfailed 3:1 unequal 1 2\nleave f\nfailed 2:6 undefined\nleave p\n" },
    };
    CHECK(rows);
}

static void test_trace__loops_and_closures(void **state)
{
    static const struct row rows[] = {
        { "turns", P "p if { some x in [1, 2]; x > 1 }", NULL,
          "enter p\nbody 2\nexpr 2:18\nexpr 2:8\nexpr 2:26\nfailed 2:26 compared 1 1\nexpr 2:26\nheld 2 true\nleave p true\n" },
        { "turns over", P "p if { some x in [1]; x > 1 }", NULL,
          "enter p\nbody 2\nexpr 2:18\nexpr 2:8\nexpr 2:23\nfailed 2:23 compared 1 1\nfailed 2:8 turns-over 1\nleave p\n" },
        { "not", P "p if not 1 == 1", NULL, "enter p\nbody 2\nexpr 2:6\nexpr 2:10\nfailed 2:6 negated\nleave p\n" },
        { "every", P "p if every x in [1, 2] { x < 2 }", NULL,
          "enter p\nbody 2\nexpr 2:6\nexpr 2:26\nexpr 2:26\nfailed 2:26 compared 2 2\nleave p\n" },
        { "comprehension", P "p if [x | some x in [1, 2]; x > 1] == [1]", NULL,
          "enter p\nbody 2\nexpr 2:6\nexpr 2:21\nexpr 2:11\nexpr 2:29\nfailed 2:29 compared 1 1\nexpr 2:29\n"
          "failed 2:11 turns-over 2\nexpr 2:6\nfailed 2:6 unequal [2] [1]\nleave p\n" },
        { "with", P "p if input == 1 with input as 2", NULL,
          "enter p\nbody 2\nexpr 2:6\nexpr 2:6\nexpr 2:6\nfailed 2:6 unequal 2 1\nleave p\n" },
    };
    CHECK(rows);
}

static void test_trace__of_a_program_without_traces(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct row row = { "untraced", P "p := 1", NULL, NULL };
    assert_string_equal(trace(a, &row, false), "");
    arena_free(a);
}

static void test_trace__statement_is_what_the_author_wrote(void **state)
{
    struct rego_program *p = compile(P "p if not input.a.b == 1 with input as {}", true);
    const struct checked_program *c = rego_program_checked(p);
    const struct checked_rule *r = c->groups[0]->rules[0];
    for (size_t i = 0; i < r->body.count; i++) {
        assert_int_equal(r->body.at[i]->statement.place.column, 6);
        assert_int_equal(r->body.at[i]->statement.len, strlen("not input.a.b == 1 with input as {}"));
    }
    assert_int_equal(r->head.len, 1);
    rego_program_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trace__bodies),
        cmocka_unit_test(test_trace__loops_and_closures),
        cmocka_unit_test(test_trace__of_a_program_without_traces),
        cmocka_unit_test(test_trace__statement_is_what_the_author_wrote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

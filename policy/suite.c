#include "policy/suite.h"

#include "policy/arena.h"
#include "policy/checked.h"
#include "policy/coverage.h"
#include "policy/errors.h"
#include "policy/explain.h"
#include "policy/value.h"

#include <stdlib.h>

struct suite {
    struct arena *arena;
    struct rego_program *program;
    struct rego_run *run;
    struct coverage *coverage;
    struct suite_test *tests;
    size_t count, module_count;
};

/* ---- finding ------------------------------------------------------------------------------------ */

static bool begins(const struct value *name, const char *with)
{
    return value_is(name, VALUE_STRING) && strncmp(name->string, with, strlen(with)) == 0;
}

/* The first rule of the group, wherever its tests are; NULL for what is no test. */
static const struct checked_rule *test_rule(const struct checked_group *g)
{
    const struct value *name = g->path_count ? g->path[g->path_count - 1] : NULL;
    if (g->kind == CHECKED_FUNCTION || g->rule_count == 0) return NULL;
    return begins(name, "test_") || begins(name, "todo_test_") ? g->rules[0] : NULL;
}

static void refuse(const struct checked_program *p, struct checked_place place, const char *text,
                   struct rego_errors *errors)
{
    const struct rego_span at = { .line = place.line, .column = place.column, .offset = place.offset };
    rego_error_add(errors, REGO_COMPILE_ERROR, &p->sources[place.module], &at, "%s", text);
}

static int by_place(const void *left, const void *right)
{
    const struct suite_test *a = left, *b = right;
    if (a->module != b->module) return a->module < b->module ? -1 : 1;
    return (a->line > b->line) - (a->line < b->line);
}

/* Names are copied: this program goes when the one with the questions is there. */
static bool add_test(struct suite *s, const struct checked_group *g, const struct checked_rule *r)
{
    struct suite_test *t = &s->tests[s->count++];
    *t = (struct suite_test) {
        .name = arena_copy(s->arena, g->name, strlen(g->name)),
        .module = r->place.module,
        .line = r->place.line,
        .skipped = begins(g->path[g->path_count - 1], "todo_test_"),
    };
    return t->name != NULL;
}

static bool find_tests(struct suite *s, const struct checked_program *p, struct rego_errors *errors)
{
    s->tests = arena_alloc_array(s->arena, SUITE_TESTS_MAX, sizeof *s->tests);
    for (size_t i = 0; s->tests && i < p->group_count; i++) {
        const struct checked_rule *r = test_rule(p->groups[i]);
        if (!r) continue;
        if (p->groups[i]->has_rest) refuse(p, r->place, "a test has no keys: write one rule for each case", errors);
        else if (s->count == SUITE_TESTS_MAX) refuse(p, r->place, "there are more than 2000 tests", errors);
        else if (!add_test(s, p->groups[i], r)) return false;
        if (s->count == SUITE_TESTS_MAX && errors->count) break;
    }
    if (s->tests) qsort(s->tests, s->count, sizeof *s->tests, by_place);
    return s->tests && errors->count == 0;
}

/* ---- making ------------------------------------------------------------------------------------- */

/* Twice: first to learn which tests there are, then with a question for each. */
static bool compile(struct suite *s, const struct rego_module *modules, size_t count,
                    const struct builtin_host *host, struct rego_errors *errors)
{
    struct rego_options options = { .host = host, .traced = true };
    struct rego_program *first = rego_compile(modules, count, &options, errors);
    bool found = first && find_tests(s, rego_program_checked(first), errors);
    rego_program_free(first);
    const char **queries = found ? arena_alloc_array(s->arena, s->count, sizeof *queries) : NULL;
    if (!queries) return false;
    for (size_t i = 0; i < s->count; i++) queries[i] = s->tests[i].name;
    options.queries = queries;
    options.query_count = s->count;
    s->program = rego_compile(modules, count, &options, errors);
    return s->program != NULL;
}

struct suite *suite_new(const struct rego_module *modules, size_t count, const struct builtin_host *host,
                        struct rego_errors *ret_errors)
{
    *ret_errors = (struct rego_errors) { 0 };
    struct suite *s = calloc(1, sizeof *s);
    if (s) s->arena = arena_new(4 << 20);
    bool ok = s && s->arena && compile(s, modules, count, host, ret_errors);
    if (ok) s->run = rego_run_new(s->program, 0);
    if (ok) s->coverage = coverage_new(rego_program_checked(s->program));
    if (ok && s->run && s->coverage) {
        s->module_count = count;
        return s;
    }
    if (!ret_errors->count) rego_error_add(ret_errors, REGO_COMPILE_ERROR, NULL, NULL, "out of memory");
    suite_free(s);
    return NULL;
}

void suite_free(struct suite *s)
{
    if (!s) return;
    coverage_free(s->coverage);
    rego_run_free(s->run);
    rego_program_free(s->program);
    arena_free(s->arena);
    free(s);
}

size_t suite_count(const struct suite *s)
{
    return s->count;
}

const struct suite_test *suite_at(const struct suite *s, size_t i)
{
    return &s->tests[i];
}

bool suite_module_has_tests(const struct suite *s, size_t module)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->tests[i].module == module) return true;
    return false;
}

/* ---- running ------------------------------------------------------------------------------------ */

static void tell_why(struct suite *s, size_t i, const struct rego_input *in, struct arena *a,
                     struct suite_result *ret)
{
    struct rego_input again = *in;
    struct rego_result result;
    char line[EXPLAIN_SHORT_MAX];
    again.print = NULL;
    ret->explanation = explain(s->run, i, &again, a, &result);
    if (!ret->explanation) return;
    explain_short(ret->explanation, line, sizeof line);
    ret->reason = arena_copy(a, line, strlen(line));
}

void suite_run(struct suite *s, size_t i, const struct rego_input *in, struct arena *a, struct suite_result *ret)
{
    *ret = (struct suite_result) { .outcome = SUITE_SKIPPED };
    if (s->tests[i].skipped) return;
    struct rego_input watched = *in;
    struct rego_result result;
    watched.tracer = coverage_tracer(s->coverage);
    bool ran = rego_eval(s->run, i, &watched, &result);
    ret->steps = result.steps;
    ret->outcome = !ran ? SUITE_ERROR : value_truthy(result.value) ? SUITE_PASSED : SUITE_FAILED;
    if (ret->outcome == SUITE_PASSED) return;
    ret->reason = "there is no memory to tell why";
    tell_why(s, i, in, a, ret);
}

/* ---- coverage ----------------------------------------------------------------------------------- */

const struct coverage *suite_coverage(const struct suite *s)
{
    return s->coverage;
}

static struct coverage_count count_of(const struct suite *s, bool tests_too)
{
    struct coverage_count sum = { 0 };
    for (size_t m = 0; m < s->module_count; m++) {
        if (!tests_too && suite_module_has_tests(s, m)) continue;
        struct coverage_count n = coverage_count(s->coverage, m);
        sum.lines += n.lines;
        sum.covered += n.covered;
    }
    return sum;
}

struct coverage_count suite_coverage_count(const struct suite *s)
{
    struct coverage_count n = count_of(s, false);
    return n.lines ? n : count_of(s, true);
}

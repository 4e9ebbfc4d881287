/* For tests of moment*.c and explain*.c: a module compiled, evaluated and explained. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/explain.h"
#include "policy/json.h"
#include "policy/text.h"

#include <string.h>

struct explained {
    struct arena *arena;
    struct rego_program *program;
    struct rego_run *run;
    struct rego_result result;
    const struct explanation *explanation;
};

static inline const struct value *explained_json(struct arena *a, const char *json)
{
    struct json_error e = { 0 };
    const struct value *v = json ? json_to_value(a, json, strlen(json), NULL, &e) : NULL;
    if (json && !v) fail_msg("%s: %s", json, e.text);
    return v;
}

/* Of data.t.p, with no data but {"base": [1, 2]}. */
static inline struct explained explain_text(const char *module, const char *input, uint64_t steps)
{
    static const char *const query = "data.t.p";
    struct explained x = { .arena = arena_new(1 << 22) };
    struct rego_module m = { "p.rego", module, strlen(module) };
    struct rego_options o = { .queries = &query, .query_count = 1, .traced = true };
    struct rego_errors errors;
    x.program = rego_compile(&m, 1, &o, &errors);
    if (!x.program) fail_msg("%s: %s", module, errors.items[0].text);
    x.run = rego_run_new(x.program, 0);
    struct rego_input in = {
        .input = explained_json(x.arena, input), .data = explained_json(x.arena, "{\"base\":[1,2]}"), .steps = steps,
    };
    x.explanation = explain(x.run, 0, &in, x.arena, &x.result);
    assert_non_null(x.explanation);
    return x;
}

static inline void explained_free(struct explained *x)
{
    rego_run_free(x->run);
    rego_program_free(x->program);
    arena_free(x->arena);
}

/* The reason in one line, or the whole text, against what is wanted. */
struct explain_case { const char *name, *module, *input, *want; };

static inline void check_explained(const struct explain_case *cases, size_t count, bool whole)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < count; i++) {
        struct explained x = explain_text(cases[i].module, cases[i].input, 0);
        char line[EXPLAIN_SHORT_MAX];
        struct text t;
        text_init(&t, x.arena);
        explain_print(&t, x.explanation);
        explain_short(x.explanation, line, sizeof line);
        const char *got = whole ? text_end(&t) : line;
        if (strcmp(got, cases[i].want) != 0) {
            print_error("%s:\n  want %s\n  got  %s\n", cases[i].name, cases[i].want, got);
            wrong++;
        }
        explained_free(&x);
    }
    assert_int_equal(wrong, 0);
}

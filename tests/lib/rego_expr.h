/* Tables of Rego expressions for unit tests: each is evaluated with strict built-in errors and shown
 * as Rego prints it, as "undefined", or as what went wrong. */
#pragma once

#include "policy/builtin.h"
#include "policy/rego.h"
#include "policy/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct expr_case {
    const char *expr;
    const char *want; /* the value's text, "undefined", or a part of "<code>: <text>" */
};

enum { EXPR_TEXT = 4096, EXPR_NOW = 1700000000 };

/* Copies what comes out; false when it is an error or undefined. */
static inline bool expr_show(const char *expr, const struct builtin_host *host, uint64_t steps, char out[EXPR_TEXT])
{
    char query[EXPR_TEXT];
    const char *const queries[] = { query };
    const struct rego_options options = { .queries = queries, .query_count = 1, .host = host };
    const struct rego_input in = { .strict = true, .now_ns = (int64_t) EXPR_NOW * 1000000000, .steps = steps };
    struct rego_errors *errors = calloc(1, sizeof *errors);
    struct rego_result result = { 0 };

    assert_non_null(errors);
    snprintf(query, sizeof query, "x = %s", expr);
    struct rego_program *p = rego_compile(NULL, 0, &options, errors);
    struct rego_run *run = p ? rego_run_new(p, 0) : NULL;
    bool ok = run && rego_eval(run, 0, &in, &result);
    if (!p)
        snprintf(out, EXPR_TEXT, "%s: %s", errors->items[0].code, errors->items[0].text);
    else if (!ok)
        snprintf(out, EXPR_TEXT, "%s: %s", result.error_code, result.error_text);
    else if (result.bindings->count == 0)
        snprintf(out, EXPR_TEXT, "undefined");
    bool shown = ok && result.bindings->count;
    if (shown) {
        struct arena *a = arena_new(1 << 20);
        struct text t;

        text_init(&t, a);
        value_print(&t, object_get_z(result.bindings->items[0], "x"));
        snprintf(out, EXPR_TEXT, "%s", text_end(&t));
        arena_free(a);
    }
    rego_run_free(run);
    rego_program_free(p);
    free(errors);
    return shown;
}

static inline void expr_check(const struct expr_case *c, const struct builtin_host *host)
{
    char got[EXPR_TEXT];
    bool shown = expr_show(c->expr, host, 0, got);

    if (shown ? strcmp(got, c->want) != 0 : !strstr(got, c->want))
        fail_msg("%s\n   gives %s\n  wanted %s", c->expr, got, c->want);
}

static inline void expr_table(const struct expr_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) expr_check(&cases[i], NULL);
}

#define EXPR_TABLE(cases) expr_table(cases, sizeof(cases) / sizeof(cases)[0])

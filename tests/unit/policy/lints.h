/* For tests of the linter: a policy in, its warnings as text out. The documents are small ones of the
 * tests' own. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/builtin.h"
#include "policy/json.h"
#include "policy/lint.h"
#include "policy/text.h"

#define LINTS_PART                                                                              \
    "{\"status\": \"string good|bad|unsure\", \"level\": \"number\", \"a.b\": \"string\","          \
    " \"evidence\": {\"tdx?\": \"any\", \"snp?\": {\"svn\": \"number\", \"flags?\": [\"string\"]}},"  \
    " \"vector\": {\"x\": \"number\", \"y\": \"number\"}}"
#define LINTS_CLAIMS                                                                            \
    "{\"exp\": \"number\", \"iss\": \"string\", \"ok\": \"boolean\", \"list\": [\"string\"],"         \
    " \"parts\": {\"cpu#\": " LINTS_PART ", \"gpu#\": " LINTS_PART ", \"*#\": " LINTS_PART "},"       \
    " \"extra?\": \"any\", \"~old\": \"write input.exp\"}"
#define LINTS_DATA "{\"plugin\": \"string\", \"path\": [\"string\"], \"query\": {\"*\": \"string\"}}"

struct lint_case {
    const char *source;   /* behind "package policy\n", which is line 1 */
    const char *expected; /* "LINE:COLUMN CODE TEXT | HINT\n" for each, without "lint_" */
};

/* A function of the host that takes a string and gives anything. */
static inline const struct value *lints_ask(struct builtin_call *call, const struct value *const *args)
{
    (void) call, (void) args;
    return NULL;
}
static const struct builtin LINTS_ROWS[] = {
    { .name = "ask", .run = lints_ask, .arity = 1, .operands = { ARG_STRING } },
};
static const struct builtin_host LINTS_HOST = { .rows = LINTS_ROWS, .row_count = 1 };

static inline const struct value *lints_json(struct arena *a, const char *text)
{
    const struct value *v = json_to_value(a, text, strlen(text), NULL, NULL);
    assert_non_null(v);
    return v;
}

static inline struct lint_profile lints_profile(struct arena *a)
{
    struct lint_profile p = LINT_RESOURCE_POLICY;
    p.claims = lints_json(a, LINTS_CLAIMS);
    p.data = lints_json(a, LINTS_DATA);
    return p;
}

static inline const char *warnings_text(struct arena *a, const struct rego_errors *warnings)
{
    struct text t;
    text_init(&t, a);
    for (size_t i = 0; i < warnings->count; i++) {
        const struct rego_error *e = &warnings->items[i];
        assert_memory_equal(e->code, "lint_", 5);
        assert_true(e->line > 0 && e->column > 0 && e->source[0]);
        text_addf(&t, "%u:%u %s %s%s%s\n", e->line, e->column, e->code + 5, e->text,
                  e->hint[0] ? " | " : "", e->hint);
    }
    if (warnings->more) text_addf(&t, "%zu more\n", warnings->more);
    const char *text = text_end(&t);
    assert_non_null(text);
    return text;
}

/* The module as it is, for a profile. */
static inline const char *lint_module(struct arena *a, const char *text, const struct lint_profile *p)
{
    static const struct rego_options OPTIONS = { .host = &LINTS_HOST };
    const struct rego_module m = { "p.rego", text, strlen(text) };
    struct rego_errors errors;
    struct rego_program *program = rego_compile(&m, 1, &OPTIONS, &errors);
    if (!program) {
        print_error("%s\n%u:%u %s\n", text, errors.items[0].line, errors.items[0].column,
                    errors.items[0].text);
        fail_msg("the policy does not compile");
    }
    rego_program_free(program);
    rego_lint(&m, 1, &OPTIONS, p, &errors);
    return warnings_text(a, &errors);
}

static inline const char *lint_text(struct arena *a, const char *source)
{
    const struct lint_profile profile = lints_profile(a);
    struct text t;
    text_init(&t, a);
    text_addf(&t, "package policy\n%s", source);
    return lint_module(a, text_end(&t), &profile);
}

static inline void check_lints(const struct lint_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct arena *a = arena_new(1 << 22);
        const char *got = lint_text(a, cases[i].source);
        if (strcmp(got, cases[i].expected) != 0) {
            print_error("case %zu: %s\n got: %s", i, cases[i].source, got);
            assert_string_equal(got, cases[i].expected);
        }
        arena_free(a);
    }
}

#define CHECK_LINTS(table) check_lints(table, sizeof(table) / sizeof *(table))

/* A body that asks for the plugin, so that only what is tested is told. */
#define ALLOW(body) "allow if { data.plugin == \"resource\"; input.ok\n" body "\n}\n"

/* Tables of built-in calls for unit tests: operands and results as JSON. */
#pragma once

#include "policy/builtin.h"
#include "policy/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct builtin_case {
    const char *name, *operands; /* JSON array */
    const char *want;            /* JSON; NULL: undefined or an error */
    const char *error;           /* part of the text; NULL: no error */
};

struct builtin_bench {
    struct arena *arena;
    struct budget budget;
    struct builtin_call call;
};

static inline void bench_open(struct builtin_bench *b)
{
    *b = (struct builtin_bench) { .arena = arena_new(64 << 20) };
    budget_init(&b->budget, 10 * 1000 * 1000);
    b->call.arena = b->arena;
    b->call.budget = &b->budget;
    assert_non_null(b->arena);
}

static inline const struct value *bench_json(struct builtin_bench *b, const char *json)
{
    struct json_error error = { 0 };
    const struct value *v = json_to_value(b->arena, json, strlen(json), NULL, &error);
    if (!v) fail_msg("%s: %s", json, error.text);
    return v;
}

static inline const struct value *bench_call(struct builtin_bench *b, const char *name, const struct value *operands)
{
    const struct builtin *row = builtin_find(b->call.host, name, strlen(name));
    if (!row) fail_msg("no built-in %s", name);
    if (!(row->flags & BUILTIN_VARIADIC)) assert_int_equal(row->arity, operands->count);
    b->call.text[0] = 0;
    return builtin_run(&b->call, row, operands->items);
}

static inline void bench_check(struct builtin_bench *b, const struct builtin_case *c)
{
    const struct value *got = bench_call(b, c->name, bench_json(b, c->operands));
    struct text t;
    text_init(&t, b->arena);
    if (got) json_write(&t, got);
    const char *shown = got ? text_end(&t) : "undefined";
    if (c->want && (!got || !value_equal(got, bench_json(b, c->want))))
        fail_msg("%s(%s): got %s %s, wanted %s", c->name, c->operands, shown, b->call.text, c->want);
    if (!c->want && got) fail_msg("%s(%s): got %s, wanted nothing", c->name, c->operands, shown);
    if (c->error && (b->call.problem == BUILTIN_FINE || !strstr(b->call.text, c->error)))
        fail_msg("%s(%s): got error \"%s\", wanted %s", c->name, c->operands, b->call.text, c->error);
    if (!c->error && b->call.problem != BUILTIN_FINE)
        fail_msg("%s(%s): unwanted error %s", c->name, c->operands, b->call.text);
}

static inline void bench_table(const struct builtin_case *cases, size_t count)
{
    struct builtin_bench b;
    bench_open(&b);
    for (size_t i = 0; i < count; i++) bench_check(&b, &cases[i]);
    arena_free(b.arena);
}

#define BENCH_TABLE(cases) bench_table(cases, sizeof(cases) / sizeof(cases)[0])

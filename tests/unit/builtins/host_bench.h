/* tests/lib/builtin_cases.h with the broker's own functions. */
#pragma once

#include "broker/builtins/builtins.h"
#include "tests/lib/builtin_cases.h"
#include "tests/lib/test.h"

static inline void host_open(struct builtin_bench *b)
{
    bench_open(b);
    b->call.host = builtins_host();
    b->call.now_ns = 1700000000000000000;
}

static inline void host_table(const struct builtin_case *cases, size_t count)
{
    struct builtin_bench b;
    host_open(&b);
    for (size_t i = 0; i < count; i++) bench_check(&b, &cases[i]);
    arena_free(b.arena);
}
#define HOST_TABLE(cases) host_table(cases, sizeof(cases) / sizeof(cases)[0])

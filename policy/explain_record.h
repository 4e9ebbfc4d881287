/* What is noted while an evaluation is watched, for explain*.c only. */
#pragma once

#include "policy/explain.h"
#include "policy/moment.h"
#include "policy/value.h"

enum { RECORD_DROPS_MAX = 2 }; /* comprehensions of one body that are followed */

/* A comprehension: attempts within it that gave no member. */
struct record_drop {
    const struct plan_origin *of; /* NULL: free */
    size_t count;
    struct moment best;
};

struct record_body {
    const struct checked_rule *rule; /* NULL in a query */
    bool tried, held;
    const struct value *value;
    size_t attempts;
    struct moment best;
    struct moment absent; /* the first path under a `not` that led nowhere */
    struct record_drop drops[RECORD_DROPS_MAX];
    struct record_body *next;
};

/* The last evaluation of a unit; buffers of earlier ones are used again. */
struct record_group {
    const struct checked_group *group; /* NULL: the query */
    size_t calls;
    const struct value *value;
    struct record_body *bodies, *current;
};

struct recorder {
    struct arena *arena;
    const struct checked_program *program;
    struct record_group **groups; /* by number; NULL: never evaluated */
    struct record_group query;
    const struct record_group *entry; /* the first group that was evaluated; NULL: none */
    bool incomplete;
};

bool recorder_init(struct recorder *r, struct arena *a, const struct checked_program *p);
/* Of a struct tracer whose context is the recorder. */
void recorder_event(void *recorder, const struct trace_event *e);

/* Words it in `a`: *ret is filled but for status, error and steps. False without memory. */
bool explain_build(const struct recorder *r, struct arena *a, struct explanation *ret);

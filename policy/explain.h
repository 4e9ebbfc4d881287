/* Why did a rule come out as it did? The evaluation is watched (trace.h); of every body of the rule, and
 * of the rules and functions that decided it, the expression that stopped it is told with the values it
 * had. Made by the engine while it decides, so it cannot drift from the decision.
 *
 * Where a body loops, the attempt that came furthest is told, and how many there were. The whole is
 * bounded to about a screen; what was left out is counted. */
#pragma once

#include "policy/rego.h"

enum {
    EXPLAIN_RULES_MAX = 10,
    EXPLAIN_BODIES_MAX = 8,      /* of one rule */
    EXPLAIN_STATEMENT_MAX = 160, /* bytes of what the author wrote */
    EXPLAIN_WHY_MAX = 400,
    EXPLAIN_OTHERS_MAX = 12,     /* names of rules that held and were not asked about */
    EXPLAIN_LINES_MAX = 50,      /* of the text */
    EXPLAIN_RECORD_BYTES = 4 << 20, /* for what is noted meanwhile */
    EXPLAIN_SHORT_MAX = 400,     /* bytes of the one line, NUL included */
};

struct arena;
struct text;

/* Where a body could not go on. Texts are NUL-terminated and free of control characters. */
struct explain_stop {
    const char *module;
    unsigned line, column;
    const char *statement; /* the expression, or the head when the arguments did not fit */
    const char *why;       /* left is "warning" */
    const char *element;   /* of every `every` around: "s is input.submods.gpu0"; "" for none */
};

enum explain_outcome { EXPLAIN_STOPPED, EXPLAIN_HELD };

struct explain_body {
    const char *module;
    unsigned line;
    const char *head;
    bool is_default;
    enum explain_outcome outcome;
    const char *value;        /* HELD */
    bool by_absence;          /* HELD, but with a `not` whose path led nowhere, which `stop` tells: a name
                                 mistyped there lets everybody in */
    struct explain_stop stop; /* STOPPED, or by_absence */
    size_t attempts;          /* STOPPED: how many there were; `stop` is the one that came furthest */
    size_t passed;            /* STOPPED: expressions that held before */
    size_t leads_to;          /* STOPPED: by explanation.rules[that], which is undefined or false; 0: by none */
    /* STOPPED by what a comprehension came to: how many attempts it dropped, and the one of these that
     * came furthest. dropped 0: none. */
    size_t dropped;
    struct explain_stop drop;
};

struct explain_rule {
    const char *name;   /* "data.policy.allow"; of a query: "the query" */
    const char *value;  /* of its last evaluation; NULL: undefined */
    size_t calls;       /* how often it was evaluated; functions are told of their last call */
    const struct explain_body *bodies; /* that were tried, in that order; when there are more, those that
                                          held and those that came furthest */
    size_t body_count, bodies_left_out;
};

struct explanation {
    enum rego_status status;
    const char *error;        /* "MODULE:LINE:COLUMN: CODE: TEXT"; NULL when status is REGO_OK */
    uint64_t steps;
    const char *value;        /* of the query; NULL: undefined */
    const struct explain_rule *rules; /* the first is the one that the query asks for */
    size_t rule_count, rules_left_out;
    const char *const *others; /* rules that held */
    size_t other_count;
    bool incomplete;          /* memory ended before all was seen */
};

/* Evaluates query number `query`, which should be a term such as data.policy.allow, and explains it. The
 * program must have been compiled with `traced`; in->tracer is ignored. *ret_result is the evaluation's.
 * Everything lives in `a` (1 MiB is plenty); NULL when it does not fit or there is no memory. */
const struct explanation *explain(struct rego_run *run, size_t query, const struct rego_input *in,
                                  struct arena *a, struct rego_result *ret_result);

/* On one screen, each line with its newline. */
void explain_print(struct text *t, const struct explanation *e);

/* The reason in one line without newline, NUL-terminated and cut to size (EXPLAIN_SHORT_MAX is enough):
 * `policy.rego:15: input.x == "y": left is "z"`, following the rules that decided down to the expression. */
void explain_short(const struct explanation *e, char *ret, size_t size);

/* The same as a value for json_write. NULL without memory. */
const struct value *explain_value(const struct explanation *e, struct arena *a);

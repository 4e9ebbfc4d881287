/* Watching an evaluation, for explanations and coverage: a program compiled with rego_options.traced has
 * a second plan (plan_make_traced), which runs in a loop of its own (vm_trace.c) when rego_input.tracer
 * is set. Without a tracer nothing of this costs anything.
 *
 * What the machine does between the events: it tries a body from its first expression to its last; what
 * cannot go on (FAILED) sends it to the next turn of the innermost loop, or out of the body. So one
 * body may fail many times and hold all the same. A failure within a closure need not be one of the
 * body: within `not` it is what was wished for, within a comprehension it drops a member. Follow
 * origin->outer to know where it stands. An expression held when one behind it begins, or the body
 * HELD. Units nest: between ENTER and LEAVE of a rule come those of the rules and functions it asks,
 * unless their value is known already. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct checked_group;
struct plan_insn;
struct plan_origin;
struct plan_unit;
struct value;
struct vm;
struct vm_frame;

enum trace_kind {
    TRACE_ENTER,  /* a unit begins: the rules of a group, a call of a function, the query */
    TRACE_LEAVE,  /* .. and ends: `value`, NULL when undefined or when the evaluation is over */
    TRACE_BODY,   /* origin->rule is tried: the rule, an else branch of it, a default */
    TRACE_EXPR,   /* origin->expr is evaluated */
    TRACE_FAILED, /* an instruction of the origin cannot go on: see `reason` */
    TRACE_HELD,   /* the body of origin->rule held and gave `value` */
};

enum trace_reason {        /* `left` and `right`: */
    TRACE_UNDEFINED,       /* input, a rule, a call, a path: none */
    TRACE_NO_MEMBER,       /* the value looked into, the key that is not there */
    TRACE_NOT_TRUE,        /* the value, which is false */
    TRACE_UNEQUAL,         /* the two sides of == or = */
    TRACE_COMPARED,        /* the two sides of != < <= > >=; insn->flag is the enum plan_compare */
    TRACE_NOT_IN,          /* the value, the collection */
    TRACE_NO_COLLECTION,   /* the value that was to be iterated over */
    TRACE_SHAPE,           /* the value that does not fit the pattern */
    TRACE_NEVER,           /* two patterns that can never be equal: none */
    TRACE_PROBLEM,         /* a builtin's error, `problem` */
    TRACE_NEGATED,         /* the body of `not` held */
    TRACE_TURNS_OVER,      /* the loop has had its `turns`; whoever came to the loop's end is none the wiser */
    TRACE_REASONS
};

/* Valid during the call only, but for what lies in the program, and values, which live as long as the
 * run's result. */
struct trace_event {
    enum trace_kind kind;
    const struct checked_group *group; /* of the unit; NULL: the query */
    const struct plan_unit *unit;
    const struct plan_insn *insn;      /* NULL for ENTER and LEAVE */
    const struct plan_origin *origin;  /* the same */
    const struct value *value;
    enum trace_reason reason;
    const struct value *left, *right;
    const char *problem;               /* "count: operand 1 must be ..."; of a call that is undefined:
                                        * why, or "" */
    size_t turns;
    const struct vm *vm;               /* for trace_text.h */
    const struct vm_frame *frame;      /* the same for all events of one activation of the unit */
};

/* Called on the thread that evaluates, in the order of what happens. It must not call into the run. */
struct tracer {
    void (*event)(void *context, const struct trace_event *e);
    void *context;
};

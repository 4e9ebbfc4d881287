/* The machine: runs units of a plan. One evaluation at a time; plan, input and data may be shared. */
#pragma once

#include "policy/builtin.h"
#include "policy/checked.h"
#include "policy/plan.h"
#include "policy/value.h"

enum {
    VM_DEPTH_DEFAULT = 512, /* calls within calls: bounds the C stack too */
    VM_DEPTH_MAX = 4096,
    VM_STACK_WORDS = 1 << 17, /* slots, iterators and builders of all frames at once */
};

enum vm_status { VM_FINE, VM_ERROR, VM_LIMIT };

/* What holds between a `with` and its end; the outermost one is the evaluation's own. */
struct vm_scope {
    struct vm_scope *outer;
    const struct value *input, *data;
    /* By number of the node: its value here, VM_UNDEFINED, VM_BUSY, or NULL when not asked yet. Values
     * depend on everything above, so each scope has its own. */
    const struct value **memo;
    const struct vm_hidden *hidden;
    const struct vm_mock *mocks;
};

/* A node that `with` replaced: it and all below come from data alone. */
struct vm_hidden { const struct vm_hidden *next; const struct checked_node *node; };

/* A function replaced by another one or by a value; the latest comes first. */
struct vm_mock { const struct vm_mock *next; const struct checked_with *of; const struct value *value; };

struct vm {
    const struct plan *plan;
    struct builtin_call *call; /* arena, budget, host, time; also for builtins */
    struct vm_scope *scope;
    uint64_t *stack; /* of vm_stack_words(plan) */
    size_t stack_used, stack_size;
    unsigned depth, depth_max;
    bool strict;
    bool all_rules; /* without indexes: every body is tried */
    const struct tracer *tracer; /* told of every step; the plan is a traced one then */

    struct checked_place rule; /* that first gave a value to what the query names */

    enum vm_status status;
    const char *code, *text; /* of the error; text lives in the arena or is static */
    struct checked_place place;
    /* The first builtin error of a strict evaluation: reported at the end (as OPA does), unless
     * something worse happens. */
    const char *builtin_code, *builtin_text;
    struct checked_place builtin_place;
};

size_t vm_stack_words(const struct plan *plan);

/* vm is prepared by the caller: plan, call, scope (with a memo of node_count), stack, depth_max.
 * Runs a query's unit. False on an error (vm->status). *ret_bindings is an array; *ret_value the
 * value of a query that has one, or NULL. */
bool vm_query(struct vm *vm, const struct plan_unit *u, const struct value **ret_value,
              const struct value **ret_bindings);

/* The machine's inside, shared by vm*.c; moment*.c read frames. */
#pragma once

#include "policy/vm.h"

extern const struct value VM_UNDEFINED, VM_BUSY; /* marks in memo tables; never seen by a policy */

enum { VM_WEIGHT_STEP = 16 }; /* this much of value_weight is a step */

/* Position of a loop, in a collection or in the candidates that an index has found. */
struct vm_iterator {
    union {
        const struct value *collection;
        const uint32_t *rules;
    };
    uint32_t at, count; /* count: of the rules */
};

/* What a unit's document is made of: a path below it and what stands there. */
struct vm_entry {
    const struct value *const *path;
    size_t count;
    const struct value *value;
    bool member; /* of a set */
    struct checked_place place;
};

struct vm_document {
    struct vm_entry *entries;
    size_t count, cap;
};

struct vm_frame {
    const struct plan_unit *unit;
    const struct value **slots;
    struct vm_iterator *iterators;
    struct value_builder *builders;
    const struct value *result;
    struct vm_document document;
    const struct plan_insn *insn; /* running */
};

/* Runs the instruction and returns the one that comes next: i + 1, or i + i->to where it fails. NULL at
 * the end of the unit, and when the evaluation is over: vm->status says why. */
typedef const struct plan_insn *vm_op(struct vm *vm, struct vm_frame *f, const struct plan_insn *i);

#define VM_HALT NULL

static inline const struct value *vm_operand(const struct vm *vm, const struct vm_frame *f, int32_t operand)
{
    return operand >= 0 ? f->slots[operand] : vm->plan->constants[~operand];
}

static inline struct arena *vm_arena(const struct vm *vm)
{
    return vm->call->arena;
}

/* ---- vm.c ---- */

/* Ends the evaluation; the first reason stays. All return VM_HALT (NULL). text lives as long as the arena. */
const struct plan_insn *vm_error(struct vm *vm, const struct vm_frame *f, const char *code, const char *text);
const struct plan_insn *vm_limit(struct vm *vm, const char *text);
/* The arena or the budget is spent. */
const struct plan_insn *vm_spent(struct vm *vm);

static inline bool vm_spend(struct vm *vm, uint64_t steps)
{
    return budget_spend(vm->call->budget, steps) || (vm_spent(vm), false);
}

/* Charges for a walk over the value: comparing, sorting, handing it to a builtin. Scalars are free. */
static inline bool vm_spend_walk(struct vm *vm, const struct value *v)
{
    uint64_t weight = value_weight(v);
    return weight < VM_WEIGHT_STEP || vm_spend(vm, weight / VM_WEIGHT_STEP);
}

/* Stores a result: NULL is undefined, unless the evaluation ended. */
static inline const struct plan_insn *vm_store(const struct vm *vm, struct vm_frame *f, const struct plan_insn *i,
                                               const struct value *v)
{
    if (!v) return vm->status == VM_FINE ? i + i->to : VM_HALT;
    f->slots[i->a] = v;
    return i + 1;
}

/* The same for what was just made: NULL is want of memory. */
static inline const struct plan_insn *vm_store_made(struct vm *vm, struct vm_frame *f, const struct plan_insn *i,
                                                    const struct value *v)
{
    if (!v) return vm_spent(vm);
    f->slots[i->a] = v;
    return i + 1;
}

/* Value of a unit with its arguments. NULL: undefined, or the evaluation ended. */
const struct value *vm_unit(struct vm *vm, const struct plan_unit *u, const struct value *const *args);

/* One instruction, whichever it is: as vm_op. */
const struct plan_insn *vm_step(struct vm *vm, struct vm_frame *f, const struct plan_insn *i);

/* ---- vm_trace.c: with vm->tracer, instead of the fast loop ---- */

/* Runs the unit's code; false when the evaluation is over. */
bool vm_trace_run(struct vm *vm, struct vm_frame *f);
void vm_trace_leave(struct vm *vm, const struct vm_frame *f, const struct value *v);

/* ---- vm_values.c, vm_calls.c, vm_tree.c, vm_with.c, vm_result.c, vm_index.c ---- */

vm_op vm_move, vm_true, vm_equal, vm_compare, vm_compared, vm_iterate, vm_next_turn, vm_get, vm_at, vm_array_of,
    vm_object_of, vm_member;
vm_op vm_array, vm_set, vm_object, vm_build, vm_add, vm_put, vm_built;
vm_op vm_call, vm_builtin, vm_arithmetic, vm_print;
vm_op vm_input, vm_base, vm_rule, vm_node, vm_keys;
vm_op vm_with, vm_with_end;
vm_op vm_result, vm_insert, vm_insert_missing;
vm_op vm_candidates, vm_rules;

/* Member of a value by key; base: of a base document, where a number also names the key spelt like it. */
const struct value *vm_look_up(struct vm *vm, const struct value *v, const struct value *key, bool base);

/* Charges for making a set of items, or an object of pairs: n members are sorted. */
bool vm_spend_sorting(struct vm *vm, const struct value_pair *pairs, const struct value *const *items, size_t n);

/* The document that the unit's insertions make, an object. NULL: the evaluation ended. */
const struct value *vm_document_value(struct vm *vm, struct vm_frame *f);

/* A scope within the present one that inherits everything but the memo. NULL: the evaluation ended. */
struct vm_scope *vm_scope_push(struct vm *vm);

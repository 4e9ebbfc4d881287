/* The loop, frames, and how an evaluation ends. */
#include "policy/machine.h"

const struct value VM_UNDEFINED = { .kind = VALUE_NULL }, VM_BUSY = { .kind = VALUE_NULL };

const struct plan_insn *vm_error(struct vm *vm, const struct vm_frame *f, const char *code, const char *text)
{
    if (vm->status != VM_FINE) return VM_HALT;
    vm->status = VM_ERROR;
    vm->code = code;
    vm->text = text;
    if (f && f->insn) vm->place = f->unit->places[f->insn - f->unit->code];
    return VM_HALT;
}

const struct plan_insn *vm_limit(struct vm *vm, const char *text)
{
    if (vm->status != VM_FINE) return VM_HALT;
    vm->status = VM_LIMIT;
    vm->code = "limit_error";
    vm->text = text;
    return VM_HALT;
}

const struct plan_insn *vm_spent(struct vm *vm)
{
    return vm_limit(vm, arena_failed(vm_arena(vm)) ? "the evaluation needs too much memory"
                                                   : "the evaluation takes too many steps");
}

/* ---- instructions without a value -------------------------------------------------------------- */

static const struct plan_insn *nop(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    return i + 1;
}

static const struct plan_insn *jump(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    return i + i->to;
}

static const struct plan_insn *clear(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    f->slots[i->a] = NULL;
    return i + 1;
}

static const struct plan_insn *when_set(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    return f->slots[i->a] ? i + i->to : i + 1;
}

static const struct plan_insn *when_result(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    return f->result ? i + i->to : i + 1;
}

static const struct plan_insn *end(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    return NULL;
}

static vm_op *const ops[PLAN_OPS] = {
    [PLAN_NOP] = nop,
    [PLAN_JUMP] = jump,
    [PLAN_MOVE] = vm_move,
    [PLAN_TRUE] = vm_true,
    [PLAN_EQUAL] = vm_equal,
    [PLAN_COMPARE] = vm_compare,
    [PLAN_COMPARED] = vm_compared,
    [PLAN_ITERATE] = vm_iterate,
    [PLAN_NEXT] = vm_next_turn,
    [PLAN_GET] = vm_get,
    [PLAN_AT] = vm_at,
    [PLAN_ARRAY_OF] = vm_array_of,
    [PLAN_OBJECT_OF] = vm_object_of,
    [PLAN_MEMBER] = vm_member,
    [PLAN_ARRAY] = vm_array,
    [PLAN_SET] = vm_set,
    [PLAN_OBJECT] = vm_object,
    [PLAN_BUILD] = vm_build,
    [PLAN_ADD] = vm_add,
    [PLAN_PUT] = vm_put,
    [PLAN_BUILT] = vm_built,
    [PLAN_INPUT] = vm_input,
    [PLAN_BASE] = vm_base,
    [PLAN_RULE] = vm_rule,
    [PLAN_CALL] = vm_call,
    [PLAN_BUILTIN] = vm_builtin,
    [PLAN_ARITHMETIC] = vm_arithmetic,
    [PLAN_PRINT] = vm_print,
    [PLAN_DOCUMENT] = vm_node,
    [PLAN_KEYS] = vm_keys,
    [PLAN_WITH] = vm_with,
    [PLAN_WITH_END] = vm_with_end,
    [PLAN_CLEAR] = clear,
    [PLAN_WHEN_SET] = when_set,
    [PLAN_RESULT] = vm_result,
    [PLAN_WHEN_RESULT] = when_result,
    [PLAN_CANDIDATES] = vm_candidates,
    [PLAN_RULES] = vm_rules,
    [PLAN_INSERT] = vm_insert,
    [PLAN_INSERT_MISSING] = vm_insert_missing,
    [PLAN_MARK] = nop,
    [PLAN_END] = end,
};

/* ---- frames ------------------------------------------------------------------------------------- */

enum {
    ITERATOR_WORDS = sizeof(struct vm_iterator) / sizeof(uint64_t),
    BUILDER_WORDS = sizeof(struct value_builder) / sizeof(uint64_t),
};

_Static_assert(sizeof(void *) == sizeof(uint64_t), "slots are words");
_Static_assert(sizeof(struct vm_iterator) % sizeof(uint64_t) == 0, "iterators are whole words");
_Static_assert(sizeof(struct value_builder) % sizeof(uint64_t) == 0, "builders are whole words");

static size_t frame_words(const struct plan_unit *u)
{
    return u->slots + (size_t) u->iterators * ITERATOR_WORDS + (size_t) u->builders * BUILDER_WORDS;
}

size_t vm_stack_words(const struct plan *plan)
{
    size_t most = 0;
    const struct checked_program *c = plan->checked;
    for (size_t i = 0; i < c->group_count + c->query_count; i++) {
        const struct plan_unit *u = i < c->group_count ? &plan->groups[i] : &plan->queries[i - c->group_count];
        if (frame_words(u) > most) most = frame_words(u);
    }
    return most > VM_STACK_WORDS / 16 ? 16 * most : VM_STACK_WORDS;
}

static bool open_frame(struct vm *vm, struct vm_frame *f, const struct plan_unit *u)
{
    size_t words = frame_words(u);
    if (vm->depth >= vm->depth_max || words > vm->stack_size - vm->stack_used) {
        vm_limit(vm, "rules and functions call each other too deeply");
        return false;
    }
    uint64_t *at = vm->stack + vm->stack_used;
    vm->stack_used += words;
    vm->depth++;
    *f = (struct vm_frame) { .unit = u, .slots = (const struct value **) (void *) at };
    f->iterators = (struct vm_iterator *) (void *) (at + u->slots);
    f->builders = (struct value_builder *) (void *) (at + u->slots + u->iterators * (size_t) ITERATOR_WORDS);
    return true;
}

static void close_frame(struct vm *vm, const struct vm_frame *f)
{
    vm->stack_used -= frame_words(f->unit);
    vm->depth--;
}

/* The innermost statement is where a budget ended, when nothing said otherwise. */
static bool halted(struct vm *vm, const struct vm_frame *f)
{
    if (!vm->place.line) vm->place = f->unit->places[f->insn - f->unit->code];
    return false;
}

const struct plan_insn *vm_step(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    return ops[i->op](vm, f, i);
}

static bool run(struct vm *vm, struct vm_frame *f)
{
    if (vm->tracer) return vm_trace_run(vm, f) || halted(vm, f);
    for (const struct plan_insn *i = f->unit->code; i; i = ops[i->op](vm, f, i)) f->insn = i;
    return vm->status == VM_FINE || halted(vm, f);
}

static const struct value *unit_value(struct vm *vm, struct vm_frame *f)
{
    if (f->unit->kind == PLAN_UNIT_DOCUMENT) return vm_document_value(vm, f);
    if (f->unit->kind != PLAN_UNIT_SET) return f->result;
    struct value_builder *members = &f->builders[0];
    if (!vm_spend_sorting(vm, NULL, members->items, members->count)) return NULL;
    const struct value *set = value_builder_end(members, NULL);
    if (!set) vm_spent(vm);
    return set;
}

const struct value *vm_unit(struct vm *vm, const struct plan_unit *u, const struct value *const *args)
{
    struct vm_frame f;
    const struct value *v = NULL;
    if (!vm_spend(vm, u->steps) || !open_frame(vm, &f, u)) return NULL;
    for (uint32_t i = 0; i < u->arity; i++) f.slots[i] = args[i];
    if (run(vm, &f)) v = unit_value(vm, &f);
    if (vm->status != VM_FINE) v = NULL;
    if (vm->tracer) vm_trace_leave(vm, &f, v);
    close_frame(vm, &f);
    return v;
}

bool vm_query(struct vm *vm, const struct plan_unit *u, const struct value **ret_value,
              const struct value **ret_bindings)
{
    struct vm_frame f;
    if (!vm_spend(vm, 1) || !open_frame(vm, &f, u)) return false;
    if (run(vm, &f)) {
        *ret_value = f.result;
        *ret_bindings = value_builder_end(&f.builders[0], NULL);
        if (!*ret_bindings) vm_spent(vm);
    }
    if (vm->tracer) vm_trace_leave(vm, &f, *ret_value);
    close_frame(vm, &f);
    /* An evaluation that ran out of something has no answer, whoever overlooked it: what was not made
     * counted as undefined, and `not` of that holds. */
    bool spent = arena_failed(vm_arena(vm)) || (vm->call->budget && vm->call->budget->spent);
    if (vm->status == VM_FINE && spent) vm_spent(vm);
    if (vm->status == VM_FINE && vm->builtin_code) {
        vm->status = VM_ERROR;
        vm->code = vm->builtin_code;
        vm->text = vm->builtin_text;
        vm->place = vm->builtin_place;
    }
    return vm->status == VM_FINE;
}

/* `with`: a scope in which parts of input and data, or functions, are replaced. */
#include "policy/machine.h"

struct vm_scope *vm_scope_push(struct vm *vm)
{
    size_t nodes = vm->plan->checked->node_count;
    struct vm_scope *scope = arena_alloc(vm_arena(vm), sizeof *scope);
    const struct value **memo = arena_alloc_array(vm_arena(vm), nodes, sizeof *memo);
    if (!scope || !memo) return vm_spent(vm), NULL;
    if (!vm_spend(vm, 1 + nodes / 64)) return NULL;
    *scope = *vm->scope;
    scope->outer = vm->scope;
    scope->memo = memo;
    vm->scope = scope;
    return scope;
}

/* `whole` with `value` at the path; what is no object on the way gives place to one. NULL: the evaluation
 * ended. */
static const struct value *replace_at(struct vm *vm, const struct value *whole, const struct checked_with *w,
                                      const struct value *value)
{
    size_t count = w->path_count;
    const struct value **on_way = arena_alloc_array(vm_arena(vm), count, sizeof *on_way);
    if (!on_way) return vm_spent(vm), NULL;
    const struct value *at = whole;
    for (size_t i = 0; i < count; i++) {
        on_way[i] = value_is(at, VALUE_OBJECT) ? at : &VALUE_EMPTY_OBJECT;
        at = object_get(on_way[i], w->path[i]);
    }
    for (size_t i = count; i-- > 0 && value;) {
        if (!vm_spend(vm, 1 + on_way[i]->count / 8)) return NULL;
        value = object_with(vm_arena(vm), on_way[i], w->path[i], value);
    }
    if (!value) vm_spent(vm);
    return value;
}

static bool hide(struct vm *vm, struct vm_scope *scope, const struct checked_node *node)
{
    struct vm_hidden *hidden = arena_alloc(vm_arena(vm), sizeof *hidden);
    if (!hidden) return vm_spent(vm), false;
    *hidden = (struct vm_hidden) { scope->hidden, node };
    scope->hidden = hidden;
    return true;
}

static bool mock(struct vm *vm, struct vm_scope *scope, const struct checked_with *w, const struct value *value)
{
    struct vm_mock *m = arena_alloc(vm_arena(vm), sizeof *m);
    if (!m) return vm_spent(vm), false;
    *m = (struct vm_mock) { scope->mocks, w, value };
    scope->mocks = m;
    return true;
}

static bool apply(struct vm *vm, struct vm_scope *scope, const struct checked_with *w, const struct value *value)
{
    switch (w->kind) {
    case CHECKED_WITH_INPUT: return (scope->input = replace_at(vm, scope->input, w, value)) != NULL;
    case CHECKED_WITH_DATA:
        if (w->node && !hide(vm, scope, w->node)) return false;
        return (scope->data = replace_at(vm, scope->data, w, value)) != NULL;
    case CHECKED_WITH_FUNCTION: break;
    }
    return mock(vm, scope, w, value);
}

const struct plan_insn *vm_with(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    struct vm_scope *scope = vm_scope_push(vm);
    for (size_t n = 0; scope && n < i->count; n++) {
        const struct value *value = vm_operand(vm, f, vm->plan->args[i->c + (int32_t) n]);
        if (!apply(vm, scope, vm->plan->withs[i->b + (int32_t) n].of, value)) return VM_HALT;
    }
    return scope ? i + 1 : VM_HALT;
}

const struct plan_insn *vm_with_end(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    vm->scope = vm->scope->outer;
    return i + 1;
}

/* Input and data: rules by their memo, packages by putting rules and base documents together. */
#include "policy/machine.h"

const struct plan_insn *vm_input(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    return vm_store(vm, f, i, vm->scope->input);
}

const struct plan_insn *vm_base(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    return vm_store(vm, f, i, vm->scope->data);
}

/* ---- nodes -------------------------------------------------------------------------------------- */

static bool is_hidden(const struct vm *vm, const struct checked_node *n)
{
    for (const struct vm_hidden *h = vm->scope->hidden; h; h = h->next)
        for (const struct checked_node *up = n; up; up = up->parent)
            if (up == h->node) return true;
    return false;
}

/* The base document at the node. */
static const struct value *base_at(struct vm *vm, const struct checked_node *n)
{
    size_t depth = 0;
    for (const struct checked_node *up = n; up->parent; up = up->parent) depth++;
    const struct value **keys = arena_alloc_array(vm_arena(vm), depth, sizeof *keys);
    if (!keys) return vm_spent(vm), NULL;
    for (size_t at = depth; n->parent; n = n->parent) keys[--at] = n->key;
    const struct value *v = vm->scope->data;
    for (size_t at = 0; v && at < depth; at++) v = value_get(v, keys[at]);
    return v;
}

static const struct value *node_value(struct vm *vm, const struct checked_node *n);

/* Functions have no value; a package may have the name of one all the same. */
static bool is_function(const struct checked_node *n)
{
    return n->group && !plan_is_document(n->group) && !n->child_count;
}

/* What the rules below the node make: an object, empty when none is defined. */
static const struct value *package_value(struct vm *vm, const struct checked_node *n)
{
    struct value_builder b;
    value_builder_init(&b, vm_arena(vm), VALUE_OBJECT);
    for (size_t i = 0; i < n->child_count; i++) {
        const struct checked_node *child = n->children[i];
        if (is_function(child)) continue;
        const struct value *v = node_value(vm, child);
        if (vm->status != VM_FINE) return NULL;
        if (v && !value_builder_put(&b, child->key, v)) break;
    }
    const struct value *virtual = value_builder_end(&b, NULL);
    const struct value *base = virtual ? base_at(vm, n) : NULL;
    if (virtual && value_is(base, VALUE_OBJECT)) virtual = object_merge(vm_arena(vm), virtual, base);
    if (!virtual) vm_spent(vm);
    return vm->status == VM_FINE ? virtual : NULL;
}

static const struct value *compute(struct vm *vm, const struct checked_node *n)
{
    if (is_function(n) || (vm->scope->hidden && is_hidden(vm, n))) return base_at(vm, n);
    if (plan_is_document(n->group)) return vm_unit(vm, &vm->plan->groups[n->group->number], NULL);
    if (vm->depth >= vm->depth_max) return vm_limit(vm, "packages nest too deeply"), NULL;
    vm->depth++;
    const struct value *v = package_value(vm, n);
    vm->depth--;
    return v;
}

/* NULL: undefined, or the evaluation ended. */
static const struct value *node_value(struct vm *vm, const struct checked_node *n)
{
    const struct value **memo = &vm->scope->memo[n->number];
    if (*memo == &VM_UNDEFINED) return NULL;
    if (*memo == &VM_BUSY) {
        vm_error(vm, NULL, "rego_recursion_error", "a rule needs its own value");
        return NULL;
    }
    if (*memo) return *memo;
    *memo = &VM_BUSY;
    const struct value *v = compute(vm, n);
    *memo = v ? v : &VM_UNDEFINED;
    return v;
}

const struct plan_insn *vm_rule(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    return vm_store(vm, f, i, node_value(vm, vm->plan->checked->groups[i->b]->node));
}

/* ---- paths of which only the running evaluation knows where they lead ----------------------------- */

struct walk {
    const struct checked_node *node; /* where the path ends in the tree, or NULL: */
    const struct value *value;       /* .. it ended in a value (NULL: undefined) */
};

static struct walk walk(struct vm *vm, const struct vm_frame *f, const struct plan_insn *i)
{
    const struct checked_node *n = vm->plan->checked->nodes[i->b];
    const int32_t *args = vm->plan->args + i->c;
    size_t at = 0;
    while (at < i->count && !plan_is_document(n->group)) {
        const struct checked_node *child =
            vm->scope->hidden && is_hidden(vm, n) ? NULL : checked_child(n, vm_operand(vm, f, args[at]));
        if (!child) break;
        n = child;
        at++;
    }
    if (at == i->count) return (struct walk) { .node = n };
    bool base = !plan_is_document(n->group);
    const struct value *v = base ? base_at(vm, n) : node_value(vm, n);
    while (v && at < i->count) v = vm_look_up(vm, v, vm_operand(vm, f, args[at++]), base);
    return (struct walk) { .value = v };
}

const struct plan_insn *vm_node(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    struct walk w = walk(vm, f, i);
    const struct value *v = w.node && vm->status == VM_FINE ? node_value(vm, w.node) : w.value;
    return vm_store(vm, f, i, v);
}

const struct plan_insn *vm_keys(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    struct walk w = walk(vm, f, i);
    if (!w.node) return vm_store(vm, f, i, w.value);
    bool hidden = vm->scope->hidden && is_hidden(vm, w.node);
    if (hidden || plan_is_document(w.node->group)) return vm_store(vm, f, i, node_value(vm, w.node));
    struct value_builder b;
    value_builder_init(&b, vm_arena(vm), VALUE_SET);
    for (size_t n = 0; n < w.node->child_count; n++) {
        const struct checked_node *child = w.node->children[n];
        if (!is_function(child) && !value_builder_add(&b, child->key)) return vm_spent(vm);
    }
    const struct value *base = base_at(vm, w.node);
    for (size_t n = 0; value_is(base, VALUE_OBJECT) && n < base->count; n++)
        if (!value_builder_add(&b, base->pairs[n].key)) return vm_spent(vm);
    return vm_store_made(vm, f, i, value_builder_end(&b, NULL));
}

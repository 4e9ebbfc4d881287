/* What a unit comes to: one value that all its rules agree on, or a document made of insertions. */
#include "policy/machine.h"

#include <stdlib.h>

enum { DEPTH_NAMED = 2 }; /* of frames: the query's own, and that of the rule which it names */

static const char conflict[] = "eval_conflict_error";
static const char complete_conflict[] = "complete rules must not produce multiple outputs";
static const char function_conflict[] = "functions must not produce multiple outputs for same inputs";
static const char key_conflict[] = "object keys must be unique";

const struct plan_insn *vm_result(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    const struct value *v = vm_operand(vm, f, i->b);
    if (f->result && !vm_spend_walk(vm, v)) return VM_HALT;
    if (f->result && !value_equal(f->result, v)) {
        bool function = f->unit->kind == PLAN_UNIT_FUNCTION;
        return vm_error(vm, f, conflict, function ? function_conflict : complete_conflict);
    }
    if (!f->result) {
        f->result = v; /* of 1 and 1.0 the first, as in OPA */
        if (vm->depth == DEPTH_NAMED) vm->rule = f->unit->places[i - f->unit->code];
    }
    return i + 1;
}

static const struct plan_insn *insert(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    struct vm_document *d = &f->document;
    const struct value **path = arena_alloc_array(vm_arena(vm), i->count, sizeof *path);
    struct vm_entry *entries = path ? arena_grow(vm_arena(vm), d->entries, d->count, &d->cap, sizeof *entries) : NULL;
    if (!entries) return vm_spent(vm);
    for (size_t n = 0; n < i->count; n++) {
        path[n] = vm_operand(vm, f, vm->plan->args[i->c + (int32_t) n]);
        if (!vm_spend_walk(vm, path[n])) return VM_HALT;
    }
    if (!vm_spend_walk(vm, vm_operand(vm, f, i->b))) return VM_HALT;
    d->entries = entries;
    d->entries[d->count++] = (struct vm_entry) {
        .path = path,
        .count = i->count,
        .value = vm_operand(vm, f, i->b),
        .member = i->flag,
        .place = f->unit->places[i - f->unit->code],
    };
    return i + 1;
}

const struct plan_insn *vm_insert(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    return insert(vm, f, i);
}

/* True when the shorter path leads to the longer one. */
static bool on_path(const struct vm_entry *e, const struct vm *vm, const struct vm_frame *f, const struct plan_insn *i)
{
    size_t count = e->count < i->count ? e->count : i->count;
    for (size_t n = 0; n < count; n++)
        if (!value_equal(e->path[n], vm_operand(vm, f, vm->plan->args[i->c + (int32_t) n]))) return false;
    return true;
}

const struct plan_insn *vm_insert_missing(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    if (!vm_spend(vm, f->document.count)) return VM_HALT;
    for (size_t n = 0; n < f->document.count; n++)
        if (on_path(&f->document.entries[n], vm, f, i)) return i + i->to;
    return insert(vm, f, i);
}

/* ---- the document ------------------------------------------------------------------------------- */

/* By path, so that what belongs together stands together; shorter paths first. */
static int by_path(const void *x, const void *y)
{
    const struct vm_entry *a = x, *b = y;
    for (size_t n = 0; n < a->count && n < b->count; n++) {
        int order = value_compare(a->path[n], b->path[n]);
        if (order) return order;
    }
    return (a->count > b->count) - (a->count < b->count);
}

/* Entries of one and the same path: all members of one set, or all the same value. */
static const struct value *leaf(struct vm *vm, const struct vm_entry *e, size_t count)
{
    struct value_builder b;
    value_builder_init(&b, vm_arena(vm), VALUE_SET);
    for (size_t i = 0; i < count; i++) {
        if (e[i].member != e[0].member || (!e[i].member && !value_equal(e[i].value, e[0].value))) {
            vm_error(vm, NULL, conflict, key_conflict);
            vm->place = e[i].place;
            return NULL;
        }
        if (e[i].member && !value_builder_add(&b, e[i].value)) return vm_spent(vm), NULL;
    }
    const struct value *v = e[0].member ? value_builder_end(&b, NULL) : e[0].value;
    if (!v) vm_spent(vm);
    return v;
}

/* The entries share the first `depth` elements of their paths. Recursion is as deep as the longest
 * path, which is written out in a rule's head. */
static const struct value *branch(struct vm *vm, const struct vm_entry *e, size_t count, size_t depth)
{
    if (count && e[0].count == depth) {
        if (e[count - 1].count == depth) return leaf(vm, e, count);
        vm_error(vm, NULL, conflict, key_conflict);
        vm->place = e[count - 1].place;
        return NULL;
    }
    if (depth > VALUE_DEPTH_MAX) return vm_limit(vm, "the document nests too deeply"), NULL;
    struct value_builder b;
    value_builder_init(&b, vm_arena(vm), VALUE_OBJECT);
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && value_equal(e[to].path[depth], e[from].path[depth]);) to++;
        const struct value *v = branch(vm, e + from, to - from, depth + 1);
        if (!v) return NULL;
        if (!value_builder_put(&b, e[from].path[depth], v)) break;
    }
    const struct value *v = value_builder_end(&b, NULL);
    if (!v) vm_spent(vm);
    return v;
}

const struct value *vm_document_value(struct vm *vm, struct vm_frame *f)
{
    struct vm_document *d = &f->document;
    if (!vm_spend(vm, d->count)) return NULL;
    if (d->count > 1) qsort(d->entries, d->count, sizeof *d->entries, by_path);
    return branch(vm, d->entries, d->count, 0);
}

/* The rule index at work: what stands at its paths now, and the rules which that leaves. The values are
 * those of the present scope, so replacements by `with` are seen. */
#include "policy/machine.h"
#include "policy/plan_index.h"

/* What is known while the candidates are looked for. */
struct lookup {
    struct vm *vm;
    struct vm_frame *frame;
    const struct plan_index *index;
    uint64_t hashes[PLAN_INDEX_PATHS_MAX];
    const struct value *values[PLAN_INDEX_PATHS_MAX]; /* NULL: nothing that any constant equals */
    const struct plan_entry *found[PLAN_INDEX_TABLES_MAX];
    size_t found_count, rules; /* entries found, and rules in them */
};

/* ---- paths -------------------------------------------------------------------------------------- */

static bool path_value(struct lookup *l, const struct plan_path *path, const struct value **ret);

/* False when it cannot be known without running the bodies: who calls the builtin there gets its error, or
 * what `with` put in its place. */
static bool call_value(struct lookup *l, const struct plan_path *path, const struct value **ret)
{
    const struct value *args[BUILTIN_ARGS_MAX];
    struct builtin_call *call = l->vm->call;
    *ret = NULL;
    if (l->vm->scope->mocks) return false;
    for (size_t i = 0; i < path->builtin->arity; i++) {
        const struct plan_path_operand *o = &path->operands[i];
        args[i] = o->constant;
        if (o->path && !path_value(l, o->path, &args[i])) return false;
        if (!args[i]) return true;
        if (!vm_spend_walk(l->vm, args[i])) return false;
    }
    *ret = builtin_run(call, path->builtin, args);
    return *ret || call->problem == BUILTIN_FINE;
}

static bool path_value(struct lookup *l, const struct plan_path *path, const struct value **ret)
{
    const struct value *v = NULL;
    switch (path->root) {
    case PLAN_PATH_INPUT: v = l->vm->scope->input; break;
    case PLAN_PATH_DATA: v = l->vm->scope->data; break;
    case PLAN_PATH_ARGUMENT: v = l->frame->slots[path->argument]; break;
    case PLAN_PATH_CALL:
        if (!call_value(l, path, &v)) return false;
        break;
    }
    for (size_t i = 0; v && i < path->count; i++) v = vm_look_up(l->vm, v, path->steps[i].key, path->steps[i].base);
    *ret = v;
    return true;
}

/* What is of another kind than every constant, or too heavy to be equal to one, need not be looked at. */
static bool take_path(struct lookup *l, size_t n)
{
    const struct value *v = NULL;
    if (!path_value(l, l->index->paths[n], &v)) return false;
    bool may_equal = v && l->index->kinds[n] >> v->kind & 1 && value_weight(v) <= l->index->weights[n];
    l->values[n] = may_equal ? v : NULL;
    if (!may_equal) return true;
    l->hashes[n] = value_hash(v);
    return vm_spend_walk(l->vm, v);
}

/* ---- tables ------------------------------------------------------------------------------------- */

static bool is_entry(const struct lookup *l, const struct plan_table *t, const struct plan_entry *e)
{
    for (size_t i = 0; i < t->path_count; i++)
        if (!value_equal(e->values[i], l->values[t->paths[i]])) return false;
    return true;
}

static void look_in_table(struct lookup *l, const struct plan_table *t)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < t->path_count; i++) {
        if (!l->values[t->paths[i]]) return;
        hash = plan_hash_add(hash, l->hashes[t->paths[i]]);
    }
    for (size_t probe = 0; probe < PLAN_INDEX_PROBES_MAX; probe++) {
        const struct plan_entry *e = &t->entries[(hash + probe) & t->mask];
        if (!e->values) return;
        if (e->hash != hash || !is_entry(l, t, e)) continue;
        l->found[l->found_count++] = e;
        l->rules += e->count;
        return;
    }
}

/* ---- candidates --------------------------------------------------------------------------------- */

/* One ascending list of two. */
static size_t merge(uint32_t *to, const uint32_t *x, size_t x_count, const uint32_t *y, size_t y_count)
{
    size_t count = 0;
    for (size_t i = 0, j = 0; i < x_count || j < y_count;) {
        bool take_x = j == y_count || (i < x_count && x[i] <= y[j]);
        uint32_t rule = take_x ? x[i++] : y[j++];
        if (!count || to[count - 1] != rule) to[count++] = rule;
    }
    return count;
}

static bool merge_all(struct lookup *l, struct vm_iterator *it)
{
    const uint32_t *list = l->index->always;
    size_t count = l->index->always_count, most = count + l->rules;
    for (size_t i = 0; i < l->found_count; i++) {
        uint32_t *merged = arena_alloc_array(vm_arena(l->vm), most, sizeof *merged);
        if (!merged || !vm_spend(l->vm, most / PLAN_INSNS_STEP)) return vm_spent(l->vm), false;
        count = merge(merged, list, count, l->found[i]->rules, l->found[i]->count);
        list = merged;
    }
    it->rules = list;
    it->count = (uint32_t) count;
    return true;
}

static bool find(struct lookup *l, struct vm_iterator *it)
{
    const struct plan_index *index = l->index;
    for (size_t i = 0; i < index->path_count; i++)
        if (!take_path(l, i)) {
            it->rules = index->all;
            it->count = (uint32_t) index->rule_count;
            return l->vm->status == VM_FINE;
        }
    for (size_t i = 0; i < index->table_count; i++) look_in_table(l, &index->tables[i]);
    if (l->found_count != 1 || index->always_count) return merge_all(l, it);
    it->rules = l->found[0]->rules;
    it->count = (uint32_t) l->found[0]->count;
    return true;
}

const struct plan_insn *vm_candidates(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    const struct plan_index *index = vm->plan->indexes[i->b];
    /* Its arrays are filled as far as they are read; zeroing them would take longer than the rest. */
    struct lookup l __attribute__((uninitialized));
    struct vm_iterator *it = &f->iterators[i->a];
    l.vm = vm;
    l.frame = f;
    l.index = index;
    l.found_count = l.rules = 0;
    it->at = 0;
    it->rules = index->all;
    it->count = (uint32_t) index->rule_count;
    if (!vm->all_rules && !find(&l, it)) return VM_HALT;
    return i + 1;
}

const struct plan_insn *vm_rules(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    const struct plan_index *index = vm->plan->indexes[i->b];
    struct vm_iterator *it = &f->iterators[i->a];
    if (it->at == it->count) return i + i->to;
    const uint32_t *start = &index->starts[it->rules[it->at++]];
    if (!vm_spend(vm, 1 + (start[1] - start[0]) / PLAN_INSNS_STEP)) return VM_HALT;
    return f->unit->code + *start;
}

/* Instructions on values: comparing, looking up, looping, building. */
#include "policy/machine.h"

const struct plan_insn *vm_move(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    f->slots[i->a] = vm_operand(vm, f, i->b);
    return i + 1;
}

const struct plan_insn *vm_true(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    return value_truthy(vm_operand(vm, f, i->b)) ? i + 1 : i + i->to;
}

/* Comparing walks over the lighter one at most; of numbers all digits are read. */
static inline bool spend_comparing(struct vm *vm, const struct value *x, const struct value *y)
{
    if (x->kind < VALUE_NUMBER || y->kind < VALUE_NUMBER) return true;
    bool first = value_weight(x) < value_weight(y);
    if (x->kind == VALUE_NUMBER) first = !first;
    return vm_spend_walk(vm, first ? x : y);
}

const struct plan_insn *vm_equal(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    const struct value *x = vm_operand(vm, f, i->b), *y = vm_operand(vm, f, i->c);
    if (!spend_comparing(vm, x, y)) return VM_HALT;
    return value_equal(x, y) ? i + 1 : i + i->to;
}

/* Does this order stand for what the instruction asks? */
static inline bool is_wanted(uint8_t flag, int order)
{
    switch (flag) {
    case PLAN_EQ: return order == 0;
    case PLAN_NE: return order != 0;
    case PLAN_LT: return order < 0;
    case PLAN_LE: return order <= 0;
    case PLAN_GT: return order > 0;
    default: return order >= 0;
    }
}

static inline bool compare(struct vm *vm, const struct vm_frame *f, const struct plan_insn *i)
{
    const struct value *x = vm_operand(vm, f, i->b), *y = vm_operand(vm, f, i->c);
    bool integers = x->kind == VALUE_NUMBER && y->kind == VALUE_NUMBER && !x->number.len && !y->number.len;
    if (integers) return is_wanted(i->flag, num_compare(x->number, y->number));
    if (!spend_comparing(vm, x, y)) return false; /* the caller sees the end */
    if (i->flag <= PLAN_NE) return value_equal(x, y) == (i->flag == PLAN_EQ);
    return is_wanted(i->flag, value_compare(x, y));
}

const struct plan_insn *vm_compare(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    bool holds = compare(vm, f, i);
    if (vm->status != VM_FINE) return VM_HALT;
    return holds ? i + 1 : i + i->to;
}

const struct plan_insn *vm_compared(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    f->slots[i->a] = value_bool(compare(vm, f, i));
    return vm->status == VM_FINE ? i + 1 : VM_HALT;
}

/* ---- loops -------------------------------------------------------------------------------------- */

const struct plan_insn *vm_iterate(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    const struct value *collection = vm_operand(vm, f, i->b);
    if (collection->kind < VALUE_ARRAY) return i + i->to;
    f->iterators[i->a] = (struct vm_iterator) { .collection = collection };
    return i + 1;
}

const struct plan_insn *vm_next_turn(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    struct vm_iterator *it = &f->iterators[i->a];
    const struct value *c = it->collection;
    if (it->at >= c->count) return i + i->to;
    if (!vm_spend(vm, 1u + i->count)) return VM_HALT;
    uint32_t at = it->at++;
    if (i->c >= 0) f->slots[i->c] = c->kind == VALUE_OBJECT ? c->pairs[at].value : c->items[at];
    if (i->b < 0) return i + 1; /* indices of arrays are not made for nobody */
    const struct value *key = c->kind == VALUE_OBJECT ? c->pairs[at].key
                              : c->kind == VALUE_SET  ? c->items[at]
                                                      : value_int(vm_arena(vm), at);
    if (!key) return vm_spent(vm);
    f->slots[i->b] = key;
    return i + 1;
}

/* ---- looking up --------------------------------------------------------------------------------- */

/* A base document is JSON, whose keys are strings: there data[2] means data["2"] too. */
const struct value *vm_look_up(struct vm *vm, const struct value *v, const struct value *key, bool base)
{
    const struct value *member = value_get(v, key);
    if (member || !base || v->kind != VALUE_OBJECT || key->kind != VALUE_NUMBER) return member;
    char buf[NUM_BUF];
    size_t len = 0;
    const char *text = num_text(key->number, buf, &len);
    const struct value *spelt = value_string(vm_arena(vm), text, len);
    if (!spelt) return vm_spent(vm), NULL;
    return object_get(v, spelt);
}

const struct plan_insn *vm_get(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    const struct value *key = vm_operand(vm, f, i->c);
    if (!vm_spend_walk(vm, key)) return VM_HALT;
    return vm_store(vm, f, i, vm_look_up(vm, vm_operand(vm, f, i->b), key, i->flag));
}

const struct plan_insn *vm_at(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    f->slots[i->a] = vm_operand(vm, f, i->b)->items[i->count];
    return i + 1;
}

const struct plan_insn *vm_array_of(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    const struct value *v = vm_operand(vm, f, i->b);
    return v->kind == VALUE_ARRAY && v->count == (uint32_t) i->c ? i + 1 : i + i->to;
}

const struct plan_insn *vm_object_of(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    const struct value *v = vm_operand(vm, f, i->b);
    return v->kind == VALUE_OBJECT && v->count == (uint32_t) i->c ? i + 1 : i + i->to;
}

static bool is_member(const struct value *member, const struct value *of)
{
    if (of->kind == VALUE_SET) return set_has(of, member);
    for (size_t i = 0; of->kind >= VALUE_ARRAY && i < of->count; i++)
        if (value_equal(member, of->kind == VALUE_ARRAY ? of->items[i] : of->pairs[i].value)) return true;
    return false;
}

const struct plan_insn *vm_member(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    const struct value *of = vm_operand(vm, f, i->c);
    if (!vm_spend_walk(vm, of)) return VM_HALT;
    return is_member(vm_operand(vm, f, i->b), of) ? i + 1 : i + i->to;
}

/* ---- composites --------------------------------------------------------------------------------- */

bool vm_spend_sorting(struct vm *vm, const struct value_pair *pairs, const struct value *const *items, size_t n)
{
    uint64_t weight = n;
    for (size_t i = 0; i < n; i++) weight += pairs ? value_weight(pairs[i].key) : value_weight(items[i]);
    return vm_spend(vm, weight / VM_WEIGHT_STEP);
}

static const struct value **gather(struct vm *vm, const struct vm_frame *f, const struct plan_insn *i)
{
    const struct value **items = arena_alloc_array(vm_arena(vm), i->count, sizeof *items);
    for (size_t n = 0; items && n < i->count; n++) items[n] = vm_operand(vm, f, vm->plan->args[i->c + (int32_t) n]);
    return items;
}

const struct plan_insn *vm_array(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    const struct value **items = gather(vm, f, i);
    return vm_store_made(vm, f, i, items ? value_array(vm_arena(vm), items, i->count) : NULL);
}

const struct plan_insn *vm_set(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    const struct value **items = gather(vm, f, i);
    if (items && !vm_spend_sorting(vm, NULL, items, i->count)) return VM_HALT;
    return vm_store_made(vm, f, i, items ? value_set(vm_arena(vm), items, i->count) : NULL);
}

const struct plan_insn *vm_object(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    struct value_pair *pairs = arena_alloc_array(vm_arena(vm), i->count / 2, sizeof *pairs);
    for (size_t n = 0; pairs && n < i->count; n += 2) {
        pairs[n / 2].key = vm_operand(vm, f, vm->plan->args[i->c + (int32_t) n]);
        pairs[n / 2].value = vm_operand(vm, f, vm->plan->args[i->c + (int32_t) n + 1]);
    }
    if (pairs && !vm_spend_sorting(vm, pairs, NULL, i->count / 2)) return VM_HALT;
    /* Of keys that turn out the same the later one wins, as in OPA; only comprehensions conflict. */
    return vm_store_made(vm, f, i, pairs ? value_object(vm_arena(vm), pairs, i->count / 2, NULL) : NULL);
}

const struct plan_insn *vm_build(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    value_builder_init(&f->builders[i->a], vm_arena(vm), i->flag);
    return i + 1;
}

const struct plan_insn *vm_add(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    return value_builder_add(&f->builders[i->a], vm_operand(vm, f, i->b)) ? i + 1 : vm_spent(vm);
}

const struct plan_insn *vm_put(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    const struct value *key = vm_operand(vm, f, i->b), *value = vm_operand(vm, f, i->c);
    return value_builder_put(&f->builders[i->a], key, value) ? i + 1 : vm_spent(vm);
}

const struct plan_insn *vm_built(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    const struct value *conflict = NULL;
    struct value_builder *b = &f->builders[i->b];
    if (b->kind != VALUE_ARRAY && !vm_spend_sorting(vm, b->pairs, b->items, b->count)) return VM_HALT;
    const struct value *v = value_builder_end(b, &conflict);
    if (conflict) return vm_error(vm, f, "eval_conflict_error", "object keys must be unique");
    return vm_store_made(vm, f, i, v);
}

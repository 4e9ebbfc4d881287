/* Terms and unification: what is bound is evaluated and compared, what is not is taken apart. */
#include "policy/planner.h"

void plan_bind(struct planner *p, uint32_t local, int32_t operand)
{
    if (p->failed || p->where[local] != PLAN_UNBOUND) return;
    p->where[local] = operand;
    p->trail[p->trail_count++] = local;
}

void plan_unbind(struct planner *p, size_t trail_count)
{
    while (p->trail_count > trail_count) p->where[p->trail[--p->trail_count]] = PLAN_UNBOUND;
}

static bool all_bound(const struct planner *p, struct checked_term *const *at, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!plan_bound(p, at[i])) return false;
    return true;
}

bool plan_bound(const struct planner *p, const struct checked_term *t)
{
    switch (t->kind) {
    case CHECKED_LOCAL: return p->where[t->local.number] != PLAN_UNBOUND;
    case CHECKED_ARRAY:
    case CHECKED_SET: return all_bound(p, t->items.at, t->items.count);
    case CHECKED_OBJECT: return all_bound(p, t->pairs.at, 2 * t->pairs.count);
    case CHECKED_CONST:
    case CHECKED_REF:
    case CHECKED_COMPREHENSION: break;
    }
    return true;
}

static int32_t composite(struct planner *p, enum plan_op op, struct checked_term *const *at, size_t count)
{
    int32_t *operands = plan_scratch(p, count);
    if (!operands) return 0;
    for (size_t i = 0; i < count; i++) operands[i] = plan_term(p, at[i]);
    int32_t first = plan_args(p, operands, count);
    int32_t slot = plan_slot(p);
    plan_emit(p, op, slot, -1, first)->count = (uint16_t) count;
    return slot;
}

static int32_t evaluate(struct planner *p, const struct checked_term *t)
{
    switch (t->kind) {
    case CHECKED_CONST: return plan_constant(p, t->value);
    case CHECKED_REF: return plan_ref(p, t->ref);
    case CHECKED_ARRAY: return composite(p, PLAN_ARRAY, t->items.at, t->items.count);
    case CHECKED_SET: return composite(p, PLAN_SET, t->items.at, t->items.count);
    case CHECKED_OBJECT: return composite(p, PLAN_OBJECT, t->pairs.at, 2 * t->pairs.count);
    case CHECKED_COMPREHENSION: return plan_comprehension(p, t->comprehension);
    case CHECKED_LOCAL: break;
    }
    int32_t at = p->where[t->local.number];
    if (at == PLAN_UNBOUND) {
        plan_fail(p, "variable %s is not bound here", t->local.name ? t->local.name : "(made)");
        return 0;
    }
    return at;
}

int32_t plan_term(struct planner *p, const struct checked_term *t)
{
    if (p->depth >= PLAN_DEPTH_MAX) plan_fail(p, "terms nest too deeply");
    if (p->failed) return 0;
    p->depth++;
    int32_t operand = evaluate(p, t);
    p->depth--;
    return operand;
}

/* ---- pattern against an operand ---------------------------------------------------------------- */

static bool match_array(struct planner *p, const struct checked_term *pattern, int32_t operand)
{
    plan_emit(p, PLAN_ARRAY_OF, -1, operand, (int32_t) pattern->items.count);
    if (pattern->items.count > UINT16_MAX) return plan_fail(p, "the pattern is too large");
    for (size_t i = 0; i < pattern->items.count && !p->failed; i++) {
        int32_t member = plan_slot(p);
        plan_emit(p, PLAN_AT, member, operand, -1)->count = (uint16_t) i;
        plan_match(p, pattern->items.at[i], member);
    }
    return !p->failed;
}

static bool match_object(struct planner *p, const struct checked_term *pattern, int32_t operand)
{
    plan_emit(p, PLAN_OBJECT_OF, -1, operand, (int32_t) pattern->pairs.count);
    for (size_t i = 0; i < pattern->pairs.count && !p->failed; i++) {
        int32_t key = plan_term(p, pattern->pairs.at[2 * i]);
        int32_t member = plan_slot(p);
        plan_emit(p, PLAN_GET, member, operand, key);
        plan_match(p, pattern->pairs.at[2 * i + 1], member);
    }
    return !p->failed;
}

static bool match(struct planner *p, const struct checked_term *pattern, int32_t operand)
{
    if (plan_bound(p, pattern)) {
        int32_t other = plan_term(p, pattern);
        plan_emit(p, PLAN_EQUAL, -1, other, operand);
        return !p->failed;
    }
    switch (pattern->kind) {
    case CHECKED_LOCAL:
        plan_bind(p, pattern->local.number, operand);
        return !p->failed;
    case CHECKED_ARRAY: return match_array(p, pattern, operand);
    case CHECKED_OBJECT: return match_object(p, pattern, operand);
    default: return plan_fail(p, "a set cannot bind variables");
    }
}

bool plan_match(struct planner *p, const struct checked_term *pattern, int32_t operand)
{
    if (p->depth >= PLAN_DEPTH_MAX) plan_fail(p, "patterns nest too deeply");
    if (p->failed) return false;
    p->depth++;
    match(p, pattern, operand);
    p->depth--;
    return !p->failed;
}

/* ---- term against term -------------------------------------------------------------------------- */

/* Can it be planned now: is one side bound, or is each side's part? */
static bool ready(const struct planner *p, const struct checked_term *l, const struct checked_term *r)
{
    if (plan_bound(p, l) || plan_bound(p, r)) return true;
    return l->kind != CHECKED_LOCAL && r->kind != CHECKED_LOCAL;
}

/* [x, 1] = [y, x]: pairs bind for one another, so those that can be done are done first. */
static bool unify_pairs(struct planner *p, struct checked_term *const *left,
                        struct checked_term *const *right, size_t count)
{
    int32_t *done = plan_scratch(p, count);
    for (size_t left_over = count; left_over && !p->failed;) {
        size_t before = left_over;
        for (size_t i = 0; i < count && !p->failed; i++) {
            if (done[i] || !ready(p, left[i], right[i])) continue;
            plan_unify(p, left[i], right[i]);
            done[i] = 1;
            left_over--;
        }
        if (left_over == before) return plan_fail(p, "neither side of = binds the other");
    }
    return !p->failed;
}

static bool unify_arrays(struct planner *p, const struct checked_term *l, const struct checked_term *r)
{
    if (l->items.count == r->items.count)
        return unify_pairs(p, l->items.at, r->items.at, l->items.count);
    plan_fail_here(p, p->otherwise);
    /* What follows is dead but is planned: its variables need a place. */
    for (size_t i = 0; i < l->items.count; i++) plan_match(p, l->items.at[i], 0);
    for (size_t i = 0; i < r->items.count; i++) plan_match(p, r->items.at[i], 0);
    return !p->failed;
}

static struct checked_term *pair_value(const struct checked_term *object, const struct checked_term *key)
{
    for (size_t i = 0; i < object->pairs.count; i++) {
        const struct checked_term *k = object->pairs.at[2 * i];
        bool same = k->kind == CHECKED_CONST && key->kind == CHECKED_CONST
                        ? value_equal(k->value, key->value)
                        : k->kind == CHECKED_LOCAL && key->kind == CHECKED_LOCAL
                              && k->local.number == key->local.number;
        if (same) return object->pairs.at[2 * i + 1];
    }
    return NULL;
}

static bool unify_objects(struct planner *p, const struct checked_term *l, const struct checked_term *r)
{
    size_t count = l->pairs.count;
    struct checked_term **sides = arena_alloc_array(p->arena, 2 * count + 1, sizeof(struct checked_term *));
    if (!sides) return plan_fail(p, "the policy is too large");
    bool same = count == r->pairs.count;
    for (size_t i = 0; i < count && same; i++) {
        sides[i] = l->pairs.at[2 * i + 1];
        sides[count + i] = pair_value(r, l->pairs.at[2 * i]);
        same = sides[count + i] != NULL;
    }
    if (same) return unify_pairs(p, sides, sides + count, count);
    plan_fail_here(p, p->otherwise);
    for (size_t i = 0; i < count; i++) plan_match(p, l->pairs.at[2 * i + 1], 0);
    for (size_t i = 0; i < r->pairs.count; i++) plan_match(p, r->pairs.at[2 * i + 1], 0);
    return !p->failed;
}

static bool unify(struct planner *p, const struct checked_term *l, const struct checked_term *r)
{
    bool left = plan_bound(p, l), right = plan_bound(p, r);
    if (right) {
        int32_t operand = plan_term(p, r);
        return plan_match(p, l, operand);
    }
    if (left) {
        int32_t operand = plan_term(p, l);
        return plan_match(p, r, operand);
    }
    if (l->kind == CHECKED_ARRAY && r->kind == CHECKED_ARRAY) return unify_arrays(p, l, r);
    if (l->kind == CHECKED_OBJECT && r->kind == CHECKED_OBJECT) return unify_objects(p, l, r);
    if (l->kind == CHECKED_LOCAL || r->kind == CHECKED_LOCAL)
        return plan_fail(p, "neither side of = binds the other");
    plan_fail_here(p, p->otherwise); /* an array never equals an object */
    return true;
}

bool plan_unify(struct planner *p, const struct checked_term *left, const struct checked_term *right)
{
    if (p->depth >= PLAN_DEPTH_MAX) plan_fail(p, "patterns nest too deeply");
    if (p->failed) return false;
    p->depth++;
    unify(p, left, right);
    p->depth--;
    return !p->failed;
}

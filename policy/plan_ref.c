/* References: leading constants are followed at once through the tree of rules; behind a rule, and in
 * input, data and locals, operands look up or, when unbound, loop. */
#include "policy/planner.h"

bool plan_is_document(const struct checked_group *g)
{
    return g && g->kind != CHECKED_FUNCTION;
}

/* One operand on a value: a look-up, or a loop over all keys. */
static int32_t step(struct planner *p, int32_t value, const struct checked_term *operand, bool base)
{
    int32_t member = plan_slot(p);
    if (plan_bound(p, operand)) {
        int32_t key = plan_term(p, operand);
        plan_emit(p, PLAN_GET, member, value, key)->flag = base;
        return member;
    }
    /* A variable that nothing else names, such as `_`: keys of arrays would be made for nobody. */
    if (operand->kind == CHECKED_LOCAL && p->mentions[operand->local.number] < 2) {
        plan_loop(p, value, -1, member);
        return member;
    }
    int32_t key = plan_slot(p);
    plan_loop(p, value, key, member);
    plan_match(p, operand, key);
    return member;
}

static int32_t steps(struct planner *p, int32_t value, const struct checked_ref *r, size_t from, bool base)
{
    for (size_t i = from; i < r->count && !p->failed; i++) value = step(p, value, r->operands[i], base);
    return value;
}

static unsigned height(const struct checked_node *n, unsigned most)
{
    unsigned highest = 0;
    if (most == 0 || plan_is_document(n->group)) return 0;
    for (size_t i = 0; i < n->child_count; i++) {
        unsigned h = 1 + height(n->children[i], most - 1);
        if (h > highest) highest = h;
    }
    return highest;
}

static int32_t document(struct planner *p, enum plan_op op, const struct checked_node *n,
                        const int32_t *path, size_t count)
{
    int32_t first = plan_args(p, path, count);
    int32_t slot = plan_slot(p);
    plan_emit(p, op, slot, (int32_t) n->number, first)->count = (uint16_t) count;
    return slot;
}

/* Below node n, operands from `from` on: as long as they may lead through packages, the path is kept
 * and only its end is evaluated, so that rules beside it are left alone. */
static int32_t below_node(struct planner *p, const struct checked_ref *r, const struct checked_node *n,
                          size_t from)
{
    size_t most = r->count - from;
    size_t high = height(n, most < PLAN_DEPTH_MAX ? (unsigned) most : PLAN_DEPTH_MAX);
    size_t count = high < most ? high : most;
    int32_t *path = plan_scratch(p, count);
    for (size_t i = 0; i < count && !p->failed; i++) {
        const struct checked_term *operand = r->operands[from + i];
        if (plan_bound(p, operand)) {
            path[i] = plan_term(p, operand);
            continue;
        }
        int32_t keys = document(p, PLAN_KEYS, n, path, i);
        path[i] = plan_slot(p);
        plan_loop(p, keys, path[i], -1);
        plan_match(p, operand, path[i]);
    }
    if (p->failed) return 0;
    return steps(p, document(p, PLAN_DOCUMENT, n, path, count), r, from + count, false);
}

static int32_t data_ref(struct planner *p, const struct checked_ref *r)
{
    const struct checked_node *n = p->checked->root;
    for (size_t i = 0; i < r->count; i++) {
        const struct checked_node *child =
            r->operands[i]->kind == CHECKED_CONST ? checked_child(n, r->operands[i]->value) : NULL;
        if (!child) {
            if (r->operands[i]->kind != CHECKED_CONST) return below_node(p, r, n, i);
            int32_t base = plan_slot(p);
            plan_emit(p, PLAN_BASE, base, -1, -1);
            return steps(p, base, r, 0, true);
        }
        n = child;
        if (!plan_is_document(n->group)) continue;
        int32_t slot = plan_slot(p);
        plan_emit(p, PLAN_RULE, slot, (int32_t) n->group->number, -1);
        return steps(p, slot, r, i + 1, false);
    }
    return below_node(p, r, n, r->count);
}

int32_t plan_ref(struct planner *p, const struct checked_ref *r)
{
    if (r->root == CHECKED_ROOT_DATA) return data_ref(p, r);
    int32_t root = 0;
    if (r->root == CHECKED_ROOT_LOCAL) {
        root = p->where[r->local];
        if (root == PLAN_UNBOUND) plan_fail(p, "a reference into an unbound variable");
    } else {
        root = plan_slot(p);
        plan_emit(p, PLAN_INPUT, root, -1, -1);
    }
    return p->failed ? 0 : steps(p, root, r, 0, false);
}

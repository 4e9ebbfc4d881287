#include "policy/moment.h"

#include "policy/arena.h"
#include "policy/machine.h"

#include <stdio.h>

enum { USES_MAX = 256, USE_DEPTH_MAX = 64 }; /* instructions looked at for one moment */

bool moment_keep(struct moment *m, struct arena *a, const struct trace_event *e)
{
    const struct plan_unit *u = e->unit;
    m->insn = NULL;
    if (!m->slots) m->slots = arena_alloc_array(a, u->slots, sizeof *m->slots);
    if (!m->iterators) m->iterators = arena_alloc_array(a, u->iterators, sizeof *m->iterators);
    if (!m->slots || !m->iterators) return false;
    memcpy(m->slots, e->frame->slots, u->slots * sizeof *m->slots);
    memcpy(m->iterators, e->frame->iterators, u->iterators * sizeof *m->iterators);
    m->plan = e->vm->plan;
    m->unit = u;
    m->origin = e->origin;
    m->reason = e->reason;
    m->left = e->left;
    m->right = e->right;
    m->turns = e->turns;
    snprintf(m->problem, sizeof m->problem, "%s", e->problem ? e->problem : "");
    m->insn = e->insn;
    return true;
}

const struct value *moment_operand(const struct moment *m, int32_t operand)
{
    return operand >= 0 ? m->slots[operand] : m->plan->constants[~operand];
}

/* ---- reading the code backwards ----------------------------------------------------------------- */

/* Instructions whose `a` is the slot they fill. */
static const bool fills[PLAN_OPS] = {
    [PLAN_MOVE] = true,  [PLAN_COMPARED] = true, [PLAN_GET] = true,      [PLAN_AT] = true,
    [PLAN_ARRAY] = true, [PLAN_SET] = true,      [PLAN_OBJECT] = true,   [PLAN_BUILT] = true,
    [PLAN_INPUT] = true, [PLAN_BASE] = true,     [PLAN_RULE] = true,     [PLAN_CALL] = true,
    [PLAN_BUILTIN] = true, [PLAN_ARITHMETIC] = true, [PLAN_DOCUMENT] = true, [PLAN_KEYS] = true,
};

const struct plan_insn *moment_definer(const struct moment *m, const struct plan_insn *before, int32_t slot)
{
    if (slot < 0) return NULL;
    for (const struct plan_insn *i = before; i-- > m->unit->code;) {
        if (fills[i->op] && i->a == slot) return i;
        if (i->op == PLAN_NEXT && (i->b == slot || i->c == slot)) return i;
    }
    return NULL;
}

static const struct plan_origin *origin_of(const struct moment *m, const struct plan_insn *i)
{
    return m->unit->origins[i - m->unit->code];
}

/* Directly in the body of `not`, or under a `with` in it. */
static bool stands_in(const struct plan_origin *o, const struct plan_origin *negation)
{
    while (o->outer && o->outer != negation && o->outer->expr->kind == CHECKED_WITH) o = o->outer;
    return o->outer == negation;
}

const struct plan_insn *moment_decider(const struct moment *m)
{
    if (m->reason != TRACE_NEGATED) return m->insn;
    for (const struct plan_insn *i = m->insn; i-- > m->unit->code;) {
        if (origin_of(m, i) == m->origin && i->op == PLAN_MARK) break;
        bool test = i->op == PLAN_TRUE || i->op == PLAN_EQUAL || i->op == PLAN_COMPARE || i->op == PLAN_MEMBER;
        if (test && stands_in(origin_of(m, i), m->origin)) return i;
    }
    return NULL;
}

const struct value *moment_loop_key(const struct moment *m, const struct plan_insn *next, struct value *room)
{
    const struct vm_iterator *it = &m->iterators[next->a];
    if (!it->collection || it->at == 0 || it->at > it->collection->count) return NULL;
    if (it->collection->kind == VALUE_OBJECT) return it->collection->pairs[it->at - 1].key;
    if (it->collection->kind != VALUE_ARRAY) return NULL;
    *room = (struct value) { .kind = VALUE_NUMBER, .number = num_of((int64_t) it->at - 1) };
    return room;
}

/* ---- what it depended on ------------------------------------------------------------------------ */

struct uses {
    const struct moment *moment;
    moment_use *visit;
    void *context;
    unsigned left;
};

static void use_insn(struct uses *u, const struct plan_insn *i, unsigned depth);

static void use_operand(struct uses *u, const struct plan_insn *before, int32_t operand, unsigned depth)
{
    const struct plan_insn *i = moment_definer(u->moment, before, operand);
    if (i) use_insn(u, i, depth + 1);
}

static void use_args(struct uses *u, const struct plan_insn *i, unsigned depth)
{
    for (uint16_t n = 0; n < i->count; n++)
        use_operand(u, i, u->moment->plan->args[i->c + (int32_t) n], depth);
}

static const struct plan_insn *iterate_of(const struct moment *m, const struct plan_insn *next)
{
    for (const struct plan_insn *i = next; i-- > m->unit->code;)
        if (i->op == PLAN_ITERATE && i->a == next->a) return i;
    return NULL;
}

static void use_group(struct uses *u, const struct checked_group *g)
{
    if (g) u->visit(u->context, g, NULL);
}

static void use_insn(struct uses *u, const struct plan_insn *i, unsigned depth)
{
    const struct checked_program *checked = u->moment->plan->checked;
    if (depth > USE_DEPTH_MAX || u->left == 0) return;
    u->left--;
    switch (i->op) {
    case PLAN_RULE: use_group(u, checked->groups[i->b]); break;
    case PLAN_CALL:
        use_group(u, checked->groups[i->b]);
        use_args(u, i, depth);
        break;
    case PLAN_DOCUMENT: use_group(u, checked->nodes[i->b]->group); break;
    case PLAN_BUILT: u->visit(u->context, NULL, origin_of(u->moment, i)); break;
    case PLAN_BUILTIN:
    case PLAN_ARITHMETIC:
    case PLAN_ARRAY:
    case PLAN_SET:
    case PLAN_OBJECT: use_args(u, i, depth); break;
    case PLAN_NEXT:
        i = iterate_of(u->moment, i);
        if (i) use_operand(u, i, i->b, depth);
        break;
    case PLAN_EQUAL:
    case PLAN_COMPARE:
    case PLAN_COMPARED:
    case PLAN_MEMBER:
    case PLAN_GET:
        use_operand(u, i, i->b, depth);
        use_operand(u, i, i->c, depth);
        break;
    case PLAN_TRUE:
    case PLAN_MOVE:
    case PLAN_AT:
    case PLAN_ITERATE:
    case PLAN_ARRAY_OF:
    case PLAN_OBJECT_OF: use_operand(u, i, i->b, depth); break;
    default: break;
    }
}

void moment_each_use(const struct moment *m, moment_use *visit, void *context)
{
    struct uses u = { m, visit, context, USES_MAX };
    const struct plan_insn *i = m->insn ? moment_decider(m) : NULL;
    if (i) use_insn(&u, i, 0);
}

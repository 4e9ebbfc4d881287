/* What reaches what, and what it depends on: over the whole of the rules, used or not. */
#include "policy/linter.h"
#include "policy/walk.h"

bool lint_is_test(const struct checked_group *g)
{
    const struct value *key = g->node->key;
    if (!value_is(key, VALUE_STRING)) return false;
    return strncmp(key->string, "test_", 5) == 0 || strncmp(key->string, "todo_test_", 10) == 0;
}

static void walk_rule_uses(const struct checked_rule *first, walk_use *visit, void *context)
{
    for (const struct checked_rule *r = first; r; r = r->otherwise) walk_body_uses(&r->body, visit, context);
}

static void walk_group_uses(const struct checked_group *g, walk_use *visit, void *context)
{
    for (size_t i = 0; i < g->rule_count; i++) walk_rule_uses(g->rules[i], visit, context);
    if (g->fallback) walk_rule_uses(g->fallback, visit, context);
}

/* Calls visit for each group that a reference may read: on its way, and all below where it ends. */
typedef void visit_group(void *context, const struct checked_group *g);

static void groups_below(struct linter *l, const struct checked_node *top, visit_group *visit,
                         void *context)
{
    for (size_t i = 0; i < l->program->node_count && infer_step(l); i++) {
        const struct checked_node *n = l->program->nodes[i];
        if (!n->group) continue;
        const struct checked_node *up = n;
        while (up && up != top) up = up->parent;
        if (up) visit(context, n->group);
    }
}

static void groups_read(struct linter *l, const struct checked_ref *ref, visit_group *visit, void *context)
{
    if (ref->root != CHECKED_ROOT_DATA || !ref->node) return;
    bool met = false;
    for (const struct checked_node *n = ref->node; n; n = n->parent) {
        if (!n->group) continue;
        visit(context, n->group);
        met = true;
    }
    bool base = ref->node_depth == 0 && ref->count > 0 && ref->operands[0]->kind == CHECKED_CONST;
    if ((!met || ref->node->child_count) && !base) groups_below(l, ref->node, visit, context);
}

/* ---- reaching --------------------------------------------------------------------------------- */

struct reach {
    struct linter *linter;
    const struct checked_group **waiting;
    size_t count, cap;
};

static void reach_group(void *context, const struct checked_group *g)
{
    struct reach *r = context;
    struct group_state *state = &r->linter->groups[g->number];
    if (state->reached) return;
    state->reached = true;
    const struct checked_group **at = arena_grow(r->linter->arena, r->waiting, r->count, &r->cap,
                                                 sizeof *at);
    if (!at) return;
    r->waiting = at;
    at[r->count++] = g;
}

static void reach_use(void *context, const struct checked_ref *ref, const struct checked_group *function)
{
    struct reach *r = context;
    if (ref) groups_read(r->linter, ref, reach_group, r);
    if (function) reach_group(r, function);
}

static void reach_all(struct linter *l)
{
    struct reach r = { .linter = l };
    for (size_t i = 0; i < l->profile->rule_count; i++)
        if (l->entries[i]) reach_group(&r, l->entries[i]);
    for (size_t i = 0; i < l->program->group_count; i++)
        if (lint_is_test(l->program->groups[i])) reach_group(&r, l->program->groups[i]);
    while (r.count) walk_group_uses(r.waiting[--r.count], reach_use, &r);
}

/* ---- depending -------------------------------------------------------------------------------- */

struct depends {
    struct linter *linter;
    unsigned on;
};

static void depend_on_group(void *context, const struct checked_group *g)
{
    struct depends *d = context;
    d->on |= d->linter->groups[g->number].depends;
}

static void depend_use(void *context, const struct checked_ref *ref, const struct checked_group *function)
{
    struct depends *d = context;
    if (function) depend_on_group(d, function);
    if (!ref) return;
    if (ref->root == CHECKED_ROOT_INPUT) d->on |= DEPENDS_INPUT;
    groups_read(d->linter, ref, depend_on_group, d);
    if (ref->root != CHECKED_ROOT_DATA || ref->node_depth) return;
    bool named = ref->count && ref->operands[0]->kind == CHECKED_CONST;
    if (!named) d->on |= DEPENDS_PLUGIN | DEPENDS_REQUEST;
    else d->on |= string_is(ref->operands[0]->value, "plugin") ? DEPENDS_PLUGIN : DEPENDS_REQUEST;
}

unsigned lint_depends(struct linter *l, const struct checked_rule *r)
{
    struct depends d = { .linter = l };
    walk_rule_uses(r, depend_use, &d);
    return d.on;
}

/* Groups come after those they use, so one pass is enough. */
void lint_reach(struct linter *l)
{
    reach_all(l);
    for (size_t i = 0; i < l->program->group_count; i++) {
        const struct checked_group *g = l->program->groups[i];
        struct depends d = { .linter = l };
        walk_group_uses(g, depend_use, &d);
        l->groups[g->number].depends = d.on;
    }
}

/* What a body needs, what makes it fail when missing, what lets it pass unduly. */
#include "policy/linter.h"

struct effect *effect_new(struct linter *l)
{
    struct effect *e = arena_alloc(l->arena, sizeof *e);
    if (!e) {
        l->steps_left = 0;
        return NULL;
    }
    e->outcome = OUTCOME_ALWAYS;
    return e;
}

void effect_limit(struct effect *e, enum outcome o)
{
    if (o < e->outcome) e->outcome = o;
}

/* ---- adding: each once, the first LINT_LIST_MAX -------------------------------------------------- */

void effect_need(struct linter *l, struct effect *e, struct cell *c)
{
    bool asked = c->root == CELL_INPUT || c->root == CELL_RULE || (c->parent && c->parent->inside);
    if (!c->parent || !asked || e->need_count == LINT_LIST_MAX) return;
    for (size_t i = 0; i < e->need_count; i++)
        if (e->needs[i] == c) return;
    struct cell **at = arena_grow(l->arena, e->needs, e->need_count, &e->need_cap, sizeof *at);
    if (!at) return;
    e->needs = at;
    at[e->need_count++] = c;
}

void effect_open(struct linter *l, struct effect *e, struct read r)
{
    if (e->open_count == LINT_LIST_MAX) return;
    for (size_t i = 0; i < e->open_count; i++)
        if (e->opens[i].missing == r.missing) return;
    struct read *at = arena_grow(l->arena, e->opens, e->open_count, &e->open_cap, sizeof *at);
    if (!at) return;
    e->opens = at;
    at[e->open_count++] = r;
}

static bool same_loose(const struct loose *a, const struct loose *b)
{
    return a->lint == b->lint && a->read.missing == b->read.missing &&
           a->place.module == b->place.module && a->place.offset == b->place.offset;
}

void effect_loose(struct linter *l, struct effect *e, struct loose loose)
{
    if (e->loose_count == LINT_LIST_MAX) return;
    for (size_t i = 0; i < e->loose_count; i++)
        if (same_loose(&e->loose[i], &loose)) return;
    struct loose *at = arena_grow(l->arena, e->loose, e->loose_count, &e->loose_cap, sizeof *at);
    if (!at) return;
    e->loose = at;
    at[e->loose_count++] = loose;
}

void effect_read(struct linter *l, struct effect *e, struct cell *c, bool whole)
{
    struct cell *missing = NULL;
    effect_need(l, e, c);
    if (c->root != CELL_INPUT) return;
    for (struct cell *at = c; at->parent; at = at->parent) {
        if (at->absent) return; /* a lint of its own */
        if (at->optional && !missing && !(whole && at == c)) missing = at;
    }
    if (missing) effect_open(l, e, (struct read) { missing, c });
}

/* ---- joining ---------------------------------------------------------------------------------- */

void effect_and(struct linter *l, struct effect *e, const struct effect *other)
{
    infer_spend(l, other->need_count + other->open_count + other->loose_count);
    for (size_t i = 0; i < other->need_count; i++) effect_need(l, e, other->needs[i]);
    for (size_t i = 0; i < other->open_count; i++) effect_open(l, e, other->opens[i]);
    effect_keep_loose(l, e, other);
}

void effect_keep_loose(struct linter *l, struct effect *e, const struct effect *other)
{
    for (size_t i = 0; i < other->loose_count; i++) effect_loose(l, e, other->loose[i]);
}

void effect_drop_loose(struct effect *e, const struct effect *other)
{
    size_t kept = 0;
    for (size_t i = 0; i < e->loose_count; i++) {
        bool theirs = false;
        for (size_t k = 0; k < other->loose_count && !theirs; k++)
            theirs = same_loose(&e->loose[i], &other->loose[k]);
        if (!theirs) e->loose[kept++] = e->loose[i];
    }
    e->loose_count = kept;
}

void effect_and_not(struct linter *l, struct effect *e, const struct effect *other,
                    struct checked_place place)
{
    for (size_t i = 0; i < other->open_count; i++)
        effect_loose(l, e, (struct loose) { LINT_FAIL_OPEN, place, other->opens[i] });
    for (size_t i = 0; i < other->loose_count; i++) effect_open(l, e, other->loose[i].read);
}

/* The need is that, or a part of it; for "some member" any member will do. */
static bool need_covers(const struct cell *need, const struct cell *part)
{
    for (; need->parent; need = need->parent) {
        if (need->way != part->way) continue;
        return part->key ? cell_same(need, part) : cell_same(need->parent, part->parent);
    }
    return false;
}

static bool is_needed(const struct effect *e, const struct cell *part)
{
    for (size_t i = 0; i < e->need_count; i++)
        if (need_covers(e->needs[i], part)) return true;
    return false;
}

/* As much of the way as the other needs as well; where they part, some member. */
static void need_common(struct linter *l, struct effect *e, struct cell *c, const struct effect *other)
{
    for (; c->parent; c = c->parent) {
        const struct cell some = { .root = c->root, .parent = c->parent, .way = c->way };
        bool same = is_needed(other, c);
        if (same || is_needed(other, &some)) {
            effect_need(l, e, same ? c : cell_some_member(l, c->parent));
            return;
        }
    }
}

struct effect *effect_or(struct linter *l, struct effect *a, struct effect *b)
{
    if (!a || a == b) return b;
    if (!b) return a;
    if (a->outcome == OUTCOME_NEVER) return b;
    if (b->outcome == OUTCOME_NEVER) return a;
    struct effect *e = effect_new(l);
    if (!e) return a;
    infer_spend(l, a->need_count + a->open_count + a->loose_count + b->open_count + b->loose_count);
    e->outcome = a->outcome > b->outcome ? a->outcome : b->outcome;
    for (size_t i = 0; i < a->need_count; i++) need_common(l, e, a->needs[i], b);
    for (size_t i = 0; i < a->open_count; i++) effect_open(l, e, a->opens[i]);
    for (size_t i = 0; i < b->open_count; i++) effect_open(l, e, b->opens[i]);
    effect_keep_loose(l, e, a);
    effect_keep_loose(l, e, b);
    return e;
}

void effect_settle(struct effect *e)
{
    size_t kept = 0;
    for (size_t i = 0; i < e->loose_count; i++)
        if (!is_needed(e, e->loose[i].read.missing)) e->loose[kept++] = e->loose[i];
    e->loose_count = kept;
}

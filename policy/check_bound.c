#include "policy/check_bound.h"

#include "policy/walk.h"

bool bound_new(struct compile *c, uint32_t locals, struct bound *ret)
{
    size_t words = locals / 64 + 1;
    *ret = (struct bound) { .compile = c, .words = words };
    ret->bits = compile_spend(c, words) ? arena_alloc_array(c->arena, words, sizeof *ret->bits) : NULL;
    ret->trail = ret->bits ? arena_alloc_array(c->arena, words * 64, sizeof *ret->trail) : NULL;
    return ret->trail != NULL;
}

bool bound_reuse(struct compile *c, uint32_t locals, struct bound *b)
{
    if (b->words < locals / 64 + 1) return bound_new(c, 2 * locals, b);
    bound_undo(b, 0);
    return compile_spend(c, 1);
}

bool bound_has(const struct bound *b, uint32_t number)
{
    return b->bits[number / 64] >> (number % 64) & 1;
}

void bound_add(struct bound *b, uint32_t number)
{
    if (bound_has(b, number)) return;
    b->bits[number / 64] |= (uint64_t) 1 << (number % 64);
    b->trail[b->count++] = number;
}

void bound_undo(struct bound *b, size_t count)
{
    while (b->count > count) {
        uint32_t number = b->trail[--b->count];
        b->bits[number / 64] &= ~((uint64_t) 1 << (number % 64));
    }
}

/* ---- what is needed --------------------------------------------------------------------------- */

void missing_add(struct compile *c, struct missing *m, uint32_t number)
{
    uint32_t *at = m ? arena_grow(c->arena, m->at, m->count, &m->cap, sizeof *at) : NULL;
    if (!at) return;
    m->at = at;
    at[m->count++] = number;
}

struct inside {
    const struct bound *bound;
    struct missing *missing;
    uint32_t first, end; /* the closure's own locals */
};

static bool bound_or_inside(void *context, uint32_t number, const char *name)
{
    const struct inside *in = context;
    (void) name;
    if (number >= in->first && number < in->end) return true;
    if (!compile_spend(in->bound->compile, 1)) return false;
    if (bound_has(in->bound, number)) return true;
    missing_add(in->bound->compile, in->missing, number);
    return false;
}

static bool closure_ready(const struct checked_body *body, const struct bound *b, struct missing *m)
{
    struct inside in = { .bound = b, .missing = m, .first = body->first_local, .end = body->end_local };
    return walk_body_locals(body, bound_or_inside, &in);
}

bool term_bound(const struct checked_term *t, const struct bound *b, struct missing *m)
{
    struct inside in = { .bound = b, .missing = m };
    return walk_term_locals(t, bound_or_inside, &in);
}

static bool pattern_ready(const struct checked_term *t, const struct bound *b, struct missing *m);

/* It can be evaluated; operands of a reference may still be unbound, they range then. */
static bool value_ready(const struct checked_term *t, const struct bound *b, struct missing *m)
{
    if (t->kind == CHECKED_COMPREHENSION) {
        const struct checked_body *body = &t->comprehension->body;
        struct inside in = { .bound = b, .missing = m, .first = body->first_local, .end = body->end_local };
        return closure_ready(body, b, m) && walk_term_locals(t, bound_or_inside, &in);
    }
    if (t->kind != CHECKED_REF) return term_bound(t, b, m);
    if (t->ref->root == CHECKED_ROOT_LOCAL && !bound_has(b, t->ref->local)) {
        missing_add(b->compile, m, t->ref->local);
        return false;
    }
    for (size_t i = 0; i < t->ref->count; i++)
        if (!pattern_ready(t->ref->operands[i], b, m)) return false;
    return true;
}

/* It can be matched with a value, which binds what is unbound in it. */
static bool pattern_ready(const struct checked_term *t, const struct bound *b, struct missing *m)
{
    switch (t->kind) {
    case CHECKED_LOCAL: return true;
    case CHECKED_ARRAY:
        for (size_t i = 0; i < t->items.count; i++)
            if (!pattern_ready(t->items.at[i], b, m)) return false;
        return true;
    case CHECKED_OBJECT:
        for (size_t i = 0; i < t->pairs.count; i++)
            if (!term_bound(t->pairs.at[2 * i], b, m) || !pattern_ready(t->pairs.at[2 * i + 1], b, m))
                return false;
        return true;
    default: return value_ready(t, b, m);
    }
}

bool expr_ready(const struct checked_expr *e, const struct bound *b, struct missing *m)
{
    switch (e->kind) {
    case CHECKED_TEST: return value_ready(e->test, b, m);
    case CHECKED_UNIFY:
        return (value_ready(e->unify.left, b, m) && pattern_ready(e->unify.right, b, m)) ||
               (value_ready(e->unify.right, b, m) && pattern_ready(e->unify.left, b, m));
    case CHECKED_CALL:
        for (size_t i = 0; i < e->call.count; i++)
            if (!term_bound(e->call.args[i], b, m)) return false;
        return !e->call.output || pattern_ready(e->call.output, b, m);
    case CHECKED_NOT: return closure_ready(&e->negated, b, m);
    case CHECKED_EVERY:
        return term_bound(e->every.domain, b, m) && closure_ready(&e->every.body, b, m);
    case CHECKED_WITH:
        for (size_t i = 0; i < e->with.count; i++)
            if (e->with.at[i].value && !term_bound(e->with.at[i].value, b, m)) return false;
        return true;
    }
    return false;
}

/* ---- what is bound ---------------------------------------------------------------------------- */

void bind_term(const struct checked_term *t, struct bound *b)
{
    if (t->kind == CHECKED_LOCAL) bound_add(b, t->local.number);
    if (t->kind == CHECKED_ARRAY) bind_list(t->items.at, t->items.count, b);
    if (t->kind == CHECKED_REF) bind_list(t->ref->operands, t->ref->count, b);
    if (t->kind == CHECKED_OBJECT)
        for (size_t i = 0; i < t->pairs.count; i++) bind_term(t->pairs.at[2 * i + 1], b);
}

void bind_list(struct checked_term *const *at, size_t count, struct bound *b)
{
    for (size_t i = 0; i < count; i++) bind_term(at[i], b);
}

void bind_expr(const struct checked_expr *e, struct bound *b)
{
    if (e->kind == CHECKED_TEST) bind_term(e->test, b);
    if (e->kind == CHECKED_UNIFY) bind_term(e->unify.left, b);
    if (e->kind == CHECKED_UNIFY) bind_term(e->unify.right, b);
    if (e->kind == CHECKED_CALL && e->call.output) bind_term(e->call.output, b);
    if (e->kind == CHECKED_WITH)
        for (size_t i = 0; i < e->with.body.count; i++) bind_expr(e->with.body.at[i], b);
}

/* Bodies and their expressions. */
#include "policy/linter.h"
#include "policy/walk.h"

/* ---- closures --------------------------------------------------------------------------------- */

struct effect *infer_closure(struct infer *w, const struct checked_body *body, bool negated)
{
    struct effect *e = w->depth < LINT_DEPTH_MAX ? effect_new(w->linter) : NULL;
    if (!e) return NULL;
    struct infer inside = *w;
    inside.effect = e;
    inside.depth++;
    inside.negated = w->negated || negated;
    size_t mark = cells_mark(w->linter);
    infer_body(&inside, body);
    effect_settle(e);
    cells_undo(w->linter, mark);
    return e;
}

static bool bind_unknown(void *context, uint32_t number, const char *name)
{
    struct infer *w = context;
    if (w->locals[number]) return true;
    struct cell *c = cell_new(w->linter, KIND_ANY);
    if (c != &w->linter->nothing) c->called = name;
    w->locals[number] = c;
    return true;
}

/* What is replaced is not known here, so neither is what the body binds. */
static void infer_with(struct infer *w, const struct checked_expr *e)
{
    effect_limit(w->effect, OUTCOME_MAYBE);
    walk_body_locals(&e->with.body, bind_unknown, w);
}

/* ---- not and every ---------------------------------------------------------------------------- */

/* Looked at even when all is well: one call of a function may be wrong where another is not. */
static void perhaps_never(struct infer *w, const struct checked_expr *e, bool never, const char *why)
{
    struct look *look = lint_look(w->linter, LINT_NEVER_TRUE, e);
    if (!never) return;
    effect_limit(w->effect, OUTCOME_NEVER);
    lint_look_hit(w->linter, look, e->place, "%s%s", why,
                  w->negated ? ", and its negation always holds" : "");
}

static void infer_not(struct infer *w, const struct checked_expr *e)
{
    struct effect *inside = infer_closure(w, &e->negated, true);
    if (!inside) {
        effect_limit(w->effect, OUTCOME_MAYBE);
        return;
    }
    perhaps_never(w, e, inside->outcome == OUTCOME_ALWAYS,
                  "what is negated here always holds, so this never does");
    if (inside->outcome == OUTCOME_NEVER) return;
    effect_limit(w->effect, OUTCOME_MAYBE);
    effect_and_not(w->linter, w->effect, inside, e->place);
}

/* A claim with a member that is always there cannot be empty; what a policy made itself can, when it
 * was collected. Documents of the host are what they are. */
static bool may_be_empty(const struct cell *c)
{
    if (c->filled) return false;
    if (c->inside) return true;
    if (c->root != CELL_INPUT) return false;
    for (size_t i = 0; i < c->schema_count; i++)
        if (!schema_is_filled(c->schemas[i])) return true;
    return c->schema_count == 0;
}

static void infer_every(struct infer *w, const struct checked_expr *e)
{
    struct linter *l = w->linter;
    struct cell *domain = infer_term(w, e->every.domain, false);
    effect_limit(w->effect, OUTCOME_MAYBE);
    if (!domain) domain = cell_new(l, KIND_ANY);
    struct cell *key = cell_new(l, domain->kinds == KIND_BIT(ARRAY) ? KIND_BIT(NUMBER) : KIND_ANY);
    struct cell *value = cell_member(l, domain, NULL, key, true);
    if (value != &l->nothing) value->optional = false; /* the body runs for those that are there */
    if (e->every.key) w->locals[e->every.key->local.number] = key;
    w->locals[e->every.value->local.number] = value;
    struct effect *inside = infer_closure(w, &e->every.body, false);
    if (!inside) return;
    if (inside->outcome == OUTCOME_NEVER && domain->filled) effect_limit(w->effect, OUTCOME_NEVER);
    for (size_t i = 0; i < inside->open_count; i++) effect_open(l, w->effect, inside->opens[i]);
    effect_keep_loose(l, w->effect, inside);
    if (!may_be_empty(domain)) return;
    struct read some = { cell_some_member(l, domain), domain };
    effect_loose(l, w->effect, (struct loose) { LINT_EVERY_EMPTY, e->place, some });
}

/* ---- tests ------------------------------------------------------------------------------------ */

void infer_defaulted(struct infer *w, const struct cell *c, bool by_bodies, bool by_default,
                     struct checked_place place)
{
    effect_limit(w->effect, by_bodies && by_default ? OUTCOME_ALWAYS
                          : by_bodies || by_default ? OUTCOME_MAYBE : OUTCOME_NEVER);
    if (by_bodies && !by_default) {
        effect_limit(w->effect, c->bodies->outcome);
        effect_and(w->linter, w->effect, c->bodies);
    }
    if (by_default && !by_bodies) {
        effect_drop_loose(w->effect, c->bodies);
        effect_and_not(w->linter, w->effect, c->bodies, place);
    }
}

void infer_truth(struct infer *w, struct cell *c, const struct checked_expr *at)
{
    if (!c) return;
    bool never = c->constant && !value_truthy(c->constant);
    perhaps_never(w, at, never, "this is always false");
    if (c->bodies && c->given)
        infer_defaulted(w, c, value_truthy(c->given), value_truthy(c->otherwise), at->place);
    else if (!cell_is_there(c) || (!c->constant && c->kinds & KIND_BIT(BOOL)))
        effect_limit(w->effect, OUTCOME_MAYBE);
}

/* ---- equations -------------------------------------------------------------------------------- */

/* A local that has no value yet, or a composite: it takes the other side apart. */
static bool takes_apart(const struct infer *w, const struct checked_term *t)
{
    return t->kind == CHECKED_ARRAY || t->kind == CHECKED_OBJECT ||
           (t->kind == CHECKED_LOCAL && !w->locals[t->local.number]);
}

static void infer_binding(struct infer *w, const struct checked_expr *e,
                          const struct checked_term *pattern, const struct checked_term *term)
{
    struct cell *value = infer_term(w, term, false);
    if (!value) value = cell_new(w->linter, KIND_ANY);
    if (!cell_is_there(value) || pattern->kind != CHECKED_LOCAL)
        effect_limit(w->effect, OUTCOME_MAYBE);
    perhaps_never(w, e, !infer_pattern(w, pattern, value), "the two sides can never be the same");
}

static void infer_unify(struct infer *w, const struct checked_expr *e)
{
    const struct checked_term *left = e->unify.left, *right = e->unify.right;
    if (takes_apart(w, left) && !(right->kind == CHECKED_LOCAL && takes_apart(w, right))) {
        infer_binding(w, e, left, right);
        return;
    }
    if (takes_apart(w, right)) {
        infer_binding(w, e, right, left);
        return;
    }
    struct cell *a = infer_term(w, left, false), *b = infer_term(w, right, false);
    if (a && b) infer_comparison(w, (struct compared) { e, e->place, "equal" }, a, b);
}

/* ---- all kinds -------------------------------------------------------------------------------- */

static void infer_expr(struct infer *w, const struct checked_expr *e)
{
    switch (e->kind) {
    case CHECKED_TEST:
        infer_truth(w, infer_term(w, e->test, true), e);
        return;
    case CHECKED_UNIFY:
        infer_unify(w, e);
        return;
    case CHECKED_CALL:
        infer_call(w, e);
        return;
    case CHECKED_NOT:
        infer_not(w, e);
        return;
    case CHECKED_EVERY:
        infer_every(w, e);
        return;
    case CHECKED_WITH:
        infer_with(w, e);
        return;
    }
}

void infer_body(struct infer *w, const struct checked_body *body)
{
    for (size_t i = 0; i < body->count && !w->dead && infer_step(w->linter); i++)
        infer_expr(w, body->at[i]);
    if (!w->linter->steps_left) effect_limit(w->effect, OUTCOME_MAYBE);
}

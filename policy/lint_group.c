/* Rules and functions: what their bodies say together. */
#include "policy/linter.h"

/* ---- one rule --------------------------------------------------------------------------------- */

struct outcome_of {
    struct effect *effect; /* NULL: no body was looked at, or all say false */
    struct effect *denies; /* of the bodies that say false; NULL when there is none */
    struct cell *value;
};

/* What it takes for the rule to be there: and, when other bodies say so, not false. */
static struct effect *whole_effect(const struct outcome_of *of)
{
    return of->effect ? of->effect : of->denies;
}

static bool arguments_fit(struct infer *w, const struct checked_rule *r, struct cell *const *args,
                          size_t count)
{
    bool fit = true;
    for (size_t i = 0; i < r->arg_count && i < count; i++)
        if (!infer_pattern(w, r->args[i], args[i])) fit = false;
    return fit;
}

static void infer_branch(struct infer *w, const struct checked_rule *r, struct outcome_of *ret)
{
    struct effect *e = effect_new(w->linter);
    if (!e) return;
    size_t mark = cells_mark(w->linter);
    w->effect = e;
    w->dead = false;
    infer_body(w, &r->body);
    struct cell *value = r->value ? infer_term(w, r->value, false) : NULL;
    bool denies = value && value_is(value->constant, VALUE_BOOL) && !value->constant->boolean;
    /* `false if bad else := true`: the branch also runs when something is missing for `bad` */
    if (!denies && ret->denies) effect_and_not(w->linter, e, ret->denies, r->place);
    effect_settle(e);
    cells_undo(w->linter, mark); /* the next branch runs where this one failed */
    if (e->outcome != OUTCOME_NEVER)
        ret->value = cell_join(w->linter, ret->value, value ? value : cell_new(w->linter, KIND_ANY));
    struct effect **side = denies ? &ret->denies : &ret->effect;
    *side = effect_or(w->linter, *side, e);
}

/* A rule and its else branches, each as one more way to hold. */
static enum outcome infer_rule(struct linter *l, unsigned depth, const struct checked_rule *first,
                               struct cell *const *args, size_t count, struct outcome_of *ret)
{
    struct infer w = { .linter = l, .depth = depth };
    struct outcome_of mine = { 0 };
    w.locals = arena_alloc_array(l->arena, first->local_count + 1, sizeof *w.locals);
    if (!w.locals) return OUTCOME_MAYBE;
    bool fit = arguments_fit(&w, first, args, count);
    for (const struct checked_rule *r = first; fit && r; r = r->otherwise) infer_branch(&w, r, &mine);
    const struct effect *whole = whole_effect(&mine);
    if (!whole) return OUTCOME_NEVER;
    ret->value = cell_join(l, ret->value, mine.value);
    ret->effect = effect_or(l, ret->effect, mine.effect);
    ret->denies = effect_or(l, ret->denies, mine.denies);
    return whole->outcome;
}

/* ---- rules with a default ----------------------------------------------------------------------- */

static struct cell *defaulted(struct linter *l, const struct checked_group *g, struct outcome_of of)
{
    const struct checked_term *term = g->fallback->value;
    bool constant = term && term->kind == CHECKED_CONST;
    struct cell *otherwise = constant ? cell_constant(l, term->value) : cell_new(l, KIND_ANY);
    struct cell *c = cell_new(l, KIND_ANY);
    if (c == &l->nothing) return c;
    struct effect *bodies = whole_effect(&of);
    bool never = !bodies || bodies->outcome == OUTCOME_NEVER;
    *c = *cell_join(l, never ? NULL : of.value, otherwise);
    c->next = NULL;
    c->root = CELL_RULE;
    c->group = g;
    c->parent = NULL;
    c->way = 0;
    c->optional = c->absent = false;
    if (never || !constant) return c;
    c->bodies = bodies;
    c->given = of.value ? of.value->constant : NULL;
    c->otherwise = otherwise->constant;
    return c;
}

/* ---- values ----------------------------------------------------------------------------------- */

/* The value keeps the way that leads to it, when it has one: a rule that is a name for a claim. */
static struct cell *named(struct linter *l, const struct checked_group *g, struct cell *value)
{
    if (value && cell_has_way(value)) return value;
    struct cell *c = cell_new(l, KIND_ANY);
    if (c == &l->nothing) return c;
    if (value) *c = *value;
    c->next = NULL;
    c->root = CELL_RULE;
    c->group = g;
    c->parent = NULL;
    c->way = 0;
    c->optional = false;
    return c;
}

/* A set, or an object of p[x] := v: always there, perhaps empty. */
static struct cell *collected(struct linter *l, const struct checked_group *g, struct outcome_of of)
{
    struct cell *c = cell_new(l, g->kind == CHECKED_SET_RULE && !g->has_rest ? KIND_BIT(SET)
                                                                              : KIND_BIT(OBJECT));
    if (c == &l->nothing) return c;
    bool plain = g->kind == CHECKED_SET_RULE ? !g->has_rest : g->has_rest;
    c->root = CELL_RULE;
    c->group = g;
    c->element = plain ? of.value : NULL;
    c->inside = whole_effect(&of);
    return c;
}

static struct outcome_of infer_rules(struct linter *l, unsigned depth, const struct checked_group *g)
{
    struct group_state *state = &l->groups[g->number];
    struct outcome_of of = { 0 };
    state->outcomes = arena_alloc_array(l->arena, g->rule_count, sizeof *state->outcomes);
    for (size_t i = 0; state->outcomes && i < g->rule_count; i++)
        state->outcomes[i] = infer_rule(l, depth, g->rules[i], NULL, 0, &of);
    return of;
}

/* Apart from where it is read: nothing that was narrowed there counts. */
static void infer_alone(struct linter *l, unsigned depth, const struct checked_group *g)
{
    struct group_state *state = &l->groups[g->number];
    size_t narrowed = cells_mark(l);
    state->done = true;
    infer_spend(l, narrowed);
    cells_suspend(l, narrowed);
    struct outcome_of of = infer_rules(l, depth, g);
    cells_resume(l, narrowed);
    if (g->kind == CHECKED_SET_RULE || g->has_rest) {
        state->value = collected(l, g, of);
    } else if (g->fallback) {
        state->value = defaulted(l, g, of);
        state->effect = NULL;
    } else {
        state->value = named(l, g, of.value);
        state->effect = whole_effect(&of);
    }
}

static struct cell *unknown(struct infer *w)
{
    effect_limit(w->effect, OUTCOME_MAYBE);
    return cell_new(w->linter, KIND_ANY);
}

struct cell *infer_group(struct infer *w, const struct checked_group *g)
{
    struct linter *l = w->linter;
    struct group_state *state = &l->groups[g->number];
    if (!state->done && w->depth >= LINT_DEPTH_MAX) return unknown(w);
    if (!state->done) infer_alone(l, w->depth + 1, g);
    if (state->effect) {
        effect_limit(w->effect, state->effect->outcome);
        effect_and(l, w->effect, state->effect);
    }
    if (state->value->bodies) effect_keep_loose(l, w->effect, state->value->bodies);
    return state->value;
}

/* ---- functions -------------------------------------------------------------------------------- */

struct cell *infer_function(struct infer *w, const struct checked_group *g, struct cell *const *args,
                            size_t count)
{
    struct linter *l = w->linter;
    struct group_state *state = &l->groups[g->number];
    struct outcome_of of = { 0 };
    if (g->kind != CHECKED_FUNCTION) return infer_group(w, g);
    if (w->depth >= LINT_DEPTH_MAX || state->contexts >= LINT_CONTEXTS_MAX) return unknown(w);
    state->contexts++;
    for (size_t i = 0; i < g->rule_count; i++) infer_rule(l, w->depth + 1, g->rules[i], args, count, &of);
    if (g->fallback) {
        struct cell *c = defaulted(l, g, of);
        if (c->bodies) effect_keep_loose(l, w->effect, c->bodies);
        return c;
    }
    const struct effect *whole = whole_effect(&of);
    if (!whole) {
        effect_limit(w->effect, OUTCOME_NEVER);
        return unknown(w);
    }
    effect_limit(w->effect, whole->outcome);
    effect_and(l, w->effect, whole);
    return of.value ? of.value : cell_new(l, KIND_ANY);
}

/* ---- entries ---------------------------------------------------------------------------------- */

static void walk_entry(struct linter *l, const struct checked_group *g)
{
    struct effect *e = effect_new(l);
    struct infer w = { .linter = l, .effect = e };
    if (!e || g->kind == CHECKED_FUNCTION) return;
    const struct cell *c = infer_group(&w, g);
    if (c->bodies && c->given && value_truthy(c->given) && !value_truthy(c->otherwise))
        effect_and(l, e, c->bodies);
    if (c->inside) effect_and(l, e, c->inside);
    if (infer_complete(l)) lint_tell_loose(l, e); /* what is needed in the rest would settle some */
}

void lint_walk(struct linter *l)
{
    const struct checked_group *meant = lint_meant_entry(l);
    if (meant) walk_entry(l, meant);
    for (size_t i = 0; i < l->profile->rule_count; i++)
        if (l->entries[i] && l->entries[i] != meant) walk_entry(l, l->entries[i]);
    lint_looks_end(l);
}

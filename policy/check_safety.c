/* Whether every variable gets a value before it is needed; what does not is unsafe. */
#include "policy/check.h"

#include "policy/check_order.h"
#include "policy/rule_tree.h"
#include "policy/suggest.h"
#include "policy/walk.h"

/* ---- complaints ------------------------------------------------------------------------------- */

struct complaint {
    struct compile *compile;
    const struct bound *bound;
    struct bound *skip; /* said already, inside closures, or bindable by another expression left over */
    struct checked_place place;
    bool said;
};

/* The rule of the package that was probably meant. */
static const char *near_rule(const struct compile *c, uint32_t unit, const char *name)
{
    const struct checked_node *package = unit < c->unit_count ? c->units[unit].package : NULL;
    struct suggestion s = { 0 };
    suggest_begin(&s, name, strlen(name));
    for (size_t i = 0; package && i < package->child_count; i++)
        if (package->children[i]->group && value_is(package->children[i]->key, VALUE_STRING))
            suggest_offer(&s, package->children[i]->key->string);
    return s.best;
}

static bool complain(void *context, uint32_t number, const char *name)
{
    struct complaint *c = context;
    if (!name || bound_has(c->bound, number) || bound_has(c->skip, number)) return true;
    bound_add(c->skip, number);
    c->said = true;
    struct rego_error *e = compile_error_at(c->compile, REGO_UNSAFE_VAR_ERROR, c->place,
                                            "var %s is unsafe", name);
    const char *near = e ? near_rule(c->compile, c->place.module, name) : NULL;
    if (near) rego_error_hint(e, "did you mean %s?", near);
    else rego_error_hint(e, "nothing gives it a value here: no rule, import or expression outside of `not`");
    return true;
}

/* The locals of a closure. */
struct own {
    struct bound *skip;
    uint32_t first, end;
};

static bool note_own(void *context, uint32_t number, const char *name)
{
    const struct own *own = context;
    (void) name;
    if (number >= own->first && number < own->end) bound_add(own->skip, number);
    return true;
}

/* Locals of closures are looked at when the closure's turn comes, which is not now. */
static void skip_closure(const struct checked_body *body, struct bound *skip)
{
    struct own own = { .skip = skip, .first = body->first_local, .end = body->end_local };
    walk_body_locals(body, note_own, &own);
}

static void skip_closures(const struct checked_expr *e, struct bound *skip)
{
    const struct checked_term *terms[2] = { 0 };
    if (e->kind == CHECKED_NOT) skip_closure(&e->negated, skip);
    if (e->kind == CHECKED_EVERY) {
        skip_closure(&e->every.body, skip);
        if (e->every.key) bound_add(skip, e->every.key->local.number);
        bound_add(skip, e->every.value->local.number);
    }
    if (e->kind == CHECKED_WITH)
        for (size_t i = 0; i < e->with.body.count; i++) skip_closures(e->with.body.at[i], skip);
    if (e->kind == CHECKED_TEST) terms[0] = e->test;
    if (e->kind == CHECKED_UNIFY) terms[0] = e->unify.left, terms[1] = e->unify.right;
    for (size_t i = 0; i < 2; i++) {
        if (!terms[i] || terms[i]->kind != CHECKED_COMPREHENSION) continue;
        const struct checked_body *body = &terms[i]->comprehension->body;
        struct own own = { .skip = skip, .first = body->first_local, .end = body->end_local };
        walk_term_locals(terms[i], note_own, &own);
    }
}

static bool complain_about(struct compile *c, struct checked_expr *const *left, size_t count,
                           const struct bound *b, struct bound *skip)
{
    struct complaint complaint = { .compile = c, .bound = b, .skip = skip };
    for (size_t i = 0; i < count; i++) {
        if (!left[i]) continue;
        complaint.place = left[i]->place;
        walk_expr_locals(left[i], complain, &complaint);
    }
    return complaint.said;
}

/* Names the variables that nothing could bind; when they wait for each other, all of them. */
static void report_unsafe(struct compile *c, struct checked_expr *const *left, size_t count,
                          const struct bound *b)
{
    struct bound closures = { 0 }, bindable = { 0 };
    if (c->errors->count == REGO_ERRORS_MAX) {
        c->errors->more++;
        return;
    }
    uint32_t locals = (uint32_t) (b->words - 1) * 64;
    if (!bound_new(c, locals, &closures) || !bound_new(c, locals, &bindable)) return;
    for (size_t i = 0; i < count; i++)
        if (left[i]) skip_closures(left[i], &closures);
    for (size_t i = 0; i < closures.count; i++) bound_add(&bindable, closures.trail[i]);
    for (size_t i = 0; i < count; i++) {
        if (!left[i]) continue;
        if (left[i]->assigned) bind_term(left[i]->unify.left, &bindable);
        else bind_expr(left[i], &bindable);
    }
    if (complain_about(c, left, count, b, &bindable)) return;
    if (complain_about(c, left, count, b, &closures)) return;
    for (size_t i = 0; i < count; i++) {
        if (!left[i]) continue;
        compile_error_at(c, REGO_UNSAFE_VAR_ERROR, left[i]->place, "expression is unsafe");
        return;
    }
}

static void report_unbound(struct compile *c, const struct checked_term *t, const struct bound *b,
                           struct checked_place place)
{
    struct bound said = { 0 };
    if (!t || term_bound(t, b, NULL)) return;
    if (!bound_new(c, (uint32_t) (b->words - 1) * 64, &said)) return;
    struct complaint complaint = { .compile = c, .bound = b, .skip = &said, .place = place };
    walk_term_locals(t, complain, &complaint);
}

/* ---- bodies ----------------------------------------------------------------------------------- */

static bool order_body(struct compile *c, struct checked_body *body, struct bound *b);

static void order_comprehension(struct compile *c, const struct checked_term *t, struct bound *b)
{
    if (t->kind != CHECKED_COMPREHENSION || !order_body(c, &t->comprehension->body, b)) return;
    report_unbound(c, t->comprehension->key, b, t->place);
    report_unbound(c, t->comprehension->term, b, t->place);
}

struct ordered {
    struct checked_expr **at;
    size_t count;
};

/* Closures are ordered where they stand, since they see what is bound before them. Their own locals
 * may stay marked: the numbers occur nowhere else. */
static void place_expr(struct checked_expr *e, struct bound *b, void *context)
{
    struct ordered *o = context;
    o->at[o->count++] = e;
    switch (e->kind) {
    case CHECKED_TEST:
        order_comprehension(b->compile, e->test, b);
        return;
    case CHECKED_UNIFY:
        order_comprehension(b->compile, e->unify.left, b);
        order_comprehension(b->compile, e->unify.right, b);
        return;
    case CHECKED_NOT:
        order_body(b->compile, &e->negated, b);
        return;
    case CHECKED_EVERY:
        if (e->every.key) bind_term(e->every.key, b);
        bind_term(e->every.value, b);
        order_body(b->compile, &e->every.body, b);
        return;
    case CHECKED_WITH:
        order_body(b->compile, &e->with.body, b);
        return;
    case CHECKED_CALL: return;
    }
}

static bool order_body(struct compile *c, struct checked_body *body, struct bound *b)
{
    struct checked_expr **left = order_list(c, body);
    struct ordered o = { .at = arena_alloc_array(c->arena, body->count, sizeof *o.at) };
    if (!left || !o.at) return false;
    size_t done = order_choose(left, body->count, b, place_expr, &o);
    if (done < body->count) {
        if (compile_spend(c, 1)) report_unsafe(c, left, body->count, b);
        return false;
    }
    body->at = o.at;
    return true;
}

static void check_rule(struct compile *c, struct checked_rule *first, struct bound *b)
{
    if (!bound_reuse(c, first->local_count, b)) return;
    bind_list(first->args, first->arg_count, b);
    size_t args = b->count;
    for (struct checked_rule *r = first; r; r = r->otherwise) {
        bound_undo(b, args);
        if (!order_body(c, &r->body, b)) continue;
        for (size_t i = 0; i < r->rest_count; i++) report_unbound(c, r->rest[i], b, r->place);
        report_unbound(c, r->value, b, r->place);
    }
}

void check_safety(struct compile *c, struct checked_query *queries)
{
    struct bound b = { 0 };
    for (size_t i = 0; i < c->tree->node_count; i++) {
        const struct checked_group *group = c->tree->nodes[i]->group;
        for (size_t k = 0; group && k < group->rule_count; k++) check_rule(c, group->rules[k], &b);
        if (group && group->fallback) check_rule(c, group->fallback, &b);
    }
    for (size_t i = 0; i < c->unit_count - c->module_count; i++) {
        if (!bound_reuse(c, queries[i].local_count, &b)) return;
        order_body(c, &queries[i].body, &b);
    }
}

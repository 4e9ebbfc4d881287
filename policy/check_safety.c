#include "policy/check.h"

#include "policy/rule_tree.h"
#include "policy/suggest.h"
#include "policy/walk.h"

/* Which locals are bound at the place that is looked at, by number. */
struct bound {
    struct compile *compile;
    uint64_t *bits;
    size_t words;
};

static bool is_bound(const struct bound *b, uint32_t number)
{
    return b->bits[number / 64] >> (number % 64) & 1;
}

static void set_bound(struct bound *b, uint32_t number)
{
    b->bits[number / 64] |= (uint64_t) 1 << (number % 64);
}

static bool bound_new(struct compile *c, uint32_t locals, struct bound *ret)
{
    size_t words = locals / 64 + 1;
    *ret = (struct bound) { .compile = c, .words = words };
    ret->bits = compile_spend(c, words) ? arena_alloc_array(c->arena, words, sizeof *ret->bits) : NULL;
    return ret->bits != NULL;
}

/* ---- what is needed --------------------------------------------------------------------------- */

struct inside {
    const struct bound *bound;
    uint32_t first, end; /* the closure's own locals */
};

static bool bound_or_inside(void *context, uint32_t number, const char *name)
{
    const struct inside *in = context;
    (void) name;
    return (number >= in->first && number < in->end) ||
           (compile_spend(in->bound->compile, 1) && is_bound(in->bound, number));
}

static bool closure_ready(const struct checked_body *body, const struct bound *b)
{
    struct inside in = { .bound = b, .first = body->first_local, .end = body->end_local };
    return walk_body_locals(body, bound_or_inside, &in);
}

static bool term_bound(const struct checked_term *t, const struct bound *b)
{
    struct inside in = { .bound = b };
    return walk_term_locals(t, bound_or_inside, &in);
}

static bool pattern_ready(const struct checked_term *t, const struct bound *b);

/* It can be evaluated; operands of a reference may still be unbound, they range then. */
static bool value_ready(const struct checked_term *t, const struct bound *b)
{
    if (t->kind == CHECKED_COMPREHENSION) {
        const struct checked_body *body = &t->comprehension->body;
        struct inside in = { .bound = b, .first = body->first_local, .end = body->end_local };
        return closure_ready(body, b) && walk_term_locals(t, bound_or_inside, &in);
    }
    if (t->kind != CHECKED_REF) return term_bound(t, b);
    if (t->ref->root == CHECKED_ROOT_LOCAL && !is_bound(b, t->ref->local)) return false;
    for (size_t i = 0; i < t->ref->count; i++)
        if (!pattern_ready(t->ref->operands[i], b)) return false;
    return true;
}

/* It can be matched with a value, which binds what is unbound in it. */
static bool pattern_ready(const struct checked_term *t, const struct bound *b)
{
    switch (t->kind) {
    case CHECKED_LOCAL: return true;
    case CHECKED_ARRAY:
        for (size_t i = 0; i < t->items.count; i++)
            if (!pattern_ready(t->items.at[i], b)) return false;
        return true;
    case CHECKED_OBJECT:
        for (size_t i = 0; i < t->pairs.count; i++)
            if (!term_bound(t->pairs.at[2 * i], b) || !pattern_ready(t->pairs.at[2 * i + 1], b))
                return false;
        return true;
    default: return value_ready(t, b);
    }
}

static void bind_list(struct checked_term *const *at, size_t count, struct bound *b);

static void bind_term(const struct checked_term *t, struct bound *b)
{
    if (t->kind == CHECKED_LOCAL) set_bound(b, t->local.number);
    if (t->kind == CHECKED_ARRAY) bind_list(t->items.at, t->items.count, b);
    if (t->kind == CHECKED_REF) bind_list(t->ref->operands, t->ref->count, b);
    if (t->kind == CHECKED_OBJECT)
        for (size_t i = 0; i < t->pairs.count; i++) bind_term(t->pairs.at[2 * i + 1], b);
}

static void bind_list(struct checked_term *const *at, size_t count, struct bound *b)
{
    for (size_t i = 0; i < count; i++) bind_term(at[i], b);
}

static void bind_expr(const struct checked_expr *e, struct bound *b)
{
    if (e->kind == CHECKED_TEST) bind_term(e->test, b);
    if (e->kind == CHECKED_UNIFY) bind_term(e->unify.left, b);
    if (e->kind == CHECKED_UNIFY) bind_term(e->unify.right, b);
    if (e->kind == CHECKED_CALL && e->call.output) bind_term(e->call.output, b);
    if (e->kind == CHECKED_WITH)
        for (size_t i = 0; i < e->with.body.count; i++) bind_expr(e->with.body.at[i], b);
}

/* ---- ordering --------------------------------------------------------------------------------- */

static bool expr_ready(const struct checked_expr *e, const struct bound *b);

/* Chooses from `left` those that are ready, in their order, again and again as long as that helps (OPA's
 * minimal reordering). Chosen ones are NULL in left afterwards. Returns how many were chosen. */
static size_t choose(struct checked_expr **left, size_t count, struct bound *b,
                     void (*chosen)(struct checked_expr *e, struct bound *b, void *context),
                     void *context)
{
    size_t done = 0, before = 0;
    do {
        before = done;
        for (size_t i = 0; i < count; i++) {
            if (!left[i] || !compile_spend(b->compile, 1) || !expr_ready(left[i], b)) continue;
            chosen(left[i], b, context);
            bind_expr(left[i], b);
            left[i] = NULL;
            done++;
        }
    } while (done > before && done < count);
    return done;
}

static struct checked_expr **list_copy(struct compile *c, const struct checked_body *body)
{
    struct checked_expr **list = arena_alloc_array(c->arena, body->count, sizeof *list);
    for (size_t i = 0; list && i < body->count; i++) list[i] = body->at[i];
    return list;
}

static void only_try(struct checked_expr *e, struct bound *b, void *context)
{
    (void) e, (void) b, (void) context;
}

/* The body of a `with` is no closure: whether all of it can run shows only by trying. */
static bool with_ready(const struct checked_expr *e, const struct bound *b)
{
    struct bound copy = { 0 };
    for (size_t i = 0; i < e->with.count; i++)
        if (e->with.at[i].value && !term_bound(e->with.at[i].value, b)) return false;
    struct checked_expr **left = list_copy(b->compile, &e->with.body);
    if (!left || !bound_new(b->compile, (uint32_t) (b->words - 1) * 64, &copy)) return false;
    memcpy(copy.bits, b->bits, b->words * sizeof *b->bits);
    return choose(left, e->with.body.count, &copy, only_try, NULL) == e->with.body.count;
}

static bool expr_ready(const struct checked_expr *e, const struct bound *b)
{
    switch (e->kind) {
    case CHECKED_TEST: return value_ready(e->test, b);
    case CHECKED_UNIFY:
        return (value_ready(e->unify.left, b) && pattern_ready(e->unify.right, b)) ||
               (value_ready(e->unify.right, b) && pattern_ready(e->unify.left, b));
    case CHECKED_CALL:
        for (size_t i = 0; i < e->call.count; i++)
            if (!term_bound(e->call.args[i], b)) return false;
        return !e->call.output || pattern_ready(e->call.output, b);
    case CHECKED_NOT: return closure_ready(&e->negated, b);
    case CHECKED_EVERY:
        return term_bound(e->every.domain, b) && closure_ready(&e->every.body, b);
    case CHECKED_WITH: return with_ready(e, b);
    }
    return false;
}

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
    if (!name || is_bound(c->bound, number) || is_bound(c->skip, number)) return true;
    set_bound(c->skip, number);
    c->said = true;
    struct rego_error *e = compile_error_at(c->compile, REGO_UNSAFE_VAR_ERROR, c->place,
                                            "var %s is unsafe", name);
    const char *near = e ? near_rule(c->compile, c->place.module, name) : NULL;
    if (near) rego_error_hint(e, "did you mean %s?", near);
    else rego_error_hint(e, "nothing gives it a value here: no rule, import or expression outside of `not`");
    return true;
}

static bool note_own(void *context, uint32_t number, const char *name)
{
    struct inside *in = context;
    (void) name;
    if (number >= in->first && number < in->end) set_bound((struct bound *) in->bound, number);
    return true;
}

/* Locals of closures are looked at when the closure's turn comes, which is not now. */
static void skip_closure(const struct checked_body *body, struct bound *skip)
{
    struct inside in = { .bound = skip, .first = body->first_local, .end = body->end_local };
    walk_body_locals(body, note_own, &in);
}

static void skip_closures(const struct checked_expr *e, struct bound *skip)
{
    const struct checked_term *terms[2] = { 0 };
    if (e->kind == CHECKED_NOT) skip_closure(&e->negated, skip);
    if (e->kind == CHECKED_EVERY) {
        skip_closure(&e->every.body, skip);
        if (e->every.key) set_bound(skip, e->every.key->local.number);
        set_bound(skip, e->every.value->local.number);
    }
    if (e->kind == CHECKED_WITH)
        for (size_t i = 0; i < e->with.body.count; i++) skip_closures(e->with.body.at[i], skip);
    if (e->kind == CHECKED_TEST) terms[0] = e->test;
    if (e->kind == CHECKED_UNIFY) terms[0] = e->unify.left, terms[1] = e->unify.right;
    for (size_t i = 0; i < 2; i++) {
        if (!terms[i] || terms[i]->kind != CHECKED_COMPREHENSION) continue;
        const struct checked_body *body = &terms[i]->comprehension->body;
        struct inside in = { .bound = skip, .first = body->first_local, .end = body->end_local };
        walk_term_locals(terms[i], note_own, &in);
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
    uint32_t locals = (uint32_t) (b->words - 1) * 64;
    if (!bound_new(c, locals, &closures) || !bound_new(c, locals, &bindable)) return;
    for (size_t i = 0; i < count; i++)
        if (left[i]) skip_closures(left[i], &closures);
    memcpy(bindable.bits, closures.bits, b->words * sizeof *b->bits);
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
    struct checked_expr **left = list_copy(c, body);
    struct ordered o = { .at = arena_alloc_array(c->arena, body->count, sizeof *o.at) };
    if (!left || !o.at) return false;
    size_t done = choose(left, body->count, b, place_expr, &o);
    if (done < body->count) {
        if (compile_spend(c, 1)) report_unsafe(c, left, body->count, b);
        return false;
    }
    body->at = o.at;
    return true;
}

static void check_rule(struct compile *c, struct checked_rule *first)
{
    for (struct checked_rule *r = first; r; r = r->otherwise) {
        struct bound b = { 0 };
        if (!bound_new(c, first->local_count, &b)) return;
        bind_list(r->args, r->arg_count, &b);
        if (!order_body(c, &r->body, &b)) continue;
        for (size_t i = 0; i < r->rest_count; i++) report_unbound(c, r->rest[i], &b, r->place);
        report_unbound(c, r->value, &b, r->place);
    }
}

void check_safety(struct compile *c, struct checked_query *queries)
{
    for (size_t i = 0; i < c->tree->node_count; i++) {
        const struct checked_group *group = c->tree->nodes[i]->group;
        for (size_t k = 0; group && k < group->rule_count; k++) check_rule(c, group->rules[k]);
        if (group && group->fallback) check_rule(c, group->fallback);
    }
    for (size_t i = 0; i < c->unit_count - c->module_count; i++) {
        struct bound b = { 0 };
        if (!bound_new(c, queries[i].local_count, &b)) return;
        order_body(c, &queries[i].body, &b);
    }
}

#include "policy/lower.h"

struct checked_expr *lower_expr_new(struct lower *l, enum checked_expr_kind kind, struct rego_span at,
                                    bool made)
{
    struct checked_expr *e = arena_alloc(l->compile->arena, sizeof *e);
    if (!e) return NULL;
    e->kind = kind;
    e->made = made;
    e->place = lower_place(l, at);
    e->statement = (struct checked_span) { lower_place(l, l->statement), l->statement.len };
    pointers_push(l->compile, l->out, e);
    return e;
}

void lower_nest_begin(struct lower *l, struct lower_nest *nest)
{
    *nest = (struct lower_nest) {
        .outer = l->out, .first = l->scopes.next_number,
        .wildcard_next = l->wildcard_next, .wildcard_end = l->wildcard_end,
    };
    l->out = &nest->list;
    l->wildcard_next = l->wildcard_end = 0;
}

struct checked_body lower_nest_end(struct lower *l, struct lower_nest *nest)
{
    l->out = nest->outer;
    l->wildcard_next = nest->wildcard_next;
    l->wildcard_end = nest->wildcard_end;
    return (struct checked_body) {
        .at = (struct checked_expr *const *) nest->list.at, .count = nest->list.count,
        .first_local = nest->first, .end_local = l->scopes.next_number,
    };
}

/* ---- unification ------------------------------------------------------------------------------ */

/* x = f(y): the call's own output becomes x instead of an intermediate local. */
static bool output_instead(struct lower *l, struct checked_term *pattern, struct checked_term *result,
                           bool made)
{
    if (!l->out->count || !result || result->kind != CHECKED_LOCAL || result->local.name) return false;
    struct checked_expr *last = l->out->at[l->out->count - 1];
    if (!last || last->kind != CHECKED_CALL || last->call.output != result) return false;
    last->call.output = pattern;
    last->made = made;
    return true;
}

static size_t pair_with_key(const struct checked_term *object, const struct value *key)
{
    for (size_t i = 0; i < object->pairs.count; i++)
        if (value_equal(object->pairs.at[2 * i]->value, key)) return i;
    return SIZE_MAX;
}

static bool same_keys(const struct checked_term *left, const struct checked_term *right)
{
    if (left->pairs.count != right->pairs.count) return false;
    for (size_t i = 0; i < left->pairs.count; i++)
        if (!left->pairs.at[2 * i] || left->pairs.at[2 * i]->kind != CHECKED_CONST ||
            !right->pairs.at[2 * i] || right->pairs.at[2 * i]->kind != CHECKED_CONST) return false;
    for (size_t i = 0; i < left->pairs.count; i++)
        if (pair_with_key(right, left->pairs.at[2 * i]->value) == SIZE_MAX ||
            pair_with_key(left, right->pairs.at[2 * i]->value) == SIZE_MAX) return false;
    return true;
}

/* Two composites of the same shape: member by member, so that each may be bound from either side. */
void lower_unify(struct lower *l, struct checked_term *left, struct checked_term *right,
                 struct rego_span at, bool made)
{
    if (!left || !right || !compile_spend(l->compile, 1)) return;
    if (left->kind == CHECKED_ARRAY && right->kind == CHECKED_ARRAY &&
        left->items.count == right->items.count) {
        for (size_t i = 0; i < left->items.count; i++)
            lower_unify(l, left->items.at[i], right->items.at[i], at, made);
        return;
    }
    if (left->kind == CHECKED_OBJECT && right->kind == CHECKED_OBJECT && same_keys(left, right) &&
        compile_spend(l->compile, left->pairs.count * left->pairs.count)) {
        for (size_t i = 0; i < left->pairs.count; i++)
            lower_unify(l, left->pairs.at[2 * i + 1],
                        right->pairs.at[2 * pair_with_key(right, left->pairs.at[2 * i]->value) + 1],
                        at, made);
        return;
    }
    bool whole = left->kind == CHECKED_REF || left->kind == CHECKED_COMPREHENSION;
    if (!whole && output_instead(l, left, right, made)) return;
    whole = right->kind == CHECKED_REF || right->kind == CHECKED_COMPREHENSION;
    if (!whole && output_instead(l, right, left, made)) return;
    struct checked_expr *e = lower_expr_new(l, CHECKED_UNIFY, at, made);
    if (!e) return;
    e->unify.left = left;
    e->unify.right = right;
}

/* ---- declarations ----------------------------------------------------------------------------- */

static struct checked_term *declared(struct lower *l, const struct rego_term *var, enum name_state state)
{
    uint32_t number = scope_declare(&l->scopes, var, state);
    return lower_local(l, number, var->var.name.at, var->at);
}

/* A pattern whose names are declared here. Beside names `:=` allows only arrays and objects of them;
 * `some .. in` also values to compare with. */
static struct checked_term *lower_declared(struct lower *l, const struct rego_term *t,
                                           enum name_state state)
{
    struct arena *a = l->compile->arena;
    if (t->kind == REGO_TERM_VAR) return declared(l, t, state);
    if (t->kind == REGO_TERM_ARRAY) {
        struct checked_term **items = arena_alloc_array(a, t->list.count, sizeof *items);
        if (!items) return NULL;
        for (size_t i = 0; i < t->list.count; i++)
            items[i] = lower_declared(l, t->list.items[i], state);
        return lower_collection(l, CHECKED_ARRAY, items, t->list.count, t->at);
    }
    if (t->kind == REGO_TERM_OBJECT && t->object.count) {
        struct checked_term *object = lower_term_new(l, CHECKED_OBJECT, t->at);
        struct checked_term **at = arena_alloc_array(a, 2 * t->object.count, sizeof *at);
        if (!object || !at) return NULL;
        for (size_t i = 0; i < t->object.count; i++) {
            at[2 * i] = lower_simple(l, t->object.pairs[i].key);
            at[2 * i + 1] = lower_declared(l, t->object.pairs[i].value, state);
        }
        object->pairs.at = at;
        object->pairs.count = t->object.count;
        return object;
    }
    if (state == NAME_DECLARED) return lower_simple(l, t);
    compile_error(l->compile, REGO_COMPILE_ERROR, l->scopes.unit, &t->at, "cannot assign to %s",
                  rego_term_kind_name(t->kind));
    return NULL;
}

static void mark_used(void *context, const struct rego_term *var)
{
    struct scopes *s = context;
    uint32_t number = 0;
    if (!rego_term_is_wildcard(var)) scope_lookup(s, var->var.name, &number);
}

/* some k, v in domain: v = domain[k]. Its names count as used. */
static void lower_some_in(struct lower *l, const struct rego_expr *e)
{
    struct checked_term *domain = lower_whole(l, e->domain);
    if (domain && domain->kind == CHECKED_COMPREHENSION) domain = lower_bound(l, domain);
    struct checked_term *key = e->key ? lower_declared(l, e->key, NAME_DECLARED)
                                      : lower_local(l, scope_number(&l->scopes), NULL, e->at);
    struct checked_term *value = lower_declared(l, e->value, NAME_DECLARED);
    if (e->key) pattern_each_var(e->key, mark_used, &l->scopes);
    pattern_each_var(e->value, mark_used, &l->scopes);
    lower_unify(l, value, lower_member(l, domain, key, e->domain->at), e->at, false);
}

static void lower_every(struct lower *l, const struct rego_expr *e)
{
    struct scope scope = { 0 };
    struct lower_nest nest = { 0 };
    struct checked_term *domain = lower_simple(l, e->domain), *key = NULL;
    scope_enter(&l->scopes, &scope);
    lower_nest_begin(l, &nest);
    if (e->key) key = declared(l, e->key, NAME_DECLARED);
    struct checked_term *value = declared(l, e->value, NAME_DECLARED);
    scope_survey_body(&l->scopes, e->body);
    lower_body(l, e->body);
    struct checked_body body = lower_nest_end(l, &nest);
    scope_leave(&l->scopes, false);
    struct checked_expr *every = lower_expr_new(l, CHECKED_EVERY, e->at, false);
    if (!every) return;
    every->every.domain = domain;
    every->every.key = key;
    every->every.value = value;
    every->every.body = body;
}

/* ---- expressions ------------------------------------------------------------------------------ */

static void lower_statement(struct lower *l, const struct rego_expr *e)
{
    if (e->term->kind == REGO_TERM_CALL) {
        lower_call(l, e->term, false, NULL);
        return;
    }
    struct checked_term *t = lower_whole(l, e->term);
    if (!t || (e->generated && t->kind == CHECKED_CONST && value_truthy(t->value))) return;
    struct checked_expr *test = lower_expr_new(l, CHECKED_TEST, e->at, false);
    if (test) test->test = t;
}

static void lower_positive(struct lower *l, const struct rego_expr *e)
{
    struct checked_term *left = NULL, *right = NULL;
    size_t first = 0;
    switch (e->kind) {
    case REGO_EXPR_TERM:
        lower_statement(l, e);
        return;
    case REGO_EXPR_ASSIGN: /* the right side first: it cannot mean what is declared here */
        right = lower_whole(l, e->right);
        left = lower_declared(l, e->left, NAME_ASSIGNED);
        first = l->out->count;
        lower_unify(l, left, right, e->at, false);
        for (; first < l->out->count; first++)
            ((struct checked_expr *) l->out->at[first])->assigned = true;
        return;
    case REGO_EXPR_UNIFY:
        left = lower_whole(l, e->left);
        right = lower_whole(l, e->right);
        lower_unify(l, left, right, e->at, false);
        return;
    case REGO_EXPR_SOME:
        for (size_t i = 0; i < e->vars.count; i++)
            scope_declare(&l->scopes, e->vars.items[i], NAME_DECLARED);
        return;
    case REGO_EXPR_SOME_IN:
        lower_some_in(l, e);
        return;
    case REGO_EXPR_EVERY:
        lower_every(l, e);
        return;
    }
}

/* Replacements reach what the expression calls, not their own values. False when one was refused. */
static bool lower_withs(struct lower *l, const struct rego_expr *e, struct checked_with **ret)
{
    *ret = arena_alloc_array(l->compile->arena, e->with_count, sizeof **ret);
    for (size_t i = 0; *ret && i < e->with_count; i++)
        if (!lower_with(l, &e->with[i], &(*ret)[i])) return false;
    return *ret != NULL;
}

static void put_with(struct lower *l, const struct rego_expr *e, struct checked_with *withs,
                     struct checked_body body)
{
    struct checked_expr *with = lower_expr_new(l, CHECKED_WITH, e->at, false);
    if (!with) return;
    with->with.at = withs;
    with->with.count = e->with_count;
    with->with.body = body;
}

struct checked_term *lower_value(struct lower *l, const struct rego_expr *e)
{
    struct checked_with *withs = NULL;
    struct lower_nest nest = { 0 };
    if (!e->with_count) return lower_simple(l, e->term);
    if (!lower_withs(l, e, &withs)) return NULL;
    lower_nest_begin(l, &nest);
    struct checked_term *value = lower_simple(l, e->term);
    put_with(l, e, withs, lower_nest_end(l, &nest));
    return value;
}

static void lower_replacing(struct lower *l, const struct rego_expr *e, struct checked_with *withs)
{
    struct lower_nest nest = { 0 };
    if (e->with_count == 0) {
        lower_positive(l, e);
        return;
    }
    uint32_t next = l->wildcard_next, end = l->wildcard_end;
    lower_nest_begin(l, &nest);
    l->wildcard_next = next; /* `with` is no closure: a wildcard in it stays where it was */
    l->wildcard_end = end;
    lower_positive(l, e);
    put_with(l, e, withs, lower_nest_end(l, &nest));
}

static bool count_wildcards(struct rego_term *t, void *context)
{
    uint32_t *count = context;
    bool closure = t->kind == REGO_TERM_ARRAY_COMP || t->kind == REGO_TERM_SET_COMP ||
                   t->kind == REGO_TERM_OBJECT_COMP;
    if (rego_term_is_wildcard(t)) ++*count;
    return closure || rego_term_each_part(t, count_wildcards, context);
}

static void lower_negated(struct lower *l, const struct rego_expr *e, struct checked_with *withs)
{
    struct lower_nest nest = { 0 };
    uint32_t wildcards = 0;
    if (e->term) count_wildcards(e->term, &wildcards);
    if (e->left) count_wildcards(e->left, &wildcards);
    if (e->right) count_wildcards(e->right, &wildcards);
    uint32_t first = l->scopes.next_number;
    l->scopes.next_number += wildcards;
    lower_nest_begin(l, &nest);
    l->wildcard_next = first;
    l->wildcard_end = first + wildcards;
    lower_replacing(l, e, withs);
    struct checked_body body = lower_nest_end(l, &nest);
    struct checked_expr *negated = lower_expr_new(l, CHECKED_NOT, e->at, false);
    if (negated) negated->negated = body;
}

static void lower_expr(struct lower *l, const struct rego_expr *e)
{
    struct checked_with *withs = NULL;
    if (!compile_spend(l->compile, 1) || !lower_withs(l, e, &withs)) return;
    if (e->negated && e->kind == REGO_EXPR_ASSIGN)
        compile_error(l->compile, REGO_COMPILE_ERROR, l->scopes.unit, &e->at,
                      "cannot assign vars inside negated expression");
    else if (e->negated) lower_negated(l, e, withs);
    else lower_replacing(l, e, withs);
}

void lower_body(struct lower *l, const struct rego_body *body)
{
    struct rego_span outer = l->statement;
    for (size_t i = 0; i < body->count; i++) {
        l->statement = body->exprs[i]->at;
        lower_expr(l, body->exprs[i]);
    }
    l->statement = outer;
}

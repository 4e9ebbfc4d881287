#include "policy/walk.h"

/* ---- locals ----------------------------------------------------------------------------------- */

static bool list_locals(struct checked_term *const *at, size_t count, walk_local *visit, void *context)
{
    for (size_t i = 0; i < count; i++)
        if (!walk_term_locals(at[i], visit, context)) return false;
    return true;
}

bool walk_term_locals(const struct checked_term *t, walk_local *visit, void *context)
{
    if (!t) return true;
    switch (t->kind) {
    case CHECKED_CONST: return true;
    case CHECKED_LOCAL: return visit(context, t->local.number, t->local.name);
    case CHECKED_ARRAY: case CHECKED_SET:
        return list_locals(t->items.at, t->items.count, visit, context);
    case CHECKED_OBJECT: return list_locals(t->pairs.at, 2 * t->pairs.count, visit, context);
    case CHECKED_REF:
        return (t->ref->root != CHECKED_ROOT_LOCAL ||
                visit(context, t->ref->local, t->ref->local_name)) &&
               list_locals(t->ref->operands, t->ref->count, visit, context);
    case CHECKED_COMPREHENSION:
        return walk_body_locals(&t->comprehension->body, visit, context) &&
               walk_term_locals(t->comprehension->key, visit, context) &&
               walk_term_locals(t->comprehension->term, visit, context);
    }
    return true;
}

bool walk_expr_locals(const struct checked_expr *e, walk_local *visit, void *context)
{
    switch (e->kind) {
    case CHECKED_TEST: return walk_term_locals(e->test, visit, context);
    case CHECKED_UNIFY:
        return walk_term_locals(e->unify.left, visit, context) &&
               walk_term_locals(e->unify.right, visit, context);
    case CHECKED_CALL:
        return list_locals(e->call.args, e->call.count, visit, context) &&
               walk_term_locals(e->call.output, visit, context);
    case CHECKED_NOT: return walk_body_locals(&e->negated, visit, context);
    case CHECKED_EVERY:
        return walk_term_locals(e->every.domain, visit, context) &&
               walk_term_locals(e->every.key, visit, context) &&
               walk_term_locals(e->every.value, visit, context) &&
               walk_body_locals(&e->every.body, visit, context);
    case CHECKED_WITH:
        for (size_t i = 0; i < e->with.count; i++)
            if (!walk_term_locals(e->with.at[i].value, visit, context)) return false;
        return walk_body_locals(&e->with.body, visit, context);
    }
    return true;
}

bool walk_body_locals(const struct checked_body *body, walk_local *visit, void *context)
{
    for (size_t i = 0; i < body->count; i++)
        if (!walk_expr_locals(body->at[i], visit, context)) return false;
    return true;
}

/* ---- uses ------------------------------------------------------------------------------------- */

/* References and comprehensions stand only as wholes: nothing to look for inside composites. */
static void term_uses(const struct checked_term *t, walk_use *visit, void *context)
{
    if (t->kind == CHECKED_REF) visit(context, t->ref, NULL);
    if (t->kind == CHECKED_COMPREHENSION) walk_body_uses(&t->comprehension->body, visit, context);
}

static void expr_uses(const struct checked_expr *e, walk_use *visit, void *context)
{
    switch (e->kind) {
    case CHECKED_TEST:
        term_uses(e->test, visit, context);
        return;
    case CHECKED_UNIFY:
        term_uses(e->unify.left, visit, context);
        term_uses(e->unify.right, visit, context);
        return;
    case CHECKED_CALL:
        if (e->call.callee.function) visit(context, NULL, e->call.callee.function);
        return;
    case CHECKED_NOT:
        walk_body_uses(&e->negated, visit, context);
        return;
    case CHECKED_EVERY:
        walk_body_uses(&e->every.body, visit, context);
        return;
    case CHECKED_WITH:
        for (size_t i = 0; i < e->with.count; i++)
            if (e->with.at[i].by.function) visit(context, NULL, e->with.at[i].by.function);
        walk_body_uses(&e->with.body, visit, context);
        return;
    }
}

void walk_body_uses(const struct checked_body *body, walk_use *visit, void *context)
{
    for (size_t i = 0; i < body->count; i++) expr_uses(body->at[i], visit, context);
}

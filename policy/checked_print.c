#include "policy/checked_print.h"

#include "policy/builtin.h"
#include "policy/value.h"

static void print_list(struct text *t, struct checked_term *const *at, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i) text_add_string(t, ", ");
        checked_print_term(t, at[i]);
    }
}

static void print_local(struct text *t, const char *name, uint32_t number)
{
    text_addf(t, "%s#%u", name ? name : "", number);
}

static void print_ref(struct text *t, const struct checked_ref *ref)
{
    if (ref->root == CHECKED_ROOT_LOCAL) print_local(t, ref->local_name, ref->local);
    else text_add_string(t, ref->root == CHECKED_ROOT_INPUT ? "input" : "data");
    for (size_t i = 0; i < ref->count; i++) {
        text_add_char(t, '[');
        checked_print_term(t, ref->operands[i]);
        text_add_char(t, ']');
    }
}

static void print_pairs(struct text *t, const struct checked_term *object)
{
    for (size_t i = 0; i < object->pairs.count; i++) {
        if (i) text_add_string(t, ", ");
        checked_print_term(t, object->pairs.at[2 * i]);
        text_add_string(t, ": ");
        checked_print_term(t, object->pairs.at[2 * i + 1]);
    }
}

static void print_comprehension(struct text *t, const struct checked_comprehension *comp)
{
    bool array = comp->kind == CHECKED_ARRAY_OF;
    text_add_char(t, array ? '[' : '{');
    if (comp->kind == CHECKED_OBJECT_OF) {
        checked_print_term(t, comp->key);
        text_add_string(t, ": ");
    }
    checked_print_term(t, comp->term);
    text_add_string(t, " | ");
    checked_print_body(t, &comp->body);
    text_add_char(t, array ? ']' : '}');
}

void checked_print_term(struct text *t, const struct checked_term *term)
{
    switch (term->kind) {
    case CHECKED_CONST:
        value_print(t, term->value);
        return;
    case CHECKED_LOCAL:
        print_local(t, term->local.name, term->local.number);
        return;
    case CHECKED_REF:
        print_ref(t, term->ref);
        return;
    case CHECKED_ARRAY: case CHECKED_SET:
        text_add_char(t, term->kind == CHECKED_ARRAY ? '[' : '{');
        print_list(t, term->items.at, term->items.count);
        text_add_char(t, term->kind == CHECKED_ARRAY ? ']' : '}');
        return;
    case CHECKED_OBJECT:
        text_add_char(t, '{');
        print_pairs(t, term);
        text_add_char(t, '}');
        return;
    case CHECKED_COMPREHENSION:
        print_comprehension(t, term->comprehension);
        return;
    }
}

static const char *callee_name(struct checked_callee callee)
{
    return callee.builtin ? callee.builtin->name : callee.function->name;
}

static void print_with(struct text *t, const struct checked_with *w)
{
    text_add_string(t, " with ");
    if (w->kind == CHECKED_WITH_FUNCTION) text_add_string(t, callee_name(w->target));
    else text_add_string(t, w->kind == CHECKED_WITH_INPUT ? "input" : "data");
    for (size_t i = 0; w->kind != CHECKED_WITH_FUNCTION && i < w->path_count; i++) {
        text_add_char(t, '[');
        value_print(t, w->path[i]);
        text_add_char(t, ']');
    }
    text_add_string(t, " as ");
    if (w->value) checked_print_term(t, w->value);
    else text_add_string(t, callee_name(w->by));
}

static void print_every(struct text *t, const struct checked_expr *e)
{
    text_add_string(t, "every ");
    if (e->every.key) {
        checked_print_term(t, e->every.key);
        text_add_string(t, ", ");
    }
    checked_print_term(t, e->every.value);
    text_add_string(t, " in ");
    checked_print_term(t, e->every.domain);
    text_add_string(t, " {");
    checked_print_body(t, &e->every.body);
    text_add_char(t, '}');
}

static void print_expr(struct text *t, const struct checked_expr *e)
{
    switch (e->kind) {
    case CHECKED_TEST:
        checked_print_term(t, e->test);
        return;
    case CHECKED_UNIFY:
        checked_print_term(t, e->unify.left);
        text_add_string(t, " = ");
        checked_print_term(t, e->unify.right);
        return;
    case CHECKED_CALL:
        if (e->call.output) {
            checked_print_term(t, e->call.output);
            text_add_string(t, " = ");
        }
        text_addf(t, "%s(", callee_name(e->call.callee));
        print_list(t, e->call.args, e->call.count);
        text_add_char(t, ')');
        return;
    case CHECKED_NOT:
        text_add_string(t, "not {");
        checked_print_body(t, &e->negated);
        text_add_char(t, '}');
        return;
    case CHECKED_EVERY:
        print_every(t, e);
        return;
    case CHECKED_WITH:
        text_add_char(t, '(');
        checked_print_body(t, &e->with.body);
        text_add_char(t, ')');
        for (size_t i = 0; i < e->with.count; i++) print_with(t, &e->with.at[i]);
        return;
    }
}

void checked_print_body(struct text *t, const struct checked_body *body)
{
    for (size_t i = 0; i < body->count; i++) {
        if (i) text_add_string(t, "; ");
        print_expr(t, body->at[i]);
    }
}

static void print_head(struct text *t, const struct checked_rule *r)
{
    text_addf(t, "%s%s", r->is_default ? "default " : "", r->group->name);
    for (size_t i = 0; i < r->rest_count; i++) {
        text_add_char(t, '[');
        checked_print_term(t, r->rest[i]);
        text_add_char(t, ']');
    }
    if (r->kind == CHECKED_FUNCTION) {
        text_add_char(t, '(');
        print_list(t, r->args, r->arg_count);
        text_add_char(t, ')');
    }
    text_add_string(t, r->kind == CHECKED_SET_RULE ? " contains " : " := ");
}

void checked_print_rule(struct text *t, const struct checked_rule *rule)
{
    for (const struct checked_rule *r = rule; r; r = r->otherwise) {
        if (r == rule) print_head(t, r);
        else text_add_string(t, " else := ");
        checked_print_term(t, r->value);
        if (!r->body.count) continue;
        text_add_string(t, " if ");
        checked_print_body(t, &r->body);
    }
}

void checked_print_program(struct text *t, const struct checked_program *program)
{
    for (size_t i = 0; i < program->group_count; i++) {
        const struct checked_group *g = program->groups[i];
        if (g->fallback) checked_print_rule(t, g->fallback);
        if (g->fallback) text_add_char(t, '\n');
        for (size_t k = 0; k < g->rule_count; k++) {
            checked_print_rule(t, g->rules[k]);
            text_add_char(t, '\n');
        }
    }
}

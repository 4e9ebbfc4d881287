#include "policy/scope.h"

#include "policy/rule_tree.h"
#include "policy/text.h"

void scope_enter(struct scopes *s, struct scope *storage)
{
    *storage = (struct scope) { .outer = s->inner };
    s->inner = storage;
}

void scope_leave(struct scopes *s, bool quiet)
{
    const struct scope *scope = s->inner;
    s->inner = scope->outer;
    if (quiet) return;
    for (size_t i = 0; i < scope->count; i++) {
        const struct scope_name *n = &scope->names[i];
        if (n->state == NAME_DECLARED && !n->used)
            compile_error(s->compile, REGO_COMPILE_ERROR, s->unit, &n->at, "declared var %.*s unused",
                          (int) n->name.len, n->name.at);
    }
}

uint32_t scope_number(struct scopes *s)
{
    return s->next_number++;
}

enum { FEW_NAMES = 8 }; /* up to which looking at each is as fast as a table */

static struct scope_name *name_in(struct scopes *s, struct scope *scope, struct rego_text name)
{
    size_t few = scope->count < FEW_NAMES ? scope->count : FEW_NAMES;
    uint32_t at = 0;
    compile_spend(s->compile, 1);
    for (size_t i = 0; i < few; i++)
        if (rego_text_equal(scope->names[i].name, name)) return &scope->names[i];
    return name_table_find(&scope->table, name, &at) ? &scope->names[at] : NULL;
}

static struct scope_name *name_push(struct scopes *s, struct scope_name name)
{
    struct scope *scope = s->inner;
    struct scope_name *names = arena_grow(s->compile->arena, scope->names, scope->count, &scope->cap,
                                          sizeof *names);
    if (!names) return NULL;
    scope->names = names;
    if (scope->count >= FEW_NAMES
        && !name_table_add(s->compile->arena, &scope->table, name.name, (uint32_t) scope->count)) return NULL;
    names[scope->count] = name;
    return &names[scope->count++];
}

static struct scope_name *name_add(struct scopes *s, struct rego_text name, enum name_state state)
{
    struct scope_name *n = name_push(s, (struct scope_name) { .name = name, .state = state });
    if (n && state != NAME_PENDING) n->number = scope_number(s);
    return n;
}

void scope_take_arguments(struct scopes *s, const struct scope *from)
{
    for (size_t i = 0; i < from->count && from->names[i].state == NAME_ARGUMENT; i++)
        if (!name_push(s, from->names[i])) return;
}

static bool in_force(const struct scope_name *n)
{
    return n && n->state != NAME_PENDING && n->state != NAME_TOO_EARLY;
}

/* ---- survey: declarations --------------------------------------------------------------------- */

void pattern_each_var(const struct rego_term *p,
                      void (*visit)(void *context, const struct rego_term *var), void *context)
{
    if (p->kind == REGO_TERM_VAR) visit(context, p);
    if (p->kind == REGO_TERM_ARRAY)
        for (size_t i = 0; i < p->list.count; i++) pattern_each_var(p->list.items[i], visit, context);
    if (p->kind == REGO_TERM_OBJECT)
        for (size_t i = 0; i < p->object.count; i++)
            pattern_each_var(p->object.pairs[i].value, visit, context);
}

static void pending(void *context, const struct rego_term *var)
{
    struct scopes *s = context;
    if (rego_term_is_wildcard(var) || name_in(s, s->inner, var->var.name)) return;
    name_add(s, var->var.name, NAME_PENDING);
}

static void survey_declarations(struct scopes *s, const struct rego_body *body)
{
    for (size_t i = 0; i < body->count; i++) {
        const struct rego_expr *e = body->exprs[i];
        if (e->kind == REGO_EXPR_ASSIGN) pattern_each_var(e->left, pending, s);
        if (e->kind == REGO_EXPR_SOME)
            for (size_t k = 0; k < e->vars.count; k++) pending(s, e->vars.items[k]);
        if (e->kind == REGO_EXPR_SOME_IN && e->key) pattern_each_var(e->key, pending, s);
        if (e->kind == REGO_EXPR_SOME_IN) pattern_each_var(e->value, pending, s);
    }
}

/* ---- survey: mentions ------------------------------------------------------------------------- */

/* A name that is pending anywhere around hides the global of that name. */
static bool is_global(struct scopes *s, struct rego_text name)
{
    struct global g = { 0 };
    for (struct scope *at = s->inner; at; at = at->outer)
        if (name_in(s, at, name)) return false;
    return rego_text_is(name, "input") || rego_text_is(name, "data") ||
           rule_tree_global(s->compile, s->unit, name, &g);
}

static void survey_name(struct scopes *s, const struct rego_term *var)
{
    if (rego_term_is_wildcard(var) || name_in(s, s->inner, var->var.name)) return;
    for (struct scope *at = s->inner->outer; at; at = at->outer)
        if (in_force(name_in(s, at, var->var.name))) return;
    if (!is_global(s, var->var.name)) name_add(s, var->var.name, NAME_FREE);
}

static void survey_list(struct scopes *s, struct rego_term *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++) scope_survey_term(s, items[i]);
}

static void survey_expr(struct scopes *s, const struct rego_expr *e);

void scope_survey_term(struct scopes *s, const struct rego_term *t)
{
    if (!t || !compile_spend(s->compile, 1)) return;
    switch (t->kind) {
    case REGO_TERM_VAR:
        survey_name(s, t);
        return;
    case REGO_TERM_REF:
        scope_survey_term(s, t->ref.head);
        survey_list(s, t->ref.path, t->ref.count);
        return;
    case REGO_TERM_TEMPLATE:
        for (size_t i = 0; i < t->parts.count; i++)
            if (t->parts.items[i].expr) survey_expr(s, t->parts.items[i].expr);
        return;
    case REGO_TERM_ARRAY: case REGO_TERM_SET:
        survey_list(s, t->list.items, t->list.count);
        return;
    case REGO_TERM_OBJECT:
        for (size_t i = 0; i < t->object.count; i++) {
            scope_survey_term(s, t->object.pairs[i].key);
            scope_survey_term(s, t->object.pairs[i].value);
        }
        return;
    case REGO_TERM_CALL:
        survey_list(s, t->call->args, t->call->count);
        return;
    default: return; /* scalars name nothing, comprehensions are scopes of their own */
    }
}

/* `with f as count`: count is the function, not a variable. */
static void survey_with(struct scopes *s, const struct rego_with *with)
{
    struct rego_text name = scope_dotted_name(s->compile, with->value);
    const struct builtin_host *host = s->compile->options->host;
    if (name.len == 0 || !builtin_find(host, name.at, name.len)) scope_survey_term(s, with->value);
}

static void survey_expr(struct scopes *s, const struct rego_expr *e)
{
    scope_survey_term(s, e->term);
    scope_survey_term(s, e->left);
    scope_survey_term(s, e->right);
    scope_survey_term(s, e->domain);
    if (e->kind == REGO_EXPR_SOME_IN) {
        scope_survey_term(s, e->key);
        scope_survey_term(s, e->value);
    }
    for (size_t k = 0; k < e->with_count; k++) survey_with(s, &e->with[k]);
}

void scope_survey_body(struct scopes *s, const struct rego_body *body)
{
    survey_declarations(s, body);
    for (size_t i = 0; i < body->count; i++) survey_expr(s, body->exprs[i]);
}

/* ---- use -------------------------------------------------------------------------------------- */

static void argument(void *context, const struct rego_term *var)
{
    struct scopes *s = context;
    if (rego_term_is_wildcard(var) || name_in(s, s->inner, var->var.name)) return;
    bool hides = rego_text_is(var->var.name, "input") || rego_text_is(var->var.name, "data");
    if (hides)
        compile_error(s->compile, REGO_COMPILE_ERROR, s->unit, &var->at,
                      "args must not shadow %s (use a different variable name)", var->var.name.at);
    name_add(s, var->var.name, NAME_ARGUMENT);
}

void scope_arguments(struct scopes *s, struct rego_term *const *args, size_t count)
{
    for (size_t i = 0; i < count; i++) pattern_each_var(args[i], argument, s);
}

/* By the state a name has already, what is wrong with declaring it. */
static const struct { const char *what, *where; } REDECLARED[] = {
    [NAME_PENDING] = { "var", "" },
    [NAME_TOO_EARLY] = { "var", " referenced above" },
    [NAME_FREE] = { "var", " referenced above" },
    [NAME_ARGUMENT] = { "arg", " redeclared" },
    [NAME_ASSIGNED] = { "var", " assigned above" },
    [NAME_DECLARED] = { "var", " declared above" },
};

uint32_t scope_declare(struct scopes *s, const struct rego_term *var, enum name_state state)
{
    struct rego_text name = var->var.name;
    if (rego_term_is_wildcard(var)) return scope_number(s);
    struct scope_name *n = name_in(s, s->inner, name);
    bool hides = rego_text_is(name, "input") || rego_text_is(name, "data");
    if (hides)
        compile_error(s->compile, REGO_COMPILE_ERROR, s->unit, &var->at,
                      "variables must not shadow %s (use a different variable name)", name.at);
    if (n && n->state != NAME_PENDING) {
        compile_error(s->compile, REGO_COMPILE_ERROR, s->unit, &var->at, "%s %.*s%s",
                      REDECLARED[n->state].what, (int) name.len, name.at, REDECLARED[n->state].where);
        return n->number;
    }
    if (!n) n = name_add(s, name, state);
    else n->number = scope_number(s);
    if (!n) return 0;
    n->state = state;
    n->at = var->at;
    return n->number;
}

bool scope_is_variable(struct scopes *s, struct rego_text name)
{
    for (struct scope *at = s->inner; at; at = at->outer)
        if (in_force(name_in(s, at, name))) return true;
    return false;
}

struct rego_text scope_dotted_name(struct compile *c, const struct rego_term *t)
{
    if (t->kind == REGO_TERM_VAR) return t->var.name;
    if (t->kind != REGO_TERM_REF || t->ref.head->kind != REGO_TERM_VAR) return (struct rego_text) { 0 };
    struct text name = { 0 };
    text_init(&name, c->arena);
    text_add(&name, t->ref.head->var.name.at, t->ref.head->var.name.len);
    for (size_t i = 0; i < t->ref.count; i++) {
        if (t->ref.path[i]->kind != REGO_TERM_STRING) return (struct rego_text) { 0 };
        text_add_char(&name, '.');
        text_add(&name, t->ref.path[i]->text.at, t->ref.path[i]->text.len);
    }
    const char *done = text_end(&name);
    return done ? (struct rego_text) { done, name.len } : (struct rego_text) { 0 };
}

bool scope_lookup(struct scopes *s, struct rego_text name, uint32_t *ret_number)
{
    for (struct scope *at = s->inner; at; at = at->outer) {
        struct scope_name *n = name_in(s, at, name);
        if (!in_force(n)) continue;
        n->used = true;
        *ret_number = n->number;
        return true;
    }
    struct scope_name *n = name_in(s, s->inner, name);
    if (n) n->state = NAME_TOO_EARLY;
    if (n || !is_global(s, name)) {
        *ret_number = n ? n->number : scope_number(s);
        return true;
    }
    return false;
}

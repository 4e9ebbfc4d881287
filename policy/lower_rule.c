#include "policy/lower.h"

#include <stdlib.h>

static struct checked_term **lower_terms(struct lower *l, struct rego_term *const *terms, size_t count)
{
    struct checked_term **made = arena_alloc_array(l->compile->arena, count, sizeof *made);
    for (size_t i = 0; made && i < count; i++) made[i] = lower_simple(l, terms[i]);
    return made;
}

/* A pattern that needs no evaluation. */
static bool is_pattern(const struct rego_term *t)
{
    if (t->kind == REGO_TERM_ARRAY) {
        for (size_t i = 0; i < t->list.count; i++)
            if (!is_pattern(t->list.items[i])) return false;
        return true;
    }
    if (t->kind == REGO_TERM_OBJECT) {
        for (size_t i = 0; i < t->object.count; i++)
            if (!rego_term_is_scalar(t->object.pairs[i].key) ||
                !is_pattern(t->object.pairs[i].value)) return false;
        return true;
    }
    return t->kind == REGO_TERM_VAR || rego_term_is_scalar(t);
}

/* What is no pattern becomes a local, which each branch compares with its value. */
static void lower_args(struct lower *l, const struct rego_rule *ast, struct checked_rule *rule)
{
    struct checked_term **args = arena_alloc_array(l->compile->arena, ast->arg_count, sizeof *args);
    if (!args) return;
    scope_arguments(&l->scopes, ast->args, ast->arg_count);
    for (size_t i = 0; i < ast->arg_count; i++)
        args[i] = is_pattern(ast->args[i])
            ? lower_simple(l, ast->args[i])
            : lower_local(l, scope_number(&l->scopes), NULL, ast->args[i]->at);
    rule->args = args;
    rule->arg_count = ast->arg_count;
}

static void compare_args(struct lower *l, const struct rego_rule *ast, const struct checked_rule *rule)
{
    for (size_t i = 0; i < ast->arg_count; i++)
        if (!is_pattern(ast->args[i]))
            lower_unify(l, rule->args[i], lower_whole(l, ast->args[i]), ast->args[i]->at, true);
}

/* Body, then the head's own terms, which may range over further values themselves. */
static void lower_branch(struct lower *l, const struct rego_rule *ast, struct checked_rule *rule)
{
    struct lower_nest nest = { 0 };
    size_t fixed = rule->group->path_count - l->compile->units[l->scopes.unit].ast->package_count;
    struct rego_term *value = ast->kind == REGO_RULE_CONTAINS ? ast->key : ast->value;
    lower_nest_begin(l, &nest);
    nest.first = 0;
    scope_survey_body(&l->scopes, ast->body);
    for (size_t i = fixed; i < ast->path_count; i++) scope_survey_term(&l->scopes, ast->path[i]);
    for (size_t i = 0; i < ast->arg_count; i++) scope_survey_term(&l->scopes, ast->args[i]);
    scope_survey_term(&l->scopes, value);
    l->statement = ast->head_at;
    lower_body(l, ast->body);
    compare_args(l, ast, rule);
    rule->rest = lower_terms(l, ast->path + fixed, ast->path_count - fixed);
    rule->rest_count = ast->path_count - fixed;
    if (value) rule->value = lower_simple(l, value);
    rule->body = lower_nest_end(l, &nest);
}

static struct checked_rule *rule_new(struct lower *l, const struct rego_rule *ast,
                                     const struct tree_node *n)
{
    struct checked_rule *rule = arena_alloc(l->compile->arena, sizeof *rule);
    if (!rule) return NULL;
    rule->kind = n->group.kind;
    rule->is_default = ast->is_default;
    rule->place = lower_place(l, ast->at);
    struct rego_span head = ast->is_default ? ast->at : ast->head_at; /* `default` included */
    rule->head = (struct checked_span) { lower_place(l, head), head.len };
    rule->name = n->rules->ast->path[0]->text.at;
    rule->group = &((struct tree_node *) n)->group;
    return rule;
}

static struct checked_rule *lower_rule(struct compile *c, const struct tree_rule *source,
                                       const struct tree_node *n)
{
    struct lower l = { .compile = c, .scopes = { .compile = c, .unit = source->unit } };
    struct scope first = { 0 };
    struct checked_rule *head = NULL, *last = NULL;
    size_t errors = c->errors->count;
    for (const struct rego_rule *ast = source->ast; ast; ast = ast->otherwise) {
        struct scope other = { 0 }, *scope = head ? &other : &first;
        struct checked_rule *rule = rule_new(&l, ast, n);
        if (!rule) return NULL;
        scope_enter(&l.scopes, scope);
        if (head) {
            scope_take_arguments(&l.scopes, &first);
            rule->args = head->args;
            rule->arg_count = head->arg_count;
            last->otherwise = rule;
        } else {
            lower_args(&l, ast, rule);
            head = rule;
        }
        lower_branch(&l, ast, rule);
        scope_leave(&l.scopes, c->errors->count > errors);
        last = rule;
    }
    if (head) head->local_count = l.scopes.next_number;
    return head;
}

static void lower_group(struct compile *c, struct tree_node *n)
{
    size_t count = 0;
    for (const struct tree_rule *r = n->rules; r; r = r->next) count++;
    struct checked_rule **rules = arena_alloc_array(c->arena, count, sizeof *rules);
    if (!rules) return;
    for (const struct tree_rule *r = n->rules; r; r = r->next) {
        struct checked_rule *rule = lower_rule(c, r, n);
        if (!rule) return;
        if (rule->rest_count) n->group.has_rest = true;
        if (rule->is_default) n->group.fallback = rule;
        else rules[n->group.rule_count++] = rule;
    }
    n->group.rules = rules;
}

void lower_rules(struct compile *c)
{
    for (size_t i = 0; i < c->tree->node_count; i++) {
        struct tree_node *n = (struct tree_node *) c->tree->nodes[i];
        if (n->rules) lower_group(c, n);
    }
}

/* ---- queries ---------------------------------------------------------------------------------- */

static int variable_compare(const void *left, const void *right)
{
    const struct checked_variable *x = left, *y = right;
    return strcmp(x->name, y->name);
}

static void query_variables(struct compile *c, const struct scope *scope, struct checked_query *q)
{
    struct checked_variable *variables = arena_alloc_array(c->arena, scope->count, sizeof *variables);
    if (!variables) return;
    for (size_t i = 0; i < scope->count; i++)
        variables[i] = (struct checked_variable) { scope->names[i].name.at, scope->names[i].number };
    qsort(variables, scope->count, sizeof *variables, variable_compare);
    q->variables = variables;
    q->variable_count = scope->count;
}

static bool no_wildcard(struct rego_term *t, void *context)
{
    return !rego_term_is_wildcard(t) && rego_term_each_part(t, no_wildcard, context);
}

static bool is_one_value(const struct rego_body *body, const struct scope *scope)
{
    if (body->count != 1 || scope->count) return false;
    const struct rego_expr *e = body->exprs[0];
    return e->kind == REGO_EXPR_TERM && !e->negated && !e->with_count && no_wildcard(e->term, NULL);
}

static void lower_query(struct compile *c, uint32_t unit, struct checked_query *q)
{
    struct lower l = { .compile = c, .scopes = { .compile = c, .unit = unit } };
    struct scope scope = { 0 };
    struct lower_nest nest = { 0 };
    const struct rego_body *body = c->units[unit].query;
    scope_enter(&l.scopes, &scope);
    lower_nest_begin(&l, &nest);
    scope_survey_body(&l.scopes, body);
    l.statement = body->at;
    if (is_one_value(body, &scope)) q->value = lower_simple(&l, body->exprs[0]->term);
    else lower_body(&l, body);
    q->body = lower_nest_end(&l, &nest);
    scope_leave(&l.scopes, true);
    q->local_count = l.scopes.next_number;
    query_variables(c, &scope, q);
}

void lower_queries(struct compile *c, struct checked_query *queries)
{
    for (size_t i = c->module_count; i < c->unit_count; i++)
        lower_query(c, (uint32_t) i, &queries[i - c->module_count]);
}

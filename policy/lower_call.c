#include "policy/lower.h"

#include "policy/suggest.h"

static const struct builtin *builtin_row(const char *name)
{
    return builtin_find(NULL, name, strlen(name));
}

/* ---- what is called --------------------------------------------------------------------------- */

/* The rules that a name leads to, spelt out from data or by the module's own names. False when it does
 * not lead below data at all. */
static bool data_path(struct lower *l, const struct rego_term *t, struct global *ret)
{
    const struct rego_term *head = t->kind == REGO_TERM_REF ? t->ref.head : t;
    size_t more = t->kind == REGO_TERM_REF ? t->ref.count : 0;
    struct global g = { .root = CHECKED_ROOT_DATA };
    if (head->kind != REGO_TERM_VAR) return false;
    if (!rego_text_is(head->var.name, "data") &&
        !rule_tree_global(l->compile, l->scopes.unit, head->var.name, &g)) return false;
    if (g.root != CHECKED_ROOT_DATA) return false;
    const struct value **path = arena_alloc_array(l->compile->arena, g.count + more, sizeof *path);
    if (!path) return false;
    for (size_t i = 0; i < g.count; i++) path[i] = g.path[i];
    for (size_t i = 0; i < more; i++) {
        const struct value *key = term_scalar(l->compile, t->ref.path[i]);
        if (!key) return false;
        path[g.count++] = key;
    }
    *ret = (struct global) { .root = CHECKED_ROOT_DATA, .path = path, .count = g.count };
    return true;
}

static const struct checked_group *group_at(struct lower *l, const struct global *g)
{
    size_t depth = 0;
    const struct checked_node *n = rule_tree_find(l->compile, g->path, g->count, &depth);
    return depth == g->count ? n->group : NULL;
}

static bool is_refused(const struct compile *c, const struct builtin *b)
{
    if (c->options->allow_refused) return false;
    return (b->flags & BUILTIN_REFUSED) || ((b->flags & BUILTIN_FROM_HOST) && !b->run);
}

/* Naming a builtin at all may be forbidden. */
static bool builtin_allowed(struct lower *l, const struct builtin *b, struct rego_span at)
{
    bool deprecated = b->flags & BUILTIN_DEPRECATED;
    const char *what = deprecated ? "deprecated" : is_refused(l->compile, b) ? "unsafe" : NULL;
    if (!what || l->compile->options->allow_refused) return true;
    struct rego_error *e = compile_error(l->compile, REGO_TYPE_ERROR, l->scopes.unit, &at,
                                         "%s built-in function calls in expression: %s", what,
                                         b->name);
    if (!deprecated)
        rego_error_hint(e, "nothing outside is reached from a policy; put the value into data or input");
    return false;
}

static const struct builtin *builtin_by_name(struct lower *l, struct rego_text name)
{
    const struct builtin *b = builtin_find(l->compile->options->host, name.at, name.len);
    bool hidden = b && (b->flags & BUILTIN_INTERNAL) && !l->compile->options->allow_refused;
    return hidden ? NULL : b;
}

/* The nearest builtin, host function, or function of any package. */
static const char *near_function(struct lower *l, struct rego_text name)
{
    size_t count = 0;
    const struct builtin *rows = builtin_all(&count);
    const struct builtin_host *host = l->compile->options->host;
    const struct rule_tree *tree = l->compile->tree;
    struct suggestion s = { 0 };
    suggest_begin(&s, name.at, name.len);
    for (size_t i = 0; i < count; i++)
        if (!(rows[i].flags & (BUILTIN_INTERNAL | BUILTIN_REFUSED | BUILTIN_DEPRECATED)))
            suggest_offer(&s, rows[i].name);
    for (size_t i = 0; host && i < host->row_count; i++) suggest_offer(&s, host->rows[i].name);
    for (size_t i = 0; i < tree->node_count; i++) {
        const struct checked_group *group = tree->nodes[i]->group;
        if (!group || group->kind != CHECKED_FUNCTION) continue;
        suggest_offer(&s, group->name);
        if (value_is(group->node->key, VALUE_STRING)) suggest_offer(&s, group->node->key->string);
    }
    return s.best;
}

/* What the host says of a name that it gives to policies of another kind only; or NULL. */
static const char *hint_elsewhere(const struct builtin_host *host, struct rego_text name)
{
    for (size_t i = 0; host && i < host->elsewhere_count; i++) {
        const char *known = host->elsewhere[i].name;
        if (strlen(known) == name.len && memcmp(known, name.at, name.len) == 0)
            return host->elsewhere[i].hint;
    }
    return NULL;
}

static struct checked_callee undefined_function(struct lower *l, struct rego_text name,
                                                struct rego_span at)
{
    struct rego_error *e = compile_error(l->compile, REGO_TYPE_ERROR, l->scopes.unit, &at,
                                         "undefined function %.*s", (int) name.len, name.at);
    const char *elsewhere = hint_elsewhere(l->compile->options->host, name);
    const char *near = e && !elsewhere ? near_function(l, name) : NULL;
    if (elsewhere) rego_error_hint(e, "%s", elsewhere);
    if (near) rego_error_hint(e, "did you mean %s?", near);
    return (struct checked_callee) { 0 };
}

static struct checked_callee find_callee(struct lower *l, const struct rego_term *t)
{
    const struct rego_call *call = t->call;
    struct checked_callee callee = { 0 };
    struct global g = { 0 };
    if (call->op != REGO_OP_NONE) {
        callee.builtin = builtin_row(rego_op_builtin(call->op));
        return callee;
    }
    const struct rego_term *head = call->function->kind == REGO_TERM_REF
        ? call->function->ref.head : call->function;
    if (head->kind == REGO_TERM_VAR && scope_is_variable(&l->scopes, head->var.name)) {
        compile_error(l->compile, REGO_COMPILE_ERROR, l->scopes.unit, &t->at,
                      "called function %.*s shadowed", (int) call->name.len, call->name.at);
        return callee;
    }
    if (data_path(l, call->function, &g)) {
        callee.function = group_at(l, &g);
        bool callable = callee.function && (callee.function->kind == CHECKED_FUNCTION ||
                                            call->count == 0);
        if (callable) return callee;
        const char *path = rule_tree_path_name(l->compile, g.path, g.count);
        return undefined_function(l, (struct rego_text) { path, strlen(path) }, t->at);
    }
    callee.builtin = builtin_by_name(l, call->name);
    if (!callee.builtin) return undefined_function(l, call->name, t->at);
    if (!builtin_allowed(l, callee.builtin, t->at)) callee.builtin = NULL;
    return callee;
}

/* ---- texts made of values that may be undefined ------------------------------------------------ */

/* {x | x = e}: one member, or none when e is undefined, which the text then shows. Either the
 * expression or the term is given. */
static struct checked_term *perhaps(struct lower *l, const struct rego_expr *e,
                                    const struct rego_term *t)
{
    struct checked_term *set = lower_term_new(l, CHECKED_COMPREHENSION, e ? e->at : t->at);
    struct checked_comprehension *comp = arena_alloc(l->compile->arena, sizeof *comp);
    struct lower_nest nest = { 0 };
    if (!set || !comp) return NULL;
    lower_nest_begin(l, &nest);
    comp->kind = CHECKED_SET_OF;
    comp->term = e ? lower_value(l, e) : lower_simple(l, t);
    comp->body = lower_nest_end(l, &nest);
    set->comprehension = comp;
    return lower_bound(l, set);
}

static struct checked_term *put_call(struct lower *l, struct checked_callee callee,
                                     struct checked_term **args, size_t count,
                                     struct checked_term *output, struct rego_span at, bool made)
{
    struct checked_expr *e = lower_expr_new(l, CHECKED_CALL, at, made);
    if (!e) return NULL;
    e->call.callee = callee;
    e->call.args = args;
    e->call.count = count;
    e->call.output = output;
    return output;
}

static struct checked_term *call_on_parts(struct lower *l, const char *name,
                                          struct checked_term *parts, struct checked_term *output,
                                          struct rego_span at)
{
    struct checked_term **args = arena_alloc(l->compile->arena, sizeof *args);
    if (!args || !parts) return NULL;
    args[0] = parts;
    return put_call(l, (struct checked_callee) { .builtin = builtin_row(name) }, args, 1, output,
                    at, output != NULL);
}

struct checked_term *lower_template(struct lower *l, const struct rego_term *t)
{
    size_t count = t->parts.count;
    struct checked_term **items = arena_alloc_array(l->compile->arena, count, sizeof *items);
    if (!items) return NULL;
    for (size_t i = 0; i < count; i++) {
        const struct rego_part *part = &t->parts.items[i];
        items[i] = part->expr ? perhaps(l, part->expr, NULL)
                              : lower_string(l, part->text, t->at);
    }
    struct checked_term *parts = lower_collection(l, CHECKED_ARRAY, items, count, t->at);
    struct checked_term *output = lower_local(l, scope_number(&l->scopes), NULL, t->at);
    return call_on_parts(l, "internal.template_string", parts, output, t->at);
}

static void lower_print(struct lower *l, const struct rego_term *t)
{
    struct checked_term **items = arena_alloc_array(l->compile->arena, t->call->count, sizeof *items);
    if (!items) return;
    for (size_t i = 0; i < t->call->count; i++) items[i] = perhaps(l, NULL, t->call->args[i]);
    call_on_parts(l, "internal.print",
                  lower_collection(l, CHECKED_ARRAY, items, t->call->count, t->at), NULL, t->at);
}

/* ---- calls ------------------------------------------------------------------------------------- */

static size_t callee_arity(const struct checked_callee *c)
{
    return c->builtin ? c->builtin->arity : c->function->arity;
}

static const char *callee_name(const struct checked_callee *c)
{
    return c->builtin ? c->builtin->name : c->function->name;
}

/* A call as a statement may have one operand more: what the result unifies with. */
static bool arity_fits(struct lower *l, const struct rego_term *t, struct checked_callee callee,
                       bool statement, size_t *ret_arity)
{
    size_t count = t->call->count + (t->call->op == REGO_OP_NEGATE);
    size_t arity = callee_arity(&callee);
    *ret_arity = arity;
    if (count == arity || (statement && count == arity + 1)) return true;
    compile_error(l->compile, REGO_TYPE_ERROR, l->scopes.unit, &t->at,
                  "function %s has arity %zu, got %zu argument%s", callee_name(&callee), arity, count,
                  count == 1 ? "" : "s");
    return false;
}

static struct checked_term **lower_arguments(struct lower *l, const struct rego_call *call)
{
    bool negate = call->op == REGO_OP_NEGATE;
    struct checked_term **args = arena_alloc_array(l->compile->arena, call->count + 1, sizeof *args);
    if (!args) return NULL;
    for (size_t i = 0; i < call->count; i++) args[i + negate] = lower_simple(l, call->args[i]);
    if (!negate) return args;
    args[0] = lower_term_new(l, CHECKED_CONST, call->args[0]->at);
    if (args[0]) args[0]->value = value_int(l->compile->arena, 0);
    return args;
}

/* f() of a rule without arguments is the rule's value. */
static struct checked_term *lower_rule_called(struct lower *l, const struct rego_term *t,
                                              bool want_output, struct checked_term *output)
{
    struct checked_term *value = lower_whole(l, t->call->function);
    if (!want_output) {
        struct checked_expr *test = value ? lower_expr_new(l, CHECKED_TEST, t->at, false) : NULL;
        if (test) test->test = value;
        return NULL;
    }
    if (!output) return value;
    lower_unify(l, output, value, t->at, false);
    return output;
}

struct checked_term *lower_call(struct lower *l, const struct rego_term *t, bool want_output,
                                struct checked_term *output)
{
    size_t arity = 0;
    struct checked_callee callee = find_callee(l, t);
    if (!callee.builtin && !callee.function) return NULL;
    if (callee.builtin && (callee.builtin->flags & BUILTIN_VARIADIC)) {
        if (!want_output) lower_print(l, t);
        else compile_error(l->compile, REGO_TYPE_ERROR, l->scopes.unit, &t->at, "%s used as value",
                           callee.builtin->name);
        return NULL;
    }
    if (callee.function && callee.function->kind != CHECKED_FUNCTION)
        return lower_rule_called(l, t, want_output, output);
    if (!arity_fits(l, t, callee, !want_output, &arity)) return NULL;
    struct checked_term **args = lower_arguments(l, t->call);
    if (!args) return NULL;
    if (!want_output && t->call->count == arity + 1) output = args[arity];
    bool made = want_output && !output;
    if (made) output = lower_local(l, scope_number(&l->scopes), NULL, t->at);
    return put_call(l, callee, args, arity, output, t->at, made);
}

/* ---- with -------------------------------------------------------------------------------------- */

static bool refuse_with(struct lower *l, const char *code, const struct rego_with *w, const char *why,
                        const char *name)
{
    compile_error(l->compile, code, l->scopes.unit, &w->target->at, "with keyword %s%s", why, name);
    return false;
}

/* with f as g: a function or builtin named by the value, as long as no variable has that name. */
static struct checked_callee named_function(struct lower *l, const struct rego_term *t)
{
    struct checked_callee callee = { 0 };
    struct global g = { 0 };
    const struct rego_term *head = t->kind == REGO_TERM_REF ? t->ref.head : t;
    if (head->kind != REGO_TERM_VAR || scope_is_variable(&l->scopes, head->var.name)) return callee;
    if (data_path(l, t, &g)) {
        const struct checked_group *group = group_at(l, &g);
        if (group && group->kind == CHECKED_FUNCTION) callee.function = group;
        return callee;
    }
    struct rego_text name = scope_dotted_name(l->compile, t);
    if (name.len) callee.builtin = builtin_by_name(l, name);
    return callee;
}

static bool with_builtin(struct lower *l, const struct rego_with *w, const struct builtin *b)
{
    static const char REPLACING[] = "replacing built-in function: ";
    if (is_refused(l->compile, b))
        return refuse_with(l, REGO_COMPILE_ERROR, w,
                           "replacing built-in function: target must not be unsafe: ", b->name);
    if (b->flags & BUILTIN_RELATION)
        return refuse_with(l, REGO_COMPILE_ERROR, w, REPLACING, "target must not be a relation");
    if (b->flags & BUILTIN_NO_RESULT)
        return refuse_with(l, REGO_COMPILE_ERROR, w, REPLACING, "target must not be a void function");
    if (b->flags & BUILTIN_INTERNAL)
        return refuse_with(l, REGO_COMPILE_ERROR, w,
                           "replacing built-in function: replacement of internal function invalid: ",
                           b->name);
    return true;
}

static bool with_path(struct lower *l, const struct rego_with *w, struct checked_with *ret)
{
    const struct rego_term *t = w->target;
    struct global g = { 0 };
    const struct rego_term *head = t->kind == REGO_TERM_REF ? t->ref.head : t;
    ret->kind = CHECKED_WITH_DATA;
    if (head->kind != REGO_TERM_VAR) return false;
    if (!data_path(l, t, &g)) {
        if (!rego_term_is_var(head, "input") &&
            (!rule_tree_global(l->compile, l->scopes.unit, head->var.name, &g) ||
             g.root != CHECKED_ROOT_INPUT)) return false;
        size_t more = t->kind == REGO_TERM_REF ? t->ref.count : 0;
        const struct value **path = arena_alloc_array(l->compile->arena, g.count + more, sizeof *path);
        if (!path) return false;
        for (size_t i = 0; i < g.count; i++) path[i] = g.path[i];
        for (size_t i = 0; i < more; i++) {
            path[g.count] = term_scalar(l->compile, t->ref.path[i]);
            if (!path[g.count++]) return false;
        }
        ret->kind = CHECKED_WITH_INPUT;
        g.path = path;
    }
    ret->path = g.path;
    ret->path_count = g.count;
    return true;
}

/* Only what lies wholly below or at a rule may be replaced, not a part of a rule's value. */
static bool with_data(struct lower *l, const struct rego_with *w, struct checked_with *ret)
{
    size_t depth = 0;
    const struct checked_node *n = rule_tree_find(l->compile, ret->path, ret->path_count, &depth);
    if (depth == ret->path_count) ret->node = n;
    for (const struct checked_node *at = ret->node ? n->parent : n; at; at = at->parent)
        if (at->group)
            return refuse_with(l, REGO_COMPILE_ERROR, w,
                               "cannot partially replace virtual document(s)", "");
    if (!ret->node || !n->group || n->group->kind != CHECKED_FUNCTION) return true;
    ret->kind = CHECKED_WITH_FUNCTION;
    ret->target.function = n->group;
    return true;
}

/* What stands in for a function gets its operands, so it takes as many; and it has one value to give. */
static bool stands_in(struct lower *l, const struct rego_with *w, const struct checked_with *with)
{
    const struct checked_callee *by = &with->by, *target = &with->target;
    if (by->builtin && is_refused(l->compile, by->builtin))
        return refuse_with(l, REGO_COMPILE_ERROR, w, "replacing built-in function: target must not be unsafe: ",
                           by->builtin->name);
    if (by->builtin && by->builtin->flags & (BUILTIN_RELATION | BUILTIN_NO_RESULT))
        return refuse_with(l, REGO_COMPILE_ERROR, w, "replacing a function: this one has no single value: ",
                           by->builtin->name);
    if (callee_arity(by) == callee_arity(target)) return true;
    compile_error(l->compile, REGO_TYPE_ERROR, l->scopes.unit, &w->value->at,
                  "%s: arity mismatch: it takes %zu, %s takes %zu", callee_name(target), callee_arity(target),
                  callee_name(by), callee_arity(by));
    return false;
}

bool lower_with(struct lower *l, const struct rego_with *w, struct checked_with *ret)
{
    *ret = (struct checked_with) { .place = lower_place(l, w->at) };
    if (w->target->kind != REGO_TERM_VAR && w->target->kind != REGO_TERM_REF)
        return refuse_with(l, REGO_TYPE_ERROR, w,
                           "target must reference existing input, data, or a function", "");
    if (with_path(l, w, ret)) {
        if (ret->kind == CHECKED_WITH_DATA && !with_data(l, w, ret)) return false;
    } else {
        ret->kind = CHECKED_WITH_FUNCTION;
        ret->target = named_function(l, w->target);
        if (!ret->target.builtin)
            return refuse_with(l, REGO_TYPE_ERROR, w,
                               "target must reference existing input, data, or a function", "");
        if (!with_builtin(l, w, ret->target.builtin)) return false;
    }
    if (ret->kind == CHECKED_WITH_FUNCTION) ret->by = named_function(l, w->value);
    if (ret->by.builtin || ret->by.function) return stands_in(l, w, ret);
    ret->value = lower_simple(l, w->value);
    return true;
}

/* Heads of rules: reference, arguments, key or value; what a default rule may hold. */
#include "policy/parser_internal.h"

/* The reference of the head: its first variable becomes the STRING that names the rule. */
static bool set_path(struct parser *p, struct rego_rule *r, struct rego_term *t)
{
    struct rego_term *head = t->kind == REGO_TERM_REF ? t->ref.head : t;
    size_t count = t->kind == REGO_TERM_REF ? t->ref.count : 0;

    if (head->kind != REGO_TERM_VAR)
        return parser_fail_at(p, t->at, "rule head ref is invalid: it must begin with a name");
    struct rego_term *name = parser_term(p, REGO_TERM_STRING, head->at);
    r->path = parser_alloc(p, (count + 1) * sizeof *r->path);
    if (!name || !r->path) return false;
    name->text = head->var.name;
    r->path[0] = name;
    if (count) memcpy(r->path + 1, t->ref.path, count * sizeof *r->path);
    r->path_count = count + 1;
    return true;
}

static bool parse_reference(struct parser *p, struct rego_rule *r)
{
    struct rego_term *t = parse_var(p);

    if (t) t = parse_ref(p, t, true);
    if (!t) return false;
    if (t->kind != REGO_TERM_CALL) return set_path(p, r, t);
    if (t->call->count == 0)
        return parser_fail_at(p, t->at, "rule argument list must take at least one argument");
    r->kind = REGO_RULE_FUNCTION;
    r->args = t->call->args;
    r->arg_count = t->call->count;
    return set_path(p, r, t->call->function);
}

static const char *head_name(const struct rego_rule *r)
{
    return r->path[0]->text.at; /* terminated: it was copied by parse_var */
}

static bool parse_key(struct parser *p, struct rego_rule *r)
{
    if (r->kind == REGO_RULE_FUNCTION)
        return parser_fail(p, "the contains keyword can only be used with multi-value rule "
                           "definitions (e.g., %.40s contains <VALUE> { ... })", head_name(r));
    r->kind = REGO_RULE_CONTAINS;
    parser_advance(p);
    r->key = parse_infix(p, true, NULL);
    return r->key;
}

/* Behind := or =. OPA tells here what the sign asks for. */
static bool parse_value(struct parser *p, struct rego_rule *r)
{
    r->assigned = parser_at(p, REGO_ASSIGN);
    parser_advance(p);
    if (parser_at_end(p))
        return parser_fail(p, "unexpected eof token: expected rule value term "
                           "(e.g., %.40s := <VALUE> { ... })", head_name(r));
    r->value = parse_infix(p, true, NULL);
    return r->value;
}

bool parse_head(struct parser *p, struct rego_rule *r)
{
    r->head_at = parser_here(p);
    if (!parse_reference(p, r)) return false;
    if (parser_at(p, REGO_CONTAINS)) {
        if (!parse_key(p, r)) return false;
    } else if (parser_at(p, REGO_ASSIGN) || parser_at(p, REGO_UNIFY)) {
        if (!parse_value(p, r)) return false;
    } else {
        r->value = parser_term(p, REGO_TERM_BOOL, r->head_at);
        if (!r->value) return false;
        r->value->boolean = true;
        r->value_generated = true;
    }
    r->head_at = parser_since(p, r->head_at);
    return true;
}

/* ---- default rules --------------------------------------------------------------------------- */

/* Comprehensions are values of their own and may hold anything. */
static bool constant_part(struct rego_term *t, void *context)
{
    switch (t->kind) {
    case REGO_TERM_VAR:
    case REGO_TERM_REF:
    case REGO_TERM_CALL:
        parser_fail_at(context, t->at, "illegal default rule (value cannot contain %s)",
                       rego_term_kind_name(t->kind));
        return false;
    case REGO_TERM_ARRAY_COMP:
    case REGO_TERM_SET_COMP:
    case REGO_TERM_OBJECT_COMP: return true;
    default: return rego_term_each_part(t, constant_part, context);
    }
}

static bool check_default_args(struct parser *p, const struct rego_rule *r)
{
    for (size_t i = 0; i < r->arg_count; i++) {
        const struct rego_term *arg = r->args[i];
        if (arg->kind != REGO_TERM_VAR)
            return parser_fail_at(p, arg->at, "illegal default rule (arguments cannot contain %s)",
                                  rego_term_kind_name(arg->kind));
        for (size_t k = 0; k < i && !rego_term_is_wildcard(arg); k++)
            if (rego_text_equal(arg->var.name, r->args[k]->var.name))
                return parser_fail_at(p, arg->at,
                                      "illegal default rule (arguments cannot be repeated %.40s)",
                                      arg->var.name.at);
    }
    return true;
}

bool check_default(struct parser *p, const struct rego_rule *r)
{
    if (r->kind == REGO_RULE_CONTAINS || r->value_generated)
        return parser_fail_at(p, r->head_at, "illegal default rule (must have a value)");
    for (size_t i = 1; i < r->path_count; i++)
        if (!rego_term_is_scalar(r->path[i]))
            return parser_fail_at(p, r->path[i]->at,
                                  "illegal default rule (name cannot contain %s)",
                                  rego_term_kind_name(r->path[i]->kind));
    return constant_part(r->value, p) && check_default_args(p, r);
}

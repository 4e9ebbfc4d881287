/* Rules: default, head, body, else. */
#include "policy/parser_internal.h"

#include <stdio.h>

static bool is_set_literal(const struct rego_expr *e)
{
    return e->kind == REGO_EXPR_TERM && !e->negated && e->term->kind == REGO_TERM_SET &&
           e->with_count == 0;
}

/* At '{' behind `if`: a body, or an expression that begins with a collection. As in OPA it is an
 * expression when it can be one, save for a set: `if { x }` is a body. */
static struct rego_body *parse_braced(struct parser *p)
{
    struct parser_mark mark = parser_mark(p);
    struct parser_problem problem = {0};
    struct rego_expr *e = parse_literal(p);

    if (e && !is_set_literal(e)) return parser_body_of(p, e);
    bool failed = p->failed;
    if (!parser_back(p, &mark, &problem)) return NULL;
    parser_advance(p);
    struct rego_body *body = parse_body(p, REGO_RBRACE);
    if (!body && failed) parser_furthest(p, &problem);
    return body;
}

/* Rego of before version 1, which is still shown in many places: the hint has the head in today's form. */
static bool fail_without_if(struct parser *p, const struct rego_rule *r)
{
    const char *head = p->source.text + r->head_at.offset;
    char hint[sizeof p->problem.hint] = "this is how Rego was written before version 1; write `if {`";
    int len = (int) r->head_at.len;
    bool shown = len > 0 && len <= 50 && !memchr(head, '\n', (size_t) len);
    bool set = r->kind == REGO_RULE_VALUE && r->path_count == 2 && r->value_generated;
    if (shown && set) { /* p[x] was a set of every x */
        const struct rego_span key = r->path[1]->at;
        snprintf(hint, sizeof hint, "Rego of before version 1: write `%.*s contains %.*s if {`",
                 (int) r->path[0]->text.len, r->path[0]->text.at, (int) key.len, p->source.text + key.offset);
    } else if (shown) {
        snprintf(hint, sizeof hint, "Rego of before version 1: write `%.*s if {`", len, head);
    }
    parser_fail(p, "`if` keyword is required before rule body");
    parser_hint(p, hint);
    return false;
}

/* The body, if there is one, of a rule or of an else. */
static bool parse_rule_body(struct parser *p, struct rego_rule *r)
{
    if (parser_at(p, REGO_LBRACE)) return fail_without_if(p, r);
    if (!parser_take(p, REGO_IF)) {
        r->body_generated = true;
        r->body = parser_true_body(p, r->head_at);
        return r->body;
    }
    r->has_if = true;
    if (parser_at(p, REGO_LBRACE)) {
        r->body = parse_braced(p);
        return r->body;
    }
    if (parser_at_end(p)) return parser_fail(p, "rule body expected");
    struct rego_expr *e = parse_literal(p);
    r->body = e ? parser_body_of(p, e) : NULL;
    return r->body;
}

/* ---- else ------------------------------------------------------------------------------------ */

static bool may_have_else(struct parser *p, const struct rego_rule *r)
{
    if (r->kind == REGO_RULE_CONTAINS)
        return parser_fail(p, "else keyword cannot be used on multi-value rules");
    for (size_t i = 1; i < r->path_count; i++)
        if (!rego_term_is_scalar(r->path[i]))
            return parser_fail(p, "else keyword cannot be used on rules with variables in head");
    return true;
}

static struct rego_rule *parse_else(struct parser *p, const struct rego_rule *first)
{
    struct rego_rule *r = parser_alloc(p, sizeof *r);

    if (!r) return NULL;
    *r = (struct rego_rule){
        .kind = first->kind, .path = first->path, .path_count = first->path_count,
        .args = first->args, .arg_count = first->arg_count, .at = parser_here(p),
        .head_at = parser_here(p),
    };
    parser_advance(p);
    if (parser_at(p, REGO_ASSIGN) || parser_at(p, REGO_UNIFY)) {
        r->assigned = parser_at(p, REGO_ASSIGN);
        parser_advance(p);
        r->value = parse_infix(p, true, NULL);
    } else if (parser_at(p, REGO_IF) || parser_at(p, REGO_LBRACE)) {
        r->value_generated = true;
        r->value = parser_term(p, REGO_TERM_BOOL, r->at);
        if (r->value) r->value->boolean = true;
    } else {
        return parser_unexpected(p, "expected else value term or rule body");
    }
    if (!r->value) return NULL;
    r->head_at = parser_since(p, r->head_at);
    if (!parse_rule_body(p, r)) return NULL;
    r->at = parser_since(p, r->at);
    return r;
}

static bool parse_elses(struct parser *p, struct rego_rule *first)
{
    struct rego_rule *last = first;

    while (parser_at(p, REGO_ELSE)) {
        if (!may_have_else(p, first)) return false;
        last->otherwise = parse_else(p, first);
        if (!last->otherwise) return false;
        last = last->otherwise;
    }
    return true;
}

/* ---- whole rules ----------------------------------------------------------------------------- */

/* `x` or `p[x]` alone: no rule in version 1. */
static bool check_bare(struct parser *p, const struct rego_rule *r)
{
    if (!r->value_generated || r->has_if || r->kind != REGO_RULE_VALUE) return true;
    if (r->path_count == 1)
        return parser_fail_at(p, r->head_at, "var cannot be used for rule name");
    parser_fail_at(p, r->head_at, "`contains` keyword is required for partial set rules");
    parser_hint(p, "write `name contains element`, or give the rule a value with :=");
    return false;
}

static bool parse_default(struct parser *p, struct rego_rule *r)
{
    if (!check_default(p, r)) return false;
    r->body_generated = true;
    r->body = parser_true_body(p, r->head_at);
    return r->body;
}

static bool at_rule_name(struct parser *p)
{
    if (p->t.kind == REGO_NAME && !p->t.symbol) return true;
    bool scalar = p->t.kind == REGO_NUMBER || p->t.kind == REGO_STRING ||
                  parser_at(p, REGO_NULL) || parser_at(p, REGO_TRUE) || parser_at(p, REGO_FALSE);
    if (scalar) return parser_fail(p, "%s cannot be used for rule name", rego_token_name(&p->t));
    if (p->t.kind == REGO_NAME) return parser_unexpected(p, "expected rule head name");
    return parser_unexpected(p, NULL);
}

struct rego_rule *parse_rule(struct parser *p)
{
    struct rego_rule *r = parser_alloc(p, sizeof *r);

    if (!r) return NULL;
    r->at = parser_here(p);
    r->is_default = parser_take(p, REGO_DEFAULT);
    if (!at_rule_name(p) || !parse_head(p, r)) return NULL;
    bool ok = r->is_default ? parse_default(p, r) : parse_rule_body(p, r) && check_bare(p, r);
    if (!ok) return NULL;
    r->at = parser_since(p, r->at);
    if (!parse_elses(p, r)) return NULL;
    return r;
}

bool parser_at_chained(const struct parser *p, const struct rego_rule *before)
{
    return parser_at(p, REGO_LBRACE) && before->has_if && !before->otherwise;
}

struct rego_rule *parse_chained(struct parser *p, const struct rego_rule *before)
{
    struct rego_rule *r = parser_alloc(p, sizeof *r);

    if (!r) return NULL;
    *r = *before;
    r->at = parser_here(p);
    parser_advance(p);
    r->body = parse_body(p, REGO_RBRACE);
    r->at = parser_since(p, r->at);
    return r->body ? r : NULL;
}

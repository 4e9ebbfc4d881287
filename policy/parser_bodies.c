/* Bodies and their expressions: some, every, not, with, := and =. */
#include "policy/parser_internal.h"

static struct rego_expr *expr(struct parser *p, enum rego_expr_kind kind, struct rego_span at)
{
    struct rego_expr *e = parser_alloc(p, sizeof *e);

    if (!e) return NULL;
    e->kind = kind;
    e->at = at;
    return e;
}

/* ---- with ------------------------------------------------------------------------------------ */

static bool parse_with(struct parser *p, struct rego_with *w)
{
    w->at = parser_here(p);
    parser_advance(p);
    w->target = parse_term(p);
    if (!w->target) return false;
    if (w->target->kind != REGO_TERM_VAR && w->target->kind != REGO_TERM_REF)
        return parser_fail_at(p, w->target->at, "expected with target path");
    if (!parser_expect(p, REGO_AS, "expected as keyword")) return false;
    w->value = parse_infix(p, true, NULL);
    w->at = parser_since(p, w->at);
    return w->value;
}

static bool parse_withs(struct parser *p, struct rego_expr *e)
{
    size_t cap = 0;

    while (parser_at(p, REGO_WITH)) {
        struct rego_with *grown = arena_grow(p->arena, e->with, e->with_count, &cap, sizeof *grown);
        if (!grown) return parser_full(p);
        e->with = grown;
        e->with[e->with_count] = (struct rego_with){0};
        if (!parse_with(p, &e->with[e->with_count])) return false;
        e->with_count++;
    }
    return true;
}

/* ---- some and every -------------------------------------------------------------------------- */

/* `[key,] value in domain` as the infix parser has it, taken apart. */
static bool take_in(struct rego_expr *e, const struct rego_term *t)
{
    if (t->kind != REGO_TERM_CALL || t->parenthesised) return false;
    const struct rego_call *c = t->call;
    if (c->op != REGO_OP_IN && c->op != REGO_OP_KEY_IN) return false;
    e->key = c->op == REGO_OP_KEY_IN ? c->args[0] : NULL;
    e->value = c->args[c->count - 2];
    e->domain = c->args[c->count - 1];
    return true;
}

/* `x, y` of `some x, y`; false and no failure when something else follows. */
static bool parse_some_vars(struct parser *p, struct rego_list *vars)
{
    size_t cap = 0;

    do {
        if (!parser_at_name(p)) return false;
        if (!parser_append(p, vars, &cap, parse_var(p))) return false;
    } while (parser_take(p, REGO_COMMA));
    bool more = !p->t.spaced && (parser_at(p, REGO_DOT) || parser_at(p, REGO_LBRACKET) ||
                                 parser_at(p, REGO_LPAREN));
    return !more && !parser_at(p, REGO_IN);
}

static struct rego_expr *parse_some(struct parser *p)
{
    struct rego_expr *e = expr(p, REGO_EXPR_SOME, parser_here(p));
    struct parser_problem unused;

    if (!e) return NULL;
    parser_advance(p);
    struct parser_mark mark = parser_mark(p);
    if (parse_some_vars(p, &e->vars)) return e;
    if (!parser_back(p, &mark, &unused)) return NULL;
    if (e->vars.count > 2)
        return parser_fail(p, "expected `x in xs` or `x, y in xs` expression");
    e->kind = REGO_EXPR_SOME_IN;
    e->vars = (struct rego_list){0};
    struct rego_span at = parser_here(p);
    struct rego_term *t = parse_infix(p, true, NULL);
    if (!t) return NULL;
    if (!take_in(e, t))
        return parser_fail_at(p, at, "expected `x in xs` or `x, y in xs` expression");
    return e;
}

static struct rego_expr *parse_every(struct parser *p)
{
    struct rego_expr *e = expr(p, REGO_EXPR_EVERY, parser_here(p));

    if (!e) return NULL;
    parser_advance(p);
    struct rego_span at = parser_here(p);
    struct rego_term *t = parse_infix(p, true, NULL);
    if (!t) return NULL;
    if (!take_in(e, t))
        return parser_fail_at(p, at, "expected `x[, y] in xs { ... }` expression");
    if (e->key && e->key->kind != REGO_TERM_VAR)
        return parser_fail_at(p, e->key->at, "expected key to be a variable");
    if (e->value->kind != REGO_TERM_VAR)
        return parser_fail_at(p, e->value->at, "expected value to be a variable");
    if (!parser_at(p, REGO_LBRACE)) return parser_unexpected(p, "missing body");
    parser_advance(p);
    e->body = parse_body(p, REGO_RBRACE);
    return e->body ? e : NULL;
}

/* ---- plain expressions ----------------------------------------------------------------------- */

static struct rego_expr *parse_plain(struct parser *p)
{
    struct rego_expr *e = expr(p, REGO_EXPR_TERM, parser_here(p));

    if (!e) return NULL;
    e->term = parse_infix(p, true, NULL);
    if (!e->term) return NULL;
    if (parser_at(p, REGO_ASSIGN)) {
        e->kind = REGO_EXPR_ASSIGN;
    } else if (parser_at(p, REGO_UNIFY)) {
        e->kind = REGO_EXPR_UNIFY;
    } else {
        return e;
    }
    parser_advance(p);
    e->left = e->term;
    e->term = NULL;
    e->right = parse_infix(p, true, NULL);
    return e->right ? e : NULL;
}

static struct rego_expr *parse_negated(struct parser *p)
{
    struct rego_span at = parser_here(p);

    parser_advance(p);
    if (parser_at(p, REGO_SOME)) return parser_fail(p, "illegal negation of 'some'");
    if (parser_at(p, REGO_EVERY)) return parser_fail(p, "illegal negation of 'every'");
    struct rego_expr *e = parse_plain(p);
    if (!e) return NULL;
    e->at = at;
    e->negated = true;
    return e;
}

struct rego_expr *parse_literal(struct parser *p)
{
    struct rego_expr *e = parser_at(p, REGO_NOT)     ? parse_negated(p)
                          : parser_at(p, REGO_SOME)  ? parse_some(p)
                          : parser_at(p, REGO_EVERY) ? parse_every(p)
                                                     : parse_plain(p);

    if (!e || !parse_withs(p, e)) return NULL;
    e->at = parser_since(p, e->at);
    return e;
}

/* ---- bodies ---------------------------------------------------------------------------------- */

static bool append_expr(struct parser *p, struct rego_body *body, size_t *cap, struct rego_expr *e)
{
    struct rego_expr **grown =
        arena_grow(p->arena, body->exprs, body->count, cap, sizeof(struct rego_expr *));

    if (!grown) return parser_full(p);
    body->exprs = grown;
    body->exprs[body->count++] = e;
    return true;
}

static bool at_close(const struct parser *p, enum rego_symbol close)
{
    return close ? parser_at(p, close) : parser_at_end(p);
}

static bool parse_exprs(struct parser *p, struct rego_body *body, enum rego_symbol close)
{
    size_t cap = 0;

    if (at_close(p, close)) return parser_fail(p, "found empty body");
    for (;;) {
        struct rego_expr *e = parse_literal(p);
        if (!e || !append_expr(p, body, &cap, e)) return false;
        if (parser_take(p, REGO_SEMICOLON)) continue;
        if (at_close(p, close)) return true;
        if (p->t.newline) continue;
        return parser_unexpected(p, close == REGO_RBRACE     ? "expected \\n or ; or }"
                                    : close == REGO_RBRACKET ? "expected \\n or ; or ]"
                                                             : "expected \\n or ;");
    }
}

struct rego_body *parse_body(struct parser *p, enum rego_symbol close)
{
    struct rego_body *body = parser_alloc(p, sizeof *body);

    if (!body || !parser_enter(p)) return NULL;
    body->at = parser_here(p);
    bool ok = parse_exprs(p, body, close);
    parser_leave(p);
    if (!ok) return NULL;
    body->at = parser_since(p, body->at);
    parser_advance(p); /* the closing sign; at the end of the text this does nothing */
    return body;
}

struct rego_body *parser_body_of(struct parser *p, struct rego_expr *e)
{
    struct rego_body *body = parser_alloc(p, sizeof *body);
    size_t cap = 0;

    if (!body || !append_expr(p, body, &cap, e)) return NULL;
    body->at = e->at;
    return body;
}

struct rego_body *parser_true_body(struct parser *p, struct rego_span at)
{
    struct rego_expr *e = expr(p, REGO_EXPR_TERM, at);

    if (!e) return NULL;
    e->generated = true;
    e->term = parser_term(p, REGO_TERM_BOOL, at);
    if (!e->term) return NULL;
    e->term->boolean = true;
    return parser_body_of(p, e);
}

/* From the syntax tree to the checked form (checked.h): names become numbers or paths, what is nested
 * becomes expressions of its own in front, sugar goes. The order of bodies stays the author's; check.h
 * changes it. */
#pragma once

#include "policy/rule_tree.h"
#include "policy/scope.h"

struct lower {
    struct compile *compile;
    struct scopes scopes;
    struct pointers *out;    /* expressions of the body being made */
    struct rego_span statement; /* the author's expression or head that is being lowered */
    /* Numbers for `_` directly under a `not`: reserved outside of it, since there a wildcard has to be
     * bound by somebody else, that is, it is unsafe. Empty when equal. */
    uint32_t wildcard_next, wildcard_end;
};

/* ---- terms (lower_term.c) ---- */

/* A term that may stand anywhere: CONST, LOCAL or a composite of these. What has to be evaluated is
 * bound to a local by expressions put out before. NULL without memory. */
struct checked_term *lower_simple(struct lower *l, const struct rego_term *t);

/* The same for a side of = and for a statement: also a REF or COMPREHENSION as the whole. */
struct checked_term *lower_whole(struct lower *l, const struct rego_term *t);

struct checked_place lower_place(const struct lower *l, struct rego_span at);
static inline struct rego_span lower_span(struct checked_place p)
{
    return (struct rego_span) { .line = p.line, .column = p.column, .offset = p.offset };
}
struct checked_term *lower_term_new(struct lower *l, enum checked_term_kind kind, struct rego_span at);
struct checked_term *lower_local(struct lower *l, uint32_t number, const char *name,
                                 struct rego_span at);
struct checked_term *lower_string(struct lower *l, struct rego_text s, struct rego_span at);
/* ARRAY or SET of simple terms; folded to a CONST when all are. */
struct checked_term *lower_collection(struct lower *l, enum checked_term_kind kind,
                                      struct checked_term **items, size_t count, struct rego_span at);
/* collection[key] as REF; the collection is a REF or simple. */
struct checked_term *lower_member(struct lower *l, struct checked_term *collection,
                                  struct checked_term *key, struct rego_span at);
/* A fresh local bound to the term. */
struct checked_term *lower_bound(struct lower *l, struct checked_term *t);

/* ---- calls (lower_call.c) ---- */

/* Puts the call out. want_output: the result is bound to a fresh local, which is returned, or unified
 * with `output` when given; otherwise the call is a statement and NULL is returned. */
struct checked_term *lower_call(struct lower *l, const struct rego_term *call, bool want_output,
                                struct checked_term *output);
/* A template string: a call of internal.template_string. */
struct checked_term *lower_template(struct lower *l, const struct rego_term *t);
/* `with`; false when it was refused. */
bool lower_with(struct lower *l, const struct rego_with *with, struct checked_with *ret);

/* ---- bodies (lower_body.c) ---- */

struct checked_expr *lower_expr_new(struct lower *l, enum checked_expr_kind kind, struct rego_span at,
                                    bool made);
void lower_unify(struct lower *l, struct checked_term *left, struct checked_term *right,
                 struct rego_span at, bool made);
/* The value of a TERM expression, under its replacements: a simple term. */
struct checked_term *lower_value(struct lower *l, const struct rego_expr *e);
/* Every expression, in the scope that is open. */
void lower_body(struct lower *l, const struct rego_body *body);
/* Between these, expressions go to a body of their own; end fills it. */
struct lower_nest {
    struct pointers list, *outer;
    uint32_t first, wildcard_next, wildcard_end;
};
void lower_nest_begin(struct lower *l, struct lower_nest *nest);
struct checked_body lower_nest_end(struct lower *l, struct lower_nest *nest);

/* ---- rules and queries (lower_rule.c) ---- */

/* Fills the groups of the tree. Errors are added to the compilation's. */
void lower_rules(struct compile *c);
/* queries has an entry for each of the compilation's queries. */
void lower_queries(struct compile *c, struct checked_query *queries);

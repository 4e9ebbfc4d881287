/* The syntax tree of Rego v1. The parser (parser.h) fills it, the compiler (compile.h) reads it.
 * Everything lives in one arena, together with the names and decoded strings: nothing is freed
 * singly and the text of the module is needed only for spans.
 *
 * What the parser leaves to the compiler: `_`, scopes, whether a name is a local, a rule, an import,
 * or a function; what it has done already: infix operators are calls, strings are decoded. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/errors.h"

struct arena;
struct rego_body;
struct rego_expr;
struct rego_rule;
struct rego_term;

/* Bytes, not NUL-terminated (a terminator follows all the same, for messages). */
struct rego_text {
    const char *at;
    size_t len;
};

/* ---- operators ------------------------------------------------------------------------------- */

enum rego_op {
    REGO_OP_NONE, /* a call written with its name */
    REGO_OP_ADD, REGO_OP_SUB, REGO_OP_MUL, REGO_OP_DIV, REGO_OP_REM,
    REGO_OP_AND, REGO_OP_OR,
    REGO_OP_EQUAL, REGO_OP_NEQ, REGO_OP_LT, REGO_OP_LTE, REGO_OP_GT, REGO_OP_GTE,
    REGO_OP_IN,     /* value in collection:      args value, collection */
    REGO_OP_KEY_IN, /* key, value in collection: args key, value, collection */
    REGO_OP_NEGATE, /* -x: args x; the same as 0 - x */
    REGO_OPS
};

/* OPA's builtin for the operator: "plus", "equal", "internal.member_2", ...; NULL for NONE.
 * NEGATE is "minus" (with 0 in front). `:=` and `=` are no operators but kinds of expression. */
const char *rego_op_builtin(enum rego_op op);
/* As it is written: "+", "==", "in"; NULL for NONE. */
const char *rego_op_sign(enum rego_op op);

/* ---- terms ----------------------------------------------------------------------------------- */

enum rego_term_kind {
    REGO_TERM_NULL,
    REGO_TERM_BOOL,       /* .boolean */
    REGO_TERM_NUMBER,     /* .text: the spelling, with its minus */
    REGO_TERM_STRING,     /* .text: decoded, UTF-8, may hold NUL */
    REGO_TERM_TEMPLATE,   /* .parts, of $"..{x}.." */
    REGO_TERM_VAR,        /* .var */
    REGO_TERM_REF,        /* .ref: at least one element of path */
    REGO_TERM_ARRAY,      /* .list */
    REGO_TERM_SET,        /* .list, in source order, duplicates kept */
    REGO_TERM_OBJECT,     /* .object, in source order, duplicates kept */
    REGO_TERM_ARRAY_COMP, /* .comp: value | body */
    REGO_TERM_SET_COMP,   /* .comp: value | body */
    REGO_TERM_OBJECT_COMP,/* .comp: key: value | body */
    REGO_TERM_CALL,       /* .call */
};

struct rego_var {
    struct rego_text name; /* as written; "_" for each wildcard */
};

/* head.path[0].path[1]...; `x.y` and `x["y"]` are the same STRING element, told apart by the
 * element's `dotted`. */
struct rego_ref {
    struct rego_term *head; /* VAR, CALL, ARRAY, SET, OBJECT or a comprehension */
    struct rego_term **path;
    size_t count;
};

/* One piece of a template string: `expr` (kind TERM, perhaps with `with`, never negated; undefined
 * becomes "<undefined>") or, when that is NULL, `text` as it stands. */
struct rego_part {
    struct rego_text text;
    struct rego_expr *expr;
};

struct rego_parts {
    struct rego_part *items;
    size_t count;
};

struct rego_list {
    struct rego_term **items;
    size_t count;
};

struct rego_pair {
    struct rego_term *key, *value;
};

struct rego_object {
    struct rego_pair *pairs;
    size_t count;
};

struct rego_comp {
    struct rego_term *key; /* object comprehensions only */
    struct rego_term *value;
    struct rego_body *body;
};

struct rego_call {
    enum rego_op op;
    struct rego_text name;      /* dotted: "plus", "count", "data.p.f", "f", "io.jwt.decode" */
    struct rego_term *function; /* VAR or REF of the name as written; NULL for an operator */
    struct rego_term **args;
    size_t count;
};

struct rego_term {
    enum rego_term_kind kind;
    bool dotted;      /* element of a ref written after a dot */
    bool parenthesised;
    struct rego_span at;
    union {
        bool boolean;
        struct rego_text text;
        struct rego_var var;
        struct rego_ref ref;
        struct rego_parts parts;
        struct rego_list list;
        struct rego_object object;
        struct rego_comp *comp;
        struct rego_call *call;
    };
};

/* ---- expressions and bodies ------------------------------------------------------------------ */

enum rego_expr_kind {
    REGO_EXPR_TERM,    /* .term; a CALL may carry one argument more than its arity: the output */
    REGO_EXPR_ASSIGN,  /* .left := .right */
    REGO_EXPR_UNIFY,   /* .left = .right */
    REGO_EXPR_SOME,    /* some x, y: .vars, VAR terms */
    REGO_EXPR_SOME_IN, /* some .key, .value in .domain; key may be NULL; both are patterns */
    REGO_EXPR_EVERY,   /* every .key, .value in .domain { .body }; key may be NULL; both VAR */
};

struct rego_with {
    struct rego_term *target; /* VAR or REF: input.., data.., a function or a builtin */
    struct rego_term *value;
    struct rego_span at;
};

struct rego_expr {
    enum rego_expr_kind kind;
    bool negated;   /* not ..: TERM, ASSIGN and UNIFY only */
    bool generated; /* stands for what the text leaves out */
    struct rego_span at;
    struct rego_term *term;
    struct rego_term *left, *right;
    struct rego_term *key, *value, *domain;
    struct rego_list vars;
    struct rego_body *body;
    struct rego_with *with;
    size_t with_count;
};

struct rego_body {
    struct rego_expr **exprs; /* in the order of the text */
    size_t count;
    struct rego_span at;
};

/* ---- rules and modules ----------------------------------------------------------------------- */

enum rego_rule_kind {
    REGO_RULE_VALUE,    /* p := v, p[x] := v, p.q.r := v: complete, partial object or between */
    REGO_RULE_CONTAINS, /* p contains k, p.q[x] contains k: multi-value */
    REGO_RULE_FUNCTION, /* f(x) := v */
};

struct rego_rule {
    enum rego_rule_kind kind;
    bool is_default;
    bool assigned;        /* := rather than = */
    bool value_generated; /* no value was written: it is `true` */
    bool body_generated;  /* no body was written: it is `true` */
    bool has_if;
    struct rego_span at;       /* the whole rule without its else chain */
    struct rego_span head_at;
    struct rego_term **path;   /* head's reference: path[0] a STRING (the name), then any terms */
    size_t path_count;
    struct rego_term **args;   /* FUNCTION: patterns */
    size_t arg_count;
    struct rego_term *key;     /* CONTAINS: the element; NULL otherwise */
    struct rego_term *value;   /* VALUE, FUNCTION: never NULL; CONTAINS: NULL */
    struct rego_body *body;    /* never NULL; one generated `true` when there is none */
    struct rego_rule *otherwise; /* else; its path, kind and args are its first rule's */
    struct rego_module_ast *module;
};

struct rego_import {
    struct rego_span at;
    struct rego_term *path;  /* VAR or REF: data.., input.., rego.v1, future.keywords.. */
    struct rego_text alias;  /* `as`; len 0: the last element of the path is the name */
    bool no_op;              /* rego.v1, future.keywords */
};

struct rego_comment {
    struct rego_span at;
    struct rego_text text; /* after the '#', without the newline */
};

struct rego_module_ast {
    struct rego_source source;
    struct rego_span package_at;
    struct rego_term **package; /* STRINGs: `package a.b["c"]` is "a", "b", "c" */
    size_t package_count;
    struct rego_import *imports;
    size_t import_count;
    struct rego_rule **rules;   /* source order; else chains hang from their rule */
    size_t rule_count;
    struct rego_comment *comments;
    size_t comment_count;
};

/* ---- making terms (all return NULL when the arena is full) ------------------------------------ */

struct rego_term *rego_term_new(struct arena *a, enum rego_term_kind kind, struct rego_span at);
struct rego_term *rego_term_string(struct arena *a, const char *text, size_t len,
                                   struct rego_span at); /* copies */

/* ---- small questions ------------------------------------------------------------------------- */

bool rego_text_is(struct rego_text t, const char *spelling);
bool rego_text_equal(struct rego_text a, struct rego_text b);
/* A VAR of that name. */
bool rego_term_is_var(const struct rego_term *t, const char *name);
/* `_` as the source has it. */
bool rego_term_is_wildcard(const struct rego_term *t);
/* Null, boolean, number or string. */
bool rego_term_is_scalar(const struct rego_term *t);
/* OPA's name of the kind, for messages: "null", "boolean", "var", "arraycomprehension", .. */
const char *rego_term_kind_name(enum rego_term_kind kind);

/* Calls visit for every direct part of the term: elements, keys, arguments, head, path; for a
 * comprehension its key and value, not its body; for a template the terms of its parts. Stops at
 * and returns the first false. */
bool rego_term_each_part(const struct rego_term *t,
                         bool (*visit)(struct rego_term *part, void *context), void *context);

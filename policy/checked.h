/* The checked form: what is left of Rego modules when every name is resolved, every sugar is gone and
 * every body stands in an order in which it can run from left to right. compile.h makes it out of the
 * AST, plan.h turns it into a program. Immutable once made; it lives in the arena of the compilation.
 *
 * What the planner may rely on:
 *
 * Locals. Each rule (with its else branches) and each query numbers its variables 0 .. local_count-1;
 * one number is one variable, whatever scope it was declared in, so no two variables ever share a
 * number and shadowing is gone. Every `_` has a number of its own. Intermediate results have numbers
 * too; `name` of such a term is NULL.
 *
 * Terms are flat. Calls stand only as expressions (CHECKED_CALL), never inside a term. References
 * and comprehensions stand only as a whole side of CHECKED_UNIFY or as the term of CHECKED_TEST:
 * everything that was nested is a local bound by an expression before. So operands of
 * calls and of references, members of composites, patterns of functions, heads, targets and values
 * of `with`, domains of `every` are CONST, LOCAL, or ARRAY/OBJECT/SET of those. Composites without
 * a local are folded to CONST. Keys of OBJECT and members of SET are bound before they are needed.
 *
 * Bodies are ordered: run from left to right, a local is bound before it is needed. These places bind
 * an unbound local: a side of CHECKED_UNIFY that is LOCAL, ARRAY or OBJECT values (deep); an operand
 * of a reference (the reference then ranges over all keys; also inside ARRAY or OBJECT operands, which
 * then unify with the key); the output of a CHECKED_CALL (any pattern). Everything else is input.
 * An empty body is true.
 *
 * Closures (comprehension, not, every) see the locals bound before them and bind nothing outside.
 * CHECKED_WITH is no closure: what its body binds stays bound behind it, while the replacement itself
 * ends with it, also for the further solutions of the body. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct builtin;
struct value;
struct checked_group;
struct checked_node;
struct checked_rule;
struct rego_source;

/* Where the author wrote it; module counts from 0 in the order of the modules given, queries follow
 * behind the last module. */
struct checked_place {
    uint32_t module, line, column, offset; /* offset in bytes, from 0 */
};

/* A stretch of the text, len in bytes. */
struct checked_span {
    struct checked_place place;
    uint32_t len;
};

/* ---- terms ------------------------------------------------------------------------------------- */

enum checked_term_kind {
    CHECKED_CONST,
    CHECKED_LOCAL,
    CHECKED_REF,
    CHECKED_ARRAY,
    CHECKED_OBJECT,
    CHECKED_SET,
    CHECKED_COMPREHENSION,
};

struct checked_term {
    enum checked_term_kind kind;
    struct checked_place place;
    union {
        const struct value *value;               /* CONST */
        struct { uint32_t number; const char *name; } local; /* LOCAL; name NULL when made by the compiler */
        struct checked_ref *ref;                 /* REF */
        struct { struct checked_term *const *at; size_t count; } items; /* ARRAY, SET */
        struct { struct checked_term *const *at; size_t count; } pairs; /* OBJECT: at[2i] key, at[2i+1] value; count of pairs */
        struct checked_comprehension *comprehension;
    };
};

enum checked_root {
    CHECKED_ROOT_INPUT,
    CHECKED_ROOT_DATA,
    CHECKED_ROOT_LOCAL, /* bound */
};

/* root followed by operands. Rules, imports and packages of the source are all spelt out from `data`:
 * rule p of package a.b is data with operands "a" "b" "p". No operand at all: the whole input/data. */
struct checked_ref {
    enum checked_root root;
    uint32_t local;         /* ROOT_LOCAL */
    const char *local_name; /* NULL when made by the compiler */
    struct checked_term *const *operands;
    size_t count;
    /* DATA: the deepest node of the rule tree that the leading CONST operands reach, and how many of
     * them lead there (0: the tree's root). A node without group and children cannot be. NULL for
     * other roots. */
    const struct checked_node *node;
    size_t node_depth;
};

enum checked_comprehension_kind { CHECKED_ARRAY_OF, CHECKED_SET_OF, CHECKED_OBJECT_OF };

/* ---- expressions -------------------------------------------------------------------------------- */

struct checked_body {
    struct checked_expr *const *at;
    size_t count;
    /* Of a closure's body: its own locals are the numbers first_local .. end_local-1 (those of closures
     * within included); all others in it come from outside. Of a rule or a query: all its locals. */
    uint32_t first_local, end_local;
};

struct checked_comprehension {
    enum checked_comprehension_kind kind;
    struct checked_term *key;  /* OBJECT_OF */
    struct checked_term *term; /* element, or value of OBJECT_OF */
    struct checked_body body;
};

enum checked_expr_kind {
    CHECKED_TEST,  /* term is defined and not false; a REF may range over several solutions */
    CHECKED_UNIFY, /* left = right */
    CHECKED_CALL,
    CHECKED_NOT,   /* no solution of body */
    CHECKED_EVERY, /* body has a solution for every pair of the domain; false for an undefined domain
                      or one that is no collection */
    CHECKED_WITH,  /* body under replacements */
};

/* What is called: exactly one of the two is set. */
struct checked_callee {
    const struct builtin *builtin;      /* operators too: plus, equal, internal.member_2, ... */
    const struct checked_group *function;
};

enum checked_with_kind {
    CHECKED_WITH_INPUT,    /* path below input; empty path: the whole input */
    CHECKED_WITH_DATA,     /* path below data, which may lead to a rule; empty: all of data */
    CHECKED_WITH_FUNCTION, /* target is replaced by `by` when it has one, else by `value` */
};

struct checked_with {
    enum checked_with_kind kind;
    struct checked_place place;
    const struct value *const *path; /* strings */
    size_t path_count;
    const struct checked_node *node; /* DATA: what the whole path names in the rule tree; NULL: nothing */
    struct checked_callee target;    /* FUNCTION */
    struct checked_callee by;        /* FUNCTION by function; both NULL: by value */
    struct checked_term *value;      /* CONST, LOCAL or composite */
};

struct checked_expr {
    enum checked_expr_kind kind;
    bool made; /* by the compiler out of a part of the author's expression at the same place */
    bool assigned; /* a UNIFY written with := (for messages; it runs like every other) */
    struct checked_place place;
    struct checked_span statement; /* what the author wrote that this is a part of: one expression of a
                                      body, or a head */
    union {
        struct checked_term *test;
        struct { struct checked_term *left, *right; } unify;
        /* args has as many entries as the callee's arity. output NULL: the call is a statement, its
         * result must be defined and not false. Template strings are calls of internal.template_string
         * and print(..) is internal.print: both have one ARRAY argument, in which a literal text is a
         * string and everything else a set: of one member, or empty when the value is undefined. */
        struct {
            struct checked_callee callee;
            struct checked_term *const *args;
            size_t count;
            struct checked_term *output;
        } call;
        struct checked_body negated;
        struct {
            struct checked_term *key;   /* LOCAL or NULL */
            struct checked_term *value; /* LOCAL */
            struct checked_term *domain;
            struct checked_body body;
        } every;
        struct { struct checked_with *at; size_t count; struct checked_body body; } with;
    };
};

/* ---- rules -------------------------------------------------------------------------------------- */

enum checked_rule_kind {
    CHECKED_COMPLETE, /* path := value; with `rest`: path[rest...] := value, a partial object */
    CHECKED_SET_RULE, /* path contains value, or path[rest...] contains value */
    CHECKED_FUNCTION,
};

/* The heads' terms are evaluated after the body and are CONST, LOCAL or composites: whatever needs
 * evaluation was moved to the body's end. */
struct checked_rule {
    enum checked_rule_kind kind;
    bool is_default;                /* body at most builds value (a comprehension); patterns of a function
                                       are locals */
    struct checked_place place;
    struct checked_span head;           /* without body; `else := 2` of an else branch */
    const char *name;               /* as written in the head, for messages */
    struct checked_group *group;
    struct checked_term *const *args;   /* patterns of a FUNCTION; bound before the body */
    size_t arg_count;
    struct checked_term *const *rest;   /* operands of the head's reference from the first that is no CONST */
    size_t rest_count;
    struct checked_term *value;     /* member for SET_RULE */
    struct checked_body body;
    struct checked_rule *otherwise; /* else branch: same args, own body and value */
    uint32_t local_count;           /* of the first branch: counts all branches */
};

/* All rules whose head has the same constant path. */
struct checked_group {
    enum checked_rule_kind kind;    /* COMPLETE when some rule has a rest and not all are the same */
    const char *name;               /* "data.policy.allow" */
    const struct value *const *path;/* below data, path_count entries */
    size_t path_count;
    struct checked_node *node;
    struct checked_rule *const *rules; /* in the order of the text; no defaults */
    size_t rule_count;
    struct checked_rule *fallback;  /* the default rule or NULL */
    size_t arity;                   /* FUNCTION */
    bool has_rest;                  /* some rule has rest_count > 0 */
    uint32_t number;                /* position in checked_program.groups */
};

/* Tree of all packages and rules below `data`. A node may have a group and children at once: rules
 * p[x] and p.q.r of one package make data.p's value together. */
struct checked_node {
    const struct value *key;        /* NULL for the root */
    struct checked_node *parent;
    struct checked_node *const *children; /* sorted by key */
    size_t child_count;
    struct checked_group *group;    /* or NULL */
    uint32_t number;                /* position in checked_program.nodes */
};

/* NULL when there is no such child. */
const struct checked_node *checked_child(const struct checked_node *n, const struct value *key);

struct checked_variable { const char *name; uint32_t number; };

struct checked_query {
    struct checked_body body;
    uint32_t local_count;
    /* The variables the author named, sorted by name; no `_`. Those that begin with two underscores
     * are included. */
    const struct checked_variable *variables;
    size_t variable_count;
    /* Set when the query is one expression that is a value without variables of its own: the body
     * then binds `value`, and whether that is true is not asked. Otherwise NULL. */
    struct checked_term *value;
};

struct checked_program {
    struct checked_node *root;
    struct checked_node *const *nodes;     /* all, the root first */
    size_t node_count;
    struct checked_group *const *groups;   /* a group comes after all groups it depends on */
    size_t group_count;
    const struct checked_query *queries;   /* as many as given */
    size_t query_count;
    const char *const *module_names;       /* then those of the queries: "query 1", ... */
    const struct rego_source *sources;     /* their texts, in the same order */
    size_t module_count;
};

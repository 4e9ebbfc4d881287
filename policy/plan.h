/* The plan: checked rules turned into instructions that the machine (vm.h) runs. Immutable; it lives
 * in the arena of the program and points into the checked form.
 *
 * Each group of rules and each query is one unit of straight code over numbered slots. What cannot
 * hold jumps: every instruction that may fail names the place where the search goes on, which is the
 * next turn of the innermost loop around it, or what stands behind the body when there is none. So
 * backtracking needs no stack: loops keep their position in an iterator of the frame, leaving one is
 * a jump, and a body of n nested loops runs without recursion. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct builtin;
struct builtin_patterns;
struct checked_expr;
struct checked_node;
struct checked_place;
struct checked_program;
struct checked_rule;
struct checked_with;
struct plan_index;
struct value;

/* Operands `a`, `b`, `c` are slots when not negative, else constants: ~operand is the number in
 * plan.constants. `args` means plan.args[c] .. [c + count - 1], operands too. `to` is where to go on
 * failure. Destinations are always slots. */
enum plan_op {
    PLAN_NOP,
    PLAN_JUMP,        /* to `to`; flag: because the expression fails */
    PLAN_MOVE,        /* a = b */
    PLAN_TRUE,        /* b is not false */
    PLAN_EQUAL,       /* b == c */
    PLAN_COMPARE,     /* b <flag> c, flag an enum plan_compare */
    PLAN_COMPARED,    /* a = (b <flag> c) */
    PLAN_ITERATE,     /* iterator a begins at collection b; fails when b is none */
    PLAN_NEXT,        /* key to slot b, value to slot c of iterator a, -1 when not wanted; fails at the end;
                         count: steps of the longest turn, beside the one of each */
    PLAN_GET,         /* a = b[c]; fails when undefined; flag: b is a base document */
    PLAN_AT,          /* a = b[count], b known to be an array of more than that */
    PLAN_ARRAY_OF,    /* b is an array of c members */
    PLAN_OBJECT_OF,   /* b is an object of c members */
    PLAN_MEMBER,      /* b is a member of collection c: b in c */
    PLAN_ARRAY,       /* a = [args] */
    PLAN_SET,         /* a = {args} */
    PLAN_OBJECT,      /* a = {args: key, value, ...} */
    PLAN_BUILD,       /* builder a begins a value of kind flag */
    PLAN_ADD,         /* to builder a: member b */
    PLAN_PUT,         /* to builder a: key b, value c */
    PLAN_BUILT,       /* a = what builder b holds */
    PLAN_INPUT,       /* a = input; fails when undefined */
    PLAN_BASE,        /* a = data without rules; fails when undefined */
    PLAN_RULE,        /* a = value of group b; fails when undefined */
    PLAN_CALL,        /* a = group b (args); fails when undefined */
    PLAN_BUILTIN,     /* a = builtin b (args); fails when undefined */
    PLAN_ARITHMETIC,  /* the same; flag: an enum plan_arithmetic, for two integers */
    PLAN_PRINT,       /* a variadic builtin b without value: never fails */
    PLAN_DOCUMENT,    /* a = node b [args...], rules and data together; fails when undefined */
    PLAN_KEYS,        /* a = collection over whose keys node b [args...] ranges; fails when undefined */
    PLAN_WITH,        /* replacements b of plan.withs, one for each of args, hold from here */
    PLAN_WITH_END,    /* .. to here */
    PLAN_CLEAR,       /* slot a = nothing */
    PLAN_WHEN_SET,    /* to `to` when slot a holds something */
    PLAN_RESULT,      /* the unit's value is b; a different one before is a conflict */
    PLAN_WHEN_RESULT, /* to `to` when the unit has a value */
    PLAN_CANDIDATES,  /* iterator a begins at the rules that index b does not rule out */
    PLAN_RULES,       /* on to the code of the next rule of iterator a, by index b; fails behind the last */
    PLAN_INSERT,      /* into the unit's document at path args: value b; flag: b is a member of a set there */
    PLAN_INSERT_MISSING, /* the same unless something is there: defaults */
    PLAN_MARK,        /* of a traced plan: a body (flag PLAN_MARK_BODY) or an expression begins */
    PLAN_END,         /* of the unit */
    PLAN_OPS
};

/* This many instructions are a step of the budget, where they run without a loop or a call. */
enum { PLAN_INSNS_STEP = 8 };

enum plan_compare { PLAN_EQ, PLAN_NE, PLAN_LT, PLAN_LE, PLAN_GT, PLAN_GE };

enum plan_arithmetic { PLAN_ADD_INTEGERS, PLAN_SUBTRACT, PLAN_MULTIPLY, PLAN_REMAINDER };

enum plan_mark { PLAN_MARK_EXPR, PLAN_MARK_BODY };

/* Whose an instruction is. */
struct plan_origin {
    const struct checked_rule *rule; /* the branch; NULL in a query and between rules */
    const struct checked_expr *expr; /* NULL: the rule's own, such as its head */
    const struct plan_origin *outer; /* of the expression whose body this one stands in (not, every,
                                        with, a comprehension in it); NULL in the rule's own body */
};

struct plan_insn {
    uint8_t op, flag;
    uint16_t count;
    int32_t a, b, c;
    int32_t to; /* from this instruction on: backwards when negative */
};

enum plan_unit_kind {
    PLAN_UNIT_NONE,     /* folded into the unit of a group above */
    PLAN_UNIT_COMPLETE, /* one value or undefined */
    PLAN_UNIT_FUNCTION, /* the same; arguments in slots 0.. */
    PLAN_UNIT_SET,      /* partial set: builder 0 */
    PLAN_UNIT_DOCUMENT, /* partial object, general heads: PLAN_INSERT */
    PLAN_UNIT_QUERY,    /* builder 0: array of bindings */
};

struct plan_unit {
    enum plan_unit_kind kind;
    const char *name; /* "data.policy.allow"; for messages */
    const struct plan_insn *code;
    const struct checked_place *places; /* one for each instruction */
    const struct plan_origin *const *origins; /* the same in a traced plan, never NULL; else NULL */
    uint32_t length;
    uint32_t slots, iterators, builders;
    uint32_t arity;
    uint32_t steps; /* what running it costs at least: straight code is not free */
};

/* One `with`: what it replaces; the value comes with the instruction. */
struct plan_with { const struct checked_with *of; };

struct plan {
    const struct checked_program *checked;
    const struct plan_unit *groups;  /* by number of the checked group */
    const struct plan_unit *queries; /* as many as checked->query_count */
    const struct value *const *constants;
    size_t constant_count;
    const int32_t *args;
    const struct builtin *const *builtins;
    const struct plan_with *withs;
    const struct plan_index *const *indexes;
    const struct builtin_patterns *patterns; /* those that are constants; NULL for none */
};

/* Why there is no plan: a limit, or checked code that breaks checked.h's promises. */
struct plan_problem {
    char text[160];
    uint32_t module, line, column;
};

/* NULL, with *ret_problem, on failure; the arena's exhaustion is one. */
const struct plan *plan_make(struct arena *a, const struct checked_program *checked,
                             struct plan_problem *ret_problem);

/* The plan to be traced (trace.h). It does the same and in the same order, but shows every step: each
 * instruction knows its origin, PLAN_MARK stands before each body and expression, and nothing is left
 * out for being needless. So whatever makes plans shorter (fused instructions, an index that picks the
 * rules which may hold, expressions evaluated beforehand) must be off here: a rule that an index skips
 * has to be entered and to fail at its own expression, or nobody learns which one that was. */
const struct plan *plan_make_traced(struct arena *a, const struct plan *fast, struct plan_problem *ret_problem);

/* Does the group make a document (anything but a function)? */
struct checked_group;
bool plan_is_document(const struct checked_group *g);

/* The instructions as text, for tests and debugging. */
struct text;
void plan_print(struct text *t, const struct plan *p, const struct plan_unit *u);

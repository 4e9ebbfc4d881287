/* The planner's inside, shared by plan*.c only. */
#pragma once

#include "policy/arena.h"
#include "policy/builtin.h"
#include "policy/checked.h"
#include "policy/plan.h"
#include "policy/plan_index.h"
#include "policy/value.h"

enum {
    PLAN_UNBOUND = INT32_MAX,
    PLAN_DEPTH_MAX = 500,         /* closures, patterns and composites within each other */
    PLAN_ARGS_MAX = UINT16_MAX,
    PLAN_SLOTS_MAX = 1 << 20,
    PLAN_PATTERNS_MAX = 256,      /* compiled with the program; others are when they are used */
};

/* A place in the code not known yet: an index into planner.labels. */
typedef uint32_t plan_label;

struct planner {
    struct arena *arena;
    const struct checked_program *checked;
    struct plan_problem *problem;
    bool failed;
    unsigned depth;
    struct plan_insn nowhere; /* what is emitted after a failure */
    struct checked_place place; /* of what is being planned */
    bool traced;
    const struct plan_origin *origin; /* of what is being planned; NULL unless traced */

    /* of the program */
    const struct value **constants;
    size_t constant_count, constant_cap;
    int32_t *args;
    size_t arg_count, arg_cap;
    const struct builtin **builtins;
    size_t builtin_count, builtin_cap;
    struct plan_with *withs;
    size_t with_count, with_cap;
    const struct plan_index **indexes;
    size_t index_count, index_cap;
    const struct builtin_patterns *patterns;
    size_t pattern_count;

    /* of the unit */
    struct plan_insn *code;
    size_t length, code_cap;
    struct checked_place *places;
    size_t place_cap;
    const struct plan_origin **origins;
    size_t origin_cap;
    uint32_t *labels;
    size_t label_count, label_cap;
    uint32_t slots, slots_max, iterators, iterators_max, builders, builders_max;
    uint32_t iterators_kept, builders_kept; /* of the unit itself; each rule's begin behind them */
    uint32_t indexed; /* instructions that an index may leave out */

    /* of the rule */
    int32_t *where; /* of each local: an operand, or PLAN_UNBOUND */
    uint32_t local_count, local_room; /* room: of these arrays */
    uint8_t *mentions; /* of each local: how often the rule names it, up to 2 */
    uint32_t *trail; /* the locals bound, in the order in which they were; room for all */
    size_t trail_count;
    int32_t local_base;  /* the local's own slot is local_base + number */
    plan_label otherwise;/* where failure leads now */
    uint32_t loops;      /* opened since the branch of the rule began */
};

/* ---- plan_emit.c ---- */

/* Records the first problem, at p->place. Always false. */
bool plan_fail(struct planner *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The instruction just emitted, for setting what is left; never NULL (a dummy once failed). Valid
 * until the next one. `to` is p->otherwise. */
struct plan_insn *plan_emit(struct planner *p, enum plan_op op, int32_t a, int32_t b, int32_t c);
void plan_jump(struct planner *p, plan_label to);
void plan_fail_here(struct planner *p, plan_label otherwise); /* the expression fails */

plan_label plan_label_new(struct planner *p);
void plan_label_here(struct planner *p, plan_label label);

/* Of a traced plan only, nothing otherwise: what follows is the branch's own, or the expression's and
 * begins here. plan_trace_end goes back to what plan_trace_expr returned. */
void plan_trace_rule(struct planner *p, const struct checked_rule *r);
const struct plan_origin *plan_trace_expr(struct planner *p, const struct checked_expr *e);
void plan_trace_end(struct planner *p, const struct plan_origin *outer);

int32_t plan_slot(struct planner *p); /* a fresh one */
int32_t plan_constant(struct planner *p, const struct value *v);
uint32_t plan_iterator(struct planner *p);
uint32_t plan_builder(struct planner *p);
/* Copies operands to plan.args; returns where they begin. */
int32_t plan_args(struct planner *p, const int32_t *operands, size_t count);
int32_t plan_builtin(struct planner *p, const struct builtin *row);
int32_t plan_index_number(struct planner *p, const struct plan_index *index);
int32_t *plan_scratch(struct planner *p, size_t count); /* NULL when failed */

/* Opens a loop: p->otherwise becomes its next turn. key and value are slots, or -1. */
void plan_loop(struct planner *p, int32_t collection, int32_t key, int32_t value);

/* ---- plan_term.c ---- */

/* Can it be evaluated: are all its locals bound? References and comprehensions always can. */
bool plan_bound(const struct planner *p, const struct checked_term *t);
/* Code that evaluates a bound term; the operand that holds it. May open loops. */
int32_t plan_term(struct planner *p, const struct checked_term *t);
/* The local is at the operand from here on. */
void plan_bind(struct planner *p, uint32_t local, int32_t operand);
/* Unbinds what was bound since the trail had this length. */
void plan_unbind(struct planner *p, size_t trail_count);
/* left = right. */
bool plan_unify(struct planner *p, const struct checked_term *left, const struct checked_term *right);
/* pattern = operand. */
bool plan_match(struct planner *p, const struct checked_term *pattern, int32_t operand);

/* ---- plan_ref.c ---- */

int32_t plan_ref(struct planner *p, const struct checked_ref *r);

/* ---- plan_expr.c ---- */

/* == != < <= > >= and `in`: they never fail with an error. NULL does. */
bool plan_compares(const struct builtin *row);

/* The body's expressions in turn; behind them every local of the body is bound. */
bool plan_body(struct planner *p, const struct checked_body *body);
int32_t plan_comprehension(struct planner *p, const struct checked_comprehension *c);

/* ---- plan_index.c ---- */

/* An index of these rules; NULL when it is not worth while (or failed). Then the code of each rule is
 * made, starts is filled, and the index is finished. */
struct plan_index *plan_index_begin(struct planner *p, const struct checked_rule *const *rules, size_t count);
/* The rule is not to be left out, whatever it compares. */
void plan_index_always(struct plan_index *index, size_t rule);
void plan_index_end(struct planner *p, struct plan_index *index);

/* ---- plan_unit.c ---- */

bool plan_group(struct planner *p, const struct checked_group *g, struct plan_unit *ret);
bool plan_query(struct planner *p, const struct checked_query *q, struct plan_unit *ret);

/* The built-in functions: one table of rows (builtin_rows.inc), how a call reaches its function, how a
 * function answers.
 *
 * A function gets its operands already checked against the row's types and answers one of:
 *   a value               the result (for BUILTIN_RELATION: an array of results, one per solution);
 *   NULL                  undefined, nothing went wrong (OPA's BuiltinEmpty); builtin_nothing says why;
 *   NULL with an error    by builtin_fail_*: the expression is undefined, or the evaluation ends when
 *                         built-in errors are strict;
 *   NULL with a halt      by builtin_halt, builtin_limit or a spent budget: the evaluation ends in any
 *                         case. Whatever is beyond a limit of ours is a halt and never undefined:
 *                         under `not` the undefined counts as true.
 * Functions are pure: same operands and same call context, same answer. They keep no pointers to
 * the call. Any thread may call any function, each with its own call. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/budget.h"
#include "policy/value.h"

struct builtin;
struct builtin_cache;
struct builtin_patterns;

#define BUILTIN_ARGS_MAX 5
#define BUILTIN_STEPS 3 /* of a call, whatever it does; an operator costs one */
#define BUILTIN_ERROR_MAX 512

/* ---- the row ----------------------------------------------------------------------------------- */

/* What an operand may be; builtin.c has the set of types and OPA's words for each. The order of
 * the words is OPA's and differs from function to function, hence {set, array} and {array, set}. */
enum builtin_operand {
    ARG_ANY, /* also for functions that check by themselves */
    ARG_NULL,
    ARG_BOOLEAN,
    ARG_NUMBER,
    ARG_INTEGER, /* "must be integer number but got floating-point number" */
    ARG_STRING,
    ARG_ARRAY,
    ARG_OBJECT,
    ARG_SET,
    ARG_COUNTABLE,          /* {array, object, set, string} */
    ARG_ARRAY_OR_SET,       /* {array, set} */
    ARG_SET_OR_ARRAY,       /* {set, array} */
    ARG_OBJECT_SET_ARRAY,   /* {object, set, array} */
    ARG_STRING_SET_ARRAY,   /* {string, set, array} */
    ARG_NUMBER_OR_SET,      /* {number, set}: only `-` */
    ARG_NULL_OR_ARRAY,      /* {null, array}: glob delimiters */
    ARG_COUNT_,
};

enum builtin_flag {
    BUILTIN_REFUSED = 1,          /* known by signature, never run: policies with it are refused at upload */
    BUILTIN_DEPRECATED = 2,       /* v1 forbids it: "deprecated built-in function calls in expression: any" */
    BUILTIN_NONDETERMINISTIC = 4, /* never folded at compile time; one answer per evaluation and operands */
    BUILTIN_FROM_HOST = 8,        /* `run` comes from the host's table; without it the function is refused */
    BUILTIN_RELATION = 16,        /* answers an array; each element is one solution (walk) */
    BUILTIN_VARIADIC = 32,        /* any number of operands: print; `arity` is 0 and `run` gets one array */
    BUILTIN_INTERNAL = 64,        /* made by the compiler only; a policy may not name it */
    BUILTIN_OPERATOR = 128,       /* has an infix spelling, `infix` */
    BUILTIN_NO_RESULT = 256,      /* the call is an expression without a value: print */
};

struct builtin_call;

/* args has as many entries as the row's arity (one array of all operands when variadic); none is
 * NULL: a call with an undefined operand is undefined before it comes here. */
typedef const struct value *builtin_fn(struct builtin_call *call, const struct value *const *args);

struct builtin {
    const char *name;
    const char *infix; /* NULL without BUILTIN_OPERATOR */
    builtin_fn *run;   /* NULL when refused or not given by the host */
    uint16_t flags;
    uint8_t arity; /* without the output operand that OPA allows as one more */
    uint8_t operands[BUILTIN_ARGS_MAX]; /* enum builtin_operand */
};

/* ---- the host ---------------------------------------------------------------------------------- */

struct builtin_zone {
    int32_t offset;        /* seconds east of UTC */
    char abbreviation[16]; /* "CET" */
};

/* What the embedder gives: cryptography and time zones are not policy/'s business. All pointers
 * outlive every program compiled with it; functions are called from any thread. */
struct builtin_host {
    /* Names that policies of another kind know, and what to tell whoever uses one here. */
    const struct builtin_elsewhere { const char *name, *hint; } *elsewhere;
    size_t elsewhere_count;
    const struct builtin *rows; /* functions with BUILTIN_FROM_HOST in the table, or new names */
    size_t row_count;
    /* The zone's rules at a moment, `name` as in the tz database; false: unknown name. NULL: only
     * UTC and fixed offsets are known. */
    bool (*zone_at)(void *context, const char *name, size_t len, int64_t unix_seconds,
                    struct builtin_zone *ret);
};

/* Finds the row by name, the host's rows first (host may be NULL). Returns NULL when unknown. A row
 * with BUILTIN_FROM_HOST and without `run` means: known to OPA, the host does not give it. */
const struct builtin *builtin_find(const struct builtin_host *host, const char *name, size_t len);

/* The kinds that operand 1.. of the row may be, as bits 1 << enum value_kind. */
unsigned builtin_operand_kinds(const struct builtin *row, unsigned operand);

/* All rows of the table, for suggestions and capabilities. */
const struct builtin *builtin_all(size_t *ret_count);

/* ---- the call ---------------------------------------------------------------------------------- */

enum builtin_problem {
    BUILTIN_FINE,
    BUILTIN_TYPE_ERROR, /* eval_type_error */
    BUILTIN_ERROR,      /* eval_builtin_error */
    BUILTIN_CONFLICT,   /* eval_conflict_error; always fatal */
    BUILTIN_HALT,       /* budget, memory or another limit is spent; always fatal */
};

/* The evaluator fills the first part once per evaluation and calls builtin_run; the problem
 * part is reset by builtin_run. Zero-initialised is valid but for arena and budget. */
struct builtin_call {
    struct arena *arena;
    struct budget *budget;
    const struct builtin_host *host; /* may be NULL */
    void *context;                   /* handed to the host's functions and to print */
    void (*print)(void *context, const char *line, size_t len); /* print() and trace(); may be NULL */
    int64_t now_ns;                  /* time.now_ns: one moment per evaluation */
    const struct builtin_patterns *patterns; /* of the program; NULL for none */
    struct builtin_cache *cache;     /* compiled patterns of this evaluation; starts NULL, lives in the arena */
    const struct builtin *builtin;   /* the row being run: error texts begin with its name */

    enum builtin_problem problem;
    char text[BUILTIN_ERROR_MAX]; /* "strings.reverse: operand 1 must be string but got number" */
};

/* Checks the operands, runs the row's function. NULL: undefined or call->problem says why. */
const struct value *builtin_run(struct builtin_call *call, const struct builtin *row,
                                const struct value *const *args);

/* ---- for the functions ------------------------------------------------------------------------- */

/* All return NULL so that a function can `return builtin_fail(call, ...)`. The text gets
 * the function's name in front. operand counts from 1. */
const struct value *builtin_fail(struct builtin_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "operand N <format...>", an eval_type_error */
const struct value *builtin_fail_operand(struct builtin_call *call, unsigned operand, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* "operand N must be <wanted> but got <type of got>" */
const struct value *builtin_fail_type(struct builtin_call *call, unsigned operand, const char *wanted,
                                      const struct value *got);
/* Undefined, as in OPA, and no error: the text is what an explanation tells. */
const struct value *builtin_nothing(struct builtin_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* eval_conflict_error, text as given without the name */
const struct value *builtin_fail_conflict(struct builtin_call *call, const char *text);
/* Memory or steps are spent. */
const struct value *builtin_halt(struct builtin_call *call);
/* A halt for a limit of the function itself: nesting, digits, backtracking. The text gets the
 * function's name in front. */
const struct value *builtin_limit(struct builtin_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Charges `steps`: what takes some 40 ns is one (8 bytes of output, 4 bytes looked at one by one, an
 * element looked at). False: the halt is recorded,
 * return NULL. */
bool builtin_spend(struct builtin_call *call, uint64_t steps);

/* Charges for calculating with the two, before, and for a number that was made, behind it: those that are no
 * integers of 64 bits cost what their digits multiply to. */
bool builtin_spend_numbers(struct builtin_call *call, struct num x, struct num y);
bool builtin_spend_result(struct builtin_call *call, struct num n);

/* Why there is no number: want of memory and what is too large for us are halts, the rest is an error
 * of the policy. */
const struct value *builtin_number_problem(struct builtin_call *call, enum num_status status);

/* The operand as an int64_t. False, with the error recorded, when it is not an integer that fits. */
bool builtin_integer(struct builtin_call *call, unsigned operand, const struct value *v, int64_t *ret);

/* A JSON text read within the budget; of two members with one name the later counts, as in OPA. NULL:
 * *error says what is wrong with the text, or a halt is recorded (call->problem). */
struct json_error;
const struct value *builtin_read_json(struct builtin_call *call, const struct value *text, struct json_error *error);

/* The finished text as a string value, its length charged. NULL: the text failed or the budget is
 * spent, recorded as a halt. */
const struct value *builtin_text_end(struct builtin_call *call, struct text *t);
/* value_builder_end with the same treatment; duplicate keys: the later one wins. */
const struct value *builtin_builder_end(struct builtin_call *call, struct value_builder *b);

/* The functions of the table, each in the builtin_<topic>.c of its topic. */
#define BUILTIN_ROW(name, run, flags, infix, arity, ...) builtin_fn run;
#define BUILTIN_ROW_WITHOUT(name, flags, arity, ...)
#include "policy/builtin_rows.inc"
#undef BUILTIN_ROW
#undef BUILTIN_ROW_WITHOUT

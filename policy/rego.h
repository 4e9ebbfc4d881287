/* The Rego engine: modules in, values out. Compile once into an immutable program, share it between
 * threads, evaluate it in runs, each of which belongs to one thread. Pure: no I/O, no clock; the
 * host hands in time, budget and its own functions. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Stack that a thread must have to compile or to evaluate with the default depth of calls. Recursion
 * is bounded everywhere: by the nesting of a text, of values and of regular expressions, and by the
 * depth of calls, each of which takes some 300 bytes. Four times as much under sanitizers. */
#define REGO_STACK_BYTES (512u << 10)

struct builtin_host;
struct checked_program;
struct rego_program;
struct rego_run;
struct tracer;
struct value;

struct rego_module {
    const char *name; /* for diagnostics, such as "policy.rego" */
    const char *text; /* UTF-8; need not be NUL-terminated */
    size_t len;
};

/* ---- diagnostics ------------------------------------------------------------------------------ */

#define REGO_ERRORS_MAX 20
#define REGO_TEXT_MAX 320

struct rego_error {
    char code[32];            /* OPA's: rego_parse_error, rego_type_error, rego_unsafe_var_error, ... */
    char text[REGO_TEXT_MAX]; /* one sentence, without code and position */
    char module[64];          /* its name, cut to fit; "query 2" for a query; "" when none applies */
    unsigned line, column;    /* from 1; 0 when they do not apply */
    char source[160];         /* that line of the text, cut to fit; "" when there is no place */
    char hint[160];           /* the way out, when there is one to tell; "" otherwise */
};

/* What a compilation found, in the order of the text; `more` counts those that did not fit. */
struct rego_errors {
    struct rego_error items[REGO_ERRORS_MAX];
    size_t count, more;
};

/* ---- compiling -------------------------------------------------------------------------------- */

struct rego_options {
    /* Queries are compiled together with the modules: any Rego body, such as `data.policy.allow`
     * or `data.a.b = x; x > 1`. rego_eval names them by their index. */
    const char *const *queries;
    size_t query_count;
    /* The host's functions beside the builtins every program knows (builtin.h); NULL for none. It
     * outlives the program. */
    const struct builtin_host *host;
    /* Tests only: builtins that are refused (network, randomness, private keys) are known by their
     * signature, so that a case may replace them by `with`. False: mentioning one is an error. */
    bool allow_refused;
    bool traced;        /* evaluations can be watched (rego_input.tracer): the program has a second plan */
    size_t arena_bytes; /* most memory for the program; 0 for the default of 64 MiB */
};

/* The texts are copied. Returns NULL and fills *ret_errors (never NULL) when anything is refused;
 * on success *ret_errors is empty. The caller frees the program after its last run. */
struct rego_program *rego_compile(const struct rego_module *modules, size_t count,
                                  const struct rego_options *options,
                                  struct rego_errors *ret_errors);
void rego_program_free(struct rego_program *p);
/* What its rules are (checked.h): for explanations, coverage and test runners. Lives as long as the
 * program. */
const struct checked_program *rego_program_checked(const struct rego_program *p);
size_t rego_program_bytes(const struct rego_program *p); /* of memory in use */

/* ---- evaluating ------------------------------------------------------------------------------- */

struct rego_input {
    const struct value *input; /* NULL: `input` is undefined */
    const struct value *data;  /* base documents, an object; NULL for none */
    int64_t now_ns;            /* time.now_ns(): one value for the whole evaluation */
    bool strict;               /* an error of a builtin ends the evaluation instead of being undefined */
    uint64_t steps;            /* budget in steps; 0 for the default */
    unsigned depth;            /* deepest chain of calls; 0 for the default */
    bool all_rules;            /* run every body, those too that the rule index knows to fail: for who watches */
    /* Called for print() and trace(): one line without newline. NULL: they do nothing. */
    void (*print)(void *context, const char *line, size_t len);
    void *context; /* handed to print and to the host's functions */
    /* Told of every step (trace.h); NULL for none. Ignored by a program that was not compiled for it. The
     * result is the same; the steps spent are more. */
    const struct tracer *tracer;
};

enum rego_status {
    REGO_OK,
    REGO_FAILED, /* an error of the policy: conflict, or a builtin's when strict; error_code says which */
    REGO_LIMIT,  /* steps, memory or depth were used up; error_code is "limit_error" */
};

/* Valid until the next rego_eval of the same run or its end; so are all values in it. */
struct rego_result {
    enum rego_status status;
    /* The query's one expression when it is a term without variables of its own (`data.policy.allow`,
     * `1 + 1`): its value. NULL when undefined, and for every other query. */
    const struct value *value;
    /* Array of objects, one for each way in which the query holds, from the names of its variables to
     * values: [{"x": 1}]. Without variables [{}]; empty when the query does not hold. */
    const struct value *bindings;
    uint64_t steps; /* spent */
    const char *rule_module; /* where the rule stands that gave `value`; "" and 0 when it is none's */
    unsigned rule_line;
    const char *error_code; /* eval_conflict_error, eval_type_error, eval_builtin_error, limit_error */
    const char *error_text; /* without the code */
    const char *error_module;
    unsigned error_line, error_column;
};

/* The memory of evaluations, reused by each; arena_bytes 0 for the default of 32 MiB. NULL only when
 * memory is short. The program must outlive it; NULL: rego_run_bind comes before the first evaluation. */
struct rego_run *rego_run_new(const struct rego_program *p, size_t arena_bytes);
void rego_run_free(struct rego_run *run);
const struct checked_program *rego_run_checked(const struct rego_run *run); /* of its program */
size_t rego_run_bytes(const struct rego_run *run); /* of values that the last evaluation made */

/* From now on the run evaluates this program, so that one run serves many. Costs nothing unless the
 * program needs a larger stack than any before. False when memory is short: the run has no program
 * then. */
bool rego_run_bind(struct rego_run *run, const struct rego_program *p);

/* Evaluates query number `query` (it must exist). True exactly when ret->status is REGO_OK; undefined
 * is no error. The values of *in must stay unchanged meanwhile. */
bool rego_eval(struct rego_run *run, size_t query, const struct rego_input *in,
               struct rego_result *ret);

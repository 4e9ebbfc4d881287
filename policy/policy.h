/* The release policy, as a key broker asks it: one module of Rego, one question, data.policy.allow.
 * A facade over rego.h for the embedder. Compile when the policy is set, parse a guest's claims when
 * its token is verified (policy_claims.h), decide for each request. Pure: no I/O, no clock. */
#pragma once

#include "policy/policy_claims.h"
#include "policy/rego.h"

/* What one policy and one decision may take. Beyond it nothing is released. */
#define POLICY_PROGRAM_MAX ((size_t) 64 << 20) /* bytes of a compiled policy in memory */
#define POLICY_STEPS_MAX 1000000u              /* statements, loop turns, units of a builtin's work */
#define POLICY_MEMORY_MAX ((size_t) 32 << 20)  /* bytes of all values that an evaluation makes */
#define POLICY_DEPTH_MAX 512u                  /* rules and functions that call each other */
#define POLICY_REQUEST_MAX ((size_t) 256 << 10) /* bytes of plugin, path and query as values */

#define POLICY_DENY_ALL_TEXT "package policy\n\ndefault allow = false\n"
#define POLICY_ALLOW_ALL_TEXT "package policy\n\ndefault allow = true\n"

/* ---- compiling -------------------------------------------------------------------------------- */

struct policy; /* immutable: any number of threads may decide by it at once */

#define POLICY_MODULE "policy.rego" /* the text's name in diagnostics */

/* Compiles UTF-8 text, all of it: whatever compiles has no unknown function, unsafe variable,
 * recursion or refused builtin. The text is copied; host (may be NULL) outlives the policy. Returns
 * NULL and fills *ret_errors (never NULL) with everything that is wrong. The caller frees, after the
 * last decision. A text that does not define `allow`, or is of another package, is a policy that
 * denies. */
struct policy *policy_compile(const char *text, size_t len, const struct builtin_host *host,
                              struct rego_errors *ret_errors);
void policy_free(struct policy *p); /* NULL is fine */

/* For what looks at the program itself (explanations). Borrowed from the policy. */
const struct rego_program *policy_program(const struct policy *p);

/* ---- deciding --------------------------------------------------------------------------------- */

/* Memory of one decision at a time, for policies of any kind, one after the other. One thread at a
 * time. NULL when memory is short. */
struct policy_run *policy_run_new(void);
void policy_run_free(struct policy_run *run); /* NULL is fine */

/* Evaluates the first query of any program in this memory, as rego_eval. */
bool policy_run_eval(struct policy_run *run, const struct rego_program *program,
                     const struct rego_input *in, struct rego_result *ret);

struct policy_pair { const char *name, *value; };

/* What is asked. Texts are NUL-terminated; bytes in them that are not UTF-8 are seen as U+FFFD. */
struct policy_request {
    const struct policy_claims *claims; /* input; NULL: undefined */
    const char *plugin;                 /* data.plugin */
    const char *const *path;            /* data["resource-path"] */
    size_t path_count;
    const struct policy_pair *query;    /* data.query; of two with one name the later counts */
    size_t query_count;
    int64_t now_ns;                     /* time.now_ns(): Unix time in nanoseconds */
    /* Called for print(): one line without newline. NULL: print() does nothing. */
    void (*print)(void *context, const char *line, size_t len);
    void *context; /* handed to print and to the host's functions */
};

enum policy_outcome {
    POLICY_ALLOW,            /* allow is the boolean true, and only then */
    POLICY_DENY_FALSE,
    POLICY_DENY_UNDEFINED,   /* no rule of that name has a value */
    POLICY_DENY_NOT_BOOLEAN,
    POLICY_FAILED,           /* the evaluation ended in an error: a conflict, or a builtin's */
    POLICY_LIMIT,            /* steps, memory or depth were used up */
};

/* All of it for operators, nothing for guests. */
struct policy_decision {
    bool allow; /* outcome is POLICY_ALLOW */
    enum policy_outcome outcome;
    /* In fixed words, for the record: "allow is undefined", "the policy failed: eval_conflict_error
     * policy.rego:7". */
    char reason[96];
    /* Of POLICY_FAILED and POLICY_LIMIT, empty otherwise: the error's sentence, in which values of
     * claims may stand. UTF-8, cut to fit. */
    char detail[256];
    const char *error_code; /* static, of the same; NULL otherwise */
    unsigned line, column;  /* of that error in the text; 0 when it has no place there */
    unsigned rule_line;     /* of the rule that gave allow its value; 0: none did */
    uint64_t steps;         /* spent */
};

/* Never fails: whatever cannot be decided is a denial. An error of a builtin function denies, even
 * below a `not` or in one of several rules, as with the reference. */
void policy_decide(const struct policy *p, struct policy_run *run,
                   const struct policy_request *request, struct policy_decision *ret);

/* Why the decision is what it is, in one line for a log of operators, which shows claims:
 * `policy.rego:15: input.x == "y": left is "z"`. Decides once more, watched, and without print: several
 * times as slow. NUL-terminated, cut to size (EXPLAIN_SHORT_MAX of explain.h is enough). */
void policy_explain(const struct policy *p, struct policy_run *run, const struct policy_request *request,
                    char *ret, size_t size);
#define POLICY_EXPLAIN_MAX ((size_t) 1 << 20) /* bytes of its words */

/* What an evaluation of data.policy.allow comes to. */
void policy_judge(const struct rego_result *result, struct policy_decision *ret);

/* The documents and budgets that policy_decide evaluates with, for whoever evaluates the same once
 * more to see why. The values live until the run's next decision or request. False: they take more
 * than POLICY_REQUEST_MAX. */
bool policy_run_input(struct policy_run *run, const struct policy_request *request,
                      struct rego_input *ret);

/* "allow", "deny-false", "deny-undefined", "deny-not-boolean", "failed", "limit": for counters. */
const char *policy_outcome_name(enum policy_outcome outcome);

/* An attestation policy, as whoever verifies evidence asks it: how far is this evidence to be trusted?
 * A facade over rego.h beside policy.h. Compile when it is set, ask for each piece of evidence. What the
 * claims mean is the asker's business. Pure: no I/O, no clock. */
#pragma once

#include "policy/policy.h"

struct appraisal_policy; /* immutable: any number of threads may ask it at once */

/* As policy_compile. A text that defines neither rule, or is of another package, is a policy that
 * claims nothing. */
struct appraisal_policy *appraisal_policy_compile(const char *text, size_t len,
                                                  const struct builtin_host *host,
                                                  struct rego_errors *ret_errors);
void appraisal_policy_free(struct appraisal_policy *p); /* NULL is fine */

struct appraisal_question {
    const struct policy_claims *evidence; /* input; NULL: undefined */
    int64_t now_ns;                       /* Unix time in nanoseconds */
    /* As in rego_input. */
    void (*print)(void *context, const char *line, size_t len);
    void *context;
};

/* Values live until the run's next use. */
struct appraisal_answer {
    bool failed; /* the evaluation ended in an error, or used up what policy.h gives it */
    const struct value *trust_claims; /* data.policy.trust_claims; NULL: undefined, or failed */
    const struct value *extensions;   /* data.policy.extensions */
    char reason[400];  /* when failed: code, place and sentence, for operators; values may stand in it */
    uint64_t steps;
};

/* Both rules in one evaluation, within the limits of one decision. An error of a builtin function
 * fails it, even below a `not`. False: failed. */
bool appraisal_policy_ask(const struct appraisal_policy *p, struct policy_run *run,
                          const struct appraisal_question *question, struct appraisal_answer *ret);

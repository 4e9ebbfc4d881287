/* The lints: what compiles, and yet is probably not what its author means. A release policy fails
 * without a word where a claim is spelt wrongly, since what is missing is undefined: at best nobody
 * gets a secret, and behind `not` everybody does. So a policy is looked through when it is given,
 * against what a token of this service can hold (schema.h) and what the host asks of it.
 *
 * Each lint is a warning; who wants them to be errors refuses when there is any. None is certain:
 * they follow what is known of values and stay silent where nothing is known. */
#pragma once

#include "policy/rego.h"

struct value;

/* What the host asks of a policy of one kind. All pointers are borrowed for the call. */
struct lint_profile {
    const char *package;      /* "policy", "a.b" */
    const char *const *rules; /* what the host evaluates; the first one must be there */
    size_t rule_count;
    bool decides;             /* of the first rule only the boolean true counts */
    const char *slot;         /* what such a policy is called: "resource policy" */
    /* The other kind of policy that the same people write: when a text has its first rule and not
     * ours, it was given in the wrong place. NULL and 0: there is none. */
    const char *other_slot;
    const char *const *other_rules;
    size_t other_rule_count;
    const struct value *claims; /* schema of `input`; NULL: unknown */
    const struct value *data;   /* schema of the base documents; NULL: unknown */
};

/* The two kinds of the KBS: what guests may have (`allow`) and what their evidence is worth
 * (`trust_claims`, `extensions`). claims and data are NULL: copy and fill in. */
extern const struct lint_profile LINT_RESOURCE_POLICY, LINT_ATTESTATION_POLICY;

/* The schema of `data` that a resource policy is given: plugin, resource-path, query. JSON text. */
const char *lint_resource_data_schema(void);

/* All lints there are, for documentation and for those who name one. */
struct lint_row {
    const char *code; /* "lint_rule_name" */
    const char *doc;  /* one sentence, for a table */
};
/* Row i, from 0; NULL beyond the last. */
const struct lint_row *lint_row(size_t i);

/* Looks through modules that compile; of others nothing is said. Only the host's functions are used
 * of options, which may be NULL. *ret_warnings is set, not added to: in the order of the text, each
 * with place, source line and, where there is one, the way out as hint. Memory is bounded
 * (LINT_BYTES) and time linear in the text but for comparing names; what is beyond the bounds in
 * linter.h is not looked into. Thread-safe; allocates and frees its own memory. */
void rego_lint(const struct rego_module *modules, size_t count, const struct rego_options *options,
               const struct lint_profile *profile, struct rego_errors *ret_warnings);

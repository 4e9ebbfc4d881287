/* The lints of policy/ against what this broker issues and hands in: for api_config.lint. */
#pragma once

struct rego_errors;
struct rego_module;

/* Looks a resource policy that compiles through for what its author can hardly mean (policy/lint.h):
 * `input` is a token of this broker's (claims_schema.h), `data` what a request is. Sets *ret_warnings.
 * Thread-safe; some milliseconds at most for a policy of a usual size. */
void policy_lint(const struct rego_module *policy, struct rego_errors *ret_warnings);

/* The same of an attestation policy, whose `input` is evidence of any TEE. */
void policy_lint_attestation(const struct rego_module *policy, struct rego_errors *ret_warnings);

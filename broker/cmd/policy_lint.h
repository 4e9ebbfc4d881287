/* What compiles as a release policy and yet is probably not meant: the one place that says so, for `policy
 * check` and for a broker (api_config.lint). */
#pragma once

#include "policy/rego.h"

/* Looks through a policy that compiles; of others nothing is said. *ret_warnings is set. Thread-safe. */
void policy_lint(const struct rego_module *policy, struct rego_errors *ret_warnings);

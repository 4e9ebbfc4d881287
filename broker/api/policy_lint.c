#include "broker/api/policy_lint.h"

#include "broker/attest/claims_schema.h"
#include "broker/builtins/builtins.h"
#include "policy/json.h"
#include "policy/lint.h"

#define SCHEMA_BYTES ((size_t) 1 << 20) /* of both schemas as values */

/* Without memory for a schema the lints know less, and say less. */
static const struct value *schema(struct arena *a, const char *text)
{
    return a ? json_to_value(a, text, strlen(text), NULL, NULL) : NULL;
}

void policy_lint(const struct rego_module *policy, struct rego_errors *ret_warnings)
{
    const struct rego_options options = {.host = builtins_host()};
    struct arena *a = arena_new(SCHEMA_BYTES);
    struct lint_profile profile = LINT_RESOURCE_POLICY;
    profile.claims = schema(a, claims_schema());
    profile.data = schema(a, lint_resource_data_schema());
    rego_lint(policy, 1, &options, &profile, ret_warnings);
    arena_free(a);
}

void policy_lint_attestation(const struct rego_module *policy, struct rego_errors *ret_warnings)
{
    const struct rego_options options = {.host = builtins_attestation_host()};
    struct arena *a = arena_new(SCHEMA_BYTES);
    struct lint_profile profile = LINT_ATTESTATION_POLICY;
    profile.claims = schema(a, claims_schema_evidence());
    profile.data = schema(a, "{}"); /* there is none */
    rego_lint(policy, 1, &options, &profile, ret_warnings);
    arena_free(a);
}

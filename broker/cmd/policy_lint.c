#include "broker/cmd/policy_lint.h"

#include "broker/builtins/builtins.h"
#include "policy/checked.h"
#include "policy/errors.h"
#include "policy/policy.h"
#include "policy/suggest.h"
#include "policy/value.h"

static const struct checked_node *child(const struct checked_node *n, const char *name)
{
    for (size_t i = 0; n && i < n->child_count; i++)
        if (string_is(n->children[i]->key, name)) return n->children[i];
    return NULL;
}

static void warn_of_package(const struct checked_program *p, struct rego_errors *warnings)
{
    const struct rego_span at = {.line = 1, .column = 1};
    struct rego_error *e = rego_error_add(warnings, "package", &p->sources[0], &at,
                                          "the broker asks data.policy.allow, and this package is another one");
    rego_error_hint(e, "write `package policy`");
}

static void warn_of_allow(const struct checked_program *p, const struct checked_node *package,
                          struct rego_errors *warnings)
{
    struct suggestion near = {0};
    const struct rego_span at = {.line = 1, .column = 1};
    suggest_begin(&near, "allow", 5);
    for (size_t i = 0; i < package->child_count; i++)
        if (value_is(package->children[i]->key, VALUE_STRING)) suggest_offer(&near, package->children[i]->key->string);
    if (!near.best && child(package, "allowed")) near.best = "allowed";
    struct rego_error *e = rego_error_add(warnings, "no-allow", &p->sources[0], &at,
                                          "no rule is named allow, so everybody is refused");
    if (near.best) rego_error_hint(e, "%s is never asked; did you mean allow?", near.best);
}

void policy_lint(const struct rego_module *policy, struct rego_errors *ret_warnings)
{
    const struct rego_options options = {.host = builtins_host(), .arena_bytes = POLICY_PROGRAM_MAX};
    struct rego_errors errors;
    *ret_warnings = (struct rego_errors) {0};
    struct rego_program *program = rego_compile(policy, 1, &options, &errors);
    if (!program) return;
    const struct checked_program *p = rego_program_checked(program);
    const struct checked_node *package = child(p->root, "policy");
    if (!package) warn_of_package(p, ret_warnings);
    else if (!child(package, "allow")) warn_of_allow(p, package, ret_warnings);
    rego_program_free(program);
}

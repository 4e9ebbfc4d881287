/* What a policy would decide, asked of the vault and shown; for `policy dry-run` and `policy set`. */
#pragma once

#include "broker/cmd/vault.h"

struct policy_trial {
    const char *file;         /* the candidate's name, or NULL: the policy in force is tried */
    struct span policy;       /* its text */
    bool strict;              /* warnings are errors */
    const char *claims_file;  /* JSON of a token's claims; NULL: the broker's recent requests */
    const char *resource;     /* with claims: repository/type/tag, or NULL */
    const char *plugin;       /* with claims: or NULL */
    const char *query;        /* with claims: name=value&..., or NULL */
};

/* Asks and prints, as JSON or for a person. ERR_USAGE for a text that does not compile, whose errors
 * are then printed. */
err_t policy_dry_run(struct vault *vault, const struct policy_trial *trial, bool json);

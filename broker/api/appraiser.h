/* Who appraises evidence here: the attestation policies and reference values that the store holds, each
 * compiled or parsed once. Fails closed: what is damaged, does not compile or cannot be read fails every
 * attestation that needs it, and says so in the log. Thread-safe. */
#pragma once

#include "broker/attest/attest.h"
#include "broker/store/store.h"
#include "policy/rego.h"

struct appraiser;

#define ATTESTATION_POLICY_PREFIX "attestation/" /* of the names of policies in the store */
#define REFERENCE_VALUES_NAME "all"

/* The store outlives it. */
err_t appraiser_new(struct store *store, struct appraiser **ret);
void appraiser_free(struct appraiser *a); /* NULL-safe */
DEFINE_CLEANUP(struct appraiser, appraiser_free);

/* Both borrow a. Of the upkeep: set_policy stores a text and puts it in force; query and registration
 * go to the store. ERR_USAGE beyond ATTESTATION_POLICIES_MAX; store_put's errors. */
struct attest_appraiser appraiser_of(struct appraiser *a);
struct attest_upkeep appraiser_upkeep(struct appraiser *a);

/* ERR_USAGE says what an id may be. */
err_t appraiser_check_id(const char *id);

/* Whether guests' evidence meets a policy of this id. */
bool appraiser_uses(const char *id);

/* What is stored and cannot be used until somebody sets it again: "attestation-policy",
 * "reference-values", or NULL when all can. */
const char *appraiser_broken(struct appraiser *a);

/* Compiles and looks it through, as for an upload. ERR_USAGE with all of *ret_errors. *ret_unusable: it
 * fails attestations, as far as that shows on evidence without claims; the last of *ret_warnings, or
 * one more that did not fit, says why. */
err_t appraiser_check_text(struct span text, struct rego_errors *ret_errors,
                           struct rego_errors *ret_warnings, bool *ret_unusable);

/* Writes a kept version of a policy as the next one and puts it in force, if it compiles and does not fail
 * attestations: ERR_USAGE otherwise, and what store_restore says. */
struct appraiser_restore {
    const char *name; /* in the store */
    uint64_t version;
    bool has_if_match;
    uint64_t if_match;
    struct rego_errors *errors, *warnings; /* filled */
    char digest[17];                       /* of the text; filled */
};
err_t appraiser_restore_policy(struct appraiser *a, struct appraiser_restore *r, uint64_t *ret_version);

/* All reference values as JSON (reference_values.h); ERR_DAMAGED, ... when they cannot be used. */
err_t appraiser_list_values(struct appraiser *a, struct buf *ret);

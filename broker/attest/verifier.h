/* Whose attestation tokens we believe (kbs-api.md 4.4). Immutable once made, thread-safe. */
#pragma once

#include "broker/attest/attest.h"
#include "broker/base/json.h"

struct verifier;

/* own_chain (PEM) is trusted when the configuration names no certificates. Reads the files;
 * ERR_USAGE names the one that is wrong. */
err_t verifier_new(const struct attest_config *config, struct span own_chain,
                   struct verifier **ret);
void verifier_free(struct verifier *v);
DEFINE_CLEANUP(struct verifier, verifier_free);

/* A token that verified: payload is the text of claims. */
struct verified_token {
    struct json_doc *claims;
    struct buf payload;
    int64_t exp;
};
void verified_token_done(struct verified_token *t);

/* Header, key, signature, exp and nbf. ERR_CRYPTO or ERR_USAGE; the text is for the log. */
err_t verifier_check(const struct verifier *v, struct span token, int64_t now,
                     struct verified_token *ret);

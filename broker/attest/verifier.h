/* Whose attestation tokens we believe (kbs-api.md 4.4). Thread-safe; only the key sets change. */
#pragma once

#include "broker/attest/attest.h"
#include "broker/base/json.h"
#include "broker/jose/key_source.h"

struct verifier;

/* The key of own_chain's first certificate (PEM) is trusted, and no other that the chain's CA has
 * certified, when the configuration names no certificates. Reads the files
 * (ERR_USAGE and ERR_NOTFOUND name the one that is wrong) and begins to ask the servers. */
err_t verifier_new(const struct attest_config *config, struct span own_chain,
                   struct verifier **ret);
void verifier_free(struct verifier *v);
DEFINE_CLEANUP(struct verifier, verifier_free);

struct key_sources *verifier_keys(const struct verifier *v); /* borrowed */

/* A token that verified: payload is the text of claims. */
struct verified_token {
    struct json_doc *claims;
    struct buf payload;
    int64_t exp;
    int64_t trusted_until; /* when the chain ends by which its key is believed; 0: no chain has a say */
};
void verified_token_done(struct verified_token *t);

/* Header, key, signature, exp and nbf, iss and aud where the configuration names some. ERR_CRYPTO or ERR_USAGE; the
 * text is for the log. */
err_t verifier_check(const struct verifier *v, struct span token, int64_t now,
                     struct verified_token *ret);

/* The claims of a token whose signature is known to be good: strict JSON, exp, nbf, iss and aud. Errors as
 * above. */
err_t verifier_read_claims(const struct verifier *v, struct span payload, int64_t now,
                           struct verified_token *ret);

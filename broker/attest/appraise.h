/* From evidence to claims: every piece is verified against what it must be bound to, and what was
 * found, and what the appraiser says of it, becomes the claims of a token. Thread-safe. */
#pragma once

#include "broker/attest/attest.h"
#include "broker/attest/request.h"

struct appraisal {
    bool sample_verifier; /* otherwise nobody verifies anything */
    const struct attest_appraiser *appraiser;
    const char *tee;      /* canonical, of the session */
    const char *nonce;    /* the session's own */
    const char *issuer;
    int64_t now, seconds; /* iat, and life of the token */
};

/* Appends the token's claims as JSON text. ERR_AUTH ("no verifier is configured", other binding,
 * ...), ERR_USAGE (init-data), ERR_CRYPTO (the TEE key's kind). */
err_t appraise(const struct appraisal *a, const struct attestation *body, struct buf *ret_claims);

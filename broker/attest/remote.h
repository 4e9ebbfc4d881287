/* A handshake whose evidence somebody else verifies: what of it the attestation service is asked, and
 * whether its token is for this handshake. Waits for the network; thread-safe. */
#pragma once

#include "broker/attest/as_service.h"
#include "broker/attest/guest.h"
#include "broker/attest/request.h"

/* For a TEE whose verifier makes the nonce: fills own_nonce, and hash when the guest is to be told.
 * body: the Request, which was parsed before. ERR_AUTH with the cause text of kbs-api.md 2.2 as reason;
 * ERR_BUSY. */
err_t remote_challenge(struct as_service *s, const char *tee, struct span body,
                       struct attest_challenge *ret);

/* All pieces of evidence in one question. Appends the token, which nobody has checked yet. ERR_USAGE
 * (init-data, additional evidence), ERR_CRYPTO (the TEE key's kind), and as_evaluate's. */
err_t remote_evaluate(struct as_service *s, const char *tee, const char *nonce,
                      const struct attestation *body, struct buf *ret_token);

/* g: from that token, which is verified now. It must hold the handshake's key, and its nonce where it carries one;
 * a nonce that is no text is another's. ERR_AUTH, and loud: a service that gives away tokens of others is not to be
 * trusted. */
err_t remote_check_token(const struct guest *g, const struct guest_rules *rules, const char *nonce,
                         const struct attestation *body);

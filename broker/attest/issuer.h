/* Who signs our attestation tokens: an EC P-256 key and its certificate chain (kbs-api.md 4.1).
 * Immutable, thread-safe. */
#pragma once

#include "broker/attest/attest.h"
#include "broker/base/buf.h"
#include "broker/base/cleanup.h"

struct issuer;

/* key_file NULL: a key is made now and ends with the process. chain_file NULL: a self-signed
 * certificate is made now. ERR_USAGE names the file that is wrong. */
err_t issuer_new(const char *key_file, const char *chain_file, struct issuer **ret);
/* With a key that is elsewhere, and its chain. ERR_USAGE: the leaf is no certificate of this key, and
 * how to make one. */
err_t issuer_new_by(const struct attest_signer *signer, const char *chain_file, struct issuer **ret);
void issuer_free(struct issuer *i);
DEFINE_CLEANUP(struct issuer, issuer_free);

bool issuer_waits(const struct issuer *i); /* signing asks another device */
struct span issuer_chain(const struct issuer *i); /* PEM, leaf first */

/* Appends the compact JWS over the claims' JSON text. ERR_TOOLARGE when it would be longer than a
 * verifier takes (JOSE_MAX_TOKEN). */
err_t issuer_sign(const struct issuer *i, struct span claims, struct buf *ret);

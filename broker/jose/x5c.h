/* X.509 chains in JOSE (RFC 7515 4.1.6), verified with OpenSSL's default rules (RFC 5280):
 * dates, signatures, CA flags; a self-signed root must be among the trusted ones. */
#pragma once

#include "broker/jose/jwk.h"

struct x5c_store;

/* Trusted certificates from PEM texts, several per text allowed. ERR_USAGE when a text has none. */
err_t x5c_store_new(struct x5c_store **ret);
err_t x5c_store_add_pem(struct x5c_store *s, struct span pem);
/* From now on only the key of the text's first certificate counts, of all that chain to the trusted
 * ones; a later call replaces it. ERR_USAGE as above. */
err_t x5c_store_only_key(struct x5c_store *s, struct span pem);
size_t x5c_store_count(const struct x5c_store *s);
void x5c_store_free(struct x5c_store *s);
DEFINE_CLEANUP(struct x5c_store, x5c_store_free);

/* kbs-api.md 4.4: the key's x5c must be non-empty, its leaf certificate must hold this very key
 * and must chain to the store at `now` (Unix seconds); see x5c_store_only_key. x5c entries: base64, falling back to
 * base64url, newlines stripped. Keys and signatures of the chain below 112 bits of strength (RSA
 * under 2048, SHA-1) are refused. ERR_CRYPTO otherwise. *ret_end (may be NULL): the second from which on the
 * first certificate of the chain has expired. Thread-safe once the store is filled. */
err_t x5c_verify(const struct x5c_store *s, const struct jwk *key, int64_t now, int64_t *ret_end);

/* Writes a PEM chain, leaf first, as the values (base64 DER) of an array that the caller has begun
 * and ends. ERR_USAGE when the leaf does not hold `key`, or with more than JOSE_MAX_X5C. */
err_t x5c_put_chain(struct span pem, EVP_PKEY *key, struct json_out *o);

/* A self-signed certificate for this P-256 key (development: a signer made at start). PEM. */
err_t x5c_self_sign(EVP_PKEY *key, const char *common_name, int64_t now, int64_t seconds,
                    struct buf *ret_pem);

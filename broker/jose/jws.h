/* Compact JWS (RFC 7515) with the algorithms of RFC 7518 3 and RFC 8037: ES256 ES384 ES512,
 * RS256/384/512, PS256/384/512, EdDSA (Ed25519). "none" and HS* do not exist here. */
#pragma once

#include "broker/jose/jwk.h"

struct jws;

/* Splits and decodes; checks nothing cryptographic. ERR_CRYPTO when it is not three strict
 * base64url parts with a strict JSON object as header, when alg is missing or unknown, or when a
 * `crit` header is present (RFC 7515 4.1.11: we understand none). Limit JOSE_MAX_TOKEN.
 * Copies the text; the caller frees. */
err_t jws_parse(struct span compact, struct jws **ret);
void jws_free(struct jws *t);
DEFINE_CLEANUP(struct jws, jws_free);
#define _cleanup_jws_ _cleanup_(jws_freep)

struct json jws_header(const struct jws *t);   /* the protected header */
const char *jws_alg(const struct jws *t);
struct span jws_payload(const struct jws *t);  /* decoded; NOT yet trusted before jws_verify */

/* Verifies with this key. The header's alg must fit the key's family and curve, and must equal the key's own alg
 * member when it has one; its use and key_ops must not forbid it. ERR_CRYPTO otherwise, one sentence for every
 * cause. */
err_t jws_verify(const struct jws *t, const struct jwk *key);

/* Whether a JWK's alg member names a signature algorithm we know. */
bool jws_alg_known(const char *alg);

/* A key whose private half is elsewhere (a token): gets the digest, gives R || S. Its errors come
 * through as they are. Thread-safe. */
#define JWS_ES256_DIGEST 32
#define JWS_ES256_SIGNATURE 64
struct jws_remote_key {
    void *context;
    err_t (*sign)(void *context, const uint8_t digest[JWS_ES256_DIGEST],
                  uint8_t ret_signature[JWS_ES256_SIGNATURE]);
};

/* A key and the complete protected header's JSON text, which must name `alg`, for many tokens. alg:
 * ES256, ES384, EdDSA (what we issue); ES* signatures are raw R||S. ERR_USAGE when they do not fit each
 * other. Copies the header and keeps a reference of the key; immutable, thread-safe. */
struct jws_signer;
err_t jws_signer_new(const char *alg, EVP_PKEY *key, struct span header, struct jws_signer **ret);
/* The same with ES256 and a key that is elsewhere; its context outlives the signer. */
err_t jws_signer_new_remote(const struct jws_remote_key *key, struct span header,
                            struct jws_signer **ret);
void jws_signer_free(struct jws_signer *s);
DEFINE_CLEANUP(struct jws_signer, jws_signer_free);
/* Appends the compact serialisation. Nothing is appended on failure. */
err_t jws_signer_sign(const struct jws_signer *s, struct span payload, struct buf *ret_compact);

/* The same for one token. */
err_t jws_sign(const char *alg, EVP_PKEY *key, struct span header, struct span payload,
               struct buf *ret_compact);

/* Registered time claims of a JWT (RFC 7519 4.1): exp is required and numeric; nbf is checked when
 * present; leeway in seconds. ERR_CRYPTO (expired: the text says so, for the log). */
err_t jwt_check_times(struct json claims, int64_t now, int64_t leeway, int64_t *ret_exp);

/* Whether claim iss is this text, and whether claim aud (one text or a list of them, RFC 7519 4.1.3)
 * holds this one. */
bool jwt_iss_is(struct json claims, const char *issuer);
bool jwt_aud_has(struct json claims, const char *audience);

/* Public keys in JWK form (RFC 7517, RFC 7518 6, RFC 8037), and keys from PEM. */
#pragma once

#include "broker/base/json.h"
#include "broker/base/secret.h"

#include <openssl/evp.h>

struct jwk;

/* From a JSON object: kty EC (P-256, P-384, P-521), RSA (JOSE_MIN_RSA_BITS..JOSE_MAX_RSA_BITS),
 * OKP (Ed25519). Members d, p, q, dp, dq, qi, k are refused: a public key only. EC points are
 * checked to be on their curve, coordinates must have the curve's full length. ERR_USAGE says what
 * is wrong. The caller frees. Immutable afterwards: usable from several threads. */
err_t jwk_from_json(struct json object, struct jwk **ret);
/* From a PEM public key (SubjectPublicKeyInfo) or PEM certificate. */
err_t jwk_from_pem(struct span pem, struct jwk **ret);
/* The public half of a key pair; takes a reference. alg may be NULL. */
err_t jwk_from_pkey(EVP_PKEY *key, const char *alg, struct jwk **ret);
void jwk_free(struct jwk *k);
DEFINE_CLEANUP(struct jwk, jwk_free);
#define _cleanup_jwk_ _cleanup_(jwk_freep)

EVP_PKEY *jwk_pkey(const struct jwk *k);       /* borrowed */
const char *jwk_kty(const struct jwk *k);      /* "EC", "RSA", "OKP" */
const char *jwk_crv(const struct jwk *k);      /* "P-256" ... or NULL */
const char *jwk_alg(const struct jwk *k);      /* member alg, or NULL */
const char *jwk_kid(const struct jwk *k);      /* member kid, or NULL */
/* Whether members use and key_ops, where they are, let it verify signatures (RFC 7517 4.2, 4.3). */
bool jwk_may_verify(const struct jwk *k);
size_t jwk_x5c_count(const struct jwk *k);
const char *jwk_x5c(const struct jwk *k, size_t i); /* base64 DER text */
bool jwk_same_key(const struct jwk *a, const struct jwk *b);

/* Writes the public members and alg, when there is one, sorted (alg crv kty x y / alg e kty n) into
 * an open object. */
void jwk_put_members(const struct jwk *k, struct json_out *o);

/* Keys that may verify signatures, reference-counted; immutable, so threads share it. */
struct jwk_set;
/* {"keys":[...]} (RFC 7517 5): keys of unknown kind, private ones and those for something else
 * (use, key_ops) are skipped, as the RFC wants. ERR_USAGE when it is no set or has more than
 * JOSE_MAX_KEYS. One reference, the caller's. */
err_t jwk_set_parse(struct span text, struct jwk_set **ret);
/* The set of this one key (a PEM file); the key goes to the set, on failure too. */
err_t jwk_set_of(struct jwk *key, struct jwk_set **ret);
struct jwk_set *jwk_set_ref(struct jwk_set *s);
void jwk_set_unref(struct jwk_set *s); /* NULL-safe */
DEFINE_CLEANUP(struct jwk_set, jwk_set_unref);
#define _cleanup_jwk_set_ _cleanup_(jwk_set_unrefp)

/* Look-ups borrow from the set, which may be NULL: then nothing is found. By kid: none or two of
 * that name give NULL. Alone: the only key of a set of one. Same: this very key, for this alg (NULL:
 * for none) where the set has it so, for an RSA key may be listed once for each of its algs; else
 * the first that is this key. */
const struct jwk *jwk_set_find(const struct jwk_set *s, const char *kid);
const struct jwk *jwk_set_alone(const struct jwk_set *s);
const struct jwk *jwk_set_find_same(const struct jwk_set *s, const struct jwk *key, const char *alg);
size_t jwk_set_count(const struct jwk_set *s);
size_t jwk_set_skipped(const struct jwk_set *s);
/* Whether whatever a token found in `old` it finds in s as well, the same key under the same alg. */
bool jwk_set_keeps(const struct jwk_set *s, const struct jwk_set *old);

/* Private keys: PEM (PKCS#8, SEC1, PKCS#1) from secret memory; *ret is the caller's
 * (EVP_PKEY_free). ERR_USAGE when it is none. */
err_t key_from_pem(struct span pem, EVP_PKEY **ret);
err_t key_generate_ec(const char *crv, EVP_PKEY **ret);
err_t key_generate_ed25519(EVP_PKEY **ret);
/* PKCS#8 PEM of a private key, in secret memory; SubjectPublicKeyInfo PEM of its public half. */
err_t key_to_pem(EVP_PKEY *key, struct secret **ret);
err_t key_public_pem(EVP_PKEY *key, struct buf *ret);
DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free);
#define _cleanup_pkey_ _cleanup_(EVP_PKEY_freep)

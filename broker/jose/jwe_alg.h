/* Key management of a JWE: how a content key reaches the guest. One table row each, one file per
 * family (jwe_ecdh.c, jwe_rsa.c). Internal to jose/. */
#pragma once

#include "broker/jose/jwk.h"
#include "broker/jose/key_kind.h"

#define JWE_CEK 32 /* bytes: A256GCM */
#define JWE_IV 12
#define JWE_TAG 16

struct jwe_alg {
    const char *alg, *kty, *crv; /* crv NULL: RSA */
    int padding;                 /* RSA only: OpenSSL's number */
    /* Appends the protected header's text, exact to the byte (kbs-api.md 5.2), and the encrypted
     * key. ephemeral NULL: a fresh one. ERR_INTERNAL; ERR_BUSY without locked memory. */
    err_t (*wrap)(const struct jwe_alg *a, EVP_PKEY *to, const uint8_t cek[JWE_CEK],
                  EVP_PKEY *ephemeral, struct buf *ret_header, struct buf *ret_wrapped);
    /* False when the key does not open it, for every cause alike. cek is then as it was. */
    bool (*unwrap)(const struct jwe_alg *a, EVP_PKEY *key, struct json header, struct span wrapped,
                   uint8_t cek[JWE_CEK]);
};

/* NULL when there is no such row. crv NULL for RSA. */
const struct jwe_alg *jwe_alg_named(const char *alg, const char *kty, const char *crv);

err_t jwe_ecdh_wrap(const struct jwe_alg *a, EVP_PKEY *to, const uint8_t cek[JWE_CEK],
                    EVP_PKEY *ephemeral, struct buf *ret_header, struct buf *ret_wrapped);
bool jwe_ecdh_unwrap(const struct jwe_alg *a, EVP_PKEY *key, struct json header,
                     struct span wrapped, uint8_t cek[JWE_CEK]);
err_t jwe_rsa_wrap(const struct jwe_alg *a, EVP_PKEY *to, const uint8_t cek[JWE_CEK],
                   EVP_PKEY *ephemeral, struct buf *ret_header, struct buf *ret_wrapped);
bool jwe_rsa_unwrap(const struct jwe_alg *a, EVP_PKEY *key, struct json header,
                    struct span wrapped, uint8_t cek[JWE_CEK]);

/* Concat KDF with SHA-256, one round (RFC 7518 4.6.2): out_len at most 32 bytes. The caller wipes
 * out, also on failure. */
err_t jwe_concat_kdf(struct span z, const char *algorithm, struct span party_u, struct span party_v,
                     uint8_t *out, size_t out_len);

/* AES key wrap with a 256-bit key and the default IV (RFC 3394 2.2). wrapped: 40 bytes. */
#define JWE_WRAPPED (JWE_CEK + 8)
err_t jwe_aes_wrap(const uint8_t kek[32], const uint8_t cek[JWE_CEK], uint8_t wrapped[JWE_WRAPPED]);
bool jwe_aes_unwrap(const uint8_t kek[32], struct span wrapped, uint8_t cek[JWE_CEK]);

/* JWE in flattened JSON serialisation (RFC 7516 7.2.2) as KBS clients open it (kbs-api.md 5):
 * enc A256GCM always; alg ECDH-ES+A256KW for EC P-256 and P-521, RSA-OAEP-256, RSA1_5.
 * The protected header is exact to the byte (kbs-api.md 5.2), because clients compute the AAD from
 * a re-serialisation of it. */
#pragma once

#include "broker/jose/jwk.h"

/* A guest's public key, checked once (curve membership, sizes) and prepared for many encryptions.
 * Immutable, usable from several threads at once. */
struct jwe_key;

/* From a TEE public key (kbs-api.md 2.1): only kty, crv, alg, x, y, n, e are looked at.
 * ERR_CRYPTO "unsupported TEE key: ..." for any other kind; RSA1_5 only when allow_rsa1_5. */
err_t jwe_key_from_json(struct json tee_pubkey, bool allow_rsa1_5, struct jwe_key **ret);
void jwe_key_free(struct jwe_key *k);
DEFINE_CLEANUP(struct jwe_key, jwe_key_free);
const char *jwe_key_alg(const struct jwe_key *k);

/* The key object rebuilt from exactly its own members, canonical (RFC 8785), as it is hashed into
 * report data. Fails like jwe_key_from_json but without cryptographic checks: for the digest only. */
err_t jwe_tee_key_canonical(struct json tee_pubkey, struct json_out *o);

/* Encrypts with a fresh content key, IV and ephemeral key; appends the JSON text to *ret. The plaintext is only
 * read: at most VALUE_MAX bytes, else ERR_TOOLARGE; may be empty. ERR_BUSY when locked memory is spent. Nothing is
 * appended on failure. Thread-safe. RFC 7516 5.1, RFC 7518 4.6 and 4.3 and 4.2, 5.3. */
err_t jwe_encrypt(const struct jwe_key *to, struct span plaintext, struct buf *ret);

/* Opens what jwe_encrypt makes, with the guest's private key (EC or RSA); checks everything before
 * any plaintext is visible. Exactly the five members. ERR_USAGE for form that anyone can see (a member
 * missing, alg not of this key); one ERR_CRYPTO for every cryptographic cause. For `fetch`, tests. */
err_t jwe_decrypt(EVP_PKEY *key, struct span json, struct secret **ret);

/* For tests and interop: the same with given content key, IV and ephemeral private key. */
#ifdef STRONGROOM_TEST
struct jwe_fixed { struct span cek, iv; EVP_PKEY *ephemeral; };
err_t jwe_encrypt_fixed(const struct jwe_key *to, struct span plaintext,
                        const struct jwe_fixed *fixed, struct buf *ret);
#endif

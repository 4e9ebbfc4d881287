/* What keypair.c and pair.c share. */
#pragma once

#include "pkcs11/keypair.h"
#include "pkcs11/oaep.h"
#include "pkcs11/public_key.h"

/* A private key as it is now, with its public half when the token shows one (owned). */
struct pair_key {
    CK_OBJECT_HANDLE handle;
    uint64_t epoch;        /* of the handle; see session_take_at */
    bool decodes;          /* RSA: the token does bare RSA, we the OAEP (pair_try) */
    EVP_PKEY *public;
};
void pair_key_done(struct pair_key *k);
#define _cleanup_pair_key_ _cleanup_(pair_key_done)

/* The only private key with this label. ERR_NOTFOUND, ERR_CONFLICT. *ret_wrong names the first
 * attribute that forbids its use; info->sound is whether there is none. Takes a session. */
err_t pair_find(struct p11 *p, const char *label, struct pair_key *ret, struct p11_pair_info *ret_info,
                const char **ret_wrong);

/* One operation with the private key; *ret_rv is the module's answer, *ret_call whose. Errors are
 * ours. block: as long as the modulus; out has as much room. */
struct pair_answer { CK_RV rv; const char *call; };
err_t pair_decrypt_once(struct p11 *p, const struct pair_key *key, enum oaep_hash hash,
                        struct span block, uint8_t *out, size_t *ret_len, struct pair_answer *ret);
err_t pair_sign_once(struct p11 *p, const struct pair_key *key,
                     const uint8_t digest[P11_PAIR_DIGEST], uint8_t out[P11_PAIR_SIGNATURE],
                     struct pair_answer *ret);

/* Decrypts or signs something public and holds it against the public half; for RSA finds out who
 * decodes. ERR_USAGE: this token cannot, or the halves do not belong together. */
err_t pair_try(struct p11 *p, const char *label, enum p11_pair_type type, enum oaep_hash hash,
               struct pair_key *key);

/* How often pairs were made in this process: who found none looks again. */
uint64_t pair_made_count(void);

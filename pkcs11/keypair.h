/* Key pairs on the token: RSA for unwrapping, EC on P-256 for signing. Like p11.h: bytes and names,
 * no CK_* type, any thread once the token is open. The private half never leaves the token. */
#pragma once

#include "broker/base/limits.h"
#include "pkcs11/p11.h"

enum p11_pair_type { P11_PAIR_RSA, P11_PAIR_EC_P256, P11_PAIR_OTHER /* what we do not use */ };
/* "rsa", "ec-p256", "other"; and back, false for any other word. */
const char *p11_pair_type_name(enum p11_pair_type type);
bool p11_pair_type_from(const char *name, enum p11_pair_type *ret);

#define KEYPAIR_ID_MAX 64u /* bytes of a CKA_ID that are told */

struct p11_pair_info {
    char label[KEYPAIR_LABEL_MAX + 1];
    uint8_t id[KEYPAIR_ID_MAX];
    size_t id_len;
    enum p11_pair_type type;
    unsigned bits;    /* of the modulus, or 256; 0: the token shows no public half */
    bool sensitive, extractable, always_sensitive, never_extractable, local, modifiable;
    bool can_decrypt, can_sign, can_unwrap, can_derive;
    bool sound;       /* attributes as its use demands; another is never used */
    struct buf public_pem; /* SubjectPublicKeyInfo; empty: the token shows none */
};
void p11_pair_info_done(struct p11_pair_info *i);
#define _cleanup_pair_info_ _cleanup_(p11_pair_info_done)

/* Makes a pair: on the token, private, sensitive, not extractable, not modifiable, for decryption
 * (RSA of `bits`, KEYPAIR_RSA_MIN_BITS..KEYPAIR_RSA_MAX_BITS in steps of 1024) or for signing (EC)
 * and nothing else; reads the attributes back and tries it. What comes out otherwise is removed
 * again. A long RSA key takes seconds, in which no object is found or written. ERR_CONFLICT: a key
 * with this label is there. ERR_USAGE: label, bits, or a token that cannot. */
err_t p11_pair_create(struct p11 *p, const char *label, enum p11_pair_type type, unsigned bits,
                      struct p11_pair_info *ret);

/* Calls visit for every private key of the token, ours and others', with what it is; info is good
 * during the visit alone. ERR_TOOLARGE beyond KEYPAIRS_MAX. */
err_t p11_pair_list(struct p11 *p, err_t (*visit)(void *arg, const struct p11_pair_info *info),
                    void *arg);

/* ---- using one -------------------------------------------------------------------------- */

/* The pair with this label, whenever it comes: found on the token at first use, proved by trying
 * it with its public half, and found again after the token was opened again. */
struct p11_pair;

struct p11_pair_config {
    const char *label;
    enum p11_pair_type type;
    bool oaep_sha1;    /* RSA: OAEP with SHA-1 instead of SHA-256 */
};
/* Asks the token nothing. The token outlives it. */
err_t p11_pair_new(struct p11 *p, const struct p11_pair_config *config, struct p11_pair **ret);
void p11_pair_free(struct p11_pair *k);
DEFINE_CLEANUP(struct p11_pair, p11_pair_free);

/* The label that an RFC 7512 URI names, such as pkcs11:object=NAME;type=private, malloc'ed. Token
 * attributes in it must be those of p. ERR_USAGE. */
err_t p11_pair_uri_label(struct p11 *p, const char *uri, char **ret);

/* All of these: ERR_NOTFOUND: there is no such pair; ERR_CONFLICT: there are two; ERR_HUMAN: it is
 * of another type or not as its use demands. The reason says what to do. ERR_TOKEN_DOWN. */

/* Appends the public half as PEM. */
err_t p11_pair_public(struct p11_pair *k, struct buf *ret_pem);
/* RSAES-OAEP with the public half, on the host; appends as many bytes as the modulus has.
 * ERR_TOOLARGE. */
err_t p11_pair_wrap(struct p11_pair *k, struct span plain, struct buf *ret);
/* And back, with the private half on the token. ERR_USAGE: not as long as the modulus. ERR_CRYPTO:
 * does not open; one sentence for every cause. */
err_t p11_pair_unwrap(struct p11_pair *k, struct span wrapped, struct secret **ret);
/* ECDSA over a digest that the caller made: R || S. */
#define P11_PAIR_DIGEST 32u
#define P11_PAIR_SIGNATURE 64u
err_t p11_pair_sign(struct p11_pair *k, const uint8_t digest[P11_PAIR_DIGEST],
                    uint8_t ret[P11_PAIR_SIGNATURE]);

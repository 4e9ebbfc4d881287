/* Signature algorithms: RFC 7518 3.1 and RFC 8037 3.1, one table row each. For jose/, and for the
 * functions of policies that name an algorithm. */
#pragma once

#include "broker/jose/jwk.h"

struct jws_alg;

/* NULL when the name is none of ours; "none" and HS* are none of ours. */
const struct jws_alg *jws_alg_named(const char *name);
const char *jws_alg_name(const struct jws_alg *alg);

/* Whether we sign with it ourselves (the others are only verified). */
bool jws_alg_signs(const struct jws_alg *alg);

/* Whether the key's family and curve are those of the algorithm. */
bool jws_alg_fits(const struct jws_alg *alg, const EVP_PKEY *key);

/* False for every cause alike. The key must fit. Thread-safe. */
bool jws_alg_verify(const struct jws_alg *alg, EVP_PKEY *key, struct span text, struct span signature);

/* A context that signs with this key, which must fit and be private; it keeps a reference of the key.
 * The caller frees *ret. ERR_INTERNAL. */
err_t jws_alg_prepare(const struct jws_alg *alg, EVP_PKEY *key, EVP_MD_CTX **ret);

/* Appends the raw signature (R || S for ES*, RFC 7518 3.4). `prepared` is only read: several threads
 * may sign with it at once. */
err_t jws_alg_sign(const struct jws_alg *alg, const EVP_MD_CTX *prepared, struct span text,
                   struct buf *ret);

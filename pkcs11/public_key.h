/* The public half of a key pair on the token, as OpenSSL's. */
#pragma once

#include "pkcs11/p11_internal.h"

#include <openssl/evp.h>

DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free);
#define _cleanup_pkey_ _cleanup_(EVP_PKEY_freep)

/* RSA: from CKA_MODULUS and CKA_PUBLIC_EXPONENT of this object, the private or the public one.
 * *ret stays NULL when the object does not show them, or they are none (JOSE_MIN_RSA_BITS ..
 * JOSE_MAX_RSA_BITS). Errors: the token does not answer. The caller owns *ret. */
err_t public_key_rsa(struct p11_session *s, CK_OBJECT_HANDLE object, EVP_PKEY **ret);
/* EC on P-256: from CKA_EC_PARAMS and CKA_EC_POINT (DER, or bare as some tokens have it). */
err_t public_key_p256(struct p11_session *s, CK_OBJECT_HANDLE object, EVP_PKEY **ret);

/* DER of the curve's name, as CKA_EC_PARAMS wants it. */
struct span public_key_p256_params(void);

/* Appends SubjectPublicKeyInfo as PEM. */
err_t public_key_pem(EVP_PKEY *key, struct buf *ret);

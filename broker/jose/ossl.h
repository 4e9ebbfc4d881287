/* OpenSSL 3 as this folder uses it: algorithms fetched once, its errors as frames of ours, and
 * scoped ownership. Internal to jose/. */
#pragma once

#include "broker/base/cleanup.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

/* Fetching by name costs more than a small hash, so each is fetched once for the process. */
struct ossl_algorithms {
    EVP_MD *sha256, *sha384, *sha512;
    EVP_CIPHER *aes256_gcm, *aes256_wrap;
};

/* Borrowed for ever. Thread-safe. ERR_INTERNAL when this OpenSSL lacks one of them. */
err_t ossl_algorithms(const struct ossl_algorithms **ret);

/* Text of the oldest error in this thread's OpenSSL queue, or NULL; empties the queue, so that an
 * old error is never told as a new one's cause. Valid until the next call on this thread. */
const char *ossl_drain(void);

#define FAIL_OSSL(code, ...) \
    return err_start((code), ossl_drain(), __FILE__, __LINE__, __func__, __VA_ARGS__)

/* A read-only BIO over bytes, without copying them; NULL when out of memory or too long. */
BIO *ossl_bio_over(struct span data);

DEFINE_CLEANUP(EVP_PKEY_CTX, EVP_PKEY_CTX_free);
DEFINE_CLEANUP(EVP_MD_CTX, EVP_MD_CTX_free);
DEFINE_CLEANUP(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free);
DEFINE_CLEANUP(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free);
DEFINE_CLEANUP(OSSL_PARAM, OSSL_PARAM_free);
DEFINE_CLEANUP(ECDSA_SIG, ECDSA_SIG_free);
DEFINE_CLEANUP(BIGNUM, BN_free);
DEFINE_CLEANUP(BIO, BIO_free);
DEFINE_CLEANUP(X509, X509_free);

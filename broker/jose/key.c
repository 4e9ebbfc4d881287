/* Private keys: from and to PEM, and generated. */
#include "broker/jose/jwk.h"
#include "broker/jose/key_kind.h"
#include "broker/jose/ossl.h"

#include <openssl/pem.h>

/* OpenSSL would ask on the terminal for the pass phrase of an encrypted key; a daemon never. */
static int no_pass_phrase(char *buf, int size, int rwflag, void *asked)
{
    *(bool *) asked = true;
    return -1;
}

struct err key_from_pem(struct span pem, EVP_PKEY **ret)
{
    _cleanup_(BIO_freep) BIO *bio = ossl_bio_over(pem);
    if (!bio) FAIL_OSSL(ERR_INTERNAL, "out of memory");
    bool asked = false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, &asked);
    if (!key && asked)
        FAIL_OSSL(ERR_USAGE, "the private key is encrypted; decrypt it first (openssl pkey -in FILE) "
                             "and protect the file by its mode");
    if (!key) FAIL_OSSL(ERR_USAGE, "this is no PEM private key (PKCS#8, SEC1 or PKCS#1)");
    *ret = key;
    return ERR_OK;
}

struct err key_generate_ec(const char *crv, EVP_PKEY **ret)
{
    const struct key_kind *kind = key_kind_named("EC", crv);
    if (!kind) FAIL(ERR_USAGE, "curve %s is unknown; use P-256, P-384 or P-521", crv);
    EVP_PKEY *key = EVP_EC_gen(kind->group);
    if (!key) FAIL_OSSL(ERR_INTERNAL, "no new %s key", crv);
    *ret = key;
    return ERR_OK;
}

struct err key_generate_ed25519(EVP_PKEY **ret)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!key) FAIL_OSSL(ERR_INTERNAL, "no new Ed25519 key");
    *ret = key;
    return ERR_OK;
}

struct err key_to_pem(EVP_PKEY *key, struct secret **ret)
{
    /* A BIO that wipes what it held when it is freed. */
    _cleanup_(BIO_freep) BIO *bio = BIO_new(BIO_s_secmem());
    char *text = NULL;
    if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        FAIL_OSSL(ERR_INTERNAL, "cannot write the private key as PEM");
    long len = BIO_get_mem_data(bio, &text);
    if (len <= 0) FAIL_OSSL(ERR_INTERNAL, "cannot write the private key as PEM");
    return secret_copy(span_of(text, (size_t) len), ret);
}

struct err key_public_pem(EVP_PKEY *key, struct buf *ret)
{
    _cleanup_(BIO_freep) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    if (!bio || PEM_write_bio_PUBKEY(bio, key) != 1)
        FAIL_OSSL(ERR_INTERNAL, "cannot write the public key as PEM");
    long len = BIO_get_mem_data(bio, &text);
    if (len > 0) buf_add(ret, text, (size_t) len);
    return buf_ok(ret);
}

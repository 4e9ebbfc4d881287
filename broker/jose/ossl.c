#include "broker/jose/ossl.h"

#include <limits.h>
#include <openssl/err.h>

static struct ossl_algorithms algorithms; /* written once, never freed */
static pthread_once_t algorithms_once = PTHREAD_ONCE_INIT;

static void fetch_algorithms(void)
{
    algorithms = (struct ossl_algorithms){
        .sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL),
        .sha384 = EVP_MD_fetch(NULL, "SHA2-384", NULL),
        .sha512 = EVP_MD_fetch(NULL, "SHA2-512", NULL),
        .aes256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL),
        .aes256_wrap = EVP_CIPHER_fetch(NULL, "AES-256-WRAP", NULL),
    };
}

struct err ossl_algorithms(const struct ossl_algorithms **ret)
{
    pthread_once(&algorithms_once, fetch_algorithms);
    const struct ossl_algorithms *a = &algorithms;
    if (!a->sha256 || !a->sha384 || !a->sha512 || !a->aes256_gcm || !a->aes256_wrap)
        FAIL(ERR_INTERNAL, "OpenSSL's providers lack SHA-2, AES-256-GCM or AES-256-WRAP; look at "
                           "the providers that openssl.cnf activates");
    *ret = a;
    return ERR_OK;
}

const char *ossl_drain(void)
{
    static _Thread_local char text[96];
    unsigned long code = ERR_peek_error();
    if (code == 0) return NULL;
    ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    return text;
}

BIO *ossl_bio_over(struct span data)
{
    if (data.len > INT_MAX) return NULL;
    return BIO_new_mem_buf(data.data ? (const void *) data.data : "", (int) data.len);
}

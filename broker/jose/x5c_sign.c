/* A self-signed certificate, for development: `strongroom dev` makes a signer at start. */
#include "broker/base/rand.h"
#include "broker/jose/ossl.h"
#include "broker/jose/x5c.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#define SERIAL 16 /* bytes, random (RFC 5280 4.1.2.2: at most 20) */

static err_t set_serial(X509 *cert)
{
    uint8_t serial[SERIAL];
    TRY(rand_bytes(serial, sizeof serial));
    serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and always of full length */
    _cleanup_(BN_freep) BIGNUM *n = BN_bin2bn(serial, SERIAL, NULL);
    if (!n || !BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)))
        FAIL_OSSL(ERR_INTERNAL, "no serial number");
    return ERR_OK;
}

static err_t set_name(X509 *cert, const char *common_name)
{
    X509_NAME *name = X509_get_subject_name(cert);
    if (X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *) common_name, -1, -1,
                                   0) != 1 || X509_set_issuer_name(cert, name) != 1)
        FAIL_OSSL(ERR_USAGE, "\"%s\" cannot be the common name of a certificate", common_name);
    return ERR_OK;
}

/* It is its own root, so it must be allowed to sign itself (RFC 5280 4.2.1.3, 4.2.1.9). */
static err_t add_extensions(X509 *cert)
{
    static const struct { int nid; const char *value; } EXTENSION[] = {
        {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
        {NID_key_usage, "critical,digitalSignature,keyCertSign"},
        {NID_subject_key_identifier, "hash"},
    };
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    for (size_t i = 0; i < sizeof EXTENSION / sizeof EXTENSION[0]; i++) {
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, EXTENSION[i].nid, EXTENSION[i].value);
        int added = e ? X509_add_ext(cert, e, -1) : 0;
        X509_EXTENSION_free(e);
        if (added != 1) FAIL_OSSL(ERR_INTERNAL, "no certificate extension %s", EXTENSION[i].value);
    }
    return ERR_OK;
}

struct err x5c_self_sign(EVP_PKEY *key, const char *common_name, int64_t now, int64_t seconds,
                         struct buf *ret_pem)
{
    _cleanup_(X509_freep) X509 *cert = X509_new();
    if (!cert || X509_set_version(cert, X509_VERSION_3) != 1 || X509_set_pubkey(cert, key) != 1 ||
        !ASN1_TIME_set(X509_getm_notBefore(cert), (time_t) now) ||
        !ASN1_TIME_set(X509_getm_notAfter(cert), (time_t) (now + seconds)))
        FAIL_OSSL(ERR_INTERNAL, "cannot make a certificate");
    TRY(set_serial(cert));
    TRY(set_name(cert, common_name));
    TRY(add_extensions(cert));
    _cleanup_(BIO_freep) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    if (!bio || X509_sign(cert, key, EVP_sha256()) <= 0 || PEM_write_bio_X509(bio, cert) != 1)
        FAIL_OSSL(ERR_INTERNAL, "cannot sign a certificate");
    long len = BIO_get_mem_data(bio, &text);
    if (len > 0) buf_add(ret_pem, text, (size_t) len);
    return buf_ok(ret_pem);
}

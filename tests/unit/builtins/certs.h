/* Certificates made to order for tests. */
#pragma once

#include "broker/base/buf.h"
#include "broker/jose/jwk.h"

#include <openssl/conf.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define CERTS_NOW 1700000000 /* 2023-11-14T22:13:20Z; all are good an hour before and after */

struct cert_plan {
    const char *common_name;
    struct { int nid; const char *value; } extensions[12]; /* in openssl.cnf's words */
    const char *digest; /* NULL: SHA256 */
    int serial_bits;    /* 0: serial number 1 */
};

struct made_cert {
    EVP_PKEY *key;
    X509 *cert;
};

#define CERT_CA {NID_basic_constraints, "critical,CA:TRUE"}

static inline void cert_set_name(X509_NAME *name, const char *common_name)
{
    assert_int_equal(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                                (const uint8_t *) common_name, -1, -1, 0), 1);
}

static inline void cert_set_serial(X509 *cert, int bits)
{
    BIGNUM *n = BN_new();
    if (bits) BN_set_bit(n, bits - 1);
    else BN_one(n);
    assert_non_null(BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)));
    BN_free(n);
}

static inline void cert_extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    CONF *none = NCONF_new(NULL);
    X509V3_set_nconf(&ctx, none);
    X509_EXTENSION *e = X509V3_EXT_nconf_nid(none, &ctx, nid, value);
    if (!e) fail_msg("extension %s: %s", OBJ_nid2sn(nid), value);
    assert_int_equal(X509_add_ext(cert, e, -1), 1);
    X509_EXTENSION_free(e);
    NCONF_free(none);
}

static inline void cert_sign(X509 *cert, EVP_PKEY *key, const char *digest)
{
    const EVP_MD *md = EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_get_digestbyname(digest ? digest : "SHA256");
    assert_true(X509_sign(cert, key, md) > 0);
}

/* Not yet signed. issuer NULL: its own. Takes key; NULL makes one of P-256. */
static inline struct made_cert cert_draft(const struct cert_plan *plan, EVP_PKEY *key,
                                          const struct made_cert *issuer)
{
    struct made_cert m = {.key = key ? key : EVP_EC_gen("P-256"), .cert = X509_new()};
    X509_set_version(m.cert, 2);
    cert_set_serial(m.cert, plan->serial_bits);
    ASN1_TIME_set(X509_getm_notBefore(m.cert), CERTS_NOW - 3600);
    ASN1_TIME_set(X509_getm_notAfter(m.cert), CERTS_NOW + 3600);
    X509_set_pubkey(m.cert, m.key);
    cert_set_name(X509_get_subject_name(m.cert), plan->common_name);
    X509 *by = issuer ? issuer->cert : m.cert;
    X509_set_issuer_name(m.cert, X509_get_subject_name(by));
    for (size_t i = 0; plan->extensions[i].nid; i++)
        cert_extend(m.cert, by, plan->extensions[i].nid, plan->extensions[i].value);
    return m;
}

static inline struct made_cert cert_make(const struct cert_plan *plan, EVP_PKEY *key,
                                         const struct made_cert *issuer)
{
    struct made_cert m = cert_draft(plan, key, issuer);
    cert_sign(m.cert, issuer ? issuer->key : m.key, plan->digest);
    return m;
}

static inline void cert_free(struct made_cert *m)
{
    EVP_PKEY_free(m->key);
    X509_free(m->cert);
}

static inline void cert_add_pem(struct buf *to, const struct made_cert *m)
{
    char *text = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(bio, m->cert), 1);
    long len = BIO_get_mem_data(bio, &text);
    buf_add(to, text, (size_t) len);
    BIO_free(bio);
}

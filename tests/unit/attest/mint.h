/* Tokens signed with keys of the test's own, for verifier, guest and attest. */
#pragma once

#include "broker/jose/jws.h"
#include "broker/jose/x5c.h"
#include "tests/unit/attest/kit.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

/* A signer with a self-signed certificate, valid around NOON. */
struct mint {
    EVP_PKEY *key;
    struct buf chain; /* PEM */
};

static inline void mint_init(struct mint *m)
{
    *m = (struct mint){0};
    assert_ok(key_generate_ec("P-256", &m->key));
    assert_ok(x5c_self_sign(m->key, "mint", NOON - 86400, 2 * 86400, &m->chain));
}

/* A signer with a certificate of `ca`; the chain has both. */
static inline void mint_init_below(struct mint *m, const struct mint *ca)
{
    BIO *in = BIO_new_mem_buf(ca->chain.data, (int) ca->chain.len), *out = BIO_new(BIO_s_mem());
    X509 *above = PEM_read_bio_X509(in, NULL, NULL, NULL), *cert = X509_new();
    X509_NAME *name = X509_NAME_new();
    char *text = NULL;
    *m = (struct mint){0};
    assert_ok(key_generate_ec("P-256", &m->key));
    assert_non_null(above);
    X509_set_version(cert, X509_VERSION_3);
    X509_set_pubkey(cert, m->key);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
    ASN1_TIME_set(X509_getm_notBefore(cert), NOON - 86400);
    ASN1_TIME_set(X509_getm_notAfter(cert), NOON + 86400);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *) "below", -1, -1, 0);
    X509_set_subject_name(cert, name);
    X509_set_issuer_name(cert, X509_get_subject_name(above));
    assert_true(X509_sign(cert, ca->key, EVP_sha256()) > 0);
    PEM_write_bio_X509(out, cert);
    long len = BIO_get_mem_data(out, &text);
    buf_add(&m->chain, text, (size_t) len);
    buf_add_span(&m->chain, buf_span(&ca->chain));
    X509_NAME_free(name);
    X509_free(cert);
    X509_free(above);
    BIO_free(out);
    BIO_free(in);
}

static inline void mint_done(struct mint *m)
{
    EVP_PKEY_free(m->key);
    buf_free(&m->chain);
}

/* Writes {"typ","alg","jwk"} with the key of `shown` and the chain (PEM, empty: no x5c). */
static inline void mint_header(EVP_PKEY *shown, struct span chain, const char *key_alg,
                               struct buf *ret)
{
    struct jwk *jwk = NULL;
    assert_ok(jwk_from_pkey(shown, key_alg, &jwk));
    struct json_out o = JSON_OUT(ret);
    buf_reset(ret);
    json_begin_object(&o);
    json_member_str(&o, "typ", "JWT");
    json_member_str(&o, "alg", "ES256");
    json_key(&o, "jwk");
    json_begin_object(&o);
    if (chain.len) {
        json_key(&o, "x5c");
        json_begin_array(&o);
        EVP_PKEY *holder = shown;
        assert_ok(x5c_put_chain(chain, holder, &o));
        json_end_array(&o);
    }
    jwk_put_members(jwk, &o);
    json_end_object(&o);
    json_end_object(&o);
    assert_ok(buf_ok(ret));
    jwk_free(jwk);
}

/* A token of this mint with a good header. */
static inline void mint_token(const struct mint *m, const char *claims, struct buf *ret)
{
    struct buf header = BUF_INIT;
    mint_header(m->key, buf_span(&m->chain), "ES256", &header);
    buf_reset(ret);
    assert_ok(jws_sign("ES256", m->key, buf_span(&header), span_str(claims), ret));
    buf_free(&header);
}

/* Writes data to a new file of its own; the name is malloc'ed. */
static inline char *mint_file(struct span data)
{
    const char *dir = getenv("TMPDIR");
    char *name = malloc(512);
    assert_non_null(name);
    snprintf(name, 512, "%s/strongroom-mint-XXXXXX", dir ? dir : "/tmp");
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data.data, data.len), data.len);
    close(fd);
    return name;
}

static inline void mint_file_remove(char *name)
{
    unlink(name);
    free(name);
}

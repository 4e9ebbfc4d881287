#include "broker/jose/x5c.h"

#include "broker/base/limits.h"
#include "broker/jose/b64url.h"
#include "broker/jose/ossl.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <string.h>
#include <time.h>

#define AUTH_LEVEL 2 /* OpenSSL's name for 112 bits */

struct x5c_store {
    X509_STORE *trusted;
    size_t count;
    EVP_PKEY *only; /* NULL: any key that chains to the trusted ones */
};

static void free_chain(STACK_OF(X509) *chain) { sk_X509_pop_free(chain, X509_free); }
DEFINE_CLEANUP(STACK_OF(X509), free_chain);
DEFINE_CLEANUP(X509_STORE_CTX, X509_STORE_CTX_free);

/* ---- the trusted ones --------------------------------------------------------------------------- */

struct err x5c_store_new(struct x5c_store **ret)
{
    _cleanup_(x5c_store_freep) struct x5c_store *s = calloc(1, sizeof *s);
    if (s) s->trusted = X509_STORE_new();
    if (!s || !s->trusted) FAIL_OSSL(ERR_INTERNAL, "out of memory");
    *ret = TAKE_PTR(s);
    return ERR_OK;
}

void x5c_store_free(struct x5c_store *s)
{
    if (!s) return;
    X509_STORE_free(s->trusted);
    EVP_PKEY_free(s->only);
    free(s);
}

size_t x5c_store_count(const struct x5c_store *s) { return s->count; }

/* All certificates of a PEM text, in order, other blocks skipped. ERR_USAGE when there is none or
 * one does not parse. */
static err_t read_pem(struct span pem, STACK_OF(X509) **ret)
{
    _cleanup_(free_chainp) STACK_OF(X509) *all = sk_X509_new_null();
    _cleanup_(BIO_freep) BIO *bio = ossl_bio_over(pem);
    if (!all || !bio) FAIL_OSSL(ERR_INTERNAL, "out of memory");
    for (;;) {
        X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (!cert) break;
        if (sk_X509_push(all, cert) <= 0) {
            X509_free(cert);
            FAIL_OSSL(ERR_INTERNAL, "out of memory");
        }
    }
    /* The end of the text is an error too, of this name; any other one is a damaged block. */
    unsigned long why = ERR_peek_last_error();
    bool at_end = ERR_GET_LIB(why) == ERR_LIB_PEM && ERR_GET_REASON(why) == PEM_R_NO_START_LINE;
    if (!at_end) FAIL_OSSL(ERR_USAGE, "certificate %d of the PEM text does not parse",
                           sk_X509_num(all) + 1);
    ossl_drain();
    if (sk_X509_num(all) == 0)
        FAIL(ERR_USAGE, "no certificate in the PEM text (BEGIN CERTIFICATE)");
    *ret = TAKE_PTR(all);
    return ERR_OK;
}

struct err x5c_store_add_pem(struct x5c_store *s, struct span pem)
{
    _cleanup_(free_chainp) STACK_OF(X509) *all = NULL;
    TRY(read_pem(pem, &all));
    for (int i = 0; i < sk_X509_num(all); i++) {
        if (X509_STORE_add_cert(s->trusted, sk_X509_value(all, i)) != 1)
            FAIL_OSSL(ERR_INTERNAL, "out of memory");
        s->count++;
    }
    return ERR_OK;
}

struct err x5c_store_only_key(struct x5c_store *s, struct span pem)
{
    _cleanup_(free_chainp) STACK_OF(X509) *all = NULL;
    TRY(read_pem(pem, &all));
    EVP_PKEY *key = X509_get_pubkey(sk_X509_value(all, 0));
    if (!key) FAIL_OSSL(ERR_USAGE, "the key of the first certificate is of no known kind");
    EVP_PKEY_free(s->only);
    s->only = key;
    return ERR_OK;
}

/* ---- verifying ------------------------------------------------------------------------------------ */

static err_t read_certificate(const char *text, X509 **ret)
{
    _cleanup_buf_ struct buf plain = BUF_INIT;
    _cleanup_buf_ struct buf der = BUF_INIT;
    for (const char *c = text; *c; c++) /* some signers break the lines as in PEM */
        if (*c != '\n' && *c != '\r') buf_add_byte(&plain, (uint8_t) *c);
    TRY(buf_ok(&plain));
    if (!err_ok(b64_decode(buf_span(&plain), &der))) TRY(b64url_decode(buf_span(&plain), &der));
    const uint8_t *p = der.data;
    _cleanup_(X509_freep) X509 *cert = d2i_X509(NULL, &p, (long) der.len);
    if (!cert || p != der.data + der.len) FAIL_OSSL(ERR_USAGE, "this is no DER certificate");
    *ret = TAKE_PTR(cert);
    return ERR_OK;
}

static err_t read_x5c(const struct jwk *key, STACK_OF(X509) **ret)
{
    _cleanup_(free_chainp) STACK_OF(X509) *chain = sk_X509_new_null();
    if (!chain) FAIL_OSSL(ERR_INTERNAL, "out of memory");
    for (size_t i = 0; i < jwk_x5c_count(key); i++) {
        X509 *cert = NULL;
        if (!err_ok(read_certificate(jwk_x5c(key, i), &cert)))
            FAIL(ERR_CRYPTO, "x5c[%zu] of the token's key is no base64 DER certificate", i);
        if (sk_X509_push(chain, cert) <= 0) {
            X509_free(cert);
            FAIL_OSSL(ERR_INTERNAL, "out of memory");
        }
    }
    *ret = TAKE_PTR(chain);
    return ERR_OK;
}

static bool holds_key(const X509 *cert, const EVP_PKEY *key)
{
    const EVP_PKEY *own = X509_get0_pubkey(cert);
    bool same = own && EVP_PKEY_eq(own, key) == 1;
    ossl_drain();
    return same;
}

/* When the first certificate of a chain that verified ends. */
static int64_t end_of(const STACK_OF(X509) *chain)
{
    int64_t end = INT64_MAX;
    for (int i = 0; i < sk_X509_num(chain); i++) {
        struct tm tm = {0};
        if (ASN1_TIME_to_tm(X509_get0_notAfter(sk_X509_value(chain, i)), &tm) != 1) return 1; /* long ago */
        int64_t its = (int64_t) timegm(&tm);
        if (its < end) end = its;
    }
    return end;
}

struct err x5c_verify(const struct x5c_store *s, const struct jwk *key, int64_t now, int64_t *ret_end)
{
    if (jwk_x5c_count(key) == 0)
        FAIL(ERR_CRYPTO, "the token's key has no certificate chain (x5c)");
    _cleanup_(free_chainp) STACK_OF(X509) *chain = NULL;
    TRY(read_x5c(key, &chain));
    X509 *leaf = sk_X509_value(chain, 0);
    if (!holds_key(leaf, jwk_pkey(key)))
        FAIL(ERR_CRYPTO, "x5c[0] certifies another key than the token's");
    if (s->only && !holds_key(leaf, s->only))
        FAIL(ERR_CRYPTO, "it is not the key of our own signer, which alone counts where no "
                         "certificates are trusted");
    /* All of x5c may serve as intermediate; whether the leaf is among them makes no difference. */
    _cleanup_(X509_STORE_CTX_freep) X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    if (!ctx || X509_STORE_CTX_init(ctx, s->trusted, leaf, chain) != 1)
        FAIL_OSSL(ERR_INTERNAL, "out of memory");
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(param, (time_t) now);
    X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
    X509_VERIFY_PARAM_set_depth(param, (int) JOSE_MAX_X5C);
    bool good = X509_verify_cert(ctx) == 1;
    ossl_drain();
    if (!good)
        FAIL(ERR_CRYPTO, "the token's certificate chain does not verify: %s",
             X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
    if (ret_end) *ret_end = end_of(X509_STORE_CTX_get0_chain(ctx));
    return ERR_OK;
}

/* ---- writing ---------------------------------------------------------------------------------------- */

struct err x5c_put_chain(struct span pem, EVP_PKEY *key, struct json_out *o)
{
    _cleanup_(free_chainp) STACK_OF(X509) *chain = NULL;
    TRY(read_pem(pem, &chain));
    if (sk_X509_num(chain) > (int) JOSE_MAX_X5C)
        FAIL(ERR_USAGE, "the certificate chain has more than %u certificates", JOSE_MAX_X5C);
    if (!holds_key(sk_X509_value(chain, 0), key))
        FAIL(ERR_USAGE, "the first certificate of the chain certifies another key; put the "
                        "signer's own certificate first");
    for (int i = 0; i < sk_X509_num(chain); i++) {
        _cleanup_buf_ struct buf text = BUF_INIT;
        uint8_t *der = NULL;
        int len = i2d_X509(sk_X509_value(chain, i), &der);
        if (len <= 0) FAIL_OSSL(ERR_INTERNAL, "out of memory");
        b64_add(&text, span_of(der, (size_t) len));
        OPENSSL_free(der);
        TRY(buf_ok(&text));
        json_put_span(o, buf_span(&text));
    }
    return buf_ok(o->buf);
}

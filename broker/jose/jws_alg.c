#include "broker/jose/jws_alg.h"

#include "broker/jose/key_kind.h"
#include "broker/jose/ossl.h"

#include <openssl/rsa.h>
#include <string.h>

#define MAX_SIGNATURE 256 /* bytes of what we sign: ECDSA in DER, or Ed25519 */

enum digest { DIGEST_NONE, DIGEST_256, DIGEST_384, DIGEST_512 };

struct jws_alg {
    const char *name, *kty, *crv; /* crv NULL: RSA */
    enum digest digest;
    bool pss;
    bool signs;
};

static const struct jws_alg ALGS[] = {
    /* name, kty, crv, digest, PSS, do we sign with it */
    {"ES256", "EC", "P-256", DIGEST_256, false, true},
    {"ES384", "EC", "P-384", DIGEST_384, false, true},
    {"ES512", "EC", "P-521", DIGEST_512, false, false},
    {"RS256", "RSA", NULL, DIGEST_256, false, false},
    {"RS384", "RSA", NULL, DIGEST_384, false, false},
    {"RS512", "RSA", NULL, DIGEST_512, false, false},
    {"PS256", "RSA", NULL, DIGEST_256, true, false},
    {"PS384", "RSA", NULL, DIGEST_384, true, false},
    {"PS512", "RSA", NULL, DIGEST_512, true, false},
    {"EdDSA", "OKP", "Ed25519", DIGEST_NONE, false, true},
};

const struct jws_alg *jws_alg_named(const char *name)
{
    for (size_t i = 0; name && i < sizeof ALGS / sizeof ALGS[0]; i++)
        if (strcmp(ALGS[i].name, name) == 0) return &ALGS[i];
    return NULL;
}

const char *jws_alg_name(const struct jws_alg *alg) { return alg->name; }
bool jws_alg_signs(const struct jws_alg *alg) { return alg->signs; }

bool jws_alg_fits(const struct jws_alg *alg, const EVP_PKEY *key)
{
    return key_kind_of(key) && key_kind_of(key) == key_kind_named(alg->kty, alg->crv);
}

static err_t digest_of(const struct jws_alg *alg, const EVP_MD **ret)
{
    const struct ossl_algorithms *a = NULL;
    TRY(ossl_algorithms(&a));
    const EVP_MD *const md[] = {NULL, a->sha256, a->sha384, a->sha512};
    *ret = md[alg->digest];
    return ERR_OK;
}

/* ---- raw R || S and DER (RFC 7518 3.4 against X9.62) ---------------------------------------- */

/* *ret is OPENSSL_malloc'ed; -1 when raw has not exactly two coordinates. */
static int raw_to_der(struct span raw, size_t bytes, uint8_t **ret)
{
    if (raw.len != 2 * bytes) return -1;
    _cleanup_(ECDSA_SIG_freep) ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw.data, (int) bytes, NULL);
    BIGNUM *s = BN_bin2bn(raw.data + bytes, (int) bytes, NULL);
    if (!sig || !r || !s || ECDSA_SIG_set0(sig, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        return -1;
    }
    return i2d_ECDSA_SIG(sig, ret);
}

static err_t add_der_as_raw(struct span der, size_t bytes, struct buf *ret)
{
    const uint8_t *p = der.data;
    _cleanup_(ECDSA_SIG_freep) ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long) der.len);
    uint8_t raw[2 * KEY_MAX_COORDINATE];
    if (!sig || BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, (int) bytes) < 0 ||
        BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + bytes, (int) bytes) < 0)
        FAIL_OSSL(ERR_INTERNAL, "OpenSSL gave a signature that does not fit its curve");
    buf_add(ret, raw, 2 * bytes);
    return buf_ok(ret);
}

/* ---- verify and sign -------------------------------------------------------------------------- */

static bool set_padding(const struct jws_alg *alg, EVP_PKEY_CTX *ctx)
{
    if (!alg->pss) return true; /* PKCS#1 v1.5 is OpenSSL's default for RSA keys */
    /* RFC 7518 3.5: the salt is as long as the digest; MGF1 follows the digest by default. */
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static bool verify(const struct jws_alg *alg, EVP_PKEY *key, struct span text, struct span signature)
{
    const EVP_MD *md = NULL;
    EVP_PKEY_CTX *pctx = NULL; /* belongs to ctx */
    _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    return err_ok(digest_of(alg, &md)) && ctx &&
           EVP_DigestVerifyInit(ctx, &pctx, md, NULL, key) == 1 && set_padding(alg, pctx) &&
           EVP_DigestVerify(ctx, signature.data, signature.len, text.data, text.len) == 1;
}

bool jws_alg_verify(const struct jws_alg *alg, EVP_PKEY *key, struct span text, struct span signature)
{
    const struct key_kind *kind = key_kind_named(alg->kty, alg->crv);
    uint8_t *der = NULL;
    bool good = false;
    if (kind && strcmp(alg->kty, "EC") == 0) {
        int len = raw_to_der(signature, kind->bytes, &der);
        good = len > 0 && verify(alg, key, text, span_of(der, (size_t) len));
        OPENSSL_free(der);
    } else {
        good = signature.len > 0 && verify(alg, key, text, signature);
    }
    ossl_drain();
    return good;
}

struct err jws_alg_prepare(const struct jws_alg *alg, EVP_PKEY *key, EVP_MD_CTX **ret)
{
    const EVP_MD *md = NULL;
    TRY(digest_of(alg, &md));
    _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_DigestSignInit(ctx, NULL, md, NULL, key) != 1)
        FAIL_OSSL(ERR_INTERNAL, "cannot sign with %s", alg->name);
    *ret = TAKE_PTR(ctx);
    return ERR_OK;
}

struct err jws_alg_sign(const struct jws_alg *alg, const EVP_MD_CTX *prepared, struct span text,
                        struct buf *ret)
{
    const struct key_kind *kind = key_kind_named(alg->kty, alg->crv);
    _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t signature[MAX_SIGNATURE];
    size_t len = sizeof signature;
    if (!kind || !ctx || EVP_MD_CTX_copy_ex(ctx, prepared) != 1 ||
        EVP_DigestSign(ctx, signature, &len, text.data, text.len) != 1)
        FAIL_OSSL(ERR_INTERNAL, "cannot sign with %s", alg->name);
    if (strcmp(alg->kty, "EC") == 0)
        return add_der_as_raw(span_of(signature, len), kind->bytes, ret);
    buf_add(ret, signature, len);
    return buf_ok(ret);
}

#include "pkcs11/public_key.h"

#include "pkcs11/find.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <string.h>

#define NUMBER_MAX (JOSE_MAX_RSA_BITS / 8 + 1) /* some tokens put a zero in front */
#define POINT 65u                               /* 04 X Y */
#define DER_OCTET_STRING 0x04

static const uint8_t P256_PARAMS[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};

DEFINE_CLEANUP(BIGNUM, BN_free);
DEFINE_CLEANUP(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free);
DEFINE_CLEANUP(OSSL_PARAM, OSSL_PARAM_free);
DEFINE_CLEANUP(EVP_PKEY_CTX, EVP_PKEY_CTX_free);
DEFINE_CLEANUP(BIO, BIO_free);

struct span public_key_p256_params(void)
{
    return span_of(P256_PARAMS, sizeof P256_PARAMS);
}

/* Bytes of an attribute; *ret_len 0 when the object does not show it. */
static err_t show(struct p11_session *s, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                  uint8_t *out, size_t cap, size_t *ret_len)
{
    CK_RV rv = attribute_read(s, object, type, out, cap, ret_len);
    if (rv == CKR_OK) return ERR_OK;
    *ret_len = 0;
    if (rv == CKR_BUFFER_TOO_SMALL || rv_reaction(rv) == RV_ITEM) return ERR_OK;
    FAIL_RV(rv, "C_GetAttributeValue", "the token does not show a public key");
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *bld)
{
    _cleanup_(OSSL_PARAM_freep) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;
    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    ERR_clear_error();
    return key;
}

err_t public_key_rsa(struct p11_session *s, CK_OBJECT_HANDLE object, EVP_PKEY **ret)
{
    uint8_t n[NUMBER_MAX], e[NUMBER_MAX];
    size_t n_len = 0, e_len = 0;
    TRY(show(s, object, CKA_MODULUS, n, sizeof n, &n_len));
    TRY(show(s, object, CKA_PUBLIC_EXPONENT, e, sizeof e, &e_len));
    _cleanup_(BN_freep) BIGNUM *modulus = BN_bin2bn(n, (int) n_len, NULL);
    _cleanup_(BN_freep) BIGNUM *exponent = BN_bin2bn(e, (int) e_len, NULL);
    _cleanup_(OSSL_PARAM_BLD_freep) OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    if (!modulus || !exponent || !bld) FAIL(ERR_INTERNAL, "out of memory");
    unsigned bits = (unsigned) BN_num_bits(modulus);
    bool fits = bits >= JOSE_MIN_RSA_BITS && bits <= JOSE_MAX_RSA_BITS && BN_is_odd(modulus) &&
                BN_is_odd(exponent) && BN_num_bits(exponent) > 1;
    if (!fits || !OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, modulus) ||
        !OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, exponent))
        return ERR_OK;
    *ret = from_params("RSA", bld);
    return ERR_OK;
}

err_t public_key_p256(struct p11_session *s, CK_OBJECT_HANDLE object, EVP_PKEY **ret)
{
    uint8_t params[sizeof P256_PARAMS], der[POINT + 2];
    size_t params_len = 0, len = 0;
    TRY(show(s, object, CKA_EC_PARAMS, params, sizeof params, &params_len));
    TRY(show(s, object, CKA_EC_POINT, der, sizeof der, &len));
    if (!span_eq(span_of(params, params_len), public_key_p256_params())) return ERR_OK;
    const uint8_t *point = der;
    if (len == POINT + 2 && der[0] == DER_OCTET_STRING && der[1] == POINT) point += 2, len -= 2;
    _cleanup_(OSSL_PARAM_BLD_freep) OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    if (!bld) FAIL(ERR_INTERNAL, "out of memory");
    if (len != POINT ||
        !OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) ||
        !OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, len))
        return ERR_OK;
    *ret = from_params("EC", bld); /* checks that the point is on the curve */
    return ERR_OK;
}

err_t public_key_pem(EVP_PKEY *key, struct buf *ret)
{
    _cleanup_(BIO_freep) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    bool written = bio && PEM_write_bio_PUBKEY(bio, key) == 1;
    ERR_clear_error();
    long len = written ? BIO_get_mem_data(bio, &text) : 0;
    if (len <= 0) FAIL(ERR_INTERNAL, "cannot write a public key as PEM");
    buf_add(ret, text, (size_t) len);
    return buf_ok(ret);
}

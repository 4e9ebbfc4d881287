#include "broker/jose/key_kind.h"

#include "broker/base/limits.h"
#include "broker/jose/b64url.h"
#include "broker/jose/curve.h"
#include "broker/jose/jwk.h"
#include "broker/jose/ossl.h"

#include <openssl/core_names.h>
#include <openssl/objects.h>
#include <string.h>

#define ED25519_BYTES 32
#define RSA_MAX_E 8 /* bytes; a long exponent makes each use of the key slow */

static err_t member_bytes(struct json object, const char *name, struct buf *ret)
{
    const char *text = NULL;
    TRY(json_need_string(object, name, "a JWK", &text));
    TRYC(b64url_decode(span_str(text), ret), "JWK member %s", name);
    return ERR_OK;
}

static void member_b64url(struct json_out *o, const char *name, struct span value)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    b64url_add(&text, value);
    if (!err_ok(buf_ok(&text))) o->buf->failed = true;
    json_member_span(o, name, buf_span(&text));
}

/* Takes nothing: the caller frees params. */
static err_t key_from_params(const char *type, OSSL_PARAM *params, EVP_PKEY **ret)
{
    _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (!ctx || !params || EVP_PKEY_fromdata_init(ctx) != 1) FAIL_OSSL(ERR_INTERNAL, "no %s key", type);
    _cleanup_pkey_ EVP_PKEY *key = NULL;
    if (EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        FAIL_OSSL(ERR_USAGE, "the JWK's values are no valid %s public key", type);
    *ret = TAKE_PTR(key);
    return ERR_OK;
}

/* ---- EC (RFC 7518 6.2.1) ------------------------------------------------------------------- */

struct err key_point(const struct key_kind *kind, struct json object, struct buf *ret)
{
    buf_add_byte(ret, 4); /* uncompressed, SEC 1 2.3.3 */
    TRY(member_bytes(object, "x", ret));
    size_t x_end = ret->len;
    TRY(member_bytes(object, "y", ret));
    if (x_end != 1 + kind->bytes || ret->len != 1 + 2 * kind->bytes)
        FAIL(ERR_USAGE, "JWK members x and y must each have %zu bytes on curve %s (RFC 7518 6.2.1.2)",
             kind->bytes, kind->crv);
    return buf_ok(ret);
}

static err_t ec_read(const struct key_kind *kind, struct json object, EVP_PKEY **ret)
{
    _cleanup_buf_ struct buf point = BUF_INIT;
    TRY(key_point(kind, object, &point));
    return curve_key(kind, buf_span(&point), ret);
}

static err_t ec_put(const struct key_kind *kind, const EVP_PKEY *key, struct json_out *o)
{
    static const char *const PARAM[] = {OSSL_PKEY_PARAM_EC_PUB_X, OSSL_PKEY_PARAM_EC_PUB_Y};
    uint8_t value[2][KEY_MAX_COORDINATE] = {0};
    /* By coordinate, since a key from PEM may hold its point compressed. */
    for (int i = 0; i < 2; i++) {
        _cleanup_(BN_freep) BIGNUM *v = NULL;
        if (EVP_PKEY_get_bn_param(key, PARAM[i], &v) != 1 ||
            BN_bn2binpad(v, value[i], (int) kind->bytes) < 0)
            FAIL_OSSL(ERR_INTERNAL, "no coordinates of the %s key", kind->crv);
    }
    json_member_str(o, "crv", kind->crv);
    json_member_str(o, "kty", kind->kty);
    member_b64url(o, "x", span_of(value[0], kind->bytes));
    member_b64url(o, "y", span_of(value[1], kind->bytes));
    return ERR_OK;
}

/* ---- RSA (RFC 7518 6.3.1) ------------------------------------------------------------------ */

static err_t rsa_check(struct span n, struct span e)
{
    /* A leading zero octet would give one key several texts, and several digests (6.3.1.1). */
    if (n.len == 0 || n.data[0] == 0 || e.len == 0 || e.data[0] == 0)
        FAIL(ERR_USAGE, "JWK members n and e must not begin with a zero octet (RFC 7518 6.3.1)");
    size_t bits = n.len * 8;
    for (uint8_t top = n.data[0]; !(top & 0x80); top = (uint8_t) (top << 1)) bits--;
    if (bits < JOSE_MIN_RSA_BITS || bits > JOSE_MAX_RSA_BITS)
        FAIL(ERR_USAGE, "an RSA key of %zu bits is outside %u to %u", bits, JOSE_MIN_RSA_BITS,
             JOSE_MAX_RSA_BITS);
    bool one = e.len == 1 && e.data[0] == 1;
    if (one || e.len > RSA_MAX_E || !(e.data[e.len - 1] & 1) || !(n.data[n.len - 1] & 1))
        FAIL(ERR_USAGE, "an RSA modulus must be odd, its exponent odd, over 1 and at most %d bytes",
             RSA_MAX_E);
    return ERR_OK;
}

static err_t rsa_read(const struct key_kind *kind, struct json object, EVP_PKEY **ret)
{
    _cleanup_buf_ struct buf n = BUF_INIT;
    _cleanup_buf_ struct buf e = BUF_INIT;
    TRY(member_bytes(object, "n", &n));
    TRY(member_bytes(object, "e", &e));
    TRY(rsa_check(buf_span(&n), buf_span(&e)));
    _cleanup_(BN_freep) BIGNUM *bn_n = BN_bin2bn(n.data, (int) n.len, NULL);
    _cleanup_(BN_freep) BIGNUM *bn_e = BN_bin2bn(e.data, (int) e.len, NULL);
    _cleanup_(OSSL_PARAM_BLD_freep) OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    if (!bn_n || !bn_e || !build || OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn_n) != 1 ||
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, bn_e) != 1)
        FAIL_OSSL(ERR_INTERNAL, "out of memory");
    _cleanup_(OSSL_PARAM_freep) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    return key_from_params(kind->group, params, ret);
}

static err_t rsa_put_number(const EVP_PKEY *key, const char *param, const char *name,
                            struct json_out *o)
{
    _cleanup_(BN_freep) BIGNUM *v = NULL;
    uint8_t bytes[JOSE_MAX_RSA_BITS / 8];
    if (EVP_PKEY_get_bn_param(key, param, &v) != 1 || BN_num_bytes(v) > (int) sizeof bytes)
        FAIL_OSSL(ERR_INTERNAL, "no member %s of the RSA key", name);
    member_b64url(o, name, span_of(bytes, (size_t) BN_bn2bin(v, bytes)));
    return ERR_OK;
}

static err_t rsa_put(const struct key_kind *kind, const EVP_PKEY *key, struct json_out *o)
{
    TRY(rsa_put_number(key, OSSL_PKEY_PARAM_RSA_E, "e", o));
    json_member_str(o, "kty", kind->kty);
    return rsa_put_number(key, OSSL_PKEY_PARAM_RSA_N, "n", o);
}

/* ---- OKP (RFC 8037 2) ---------------------------------------------------------------------- */

static err_t okp_read(const struct key_kind *kind, struct json object, EVP_PKEY **ret)
{
    _cleanup_buf_ struct buf x = BUF_INIT;
    TRY(member_bytes(object, "x", &x));
    if (x.len != kind->bytes) FAIL(ERR_USAGE, "JWK member x must have %zu bytes", kind->bytes);
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key_ex(NULL, kind->group, NULL, x.data, x.len);
    if (!key) FAIL_OSSL(ERR_INTERNAL, "no %s key", kind->crv);
    *ret = key;
    return ERR_OK;
}

static err_t okp_put(const struct key_kind *kind, const EVP_PKEY *key, struct json_out *o)
{
    uint8_t x[ED25519_BYTES];
    size_t len = sizeof x;
    if (EVP_PKEY_get_raw_public_key(key, x, &len) != 1 || len != kind->bytes)
        FAIL_OSSL(ERR_INTERNAL, "no raw %s key", kind->crv);
    json_member_str(o, "crv", kind->crv);
    json_member_str(o, "kty", kind->kty);
    member_b64url(o, "x", span_of(x, len));
    return ERR_OK;
}

/* ---- the table ----------------------------------------------------------------------------- */

static const struct key_kind KINDS[] = {
    {"EC", "P-256", SN_X9_62_prime256v1, 32, ec_read, ec_put},
    {"EC", "P-384", SN_secp384r1, 48, ec_read, ec_put},
    {"EC", "P-521", SN_secp521r1, 66, ec_read, ec_put},
    {"RSA", NULL, "RSA", 0, rsa_read, rsa_put},
    {"OKP", "Ed25519", "ED25519", ED25519_BYTES, okp_read, okp_put},
};
#define KIND_COUNT (sizeof KINDS / sizeof KINDS[0])

const struct key_kind *key_kind_named(const char *kty, const char *crv)
{
    for (size_t i = 0; kty && i < KIND_COUNT; i++) {
        const struct key_kind *k = &KINDS[i];
        if (strcmp(k->kty, kty) != 0) continue;
        if (!k->crv || (crv && strcmp(k->crv, crv) == 0)) return k;
    }
    return NULL;
}

const struct key_kind *key_kind_of(const EVP_PKEY *key)
{
    char group[32] = {0};
    bool ec = EVP_PKEY_is_a(key, "EC");
    if (ec && EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1) {
        ossl_drain(); /* a curve without a name */
        return NULL;
    }
    unsigned bits = (unsigned) EVP_PKEY_get_bits(key);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        const struct key_kind *k = &KINDS[i];
        if (ec ? strcmp(k->group, group) != 0 : !EVP_PKEY_is_a(key, k->group)) continue;
        if (!k->crv && (bits < JOSE_MIN_RSA_BITS || bits > JOSE_MAX_RSA_BITS)) return NULL;
        return k;
    }
    return NULL;
}

struct err key_from_members(struct json object, const struct key_kind **ret_kind, EVP_PKEY **ret)
{
    const char *kty = NULL;
    TRY(json_need_string(object, "kty", "a JWK", &kty));
    const char *crv = json_string(json_get(object, "crv"));
    const struct key_kind *kind = key_kind_named(kty, crv);
    if (!kind)
        FAIL(ERR_USAGE, "a JWK of kty %s, crv %s is not supported; use EC P-256, P-384 or P-521, "
                        "RSA, or OKP Ed25519", kty, crv ? crv : "(none)");
    TRY(kind->read(kind, object, ret));
    *ret_kind = kind;
    return ERR_OK;
}

struct err key_put_members(const EVP_PKEY *key, struct json_out *o)
{
    const struct key_kind *kind = key_kind_of(key);
    if (!kind) FAIL(ERR_USAGE, "this key is of no kind that a JWK here can hold");
    return kind->put(kind, key, o);
}

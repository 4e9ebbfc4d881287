/* ECDH-ES+A256KW (RFC 7518 4.6): an ephemeral key, the shared secret Z, the Concat KDF, and AES key
 * wrap. The hot path of a release: see README.md for what it costs. */
#include "broker/jose/b64url.h"
#include "broker/jose/curve.h"
#include "broker/jose/jwe_alg.h"
#include "broker/jose/ossl.h"

#include <openssl/core_names.h>
#include <string.h>

#define KEK 32 /* bytes: A256KW */
#define NAME "ECDH-ES+A256KW"

/* ---- building blocks ---------------------------------------------------------------------------- */

static void put_u32(uint8_t out[4], size_t v)
{
    for (int i = 0; i < 4; i++) out[i] = (uint8_t) (v >> (24 - 8 * i));
}

static bool update_with_length(EVP_MD_CTX *ctx, struct span s)
{
    uint8_t len[4];
    put_u32(len, s.len);
    return EVP_DigestUpdate(ctx, len, 4) == 1 &&
           (s.len == 0 || EVP_DigestUpdate(ctx, s.data, s.len) == 1);
}

struct err jwe_concat_kdf(struct span z, const char *algorithm, struct span party_u,
                          struct span party_v, uint8_t *out, size_t out_len)
{
    static const uint8_t ROUND[4] = {0, 0, 0, 1};
    uint8_t digest[32] = {0}, bits[4];
    const struct ossl_algorithms *a = NULL;
    ENSURE(out_len <= sizeof digest);
    TRY(ossl_algorithms(&a));
    put_u32(bits, out_len * 8); /* SuppPubInfo */
    _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx && EVP_DigestInit_ex2(ctx, a->sha256, NULL) == 1 &&
                EVP_DigestUpdate(ctx, ROUND, 4) == 1 && EVP_DigestUpdate(ctx, z.data, z.len) == 1 &&
                update_with_length(ctx, span_str(algorithm)) && update_with_length(ctx, party_u) &&
                update_with_length(ctx, party_v) && EVP_DigestUpdate(ctx, bits, 4) == 1 &&
                EVP_DigestFinal_ex(ctx, digest, NULL) == 1;
    if (good) memcpy(out, digest, out_len);
    explicit_bzero(digest, sizeof digest);
    if (!good) FAIL_OSSL(ERR_INTERNAL, "SHA-256 failed");
    return ERR_OK;
}

struct err jwe_aes_wrap(const uint8_t kek[KEK], const uint8_t cek[JWE_CEK],
                        uint8_t wrapped[JWE_WRAPPED])
{
    const struct ossl_algorithms *a = NULL;
    TRY(ossl_algorithms(&a));
    int len = 0;
    _cleanup_(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!ctx || EVP_EncryptInit_ex2(ctx, a->aes256_wrap, kek, NULL, NULL) != 1 ||
        EVP_EncryptUpdate(ctx, wrapped, &len, cek, JWE_CEK) != 1 || len != JWE_WRAPPED)
        FAIL_OSSL(ERR_INTERNAL, "AES key wrap failed");
    return ERR_OK;
}

bool jwe_aes_unwrap(const uint8_t kek[KEK], struct span wrapped, uint8_t cek[JWE_CEK])
{
    const struct ossl_algorithms *a = NULL;
    if (!err_ok(ossl_algorithms(&a)) || wrapped.len != JWE_WRAPPED) return false;
    uint8_t out[JWE_WRAPPED] = {0}; /* OpenSSL writes before it has checked */
    int len = 0;
    _cleanup_(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool good = ctx && EVP_DecryptInit_ex2(ctx, a->aes256_wrap, kek, NULL, NULL) == 1 &&
                EVP_DecryptUpdate(ctx, out, &len, wrapped.data, JWE_WRAPPED) == 1 && len == JWE_CEK;
    if (good) memcpy(cek, out, JWE_CEK);
    explicit_bzero(out, sizeof out);
    return good;
}

/* Z and the key-encryption key made of it (RFC 7518 4.6.2); both are wiped with *ret_kek. The
 * peer's point was checked when it became a key (curve.c), so OpenSSL need not do it again: that would
 * double the cost. Z has the full length of a coordinate, leading zeros kept. */
static err_t agree(EVP_PKEY *own, EVP_PKEY *peer, struct secret **ret_kek)
{
    _cleanup_secret_ struct secret *block = NULL;
    TRY(secret_new(KEK + KEY_MAX_COORDINATE, &block));
    uint8_t *kek = secret_data(block), *z = kek + KEK;
    size_t z_len = KEY_MAX_COORDINATE;
    _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
    if (!ctx || EVP_PKEY_derive_init(ctx) != 1 || EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) != 1 ||
        EVP_PKEY_derive(ctx, z, &z_len) != 1)
        FAIL_OSSL(ERR_INTERNAL, "ECDH failed");
    TRY(jwe_concat_kdf(span_of(z, z_len), NAME, (struct span){0}, (struct span){0}, kek, KEK));
    secret_shrink(block, KEK);
    *ret_kek = TAKE_PTR(block);
    return ERR_OK;
}

/* ---- wrap and unwrap ------------------------------------------------------------------------------- */

/* Members in this order and nothing between them: clients authenticate a header that they write
 * anew from what they read (kbs-api.md 5.2). */
static err_t add_header(const struct key_kind *kind, const EVP_PKEY *ephemeral, struct buf *header)
{
    uint8_t point[KEY_MAX_POINT];
    size_t len = 0;
    if (EVP_PKEY_get_octet_string_param(ephemeral, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point,
                                        &len) != 1 ||
        len != 1 + 2 * kind->bytes || point[0] != 4)
        FAIL_OSSL(ERR_INTERNAL, "no uncompressed point of an ephemeral %s key", kind->crv);
    buf_add_str(header, "{\"alg\":\"" NAME "\",\"enc\":\"A256GCM\",\"epk\":{\"crv\":\"");
    buf_add_str(header, kind->crv);
    buf_add_str(header, "\",\"kty\":\"EC\",\"x\":\"");
    b64url_add(header, span_of(point + 1, kind->bytes));
    buf_add_str(header, "\",\"y\":\"");
    b64url_add(header, span_of(point + 1 + kind->bytes, kind->bytes));
    buf_add_str(header, "\"}}");
    return buf_ok(header);
}

struct err jwe_ecdh_wrap(const struct jwe_alg *a, EVP_PKEY *to, const uint8_t cek[JWE_CEK],
                         EVP_PKEY *ephemeral, struct buf *ret_header, struct buf *ret_wrapped)
{
    const struct key_kind *kind = key_kind_named(a->kty, a->crv);
    _cleanup_pkey_ EVP_PKEY *fresh = NULL;
    if (!ephemeral) {
        TRY(curve_generate(kind, &fresh));
        ephemeral = fresh;
    }
    TRY(add_header(kind, ephemeral, ret_header));
    _cleanup_secret_ struct secret *kek = NULL;
    TRY(agree(ephemeral, to, &kek));
    uint8_t *out = buf_extend(ret_wrapped, JWE_WRAPPED);
    if (!out) return buf_ok(ret_wrapped);
    return jwe_aes_wrap(secret_data(kek), cek, out);
}

bool jwe_ecdh_unwrap(const struct jwe_alg *a, EVP_PKEY *key, struct json header,
                     struct span wrapped, uint8_t cek[JWE_CEK])
{
    const struct key_kind *kind = NULL;
    _cleanup_pkey_ EVP_PKEY *epk = NULL;
    _cleanup_secret_ struct secret *kek = NULL;
    /* key_from_members checks the point: an invalid one would tell bits of our key. */
    return err_ok(key_from_members(json_get(header, "epk"), &kind, &epk)) &&
           kind == key_kind_named(a->kty, a->crv) && err_ok(agree(key, epk, &kek)) &&
           jwe_aes_unwrap(secret_data(kek), wrapped, cek);
}

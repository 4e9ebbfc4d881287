/* OpenSSL marks its padding functions old, and has no others: EVP decodes OAEP only together with
 * a private key, and ours is in the token. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "pkcs11/oaep.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#define SHA1_BYTES 20u
#define SHA256_BYTES 32u

DEFINE_CLEANUP(EVP_PKEY_CTX, EVP_PKEY_CTX_free);
DEFINE_CLEANUP(BIGNUM, BN_free);

static const EVP_MD *md_of(enum oaep_hash hash)
{
    return hash == OAEP_SHA1 ? EVP_sha1() : EVP_sha256();
}

size_t oaep_room(size_t modulus_bytes, enum oaep_hash hash)
{
    size_t taken = 2 * (hash == OAEP_SHA1 ? SHA1_BYTES : SHA256_BYTES) + 2;
    return modulus_bytes > taken ? modulus_bytes - taken : 0;
}

size_t oaep_block(const EVP_PKEY *key)
{
    return (size_t) EVP_PKEY_get_size(key);
}

/* RSA alone on a block that is padded already. */
static err_t rsa_public(EVP_PKEY *key, struct span block, struct buf *ret)
{
    _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    size_t len = block.len;
    uint8_t *out = buf_extend(ret, len);
    if (!ctx || !out) FAIL(ERR_INTERNAL, "out of memory");
    if (EVP_PKEY_encrypt_init(ctx) == 1 &&
        EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1 &&
        EVP_PKEY_encrypt(ctx, out, &len, block.data, block.len) == 1 && len == block.len)
        return ERR_OK;
    ERR_clear_error();
    FAIL(ERR_INTERNAL, "OpenSSL does not encrypt with this RSA key");
}

err_t oaep_encrypt(EVP_PKEY *key, enum oaep_hash hash, struct span plain, struct buf *ret)
{
    const EVP_MD *md = md_of(hash);
    size_t k = oaep_block(key), before = ret->len;
    uint8_t none = 0;
    _cleanup_secret_ struct secret *block = NULL;
    if (plain.len > oaep_room(k, hash))
        FAIL(ERR_TOOLARGE, "%zu bytes fit into one block of this key, not %zu: wrap a key, and "
             "encrypt the rest with it", oaep_room(k, hash), plain.len);
    TRY(secret_new(k, &block));
    if (RSA_padding_add_PKCS1_OAEP_mgf1(secret_data(block), (int) k, plain.len ? plain.data : &none,
                                        (int) plain.len, NULL, 0, md, md) != 1) {
        ERR_clear_error();
        FAIL(ERR_INTERNAL, "OpenSSL does not pad a block");
    }
    struct err e = rsa_public(key, secret_span(block), ret);
    if (!err_ok(e)) ret->len = before;
    return e;
}

bool oaep_in_range(EVP_PKEY *key, struct span wrapped)
{
    BIGNUM *n = NULL;
    if (wrapped.len != oaep_block(key) || !EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n))
        return false;
    _cleanup_(BN_freep) BIGNUM *modulus = n;
    _cleanup_(BN_freep) BIGNUM *c = BN_bin2bn(wrapped.data, (int) wrapped.len, NULL);
    return c && BN_cmp(c, modulus) < 0;
}

err_t oaep_decode(struct span block, enum oaep_hash hash, struct secret **ret)
{
    const EVP_MD *md = md_of(hash);
    _cleanup_secret_ struct secret *out = NULL;
    TRY(secret_new(block.len, &out));
    int len = RSA_padding_check_PKCS1_OAEP_mgf1(secret_data(out), (int) block.len, block.data,
                                                (int) block.len, (int) block.len, NULL, 0, md, md);
    ERR_clear_error(); /* whatever came of it: no trace of the cause */
    if (len < 0) FAIL(ERR_CRYPTO, "this was not wrapped for this key");
    secret_shrink(out, (size_t) len);
    *ret = TAKE_PTR(out);
    return ERR_OK;
}

/* RSA-OAEP-256 and RSA1_5 (RFC 7518 4.3 and 4.2). */
#include "broker/jose/jwe_alg.h"
#include "broker/jose/ossl.h"

#include <openssl/rsa.h>
#include <string.h>

static bool set_padding(const struct jwe_alg *a, EVP_PKEY_CTX *ctx)
{
    if (EVP_PKEY_CTX_set_rsa_padding(ctx, a->padding) != 1) return false;
    if (a->padding != RSA_PKCS1_OAEP_PADDING) return true;
    /* OpenSSL's default is SHA-1 (RSA-OAEP without -256); MGF1 follows what is set here. */
    return EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, "SHA2-256", NULL) == 1;
}

struct err jwe_rsa_wrap(const struct jwe_alg *a, EVP_PKEY *to, const uint8_t cek[JWE_CEK],
                        EVP_PKEY *ephemeral, struct buf *ret_header, struct buf *ret_wrapped)
{
    buf_add_str(ret_header, "{\"alg\":\"");
    buf_add_str(ret_header, a->alg);
    buf_add_str(ret_header, "\",\"enc\":\"A256GCM\"}");
    size_t len = (size_t) EVP_PKEY_get_size(to);
    uint8_t *out = buf_extend(ret_wrapped, len);
    if (!out) return buf_ok(ret_wrapped);
    _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, to, NULL);
    if (!ctx || EVP_PKEY_encrypt_init(ctx) != 1 || !set_padding(a, ctx) ||
        EVP_PKEY_encrypt(ctx, out, &len, cek, JWE_CEK) != 1)
        FAIL_OSSL(ERR_INTERNAL, "cannot encrypt a content key with %s", a->alg);
    return buf_ok(ret_header);
}

bool jwe_rsa_unwrap(const struct jwe_alg *a, EVP_PKEY *key, struct json header,
                    struct span wrapped, uint8_t cek[JWE_CEK])
{
    size_t len = (size_t) EVP_PKEY_get_size(key);
    _cleanup_secret_ struct secret *out = NULL;
    if (wrapped.len != len || !err_ok(secret_new(len, &out))) return false;
    _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    bool good = ctx && EVP_PKEY_decrypt_init(ctx) == 1 && set_padding(a, ctx) &&
                EVP_PKEY_decrypt(ctx, secret_data(out), &len, wrapped.data, wrapped.len) == 1 &&
                len == JWE_CEK;
    if (good) memcpy(cek, secret_data(out), JWE_CEK);
    return good;
}

#include "pkcs11/host_gcm.h"

#include "broker/base/cleanup.h"
#include "broker/base/limits.h"

#include <openssl/evp.h>
#include <string.h>

#define KEY_BYTES 32u
#define IV_BYTES 12u
#define TAG_BYTES 16

_Static_assert(VALUE_MAX < INT32_MAX, "OpenSSL counts in int");

static void ctx_free(EVP_CIPHER_CTX *ctx)
{
    EVP_CIPHER_CTX_free(ctx);
}
DEFINE_CLEANUP(EVP_CIPHER_CTX, ctx_free);

/* A context with key, IV and header taken in; NULL when something fails. Freeing it wipes the key. */
static EVP_CIPHER_CTX *begin(const struct host_gcm *g, int encrypt)
{
    _cleanup_(ctx_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0;
    if (!ctx || g->key.len != KEY_BYTES || g->iv.len != IV_BYTES) return NULL;
    if (EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, g->key.data, g->iv.data, encrypt) != 1)
        return NULL;
    if (g->aad.len && EVP_CipherUpdate(ctx, NULL, &n, g->aad.data, (int) g->aad.len) != 1)
        return NULL;
    return TAKE_PTR(ctx);
}

bool host_gcm_seal(const struct host_gcm *g, struct span plain, uint8_t *out, uint8_t *tag)
{
    _cleanup_(ctx_freep) EVP_CIPHER_CTX *ctx = begin(g, 1);
    int n = 0;
    if (!ctx) return false;
    if (plain.len && EVP_CipherUpdate(ctx, out, &n, plain.data, (int) plain.len) != 1) return false;
    return EVP_CipherFinal_ex(ctx, out + n, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag) == 1;
}

bool host_gcm_open(const struct host_gcm *g, struct span ciphertext, struct span tag, uint8_t *out)
{
    _cleanup_(ctx_freep) EVP_CIPHER_CTX *ctx = begin(g, 0);
    int n = 0;
    if (!ctx || tag.len != TAG_BYTES) return false;
    bool opens =
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, (void *) tag.data) == 1 &&
        (!ciphertext.len ||
         EVP_CipherUpdate(ctx, out, &n, ciphertext.data, (int) ciphertext.len) == 1) &&
        EVP_CipherFinal_ex(ctx, out + n, &n) == 1;
    if (!opens) explicit_bzero(out, ciphertext.len);
    return opens;
}

/* Closing a value to a guest (RFC 7516 5.1). Opening is in jwe_open.c. */
#include "broker/jose/jwe.h"

#include "broker/base/limits.h"
#include "broker/base/rand.h"
#include "broker/jose/b64url.h"
#include "broker/jose/jwe_key.h"
#include "broker/jose/ossl.h"

#include <string.h>

#define FRAMING 112 /* bytes of names, punctuation, IV and tag in the JSON text, rounded up */

/* The members of the flattened serialisation (RFC 7516 7.2.2); nothing of it is secret. */
struct sealed {
    struct buf protected; /* base64url already: it is the AAD */
    struct buf encrypted_key, ciphertext;
    uint8_t iv[JWE_IV], tag[JWE_TAG];
};

static void sealed_done(struct sealed *s)
{
    buf_free(&s->protected);
    buf_free(&s->encrypted_key);
    buf_free(&s->ciphertext);
}

static err_t gcm_encrypt(const uint8_t cek[JWE_CEK], struct span plaintext, struct sealed *s)
{
    const struct ossl_algorithms *a = NULL;
    TRY(ossl_algorithms(&a));
    uint8_t *out = buf_extend(&s->ciphertext, plaintext.len);
    if (!out) return buf_ok(&s->ciphertext);
    int len = 0;
    _cleanup_(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!ctx || EVP_EncryptInit_ex2(ctx, a->aes256_gcm, cek, s->iv, NULL) != 1 ||
        EVP_EncryptUpdate(ctx, NULL, &len, s->protected.data, (int) s->protected.len) != 1 ||
        (plaintext.len &&
         EVP_EncryptUpdate(ctx, out, &len, plaintext.data, (int) plaintext.len) != 1) ||
        EVP_EncryptFinal_ex(ctx, out, &len) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, JWE_TAG, s->tag) != 1)
        FAIL_OSSL(ERR_INTERNAL, "AES-256-GCM failed");
    return ERR_OK;
}

static void add_member(struct buf *out, const char *before, struct span value)
{
    buf_add_str(out, before);
    b64url_add(out, value);
}

static err_t add_json(const struct sealed *s, struct buf *out)
{
    /* Room at once: growing by doubling would copy a large value several times. */
    size_t room = FRAMING + s->protected.len + (s->encrypted_key.len + s->ciphertext.len) * 4 / 3;
    if (buf_extend(out, room)) out->len -= room;
    buf_add_str(out, "{\"protected\":\"");
    buf_add_span(out, buf_span(&s->protected));
    add_member(out, "\",\"encrypted_key\":\"", buf_span(&s->encrypted_key));
    add_member(out, "\",\"iv\":\"", span_of(s->iv, JWE_IV));
    add_member(out, "\",\"ciphertext\":\"", buf_span(&s->ciphertext));
    add_member(out, "\",\"tag\":\"", span_of(s->tag, JWE_TAG));
    buf_add_str(out, "\"}");
    return buf_ok(out);
}

/* s->iv is set by the caller; ephemeral NULL means a fresh one. */
static err_t seal(const struct jwe_key *to, struct span plaintext, const uint8_t cek[JWE_CEK],
                  EVP_PKEY *ephemeral, struct sealed *s, struct buf *ret)
{
    if (plaintext.len > VALUE_MAX)
        FAIL(ERR_TOOLARGE, "a value of %zu bytes is over the limit of %u", plaintext.len, VALUE_MAX);
    _cleanup_buf_ struct buf header = BUF_INIT;
    EVP_PKEY *pkey = NULL;
    TRY(jwe_key_pkey(to, &pkey));
    TRY(to->alg->wrap(to->alg, pkey, cek, ephemeral, &header, &s->encrypted_key));
    b64url_add(&s->protected, buf_span(&header));
    TRY(buf_ok(&s->protected));
    TRY(gcm_encrypt(cek, plaintext, s));
    return add_json(s, ret);
}

struct err jwe_encrypt(const struct jwe_key *to, struct span plaintext, struct buf *ret)
{
    _cleanup_secret_ struct secret *cek = NULL;
    _cleanup_(sealed_done) struct sealed s = {0};
    TRY(secret_new(JWE_CEK, &cek));
    TRY(rand_bytes(secret_data(cek), JWE_CEK));
    TRY(rand_bytes(s.iv, JWE_IV));
    return seal(to, plaintext, secret_data(cek), NULL, &s, ret);
}

#ifdef STRONGROOM_TEST
struct err jwe_encrypt_fixed(const struct jwe_key *to, struct span plaintext,
                             const struct jwe_fixed *fixed, struct buf *ret)
{
    _cleanup_(sealed_done) struct sealed s = {0};
    ENSURE(fixed->cek.len == JWE_CEK && fixed->iv.len == JWE_IV);
    memcpy(s.iv, fixed->iv.data, JWE_IV);
    return seal(to, plaintext, fixed->cek.data, fixed->ephemeral, &s, ret);
}
#endif

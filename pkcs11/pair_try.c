/* One operation with a key pair, and the proof that its halves belong together. */
#include "pkcs11/keypair_internal.h"

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <string.h>

#include "broker/base/rand.h"

DEFINE_CLEANUP(ECDSA_SIG, ECDSA_SIG_free);
DEFINE_CLEANUP(EVP_PKEY_CTX, EVP_PKEY_CTX_free);

/* ---- operations ------------------------------------------------------------------------- */

/* OAEP by the token, or bare RSA for oaep_decode. */
static CK_RV decrypt_on(struct p11_session *s, const struct pair_key *key, enum oaep_hash hash,
                        struct span block, uint8_t *out, CK_ULONG *len, const char **ret_call)
{
    CK_RSA_PKCS_OAEP_PARAMS oaep = {
        .hashAlg = hash == OAEP_SHA1 ? CKM_SHA_1 : CKM_SHA256,
        .mgf = hash == OAEP_SHA1 ? CKG_MGF1_SHA1 : CKG_MGF1_SHA256,
        .source = CKZ_DATA_SPECIFIED,
    };
    CK_MECHANISM mechanism = {CKM_RSA_PKCS_OAEP, &oaep, sizeof oaep};
    if (key->decodes) mechanism = (CK_MECHANISM){.mechanism = CKM_RSA_X_509};
    *ret_call = "C_DecryptInit";
    CK_RV rv = s->p->fn->C_DecryptInit(s->h, &mechanism, key->handle);
    if (rv != CKR_OK) return rv;
    *ret_call = "C_Decrypt";
    return s->p->fn->C_Decrypt(s->h, (CK_BYTE *) block.data, block.len, out, len);
}

err_t pair_decrypt_once(struct p11 *p, const struct pair_key *key, enum oaep_hash hash,
                        struct span block, uint8_t *out, size_t *ret_len, struct pair_answer *ret)
{
    CK_ULONG len = block.len;
    _cleanup_session_ struct p11_session s = {0};
    TRY(session_take_at(p, key->epoch, &s));
    SCOPED_CRYPTO(p);
    ret->rv = session_rv(&s, decrypt_on(&s, key, hash, block, out, &len, &ret->call));
    /* Bare RSA gives a whole block; one without its leading zeros would tell what is in it. */
    if (ret->rv == CKR_OK && (len > block.len || (key->decodes && len != block.len)))
        ret->rv = session_rv(&s, CKR_GENERAL_ERROR);
    if (ret->rv == CKR_OK) *ret_len = len;
    else explicit_bzero(out, block.len);
    return ERR_OK;
}

err_t pair_sign_once(struct p11 *p, const struct pair_key *key,
                     const uint8_t digest[P11_PAIR_DIGEST], uint8_t out[P11_PAIR_SIGNATURE],
                     struct pair_answer *ret)
{
    CK_MECHANISM mechanism = {.mechanism = CKM_ECDSA};
    CK_ULONG len = P11_PAIR_SIGNATURE;
    _cleanup_session_ struct p11_session s = {0};
    TRY(session_take_at(p, key->epoch, &s));
    SCOPED_CRYPTO(p);
    ret->call = "C_SignInit";
    ret->rv = session_rv(&s, p->fn->C_SignInit(s.h, &mechanism, key->handle));
    if (ret->rv != CKR_OK) return ERR_OK;
    ret->call = "C_Sign";
    ret->rv = session_rv(&s, p->fn->C_Sign(s.h, (CK_BYTE *) digest, P11_PAIR_DIGEST, out, &len));
    if (ret->rv == CKR_OK && len != P11_PAIR_SIGNATURE) ret->rv = session_rv(&s, CKR_GENERAL_ERROR);
    return ERR_OK;
}

/* ---- the trial -------------------------------------------------------------------------- */

/* A token that went away proves nothing about its keys. SoftHSM's GENERAL_ERROR alone does not say
 * that it did: then the canary tells, where there is one. */
static err_t down(struct p11 *p, const struct pair_answer *a)
{
    enum rv_reaction reaction = rv_reaction(a->rv);
    if (reaction == RV_CANARY && p11_has_kek(p)) TRY(p11_check(p));
    if (!rv_is_of_the_moment(a->rv)) return ERR_OK;
    FAIL_RV(a->rv, a->call, "the token stopped answering while a key pair was tried");
}

#define TRIAL_BYTES 32u
#define TRIAL_WRAPS 64 /* each is good in every second case at least */

/* *ret_fits: what comes back is what was wrapped. */
static err_t try_unwrap(struct p11 *p, const struct pair_key *key, enum oaep_hash hash,
                        struct span wrapped, struct span plain, bool *ret_fits,
                        struct pair_answer *ret)
{
    _cleanup_secret_ struct secret *block = NULL;
    _cleanup_secret_ struct secret *out = NULL;
    size_t len = 0;
    TRY(secret_new(wrapped.len, &block));
    TRY(pair_decrypt_once(p, key, hash, wrapped, secret_data(block), &len, ret));
    *ret_fits = false;
    if (ret->rv != CKR_OK) return down(p, ret);
    secret_shrink(block, len);
    if (!key->decodes) {
        *ret_fits = secret_equal(secret_span(block), plain);
        return ERR_OK;
    }
    struct err e = oaep_decode(secret_span(block), hash, &out);
    if (!err_ok(e) && e.code != ERR_CRYPTO) return e;
    *ret_fits = err_ok(e) && secret_equal(secret_span(out), plain);
    return ERR_OK;
}

/* A number below every modulus of its length: a token refuses one that is not below that of its own key, and
 * halves of two pairs would look like a token that cannot. */
static err_t wrap_trial(const struct pair_key *key, enum oaep_hash hash, struct span plain, struct buf *ret)
{
    for (int i = 0; i < TRIAL_WRAPS; i++) {
        buf_reset(ret);
        TRY(oaep_encrypt(key->public, hash, plain, ret));
        if (ret->len && !(ret->data[0] & 0x80)) break;
    }
    return ERR_OK;
}

/* The token's own OAEP first, and what it refuses is not believed at once. */
static err_t try_rsa(struct p11 *p, const char *label, enum oaep_hash hash, struct pair_key *key)
{
    uint8_t plain[TRIAL_BYTES];
    bool fits = false;
    struct pair_answer answer = {CKR_OK, ""};
    _cleanup_buf_ struct buf wrapped = BUF_INIT;
    TRY(rand_bytes(plain, sizeof plain));
    TRY(wrap_trial(key, hash, span_of(plain, sizeof plain), &wrapped));
    for (int i = 0; i < 4 && !fits; i++) {
        key->decodes = i >= 2;
        TRY(try_unwrap(p, key, hash, buf_span(&wrapped), span_of(plain, sizeof plain), &fits,
                       &answer));
    }
    if (fits) return ERR_OK;
    if (answer.rv == CKR_OK)
        FAIL(ERR_USAGE, "key pair %s does not open what its public half wrapped: either the halves "
             "do not belong together, or token %s does RSA wrongly", label, p->label);
    FAIL_P11(ERR_USAGE, answer.rv, answer.call, "token %s neither does RSA-OAEP with key pair %s nor "
             "bare RSA for us to decode", p->label, label);
}

static bool signature_fits(EVP_PKEY *public, const uint8_t digest[P11_PAIR_DIGEST],
                           const uint8_t raw[P11_PAIR_SIGNATURE])
{
    _cleanup_(ECDSA_SIG_freep) ECDSA_SIG *sig = ECDSA_SIG_new();
    _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(public, NULL);
    BIGNUM *r = BN_bin2bn(raw, P11_PAIR_SIGNATURE / 2, NULL);
    BIGNUM *s = BN_bin2bn(raw + P11_PAIR_SIGNATURE / 2, P11_PAIR_SIGNATURE / 2, NULL);
    if (!sig || !ECDSA_SIG_set0(sig, r, s)) { /* takes both or none */
        BN_free(r);
        BN_free(s);
        return false;
    }
    uint8_t *der = NULL;
    int len = i2d_ECDSA_SIG(sig, &der);
    bool fits = len > 0 && ctx && EVP_PKEY_verify_init(ctx) == 1 &&
                EVP_PKEY_verify(ctx, der, (size_t) len, digest, P11_PAIR_DIGEST) == 1;
    OPENSSL_free(der);
    ERR_clear_error();
    return fits;
}

static err_t try_ec(struct p11 *p, const char *label, struct pair_key *key)
{
    uint8_t digest[P11_PAIR_DIGEST], signature[P11_PAIR_SIGNATURE] = {0};
    struct pair_answer answer = {CKR_OK, ""};
    TRY(rand_bytes(digest, sizeof digest));
    TRY(pair_sign_once(p, key, digest, signature, &answer));
    if (answer.rv != CKR_OK) {
        TRY(down(p, &answer));
        FAIL_P11(ERR_USAGE, answer.rv, answer.call, "token %s does not sign with key pair %s",
                 p->label, label);
    }
    if (!signature_fits(key->public, digest, signature))
        FAIL(ERR_USAGE, "what key pair %s signs does not verify with its public half: either the "
             "halves do not belong together, or token %s does ECDSA wrongly", label, p->label);
    return ERR_OK;
}

err_t pair_try(struct p11 *p, const char *label, enum p11_pair_type type, enum oaep_hash hash,
               struct pair_key *key)
{
    if (type == P11_PAIR_RSA) return try_rsa(p, label, hash, key);
    struct err e = try_ec(p, label, key);
    return e.code == ERR_USAGE ? try_ec(p, label, key) : e;
}

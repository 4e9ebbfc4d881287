#include "pkcs11/cek.h"

#include "pkcs11/find.h"

#include <string.h>

static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static const CK_OBJECT_CLASS secret_key = CKO_SECRET_KEY;
static const CK_KEY_TYPE aes = CKK_AES;

CK_RV cek_generate(struct cek_op *op, CK_OBJECT_HANDLE *ret)
{
    CK_ULONG len = CEK_BYTES;
    CK_ATTRIBUTE template[] = {
        ATTR(CKA_CLASS, secret_key), ATTR(CKA_KEY_TYPE, aes), ATTR(CKA_VALUE_LEN, len),
        ATTR(CKA_TOKEN, no), ATTR(CKA_PRIVATE, yes), ATTR(CKA_SENSITIVE, yes),
        ATTR(CKA_EXTRACTABLE, yes), ATTR(CKA_ENCRYPT, yes), ATTR(CKA_DECRYPT, no),
        ATTR(CKA_WRAP, no), ATTR(CKA_UNWRAP, no), ATTR(CKA_SIGN, no), ATTR(CKA_VERIFY, no),
    };
    CK_MECHANISM mechanism = {.mechanism = CKM_AES_KEY_GEN};
    op->call = "C_GenerateKey";
    return op->fn->C_GenerateKey(op->h, &mechanism, template, ATTR_COUNT(template), ret);
}

CK_RV cek_wrap(struct cek_op *op, CK_OBJECT_HANDLE kek, CK_OBJECT_HANDLE cek,
               uint8_t out[CEK_WRAPPED_MAX], size_t *ret_len)
{
    CK_MECHANISM mechanism = {.mechanism = CKM_AES_KEY_WRAP};
    CK_ULONG len = CEK_WRAPPED_MAX;
    op->call = "C_WrapKey";
    CK_RV rv = op->fn->C_WrapKey(op->h, &mechanism, kek, cek, out, &len);
    if (rv == CKR_OK && len != CEK_WRAPPED_KW) rv = CKR_GENERAL_ERROR;
    if (rv == CKR_OK) *ret_len = len;
    return rv;
}

static CK_RV unwrap_as(struct cek_op *op, CK_OBJECT_HANDLE kek, struct span wrapped,
                       CK_BBOOL extractable, CK_BBOOL decrypt, CK_OBJECT_HANDLE *ret)
{
    CK_ATTRIBUTE template[] = {
        ATTR(CKA_CLASS, secret_key), ATTR(CKA_KEY_TYPE, aes),
        ATTR(CKA_TOKEN, no), ATTR(CKA_PRIVATE, yes), ATTR(CKA_SENSITIVE, yes),
        ATTR(CKA_EXTRACTABLE, extractable), ATTR(CKA_ENCRYPT, no), ATTR(CKA_DECRYPT, decrypt),
        ATTR(CKA_WRAP, no), ATTR(CKA_UNWRAP, no), ATTR(CKA_SIGN, no), ATTR(CKA_VERIFY, no),
    };
    CK_MECHANISM mechanism = {.mechanism = CKM_AES_KEY_WRAP};
    op->call = "C_UnwrapKey";
    return op->fn->C_UnwrapKey(op->h, &mechanism, kek, (CK_BYTE *) wrapped.data, wrapped.len,
                               template, ATTR_COUNT(template), ret);
}

CK_RV cek_unwrap(struct cek_op *op, CK_OBJECT_HANDLE kek, struct span wrapped,
                 CK_OBJECT_HANDLE *ret)
{
    return unwrap_as(op, kek, wrapped, CK_FALSE, CK_TRUE, ret);
}

CK_RV cek_unwrap_movable(struct cek_op *op, CK_OBJECT_HANDLE kek, struct span wrapped,
                         CK_OBJECT_HANDLE *ret)
{
    return unwrap_as(op, kek, wrapped, CK_TRUE, CK_FALSE, ret);
}

CK_RV cek_destroy(struct cek_op *op, CK_OBJECT_HANDLE cek)
{
    op->call = "C_DestroyObject";
    CK_RV rv = op->fn->C_DestroyObject(op->h, cek);
    if (rv != CKR_OK) op->stays = true;
    return rv;
}

/* ulIvBits is filled because NSS checks it; SoftHSM ignores it (tokens.md 2.1, 1.3). */
static CK_GCM_PARAMS gcm(const struct cek_bound *bound)
{
    return (CK_GCM_PARAMS){
        .pIv = (CK_BYTE *) bound->iv.data, .ulIvLen = bound->iv.len,
        .ulIvBits = bound->iv.len * 8,
        .pAAD = (CK_BYTE *) bound->aad.data, .ulAADLen = bound->aad.len,
        .ulTagBits = ENVELOPE_TAG * 8,
    };
}

CK_RV cek_encrypt(struct cek_op *op, CK_OBJECT_HANDLE cek, const struct cek_bound *bound,
                  struct span plain, uint8_t *out)
{
    CK_GCM_PARAMS params = gcm(bound);
    CK_MECHANISM mechanism = {CKM_AES_GCM, &params, sizeof params};
    op->call = "C_EncryptInit";
    CK_RV rv = op->fn->C_EncryptInit(op->h, &mechanism, cek);
    if (rv != CKR_OK) return rv;
    /* An input pointer must not be NULL even for no bytes: ARGUMENTS_BAD on SoftHSM. */
    uint8_t none = 0;
    CK_ULONG want = plain.len + ENVELOPE_TAG, len = want;
    op->call = "C_Encrypt";
    rv = op->fn->C_Encrypt(op->h, plain.len ? (CK_BYTE *) plain.data : &none, plain.len, out,
                           &len);
    /* Luna in FIPS mode appends an IV of its own: no suite 1 token. */
    return rv == CKR_OK && len != want ? CKR_GENERAL_ERROR : rv;
}

CK_RV cek_decrypt(struct cek_op *op, CK_OBJECT_HANDLE cek, const struct cek_bound *bound,
                  struct span in, uint8_t *out, size_t *ret_len)
{
    CK_GCM_PARAMS params = gcm(bound);
    CK_MECHANISM mechanism = {CKM_AES_GCM, &params, sizeof params};
    op->call = "C_DecryptInit";
    CK_RV rv = op->fn->C_DecryptInit(op->h, &mechanism, cek);
    if (rv != CKR_OK) return rv;
    CK_ULONG len = in.len;
    op->call = "C_Decrypt";
    rv = op->fn->C_Decrypt(op->h, (CK_BYTE *) in.data, in.len, out, &len);
    if (rv == CKR_OK && len != in.len - ENVELOPE_TAG) rv = CKR_GENERAL_ERROR;
    if (rv == CKR_OK)
        *ret_len = len;
    else
        explicit_bzero(out, in.len); /* a module may have left unverified plaintext there */
    return rv;
}

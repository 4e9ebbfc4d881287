#include "pkcs11/cek.h"

#include "broker/base/rand.h"
#include "pkcs11/find.h"

#include <string.h>

#ifndef CKM_AES_KEY_WRAP_KWP
#define CKM_AES_KEY_WRAP_KWP 0x210bUL /* PKCS#11 3.0 */
#endif
#define CBC_IV 16u
#define WRAP_ROOM 128u /* NSS asks for more than it fills, and for less (tokens.md 1.3) */

static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static const CK_OBJECT_CLASS secret_key = CKO_SECRET_KEY;

/* What a content key is, and what it may do when it was made and when it was unwrapped. */
static const struct use_row {
    CK_KEY_TYPE type;
    CK_MECHANISM_TYPE generation;
    bool sensitive, encrypts, signs; /* and unwrapped: decrypts, verifies */
} USES[] = {
    [CEK_GCM] = {CKK_AES, CKM_AES_KEY_GEN, .sensitive = true, .encrypts = true},
    [CEK_CBC] = {CKK_AES, CKM_AES_KEY_GEN, .sensitive = true, .encrypts = true},
    [CEK_MAC] = {CKK_GENERIC_SECRET, CKM_GENERIC_SECRET_KEY_GEN, .sensitive = true, .signs = true},
    [CEK_HOST] = {CKK_AES, CKM_AES_KEY_GEN, .sensitive = false},
};

/* How it is wrapped. The first bytes of a wrapped key are the IV, where there is one. 0x210A is not
 * among them: every vendor means another format by it (tokens.md 1.1). */
static const struct wrap_row {
    CK_MECHANISM_TYPE mechanism;
    size_t len, iv;
} WRAPS[] = {
    [ENVELOPE_KW] = {CKM_AES_KEY_WRAP, CEK_BYTES + 8, 0},
    [ENVELOPE_KWP] = {CKM_AES_KEY_WRAP_KWP, CEK_BYTES + 8, 0},
    [ENVELOPE_CBC_PAD] = {CKM_AES_CBC_PAD, CBC_IV + CEK_BYTES + 16, CBC_IV},
};

static const struct wrap_row *wrap_row(uint8_t mechanism)
{
    bool known = mechanism < sizeof WRAPS / sizeof *WRAPS && WRAPS[mechanism].len;
    return known ? &WRAPS[mechanism] : NULL;
}

size_t cek_wrapped_len(uint8_t mechanism)
{
    const struct wrap_row *w = wrap_row(mechanism);
    return w ? w->len : 0;
}

static const CK_BBOOL *truth(bool is)
{
    return is ? &yes : &no;
}
#define ATTR_IS(type, is) {(type), (void *) truth(is), sizeof yes}

CK_RV cek_generate(struct cek_op *op, enum cek_use use, CK_OBJECT_HANDLE *ret)
{
    const struct use_row *u = &USES[use];
    CK_ULONG len = CEK_BYTES;
    CK_ATTRIBUTE template[] = {
        ATTR(CKA_CLASS, secret_key), ATTR(CKA_KEY_TYPE, u->type), ATTR(CKA_VALUE_LEN, len),
        ATTR(CKA_TOKEN, no), ATTR(CKA_PRIVATE, yes), ATTR_IS(CKA_SENSITIVE, u->sensitive),
        ATTR(CKA_EXTRACTABLE, yes), ATTR_IS(CKA_ENCRYPT, u->encrypts), ATTR(CKA_DECRYPT, no),
        ATTR(CKA_WRAP, no), ATTR(CKA_UNWRAP, no), ATTR_IS(CKA_SIGN, u->signs),
        ATTR(CKA_VERIFY, no),
    };
    CK_MECHANISM mechanism = {.mechanism = u->generation};
    op->call = "C_GenerateKey";
    return op->fn->C_GenerateKey(op->h, &mechanism, template, ATTR_COUNT(template), ret);
}

CK_RV cek_wrap(struct cek_op *op, uint8_t mechanism, CK_OBJECT_HANDLE kek, CK_OBJECT_HANDLE cek,
               uint8_t out[CEK_WRAPPED_MAX])
{
    const struct wrap_row *w = wrap_row(mechanism);
    uint8_t room[WRAP_ROOM] = {0};
    CK_ULONG len = sizeof room - CBC_IV;
    if (!w) return CKR_MECHANISM_INVALID;
    if (w->iv && !err_ok(rand_bytes(room, w->iv))) return CKR_RANDOM_NO_RNG;
    CK_MECHANISM m = {w->mechanism, w->iv ? room : NULL, w->iv};
    op->call = "C_WrapKey";
    CK_RV rv = op->fn->C_WrapKey(op->h, &m, kek, cek, room + w->iv, &len);
    if (rv == CKR_OK && len != w->len - w->iv) rv = CKR_GENERAL_ERROR;
    if (rv == CKR_OK) memcpy(out, room, w->len);
    return rv;
}

/* What an unwrapped key may be. */
struct unwrapped_as { bool sensitive, extractable, decrypts, verifies; };

static CK_RV unwrap_as(struct cek_op *op, CK_OBJECT_HANDLE kek, const struct cek_wrapped *wrapped,
                       const struct unwrapped_as *as, CK_OBJECT_HANDLE *ret)
{
    const struct wrap_row *w = wrap_row(wrapped->mechanism);
    op->call = "C_UnwrapKey";
    /* Only whole keys of 256 bits: a shorter one would be a weaker cipher, accepted silently. */
    if (!w || wrapped->bytes.len != w->len) return CKR_WRAPPED_KEY_LEN_RANGE;
    CK_ATTRIBUTE template[] = {
        ATTR(CKA_CLASS, secret_key), ATTR(CKA_KEY_TYPE, USES[wrapped->use].type),
        ATTR(CKA_TOKEN, no), ATTR(CKA_PRIVATE, yes), ATTR_IS(CKA_SENSITIVE, as->sensitive),
        ATTR_IS(CKA_EXTRACTABLE, as->extractable), ATTR(CKA_ENCRYPT, no),
        ATTR_IS(CKA_DECRYPT, as->decrypts), ATTR(CKA_WRAP, no), ATTR(CKA_UNWRAP, no),
        ATTR(CKA_SIGN, no), ATTR_IS(CKA_VERIFY, as->verifies),
    };
    CK_BYTE *bytes = (CK_BYTE *) wrapped->bytes.data;
    CK_MECHANISM m = {w->mechanism, w->iv ? bytes : NULL, w->iv};
    return op->fn->C_UnwrapKey(op->h, &m, kek, bytes + w->iv, w->len - w->iv, template,
                               ATTR_COUNT(template), ret);
}

CK_RV cek_unwrap(struct cek_op *op, CK_OBJECT_HANDLE kek, const struct cek_wrapped *w,
                 CK_OBJECT_HANDLE *ret)
{
    const struct use_row *u = &USES[w->use];
    struct unwrapped_as as = {.sensitive = u->sensitive, .extractable = !u->sensitive,
                              .decrypts = u->encrypts, .verifies = u->signs};
    return unwrap_as(op, kek, w, &as, ret);
}

CK_RV cek_unwrap_movable(struct cek_op *op, CK_OBJECT_HANDLE kek, const struct cek_wrapped *w,
                         CK_OBJECT_HANDLE *ret)
{
    struct unwrapped_as as = {.sensitive = true, .extractable = true};
    CK_RV rv = unwrap_as(op, kek, w, &as, ret);
    if (rv != CKR_ATTRIBUTE_READ_ONLY) return rv;
    /* openCryptoki refuses to be told, and makes every unwrapped key extractable (tokens.md 1.4). */
    as.extractable = false;
    return unwrap_as(op, kek, w, &as, ret);
}

CK_RV cek_destroy(struct cek_op *op, CK_OBJECT_HANDLE cek)
{
    op->call = "C_DestroyObject";
    CK_RV rv = op->fn->C_DestroyObject(op->h, cek);
    if (rv != CKR_OK) op->stays = true;
    return rv;
}

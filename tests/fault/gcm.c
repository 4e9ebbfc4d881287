/* AES-GCM as tokens do it that make the IV themselves, over a SoftHSM that takes the caller's:
 *
 *   in-place    12 bytes, written into the caller's zeroed pIv (CloudHSM)
 *   appended    16 bytes, behind the tag (Luna in FIPS mode)
 *   prepended   12 bytes, before the ciphertext (CKM_CLOUDHSM_AES_GCM, CKM_CLOUDKMS_AES_GCM)
 *
 * In one part only, as theirs. Decryption begins with the data, where the IV lies, so what is wrong
 * with the key is told by C_Decrypt. */
#include "tests/fault/fault.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define CKM_CLOUDHSM_AES_GCM 0x80001087UL
#define OPS_MAX 256
#define IV_MAX 16

/* An operation between its two calls. */
struct op {
    CK_SESSION_HANDLE session; /* NO_SESSION: this place is free */
    bool decrypts;
    CK_OBJECT_HANDLE key;
    CK_GCM_PARAMS params; /* pAAD is ours */
    CK_BYTE *caller_iv;
    CK_BYTE iv[IV_MAX];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct op ops[OPS_MAX];

static bool is_emulated(const struct powers *p, const CK_MECHANISM *m)
{
    bool on = p->gcm_in_place || p->gcm_appended || p->gcm_prepended;
    return on && m && m->pParameter && m->ulParameterLen == sizeof(CK_GCM_PARAMS) &&
           (m->mechanism == CKM_AES_GCM || m->mechanism == CKM_CLOUDHSM_AES_GCM);
}

static CK_ULONG iv_bytes(const struct powers *p)
{
    return p->gcm_appended ? 16 : 12;
}

/* How much longer a ciphertext is than SoftHSM's. */
static CK_ULONG carried(const struct powers *p)
{
    return p->gcm_in_place ? 0 : iv_bytes(p);
}

/* ---- operations under way ----------------------------------------------------------------- */

static void keep(const struct op *op)
{
    pthread_mutex_lock(&lock);
    size_t at = 0;
    while (at < OPS_MAX && ops[at].session != NO_SESSION &&
           (ops[at].session != op->session || ops[at].decrypts != op->decrypts))
        at++;
    if (at == OPS_MAX) refuse("more than %d operations at once", OPS_MAX);
    free(ops[at].params.pAAD);
    ops[at] = *op;
    pthread_mutex_unlock(&lock);
}

static bool find(CK_SESSION_HANDLE s, bool decrypts, bool take, struct op *ret)
{
    bool found = false;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < OPS_MAX && !found; i++) {
        if (ops[i].session != s || ops[i].decrypts != decrypts) continue;
        found = true;
        *ret = ops[i];
        if (take) memset(&ops[i], 0, sizeof ops[i]);
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static CK_RV begin(const struct op *op)
{
    CK_MECHANISM m = {CKM_AES_GCM, (void *) &op->params, sizeof op->params};
    return op->decrypts ? real->C_DecryptInit(op->session, &m, op->key)
                        : real->C_EncryptInit(op->session, &m, op->key);
}

/* The caller's parameters with room for an IV of ours. */
static struct op copy_op(CK_SESSION_HANDLE s, bool decrypts, const CK_MECHANISM *m,
                         CK_OBJECT_HANDLE key)
{
    const CK_GCM_PARAMS *from = m->pParameter;
    struct op op = {.session = s, .decrypts = decrypts, .key = key, .params = *from,
                    .caller_iv = from->pIv};
    op.params.pAAD = malloc(from->ulAADLen + 1);
    if (!op.params.pAAD) refuse("out of memory");
    if (from->ulAADLen) memcpy(op.params.pAAD, from->pAAD, from->ulAADLen);
    return op;
}

static void set_iv(struct op *op, const CK_BYTE *iv, CK_ULONG len)
{
    memcpy(op->iv, iv, len);
    op->params.pIv = op->iv;
    op->params.ulIvLen = len;
    op->params.ulIvBits = len * 8;
}

/* ---- encryption --------------------------------------------------------------------------- */

/* CloudHSM takes a zeroed buffer of 12 bytes and nothing else. */
static bool is_zeroed(const CK_GCM_PARAMS *p)
{
    static const CK_BYTE ZERO[12];
    return p->pIv && p->ulIvLen == sizeof ZERO && memcmp(p->pIv, ZERO, sizeof ZERO) == 0;
}

CK_RV shaped_C_EncryptInit(struct call *c, CK_SESSION_HANDLE s, CK_MECHANISM *m,
                           CK_OBJECT_HANDLE key)
{
    struct powers p = powers_now();
    CK_BYTE iv[IV_MAX];
    if (!is_emulated(&p, m)) return real->C_EncryptInit(s, m, key);
    if (p.gcm_in_place && !is_zeroed(m->pParameter)) return CKR_MECHANISM_PARAM_INVALID;
    if (getrandom(iv, sizeof iv, 0) != sizeof iv) refuse("no random bytes");
    struct op op = copy_op(s, false, m, key);
    set_iv(&op, iv, iv_bytes(&p));
    CK_RV rv = begin(&op);
    if (rv != CKR_OK) {
        free(op.params.pAAD);
        return rv;
    }
    /* Its own iv, not that of this frame. */
    op.params.pIv = NULL;
    keep(&op);
    return CKR_OK;
}

static void place_iv(const struct powers *p, const struct op *op, CK_BYTE *o, CK_ULONG *o_n)
{
    CK_ULONG len = op->params.ulIvLen;
    if (p->gcm_in_place) memcpy(op->caller_iv, op->iv, len);
    if (p->gcm_appended) memcpy(o + *o_n, op->iv, len);
    if (p->gcm_prepended) {
        memmove(o + len, o, *o_n);
        memcpy(o, op->iv, len);
    }
    *o_n += carried(p);
}

CK_RV shaped_C_Encrypt(struct call *c, CK_SESSION_HANDLE s, CK_BYTE *i, CK_ULONG i_n, CK_BYTE *o,
                       CK_ULONG *o_n)
{
    struct powers p = powers_now();
    struct op op;
    if (!find(s, false, false, &op)) return real->C_Encrypt(s, i, i_n, o, o_n);
    CK_ULONG more = carried(&p), need = i_n + op.params.ulTagBits / 8 + more;
    if (!o || *o_n < need) { /* as a size query: the operation goes on */
        *o_n = need;
        return o ? CKR_BUFFER_TOO_SMALL : CKR_OK;
    }
    *o_n -= more;
    find(s, false, true, &op);
    CK_RV rv = real->C_Encrypt(s, i, i_n, o, o_n);
    if (rv == CKR_OK) place_iv(&p, &op, o, o_n);
    free(op.params.pAAD);
    return rv;
}

/* ---- decryption --------------------------------------------------------------------------- */

CK_RV shaped_C_DecryptInit(struct call *c, CK_SESSION_HANDLE s, CK_MECHANISM *m,
                           CK_OBJECT_HANDLE key)
{
    struct powers p = powers_now();
    if (!is_emulated(&p, m) || p.gcm_in_place) return real->C_DecryptInit(s, m, key);
    struct op op = copy_op(s, true, m, key);
    keep(&op);
    return CKR_OK;
}

CK_RV shaped_C_Decrypt(struct call *c, CK_SESSION_HANDLE s, CK_BYTE *i, CK_ULONG i_n, CK_BYTE *o,
                       CK_ULONG *o_n)
{
    struct powers p = powers_now();
    struct op op;
    CK_ULONG more = iv_bytes(&p);
    if (!find(s, true, false, &op)) return real->C_Decrypt(s, i, i_n, o, o_n);
    if (!o) {
        *o_n = i_n;
        return CKR_OK;
    }
    find(s, true, true, &op);
    CK_RV rv = CKR_ENCRYPTED_DATA_LEN_RANGE;
    if (i_n >= more + op.params.ulTagBits / 8) {
        set_iv(&op, p.gcm_appended ? i + i_n - more : i, more);
        rv = begin(&op);
        if (rv == CKR_OK)
            rv = real->C_Decrypt(s, p.gcm_appended ? i : i + more, i_n - more, o, o_n);
    }
    free(op.params.pAAD);
    return rv;
}

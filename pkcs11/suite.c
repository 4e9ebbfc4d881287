#include "pkcs11/suite.h"

#include "broker/base/log.h"
#include "broker/base/rand.h"
#include "pkcs11/cek.h"

#include <string.h>

/* The one row so far. Nothing here asks C_GetMechanismInfo: SoftHSM ORs the flags into what the
 * caller's memory held, and openCryptoki's and NSS's tell what does not work (tokens.md 7.2). */
#define SUITE_GCM 1u
#define SUITE_GCM_TEXT "AES-KW recipients, AES-GCM payloads"

enum tamper {
    TAMPER_NOTHING, TAMPER_CIPHERTEXT, TAMPER_TAG, TAMPER_IV, TAMPER_AAD, TAMPER_WRAPPED,
};

/* One round: a content key made, used, wrapped, unwrapped and used again. */
struct trial {
    struct cek_op op;
    const char *step;  /* what was being tried, for the error */
    CK_OBJECT_HANDLE made, unwrapped;
    CK_RV rv;          /* of the step that failed; CKR_OK: none did */
    bool attributes_kept;
};

#define TRIAL_PLAIN 48u
struct trial_bytes {
    uint8_t plain[TRIAL_PLAIN], back[TRIAL_PLAIN + ENVELOPE_TAG];
    uint8_t sealed[TRIAL_PLAIN + ENVELOPE_TAG];
    uint8_t iv[ENVELOPE_IV], aad[24];
    uint8_t wrapped[CEK_WRAPPED_MAX];
    size_t wrapped_len;
};

static void flip(struct trial_bytes *b, enum tamper tamper)
{
    uint8_t *const at[] = {
        [TAMPER_NOTHING] = NULL, [TAMPER_CIPHERTEXT] = b->sealed,
        [TAMPER_TAG] = b->sealed + TRIAL_PLAIN + ENVELOPE_TAG - 1, [TAMPER_IV] = b->iv,
        [TAMPER_AAD] = b->aad, [TAMPER_WRAPPED] = b->wrapped + CEK_WRAPPED_KW / 2,
    };
    if (at[tamper]) *at[tamper] ^= 0x01;
}

/* Whether an unwrapped key is what the template demanded: openCryptoki says CKR_OK and makes it
 * readable (tokens.md 1.4), and then the host could be asked for every content key. */
static bool attributes_kept(const struct cek_op *op, CK_OBJECT_HANDLE cek)
{
    CK_BBOOL sensitive = CK_FALSE, extractable = CK_TRUE, token = CK_TRUE;
    CK_ATTRIBUTE want[] = {
        {CKA_SENSITIVE, &sensitive, sizeof sensitive},
        {CKA_EXTRACTABLE, &extractable, sizeof extractable},
        {CKA_TOKEN, &token, sizeof token},
    };
    CK_RV rv = op->fn->C_GetAttributeValue(op->h, cek, want, sizeof want / sizeof *want);
    if (rv != CKR_OK || sensitive != CK_TRUE || extractable != CK_FALSE || token != CK_FALSE)
        return false;
    uint8_t value[CEK_BYTES] = {0};
    CK_ATTRIBUTE read = {CKA_VALUE, value, sizeof value};
    rv = op->fn->C_GetAttributeValue(op->h, cek, &read, 1);
    explicit_bzero(value, sizeof value);
    return rv != CKR_OK;
}

static CK_RV seal_trial(struct trial *t, CK_OBJECT_HANDLE kek, struct trial_bytes *b)
{
    struct cek_bound bound = {span_of(b->iv, sizeof b->iv), span_of(b->aad, sizeof b->aad)};
    t->step = "making a content key";
    CK_RV rv = cek_generate(&t->op, &t->made);
    if (rv != CKR_OK) return rv;
    t->step = "encrypting with AES-GCM";
    rv = cek_encrypt(&t->op, t->made, &bound, span_of(b->plain, sizeof b->plain), b->sealed);
    if (rv != CKR_OK) return rv;
    t->step = "wrapping the content key with AES-KW";
    return cek_wrap(&t->op, kek, t->made, b->wrapped, &b->wrapped_len);
}

static CK_RV open_trial(struct trial *t, CK_OBJECT_HANDLE kek, struct trial_bytes *b)
{
    struct cek_bound bound = {span_of(b->iv, sizeof b->iv), span_of(b->aad, sizeof b->aad)};
    size_t len = 0;
    t->step = "unwrapping the content key with AES-KW";
    CK_RV rv = cek_unwrap(&t->op, kek, span_of(b->wrapped, b->wrapped_len), &t->unwrapped);
    if (rv != CKR_OK) return rv;
    t->attributes_kept = attributes_kept(&t->op, t->unwrapped);
    t->step = "decrypting with AES-GCM";
    rv = cek_decrypt(&t->op, t->unwrapped, &bound, span_of(b->sealed, sizeof b->sealed), b->back,
                     &len);
    if (rv == CKR_OK && memcmp(b->back, b->plain, sizeof b->plain) != 0) {
        t->step = "decrypting with AES-GCM (another plaintext came back)";
        return CKR_GENERAL_ERROR;
    }
    return rv;
}

/* Each trial has a session of its own: a failed operation may stay active on it for ever (tpm2
 * after a bad OAEP), and closing it takes what is left of the keys along. */
static err_t try_once(struct p11 *p, CK_OBJECT_HANDLE kek, enum tamper tamper, struct trial *ret)
{
    struct trial t = {.op.fn = p->fn, .step = ""};
    struct trial_bytes b = {.plain = "public bytes of the self-test", .aad = "self-test header"};
    TRY(rand_bytes(b.iv, sizeof b.iv));
    TRY(session_open(p->fn, p->slot, &t.op.h));
    {
        SCOPED_CRYPTO(p);
        t.rv = seal_trial(&t, kek, &b);
        bool sealed = t.rv == CKR_OK;
        flip(&b, tamper);
        if (sealed) t.rv = open_trial(&t, kek, &b);
        if (!sealed) tamper = TAMPER_NOTHING; /* that failure is none that was asked for */
        if (t.made) p->fn->C_DestroyObject(t.op.h, t.made);
        if (t.unwrapped) p->fn->C_DestroyObject(t.op.h, t.unwrapped);
        p->fn->C_CloseSession(t.op.h);
    }
    *ret = t;
    if (t.rv == CKR_OK) return ERR_OK;
    /* A token that went away in mid-test refuses tampered bytes, too. */
    bool down = rv_class(t.rv) == ERR_TOKEN_DOWN && rv_reaction(t.rv) != RV_CANARY;
    if (down) FAIL_RV(t.rv, t.op.call, "the token stopped answering while %s", t.step);
    if (tamper == TAMPER_NOTHING)
        FAIL_P11(ERR_USAGE, t.rv, t.op.call,
                 "this token fails the self-test: %s; Strongroom cannot use it", t.step);
    return ERR_OK;
}

err_t suite_self_test(struct p11 *p, CK_OBJECT_HANDLE kek)
{
    static const char *const WHAT[] = {
        [TAMPER_NOTHING] = "", [TAMPER_CIPHERTEXT] = "ciphertext", [TAMPER_TAG] = "tag",
        [TAMPER_IV] = "IV", [TAMPER_AAD] = "header", [TAMPER_WRAPPED] = "wrapped key",
    };
    struct trial t = {0};
    TRY(try_once(p, kek, TAMPER_NOTHING, &t));
    if (!t.attributes_kept)
        FAIL(ERR_USAGE, "this token fails the self-test: a content key unwrapped as sensitive and "
             "not extractable came out readable; Strongroom cannot use it");
    for (enum tamper tamper = TAMPER_CIPHERTEXT; tamper <= TAMPER_WRAPPED; tamper++) {
        TRY(try_once(p, kek, tamper, &t));
        if (t.rv == CKR_OK)
            FAIL(ERR_USAGE, "this token fails the self-test: it opens a payload with a changed %s;"
                 " Strongroom cannot use it", WHAT[tamper]);
    }
    return ERR_OK;
}

/* The key to try with: the newest whose attributes are as we demand. */
static CK_OBJECT_HANDLE test_key(struct p11 *p, bool *ret_done)
{
    SCOPED_LOCK(&p->kek_lock);
    *ret_done = p->suite != 0;
    for (size_t i = p->kek_count; i-- > 0;)
        if (p->keks[i].info.sound) return p->keks[i].handle;
    return CK_INVALID_HANDLE;
}

err_t suite_negotiate(struct p11 *p)
{
    bool done = false;
    CK_OBJECT_HANDLE kek = test_key(p, &done);
    return done || kek == CK_INVALID_HANDLE ? ERR_OK : suite_negotiate_with(p, kek);
}

err_t suite_negotiate_with(struct p11 *p, CK_OBJECT_HANDLE kek)
{
    TRY(suite_self_test(p, kek));
    SCOPED_LOCK(&p->kek_lock);
    p->suite = SUITE_GCM;
    p->mechanism = ENVELOPE_KW;
    log_debug("token.suite", LOG_S("suite", SUITE_GCM_TEXT));
    return ERR_OK;
}

const char *p11_suite_text(const struct p11 *p)
{
    SCOPED_LOCK((pthread_mutex_t *) &p->kek_lock);
    return p->suite == SUITE_GCM ? SUITE_GCM_TEXT : "none yet: make the key-encryption key (strongroom kek create)";
}

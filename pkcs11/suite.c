#include "pkcs11/suite.h"

#include "broker/base/log.h"
#include "broker/base/rand.h"

#include <stdio.h>
#include <string.h>

#define READABLE "; content keys come out readable, so this process could read them"
#define ON_HOST "; content keys are opened into this process, since the token can do no better"
#define WAY(suite, mechanism, text) {suite, mechanism, text, text READABLE}

/* Nothing here asks C_GetMechanismInfo: SoftHSM ORs the flags into what the caller's memory held, and
 * openCryptoki's and NSS's tell what does not work (tokens.md 7.2). KWP is before KW, since it keeps
 * a key's exact length. */
static const struct suite_way WAYS[] = {
    WAY(1, ENVELOPE_KWP, "AES-KWP recipients, AES-GCM payloads"),
    WAY(1, ENVELOPE_KW, "AES-KW recipients, AES-GCM payloads"),
    WAY(1, ENVELOPE_CBC_PAD, "AES-CBC-PAD recipients, AES-GCM payloads"),
    WAY(2, ENVELOPE_KWP, "AES-KWP recipients, AES-CBC payloads with HMAC-SHA-256"),
    WAY(2, ENVELOPE_KW, "AES-KW recipients, AES-CBC payloads with HMAC-SHA-256"),
    WAY(2, ENVELOPE_CBC_PAD, "AES-CBC-PAD recipients, AES-CBC payloads with HMAC-SHA-256"),
    WAY(3, ENVELOPE_KWP, "AES-KWP recipients, AES-GCM payloads on the host" ON_HOST),
    WAY(3, ENVELOPE_KW, "AES-KW recipients, AES-GCM payloads on the host" ON_HOST),
    WAY(3, ENVELOPE_CBC_PAD, "AES-CBC-PAD recipients, AES-GCM payloads on the host" ON_HOST),
};
#define WAY_COUNT (sizeof WAYS / sizeof *WAYS)
#define SUITE_ON_HOST 3u

enum tamper {
    TAMPER_NOTHING, TAMPER_CIPHERTEXT, TAMPER_TAG, TAMPER_IV, TAMPER_AAD, TAMPER_WRAPPED,
    TAMPER_OTHER_WRAPPED, TAMPER_COUNT,
};

/* One round: content keys made, used, wrapped, unwrapped and used again. */
struct trial {
    struct cek_op op;
    const struct suite_way *way;
    const struct suite *suite;
    CK_OBJECT_HANDLE kek;
    const char *step;  /* what was being tried, for the error */
    CK_OBJECT_HANDLE made[ENVELOPE_KEYS], unwrapped[ENVELOPE_KEYS];
    CK_RV rv;          /* of the step that failed; CKR_OK: none did */
    bool attributes_kept;
};

#define TRIAL_PLAIN 48u
struct trial_bytes {
    uint8_t plain[TRIAL_PLAIN], back[TRIAL_PLAIN + PAYLOAD_EXTRA];
    uint8_t sealed[TRIAL_PLAIN + PAYLOAD_EXTRA];
    size_t sealed_len, iv_len, tag_len;
    uint8_t iv[ENVELOPE_IV_MAX], aad[24];
    uint8_t wrapped[ENVELOPE_KEYS][CEK_WRAPPED_MAX];
};

const struct suite_way *suite_way_find(uint8_t suite, uint8_t mechanism)
{
    for (size_t i = 0; i < WAY_COUNT; i++)
        if (WAYS[i].suite == suite && WAYS[i].mechanism == mechanism) return &WAYS[i];
    return NULL;
}

static void flip(struct trial_bytes *b, size_t wrapped_len, enum tamper tamper)
{
    uint8_t *const at[TAMPER_COUNT] = {
        [TAMPER_CIPHERTEXT] = b->sealed, [TAMPER_TAG] = b->sealed + b->sealed_len - 1,
        [TAMPER_IV] = b->iv, [TAMPER_AAD] = b->aad,
        [TAMPER_WRAPPED] = b->wrapped[0] + wrapped_len / 2,
        [TAMPER_OTHER_WRAPPED] = b->wrapped[1] + wrapped_len / 2,
    };
    if (at[tamper]) *at[tamper] ^= 0x01;
}

/* Whether an unwrapped key is what the template demanded: openCryptoki says CKR_OK and makes it
 * readable (tokens.md 1.4), and then the host could be asked for every content key. */
static CK_RV attributes_kept(struct cek_op *op, CK_OBJECT_HANDLE cek, bool *ret)
{
    CK_BBOOL sensitive = CK_FALSE, extractable = CK_TRUE, token = CK_TRUE;
    CK_ATTRIBUTE want[] = {
        {CKA_SENSITIVE, &sensitive, sizeof sensitive},
        {CKA_EXTRACTABLE, &extractable, sizeof extractable},
        {CKA_TOKEN, &token, sizeof token},
    };
    op->call = "C_GetAttributeValue";
    *ret = false;
    CK_RV rv = op->fn->C_GetAttributeValue(op->h, cek, want, sizeof want / sizeof *want);
    if (rv != CKR_OK) return rv_is_of_the_moment(rv) ? rv : CKR_OK;
    if (sensitive != CK_TRUE || extractable != CK_FALSE || token != CK_FALSE) return CKR_OK;
    uint8_t value[CEK_BYTES] = {0};
    CK_ATTRIBUTE read = {CKA_VALUE, value, sizeof value};
    rv = op->fn->C_GetAttributeValue(op->h, cek, &read, 1);
    explicit_bzero(value, sizeof value);
    *ret = rv != CKR_OK;
    return rv_is_of_the_moment(rv) ? rv : CKR_OK;
}

static struct payload trial_payload(const struct trial_bytes *b)
{
    size_t len = b->sealed_len ? b->sealed_len - b->tag_len : 0;
    return (struct payload){
        .iv = span_of(b->iv, b->iv_len), .aad = span_of(b->aad, sizeof b->aad),
        .plain = span_of(b->plain, sizeof b->plain), .ciphertext = span_of(b->sealed, len),
        .tag = span_of(b->sealed + len, b->tag_len),
    };
}

static CK_RV seal_trial(struct trial *t, struct trial_bytes *b)
{
    CK_RV rv = CKR_OK;
    t->step = "making a content key";
    for (size_t i = 0; i < t->suite->keys && rv == CKR_OK; i++)
        rv = cek_generate(&t->op, t->suite->use[i], &t->made[i]);
    if (rv != CKR_OK) return rv;
    t->step = "sealing a payload";
    struct payload x = trial_payload(b);
    rv = t->suite->seal(&t->op, t->made, &x, b->sealed, &b->sealed_len);
    if (rv != CKR_OK) return rv;
    t->step = "wrapping a content key";
    for (size_t i = 0; i < t->suite->keys && rv == CKR_OK; i++)
        rv = cek_wrap(&t->op, t->way->mechanism, t->kek, t->made[i], b->wrapped[i]);
    return rv;
}

static CK_RV unwrap_trial(struct trial *t, const struct trial_bytes *b)
{
    size_t len = cek_wrapped_len(t->way->mechanism);
    CK_RV rv = CKR_OK;
    t->step = "unwrapping a content key";
    t->attributes_kept = true;
    for (size_t i = 0; i < t->suite->keys && rv == CKR_OK; i++) {
        struct cek_wrapped w = {t->way->mechanism, t->suite->use[i], span_of(b->wrapped[i], len)};
        bool kept = true;
        rv = cek_unwrap(&t->op, t->kek, &w, &t->unwrapped[i]);
        if (rv == CKR_OK && w.use != CEK_HOST) rv = attributes_kept(&t->op, t->unwrapped[i], &kept);
        t->attributes_kept &= kept;
    }
    return rv;
}

static CK_RV open_trial(struct trial *t, struct trial_bytes *b)
{
    size_t len = 0;
    CK_RV rv = unwrap_trial(t, b);
    if (rv != CKR_OK) return rv;
    t->step = "opening a payload";
    struct payload x = trial_payload(b);
    rv = t->suite->open(&t->op, t->unwrapped, &x, b->back, &len);
    if (rv == CKR_OK && (len != sizeof b->plain || memcmp(b->back, b->plain, len) != 0)) {
        t->step = "opening a payload (another plaintext came back)";
        return CKR_GENERAL_ERROR;
    }
    return rv;
}

static void end_trial(struct trial *t)
{
    for (size_t i = 0; i < ENVELOPE_KEYS; i++) {
        if (t->made[i]) t->op.fn->C_DestroyObject(t->op.h, t->made[i]);
        if (t->unwrapped[i]) t->op.fn->C_DestroyObject(t->op.h, t->unwrapped[i]);
    }
    t->op.fn->C_CloseSession(t->op.h);
}

/* Each trial has a session of its own: a failed operation may stay active on it for ever (tpm2
 * after a bad OAEP), and closing it takes what is left of the keys along. */
static err_t try_once(struct p11 *p, enum tamper tamper, struct trial *t)
{
    const struct envelope_form *form = envelope_form(t->way->suite);
    struct trial_bytes b = {.plain = "public bytes of the self-test", .aad = "self-test header",
                            .iv_len = form->iv, .tag_len = form->tag};
    *t = (struct trial){.op = {.fn = p->fn, .call = ""}, .way = t->way, .suite = t->suite,
                        .kek = t->kek, .step = ""};
    TRY(rand_bytes(b.iv, sizeof b.iv));
    TRY(session_open(p->fn, p->slot, &t->op.h));
    {
        SCOPED_CRYPTO(p);
        t->rv = seal_trial(t, &b);
        bool sealed = t->rv == CKR_OK;
        if (sealed) flip(&b, cek_wrapped_len(t->way->mechanism), tamper);
        if (sealed) t->rv = open_trial(t, &b);
        else tamper = TAMPER_NOTHING; /* that failure is none that was asked for */
        end_trial(t);
    }
    if (t->rv == CKR_OK) return ERR_OK;
    /* A token that went away in mid-test refuses tampered bytes, too. */
    if (rv_is_of_the_moment(t->rv))
        FAIL_RV(t->rv, t->op.call, "the token stopped answering while %s", t->step);
    if (tamper == TAMPER_NOTHING)
        FAIL_P11(ERR_USAGE, t->rv, t->op.call, "%s fails", t->step);
    return ERR_OK;
}

/* *ret_rv: of the step that failed, if one did. */
static err_t test_once(struct p11 *p, const struct suite_way *way, CK_OBJECT_HANDLE kek,
                       bool *ret_readable, CK_RV *ret_rv)
{
    static const char *const WHAT[TAMPER_COUNT] = {
        "", "ciphertext", "tag", "IV", "header", "wrapped key", "second wrapped key",
    };
    struct trial t = {.way = way, .suite = suite_find(way->suite), .kek = kek};
    struct err whole = try_once(p, TAMPER_NOTHING, &t);
    *ret_rv = t.rv;
    TRYC(whole, "self-test of %s", way->text);
    *ret_readable = !t.attributes_kept;
    for (enum tamper tamper = TAMPER_CIPHERTEXT; tamper < TAMPER_COUNT; tamper++) {
        if (tamper == TAMPER_OTHER_WRAPPED && t.suite->keys < 2) continue;
        TRYC(try_once(p, tamper, &t), "self-test of %s", way->text);
        if (t.rv == CKR_OK)
            FAIL(ERR_USAGE, "self-test of %s: the token opens a payload with a changed %s",
                 way->text, WHAT[tamper]);
    }
    return ERR_OK;
}

/* What a token refuses, or lets us read, is not believed at once: a suite is for years. */
static err_t self_test(struct p11 *p, const struct suite_way *way, CK_OBJECT_HANDLE kek,
                       bool *ret_readable, CK_RV *ret_rv)
{
    struct err e = test_once(p, way, kek, ret_readable, ret_rv);
    bool doubtful = e.code == ERR_USAGE || (err_ok(e) && *ret_readable);
    return doubtful ? test_once(p, way, kek, ret_readable, ret_rv) : e;
}

err_t suite_self_test(struct p11 *p, const struct suite_way *way, CK_OBJECT_HANDLE kek,
                      bool *ret_readable)
{
    CK_RV rv = CKR_OK;
    return self_test(p, way, kek, ret_readable, &rv);
}

/* ---- choosing --------------------------------------------------------------------------- */

/* The key to try with: the newest whose attributes are as we demand. */
static CK_OBJECT_HANDLE test_key(struct p11 *p, bool *ret_done)
{
    SCOPED_LOCK(&p->kek_lock);
    *ret_done = p->way != NULL;
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

struct choice {
    const struct suite_way *way;
    bool readable;
    char why[ERR_TEXT]; /* why the plainest way does not work, for who has none */
};

static err_t choose(struct p11 *p, CK_OBJECT_HANDLE kek, struct choice *ret)
{
    for (size_t i = 0; i < WAY_COUNT; i++) {
        const struct suite_way *way = &WAYS[i];
        bool readable = false;
        if (ret->way && way->suite == SUITE_ON_HOST) return ERR_OK;
        struct err e = suite_self_test(p, way, kek, &readable);
        if (!err_ok(e) && e.code != ERR_USAGE) return e;
        if (!err_ok(e)) {
            log_debug("token.suite-refused", LOG_S("why", err_text(e)));
            if (way->suite == 1 && way->mechanism == ENVELOPE_KW)
                snprintf(ret->why, sizeof ret->why, "%s", err_text(e));
            continue;
        }
        if (ret->way && readable) continue;
        ret->way = way;
        ret->readable = readable;
        if (!readable) return ERR_OK;
    }
    if (ret->way) return ERR_OK;
    FAIL(ERR_USAGE, "this token passes the self-test of no suite, so Strongroom cannot use it; %s",
         ret->why);
}

/* What a token says that has unlearnt something, FIPS policy switched on for example. */
static bool is_unlearnt(CK_RV rv)
{
    return rv == CKR_MECHANISM_INVALID || rv == CKR_MECHANISM_PARAM_INVALID ||
           rv == CKR_FUNCTION_NOT_SUPPORTED;
}

/* The way of before, unless the token says, twice, that it has none of it any more: a suite does not
 * change because of a bad moment. Whatever else fails is tried again by who brings the token back. */
static err_t keep_or_choose(struct p11 *p, CK_OBJECT_HANDLE kek, struct choice *ret)
{
    const struct suite_way *before = suite_chosen(p).way;
    if (before) {
        CK_RV rv = CKR_OK;
        ret->way = before;
        struct err e = self_test(p, before, kek, &ret->readable, &rv);
        if (e.code == ERR_USAGE && !is_unlearnt(rv)) e.code = ERR_TOKEN_DOWN;
        if (e.code != ERR_USAGE) return e;
        log_warn_err(e, "token.suite-lost", LOG_S("suite", before->text));
        ret->way = NULL;
    }
    return choose(p, kek, ret);
}

struct suite_choice suite_chosen(struct p11 *p)
{
    SCOPED_LOCK(&p->kek_lock);
    return (struct suite_choice){p->way, p->readable};
}

void suite_choose(struct p11 *p, struct suite_choice c)
{
    SCOPED_LOCK(&p->kek_lock);
    p->way = c.way;
    p->readable = c.readable;
}

static const char *choice_text(const struct suite_way *way, bool readable)
{
    return readable ? way->readable_text : way->text;
}

err_t suite_negotiate_with(struct p11 *p, CK_OBJECT_HANDLE kek)
{
    struct choice c = {0};
    TRY(keep_or_choose(p, kek, &c));
    struct suite_choice before = suite_chosen(p);
    bool news = before.way != c.way || before.readable != c.readable;
    suite_choose(p, (struct suite_choice){c.way, c.readable});
    const char *text = choice_text(c.way, c.readable);
    if (!news) return ERR_OK;
    if (c.readable || c.way->suite == SUITE_ON_HOST)
        log_warn("token.suite-weak", LOG_S("suite", text));
    else
        log_debug("token.suite", LOG_S("suite", text));
    return ERR_OK;
}

const char *p11_suite_text(const struct p11 *p)
{
    SCOPED_LOCK((pthread_mutex_t *) &p->kek_lock);
    return p->way ? choice_text(p->way, p->readable)
                  : "none yet: make the key-encryption key (strongroom kek create)";
}

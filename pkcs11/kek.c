#include "pkcs11/kek.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/base/log.h"
#include "broker/base/rand.h"
#include "pkcs11/find.h"
#include "pkcs11/key_rule.h"
#include "pkcs11/suite.h"

#define KEK_BYTES 32u

/* What a KEK must be (DESIGN 3). LOCAL, ALWAYS_SENSITIVE and NEVER_EXTRACTABLE are told but not
 * demanded: a KEK that a ceremony restored from its backup has them false. */
#define FIELD(name) offsetof(struct p11_kek_info, name)
static const struct key_rule RULES[] = {
    {CKA_TOKEN, "CKA_TOKEN", MUST_BE_TRUE, NO_FIELD},
    {CKA_PRIVATE, "CKA_PRIVATE", MUST_BE_TRUE, NO_FIELD},
    {CKA_SENSITIVE, "CKA_SENSITIVE", MUST_BE_TRUE, FIELD(sensitive)},
    {CKA_EXTRACTABLE, "CKA_EXTRACTABLE", MUST_BE_FALSE, FIELD(extractable)},
    {CKA_MODIFIABLE, "CKA_MODIFIABLE", MUST_BE_FALSE, FIELD(modifiable)},
    {CKA_WRAP, "CKA_WRAP", MUST_BE_TRUE, FIELD(can_wrap)},
    {CKA_UNWRAP, "CKA_UNWRAP", MUST_BE_TRUE, FIELD(can_unwrap)},
    {CKA_ENCRYPT, "CKA_ENCRYPT", MUST_BE_FALSE, FIELD(can_encrypt)},
    {CKA_DECRYPT, "CKA_DECRYPT", MUST_BE_FALSE, FIELD(can_decrypt)},
    {CKA_SIGN, "CKA_SIGN", MUST_BE_FALSE, FIELD(can_sign)},
    {CKA_VERIFY, "CKA_VERIFY", MUST_BE_FALSE, FIELD(can_verify)},
    {CKA_DERIVE, "CKA_DERIVE", MUST_BE_FALSE, FIELD(can_derive)},
    {CKA_LOCAL, "CKA_LOCAL", FOR_INFORMATION, FIELD(local)},
    {CKA_ALWAYS_SENSITIVE, "CKA_ALWAYS_SENSITIVE", FOR_INFORMATION, FIELD(always_sensitive)},
    {CKA_NEVER_EXTRACTABLE, "CKA_NEVER_EXTRACTABLE", FOR_INFORMATION, FIELD(never_extractable)},
};
#define RULE_COUNT (sizeof RULES / sizeof *RULES)

/* KEKs of a token while they are gathered; 64 of them are too much for a stack. */
struct kek_table {
    struct p11_kek keks[KEK_MAX];
    size_t n;
    bool hides; /* there are keys whose labels the token does not show */
};

uint32_t kek_generation(const char *label)
{
    if (strncmp(label, KEK_LABEL, strlen(KEK_LABEL)) != 0) return 0;
    const char *digits = label + strlen(KEK_LABEL);
    uint64_t value = 0;
    if (*digits == '0') return 0;
    for (const char *c = digits; *c; c++) {
        if (*c < '0' || *c > '9') return 0;
        value = value * 10 + (uint64_t) (*c - '0');
        if (value > UINT32_MAX) return 0;
    }
    return (uint32_t) value;
}

/* ---- attributes ------------------------------------------------------------------------- */

static err_t check_size(const struct key_seen *seen, struct p11_kek *kek, const char **ret_wrong)
{
    CK_ULONG bytes = 0;
    bool there = false;
    TRY(key_read_exactly(seen, CKA_ID, kek->id, sizeof kek->id, &there));
    if (!there) *ret_wrong = "CKA_ID";
    memcpy(kek->info.id, kek->id, sizeof kek->id);
    TRY(key_read_exactly(seen, CKA_VALUE_LEN, &bytes, sizeof bytes, &there));
    if (!there || bytes != KEK_BYTES) *ret_wrong = "CKA_VALUE_LEN";
    return ERR_OK;
}

/* Fills kek->info from the token; *ret_wrong names the first attribute that is not as demanded. */
static err_t check_attributes(struct p11_session *s, struct p11_kek *kek, const char **ret_wrong)
{
    struct key_seen seen = {s, kek->handle, kek->info.label};
    *ret_wrong = NULL;
    TRY(key_rules_check(&seen, RULES, RULE_COUNT, &kek->info, ret_wrong));
    if (!*ret_wrong) TRY(check_size(&seen, kek, ret_wrong));
    kek->info.sound = !*ret_wrong;
    return ERR_OK;
}

/* ---- finding ---------------------------------------------------------------------------- */

static int by_generation(const void *a, const void *b)
{
    uint32_t x = ((const struct p11_kek *) a)->generation;
    uint32_t y = ((const struct p11_kek *) b)->generation;
    return x < y ? -1 : x > y;
}

/* A token that does not show the label either, which it just did, condemns no key. */
static err_t check_shown(struct p11_session *s, const struct p11_kek *kek)
{
    char label[sizeof kek->info.label];
    size_t len = 0;
    CK_RV rv = attribute_read(s, kek->handle, CKA_LABEL, label, sizeof label, &len);
    if (rv == CKR_OK) return ERR_OK;
    FAIL_P11(ERR_TOKEN_DOWN, rv, "C_GetAttributeValue", "token %s does not show %s any more",
             s->p->label, kek->info.label);
}

/* Longer than any label of ours, by its length: a token that fails at this moment may say "too small" of any. */
static bool label_is_long(struct p11_session *s, CK_OBJECT_HANDLE handle)
{
    CK_ATTRIBUTE size = {CKA_LABEL, NULL, 0};
    CK_RV rv = session_rv(s, s->p->fn->C_GetAttributeValue(s->h, handle, &size, 1));
    return rv == CKR_OK && size.ulValueLen != CK_UNAVAILABLE_INFORMATION &&
           size.ulValueLen >= sizeof (struct p11_kek_info){0}.label;
}

static err_t add_kek(struct p11_session *s, CK_OBJECT_HANDLE handle, struct kek_table *t)
{
    struct p11_kek kek = {.handle = handle, .epoch = s->p->epoch};
    const char *wrong = NULL;
    size_t len = 0;
    bool skip = true;
    CK_RV rv = CKR_OK;
    /* A label too long is none of ours; nor is one that went away. But a token that fails at this
     * moment must not make a key of ours look as if it were not there, or not sound. */
    for (int i = 0; i < 2 && skip; i++) {
        rv = attribute_read(s, handle, CKA_LABEL, kek.info.label, sizeof kek.info.label - 1, &len);
        enum rv_reaction reaction = rv_reaction(rv);
        skip = rv == CKR_BUFFER_TOO_SMALL || reaction == RV_ITEM || reaction == RV_HANDLE;
    }
    if (!skip && rv != CKR_OK)
        FAIL_RV(rv, "C_GetAttributeValue", "token %s does not show the label of a key",
                s->p->label);
    if (skip && !label_is_long(s, handle)) t->hides = true;
    if (skip) return ERR_OK;
    kek.generation = kek.info.generation = kek_generation(kek.info.label);
    if (!kek.generation || strlen(kek.info.label) != len) return ERR_OK;
    if (t->n == KEK_MAX)
        FAIL(ERR_TOOLARGE, "token %s holds more than %u key-encryption keys", s->p->label,
             KEK_MAX);
    TRY(check_attributes(s, &kek, &wrong));
    if (wrong) TRY(check_attributes(s, &kek, &wrong));
    if (wrong) TRY(check_shown(s, &kek));
    if (wrong)
        log_error("kek.unsound", LOG_S("label", kek.info.label), LOG_S("attribute", wrong),
                  LOG_S("meaning", "this key is not used"));
    t->keks[t->n++] = kek;
    return ERR_OK;
}

static err_t find_keks(struct p11 *p, struct kek_table *t)
{
    const CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    const CK_KEY_TYPE aes = CKK_AES;
    const CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE template[] = {
        ATTR(CKA_CLASS, class), ATTR(CKA_KEY_TYPE, aes), ATTR(CKA_TOKEN, yes),
    };
    _cleanup_session_ struct p11_session s = {0};
    _cleanup_handles_ struct handles found = {0};
    TRY(session_take(p, &s));
    TRY(find_objects(&s, template, ATTR_COUNT(template), STORE_MAX_OBJECTS, "keys", &found));
    for (size_t i = 0; i < found.n; i++) TRY(add_kek(&s, found.at[i], t));
    qsort(t->keks, t->n, sizeof *t->keks, by_generation);
    for (size_t i = 1; i < t->n; i++)
        if (t->keks[i].generation == t->keks[i - 1].generation)
            FAIL(ERR_CONFLICT, "token %s holds two keys labelled %s; find out which one is ours "
                 "(its CKA_ID is in the envelopes) and relabel or delete the other", p->label,
                 t->keks[i].info.label);
    return ERR_OK;
}

/* ---- loading ---------------------------------------------------------------------------- */

static void publish(struct p11 *p, struct kek_table *t)
{
    SCOPED_LOCK(&p->kek_lock);
    memcpy(p->keks, t->keks, t->n * sizeof *t->keks);
    p->kek_count = t->n;
    p->kek_changes++;
    p->active = NULL;
    for (size_t i = t->n; i-- > 0;) {
        p->keks[i].info.active = !p->active && t->keks[i].info.sound && t->keks[i].info.canary_ok;
        if (p->keks[i].info.active) p->active = &p->keks[i];
    }
}

/* Suite and canaries. */
static err_t try_keks(struct p11 *p, struct kek_table *t)
{
    bool tested = false;
    for (size_t i = t->n; i-- > 0;) {
        struct p11_kek *kek = &t->keks[i];
        if (!kek->info.sound) continue;
        /* The newest sound key stands for the token; canaries need the suite. */
        if (!tested) TRY(suite_negotiate_with(p, kek->handle));
        tested = true;
        TRYC(canary_load(p, kek), "canary of %s", kek->info.label);
    }
    return ERR_OK;
}

static bool has_generation(const struct kek_table *t, uint32_t generation)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->keks[i].generation == generation) return true;
    return false;
}

/* A key that we know is not believed gone while the token hides labels; nor are all of them, ever: when
 * its directory vanishes SoftHSM finds nothing and says CKR_OK (tokens.md 2.2). */
static err_t check_loss(struct p11 *p, const struct kek_table *t)
{
    SCOPED_LOCK(&p->kek_lock);
    for (size_t i = 0; i < p->kek_count; i++) {
        if ((t->n && !t->hides) || has_generation(t, p->keks[i].generation)) continue;
        FAIL(ERR_TOKEN_DOWN, "token %s does not show %s any more", p->label, p->keks[i].info.label);
    }
    return ERR_OK;
}

static err_t check_fit(const struct p11 *p, const struct kek_table *t, uint32_t generation)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->keks[i].generation == generation && t->keks[i].info.sound && t->keks[i].info.canary_ok)
            return ERR_OK;
    FAIL(ERR_TOKEN_DOWN, "token %s does not show %s%" PRIu32 " as it just made it", p->label, KEK_LABEL,
         generation);
}

/* made: the generation that must come out fit for use; 0: whatever is there. */
static err_t load_locked(struct p11 *p, uint32_t made)
{
    _cleanup_free_ struct kek_table *t = calloc(1, sizeof *t);
    if (!t) FAIL(ERR_INTERNAL, "out of memory");
    TRY(find_keks(p, t));
    TRY(check_loss(p, t));
    struct suite_choice before = suite_chosen(p);
    struct err e = try_keks(p, t);
    if (err_ok(e) && made) e = check_fit(p, t, made);
    /* A weaker suite that does not even open the canary must not stay. */
    if (!err_ok(e)) suite_choose(p, before);
    else publish(p, t);
    return e;
}

err_t keys_load(struct p11 *p)
{
    SCOPED_JOB_LOCK(&p->keys_lock);
    return load_locked(p, 0);
}

err_t p11_kek_reload(struct p11 *p)
{
    return keys_load(p);
}

bool p11_has_kek(const struct p11 *p)
{
    SCOPED_LOCK((pthread_mutex_t *) &p->kek_lock);
    return p->kek_count > 0;
}

uint64_t p11_kek_changes(struct p11 *p)
{
    SCOPED_LOCK(&p->kek_lock);
    return p->kek_changes;
}

uint32_t p11_active_generation(struct p11 *p)
{
    SCOPED_LOCK(&p->kek_lock);
    return p->active ? p->active->generation : 0;
}

err_t p11_kek_list(struct p11 *p, struct p11_kek_info *ret, size_t max, size_t *ret_n)
{
    SCOPED_LOCK(&p->kek_lock);
    if (p->kek_count > max)
        FAIL(ERR_TOOLARGE, "%zu key-encryption keys, room for %zu", p->kek_count, max);
    for (size_t i = 0; i < p->kek_count; i++) ret[i] = p->keks[i].info;
    *ret_n = p->kek_count;
    return ERR_OK;
}

/* ---- making ----------------------------------------------------------------------------- */

static CK_RV generate(struct p11_session *s, struct p11_kek *kek)
{
    const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    const CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    const CK_KEY_TYPE aes = CKK_AES;
    const CK_ULONG bytes = KEK_BYTES;
    struct span label = span_str(kek->info.label);
    CK_ATTRIBUTE template[] = {
        ATTR(CKA_CLASS, class), ATTR(CKA_KEY_TYPE, aes), ATTR(CKA_VALUE_LEN, bytes),
        ATTR_SPAN(CKA_LABEL, label), ATTR(CKA_ID, kek->id),
        ATTR(CKA_TOKEN, yes), ATTR(CKA_PRIVATE, yes), ATTR(CKA_SENSITIVE, yes),
        ATTR(CKA_EXTRACTABLE, no), ATTR(CKA_MODIFIABLE, no),
        ATTR(CKA_WRAP, yes), ATTR(CKA_UNWRAP, yes), ATTR(CKA_ENCRYPT, no), ATTR(CKA_DECRYPT, no),
        ATTR(CKA_SIGN, no), ATTR(CKA_VERIFY, no), ATTR(CKA_DERIVE, no),
    };
    CK_MECHANISM mechanism = {.mechanism = CKM_AES_KEY_GEN};
    SCOPED_OBJECTS(s->p); /* it creates a token object */
    return session_rv(s, s->p->fn->C_GenerateKey(s->h, &mechanism, template,
                                                 ATTR_COUNT(template), &kek->handle));
}

/* A key that the token made otherwise than asked is removed at once, as is one that it could not be tried
 * with: nothing was sealed under it, and left alone it would stand in the way of later ones. */
static err_t make_kek(struct p11 *p, struct p11_kek *kek)
{
    const char *wrong = NULL;
    _cleanup_session_ struct p11_session s = {0};
    snprintf(kek->info.label, sizeof kek->info.label, KEK_LABEL "%" PRIu32, kek->generation);
    TRY(rand_bytes(kek->id, sizeof kek->id));
    uint8_t id[ENVELOPE_KEK_ID];
    memcpy(id, kek->id, sizeof id);
    TRY(session_take(p, &s));
    kek->epoch = p->epoch;
    CK_RV rv = generate(&s, kek);
    if (rv != CKR_OK) FAIL_RV(rv, "C_GenerateKey", "the token does not make %s", kek->info.label);
    TRY(check_attributes(&s, kek, &wrong));
    if (wrong) TRY(check_attributes(&s, kek, &wrong));
    if (!wrong && memcmp(id, kek->id, sizeof id) != 0) wrong = "CKA_ID";
    if (!wrong) return ERR_OK;
    FAIL(ERR_USAGE, "this token does not keep %s as a key-encryption key needs it; %s was removed "
         "again", wrong, kek->info.label);
}

static err_t destroy_kek(struct p11 *p, const struct p11_kek *kek)
{
    /* First, so that no later key of this number finds another's; a key without one gets it again. */
    TRY(canary_remove(p, kek->generation));
    _cleanup_session_ struct p11_session s = {0};
    TRY(session_take_at(p, kek->epoch, &s));
    SCOPED_OBJECTS(p);
    CK_RV rv = session_rv(&s, p->fn->C_DestroyObject(s.h, kek->handle));
    if (rv == CKR_OK) return ERR_OK;
    FAIL_RV(rv, "C_DestroyObject", "the token does not remove %s", kek->info.label);
}

/* Of a key that did not become one of ours. What cannot be removed is found when the keys are looked at
 * again. */
static err_t unmake_kek(struct p11 *p, const struct p11_kek *kek, struct err why)
{
    struct err_chain chain;
    err_save(why, &chain); /* removing it may say more */
    struct err e = kek->handle ? destroy_kek(p, kek) : ERR_OK;
    if (!err_ok(e)) log_warn_err(e, "kek.left", LOG_S("label", kek->info.label));
    return err_load(&chain);
}

static err_t next_generation(struct p11 *p, bool next, uint32_t *ret)
{
    /* What is on the token now, not what was there when it was opened. */
    _cleanup_free_ struct kek_table *t = calloc(1, sizeof *t);
    if (!t) FAIL(ERR_INTERNAL, "out of memory");
    TRY(find_keks(p, t));
    uint32_t newest = t->n ? t->keks[t->n - 1].generation : 0;
    /* Of another process, or of a try that was cut off. */
    if (newest && !next && !p11_has_kek(p)) TRY(load_locked(p, 0));
    if (newest && !next)
        FAIL(ERR_CONFLICT, "token %s has %s already; to rotate, make the next generation: "
             "strongroom kek create --next", p->label, t->keks[t->n - 1].info.label);
    if (newest == UINT32_MAX || t->n == KEK_MAX)
        FAIL(ERR_TOOLARGE, "token %s has no room for another generation (at most %u); remove old "
             "keys that no envelope names", p->label, KEK_MAX);
    *ret = newest + 1;
    return ERR_OK;
}

err_t p11_kek_create(struct p11 *p, bool next, struct p11_kek_info *ret)
{
    struct p11_kek kek = {0};
    SCOPED_JOB_LOCK(&p->keys_lock);
    TRY(next_generation(p, next, &kek.generation));
    struct err e = make_kek(p, &kek);
    /* Tests it, writes its canary, makes it the active one. */
    if (err_ok(e)) e = load_locked(p, kek.generation);
    if (!err_ok(e)) return unmake_kek(p, &kek, e);
    SCOPED_LOCK(&p->kek_lock);
    for (size_t i = 0; i < p->kek_count; i++)
        if (p->keks[i].generation == kek.generation) *ret = p->keks[i].info;
    return ERR_OK;
}

/* ---- removing --------------------------------------------------------------------------- */

static err_t find_old(struct p11 *p, uint32_t generation, struct p11_kek *ret)
{
    SCOPED_LOCK(&p->kek_lock);
    for (size_t i = 0; i < p->kek_count; i++) {
        if (p->keks[i].generation != generation) continue;
        if (p->active == &p->keks[i])
            FAIL(ERR_CONFLICT, "%s is the key in use", p->keks[i].info.label);
        *ret = p->keks[i];
        return ERR_OK;
    }
    FAIL(ERR_NOTFOUND, "token %s has no %s%" PRIu32, p->label, KEK_LABEL, generation);
}

err_t p11_kek_destroy(struct p11 *p, uint32_t generation)
{
    struct p11_kek kek = {0};
    SCOPED_JOB_LOCK(&p->keys_lock);
    TRY(load_locked(p, 0)); /* handles and generations as they are now */
    TRY(find_old(p, generation, &kek));
    TRY(destroy_kek(p, &kek));
    return load_locked(p, 0);
}

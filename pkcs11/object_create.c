/* Making data objects: the template that a token takes, and reading back what was made, one by one or
 * several by one find (DESIGN 3, Writing). */
#include "pkcs11/object.h"

#include <string.h>

#include "broker/base/log.h"
#include "pkcs11/find.h"

#define TRIAL_LABEL "strongroom:trial"
#define SAME_LABEL_MAX (STORE_KEEP_VERSIONS_MAX + 28u) /* versions, and what failed writes left */

#define FIND_ALL_MAX (2 * STORE_READ_MAX) /* a scan tells that they are too many; here they must not hide ours */

static const CK_BBOOL no = CK_FALSE;

/* ---- creating --------------------------------------------------------------------------- */

/* From the best to what the meanest token takes: YubiHSM knows no MODIFIABLE and no private data.
 * Public is no loss of secrecy, as values are sealed; it shows names to who has no PIN. */
static const struct data_template {
    const CK_BBOOL *private;
    bool says_modifiable;
    const char *text;
} DATA_TEMPLATES[] = {
    {&object_yes, true, "private, not modifiable"},
    {&object_yes, false, "private"},
    {&no, false, "public"},
};
#define DATA_TEMPLATE_COUNT (sizeof DATA_TEMPLATES / sizeof *DATA_TEMPLATES)

bool rv_refuses_template(CK_RV rv)
{
    return rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_VALUE_INVALID ||
           rv == CKR_ATTRIBUTE_READ_ONLY || rv == CKR_TEMPLATE_INCONSISTENT ||
           rv == CKR_TEMPLATE_INCOMPLETE;
}

static CK_RV create_as(struct p11_session *s, const struct data_template *t, struct span label,
                       struct span value, bool modifiable, CK_OBJECT_HANDLE *ret)
{
    CK_ATTRIBUTE template[] = {
        OBJECT_OURS, ATTR_SPAN(CKA_LABEL, label), ATTR_SPAN(CKA_VALUE, value),
        {CKA_PRIVATE, (void *) t->private, sizeof *t->private},
        {CKA_MODIFIABLE, (void *) (modifiable ? &object_yes : &no), sizeof no},
    };
    CK_ULONG n = ATTR_COUNT(template) - !t->says_modifiable;
    return session_rv(s, s->p->fn->C_CreateObject(s->h, template, n, ret));
}

CK_RV object_create_locked(struct p11_session *s, const char *label, struct span value,
                           bool modifiable, CK_OBJECT_HANDLE *ret)
{
    struct p11 *p = s->p;
    CK_RV rv = CKR_TEMPLATE_INCONSISTENT;
    for (unsigned i = p->data_template; i < DATA_TEMPLATE_COUNT; i++) {
        rv = create_as(s, &DATA_TEMPLATES[i], span_str(label), value, modifiable, ret);
        if (rv_refuses_template(rv)) continue;
        if (rv == CKR_OK && i != p->data_template) {
            p->data_template = i; /* this token's taste, as long as it is open */
            log_warn("token.data-objects", LOG_S("kept_as", DATA_TEMPLATES[i].text),
                     LOG_S("reason", "the token refuses better attributes"));
        }
        return rv;
    }
    return rv;
}

/* ---- reading back ----------------------------------------------------------------------- */

enum read_back { READ_BACK_MISSING, READ_BACK_SAME, READ_BACK_OTHER };

static err_t compare_value(struct p11_session *s, CK_OBJECT_HANDLE object, struct span value,
                           enum read_back *ret)
{
    _cleanup_free_ uint8_t *bytes = malloc(value.len + 1);
    size_t len = 0;
    if (!bytes) FAIL(ERR_INTERNAL, "out of memory");
    CK_RV rv = attribute_read(s, object, CKA_VALUE, bytes, value.len + 1, &len);
    bool other = rv == CKR_BUFFER_TOO_SMALL || (rv == CKR_OK && len && len != value.len) ||
                 (rv == CKR_OK && len == value.len && len && memcmp(bytes, value.data, len) != 0);
    bool missing = rv == CKR_OBJECT_HANDLE_INVALID || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
                   (rv == CKR_OK && !len && value.len);
    *ret = other ? READ_BACK_OTHER : missing ? READ_BACK_MISSING : READ_BACK_SAME;
    if (rv == CKR_OK || other || missing) return ERR_OK;
    FAIL_RV(rv, "C_GetAttributeValue", "the token does not show what was stored");
}

static bool holds(const struct handles *found, CK_OBJECT_HANDLE object)
{
    for (size_t i = 0; i < found->n; i++)
        if (found->at[i] == object) return true;
    return false;
}

/* What was made is looked for on a session of its own, opened for this and outside the pool: waiting for
 * a second pooled one while holding the first could wait for itself. A token without room for it reads
 * back on the first. */
static struct p11_session *fresh_open(struct p11_session *maker, struct p11_session *own)
{
    *own = (struct p11_session){.p = maker->p};
    return err_ok(session_open(maker->p->fn, maker->p->slot, &own->h)) ? own : maker;
}

static void fresh_close(struct p11_session *own)
{
    if (own->h != CK_INVALID_HANDLE) own->p->fn->C_CloseSession(own->h);
}

/* Finds what was just created as if for the first time, and reads it. */
static err_t look_again_locked(struct p11_session *s, const char *label, struct span value,
                               CK_OBJECT_HANDLE made, enum read_back *ret)
{
    _cleanup_handles_ struct handles found = {0};
    *ret = READ_BACK_MISSING;
    TRY(object_find_locked(s, label, STORE_READ_MAX, &found));
    return holds(&found, made) ? compare_value(s, made, value, ret) : ERR_OK;
}

static err_t read_back_locked(struct p11_session *maker, const char *label, struct span value,
                              CK_OBJECT_HANDLE made, enum read_back *ret)
{
    struct p11_session own;
    struct err e = look_again_locked(fresh_open(maker, &own), label, value, made, ret);
    fresh_close(&own);
    return e;
}

/* ---- one object --------------------------------------------------------------------------- */

/* One on its way. */
struct making {
    CK_RV rv; /* of C_CreateObject */
    struct p11_object object;
    enum read_back back;
};

static err_t create_and_read_back(struct p11 *p, const char *label, struct span value, struct making *ret)
{
    CK_OBJECT_HANDLE made = CK_INVALID_HANDLE;
    _cleanup_session_ struct p11_session s = {0};
    TRY(session_take(p, &s));
    SCOPED_OBJECTS(p);
    ret->rv = object_create_locked(&s, label, value, false, &made);
    if (ret->rv != CKR_OK) return ERR_OK;
    /* Now, while our session keeps recovery away: its new handles may have the same numbers. */
    ret->object = (struct p11_object){.handle = made, .epoch = p->epoch};
    struct err e = read_back_locked(&s, label, value, made, &ret->back);
    if (err_ok(e) && ret->back == READ_BACK_SAME) return ERR_OK;
    /* Half-made or not to be seen: it must not be found later as if it had been acknowledged. */
    session_rv(&s, p->fn->C_DestroyObject(s.h, made));
    TRYC(e, "reading %s back", label);
    return ERR_OK;
}

static err_t judge_create(struct p11 *p, const char *label, size_t len, CK_RV rv)
{
    enum err_class class = rv_work_class(rv);
    /* A full disk is CKR_GENERAL_ERROR for SoftHSM (tokens.md 2.2); a token that still opens its
     * canary is not down. */
    if (rv_reaction(rv) == RV_CANARY && err_ok(p11_check(p))) class = ERR_FULL;
    FAIL_P11(class, rv, "C_CreateObject", class == ERR_FULL
             ? "token %s has no room for %s (%zu bytes); purge deleted resources, lower "
               "keep_versions or enlarge the token"
             : "token %s does not store %s (%zu bytes)", p->label, label, len);
}

/* What came of it. The caller holds no session. */
static err_t judge(struct p11 *p, const char *label, size_t len, const struct making *m)
{
    if (m->rv != CKR_OK) return judge_create(p, label, len, m->rv);
    if (m->back == READ_BACK_SAME) return ERR_OK;
    if (m->back == READ_BACK_MISSING) {
        TRY(object_still_ours(p, m->object.epoch));
        FAIL(ERR_FULL, "token %s took %s and does not have it: it is full (for SoftHSM: its disk "
             "is); make room and write again", p->label, label);
    }
    FAIL(ERR_TOKEN_DOWN, "token %s gives %s back changed; it was removed", p->label, label);
}

static err_t create_judged(struct p11 *p, const char *label, struct span value,
                           struct p11_object *ret)
{
    struct making m = {0};
    TRY(create_and_read_back(p, label, value, &m));
    TRY(judge(p, label, value.len, &m));
    *ret = m.object;
    return ERR_OK;
}

/* What failed may lie there all the same, and must not lie there twice. */
static err_t find_made(struct p11 *p, const char *label, struct span value, struct p11_object *ret,
                       bool *ret_found)
{
    struct p11_object found[SAME_LABEL_MAX];
    size_t n = 0;
    *ret_found = false;
    TRY(token_object_find(p, label, found, SAME_LABEL_MAX, &n));
    for (size_t i = 0; i < n && !*ret_found; i++) {
        _cleanup_buf_ struct buf b = {.max = ENVELOPE_MAX};
        struct err e = token_object_read(p, found[i], &b);
        if (e.code == ERR_NOTFOUND || e.code == ERR_DAMAGED) continue;
        TRY(e);
        *ret_found = span_eq(buf_span(&b), value);
        if (*ret_found) *ret = found[i];
    }
    return ERR_OK;
}

/* After the token came back. */
static err_t create_again(struct p11 *p, const char *label, struct span value, struct p11_object *ret)
{
    bool found = false;
    TRYC(find_made(p, label, value, ret, &found), "whether %s was stored is not known", label);
    return found ? ERR_OK : create_judged(p, label, value, ret);
}

err_t token_object_create(struct p11 *p, const char *label, struct span value,
                        struct p11_object *ret)
{
    uint64_t epoch = p11_opening(p);
    struct err e = create_judged(p, label, value, ret);
    if (err_ok(e) || !p11_mended(p, e, epoch)) return e;
    return create_again(p, label, value, ret);
}

/* ---- several ------------------------------------------------------------------------------ */

/* Each under the lock for itself, so that others get their turn. Once the token has forgotten the
 * session, the rest share that fate. */
static void create_each(struct p11_session *s, struct p11_draft *d, struct making *m, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (s->gone) {
            m[i].rv = m[i - 1].rv;
            continue;
        }
        CK_OBJECT_HANDLE made = CK_INVALID_HANDLE;
        SCOPED_OBJECTS(s->p);
        m[i].rv = object_create_locked(s, d[i].label, d[i].value, false, &made);
        m[i].object = (struct p11_object){.handle = made, .epoch = s->p->epoch};
    }
}

/* The one find covers all that is ours, since nothing else selects a batch. */
static void look_again_at_each(struct p11_session *s, struct p11_draft *d, struct making *m, size_t n)
{
    _cleanup_handles_ struct handles found = {0};
    struct err_chain failed = {.err = ERR_OK};
    struct err e = object_find_locked(s, NULL, FIND_ALL_MAX, &found);
    if (!err_ok(e)) err_save(e, &failed);
    for (size_t i = 0; i < n; i++) {
        if (m[i].rv != CKR_OK) continue;
        if (!err_ok(failed.err)) d[i].outcome = failed;
        if (!err_ok(failed.err) || !holds(&found, m[i].object.handle)) continue;
        e = compare_value(s, m[i].object.handle, d[i].value, &m[i].back);
        if (!err_ok(e)) err_save(e, &d[i].outcome);
    }
}

/* Half-made or not to be seen: it must not be found later as if it had been acknowledged. */
static void remove_bad(struct p11_session *s, const struct p11_draft *d, const struct making *m, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (m[i].rv == CKR_OK && (!err_ok(d[i].outcome.err) || m[i].back != READ_BACK_SAME))
            session_rv(s, s->p->fn->C_DestroyObject(s->h, m[i].object.handle));
}

static err_t create_and_read_all_back(struct p11 *p, struct p11_draft *d, struct making *m, size_t n)
{
    struct p11_session own;
    _cleanup_session_ struct p11_session s = {0};
    TRY(session_take(p, &s)); /* held until the end: while it is, recovery waits, and handles are good */
    create_each(&s, d, m, n);
    SCOPED_OBJECTS(p);
    look_again_at_each(fresh_open(&s, &own), d, m, n);
    fresh_close(&own);
    remove_bad(&s, d, m, n);
    return ERR_OK;
}

static err_t judge_one(struct p11 *p, struct p11_draft *d, const struct making *m)
{
    if (!err_ok(d->outcome.err)) TRYC(err_load(&d->outcome), "reading %s back", d->label);
    TRY(judge(p, d->label, d->value.len, m));
    d->object = m->object;
    return ERR_OK;
}

void token_objects_create(struct p11 *p, struct p11_draft *d, size_t n)
{
    struct making m[STORE_BATCH_MAX] = {0};
    struct err_chain none = {.err = ERR_OK}; /* of all of them */
    uint64_t epoch = p11_opening(p);
    bool hope = true; /* that what the token does not do now it does once it is back */
    for (size_t i = 0; i < n; i++) d[i].outcome = none;
    struct err e = create_and_read_all_back(p, d, m, n);
    if (!err_ok(e)) err_save(e, &none);
    for (size_t i = 0; i < n; i++) {
        e = err_ok(none.err) ? judge_one(p, &d[i], &m[i]) : err_load(&none);
        hope = hope && (e.code != ERR_TOKEN_DOWN || p11_mended(p, e, epoch));
        if (e.code == ERR_TOKEN_DOWN && hope) e = create_again(p, d[i].label, d[i].value, &d[i].object);
        if (err_ok(e)) d[i].outcome = (struct err_chain){.err = ERR_OK};
        else err_save(e, &d[i].outcome);
    }
}

/* ---- whether the token keeps any at all ------------------------------------------------- */

/* Codes by which tokens say that they keep no such thing (tokens.md 1.1, 6). */
static bool rv_keeps_none(CK_RV rv)
{
    return rv_refuses_template(rv) || rv == CKR_FUNCTION_NOT_SUPPORTED ||
           rv == CKR_DEVICE_MEMORY || rv == CKR_ACTION_PROHIBITED;
}

err_t token_object_try(struct p11 *p, bool *ret_keeps)
{
    struct making m = {0};
    TRY(create_and_read_back(p, TRIAL_LABEL, SPAN_LIT("trial"), &m));
    *ret_keeps = m.rv == CKR_OK;
    if (m.rv == CKR_OK) TRY(judge(p, TRIAL_LABEL, 0, &m));
    if (m.rv == CKR_OK) return token_object_destroy(p, m.object);
    if (rv_keeps_none(m.rv)) return ERR_OK;
    FAIL_RV(m.rv, "C_CreateObject", "token %s takes no data object", p->label);
}

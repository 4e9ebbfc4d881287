#include <string.h>

#include "pkcs11/find.h"
#include "pkcs11/object.h"

/* The epoch is in the label, since a label can be changed in place and read through the handle;
 * the value is never read. tpm2-pkcs11 refuses an empty one. */

static CK_OBJECT_HANDLE known_handle(struct p11 *p)
{
    return __atomic_load_n(&p->epoch_object, __ATOMIC_ACQUIRE);
}

static void know_handle(struct p11 *p, CK_OBJECT_HANDLE h)
{
    __atomic_store_n(&p->epoch_object, h, __ATOMIC_RELEASE);
}

static bool is_epoch(const char *label)
{
    return strncmp(label, P11_EPOCH_LABEL, strlen(P11_EPOCH_LABEL)) == 0 && strlen(label) < P11_EPOCH_TEXT;
}

/* One C_GetAttributeValue through the handle that is known. CKR_OBJECT_HANDLE_INVALID: none is, or it
 * is another object by now. */
static CK_RV read_known(struct p11_session *s, char ret[P11_EPOCH_TEXT])
{
    char label[P11_LABEL_MAX];
    CK_OBJECT_HANDLE h = known_handle(s->p);
    if (!h) return CKR_OBJECT_HANDLE_INVALID;
    CK_RV rv = object_label(s, h, label);
    if (rv != CKR_OK || !is_epoch(label)) return rv == CKR_OK ? CKR_OBJECT_HANDLE_INVALID : rv;
    memcpy(ret, label, strlen(label) + 1);
    return CKR_OK;
}

/* ---- finding ---------------------------------------------------------------------------- */

/* Two writers that began at once leave two epoch objects. Everybody reads the one with the greatest
 * label, until the next touch removes the others. */
struct epochs {
    bool any; /* object of ours, of whatever kind */
    struct p11_object best;
    char label[P11_EPOCH_TEXT];
    struct handles others;
};

static err_t visit_epoch(void *arg, const struct p11_seen *seen)
{
    struct epochs *x = arg;
    x->any = true;
    if (!is_epoch(seen->label)) return ERR_OK;
    CK_OBJECT_HANDLE loser = seen->object.handle;
    if (strcmp(seen->label, x->label) > 0) {
        loser = x->best.handle;
        x->best = seen->object;
        memcpy(x->label, seen->label, strlen(seen->label) + 1);
    }
    if (!loser) return ERR_OK;
    CK_OBJECT_HANDLE *at = reallocarray(x->others.at, x->others.n + 1, sizeof *at);
    if (!at) FAIL(ERR_INTERNAL, "out of memory");
    x->others.at = at;
    at[x->others.n++] = loser;
    return ERR_OK;
}

static void epochs_done(struct epochs *x)
{
    handles_free(&x->others);
}

static err_t read_by_handle(struct p11 *p, char ret[P11_EPOCH_TEXT], bool *ret_done)
{
    _cleanup_session_ struct p11_session s = {0};
    TRY(session_take(p, &s));
    SCOPED_CRYPTO(p);
    *ret_done = read_known(&s, ret) == CKR_OK;
    return ERR_OK;
}

static err_t read_once(struct p11 *p, char ret[P11_EPOCH_TEXT])
{
    bool done = false;
    _cleanup_(epochs_done) struct epochs x = {0};
    TRY(read_by_handle(p, ret, &done));
    if (done) return ERR_OK;
    TRY(token_object_scan(p, false, visit_epoch, &x));
    if (!x.best.handle) FAIL(ERR_NOTFOUND, "token %s has no epoch object yet", p->label);
    know_handle(p, x.best.handle);
    memcpy(ret, x.label, strlen(x.label) + 1);
    return ERR_OK;
}

err_t token_epoch_find(struct p11 *p, bool *ret_any)
{
    _cleanup_(epochs_done) struct epochs x = {0};
    TRY(token_object_scan(p, false, visit_epoch, &x));
    if (x.best.handle) know_handle(p, x.best.handle);
    *ret_any = x.any;
    return ERR_OK;
}

err_t token_epoch_read(struct p11 *p, char ret[P11_EPOCH_TEXT])
{
    struct err e = ERR_OK;
    for (int i = 0; i < REPAIRS; i++) {
        uint64_t epoch = p11_opening(p);
        e = read_once(p, ret);
        if (err_ok(e) || !p11_mended(p, e, epoch)) break;
    }
    return e;
}

/* ---- touching --------------------------------------------------------------------------- */

/* False: the token refuses, or did something else. */
static bool relabel_locked(struct p11_session *s, CK_OBJECT_HANDLE h, const char *epoch)
{
    struct span label = span_str(epoch);
    char is[P11_LABEL_MAX];
    CK_ATTRIBUTE a[] = {ATTR_SPAN(CKA_LABEL, label)};
    CK_RV rv = session_rv(s, s->p->fn->C_SetAttributeValue(s->h, h, a, ATTR_COUNT(a)));
    return rv == CKR_OK && object_label(s, h, is) == CKR_OK && strcmp(is, epoch) == 0;
}

/* The object that is known, relabelled; one round trip when all is well. */
static err_t touch_known(struct p11 *p, const char *epoch, bool *ret_done)
{
    _cleanup_session_ struct p11_session s = {0};
    char now[P11_EPOCH_TEXT];
    TRY(session_take(p, &s));
    SCOPED_OBJECTS(p);
    *ret_done = read_known(&s, now) == CKR_OK && relabel_locked(&s, known_handle(p), epoch);
    return ERR_OK;
}

/* A new one and no other: the first epoch of a token, or one that does not relabel. */
static err_t replace_all(struct p11 *p, const char *epoch, const struct epochs *old)
{
    _cleanup_session_ struct p11_session s = {0};
    CK_OBJECT_HANDLE made = CK_INVALID_HANDLE;
    if (old->best.handle) TRY(session_take_at(p, old->best.epoch, &s));
    else TRY(session_take(p, &s));
    SCOPED_OBJECTS(p);
    CK_RV rv = object_create_locked(&s, epoch, SPAN_LIT("epoch"), true, &made);
    if (rv != CKR_OK) FAIL_RV(rv, "C_CreateObject", "token %s takes no epoch object", p->label);
    know_handle(p, made);
    if (old->best.handle) session_rv(&s, p->fn->C_DestroyObject(s.h, old->best.handle));
    return ERR_OK;
}

static err_t drop_others(struct p11 *p, const struct epochs *x)
{
    _cleanup_session_ struct p11_session s = {0};
    if (!x->others.n) return ERR_OK;
    TRY(session_take_at(p, x->best.epoch, &s)); /* the same numbers may be other objects by now */
    SCOPED_OBJECTS(p);
    /* Readers that hold one of these find the right one again; one that stays does no harm. */
    for (size_t i = 0; i < x->others.n; i++)
        session_rv(&s, p->fn->C_DestroyObject(s.h, x->others.at[i]));
    return ERR_OK;
}

static err_t touch(struct p11 *p, const char *epoch)
{
    bool done = false;
    _cleanup_(epochs_done) struct epochs x = {0};
    TRY(touch_known(p, epoch, &done));
    if (done) return ERR_OK;
    TRY(token_object_scan(p, false, visit_epoch, &x));
    know_handle(p, x.best.handle);
    if (x.best.handle) TRY(touch_known(p, epoch, &done));
    if (!done) TRY(replace_all(p, epoch, &x));
    return drop_others(p, &x);
}

err_t token_epoch_touch(struct p11 *p, const char *epoch)
{
    struct err e = ERR_OK;
    for (int i = 0; i < REPAIRS; i++) {
        uint64_t opening = p11_opening(p);
        e = touch(p, epoch);
        if (err_ok(e) || !p11_mended(p, e, opening)) break;
    }
    return e;
}

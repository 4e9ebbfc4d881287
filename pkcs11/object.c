#include "pkcs11/object.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/log.h"
#include "pkcs11/find.h"
#include "pkcs11/seal.h"

#define READ_GUESS 2048u /* room offered at first: one call for most values instead of three */
#define READ_GUESS_MAX (128u << 10)
#define READ_GUESS_STEP 4096u

const char object_application[sizeof OBJECT_APPLICATION] = OBJECT_APPLICATION;
const CK_OBJECT_CLASS object_data_class = CKO_DATA;
const CK_BBOOL object_yes = CK_TRUE;

/* ---- read, destroy ---------------------------------------------------------------------- */

/* The handle may be of an object that somebody removed. */
static enum err_class object_class(CK_RV rv)
{
    return rv_class(rv) == ERR_NOTFOUND ? ERR_NOTFOUND : rv_work_class(rv);
}

static err_t check_epoch(const struct p11 *p, struct p11_object o)
{
    if (o.epoch != p->epoch || o.handle == CK_INVALID_HANDLE)
        FAIL(ERR_NOTFOUND, "the object's handle is of an earlier opening of the token");
    return ERR_OK;
}

err_t object_still_ours(struct p11 *p, uint64_t epoch)
{
    if (p11_has_kek(p)) TRY(p11_check(p));
    if (p11_opening(p) != epoch) FAIL(ERR_TOKEN_DOWN, "the token was opened again meanwhile");
    return ERR_OK;
}

/* Room for a value. Each call costs a token the whole value, so what larger ones needed is offered from
 * then on. */
static atomic_size_t value_guess = READ_GUESS;

/* Appends the value; what it takes beyond the guess costs a second call. */
static CK_RV value_read(struct p11_session *s, CK_OBJECT_HANDLE object, struct buf *ret)
{
    size_t before = ret->len, room = atomic_load(&value_guess), len = 0;
    CK_RV rv = CKR_BUFFER_TOO_SMALL;
    for (int i = 0; i < 2 && rv == CKR_BUFFER_TOO_SMALL; i++) {
        if (i) {
            CK_ATTRIBUTE size = {CKA_VALUE, NULL, 0};
            rv = session_rv(s, s->p->fn->C_GetAttributeValue(s->h, object, &size, 1));
            if (rv != CKR_OK) return rv;
            if (size.ulValueLen > ENVELOPE_MAX) return CKR_DATA_LEN_RANGE;
            room = size.ulValueLen;
            if (room <= READ_GUESS_MAX - READ_GUESS_STEP)
                atomic_store(&value_guess, (room / READ_GUESS_STEP + 1) * READ_GUESS_STEP);
        }
        uint8_t *at = buf_extend(ret, room);
        if (!at) return CKR_HOST_MEMORY;
        rv = attribute_read(s, object, CKA_VALUE, at, room, &len);
        ret->len = before + (rv == CKR_OK ? len : 0);
    }
    return rv;
}

static err_t read_once(struct p11 *p, struct p11_object o, struct buf *ret, CK_RV *ret_rv)
{
    _cleanup_session_ struct p11_session s = {0};
    TRY(session_take(p, &s));
    TRY(check_epoch(p, o));
    SCOPED_CRYPTO(p); /* reading attributes goes beside the object calls, like cryptography */
    *ret_rv = value_read(&s, o.handle, ret);
    return buf_ok(ret);
}

/* Whether the token shows the label of its own key: one that shows nothing condemns no object. The
 * canary does not tell, as opening it reads no attribute. */
static bool shows_attributes(struct p11 *p)
{
    char label[P11_LABEL_MAX];
    struct seal_key key = {0};
    _cleanup_session_ struct p11_session s = {0};
    {
        SCOPED_LOCK(&p->kek_lock);
        if (!p->active) return true; /* nothing to ask for */
        key = seal_key_of(p->active);
    }
    if (!err_ok(session_take_at(p, key.epoch, &s))) return false;
    SCOPED_CRYPTO(p);
    return object_label(&s, key.handle, label) == CKR_OK;
}

/* Whether this code condemns the object alone. SoftHSM's for a value that it cannot decrypt is its
 * code for a token that is gone, too: then the canary tells. The caller holds no session. */
static bool object_is_at_fault(struct p11 *p, struct p11_object o, CK_RV rv)
{
    enum rv_reaction reaction = rv_reaction(rv);
    if (reaction != RV_ITEM && (reaction != RV_CANARY || !err_ok(p11_check(p)))) return false;
    return shows_attributes(p) && p11_opening(p) == o.epoch;
}

static err_t read_judged(struct p11 *p, struct p11_object o, struct buf *ret)
{
    CK_RV rv = CKR_OK;
    for (unsigned i = 0;; i++) {
        TRY(read_once(p, o, ret, &rv));
        if (!session_again(p, rv, i, false)) break;
    }
    if (rv == CKR_OK) return ERR_OK;
    if (rv == CKR_DATA_LEN_RANGE)
        FAIL(ERR_TOOLARGE, "an object of token %s is over %u bytes", p->label, ENVELOPE_MAX);
    if (object_is_at_fault(p, o, rv))
        FAIL_P11(ERR_DAMAGED, rv, "C_GetAttributeValue", "token %s cannot show an object of its "
                 "own any more", p->label);
    /* A token that shows nothing says nothing of this one either. */
    FAIL_P11(rv_reaction(rv) == RV_ITEM ? ERR_TOKEN_DOWN : object_class(rv), rv,
             "C_GetAttributeValue", "token %s does not show an object", p->label);
}

err_t token_object_read(struct p11 *p, struct p11_object o, struct buf *ret)
{
    struct err e = ERR_OK;
    for (int i = 0; i < REPAIRS; i++) {
        e = read_judged(p, o, ret);
        if (err_ok(e) || !p11_mended(p, e, o.epoch)) break;
    }
    return e;
}

static err_t destroy_once(struct p11 *p, struct p11_object o, CK_RV *ret_rv)
{
    _cleanup_session_ struct p11_session s = {0};
    TRY(session_take_at(p, o.epoch, &s)); /* of another opening: nobody knows whether it is gone */
    SCOPED_OBJECTS(p);
    *ret_rv = session_rv(&s, p->fn->C_DestroyObject(s.h, o.handle));
    return ERR_OK;
}

/* What failed may be done all the same, and then another object may have the handle. */
static bool is_repeatable(const struct p11 *p, CK_RV rv)
{
    return p->handles_unique || rv == CKR_SESSION_HANDLE_INVALID || rv == CKR_SESSION_CLOSED;
}

static err_t destroy_judged(struct p11 *p, struct p11_object o, bool *ret_again)
{
    CK_RV rv = CKR_OK;
    *ret_again = true; /* without a session nothing was begun */
    TRY(destroy_once(p, o, &rv));
    if (rv == CKR_OK) return ERR_OK;
    *ret_again = is_repeatable(p, rv);
    /* Not to be seen without a login, either. */
    if (rv_class(rv) == ERR_NOTFOUND) TRY(object_still_ours(p, o.epoch));
    FAIL_P11(object_class(rv), rv, "C_DestroyObject", "token %s keeps an object", p->label);
}

err_t token_object_destroy(struct p11 *p, struct p11_object o)
{
    struct err e = ERR_OK;
    bool again = false;
    for (int i = 0; i < REPAIRS; i++) {
        e = destroy_judged(p, o, &again);
        if (err_ok(e) || !again || !p11_mended(p, e, o.epoch)) break;
    }
    return e;
}

/* ---- scan and find -------------------------------------------------------------- */

static CK_RV end_label(char label[P11_LABEL_MAX], size_t len)
{
    label[len] = '\0';
    return strlen(label) == len ? CKR_OK : CKR_ATTRIBUTE_VALUE_INVALID;
}

CK_RV object_label(struct p11_session *s, CK_OBJECT_HANDLE object, char out[P11_LABEL_MAX])
{
    size_t len = 0;
    CK_RV rv = attribute_read(s, object, CKA_LABEL, out, P11_LABEL_MAX - 1, &len);
    if (rv == CKR_BUFFER_TOO_SMALL) return CKR_ATTRIBUTE_VALUE_INVALID;
    return rv == CKR_OK ? end_label(out, len) : rv;
}

/* One object of a scan, and the code of the first of its attributes that cannot be read. */
struct sight {
    struct p11_object object;
    char label[P11_LABEL_MAX]; /* "" when it is not known */
    struct buf value;
    bool with_value;
    CK_RV rv;
};

static void sight_done(struct sight *x)
{
    buf_free(&x->value);
}

/* Both in one call, which is half of a scan's. */
static CK_RV look_at_both(struct p11_session *s, struct sight *x)
{
    size_t room = atomic_load(&value_guess);
    uint8_t *value = buf_extend(&x->value, room);
    if (!value) return CKR_HOST_MEMORY;
    CK_ATTRIBUTE a[] = {{CKA_LABEL, x->label, P11_LABEL_MAX - 1}, {CKA_VALUE, value, room}};
    CK_RV rv = attributes_read(s, x->object.handle, a, ATTR_COUNT(a));
    x->value.len = rv == CKR_OK ? a[1].ulValueLen : 0;
    if (rv == CKR_OK) rv = end_label(x->label, a[0].ulValueLen);
    if (rv != CKR_OK) x->label[0] = '\0';
    return rv;
}

/* The label may be readable where the value is not, or needs more room. */
static bool worth_single_looks(CK_RV rv)
{
    enum rv_reaction reaction = rv_reaction(rv);
    return rv == CKR_BUFFER_TOO_SMALL || reaction == RV_ITEM || reaction == RV_CANARY;
}

static CK_RV look_at_each(struct p11_session *s, struct sight *x)
{
    buf_reset(&x->value);
    CK_RV rv = object_label(s, x->object.handle, x->label);
    if (rv != CKR_OK) x->label[0] = '\0';
    else if (x->with_value) rv = value_read(s, x->object.handle, &x->value);
    return rv;
}

static err_t look_once(struct p11 *p, struct sight *x)
{
    _cleanup_session_ struct p11_session s = {0};
    TRY(session_take_at(p, x->object.epoch, &s));
    SCOPED_CRYPTO(p);
    buf_reset(&x->value);
    if (x->with_value) x->rv = look_at_both(&s, x);
    if (!x->with_value || worth_single_looks(x->rv)) x->rv = look_at_each(&s, x);
    return buf_ok(&x->value);
}

/* Looks twice where the object may be at fault, since one that is destroyed while it is read may
 * answer anything. CKR_OBJECT_HANDLE_INVALID in x->rv: gone meanwhile. */
static err_t look_at(struct p11 *p, struct sight *x)
{
    for (unsigned i = 0; i < 2; i++) {
        TRY(look_once(p, x));
        if (session_again(p, x->rv, i, false)) continue;
        if (x->rv == CKR_OK) return ERR_OK;
        bool gone = x->rv == CKR_OBJECT_HANDLE_INVALID;
        if (gone && shows_attributes(p)) return ERR_OK;
        if (gone || !object_is_at_fault(p, x->object, x->rv))
            FAIL_P11(rv_reaction(x->rv) == RV_ITEM ? ERR_TOKEN_DOWN : rv_work_class(x->rv), x->rv,
                     "C_GetAttributeValue", "token %s does not show an object", p->label);
    }
    char name[RV_NAME];
    log_warn("token.object-unreadable", LOG_U("handle", x->object.handle),
             LOG_S("label", x->label), LOG_S("code", rv_name(x->rv, name)));
    return ERR_OK;
}

err_t object_find_locked(struct p11_session *s, const char *label, size_t max, struct handles *ret)
{
    struct span text = span_str(label ? label : "");
    CK_ATTRIBUTE template[] = {ATTR_SPAN(CKA_LABEL, text), OBJECT_OURS};
    CK_ULONG n = ATTR_COUNT(template);
    return find_objects_locked(s, label ? template : template + 1, label ? n : n - 1, max, "objects", ret);
}

static err_t find_once(struct p11 *p, const char *label, struct handles *ret, uint64_t *ret_epoch)
{
    _cleanup_session_ struct p11_session s = {0};
    TRY(session_take(p, &s));
    *ret_epoch = p->epoch;
    ret->n = 0;
    TRY(job_moves()); /* as find_objects */
    SCOPED_OBJECTS(p);
    return object_find_locked(&s, label, STORE_READ_MAX, ret);
}

static err_t find_ours(struct p11 *p, const char *label, struct handles *ret, uint64_t *ret_epoch)
{
    struct err e = ERR_OK;
    for (int i = 0; i < REPAIRS; i++) {
        *ret_epoch = p11_opening(p);
        e = find_once(p, label, ret, ret_epoch);
        if (err_ok(e) || !p11_mended(p, e, *ret_epoch)) break;
    }
    return e;
}

/* One scan: a look, and others while something went before it was read. */
struct scan {
    const struct p11_rescan *how; /* knows NULL: all are read */
    struct sight x;
    struct handles found, before; /* by this look; by the one before it, ascending */
    uint64_t epoch;
    bool outrun, missed;          /* something went: in this look; or there was nothing */
};

static void scan_done(struct scan *s)
{
    handles_free(&s->found);
    handles_free(&s->before);
    sight_done(&s->x);
}

static int by_number(const void *a, const void *b)
{
    CK_OBJECT_HANDLE x = *(const CK_OBJECT_HANDLE *) a, y = *(const CK_OBJECT_HANDLE *) b;
    return (x > y) - (x < y);
}

static err_t visit_found(struct p11 *p, struct scan *s, CK_OBJECT_HANDLE *handle)
{
    struct sight *x = &s->x;
    bool known = false;
    x->object = (struct p11_object){.handle = *handle, .epoch = s->epoch};
    if (s->how->knows) TRY(s->how->knows(s->how->arg, x->object, &known));
    if (known) return ERR_OK;
    TRY(look_at(p, x));
    if (x->rv == CKR_OBJECT_HANDLE_INVALID) {
        *handle = CK_INVALID_HANDLE; /* the number may be another object's by the next look */
        s->outrun = s->missed = true;
        return ERR_OK;
    }
    struct p11_seen seen = {.object = x->object, .label = x->label, .unreadable = x->rv != CKR_OK};
    if (!seen.unreadable) seen.value = buf_span(&x->value);
    /* Neither a session nor a lock is held: visit may do what it likes with the token. */
    return s->how->visit(s->how->arg, &seen);
}

/* Ascending. A handle that a module lists twice is one object, not two copies of a version. */
static void sort_out(struct handles *h)
{
    size_t n = 0;
    if (h->n) qsort(h->at, h->n, sizeof *h->at, by_number);
    for (size_t i = 0; i < h->n; i++)
        if (n == 0 || h->at[i] != h->at[n - 1]) h->at[n++] = h->at[i];
    h->n = n;
}

/* What the look before did not show. */
static err_t look_over(struct p11 *p, struct scan *s)
{
    const struct handles *before = &s->before;
    uint64_t epoch = s->epoch;
    TRY(find_ours(p, NULL, &s->found, &s->epoch));
    if (before->n && s->epoch != epoch) FAIL(ERR_TOKEN_DOWN, "the token was opened again meanwhile");
    sort_out(&s->found);
    s->outrun = false;
    s->missed |= s->found.n == 0;
    for (size_t i = 0; i < s->found.n; i++)
        if (!before->n || !bsearch(&s->found.at[i], before->at, before->n, sizeof *before->at, by_number))
            TRY(visit_found(p, s, &s->found.at[i]));
    return ERR_OK;
}

#define LOOKS_MAX 4u /* a writer who is faster is seen by who reads after it has told of its writes */

/* A writer puts the new version before it takes the old one away: who found the old one gone looks again,
 * and finds the new one. */
static err_t scan_ours(struct p11 *p, bool with_values, const struct p11_rescan *how)
{
    _cleanup_(scan_done) struct scan s = {.how = how, .x.with_value = with_values, .outrun = true};
    for (unsigned look = 0; s.outrun && look < LOOKS_MAX; look++) {
        struct handles old = s.before;
        s.before = s.found;
        s.found = old;
        if (s.before.n) qsort(s.before.at, s.before.n, sizeof *s.before.at, by_number);
        TRY(look_over(p, &s));
    }
    return s.missed || how->knows ? object_still_ours(p, s.epoch) : ERR_OK;
}

err_t token_object_scan(struct p11 *p, bool with_values,
                      err_t (*visit)(void *arg, const struct p11_seen *seen), void *arg)
{
    const struct p11_rescan how = {.visit = visit, .arg = arg};
    return scan_ours(p, with_values, &how);
}

err_t token_object_rescan(struct p11 *p, const struct p11_rescan *again)
{
    struct p11_rescan how = *again;
    if (!p->handles_unique) how.knows = NULL;
    return scan_ours(p, true, &how);
}

err_t token_object_find(struct p11 *p, const char *label, struct p11_object *ret, size_t max,
                      size_t *ret_n)
{
    _cleanup_handles_ struct handles found = {0};
    uint64_t epoch = 0;
    TRY(find_ours(p, label, &found, &epoch));
    *ret_n = found.n < max ? found.n : max;
    for (size_t i = 0; i < *ret_n; i++)
        ret[i] = (struct p11_object){.handle = found.at[i], .epoch = epoch};
    return ERR_OK;
}

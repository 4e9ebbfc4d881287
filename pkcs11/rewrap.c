/* Moving an envelope to another KEK of the same token (DESIGN 3, recipients). */
#include <string.h>

#include "pkcs11/seal.h"

struct rewrapping {
    const struct seal_key *from, *to;
    const struct suite_way *way;
    const struct suite *suite;                /* of the envelope; it stays */
    const struct envelope_recipient *wrapped;
    uint8_t out[ENVELOPE_KEYS][CEK_WRAPPED_MAX];
};

static CK_RV move_keys(struct cek_op *op, CK_OBJECT_HANDLE *ceks, struct rewrapping *x)
{
    CK_RV rv = CKR_OK;
    for (size_t i = 0; i < x->suite->keys && rv == CKR_OK; i++) {
        struct cek_wrapped w = {x->wrapped->mechanism, x->suite->use[i], x->wrapped->keys[i]};
        rv = cek_unwrap_movable(op, x->from->handle, &w, &ceks[i]);
        if (rv == CKR_OK) rv = cek_wrap(op, x->way->mechanism, x->to->handle, ceks[i], x->out[i]);
    }
    return rv;
}

static err_t rewrap_once(struct p11 *p, struct rewrapping *x, struct open_result *ret)
{
    _cleanup_session_ struct p11_session s = {0};
    CK_OBJECT_HANDLE ceks[ENVELOPE_KEYS] = {0};
    if (x->from->epoch != x->to->epoch)
        FAIL(ERR_TOKEN_DOWN, "the token was opened again meanwhile");
    TRY(session_take_at(p, x->to->epoch, &s));
    SCOPED_CRYPTO(p);
    struct cek_op op = {.fn = p->fn, .h = s.h, .call = ""};
    CK_RV rv = move_keys(&op, ceks, x);
    ret->rv = session_rv(&s, destroy_keys(&op, ceks, rv));
    if (op.stays) s.broken = true;
    ret->call = op.call;
    return ERR_OK;
}

static bool is_ours(struct p11 *p, const struct envelope_recipient *r)
{
    SCOPED_LOCK(&p->kek_lock);
    for (size_t i = 0; i < p->kek_count; i++)
        if (memcmp(p->keks[i].id, r->kek_id, sizeof r->kek_id) == 0) return true;
    return false;
}

/* Ours in front, then those that other tokens open. */
static err_t put_rewrapped(struct p11 *p, const struct envelope *e, struct rewrapping *x,
                           struct buf *ret)
{
    struct envelope_recipient recipients[ENVELOPE_MAX_RECIPIENTS];
    size_t n = 1;
    recipients[0] = recipient_for(x->to, x->way, x->out, x->suite->keys);
    for (size_t i = 0; i < e->recipient_count; i++)
        if (!is_ours(p, &e->recipients[i])) recipients[n++] = e->recipients[i];
    struct envelope_rest rest = {.recipients = recipients, .count = n, .iv = e->iv, .tag = e->tag,
                                 .ciphertext = e->ciphertext};
    buf_add_span(ret, e->bound);
    TRY(envelope_put_rest(ret, e->meta.suite, &rest));
    return buf_ok(ret);
}

/* Whether a recipient of ours beside the active one is left. */
static bool has_other(struct p11 *p, const struct envelope *e, const struct seal_key *active)
{
    for (size_t i = 0; i < e->recipient_count; i++)
        if (is_ours(p, &e->recipients[i]) &&
            memcmp(e->recipients[i].kek_id, active->id, sizeof active->id) != 0)
            return true;
    return false;
}

static err_t fail_rewrap(struct p11 *p, uint64_t epoch, const struct envelope *e,
                         const struct open_result *r)
{
    enum rv_reaction reaction = rv_reaction(r->rv);
    if (reaction == RV_CANARY || reaction == RV_HANDLE) TRY(p11_check(p));
    if (p11_opening(p) != epoch) FAIL(ERR_TOKEN_DOWN, "the token was opened again meanwhile");
    /* Only unwrapping says something about the envelope. */
    bool damaged = (reaction == RV_CANARY || reaction == RV_ITEM) && strcmp(r->call, "C_UnwrapKey") == 0;
    FAIL_P11(damaged ? ERR_DAMAGED : seal_class(r->rv), r->rv, r->call,
             "the content key of %.*s cannot be moved to another key", (int) e->meta.name.len,
             (const char *) e->meta.name.data);
}

static err_t rewrap(struct p11 *p, const struct envelope *e, struct buf *ret, uint64_t *ret_epoch)
{
    struct seal_key from = {0}, to = {0};
    const struct suite_way *way = NULL;
    struct open_result r = {0};
    int name_len = (int) e->meta.name.len;
    const char *name = (const char *) e->meta.name.data;
    TRY(active_key(p, &to, &way));
    *ret_epoch = to.epoch;
    if (!own_key(p, e, &from))
        FAIL(ERR_NOTFOUND, "%.*s is sealed for no key of token %s", name_len, name, p->label);
    if (from.generation == to.generation && !has_other(p, e, &to))
        FAIL(ERR_CONFLICT, "%.*s is under the active key already", name_len, name);
    struct rewrapping x = {.from = &from, .to = &to, .way = way,
                           .suite = suite_find(e->meta.suite), .wrapped = recipient_of(e, &from)};
    for (unsigned i = 0;; i++) {
        TRY(rewrap_once(p, &x, &r));
        if (!session_again(p, r.rv, i, true)) break;
    }
    if (r.rv != CKR_OK) return fail_rewrap(p, to.epoch, e, &r);
    size_t before = ret->len;
    struct err put = put_rewrapped(p, e, &x, ret);
    if (!err_ok(put)) ret->len = before; /* nothing half-made */
    return put;
}

err_t p11_rewrap(struct p11 *p, const struct envelope *e, struct buf *ret)
{
    struct err moved = ERR_OK;
    for (int i = 0; i < REPAIRS; i++) {
        uint64_t epoch = 0;
        moved = rewrap(p, e, ret, &epoch);
        if (err_ok(moved) || !p11_mended(p, moved, epoch)) break;
    }
    return moved;
}

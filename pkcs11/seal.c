#include "pkcs11/seal.h"

#include <string.h>

#include "broker/base/rand.h"
#include "pkcs11/cek_cache.h"

struct seal_key seal_key_of(const struct p11_kek *kek)
{
    struct seal_key key = {.handle = kek->handle, .epoch = kek->epoch,
                           .generation = kek->generation};
    memcpy(key.id, kek->id, sizeof key.id);
    return key;
}

enum err_class seal_class(CK_RV rv)
{
    enum err_class class = rv_work_class(rv);
    return class == ERR_FULL ? ERR_BUSY : class;
}

/* ---- sealing ---------------------------------------------------------------------------- */

/* One payload under content keys of its own. */
struct sealing {
    const struct suite_way *way;
    const struct suite *suite;
    const struct envelope_form *form;
    struct payload payload;
    uint8_t iv[ENVELOPE_IV_MAX];
    uint8_t wrapped[ENVELOPE_KEYS][CEK_WRAPPED_MAX];
    uint8_t *sealed; /* ciphertext and tag */
    size_t sealed_len;
};

static CK_RV use_keys(struct cek_op *op, CK_OBJECT_HANDLE kek, CK_OBJECT_HANDLE *ceks,
                      struct sealing *x)
{
    CK_RV rv = CKR_OK;
    for (size_t i = 0; i < x->suite->keys && rv == CKR_OK; i++)
        rv = cek_generate(op, x->suite->use[i], &ceks[i]);
    if (rv == CKR_OK) rv = x->suite->seal(op, ceks, &x->payload, x->sealed, &x->sealed_len);
    for (size_t i = 0; i < x->suite->keys && rv == CKR_OK; i++)
        rv = cek_wrap(op, x->way->mechanism, kek, ceks[i], x->wrapped[i]);
    return rv;
}

CK_RV destroy_keys(struct cek_op *op, const CK_OBJECT_HANDLE *ceks, CK_RV rv)
{
    const char *call = op->call;
    CK_RV gone = CKR_OK;
    for (size_t i = 0; i < ENVELOPE_KEYS; i++) {
        CK_RV one = ceks[i] == CK_INVALID_HANDLE ? CKR_OK : cek_destroy(op, ceks[i]);
        if (gone == CKR_OK) gone = one;
    }
    /* A content key that stays is extractable: that is no success. */
    if (rv == CKR_OK) return gone;
    op->call = call;
    return rv;
}

static err_t seal_once(struct p11 *p, const struct seal_key *key, struct sealing *x,
                       struct open_result *ret)
{
    _cleanup_session_ struct p11_session s = {0};
    CK_OBJECT_HANDLE ceks[ENVELOPE_KEYS] = {0};
    TRY(rand_bytes(x->iv, x->form->iv));
    TRY(session_take_at(p, key->epoch, &s));
    SCOPED_CRYPTO(p);
    struct cek_op op = {.fn = p->fn, .h = s.h, .call = ""};
    CK_RV rv = use_keys(&op, key->handle, ceks, x);
    ret->rv = session_rv(&s, destroy_keys(&op, ceks, rv));
    if (op.stays) s.broken = true;
    ret->call = op.call;
    return ERR_OK;
}

struct envelope_recipient recipient_for(const struct seal_key *key, const struct suite_way *way,
                                        uint8_t wrapped[ENVELOPE_KEYS][CEK_WRAPPED_MAX],
                                        size_t keys)
{
    struct envelope_recipient r = {.generation = key->generation, .mechanism = way->mechanism,
                                   .key_count = keys};
    memcpy(r.kek_id, key->id, sizeof r.kek_id);
    for (size_t i = 0; i < keys; i++)
        r.keys[i] = span_of(wrapped[i], cek_wrapped_len(way->mechanism));
    return r;
}

static err_t put_envelope(struct buf *ret, const struct seal_key *key, struct sealing *x)
{
    struct envelope_recipient r = recipient_for(key, x->way, x->wrapped, x->suite->keys);
    size_t len = x->sealed_len - x->form->tag;
    struct envelope_rest rest = {
        .recipients = &r, .count = 1, .iv = x->payload.iv, .tag = span_of(x->sealed + len, x->form->tag),
        .ciphertext = span_of(x->sealed, len),
    };
    buf_add_span(ret, x->payload.aad);
    return envelope_put_rest(ret, x->way->suite, &rest);
}

static err_t seal_into(struct p11 *p, const struct seal_key *key, struct sealing *x,
                       const struct envelope_meta *meta, struct buf *ret)
{
    _cleanup_buf_ struct buf bound = BUF_INIT;
    struct envelope_meta filled = *meta;
    filled.suite = x->way->suite;
    TRY(envelope_put_bound(&bound, &filled));
    _cleanup_free_ uint8_t *sealed = malloc(x->payload.plain.len + PAYLOAD_EXTRA);
    if (!sealed) FAIL(ERR_INTERNAL, "out of memory");
    x->sealed = sealed;
    x->payload.aad = buf_span(&bound);
    x->payload.iv = span_of(x->iv, x->form->iv);
    struct open_result r = {0};
    for (unsigned i = 0;; i++) {
        TRY(seal_once(p, key, x, &r));
        if (!session_again(p, r.rv, i, true)) break;
    }
    if (r.rv != CKR_OK)
        FAIL_P11(seal_class(r.rv), r.rv, r.call, "the token does not seal %.*s",
                 (int) meta->name.len, (const char *) meta->name.data);
    return put_envelope(ret, key, x);
}

err_t seal_under(struct p11 *p, const struct seal_key *key, const struct suite_way *way,
                 const struct envelope_meta *meta, struct span plaintext, struct buf *ret)
{
    if (plaintext.len > VALUE_MAX)
        FAIL(ERR_TOOLARGE, "a value is at most %u bytes, not %zu", VALUE_MAX, plaintext.len);
    struct sealing x = {.way = way, .suite = suite_find(way->suite),
                        .form = envelope_form(way->suite), .payload.plain = plaintext};
    size_t before = ret->len;
    struct err e = seal_into(p, key, &x, meta, ret);
    if (!err_ok(e)) ret->len = before; /* nothing half-made */
    return e;
}

struct err active_key(struct p11 *p, struct seal_key *ret, const struct suite_way **ret_way)
{
    SCOPED_LOCK(&p->kek_lock);
    if (!p->kek_count)
        FAIL(ERR_HUMAN, "token %s has no key-encryption key; make one: strongroom kek create",
             p->label);
    if (!p->active || !p->way)
        FAIL(ERR_HUMAN, "no key-encryption key of token %s is fit for sealing; the log says why "
             "(strongroom kek list)", p->label);
    *ret = seal_key_of(p->active);
    *ret_way = p->way;
    return ERR_OK;
}

err_t p11_seal(struct p11 *p, const struct envelope_meta *meta, struct span plaintext,
               struct buf *ret)
{
    struct err e = ERR_OK;
    for (int i = 0; i < REPAIRS; i++) {
        struct seal_key key = {0};
        const struct suite_way *way = NULL;
        TRY(active_key(p, &key, &way));
        e = seal_under(p, &key, way, meta, plaintext, ret);
        if (err_ok(e) || !p11_mended(p, e, key.epoch)) break;
    }
    return e;
}

/* ---- opening ---------------------------------------------------------------------------- */

const struct envelope_recipient *recipient_of(const struct envelope *e,
                                              const struct seal_key *key)
{
    const struct envelope_form *form = envelope_form(e->meta.suite);
    for (size_t i = 0; form && i < e->recipient_count; i++) {
        const struct envelope_recipient *r = &e->recipients[i];
        if (r->generation == key->generation && cek_wrapped_len(r->mechanism) &&
            r->key_count == form->keys && memcmp(r->kek_id, key->id, sizeof key->id) == 0)
            return r;
    }
    return NULL;
}

struct opening {
    const struct seal_key *key;
    const struct envelope_recipient *recipient;
    const struct suite *suite;
    struct payload payload;
    bool cached;
    bool gone; /* a key of the cache went while it was used */
    struct secret *out;
    size_t len; /* of the plaintext in out */
};

static CK_RV take_key(struct p11 *p, struct cek_op *op, const struct opening *x, size_t i,
                      struct cek_ref *ret)
{
    struct cek_source from = {
        .kek = x->key->handle, .generation = x->key->generation,
        .wrapped = {x->recipient->mechanism, x->suite->use[i], x->recipient->keys[i]},
    };
    if (x->cached) return cek_cache_take(p, op, &from, ret);
    return cek_unwrap(op, from.kek, &from.wrapped, &ret->handle);
}

static CK_RV open_on(struct p11 *p, struct cek_op *op, struct opening *x)
{
    struct cek_ref refs[ENVELOPE_KEYS] = {0};
    CK_OBJECT_HANDLE ceks[ENVELOPE_KEYS] = {0};
    CK_RV rv = CKR_OK;
    for (size_t i = 0; i < x->suite->keys && rv == CKR_OK; i++) {
        rv = take_key(p, op, x, i, &refs[i]);
        ceks[i] = refs[i].handle;
    }
    if (rv == CKR_OK) rv = x->suite->open(op, ceks, &x->payload, secret_data(x->out), &x->len);
    bool stale = rv_reaction(rv) == RV_HANDLE || rv_reaction(rv) == RV_CALLER;
    x->gone = false;
    for (size_t i = 0; i < x->suite->keys; i++) x->gone |= !cek_cache_return(p, op, &refs[i], stale);
    return rv;
}

static err_t open_once(struct p11 *p, struct opening *x, struct open_result *ret)
{
    _cleanup_session_ struct p11_session s = {0};
    TRY(session_take_at(p, x->key->epoch, &s));
    SCOPED_CRYPTO(p);
    struct cek_op op = {.fn = p->fn, .h = s.h, .call = ""};
    ret->rv = session_rv(&s, open_on(p, &op, x));
    if (op.stays) s.broken = true; /* closing it destroys the key */
    ret->call = op.call;
    return ERR_OK;
}

/* A key of the cache that may not decrypt is none that we put there: its session died, and the handle is
 * another object's by now. */
static bool open_again(struct p11 *p, struct opening *x, CK_RV rv, unsigned attempt)
{
    bool stale = x->gone || (x->cached && rv_reaction(rv) == RV_CALLER);
    return session_again(p, rv, attempt, true) || (stale && !attempt && rv != CKR_OK);
}

err_t open_under(struct p11 *p, const struct seal_key *key, const struct envelope *e,
                 bool cached, struct secret **ret, struct open_result *ret_result)
{
    _cleanup_secret_ struct secret *out = NULL;
    struct opening x = {
        .key = key, .recipient = recipient_of(e, key), .suite = suite_find(e->meta.suite),
        .payload = {.iv = e->iv, .aad = e->bound, .ciphertext = e->ciphertext, .tag = e->tag},
        .cached = cached,
    };
    if (!x.recipient) {
        *ret_result = (struct open_result){CKR_WRAPPED_KEY_LEN_RANGE, "C_UnwrapKey"};
        return ERR_OK;
    }
    TRY(secret_new(e->ciphertext.len + ENVELOPE_TAG_MAX, &out));
    x.out = out;
    for (unsigned i = 0;; i++) {
        TRY(open_once(p, &x, ret_result));
        if (!open_again(p, &x, ret_result->rv, i)) break;
    }
    if (ret_result->rv != CKR_OK) return ERR_OK;
    secret_shrink(out, x.len);
    *ret = TAKE_PTR(out);
    return ERR_OK;
}

bool own_key(struct p11 *p, const struct envelope *e, struct seal_key *ret)
{
    SCOPED_LOCK(&p->kek_lock);
    for (size_t i = p->kek_count; i-- > 0;) {
        if (!p->keks[i].info.sound) continue;
        struct seal_key key = seal_key_of(&p->keks[i]);
        if (!recipient_of(e, &key)) continue;
        *ret = key;
        return true;
    }
    return false;
}

uint32_t p11_recipient_generation(struct p11 *p, const struct envelope *e)
{
    struct seal_key key = {0};
    return own_key(p, e, &key) ? key.generation : 0;
}

/* SoftHSM says CKR_GENERAL_ERROR for a bad tag, a bad wrapped key and a token that is gone, and
 * only another opening tells them apart: otherwise one tampered object would stop the service. */
static err_t judge(struct p11 *p, const struct seal_key *key, const struct envelope *e,
                   const struct open_result *r)
{
    enum rv_reaction reaction = rv_reaction(r->rv);
    if (reaction == RV_CANARY || reaction == RV_HANDLE) TRY(p11_check(p));
    if (p11_opening(p) != key->epoch) FAIL(ERR_TOKEN_DOWN, "the token was opened again meanwhile");
    bool damaged = reaction == RV_CANARY || reaction == RV_ITEM;
    FAIL_P11(damaged ? ERR_DAMAGED : seal_class(r->rv), r->rv, r->call, damaged
             ? "%.*s version %llu does not verify: its envelope is damaged or was changed"
             : "the token does not open %.*s version %llu",
             (int) e->meta.name.len, (const char *) e->meta.name.data,
             (unsigned long long) e->meta.version);
}

static err_t unseal_with(struct p11 *p, const struct seal_key *key, const struct envelope *e,
                         bool cached, struct secret **ret)
{
    struct open_result r = {0};
    TRY(open_under(p, key, e, cached, ret, &r));
    return r.rv == CKR_OK ? ERR_OK : judge(p, key, e, &r);
}

static err_t unseal(struct p11 *p, const struct envelope *e, bool cached, struct secret **ret)
{
    struct err opened = ERR_OK;
    for (int i = 0; i < REPAIRS; i++) {
        struct seal_key key = {0};
        if (!own_key(p, e, &key))
            FAIL(ERR_NOTFOUND, "%.*s is sealed for another token: none of its recipients is a key of "
                 "token %s", (int) e->meta.name.len, (const char *) e->meta.name.data, p->label);
        opened = unseal_with(p, &key, e, cached, ret);
        if (err_ok(opened) || !p11_mended(p, opened, key.epoch)) break;
    }
    return opened;
}

err_t p11_unseal(struct p11 *p, const struct envelope *e, struct secret **ret)
{
    return unseal(p, e, true, ret);
}

err_t p11_verify(struct p11 *p, const struct envelope *e)
{
    _cleanup_secret_ struct secret *plain = NULL;
    return unseal(p, e, false, &plain);
}

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

bool worth_another(CK_RV rv)
{
    enum rv_reaction r = rv_reaction(rv);
    return r == RV_SESSION || r == RV_HANDLE;
}

enum err_class seal_class(CK_RV rv)
{
    enum err_class class = rv_class(rv);
    if (class == ERR_FULL) return ERR_BUSY;
    return class == ERR_NOTFOUND ? ERR_TOKEN_DOWN : class;
}

/* ---- sealing ---------------------------------------------------------------------------- */

/* One payload under one content key of its own. */
struct sealing {
    struct span aad, plain;
    uint8_t iv[ENVELOPE_IV];
    uint8_t wrapped[CEK_WRAPPED_MAX];
    size_t wrapped_len;
    uint8_t *sealed; /* ciphertext and tag */
};

static CK_RV seal_on(struct cek_op *op, CK_OBJECT_HANDLE kek, struct sealing *x)
{
    struct cek_bound bound = {span_of(x->iv, sizeof x->iv), x->aad};
    CK_OBJECT_HANDLE cek = CK_INVALID_HANDLE;
    CK_RV rv = cek_generate(op, &cek);
    if (rv != CKR_OK) return rv;
    rv = cek_encrypt(op, cek, &bound, x->plain, x->sealed);
    if (rv == CKR_OK) rv = cek_wrap(op, kek, cek, x->wrapped, &x->wrapped_len);
    const char *call = op->call;
    CK_RV gone = cek_destroy(op, cek);
    /* A content key that stays is extractable: that is no success. */
    if (rv == CKR_OK) return gone;
    op->call = call;
    return rv;
}

static err_t seal_once(struct p11 *p, const struct seal_key *key, struct sealing *x,
                       struct open_result *ret)
{
    _cleanup_session_ struct p11_session s = {0};
    TRY(rand_bytes(x->iv, sizeof x->iv));
    TRY(session_take_at(p, key->epoch, &s));
    SCOPED_CRYPTO(p);
    struct cek_op op = {.fn = p->fn, .h = s.h};
    ret->rv = session_rv(&s, seal_on(&op, key->handle, x));
    if (op.stays) s.broken = true;
    ret->call = op.call;
    return ERR_OK;
}

static err_t put_envelope(struct buf *ret, const struct seal_key *key, const struct sealing *x)
{
    struct envelope_recipient r = {
        .generation = key->generation, .mechanism = ENVELOPE_KW,
        .keys = {span_of(x->wrapped, x->wrapped_len)}, .key_count = 1,
    };
    memcpy(r.kek_id, key->id, sizeof r.kek_id);
    return envelope_put_rest(ret, &r, 1, span_of(x->iv, sizeof x->iv),
                             span_of(x->sealed + x->plain.len, ENVELOPE_TAG),
                             span_of(x->sealed, x->plain.len));
}

static err_t seal_into(struct p11 *p, const struct seal_key *key,
                       const struct envelope_meta *meta, struct span plaintext, struct buf *ret)
{
    _cleanup_buf_ struct buf bound = BUF_INIT;
    TRY(envelope_put_bound(&bound, meta));
    _cleanup_free_ uint8_t *sealed = malloc(plaintext.len + ENVELOPE_TAG);
    if (!sealed) FAIL(ERR_INTERNAL, "out of memory");
    struct sealing x = {.aad = buf_span(&bound), .plain = plaintext, .sealed = sealed};
    struct open_result r = {0};
    for (int i = 0; i < SEAL_ATTEMPTS; i++) {
        TRY(seal_once(p, key, &x, &r));
        if (!worth_another(r.rv)) break;
    }
    if (r.rv != CKR_OK)
        FAIL_P11(seal_class(r.rv), r.rv, r.call, "the token does not seal %.*s",
                 (int) meta->name.len, (const char *) meta->name.data);
    buf_add_span(ret, x.aad);
    return put_envelope(ret, key, &x);
}

err_t seal_under(struct p11 *p, const struct seal_key *key, const struct envelope_meta *meta,
                 struct span plaintext, struct buf *ret)
{
    if (plaintext.len > VALUE_MAX)
        FAIL(ERR_TOOLARGE, "a value is at most %u bytes, not %zu", VALUE_MAX, plaintext.len);
    size_t before = ret->len;
    struct err e = seal_into(p, key, meta, plaintext, ret);
    if (!err_ok(e)) ret->len = before; /* nothing half-made */
    return e;
}

struct err active_key(struct p11 *p, struct seal_key *ret, uint8_t *ret_suite)
{
    SCOPED_LOCK(&p->kek_lock);
    if (!p->kek_count)
        FAIL(ERR_HUMAN, "token %s has no key-encryption key; make one: strongroom kek create",
             p->label);
    if (!p->active)
        FAIL(ERR_HUMAN, "no key-encryption key of token %s is fit for sealing; the log says why "
             "(strongroom kek list)", p->label);
    *ret = seal_key_of(p->active);
    *ret_suite = p->suite;
    return ERR_OK;
}

err_t p11_seal(struct p11 *p, const struct envelope_meta *meta, struct span plaintext,
               struct buf *ret)
{
    struct seal_key key = {0};
    struct envelope_meta filled = *meta;
    TRY(active_key(p, &key, &filled.suite));
    return seal_under(p, &key, &filled, plaintext, ret);
}

/* ---- opening ---------------------------------------------------------------------------- */

struct span recipient_key(const struct envelope *e, const struct seal_key *key)
{
    for (size_t i = 0; i < e->recipient_count; i++) {
        const struct envelope_recipient *r = &e->recipients[i];
        if (r->generation == key->generation && r->mechanism == ENVELOPE_KW &&
            r->key_count == 1 && memcmp(r->kek_id, key->id, sizeof key->id) == 0)
            return r->keys[0];
    }
    return span_of(NULL, 0);
}

/* PKCS#11 wants the tag behind the ciphertext; ciphertext is no secret. */
static uint8_t *join_payload(const struct envelope *e)
{
    uint8_t *in = malloc(e->ciphertext.len + ENVELOPE_TAG);
    if (!in) return NULL;
    if (e->ciphertext.len) memcpy(in, e->ciphertext.data, e->ciphertext.len);
    memcpy(in + e->ciphertext.len, e->tag.data, ENVELOPE_TAG);
    return in;
}

struct opening {
    const struct seal_key *key;
    struct cek_bound bound;
    struct span wrapped, in;
    bool cached;
    struct secret *out;
    size_t len; /* of the plaintext in out */
};

static CK_RV open_on(struct p11 *p, struct cek_op *op, struct opening *x)
{
    struct cek_ref cek = {0};
    CK_RV rv = CKR_OK;
    if (x->cached)
        rv = cek_cache_take(p, op, x->key->handle, x->key->generation, x->wrapped, &cek);
    else
        rv = cek_unwrap(op, x->key->handle, x->wrapped, &cek.handle);
    if (rv != CKR_OK) return rv;
    rv = cek_decrypt(op, cek.handle, &x->bound, x->in, secret_data(x->out), &x->len);
    cek_cache_return(p, op, &cek, rv_reaction(rv) == RV_HANDLE);
    return rv;
}

static err_t open_once(struct p11 *p, struct opening *x, struct open_result *ret)
{
    _cleanup_session_ struct p11_session s = {0};
    TRY(session_take_at(p, x->key->epoch, &s));
    SCOPED_CRYPTO(p);
    struct cek_op op = {.fn = p->fn, .h = s.h, .call = ""};
    ret->rv = session_rv(&s, open_on(p, &op, x));
    ret->call = op.call;
    return ERR_OK;
}

err_t open_under(struct p11 *p, const struct seal_key *key, const struct envelope *e,
                 bool cached, struct secret **ret, struct open_result *ret_result)
{
    struct span wrapped = recipient_key(e, key);
    /* Only whole AES-256 keys: a shorter one would be a weaker cipher, accepted silently. */
    if (wrapped.len != CEK_WRAPPED_KW) {
        *ret_result = (struct open_result){CKR_WRAPPED_KEY_LEN_RANGE, "C_UnwrapKey"};
        return ERR_OK;
    }
    size_t len = e->ciphertext.len + ENVELOPE_TAG;
    _cleanup_free_ uint8_t *in = join_payload(e);
    _cleanup_secret_ struct secret *out = NULL;
    if (!in) FAIL(ERR_INTERNAL, "out of memory");
    TRY(secret_new(len, &out));
    struct opening x = {
        .key = key, .bound = {e->iv, e->bound}, .wrapped = wrapped, .in = span_of(in, len),
        .cached = cached, .out = out,
    };
    for (int i = 0; i < SEAL_ATTEMPTS; i++) {
        TRY(open_once(p, &x, ret_result));
        if (!worth_another(ret_result->rv)) break;
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
        if (!recipient_key(e, &key).len) continue;
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
static err_t judge(struct p11 *p, const struct envelope *e, const struct open_result *r)
{
    enum rv_reaction reaction = rv_reaction(r->rv);
    if (reaction == RV_CANARY || reaction == RV_HANDLE) TRY(p11_check(p));
    bool damaged = reaction == RV_CANARY || reaction == RV_ITEM;
    FAIL_P11(damaged ? ERR_DAMAGED : seal_class(r->rv), r->rv, r->call, damaged
             ? "%.*s version %llu does not verify: its envelope is damaged or was changed"
             : "the token does not open %.*s version %llu",
             (int) e->meta.name.len, (const char *) e->meta.name.data,
             (unsigned long long) e->meta.version);
}

err_t p11_unseal(struct p11 *p, const struct envelope *e, struct secret **ret)
{
    struct seal_key key = {0};
    if (!own_key(p, e, &key))
        FAIL(ERR_NOTFOUND, "%.*s is sealed for another token: none of its recipients is a key of "
             "token %s", (int) e->meta.name.len, (const char *) e->meta.name.data, p->label);
    struct open_result r = {0};
    TRY(open_under(p, &key, e, true, ret, &r));
    return r.rv == CKR_OK ? ERR_OK : judge(p, e, &r);
}

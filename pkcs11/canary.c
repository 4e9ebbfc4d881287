#include "pkcs11/kek.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/base/log.h"
#include "pkcs11/object.h"
#include "pkcs11/seal.h"
#include "pkcs11/suite.h"

#define CANARIES_MAX 8u

/* Without its NUL. */
static const char PLAIN[32] = "Strongroom canary, public bytes.";

static void canary_label(uint32_t generation, char out[P11_LABEL_MAX])
{
    snprintf(out, P11_LABEL_MAX, CANARY_LABEL "%" PRIu32, generation);
}

/* *ret_opens: whether the module opened it to what it must be. Errors: it could not be asked. */
static err_t canary_open(struct p11 *p, const struct p11_kek *kek, bool *ret_opens,
                         struct open_result *ret_result)
{
    struct envelope e = {0};
    bool has_meta = false;
    *ret_opens = false;
    *ret_result = (struct open_result){.rv = CKR_OK, .call = ""};
    struct span bytes = span_of(kek->canary, kek->canary_len);
    if (envelope_decode(bytes, &e, &has_meta) != ENVELOPE_SOUND) return ERR_OK;
    /* Not just any envelope of this KEK: the one that was made for it. */
    if (e.meta.kind != ENVELOPE_CANARY || !span_eq_str(e.meta.name, kek->info.label))
        return ERR_OK;
    _cleanup_secret_ struct secret *plain = NULL;
    struct seal_key key = seal_key_of(kek);
    TRY(open_under(p, &key, &e, false, &plain, ret_result));
    *ret_opens = ret_result->rv == CKR_OK &&
                 secret_equal(secret_span(plain), span_of(PLAIN, sizeof PLAIN));
    return ERR_OK;
}

/* ---- finding and writing ---------------------------------------------------------------- */

static bool keep_bytes(struct p11_kek *kek, const struct buf *b)
{
    kek->canary_len = b->len <= sizeof kek->canary ? b->len : 0;
    if (kek->canary_len) memcpy(kek->canary, b->data, kek->canary_len);
    return kek->canary_len > 0;
}

/* Found before any canary is asked for: keys_load. */
static const struct suite_way *current_way(struct p11 *p)
{
    SCOPED_LOCK(&p->kek_lock);
    return p->way;
}

/* Whether the token shows the label of this key and works with it, so that what else it does not show is at fault. */
static err_t check_works(struct p11 *p, const struct p11_kek *kek)
{
    char label[P11_LABEL_MAX];
    bool readable = false;
    TRYC(suite_self_test(p, current_way(p), kek->handle, &readable), "key %s", kek->info.label);
    _cleanup_session_ struct p11_session s = {0};
    TRY(session_take_at(p, kek->epoch, &s));
    CK_RV rv = object_label(&s, kek->handle, label);
    if (rv != CKR_OK)
        FAIL_P11(ERR_TOKEN_DOWN, rv, "C_GetAttributeValue", "token %s does not show a key", p->label);
    return ERR_OK;
}

/* One that the token does not show is as bad as one that does not open. One bad moment condemns none. */
static err_t read_canary(struct p11 *p, const struct p11_kek *kek, struct p11_object o, struct buf *ret,
                         bool *ret_shown)
{
    struct err read = p11_object_read(p, o, ret);
    *ret_shown = err_ok(read);
    if (read.code != ERR_DAMAGED && read.code != ERR_TOKEN_DOWN) return read;
    TRY(check_works(p, kek));
    *ret_shown = err_ok(p11_object_read(p, o, ret));
    return ERR_OK;
}

/* The one that is whole; torn ones go. *ret_found: there is one, whether it will open or not. */
static err_t canary_find(struct p11 *p, struct p11_kek *kek, bool *ret_found)
{
    char label[P11_LABEL_MAX];
    struct p11_object found[CANARIES_MAX];
    size_t n = 0;
    canary_label(kek->generation, label);
    TRY(p11_object_find(p, label, found, CANARIES_MAX, &n));
    for (size_t i = 0; i < n; i++) {
        _cleanup_buf_ struct buf value = BUF_INIT;
        struct envelope e = {0};
        bool has_meta = false, shown = false;
        struct err read = read_canary(p, kek, found[i], &value, &shown);
        if (read.code == ERR_NOTFOUND) continue;
        TRY(read);
        *ret_found |= !shown;
        if (!shown) continue;
        if (envelope_decode(buf_span(&value), &e, &has_meta) == ENVELOPE_TORN) {
            log_warn("kek.canary-torn", LOG_S("label", label), LOG_S("action", "removed"));
            TRY(p11_object_destroy(p, found[i]));
            continue;
        }
        *ret_found = true;
        if (keep_bytes(kek, &value)) return ERR_OK;
    }
    return ERR_OK;
}

static err_t canary_write(struct p11 *p, struct p11_kek *kek)
{
    char label[P11_LABEL_MAX];
    struct p11_object o = {0};
    _cleanup_buf_ struct buf bytes = BUF_INIT;
    struct seal_key key = seal_key_of(kek);
    struct envelope_meta meta = {
        .kind = ENVELOPE_CANARY, .version = 1, .created = clock_now(),
        .name = span_str(kek->info.label),
    };
    bool readable = false;
    const struct suite_way *way = current_way(p);
    TRYC(suite_self_test(p, way, key.handle, &readable), "key %s", kek->info.label);
    TRY(seal_under(p, &key, way, &meta, span_of(PLAIN, sizeof PLAIN), &bytes));
    ENSURE(keep_bytes(kek, &bytes));
    canary_label(kek->generation, label);
    struct err e = p11_object_create(p, label, buf_span(&bytes), &o);
    /* A token that is full or read-only still serves; this process keeps the canary in memory. */
    if (!err_ok(e)) log_warn_err(e, "kek.canary-not-stored", LOG_S("label", kek->info.label));
    else log_info("kek.canary-written", LOG_S("label", kek->info.label));
    return ERR_OK;
}

err_t canary_load(struct p11 *p, struct p11_kek *kek)
{
    bool found = false;
    struct open_result r = {0};
    TRY(canary_find(p, kek, &found));
    if (!found) TRY(canary_write(p, kek));
    /* One bad moment condemns no key. */
    for (int i = 0; i < 2 && !kek->info.canary_ok; i++)
        TRY(canary_open(p, kek, &kek->info.canary_ok, &r));
    if (kek->info.canary_ok) return ERR_OK;
    enum rv_reaction reaction = rv_reaction(r.rv);
    /* Rather no service than a weaker suite beside envelopes that cannot be opened. */
    if (reaction == RV_CALLER)
        FAIL_P11(ERR_USAGE, r.rv, r.call, "the token no longer does what the canary of %s was sealed "
                 "with; was its policy or firmware changed?", kek->info.label);
    if (reaction > RV_CANARY) FAIL_RV(r.rv, r.call, "the token does not open a canary");
    char name[RV_NAME];
    log_error("kek.canary-bad", LOG_S("label", kek->info.label), LOG_S("code", rv_name(r.rv, name)),
              LOG_S("meaning", "this key is not the one that its canary was made with, or the "
                    "canary was changed; nothing new is sealed under it"));
    return ERR_OK;
}

err_t canary_remove(struct p11 *p, uint32_t generation)
{
    char label[P11_LABEL_MAX];
    struct p11_object found[CANARIES_MAX];
    size_t n = 0;
    canary_label(generation, label);
    TRY(p11_object_find(p, label, found, CANARIES_MAX, &n));
    for (size_t i = 0; i < n; i++) TRY(p11_object_destroy(p, found[i]));
    return ERR_OK;
}

/* ---- health ----------------------------------------------------------------------------- */

static err_t active_kek(struct p11 *p, struct p11_kek *ret)
{
    SCOPED_LOCK(&p->kek_lock);
    if (!p->active)
        FAIL(ERR_HUMAN, "token %s has no key-encryption key that is fit for use (strongroom kek "
             "list; kek create makes one)", p->label);
    *ret = *p->active;
    return ERR_OK;
}

err_t canary_check(struct p11 *p, CK_RV *ret_rv)
{
    struct p11_kek kek = {0};
    bool opens = false;
    struct open_result r = {0};
    *ret_rv = CKR_OK;
    TRY(active_kek(p, &kek));
    TRY(canary_open(p, &kek, &opens, &r));
    if (opens) return ERR_OK;
    *ret_rv = r.rv;
    if (r.rv != CKR_OK)
        FAIL_P11(ERR_TOKEN_DOWN, r.rv, r.call, "token %s does not open its canary", p->label);
    FAIL(ERR_TOKEN_DOWN, "token %s opens its canary to something else", p->label);
}

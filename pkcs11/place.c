/* Where labelled objects lie: on the token, or beside it when it keeps none. */
#include <string.h>

#include "broker/base/log.h"
#include "broker/base/rand.h"
#include "pkcs11/object.h"

#define EPOCH_RANDOM 16u

_Static_assert(sizeof P11_EPOCH_LABEL + 2 * EPOCH_RANDOM <= P11_EPOCH_TEXT, "an epoch fits");

/* ---- choosing --------------------------------------------------------------------------- */

/* What lies where already. */
struct found { bool on_token, beside; };

/* Whoever has only one place filled and asks for the other would find everything gone. */
static err_t check_wish(const struct p11 *p, enum p11_place place, const struct p11_beside *beside,
                        const struct found *f)
{
    if (place == P11_PLACE_TOKEN && f->beside && !f->on_token)
        FAIL(ERR_USAGE, "the %s holds the envelopes, and token %s none; say storage.place: directory, "
             "or move it away to begin anew", beside->text, p->label);
    if (place == P11_PLACE_BESIDE && f->on_token && !f->beside)
        FAIL(ERR_USAGE, "token %s holds the envelopes, and the %s none; say storage.place: token",
             p->label, beside->text);
    if (place == P11_PLACE_AUTO && f->on_token && f->beside)
        FAIL(ERR_USAGE, "both token %s and the %s hold envelopes; say which one is meant by "
             "storage.place (token or directory)", p->label, beside->text);
    if (f->on_token && f->beside)
        log_warn("store.place", LOG_S("also_filled", place == P11_PLACE_TOKEN ? beside->text : "token"),
                 LOG_S("effect", "not read"));
    return ERR_OK;
}

static err_t use_beside(struct p11 *p, const struct p11_beside *beside, const char *why)
{
    log_info("store.place", LOG_S("place", beside->text), LOG_S("why", why));
    p->beside = beside;
    return beside->begin(beside->arg);
}

err_t place_choose(struct p11 *p, enum p11_place place, const struct p11_beside *beside)
{
    struct found f = {0};
    bool keeps = true;
    if (!beside) return ERR_OK;
    TRY(beside->in_use(beside->arg, &f.beside));
    TRY(token_epoch_find(p, &f.on_token));
    TRY(check_wish(p, place, beside, &f));
    if (place == P11_PLACE_BESIDE) return use_beside(p, beside, "configured");
    if (place == P11_PLACE_AUTO && f.beside) return use_beside(p, beside, "envelopes are there");
    if (place == P11_PLACE_AUTO && !f.on_token) TRY(token_object_try(p, &keeps));
    return keeps ? ERR_OK : use_beside(p, beside, "this token keeps no data objects");
}

const char *p11_place_text(const struct p11 *p)
{
    return p->beside ? p->beside->text : "token";
}

/* ---- objects ---------------------------------------------------------------------------- */

static struct p11_object beside_object(uint64_t handle)
{
    return (struct p11_object){.handle = handle, .epoch = P11_EPOCH_BESIDE};
}

static err_t check_beside(struct p11_object o)
{
    if (o.epoch != P11_EPOCH_BESIDE || !o.handle) FAIL(ERR_NOTFOUND, "the object lies elsewhere");
    return ERR_OK;
}

static err_t check_size(const char *label, struct span value)
{
    if (strlen(label) >= P11_LABEL_MAX)
        FAIL(ERR_TOOLARGE, "a label is at most %u bytes", P11_LABEL_MAX - 1);
    if (value.len > ENVELOPE_MAX)
        FAIL(ERR_TOOLARGE, "an object is at most %u bytes, not %zu", ENVELOPE_MAX, value.len);
    return ERR_OK;
}

err_t p11_object_create(struct p11 *p, const char *label, struct span value,
                        struct p11_object *ret)
{
    uint64_t handle = 0;
    TRY(check_size(label, value));
    if (!p->beside) return token_object_create(p, label, value, ret);
    TRY(p->beside->create(p->beside->arg, label, value, &handle));
    *ret = beside_object(handle);
    return ERR_OK;
}

/* Files are found by their names: nothing is saved by reading them back together. */
void p11_objects_create(struct p11 *p, struct p11_draft *drafts, size_t n)
{
    bool together = !p->beside && n <= STORE_BATCH_MAX;
    for (size_t i = 0; i < n && together; i++)
        together = err_ok(check_size(drafts[i].label, drafts[i].value));
    if (together) {
        token_objects_create(p, drafts, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        err_save(p11_object_create(p, drafts[i].label, drafts[i].value, &drafts[i].object),
                 &drafts[i].outcome);
}

err_t p11_object_read(struct p11 *p, struct p11_object o, struct buf *ret)
{
    if (!p->beside) return token_object_read(p, o, ret);
    TRY(check_beside(o));
    return p->beside->read(p->beside->arg, o.handle, ret);
}

err_t p11_object_destroy(struct p11 *p, struct p11_object o)
{
    if (!p->beside) return token_object_destroy(p, o);
    TRY(check_beside(o));
    return p->beside->destroy(p->beside->arg, o.handle);
}

err_t p11_object_scan(struct p11 *p, bool with_values,
                      err_t (*visit)(void *arg, const struct p11_seen *seen), void *arg)
{
    if (!p->beside) return token_object_scan(p, with_values, visit, arg);
    return p->beside->scan(p->beside->arg, with_values, visit, arg);
}

err_t p11_object_rescan(struct p11 *p, const struct p11_rescan *again)
{
    if (!p->beside) return token_object_rescan(p, again);
    return p->beside->scan(p->beside->arg, true, again->visit, again->arg);
}

err_t p11_object_find(struct p11 *p, const char *label, struct p11_object *ret, size_t max,
                      size_t *ret_n)
{
    if (!p->beside) return token_object_find(p, label, ret, max, ret_n);
    _cleanup_free_ uint64_t *handles = calloc(max ? max : 1, sizeof *handles);
    if (!handles) FAIL(ERR_INTERNAL, "out of memory");
    TRY(p->beside->find(p->beside->arg, label, handles, max, ret_n));
    for (size_t i = 0; i < *ret_n; i++) ret[i] = beside_object(handles[i]);
    return ERR_OK;
}

/* ---- the epoch -------------------------------------------------------------------------- */

err_t p11_epoch_read(struct p11 *p, char ret[P11_EPOCH_TEXT])
{
    if (!p->beside) return token_epoch_read(p, ret);
    return p->beside->epoch_read(p->beside->arg, ret);
}

err_t p11_epoch_touch(struct p11 *p, char ret[P11_EPOCH_TEXT])
{
    uint8_t random[EPOCH_RANDOM];
    char epoch[P11_EPOCH_TEXT] = P11_EPOCH_LABEL;
    TRY(rand_bytes(random, sizeof random));
    hex_encode(span_of(random, sizeof random), epoch + strlen(epoch));
    if (p->beside) TRY(p->beside->epoch_write(p->beside->arg, epoch));
    else TRY(token_epoch_touch(p, epoch));
    memcpy(ret, epoch, sizeof epoch);
    return ERR_OK;
}

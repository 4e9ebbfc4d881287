#include "broker/store/store_internal.h"

#include "broker/base/clock.h"
#include "broker/base/log.h"

#include <string.h>

/* How often a reader looks again when the object was replaced between looking and reading. */
#define READ_TRIES 8

/* A copy of what the catalog says, good without its lock. */
struct found {
    struct store_entry entry;
    struct p11_object object;
    uint64_t version;
    struct blob *bytes; /* or NULL: on the token only */
    uint64_t changes;
};

static void found_done(struct found *f)
{
    blob_unref(TAKE_PTR(f->bytes));
}

static err_t look_up(struct store *s, enum envelope_kind kind, const char *name, struct found *f)
{
    const char *noun = kind_noun(kind);
    SCOPED_LOCK(&s->lock);
    struct entry *e = catalog_find(s->catalog, kind, name);
    if (!e) FAIL(ERR_NOTFOUND, "there is no %s %s", noun, name);
    struct version *v = e->versions;
    if (v->unreadable)
        FAIL(ERR_DAMAGED, "%s %s is damaged: an object under its name cannot be read and may be "
             "its newest version; put it again to replace it", noun, name);
    if (v->tombstone)
        FAIL(ERR_NOTFOUND, "%s %s was deleted (version %llu)", noun, name,
             (unsigned long long) v->version);
    if (v->not_after && clock_now() > v->not_after)
        FAIL(ERR_NOTFOUND, "%s %s has expired", noun, name);
    cache_use(&s->catalog->cache, v);
    entry_describe(e, &f->entry);
    f->object = v->object;
    f->version = v->version;
    f->bytes = v->bytes ? blob_ref(v->bytes) : NULL;
    f->changes = s->changes;
    return ERR_OK;
}

/* A 404 is given only after a look at the epoch object. */
static err_t find_newest(struct store *s, enum envelope_kind kind, const char *name,
                         struct found *f)
{
    struct err e = look_up(s, kind, name, f);
    if (e.code != ERR_NOTFOUND) return e;
    TRY(refresh_now(s));
    return look_up(s, kind, name, f);
}

/* The version that was found, if the catalog still has it and it is still the newest. */
static struct version *still_newest(struct store *s, const struct found *f)
{
    struct entry *e = catalog_find(s->catalog, f->entry.kind, f->entry.name);
    if (!e || e->versions->object.handle != f->object.handle ||
        e->versions->object.epoch != f->object.epoch || e->versions->version != f->version)
        return NULL;
    return e->versions;
}

static err_t fetch(struct store *s, struct found *f)
{
    if (f->bytes) return ERR_OK;
    _cleanup_buf_ struct buf b = {.max = ENVELOPE_MAX};
    TRY(p11_object_read(s->config.token, f->object, &b));
    TRY(buf_ok(&b));
    f->bytes = blob_new(buf_span(&b));
    if (!f->bytes) FAIL(ERR_INTERNAL, "out of memory");
    SCOPED_LOCK(&s->lock);
    struct version *v = still_newest(s, f);
    if (v) cache_keep(&s->catalog->cache, v, f->bytes, true);
    return ERR_OK;
}

/* ERR_NOTFOUND: what the handle leads to is not, or no longer, what the catalog means. (An object
 * that is destroyed while it is read may come out as anything.) */
static err_t open_found(struct store *s, struct found *f, struct secret **ret)
{
    TRY(fetch(s, f));
    struct envelope e = {0};
    bool has_meta = false;
    enum envelope_flaw flaw = envelope_decode(blob_span(f->bytes), &e, &has_meta);
    if (flaw != ENVELOPE_SOUND || !span_eq_str(e.meta.name, f->entry.name) ||
        e.meta.version != f->version)
        FAIL(ERR_NOTFOUND, "the object is another one by now");
    return p11_unseal(s->config.token, &e, ret);
}

/* A failure that concerns a version that was replaced meanwhile tells nothing: SoftHSM has several
 * codes for an object that goes while it is read. */
static bool was_outrun(struct store *s, const struct found *f, struct err e)
{
    if (e.code == ERR_NOTFOUND) return true;
    SCOPED_LOCK(&s->lock);
    return !still_newest(s, f);
}

/* Notes what opening showed, and logs a change of state once. */
static void note_health(struct store *s, const struct found *f, bool broken)
{
    bool was = f->entry.state == STORE_DAMAGED;
    if (was == broken) return;
    {
        SCOPED_LOCK(&s->lock);
        struct version *v = still_newest(s, f);
        if (!v || v->broken == broken) return;
        v->broken = broken;
    }
    log_warn(broken ? "store.damaged" : "store.healed", LOG_S("kind", kind_noun(f->entry.kind)),
             LOG_S("name", f->entry.name), LOG_U("version", f->version));
}

static err_t give_up(struct store *s, const struct found *f, struct err e)
{
    const char *noun = kind_noun(f->entry.kind), *name = f->entry.name;
    if (e.code != ERR_DAMAGED) TRYC(e, "reading %s %s", noun, name);
    note_health(s, f, true);
    FAIL(ERR_DAMAGED, "%s %s is damaged: its newest version %llu does not verify; put it again to "
         "replace it", noun, name, (unsigned long long) f->version);
}

struct err store_get(struct store *s, enum envelope_kind kind, const char *name,
                     struct secret **ret, struct store_entry *ret_entry)
{
    TRY(refresh_tick(s));
    for (unsigned tries = 0; tries < READ_TRIES; tries++) {
        _cleanup_(found_done) struct found f = {0};
        TRY(find_newest(s, kind, name, &f));
        struct err e = open_found(s, &f, ret);
        if (err_ok(e)) {
            note_health(s, &f, false);
            f.entry.state = STORE_LIVE;
            if (ret_entry) *ret_entry = f.entry;
            return ERR_OK;
        }
        if (!was_outrun(s, &f, e)) return give_up(s, &f, e);
        TRY(refresh_lost(s, f.changes));
    }
    FAIL(ERR_BUSY, "%s %s changes faster than it can be read; try again", kind_noun(kind), name);
}

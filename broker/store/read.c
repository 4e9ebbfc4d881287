#include "broker/store/store_internal.h"

#include "broker/base/clock.h"
#include "broker/base/log.h"

#include <string.h>

/* How often a reader looks again when the object was replaced between looking and reading. */
#define READ_TRIES 8

/* What is asked for, and a copy of what the catalog says of it, good without its lock. */
struct found {
    enum envelope_kind kind;
    const char *name;
    uint64_t wanted; /* a version, or 0 for the newest */

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

static err_t check_value(const struct found *f, const struct version *v)
{
    const char *noun = kind_noun(f->kind);
    if (v->unreadable && f->wanted)
        FAIL(ERR_DAMAGED, "version %llu of %s %s is damaged: it cannot be read",
             (unsigned long long) f->wanted, noun, f->name);
    if (v->unreadable)
        FAIL(ERR_DAMAGED, "%s %s is damaged: an object under its name cannot be read and may be "
             "its newest version; put it again to replace it", noun, f->name);
    if (v->tombstone)
        FAIL(ERR_NOTFOUND, "%s %s was deleted (version %llu)", noun, f->name,
             (unsigned long long) v->version);
    if (version_expired(v))
        FAIL(ERR_NOTFOUND, "%s %s has expired", noun, f->name);
    return ERR_OK;
}

static err_t look_up(struct store *s, struct found *f)
{
    const char *noun = kind_noun(f->kind);
    SCOPED_LOCK(&s->lock);
    struct entry *e = catalog_find(s->catalog, f->kind, f->name);
    if (!e) FAIL(ERR_NOTFOUND, "there is no %s %s", noun, f->name);
    struct version *v = f->wanted ? versions_find(e->versions, f->wanted) : e->versions;
    if (!v)
        FAIL(ERR_NOTFOUND, "%s %s has no version %llu, or no longer", noun, f->name,
             (unsigned long long) f->wanted);
    TRY(check_value(f, v));
    cache_use(&s->catalog->cache, v);
    version_describe(e, v, &f->entry);
    f->object = v->object;
    f->version = v->version;
    f->bytes = v->bytes ? blob_ref(v->bytes) : NULL;
    f->changes = s->changes;
    return ERR_OK;
}

/* A 404 is given only after a look at the epoch object. */
static err_t find_version(struct store *s, struct found *f)
{
    struct err e = look_up(s, f);
    if (e.code != ERR_NOTFOUND) return e;
    TRY(refresh_now(s));
    return look_up(s, f);
}

/* The version that was found, if the catalog still has it and it is still what is asked for. */
static struct version *still_there(struct store *s, const struct found *f)
{
    struct entry *e = catalog_find(s->catalog, f->kind, f->name);
    if (!e) return NULL;
    struct version *v = f->wanted ? versions_find(e->versions, f->wanted) : e->versions;
    if (!v || v->object.handle != f->object.handle || v->object.epoch != f->object.epoch ||
        v->version != f->version)
        return NULL;
    return v;
}

static err_t fetch(struct store *s, struct found *f)
{
    if (f->bytes) return ERR_OK;
    _cleanup_buf_ struct buf b = {.max = ENVELOPE_MAX};
    TRY(p11_object_read(s->config.token, f->object, &b));
    TRY(buf_ok(&b));
    f->bytes = blob_new(buf_span(&b));
    if (!f->bytes) FAIL(ERR_INTERNAL, "out of memory");
    if (f->wanted) return ERR_OK; /* looked at once: it must not drive out what is served */
    SCOPED_LOCK(&s->lock);
    struct version *v = still_there(s, f);
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
    if (flaw != ENVELOPE_SOUND || e.meta.kind != f->kind || e.meta.version != f->version ||
        !span_eq_str(e.meta.name, f->name))
        FAIL(ERR_NOTFOUND, "the object is another one by now");
    f->entry.suite = e.meta.suite;
    return p11_unseal(s->config.token, &e, ret);
}

/* A failure that concerns a version that was replaced meanwhile tells nothing: SoftHSM has several
 * codes for an object that goes while it is read. */
static bool was_outrun(struct store *s, const struct found *f, struct err e)
{
    if (e.code == ERR_NOTFOUND) return true;
    SCOPED_LOCK(&s->lock);
    return !still_there(s, f);
}

/* Notes what opening showed, and logs a change of state once. */
static void note_health(struct store *s, const struct found *f, bool broken)
{
    bool was = f->entry.state == STORE_DAMAGED;
    if (was == broken) return;
    {
        SCOPED_LOCK(&s->lock);
        struct version *v = still_there(s, f);
        if (!v || v->broken == broken) return;
        v->broken = broken;
    }
    log_warn(broken ? "store.damaged" : "store.healed", LOG_S("kind", kind_noun(f->kind)),
             LOG_S("name", f->name), LOG_U("version", f->version));
}

static err_t give_up(struct store *s, const struct found *f, struct err e)
{
    const char *noun = kind_noun(f->kind), *name = f->name;
    if (e.code != ERR_DAMAGED) TRYC(e, "reading %s %s", noun, name);
    note_health(s, f, true);
    if (f->wanted)
        FAIL(ERR_DAMAGED, "version %llu of %s %s is damaged: it does not verify",
             (unsigned long long) f->version, noun, name);
    FAIL(ERR_DAMAGED, "%s %s is damaged: its newest version %llu does not verify; put it again to "
         "replace it", noun, name, (unsigned long long) f->version);
}

static err_t read_version(struct store *s, enum envelope_kind kind, const char *name,
                          uint64_t wanted, struct secret **ret, struct store_entry *ret_entry)
{
    TRY(refresh_tick(s));
    for (unsigned tries = 0; tries < READ_TRIES; tries++) {
        _cleanup_(found_done) struct found f = {.kind = kind, .name = name, .wanted = wanted};
        TRY(find_version(s, &f));
        struct err e = open_found(s, &f, ret);
        if (err_ok(e)) {
            note_health(s, &f, false);
            f.entry.state = STORE_LIVE;
            f.entry.size = secret_len(*ret); /* exactly, whatever the suite pads */
            if (ret_entry) *ret_entry = f.entry;
            return ERR_OK;
        }
        if (!was_outrun(s, &f, e)) return give_up(s, &f, e);
        TRY(refresh_lost(s, f.changes, tries > 0));
    }
    FAIL(ERR_BUSY, "%s %s changes faster than it can be read; try again", kind_noun(kind), name);
}

struct err store_get(struct store *s, enum envelope_kind kind, const char *name,
                     struct secret **ret, struct store_entry *ret_entry)
{
    return read_version(s, kind, name, 0, ret, ret_entry);
}

struct err store_get_version(struct store *s, enum envelope_kind kind, const char *name,
                             uint64_t version, struct secret **ret, struct store_entry *ret_entry)
{
    if (version == 0) FAIL(ERR_NOTFOUND, "there is no version 0; versions begin at 1");
    return read_version(s, kind, name, version, ret, ret_entry);
}

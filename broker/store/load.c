/* From the token's objects to a catalog, and what becomes of those that are not sound.
 *
 *   label is nobody's, bytes are not ours, recipients name no KEK of ours   foreign
 *   bound name or kind differs from the label (object was relabelled)       foreign ("misplaced")
 *   shorter than its lengths                                                torn
 *   malformed, newer format, unknown critical attribute                     unreadable version
 *
 * Foreign and torn objects are counted and take no part in versions. An unreadable one does: by
 * the version its header tells, and above all others when not even the header can be read, since
 * it may well be the newest, and serving an older one silently is what DESIGN 3 forbids. While it
 * is on top its name is damaged; the next write of that name goes above it and removes it. */
#include "broker/store/store_internal.h"

#include "broker/base/log.h"

#include <string.h>

struct scan {
    struct store *s;
    struct catalog *fresh;
};

enum verdict { ENTER, SKIP, FOREIGN, TORN };

static enum verdict verdict_of(enum envelope_flaw flaw)
{
    if (flaw == ENVELOPE_FOREIGN_BYTES) return FOREIGN;
    return flaw == ENVELOPE_TORN ? TORN : ENTER;
}

/* For ENTER a version, otherwise why not. */
static err_t judge(struct store *s, struct p11_object o, enum envelope_kind kind, const char *name,
                   struct span value, enum verdict *ret, const char **ret_why,
                   struct version **ret_version)
{
    struct envelope e = {0};
    bool has_meta = false;
    enum envelope_flaw flaw = envelope_decode(value, &e, &has_meta);
    *ret = verdict_of(flaw);
    *ret_why = envelope_flaw_text(flaw);
    if (*ret != ENTER) return ERR_OK;
    if (has_meta && (e.meta.kind != kind || !span_eq_str(e.meta.name, name))) {
        *ret = FOREIGN;
        *ret_why = "misplaced: it was sealed under another name";
        return ERR_OK;
    }
    if (flaw != ENVELOPE_SOUND)
        return version_new_unreadable(has_meta ? e.meta.version : VERSION_UNKNOWN, o, ret_version);
    uint32_t generation = p11_recipient_generation(s->config.token, &e);
    if (generation == 0) {
        *ret = FOREIGN;
        *ret_why = "sealed for no key of this token";
        return ERR_OK;
    }
    return version_new(&e, generation, o, ret_version);
}

/* The same version in the catalog that is being replaced: its bytes are shared rather than copied,
 * so that a rescan does not double the cache, and a note of damage stays. */
static struct blob *adopt(struct store *s, const struct entry *e, struct version *v,
                          struct span value)
{
    SCOPED_LOCK(&s->lock);
    struct entry *before = s->catalog ? catalog_find(s->catalog, e->kind, e->name) : NULL;
    for (struct version *old = before ? before->versions : NULL; old; old = old->older) {
        if (old->version != v->version || old->generation != v->generation) continue;
        if (old->object.handle == v->object.handle) v->broken = old->broken;
        if (old->bytes && span_eq(blob_span(old->bytes), value)) return blob_ref(old->bytes);
    }
    return NULL;
}

static err_t enter(struct scan *scan, enum envelope_kind kind, const char *name,
                   struct version *version, struct span value)
{
    _cleanup_version_ struct version *v = version;
    if (scan->fresh->objects >= STORE_MAX_OBJECTS)
        FAIL(ERR_TOOLARGE, "the token holds more than %u objects of ours", STORE_MAX_OBJECTS);
    _cleanup_free_ struct entry *spare = NULL;
    TRY(entry_new(kind, name, &spare));
    _cleanup_blob_ struct blob *bytes = NULL;
    if (!v->unreadable) {
        bytes = adopt(scan->s, spare, v, value);
        struct cache *c = &scan->fresh->cache;
        if (!bytes && value.len <= c->budget - c->bytes) bytes = blob_new(value);
    }
    catalog_insert(scan->fresh, &spare, TAKE_PTR(v), bytes, false);
    return ERR_OK;
}

static err_t visit_object(void *arg, struct p11_object o, const char *label, struct span value)
{
    struct scan *scan = arg;
    struct oddities *odd = &scan->fresh->odd;
    enum envelope_kind kind = ENVELOPE_RESOURCE;
    const char *name = NULL, *why = "the label is not a name";
    struct version *v = NULL;
    enum verdict verdict = SKIP;
    enum label_owner owner = label_read(label, &kind, &name);
    if (owner == LABEL_UNKNOWN) verdict = FOREIGN;
    else if (owner == LABEL_OURS)
        TRYC(judge(scan->s, o, kind, name, value, &verdict, &why, &v), "object '%s'", label);
    if (verdict == ENTER) return enter(scan, kind, name, v, value);
    if (verdict == FOREIGN) oddities_add(odd, &odd->foreign, label, why);
    if (verdict == TORN) oddities_add(odd, &odd->torn, label, why);
    return ERR_OK;
}

/* Once for each change of what is odd, not once a scan. */
static void report_oddities(const struct oddities *before, const struct oddities *now)
{
    if (before && before->foreign == now->foreign && before->torn == now->torn) return;
    if (now->foreign == 0 && now->torn == 0) return;
    log_warn("store.odd-objects", LOG_U("foreign", now->foreign), LOG_U("torn", now->torn),
             LOG_S("effect", "left alone, not served"));
    for (size_t i = 0; i < now->notes; i++)
        log_warn("store.odd-object", LOG_S("label", now->note[i].label),
                 LOG_S("why", now->note[i].what));
}

struct err load_catalog_locked(struct store *s, struct catalog **ret)
{
    _cleanup_catalog_ struct catalog *fresh = NULL;
    TRY(catalog_new(s->config.cache_bytes, &fresh));
    struct scan scan = {s, fresh};
    TRY(p11_object_scan(s->config.token, true, visit_object, &scan));
    /* `catalog` is replaced under `work` only, which we hold, and `odd` is fixed by then. */
    report_oddities(s->catalog ? &s->catalog->odd : NULL, &fresh->odd);
    *ret = TAKE_PTR(fresh);
    return ERR_OK;
}

/* From the token's objects to a catalog, and what becomes of those that are not sound.
 *
 *   label is nobody's, bytes are not ours, recipients name no KEK of ours   foreign
 *   bound name or kind differs from the label (object was relabelled)       foreign ("misplaced")
 *   shorter than its lengths                                                torn
 *   malformed, newer format, unknown critical attribute                     unreadable version
 *   the token cannot show the value any more                                unreadable version
 *
 * Foreign and torn objects are counted and take no part in versions. An unreadable one does: by
 * the version its header tells, and above all others when not even the header can be read, since
 * it may well be the newest, and serving an older one silently is what DESIGN 3 forbids. While it
 * is on top its name is damaged; the next write of that name goes above it and removes it.
 *
 * Where handles allow it (p11_object_rescan), a rescan for news reads only what the present catalog does not
 * know as sound. Odd and unreadable objects, and those found broken, are read again each time. */
#include "broker/store/known.h"
#include "broker/store/store_internal.h"

#include "broker/base/clock.h"
#include "broker/base/log.h"

#include <string.h>

struct scan {
    struct store *s;
    struct catalog *fresh;
    struct known known; /* of the present catalog; empty when all is read */
    bool keys_reloaded;
};

/* What is wrong with an object that takes no part in versions; `why` NULL: nothing is. */
static struct finding odd(enum fault fault, const char *why)
{
    return (struct finding){.fault = fault, .why = why};
}

static struct finding odd_bytes(enum envelope_flaw flaw)
{
    const char *why = envelope_flaw_text(flaw);
    if (flaw == ENVELOPE_FOREIGN_BYTES) return odd(FAULT_FOREIGN, why);
    return odd(FAULT_TORN, flaw == ENVELOPE_TORN ? why : NULL);
}

/* ---- keys that we do not know ------------------------------------------------------------ */

/* Whether one of the recipients is a key that was not looked for yet; then all of them are noted.
 * For a while only, since a ceremony may bring a key back. */
static bool note_unknown_keks(struct store *s, const struct envelope *e)
{
    struct unknown_keks *u = &s->unknown;
    bool news = false;
    if (clock_mono_ns() >= u->forget_at) u->n = 0;
    if (u->n == 0) u->forget_at = clock_mono_ns() + SCAN_NS;
    for (size_t i = 0; i < e->recipient_count; i++) {
        const uint8_t *id = e->recipients[i].kek_id;
        size_t at = 0;
        while (at < u->n && memcmp(u->id[at], id, ENVELOPE_KEK_ID) != 0) at++;
        if (at < u->n) continue;
        news = true;
        if (u->n == UNKNOWN_KEKS_MAX) u->n = 0; /* some are then looked for again */
        memcpy(u->id[u->n++], id, ENVELOPE_KEK_ID);
    }
    return news;
}

/* 0: foreign. Another broker may have made a key since we looked: then its envelopes are none of
 * foreigners. One look at the keys a scan, so that foreign objects cost no more than that. */
static err_t generation_of(struct scan *scan, const struct envelope *e, uint32_t *ret)
{
    struct store *s = scan->s;
    *ret = p11_recipient_generation(s->config.token, e);
    if (*ret || scan->keys_reloaded || !note_unknown_keks(s, e)) return ERR_OK;
    scan->keys_reloaded = true;
    struct err reloaded = p11_kek_reload(s->config.token);
    /* Who cannot look does not know what is foreign: the next scan must ask again. */
    if (!err_ok(reloaded)) s->unknown.n = 0;
    TRYC(reloaded, "looking for a key that an envelope names");
    *ret = p11_recipient_generation(s->config.token, e);
    return ERR_OK;
}

/* A key of ours that is not fit for use opens nothing, but may be mended. Its number is all that is known of it. */
static const char *why_foreign(struct scan *scan, const struct envelope *e)
{
    struct p11_kek_info keks[KEK_MAX];
    size_t n = 0;
    err_ignore(p11_kek_list(scan->s->config.token, keks, KEK_MAX, &n)); /* there are no more */
    for (size_t i = 0; i < e->recipient_count; i++)
        for (size_t k = 0; k < n; k++)
            if (!keks[k].sound && keks[k].generation == e->recipients[i].generation)
                return "sealed under a generation whose key is not fit for use (kek.unsound): keep it, see to the key";
    return "sealed for no key of this token";
}

/* ---- objects ----------------------------------------------------------------------------- */

/* A version, or why it is none. */
static err_t judge(struct scan *scan, const struct p11_seen *seen, enum envelope_kind kind,
                   const char *name, struct finding *ret_odd, struct version **ret_version)
{
    struct p11_object o = seen->object;
    *ret_odd = odd(FAULT_FOREIGN, NULL);
    if (seen->unreadable) return version_new_unreadable(VERSION_UNKNOWN, o, ret_version);
    struct envelope e = {0};
    bool has_meta = false;
    enum envelope_flaw flaw = envelope_decode(seen->value, &e, &has_meta);
    *ret_odd = odd_bytes(flaw);
    if (ret_odd->why) return ERR_OK;
    if (has_meta && (e.meta.kind != kind || !span_eq_str(e.meta.name, name))) {
        *ret_odd = odd(FAULT_MISPLACED, "misplaced: it was sealed under another name");
        return ERR_OK;
    }
    if (flaw != ENVELOPE_SOUND)
        return version_new_unreadable(has_meta ? e.meta.version : VERSION_UNKNOWN, o, ret_version);
    uint32_t generation = 0;
    TRY(generation_of(scan, &e, &generation));
    if (generation == 0) {
        *ret_odd = odd(FAULT_FOREIGN, why_foreign(scan, &e));
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

static err_t check_room(const struct scan *scan)
{
    if (scan->fresh->objects < STORE_READ_MAX) return ERR_OK;
    FAIL(ERR_TOOLARGE, "the token holds more than %u objects of ours", STORE_READ_MAX);
}

static err_t enter(struct scan *scan, enum envelope_kind kind, const char *name,
                   struct version *version, struct span value)
{
    _cleanup_version_ struct version *v = version;
    TRY(check_room(scan));
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

/* Its bytes too, when they are cached. False: it must be read again. */
static bool take_known(struct store *s, const struct version *v, struct blob **ret_bytes)
{
    SCOPED_LOCK(&s->lock);
    if (v->broken) return false;
    *ret_bytes = v->bytes ? blob_ref(v->bytes) : NULL;
    return true;
}

static err_t enter_known(void *arg, struct p11_object object, bool *ret)
{
    struct scan *scan = arg;
    const struct known_object *k = known_find(&scan->known, object);
    _cleanup_blob_ struct blob *bytes = NULL;
    _cleanup_version_ struct version *v = NULL;
    _cleanup_free_ struct entry *spare = NULL;
    *ret = k && take_known(scan->s, k->version, &bytes);
    if (!*ret) return ERR_OK;
    TRY(check_room(scan));
    TRY(version_copy(k->version, &v));
    TRY(entry_new(k->entry->kind, k->entry->name, &spare));
    catalog_insert(scan->fresh, &spare, TAKE_PTR(v), bytes, false);
    return ERR_OK;
}

/* Not served, but perhaps kept by somebody, under a key of ours that must not go then. */
static void note_need(struct scan *scan, const struct p11_seen *seen)
{
    struct oddities *odd = &scan->fresh->odd;
    struct envelope e = {0};
    bool has_meta = false;
    if (seen->unreadable) odd->blind++;
    else if (envelope_decode(seen->value, &e, &has_meta) == ENVELOPE_SOUND) {
        uint32_t generation = p11_recipient_generation(scan->s->config.token, &e);
        if (generation) oddities_need(odd, generation);
    }
}

static void note_odd(struct scan *scan, const struct p11_seen *seen, struct finding f)
{
    struct oddities *odd = &scan->fresh->odd;
    f.label = seen->label;
    findings_add(&odd->named, &f);
    if (f.fault == FAULT_TORN) odd->torn++;
    else odd->foreign++;
    if (f.fault != FAULT_TORN) note_need(scan, seen);
}

static err_t visit_object(void *arg, const struct p11_seen *seen)
{
    struct scan *scan = arg;
    enum envelope_kind kind = ENVELOPE_RESOURCE;
    const char *name = NULL;
    struct version *v = NULL;
    struct finding f = odd(FAULT_FOREIGN, "the label is not a name");
    enum label_owner owner = label_read(seen->label, &kind, &name);
    /* Ours by its application, and nobody can tell whose name it had. */
    if (seen->unreadable && !seen->label[0]) f = odd(FAULT_DAMAGED, "not even its label can be read");
    if (strcmp(seen->label, LABEL_MANIFEST) == 0)
        manifest_sighted(scan->s, &scan->fresh->manifest, seen);
    if (owner == LABEL_RESERVED) return ERR_OK;
    if (owner == LABEL_OURS) TRYC(judge(scan, seen, kind, name, &f, &v), "object '%s'", seen->label);
    if (f.why) note_odd(scan, seen, f);
    return f.why ? ERR_OK : enter(scan, kind, name, v, seen->value);
}

#define ODD_LOG 8u /* lines of a scan; the scrubber names all of them */

/* Once for each change of what is odd, not once a scan. */
static void report_oddities(const struct oddities *before, const struct oddities *now)
{
    if (before && before->foreign == now->foreign && before->torn == now->torn) return;
    if (now->foreign == 0 && now->torn == 0) return;
    log_warn("store.odd-objects", LOG_U("foreign", now->foreign), LOG_U("torn", now->torn),
             LOG_S("effect", "left alone, not served"));
    for (size_t i = 0; i < now->named.n && i < ODD_LOG; i++)
        log_warn("store.odd-object", LOG_S("label", now->named.at[i].label),
                 LOG_S("why", now->named.at[i].why));
}

static err_t scan_token(struct scan *scan, bool news)
{
    struct p11 *token = scan->s->config.token;
    const struct p11_rescan how = {.knows = enter_known, .visit = visit_object, .arg = scan};
    if (!news) return p11_object_scan(token, true, visit_object, scan);
    TRY(known_new(scan->s->catalog, &scan->known));
    struct err e = p11_object_rescan(token, &how);
    known_free(&scan->known);
    return e;
}

struct err load_catalog_locked(struct store *s, enum reading reading, struct catalog **ret)
{
    _cleanup_catalog_ struct catalog *fresh = NULL;
    TRY(catalog_new(s->config.cache_bytes, &fresh));
    struct scan scan = {.s = s, .fresh = fresh};
    /* Before the scan: what it judges first is judged without a key that it finds later. */
    fresh->kek_changes = p11_kek_changes(s->config.token);
    bool news = reading == READ_NEWS && s->catalog && s->catalog->kek_changes == fresh->kek_changes;
    TRY(scan_token(&scan, news));
    if (news && p11_kek_changes(s->config.token) != fresh->kek_changes)
        return load_catalog_locked(s, READ_ALL, ret);
    /* `catalog` is replaced under `work` only, which we hold, and `odd` is fixed by then. */
    report_oddities(s->catalog ? &s->catalog->odd : NULL, &fresh->odd);
    *ret = TAKE_PTR(fresh);
    return ERR_OK;
}

#include "broker/store/store_internal.h"

#include "broker/base/log.h"
#include "pkcs11/token_file.h"

#include <string.h>

#define NAME "manifest"

/* ---- what the host remembers ------------------------------------------------------------- */

struct err manifest_init(struct store *s, const char *state_dir)
{
    struct manifest_state *m = &s->manifest;
    if (!state_dir) return ERR_OK;
    TRY(token_file_path(state_dir, "manifest-", p11_serial(s->config.token), "", &m->note_path));
    struct err e = manifest_note_read(m->note_path, &m->note);
    /* It guards against less than stopping would cost; the next manifest makes it anew. */
    if (!err_ok(e)) log_warn_err(e, "manifest.note", LOG_S("effect", "this host remembers no manifest"));
    return ERR_OK;
}

void manifest_done(struct store *s)
{
    buf_free(&s->manifest.body);
    buf_free(&s->manifest.dropped);
    free(s->manifest.note_path);
}

static void write_note(struct store *s)
{
    struct err e = manifest_note_write(s->manifest.note_path, &s->manifest.note);
    if (!err_ok(e))
        log_warn_err(e, "manifest.note", LOG_S("effect", "a token taken back as a whole goes unseen"));
}

/* ---- reading ----------------------------------------------------------------------------- */

void manifest_sighted(struct store *s, struct manifest_sight *sight, const struct p11_seen *seen)
{
    struct envelope e = {0};
    bool has_meta = false;
    if (sight->count == MANIFEST_OBJECTS) return;
    sight->objects[sight->count++] = seen->object;
    if (seen->unreadable || envelope_decode(seen->value, &e, &has_meta) != ENVELOPE_SOUND) return;
    if (e.meta.kind != ENVELOPE_MANIFEST || !span_eq_str(e.meta.name, NAME) ||
        e.meta.version <= sight->version)
        return;
    struct blob *bytes = blob_new(seen->value);
    if (!bytes) return;
    blob_unref(sight->best);
    sight->best = bytes;
    sight->version = e.meta.version;
    sight->generation = p11_recipient_generation(s->config.token, &e);
}

void manifest_sight_done(struct manifest_sight *sight)
{
    blob_unref(TAKE_PTR(sight->best));
}

static err_t open_sight(struct store *s, const struct manifest_sight *sight)
{
    struct manifest_state *m = &s->manifest;
    _cleanup_secret_ struct secret *body = NULL;
    struct envelope e = {0};
    bool has_meta = false;
    ENSURE(envelope_decode(blob_span(sight->best), &e, &has_meta) == ENVELOPE_SOUND);
    TRY(p11_unseal(s->config.token, &e, &body));
    TRY(manifest_check(secret_span(body)));
    buf_reset(&m->body);
    buf_add_span(&m->body, secret_span(body)); /* names and numbers: no secret */
    TRY(buf_ok(&m->body));
    m->generation = sight->generation;
    SCOPED_LOCK(&s->lock);
    m->version = sight->version;
    return ERR_OK;
}

/* The version that the token showed; 0: none that opens. */
static void compare_with_note(struct store *s, uint64_t found, uint64_t damaged)
{
    struct manifest_note *n = &s->manifest.note;
    bool lost = damaged || found < n->known;
    if (lost ? n->lost_known != 0 : found == n->known) return;
    if (lost) {
        n->lost_known = n->known ? n->known : damaged;
        n->lost_found = found;
        log_error("manifest.rolled-back", LOG_U("known", n->known), LOG_U("found", found),
                  LOG_S("meaning", "the token, or its manifest, was taken back to an older state"),
                  LOG_S("hint", "strongroom token verify; with --accept if that was meant"));
    } else {
        n->known = found;
    }
    write_note(s);
}

void manifest_take_locked(struct store *s, const struct manifest_sight *sight)
{
    struct manifest_state *m = &s->manifest;
    memcpy(m->objects, sight->objects, sizeof m->objects);
    m->count = sight->count;
    m->unread = false;
    m->present = sight->best && sight->version == m->version;
    if (m->present) return;
    uint64_t found = sight->best ? sight->version : 0;
    /* What this process has read or written is not forgotten for an older one. */
    if (found > m->version) {
        struct err e = open_sight(s, sight);
        if (!err_ok(e) && e.code != ERR_DAMAGED && e.code != ERR_NOTFOUND) {
            m->unread = true;
            SCOPED_LOCK(&s->lock);
            s->doubt = true; /* the next look scans again */
            return;
        }
        if (!err_ok(e)) log_err(e, "manifest.damaged", LOG_U("version", found));
        m->present = err_ok(e);
        compare_with_note(s, err_ok(e) ? found : 0, err_ok(e) ? 0 : found);
        return;
    }
    compare_with_note(s, found, 0);
}

/* ---- one name ---------------------------------------------------------------------------- */

static bool is_dropped(const struct manifest_state *m, enum envelope_kind kind, const char *name)
{
    const char *at = (const char *) m->dropped.data, *end = at + m->dropped.len;
    for (; at < end; at += strlen(at) + 1)
        if (*at == (char) kind && strcmp(at + 1, name) == 0) return true;
    return false;
}

/* Nothing is missed when it is not there. */
static bool is_over(const struct manifest_record *r)
{
    return r->tombstone || (r->not_after && clock_now() > r->not_after);
}

uint64_t manifest_next_locked(struct store *s, enum envelope_kind kind, const char *name,
                              uint64_t highest)
{
    struct manifest_state *m = &s->manifest;
    struct manifest_record r;
    if (!manifest_find(buf_span(&m->body), kind, name, &r) || r.version <= highest)
        return highest + 1;
    /* Purged a moment ago: the token's manifest must forget the name before it begins anew. */
    if (is_dropped(m, kind, name) && err_ok(manifest_sync_locked(s))) return highest + 1;
    return r.version + 1;
}

void manifest_changed_locked(struct store *s)
{
    s->manifest.dirty = true;
}

void manifest_before_purge_locked(struct store *s, enum envelope_kind kind, const char *name)
{
    struct manifest_record r;
    const struct entry *entry = catalog_find(s->catalog, kind, name);
    bool known = manifest_find(buf_span(&s->manifest.body), kind, name, &r);
    /* After a kill at this moment it alone says which numbers were given. */
    bool behind = known && entry && r.version < versions_highest(entry->versions);
    if (!known || (is_over(&r) && !behind)) return;
    struct err e = manifest_sync_locked(s);
    /* A full token is what a purge is for: it goes on. */
    if (!err_ok(e))
        log_warn_err(e, "manifest.behind", LOG_S("effect", "if the broker is killed at this moment, what "
                     "is purged looks missing, or its numbers are given once more"));
}

void manifest_purged_locked(struct store *s, enum envelope_kind kind, const char *name)
{
    struct manifest_state *m = &s->manifest;
    m->dirty = true;
    buf_add_byte(&m->dropped, (uint8_t) kind);
    buf_add(&m->dropped, name, strlen(name) + 1);
}

/* ---- making a new one -------------------------------------------------------------------- */

struct names {
    const struct entry **at;
    size_t n, cap;
};

static void names_done(struct names *x)
{
    free(x->at);
}

static void collect(void *arg, const struct entry *e)
{
    struct names *x = arg;
    if (x->n < x->cap) x->at[x->n++] = e;
}

static int by_order(const void *a, const void *b)
{
    const struct entry *x = *(const struct entry *const *) a, *y = *(const struct entry *const *) b;
    return manifest_compare(x->kind, x->name, y->kind, y->name);
}

/* Versions and links change under `work` only, which is held, so `lock` is not needed for them. */
static err_t sort_names(struct store *s, struct names *ret)
{
    ret->cap = s->catalog->names;
    ret->at = calloc(ret->cap + 1, sizeof *ret->at);
    if (!ret->at) FAIL(ERR_INTERNAL, "out of memory");
    catalog_each(s->catalog, collect, ret);
    qsort(ret->at, ret->n, sizeof *ret->at, by_order);
    return ERR_OK;
}

/* What the catalog says; false when it knows no version of the name. */
static bool record_of(const struct entry *e, struct manifest_record *ret)
{
    const struct version *v = e->versions;
    while (v && v->version == VERSION_UNKNOWN) v = v->older;
    if (!v) return false;
    *ret = (struct manifest_record){.kind = e->kind, .version = v->version,
                                    .not_after = v->not_after, .tombstone = v->tombstone};
    memcpy(ret->name, e->name, strlen(e->name) + 1);
    return true;
}

static void put_record(struct manifest_writer *w, const struct manifest_record *r, bool *full)
{
    if (*full || manifest_put(w, r)) return;
    *full = true;
    log_warn("manifest.full", LOG_U("names", w->count), LOG_S("first_left_out", r->name),
             LOG_S("effect", "what is done to that name and those after it goes unseen"));
}

/* The two lists merged, both ascending; of a name in both the higher version. */
static void merge(struct store *s, const struct names *names, struct manifest_reader *old,
                  struct manifest_writer *w, size_t *ret_forgotten)
{
    bool more = manifest_next(old), full = false;
    for (size_t i = 0; i < names->n || more;) {
        const struct entry *e = i < names->n ? names->at[i] : NULL;
        const struct manifest_record *was = &old->record;
        int order = !e ? 1 : !more ? -1 : manifest_compare(e->kind, e->name, was->kind, was->name);
        struct manifest_record now = {0};
        bool known = order <= 0 && record_of(e, &now);
        bool keep = order >= 0 && !is_dropped(&s->manifest, was->kind, was->name) &&
                    (!known || was->version > now.version);
        if (keep && ret_forgotten) ++*ret_forgotten;
        if (keep && !ret_forgotten) put_record(w, was, &full);
        else if (known) put_record(w, &now, &full);
        if (order <= 0) i++;
        if (order >= 0) more = manifest_next(old);
    }
}

/* ret_forgotten not NULL: of the old one nothing is taken over, and what would have been is counted. */
static err_t build(struct store *s, struct buf *ret, uint32_t *ret_count, size_t *ret_forgotten)
{
    _cleanup_(names_done) struct names names = {0};
    struct manifest_reader old;
    struct manifest_writer w;
    TRY(sort_names(s, &names));
    manifest_begin(&old, buf_span(&s->manifest.body));
    manifest_open(&w, ret);
    merge(s, &names, &old, &w, ret_forgotten);
    *ret_count = w.count;
    return manifest_close(&w);
}

/* ---- writing it -------------------------------------------------------------------------- */

static void note_synced(struct store *s)
{
    struct manifest_state *m = &s->manifest;
    buf_reset(&m->dropped);
    m->dirty = false;
    SCOPED_LOCK(&s->lock);
    m->synced = s->changes;
}

static void drop_old(struct store *s, const struct p11_object *old, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct err e = p11_object_destroy(s->config.token, old[i]);
        if (!err_ok(e) && e.code != ERR_NOTFOUND)
            log_debug_err(e, "manifest.old-stays", LOG_S("effect", "the next scan meets it again"));
    }
}

static err_t write_body(struct store *s, struct buf *body)
{
    struct manifest_state *m = &s->manifest;
    uint64_t version = (m->note.known > m->version ? m->note.known : m->version) + 1;
    struct envelope_meta meta = {.kind = ENVELOPE_MANIFEST, .version = version,
                                 .created = clock_now(), .name = span_str(NAME)};
    _cleanup_buf_ struct buf bytes = {.max = ENVELOPE_MAX};
    struct p11_object made = {0};
    uint32_t generation = p11_active_generation(s->config.token);
    TRY(p11_seal(s->config.token, &meta, buf_span(body), &bytes));
    TRY(buf_ok(&bytes));
    struct err e = p11_object_create(s->config.token, LABEL_MANIFEST, buf_span(&bytes), &made);
    if (!err_ok(e)) {
        SCOPED_LOCK(&s->lock);
        /* Unless there was no room it may lie there: the next look reads it, and its number is taken. */
        if (e.code != ERR_FULL) s->doubt = true;
        return e;
    }
    m->note.known = version;
    write_note(s);
    drop_old(s, m->objects, m->count);
    m->objects[0] = made;
    m->count = 1;
    m->generation = generation;
    m->present = true;
    struct buf before = m->body;
    m->body = *body;
    *body = before;
    SCOPED_LOCK(&s->lock);
    m->version = version;
    return ERR_OK;
}

struct err manifest_sync_locked(struct store *s)
{
    struct manifest_state *m = &s->manifest;
    _cleanup_buf_ struct buf body = BUF_INIT;
    uint32_t count = 0;
    TRY(store_check_writer(s));
    if (m->unread) FAIL(ERR_TOKEN_DOWN, "the manifest on the token could not be read yet");
    TRY(build(s, &body, &count, NULL));
    bool same = m->present ? span_eq(buf_span(&body), buf_span(&m->body)) &&
                                 m->generation == p11_active_generation(s->config.token)
                           : count == 0;
    if (!same) TRYC(write_body(s, &body), "writing the manifest");
    note_synced(s);
    return ERR_OK;
}

struct err manifest_accept_locked(struct store *s, size_t *ret_forgotten)
{
    struct manifest_state *m = &s->manifest;
    _cleanup_buf_ struct buf body = BUF_INIT;
    uint32_t count = 0;
    *ret_forgotten = 0;
    if (!s->config.writable && m->note.lost_known) { /* a reader has its host's note to forget, and no more */
        m->note = (struct manifest_note){.known = m->version};
        *ret_forgotten = 1;
        return manifest_note_write(m->note_path, &m->note);
    }
    TRY(store_check_writer(s));
    if (m->unread) FAIL(ERR_TOKEN_DOWN, "the manifest on the token could not be read yet");
    TRY(build(s, &body, &count, ret_forgotten));
    *ret_forgotten += m->note.lost_known != 0;
    struct manifest_note before = m->note;
    m->note.lost_known = m->note.lost_found = 0;
    struct err e = write_body(s, &body);
    if (!err_ok(e)) m->note = before;
    TRYC(e, "writing the manifest");
    note_synced(s);
    return ERR_OK;
}

/* ---- comparing --------------------------------------------------------------------------- */

static bool holds_unknown(const struct entry *e)
{
    return e->versions->version == VERSION_UNKNOWN; /* the highest of all */
}

static void compare_record(struct store *s, const struct manifest_record *r,
                           void (*visit)(void *arg, const struct finding *f), void *arg)
{
    char label[P11_LABEL_MAX + 1];
    const struct entry *e = catalog_find(s->catalog, r->kind, r->name);
    struct finding f = {.label = label, .version = r->version};
    uint64_t highest = e ? versions_highest(e->versions) : 0;
    /* What cannot be read may be what is missed; it is reported as damaged. */
    if (highest >= r->version || (e && holds_unknown(e))) return;
    if (!e && is_over(r)) return;
    label_make(r->kind, r->name, label);
    f.fault = e ? FAULT_ROLLED_BACK : FAULT_MISSING;
    f.why = e ? "an older version stands in the place of this one" : "it was removed, and not by us";
    visit(arg, &f);
}

void manifest_compare_locked(struct store *s, void (*visit)(void *arg, const struct finding *f),
                             void *arg)
{
    struct manifest_state *m = &s->manifest;
    struct manifest_reader r;
    for (manifest_begin(&r, buf_span(&m->body)); manifest_next(&r);)
        if (!is_dropped(m, r.record.kind, r.record.name)) compare_record(s, &r.record, visit, arg);
    if (!m->note.lost_known) return;
    struct finding f = {.label = LABEL_MANIFEST, .version = m->note.lost_known};
    f.fault = m->note.lost_found ? FAULT_ROLLED_BACK : FAULT_MISSING;
    f.why = m->note.lost_found ? "the token was taken back to an older state"
                               : "it was removed or does not open any more";
    visit(arg, &f);
}

/* ---- in the background ------------------------------------------------------------------- */

bool manifest_due(struct store *s)
{
    struct manifest_state *m = &s->manifest;
    if (!s->config.writable || !p11_has_kek(s->config.token)) return false;
    SCOPED_LOCK(&s->lock);
    return m->synced != s->changes && clock_mono_ns() >= m->next;
}

static void set_next(struct store *s, uint64_t begun, bool failed)
{
    struct manifest_state *m = &s->manifest;
    uint64_t now = clock_mono_ns(), pause = MANIFEST_SECONDS * CLOCK_SECOND_NS;
    if (MANIFEST_SHARE * (now - begun) > pause) pause = MANIFEST_SHARE * (now - begun);
    if (!failed) m->retry = 0;
    else if (m->retry == 0) m->retry = MANIFEST_RETRY_SECONDS;
    else if ((m->retry *= 2) > MANIFEST_RETRY_MAX_SECONDS) m->retry = MANIFEST_RETRY_MAX_SECONDS;
    if (failed) pause = m->retry * CLOCK_SECOND_NS;
    SCOPED_LOCK(&s->lock);
    m->next = now + pause;
}

void manifest_flush(struct store *s)
{
    SCOPED_WORK(s);
    uint64_t begun = clock_mono_ns();
    struct err e = refresh_locked(s);
    if (err_ok(e)) e = manifest_sync_locked(s);
    if (!err_ok(e) && s->manifest.retry == 0)
        log_warn_err(e, "manifest.behind", LOG_S("effect", "what is done to names written since the last "
                     "one goes unseen; it is tried again"));
    if (err_ok(e) && s->manifest.retry) log_info("manifest.written-again");
    set_next(s, begun, !err_ok(e));
}

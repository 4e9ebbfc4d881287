/* Rotation: what lies under older key-encryption keys is moved to the active one, a few at a time: the
 * new objects are made, read back by one find, and then the old ones go.
 *
 * The new envelope has the same version and payload, and a recipient of a higher generation, so it counts
 * as soon as it is there (version.h). Killed in between, both lie there, and the next run removes the old
 * one. Reads go on: the old key stays on the token until `kek rm`. */
#include "broker/store/store_internal.h"

#include "broker/base/log.h"

#include <string.h>

enum step {
    STEP_LEFT,  /* stays where it is: damaged, failed or not reached */
    STEP_GONE,  /* somebody removed it, which is as good */
    STEP_MAKE,  /* its new envelope is in `fresh` */
    STEP_THERE, /* the new object was seen to open to the same: the old one may go */
};

struct due {
    enum envelope_kind kind;
    uint64_t version;
    struct p11_object object;
    bool copied;             /* the same version under the active key is there already: */
    struct p11_object copy;
    enum step step;
    struct buf fresh;
    char name[NAME_MAX_BYTES + 1];
};

struct selection {
    uint32_t active;
    struct due *due; /* has room for limit */
    size_t limit, count;
    size_t room; /* for copies */
    size_t left, failed, unreadable;
};

static void select_due(void *arg, const struct entry *e)
{
    struct selection *x = arg;
    const struct version *before = NULL;
    for (const struct version *v = e->versions; v; before = v, v = v->older) {
        if (v->unreadable) x->unreadable++;
        if (v->unreadable || v->generation >= x->active) continue;
        x->left++;
        if (v->broken) x->failed++;
        bool copied = before && before->version == v->version && before->generation >= x->active;
        if (v->broken || x->count == x->limit || (!copied && !x->room)) continue;
        struct due *d = &x->due[x->count++];
        *d = (struct due){.kind = e->kind, .version = v->version, .object = v->object,
                          .copied = copied, .fresh.max = ENVELOPE_MAX};
        if (copied) d->copy = before->object;
        else x->room--;
        memcpy(d->name, e->name, strlen(e->name) + 1);
    }
}

/* ---- one of them ------------------------------------------------------------------------- */

static struct version *find_object_locked(struct store *s, const struct due *d, struct p11_object o)
{
    struct entry *e = catalog_find(s->catalog, d->kind, d->name);
    struct version *v = e ? e->versions : NULL;
    while (v && (v->object.handle != o.handle || v->object.epoch != o.epoch)) v = v->older;
    return v;
}

/* *ret NULL: it went meanwhile, which is as good. */
static err_t read_object(struct store *s, const struct due *d, struct p11_object o, struct blob **ret)
{
    {
        SCOPED_LOCK(&s->lock);
        struct version *v = find_object_locked(s, d, o);
        if (!v) return ERR_OK;
        if (v->bytes) {
            *ret = blob_ref(v->bytes);
            return ERR_OK;
        }
    }
    _cleanup_buf_ struct buf b = {.max = ENVELOPE_MAX};
    struct err e = p11_object_read(s->config.token, o, &b);
    if (e.code == ERR_NOTFOUND) {
        SCOPED_LOCK(&s->lock);
        s->doubt = true; /* somebody else removed it: look again */
        return ERR_OK;
    }
    TRY(e);
    TRY(buf_ok(&b));
    *ret = blob_new(buf_span(&b));
    if (!*ret) FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

/* Whether the bytes open to a value, which goes at once. */
static err_t try_open(struct store *s, const struct due *d, struct span bytes, struct envelope *ret)
{
    bool has_meta = false;
    _cleanup_secret_ struct secret *value = NULL;
    enum envelope_flaw flaw = envelope_decode(bytes, ret, &has_meta);
    if (flaw != ENVELOPE_SOUND)
        FAIL(ERR_DAMAGED, "the envelope of %s is %s", d->name, envelope_flaw_text(flaw));
    return p11_unseal(s->config.token, ret, &value);
}

/* What was opened before must open after, under the new key, before the old object may go: a wrapped
 * key that is not this payload's would otherwise be carried on. */
static err_t rewrap_bytes(struct store *s, const struct due *d, struct span bytes, struct buf *ret)
{
    struct envelope old = {0}, new = {0};
    TRY(try_open(s, d, bytes, &old));
    TRY(p11_rewrap(s->config.token, &old, ret));
    return try_open(s, d, buf_span(ret), &new);
}

/* What a rotation that was cut off has left: whether the copy is whole, says the same as the old one and
 * opens. One that does not is destroyed, if the old one does open, and made again. */
static err_t check_copy(struct store *s, const struct due *d, struct span old, bool *ret_good)
{
    _cleanup_blob_ struct blob *bytes = NULL;
    struct envelope a = {0}, b = {0};
    *ret_good = false;
    TRY(try_open(s, d, old, &a));
    TRY(read_object(s, d, d->copy, &bytes));
    if (!bytes) return ERR_OK;
    struct err e = try_open(s, d, blob_span(bytes), &b);
    if (!err_ok(e) && e.code != ERR_DAMAGED) return e;
    *ret_good = err_ok(e) && span_eq(a.bound, b.bound) && span_eq(a.iv, b.iv) &&
                span_eq(a.tag, b.tag) && span_eq(a.ciphertext, b.ciphertext);
    if (*ret_good) return ERR_OK;
    log_warn("store.copy-damaged", LOG_S("kind", kind_noun(d->kind)), LOG_S("name", d->name),
             LOG_U("version", d->version), LOG_S("action", "made again from the old one"));
    return version_destroy_locked(s, d->kind, d->name, d->copy);
}

static err_t prepare_locked(struct store *s, struct due *d)
{
    _cleanup_blob_ struct blob *bytes = NULL;
    bool copied = false;
    TRY(read_object(s, d, d->object, &bytes));
    if (bytes && d->copied) TRY(check_copy(s, d, blob_span(bytes), &copied));
    if (bytes && !copied) TRY(rewrap_bytes(s, d, blob_span(bytes), &d->fresh));
    d->step = !bytes ? STEP_GONE : copied ? STEP_THERE : STEP_MAKE;
    return ERR_OK;
}

static void note_broken(struct store *s, const struct due *d)
{
    SCOPED_LOCK(&s->lock);
    struct version *v = find_object_locked(s, d, d->object);
    if (v) v->broken = true;
}

/* ---- a batch ----------------------------------------------------------------------------- */

#define TRY_MOVE(e, d) \
    TRYC(e, "moving %s %s to the active key", kind_noun((d)->kind), (d)->name)

/* One that is damaged stays as it is. What else fails ends the batch before it. */
static err_t prepare_all_locked(struct store *s, struct selection *x)
{
    size_t bytes = 0;
    for (size_t i = 0; i < x->count && bytes < STORE_BATCH_BYTES; i++) {
        struct due *d = &x->due[i];
        struct err e = prepare_locked(s, d);
        bytes += d->fresh.len;
        if (e.code != ERR_DAMAGED) TRY_MOVE(e, d);
        if (err_ok(e)) continue;
        log_warn_err(e, "store.not-moved", LOG_S("kind", kind_noun(d->kind)),
                     LOG_S("name", d->name), LOG_U("version", d->version));
        note_broken(s, d);
    }
    return ERR_OK;
}

/* The first that failed is told; the others count. */
static err_t make_all_locked(struct store *s, struct selection *x)
{
    size_t n = 0;
    const struct due *bad = NULL;
    struct err_chain why = {.err = ERR_OK};
    _cleanup_free_ struct version_draft *drafts = calloc(x->count + 1, sizeof *drafts);
    if (!drafts) FAIL(ERR_INTERNAL, "out of memory");
    for (size_t i = 0; i < x->count; i++)
        if (x->due[i].step == STEP_MAKE)
            drafts[n++] = (struct version_draft){.kind = x->due[i].kind, .name = x->due[i].name,
                                                 .bytes = buf_span(&x->due[i].fresh)};
    TRY(versions_create_locked(s, drafts, n));
    n = 0;
    for (size_t i = 0; i < x->count; i++) {
        struct due *d = &x->due[i];
        if (d->step != STEP_MAKE) continue;
        const struct err_chain *outcome = &drafts[n++].outcome;
        d->step = err_ok(outcome->err) ? STEP_THERE : STEP_LEFT;
        if (d->step == STEP_THERE || bad) continue;
        bad = d;
        why = *outcome;
    }
    if (bad) TRY_MOVE(err_load(&why), bad);
    return ERR_OK;
}

static err_t retire_all_locked(struct store *s, struct selection *x, size_t *moved)
{
    for (size_t i = 0; i < x->count; i++) {
        const struct due *d = &x->due[i];
        if (d->step == STEP_THERE) TRY_MOVE(version_destroy_locked(s, d->kind, d->name, d->object), d);
        *moved += d->step == STEP_THERE || d->step == STEP_GONE;
    }
    return ERR_OK;
}

static void keep_first(struct err e, struct err_chain *first)
{
    if (!err_ok(e) && err_ok(first->err)) err_save(e, first);
}

/* Whatever fails, what was made goes all the way. */
static err_t move_all_locked(struct store *s, struct selection *x, size_t *moved)
{
    struct err_chain first = {.err = ERR_OK};
    keep_first(prepare_all_locked(s, x), &first);
    keep_first(make_all_locked(s, x), &first);
    keep_first(retire_all_locked(s, x, moved), &first);
    for (size_t i = 0; i < x->count; i++) buf_free(&x->due[i].fresh);
    return err_load(&first);
}

static void look(struct store *s, struct selection *x)
{
    x->count = x->left = x->failed = x->unreadable = 0;
    SCOPED_LOCK(&s->lock);
    x->room = catalog_room(s->catalog, STORE_SPARE_MOVE);
    catalog_each(s->catalog, select_due, x);
}

struct err store_rewrap(struct store *s, size_t limit, struct store_rewrapped *ret)
{
    if (limit > STORE_REWRAP_MAX) limit = STORE_REWRAP_MAX;
    struct selection x = {.active = p11_active_generation(s->config.token), .limit = limit};
    size_t moved = 0;
    TRY(store_check_writer(s));
    if (!x.active) FAIL(ERR_HUMAN, "there is no key to move to; make one: strongroom kek create");
    _cleanup_free_ struct due *due = x.due = calloc(limit + 1, sizeof *due);
    if (!due) FAIL(ERR_INTERNAL, "out of memory");
    SCOPED_WORK(s);
    TRY(refresh_locked(s));
    look(s, &x);
    if (limit && !x.count && x.left > x.failed)
        FAIL(ERR_FULL, "the token has no room for a copy; delete and purge what is not needed");
    TRY(move_all_locked(s, &x, &moved));
    /* Others read on with the old key and old bytes; one scan at the end is enough for them. */
    look(s, &x);
    if (moved && x.left == x.failed) announce_locked(s);
    *ret = (struct store_rewrapped){.generation = x.active, .moved = moved, .left = x.left,
                                    .failed = x.failed, .unreadable = x.unreadable};
    return ERR_OK;
}

/* ---- is a key still needed ----------------------------------------------------------------- */

struct need {
    uint32_t generation;
    size_t under, unreadable;
};

static void count_need(void *arg, const struct entry *e)
{
    struct need *n = arg;
    for (const struct version *v = e->versions; v; v = v->older) {
        if (v->unreadable) n->unreadable++;
        else if (v->generation == n->generation) n->under++;
    }
}

/* What is sealed under a key that is not fit for use looks foreign, until somebody mends the key. */
static err_t check_fit(struct store *s, uint32_t generation)
{
    struct p11_kek_info keks[KEK_MAX];
    size_t n = 0, foreign = s->catalog->odd.foreign; /* fixed under `work` */
    TRY(p11_kek_list(s->config.token, keks, KEK_MAX, &n));
    for (size_t i = 0; i < n && foreign; i++)
        if (keks[i].generation == generation && !keks[i].sound)
            FAIL(ERR_CONFLICT, "generation %u is not fit for use (the log says why: kek.unsound), so what it sealed is "
                 "among %zu foreign objects, and would be lost with it; see to the key, or remove those that are "
                 "nobody's with the token's own tools", generation, foreign);
    return ERR_OK;
}

struct err store_drop_key(struct store *s, uint32_t generation)
{
    struct need n = {.generation = generation};
    TRY(store_check_writer(s));
    SCOPED_WORK(s);
    TRY(rescan_locked(s)); /* what is there now decides, not what we remember */
    if (generation == p11_active_generation(s->config.token))
        FAIL(ERR_CONFLICT, "generation %u is the key in use; `strongroom kek rotate` makes the next",
             generation);
    {
        SCOPED_LOCK(&s->lock);
        catalog_each(s->catalog, count_need, &n);
    }
    if (n.under)
        FAIL(ERR_CONFLICT, "%zu objects are under generation %u; move them first: strongroom kek rotate",
             n.under, generation);
    if (n.unreadable)
        FAIL(ERR_CONFLICT, "%zu objects cannot be read and may need it; put or delete those resources "
             "first (strongroom resource list)", n.unreadable);
    const struct oddities *odd = &s->catalog->odd; /* fixed under `work` */
    if (odd->blind)
        FAIL(ERR_CONFLICT, "%zu objects that are none of ours cannot be read and may need it", odd->blind);
    if (oddities_needs(odd, generation))
        FAIL(ERR_CONFLICT, "an object under a name that is not its own is sealed under generation %u; "
             "the log names it (store.odd-object): remove it with the token's own tools", generation);
    TRY(check_fit(s, generation));
    TRY(manifest_sync_locked(s)); /* under the active key, if it is not yet */
    announce_locked(s);           /* others may have envelopes of before in memory */
    return p11_kek_destroy(s->config.token, generation);
}

#include "broker/store/store_internal.h"

#include "broker/base/clock.h"
#include "broker/base/log.h"

#include <stdio.h>
#include <string.h>

/* A version to be written: a value, or a tombstone. */
struct draft {
    enum envelope_kind kind;
    const char *name;
    struct span value;
    const char *content_type;
    int64_t not_after;
    bool tombstone, has_if_match;
    uint64_t if_match;
    size_t ahead; /* objects of the same batch that are not in the catalog yet */
};

struct err store_check_writer(const struct store *s)
{
    if (s->config.writable) return ERR_OK;
    if (s->config.writer)
        FAIL(ERR_READONLY, "this broker does not write; %s does", s->config.writer);
    FAIL(ERR_READONLY, "this broker does not write; it is configured as a reader");
}

static err_t check_draft(const struct store *s, const struct draft *d)
{
    TRY(store_check_writer(s));
    TRY(name_check(d->kind, d->name));
    size_t max = s->config.value_max;
    if (d->value.len > max)
        FAIL(ERR_TOOLARGE, "the value of %s %s is %zu bytes; the limit is %zu",
             kind_noun(d->kind), d->name, d->value.len, max);
    if (d->content_type && !content_type_ok(span_str(d->content_type)))
        FAIL(ERR_USAGE, "the content type of %s %s is empty, too long or not printable ASCII",
             kind_noun(d->kind), d->name);
    if (d->not_after < 0)
        FAIL(ERR_USAGE, "the end of %s %s (not-after) lies before 1970", kind_noun(d->kind),
             d->name);
    return ERR_OK;
}

/* If-Match names what a reader could have seen: the newest version, a damaged one too (so that
 * "only if there is none" does not overwrite it), 0 when there is none or a tombstone. */
static err_t check_precondition(const struct draft *d, bool exists, uint64_t highest)
{
    uint64_t current = exists ? highest : 0; /* 0 too for what exists and nobody can tell the version of */
    bool holds = d->if_match ? d->if_match == current : !exists;
    if (!d->has_if_match || holds) return ERR_OK;
    if (exists && !current)
        FAIL(ERR_PRECONDITION, "%s %s is there already, and cannot be read; put it without a condition to replace it",
             kind_noun(d->kind), d->name);
    if (!d->if_match)
        FAIL(ERR_PRECONDITION, "%s %s is there already, at version %llu", kind_noun(d->kind), d->name,
             (unsigned long long) current);
    FAIL(ERR_PRECONDITION, "%s %s is at version %llu, not %llu", kind_noun(d->kind), d->name,
         (unsigned long long) current, (unsigned long long) d->if_match);
}

/* Whether it may be written; the highest there is, damaged ones and tombstones included. */
static err_t check_locked(struct store *s, const struct draft *d, uint64_t *ret)
{
    SCOPED_LOCK(&s->lock);
    const struct entry *e = catalog_find(s->catalog, d->kind, d->name);
    uint64_t highest = e ? versions_highest(e->versions) : 0;
    bool exists = e && versions_state(e->versions) != STORE_DELETED;
    if (d->tombstone && !exists)
        FAIL(ERR_NOTFOUND, "there is no %s %s", kind_noun(d->kind), d->name);
    TRY(check_precondition(d, exists, highest));
    if (catalog_room(s->catalog, d->tombstone ? STORE_SPARE_DELETE : 0) <= d->ahead)
        FAIL(ERR_FULL, "the token is full: %zu objects, %zu of them not ours; delete and purge what is not needed",
             s->catalog->objects, s->catalog->odd.foreign + s->catalog->odd.torn);
    *ret = highest;
    return ERR_OK;
}

/* One above what was ever written under the name, as far as anybody knows. */
static err_t number_locked(struct store *s, const struct draft *d, uint64_t *ret)
{
    uint64_t highest = 0;
    TRY(check_locked(s, d, &highest));
    *ret = manifest_next_locked(s, d->kind, d->name, highest);
    if (*ret >= VERSION_UNKNOWN)
        FAIL(ERR_DAMAGED, "%s %s has no version number left; remove its object with the token's "
             "own tools", kind_noun(d->kind), d->name);
    return ERR_OK;
}

static err_t seal(struct store *s, const struct draft *d, uint64_t version, struct buf *ret)
{
    struct envelope_meta meta = {.kind = d->kind, .tombstone = d->tombstone, .version = version,
                                 .created = clock_now(), .name = span_str(d->name)};
    uint8_t not_after[NOT_AFTER_BYTES];
    if (d->content_type)
        meta.attributes[meta.attribute_count++] = (struct envelope_attribute){
            ENVELOPE_CONTENT_TYPE, span_str(d->content_type)};
    /* types ascend, and the critical bit is the highest */
    if (d->not_after) {
        for (unsigned i = 0; i < NOT_AFTER_BYTES; i++)
            not_after[i] = (uint8_t) ((uint64_t) d->not_after >> (8 * (NOT_AFTER_BYTES - 1 - i)));
        meta.attributes[meta.attribute_count++] = (struct envelope_attribute){
            ENVELOPE_NOT_AFTER, span_of(not_after, sizeof not_after)};
    }
    struct err e = p11_seal(s->config.token, &meta, d->value, ret);
    TRYC(token_failure(e), "sealing %s %s version %llu", kind_noun(d->kind), d->name, (unsigned long long) version);
    return buf_ok(ret);
}

static unsigned keep_of(const struct store *s, enum envelope_kind kind)
{
    return kind == ENVELOPE_POLICY ? s->config.keep_policies : s->config.keep_versions;
}

/* The first *ret_hiding of them lie above what was written. None of a name that there is not. */
static err_t list_surplus(struct store *s, const struct draft *d, struct p11_object **ret,
                          size_t *ret_n, size_t *ret_hiding)
{
    SCOPED_LOCK(&s->lock);
    const struct entry *e = catalog_find(s->catalog, d->kind, d->name);
    if (!e) return ERR_OK;
    struct p11_object *surplus = calloc(versions_count(e->versions), sizeof *surplus);
    if (!surplus) FAIL(ERR_INTERNAL, "out of memory");
    *ret_n = versions_surplus(e->versions, keep_of(s, d->kind), surplus);
    *ret_hiding = versions_unknown(e->versions);
    *ret = surplus;
    return ERR_OK;
}

struct err version_destroy_locked(struct store *s, enum envelope_kind kind, const char *name, struct p11_object o)
{
    struct err gone = p11_object_destroy(s->config.token, o);
    if (gone.code != ERR_NOTFOUND) TRY(gone);
    SCOPED_LOCK(&s->lock);
    catalog_remove(s->catalog, kind, name, o);
    s->changes++;
    return ERR_OK;
}

static err_t tell_hidden(const struct draft *d, uint64_t version, const struct err_chain *why)
{
    TRYC(token_failure(err_load(why)), "%s %s version %llu is written, but an object under its name that cannot be "
         "read may be newer, and stays: write it again, or remove that object with the token's own tools",
         kind_noun(d->kind), d->name, (unsigned long long) version);
    return ERR_OK;
}

/* The new version is safe by now, so what fails here is logged only; the next write of this name
 * tries again. But one that may be newer for all anybody knows must go, or nobody is given the new one. */
static err_t prune_locked(struct store *s, const struct draft *d, uint64_t version)
{
    _cleanup_free_ struct p11_object *surplus = NULL;
    struct err_chain hidden = {.err = ERR_OK};
    size_t n = 0, hiding = 0;
    struct err e = list_surplus(s, d, &surplus, &n, &hiding);
    for (size_t i = 0; i < hiding; i++) {
        struct err stays = version_destroy_locked(s, d->kind, d->name, surplus[i]);
        if (!err_ok(stays)) err_save(stays, &hidden);
    }
    /* a newer one must not go before an older one */
    for (size_t i = hiding; i < n && err_ok(e); i++) e = version_destroy_locked(s, d->kind, d->name, surplus[i]);
    if (!err_ok(e))
        log_warn_err(e, "store.prune", LOG_S("kind", kind_noun(d->kind)), LOG_S("name", d->name),
                     LOG_S("effect", "an old version stays until the next write"));
    return tell_hidden(d, version, &hidden);
}

/* There is nothing to delete. A deletion that was cut off has left what it deleted; whoever asks again wants it
 * gone. */
static err_t end_deletion_locked(struct store *s, const struct draft *d, struct err missing)
{
    struct err_chain why;
    err_save(missing, &why);
    err_ignore(prune_locked(s, d, 0)); /* what stays is logged; nothing lies above a tombstone that was found */
    return err_load(&why);
}

static err_t write_version(struct store *s, const struct draft *d, uint64_t *ret_version)
{
    TRY(check_draft(s, d));
    SCOPED_WORK(s);
    TRY(refresh_locked(s));
    uint64_t version = 0;
    struct err e = number_locked(s, d, &version);
    if (e.code == ERR_NOTFOUND) return end_deletion_locked(s, d, e);
    TRY(e);
    _cleanup_buf_ struct buf bytes = {.max = ENVELOPE_MAX};
    TRY(seal(s, d, version, &bytes));
    TRYC(version_create_locked(s, d->kind, d->name, buf_span(&bytes)), "writing %s %s version %llu", kind_noun(d->kind),
         d->name, (unsigned long long) version);
    e = prune_locked(s, d, version);
    struct err_chain outcome;
    err_save(e, &outcome);
    announce_locked(s);
    TRY(err_load(&outcome));
    if (ret_version) *ret_version = version;
    return ERR_OK;
}

static struct draft draft_of(const struct store_put *put)
{
    return (struct draft){.kind = put->kind, .name = put->name, .value = put->value,
                          .content_type = put->content_type, .not_after = put->not_after,
                          .has_if_match = put->has_if_match, .if_match = put->if_match};
}

struct err store_put(struct store *s, const struct store_put *put, uint64_t *ret_version)
{
    struct draft d = draft_of(put);
    return write_version(s, &d, ret_version);
}

struct err store_delete(struct store *s, enum envelope_kind kind, const char *name,
                        bool has_if_match, uint64_t if_match, uint64_t *ret_version)
{
    struct draft d = {.kind = kind, .name = name, .tombstone = true, .has_if_match = has_if_match,
                      .if_match = if_match};
    return write_version(s, &d, ret_version);
}

/* ---- a batch ----------------------------------------------------------------------------- */

/* One that is sealed: which of the puts, and its envelope. */
struct sealed {
    struct store_batch_put *of;
    struct draft draft;
    struct buf bytes;
};

static bool came_before(const struct store_batch_put *puts, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (puts[j].put.kind == puts[i].put.kind && strcmp(puts[j].put.name, puts[i].put.name) == 0) return true;
    return false;
}

static err_t seal_locked(struct store *s, struct sealed *x, bool twice)
{
    TRY(check_draft(s, &x->draft));
    if (twice) FAIL(ERR_CONFLICT, "%s comes twice in one batch", x->draft.name);
    TRY(number_locked(s, &x->draft, &x->of->version));
    return seal(s, &x->draft, x->of->version, &x->bytes);
}

/* Those that can be written, into x. */
static size_t seal_all_locked(struct store *s, struct store_batch_put *puts, size_t n, struct sealed *x)
{
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        x[m] = (struct sealed){.of = &puts[i], .draft = draft_of(&puts[i].put), .bytes.max = ENVELOPE_MAX};
        x[m].draft.ahead = m;
        struct err e = seal_locked(s, &x[m], came_before(puts, i));
        puts[i].outcome = (struct err_chain){.err = ERR_OK};
        if (err_ok(e)) {
            m++;
            continue;
        }
        err_save(e, &puts[i].outcome);
        buf_free(&x[m].bytes);
    }
    return m;
}

static err_t write_all_locked(struct store *s, struct sealed *x, size_t m)
{
    size_t written = 0;
    _cleanup_free_ struct version_draft *drafts = calloc(m + 1, sizeof *drafts);
    if (!drafts) FAIL(ERR_INTERNAL, "out of memory");
    for (size_t i = 0; i < m; i++)
        drafts[i] = (struct version_draft){.kind = x[i].draft.kind, .name = x[i].draft.name,
                                           .bytes = buf_span(&x[i].bytes)};
    TRY(versions_create_locked(s, drafts, m));
    for (size_t i = 0; i < m; i++) {
        x[i].of->outcome = drafts[i].outcome;
        if (!err_ok(drafts[i].outcome.err)) continue;
        err_save(prune_locked(s, &x[i].draft, x[i].of->version), &x[i].of->outcome);
        written++;
    }
    if (written) announce_locked(s);
    return ERR_OK;
}

struct err store_put_batch(struct store *s, struct store_batch_put *puts, size_t n)
{
    ENSURE(n <= STORE_BATCH_MAX);
    TRY(store_check_writer(s));
    _cleanup_free_ struct sealed *x = calloc(n + 1, sizeof *x);
    if (!x) FAIL(ERR_INTERNAL, "out of memory");
    SCOPED_WORK(s);
    TRY(refresh_locked(s));
    size_t m = seal_all_locked(s, puts, n, x);
    struct err e = write_all_locked(s, x, m);
    for (size_t i = 0; i < m; i++) buf_free(&x[i].bytes);
    return e;
}

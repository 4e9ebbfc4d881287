#include "broker/store/store_internal.h"

#include <string.h>

/* Names are collected under the lock and entries are described one by one later, so that a long
 * list neither holds the lock while it is visited nor costs a copy of every entry. */
struct names {
    const struct store_listing *of;
    struct buf text; /* names with their NULs */
    size_t count;
};

static void collect(void *arg, const struct entry *e)
{
    struct names *n = arg;
    const char *prefix = n->of->prefix ? n->of->prefix : "";
    if (e->kind != n->of->kind || strncmp(e->name, prefix, strlen(prefix)) != 0) return;
    if (n->of->after && strcmp(e->name, n->of->after) <= 0) return;
    buf_add(&n->text, e->name, strlen(e->name) + 1);
    n->count++;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static err_t sort_names(const struct names *n, const char ***ret)
{
    const char **sorted = calloc(n->count + 1, sizeof *sorted);
    if (!sorted) FAIL(ERR_INTERNAL, "out of memory");
    const char *at = (const char *) n->text.data;
    for (size_t i = 0; i < n->count; i++) {
        sorted[i] = at;
        at += strlen(at) + 1;
    }
    qsort(sorted, n->count, sizeof *sorted, by_name);
    *ret = sorted;
    return ERR_OK;
}

/* False when the entry went away meanwhile. */
static bool describe(struct store *s, enum envelope_kind kind, const char *name,
                     struct store_entry *ret)
{
    SCOPED_LOCK(&s->lock);
    const struct entry *e = catalog_find(s->catalog, kind, name);
    if (e) entry_describe(e, ret);
    return e != NULL;
}

struct err store_list(struct store *s, const struct store_listing *listing,
                      err_t (*visit)(void *arg, const struct store_entry *e), void *arg, bool *ret_more)
{
    TRY(refresh_tick(s));
    struct names names = {.of = listing, .text.max = (size_t) STORE_READ_MAX * (NAME_MAX_BYTES + 1)};
    {
        SCOPED_LOCK(&s->lock);
        catalog_each(s->catalog, collect, &names);
    }
    _cleanup_buf_ struct buf text = names.text; /* freed on every way out */
    TRY(buf_ok(&text));
    _cleanup_free_ const char **sorted = NULL;
    TRY(sort_names(&names, &sorted));
    bool more = false;
    for (size_t i = 0, told = 0; i < names.count; i++) {
        struct store_entry e;
        if (!describe(s, listing->kind, sorted[i], &e)) continue;
        if (e.state == STORE_DELETED && !listing->deleted) continue;
        more = listing->limit && told == listing->limit;
        if (more) break;
        TRY(visit(arg, &e));
        told++;
    }
    if (ret_more) *ret_more = more;
    return ERR_OK;
}

/* ---- the versions of one name ------------------------------------------------------------ */

/* Of copies of a version the first one counts; of those that nobody can number each is told. */
static err_t copy_versions(struct store *s, enum envelope_kind kind, const char *name,
                           struct store_entry **ret, size_t *ret_n)
{
    SCOPED_LOCK(&s->lock);
    const struct entry *e = catalog_find(s->catalog, kind, name);
    if (!e) FAIL(ERR_NOTFOUND, "there is no %s %s", kind_noun(kind), name);
    struct store_entry *all = calloc(versions_count(e->versions), sizeof *all);
    if (!all) FAIL(ERR_INTERNAL, "out of memory");
    size_t n = 0;
    uint64_t last = VERSION_UNKNOWN;
    for (const struct version *v = e->versions; v; v = v->older) {
        if (v->version == last && last != VERSION_UNKNOWN) continue;
        last = v->version;
        version_describe(e, v, &all[n++]);
    }
    *ret = all;
    *ret_n = n;
    return ERR_OK;
}

struct err store_list_versions(struct store *s, enum envelope_kind kind, const char *name,
                               err_t (*visit)(void *arg, const struct store_entry *e), void *arg)
{
    _cleanup_free_ struct store_entry *all = NULL;
    size_t n = 0;
    TRY(refresh_tick(s));
    struct err e = copy_versions(s, kind, name, &all, &n);
    if (e.code == ERR_NOTFOUND) {
        TRY(refresh_now(s));
        e = copy_versions(s, kind, name, &all, &n);
    }
    TRY(e);
    for (size_t i = 0; i < n; i++) TRY(visit(arg, &all[i]));
    return ERR_OK;
}

static void tally(void *arg, const struct entry *e)
{
    struct store_stats *stats = arg;
    size_t *const counts[] = {[STORE_LIVE] = &stats->live, [STORE_DELETED] = &stats->deleted,
                              [STORE_DAMAGED] = &stats->damaged};
    (*counts[versions_state(e->versions)])++;
}

void store_stats(struct store *s, struct store_stats *ret)
{
    SCOPED_LOCK(&s->lock);
    *ret = (struct store_stats){.foreign = s->catalog->odd.foreign, .torn = s->catalog->odd.torn,
                                .cached_bytes = s->catalog->cache.bytes, .rescans = s->rescans};
    catalog_each(s->catalog, tally, ret);
}

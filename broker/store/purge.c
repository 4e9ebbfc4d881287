/* Taking a name off the token for good (DESIGN 3, Versions): its tombstone or its expired value, and
 * whatever is older. */
#include "broker/store/store_internal.h"

#include "broker/base/log.h"

/* Oldest first, so that a purge that is cut short leaves what decides. */
static err_t list_all(struct store *s, enum envelope_kind kind, const char *name,
                      struct p11_object **ret, size_t *ret_n)
{
    SCOPED_LOCK(&s->lock);
    const struct entry *e = catalog_find(s->catalog, kind, name);
    if (!e) FAIL(ERR_NOTFOUND, "there is no %s %s", kind_noun(kind), name);
    enum store_state state = versions_state(e->versions);
    bool over = state == STORE_DELETED || (state == STORE_LIVE && version_expired(e->versions));
    if (!over)
        FAIL(ERR_CONFLICT, "%s %s is %s; delete it first", kind_noun(kind), name,
             state == STORE_LIVE ? "in use" : "damaged");
    struct p11_object *all = calloc(versions_count(e->versions), sizeof *all);
    if (!all) FAIL(ERR_INTERNAL, "out of memory");
    *ret_n = versions_surplus(e->versions, 0, all);
    *ret = all;
    return ERR_OK;
}

static err_t destroy_locked(struct store *s, enum envelope_kind kind, const char *name,
                            const struct p11_object *all, size_t n)
{
    for (size_t i = 0; i < n; i++)
        TRYC(version_destroy_locked(s, kind, name, all[i]), "%zu of %zu versions of %s %s are gone; purge it again",
             i, n, kind_noun(kind), name);
    return ERR_OK;
}

struct err store_purge(struct store *s, enum envelope_kind kind, const char *name, size_t *ret_gone)
{
    _cleanup_free_ struct p11_object *all = NULL;
    size_t n = 0;
    TRY(store_check_writer(s));
    TRY(name_check(kind, name));
    SCOPED_WORK(s);
    TRY(refresh_locked(s));
    TRY(list_all(s, kind, name, &all, &n));
    manifest_before_purge_locked(s, kind, name);
    struct err e = destroy_locked(s, kind, name, all, n);
    if (err_ok(e)) manifest_purged_locked(s, kind, name);
    announce_locked(s); /* of those that are gone in any case */
    TRY(e);
    *ret_gone = n;
    return ERR_OK;
}

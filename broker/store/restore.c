/* Bringing an older version back (DESIGN 3, Versions): what it holds is written as the next one. */
#include "broker/store/store_internal.h"

/* Whether this version is what a reader of the name is given. */
static bool is_in_force(struct store *s, const struct store_restore *r)
{
    SCOPED_LOCK(&s->lock);
    const struct entry *e = catalog_find(s->catalog, r->kind, r->name);
    return e && e->versions->version == r->version && versions_state(e->versions) == STORE_LIVE;
}

struct err store_restore(struct store *s, const struct store_restore *r, uint64_t *ret_version)
{
    _cleanup_secret_ struct secret *value = NULL;
    struct store_entry old = {0};
    /* What a version holds never changes, so it is read before the write begins: whoever writes
     * meanwhile is caught by If-Match, or followed by this like by any put. */
    TRY(store_get_version(s, r->kind, r->name, r->version, &value, &old));
    if (is_in_force(s, r))
        FAIL(ERR_CONFLICT, "%s %s is at version %llu already", kind_noun(r->kind), r->name,
             (unsigned long long) r->version);
    if (r->check) TRY(r->check(r->arg, secret_span(value)));
    struct store_put put = {.kind = r->kind, .name = r->name, .value = secret_span(value),
                            .content_type = old.content_type[0] ? old.content_type : NULL,
                            .not_after = old.not_after, .has_if_match = r->has_if_match,
                            .if_match = r->if_match};
    return store_put(s, &put, ret_version);
}

#include "broker/attest/cache.h"

#include "broker/attest/table.h"

#include <string.h>

#define SHA256_BYTES 32

struct remembered {
    struct table_entry entry; /* first: a table_entry is its remembered */
    struct guest *guest;      /* our reference */
    struct remembered *next_dead; /* out of the table, to be freed after the lock */
};

struct cache {
    size_t max, max_bytes;
    pthread_mutex_t lock; /* covers table, its entries and bytes */
    struct table *table;
    size_t bytes;
};

struct err cache_new(size_t max, size_t max_bytes, struct cache **ret)
{
    _cleanup_(table_freep) struct table *table = NULL;
    TRY(table_new(max, SHA256_BYTES, &table));
    struct cache *c = calloc(1, sizeof *c);
    if (!c) FAIL(ERR_INTERNAL, "out of memory");
    pthread_mutex_init(&c->lock, NULL);
    c->max = max;
    c->max_bytes = max_bytes;
    c->table = TAKE_PTR(table);
    *ret = c;
    return ERR_OK;
}

static void forget(struct remembered *r)
{
    while (r) {
        struct remembered *next = r->next_dead;
        guest_unref(r->guest);
        free(r);
        r = next;
    }
}
DEFINE_CLEANUP(struct remembered, forget);

static struct remembered *take_locked(struct cache *c, struct table_entry *e)
{
    struct remembered *r = (struct remembered *) e;
    if (!r) return NULL;
    table_remove(c->table, e);
    c->bytes -= guest_bytes(r->guest);
    return r;
}

void cache_free(struct cache *c)
{
    if (!c) return;
    struct remembered *r; /* nobody else holds c any more */
    while ((r = take_locked(c, table_oldest(c->table)))) forget(r);
    table_free(c->table);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

struct guest *cache_get(struct cache *c, const struct digest *sha256, int64_t now,
                        uint64_t removals)
{
    ENSURE(sha256->len == SHA256_BYTES);
    _cleanup_(forgetp) struct remembered *ended = NULL; /* before the lock: freed after it */
    SCOPED_LOCK(&c->lock);
    struct remembered *r = (struct remembered *) table_find(c->table, sha256->bytes);
    if (!r) return NULL;
    if (guest_expired(r->guest, now) || guest_removals(r->guest) < removals) {
        ended = take_locked(c, &r->entry);
        return NULL;
    }
    guest_ref(r->guest);
    return r->guest;
}

struct err cache_put(struct cache *c, const struct digest *sha256, struct guest *g)
{
    ENSURE(sha256->len == SHA256_BYTES);
    /* Both are declared before the lock, so that they are freed after it. */
    _cleanup_(forgetp) struct remembered *mine = calloc(1, sizeof *mine);
    _cleanup_(forgetp) struct remembered *evicted = NULL;
    if (!mine) FAIL(ERR_INTERNAL, "out of memory");
    memcpy(mine->entry.key, sha256->bytes, SHA256_BYTES);
    guest_ref(g);
    mine->guest = g;
    size_t bytes = guest_bytes(g);
    if (bytes > c->max_bytes) return ERR_OK;

    SCOPED_LOCK(&c->lock);
    if (table_find(c->table, sha256->bytes)) return ERR_OK; /* two verified it at once */
    while (table_count(c->table) >= c->max || c->bytes > c->max_bytes - bytes) {
        struct remembered *oldest = take_locked(c, table_oldest(c->table));
        if (!oldest) break;
        oldest->next_dead = evicted;
        evicted = oldest;
    }
    table_add(c->table, &mine->entry);
    c->bytes += bytes;
    mine = NULL;
    return ERR_OK;
}

size_t cache_count(struct cache *c)
{
    SCOPED_LOCK(&c->lock);
    return table_count(c->table);
}

#include "pkcs11/cek_cache.h"

#include <string.h>

#include "broker/base/log.h"

#define NO_ENTRY UINT32_MAX

/* Of so many keys that come to a full cache one gets a place. Where more are asked for in turn than fit, each
 * would otherwise push out the one that is asked for next, and nothing would ever be found; so most of what
 * is there stays. A key that is asked for often comes in soon all the same. */
#define ADMIT_ONE_IN 8

struct cek_entry {
    uint8_t wrapped[CEK_WRAPPED_MAX]; /* with the next three: the key of the table */
    uint32_t generation;
    uint8_t mechanism;
    enum cek_use use;
    uint32_t next;    /* of the same bucket, or of the free list */
    uint32_t users;
    bool listed;      /* in the table; else free, or waiting for its last user to go */
    bool recent;      /* used since the hand came by */
    CK_OBJECT_HANDLE handle;
};

struct cek_cache {
    pthread_mutex_t lock; /* all below; a leaf */
    struct cek_entry *entries;
    uint32_t *buckets;
    uint32_t max, mask, hand, free;
    uint32_t limit;   /* of what the token has room for, as it turned out; max at first */
    uint32_t waiting; /* keys that came since it was full */
    uint32_t doomed;  /* list of those whose handles are to be destroyed by whoever has key_lock next */
    struct cek_cache_stats stats;
};

/* ---- the table; the caller holds c->lock ------------------------------------------------ */

/* What a key is wrapped to (or the IV in front of it) is as good as random, so its first bytes are
 * the hash. */
static uint32_t *bucket_of(struct cek_cache *c, const uint8_t *wrapped)
{
    uint32_t hash = 0;
    memcpy(&hash, wrapped, sizeof hash);
    return &c->buckets[hash & c->mask];
}

static bool is_from(const struct cek_entry *e, const struct cek_source *from)
{
    const struct cek_wrapped *w = &from->wrapped;
    return e->generation == from->generation && e->mechanism == w->mechanism && e->use == w->use &&
           memcmp(e->wrapped, w->bytes.data, w->bytes.len) == 0;
}

static struct cek_entry *lookup_locked(struct cek_cache *c, const struct cek_source *from)
{
    for (uint32_t i = *bucket_of(c, from->wrapped.bytes.data); i != NO_ENTRY;
         i = c->entries[i].next)
        if (is_from(&c->entries[i], from)) return &c->entries[i];
    return NULL;
}

static void unlist_locked(struct cek_cache *c, struct cek_entry *e)
{
    uint32_t self = (uint32_t) (e - c->entries);
    uint32_t *at = bucket_of(c, e->wrapped);
    while (*at != self) at = &c->entries[*at].next;
    *at = e->next;
    e->listed = false;
    c->stats.held--;
}

static void give_back_locked(struct cek_cache *c, struct cek_entry *e)
{
    e->next = c->free;
    c->free = (uint32_t) (e - c->entries);
}

/* A listed entry that nobody uses leaves the table; its handle must then be destroyed. */
static CK_OBJECT_HANDLE evict_locked(struct cek_cache *c, struct cek_entry *e)
{
    unlist_locked(c, e);
    give_back_locked(c, e);
    c->stats.evicted++;
    return e->handle;
}

/* The hand goes round at most twice: once to clear marks, once to find one without. */
static CK_OBJECT_HANDLE evict_one_locked(struct cek_cache *c)
{
    for (uint64_t i = 0; i < 2 * (uint64_t) c->max; i++) {
        struct cek_entry *e = &c->entries[c->hand];
        c->hand = (c->hand + 1) % c->max;
        if (!e->listed || e->users) continue;
        if (!e->recent) return evict_locked(c, e);
        e->recent = false;
    }
    return CK_INVALID_HANDLE;
}

static bool is_filled(const struct cek_cache *c)
{
    return c->free == NO_ENTRY || c->stats.held >= c->limit;
}

/* Counts the miss too. */
static bool admits(struct cek_cache *c)
{
    SCOPED_LOCK(&c->lock);
    c->stats.misses++;
    return !is_filled(c) || c->waiting++ % ADMIT_ONE_IN == ADMIT_ONE_IN - 1;
}

static bool hit(struct cek_cache *c, const struct cek_source *from, struct cek_ref *ret)
{
    SCOPED_LOCK(&c->lock);
    struct cek_entry *e = lookup_locked(c, from);
    if (!e) return false;
    e->users++;
    e->recent = true;
    c->stats.hits++;
    *ret = (struct cek_ref){.handle = e->handle, .entry = e};
    return true;
}

/* ---- the key session; the caller holds p->key_lock -------------------------------------- */

static struct cek_op key_op(struct p11 *p)
{
    return (struct cek_op){.fn = p->fn, .h = p->key_session};
}

/* Its result tells nothing: a handle that the token no longer knows is as good as destroyed. */
static void destroy_key_locked(struct p11 *p, CK_OBJECT_HANDLE handle)
{
    struct cek_op op = key_op(p);
    if (p->key_session && handle) cek_destroy(&op, handle);
}

/* What was given back while somebody else had the key session. */
static void sweep_locked(struct p11 *p)
{
    struct cek_cache *c = p->cek_cache;
    for (;;) {
        CK_OBJECT_HANDLE gone = CK_INVALID_HANDLE;
        {
            SCOPED_LOCK(&c->lock);
            if (c->doomed == NO_ENTRY) return;
            struct cek_entry *e = &c->entries[c->doomed];
            c->doomed = e->next;
            gone = e->handle;
            give_back_locked(c, e);
        }
        destroy_key_locked(p, gone);
    }
}

/* Forgets every key; those in use are destroyed by their last user. */
static void flush_locked(struct p11 *p)
{
    struct cek_cache *c = p->cek_cache;
    for (uint32_t i = 0; i < c->max; i++) {
        CK_OBJECT_HANDLE gone = CK_INVALID_HANDLE;
        {
            SCOPED_LOCK(&c->lock);
            struct cek_entry *e = &c->entries[i];
            if (e->listed && e->users) unlist_locked(c, e);
            else if (e->listed) gone = evict_locked(c, e);
        }
        destroy_key_locked(p, gone);
    }
}

/* What is still in use or waits to be destroyed goes with the session. Its handle may be another object's
 * soon, so nobody may destroy by it. */
static void void_handles_locked(struct p11 *p)
{
    struct cek_cache *c = p->cek_cache;
    SCOPED_LOCK(&c->lock);
    for (uint32_t i = 0; i < c->max; i++) c->entries[i].handle = CK_INVALID_HANDLE;
}

/* The session died and all its keys with it, so none is destroyed. Without a new one we go on uncached. */
static void reopen_locked(struct p11 *p)
{
    CK_SESSION_HANDLE dead = p->key_session;
    p->key_session = CK_INVALID_HANDLE;
    flush_locked(p);
    void_handles_locked(p);
    p->fn->C_CloseSession(dead);
    err_ignore(session_open(p->fn, p->slot, &p->key_session)); /* the worker's session serves */
}

/* The token has no room for another session key: from now on we hold half as many as it took. */
static void shrink_locked(struct p11 *p)
{
    struct cek_cache *c = p->cek_cache;
    uint32_t limit = 0;
    sweep_locked(p);
    for (bool more = true; more;) {
        CK_OBJECT_HANDLE gone = CK_INVALID_HANDLE;
        {
            SCOPED_LOCK(&c->lock);
            if (!limit) limit = c->stats.held > 2 ? (uint32_t) c->stats.held / 2 : 1;
            c->limit = limit;
            if (c->stats.held > limit) gone = evict_one_locked(c);
        }
        more = gone != CK_INVALID_HANDLE;
        destroy_key_locked(p, gone);
    }
    log_warn("token.key-cache", LOG_U("keys", limit),
             LOG_S("why", "the token has no room for more session keys"));
}

static bool is_full(CK_RV rv)
{
    enum rv_reaction reaction = rv_reaction(rv);
    return reaction == RV_FULL || reaction == RV_WAIT;
}

static CK_RV unwrap_locked(struct p11 *p, struct cek_op *worker, const struct cek_source *from,
                           CK_OBJECT_HANDLE *ret)
{
    struct cek_op op = key_op(p);
    CK_RV rv = cek_unwrap(&op, from->kek, &from->wrapped, ret);
    worker->call = op.call;
    if (is_full(rv)) shrink_locked(p);
    else if (rv_reaction(rv) == RV_SESSION) reopen_locked(p);
    else return rv;
    if (!p->key_session) return rv;
    op = key_op(p);
    rv = cek_unwrap(&op, from->kek, &from->wrapped, ret);
    if (!is_full(rv)) return rv;
    flush_locked(p); /* half was not enough */
    return cek_unwrap(&op, from->kek, &from->wrapped, ret);
}

/* ---- taking and returning --------------------------------------------------------------- */

/* An entry for a key that was just unwrapped, or NULL when everything is in use. */
static struct cek_entry *enlist(struct p11 *p, const struct cek_source *from,
                                CK_OBJECT_HANDLE handle)
{
    const struct cek_wrapped *w = &from->wrapped;
    struct cek_cache *c = p->cek_cache;
    CK_OBJECT_HANDLE gone = CK_INVALID_HANDLE;
    struct cek_entry *e = NULL;
    {
        SCOPED_LOCK(&c->lock);
        if (is_filled(c)) gone = evict_one_locked(c);
        if (!is_filled(c)) {
            e = &c->entries[c->free];
            c->free = e->next;
            *e = (struct cek_entry){.generation = from->generation, .mechanism = w->mechanism,
                                    .use = w->use, .users = 1, .listed = true, .handle = handle};
            memcpy(e->wrapped, w->bytes.data, w->bytes.len);
            uint32_t *bucket = bucket_of(c, e->wrapped);
            e->next = *bucket;
            *bucket = (uint32_t) (e - c->entries);
            c->stats.held++;
        }
    }
    destroy_key_locked(p, gone);
    return e;
}

static CK_RV take_own(struct cek_op *op, const struct cek_source *from, struct cek_ref *ret)
{
    *ret = (struct cek_ref){0};
    return cek_unwrap(op, from->kek, &from->wrapped, &ret->handle);
}

/* The same, making room where the cache has taken it all. */
static CK_RV take_own_beside(struct p11 *p, struct cek_op *op, const struct cek_source *from,
                             struct cek_ref *ret)
{
    CK_RV rv = take_own(op, from, ret);
    if (!is_full(rv) || pthread_mutex_trylock(&p->key_lock) != 0) return rv;
    shrink_locked(p);
    pthread_mutex_unlock(&p->key_lock);
    return take_own(op, from, ret);
}

static CK_RV take_new(struct p11 *p, struct cek_op *op, const struct cek_source *from,
                      struct cek_ref *ret)
{
    struct cek_cache *c = p->cek_cache;
    /* While somebody unwraps, which takes a network HSM milliseconds and a module that hangs for ever,
     * our own session does as well; it costs the destruction of the key. */
    if (pthread_mutex_trylock(&p->key_lock) == 0) {
        _cleanup_(cleanup_unlock) pthread_mutex_t *locked = &p->key_lock;
        (void) locked;
        sweep_locked(p);
        /* Somebody may have unwrapped it since we looked. */
        if (hit(c, from, ret)) return CKR_OK;
        if (p->key_session) {
            CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
            CK_RV rv = unwrap_locked(p, op, from, &handle);
            if (rv != CKR_OK) return rv;
            *ret = (struct cek_ref){.handle = handle, .entry = enlist(p, from, handle)};
            if (ret->entry) return CKR_OK;
            destroy_key_locked(p, handle);
        }
    }
    return take_own_beside(p, op, from, ret);
}

CK_RV cek_cache_take(struct p11 *p, struct cek_op *op, const struct cek_source *from,
                     struct cek_ref *ret)
{
    struct cek_cache *c = p->cek_cache;
    size_t len = cek_wrapped_len(from->wrapped.mechanism);
    if (!c || !len || from->wrapped.bytes.len != len) return take_own(op, from, ret);
    if (hit(c, from, ret)) return CKR_OK;
    return admits(c) ? take_new(p, op, from, ret) : take_own_beside(p, op, from, ret);
}

bool cek_cache_return(struct p11 *p, struct cek_op *op, struct cek_ref *ref, bool stale)
{
    struct cek_ref r = *ref;
    *ref = (struct cek_ref){0};
    if (!r.entry) {
        const char *call = op->call; /* of the operation before, which is what errors are about */
        if (r.handle) cek_destroy(op, r.handle);
        op->call = call;
        return true;
    }
    bool last = false, there = true;
    {
        SCOPED_LOCK(&p->cek_cache->lock);
        there = r.entry->handle == r.handle;
        if (stale && r.entry->listed) unlist_locked(p->cek_cache, r.entry);
        last = --r.entry->users == 0 && !r.entry->listed;
        if (last) {
            r.entry->next = p->cek_cache->doomed;
            p->cek_cache->doomed = (uint32_t) (r.entry - p->cek_cache->entries);
        }
    }
    if (last && pthread_mutex_trylock(&p->key_lock) == 0) {
        sweep_locked(p);
        pthread_mutex_unlock(&p->key_lock);
    }
    return there;
}

void cek_cache_stats(struct p11 *p, struct cek_cache_stats *ret)
{
    *ret = (struct cek_cache_stats){0};
    if (!p->cek_cache) return;
    SCOPED_LOCK(&p->cek_cache->lock);
    *ret = p->cek_cache->stats;
    ret->max = p->cek_cache->limit;
}

/* ---- life ------------------------------------------------------------------------------- */

static void cache_free(struct cek_cache *c)
{
    pthread_mutex_destroy(&c->lock);
    free(c->entries);
    free(c->buckets);
    free(c);
}
DEFINE_CLEANUP(struct cek_cache, cache_free);

static err_t cache_alloc(uint32_t max, struct cek_cache **ret)
{
    _cleanup_(cache_freep) struct cek_cache *c = calloc(1, sizeof *c);
    if (!c) FAIL(ERR_INTERNAL, "out of memory");
    pthread_mutex_init(&c->lock, NULL);
    uint32_t buckets = 64;
    while (buckets < max) buckets *= 2;
    c->max = c->limit = max;
    c->doomed = NO_ENTRY;
    c->mask = buckets - 1;
    c->entries = calloc(max, sizeof *c->entries);
    c->buckets = malloc(buckets * sizeof *c->buckets);
    if (!c->entries || !c->buckets) FAIL(ERR_INTERNAL, "out of memory");
    for (uint32_t i = 0; i < buckets; i++) c->buckets[i] = NO_ENTRY;
    for (uint32_t i = 0; i < max; i++) c->entries[i].next = i + 1 < max ? i + 1 : NO_ENTRY;
    *ret = TAKE_PTR(c);
    return ERR_OK;
}

err_t cek_cache_new(struct p11 *p, unsigned max)
{
    if (!max) return ERR_OK;
    if (max > CEK_CACHE_MAX)
        FAIL(ERR_USAGE, "at most %u content keys can be cached, not %u", CEK_CACHE_MAX, max);
    _cleanup_(cache_freep) struct cek_cache *c = NULL;
    TRY(cache_alloc(max, &c));
    SCOPED_LOCK(&p->key_lock);
    if (!p->key_session) TRY(session_open(p->fn, p->slot, &p->key_session));
    p->cek_cache = TAKE_PTR(c);
    return ERR_OK;
}

void cek_cache_free(struct p11 *p)
{
    if (!p->cek_cache) return;
    SCOPED_LOCK(&p->key_lock);
    /* Closing the session destroys its objects, thousands of times faster than one by one. */
    if (p->key_session) p->fn->C_CloseSession(p->key_session);
    p->key_session = CK_INVALID_HANDLE;
    cache_free(TAKE_PTR(p->cek_cache));
}

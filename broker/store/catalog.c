#include "broker/store/catalog.h"

#include <stdio.h>
#include <string.h>

#define BUCKETS_FIRST 64u

/* FNV-1a. Without a secret seed: only whoever may write resources adds names, so nobody else can
 * make the chains long. */
static uint64_t hash_of(enum envelope_kind kind, const char *name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (uint64_t) kind;
    for (const char *c = name; *c; c++) h = (h ^ (uint8_t) *c) * UINT64_C(0x100000001b3);
    return h ^ h >> 32;
}

struct err catalog_new(size_t cache_budget, struct catalog **ret)
{
    _cleanup_catalog_ struct catalog *c = calloc(1, sizeof *c);
    if (!c) FAIL(ERR_INTERNAL, "out of memory");
    c->buckets = calloc(BUCKETS_FIRST, sizeof *c->buckets);
    if (!c->buckets) FAIL(ERR_INTERNAL, "out of memory");
    c->bucket_count = BUCKETS_FIRST;
    c->cache.budget = cache_budget;
    *ret = TAKE_PTR(c);
    return ERR_OK;
}

static void entry_free(struct catalog *c, struct entry *e)
{
    while (e->versions) {
        struct version *v = e->versions;
        e->versions = v->older;
        cache_drop(&c->cache, v);
        version_free(v);
    }
    free(e);
}

void catalog_free(struct catalog *c)
{
    if (!c) return;
    for (size_t i = 0; i < c->bucket_count; i++) {
        while (c->buckets[i]) {
            struct entry *e = c->buckets[i];
            c->buckets[i] = e->chain;
            entry_free(c, e);
        }
    }
    free(c->buckets);
    findings_free(&c->odd.named);
    manifest_sight_done(&c->manifest);
    free(c);
}

/* Where the link to this entry is, or would be. */
static struct entry **slot_of(const struct catalog *c, uint64_t hash, enum envelope_kind kind,
                              const char *name)
{
    struct entry **at = &c->buckets[hash & (c->bucket_count - 1)];
    while (*at && ((*at)->hash != hash || (*at)->kind != kind || strcmp((*at)->name, name) != 0))
        at = &(*at)->chain;
    return at;
}

struct entry *catalog_find(const struct catalog *c, enum envelope_kind kind, const char *name)
{
    return *slot_of(c, hash_of(kind, name), kind, name);
}

static void grow(struct catalog *c)
{
    size_t count = c->bucket_count * 2;
    struct entry **buckets = calloc(count, sizeof *buckets);
    if (!buckets) return; /* longer chains are slower, not wrong */
    for (size_t i = 0; i < c->bucket_count; i++) {
        while (c->buckets[i]) {
            struct entry *e = c->buckets[i];
            c->buckets[i] = e->chain;
            e->chain = buckets[e->hash & (count - 1)];
            buckets[e->hash & (count - 1)] = e;
        }
    }
    free(c->buckets);
    c->buckets = buckets;
    c->bucket_count = count;
}

struct err entry_new(enum envelope_kind kind, const char *name, struct entry **ret)
{
    size_t len = strlen(name);
    struct entry *e = calloc(1, sizeof *e + len + 1);
    if (!e) FAIL(ERR_INTERNAL, "out of memory");
    e->kind = kind;
    e->hash = hash_of(kind, name);
    memcpy(e->name, name, len + 1);
    *ret = e;
    return ERR_OK;
}

void catalog_insert(struct catalog *c, struct entry **spare, struct version *v, struct blob *bytes,
                    bool make_room)
{
    struct entry **slot = slot_of(c, (*spare)->hash, (*spare)->kind, (*spare)->name);
    struct entry *e = *slot;
    if (!e) {
        e = *slot = TAKE_PTR(*spare);
        c->names++;
        if (c->names > c->bucket_count) grow(c);
    }
    versions_insert(&e->versions, v);
    c->objects++;
    /* Only the newest one is ever served, so only that one is worth memory. */
    for (struct version *old = e->versions->older; old; old = old->older)
        cache_drop(&c->cache, old);
    if (bytes && e->versions == v) cache_keep(&c->cache, v, bytes, make_room);
}

void catalog_remove(struct catalog *c, enum envelope_kind kind, const char *name,
                    struct p11_object object)
{
    struct entry **slot = slot_of(c, hash_of(kind, name), kind, name);
    struct entry *e = *slot;
    if (!e) return;
    struct version **at = &e->versions;
    while (*at && ((*at)->object.handle != object.handle || (*at)->object.epoch != object.epoch))
        at = &(*at)->older;
    if (!*at) return;
    struct version *v = *at;
    *at = v->older;
    cache_drop(&c->cache, v);
    version_free(v);
    c->objects--;
    if (e->versions) return;
    *slot = e->chain;
    c->names--;
    entry_free(c, e);
}

/* What the broker keeps for itself must fit beside them, or the token could not be read again. */
_Static_assert(STORE_SPARE_MOVE + 4 * KEK_MAX <= STORE_READ_MAX - STORE_MAX_OBJECTS, "what is written can be read");

size_t catalog_room(const struct catalog *c, size_t spare)
{
    size_t max = STORE_MAX_OBJECTS + spare, there = c->objects + c->odd.foreign + c->odd.torn;
    return there < max ? max - there : 0;
}

void catalog_each(const struct catalog *c, void (*visit)(void *arg, const struct entry *e),
                  void *arg)
{
    for (size_t i = 0; i < c->bucket_count; i++)
        for (const struct entry *e = c->buckets[i]; e; e = e->chain) visit(arg, e);
}

void version_describe(const struct entry *e, const struct version *v, struct store_entry *ret)
{
    *ret = (struct store_entry){
        .kind = e->kind,
        .state = versions_state(v), /* of the list that begins with it */
        .version = v->version == VERSION_UNKNOWN ? 0 : v->version,
        .created = v->created,
        .not_after = v->not_after,
        .size = v->size,
        .kek_generation = v->generation,
        .versions = (unsigned) versions_count(e->versions),
    };
    snprintf(ret->name, sizeof ret->name, "%s", e->name);
    if (v->content_type)
        snprintf(ret->content_type, sizeof ret->content_type, "%s", v->content_type);
}

void entry_describe(const struct entry *e, struct store_entry *ret)
{
    version_describe(e, e->versions, ret);
    ret->version = versions_highest(e->versions); /* what a writer goes above, though it be unknown */
}

bool oddities_needs(const struct oddities *o, uint32_t generation)
{
    for (size_t i = 0; i < o->needs_count; i++)
        if (o->needs[i] == generation) return true;
    return false;
}

void oddities_need(struct oddities *o, uint32_t generation)
{
    bool known = oddities_needs(o, generation) || o->needs_count == KEK_MAX; /* a token has no more */
    if (!known) o->needs[o->needs_count++] = generation;
}

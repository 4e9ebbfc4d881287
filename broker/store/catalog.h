/* The index: name and kind to versions, in constant time (DESIGN 3, Catalog). Not thread-safe: the
 * store locks. Pointers to entries are valid under its lock only. */
#pragma once

#include "broker/store/cache.h"
#include "broker/store/findings.h"
#include "broker/store/manifest_keep.h"

struct entry {
    struct entry *chain;
    uint64_t hash;
    struct version *versions; /* newest first, never empty once linked */
    enum envelope_kind kind;
    char name[];
};

/* What lies on the token and is none of ours, or no whole envelope. */
struct oddities {
    size_t foreign, torn; /* objects */
    size_t blind;         /* of the foreign: the token shows no value, so nobody knows whose it is */
    uint32_t needs[KEK_MAX]; /* generations of ours under which foreign ones are sealed all the same */
    size_t needs_count;
    struct findings named;
};

struct catalog {
    struct entry **buckets;
    size_t bucket_count;   /* a power of two */
    size_t names, objects; /* objects: versions of ours */
    uint64_t kek_changes;  /* p11_kek_changes when the scan began: by these keys generations were told */
    struct cache cache;
    struct oddities odd;
    struct manifest_sight manifest; /* until the scan is over */
};

err_t catalog_new(size_t cache_budget, struct catalog **ret);
void catalog_free(struct catalog *c); /* NULL-safe */
DEFINE_CLEANUP(struct catalog, catalog_free);
#define _cleanup_catalog_ _cleanup_(catalog_freep)

struct entry *catalog_find(const struct catalog *c, enum envelope_kind kind, const char *name);

/* An entry that is not linked yet; free() releases it. */
err_t entry_new(enum envelope_kind kind, const char *name, struct entry **ret);
/* Adds v under the name of *spare; uses *spare (and sets it to NULL) when the name is new. Takes v.
 * Cannot fail, so that what was written to the token is always entered. `bytes` (may be NULL) are
 * cached when v is now the newest; make_room as for cache_keep. */
void catalog_insert(struct catalog *c, struct entry **spare, struct version *v, struct blob *bytes,
                    bool make_room);
/* Forgets one version of a name, and the name with its last one. */
void catalog_remove(struct catalog *c, enum envelope_kind kind, const char *name,
                    struct p11_object object);
/* Calls visit for each entry, in no order. */
void catalog_each(const struct catalog *c, void (*visit)(void *arg, const struct entry *e),
                  void *arg);
/* As the store's callers see it: the entry by its newest version, and one version of it (`version`
 * 0 when it is not known). */
void entry_describe(const struct entry *e, struct store_entry *ret);
void version_describe(const struct entry *e, const struct version *v, struct store_entry *ret);

/* How many objects more may be made until STORE_MAX_OBJECTS and `spare` lie there, whosoever they are. */
size_t catalog_room(const struct catalog *c, size_t spare);

void oddities_need(struct oddities *o, uint32_t generation);
bool oddities_needs(const struct oddities *o, uint32_t generation);

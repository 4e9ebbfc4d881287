/* The envelopes that are kept in memory (ciphertext only), within a budget; least recently used
 * ones make room. Not thread-safe: the catalog's owner locks. */
#pragma once

#include "broker/store/version.h"

struct cache {
    struct version *latest, *stalest; /* by last use */
    size_t bytes, budget; /* of memory: with what the heap rounds up */
};

/* Takes a reference to the blob. make_room: others may go for it; otherwise it is kept only where
 * it fits. What is larger than the budget is never kept. */
void cache_keep(struct cache *c, struct version *v, struct blob *bytes, bool make_room);
void cache_use(struct cache *c, struct version *v); /* marks as used; nothing when not cached */
void cache_drop(struct cache *c, struct version *v);

/* Verified bearer tokens, remembered by their SHA-256 until they end: checking a signature costs
 * more than policy and opening together (DESIGN.md 9). Thread-safe. */
#pragma once

#include "broker/attest/guest.h"

struct cache;

/* max: guests remembered, max_bytes: memory they take (guest_bytes); the oldest make room. */
err_t cache_new(size_t max, size_t max_bytes, struct cache **ret);
void cache_free(struct cache *c);
DEFINE_CLEANUP(struct cache, cache_free);

/* A reference of the caller's, or NULL when unknown, expired, or verified before this many keys had
 * gone (key_sources_removals); such a one is forgotten. */
struct guest *cache_get(struct cache *c, const struct digest *sha256, int64_t now,
                        uint64_t removals);

/* Takes a reference of its own. A token that is there already stays as it is; a guest larger than
 * all the memory is not remembered. */
err_t cache_put(struct cache *c, const struct digest *sha256, struct guest *g);

size_t cache_count(struct cache *c);

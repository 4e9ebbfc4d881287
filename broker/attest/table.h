/* A hash table for keys that are random already (session ids, SHA-256 digests), in order of age.
 *
 * Intrusive: the owner embeds an entry as the first member of its own struct and owns the memory.
 * No lock of its own: the owner's mutex covers it. */
#pragma once

#include "broker/base/buf.h"
#include "broker/base/cleanup.h"

#define TABLE_KEY_MAX 32

struct table;

struct table_entry {
    uint8_t key[TABLE_KEY_MAX];
    struct table_entry *chain;         /* next in the bucket */
    struct table_entry *older, *newer; /* all entries, by age */
};

/* key_len in bytes, 8 to TABLE_KEY_MAX. Buckets for about `expected` entries are made at once, so
 * that nothing grows under a lock; more entries are only slower. */
err_t table_new(size_t expected, size_t key_len, struct table **ret);
void table_free(struct table *t); /* the buckets only: the entries are their owner's */
DEFINE_CLEANUP(struct table, table_free);

void table_add(struct table *t, struct table_entry *e); /* as the newest; its key must be new */
void table_remove(struct table *t, struct table_entry *e);
struct table_entry *table_find(const struct table *t, const uint8_t *key); /* or NULL */
struct table_entry *table_oldest(const struct table *t);                   /* or NULL */
size_t table_count(const struct table *t);

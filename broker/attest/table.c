#include "broker/attest/table.h"

#include "broker/base/secret.h"

#include <string.h>

struct table {
    struct table_entry **buckets;
    size_t mask; /* number of buckets, a power of two, less one */
    size_t key_len, count;
    struct table_entry *oldest, *newest;
};

struct err table_new(size_t expected, size_t key_len, struct table **ret)
{
    ENSURE(key_len >= sizeof(uint64_t) && key_len <= TABLE_KEY_MAX);
    size_t buckets = 64;
    while (buckets < expected) buckets *= 2;
    _cleanup_(table_freep) struct table *t = calloc(1, sizeof *t);
    if (!t || !(t->buckets = calloc(buckets, sizeof *t->buckets)))
        FAIL(ERR_INTERNAL, "out of memory for a table of %zu buckets", buckets);
    t->mask = buckets - 1;
    t->key_len = key_len;
    *ret = TAKE_PTR(t);
    return ERR_OK;
}

void table_free(struct table *t)
{
    if (!t) return;
    free(t->buckets);
    free(t);
}

/* The keys are random to whoever could choose them, so their first bytes are hash enough. */
static struct table_entry **bucket(const struct table *t, const uint8_t *key)
{
    uint64_t hash;
    memcpy(&hash, key, sizeof hash);
    return &t->buckets[hash & t->mask];
}

void table_add(struct table *t, struct table_entry *e)
{
    struct table_entry **b = bucket(t, e->key);
    e->chain = *b;
    *b = e;
    e->older = t->newest;
    e->newer = NULL;
    *(t->newest ? &t->newest->newer : &t->oldest) = e;
    t->newest = e;
    t->count++;
}

void table_remove(struct table *t, struct table_entry *e)
{
    struct table_entry **p = bucket(t, e->key);
    while (*p != e) p = &(*p)->chain;
    *p = e->chain;
    *(e->older ? &e->older->newer : &t->oldest) = e->newer;
    *(e->newer ? &e->newer->older : &t->newest) = e->older;
    t->count--;
}

struct table_entry *table_find(const struct table *t, const uint8_t *key)
{
    struct span wanted = {key, t->key_len};
    for (struct table_entry *e = *bucket(t, key); e; e = e->chain)
        if (secret_equal(span_of(e->key, t->key_len), wanted)) return e;
    return NULL;
}

struct table_entry *table_oldest(const struct table *t) { return t->oldest; }
size_t table_count(const struct table *t) { return t->count; }

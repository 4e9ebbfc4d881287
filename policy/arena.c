#include "policy/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CHUNK = 16 * 1024, LARGEST_CHUNK = 1024 * 1024 };

struct chunk {
    struct chunk *before;
    size_t size; /* of `bytes` */
    alignas(max_align_t) unsigned char bytes[];
};

struct arena {
    struct chunk *chunk; /* the one being filled */
    size_t at;           /* used in it */
    size_t used, cap;
    bool failed;
};

struct arena *arena_new(size_t cap)
{
    struct arena *a = calloc(1, sizeof *a);

    if (a) a->cap = cap;
    return a;
}

static void free_chunks(struct chunk *c)
{
    while (c) {
        struct chunk *before = c->before;

        free(c);
        c = before;
    }
}

void arena_free(struct arena *a)
{
    if (!a) return;
    free_chunks(a->chunk);
    free(a);
}

void arena_reset(struct arena *a)
{
    if (a->chunk) {
        free_chunks(a->chunk->before);
        a->chunk->before = NULL;
    }
    a->at = a->used = 0;
    a->failed = false;
}

static bool add_chunk(struct arena *a, size_t size)
{
    struct chunk *c = malloc(sizeof *c + size);

    if (!c) return false;
    *c = (struct chunk) { .before = a->chunk, .size = size };
    a->chunk = c;
    a->at = 0;
    return true;
}

/* Chunks double, so their number is logarithmic; a request larger than that gets its own size. */
static bool add_room(struct arena *a, size_t need)
{
    size_t size = a->chunk ? a->chunk->size * 2 : FIRST_CHUNK;

    if (size > LARGEST_CHUNK) size = LARGEST_CHUNK;
    return add_chunk(a, size < need ? need : size);
}

struct arena *arena_new_whole(size_t cap)
{
    struct arena *a = arena_new(cap);

    if (!a || add_chunk(a, cap)) return a;
    free(a);
    return NULL;
}

void *arena_alloc(struct arena *a, size_t size)
{
    const size_t unit = alignof(max_align_t);

    if (a->failed) return NULL;
    if (size > a->cap || a->used > a->cap - size) return arena_fail(a), NULL;
    size_t whole = (size + unit - 1) / unit * unit;
    if ((!a->chunk || a->chunk->size - a->at < whole) && !add_room(a, whole))
        return arena_fail(a), NULL;
    void *p = a->chunk->bytes + a->at;
    a->at += whole;
    a->used += whole;
    return memset(p, 0, size);
}

void *arena_alloc_array(struct arena *a, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size) return arena_fail(a), NULL;
    return arena_alloc(a, count * size);
}

char *arena_copy(struct arena *a, const void *data, size_t len)
{
    char *copy = len < SIZE_MAX ? arena_alloc(a, len + 1) : NULL;

    if (copy && len) memcpy(copy, data, len);
    return copy;
}

void *arena_grow(struct arena *a, void *items, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) return items;
    size_t larger = *cap ? *cap * 2 : 8;
    void *moved = arena_alloc_array(a, larger, size);

    if (!moved) return NULL;
    if (count) memcpy(moved, items, count * size);
    *cap = larger;
    return moved;
}

bool arena_failed(const struct arena *a)
{
    return a->failed;
}

void arena_fail(struct arena *a)
{
    a->failed = true;
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}

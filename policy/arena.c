#include "policy/arena.h"

#include <stdalign.h>
#include <stdlib.h>

enum { FIRST_CHUNK = 16 * 1024, LARGEST_CHUNK = 1024 * 1024 };

struct arena_chunk {
    struct arena_chunk *before;
    size_t size; /* of `bytes` */
    alignas(ARENA_UNIT) unsigned char bytes[];
};

struct arena *arena_new(size_t cap)
{
    struct arena *a = calloc(1, sizeof *a);

    if (a) a->cap = cap;
    return a;
}

static void free_chunks(struct arena_chunk *c)
{
    while (c) {
        struct arena_chunk *before = c->before;

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

/* The chunk is filled from its beginning, up to its end or the cap. */
static void open_chunk(struct arena *a, size_t before)
{
    size_t left = a->cap - before;

    a->before = before;
    a->at = a->chunk->bytes;
    a->end = a->at + (a->chunk->size < left ? a->chunk->size : left);
}

void arena_reset(struct arena *a)
{
    a->failed = false;
    if (!a->chunk) return;
    if (a->chunk->before) {
        free_chunks(a->chunk->before);
        a->chunk->before = NULL;
    }
    open_chunk(a, 0);
}

static bool add_chunk(struct arena *a, size_t size)
{
    struct arena_chunk *c = malloc(sizeof *c + size);

    if (!c) return false;
    size_t used = arena_used(a);
    *c = (struct arena_chunk) { .before = a->chunk, .size = size };
    a->chunk = c;
    open_chunk(a, used);
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

/* The chunk is full, the cap is near, or the size is 0. The last bytes up to the cap may be handed out
 * though they are no whole unit. */
void *arena_take_slow(struct arena *a, size_t size)
{
    if (a->failed) return NULL;
    size_t used = arena_used(a);
    if (used > a->cap || size > a->cap - used || size > SIZE_MAX - ARENA_UNIT) return arena_fail(a), NULL;
    size_t whole = arena_whole(size);
    bool fits = a->chunk && whole <= (size_t) (a->chunk->bytes + a->chunk->size - a->at);
    if (!fits && !add_room(a, whole)) return arena_fail(a), NULL;
    void *p = a->at;
    a->at += whole;
    if (a->end < a->at) a->end = a->at;
    return p;
}

static bool whole_array(struct arena *a, size_t count, size_t size)
{
    if (!size || count <= SIZE_MAX / size) return true;
    arena_fail(a);
    return false;
}

void *arena_alloc_array(struct arena *a, size_t count, size_t size)
{
    return whole_array(a, count, size) ? arena_alloc(a, count * size) : NULL;
}

void *arena_take_array(struct arena *a, size_t count, size_t size)
{
    return whole_array(a, count, size) ? arena_take(a, count * size) : NULL;
}

char *arena_copy(struct arena *a, const void *data, size_t len)
{
    char *copy = len < SIZE_MAX ? arena_take(a, len + 1) : NULL;

    if (!copy) return NULL;
    if (len) memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

void *arena_grow_slow(struct arena *a, void *items, size_t count, size_t *cap, size_t size)
{
    size_t larger = *cap ? *cap * 2 : 8;
    void *moved = arena_take_array(a, larger, size);

    if (!moved) return NULL;
    if (count) memcpy(moved, items, count * size);
    *cap = larger;
    return moved;
}

bool arena_failed(const struct arena *a)
{
    return a->failed;
}

/* Nothing is left to hand out, so the quick way ends here too. */
void arena_fail(struct arena *a)
{
    a->failed = true;
    a->end = a->at;
}

size_t arena_used(const struct arena *a)
{
    return a->chunk ? a->before + (size_t) (a->at - a->chunk->bytes) : 0;
}

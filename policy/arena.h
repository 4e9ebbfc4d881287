/* Memory of one compilation or one evaluation: handed out upwards, never freed singly, given back
 * as a whole. The cap is the budget in bytes: beyond it every allocation fails, for good, so that
 * callers may test once at the end (arena_failed) instead of after every value.
 * One thread at a time; what lies in it may be read by many once it no longer changes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct arena_chunk;

/* The inside is arena.c's, but for what the quick way below needs. */
struct arena {
    unsigned char *at, *end;   /* free memory of the chunk being filled, as far as the cap allows */
    struct arena_chunk *chunk; /* that chunk */
    size_t before, cap;        /* handed out of the chunks before it; most of all */
    bool failed;
};

enum { ARENA_UNIT = 8 };
_Static_assert(_Alignof(void *) <= ARENA_UNIT && _Alignof(uint64_t) <= ARENA_UNIT, "what lies in arenas");

/* NULL when there is no memory. `cap` counts bytes handed out, alignment included. */
struct arena *arena_new(size_t cap);
/* The same with all of it at hand at once, in one piece: for what is made once, its size known, and
 * kept. */
struct arena *arena_new_whole(size_t cap);
void arena_free(struct arena *a); /* NULL is fine */

/* Everything handed out becomes invalid; one chunk is kept, the failure mark is cleared. */
void arena_reset(struct arena *a);

void *arena_take_slow(struct arena *a, size_t size);

/* What is handed out for so many bytes. Wraps to 0 near SIZE_MAX. */
static inline size_t arena_whole(size_t size)
{
    return (size + ARENA_UNIT - 1) & ~(size_t) (ARENA_UNIT - 1);
}

/* Not zeroed, for what is filled at once; aligned to ARENA_UNIT, for pointers and numbers of 64 bits; NULL
 * beyond the cap. Size 0 gives a valid pointer. */
static inline void *arena_take(struct arena *a, size_t size)
{
    size_t whole = arena_whole(size);

    if (whole < size || whole > (size_t) (a->end - a->at) || !size) return arena_take_slow(a, size);
    void *p = a->at;
    a->at += whole;
    return p;
}

/* The same, zeroed. */
static inline void *arena_alloc(struct arena *a, size_t size)
{
    void *p = arena_take(a, size);

    return p ? memset(p, 0, size) : NULL;
}

/* The same for count * size, which may overflow: that fails. */
void *arena_alloc_array(struct arena *a, size_t count, size_t size);
void *arena_take_array(struct arena *a, size_t count, size_t size); /* not zeroed */

/* A copy of len bytes with a NUL behind. */
char *arena_copy(struct arena *a, const void *data, size_t len);

/* Grows an array in the arena: makes room for one more element behind `count`, doubling *cap.
 * Returns the (perhaps moved) array, NULL when the cap is hit: the old one stays valid. What lies behind
 * `count` is not zeroed. */
void *arena_grow_slow(struct arena *a, void *items, size_t count, size_t *cap, size_t size);

static inline void *arena_grow(struct arena *a, void *items, size_t count, size_t *cap, size_t size)
{
    return count < *cap ? items : arena_grow_slow(a, items, count, cap, size);
}

bool arena_failed(const struct arena *a);
void arena_fail(struct arena *a);          /* sets the mark: limits of another kind use it */
size_t arena_used(const struct arena *a);  /* bytes handed out since arena_new or the last reset */

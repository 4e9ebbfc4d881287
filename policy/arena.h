/* Memory of one compilation or one evaluation: handed out upwards, never freed singly, given back
 * as a whole. The cap is the budget in bytes: beyond it every allocation fails, for good, so that
 * callers may test once at the end (arena_failed) instead of after every value.
 * One thread at a time; what lies in it may be read by many once it no longer changes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

/* NULL when there is no memory. `cap` counts bytes handed out, alignment included. */
struct arena *arena_new(size_t cap);
/* The same with all of it at hand at once, in one piece: for what is made once, its size known, and
 * kept. */
struct arena *arena_new_whole(size_t cap);
void arena_free(struct arena *a); /* NULL is fine */

/* Everything handed out becomes invalid; one chunk is kept, the failure mark is cleared. */
void arena_reset(struct arena *a);

/* Zeroed, aligned for any type; NULL beyond the cap. Size 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t size);

/* The same for count * size, which may overflow: that fails. */
void *arena_alloc_array(struct arena *a, size_t count, size_t size);

/* A copy of len bytes with a NUL behind. */
char *arena_copy(struct arena *a, const void *data, size_t len);

/* Grows an array in the arena: makes room for one more element behind `count`, doubling *cap.
 * Returns the (perhaps moved) array, NULL when the cap is hit: the old one stays valid. */
void *arena_grow(struct arena *a, void *items, size_t count, size_t *cap, size_t size);

bool arena_failed(const struct arena *a);
void arena_fail(struct arena *a);          /* sets the mark: limits of another kind use it */
size_t arena_used(const struct arena *a);  /* bytes handed out since arena_new or the last reset */

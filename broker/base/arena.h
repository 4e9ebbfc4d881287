/* Many small allocations with one end: trees and strings that live exactly as long as the document
 * or configuration they came from. Not thread-safe; never holds secrets. */
#pragma once

#include "broker/base/buf.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
};

/* len zeroed bytes, aligned for any type, valid until arena_free. NULL when out of memory. */
void *arena_alloc(struct arena *a, size_t len);

/* The text with a NUL after it; its own NULs stay, so check before. NULL when out of memory. */
char *arena_text(struct arena *a, struct span text);

/* Frees everything; the arena is empty and usable afterwards. */
void arena_free(struct arena *a);

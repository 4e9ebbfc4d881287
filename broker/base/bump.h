/* Many small allocations with one end: trees and strings that live exactly as long as the document
 * or configuration they came from. Not thread-safe; never holds secrets. */
#pragma once

#include "broker/base/buf.h"

struct bump_block;

struct bump {
    struct bump_block *blocks;
};

/* len zeroed bytes, aligned for any type, valid until bump_free. NULL when out of memory. */
void *bump_alloc(struct bump *a, size_t len);

/* The text with a NUL after it; its own NULs stay, so check before. NULL when out of memory. */
char *bump_text(struct bump *a, struct span text);

/* Frees everything; the arena is empty and usable afterwards. */
void bump_free(struct bump *a);

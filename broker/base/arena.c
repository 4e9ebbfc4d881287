#include "broker/base/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* One malloc a block, so that AddressSanitizer sees every overrun. */
struct arena_block {
    struct arena_block *next;
    alignas(max_align_t) uint8_t bytes[];
};

void *arena_alloc(struct arena *a, size_t len)
{
    if (len > SIZE_MAX - sizeof(struct arena_block)) return NULL;
    struct arena_block *block = calloc(1, sizeof(*block) + len);
    if (!block) return NULL;
    block->next = a->blocks;
    a->blocks = block;
    return block->bytes;
}

char *arena_text(struct arena *a, struct span text)
{
    char *copy = text.len < SIZE_MAX ? arena_alloc(a, text.len + 1) : NULL;
    if (copy && text.len) memcpy(copy, text.data, text.len);
    return copy;
}

void arena_free(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *block = a->blocks;
        a->blocks = block->next;
        free(block);
    }
}

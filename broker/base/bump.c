#include "broker/base/bump.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* One malloc a block, so that AddressSanitizer sees every overrun. */
struct bump_block {
    struct bump_block *next;
    alignas(max_align_t) uint8_t bytes[];
};

void *bump_alloc(struct bump *a, size_t len)
{
    if (len > SIZE_MAX - sizeof(struct bump_block)) return NULL;
    struct bump_block *block = calloc(1, sizeof(*block) + len);
    if (!block) return NULL;
    block->next = a->blocks;
    a->blocks = block;
    return block->bytes;
}

char *bump_text(struct bump *a, struct span text)
{
    char *copy = text.len < SIZE_MAX ? bump_alloc(a, text.len + 1) : NULL;
    if (copy && text.len) memcpy(copy, text.data, text.len);
    return copy;
}

void bump_free(struct bump *a)
{
    while (a->blocks) {
        struct bump_block *block = a->blocks;
        a->blocks = block->next;
        free(block);
    }
}

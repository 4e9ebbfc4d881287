/* Target Functions: resource_batch_read */
#include "broker/api/resource_batch_body.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_within(struct span part, struct span whole)
{
    return part.len <= whole.len && part.data >= whole.data && part.data + part.len <= whole.data + whole.len;
}

/* Entries are values of the body in its order, and names that end. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct resource_batch b;
    const uint8_t *before = data;
    b.n = 0;
    if (!err_ok(resource_batch_read(span_of(data, size), &b))) return 0;
    if (b.n > STORE_BATCH_MAX || (size && !b.n)) abort();
    for (size_t i = 0; i < b.n; i++) {
        const struct store_put *p = &b.puts[i].put;
        if (!is_within(p->value, span_of(data, size)) || p->value.data < before) abort();
        if (strlen(p->name) > NAME_MAX_BYTES || !p->has_if_match) abort();
        before = p->value.data + p->value.len;
    }
    if (size && before != data + size) abort();
    return 0;
}

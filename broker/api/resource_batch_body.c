#include "broker/api/resource_batch_body.h"

#include "broker/api/endpoint.h"

#include <string.h>

#define LINE_MAX_BYTES (NAME_MAX_BYTES + 44u) /* two numbers of 64 bits, their spaces and the name */

/* A number and the space after it. */
static bool take_number(struct span *line, uint64_t *ret)
{
    const uint8_t *space = line->len ? memchr(line->data, ' ', line->len) : NULL;
    if (!space || !call_read_version(span_of(line->data, (size_t) (space - line->data)), ret)) return false;
    *line = span_of(space + 1, line->len - (size_t) (space + 1 - line->data));
    return true;
}

static bool take_entry(struct span *rest, struct store_put *ret, char name[NAME_MAX_BYTES + 1])
{
    size_t most = rest->len < LINE_MAX_BYTES ? rest->len : LINE_MAX_BYTES;
    const uint8_t *end = memchr(rest->data, '\n', most);
    uint64_t len = 0, version = 0;
    if (!end) return false;
    struct span line = span_of(rest->data, (size_t) (end - rest->data));
    size_t left = rest->len - line.len - 1;
    if (!take_number(&line, &len) || !take_number(&line, &version) || len > left) return false;
    if (line.len > NAME_MAX_BYTES || memchr(line.data, 0, line.len)) return false;
    memcpy(name, line.data, line.len);
    name[line.len] = '\0';
    *ret = (struct store_put){.kind = ENVELOPE_RESOURCE, .name = name, .value = span_of(end + 1, (size_t) len),
                              .has_if_match = true, .if_match = version};
    *rest = span_of(end + 1 + len, left - (size_t) len);
    return true;
}

struct err resource_batch_read(struct span body, struct resource_batch *ret)
{
    while (body.len) {
        if (ret->n == STORE_BATCH_MAX) FAIL(ERR_USAGE, "a batch is at most %u resources", STORE_BATCH_MAX);
        if (!take_entry(&body, &ret->puts[ret->n].put, ret->names[ret->n]))
            FAIL(ERR_USAGE, "entry %zu of the batch is none: LENGTH VERSION NAME, a line feed, the value", ret->n + 1);
        ret->n++;
    }
    return ERR_OK;
}

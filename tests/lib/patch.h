/* Applies a unified diff, to hold the one who wrote it to it. */
#pragma once

#include "broker/base/buf.h"

#include <stdlib.h>
#include <string.h>

static inline struct span patch_line(struct span *text)
{
    const uint8_t *end = text->len ? memchr(text->data, '\n', text->len) : NULL;
    size_t len = end ? (size_t) (end - text->data) + 1 : text->len;
    struct span line = span_of(text->data, len);
    if (len) *text = span_of(text->data + len, text->len - len);
    return line;
}

/* Lines of the old text before the hunk "@@ -FIRST[,COUNT] +..."; of an empty range the line behind
 * which it stands. */
static inline size_t patch_start(struct span hunk)
{
    char text[64] = "", *end = NULL;
    memcpy(text, hunk.data, hunk.len < sizeof text ? hunk.len : sizeof text - 1);
    size_t first = strtoul(text + 4, &end, 10);
    return strncmp(end, ",0 ", 3) == 0 ? first : first - 1;
}

/* What the patch makes of a, into *made; false when it does not fit. *ret_edits: lines that go and
 * come. An empty patch changes nothing. */
static inline bool patch_apply(struct span a, struct span patch, struct buf *made, size_t *ret_edits)
{
    size_t at = 0;
    *ret_edits = 0;
    patch_line(&patch);
    patch_line(&patch);
    while (patch.len) {
        struct span line = patch_line(&patch);
        if (line.data[0] == '@') {
            size_t first = patch_start(line);
            if (first < at) return false;
            for (; at < first; at++) buf_add_span(made, patch_line(&a));
            continue;
        }
        struct span content = span_of(line.data + 1, line.len - 1);
        if (span_starts(patch, "\\ No newline at end of file\n")) {
            content.len--;
            patch_line(&patch);
        }
        if (line.data[0] != '+' && (at++, !span_eq(patch_line(&a), content))) return false;
        if (line.data[0] != '-') buf_add_span(made, content);
        *ret_edits += line.data[0] != ' ';
    }
    buf_add_span(made, a);
    return !made->failed;
}

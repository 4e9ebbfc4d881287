/* From a raw request target to decoded segments (kbs-api.md 1.3, 15.1-15.2). Pure. */
#pragma once

#include "broker/base/buf.h"

#define ROUTE_MAX_SEGMENTS 32
#define ROUTE_MAX_PAIRS 32

/* A decoded path below a prefix, and its query. Owns its text; route_free. */
struct route {
    char *text;                             /* decoded segments, each ended by a NUL */
    const char *segments[ROUTE_MAX_SEGMENTS];
    size_t segment_count;
    char *query_text;
    struct { const char *name, *value; } query[ROUTE_MAX_PAIRS];
    size_t query_count;
};

/* Decodes what follows `prefix` in the raw path. Each %XX once; what is no escape stays as it is;
 * an escaped slash separates like a plain one; dot segments stay as they are. ERR_NOTFOUND when
 * the path does not begin with the prefix; ERR_USAGE for an escaped NUL or too many segments. */
err_t route_parse(struct span raw_path, const char *prefix, struct span raw_query,
                  struct route *ret);
void route_free(struct route *r);

/* Segments from `first` on, joined by '/', into out (cut to size; true when it fitted). */
bool route_join(const struct route *r, size_t first, char *out, size_t size);

/* Target Functions: route_parse route_join route_free */
#include "broker/api/route.h"
#include "broker/base/cleanup.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What every route keeps, whatever it came from. */
static void check(const struct route *r, size_t path_len, size_t query_len)
{
    size_t bytes = 0;
    ENSURE(r->segment_count >= 1 && r->segment_count <= ROUTE_MAX_SEGMENTS);
    for (size_t i = 0; i < r->segment_count; i++) {
        ENSURE(!strchr(r->segments[i], '/'));
        bytes += strlen(r->segments[i]) + 1;
    }
    ENSURE(bytes <= path_len + 1); /* decoding never grows */
    ENSURE(r->query_count <= ROUTE_MAX_PAIRS);
    for (size_t i = 0; i < r->query_count; i++) {
        ENSURE(strlen(r->query[i].name) + strlen(r->query[i].value) <= query_len);
        for (size_t k = 0; k < i; k++) ENSURE(strcmp(r->query[i].name, r->query[k].name) != 0);
    }
}

/* Joined and split again it is the same path, in any room that holds it. */
static void check_join(const struct route *r, size_t room)
{
    _cleanup_free_ char *out = malloc(room + 1);
    ENSURE(out);
    for (size_t first = 0; first <= r->segment_count; first++) {
        bool fits = route_join(r, first, out, room + 1);
        ENSURE(strlen(out) <= room);
        size_t slashes = 0, wanted = r->segment_count - first;
        for (const char *p = out; *p; p++) slashes += *p == '/';
        if (fits) ENSURE(slashes == (wanted ? wanted - 1 : 0));
    }
}

/* The first line is the raw path, all behind it the raw query. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *lf = size ? memchr(data, '\n', size) : NULL;
    size_t path_len = lf ? (size_t) (lf - data) : size;
    struct span path = span_of(data, path_len);
    struct span query = lf ? span_of(lf + 1, size - path_len - 1) : span_of(NULL, 0);
    struct route r = {0};
    if (!err_ok(route_parse(path, "/kbs/v0/", query, &r))) {
        ENSURE(r.text == NULL);
        return 0;
    }
    check(&r, path.len, query.len);
    check_join(&r, path.len);
    check_join(&r, size % 16);
    route_free(&r);
    return 0;
}

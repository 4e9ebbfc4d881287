#include "broker/api/route.h"

#include "broker/base/json.h"

#include <stdlib.h>
#include <string.h>

void route_free(struct route *r)
{
    free(r->text);
    free(r->query_text);
    *r = (struct route){0};
}

/* One decoded byte; *p moves on. A '%' that begins no escape is itself (kbs-api.md 15.2). */
static char decode_one(struct span *p, bool plus_is_space)
{
    char c = (char) p->data[0];
    if (c == '%' && p->len >= 3) {
        char hex[3] = {(char) p->data[1], (char) p->data[2], '\0'};
        uint8_t byte;
        if (hex_decode(hex, &byte, 1)) {
            *p = (struct span){p->data + 3, p->len - 3};
            return (char) byte;
        }
    }
    *p = (struct span){p->data + 1, p->len - 1};
    return c == '+' && plus_is_space ? ' ' : c;
}

/* Decodes all of `raw` into malloc'ed text. An escaped NUL would cut every later string. */
static err_t decode(struct span raw, bool plus_is_space, char **ret)
{
    char *out = malloc(raw.len + 1);
    if (!out) FAIL(ERR_INTERNAL, "out of memory");
    size_t n = 0;
    while (raw.len) {
        out[n] = decode_one(&raw, plus_is_space);
        if (out[n++] == '\0') {
            free(out);
            FAIL(ERR_USAGE, "the request's path holds an escaped NUL");
        }
    }
    out[n] = '\0';
    *ret = out;
    return ERR_OK;
}

static err_t split_path(struct route *r)
{
    char *p = r->text;
    for (;;) {
        if (r->segment_count == ROUTE_MAX_SEGMENTS)
            FAIL(ERR_USAGE, "a path of more than %d segments", ROUTE_MAX_SEGMENTS);
        r->segments[r->segment_count++] = p;
        p = strchr(p, '/');
        if (!p) return ERR_OK;
        *p++ = '\0';
    }
}

/* Last duplicate wins (kbs-api.md 15.1). */
static err_t put_pair(struct route *r, const char *name, const char *value)
{
    size_t i = 0;
    while (i < r->query_count && strcmp(r->query[i].name, name) != 0) i++;
    if (i == ROUTE_MAX_PAIRS) FAIL(ERR_USAGE, "a query of more than %d names", ROUTE_MAX_PAIRS);
    if (i == r->query_count) r->query_count++;
    r->query[i].name = name;
    r->query[i].value = value;
    return ERR_OK;
}

/* Decodes one name or value to *out and moves it past the NUL. */
static err_t decode_part(struct span part, char **out, const char **ret)
{
    *ret = *out;
    while (part.len) {
        char c = decode_one(&part, true);
        if (c == '\0') FAIL(ERR_USAGE, "the request's query holds an escaped NUL");
        *(*out)++ = c;
    }
    *(*out)++ = '\0';
    return ERR_OK;
}

/* Splits the raw query at '&', and each pair at its first '=', before decoding the parts. A pair of
 * n bytes gives at most n + 2, so twice the length is room enough. */
static err_t parse_query(struct route *r, struct span raw)
{
    r->query_text = malloc(raw.len * 2 + 4);
    if (!r->query_text) FAIL(ERR_INTERNAL, "out of memory");
    char *out = r->query_text;
    while (raw.len) {
        const uint8_t *amp = memchr(raw.data, '&', raw.len);
        size_t len = amp ? (size_t) (amp - raw.data) : raw.len;
        struct span pair = {raw.data, len};
        raw = amp ? (struct span){amp + 1, raw.len - len - 1} : (struct span){NULL, 0};
        if (len == 0) continue;
        const uint8_t *equals = memchr(pair.data, '=', len);
        struct span name = {pair.data, equals ? (size_t) (equals - pair.data) : len};
        struct span value = equals ? (struct span){equals + 1, len - name.len - 1}
                                   : (struct span){NULL, 0};
        const char *name_text = NULL, *value_text = NULL;
        TRY(decode_part(name, &out, &name_text));
        TRY(decode_part(value, &out, &value_text));
        TRY(put_pair(r, name_text, value_text));
    }
    return ERR_OK;
}

static err_t parse(struct span raw_path, struct span raw_query, struct route *r)
{
    TRY(decode(raw_path, false, &r->text));
    TRY(split_path(r));
    return parse_query(r, raw_query);
}

struct err route_parse(struct span raw_path, const char *prefix, struct span raw_query,
                       struct route *ret)
{
    if (!span_starts(raw_path, prefix)) FAIL(ERR_NOTFOUND, "no such path");
    size_t skip = strlen(prefix);
    struct route r = {0};
    struct err e = parse((struct span){raw_path.data + skip, raw_path.len - skip}, raw_query, &r);
    if (!err_ok(e)) {
        route_free(&r);
        return e;
    }
    *ret = r;
    return ERR_OK;
}

bool route_join(const struct route *r, size_t first, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = first; i < r->segment_count; i++) {
        size_t len = strlen(r->segments[i]), slash = i > first;
        if (at + slash + len + 1 > size) return false;
        if (slash) out[at++] = '/';
        memcpy(out + at, r->segments[i], len + 1);
        at += len;
    }
    return true;
}

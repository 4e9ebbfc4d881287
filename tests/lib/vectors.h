/* Test vectors in tests/vectors: files, and the recorded exchanges in tests/vectors/kbs. */
#pragma once

#include "broker/base/file.h"
#include "broker/base/json.h"
#include "tests/lib/test.h"

/* Where a vector lies, wherever the test is run from. */
static inline const char *vector_path(const char *name, char out[512])
{
    const char *source = getenv("STRONGROOM_SOURCE");
    snprintf(out, 512, "%s%stests/vectors/%s", source ? source : "", source ? "/" : "", name);
    return out;
}

static inline void vector_read(const char *name, struct buf *ret)
{
    char path[512];
    assert_ok(file_read(vector_path(name, path), 4u << 20, ret));
}

static inline struct json_doc *vector_json(const char *name)
{
    struct buf text = BUF_INIT;
    struct json_doc *doc = NULL;
    vector_read(name, &text);
    assert_ok(json_parse(buf_span(&text), &doc));
    buf_free(&text);
    return doc;
}

/* The body of the n-th exchange to a target that ends in `target`: side is "request" or
 * "response". NULL when there are not so many. */
static inline const char *exchange_body(struct json_doc *doc, const char *target, size_t n,
                                        const char *side)
{
    for (struct json x = json_first(json_root(doc)); json_present(x); x = json_next(x)) {
        const char *t = json_string(json_pointer(x, "/request/target"));
        size_t len = t ? strlen(t) : 0;
        if (len < strlen(target) || strcmp(t + len - strlen(target), target) != 0) continue;
        if (n-- == 0) return json_string(json_get(json_get(x, side), "body"));
    }
    return NULL;
}

/* A request header of the n-th exchange, or NULL. */
static inline const char *exchange_header(struct json_doc *doc, size_t n, const char *name)
{
    struct json x = json_first(json_root(doc));
    while (n-- && json_present(x)) x = json_next(x);
    struct json h = json_first(json_pointer(x, "/request/headers"));
    for (; json_present(h); h = json_next(h))
        if (strcmp(json_string(json_first(h)), name) == 0)
            return json_string(json_next(json_first(h)));
    return NULL;
}

/* When the recorded tokens were valid: 2026-11-23 17:07:20 UTC. */
#define RECORDED_AT 1795453640

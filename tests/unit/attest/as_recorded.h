/* The recorded questions to an attestation service, and what we would ask. */
#pragma once

#include "broker/attest/as_call.h"
#include "broker/attest/report_data.h"
#include "broker/base/limits.h"
#include "broker/jose/b64url.h"
#include "tests/lib/vectors.h"

/* The n-th exchange of the file. */
static inline struct json recorded(const struct json_doc *doc, size_t n)
{
    struct json x = json_first(json_root(doc));
    while (n--) x = json_next(x);
    assert_true(json_present(x));
    return x;
}

/* The same JSON, whatever the white space. */
static inline void assert_same_json(struct span a, struct span b)
{
    struct json_doc *one = NULL, *other = NULL;
    struct buf left = BUF_INIT, right = BUF_INIT;
    assert_ok(json_parse(a, &one));
    assert_ok(json_parse(b, &other));
    struct json_out l = JSON_OUT(&left), r = JSON_OUT(&right);
    json_put_canonical(&l, json_root(one));
    json_put_canonical(&r, json_root(other));
    assert_ok(buf_ok(&left));
    assert_string_equal(buf_str(&left), buf_str(&right));
    buf_free(&left);
    buf_free(&right);
    json_free(one);
    json_free(other);
}

static inline void unhex(const char *text, struct buf *ret)
{
    size_t len = strlen(text) / 2;
    buf_reset(ret);
    if (len) assert_true(hex_decode(text, buf_extend(ret, len), len));
}

/* Runtime data as remote.c makes them, from those that were recorded. */
static inline void runtime_of(struct json recorded_runtime, struct buf *ret)
{
    assert_ok(report_data_text(json_string(json_get(recorded_runtime, "additional-evidence")),
                               json_string(json_get(recorded_runtime, "nonce")),
                               json_get(recorded_runtime, "tee-pubkey"), ret));
}

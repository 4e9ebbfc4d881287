/* For tests of attestation policies. */
#pragma once

#include "tests/unit/api/kit.h"

/* What a guest that attests now is told of its hardware. */
static inline void check_hardware(int64_t expected)
{
    guest_attest();
    const char *token = guest_bearer() + strlen("Authorization: Bearer "), *from = strchr(token, '.') + 1;
    struct buf payload = BUF_INIT;
    struct json_doc *doc = NULL;
    int64_t n = -1;
    assert_ok(b64url_decode(span_of(from, strcspn(from, ".")), &payload));
    assert_ok(json_parse(buf_span(&payload), &doc));
    json_int(json_pointer(json_root(doc), "/submods/cpu0/ear.trustworthiness-vector/hardware"), &n);
    json_free(doc);
    buf_free(&payload);
    assert_int_equal(n, expected);
}

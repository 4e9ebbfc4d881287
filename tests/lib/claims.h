/* A guest's claims as JSON text again: keys sorted, compact. */
#pragma once

#include "broker/attest/attest.h"
#include "policy/json.h"
#include "policy/policy_claims.h"
#include "tests/lib/test.h"

static inline void claims_text(const struct guest *g, struct buf *ret)
{
    struct arena *a = arena_new(4u << 20);
    struct text t;
    text_init(&t, a);
    json_write(&t, policy_claims_value(guest_claims(g)));
    assert_non_null(text_end(&t));
    buf_add(ret, t.data, t.len);
    arena_free(a);
    assert_ok(buf_ok(ret));
}

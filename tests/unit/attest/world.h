/* An attest with its guests, for the tests of attest.c. */
#pragma once

#include "broker/attest/attest.h"
#include "broker/attest/guest.h"
#include "tests/lib/key_looks.h"
#include "tests/lib/vectors.h"
#include "tests/unit/attest/mint.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static struct attest *a;
static struct buf body, token;

static inline void start(struct attest_config config)
{
    attest_free(a);
    a = NULL;
    assert_ok(attest_new(&config, &a));
    attest_appraise_by(a, &unknown_to_all);
}

static inline int setup(void **state)
{
    clock_test_set(NOON);
    log_set_level(LOG_LEVEL_ERROR);
    start((struct attest_config){.sample_verifier = true, .issuer = "test"});
    return 0;
}

static inline int teardown(void **state)
{
    attest_free(a);
    a = NULL;
    buf_free(&body);
    buf_free(&token);
    buf_free(&appraised.evidence);
    clock_test_set(0);
    return 0;
}

static inline struct attest_challenge auth_as(const char *tee)
{
    struct attest_challenge c = {0};
    buf_reset(&body);
    buf_addf(&body, "{\"version\":\"0.4.0\",\"tee\":\"%s\",\"extra-params\":{}}", tee);
    assert_ok(attest_auth(a, buf_span(&body), &c));
    return c;
}

static inline struct err attest_with(const struct attest_challenge *c, struct body b)
{
    struct attest_challenge again = {0};
    if (!b.nonce) b.nonce = c->nonce;
    body_write(b, &body);
    buf_reset(&token);
    struct err e = attest_evidence(a, c->session, buf_span(&body), &token, &again);
    if (err_ok(e)) {
        assert_string_equal(again.session, c->session);
        assert_string_equal(again.nonce, c->nonce);
        assert_int_equal(again.expires, c->expires);
    } else {
        assert_int_equal(token.len, 0);
    }
    return e;
}

static inline struct attest_challenge attested(const char *key)
{
    struct attest_challenge c = auth_as("sample");
    assert_ok(attest_with(&c, (struct body){.key = key}));
    return c;
}

static inline bool by_session(const char *session)
{
    struct guest *g = NULL;
    struct err e = attest_by_session(a, session, &g);
    guest_unref(g);
    if (!err_ok(e)) assert_int_equal(e.code, ERR_NOTFOUND);
    return err_ok(e);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

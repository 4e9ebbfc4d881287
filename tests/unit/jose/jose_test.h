/* What the tests of jose/ share beside tests/lib. */
#pragma once

#include "broker/base/limits.h"
#include "broker/jose/b64url.h"
#include "broker/jose/jwk.h"
#include "tests/lib/vectors.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static inline struct json_doc *parsed(const char *text)
{
    struct json_doc *doc = NULL;
    assert_ok(json_parse(span_str(text), &doc));
    return doc;
}

static inline EVP_PKEY *vector_key(const char *name)
{
    struct buf pem = BUF_INIT;
    EVP_PKEY *key = NULL;
    vector_read(name, &pem);
    assert_ok(key_from_pem(buf_span(&pem), &key));
    buf_free(&pem);
    return key;
}

/* The public JWK text of a key, with alg when it is not NULL. */
static inline struct buf jwk_text_of(EVP_PKEY *key, const char *alg)
{
    struct buf text = BUF_INIT;
    struct json_out o = JSON_OUT(&text);
    struct jwk *k = NULL;
    assert_ok(jwk_from_pkey(key, alg, &k));
    json_begin_object(&o);
    jwk_put_members(k, &o);
    json_end_object(&o);
    jwk_free(k);
    assert_ok(buf_ok(&text));
    return text;
}

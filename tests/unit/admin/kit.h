/* Operators' tokens and key files for the tests of admin/. */
#pragma once

#include "broker/base/clock.h"
#include "broker/base/json.h"
#include "broker/base/log.h"
#include "broker/jose/b64url.h"
#include "broker/jose/jws.h"
#include "tests/lib/vectors.h"

#include <unistd.h>

#define NOON 1795521600

/* "Bearer " and a token signed with this key over these claims. header NULL: only the alg. */
static inline void bearer_write(EVP_PKEY *key, const char *alg, const char *header,
                                const char *claims, struct buf *ret)
{
    char plain[64];
    snprintf(plain, sizeof plain, "{\"alg\":\"%s\",\"typ\":\"JWT\"}", alg);
    buf_reset(ret);
    buf_add_str(ret, "Bearer ");
    assert_ok(jws_sign(alg, key, span_str(header ? header : plain), span_str(claims), ret));
}

/* The public half in a new file; the name is malloc'ed. */
static inline char *public_file(EVP_PKEY *key)
{
    const char *dir = getenv("TMPDIR");
    struct buf pem = BUF_INIT;
    char *name = malloc(512);
    assert_non_null(name);
    snprintf(name, 512, "%s/strongroom-admin-XXXXXX", dir ? dir : "/tmp");
    assert_ok(key_public_pem(key, &pem));
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, pem.data, pem.len), pem.len);
    close(fd);
    buf_free(&pem);
    return name;
}

static inline void public_file_remove(char *name)
{
    if (name) unlink(name);
    free(name);
}

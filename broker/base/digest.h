/* SHA-2 over what is not secret: report data, init-data, tokens, policies, records. Thread-safe. */
#pragma once

#include "broker/base/buf.h"

enum digest_alg { DIGEST_SHA256, DIGEST_SHA384, DIGEST_SHA512 };

#define DIGEST_MAX 64

struct digest {
    uint8_t bytes[DIGEST_MAX];
    size_t len; /* bytes; 0: none */
};

err_t digest_compute(enum digest_alg alg, struct span data, struct digest *ret);

/* "sha256", "sha384", "sha512": lower case only, as init-data writes them. */
const char *digest_alg_name(enum digest_alg alg);
bool digest_alg_from(const char *name, enum digest_alg *ret);

static inline struct span digest_span(const struct digest *d)
{
    return (struct span){d->bytes, d->len};
}

/* The first `bytes` of it (at most d->len) as lower-case hex and a NUL: out has 2 * bytes + 1. */
void digest_hex(const struct digest *d, size_t bytes, char *out);

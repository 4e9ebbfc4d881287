/* Compact JWTs as the io.jwt functions read them (RFC 7515, RFC 7519 7.2). All of it lives in the
 * call's arena, keys aside. NULL and false mean: recorded in the call. */
#pragma once

#include "broker/builtins/internal.h"

#include <openssl/evp.h>

struct jwt {
    struct span header, payload, signature; /* encoded */
    struct span signed_part;                /* header.payload */
    const struct value *decoded_header;     /* an object; NULL before jwt_open_header */
};

/* Into the three sections; what they hold is not looked at. */
bool jwt_split(struct builtin_call *call, const struct value *text, struct jwt *ret);
/* Reads the header. A JWE is refused. */
bool jwt_open_header(struct builtin_call *call, struct jwt *token);
/* A JSON object; of two members with one name the later counts, as in OPA. */
const struct value *jwt_object(struct builtin_call *call, const struct value *text, const char *what);

/* The header's members that matter; missing ones are "". */
struct jwt_header {
    const char *alg, *kid, *cty;
    bool sound; /* alg is there, and crit names nothing unknown */
};
bool jwt_read_header(struct builtin_call *call, const struct value *header, struct jwt_header *ret);

/* ---- keys (jwt_keys.c) ---- */

enum { JWT_KEYS_MAX = 128 };

struct jwt_key {
    EVP_PKEY *key;         /* NULL: the secret */
    struct span secret;    /* of an "oct" JWK, for HS* alone */
    const char *alg, *kid; /* "" when absent */
};
struct jwt_keys {
    struct jwt_key items[JWT_KEYS_MAX];
    size_t count;
};

/* One PEM certificate or public key, a JWK, or a JWK set. Keys of unknown kinds and algorithms are
 * left out. The caller frees by jwt_keys_free, also after false. */
bool jwt_keys_read(struct builtin_call *call, const struct value *text, struct jwt_keys *ret);
void jwt_keys_free(struct jwt_keys *keys);

/* Whether some key of the set verifies: the one that the token names, else any whose own algorithm,
 * when it has one, is `header_alg`. `alg` is what to verify by. *ret_good is the answer; false: the
 * budget is spent. */
bool jwt_keys_verify(struct builtin_call *call, const struct jwt_keys *keys, const char *alg,
                     const struct jwt_header *header, struct span text, struct span signature,
                     bool *ret_good);
/* HS256, HS384, HS512; false for other names. */
bool jwt_hmac_good(const char *alg, struct span secret, struct span text, struct span signature);

/* The kinds of key that JOSE knows here, one table row each, and the JWK members of their public
 * half (RFC 7518 6.2, 6.3; RFC 8037 2). Internal to jose/. */
#pragma once

#include "broker/base/json.h"

#include <openssl/evp.h>

#define KEY_MAX_COORDINATE 66                     /* bytes, P-521 */
#define KEY_MAX_POINT (1 + 2 * KEY_MAX_COORDINATE) /* 04 || x || y */

struct key_kind {
    const char *kty;
    const char *crv;   /* NULL for RSA */
    const char *group; /* OpenSSL's name of the EC group, or of the key type */
    size_t bytes;      /* of a coordinate, or of the raw public key; 0 for RSA */
    err_t (*read)(const struct key_kind *kind, struct json object, EVP_PKEY **ret);
    err_t (*put)(const struct key_kind *kind, const EVP_PKEY *key, struct json_out *o);
};

/* By the members' values (either may be NULL); NULL when there is no such kind. */
const struct key_kind *key_kind_named(const char *kty, const char *crv);
/* Of a key; NULL when it is of no kind of ours, or RSA outside JOSE_MIN_RSA_BITS..MAX. */
const struct key_kind *key_kind_of(const EVP_PKEY *key);

/* Reads kty, crv, x, y, n, e and looks at nothing else. EC points are checked to be on the curve
 * and of full length, RSA for size and exponent. ERR_USAGE otherwise. The caller owns *ret. */
err_t key_from_members(struct json object, const struct key_kind **ret_kind, EVP_PKEY **ret);

/* The point of an EC key's members x and y, uncompressed (1 + 2 * kind->bytes), into an empty buffer: of full
 * length (ERR_USAGE), and not looked at further. */
err_t key_point(const struct key_kind *kind, struct json object, struct buf *ret);

/* Writes the public members, sorted (RFC 8785), into an open object. */
err_t key_put_members(const EVP_PKEY *key, struct json_out *o);

/* Shared by the files of this folder: the functions of the table (builtins.c), what they cost and
 * what they take. */
#pragma once

#include "broker/base/buf.h"
#include "policy/builtin.h"

/* Steps of the evaluation's budget, about as many as take the same time. */
enum {
    STEPS_SIGNATURE = 5000, /* one public-key verification */
    STEPS_KEY = 1000,       /* reading one key or certificate */
    BYTES_A_STEP = 16,      /* hashing, decoding */
};

/* Limits of one operand. Beyond them the evaluation ends: undefined would let `not` hold. */
enum {
    JWT_MAX = 96 << 10,        /* bytes of a token */
    JWT_NESTED_MAX = 8,        /* tokens within tokens */
    KEYS_TEXT_MAX = 256 << 10, /* bytes of a PEM text, a JWK set, certificates */
    CERTIFICATES_MAX = 64,     /* of one text */
};

builtin_fn crypto_md5, crypto_sha1, crypto_sha256, kbs_sha384;
builtin_fn crypto_hmac_md5, crypto_hmac_sha1, crypto_hmac_sha256, crypto_hmac_sha512, crypto_hmac_equal;
builtin_fn x509_parse_certificates, x509_parse_and_verify, x509_parse_and_verify_with_options;
builtin_fn x509_parse_request;
builtin_fn query_reference_value;
builtin_fn jwt_decode, jwt_decode_verify, jwt_verify, jwt_verify_hs;

bool zones_at(void *context, const char *name, size_t len, int64_t unix_seconds,
              struct builtin_zone *ret);

/* A string operand's bytes. */
static inline struct span span_value(const struct value *v) { return span_of(v->string, v->count); }

/* Ends the evaluation: `what` is over `limit`. Returns NULL. */
const struct value *over_limit(struct builtin_call *call, const char *what, unsigned limit);

/* base64 or base64url to bytes as Go decodes them (new lines are skipped, padding of base64url is
 * optional). NULL: recorded; `what` stands before the reason when it is not NULL. */
const struct value *decode_base64(struct builtin_call *call, const struct value *text);
const struct value *decode_base64url(struct builtin_call *call, struct span text, const char *what);

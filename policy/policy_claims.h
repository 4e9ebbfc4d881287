/* What a verified token says, as a policy sees it: `input`. Parsed once, when the token is verified;
 * immutable then, and shared by threads and evaluations. */
#pragma once

#include <stddef.h>

#define POLICY_CLAIMS_MAX ((size_t) 1 << 20) /* bytes of the parsed claims in memory */
#define POLICY_CLAIMS_DEPTH_MAX 64u          /* nested arrays and objects */

struct policy_claims;
struct value;

/* Why claims were refused. */
struct policy_claims_error {
    size_t offset;    /* bytes into the text; 0 when it does not apply */
    const char *text; /* static */
};

/* Parses a JSON object: numbers exactly, duplicate members refused, well-formed UTF-8, within the
 * limits above. The text is copied. Returns NULL and fills *ret_error (may be NULL) otherwise. The
 * caller frees, after the last evaluation that reads them. */
struct policy_claims *policy_claims_new(const char *json, size_t len,
                                        struct policy_claims_error *ret_error);
void policy_claims_free(struct policy_claims *c); /* NULL is fine */

/* The object; lives as long as the claims. */
const struct value *policy_claims_value(const struct policy_claims *c);
/* What they take in memory, for whoever keeps many. */
size_t policy_claims_bytes(const struct policy_claims *c);

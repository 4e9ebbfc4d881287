/* Reference values: what operators vouch for, by name, which attestation policies compare evidence with
 * (kbs-api.md 6.3). All of them are one JSON text, so that a message counts as a whole or not at all:
 *   {"values":{"svn":{"value":["1"],"expires":1827453633}}}
 * A set is immutable once parsed, and shared by threads. */
#pragma once

#include "broker/base/buf.h"
#include "broker/base/cleanup.h"

struct reference_values;
struct value;

#define REFERENCE_VALUES_EMPTY "{\"values\":{}}"
#define REFERENCE_VALUE_SECONDS (366 * 86400LL) /* a year, as with the reference server */

/* ERR_USAGE: no such text, or beyond the limits of policy_claims.h; ERR_TOOLARGE: over
 * REFERENCE_VALUES_BYTES or REFERENCE_VALUES_MAX. The caller frees. */
err_t reference_values_parse(struct span text, struct reference_values **ret);
void reference_values_free(struct reference_values *v); /* NULL-safe */
DEFINE_CLEANUP(struct reference_values, reference_values_free);

/* The value, or NULL: none of that name, or it has expired. Lives as long as the set. */
const struct value *reference_values_find(const struct reference_values *v, const char *name,
                                          size_t len, int64_t now);
/* Appends it as JSON text. ERR_NOTFOUND with the sentence of kbs-api.md 6.3. */
err_t reference_values_query(const struct reference_values *v, const char *name, int64_t now,
                             struct buf *ret);
/* Appends {"values":[{"name","value","expires","expired"}]}, by name. */
err_t reference_values_list(const struct reference_values *v, int64_t now, struct buf *ret);
size_t reference_values_count(const struct reference_values *v);

/* The text of a set after a message {"version":"0.1.0","type":"sample","payload":BASE64 of an object}:
 * what it names replaces what was there, null takes it away, all else stays. Members of ours:
 * "expires", in Unix seconds, 0 for never, in place of a year from now; "replace": true, nothing of before
 * stays. What has expired is left out. old NULL: it cannot be read, and only a message that replaces it
 * helps (ERR_DAMAGED). Appends to *ret. ERR_USAGE, ERR_TOOLARGE. */
err_t reference_values_register(const struct reference_values *old, struct span message, int64_t now,
                                struct buf *ret);

/* The release policy in force: compiled once, read from the store, swapped when it is set.
 * Fails closed: no policy, a damaged one and one that cannot be read deny all. Thread-safe. */
#pragma once

#include "broker/store/store.h"
#include "policy/policy.h"

struct release;
struct release_policy; /* one compiled policy; reference-counted, immutable */

#define RELEASE_POLICY_NAME "resource-policy"

err_t release_new(struct store *store, struct release **ret);
void release_free(struct release *r);

/* The policy in force now, as a reference of the caller's; looks at the store again when another
 * writer was there. */
struct release_policy *release_current(struct release *r);
void release_policy_unref(struct release_policy *p);

/* Compiles a text that is not yet in force. ERR_USAGE "line L, column C: ..." */
err_t release_compile(struct span text, struct release_policy **ret);
/* Puts it in force after it was stored as this version, unless a later one is in force already: two
 * who set it at once end here in any order. Takes the reference. */
void release_set_take(struct release *r, struct release_policy *p, uint64_t version);

/* Decides. Returns true only for a plain allow; *ret_reason is static text. */
bool release_decide(const struct release_policy *p, const struct policy_input *input,
                    const char **ret_reason);
const char *release_digest(const struct release_policy *p); /* 16 hex digits of SHA-256, or "" */
const char *release_name(const struct release_policy *p);   /* "deny-all", "damaged", ... */

/* The release policy in force: compiled once, read from the store, swapped when it is set.
 * Fails closed: no policy, a damaged one, one that does not compile and one that cannot be read deny
 * all. Thread-safe. */
#pragma once

#include "broker/store/store.h"
#include "policy/policy.h"

struct release;
struct release_policy; /* one compiled policy; reference-counted, immutable */

#define RELEASE_POLICY_NAME "resource-policy"

/* The store outlives it. */
err_t release_new(struct store *store, struct release **ret);
void release_free(struct release *r);
DEFINE_CLEANUP(struct release, release_free);

/* The policy in force now, as a reference of the caller's; as stored_current (stored.h). */
struct release_policy *release_current(struct release *r);
void release_policy_ref(struct release_policy *p);
/* The same without looking, for who must not wait for the token. */
struct release_policy *release_last(struct release *r);
void release_policy_unref(struct release_policy *p);

/* Compiles a text that is not yet in force, with all functions of broker/builtins. ERR_USAGE with the first of
 * *ret_errors, which has them all; ERR_INTERNAL (out of memory) leaves it empty. */
err_t release_compile(struct span text, struct rego_errors *ret_errors, struct release_policy **ret);
/* Puts it in force after it was stored as this version, unless a later one is in force already: two
 * who set it at once end here in any order. Takes the reference. */
void release_set_take(struct release *r, struct release_policy *p, uint64_t version);

/* Decides, at the clock's time; request->now_ns, print and context need not be filled. At log level
 * debug what the policy prints goes to the log (policy_print.h). */
void release_decide(struct release *r, const struct release_policy *p,
                    const struct policy_request *request, struct policy_decision *ret);
/* What it would decide at the time request->now_ns: nothing is printed, and who asks releases
 * nothing by it. */
void release_try(struct release *r, const struct release_policy *p,
                 const struct policy_request *request, struct policy_decision *ret);

/* By which a text is named in records: 16 hex digits of SHA-256; "" when it cannot be computed. */
void release_digest_of(struct span text, char out[17]);
const char *release_digest(const struct release_policy *p); /* 16 hex digits of SHA-256, or "" */
uint64_t release_version(const struct release_policy *p);   /* in the store; 0: none */
/* "set"; or, of those that deny all: "none", "damaged", "refused" (stored, but it does not compile),
 * "unreadable". */
const char *release_state(const struct release_policy *p);
/* What is stored cannot be used until somebody sets it again: "damaged" or "refused". */
bool release_broken(const struct release_policy *p);
/* The store cannot be read at the moment, so nobody knows what it says: no release, and no denial either. */
bool release_unread(const struct release_policy *p);

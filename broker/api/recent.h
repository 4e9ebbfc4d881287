/* What guests asked of late and what was decided: what a policy is tried on before it is set. In
 * memory only and bounded in count and bytes (limits.h, RECENT_*).
 *
 * A request that comes again from the same guest is counted where it stands; a new one takes the
 * place of the one that was not asked for longest, of RECENT_WAYS. A guest is kept, with its claims,
 * as long as its request is, even when its token has ended: claims are no secret and open nothing,
 * and most requests that a policy is to be tried on are older than the few minutes of a token. */
#pragma once

#include "broker/attest/attest.h"
#include "broker/base/cleanup.h"
#include "broker/api/route.h"
#include "policy/policy.h"

struct recent;

err_t recent_new(struct recent **ret);
void recent_free(struct recent *r); /* NULL-safe */
DEFINE_CLEANUP(struct recent, recent_free);

/* Remembers one decision. On the way of every release: allocates nothing and never waits, so that of
 * two in the same set at once one is missed, as is what is beyond the limits. `plugin` must be static
 * text; the rest is copied, the guest referenced. Thread-safe. */
void recent_note(struct recent *r, struct guest *guest, const struct policy_request *request,
                 const struct policy_decision *decision);

/* A copy of one, good on its own. */
struct recent_request {
    struct guest *guest;            /* a reference */
    struct policy_request request;  /* with the time of the last one; points into this struct */
    bool allow;                     /* what was decided then */
    char reason[sizeof ((struct policy_decision *) 0)->reason];
    uint64_t seen;                  /* how often it came */
    const char *path[ROUTE_MAX_SEGMENTS];
    struct policy_pair query[ROUTE_MAX_PAIRS];
    char text[RECENT_TEXT_MAX];
};

struct recent_list {
    struct recent_request *items; /* latest first */
    size_t count;
    uint64_t missed;              /* decisions that were not remembered, since the start */
};

/* All that is remembered now. ERR_INTERNAL when out of memory. The caller ends the list. */
err_t recent_list(struct recent *r, struct recent_list *ret);
void recent_list_done(struct recent_list *l);

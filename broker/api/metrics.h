/* Counters of the api and their text for Prometheus (kbs-api.md 9.3): the reference's names where
 * they mean the same, ours beside them. No resource, no session and no guest is ever a label:
 * whoever may ask could make series without bound. */
#pragma once

#include "broker/base/buf.h"

#include <stdatomic.h>

enum metric {
    METRIC_HTTP_REQUESTS, METRIC_AUTH_REQUESTS, METRIC_AUTH_SUCCESSES, METRIC_AUTH_ERRORS,
    METRIC_ATTEST_REQUESTS, METRIC_ATTEST_SUCCESSES, METRIC_ATTEST_ERRORS, METRIC_POLICY_EVALUATIONS,
    METRIC_POLICY_APPROVALS, METRIC_POLICY_VIOLATIONS, METRIC_POLICY_ERRORS, METRIC_READS, METRIC_WRITES, METRIC_DELETES,
    METRIC_RELEASES, METRIC_REFUSED_TOKENS, METRIC_REFUSED_ADMINS, METRIC_FAILURES,
    METRIC_COUNT
};

struct metrics {
    _Atomic uint64_t counters[METRIC_COUNT];
};

static inline void metric_add(struct metrics *m, enum metric which)
{
    atomic_fetch_add_explicit(&m->counters[which], 1, memory_order_relaxed);
}

/* Appends all counters in the text format 0.0.4. */
void metrics_put(const struct metrics *m, struct buf *out);

/* One gauge or counter of somebody else. type: "gauge" or "counter". */
void metrics_put_one(struct buf *out, const char *name, const char *type, const char *help,
                     uint64_t value);

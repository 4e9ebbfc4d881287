/* Counters and histograms of the api and their text for Prometheus (kbs-api.md 9.3): the reference's
 * names where they mean the same, ours beside them. No resource, no session and no guest is ever a
 * label: whoever may ask could make series without bound. TEE names are a closed set.
 *
 * Nothing here locks: a thread adds to a shard that few others share, whoever reads sums them up. So a
 * reader may see one number a moment before another of the same request. */
#pragma once

#include "broker/attest/attest.h"
#include "broker/base/buf.h"

#include <stdatomic.h>

enum metric {
    METRIC_HTTP_REQUESTS, METRIC_HTTP_ACTIVE, METRIC_AUTH_REQUESTS, METRIC_AUTH_SUCCESSES,
    METRIC_AUTH_ERRORS, METRIC_ATTEST_REQUESTS, METRIC_ATTEST_ERRORS, METRIC_POLICY_EVALUATIONS,
    METRIC_POLICY_APPROVALS, METRIC_POLICY_VIOLATIONS, METRIC_POLICY_ERRORS, METRIC_READS,
    METRIC_WRITES, METRIC_DELETES, METRIC_RELEASES, METRIC_WRAPS, METRIC_UNWRAPS,
    METRIC_REFUSED_TOKENS, METRIC_REFUSED_ADMINS,
    METRIC_FAILURES,
    METRIC_COUNT
};

enum metric_histogram {
    METRIC_REQUEST_NS, /* observed in nanoseconds, told in seconds */
    METRIC_REQUEST_BYTES, METRIC_RESPONSE_BYTES,
    METRIC_HISTOGRAMS
};

#define METRIC_BUCKETS 8 /* of a histogram at most, that of all beyond the last bound included */
#define METRIC_SHARDS 16

struct metric_shard {
    _Atomic uint64_t counters[METRIC_COUNT];
    struct {
        _Atomic uint64_t buckets[METRIC_BUCKETS], sum; /* each value in one bucket */
    } histograms[METRIC_HISTOGRAMS];
    _Atomic uint64_t attested[TEE_COUNT], refused[TEE_COUNT];
    char apart[64]; /* from the next one's, in the processor's cache */
};

struct metrics {
    struct metric_shard shards[METRIC_SHARDS];
};

void metric_add(struct metrics *m, enum metric which);
/* What was added before and is over: METRIC_HTTP_ACTIVE. */
void metric_take(struct metrics *m, enum metric which);
void metric_observe(struct metrics *m, enum metric_histogram which, uint64_t value);
/* One attestation of which evidence was looked at: accepted or refused. tee: its canonical name. */
void metric_attested(struct metrics *m, const char *tee, bool accepted);

/* Appends all of them in the text format 0.0.4. */
void metrics_put(const struct metrics *m, struct buf *out);

/* One gauge or counter of somebody else. type: "gauge" or "counter". */
void metrics_put_one(struct buf *out, const char *name, const char *type, const char *help,
                     uint64_t value);

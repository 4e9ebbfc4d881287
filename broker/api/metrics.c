#include "broker/api/metrics.h"

#include <inttypes.h>

static const struct {
    const char *name, *type, *help;
} names[METRIC_COUNT] = {
    [METRIC_HTTP_REQUESTS] = {"kbs_http_requests_total", "counter", "Requests below /kbs"},
    [METRIC_HTTP_ACTIVE] = {"kbs_http_active_connections", "gauge",
                            "Connections with a request below /kbs under way"},
    [METRIC_AUTH_REQUESTS] = {"kbs_auth_requests_total", "counter", "Handshakes begun"},
    [METRIC_AUTH_SUCCESSES] = {"kbs_auth_successes_total", "counter", "Challenges given"},
    [METRIC_AUTH_ERRORS] = {"kbs_auth_errors_total", "counter", "Handshakes refused at auth, or failed there"},
    [METRIC_ATTEST_REQUESTS] = {"kbs_attestation_requests_total", "counter",
                                "Attestations asked for: the sum of errors, successes and failures"},
    [METRIC_ATTEST_ERRORS] = {"kbs_attestation_errors_total", "counter",
                              "Attestations without a session, with a malformed body, "
                              "or failed for reasons of our own"},
    [METRIC_POLICY_EVALUATIONS] = {"kbs_policy_evaluations_total", "counter", "Policy decisions"},
    [METRIC_POLICY_APPROVALS] = {"kbs_policy_approvals_total", "counter",
                                 "Policy decisions: allow"},
    [METRIC_POLICY_VIOLATIONS] = {"kbs_policy_violations_total", "counter",
                                  "Policy decisions: deny"},
    [METRIC_POLICY_ERRORS] = {"kbs_policy_errors_total", "counter",
                              "Policy decisions: deny, for want of a plain false"},
    [METRIC_READS] = {"kbs_resource_reads_total", "counter", "Resource reads past the policy"},
    [METRIC_WRITES] = {"kbs_resource_writes_total", "counter", "Resource writes by operators"},
    [METRIC_DELETES] = {"kbs_resource_deletes_total", "counter", "Resource deletes by operators"},
    [METRIC_RELEASES] = {"strongroom_releases_total", "counter", "Resources released to guests"},
    [METRIC_WRAPS] = {"strongroom_wraps_total", "counter",
                      "Values wrapped with the wrap key for operators"},
    [METRIC_UNWRAPS] = {"strongroom_unwraps_total", "counter",
                        "Values unwrapped and released to guests"},
    [METRIC_REFUSED_TOKENS] = {"strongroom_refused_tokens_total", "counter",
                               "Attestation tokens refused"},
    [METRIC_REFUSED_ADMINS] = {"strongroom_refused_admins_total", "counter",
                               "Operator calls refused"},
    [METRIC_FAILURES] = {"strongroom_failures_total", "counter",
                         "Requests failed for reasons of our own"},
};

/* The reference's bounds. le: the bound as it is written; at: in the unit that is observed. */
#define SIZES {{"32", 32}, {"128", 128}, {"512", 512}, {"2048", 2048}, {"8192", 8192}}
static const struct {
    const char *name, *help;
    bool nanoseconds;
    struct { const char *le; uint64_t at; } bounds[METRIC_BUCKETS]; /* ends with a NULL */
} histograms[METRIC_HISTOGRAMS] = {
    [METRIC_REQUEST_NS] = {"kbs_http_request_duration_seconds",
                           "From the end of a request's head to its answer, below /kbs", true,
                           {{"0.0005", 500000}, {"0.001", 1000000}, {"0.005", 5000000},
                            {"0.01", 10000000}, {"0.05", 50000000}, {"0.5", 500000000},
                            {"1", 1000000000}}},
    [METRIC_REQUEST_BYTES] = {"kbs_http_request_size_bytes", "Bodies of requests below /kbs", false,
                              SIZES},
    [METRIC_RESPONSE_BYTES] = {"kbs_http_response_size_bytes",
                               "Bodies of answers to requests below /kbs", false, SIZES},
};

/* ---- counting ------------------------------------------------------------------------------ */

/* Threads take the shards in turn, and each stays with its own. */
static struct metric_shard *shard(struct metrics *m)
{
    static _Atomic unsigned next;
    static _Thread_local unsigned mine; /* its number and 1; 0: none yet */
    if (!mine) mine = 1 + atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) % METRIC_SHARDS;
    return &m->shards[mine - 1];
}

static void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void metric_add(struct metrics *m, enum metric which)
{
    add(&shard(m)->counters[which], 1);
}

/* Perhaps another shard than it was added to: the sum over all of them is right, modulo 2^64. */
void metric_take(struct metrics *m, enum metric which)
{
    add(&shard(m)->counters[which], UINT64_MAX);
}

void metric_observe(struct metrics *m, enum metric_histogram which, uint64_t value)
{
    struct metric_shard *s = shard(m);
    size_t i = 0;
    while (histograms[which].bounds[i].le && value > histograms[which].bounds[i].at) i++;
    add(&s->histograms[which].buckets[i], 1);
    add(&s->histograms[which].sum, value);
}

void metric_attested(struct metrics *m, const char *tee, bool accepted)
{
    size_t i = tee_index(tee);
    if (i < TEE_COUNT) add(accepted ? &shard(m)->attested[i] : &shard(m)->refused[i], 1);
}

/* ---- telling ------------------------------------------------------------------------------- */

/* The sum of one counter over all shards; `first` is that of the first. */
static uint64_t sum(const struct metrics *m, const _Atomic uint64_t *first)
{
    uint64_t n = 0;
    size_t at = (size_t) ((const char *) first - (const char *) &m->shards[0]);
    for (size_t i = 0; i < METRIC_SHARDS; i++)
        n += atomic_load_explicit((const _Atomic uint64_t *) ((const char *) &m->shards[i] + at),
                                  memory_order_relaxed);
    return n;
}

static void put_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_put_one(struct buf *out, const char *name, const char *type, const char *help,
                     uint64_t value)
{
    put_head(out, name, type, help);
    buf_addf(out, "%s %" PRIu64 "\n", name, value);
}

/* Buckets are cumulative, and the last is the count: taken from the same readings, so that the text
 * is true to itself while others count on. */
static void put_histogram(const struct metrics *m, enum metric_histogram which, struct buf *out)
{
    const char *name = histograms[which].name;
    uint64_t count = 0, total = sum(m, &m->shards[0].histograms[which].sum);
    put_head(out, name, "histogram", histograms[which].help);
    for (size_t i = 0;; i++) {
        const char *le = histograms[which].bounds[i].le;
        count += sum(m, &m->shards[0].histograms[which].buckets[i]);
        buf_addf(out, "%s_bucket{le=\"%s\"} %" PRIu64 "\n", name, le ? le : "+Inf", count);
        if (!le) break;
    }
    if (histograms[which].nanoseconds)
        buf_addf(out, "%s_sum %" PRIu64 ".%09" PRIu64 "\n", name, total / 1000000000,
                 total % 1000000000);
    else buf_addf(out, "%s_sum %" PRIu64 "\n", name, total);
    buf_addf(out, "%s_count %" PRIu64 "\n", name, count);
}

static void put_by_tee(const struct metrics *m, const char *name, const char *help,
                       const _Atomic uint64_t *first, struct buf *out)
{
    put_head(out, name, "counter", help);
    for (size_t i = 0; i < TEE_COUNT; i++)
        buf_addf(out, "%s{tee_type=\"%s\"} %" PRIu64 "\n", name, tee_name(i), sum(m, &first[i]));
}

void metrics_put(const struct metrics *m, struct buf *out)
{
    for (size_t i = 0; i < METRIC_COUNT; i++)
        metrics_put_one(out, names[i].name, names[i].type, names[i].help,
                        sum(m, &m->shards[0].counters[i]));
    put_by_tee(m, "kbs_attestation_successes_total", "Attestation tokens given",
               m->shards[0].attested, out);
    put_by_tee(m, "kbs_attestation_failures_total", "Attestations refused for their evidence",
               m->shards[0].refused, out);
    for (size_t i = 0; i < METRIC_HISTOGRAMS; i++) put_histogram(m, (enum metric_histogram) i, out);
}

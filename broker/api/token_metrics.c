#include "broker/api/token_metrics.h"

#include "broker/api/metrics.h"
#include "pkcs11/pace.h"
#include "pkcs11/watch.h"

#include <inttypes.h>

static void put_jobs(const struct job_stats *jobs, struct buf *out)
{
    const struct {
        const char *where;
        uint64_t n;
    } rows[] = {{"here", jobs->here}, {"worker", jobs->queued - jobs->expired},
                {"expired", jobs->expired}, {"refused", jobs->refused}};
    buf_add_str(out, "# HELP strongroom_jobs_total Token jobs: done where the request is, given to a worker, "
                     "not begun in time, refused for a full queue\n# TYPE strongroom_jobs_total counter\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        buf_addf(out, "strongroom_jobs_total{where=\"%s\"} %" PRIu64 "\n", rows[i].where, rows[i].n);
}

static void put_took(const struct watch_stats *s, enum watch_kind kind, const char *name, struct buf *out)
{
    static const char *const le[WATCH_BUCKETS] = {"0.00005", "0.0001", "0.0003", "0.001", "0.005", "0.02",
                                                  "0.1", "0.25", "1", "5", "+Inf"};
    uint64_t count = 0, sum = s->took[kind].sum_ns;
    buf_addf(out, "# HELP strongroom_token_%s_seconds How long calls to the token's module take\n"
                  "# TYPE strongroom_token_%s_seconds histogram\n", name, name);
    for (size_t i = 0; i < WATCH_BUCKETS; i++) {
        count += s->took[kind].buckets[i];
        buf_addf(out, "strongroom_token_%s_seconds_bucket{le=\"%s\"} %" PRIu64 "\n", name, le[i], count);
    }
    buf_addf(out, "strongroom_token_%s_seconds_sum %" PRIu64 ".%09" PRIu64 "\n", name,
             sum / 1000000000, sum % 1000000000);
    buf_addf(out, "strongroom_token_%s_seconds_count %" PRIu64 "\n", name, count);
}

void token_metrics_put(struct job_pool *pool, struct buf *out)
{
    struct job_stats jobs;
    struct watch_stats calls;
    job_pool_stats(pool, &jobs);
    watch_stats(&calls);
    metrics_put_one(out, "strongroom_jobs_waiting", "gauge", "Token jobs in the queue", jobs.waiting);
    put_jobs(&jobs, out);
    metrics_put_one(out, "strongroom_token_slow", "gauge",
                    "1: the token takes milliseconds, its work goes to workers; 0: it runs where the request is",
                    pace_is_slow(&token_pace));
    metrics_put_one(out, "strongroom_token_calls_hanging", "gauge",
                    "Calls to the token past their deadline, whose sessions are written off", calls.lost);
    metrics_put_one(out, "strongroom_token_calls_late_total", "counter",
                    "Calls that were ever past their deadline", calls.written_off);
    put_took(&calls, WATCH_CRYPTO, "crypto", out);
    put_took(&calls, WATCH_OBJECT, "object", out);
}

#include "broker/api/metrics.h"

#include <inttypes.h>

static const struct {
    const char *name, *help;
} names[METRIC_COUNT] = {
    [METRIC_HTTP_REQUESTS] = {"kbs_http_requests_total", "Requests below /kbs"},
    [METRIC_AUTH_REQUESTS] = {"kbs_auth_requests_total", "Handshakes begun"},
    [METRIC_AUTH_SUCCESSES] = {"kbs_auth_successes_total", "Challenges given"},
    [METRIC_AUTH_ERRORS] = {"kbs_auth_errors_total", "Handshakes refused at auth"},
    [METRIC_ATTEST_REQUESTS] = {"kbs_attestation_requests_total", "Attestations asked for"},
    [METRIC_ATTEST_SUCCESSES] = {"kbs_attestation_successes_total", "Attestation tokens given"},
    [METRIC_ATTEST_ERRORS] = {"kbs_attestation_errors_total", "Attestations refused"},
    [METRIC_POLICY_EVALUATIONS] = {"kbs_policy_evaluations_total", "Policy decisions"},
    [METRIC_POLICY_APPROVALS] = {"kbs_policy_approvals_total", "Policy decisions: allow"},
    [METRIC_POLICY_VIOLATIONS] = {"kbs_policy_violations_total", "Policy decisions: deny"},
    [METRIC_POLICY_ERRORS] = {"kbs_policy_errors_total",
                              "Policy decisions: deny, for want of a plain false"},
    [METRIC_READS] = {"kbs_resource_reads_total", "Resource reads past the policy"},
    [METRIC_WRITES] = {"kbs_resource_writes_total", "Resource writes by operators"},
    [METRIC_DELETES] = {"kbs_resource_deletes_total", "Resource deletes by operators"},
    [METRIC_RELEASES] = {"strongroom_releases_total", "Resources released to guests"},
    [METRIC_REFUSED_TOKENS] = {"strongroom_refused_tokens_total", "Attestation tokens refused"},
    [METRIC_REFUSED_ADMINS] = {"strongroom_refused_admins_total", "Operator calls refused"},
    [METRIC_FAILURES] = {"strongroom_failures_total", "Requests failed for reasons of our own"},
};

void metrics_put_one(struct buf *out, const char *name, const char *type, const char *help,
                     uint64_t value)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", name, help, name, type, name,
             value);
}

void metrics_put(const struct metrics *m, struct buf *out)
{
    for (size_t i = 0; i < METRIC_COUNT; i++)
        metrics_put_one(out, names[i].name, "counter", names[i].help,
                        atomic_load_explicit(&m->counters[i], memory_order_relaxed));
}

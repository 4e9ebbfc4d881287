/* /healthz: the process lives. /readyz: the vault works. /metrics: how much of what. */
#include "broker/api/endpoint.h"
#include "broker/api/key_health.h"
#include "broker/api/verify.h"
#include "broker/api/token_metrics.h"

#include "broker/base/clock.h"
#include "broker/base/json.h"
#include "broker/base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define READY_FRESH_NS (2 * CLOCK_SECOND_NS) /* probes look at what is stored no more often */

bool health_live(struct call *c)
{
    reply_empty(&c->x->resp);
    return true;
}

/* A service that is down is said, and does not make us unready: guests with tokens are still served. */
static void put_service(const struct api *a, struct json_out *o)
{
    static const char *const states[] = {
        [BREAKER_CLOSED] = "up", [BREAKER_HALF_OPEN] = "down", [BREAKER_OPEN] = "down"};
    struct as_stats stats = {0};
    if (!a->config.service) return;
    as_service_stats(a->config.service, &stats);
    json_member_str(o, "attestation_service", states[stats.breaker.state]);
}

/* ---- the token ------------------------------------------------------------------------------- */

void health_put_token(const struct p11_status *t, struct json_out *o)
{
    char date[CLOCK_TEXT];
    json_member_str(o, "state", p11_state_name(t->state));
    json_member_str(o, "since", clock_rfc3339(t->since, date));
    if (t->state == P11_UP) return;
    json_member_str(o, "next", p11_step_name(t->next));
    int64_t at = clock_now() + (int64_t) ((t->next_ms + 999) / 1000);
    json_member_str(o, "next_at", clock_rfc3339(at, date));
    json_member_uint(o, "tries", t->tries);
}

unsigned health_retry_seconds(const struct p11_status *t)
{
    return t->next_ms > 1000 ? (unsigned) ((t->next_ms + 999) / 1000) : 1;
}

/* ---- /readyz --------------------------------------------------------------------------------- */

/* Words only: /readyz is open to anybody. The log has the chain. NULL: the token is no reason. */
static const char *token_reason(const struct call *c, const struct p11_status *t)
{
    if (t->state != P11_UP) return err_class_name(t->why);
    return p11_has_kek(c->api->config.token) ? NULL : err_class_name(ERR_HUMAN);
}

static void answer(struct call *c, const struct p11_status *t)
{
    struct api *a = c->api;
    _cleanup_buf_ struct buf body = BUF_INIT;
    struct json_out o = JSON_OUT(&body);
    const char *reason = token_reason(c, t);
    if (!reason && !audit_works(a->config.audit)) reason = "audit-failed";
    pthread_mutex_lock(&a->ready_lock);
    if (!reason && a->ready_reason[0]) reason = a->ready_reason;
    json_begin_object(&o);
    json_member_bool(&o, "ready", !reason);
    if (reason) json_member_str(&o, "reason", reason);
    json_key(&o, "token");
    json_begin_object(&o);
    health_put_token(t, &o);
    json_end_object(&o);
    int64_t end = c->x->req.server_not_after;
    char date[CLOCK_TEXT];
    if (end) json_member_str(&o, "certificate_expires", clock_rfc3339(end, date));
    /* A detail, not a reason: guests and operators whose keys are there are served. */
    size_t missing = key_health_missing(&a->config);
    if (missing) json_member_uint(&o, "sources_without_keys", missing);
    put_service(a, &o);
    json_end_object(&o);
    pthread_mutex_unlock(&a->ready_lock);
    reply_json(&c->x->resp, &body);
    if (!reason) return;
    c->x->resp.status = 503;
    response_header(&c->x->resp, "Retry-After", "%u", health_retry_seconds(t));
}

/* How the token is, is known; what is stored may have changed since somebody looked. */
bool health_ready_decide(struct call *c)
{
    struct api *a = c->api;
    struct p11_status t = {0};
    p11_status(a->config.token, &t);
    uint64_t now = clock_mono_ns();
    pthread_mutex_lock(&a->ready_lock);
    bool fresh = a->ready_checked && now - a->ready_checked < READY_FRESH_NS;
    bool known = fresh || token_reason(c, &t);
    if (!known) a->ready_checked = now; /* one probe looks, the others see its answer */
    pthread_mutex_unlock(&a->ready_lock);
    if (known) answer(c, &t);
    return known;
}

struct err health_ready_work(struct call *c)
{
    c->policy = release_current(c->api->release);
    return ERR_OK;
}

/* Without any policy the broker is as it should be at first, and waits for one. With one that it
 * cannot use it could only refuse: so that a new version which does not understand the stored policy
 * never takes the place of the old one, it says so. */
void health_ready_finish(struct call *c, struct err e)
{
    struct api *a = c->api;
    struct p11_status t = {0};
    bool broken = err_ok(e) && release_broken(c->policy);
    const char *other = err_ok(e) && api_keeps_appraisal(a) ? appraiser_broken(a->appraiser) : NULL;
    pthread_mutex_lock(&a->ready_lock);
    a->ready_reason[0] = '\0';
    if (broken)
        snprintf(a->ready_reason, sizeof a->ready_reason, "policy-%s", release_state(c->policy));
    else if (other) snprintf(a->ready_reason, sizeof a->ready_reason, "%s-unusable", other);
    else if (!err_ok(e))
        snprintf(a->ready_reason, sizeof a->ready_reason, "%s", err_class_name(e.code));
    pthread_mutex_unlock(&a->ready_lock);
    p11_status(a->config.token, &t);
    answer(c, &t);
}

/* ---- /metrics -------------------------------------------------------------------------------- */

static void put_token_metrics(struct p11 *token, struct buf *out)
{
    struct p11_status t = {0};
    p11_status(token, &t);
    metrics_put_one(out, "strongroom_token_up", "gauge",
                    "1: the token worked when last looked at; 0: it did not", t.state == P11_UP);
    buf_add_str(out, "# HELP strongroom_token_state 1 for the state that the token is in\n"
                     "# TYPE strongroom_token_state gauge\n");
    for (unsigned i = 0; i < P11_STATE_COUNT; i++)
        buf_addf(out, "strongroom_token_state{state=\"%s\"} %d\n", p11_state_name(i), t.state == i);
    buf_add_str(out, "# HELP strongroom_token_recoveries_total Steps taken to bring the token back\n"
                     "# TYPE strongroom_token_recoveries_total counter\n");
    for (unsigned i = P11_STEP_SESSION; i < P11_STEP_COUNT; i++) {
        const char *name = p11_step_name(i);
        buf_addf(out, "strongroom_token_recoveries_total{step=\"%s\",result=\"helped\"} %" PRIu64 "\n",
                 name, t.helped[i]);
        buf_addf(out, "strongroom_token_recoveries_total{step=\"%s\",result=\"failed\"} %" PRIu64 "\n",
                 name, t.taken[i] - t.helped[i]);
    }
}

static void put_gauges(struct call *c, struct buf *out)
{
    const struct api_config *config = &c->api->config;
    struct store_stats store = {0};
    struct attest_stats guests = {0};
    store_stats(config->store, &store);
    attest_stats(config->attest, &guests);
    c->policy = release_last(c->api->release); /* metrics never wait for the token */
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } rows[] = {
        {"strongroom_resources", "gauge", "Names with a value", store.live},
        {"strongroom_resources_damaged", "gauge", "Names whose newest version fails", store.damaged},
        {"strongroom_objects_foreign", "gauge", "Objects that are not ours", store.foreign},
        {"strongroom_objects_torn", "gauge", "Objects cut short", store.torn},
        {"strongroom_rescans_total", "counter", "Times the catalog was rebuilt", store.rescans},
        {"strongroom_sessions", "gauge", "Guest sessions", guests.sessions},
        {"strongroom_sessions_attested", "gauge", "Guest sessions that attested", guests.attested},
        {"strongroom_sessions_evicted_total", "counter", "Sessions that made room", guests.evicted},
        {"strongroom_tokens_remembered", "gauge", "Attestation tokens that need no verifying again",
         guests.remembered},
        {"strongroom_envelope_cache_bytes", "gauge", "Envelopes kept in memory", store.cached_bytes},
        {"strongroom_policy_in_force", "gauge",
         "1: a policy decides; 0: there is none to use, and all is denied",
         strcmp(release_state(c->policy), "set") == 0},
        {"strongroom_policy_version", "gauge", "Version of the policy in force, 0 without one",
         release_version(c->policy)},
        {"strongroom_audit_failures_total", "counter", "Audit records that could not be written",
         audit_failures(config->audit)},
        {"strongroom_audit_unrecorded_total", "counter", "Refusals of strangers that the audit file only counts",
         audit_unrecorded(config->audit)},
        {"strongroom_log_left_out_total", "counter", "Lines of the log beyond what one event may have", log_left_out()},
        {"strongroom_locked_bytes", "gauge", "Locked memory in use", secret_used()},
        {"strongroom_locked_bytes_max", "gauge", "Locked memory in all", secret_budget()},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        metrics_put_one(out, rows[i].name, rows[i].type, rows[i].help, rows[i].value);
    /* without TLS there is none, since an alarm would take 0 for its end */
    int64_t end = c->x->req.server_not_after;
    if (end > 0)
        metrics_put_one(out, "strongroom_tls_certificate_expiry_seconds", "gauge",
                        "When the server's certificate ends, in Unix time", (uint64_t) end);
}

static void put_service_gauges(const struct api_config *config, struct buf *out)
{
    struct as_stats s = {0};
    if (!config->service) return;
    as_service_stats(config->service, &s);
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } rows[] = {
        {"strongroom_attestation_service_up", "gauge",
         "1: asked as usual; 0: it failed, and is tried now and then",
         s.breaker.state == BREAKER_CLOSED},
        {"strongroom_attestation_service_downs_total", "counter", "Times it was given up for a while",
         s.breaker.opened},
        {"strongroom_attestation_service_calls_total", "counter", "Questions to it", s.calls},
        {"strongroom_attestation_service_refusals_total", "counter", "Answers that say no", s.refusals},
        {"strongroom_attestation_service_failures_total", "counter", "Questions without a usable answer",
         s.failures},
        {"strongroom_attestation_service_jobs_waiting", "gauge", "Requests that wait for their turn",
         job_pool_depth(config->service_jobs)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        metrics_put_one(out, rows[i].name, rows[i].type, rows[i].help, rows[i].value);
}

bool health_metrics(struct call *c)
{
    _cleanup_buf_ struct buf body = BUF_INIT;
    const struct api_source *source = atomic_load(&c->api->source);
    metrics_put(&c->api->metrics, &body);
    put_gauges(c, &body);
    token_metrics_put(c->api->config.jobs, &body);
    put_token_metrics(c->api->config.token, &body);
    if (source) source->put(source->arg, &body);
    key_health_metrics(&c->api->config, &body);
    verify_metrics(&c->api->config, &body);
    put_service_gauges(&c->api->config, &body);
    buf_add_str(&body, "# HELP kbs_build_info Constant 1\n# TYPE kbs_build_info gauge\n"
                       "kbs_build_info{version=\"" STRONGROOM_VERSION "\"} 1\n");
    reply_json(&c->x->resp, &body);
    c->x->resp.content_type = "text/plain; version=0.0.4; charset=utf-8";
    return true;
}

/* /healthz: the process lives. /readyz: the vault works. /metrics: how much of what. */
#include "broker/api/endpoint.h"
#include "broker/api/key_health.h"
#include "broker/api/verify.h"
#include "broker/api/token_metrics.h"

#include "broker/base/clock.h"
#include "broker/base/json.h"

#include <stdio.h>
#include <string.h>

#define READY_FRESH_NS (2 * CLOCK_SECOND_NS) /* probes cost the token no more than this */

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

static void answer(struct call *c)
{
    struct api *a = c->api;
    _cleanup_buf_ struct buf body = BUF_INIT;
    struct json_out o = JSON_OUT(&body);
    pthread_mutex_lock(&a->ready_lock);
    bool ready = a->ready;
    json_begin_object(&o);
    json_member_bool(&o, "ready", ready);
    if (!ready) json_member_str(&o, "reason", a->ready_reason);
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
    if (ready) return;
    c->x->resp.status = 503;
    response_header(&c->x->resp, "Retry-After", "2");
}

bool health_ready_decide(struct call *c)
{
    struct api *a = c->api;
    uint64_t now = clock_mono_ns();
    pthread_mutex_lock(&a->ready_lock);
    bool fresh = a->ready_checked && now - a->ready_checked < READY_FRESH_NS;
    if (!fresh) a->ready_checked = now; /* one probe asks the token, the others see its answer */
    pthread_mutex_unlock(&a->ready_lock);
    if (fresh) answer(c);
    return fresh;
}

struct err health_ready_work(struct call *c)
{
    struct p11 *token = c->api->config.token;
    if (!p11_has_kek(token))
        FAIL(ERR_HUMAN, "the token has no key-encryption key; run `strongroom kek create`");
    return p11_check(token);
}

/* Without any policy the broker is as it should be at first, and waits for one. With one that it
 * cannot use it could only refuse: so that a new version which does not understand the stored policy
 * never takes the place of the old one, it says so. */
void health_ready_finish(struct call *c, struct err e)
{
    struct api *a = c->api;
    c->policy = release_current(a->release);
    bool broken = err_ok(e) && release_broken(c->policy);
    const char *other = err_ok(e) && api_keeps_appraisal(a) ? appraiser_broken(a->appraiser) : NULL;
    pthread_mutex_lock(&a->ready_lock);
    a->ready = err_ok(e) && !broken && !other;
    /* Words only: /readyz is open to anybody. The log has the chain. */
    if (broken)
        snprintf(a->ready_reason, sizeof a->ready_reason, "policy-%s", release_state(c->policy));
    else if (other) snprintf(a->ready_reason, sizeof a->ready_reason, "%s-unusable", other);
    else snprintf(a->ready_reason, sizeof a->ready_reason, "%s", err_class_name(e.code));
    pthread_mutex_unlock(&a->ready_lock);
    answer(c);
}

static void put_gauges(struct call *c, struct buf *out)
{
    const struct api_config *config = &c->api->config;
    struct store_stats store = {0};
    struct attest_stats guests = {0};
    store_stats(config->store, &store);
    attest_stats(config->attest, &guests);
    c->policy = release_current(c->api->release);
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
        {"strongroom_token_up", "gauge",
         "1: the vault's key opened its canary when last asked; 0: it did not",
         p11_healthy(config->token)},
        {"strongroom_policy_in_force", "gauge",
         "1: a policy decides; 0: there is none to use, and all is denied",
         strcmp(release_state(c->policy), "set") == 0},
        {"strongroom_policy_version", "gauge", "Version of the policy in force, 0 without one",
         release_version(c->policy)},
        {"strongroom_audit_failures_total", "counter", "Audit records that could not be written",
         audit_failures(config->audit)},
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

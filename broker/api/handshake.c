/* POST auth and POST attest (kbs-api.md 2.2, 2.4). Both are answered at once, unless an attestation service
 * has to be asked: that is waited for on threads of its own. */
#include "broker/api/endpoint.h"

#include "broker/base/json.h"
#include "broker/base/log.h"

#include <stdio.h>

/* ---- both ----------------------------------------------------------------------------------- */

/* The guest's own fault, or everybody's. */
static bool is_refusal(struct err e)
{
    return e.code == ERR_AUTH || e.code == ERR_USAGE;
}

/* 503 when a service that verifies is down: the guest may come again, and is told when. */
static void answer_failure(struct call *c, struct err e)
{
    struct as_service *service = c->api->config.service;
    enum kbs_error error = reply_error_of(e);
    if (error != KBS_UNAVAILABLE || !service) {
        call_error(c, error, NULL);
        return;
    }
    struct as_stats stats = {0};
    as_service_stats(service, &stats);
    call_error(c, error, "evidence cannot be verified now; try again");
    reply_retry_after(&c->x->resp, stats.breaker.wait_s);
}

static void set_cookie(struct call *c)
{
    cookie_set(&c->x->resp, c->challenge.session, c->challenge.expires);
}

/* ---- auth ----------------------------------------------------------------------------------- */

bool handshake_auth_decide(struct call *c)
{
    metric_add(&c->api->metrics, METRIC_AUTH_REQUESTS);
    c->if_refused = METRIC_AUTH_ERRORS;
    c->pool = c->api->config.service_jobs;
    if (attest_auth_waits(c->api->config.attest, request_body(&c->x->req))) return false;
    handshake_auth_finish(c, handshake_auth_work(c));
    return true;
}

struct err handshake_auth_work(struct call *c)
{
    return attest_auth(c->api->config.attest, request_body(&c->x->req), &c->challenge);
}

/* "" for every TEE but the one whose verifier chooses (kbs-api.md 2.2). */
static void put_params(struct json_out *o, const char *hash)
{
    json_key(o, "extra-params");
    if (!hash) {
        json_put_str(o, "");
        return;
    }
    json_begin_object(o);
    json_member_str(o, "selected-hash-algorithm", hash);
    json_end_object(o);
}

void handshake_auth_finish(struct call *c, struct err e)
{
    c->if_refused = 0;
    metric_add(&c->api->metrics, err_ok(e) ? METRIC_AUTH_SUCCESSES : METRIC_AUTH_ERRORS);
    if (!err_ok(e) && !is_refusal(e)) {
        log_err(e, "auth.failed");
        answer_failure(c, e);
        return;
    }
    if (!err_ok(e)) {
        char detail[ERR_TEXT + 64];
        snprintf(detail, sizeof detail, "Attestation error: RCAR handshake Auth failed: %s",
                 err_reason(e));
        call_error(c, KBS_ATTESTATION, detail);
        return;
    }
    _cleanup_buf_ struct buf body = BUF_INIT;
    struct json_out o = JSON_OUT(&body);
    json_begin_object(&o);
    json_member_str(&o, "nonce", attest_challenge_nonce(&c->challenge));
    put_params(&o, c->challenge.hash);
    json_end_object(&o);
    reply_json(&c->x->resp, &body);
    set_cookie(c);
}

/* ---- attest --------------------------------------------------------------------------------- */

static const char *session_of(const struct call *c)
{
    return c->session[0] ? c->session : NULL;
}

bool handshake_attest_decide(struct call *c)
{
    metric_add(&c->api->metrics, METRIC_ATTEST_REQUESTS);
    c->name[0] = '\0'; /* what follows "attest" in the path names nothing, and has no place in the record */
    c->if_refused = METRIC_ATTEST_ERRORS;
    if (!cookie_read(&c->x->req, c->session)) c->session[0] = '\0';
    if (attest_evidence_waits(c->api->config.attest, session_of(c))) {
        c->pool = c->api->config.service_jobs;
        return false;
    }
    if (attest_waits(c->api->config.attest)) return false; /* a signer on the token: work for it */
    handshake_attest_finish(c, handshake_attest_work(c));
    return true;
}

/* The token goes to c->text. */
struct err handshake_attest_work(struct call *c)
{
    return attest_evidence(c->api->config.attest, session_of(c),
                           request_body(&c->x->req), &c->text, &c->challenge);
}

/* The cause is logged and never told (kbs-api.md 2.4): one answer for every refusal. What is no fault of
 * the guest's was not looked at, so it was not refused: the guest may come again. */
static void refuse_attest(struct call *c, struct err e)
{
    bool ours = err_http_status(e.code) >= 500;
    if (ours) {
        log_err(e, "attest.failed", LOG_S("peer", c->x->req.peer));
        metric_add(&c->api->metrics, METRIC_FAILURES);
    } else {
        log_info("attest.refused", LOG_S("peer", c->x->req.peer), LOG_S("reason", err_text(e)));
    }
    if (!call_audit(c, "attest", ours ? "error" : "deny", err_class_name(e.code))) return;
    if (ours) answer_failure(c, e);
    else call_error(c, e.code == ERR_USAGE ? KBS_ATTESTATION_MALFORMED : KBS_ATTESTATION, NULL);
}

void handshake_attest_finish(struct call *c, struct err e)
{
    struct metrics *metrics = &c->api->metrics;
    bool judged = err_ok(e) || err_http_status(e.code) < 500; /* otherwise it is no fault of the evidence */
    c->if_refused = 0;
    if (c->challenge.tee && judged) metric_attested(metrics, c->challenge.tee, err_ok(e));
    else metric_add(metrics, METRIC_ATTEST_ERRORS);
    if (!err_ok(e)) {
        refuse_attest(c, e);
        return;
    }
    snprintf(c->principal, sizeof c->principal, "session:%.8s", c->challenge.session);
    if (!call_audit(c, "attest", "allow", c->challenge.tee)) return;
    _cleanup_buf_ struct buf body = BUF_INIT;
    struct json_out o = JSON_OUT(&body);
    json_begin_object(&o);
    json_member_span(&o, "token", buf_span(&c->text));
    json_end_object(&o);
    reply_json(&c->x->resp, &body);
    set_cookie(c);
}

/* POST auth and POST attest (kbs-api.md 2.2, 2.4). */
#include "broker/api/cookie.h"
#include "broker/api/endpoint.h"

#include "broker/base/json.h"
#include "broker/base/log.h"

#include <stdio.h>

bool handshake_auth(struct call *c)
{
    struct metrics *metrics = &c->api->metrics;
    struct attest_challenge challenge;
    metric_add(metrics, METRIC_AUTH_REQUESTS);
    struct err e = attest_auth(c->api->config.attest, request_body(&c->x->req), &challenge);
    metric_add(metrics, err_ok(e) ? METRIC_AUTH_SUCCESSES : METRIC_AUTH_ERRORS);
    if (!err_ok(e) && e.code != ERR_AUTH && e.code != ERR_USAGE) {
        log_err(e, "auth.failed");
        call_error(c, reply_error_of(e), NULL);
        return true;
    }
    if (!err_ok(e)) {
        char detail[ERR_TEXT + 64];
        snprintf(detail, sizeof detail, "Attestation error: RCAR handshake Auth failed: %s",
                 err_reason(e));
        call_error(c, KBS_ATTESTATION, detail);
        return true;
    }
    _cleanup_buf_ struct buf body = BUF_INIT;
    struct json_out o = JSON_OUT(&body);
    json_begin_object(&o);
    json_member_str(&o, "nonce", challenge.nonce);
    json_member_str(&o, "extra-params", "");
    json_end_object(&o);
    reply_json(&c->x->resp, &body);
    cookie_set(&c->x->resp, challenge.session, challenge.expires);
    return true;
}

/* A signer on the token is waited for like all token work; otherwise all of it is done here. */
bool handshake_attest_decide(struct call *c)
{
    metric_add(&c->api->metrics, METRIC_ATTEST_REQUESTS);
    if (attest_waits(c->api->config.attest)) return false;
    handshake_attest_finish(c, handshake_attest_work(c));
    return true;
}

struct err handshake_attest_work(struct call *c)
{
    char session[SESSION_COOKIE_TEXT];
    bool has_cookie = cookie_read(&c->x->req, session);
    return attest_evidence(c->api->config.attest, has_cookie ? session : NULL,
                           request_body(&c->x->req), &c->text, &c->challenge);
}

/* The cause is logged and never told (kbs-api.md 2.4): one answer for every refusal. What is no
 * fault of the guest's is told as what it is, so that it may come again. */
static void refuse_attest(struct call *c, struct err e)
{
    enum kbs_error answer = e.code == ERR_USAGE ? KBS_ATTESTATION_MALFORMED : KBS_ATTESTATION;
    bool ours = err_http_status(e.code) >= 500;
    if (ours) {
        answer = reply_error_of(e);
        log_err(e, "attest.failed", LOG_S("peer", c->x->req.peer));
        metric_add(&c->api->metrics, METRIC_FAILURES);
    } else {
        log_info("attest.refused", LOG_S("peer", c->x->req.peer), LOG_S("reason", err_text(e)));
    }
    if (call_audit(c, "attest", ours ? "error" : "deny", err_class_name(e.code)))
        call_error(c, answer, NULL);
}

void handshake_attest_finish(struct call *c, struct err e)
{
    struct metrics *metrics = &c->api->metrics;
    if (c->challenge.tee) metric_attested(metrics, c->challenge.tee, err_ok(e));
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
    cookie_set(&c->x->resp, c->challenge.session, c->challenge.expires);
}

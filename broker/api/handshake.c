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

bool handshake_attest(struct call *c)
{
    char session[SESSION_COOKIE_TEXT];
    bool has_cookie = cookie_read(&c->x->req, session);
    struct attest_challenge challenge = {0};
    _cleanup_buf_ struct buf token = BUF_INIT;
    struct metrics *metrics = &c->api->metrics;
    metric_add(metrics, METRIC_ATTEST_REQUESTS);
    struct err e = attest_evidence(c->api->config.attest, has_cookie ? session : NULL,
                                   request_body(&c->x->req), &token, &challenge);
    if (challenge.tee) metric_attested(metrics, challenge.tee, err_ok(e));
    else metric_add(metrics, METRIC_ATTEST_ERRORS);
    if (!err_ok(e)) {
        /* The cause is logged and never told (kbs-api.md 2.4): one answer for every refusal. */
        log_info("attest.refused", LOG_S("peer", c->x->req.peer), LOG_S("reason", err_text(e)));
        if (call_audit(c, "attest", "deny", err_class_name(e.code)))
            call_error(c, e.code == ERR_USAGE ? KBS_ATTESTATION_MALFORMED : KBS_ATTESTATION, NULL);
        return true;
    }
    snprintf(c->principal, sizeof c->principal, "session:%.8s", challenge.session);
    if (!call_audit(c, "attest", "allow", challenge.tee)) return true;
    _cleanup_buf_ struct buf body = BUF_INIT;
    struct json_out o = JSON_OUT(&body);
    json_begin_object(&o);
    json_member_span(&o, "token", buf_span(&token));
    json_end_object(&o);
    reply_json(&c->x->resp, &body);
    cookie_set(&c->x->resp, challenge.session, challenge.expires);
    return true;
}

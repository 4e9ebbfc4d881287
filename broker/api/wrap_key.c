/* pkcs11/wrap-key: what an operator wraps with an RSA key of the token, and a guest has unwrapped
 * (kbs-api.md 8.3). Nothing is stored. */
#include "broker/api/endpoint.h"

#include "broker/base/log.h"

#include <stdio.h>

/* Nothing lies below it. Asked after the policy, which sees the path as it is. */
static bool is_whole(const struct call *c)
{
    return c->route.segment_count == 2;
}

/* Policies see plugin "pkcs11" and the path ["wrap-key"]; names of resources have three segments, so
 * this is none in the record either. */
static void locate(struct call *c)
{
    c->plugin = "pkcs11";
    c->path_first = 1;
    snprintf(c->name, sizeof c->name, "wrap-key");
}

static bool refuse_path(struct call *c, const char *action)
{
    if (call_audit(c, action, "error", "no such path"))
        call_error(c, KBS_BAD_PATH, "there is nothing below pkcs11/wrap-key");
    return true;
}

/* What the sender can mend is said to him; the rest is for the log. */
static void wrap_fail(struct call *c, const char *action, struct err e)
{
    static const enum kbs_error answers[ERR_CLASS_COUNT] = {
        [ERR_NOTFOUND] = KBS_NOT_FOUND, [ERR_USAGE] = KBS_WRAPPED, [ERR_CRYPTO] = KBS_WRAPPED,
        [ERR_TOOLARGE] = KBS_TOO_LARGE,
    };
    if (e.code == ERR_CONFLICT) e.code = ERR_HUMAN; /* two keys of the label */
    if (!answers[e.code]) {
        call_fail(c, action, e);
        return;
    }
    char detail[ERR_TEXT];
    bool missing = e.code == ERR_NOTFOUND;
    snprintf(detail, sizeof detail, "%s", err_reason(e));
    if (missing) log_err(e, "wrap-key.missing");
    else log_debug_err(e, "request.refused", LOG_S("action", action));
    if (!call_audit(c, action, missing ? "missing" : "error", err_class_name(e.code))) return;
    call_error(c, answers[e.code], missing && c->guest
               ? "this broker has no wrap key; its operator makes one with: strongroom token "
                 "keypair create --type rsa" : detail);
}

/* ---- GET: unwrap for a guest --------------------------------------------------------------- */

bool wrap_key_get_decide(struct call *c)
{
    locate(c);
    if (!caller_guest(c) || !release_allowed(c, "unwrap")) return true;
    if (!is_whole(c)) return refuse_path(c, "unwrap");
    return !release_has_key(c, "unwrap");
}

struct err wrap_key_get_work(struct call *c)
{
    return p11_pair_unwrap(c->api->config.wrap_key, request_body(&c->x->req), &c->value);
}

void wrap_key_get_finish(struct call *c, struct err e)
{
    _cleanup_buf_ struct buf jwe = BUF_INIT;
    if (!err_ok(e)) {
        wrap_fail(c, "unwrap", e);
        return;
    }
    e = release_close(c, &jwe);
    if (!err_ok(e)) {
        call_fail(c, "unwrap", e);
        return;
    }
    if (!call_audit(c, "unwrap", "allow", "allow is true")) return;
    metric_add(&c->api->metrics, METRIC_UNWRAPS);
    reply_json(&c->x->resp, &jwe);
}

/* ---- POST: wrap for an operator ------------------------------------------------------------ */

bool wrap_key_post_decide(struct call *c)
{
    locate(c);
    return !is_whole(c) && refuse_path(c, "wrap");
}

struct err wrap_key_post_work(struct call *c)
{
    return p11_pair_wrap(c->api->config.wrap_key, request_body(&c->x->req), &c->text);
}

void wrap_key_post_finish(struct call *c, struct err e)
{
    if (!err_ok(e)) {
        wrap_fail(c, "wrap", e);
        return;
    }
    if (!call_audit(c, "wrap", "done", "")) return;
    metric_add(&c->api->metrics, METRIC_WRAPS);
    reply_empty(&c->x->resp);
    c->x->resp.content_type = "text/xml"; /* it is not; clients of the reference get this */
    c->x->resp.body = c->text;
    c->text = BUF_INIT;
}

/* ---- other methods ------------------------------------------------------------------------- */

bool wrap_key_admin_method(struct call *c)
{
    call_error(c, KBS_METHOD, NULL);
    response_header(&c->x->resp, "Allow", "GET, POST");
    return true;
}

bool wrap_key_guest_method(struct call *c)
{
    return !caller_guest(c) || wrap_key_admin_method(c);
}

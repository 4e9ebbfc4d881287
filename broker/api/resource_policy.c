/* The release policy: POST and GET resource-policy (kbs-api.md 6.3). */
#include "broker/api/diagnostics.h"
#include "broker/api/endpoint.h"
#include "broker/api/policy_text.h"

#include "broker/base/log.h"
#include "policy/errors.h"

#include <stdio.h>

#define ERRORS_IN_DETAIL 5 /* all of them stand in the member "errors" */

static void refuse_body(struct call *c, struct err e)
{
    char detail[ERR_TEXT + 80];
    snprintf(detail, sizeof detail, "Failed to parse policy: %s", err_reason(e));
    log_warn_err(e, "policy.refused", LOG_S("principal", c->principal));
    if (call_audit(c, "set-policy", "error", "refused")) call_error(c, KBS_POLICY_PARSE, detail);
}

static void put_errors(const void *arg, struct json_out *o)
{
    diagnostics_members(arg, o);
}

void policy_refuse_text(struct call *c, const char *action, struct err e)
{
    const struct rego_errors *errors = c->errors->count ? c->errors : c->warnings;
    _cleanup_buf_ struct buf detail = BUF_INIT;
    log_warn_err(e, "policy.refused", LOG_S("action", action), LOG_S("principal", c->principal),
                 LOG_U("errors", errors->count + errors->more));
    if (!call_audit(c, action, "error", "refused")) return;
    buf_add_str(&detail, "Policy engine error: Failed to load policy: ");
    diagnostics_text(errors, ERRORS_IN_DETAIL, &detail);
    reply_error_with(&c->x->resp, call_as_reference(c), KBS_POLICY_ENGINE,
                     buf_str(&detail), put_errors, errors);
}

/* Warnings go to the log, and with ?warnings=1 into the answer; with ?strict=1 they are errors. */
static err_t lint(struct call *c, struct span text)
{
    const struct api_config *config = &c->api->config;
    const struct rego_module policy = {POLICY_MODULE, (const char *) text.data, text.len};
    if (!config->lint || !(c->warnings = calloc(1, sizeof *c->warnings))) return ERR_OK;
    config->lint(&policy, c->warnings);
    if (c->warnings->count == 0 || !call_asks(c, "strict")) return ERR_OK;
    FAIL(ERR_USAGE, "%zu warnings, and strict was asked for",
         c->warnings->count + c->warnings->more);
}

void policy_log_warnings(const struct call *c)
{
    char line[REGO_TEXT_MAX + 160];
    for (size_t i = 0; c->warnings && i < c->warnings->count; i++) {
        rego_error_print(&c->warnings->items[i], line, sizeof line);
        log_warn("policy.warning", LOG_S("policy", c->name), LOG_U("version", c->version), LOG_S("text", line));
    }
}

/* An upload is answered without a body, as clients know it (kbs-api.md 6.3), unless they ask for the
 * warnings and there are some. */
void policy_reply_set(struct call *c)
{
    _cleanup_buf_ struct buf body = BUF_INIT;
    if (!c->warnings || c->warnings->count == 0 || !call_asks(c, "warnings")) {
        reply_empty(&c->x->resp);
        return;
    }
    struct json_out o = JSON_OUT(&body);
    json_begin_object(&o);
    diagnostics_list("warnings", c->warnings, &o);
    json_end_object(&o);
    reply_json(&c->x->resp, &body);
}

struct err policy_compile_text(struct call *c, struct span text)
{
    if (!c->errors && !(c->errors = calloc(1, sizeof *c->errors)))
        FAIL(ERR_INTERNAL, "out of memory");
    TRY(release_compile(text, c->errors, &c->policy));
    return lint(c, text);
}

/* False: answered. */
static bool compile_upload(struct call *c)
{
    struct err e = policy_compile_text(c, buf_span(&c->text));
    if (err_ok(e)) return true;
    if (e.code == ERR_USAGE) policy_refuse_text(c, "set-policy", e);
    else call_fail(c, "set-policy", e);
    return false;
}

bool policy_set_decide(struct call *c)
{
    snprintf(c->name, sizeof c->name, "%s", RELEASE_POLICY_NAME);
    struct err e = policy_text_read(request_body(&c->x->req), &c->text);
    if (!err_ok(e)) {
        refuse_body(c, e);
        return true;
    }
    return !compile_upload(c) || !call_preconditions(c);
}

void policy_put_in_force(struct call *c)
{
    release_policy_ref(c->policy);
    release_set_take(c->api->release, c->policy, c->version);
}

struct err policy_set_work(struct call *c)
{
    struct store_put put = {
        .kind = ENVELOPE_POLICY, .name = c->name, .value = buf_span(&c->text),
        .has_if_match = c->has_if_match, .if_match = c->if_match,
    };
    TRY(store_put(c->api->config.store, &put, &c->version));
    policy_put_in_force(c);
    return ERR_OK;
}

void policy_set_finish(struct call *c, struct err e)
{
    if (!err_ok(e)) {
        call_fail(c, "set-policy", e);
        return;
    }
    log_info("policy.set", LOG_U("version", c->version),
             LOG_S("digest", release_digest(c->policy)), LOG_S("principal", c->principal));
    policy_log_warnings(c);
    if (!call_audit(c, "set-policy", "done", "")) return;
    policy_reply_set(c);
    response_header(&c->x->resp, "ETag", "\"%ju\"", (uintmax_t) c->version);
}

/* The ids of stored policies, of which there is one; never the text (kbs-api.md 6.3). */
bool policy_list_decide(struct call *c)
{
    _cleanup_buf_ struct buf body = BUF_INIT;
    buf_add_str(&body, "[\"" RELEASE_POLICY_NAME "\"]");
    reply_json(&c->x->resp, &body);
    return true;
}

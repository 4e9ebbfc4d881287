/* Attestation policies: POST attestation-policy (kbs-api.md 6.3), and their text for operators. */
#include "broker/api/diagnostics.h"
#include "broker/api/endpoint.h"
#include "broker/api/policy_text.h"

#include "broker/base/json.h"
#include "broker/base/log.h"
#include "policy/errors.h"

#include <stdio.h>

#define ACTION "set-attestation-policy"
#define FAILED "Attestation error: Set Attestation Policy failed"
#define ERRORS_IN_DETAIL 5 /* all of them stand in the member "errors" */

static void put_errors(const void *arg, struct json_out *o)
{
    diagnostics_members(arg, o);
}

/* The sentence of the protocol and then the reason, since it is an operator who reads it. */
void attestation_policy_refuse(struct call *c, const char *action, struct err e, const struct rego_errors *errors)
{
    _cleanup_buf_ struct buf detail = BUF_INIT;
    buf_add_str(&detail, FAILED ": ");
    if (errors && errors->count) diagnostics_text(errors, ERRORS_IN_DETAIL, &detail);
    else buf_add_str(&detail, err_reason(e));
    log_warn_err(e, "attestation-policy.refused", LOG_S("principal", c->principal));
    if (!call_audit(c, action, "error", "refused")) return;
    reply_error_with(&c->x->resp, call_as_reference(c), KBS_ATTESTATION_POLICY,
                     buf_str(&detail), errors && errors->count ? put_errors : NULL, errors);
}

static err_t read_body(struct call *c)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    const char *id = NULL;
    struct span body = request_body(&c->x->req);
    TRY(json_parse(body, &doc));
    TRY(json_need_string(json_root(doc), "policy_id", "the request", &id));
    TRY(appraiser_check_id(id));
    snprintf(c->name, sizeof c->name, "%s", id);
    return policy_text_read(body, &c->text);
}

/* With ?usable=1 what would fail attestations is refused, with ?strict=1 whatever is warned of: clients of
 * the KBS may set both. Where another service appraises, it is that which knows what a policy may say. */
static err_t check_text(struct call *c)
{
    if (!api_keeps_appraisal(c->api)) return ERR_OK;
    c->errors = calloc(1, sizeof *c->errors);
    c->warnings = calloc(1, sizeof *c->warnings);
    if (!c->errors || !c->warnings) FAIL(ERR_INTERNAL, "out of memory");
    bool unusable = false;
    TRY(appraiser_check_text(buf_span(&c->text), c->errors, c->warnings, &unusable));
    bool refused = (unusable && call_asks(c, "usable")) ||
                   (c->warnings->count && call_asks(c, "strict"));
    if (!refused) return ERR_OK;
    *c->errors = *c->warnings;
    FAIL(ERR_USAGE, "it has warnings, and strict or usable was asked for");
}

bool attestation_policy_decide(struct call *c)
{
    c->name[0] = '\0';
    struct err e = c->route.segment_count > c->path_first
                       ? ERR_MAKE(ERR_USAGE, "the policy_id stands in the body")
                       : read_body(c);
    if (err_ok(e)) e = check_text(c);
    call_use_upkeep(c);
    if (err_ok(e)) return !call_preconditions(c);
    if (e.code == ERR_INTERNAL) call_fail(c, ACTION, e);
    else attestation_policy_refuse(c, ACTION, e, c->errors);
    return true;
}

struct err attestation_policy_work(struct call *c)
{
    struct attest_upkeep *upkeep = &c->api->upkeep;
    struct attest_policy policy = {.id = c->name, .text = buf_span(&c->text),
                                   .has_if_match = c->has_if_match, .if_match = c->if_match};
    return upkeep->set_policy(upkeep->context, &policy, &c->version);
}

void attestation_policy_finish(struct call *c, struct err e)
{
    if (e.code == ERR_USAGE) {
        attestation_policy_refuse(c, ACTION, e, NULL);
        return;
    }
    if (!err_ok(e)) {
        call_fail(c, ACTION, e);
        return;
    }
    log_info("attestation-policy.set", LOG_S("policy", c->name), LOG_U("version", c->version),
             LOG_S("principal", c->principal));
    policy_log_warnings(c);
    if (api_keeps_appraisal(c->api) && !appraiser_uses(c->name))
        log_warn("attestation-policy.unused", LOG_S("policy", c->name),
                 LOG_S("what", "guests are appraised by default_cpu, their devices by default_gpu"));
    if (!call_audit(c, ACTION, "done", "")) return;
    policy_reply_set(c);
    if (c->version) response_header(&c->x->resp, "ETag", "\"%ju\"", (uintmax_t) c->version);
}

/* ---- the text, for operators ---------------------------------------------------------------- */

#define READ "read-attestation-policy"

bool attestation_policy_named(struct call *c, const char *id)
{
    char name[sizeof c->name];
    snprintf(name, sizeof name, ATTESTATION_POLICY_PREFIX "%.*s", (int) ATTESTATION_POLICY_ID_MAX + 1, id);
    struct err e = appraiser_check_id(id);
    if (!err_ok(e)) call_error(c, KBS_BAD_PATH, err_reason(e));
    else if (!api_keeps_appraisal(c->api))
        call_error(c, KBS_UNKNOWN_PATH, "only a broker that appraises by itself has them");
    else {
        snprintf(c->name, sizeof c->name, "%s", name);
        return true;
    }
    return false;
}

bool attestation_policy_read_decide(struct call *c)
{
    return !attestation_policy_named(c, c->name); /* api.c put the rest of the path there */
}

struct err attestation_policy_read_work(struct call *c)
{
    return store_get(c->api->config.store, ENVELOPE_POLICY, c->name, &c->value, &c->entry);
}

void attestation_policy_read_finish(struct call *c, struct err e)
{
    if (e.code == ERR_NOTFOUND)
        e = ERR_MAKE(ERR_NOTFOUND, "no attestation policy of that id was set; where guests are appraised by one of "
                     "its name, the built-in one is in force");
    if (!err_ok(e)) {
        operator_fail(c, READ, e);
        return;
    }
    reply_empty(&c->x->resp);
    c->x->resp.content_type = "text/plain; charset=utf-8";
    c->x->resp.secret_body = TAKE_PTR(c->value);
    response_header(&c->x->resp, "ETag", "\"%ju\"", (uintmax_t) c->entry.version);
}

/* The release policy: POST and GET resource-policy (kbs-api.md 6.3). */
#include "broker/api/endpoint.h"

#include "broker/base/json.h"
#include "broker/base/log.h"
#include "broker/jose/b64url.h"

#include <stdio.h>

/* The upload's text into c->text. The sentences are those of the reference. */
static err_t read_upload(struct call *c)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    if (!err_ok(json_parse(request_body(&c->x->req), &doc)))
        FAIL(ERR_USAGE, "Illegal SetPolicy Request Json");
    struct json policy = json_get(json_root(doc), "policy");
    if (!json_present(policy)) FAIL(ERR_USAGE, "No `policy` field inside SetPolicy Request Json");
    const char *text = json_string(policy);
    if (!text) FAIL(ERR_USAGE, "`policy` field is not a string in SetPolicy Request Json");
    c->text.max = POLICY_MAX;
    if (!err_ok(b64url_decode(span_str(text), &c->text)))
        FAIL(ERR_USAGE, "Failed to decode policy: not base64url without padding, or over %u bytes",
             POLICY_MAX);
    if (!utf8_valid(buf_span(&c->text))) FAIL(ERR_USAGE, "Failed to decode policy: not UTF-8");
    return ERR_OK;
}

static void refuse(struct call *c, enum kbs_error error, const char *before, struct err e)
{
    char detail[ERR_TEXT + 80];
    snprintf(detail, sizeof detail, "%s%s", before, err_reason(e));
    log_warn_err(e, "policy.refused", LOG_S("principal", c->principal));
    if (call_audit(c, "set-policy", "error", "refused")) call_error(c, error, detail);
}

bool policy_set_decide(struct call *c)
{
    snprintf(c->name, sizeof c->name, "%s", RELEASE_POLICY_NAME);
    struct err e = read_upload(c);
    if (!err_ok(e)) {
        refuse(c, KBS_POLICY_PARSE, "Failed to parse policy: ", e);
        return true;
    }
    e = release_compile(buf_span(&c->text), &c->policy);
    if (!err_ok(e)) {
        refuse(c, KBS_POLICY_ENGINE, "Policy engine error: Failed to load policy: ", e);
        return true;
    }
    return !call_preconditions(c);
}

struct err policy_set_work(struct call *c)
{
    struct store_put put = {
        .kind = ENVELOPE_POLICY, .name = c->name, .value = buf_span(&c->text),
        .has_if_match = c->has_if_match, .if_match = c->if_match,
    };
    return store_put(c->api->config.store, &put, &c->version);
}

void policy_set_finish(struct call *c, struct err e)
{
    if (!err_ok(e)) {
        call_fail(c, "set-policy", e);
        return;
    }
    /* It is stored, so it is in force, even if the record of it then fails. */
    log_info("policy.set", LOG_S("name", release_name(c->policy)),
             LOG_S("digest", release_digest(c->policy)), LOG_S("principal", c->principal));
    bool recorded = call_audit(c, "set-policy", "done", release_name(c->policy));
    release_set_take(c->api->release, TAKE_PTR(c->policy), c->version);
    if (!recorded) return;
    reply_empty(&c->x->resp);
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

#include "broker/api/reply.h"

#include "broker/base/json.h"

#include <stdio.h>
#include <string.h>

#define TYPE_PREFIX "https://github.com/confidential-containers/kbs/errors/"

static const struct {
    const char *variant;
    int status, reference; /* DESIGN 5; the reference server (kbs-api.md 9.1) */
    const char *detail;
} errors[KBS_ERROR_COUNT] = {
    [KBS_TOKEN_NOT_FOUND] = {"TokenNotFound", 401, 401, "Attestation Token not found"},
    [KBS_TOKEN_VERIFIER] = {"TokenVerifierError", 401, 401, "Token Verifier error"},
    [KBS_ATTESTATION] = {"AttestationError", 401, 401,
                         "Attestation error: RCAR handshake Attest failed"},
    [KBS_ATTESTATION_MALFORMED] = {"AttestationError", 400, 401,
                                   "Attestation error: RCAR handshake Attest failed"},
    [KBS_POLICY_DENY] = {"PolicyDeny", 403, 401, "Access denied by policy"},
    [KBS_POLICY_PARSE] = {"ParsePolicyError", 400, 401, "Failed to parse policy"},
    [KBS_POLICY_ENGINE] = {"PolicyEngineError", 400, 401, "Policy engine error"},
    [KBS_PLUGIN_NOT_FOUND] = {"PluginNotFound", 404, 404, "Plugin not found"},
    [KBS_PLUGIN_INTERNAL] = {"PluginInternalError", 500, 401, "Plugin internal error"},
    [KBS_WRAPPED] = {"PluginInternalError", 400, 401, "this was not wrapped for this key"},
    [KBS_JWE] = {"JweError", 400, 401, "JWE failed"},
    [KBS_ADMIN_PLUGIN] = {"AdminAuthInitialization", 401, 401, "admin access denied"},
    [KBS_ADMIN_BUILTIN] = {"AdminAuthAccess", 401, 401, "admin access denied"},
    [KBS_ADMIN_DENIED] = {"AdminAuthInitialization", 403, 401, "admin access denied"},
    [KBS_ADMIN_BUILTIN_DENIED] = {"AdminAuthAccess", 403, 401, "admin access denied"},
    [KBS_ATTESTATION_POLICY] = {"AttestationError", 400, 401,
                                "Attestation error: Set Attestation Policy failed"},
    [KBS_RVPS] = {"RvpsError", 400, 401, "RVPS configuration failed"},
    [KBS_RVPS_UNKNOWN] = {"RvpsError", 404, 401, "RVPS configuration failed"},
    [KBS_NOT_FOUND] = {"ResourceNotFound", 404, 401, "Resource not found"},
    [KBS_BAD_PATH] = {"InvalidRequestPath", 400, 401,
                      "a resource path is repository/type/tag, of letters, digits, '_', '-' and, "
                      "not in front, '.'"},
    [KBS_METHOD] = {"PluginInternalError", 405, 401, "method not allowed here"},
    [KBS_PATH_METHOD] = {"PluginInternalError", 405, 405, "method not allowed here"},
    [KBS_PRECONDITION] = {"PreconditionFailed", 412, 401,
                          "If-Match does not name the version that is stored"},
    [KBS_CONFLICT] = {"Conflict", 409, 401, "it exists already"},
    [KBS_TOO_LARGE] = {"PayloadTooLarge", 413, 413, "payload reached size limit"},
    [KBS_TIMEOUT] = {"RequestTimeout", 408, 408, "the request took too long to arrive"},
    [KBS_UNAVAILABLE] = {"Unavailable", 503, 503, "the vault cannot serve this now; try again"},
    [KBS_READ_ONLY] = {"ReadOnly", 503, 503, "this broker does not write; use the writer"},
    [KBS_FULL] = {"InsufficientStorage", 507, 507, "the token has no room for this"},
    [KBS_UNKNOWN_PATH] = {"InvalidRequestPath", 404, 404, "no such path"},
};

/* The reference calls these PluginInternalError, and says no more. */
static const bool internal[KBS_ERROR_COUNT] = {
    [KBS_NOT_FOUND] = true, [KBS_BAD_PATH] = true, [KBS_METHOD] = true};

void reply_error(struct response *resp, bool reference, enum kbs_error error, const char *detail)
{
    reply_error_with(resp, reference, error, detail, NULL, NULL);
}

void reply_error_with(struct response *resp, bool reference, enum kbs_error error, const char *detail,
                      void (*more)(const void *arg, struct json_out *o), const void *arg)
{
    enum kbs_error named = reference && internal[error] ? KBS_PLUGIN_INTERNAL : error;
    response_reset(resp);
    resp->status = reference ? errors[error].reference : errors[error].status;
    resp->content_type = "application/json";
    if (resp->status == 503) response_header(resp, "Retry-After", "1");
    struct json_out o = JSON_OUT(&resp->body);
    json_begin_object(&o);
    json_key(&o, "type");
    buf_addf(&resp->body, "\"" TYPE_PREFIX "%s\"", errors[named].variant);
    o.need_comma = true;
    json_member_str(&o, "detail", detail ? detail : errors[named].detail);
    if (more) more(arg, &o);
    json_end_object(&o);
}

void reply_retry_after(struct response *resp, unsigned seconds)
{
    for (size_t i = 0; i < resp->header_count && seconds; i++)
        if (strcmp(resp->headers[i].name, "Retry-After") == 0)
            snprintf(resp->headers[i].value, RESPONSE_HEADER_VALUE, "%u", seconds);
}

enum kbs_error reply_error_of(struct err e)
{
    static const enum kbs_error of[ERR_CLASS_COUNT] = {
        [ERR_NONE] = KBS_PLUGIN_INTERNAL,
        [ERR_USAGE] = KBS_BAD_PATH,
        [ERR_AUTH] = KBS_TOKEN_VERIFIER,
        [ERR_DENIED] = KBS_POLICY_DENY,
        [ERR_NOTFOUND] = KBS_NOT_FOUND,
        [ERR_CONFLICT] = KBS_CONFLICT,
        [ERR_PRECONDITION] = KBS_PRECONDITION,
        [ERR_TOOLARGE] = KBS_TOO_LARGE,
        [ERR_LIMIT] = KBS_UNAVAILABLE,
        [ERR_CRYPTO] = KBS_JWE,
        [ERR_DAMAGED] = KBS_PLUGIN_INTERNAL,
        [ERR_INTERNAL] = KBS_PLUGIN_INTERNAL,
        [ERR_BUSY] = KBS_UNAVAILABLE,
        [ERR_TOKEN_DOWN] = KBS_UNAVAILABLE,
        [ERR_READONLY] = KBS_READ_ONLY,
        [ERR_HUMAN] = KBS_UNAVAILABLE,
        [ERR_TIMEOUT] = KBS_UNAVAILABLE,
        [ERR_FULL] = KBS_FULL,
        [ERR_PARTIAL] = KBS_PLUGIN_INTERNAL, /* of commands only */
    };
    return of[e.code];
}

void reply_empty(struct response *resp)
{
    response_reset(resp);
    resp->status = 200;
}

void reply_json(struct response *resp, struct buf *body)
{
    response_reset(resp);
    resp->status = 200;
    resp->content_type = "application/json";
    resp->body = *body;
    *body = BUF_INIT;
}

#include "broker/api/reply.h"
#include "broker/base/json.h"
#include "tests/lib/test.h"

#define TYPE "https://github.com/confidential-containers/kbs/errors/"

static struct response resp;

static int teardown(void **state)
{
    response_reset(&resp);
    return 0;
}

static const char *header(const char *name)
{
    for (size_t i = 0; i < resp.header_count; i++)
        if (strcmp(resp.headers[i].name, name) == 0) return resp.headers[i].value;
    return NULL;
}

/* DESIGN 5 beside the reference (kbs-api.md 9.1). */
static const struct {
    enum kbs_error error;
    int status, reference;
    const char *variant;
} rows[] = {
    {KBS_TOKEN_NOT_FOUND, 401, 401, "TokenNotFound"},
    {KBS_TOKEN_VERIFIER, 401, 401, "TokenVerifierError"},
    {KBS_ATTESTATION, 401, 401, "AttestationError"},
    {KBS_ATTESTATION_MALFORMED, 400, 401, "AttestationError"},
    {KBS_POLICY_DENY, 403, 401, "PolicyDeny"},
    {KBS_POLICY_PARSE, 400, 401, "ParsePolicyError"},
    {KBS_POLICY_ENGINE, 400, 401, "PolicyEngineError"},
    {KBS_PLUGIN_NOT_FOUND, 404, 404, "PluginNotFound"},
    {KBS_PLUGIN_INTERNAL, 500, 401, "PluginInternalError"},
    {KBS_WRAPPED, 400, 401, "PluginInternalError"},
    {KBS_JWE, 400, 401, "JweError"},
    {KBS_ADMIN_PLUGIN, 401, 401, "AdminAuthInitialization"},
    {KBS_ADMIN_BUILTIN, 401, 401, "AdminAuthAccess"},
    {KBS_ADMIN_DENIED, 403, 401, "AdminAuthInitialization"},
    {KBS_ADMIN_BUILTIN_DENIED, 403, 401, "AdminAuthAccess"},
    {KBS_ATTESTATION_POLICY, 400, 401, "AttestationError"},
    {KBS_RVPS, 400, 401, "RvpsError"},
    {KBS_RVPS_UNKNOWN, 404, 401, "RvpsError"},
    {KBS_NOT_FOUND, 404, 401, "ResourceNotFound"},
    {KBS_BAD_PATH, 400, 401, "InvalidRequestPath"},
    {KBS_METHOD, 405, 401, "PluginInternalError"},
    {KBS_PATH_METHOD, 405, 405, "PluginInternalError"},
    {KBS_PRECONDITION, 412, 401, "PreconditionFailed"},
    {KBS_CONFLICT, 409, 401, "Conflict"},
    {KBS_TOO_LARGE, 413, 413, "PayloadTooLarge"},
    {KBS_TIMEOUT, 408, 408, "RequestTimeout"},
    {KBS_UNAVAILABLE, 503, 503, "Unavailable"},
    {KBS_READ_ONLY, 503, 503, "ReadOnly"},
    {KBS_FULL, 507, 507, "InsufficientStorage"},
    {KBS_UNKNOWN_PATH, 404, 404, "InvalidRequestPath"},
};

static void test_reply_error__every_variant(void **state)
{
    assert_int_equal(sizeof rows / sizeof *rows, KBS_ERROR_COUNT);
    for (size_t i = 0; i < 2 * KBS_ERROR_COUNT; i++) {
        bool reference = i % 2;
        char type[120];
        struct json_doc *doc = NULL;
        reply_error(&resp, reference, rows[i / 2].error, NULL);
        assert_int_equal(resp.status, reference ? rows[i / 2].reference : rows[i / 2].status);
        assert_string_equal(resp.content_type, "application/json");
        assert_ok(json_parse(buf_span(&resp.body), &doc));
        bool internal = reference && (rows[i / 2].error == KBS_NOT_FOUND ||
                                      rows[i / 2].error == KBS_BAD_PATH);
        snprintf(type, sizeof type, TYPE "%s", internal ? "PluginInternalError" : rows[i / 2].variant);
        assert_string_equal(json_string(json_get(json_root(doc), "type")), type);
        assert_true(strlen(json_string(json_get(json_root(doc), "detail"))) > 0);
        /* Clients may come back at once or not at all; 503 says so (DESIGN 4). */
        assert_int_equal(header("Retry-After") != NULL, resp.status == 503);
        json_free(doc);
    }
}

static void test_reply_error__body_is_exact(void **state)
{
    reply_error(&resp, false, KBS_POLICY_DENY, NULL);
    assert_span(buf_span(&resp.body),
                "{\"type\":\"" TYPE "PolicyDeny\",\"detail\":\"Access denied by policy\"}");
    reply_error(&resp, false, KBS_BAD_PATH, "a \"quoted\" \\ line\n");
    assert_span(buf_span(&resp.body), "{\"type\":\"" TYPE "InvalidRequestPath\","
                                      "\"detail\":\"a \\\"quoted\\\" \\\\ line\\n\"}");
}

static void test_reply_error__drops_what_was_there(void **state)
{
    reply_empty(&resp);
    response_header(&resp, "ETag", "\"1\"");
    assert_ok(secret_copy(span_str("value"), &resp.secret_body));
    reply_error(&resp, false, KBS_UNAVAILABLE, NULL);
    assert_null(resp.secret_body);
    assert_null(header("ETag"));
    assert_int_equal(resp.header_count, 1);
}

static void test_reply_error_of__every_class(void **state)
{
    static const struct { enum err_class of; int status; } expected[] = {
        {ERR_USAGE, 400}, {ERR_AUTH, 401}, {ERR_DENIED, 403}, {ERR_NOTFOUND, 404},
        {ERR_CONFLICT, 409}, {ERR_PRECONDITION, 412}, {ERR_TOOLARGE, 413}, {ERR_LIMIT, 503},
        {ERR_CRYPTO, 400}, {ERR_DAMAGED, 500}, {ERR_INTERNAL, 500}, {ERR_BUSY, 503},
        {ERR_TOKEN_DOWN, 503}, {ERR_READONLY, 503}, {ERR_HUMAN, 503}, {ERR_TIMEOUT, 503},
        {ERR_FULL, 507}, {ERR_NONE, 500}, {ERR_PARTIAL, 500},
    };
    assert_int_equal(sizeof expected / sizeof *expected, ERR_CLASS_COUNT);
    for (size_t i = 0; i < ERR_CLASS_COUNT; i++) {
        reply_error(&resp, false, reply_error_of((struct err){expected[i].of}), NULL);
        if (resp.status != expected[i].status)
            fail_msg("%s is %d", err_class_name(expected[i].of), resp.status);
    }
    /* A client reads a class and a fixed sentence: no text of ours travels with an error. */
    reply_error(&resp, false, reply_error_of(ERR_MAKE(ERR_TOKEN_DOWN, "slot 3 of host x")), NULL);
    assert_null(strstr(buf_str(&resp.body), "slot"));
}

static void test_reply_json__takes_the_buffer(void **state)
{
    struct buf body = BUF_INIT;
    buf_add_str(&body, "[1]");
    reply_error(&resp, false, KBS_FULL, NULL);
    reply_json(&resp, &body);
    assert_int_equal(resp.status, 200);
    assert_string_equal(resp.content_type, "application/json");
    assert_span(buf_span(&resp.body), "[1]");
    assert_null(body.data);
}

static void test_reply_empty__has_no_body(void **state)
{
    reply_error(&resp, false, KBS_FULL, NULL);
    reply_empty(&resp);
    assert_int_equal(resp.status, 200);
    assert_null(resp.content_type);
    assert_int_equal(resp.body.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_reply_error__every_variant, teardown),
        cmocka_unit_test_teardown(test_reply_error__body_is_exact, teardown),
        cmocka_unit_test_teardown(test_reply_error__drops_what_was_there, teardown),
        cmocka_unit_test_teardown(test_reply_error_of__every_class, teardown),
        cmocka_unit_test_teardown(test_reply_json__takes_the_buffer, teardown),
        cmocka_unit_test_teardown(test_reply_empty__has_no_body, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

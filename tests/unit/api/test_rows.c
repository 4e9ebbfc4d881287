/* Rows of guests: the handshake (2.1 to 2.5), who asks and errors (9.1, 9.2, 15.8). What is the server's own
 * (9.2) is in tests/integration/test_http_rows.py. */
#include "tests/unit/api/rows.h"

#define AUTH_FAILED "Attestation error: RCAR handshake Auth failed: "
#define ATTEST_FAILED "Attestation error: RCAR handshake Attest failed"

/* ---- 2.2: POST auth ------------------------------------------------------------------------ */

static void check_auth(const char *text, const char *cause)
{
    char detail[256];
    snprintf(detail, sizeof detail, AUTH_FAILED "%s", cause);
    ASK("POST", "/kbs/v0/auth", BODY(text));
    expect(401, "AttestationError", detail);
    assert_null(header("Set-Cookie"));
}

static void test_row_2_2__deserialize_request(void **state)
{
    static const char *const rows[] = {
        "", "nonsense", "{", "null", "{}", "{\"version\":\"0.4.0\"}",
        "{\"version\":\"0.4.0\",\"tee\":\"sample\"}",                          /* no extra-params */
        "{\"tee\":\"sample\",\"extra-params\":{}}",
        "{\"version\":\"0.4.0\",\"extra-params\":{}}",
        "{\"version\":4,\"tee\":\"sample\",\"extra-params\":{}}",              /* 15.5 */
        "{\"version\":\"0.4.0\",\"tee\":1,\"extra-params\":{}}",
        "{\"version\":\"0.4.0\",\"tee\":\"abacus\",\"extra-params\":{}}",
        "{\"version\":\"0.4.0\",\"tee\":\"sample\",\"tee\":\"snp\",\"extra-params\":{}}", /* 15.4 */
        "{\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":{}} more",
        "{\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":\"\xff\"}",
    };
    for (size_t i = 0; i < COUNT(rows); i++) check_auth(rows[i], "deserialize Request");
}

static void test_row_2_2__failed_to_parse_kbs_version(void **state)
{
    static const char *const versions[] = {"", "x", "0.4", "0.4.0.0", "v0.4.0", "00.4.0", "0.4.0-", "0.4.0+"};
    for (size_t i = 0; i < COUNT(versions); i++) {
        buf_reset(&body);
        buf_addf(&body, "{\"version\":\"%s\",\"tee\":\"sample\",\"extra-params\":{}}", versions[i]);
        check_auth(buf_str(&body), "failed to parse KBS version");
    }
}

static void test_row_2_2__version_mismatch(void **state)
{
    static const char *const versions[] = {"0.1.0", "0.2.0", "0.3.9", "0.4.1", "0.5.0", "1.4.0", "0.4.0-rc1"};
    for (size_t i = 0; i < COUNT(versions); i++) {
        char cause[128];
        buf_reset(&body);
        buf_addf(&body, "{\"version\":\"%s\",\"tee\":\"sample\",\"extra-params\":{}}", versions[i]);
        snprintf(cause, sizeof cause, "KBS Client Protocol Version Mismatch: expect =0.4.0 while the "
                 "request is %s", versions[i]);
        check_auth(buf_str(&body), cause);
    }
    assert_int_equal(ASK("POST", "/kbs/v0/auth", BODY("{\"version\":\"0.4.0+x\",\"tee\":\"sample\","
                                                      "\"extra-params\":null}")), 200); /* 15.5 */
}

/* Every name of 2.1 and 15.4, in both spellings. */
static void test_row_2_1__tee_names(void **state)
{
    static const char *const names[] = {
        "az-snp-vtpm", "azsnpvtpm", "az-tdx-vtpm", "aztdxvtpm", "nvidia", "nvidia-dpu", "nvidiadpu",
        "sgx", "snp", "tdx", "cca", "csv", "se", "hygondcu", "tpm", "sample", "sampledevice"};
    for (size_t i = 0; i < COUNT(names); i++) {
        buf_reset(&body);
        buf_addf(&body, "{\"version\":\"0.4.0\",\"tee\":\"%s\",\"extra-params\":"
                        "{\"supported-hash-algorithms\":[\"sha256\",\"sha384\",\"sha512\",\"sm3\"]},"
                        "\"unknown\":[{}]}", names[i]);
        assert_int_equal(ASK("POST", "/kbs/v0/auth", .body = buf_span(&body)), 200);
        assert_int_equal(strlen(text_at("/nonce")), 44);
        assert_non_null(header("Set-Cookie"));
    }
}

/* ---- 2.4: POST attest ---------------------------------------------------------------------- */

static struct span evidence(const char *nonce)
{
    body_write((struct body){.nonce = nonce}, &body);
    return buf_span(&body);
}

static void check_attest(const char *cookie, struct span sent, int truthful)
{
    ASK("POST", "/kbs/v0/attest", HEADERS(cookie), .body = sent);
    expect(truthful, "AttestationError", ATTEST_FAILED); /* exactly, whatever it was */
    assert_null(header("Set-Cookie"));
}

static void test_row_2_4__no_cookie(void **state)
{
    struct span sent = evidence(guest_auth());
    check_attest("Cookie: other=1", sent, 401);
    check_attest("Cookie: kbs-session-id=", sent, 401);
    check_attest("Cookie: kbs-session-id", sent, 401);
}

static void test_row_2_4__body_does_not_parse(void **state)
{
    static const char *const rows[] = {
        "", "{}", "[]", "{\"init-data\":null,\"runtime-data\":{},\"tee-evidence\":{}}",
        "{\"runtime-data\":{\"nonce\":\"x\",\"tee-pubkey\":{}},\"tee-evidence\":{\"primary_evidence\":1}}",
        "{\"runtime-data\":{\"nonce\":\"x\",\"tee-pubkey\":{}},\"tee-evidence\":{\"primary_evidence\":1,"
        "\"additional_evidence\":{}}}",
        "{\"runtime-data\":{\"nonce\":\"x\",\"tee-pubkey\":{}},\"tee-evidence\":{\"primary_evidence\":1,"
        "\"additional_evidence\":\"[]\"}}",
        "{\"runtime-data\":{\"nonce\":\"x\",\"tee-pubkey\":{}},\"tee-evidence\":{\"primary-evidence\":1,"
        "\"additional-evidence\":\"\"}}", /* the names have underscores */
    };
    guest_auth();
    for (size_t i = 0; i < COUNT(rows); i++) check_attest(kit.cookie, span_str(rows[i]), 400);
    guest_attest();
    check_attest(kit.cookie, span_str("{}"), 400); /* of an attested session too (15.6) */
}

static void test_row_2_4__unknown_session(void **state)
{
    static const char *const ids[] = {
        "0123456789abcdef0123456789abcdef", "0123456789ABCDEF0123456789ABCDEF", "../../etc/passwd", "a",
        "01234567-89ab-cdef-0123-456789abcdef"};
    struct span sent = evidence(guest_auth());
    for (size_t i = 0; i < COUNT(ids); i++) {
        char cookie[96];
        snprintf(cookie, sizeof cookie, "Cookie: kbs-session-id=%s", ids[i]);
        check_attest(cookie, sent, 401);
    }
}

static void test_row_2_4__expired_session(void **state)
{
    int64_t now = clock_now(); /* of the broker's start, from which its own certificate counts */
    clock_test_set(now);
    struct span sent = evidence(guest_auth());
    clock_test_set(now + SESSION_SECONDS);
    check_attest(kit.cookie, sent, 401);
    clock_test_set(now + SESSION_SECONDS - 1);
    assert_int_equal(ASK("POST", "/kbs/v0/attest", HEADERS(kit.cookie), .body = sent), 200);
}

static void test_row_2_4__other_nonce(void **state)
{
    char other[64];
    snprintf(other, sizeof other, "%s", guest_auth()); /* of another session */
    struct span sent = evidence((guest_auth(), other));
    check_attest(kit.cookie, sent, 401);
}

/* The nonce is not burned: the same session attests afterwards. */
static void test_row_2_4__evidence_refused_and_repeated(void **state)
{
    char nonce[64];
    snprintf(nonce, sizeof nonce, "%s", guest_auth());
    body_write((struct body){.nonce = nonce, .report_data = "AAAA"}, &body);
    check_attest(kit.cookie, buf_span(&body), 401);
    assert_int_equal(ASK("POST", "/kbs/v0/attest", HEADERS(kit.cookie), .body = evidence(nonce)), 200);
}

/* Only toml, written so (2.5, 15.7); null and absence are the same. */
static void test_row_2_5__init_data(void **state)
{
#define TOML "version = \\\"0.1.0\\\"\\nalgorithm = \\\"sha384\\\"\\n[data]\\n"
    static const struct { const char *init; int status; } rows[] = {
        {"null", 200},
        {"{\"format\":\"toml\",\"body\":\"" TOML "\"}", 200},
        {"{\"format\":\"TOML\",\"body\":\"" TOML "\"}", 401},
        {"{\"format\":\"json\",\"body\":\"{}\"}", 401},
        {"{\"format\":\"toml\",\"body\":\"no toml\"}", 401},
        {"{\"format\":\"toml\"}", 400},
        {"\"toml\"", 400},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        body_write((struct body){.nonce = guest_auth(), .init_data = rows[i].init}, &body);
        if (rows[i].status == 200)
            assert_int_equal(ASK("POST", "/kbs/v0/attest", HEADERS(kit.cookie), .body = buf_span(&body)), 200);
        else check_attest(kit.cookie, buf_span(&body), rows[i].status);
    }
    struct buf without = BUF_INIT;
    static const char member[] = "\"init-data\":null,";
    evidence(guest_auth());
    buf_addf(&without, "{%s", strstr(buf_str(&body), member) + strlen(member));
    assert_int_equal(ASK("POST", "/kbs/v0/attest", HEADERS(kit.cookie), .body = buf_span(&without)), 200);
    buf_free(&without);
}

/* ---- 9.1: variants ------------------------------------------------------------------------- */

static void test_row_9_1__plugin_not_found(void **state)
{
    ASK("GET", "/kbs/v0/abacus/a");
    expect(404, "PluginNotFound", "Plugin abacus not found");
    ASK("GET", "/kbs/v0/");
    expect(404, "PluginNotFound", "Plugin  not found"); /* 15.17 */
}

static void test_row_9_1__token_not_found(void **state)
{
    static const char *const targets[] = {RESOURCE, "/kbs/v0/resource/no/such/thing", "/kbs/v0/resource/a",
                                          "/kbs/v0/resource//", "/kbs/v0/pkcs11/resource/a/b/c",
                                          "/kbs/v0/resource/a/b/c%00"};
    static const char *const headers[] = {"X-None: 1", "Authorization: bearer x.y.z", "Authorization: Bearer "};
    put("a/b/c", "value");
    for (size_t i = 0; i < COUNT(targets); i++)
        for (size_t k = 0; k < COUNT(headers); k++) {
            ASK("GET", targets[i], HEADERS(headers[k]));
            expect(401, "TokenNotFound", "Attestation Token not found");
        }
}

static void test_row_9_1__token_verifier_error(void **state)
{
    static const char *const headers[] = {"Authorization: Bearer x.y.z", "Authorization: Bearer  x",
                                          "Authorization: Bearer e30.e30.AA"};
    for (size_t i = 0; i < COUNT(headers); i++) {
        ASK("GET", RESOURCE, HEADERS(headers[i]));
        expect(401, "TokenVerifierError", "Token Verifier error");
    }
}

/* Of the two, the first decides (15.8). */
static void test_row_15_8__two_cookies_two_authorizations(void **state)
{
    put("a/b/c", "value");
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    guest_attest();
    char both[400];
    const char *id = kit.cookie + strlen("Cookie: ");
    snprintf(both, sizeof both, "Cookie: kbs-session-id=0; %s", id);
    ASK("GET", RESOURCE, HEADERS(both));
    expect(401, "TokenNotFound", NULL);
    snprintf(both, sizeof both, "Cookie: %s; kbs-session-id=0", id);
    ASK("GET", RESOURCE, HEADERS(both));
    check_released("value");
    ASK("GET", RESOURCE, HEADERS("Authorization: Bearer x.y.z", guest_bearer()));
    expect(401, "TokenVerifierError", NULL);
    ASK("GET", RESOURCE, HEADERS(guest_bearer(), "Authorization: Bearer x.y.z"));
    check_released("value");
    ASK("GET", RESOURCE, HEADERS("Authorization: Bearer x.y.z", kit.cookie)); /* a good cookie wins (2.6) */
    check_released("value");
}

static void test_row_9_1__policy_deny(void **state)
{
    static const char *const policies[] = { /* false, undefined, no boolean, an error of evaluation (7.2) */
        POLICY_DENY_ALL_TEXT, "package policy\n\nallow if false\n", "package policy\n\nallow := \"yes\"\n",
        "package policy\n\nallow if to_number(data.plugin) == 1\n"};
    put("a/b/c", "value");
    guest_attest();
    guest_get(RESOURCE); /* without any policy */
    expect(403, "PolicyDeny", "Access denied by policy");
    for (size_t i = 0; i < COUNT(policies); i++) {
        assert_int_equal(set_policy(policies[i]), 200);
        guest_get(RESOURCE);
        expect(403, "PolicyDeny", "Access denied by policy");
        guest_get("/kbs/v0/resource/no/such/thing"); /* before anybody looks whether it is there */
        expect(403, "PolicyDeny", "Access denied by policy");
    }
}

static void test_row_9_1__policy_engine_error(void **state)
{
    policy_body("package policy\n\nallow {\n", &body);
    ASK("POST", "/kbs/v0/resource-policy", HEADERS(operator_bearer("admin")), .body = buf_span(&body));
    check_error_with(reference ? 401 : 400, "PolicyEngineError", NULL, 1);
    assert_int_equal(strncmp(text_at("/detail"), "Policy engine error: ", 21), 0);
}

static void test_row_9_1__plugin_internal_error(void **state)
{
    static const struct { const char *method, *target; int status; const char *variant; } rows[] = {
        {"GET", "/kbs/v0/resource/no/such/thing", 404, "ResourceNotFound"},
        {"GET", "/kbs/v0/resource/a/b", 400, "InvalidRequestPath"},
        {"GET", "/kbs/v0/resource/.a/b/c", 400, "InvalidRequestPath"},
        {"GET", "/kbs/v0/resource/a/b/c/d", 400, "InvalidRequestPath"},
        {"GET", "/kbs/v0/resource//a//b", 400, "InvalidRequestPath"},
        {"GET", "/kbs/v0/pkcs11/a/b/c", 400, "InvalidRequestPath"},
        {"PUT", RESOURCE, 405, "PluginInternalError"},
    };
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    guest_attest();
    for (size_t i = 0; i < COUNT(rows); i++) {
        ASK(rows[i].method, rows[i].target, HEADERS(kit.cookie));
        expect(rows[i].status, rows[i].variant, NULL);
    }
}

static void test_row_9_2__body_too_large(void **state)
{
    struct buf large = BUF_INIT;
    for (size_t i = 0; i < VALUE_MAX + 1; i += 64)
        buf_add_str(&large, "0123456789012345678901234567890123456789012345678901234567890123");
    large.len = VALUE_MAX + 1;
    ASK("POST", RESOURCE, HEADERS(operator_bearer("admin")), .body = buf_span(&large));
    expect(413, "PayloadTooLarge", "payload reached size limit");
    ASK("POST", RESOURCE, .body = buf_span(&large)); /* a stranger hears nothing of limits */
    expect(401, "AdminAuthInitialization", NULL);
    large.len = VALUE_MAX;
    assert_int_equal(ASK("POST", RESOURCE, HEADERS(operator_bearer("admin")), .body = buf_span(&large)), 200);
    buf_free(&large);
}

/* Nothing in a query is undecodable (15.1); what a policy sees of it. */
static void test_row_9_2__undecodable_query(void **state)
{
    static const struct { const char *query, *value; } rows[] = {
        {"k=%zz", "%zz"}, {"k=%", "%"}, {"k=a+b", "a b"}, {"k", ""}, {"k=1&&k=2", "2"}, {"k=%ff", "\xef\xbf\xbd"},
        {"%6b=v", "v"}, {"k=a=b", "a=b"}, {"x=1&k=%2B", "+"}};
    put("a/b/c", "value");
    guest_attest();
    for (size_t i = 0; i < COUNT(rows); i++) {
        char policy[200], target[100];
        snprintf(policy, sizeof policy, "package policy\n\nallow if data.query.k == \"%s\"\n", rows[i].value);
        assert_int_equal(set_policy(policy), 200);
        snprintf(target, sizeof target, RESOURCE "?%s", rows[i].query);
        guest_get(target);
        check_released("value");
    }
}

static void test_row_9_2__other_methods(void **state)
{
    static const char *const methods[] = {"HEAD", "OPTIONS", "PATCH", "CONNECT"};
    for (size_t i = 0; i < COUNT(methods); i++) {
        ASK(methods[i], RESOURCE);
        check_error(405, "PluginInternalError", NULL);
        assert_string_equal(header("Allow"), "GET, POST, PUT, DELETE"); /* 15.17 */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_row_2_1__tee_names),
        ROW(test_row_2_2__deserialize_request),
        ROW(test_row_2_2__failed_to_parse_kbs_version),
        ROW(test_row_2_2__version_mismatch),
        ROW(test_row_2_4__no_cookie),
        ROW(test_row_2_4__body_does_not_parse),
        ROW(test_row_2_4__unknown_session),
        ROW(test_row_2_4__expired_session),
        ROW(test_row_2_4__other_nonce),
        ROW(test_row_2_4__evidence_refused_and_repeated),
        ROW(test_row_2_5__init_data),
        ROW(test_row_9_1__plugin_not_found),
        ROW(test_row_9_1__token_not_found),
        ROW(test_row_9_1__token_verifier_error),
        ROW(test_row_15_8__two_cookies_two_authorizations),
        ROW(test_row_9_1__policy_deny),
        ROW(test_row_9_1__policy_engine_error),
        ROW(test_row_9_1__plugin_internal_error),
        ROW(test_row_9_2__body_too_large),
        ROW(test_row_9_2__undecodable_query),
        ROW(test_row_9_2__other_methods),
    };
    return cmocka_run_group_tests(tests, kit_token, kit_token_end);
}

/* Rows of operators: who may operate (6.1, 6.2), and their calls (6.3). */
#include "tests/unit/api/rows.h"

#define PLUGIN_DENIED "failed to initialize [admin] configuration: "
#define NO_HEADER "Failed to parse HTTP Auth Bearer header"
#define NO_ISSUER "Admin access denied: Cannot verify token with any of the issuers"

/* ---- 6.1: operators ------------------------------------------------------------------------ */

static void test_row_6_1__deny_all(void **state)
{
    kit_open((struct kit_options){.reference = reference, .mode = ADMIN_DENY_ALL});
    ASK("POST", RESOURCE, HEADERS(operator_bearer("admin")));
    expect(401, "AdminAuthInitialization", PLUGIN_DENIED "Admin access denied: Admin access denied as "
           "DenyAll authorization_mode is enabled");
    ASK("GET", "/kbs/v0/resource-policy");
    expect(401, "AdminAuthAccess", "admin access denied for endpoint resource-policy: Admin access denied: "
           "Admin access denied as DenyAll authorization_mode is enabled");
}

static void test_row_6_1__insecure_allow_all(void **state)
{
    kit_open((struct kit_options){.reference = reference, .mode = ADMIN_INSECURE_ALLOW_ALL});
    assert_int_equal(ASK("POST", RESOURCE, HEADERS("Authorization: Bearer nonsense"), BODY("v")), 200);
    assert_int_equal(ASK("DELETE", RESOURCE), 200);
}

static void test_row_6_1__no_bearer_header(void **state)
{
    static const char *const headers[] = {"X-None: 1", "Authorization: Basic YTpi", "Authorization: Bearer",
                                          "Authorization: bearer x.y.z", "Authorization: "};
    for (size_t i = 0; i < COUNT(headers); i++) {
        ASK("POST", RESOURCE, HEADERS(headers[i]));
        expect(401, "AdminAuthInitialization", PLUGIN_DENIED NO_HEADER);
    }
}

static void check_claims(const char *head, const char *claims, const char *inner)
{
    char detail[400];
    struct buf token = BUF_INIT;
    bearer_write(kit.operator_key, "EdDSA", head, claims, &token);
    buf_reset(&body);
    buf_addf(&body, "Authorization: %s", buf_str(&token));
    snprintf(detail, sizeof detail, PLUGIN_DENIED "%s", inner);
    int status = ASK("POST", RESOURCE, HEADERS(buf_str(&body)), BODY("v"));
    if (*inner) expect(401, "AdminAuthInitialization", detail);
    else assert_int_equal(status, 200);
    buf_free(&token);
}

/* 15.11 among them; a future nbf is refused here, which the reference does not look at. */
static void test_row_6_1__claims(void **state)
{
    static const struct { const char *head, *claims, *inner; } rows[] = {
        {NULL, "{\"role\":\"admin\",\"exp\":1795521601}", ""},
        {NULL, "{\"role\":\"admin\",\"exp\":1795521541}", ""}, /* 60 s of leeway */
        {NULL, "{\"role\":\"admin\",\"exp\":1795521539}", NO_ISSUER},
        {NULL, "{\"role\":\"admin\"}", NO_ISSUER},
        {NULL, "{\"role\":\"admin\",\"exp\":\"1795521601\"}", NO_ISSUER},
        {NULL, "{\"role\":\"admin\",\"exp\":1795521601.5}", NO_ISSUER},
        {NULL, "{\"role\":\"admin\",\"exp\":1795521601,\"nbf\":1795521661}", NO_ISSUER},
        {NULL, "{\"role\":\"admin\",\"exp\":1795521601,\"iat\":1795529999}", ""},
        {"{\"alg\":\"EdDSA\",\"crit\":[\"x\"],\"x\":1}", "{\"role\":\"admin\",\"exp\":1795521601}", NO_ISSUER},
        {NULL, "{\"exp\":1795521601}",
         "Admin access denied: Failed to parse claims from token: Missing required `role` claim in JWT"},
    };
    clock_test_set(NOON);
    for (size_t i = 0; i < COUNT(rows); i++) check_claims(rows[i].head, rows[i].claims, rows[i].inner);
}

static void test_row_6_1__unknown_signer(void **state)
{
    EVP_PKEY *mine = kit.operator_key;
    assert_ok(key_generate_ed25519(&kit.operator_key));
    ASK("POST", RESOURCE, HEADERS(operator_bearer("admin")));
    EVP_PKEY_free(kit.operator_key);
    kit.operator_key = mine;
    expect(401, "AdminAuthInitialization", PLUGIN_DENIED NO_ISSUER);
}

static void test_row_6_1__role_not_allowed(void **state)
{
    ASK("POST", RESOURCE, HEADERS(operator_bearer("nobody")));
    expect(403, "AdminAuthInitialization",
           PLUGIN_DENIED "Admin access denied: Role nobody not allowed for path " RESOURCE);
    ASK("POST", RESOURCE, HEADERS(operator_bearer("reader"))); /* its expression fits, its methods do not */
    expect(403, "AdminAuthInitialization",
           PLUGIN_DENIED "Admin access denied: Role reader not allowed for path " RESOURCE);
    assert_int_equal(ASK("GET", "/kbs/v0/resource-policy", HEADERS(operator_bearer("reader"))), 200);
}

/* 6.2: what clients of before 0.21 send; their tokens have no role. */
static void test_row_6_2__default_role(void **state)
{
    const struct admin_provider provider = {.public_key_uri = kit.operator_file, .default_role = "old"};
    const struct admin_acl rule = {.role = "old", .allowed_endpoints = "^/kbs/v0/resource/a/.*$",
                                   .methods = "POST"};
    kit_open((struct kit_options){.reference = reference, .providers = &provider, .provider_count = 1,
                                  .acls = &rule, .acl_count = 1});
    clock_test_set(NOON);
    check_claims(NULL, "{\"exp\":1795528800,\"iat\":1795521600,\"nbf\":1795521600}", ""); /* up to 0.17 */
    check_claims(NULL, "{\"exp\":1795528800,\"iat\":1795521600}", "");                    /* 0.18 to 0.20 */
    check_claims(NULL, "{\"exp\":1795521500}", NO_ISSUER);
    operator_bearer("admin"); /* a token with a role has that one */
    ASK("POST", RESOURCE, HEADERS(buf_str(&kit.admin_bearer)));
    expect(403, "AdminAuthInitialization",
           PLUGIN_DENIED "Admin access denied: Role admin not allowed for path " RESOURCE);
}

/* ---- 6.3: operators' calls ----------------------------------------------------------------- */

static void test_row_6_3__resource_policy_body(void **state)
{
    static const struct { const char *sent, *detail; } rows[] = {
        {"nonsense", "Failed to parse policy: Illegal SetPolicy Request Json"},
        {"{}", "Failed to parse policy: No `policy` field inside SetPolicy Request Json"},
        {"{\"policy\":1}", "Failed to parse policy: `policy` field is not a string in SetPolicy Request Json"},
        {"{\"policy\":\"YQ==\"}", NULL}, /* padded */
        {"{\"policy\":\"_w\"}", NULL},   /* no UTF-8 */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        as_admin("POST", "/kbs/v0/resource-policy", rows[i].sent);
        expect(400, "ParsePolicyError", rows[i].detail);
        assert_int_equal(strncmp(text_at("/detail"), "Failed to parse policy: ", 24), 0);
    }
}

static void test_row_6_3__attestation_policy(void **state)
{
    static const char *const rows[] = {
        "", "{}", "{\"policy_id\":\"default_cpu\"}", "{\"policy_id\":\"default_cpu\",\"policy\":\"YQ==\"}",
        "{\"policy_id\":\"\",\"policy\":\"cGFja2FnZSBwb2xpY3k\"}",
        "{\"policy_id\":\"../x\",\"policy\":\"cGFja2FnZSBwb2xpY3k\"}", /* 15.12: cannot be removed by API */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        as_admin("POST", "/kbs/v0/attestation-policy", rows[i]);
        expect(400, "AttestationError", NULL);
        assert_non_null(strstr(text_at("/detail"), "Attestation error: Set Attestation Policy failed"));
    }
}

static void test_row_6_3__reference_value(void **state)
{
    static const char *const rows[] = {
        "", "{}", "{\"version\":\"0.2.0\",\"type\":\"sample\",\"payload\":\"e30=\"}",
        "{\"version\":\"0.1.0\",\"type\":\"abacus\",\"payload\":\"e30=\"}",
        "{\"version\":\"0.1.0\",\"type\":\"sample\",\"payload\":\"e30\"}", /* 15.12: padded standard base64 */
        "{\"version\":\"0.1.0\",\"type\":\"sample\",\"payload\":\"W10=\"}",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        as_admin("POST", "/kbs/v0/reference-value", rows[i]);
        expect(400, "RvpsError", NULL);
        assert_non_null(strstr(text_at("/detail"), "RVPS configuration failed: "));
    }
    as_admin("GET", "/kbs/v0/reference-value/a/b", "");
    expect(404, "RvpsError", "RVPS configuration failed: Failed to get reference_values: No reference value "
                             "found for the given id: a/b");
    as_admin("GET", "/kbs/v0/reference-value/", "");
    expect(400, "RvpsError", "RVPS configuration failed: Failed to get reference_values: query reference values");
}

static void test_row_6_3__get_resource_policy_ids(void **state)
{
    static const char *const targets[] = {"/kbs/v0/resource-policy", "/kbs/v0/resource-policy/x"}; /* 15.12 */
    for (size_t i = 0; i < COUNT(targets); i++) {
        assert_int_equal(as_admin("GET", targets[i], ""), 200);
        assert_string_equal(response_text(), "[\"resource-policy\"]");
    }
}

static void test_row_6_3__delete_of_a_missing_resource(void **state)
{
    as_admin("DELETE", RESOURCE, "");
    expect(404, "ResourceNotFound", NULL);
}

static void test_row_6_3__a_built_in_with_another_method(void **state)
{
    static const struct { const char *method, *name; } rows[] = {
        {"GET", "auth"}, {"PUT", "attest"}, {"GET", "attestation-policy"}, {"DELETE", "reference-value"},
        {"PUT", "resource-policy"}, {"DELETE", "resource-policy"}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        char target[80], detail[80];
        snprintf(target, sizeof target, "/kbs/v0/%s", rows[i].name);
        snprintf(detail, sizeof detail, "Plugin %s not found", rows[i].name);
        as_admin(rows[i].method, target, "");
        expect(404, "PluginNotFound", detail);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_row_6_1__deny_all),
        ROW(test_row_6_1__insecure_allow_all),
        ROW(test_row_6_1__no_bearer_header),
        ROW(test_row_6_1__claims),
        ROW(test_row_6_1__unknown_signer),
        ROW(test_row_6_1__role_not_allowed),
        ROW(test_row_6_2__default_role),
        ROW(test_row_6_3__resource_policy_body),
        ROW(test_row_6_3__attestation_policy),
        ROW(test_row_6_3__reference_value),
        ROW(test_row_6_3__get_resource_policy_ids),
        ROW(test_row_6_3__delete_of_a_missing_resource),
        ROW(test_row_6_3__a_built_in_with_another_method),
    };
    return cmocka_run_group_tests(tests, kit_token, kit_token_end);
}

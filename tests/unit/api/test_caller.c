#include "tests/unit/api/kit.h"
#include "tests/unit/attest/mint.h"

#define NOT_FOUND "Attestation Token not found"
#define TARGET "/kbs/v0/resource/a/b/c"

/* ---- guests ------------------------------------------------------------------------------- */

/* An attested guest, allowed to read a/b/c. */
static void prepare_guest(void)
{
    put("a/b/c", "value");
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    guest_attest();
}

static void test_guest__nobody(void **state)
{
    static const char *const headers[] = {
        "X-Nothing: 1",
        "Cookie: other=1",
        "Cookie: kbs-session-id=",
        "Cookie: kbs-session-id=0123456789abcdef0123456789abcdef",
        "Cookie: kbs-session-id=../../etc/passwd",
        "Authorization: Bearer ",
        "Authorization: Bearer",
        "Authorization: Basic YTpi",
        "Authorization: ",
    };
    put("a/b/c", "value");
    size_t before = audit_count();
    for (size_t i = 0; i < COUNT(headers); i++) {
        ASK("GET", TARGET, HEADERS(headers[i]));
        check_error(401, "TokenNotFound", NOT_FOUND);
    }
    assert_int_equal(audit_count(), before); /* who shows nothing was refused nothing */
}

static void test_guest__session_that_did_not_attest(void **state)
{
    guest_auth();
    guest_get(TARGET);
    check_error(401, "TokenNotFound", NOT_FOUND);
}

static void test_guest__by_session_or_bearer(void **state)
{
    prepare_guest();
    guest_get(TARGET);
    check_released("value");
    ASK("GET", TARGET, HEADERS(guest_bearer()));
    check_released("value");
    ASK("GET", TARGET, HEADERS("Cookie: kbs-session-id=unknown", guest_bearer()));
    check_released("value"); /* trouble with a cookie is as if there were none */
    ASK("GET", TARGET, HEADERS(kit.cookie, "Authorization: Bearer x.y.z"));
    check_released("value"); /* a good cookie wins (2.6) */
}

static void test_guest__the_first_of_two_counts(void **state)
{
    prepare_guest();
    ASK("GET", TARGET, HEADERS("Cookie: kbs-session-id=unknown", kit.cookie));
    check_error(401, "TokenNotFound", NOT_FOUND);
    ASK("GET", TARGET, HEADERS(kit.cookie, "Cookie: kbs-session-id=unknown"));
    check_released("value");
    ASK("GET", TARGET, HEADERS("Authorization: Bearer x.y.z", guest_bearer()));
    check_error(401, "TokenVerifierError", "Token Verifier error");
}

static void test_guest__token_that_does_not_verify(void **state)
{
    prepare_guest();
    char *last = &((char *) kit.bearer.data)[kit.bearer.len - 10];
    *last = *last == 'A' ? 'B' : 'A';
    ASK("GET", TARGET, HEADERS(guest_bearer()));
    check_error(401, "TokenVerifierError", "Token Verifier error");
    check_record("release", "deny", "attestation token refused");
    assert_string_equal(audit_text("principal"), "");
    assert_string_equal(audit_text("resource"), "a/b/c");
    ASK("GET", TARGET, HEADERS("Authorization: Bearer  two-spaces"));
    check_error(401, "TokenVerifierError", NULL);
    assert_int_equal(metric_now("strongroom_refused_tokens_total"), 2);
}

static void test_guest__refusal_without_a_record_is_503(void **state)
{
    audit_break();
    ASK("GET", TARGET, HEADERS("Authorization: Bearer x.y.z"));
    audit_heal();
    check_error(503, "Unavailable", NULL);
}

static struct {
    struct mint mint;
    struct secret *pem;
    char *key, *chain; /* files */
    struct buf token, line;
} service;

/* An attestation service whose tokens may say anything. */
static void service_open(void)
{
    mint_init(&service.mint);
    assert_ok(key_to_pem(service.mint.key, &service.pem));
    service.key = mint_file(secret_span(service.pem));
    service.chain = mint_file(buf_span(&service.mint.chain));
    kit_open((struct kit_options){.signer_key = service.key, .signer_chain = service.chain});
}

static int service_close(void **state)
{
    if (service.key) mint_file_remove(service.key);
    if (service.chain) mint_file_remove(service.chain);
    mint_done(&service.mint);
    secret_free(service.pem);
    buf_free(&service.token);
    buf_free(&service.line);
    memset(&service, 0, sizeof service);
    return kit_teardown(state);
}

/* "Authorization: Bearer " and a token with these claims. */
static const char *service_bearer(const char *claims)
{
    mint_token(&service.mint, claims, &service.token);
    buf_reset(&service.line);
    buf_addf(&service.line, "Authorization: Bearer %s", buf_str(&service.token));
    return buf_str(&service.line);
}

/* Tokens with keys that we cannot use: found out behind the policy, before the vault is asked. */
static void test_row_9_1__jwe_error_and_missing_tee_key(void **state)
{
    static const struct { const char *claims; int status; const char *variant; } rows[] = {
        {"{\"exp\":1795522200}", 401, "TokenVerifierError"},
        {"{\"exp\":1795522200,\"customized_claims\":{\"runtime_data\":{\"tee-pubkey\":"
         "{\"kty\":\"EC\",\"crv\":\"P-384\",\"alg\":\"ECDH-ES+A256KW\",\"x\":\"AA\",\"y\":\"AA\"}}}}",
         400, "JweError"},
    };
    clock_test_set(NOON);
    service_open();
    put("a/b/c", "value");
    for (size_t i = 0; i < 2 * COUNT(rows); i++) {
        bool allowed = i % 2;
        assert_int_equal(set_policy(allowed ? POLICY_ALLOW_ALL_TEXT : POLICY_DENY_ALL_TEXT), 200);
        ASK("GET", TARGET, HEADERS(service_bearer(rows[i / 2].claims)));
        if (allowed) {
            check_error(rows[i / 2].status, rows[i / 2].variant, NULL);
            check_record("release", "error", "no usable tee-pubkey");
        } else {
            check_error(403, "PolicyDeny", NULL);
        }
    }
    assert_int_equal(metric_now("kbs_resource_reads_total"), 0);
}

/* ---- operators ---------------------------------------------------------------------------- */

static const struct admin_acl acls[] = {
    {.role = "team", .allowed_endpoints = "^/kbs/v0/resource/team/.*$"},
    {.role = "token", .allowed_endpoints = "^/kbs/v0/pkcs11/resource/.*$"},
    {.role = "policy", .allowed_endpoints = "^/kbs/v0/resource-policy$"},
    {.role = "viewer", .allowed_endpoints = "^/strongroom/v1/.*$", .methods = "GET"},
    {.role = "all", .allowed_endpoints = "^/kbs/v0/.*$"},
};

static void open_with_acls(bool reference)
{
    kit_open((struct kit_options){.acls = acls, .acl_count = COUNT(acls), .reference = reference});
}

/* The ACL is held against the path that the store will see (DESIGN 5), with what the plugin is. */
static void test_admin__acl_sees_the_decoded_path(void **state)
{
    static const struct { const char *role, *method, *target; int status; } rows[] = {
        {"team", "POST", "/kbs/v0/resource/team/key/1", 200},
        {"team", "DELETE", "/kbs/v0/resource/team/key/1", 200},
        {"team", "POST", "/kbs/v0/resource/%74eam%2Fkey/1", 200},
        {"team", "POST", "/kbs/v0/%72esource/team/key/1", 200},
        {"team", "POST", "/kbs/v0/resource//team/key/1", 200},
        {"team", "POST", "/kbs/v0/resource/team/key/1?x=y", 200},
        {"team", "POST", "/kbs/v0/resource/other/key/1", 403},
        {"team", "POST", "/kbs/v0/resource//other/key/1", 403},
        {"team", "POST", "/kbs/v0/resource/other/key/1?/kbs/v0/resource/team/", 403},
        {"team", "POST", "/kbs/v0/resource/%2574eam/key/1", 403},
        {"team", "POST", "/kbs/v0/resource/team/../other/key/1", 400}, /* allowed, and no name */
        {"team", "POST", "/kbs/v0/pkcs11/resource/team/key/1", 403},
        {"team", "POST", "/kbs/v0/resource-policy", 403},
        {"team", "GET", "/strongroom/v1/resources", 403},
        {"token", "POST", "/kbs/v0/pkcs11/resource/team/key/1", 200},
        {"token", "DELETE", "/kbs/v0/pkcs11%2Fresource/team/key/1", 200},
        {"token", "POST", "/kbs/v0/pkcs11/resource//team/key/1", 400},
        {"token", "POST", "/kbs/v0/pkcs11/team/key/1", 403},
        {"token", "POST", "/kbs/v0/resource/team/key/1", 403},
        {"all", "POST", "/kbs/v0/pkcs11/team/key/1", 400},
        {"all", "POST", "/kbs/v0/resource/team/key/1", 200},
        {"all", "GET", "/strongroom/v1/keks", 403},
        {"viewer", "GET", "/strongroom/v1/resources", 200},
        {"viewer", "GET", "/strongroom/v1/keks", 200},
        {"viewer", "POST", "/kbs/v0/resource/team/key/1", 403},
        {"policy", "POST", "/kbs/v0/resource-policy", 400}, /* allowed, and no policy */
        {"policy", "GET", "/kbs/v0/resource-policy", 200},
        {"policy", "POST", "/kbs/v0/resource/team/key/1", 403},
        {"nobody", "POST", "/kbs/v0/resource/team/key/1", 403},
    };
    for (int reference = 0; reference < 2; reference++) {
        open_with_acls(reference);
        for (size_t i = 0; i < COUNT(rows); i++) {
            int want = reference && rows[i].status != 200 ? 401 : rows[i].status;
            int got = ASK(rows[i].method, rows[i].target, HEADERS(operator_bearer(rows[i].role)));
            if (got != want)
                fail_msg("%s %s %s: %d, not %d", rows[i].role, rows[i].method, rows[i].target, got,
                         want);
        }
    }
}

static void test_admin__an_endless_path_is_no_path_of_the_acl(void **state)
{
    struct buf target = BUF_INIT;
    open_with_acls(false);
    buf_add_str(&target, "/kbs/v0/resource/team/");
    for (int i = 0; i < 2000; i++) buf_add_byte(&target, 'x');
    ASK("POST", buf_str(&target), HEADERS(operator_bearer("team")));
    check_error(403, "AdminAuthInitialization", NULL);
    ASK("POST", buf_str(&target), HEADERS(operator_bearer("all")));
    check_error(400, "InvalidRequestPath", NULL);
    buf_free(&target);
}

static void test_admin__principal_in_the_record(void **state)
{
    open_with_acls(false);
    assert_int_equal(ASK("POST", TARGET, HEADERS(operator_bearer("all")), BODY("v")), 200);
    check_record("put", "done", "");
    assert_string_equal(audit_text("principal"), "admin:all:alice");
    assert_string_equal(audit_text("peer"), "192.0.2.7:4711");
}

static void test_admin__refusals(void **state)
{
    open_with_acls(false);
    ASK("POST", TARGET);
    check_error(401, "AdminAuthInitialization", "failed to initialize [admin] configuration: "
                "Failed to parse HTTP Auth Bearer header");
    check_record("admin", "deny", "not an operator");
    assert_string_equal(audit_text("resource"), "a/b/c");
    ASK("POST", "/kbs/v0/resource-policy");
    check_error(401, "AdminAuthAccess", "admin access denied for endpoint resource-policy: "
                "Failed to parse HTTP Auth Bearer header");
    ASK("DELETE", TARGET, HEADERS("Authorization: Bearer x.y.z"));
    check_error(401, "AdminAuthInitialization", "failed to initialize [admin] configuration: "
                "Admin access denied: Cannot verify token with any of the issuers");
    ASK("DELETE", TARGET, HEADERS(operator_bearer("team")));
    check_error(403, "AdminAuthInitialization", "failed to initialize [admin] configuration: "
                "Admin access denied: Role team not allowed for path " TARGET);
    check_record("admin", "deny", "role not allowed");
    ASK("GET", "/kbs/v0/resource-policy", HEADERS(operator_bearer("team")));
    check_error(403, "AdminAuthAccess", NULL);
    assert_int_equal(metric_now("strongroom_refused_admins_total"), 5);
}

/* A guest's credentials make no operator, nor does an operator's token make a guest. */
static void test_admin__guests_are_no_operators(void **state)
{
    open_with_acls(false);
    guest_attest();
    ASK("POST", TARGET, HEADERS(kit.cookie));
    check_error(401, "AdminAuthInitialization", NULL);
    ASK("POST", TARGET, HEADERS(guest_bearer()));
    check_error(401, "AdminAuthInitialization", NULL);
    ASK("GET", TARGET, HEADERS(operator_bearer("all")));
    check_error(401, "TokenVerifierError", NULL);
}

static void test_admin__modes(void **state)
{
    ASK("POST", TARGET, HEADERS(operator_bearer("admin")), BODY("v"));
    check_error(401, "AdminAuthInitialization", NULL); /* DenyAll, the usual of these tests */
    kit_open((struct kit_options){.mode = ADMIN_INSECURE_ALLOW_ALL});
    assert_int_equal(ASK("POST", TARGET, BODY("v")), 200);
    assert_int_equal(ASK("GET", "/strongroom/v1/resources"), 200);
}

static const struct peer_certificate good = {.verified = true, .subject = "CN=alice,O=ops"};
static const struct peer_certificate bad = {.verified = false, .subject = "CN=mallory"};

/* Beside the token, not instead of it, whatever the mode. */
static void test_admin__certificate(void **state)
{
    open_with_acls(false);
    const char *bearer = operator_bearer("all");
    ASK("POST", TARGET, HEADERS(bearer), BODY("v"), .certificate_wanted = true);
    check_error(401, "AdminAuthInitialization", "failed to initialize [admin] configuration: "
                "Admin access denied: a client certificate is needed");
    check_record("admin", "deny", "not an operator");
    ASK("POST", "/kbs/v0/resource-policy", HEADERS(bearer), .certificate_wanted = true,
        .certificate = &bad);
    check_error(401, "AdminAuthAccess", "admin access denied for endpoint resource-policy: "
                "Admin access denied: the client certificate is not one of a trusted CA for "
                "clients, or out of its time");
    assert_string_equal(audit_text("certificate"), "");
    ASK("POST", TARGET, BODY("v"), .certificate_wanted = true, .certificate = &good);
    check_error(401, "AdminAuthInitialization", "failed to initialize [admin] configuration: "
                "Failed to parse HTTP Auth Bearer header");
    assert_string_equal(audit_text("certificate"), "CN=alice,O=ops");
    ASK("POST", TARGET, HEADERS(operator_bearer("team")), .certificate_wanted = true,
        .certificate = &good);
    check_error(403, "AdminAuthInitialization", NULL);
    assert_int_equal(ASK("POST", TARGET, HEADERS(operator_bearer("all")), BODY("v"),
                         .certificate_wanted = true, .certificate = &good), 200);
    check_record("put", "done", "");
    assert_string_equal(audit_text("principal"), "admin:all:alice");
    assert_string_equal(audit_text("certificate"), "CN=alice,O=ops");
    kit_open((struct kit_options){.mode = ADMIN_INSECURE_ALLOW_ALL});
    ASK("POST", TARGET, BODY("v"), .certificate_wanted = true);
    check_error(401, "AdminAuthInitialization", NULL);
}

/* Guests have none, and the admin socket needs none. */
static void test_admin__certificate_is_for_operators_over_the_network(void **state)
{
    prepare_guest();
    ASK("GET", TARGET, HEADERS(kit.cookie), .certificate_wanted = true);
    check_released("value");
    assert_int_equal(ASK("POST", TARGET, .local = true, BODY("v"), .certificate_wanted = true), 200);
}

static void test_admin__local_needs_no_token(void **state)
{
    assert_int_equal(ASK("POST", TARGET, .local = true, BODY("v")), 200);
    assert_string_equal(audit_text("principal"), "local:unix:uid=0");
}

static void test_admin__refusal_without_a_record_is_503(void **state)
{
    audit_break();
    ASK("POST", TARGET, BODY("v"));
    audit_heal();
    check_error(503, "Unavailable", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_guest__nobody),
        KIT_TEST(test_guest__session_that_did_not_attest),
        KIT_TEST(test_guest__by_session_or_bearer),
        KIT_TEST(test_guest__the_first_of_two_counts),
        KIT_TEST(test_guest__token_that_does_not_verify),
        KIT_TEST(test_guest__refusal_without_a_record_is_503),
        cmocka_unit_test_setup_teardown(test_row_9_1__jwe_error_and_missing_tee_key, kit_setup,
                                        service_close),
        KIT_TEST(test_admin__acl_sees_the_decoded_path),
        KIT_TEST(test_admin__an_endless_path_is_no_path_of_the_acl),
        KIT_TEST(test_admin__principal_in_the_record),
        KIT_TEST(test_admin__refusals),
        KIT_TEST(test_admin__guests_are_no_operators),
        KIT_TEST(test_admin__modes),
        KIT_TEST(test_admin__certificate),
        KIT_TEST(test_admin__certificate_is_for_operators_over_the_network),
        KIT_TEST(test_admin__local_needs_no_token),
        KIT_TEST(test_admin__refusal_without_a_record_is_503),
    };
    return cmocka_run_group_tests(tests, kit_token, kit_token_end);
}

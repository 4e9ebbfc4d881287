#include "tests/unit/api/kit.h"

#define TARGET "/kbs/v0/resource/a/b/c"
#define PKCS11 "/kbs/v0/pkcs11/resource/a/b/c"

static void prepare(const char *policy)
{
    put("a/b/c", "value");
    assert_int_equal(set_policy(policy), 200);
    guest_attest();
}

/* ---- GET ---------------------------------------------------------------------------------- */

static void test_get__released_to_the_guests_key(void **state)
{
    prepare(POLICY_ALLOW_ALL_TEXT);
    char digest[32];
    snprintf(digest, sizeof digest, "%s", audit_nth_text(1, "policy"));
    guest_get(TARGET);
    check_released("value");
    assert_string_equal(header("ETag"), "\"1\"");
    assert_null(header("Set-Cookie")); /* 2.3 */
    check_record("release", "allow", "allow is true");
    assert_string_equal(audit_text("resource"), "a/b/c");
    assert_string_equal(audit_text("tee"), "sample");
    assert_int_equal(strlen(audit_text("policy")), 16);
    assert_string_equal(audit_text("policy"), digest);
    assert_int_equal(strncmp(audit_text("principal"), "guest:", 6), 0);
    check_record_number("version", 1);
    check_record_number("rule", 3); /* of the stock text */
    check_record_number("suite", 1);
    assert_int_equal(metric_now("strongroom_releases_total"), 1);
}

static void test_get__both_paths_are_one_store(void **state)
{
    static const char *const targets[] = {
        TARGET, PKCS11, "/kbs/v0/resource//a/b/c", "/kbs/v0/resource%2Fa%2Fb%2Fc",
        "/kbs/v0/%70kcs11/resource/a%2Fb/%63", TARGET "?any=query",
    };
    prepare(POLICY_ALLOW_ALL_TEXT);
    for (size_t i = 0; i < COUNT(targets); i++) {
        guest_get(targets[i]);
        check_released("value");
        assert_string_equal(audit_text("resource"), "a/b/c");
    }
    assert_int_equal(ASK("DELETE", PKCS11, .local = true), 200);
    guest_get(TARGET);
    check_error(404, "ResourceNotFound", NULL);
}

static void test_get__every_answer_has_its_own_keys(void **state)
{
    char first[64], second[64];
    prepare(POLICY_ALLOW_ALL_TEXT);
    guest_get(TARGET);
    snprintf(first, sizeof first, "%.60s", text_at("/encrypted_key"));
    guest_get(TARGET);
    snprintf(second, sizeof second, "%.60s", text_at("/encrypted_key"));
    assert_string_not_equal(first, second);
}

/* Token, policy, path, existence (2.6): a guest whom the policy stops learns nothing of the rest. */
static void test_get__order_of_refusals(void **state)
{
    static const struct {
        const char *target;
        int status, reference;
        const char *variant, *decision;
    } rows[] = {
        {TARGET, 200, 200, NULL, "allow"},
        {"/kbs/v0/resource/no/such/thing", 404, 401, "ResourceNotFound", "missing"},
        {"/kbs/v0/resource/a/b", 400, 401, "InvalidRequestPath", "error"},
        {"/kbs/v0/resource/a/b/c/d", 400, 401, "InvalidRequestPath", "error"},
        {"/kbs/v0/resource///a/b/c", 400, 401, "InvalidRequestPath", "error"},
        {"/kbs/v0/resource/a//c", 400, 401, "InvalidRequestPath", "error"},
        {"/kbs/v0/resource/../b/c", 400, 401, "InvalidRequestPath", "error"},
        {"/kbs/v0/resource/a/b/c%252F", 400, 401, "InvalidRequestPath", "error"},
        {"/kbs/v0/resource/a/b/%e4%bd%a0", 400, 401, "InvalidRequestPath", "error"},
        {"/kbs/v0/resource/a/b/c%00", 400, 401, "InvalidRequestPath", "error"},
        {"/kbs/v0/resource/a/b/c?q=%00", 400, 401, "InvalidRequestPath", "error"},
        {"/kbs/v0/resource", 400, 401, "InvalidRequestPath", "error"},
        {"/kbs/v0/resource/", 400, 401, "InvalidRequestPath", "error"},
        /* The guest documents' kbs+pkcs11:///a/b/c (kbs-api.md 13.29): what the policy would see
         * there is not what the store would read. */
        {"/kbs/v0/pkcs11/a/b/c", 400, 401, "InvalidRequestPath", "error"},
        {"/kbs/v0/pkcs11/resource//a/b/c", 400, 401, "InvalidRequestPath", "error"},
        {"/kbs/v0/pkcs11/wrap-keys", 400, 401, "InvalidRequestPath", "error"},
        {"/kbs/v0/pkcs11", 400, 401, "InvalidRequestPath", "error"},
    };
    for (int reference = 0; reference < 2; reference++) {
        kit_open((struct kit_options){.reference = reference});
        prepare(POLICY_ALLOW_ALL_TEXT);
        for (size_t i = 0; i < COUNT(rows); i++) {
            ASK("GET", rows[i].target);
            check_error(401, "TokenNotFound", NULL);
            guest_get(rows[i].target);
            if (rows[i].variant && reference)
                check_error(rows[i].reference, "PluginInternalError", "Plugin internal error");
            else if (rows[i].variant) check_error(rows[i].status, rows[i].variant, NULL);
            else check_released("value");
            check_record("release", rows[i].decision, NULL);
        }
        assert_int_equal(set_policy(POLICY_DENY_ALL_TEXT), 200);
        for (size_t i = 0; i < COUNT(rows); i++) {
            guest_get(rows[i].target);
            check_error(reference ? 401 : 403, "PolicyDeny", "Access denied by policy");
            check_record("release", "deny", "allow is false");
        }
    }
}

static void test_get__counters(void **state)
{
    prepare(POLICY_ALLOW_ALL_TEXT);
    guest_get(TARGET);
    guest_get("/kbs/v0/resource/no/such/thing");
    guest_get("/kbs/v0/resource/bad");
    assert_int_equal(set_policy(POLICY_DENY_ALL_TEXT), 200);
    guest_get(TARGET);
    assert_int_equal(metric_now("kbs_policy_evaluations_total"), 4);
    assert_int_equal(metric_now("kbs_policy_approvals_total"), 3);
    assert_int_equal(metric_now("kbs_policy_violations_total"), 1);
    assert_int_equal(metric_now("kbs_resource_reads_total"), 2);
    assert_int_equal(metric_now("strongroom_releases_total"), 1);
    assert_int_equal(metric_now("strongroom_failures_total"), 0);
}

static void test_get__no_record_no_release(void **state)
{
    static const char *const targets[] = {TARGET, PKCS11, "/kbs/v0/resource/no/such/thing",
                                          "/kbs/v0/resource/bad"};
    prepare(POLICY_ALLOW_ALL_TEXT);
    audit_break();
    for (size_t i = 0; i < COUNT(targets); i++) {
        guest_get(targets[i]);
        audit_heal();
        check_error(503, "Unavailable", NULL);
        assert_string_equal(header("Retry-After"), "1");
        assert_null(header("ETag"));
        audit_break();
    }
    audit_heal();
    assert_int_equal(metric_now("strongroom_releases_total"), 0);
    assert_int_equal(metric_now("strongroom_audit_failures_total"), COUNT(targets));
    guest_get(TARGET);
    check_released("value");
}

static void test_get__denial_without_a_record_is_503(void **state)
{
    prepare(POLICY_DENY_ALL_TEXT);
    audit_break();
    guest_get(TARGET);
    audit_heal();
    check_error(503, "Unavailable", NULL);
}

/* The newest version does not verify: 500, recorded, and never an older one (DESIGN 3). */
static void test_get__damaged(void **state)
{
    struct buf bytes = BUF_INIT;
    struct p11_object o;
    size_t n = 0;
    prepare(POLICY_ALLOW_ALL_TEXT);
    assert_ok(p11_object_find(kit.token, "a/b/c", &o, 1, &n));
    assert_ok(p11_object_read(kit.token, o, &bytes));
    bytes.data[bytes.len - 1] ^= 1;
    assert_ok(p11_object_destroy(kit.token, o));
    assert_ok(p11_object_create(kit.token, "a/b/c", buf_span(&bytes), &o));
    buf_free(&bytes);
    kit_open((struct kit_options){0});
    guest_attest();
    guest_get(TARGET);
    check_error(500, "PluginInternalError", "Plugin internal error");
    check_record("release", "error", "damaged");
    assert_int_equal(metric_now("strongroom_failures_total"), 1);
}

/* ---- PUT ---------------------------------------------------------------------------------- */

static void test_put__is_no_method_of_resources(void **state)
{
    prepare(POLICY_ALLOW_ALL_TEXT);
    ASK("PUT", TARGET, BODY("x"));
    check_error(401, "TokenNotFound", NULL);
    ASK("PUT", TARGET, BODY("x"), HEADERS(kit.cookie));
    check_error(405, "PluginInternalError", NULL);
    assert_string_equal(header("Allow"), "GET, POST, DELETE");
    ASK("PUT", PKCS11, BODY("x"), HEADERS(kit.cookie));
    check_error(405, "PluginInternalError", NULL);
    guest_get(TARGET);
    check_released("value");
}

/* ---- POST --------------------------------------------------------------------------------- */

static void test_post__stores(void **state)
{
    assert_int_equal(ASK("POST", TARGET, .local = true, BODY("one")), 200);
    assert_int_equal(response()->body.len, 0);
    assert_string_equal(header("ETag"), "\"1\"");
    check_record("put", "done", "");
    assert_string_equal(audit_text("resource"), "a/b/c");
    assert_int_equal(ASK("POST", PKCS11, .local = true, BODY("two")), 200);
    assert_string_equal(header("ETag"), "\"2\"");
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    guest_attest();
    guest_get(TARGET);
    check_released("two");
    assert_string_equal(header("ETag"), "\"2\"");
    assert_int_equal(metric_now("kbs_resource_writes_total"), 2);
}

static void test_post__any_bytes_and_none(void **state)
{
    assert_int_equal(ASK("POST", TARGET, .local = true, .body = span_of("\0\xff\n", 3)), 200);
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    guest_attest();
    guest_get(TARGET);
    assert_ok(jwe_decrypt(kit.guest_key, buf_span(&response()->body), &kit.opened));
    assert_true(span_eq(secret_span(kit.opened), span_of("\0\xff\n", 3)));
    put("a/b/c", "");
    guest_get(TARGET);
    check_released("");
}

static void test_post__names(void **state)
{
    static const struct { const char *name; int status; } rows[] = {
        {"a/b/c", 200}, {"A_z-0/b.c/d..e", 200}, {"-/_/0", 200}, {"resource/resource/resource", 200},
        {"a/b", 400}, {"a/b/c/d", 400}, {"a/b/c/", 400}, {"", 400}, {"a//c", 400}, {"//c", 400},
        {".a/b/c", 400}, {"a/b/.", 400}, {"a/b/..", 400}, {"a/b/c%20", 400}, {"a/b/c%0a", 400},
        {"a/b/c:", 400}, {"strongroom:policy/b/c", 400}, {"a/b/%c3%a9", 400}, {"a/b/c%00", 400},
        {"a/b/%2e%2e%2fc", 400},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char target[100];
        snprintf(target, sizeof target, "/kbs/v0/resource/%s", rows[i].name);
        if (ASK("POST", target, .local = true, BODY("v")) != rows[i].status)
            fail_msg("%s: %d", rows[i].name, response()->status);
        if (rows[i].status == 200) continue;
        check_error(400, "InvalidRequestPath", NULL);
        ASK("DELETE", target, .local = true);
        check_error(400, "InvalidRequestPath", NULL);
    }
}

static void test_post__bad_name_is_recorded_and_explained(void **state)
{
    ASK("POST", "/kbs/v0/resource/a/.b/c", .local = true, BODY("v"));
    check_error(400, "InvalidRequestPath", "the type begins with a dot");
    check_record("put", "error", "no resource path");
    ASK("DELETE", "/kbs/v0/resource/a/.b/c", .local = true);
    check_record("delete", "error", "no resource path");
}

static void test_post__name_limit(void **state)
{
    char target[400] = "/kbs/v0/resource/a/b/";
    size_t start = strlen(target);
    memset(target + start, 'x', NAME_MAX_BYTES - 4 + 1);
    target[start + NAME_MAX_BYTES - 4] = '\0';
    assert_int_equal(ASK("POST", target, .local = true, BODY("v")), 200);
    assert_int_equal(strlen(audit_text("resource")), NAME_MAX_BYTES);
    target[start + NAME_MAX_BYTES - 4] = 'x';
    ASK("POST", target, .local = true, BODY("v"));
    check_error(400, "InvalidRequestPath", NULL);
    check_record("put", "error", "no resource path");
}

static void test_post__value_limit(void **state)
{
    char value[101];
    memset(value, 'v', sizeof value);
    kit_open((struct kit_options){.value_max = 100});
    assert_int_equal(ASK("POST", TARGET, .local = true, .body = span_of(value, 100)), 200);
    ASK("POST", TARGET, .local = true, .body = span_of(value, 101));
    check_error(413, "PayloadTooLarge", "payload reached size limit");
}

static void test_post__preconditions(void **state)
{
    static const struct { const char *header; int status; const char *etag; } rows[] = {
        /* Nothing is stored. */
        {"If-Match: \"1\"", 412, NULL},
        {"If-None-Match: *", 200, "\"1\""},
        /* Version 1 is. */
        {"If-None-Match: *", 412, NULL},
        {"If-Match: \"0\"", 412, NULL},
        {"If-Match: \"2\"", 412, NULL},
        {"If-Match: \"1\"", 200, "\"2\""},
        {"If-Match: 2", 200, "\"3\""},
        {"if-match: \"3\"", 200, "\"4\""},
        /* What is not understood is never taken for "no condition". */
        {"If-Match: ", 400, NULL},
        {"If-Match: *", 400, NULL},
        {"If-Match: \"\"", 400, NULL},
        {"If-Match: \"", 400, NULL},
        {"If-Match: \"4", 400, NULL},
        {"If-Match: 4\"", 400, NULL},
        {"If-Match: W/\"4\"", 400, NULL},
        {"If-Match: \"4\", \"5\"", 400, NULL},
        {"If-Match: \"4x\"", 400, NULL},
        {"If-Match: \"-4\"", 400, NULL},
        {"If-Match: \" 4\"", 400, NULL},
        {"If-Match: +4", 400, NULL},
        {"If-Match: 18446744073709551620", 400, NULL}, /* 2^64 + 4 */
        {"If-Match: x", 400, NULL},
        {"If-None-Match: \"4\"", 400, NULL},
        {"If-None-Match: ", 400, NULL},
        {"If-None-Match: \"*\"", 400, NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int got = ASK("POST", TARGET, .local = true, BODY("v"), HEADERS(rows[i].header));
        if (got != rows[i].status) fail_msg("row %zu %s: %d", i, rows[i].header, got);
        if (rows[i].etag) assert_string_equal(header("ETag"), rows[i].etag);
        else check_error(got, got == 412 ? "PreconditionFailed" : "InvalidRequestPath", NULL);
    }
    ASK("POST", TARGET, .local = true, BODY("v"), HEADERS("If-Match: \"4\"", "If-None-Match: *"));
    check_error(400, "InvalidRequestPath", NULL);
    ASK("POST", TARGET, .local = true, BODY("v"), HEADERS("If-Match: \"9\""));
    check_record("put", "error", "precondition");
}

static void test_post__reader_names_the_writer(void **state)
{
    put("a/b/c", "value");
    kit_open((struct kit_options){.read_only = true});
    ASK("POST", TARGET, .local = true, BODY("v"));
    check_error(503, "ReadOnly", NULL);
    assert_string_equal(header("Retry-After"), "1");
    check_record("put", "error", NULL);
    ASK("DELETE", TARGET, .local = true);
    check_error(503, "ReadOnly", NULL);
}

static void test_post__without_a_record_is_503(void **state)
{
    audit_break();
    ASK("POST", TARGET, .local = true, BODY("v"));
    audit_heal();
    check_error(503, "Unavailable", NULL);
    assert_null(header("ETag"));
    audit_break();
    ASK("POST", "/kbs/v0/resource/bad", .local = true, BODY("v"));
    audit_heal();
    check_error(503, "Unavailable", NULL);
}

/* ---- DELETE ------------------------------------------------------------------------------- */

static void test_delete__is_a_version(void **state)
{
    prepare(POLICY_ALLOW_ALL_TEXT);
    assert_int_equal(ASK("DELETE", TARGET, .local = true), 200);
    assert_int_equal(response()->body.len, 0);
    assert_string_equal(header("ETag"), "\"2\"");
    check_record("delete", "done", "");
    guest_get(TARGET);
    check_error(404, "ResourceNotFound", NULL);
    ASK("DELETE", TARGET, .local = true);
    check_error(404, "ResourceNotFound", NULL);
    check_record("delete", "missing", "not-found");
    assert_int_equal(ASK("POST", TARGET, .local = true, BODY("again"),
                         HEADERS("If-None-Match: *")), 200);
    assert_string_equal(header("ETag"), "\"3\"");
    assert_int_equal(metric_now("kbs_resource_deletes_total"), 2);
}

static void test_delete__preconditions(void **state)
{
    put("a/b/c", "value");
    ASK("DELETE", TARGET, .local = true, HEADERS("If-Match: \"2\""));
    check_error(412, "PreconditionFailed", NULL);
    ASK("DELETE", TARGET, .local = true, HEADERS("If-Match: x"));
    check_error(400, "InvalidRequestPath", NULL);
    assert_int_equal(ASK("DELETE", TARGET, .local = true, HEADERS("If-Match: \"1\"")), 200);
}

static void test_delete__missing_is_401_for_the_reference(void **state)
{
    static const struct admin_acl acls[] = {{.role = "admin", .allowed_endpoints = "^/kbs/v0/.*$"}};
    kit_open((struct kit_options){.reference = true, .acls = acls, .acl_count = 1});
    ASK("DELETE", TARGET, HEADERS(operator_bearer("admin")));
    check_error(401, "PluginInternalError", "Plugin internal error");
    ASK("DELETE", TARGET, .local = true); /* our own command, which tells missing from denied */
    check_error(404, "ResourceNotFound", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_get__released_to_the_guests_key),
        KIT_TEST(test_get__both_paths_are_one_store),
        KIT_TEST(test_get__every_answer_has_its_own_keys),
        KIT_TEST(test_get__order_of_refusals),
        KIT_TEST(test_get__counters),
        KIT_TEST(test_get__no_record_no_release),
        KIT_TEST(test_get__denial_without_a_record_is_503),
        KIT_TEST(test_get__damaged),
        KIT_TEST(test_put__is_no_method_of_resources),
        KIT_TEST(test_post__stores),
        KIT_TEST(test_post__any_bytes_and_none),
        KIT_TEST(test_post__names),
        KIT_TEST(test_post__bad_name_is_recorded_and_explained),
        KIT_TEST(test_post__name_limit),
        KIT_TEST(test_post__value_limit),
        KIT_TEST(test_post__preconditions),
        KIT_TEST(test_post__reader_names_the_writer),
        KIT_TEST(test_post__without_a_record_is_503),
        KIT_TEST(test_delete__is_a_version),
        KIT_TEST(test_delete__preconditions),
        KIT_TEST(test_delete__missing_is_401_for_the_reference),
    };
    return cmocka_run_group_tests(tests, kit_token, kit_token_end);
}

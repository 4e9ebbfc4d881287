#include "tests/unit/api/kit.h"
#include "tests/unit/api/warnings.h"

#define POLICY "/strongroom/v1/policy"
#define VERSIONS POLICY "/versions"
#define ROLLBACK POLICY "/rollback"

static struct buf bytes;

static int64_t number_at(const char *pointer)
{
    int64_t value = -1;
    if (!json_int(member(pointer), &value)) fail_msg("%s: %s", pointer, response_text());
    return value;
}

static bool flag_at(const char *pointer)
{
    bool value = false;
    assert_true(json_bool(member(pointer), &value));
    return value;
}

/* The n-th text of a history; each is a sound policy of its own, deny-all but for the odd ones. */
static const char *text_of(unsigned n)
{
    static char out[96];
    snprintf(out, sizeof out, "package policy\n# %u\ndefault allow = %s\n", n,
             n % 2 ? "true" : "false");
    return out;
}

static void set_many(unsigned count)
{
    for (unsigned n = 1; n <= count; n++) assert_int_equal(set_policy(text_of(n)), 200);
}

static void check_text(const char *expected)
{
    assert_int_equal(response()->status, 200);
    assert_string_equal(response()->content_type, "text/plain; charset=utf-8");
    assert_span(secret_span(response()->secret_body), expected);
}

static int rollback(const char *body, const char *condition)
{
    return ASK("POST", ROLLBACK, .local = true, BODY(body), HEADERS(condition));
}

/* ---- reading ------------------------------------------------------------------------------ */

static void test_read__text_as_it_was_set(void **state)
{
    ASK("GET", POLICY, .local = true);
    check_error_with(404, "ResourceNotFound", NULL, 1);
    set_many(2);
    assert_int_equal(ASK("GET", POLICY, .local = true), 200);
    check_text(text_of(2));
    assert_string_equal(header("ETag"), "\"2\"");
    char digest[17];
    snprintf(digest, sizeof digest, "%s", header("Strongroom-Policy-Digest"));
    assert_int_equal(ASK("GET", "/strongroom/v1/status", .local = true), 200);
    assert_string_equal(text_at("/policy_digest"), digest);
    /* The path of the KBS stays as it is (kbs-api.md 6.3). */
    assert_int_equal(ASK("GET", "/kbs/v0/resource-policy", .local = true), 200);
    assert_string_equal(response_text(), "[\"resource-policy\"]");
}

static void test_read__one_version(void **state)
{
    set_many(3);
    for (unsigned n = 1; n <= 3; n++) {
        char target[80], etag[8];
        snprintf(target, sizeof target, VERSIONS "/%u", n);
        snprintf(etag, sizeof etag, "\"%u\"", n);
        ASK("GET", target, .local = true);
        check_text(text_of(n));
        assert_string_equal(header("ETag"), etag);
    }
}

static void test_read__refusals(void **state)
{
    static const struct { const char *target; int status; const char *detail; } rows[] = {
        {VERSIONS "/3", 404, "policy resource-policy has no version 3, or no longer"},
        {VERSIONS "/18446744073709551615", 404, NULL},
        {VERSIONS "/0", 400, NULL},
        {VERSIONS "/", 400, NULL},
        {VERSIONS "/one", 400, NULL},
        {VERSIONS "/1x", 400, NULL},
        {VERSIONS "/-1", 400, NULL},
        {VERSIONS "/1.0", 400, NULL},
        {VERSIONS "/18446744073709551616", 400, NULL},
        {VERSIONS "/1/x", 404, "no such path"},
        {VERSIONS "/1/", 404, "no such path"},
        {POLICY "/", 404, "no such path"},
        {POLICY "/nothing", 404, "no such path"},
        {POLICY "/version/1", 404, "no such path"},
        {VERSIONS "x", 404, "no such path"},
    };
    set_many(2);
    for (size_t i = 0; i < COUNT(rows); i++) {
        ASK("GET", rows[i].target, .local = false, HEADERS("X: y"));
        check_error(401, "AdminAuthInitialization", NULL);
        ASK("GET", rows[i].target, .local = true);
        if (response()->status != rows[i].status) fail_msg("%s: %d", rows[i].target, response()->status);
        if (rows[i].detail && !strstr(text_at("/detail"), rows[i].detail))
            fail_msg("%s: %s", rows[i].target, text_at("/detail"));
    }
}

static void test_methods__what_is_not_there(void **state)
{
    static const struct { const char *method, *target; int status; } rows[] = {
        {"POST", POLICY, 405}, {"DELETE", POLICY, 405}, {"POST", VERSIONS, 405},
        {"POST", VERSIONS "/1", 405}, {"DELETE", VERSIONS "/1", 405}, {"GET", ROLLBACK, 405},
        {"POST", ROLLBACK "/1", 404}, {"HEAD", POLICY, 405},
    };
    set_many(1);
    for (size_t i = 0; i < COUNT(rows); i++)
        if (ASK(rows[i].method, rows[i].target, .local = true) != rows[i].status)
            fail_msg("%s %s: %d", rows[i].method, rows[i].target, response()->status);
}

/* ---- who may ------------------------------------------------------------------------------ */

/* A guest, whatever it shows, and an operator whose role has no such path get none of it. */
static void test_access__operators_by_path(void **state)
{
    static const struct admin_acl acls[] = {
        {.role = "reader", .allowed_endpoints = "^/strongroom/v1/policy(/versions(/.*)?)?$",
         .methods = "GET"},
        {.role = "puts", .allowed_endpoints = "^/kbs/v0/resource/.*$"},
        {.role = "admin", .allowed_endpoints = "^/strongroom/.*$"},
    };
    static const struct { const char *method, *target; int reader, admin; } rows[] = {
        {"GET", POLICY, 200, 200}, {"GET", VERSIONS, 200, 200}, {"GET", VERSIONS "/1", 200, 200},
        {"GET", "/strongroom/v1/%70olicy%2Fversions/1", 200, 200},
        {"POST", ROLLBACK, 403, 200},
    };
    kit_open((struct kit_options){.acls = acls, .acl_count = COUNT(acls)});
    set_many(2);
    guest_attest();
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *method = rows[i].method, *target = rows[i].target;
        assert_int_equal(ASK(method, target, HEADERS(kit.cookie)), 401);
        assert_int_equal(ASK(method, target, HEADERS(guest_bearer())), 401);
        assert_int_equal(ASK(method, target, HEADERS(operator_bearer("puts"))), 403);
        assert_int_equal(ASK(method, target, HEADERS(operator_bearer("reader")),
                             BODY("{\"version\":1}")), rows[i].reader);
        assert_int_equal(ASK(method, target, HEADERS(operator_bearer("admin")),
                             BODY("{\"version\":1}")), rows[i].admin);
    }
    check_record("rollback-policy", "done", "restored version 1");
    assert_string_equal(audit_text("principal"), "admin:admin:alice");
    /* Over the network too an operator is told which version is missing. */
    ASK("POST", ROLLBACK, HEADERS(operator_bearer("admin")), BODY("{\"version\":9}"));
    check_error_with(404, "ResourceNotFound",
                     "policy resource-policy has no version 9, or no longer", 1);
}

/* ---- the list ----------------------------------------------------------------------------- */

static void test_versions__list(void **state)
{
    assert_int_equal(ASK("GET", VERSIONS, .local = true), 200);
    assert_string_equal(response_text(), "{\"versions\":[]}");
    assert_null(header("ETag"));
    clock_test_set(NOON);
    set_many(2);
    clock_test_set(NOON + 60);
    assert_int_equal(set_policy(text_of(1)), 200);
    assert_int_equal(ASK("GET", VERSIONS, .local = true), 200);
    assert_string_equal(header("ETag"), "\"3\"");
    assert_int_equal(json_count(member("/versions")), 3);
    static const char *const created[] = {"2026-11-24T12:01:00Z", "2026-11-24T12:00:00Z",
                                          "2026-11-24T12:00:00Z"};
    for (unsigned i = 0; i < 3; i++) {
        char at[48];
        snprintf(at, sizeof at, "/versions/%u/version", i);
        assert_int_equal(number_at(at), 3 - i);
        snprintf(at, sizeof at, "/versions/%u/current", i);
        assert_int_equal(flag_at(at), i == 0);
        snprintf(at, sizeof at, "/versions/%u/state", i);
        assert_string_equal(text_at(at), "live");
        snprintf(at, sizeof at, "/versions/%u/created", i);
        assert_string_equal(text_at(at), created[i]);
    }
    assert_int_equal(number_at("/versions/2/size"), strlen(text_of(1)));
    assert_string_equal(text_at("/versions/0/digest"), text_at("/versions/2/digest"));
    assert_string_not_equal(text_at("/versions/0/digest"), text_at("/versions/1/digest"));
    assert_int_equal(strlen(text_at("/versions/0/digest")), 16);
}

static void test_versions__as_many_as_are_kept(void **state)
{
    set_many(12);
    assert_int_equal(ASK("GET", VERSIONS, .local = true), 200);
    assert_int_equal(json_count(member("/versions")), 10);
    assert_int_equal(number_at("/versions/9/version"), 3);
    ASK("GET", VERSIONS "/2", .local = true);
    check_error_with(404, "ResourceNotFound", NULL, 1);
    rollback("{\"version\":2}", NULL);
    check_error_with(404, "ResourceNotFound", NULL, 1);
    check_record("rollback-policy", "missing", "not-found");
}

/* Flips a bit of the newest version, on the token itself. */
static void damage_newest(void)
{
    char label[P11_LABEL_MAX + 1];
    struct p11_object found[32], newest = {0};
    struct envelope e;
    bool has_meta = false;
    uint64_t highest = 0;
    size_t n = 0;
    label_make(ENVELOPE_POLICY, RELEASE_POLICY_NAME, label);
    assert_ok(p11_object_find(kit.token, label, found, COUNT(found), &n));
    for (size_t i = 0; i < n; i++) {
        buf_reset(&bytes);
        assert_ok(p11_object_read(kit.token, found[i], &bytes));
        assert_int_equal(envelope_decode(buf_span(&bytes), &e, &has_meta), ENVELOPE_SOUND);
        if (e.meta.version < highest) continue;
        highest = e.meta.version;
        newest = found[i];
    }
    buf_reset(&bytes);
    assert_ok(p11_object_read(kit.token, newest, &bytes));
    bytes.data[bytes.len - 1] ^= 1;
    assert_ok(p11_object_destroy(kit.token, newest));
    assert_ok(p11_object_create(kit.token, label, buf_span(&bytes), &newest));
    kit_open((struct kit_options){0}); /* a restart */
}

static void test_versions__a_damaged_one_is_told(void **state)
{
    set_many(2);
    damage_newest();
    assert_int_equal(ASK("GET", VERSIONS, .local = true), 200);
    assert_int_equal(json_count(member("/versions")), 2);
    assert_string_equal(text_at("/versions/0/state"), "damaged");
    assert_true(flag_at("/versions/0/current")); /* it decides, by denying all */
    assert_false(json_present(member("/versions/0/digest")));
    assert_string_equal(text_at("/versions/1/state"), "live");
    assert_string_equal(header("ETag"), "\"2\"");
    ASK("GET", POLICY, .local = true);
    check_error_with(500, "PluginInternalError", NULL, 1);
    assert_string_equal(text_at("/class"), "damaged");
    ASK("GET", VERSIONS "/2", .local = true);
    check_error_with(500, "PluginInternalError", NULL, 1);
    assert_string_equal(text_at("/class"), "damaged");
    assert_non_null(strstr(text_at("/detail"), "version 2 of policy resource-policy is damaged"));
    assert_int_equal(ASK("GET", VERSIONS "/1", .local = true), 200);
}

/* ---- rolling back ------------------------------------------------------------------------- */

static void test_rollback__in_force_at_once_and_recorded(void **state)
{
    put("a/b/c", "value");
    guest_attest();
    set_many(2); /* 1 allows, 2 denies */
    guest_get("/kbs/v0/resource/a/b/c");
    check_error(403, "PolicyDeny", NULL);
    assert_int_equal(rollback("{\"version\":1}", "If-Match: \"2\""), 200);
    assert_string_equal(response()->content_type, "application/json");
    assert_int_equal(number_at("/version"), 3);
    assert_int_equal(number_at("/restored"), 1);
    assert_int_equal(strlen(text_at("/digest")), 16);
    assert_string_equal(header("ETag"), "\"3\"");
    check_record("rollback-policy", "done", "restored version 1");
    assert_string_equal(audit_text("resource"), "resource-policy");
    assert_string_equal(audit_text("policy"), text_at("/digest"));
    guest_get("/kbs/v0/resource/a/b/c");
    check_released("value");
    ASK("GET", POLICY, .local = true);
    check_text(text_of(1));
    kit_open((struct kit_options){0}); /* and after a restart */
    ASK("GET", POLICY, .local = true);
    check_text(text_of(1));
    assert_string_equal(header("ETag"), "\"3\"");
}

static void test_rollback__mistakes(void **state)
{
    static const char *const bodies[] = {
        "", "{", "[]", "3", "{}", "{\"version\":\"1\"}", "{\"version\":0}", "{\"version\":-1}",
        "{\"version\":1.5}", "{\"version\":1e0}", "{\"version\":null}", "{\"version\":true}",
        "{\"version\":18446744073709551616}", "{\"Version\":1}", "{\"version\":1,\"force\":true}",
        "{\"version\":1,\"version\":1}",
    };
    set_many(2);
    for (size_t i = 0; i < COUNT(bodies); i++) {
        if (rollback(bodies[i], NULL) != 400) fail_msg("%s: %d", bodies[i], response()->status);
        check_error(400, "ParsePolicyError", NULL);
        check_record("rollback-policy", "error", "refused");
    }
    rollback("{\"version\":1}", "If-Match: two");
    check_error(400, "InvalidRequestPath", NULL);
    rollback("{\"version\":9}", NULL);
    check_error_with(404, "ResourceNotFound", NULL, 1);
    rollback("{\"version\":2}", NULL);
    check_error_with(409, "Conflict", NULL, 1);
    assert_non_null(strstr(text_at("/detail"), "is at version 2 already"));
    ASK("GET", POLICY, .local = true);
    check_text(text_of(2));
    assert_string_equal(header("ETag"), "\"2\"");
}

static void test_rollback__preconditions(void **state)
{
    set_many(3);
    rollback("{\"version\":1}", "If-Match: \"2\"");
    check_error_with(412, "PreconditionFailed", NULL, 1);
    check_record("rollback-policy", "error", "precondition");
    rollback("{\"version\":1}", "If-None-Match: *");
    check_error_with(412, "PreconditionFailed", NULL, 1);
    assert_int_equal(rollback("{\"version\":1}", "If-Match: \"3\""), 200);
}

static void write_elsewhere(const char *policy)
{
    struct store *second = NULL;
    struct store_config config = {.token = kit.token, .keep_policies = 10, .writable = true};
    struct store_put put = {.kind = ENVELOPE_POLICY, .name = RELEASE_POLICY_NAME,
                            .value = span_str(policy)};
    assert_ok(store_open(&config, &second));
    struct err e = store_put(second, &put, NULL);
    store_close(second);
    assert_ok(e);
}

/* A text that another Strongroom understood and this one does not stays history. */
static void test_rollback__compiles_first(void **state)
{
    write_elsewhere("package policy\n\ndefault allow = maybe\n");
    assert_ok(store_refresh(kit.store));
    assert_int_equal(set_policy(text_of(1)), 200);
    rollback("{\"version\":1}", NULL);
    check_error_with(400, "PolicyEngineError", NULL, 1);
    assert_int_equal(number_at("/errors/0/line"), 3);
    check_record("rollback-policy", "error", "refused");
    ASK("GET", POLICY, .local = true);
    check_text(text_of(1));
    assert_string_equal(header("ETag"), "\"2\"");
    assert_int_equal(ASK("GET", VERSIONS "/1", .local = true), 200); /* it can still be looked at */
}

static void test_rollback__warnings(void **state)
{
    kit_open((struct kit_options){.lint = find_word});
    assert_int_equal(set_policy(SUSPICIOUS), 200);
    assert_int_equal(set_policy(text_of(1)), 200);
    ASK("POST", ROLLBACK "?strict=1", .local = true, BODY("{\"version\":1}"));
    check_error_with(400, "PolicyEngineError", NULL, 1);
    assert_string_equal(text_at("/errors/0/code"), "lint_claim");
    assert_int_equal(rollback("{\"version\":1}", NULL), 200);
    assert_string_equal(text_at("/warnings/0/code"), "lint_claim");
    assert_int_equal(number_at("/version"), 3);
}

static void test_rollback__another_writer_was_there(void **state)
{
    set_many(2);
    write_elsewhere(text_of(5));
    rollback("{\"version\":1}", "If-Match: \"2\"");
    check_error_with(412, "PreconditionFailed", NULL, 1);
    assert_int_equal(rollback("{\"version\":2}", "If-Match: \"3\""), 200);
    assert_int_equal(number_at("/version"), 4);
}

static void test_rollback__heals_a_damaged_policy(void **state)
{
    put("a/b/c", "value");
    set_many(3);
    damage_newest();
    guest_attest();
    guest_get("/kbs/v0/resource/a/b/c");
    check_error(403, "PolicyDeny", NULL);
    check_record("release", "deny", "the policy is damaged");
    rollback("{\"version\":3}", NULL);
    check_error_with(500, "PluginInternalError", NULL, 1);
    assert_string_equal(text_at("/class"), "damaged");
    assert_int_equal(rollback("{\"version\":1}", "If-Match: \"3\""), 200);
    assert_int_equal(number_at("/version"), 4);
    guest_get("/kbs/v0/resource/a/b/c");
    check_released("value");
}

static void test_rollback__reader(void **state)
{
    set_many(2);
    kit_open((struct kit_options){.read_only = true});
    rollback("{\"version\":1}", NULL);
    check_error(503, "ReadOnly", NULL);
    assert_int_equal(ASK("GET", VERSIONS "/1", .local = true), 200);
}

/* Without its record the answer is 503; but it is stored, so it is in force, as after a restart. */
static void test_rollback__without_a_record(void **state)
{
    set_many(2);
    audit_break();
    rollback("{\"version\":1}", NULL);
    audit_heal();
    check_error(503, "Unavailable", NULL);
    assert_null(header("ETag"));
    assert_int_equal(ASK("GET", POLICY, .local = true), 200);
    check_text(text_of(1));
}

static int end(void **state)
{
    buf_free(&bytes);
    return kit_token_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_read__text_as_it_was_set),
        KIT_TEST(test_read__one_version),
        KIT_TEST(test_read__refusals),
        KIT_TEST(test_methods__what_is_not_there),
        KIT_TEST(test_access__operators_by_path),
        KIT_TEST(test_versions__list),
        KIT_TEST(test_versions__as_many_as_are_kept),
        KIT_TEST(test_versions__a_damaged_one_is_told),
        KIT_TEST(test_rollback__in_force_at_once_and_recorded),
        KIT_TEST(test_rollback__mistakes),
        KIT_TEST(test_rollback__preconditions),
        KIT_TEST(test_rollback__compiles_first),
        KIT_TEST(test_rollback__warnings),
        KIT_TEST(test_rollback__another_writer_was_there),
        KIT_TEST(test_rollback__heals_a_damaged_policy),
        KIT_TEST(test_rollback__reader),
        KIT_TEST(test_rollback__without_a_record),
    };
    return cmocka_run_group_tests(tests, kit_token, end);
}

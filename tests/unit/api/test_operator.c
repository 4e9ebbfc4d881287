#include "tests/unit/api/kit.h"

#define OWN "/strongroom/v1/"

static bool flag_at(const char *pointer)
{
    bool value = false;
    assert_true(json_bool(member(pointer), &value));
    return value;
}

static int64_t number_at(const char *pointer)
{
    int64_t value = -1;
    assert_true(json_int(member(pointer), &value));
    return value;
}

/* ---- who may ------------------------------------------------------------------------------ */

/* What reads values or makes keys is not there for who comes by TCP, whatever they show. */
static void test_local__not_reachable_by_tcp(void **state)
{
    static const struct { const char *method, *target; } rows[] = {
        {"GET", OWN "resource/a/b/c"}, {"GET", OWN "resource%2Fa/b/c"}, {"POST", OWN "keks"},
        {"POST", OWN "keks?next=true"},
    };
    kit_open((struct kit_options){.mode = ADMIN_INSECURE_ALLOW_ALL});
    put("a/b/c", "value");
    for (size_t i = 0; i < COUNT(rows); i++) {
        ASK(rows[i].method, rows[i].target, HEADERS(operator_bearer("admin")));
        check_error(404, "InvalidRequestPath", "no such path");
    }
    assert_int_equal(ASK("GET", OWN "keks"), 200);
    assert_int_equal(json_count(member("/keks")), 1);
}

/* ---- the list ----------------------------------------------------------------------------- */

static void test_list__entries(void **state)
{
    clock_test_set(NOON);
    put("b/b/b", "four");
    put("a/b/c", "1");
    put("a/b/c", "22");
    assert_int_equal(set_policy(POLICY_DENY_ALL_TEXT), 200);
    assert_int_equal(ASK("GET", OWN "resources", .local = true), 200);
    assert_string_equal(response()->content_type, "application/json");
    assert_int_equal(json_count(member("/resources")), 2); /* the policy is none */
    assert_string_equal(text_at("/resources/0/name"), "a/b/c");
    assert_string_equal(text_at("/resources/0/state"), "live");
    assert_int_equal(number_at("/resources/0/version"), 2);
    assert_int_equal(number_at("/resources/0/size"), 2);
    assert_int_equal(number_at("/resources/0/kek_generation"), 1);
    assert_int_equal(number_at("/resources/0/versions"), 1);
    assert_string_equal(text_at("/resources/0/created"), "2026-11-24T12:00:00Z");
    assert_false(json_present(member("/resources/0/not_after")));
    assert_string_equal(text_at("/resources/1/name"), "b/b/b");
}

static void test_list__prefix_and_deleted(void **state)
{
    static const struct { const char *query; size_t count; } rows[] = {
        {"", 2}, {"?prefix=a/", 1}, {"?prefix=a%2Fb", 1}, {"?prefix=zz", 0}, {"?prefix=", 2},
        {"?deleted=true", 3}, {"?deleted=false", 2}, {"?deleted", 2},
        {"?limit=1", 1}, {"?limit=2", 2}, {"?limit=18446744073709551615", 2}, {"?after=a/b/c", 1}, {"?after=b/b/b", 0},
        {"?after=a", 2}, {"?deleted=true&limit=2&after=a%2Fb%2Fc", 2}, {"?limit=1&prefix=b&after=a", 1},
        {"?deleted=true&prefix=c", 1},
    };
    put("a/b/c", "1");
    put("b/b/b", "2");
    put("c/c/c", "3");
    assert_int_equal(ASK("DELETE", "/kbs/v0/resource/c/c/c", .local = true), 200);
    for (size_t i = 0; i < COUNT(rows); i++) {
        char target[80];
        snprintf(target, sizeof target, OWN "resources%s", rows[i].query);
        assert_int_equal(ASK("GET", target, .local = true), 200);
        if (json_count(member("/resources")) != rows[i].count)
            fail_msg("%s: %s", rows[i].query, response_text());
    }
    assert_string_equal(text_at("/resources/0/state"), "deleted");
}

static void test_list__says_where_it_goes_on(void **state)
{
    static const char *const wrong[] = {"0", "", "x", "-1", "1.5", "18446744073709551616"};
    put("a/b/c", "1");
    put("b/b/b", "2");
    assert_int_equal(ASK("GET", OWN "resources?limit=1", .local = true), 200);
    assert_string_equal(text_at("/next"), "a/b/c");
    assert_int_equal(ASK("GET", OWN "resources?limit=1&after=a/b/c", .local = true), 200);
    assert_string_equal(text_at("/resources/0/name"), "b/b/b");
    assert_false(json_present(member("/next")));
    for (size_t i = 0; i < COUNT(wrong); i++) {
        char target[80];
        snprintf(target, sizeof target, OWN "resources?limit=%s", wrong[i]);
        assert_int_equal(ASK("GET", target, .local = true), 400);
        check_error(400, "InvalidRequestPath", "limit is a number from 1 on");
    }
}

static void test_list__empty(void **state)
{
    assert_int_equal(ASK("GET", OWN "resources", .local = true), 200);
    assert_string_equal(response_text(), "{\"resources\":[]}");
}

/* ---- reading ------------------------------------------------------------------------------ */

static void test_read__value_in_secret_memory(void **state)
{
    put("a/b/c", "value");
    assert_int_equal(ASK("GET", OWN "resource/a/b/c", .local = true), 200);
    assert_string_equal(response()->content_type, "application/octet-stream");
    assert_string_equal(header("ETag"), "\"1\"");
    assert_int_equal(response()->body.len, 0);
    assert_span(secret_span(response()->secret_body), "value");
    check_record("read", "allow", "admin socket");
    assert_string_equal(audit_text("resource"), "a/b/c");
    assert_string_equal(audit_text("principal"), "local:unix:uid=0");
}

static void test_read__refusals(void **state)
{
    ASK("GET", OWN "resource/no/such/thing", .local = true);
    check_error(404, "ResourceNotFound", NULL);
    check_record("read", "missing", "not-found");
    ASK("GET", OWN "resource/a/b", .local = true);
    check_error(400, "InvalidRequestPath", NULL);
    ASK("GET", OWN "resource", .local = true);
    check_error(400, "InvalidRequestPath", NULL);
    ASK("GET", OWN "resource/a/b/c%00", .local = true);
    check_error(404, "InvalidRequestPath", NULL);
}

static void test_read__no_record_no_value(void **state)
{
    put("a/b/c", "value");
    audit_break();
    ASK("GET", OWN "resource/a/b/c", .local = true);
    assert_int_equal(ASK("GET", OWN "status", .local = true), 200);
    assert_false(flag_at("/audit"));
    ASK("GET", OWN "resource/a/b/c", .local = true);
    audit_heal();
    check_error(503, "Unavailable", NULL);
    assert_non_null(strstr(text_at("/detail"), "it cannot be recorded, so it is refused: cannot write to the audit file"));
    assert_null(response()->secret_body);
}

/* ---- status ------------------------------------------------------------------------------- */

static void test_status__what_there_is(void **state)
{
    put("a/b/c", "1");
    put("b/b/b", "2");
    assert_int_equal(ASK("DELETE", "/kbs/v0/resource/b/b/b", .local = true), 200);
    assert_int_equal(set_policy(POLICY_DENY_ALL_TEXT), 200);
    guest_attest();
    guest_auth();
    assert_int_equal(ASK("GET", OWN "status", .local = true), 200);
    assert_string_equal(text_at("/version"), STRONGROOM_VERSION);
    assert_string_equal(text_at("/token/label"), "api");
    assert_string_equal(text_at("/token/serial"), p11_serial(kit.token));
    assert_false(flag_at("/token/pin_locked"));
    assert_true(flag_at("/healthy"));
    assert_true(flag_at("/kek"));
    assert_string_equal(text_at("/suite"), p11_suite_text(kit.token));
    assert_string_equal(text_at("/policy"), "set");
    assert_int_equal(number_at("/policy_version"), 1);
    assert_int_equal(strlen(text_at("/policy_digest")), 16);
    assert_int_equal(number_at("/resources"), 2); /* the policy is a name of the store too */
    assert_int_equal(number_at("/deleted"), 1);
    assert_int_equal(number_at("/damaged"), 0);
    assert_int_equal(number_at("/findings"), 0);
    assert_int_equal(number_at("/sessions"), 2);
    assert_int_equal(number_at("/attested_sessions"), 1);
    assert_true(flag_at("/audit"));
    assert_int_equal(number_at("/audit_failures"), 0);
    assert_true(number_at("/locked_bytes") >= number_at("/locked_bytes_used"));
}

/* ---- keys --------------------------------------------------------------------------------- */

static void test_keks__list(void **state)
{
    assert_int_equal(ASK("GET", OWN "keks", .local = true), 200);
    size_t last = json_count(member("/keks")) - 1;
    char pointer[40];
    snprintf(pointer, sizeof pointer, "/keks/%zu/active", last);
    assert_true(flag_at(pointer));
    assert_string_equal(text_at("/keks/0/label"), "strongroom-kek-1");
    assert_int_equal(strlen(text_at("/keks/0/id")), 32);
    assert_true(flag_at("/keks/0/sound"));
    assert_true(flag_at("/keks/0/canary_ok"));
    assert_true(flag_at("/keks/0/sensitive"));
    assert_false(flag_at("/keks/0/extractable"));
    assert_true(flag_at("/keks/0/never_extractable"));
}

static void test_keks__create(void **state)
{
    ASK("POST", OWN "keks", .local = true);
    check_error(409, "Conflict", NULL);
    check_record("kek-create", "error", "conflict");
    ASK("POST", OWN "keks?next=yes", .local = true);
    check_error(409, "Conflict", NULL);
    assert_int_equal(ASK("POST", OWN "keks?next=true", .local = true), 200);
    assert_string_equal(text_at("/label"), "strongroom-kek-2");
    assert_int_equal(number_at("/generation"), 2);
    assert_true(flag_at("/active"));
    check_record("kek-create", "done", "strongroom-kek-2");
}

static void test_keks__create_without_a_record(void **state)
{
    audit_break();
    ASK("POST", OWN "keks?next=true", .local = true);
    audit_heal();
    check_error(503, "Unavailable", NULL);
    assert_non_null(strstr(text_at("/detail"), "cannot be recorded"));
}

/* ---- what is not there -------------------------------------------------------------------- */

static void test_own__unknown(void **state)
{
    static const char *const rows[] = {
        "GET " OWN, "GET /strongroom/v1", "GET " OWN "nothing", "GET /strongroom/v2/status",
        /* nothing stands below these */
        "GET " OWN "resources/x", "GET " OWN "status/x", "GET " OWN "status/", "GET " OWN "keks/x",
        "POST " OWN "keks/x?next=true", "DELETE " OWN "keks/x?generation=1",
        "POST " OWN "keks/rewrap/x?limit=0",
    };
    assert_int_equal(ASK("GET", OWN "keks", .local = true), 200);
    size_t keks = json_count(member("/keks"));
    for (size_t i = 0; i < COUNT(rows); i++) {
        char method[8] = "";
        size_t len = strcspn(rows[i], " ");
        memcpy(method, rows[i], len);
        if (ASK(method, rows[i] + len + 1, .local = true) != 404)
            fail_msg("%s: %d", rows[i], response()->status);
    }
    assert_int_equal(ASK("GET", OWN "keks", .local = true), 200);
    assert_int_equal(json_count(member("/keks")), keks);
}

/* 405 says what the path does take (RFC 9110 15.5.6). */
static void test_own__other_methods(void **state)
{
    static const struct { const char *method, *target, *allow; } rows[] = {
        {"POST", OWN "status", "GET"},          {"PUT", OWN "keks", "GET, POST, DELETE"},
        {"DELETE", OWN "resource/a/b/c", "GET"}, {"HEAD", OWN "resources", "GET, POST"},
        {"GET", OWN "policy/rollback", "POST"}, {"PUT", OWN "policy/versions/1", "GET"},
        {"OPTIONS", OWN "policy", "GET"},       {"POST", "/healthz", "GET"},
        {"DELETE", "/metrics", "GET"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        ASK(rows[i].method, rows[i].target, .local = true);
        check_error(405, "PluginInternalError", NULL);
        assert_string_equal(header("Allow"), rows[i].allow);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_local__not_reachable_by_tcp),
        KIT_TEST(test_list__entries),
        KIT_TEST(test_list__prefix_and_deleted),
        KIT_TEST(test_list__says_where_it_goes_on),
        KIT_TEST(test_list__empty),
        KIT_TEST(test_read__value_in_secret_memory),
        KIT_TEST(test_read__refusals),
        KIT_TEST(test_read__no_record_no_value),
        KIT_TEST(test_status__what_there_is),
        KIT_TEST(test_keks__list),
        KIT_TEST(test_keks__create),
        KIT_TEST(test_keks__create_without_a_record),
        KIT_TEST(test_own__unknown),
        KIT_TEST(test_own__other_methods),
    };
    return cmocka_run_group_tests(tests, kit_token, kit_token_end);
}

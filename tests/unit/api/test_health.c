#include "tests/unit/api/kit.h"

static long atoi_of(const char *digits)
{
    assert_non_null(digits);
    return strtol(digits, NULL, 10);
}

/* As if what is stored had been looked at just now, or never. */
static void set_checked(uint64_t when)
{
    kit.api->ready_checked = when;
}

static void test_live__empty_200(void **state)
{
    assert_int_equal(ASK("GET", "/healthz"), 200);
    assert_int_equal(response()->body.len, 0);
    assert_int_equal(response()->header_count, 0);
}

static void test_health__other_methods_and_paths(void **state)
{
    static const char *const paths[] = {"/healthz", "/readyz", "/metrics"};
    static const char *const methods[] = {"POST", "PUT", "DELETE", "HEAD", "OPTIONS"};
    for (size_t i = 0; i < COUNT(paths); i++) {
        for (size_t k = 0; k < COUNT(methods); k++) {
            ASK(methods[k], paths[i]);
            check_error(405, "PluginInternalError", NULL);
            assert_string_equal(header("Allow"), "GET");
        }
        char below[32];
        snprintf(below, sizeof below, "%s/x", paths[i]);
        ASK("GET", below);
        check_error(404, "InvalidRequestPath", NULL);
    }
}

static void check_unready(const char *reason)
{
    assert_int_equal(response()->status, 503);
    assert_string_equal(response()->content_type, "application/json");
    bool ready = true;
    assert_true(json_bool(member("/ready"), &ready));
    assert_false(ready);
    assert_string_equal(text_at("/reason"), reason);
}

static void check_ready(void)
{
    bool ready = false;
    assert_int_equal(response()->status, 200);
    assert_true(json_bool(member("/ready"), &ready));
    assert_true(ready);
    assert_string_equal(text_at("/token/state"), "up");
    assert_int_equal(strlen(text_at("/token/since")), strlen("2026-11-24T12:10:00Z"));
    assert_false(json_present(member("/token/next")));
    assert_false(json_present(member("/reason")));
    assert_null(header("Retry-After"));
}

/* The first in the program: the token has no key yet. */
static void test_ready__without_a_key_then_with_one(void **state)
{
    struct p11_kek_info kek;
    ASK("GET", "/readyz");
    check_unready("needs-a-person"); /* the class alone: anybody may ask */
    assert_ok(p11_kek_create(kit.token, false, &kek));
    ASK("GET", "/readyz");
    check_ready();
}

static void test_ready__old_answers_are_not_believed(void **state)
{
    ASK("GET", "/readyz");
    check_ready();
    snprintf(kit.api->ready_reason, sizeof kit.api->ready_reason, "policy-damaged");
    set_checked(clock_mono_ns());
    ASK("GET", "/readyz");
    check_unready("policy-damaged");
    set_checked(clock_mono_ns() - 3 * CLOCK_SECOND_NS);
    ASK("GET", "/readyz");
    check_ready();
}

/* A stored policy that this version does not understand, as after an upgrade: not ready, so that the
 * old version stays; and ready at once when a good one is set. None at all is no trouble. */
static void test_ready__a_policy_that_does_not_compile(void **state)
{
    ASK("GET", "/readyz");
    check_ready();
    assert_int_equal(metric_now("strongroom_policy_in_force"), 0);
    store_policy("package policy\n\nallow if nosuch(\"hush\")\n");
    kit_open((struct kit_options){0});
    ASK("GET", "/readyz");
    check_unready("policy-refused");
    assert_null(strstr(response_text(), "hush")); /* anybody may ask */
    assert_int_equal(metric_now("strongroom_policy_in_force"), 0);
    assert_int_equal(metric_now("strongroom_policy_version"), 0);
    put("a/b/c", "value");
    guest_attest();
    guest_get("/kbs/v0/resource/a/b/c");
    check_error(403, "PolicyDeny", "Access denied by policy");
    check_record("release", "deny", "the policy does not compile");
    assert_int_equal(metric_now("kbs_policy_errors_total"), 1);
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    set_checked(0);
    ASK("GET", "/readyz");
    check_ready();
    assert_int_equal(metric_now("strongroom_policy_in_force"), 1);
    assert_int_equal(metric_now("strongroom_policy_version"), 2);
    guest_get("/kbs/v0/resource/a/b/c");
    check_released("value");
}

/* The first probe looks at what is stored; the next, which comes meanwhile, is not told that all is well. */
/* What needs a record is refused, which is nearly all; the probe itself finds out when that is over. */
static void test_ready__without_an_audit_file(void **state)
{
    audit_break();
    ASK("GET", "/readyz");
    check_ready();
    ASK("GET", "/strongroom/v1/resource/a/b/c", .local = true);
    ASK("GET", "/readyz");
    check_unready("audit-failed");
    audit_heal();
    ASK("GET", "/readyz");
    check_ready();
    check_record("audit-back", "done", "records missing: 1");
    size_t records = audit_count();
    ASK("GET", "/readyz");
    check_ready();
    assert_int_equal(audit_count(), records);
}

static void test_ready__while_the_first_one_looks(void **state)
{
    store_policy("package policy\n\nallow if nosuch(1)\n");
    kit_open((struct kit_options){0});
    set_checked(clock_mono_ns()); /* the first is at it */
    ASK("GET", "/readyz");
    check_unready("starting");
    set_checked(0);
    ASK("GET", "/readyz");
    check_unready("policy-refused");
}

/* As the supervisor does it: what is stored has new handles. */
static struct err came_back(void *arg)
{
    return store_refresh(kit.store);
}

static void heard(void *arg, const struct p11_status *now)
{
}

/* One turn of who keeps the token. */
static void tend(void)
{
    static const struct p11_keeper keeper = {.came_back = came_back, .changed = heard};
    p11_hurry(kit.token);
    assert_true(p11_await(kit.token));
    p11_tend(kit.token, &keeper);
}

/* Through the fault module: how often the token is asked. */
static void open_faults(void)
{
    if (!softhsm_fault_module()) {
        print_message("STRONGROOM_FAULT_MODULE is not set\n");
        skip();
    }
    kit_close();
    p11_close(TAKE_PTR(kit.token));
    assert_int_equal(softhsm_fault(&kit.hsm, ""), 0);
    kit_open_token(softhsm_fault_module());
    kit_open((struct kit_options){0});
}

static void check_token_metrics(const char *state, bool up)
{
    char line[80];
    ASK("GET", "/metrics");
    snprintf(line, sizeof line, "\nstrongroom_token_state{state=\"%s\"} 1\n", state);
    if (!strstr(response_text(), line)) fail_msg("no %s in %s", line, response_text());
    assert_int_equal(metric_now("strongroom_token_up"), up);
}

/* Nothing that tells how the token is asks it. */
static void test_ready__as_the_keeper_found_the_token(void **state)
{
    static const char *const paths[] = {"/readyz", "/metrics", "/strongroom/v1/status"};
    open_faults();
    ASK("GET", "/readyz");
    check_ready();
    check_token_metrics("up", true);
    assert_int_equal(softhsm_fault(&kit.hsm, "C_DecryptInit rv=0x30\nC_Decrypt rv=0x30\n"
                                             "C_UnwrapKey rv=0x30"), 0);
    tend();
    softhsm_fault_clear_log(&kit.hsm);
    for (size_t i = 0; i < 3 * COUNT(paths); i++) ASK("GET", paths[i % COUNT(paths)], .local = true);
    assert_int_equal(softhsm_fault_count(&kit.hsm, "C_Decrypt"), 0);
    assert_int_equal(softhsm_fault_count(&kit.hsm, "C_GetAttributeValue"), 0);
    assert_int_equal(softhsm_fault_count(&kit.hsm, "C_GetTokenInfo"), 0);
    ASK("GET", "/readyz");
    check_unready("token-down");
    assert_string_equal(text_at("/token/state"), "waiting");
    assert_string_equal(text_at("/token/next"), "restart");
    assert_int_equal(strlen(text_at("/token/next_at")), strlen("2026-11-24T12:10:00Z"));
    assert_string_equal(header("Retry-After"), "1");
    assert_null(strstr(response_text(), "CKR_")); /* anybody may ask */
    assert_int_equal(ASK("GET", "/strongroom/v1/status", .local = true), 200);
    assert_string_equal(text_at("/token/state"), "waiting");
    assert_non_null(strstr(text_at("/token/reason"), "CKR_DEVICE_ERROR")); /* operators may know */
    check_token_metrics("waiting", false);
    if (!strstr(response_text(), "_recoveries_total{step=\"restart\",result=\"failed\"} 1\n"))
        fail_msg("%s", response_text());
    assert_int_equal(ASK("GET", "/healthz"), 200); /* the process lives all the same */
    assert_int_equal(softhsm_fault(&kit.hsm, "C_Login rv=0xa4"), 0);
    tend();
    ASK("GET", "/readyz");
    check_unready("needs-a-person");
    assert_string_equal(text_at("/token/state"), "human");
    assert_true(atoi_of(header("Retry-After")) > 20);
    check_token_metrics("human", false);
    assert_int_equal(softhsm_fault(&kit.hsm, ""), 0);
    tend();
    ASK("GET", "/readyz");
    check_ready();
}

/* 503, and when to come again. */
static void test_release__while_the_token_is_away(void **state)
{
    open_faults();
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    put("a/b/c", "value");
    guest_attest();
    assert_int_equal(softhsm_fault(&kit.hsm, "C_DecryptInit rv=0x30\nC_UnwrapKey rv=0x30"), 0);
    for (int i = 0; i < 4; i++) tend(); /* the pause is over a second by now */
    guest_get("/kbs/v0/resource/a/b/c");
    check_error(503, "Unavailable", NULL);
    assert_in_range(atoi_of(header("Retry-After")), 2, 8);
    assert_int_equal(softhsm_fault(&kit.hsm, ""), 0);
    tend();
    guest_get("/kbs/v0/resource/a/b/c");
    check_released("value");
}

static void put_more(void *arg, struct buf *out)
{
    metrics_put_one(out, "more_of_it", "gauge", "Of somebody else", *(uint64_t *) arg);
}

static void test_metrics__of_the_server(void **state)
{
    static uint64_t seven = 7;
    static const struct api_source source = {put_more, &seven};
    api_add_metrics(kit.api, &source);
    assert_int_equal(metric_now("more_of_it"), 7);
}

/* What is refused before its body was read counts with an empty one; one request counts once. */
static void test_metrics__sizes(void **state)
{
    ASK("GET", "/kbs/v0/resource/a/b/c");
    size_t answer = response()->body.len;
    ASK("POST", "/kbs/v0/auth", BODY(REQUEST));
    size_t both = answer + response()->body.len;
    assert_int_equal(metric_now("kbs_http_request_size_bytes_sum"), strlen(REQUEST));
    assert_int_equal(metric_now("kbs_http_request_size_bytes_count"), 2);
    assert_int_equal(metric_now("kbs_http_response_size_bytes_sum"), both);
    assert_int_equal(metric_now("kbs_http_response_size_bytes_count"), 2);
}

/* When the server's certificate ends, for who watches over it; the transport says when. */
static void test_health__end_of_the_certificate(void **state)
{
    ASK("GET", "/readyz", .server_not_after = 1795522200);
    assert_string_equal(text_at("/certificate_expires"), "2026-11-24T12:10:00Z");
    ASK("GET", "/metrics", .server_not_after = 1795522200);
    if (!strstr(response_text(), "\nstrongroom_tls_certificate_expiry_seconds 1795522200\n"))
        fail_msg("%s", response_text());
    ASK("GET", "/metrics"); /* without TLS: an alarm would take 0 for an end */
    assert_null(strstr(response_text(), "certificate_expiry"));
}

static void test_metrics__text_of_all(void **state)
{
    static const char *const lines[] = {
        "\nkbs_http_requests_total 2\n", "\nkbs_auth_requests_total 1\n",
        "\nkbs_auth_successes_total 1\n", "\nstrongroom_resources 1\n",
        "\nkbs_resource_writes_total 1\n", "\nstrongroom_resources_damaged 0\n",
        "\nstrongroom_objects_foreign 0\n", "\nstrongroom_objects_torn 0\n",
        "\nstrongroom_sessions 1\n", "\nstrongroom_sessions_attested 0\n",
        "\nstrongroom_sessions_evicted_total 0\n", "\nstrongroom_jobs_waiting 0\n",
        "\nstrongroom_audit_failures_total 0\n", "\nstrongroom_audit_unrecorded_total 0\n",
        "\nstrongroom_log_left_out_total 0\n", "\n# TYPE strongroom_resources gauge\n",
        "\n# TYPE strongroom_rescans_total counter\n", "\n# TYPE kbs_build_info gauge\n",
        "\nkbs_build_info{version=\"" STRONGROOM_VERSION "\"} 1\n", "\nstrongroom_locked_bytes ",
        "\nstrongroom_locked_bytes_max ", "\nkbs_policy_errors_total 0\n",
        "\nstrongroom_policy_in_force 0\n", "\nstrongroom_policy_version 0\n",
        "\nstrongroom_tokens_remembered 0\n", "\nstrongroom_envelope_cache_bytes ",
        "\nkbs_http_active_connections 0\n", "\nkbs_http_request_duration_seconds_count 2\n",
    };
    put("secret-team/b/c", "value");
    guest_auth();
    assert_int_equal(ASK("GET", "/metrics"), 200);
    assert_string_equal(response()->content_type, "text/plain; version=0.0.4; charset=utf-8");
    for (size_t i = 0; i < COUNT(lines); i++)
        if (!strstr(response_text(), lines[i])) fail_msg("no %s", lines[i]);
    assert_null(strstr(response_text(), "secret-team")); /* no names, ever */
    assert_null(strstr(response_text(), kit.cookie + strlen("Cookie: kbs-session-id=")));
    assert_int_equal(response_text()[response()->body.len - 1], '\n');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_ready__without_a_key_then_with_one),
        KIT_TEST(test_metrics__of_the_server),
        KIT_TEST(test_metrics__sizes),
        KIT_TEST(test_live__empty_200),
        KIT_TEST(test_health__other_methods_and_paths),
        KIT_TEST(test_ready__old_answers_are_not_believed),
        KIT_TEST(test_ready__without_an_audit_file),
        KIT_TEST(test_ready__while_the_first_one_looks),
        KIT_TEST(test_ready__a_policy_that_does_not_compile),
        KIT_TEST(test_health__end_of_the_certificate),
        KIT_TEST(test_metrics__text_of_all),
        KIT_TEST(test_ready__as_the_keeper_found_the_token), /* last: their token has another module */
        KIT_TEST(test_release__while_the_token_is_away),
    };
    return cmocka_run_group_tests(tests, kit_token_bare, kit_token_end);
}

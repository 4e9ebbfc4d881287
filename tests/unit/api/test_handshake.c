#include "tests/unit/api/kit.h"

#define ATTEST_FAILED "Attestation error: RCAR handshake Attest failed"

static struct buf body;

/* A body of evidence for this nonce over KEY_A. */
static struct span evidence(const char *nonce)
{
    body_write((struct body){.nonce = nonce}, &body);
    return buf_span(&body);
}

static void test_auth__challenge_and_cookie(void **state)
{
    clock_test_set(NOON);
    assert_int_equal(ASK("POST", "/kbs/v0/auth", BODY(REQUEST)), 200);
    assert_string_equal(response()->content_type, "application/json");
    assert_int_equal(json_count(member("")), 2);
    assert_int_equal(strlen(text_at("/nonce")), 44);
    assert_string_equal(text_at("/extra-params"), "");
    const char *cookie = header("Set-Cookie");
    assert_int_equal(strspn(cookie + strlen("kbs-session-id="), "0123456789abcdef"), 32);
    assert_string_equal(cookie + strlen("kbs-session-id=") + 32,
                        "; Expires=Tue, 24 Nov 2026 12:05:00 GMT");
    assert_int_equal(response()->header_count, 1);
}

static void test_auth__always_a_new_session(void **state)
{
    char first[sizeof kit.cookie];
    guest_auth();
    snprintf(first, sizeof first, "%s", kit.cookie);
    assert_int_equal(ASK("POST", "/kbs/v0/auth/below?and=query", BODY(REQUEST), HEADERS(first)),
                     200);
    assert_null(strstr(header("Set-Cookie"), first + strlen("Cookie: ")));
}

static void test_auth__refusals(void **state)
{
    static const struct { const char *body, *cause; } rows[] = {
        {"", "deserialize Request"},
        {"{}", "deserialize Request"},
        {"{\"version\":\"0.4.0\",\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":{}}",
         "deserialize Request"},
        {"{\"version\":\"x\",\"tee\":\"sample\",\"extra-params\":{}}",
         "failed to parse KBS version"},
        {"{\"version\":\"0.1.0\",\"tee\":\"sample\",\"extra-params\":{}}",
         "KBS Client Protocol Version Mismatch: expect =0.4.0 while the request is 0.1.0"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char detail[200];
        snprintf(detail, sizeof detail, "Attestation error: RCAR handshake Auth failed: %s",
                 rows[i].cause);
        ASK("POST", "/kbs/v0/auth", BODY(rows[i].body));
        check_error(401, "AttestationError", detail);
        assert_null(header("Set-Cookie"));
    }
    assert_int_equal(metric_now("kbs_auth_requests_total"), COUNT(rows));
    assert_int_equal(metric_now("kbs_auth_errors_total"), COUNT(rows));
    assert_int_equal(metric_now("kbs_auth_successes_total"), 0);
}

static void test_attest__token_and_the_same_cookie(void **state)
{
    char before[RESPONSE_HEADER_VALUE];
    const char *nonce = guest_auth();
    snprintf(before, sizeof before, "%s", header("Set-Cookie"));
    struct span sent = evidence(nonce);
    assert_int_equal(ASK("POST", "/kbs/v0/attest", HEADERS(kit.cookie), .body = sent), 200);
    assert_string_equal(response()->content_type, "application/json");
    assert_int_equal(json_count(member("")), 1);
    assert_true(strlen(text_at("/token")) > 100);
    assert_string_equal(header("Set-Cookie"), before); /* same value, same expiry (2.3) */
    check_record("attest", "allow", "sample");
    char principal[24];
    snprintf(principal, sizeof principal, "session:%.8s",
             kit.cookie + strlen("Cookie: kbs-session-id="));
    assert_string_equal(audit_text("principal"), principal);
    assert_string_equal(audit_text("peer"), "192.0.2.7:4711");
    assert_int_equal(metric_now("kbs_attestation_requests_total"), 1);
    assert_int_equal(metric_now("kbs_attestation_successes_total{tee_type=\"sample\"}"), 1);
    assert_int_equal(metric_now("kbs_attestation_failures_total{tee_type=\"sample\"}"), 0);
    assert_int_equal(metric_now("strongroom_sessions_attested"), 1);
}

static void check_refused(int status, const char *cause)
{
    check_error(status, "AttestationError", ATTEST_FAILED); /* never why */
    assert_null(header("Set-Cookie"));
    check_record("attest", "deny", cause);
}

static void test_attest__one_answer_for_every_refusal(void **state)
{
    char good[sizeof kit.cookie];
    struct span sent = evidence(guest_auth());
    snprintf(good, sizeof good, "%s", kit.cookie);
    ASK("POST", "/kbs/v0/attest", .body = sent);
    check_refused(401, "auth");
    ASK("POST", "/kbs/v0/attest", .body = sent, HEADERS("Cookie: KBS-SESSION-ID=x"));
    check_refused(401, "auth");
    ASK("POST", "/kbs/v0/attest", .body = sent, HEADERS("Cookie: kbs-session-id=" NONCE_A));
    check_refused(401, "auth");
    sent = evidence(NONCE_A);
    ASK("POST", "/kbs/v0/attest", .body = sent, HEADERS(good));
    check_refused(401, "auth");
    ASK("POST", "/kbs/v0/attest", BODY("{}"), HEADERS(good));
    check_refused(400, "usage");
    /* Evidence over another nonce was looked at; what came with no session or no form was not. */
    assert_int_equal(metric_now("kbs_attestation_requests_total"), 5);
    assert_int_equal(metric_now("kbs_attestation_errors_total"), 4);
    assert_int_equal(metric_now("kbs_attestation_failures_total{tee_type=\"sample\"}"), 1);
}

static void test_attest__a_failed_one_can_be_repeated(void **state)
{
    char nonce[64];
    snprintf(nonce, sizeof nonce, "%s", guest_auth());
    ASK("POST", "/kbs/v0/attest", .body = evidence(NONCE_A), HEADERS(kit.cookie));
    check_refused(401, "auth");
    assert_int_equal(ASK("POST", "/kbs/v0/attest", .body = evidence(nonce), HEADERS(kit.cookie)),
                     200);
}

static void test_attest__malformed_is_401_for_the_reference(void **state)
{
    kit_open((struct kit_options){.reference = true});
    guest_auth();
    ASK("POST", "/kbs/v0/attest", BODY("{}"), HEADERS(kit.cookie));
    check_error(401, "AttestationError", ATTEST_FAILED);
}

static void test_attest__no_record_no_token(void **state)
{
    struct span sent = evidence(guest_auth());
    audit_break();
    ASK("POST", "/kbs/v0/attest", .body = sent, HEADERS(kit.cookie));
    audit_heal();
    check_error(503, "Unavailable", NULL);
    assert_null(header("Set-Cookie"));
    assert_null(strstr(response_text(), "eyJ"));
}

static void test_attest__refusal_without_a_record_is_503(void **state)
{
    audit_break();
    ASK("POST", "/kbs/v0/attest", BODY("{}"));
    audit_heal();
    check_error(503, "Unavailable", NULL);
}

static int end(void **state)
{
    buf_free(&body);
    return kit_token_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_auth__challenge_and_cookie),
        KIT_TEST(test_auth__always_a_new_session),
        KIT_TEST(test_auth__refusals),
        KIT_TEST(test_attest__token_and_the_same_cookie),
        KIT_TEST(test_attest__one_answer_for_every_refusal),
        KIT_TEST(test_attest__a_failed_one_can_be_repeated),
        KIT_TEST(test_attest__malformed_is_401_for_the_reference),
        KIT_TEST(test_attest__no_record_no_token),
        KIT_TEST(test_attest__refusal_without_a_record_is_503),
    };
    return cmocka_run_group_tests(tests, kit_token, end);
}

#include "tests/unit/api/hardware.h"

#define OWN "/strongroom/v1/attestation-policy"
#define VERSIONS OWN "-versions/default_cpu"
#define ROLLBACK OWN "-rollback/default_cpu"

static struct buf body;

static int teardown(void **state)
{
    buf_free(&body);
    return kit_teardown(state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, teardown)

/* The n-th text of a history. */
static const char *text_of(int n)
{
    static char out[96];
    snprintf(out, sizeof out, "package policy\n\ntrust_claims := {\"hardware\": %d}\n", n);
    return out;
}

static int set(const char *text)
{
    buf_reset(&body);
    buf_add_str(&body, "{\"policy_id\":\"default_cpu\",\"policy\":\"");
    b64url_add(&body, span_str(text));
    buf_add_str(&body, "\"}");
    return ASK("POST", "/kbs/v0/attestation-policy", .local = true, .body = buf_span(&body));
}

static int rollback(const char *text, const char *condition)
{
    return ASK("POST", ROLLBACK, .local = true, BODY(text), HEADERS(condition));
}

static void test_versions__list_and_text(void **state)
{
    assert_int_equal(ASK("GET", VERSIONS, .local = true), 200);
    assert_int_equal(json_count(member("/versions")), 0);
    for (int n = 2; n <= 3; n++) assert_int_equal(set(text_of(n)), 200);
    assert_int_equal(ASK("GET", VERSIONS, .local = true), 200);
    assert_int_equal(json_count(member("/versions")), 2);
    assert_string_equal(header("ETag"), "\"2\"");
    assert_int_equal(ASK("GET", VERSIONS "/1", .local = true), 200);
    assert_span(secret_span(response()->secret_body), text_of(2));
    assert_int_equal(ASK("GET", VERSIONS "/9", .local = true), 404);
    assert_int_equal(ASK("GET", VERSIONS "/x", .local = true), 400);
    assert_int_equal(ASK("GET", VERSIONS "/1/2", .local = true), 404);
    assert_int_equal(ASK("GET", OWN "-versions", .local = true), 400);
    assert_int_equal(ASK("GET", OWN "-versions/..", .local = true), 400);
    assert_int_equal(ASK("GET", VERSIONS), 401); /* it is for operators */
}

static void test_rollback__in_force_at_once_and_recorded(void **state)
{
    for (int n = 2; n <= 3; n++) assert_int_equal(set(text_of(n)), 200);
    check_hardware(3);
    assert_int_equal(rollback("{\"version\":1}", "If-Match: \"2\""), 200);
    check_record("rollback-attestation-policy", "done", "restored version 1");
    assert_string_equal(header("ETag"), "\"3\"");
    assert_int_equal(strlen(text_at("/digest")), 16);
    check_hardware(2);
    assert_int_equal(ASK("GET", OWN "/default_cpu", .local = true), 200);
    assert_span(secret_span(response()->secret_body), text_of(2));
}

static void test_rollback__mistakes(void **state)
{
    static const char *const bodies[] = {"", "{}", "[1]", "{\"version\":0}", "{\"version\":\"1\"}"};
    assert_int_equal(rollback("{\"version\":1}", NULL), 404);
    for (int n = 2; n <= 3; n++) assert_int_equal(set(text_of(n)), 200);
    for (size_t i = 0; i < COUNT(bodies); i++) {
        assert_int_equal(rollback(bodies[i], NULL), 400);
        check_record("rollback-attestation-policy", "error", "refused");
    }
    assert_int_equal(rollback("{\"version\":1}", "If-Match: two"), 400);
    assert_int_equal(rollback("{\"version\":1}", "If-Match: \"1\""), 412);
    assert_int_equal(rollback("{\"version\":2}", NULL), 409);
    assert_int_equal(rollback("{\"version\":9}", NULL), 404);
    assert_int_equal(ASK("POST", ROLLBACK "/x", .local = true, BODY("{\"version\":1}")), 404);
    assert_int_equal(ASK("POST", OWN "-rollback/a%20b", .local = true, BODY("{\"version\":1}")), 400);
    check_hardware(3);
}

/* Clients of the KBS may set what fails every attestation; it does not come back by us. */
static void test_rollback__of_what_cannot_be_used(void **state)
{
    assert_int_equal(set("package policy\n\ntrust_claims := {\"nonsense\": 3}\n"), 200);
    assert_int_equal(set(text_of(3)), 200);
    assert_int_equal(rollback("{\"version\":1}", NULL), 400);
    check_error_with(400, "AttestationError", NULL, 1);
    assert_non_null(strstr(text_at("/errors/0/text"), "\"nonsense\", which is no claim"));
    check_record("rollback-attestation-policy", "error", "refused");
    check_hardware(3);
}

static void test_rollback__where_another_service_appraises(void **state)
{
    kit.api->config.upkeep = &kit.api->upkeep;
    assert_int_equal(ASK("GET", VERSIONS, .local = true), 404);
    assert_int_equal(rollback("{\"version\":1}", NULL), 404);
}

static void test_rollback__reader(void **state)
{
    for (int n = 2; n <= 3; n++) assert_int_equal(set(text_of(n)), 200);
    kit_open((struct kit_options){.read_only = true});
    assert_int_equal(rollback("{\"version\":1}", NULL), 503);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_versions__list_and_text),
        TEST(test_rollback__in_force_at_once_and_recorded),
        TEST(test_rollback__mistakes),
        TEST(test_rollback__of_what_cannot_be_used),
        TEST(test_rollback__where_another_service_appraises),
        TEST(test_rollback__reader),
    };
    return cmocka_run_group_tests(tests, kit_token, kit_token_end);
}

#include "tests/unit/api/hardware.h"

#define HEAD "package policy\n\nimport rego.v1\n\n"
#define TARGET "/kbs/v0/attestation-policy"
#define REFUSED "Attestation error: Set Attestation Policy failed: "

static struct buf body;

static int teardown(void **state)
{
    buf_free(&body);
    return kit_teardown(state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, teardown)

/* `more` stands before the rest of the body. */
static void make_body(const char *more, const char *id, const char *text)
{
    buf_reset(&body);
    buf_addf(&body, "{%s\"policy_id\":\"%s\",\"policy\":\"", more, id);
    b64url_add(&body, span_str(text));
    buf_add_str(&body, "\"}");
}

static int set_as(const char *target, const char *more, const char *id, const char *text)
{
    make_body(more, id, text);
    return ASK("POST", target, .local = true, .body = buf_span(&body));
}

static int set(const char *id, const char *text) { return set_as(TARGET, "", id, text); }

static void test_set__both_layouts_of_clients(void **state)
{
    check_hardware(97);
    assert_int_equal(set("default_cpu", HEAD "trust_claims := {\"hardware\": 3}\n"), 200);
    assert_int_equal(response()->body.len, 0);
    assert_string_equal(header("ETag"), "\"1\"");
    check_record("set-attestation-policy", "done", "");
    assert_string_equal(audit_text("resource"), "default_cpu");
    check_hardware(3);
    assert_int_equal(set_as(TARGET, "\"type\":\"rego\",", "default_cpu",
                            HEAD "trust_claims := {\"hardware\": 4}\n"), 200);
    check_hardware(4);
}

static void test_set__refused_changes_nothing(void **state)
{
    assert_int_equal(set("default_cpu", HEAD "trust_claims := {\"hardware\": 3}\n"), 200);
    static const char *const bodies[] = {
        "", "{}", "[]", "{\"policy_id\":\"a\"}", "{\"policy\":\"cGFja2FnZSBwb2xpY3k\"}",
        "{\"policy_id\":\"a\",\"policy\":\"!!\"}", "{\"policy_id\":\"a\",\"policy\":\"_w\"}",
        "{\"policy_id\":\"../a\",\"policy\":\"cGFja2FnZSBwb2xpY3k\"}",
        "{\"policy_id\":1,\"policy\":\"cGFja2FnZSBwb2xpY3k\"}"};
    for (size_t i = 0; i < COUNT(bodies); i++) {
        assert_int_equal(ASK("POST", TARGET, .local = true, BODY(bodies[i])), 400);
        check_error(400, "AttestationError", NULL);
        assert_true(strncmp(text_at("/detail"), REFUSED, strlen(REFUSED)) == 0);
        check_record("set-attestation-policy", "error", "refused");
    }
    assert_int_equal(set("default_cpu", HEAD "trust_claims := nosuch(1)\n"), 400);
    check_error_with(400, "AttestationError", NULL, 1);
    assert_string_equal(text_at("/errors/0/text"), "undefined function nosuch");
    assert_int_equal(ASK("POST", TARGET "/x", .local = true, BODY("{}")), 400);
    check_hardware(3);
}

/* What will fail attestations is accepted, as clients expect, and refused where strict is asked for. */
static void test_set__strict(void **state)
{
    static const char text[] = HEAD "trust_claims := {\"nonsense\": 3}\n";
    assert_int_equal(set_as(TARGET "?strict=1", "", "default_cpu", text), 400);
    assert_non_null(strstr(text_at("/errors/0/text"), "\"nonsense\", which is no claim"));
    check_hardware(97);
    assert_int_equal(set_as(TARGET "?usable=1&warnings=1", "", "default_cpu", text), 400);
    assert_int_equal(set("default_cpu", text), 200);
    assert_int_equal(response()->body.len, 0);
    assert_int_equal(set_as(TARGET "?usable=1&warnings=1", "", "default_cpu", HEAD "x := 1\n"), 200);
    assert_true(json_count(member("/warnings")) > 0);
    assert_int_equal(set_as(TARGET "?strict=1", "", "default_cpu", HEAD "x := 1\n"), 400);
}

static void test_set__of_another_slot(void **state)
{
    assert_int_equal(set_policy(HEAD "allow := query_reference_value(\"a\") == 1\n"), 400);
    assert_string_equal(text_at("/errors/0/text"), "undefined function query_reference_value");
    assert_non_null(strstr(text_at("/errors/0/hint"), "attestation policies have query_reference_value"));
}

static void test_set__by_others(void **state)
{
    assert_int_equal(ASK("POST", TARGET, BODY("{}")), 401);
    check_error(401, "AdminAuthAccess", NULL);
    assert_int_equal(ASK("GET", TARGET, .local = true), 404);
    kit_open((struct kit_options){.read_only = true});
    assert_int_equal(set("default_cpu", HEAD), 503);
    kit_open((struct kit_options){.reference = true, .network = true});
    assert_int_equal(set("default_cpu", "garbage"), 401);
}

static void test_set__no_record(void **state)
{
    audit_break();
    assert_int_equal(set("default_cpu", HEAD "trust_claims := {\"hardware\": 3}\n"), 503);
    audit_heal();
    check_hardware(3); /* it was stored, so it is in force */
}

static int set_if(const char *header, unsigned hardware)
{
    char text[100];
    snprintf(text, sizeof text, HEAD "trust_claims := {\"hardware\": %u}\n", hardware);
    make_body("", "default_cpu", text);
    return ASK("POST", TARGET, .local = true, .body = buf_span(&body), HEADERS(header));
}

static void test_set__preconditions(void **state)
{
    assert_int_equal(set_if("If-Match: \"1\"", 5), 412);
    assert_int_equal(set_if("If-None-Match: *", 3), 200);
    assert_string_equal(header("ETag"), "\"1\"");
    assert_int_equal(set_if("If-None-Match: *", 5), 412);
    check_error(412, "PreconditionFailed", NULL);
    check_hardware(3);
    assert_int_equal(set_if("If-Match: \"1\"", 4), 200);
    assert_string_equal(header("ETag"), "\"2\"");
    assert_int_equal(set_if("If-Match: \"1\"", 5), 412);
    assert_int_equal(set_if("If-Match: W/\"2\"", 5), 400);
    check_error(400, "InvalidRequestPath", NULL);
    check_hardware(4);
}

/* ---- where another service appraises --------------------------------------------------------- */

static struct {
    char id[80];
    struct buf text;
} remote;

static struct err remote_set(void *context, const struct attest_policy *policy, uint64_t *ret_version)
{
    snprintf(remote.id, sizeof remote.id, "%s", policy->id);
    buf_reset(&remote.text);
    buf_add_span(&remote.text, policy->text);
    if (strcmp(policy->id, "refused") == 0) FAIL(ERR_USAGE, "they do not want it");
    return ERR_OK;
}

static void test_set__elsewhere(void **state)
{
    kit.api->upkeep.set_policy = remote_set;
    kit.api->config.upkeep = &kit.api->upkeep;
    assert_int_equal(set("default_cpu", "not for us to judge"), 200);
    assert_null(header("ETag"));
    assert_string_equal(remote.id, "default_cpu");
    assert_string_equal(buf_str(&remote.text), "not for us to judge");
    assert_int_equal(set("refused", "x"), 400);
    assert_string_equal(text_at("/detail"), REFUSED "they do not want it");
    buf_free(&remote.text);
}

/* ---- reading back ----------------------------------------------------------------------------- */

#define OWN "/strongroom/v1/attestation-policy"

static void test_read(void **state)
{
    static const char text[] = HEAD "trust_claims := {\"hardware\": 3}\n";
    assert_int_equal(ASK("GET", OWN "/default_cpu", .local = true), 404);
    assert_int_equal(set("default_cpu", text), 200);
    assert_int_equal(ASK("GET", OWN "/default_cpu", .local = true), 200);
    assert_span(secret_span(response()->secret_body), text);
    assert_string_equal(header("ETag"), "\"1\"");
    assert_int_equal(ASK("GET", OWN "/default_cpu"), 401); /* it is for operators */
    assert_int_equal(ASK("GET", OWN, .local = true), 400);
    assert_int_equal(ASK("GET", OWN "/a/b", .local = true), 400);
    assert_int_equal(ASK("GET", OWN "/..", .local = true), 400);
    kit.api->config.upkeep = &kit.api->upkeep;
    assert_int_equal(ASK("GET", OWN "/default_cpu", .local = true), 404);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_set__both_layouts_of_clients),
        TEST(test_set__refused_changes_nothing),
        TEST(test_set__strict),
        TEST(test_set__of_another_slot),
        TEST(test_set__by_others),
        TEST(test_set__no_record),
        TEST(test_set__preconditions),
        TEST(test_set__elsewhere),
        TEST(test_read),
    };
    return cmocka_run_group_tests(tests, kit_token, kit_token_end);
}

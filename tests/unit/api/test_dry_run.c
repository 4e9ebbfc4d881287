#include "tests/unit/api/kit.h"
#include "tests/unit/api/warnings.h"

#define DRY_RUN "/strongroom/v1/policy/dry-run"

static struct buf body;
static int64_t start; /* Unix seconds of the first request */

static int64_t number_at(const char *pointer)
{
    int64_t value = -1;
    if (!json_int(member(pointer), &value)) fail_msg("%s: %s", pointer, response_text());
    return value;
}

static void check_number(const char *pointer, int64_t expected)
{
    if (number_at(pointer) != expected)
        fail_msg("%s is not %jd: %s", pointer, (intmax_t) expected, response_text());
}

/* The policy may be NULL; `more` are further members. */
static int dry_run(const char *policy, const char *more)
{
    struct json_out o = JSON_OUT(&body);
    buf_reset(&body);
    json_begin_object(&o);
    if (policy) json_member_str(&o, "policy", policy);
    if (more) buf_addf(&body, "%s%s", policy ? "," : "", more);
    json_end_object(&o);
    return ASK("POST", DRY_RUN, .local = true, .body = buf_span(&body));
}

/* Allows what lies below this repository. */
static const char *only(const char *repository)
{
    static char text[160];
    snprintf(text, sizeof text, "package policy\nimport rego.v1\ndefault allow := false\n"
             "allow if data[\"resource-path\"][0] == \"%s\"\n", repository);
    return text;
}

/* Four requests of one guest, under allow-all: a/b/c twice. */
static void some_requests(void)
{
    static const char *const targets[] = {"/kbs/v0/resource/a/b/c", "/kbs/v0/resource/x/y/z",
                                          "/kbs/v0/resource/a/b/c", "/kbs/v0/resource/no/such/one"};
    put("a/b/c", "value");
    put("x/y/z", "value");
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    guest_attest();
    start = clock_now(); /* our certificate is not older */
    for (size_t i = 0; i < COUNT(targets); i++) {
        clock_test_set(start + (int64_t) i);
        guest_get(targets[i]);
    }
}

/* ---- recent requests ---------------------------------------------------------------------- */

static void test_recent__what_would_change(void **state)
{
    some_requests();
    assert_int_equal(dry_run(only("x"), NULL), 200);
    assert_string_equal(response()->content_type, "application/json");
    check_number("/requests", 3);
    check_number("/seen", 4);
    check_number("/evaluated", 3);
    check_number("/allowed", 1);
    check_number("/denied", 2);
    check_number("/changed", 2);
    check_number("/now_allowed", 0);
    check_number("/now_denied", 2);
    check_number("/missed", 0);
    assert_string_equal(text_at("/source"), "recent");
    assert_string_equal(text_at("/active/state"), "set");
    check_number("/active/version", 1);
    assert_string_equal(text_at("/active/digest"), "25acb27c77924ba2");
    assert_int_equal(strlen(text_at("/candidate/digest")), 16);
    assert_int_equal(json_count(member("/decisions")), 2);
    /* latest first */
    assert_string_equal(text_at("/decisions/0/resource"), "no/such/one");
    assert_string_equal(text_at("/decisions/1/resource"), "a/b/c");
    assert_string_equal(text_at("/decisions/1/plugin"), "resource");
    assert_string_equal(text_at("/decisions/1/old"), "allow");
    assert_string_equal(text_at("/decisions/1/new"), "deny");
    assert_string_equal(text_at("/decisions/1/old_reason"), "allow is true");
    assert_string_equal(text_at("/decisions/1/new_reason"), "allow is false");
    assert_string_equal(text_at("/decisions/1/tee"), "sample");
    char date[CLOCK_TEXT];
    assert_string_equal(text_at("/decisions/1/time"), clock_rfc3339(start + 2, date));
    check_number("/decisions/1/seen", 2);
    assert_string_equal(text_at("/decisions/1/principal"), audit_nth_text(1, "principal"));
}

/* Names, TEE and fingerprint are told; nothing of what a token says, not even by a policy's error. */
static void test_recent__no_claims_in_the_answer(void **state)
{
    some_requests();
    assert_int_equal(dry_run("package policy\nimport rego.v1\n"
                             "allow if to_number(input.iss) == 1\n", NULL), 200);
    check_number("/changed", 3);
    assert_non_null(strstr(text_at("/decisions/0/new_reason"), "policy failed"));
    assert_null(strstr(response_text(), "kit")); /* iss */
    assert_null(strstr(response_text(), "tee-pubkey"));
    assert_null(strstr(response_text(), "claims"));
}

static void test_recent__nothing_changes(void **state)
{
    some_requests();
    assert_int_equal(dry_run("package policy\ndefault allow := true\n", NULL), 200);
    check_number("/changed", 0);
    check_number("/allowed", 3);
    assert_int_equal(json_count(member("/decisions")), 0);
}

/* What comes into question is held against the policy in force, not against what was once decided. */
static void test_recent__against_the_policy_in_force(void **state)
{
    some_requests();
    assert_int_equal(set_policy(POLICY_DENY_ALL_TEXT), 200);
    assert_int_equal(dry_run(only("x"), NULL), 200);
    check_number("/now_allowed", 1);
    check_number("/now_denied", 0);
    assert_string_equal(text_at("/decisions/0/old"), "deny");
    assert_string_equal(text_at("/decisions/0/new"), "allow");
    assert_string_equal(text_at("/decisions/0/resource"), "x/y/z");
}

/* Without a policy: what the one in force says to what another one once decided. */
static void test_recent__the_policy_in_force(void **state)
{
    some_requests();
    assert_int_equal(dry_run(NULL, NULL), 200);
    check_number("/changed", 0);
    assert_false(json_present(member("/candidate")));
    assert_int_equal(set_policy(only("a")), 200);
    assert_int_equal(dry_run(NULL, NULL), 200);
    check_number("/changed", 2);
    check_number("/allowed", 1);
    assert_string_equal(text_at("/decisions/1/old"), "allow");
    assert_string_equal(text_at("/decisions/1/new_reason"), "allow is false");
    assert_int_equal(ASK("POST", DRY_RUN, .local = true), 200); /* no body asks the same */
    check_number("/changed", 2);
}

/* A policy that looks at the clock sees the time of the request. */
static void test_recent__at_the_time_of_the_request(void **state)
{
    char text[200];
    some_requests();
    clock_test_set(start + 86400);
    snprintf(text, sizeof text, "package policy\nimport rego.v1\n"
             "allow if time.now_ns() < %jd000000000\n", (intmax_t) start + 2);
    assert_int_equal(dry_run(text, NULL), 200);
    check_number("/allowed", 1); /* x/y/z; a/b/c came again at the second that is too late */
}

/* A guest whose token has ended, and whose session is gone, still has its requests here. */
static void test_recent__of_guests_that_are_gone(void **state)
{
    some_requests();
    clock_test_set(start + 86400);
    guest_get("/kbs/v0/resource/a/b/c");
    check_error(401, "TokenNotFound", NULL);
    assert_int_equal(dry_run(POLICY_DENY_ALL_TEXT, NULL), 200);
    check_number("/now_denied", 3);
}

/* Decisions of no policy are remembered too: a first one can be tried on them. */
static void test_recent__before_any_policy(void **state)
{
    put("a/b/c", "value");
    guest_attest();
    guest_get("/kbs/v0/resource/a/b/c");
    check_error(403, "PolicyDeny", NULL);
    assert_int_equal(dry_run(POLICY_ALLOW_ALL_TEXT, NULL), 200);
    check_number("/now_allowed", 1);
    assert_string_equal(text_at("/active/state"), "none");
    assert_string_equal(text_at("/decisions/0/old_reason"), "no policy is set");
}

/* A policy that uses up its budget each time does not hold the broker for long. */
static void test_recent__time_is_limited(void **state)
{
    char target[80];
    guest_attest();
    for (int i = 0; i < 200; i++) {
        snprintf(target, sizeof target, "/kbs/v0/resource/a/b/%d", i);
        guest_get(target);
    }
    assert_int_equal(dry_run("package policy\nimport rego.v1\n"
                             "allow if count([1 | some i in numbers.range(1, 3000); "
                             "some j in numbers.range(1, 3000); i == j + 5000]) > 0\n", NULL), 200);
    assert_true(number_at("/requests") > 150);
    assert_true(number_at("/evaluated") > 0);
    assert_true(number_at("/evaluated") < number_at("/requests"));
    check_number("/allowed", 0);
    assert_int_equal(number_at("/denied"), number_at("/evaluated"));
}

/* ---- requests that are brought along ------------------------------------------------------- */

static void test_given__single(void **state)
{
    assert_int_equal(set_policy(only("a")), 200);
    assert_int_equal(dry_run(NULL, "\"claims\":{},\"resource\":\"a/b/c\""), 200);
    assert_string_equal(text_at("/source"), "given");
    check_number("/requests", 1);
    assert_int_equal(json_count(member("/decisions")), 1); /* told though nothing changes */
    assert_string_equal(text_at("/decisions/0/new"), "allow");
    assert_string_equal(text_at("/decisions/0/resource"), "a/b/c");
    assert_false(json_present(member("/decisions/0/old")));
    assert_false(json_present(member("/decisions/0/principal")));
    assert_false(json_present(member("/missed")));
    assert_int_equal(dry_run(only("b"), "\"claims\":{},\"resource\":\"a/b/c\""), 200);
    assert_string_equal(text_at("/decisions/0/old"), "allow");
    assert_string_equal(text_at("/decisions/0/new"), "deny");
    check_number("/now_denied", 1);
}

static void test_given__claims_plugin_and_query(void **state)
{
    static const char policy[] =
        "package policy\nimport rego.v1\nallow if {\n input.svn >= 3\n data.plugin == \"pkcs11\"\n"
        " data[\"resource-path\"] == [\"resource\", \"a\", \"b\", \"c\"]\n"
        " data.query.k == \"v\"\n}\n";
    static const char right[] = "{\"claims\":{\"svn\":3},\"plugin\":\"pkcs11\","
                                "\"resource\":\"resource/a/b/c\",\"query\":{\"k\":\"v\"}}";
    char requests[800];
    snprintf(requests, sizeof requests,
             "\"requests\":[%s,{\"claims\":{\"svn\":2},\"plugin\":\"pkcs11\",\"resource\":"
             "\"resource/a/b/c\",\"query\":{\"k\":\"v\"}},{\"claims\":{\"svn\":3}}]", right);
    assert_int_equal(dry_run(policy, requests), 200);
    check_number("/requests", 3);
    check_number("/allowed", 1);
    assert_string_equal(text_at("/decisions/0/new"), "allow");
    assert_string_equal(text_at("/decisions/1/new"), "deny");
    assert_string_equal(text_at("/decisions/2/new_reason"), "allow is undefined");
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void test_refused__does_not_compile(void **state)
{
    some_requests();
    assert_int_equal(dry_run("package policy\n\nallow if nosuch(1)\n", NULL), 400);
    check_error_with(400, "PolicyEngineError", NULL, 1);
    check_number("/errors/0/line", 3);
    check_number("/errors/0/column", 10);
    assert_string_equal(text_at("/errors/0/source"), "allow if nosuch(1)");
    check_record("policy-dry-run", "error", "refused");
}

/* What is suspicious is tried and said; with ?strict=1 it is refused. */
static void test_warnings(void **state)
{
    kit_open((struct kit_options){.lint = find_word});
    some_requests();
    assert_int_equal(dry_run(SUSPICIOUS, NULL), 200);
    check_number("/now_denied", 3);
    assert_string_equal(text_at("/warnings/0/hint"), "did you mean cpu0?");
    assert_int_equal(ASK("POST", DRY_RUN "?strict=1", .local = true, .body = buf_span(&body)), 400);
    check_error_with(400, "PolicyEngineError", NULL, 1);
    assert_string_equal(text_at("/errors/0/code"), "lint_claim");
    check_record("policy-dry-run", "error", "refused");
    assert_int_equal(dry_run(POLICY_DENY_ALL_TEXT, NULL), 200);
    assert_false(json_present(member("/warnings")));
}

static void test_refused__body(void **state)
{
    static const char *const bodies[] = {"{", "[]", "{\"polcy\":\"\"}", "{\"claims\":{},\"x\":1}"};
    for (size_t i = 0; i < COUNT(bodies); i++) {
        ASK("POST", DRY_RUN, .local = true, BODY(bodies[i]));
        check_error(400, "ParsePolicyError", NULL);
        check_record("policy-dry-run", "error", "refused");
    }
    ASK("POST", DRY_RUN "/x", .local = true, BODY("{}"));
    check_error(404, "InvalidRequestPath", NULL);
    assert_int_equal(ASK("GET", DRY_RUN, .local = true), 405);
}

static void test_refused__who_may_not(void **state)
{
    static const struct admin_acl acls[] = {
        {.role = "reader", .allowed_endpoints = "^/strongroom/v1/policy(/versions(/.*)?)?$"},
        {.role = "author", .allowed_endpoints = "^/strongroom/v1/policy/dry-run$"},
    };
    kit_open((struct kit_options){.acls = acls, .acl_count = COUNT(acls)});
    guest_attest();
    assert_int_equal(ASK("POST", DRY_RUN, HEADERS(kit.cookie), BODY("{}")), 401);
    assert_int_equal(ASK("POST", DRY_RUN, HEADERS(guest_bearer()), BODY("{}")), 401);
    assert_int_equal(ASK("POST", DRY_RUN, HEADERS(operator_bearer("reader")), BODY("{}")), 403);
    assert_int_equal(ASK("POST", DRY_RUN, HEADERS(operator_bearer("author")), BODY("{}")), 200);
    check_record("policy-dry-run", "done", "recent requests");
    assert_string_equal(audit_text("principal"), "admin:author:alice");
}

/* ---- what it leaves ------------------------------------------------------------------------ */

static void test_leaves__nothing_but_a_record(void **state)
{
    some_requests();
    uint64_t releases = metric_now("strongroom_releases_total");
    assert_int_equal(dry_run(POLICY_DENY_ALL_TEXT, NULL), 200);
    check_record("policy-dry-run", "done", "recent requests");
    assert_string_equal(audit_text("resource"), "resource-policy");
    assert_string_equal(audit_text("policy"), text_at("/candidate/digest"));
    assert_int_equal(dry_run(POLICY_DENY_ALL_TEXT, "\"claims\":{}"), 200);
    check_record("policy-dry-run", "done", "given requests");
    assert_int_equal(metric_now("strongroom_releases_total"), releases);
    assert_int_equal(ASK("GET", "/strongroom/v1/policy", .local = true), 200);
    assert_span(secret_span(response()->secret_body), POLICY_ALLOW_ALL_TEXT);
    assert_string_equal(header("ETag"), "\"1\"");
    assert_int_equal(dry_run(NULL, NULL), 200); /* a dry run is no request of a guest */
    check_number("/seen", 4);
}

static void test_leaves__no_record_no_answer(void **state)
{
    some_requests();
    audit_break();
    dry_run(POLICY_DENY_ALL_TEXT, NULL);
    audit_heal();
    check_error(503, "Unavailable", NULL);
}

static void test_reader_may(void **state)
{
    some_requests();
    kit_open((struct kit_options){.read_only = true});
    assert_int_equal(dry_run(POLICY_DENY_ALL_TEXT, NULL), 200);
    check_number("/requests", 0); /* another process has none of them */
}

static int end(void **state)
{
    buf_free(&body);
    return kit_token_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_recent__what_would_change),
        KIT_TEST(test_recent__no_claims_in_the_answer),
        KIT_TEST(test_recent__nothing_changes),
        KIT_TEST(test_recent__against_the_policy_in_force),
        KIT_TEST(test_recent__the_policy_in_force),
        KIT_TEST(test_recent__at_the_time_of_the_request),
        KIT_TEST(test_recent__of_guests_that_are_gone),
        KIT_TEST(test_recent__before_any_policy),
        KIT_TEST(test_recent__time_is_limited),
        KIT_TEST(test_given__single),
        KIT_TEST(test_given__claims_plugin_and_query),
        KIT_TEST(test_refused__does_not_compile),
        KIT_TEST(test_warnings),
        KIT_TEST(test_refused__body),
        KIT_TEST(test_refused__who_may_not),
        KIT_TEST(test_leaves__nothing_but_a_record),
        KIT_TEST(test_leaves__no_record_no_answer),
        KIT_TEST(test_reader_may),
    };
    return cmocka_run_group_tests(tests, kit_token, end);
}

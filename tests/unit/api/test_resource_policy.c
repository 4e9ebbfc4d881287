#include "tests/unit/api/kit.h"
#include "tests/unit/api/warnings.h"

/* What sha256sum says of the two stock texts. */
#define ALLOW_ALL "25acb27c77924ba2"
#define DENY_ALL "0d4dae163accd296"

#define TARGET "/kbs/v0/resource-policy"

static struct buf body;

static void test_set__in_force_at_once(void **state)
{
    put("a/b/c", "value");
    guest_attest();
    guest_get("/kbs/v0/resource/a/b/c");
    check_error(403, "PolicyDeny", "Access denied by policy");
    check_record("release", "deny", "no policy is set");
    assert_string_equal(audit_text("policy"), "");
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    assert_int_equal(response()->body.len, 0);
    assert_string_equal(header("ETag"), "\"1\"");
    check_record("set-policy", "done", "");
    assert_string_equal(audit_text("resource"), "resource-policy");
    assert_string_equal(audit_text("principal"), "local:unix:uid=0");
    assert_int_equal(strlen(audit_text("policy")), 16);
    guest_get("/kbs/v0/resource/a/b/c");
    check_released("value");
    assert_int_equal(set_policy(POLICY_DENY_ALL_TEXT), 200);
    assert_string_equal(header("ETag"), "\"2\"");
    guest_get("/kbs/v0/resource/a/b/c");
    check_error(403, "PolicyDeny", NULL);
}

/* The stock allow-all of kbs-client knows one plugin (15.13). */
static void test_set__allow_resource_is_not_pkcs11(void **state)
{
    put("a/b/c", "value");
    guest_attest();
    assert_int_equal(set_policy("package policy\nimport rego.v1\ndefault allow = false\n"
                                "plugin = data.plugin\nallow if { plugin == \"resource\" }\n"), 200);
    guest_get("/kbs/v0/resource/a/b/c");
    check_released("value");
    guest_get("/kbs/v0/pkcs11/resource/a/b/c");
    check_error(403, "PolicyDeny", NULL);
    check_record("release", "deny", "allow is false");
}

static void test_set__refused_uploads(void **state)
{
    static const struct { const char *body, *detail; } rows[] = {
        {"", "Failed to parse policy: Illegal SetPolicy Request Json"},
        {"{", "Failed to parse policy: Illegal SetPolicy Request Json"},
        {"{\"policy\":\"\",\"policy\":\"\"}",
         "Failed to parse policy: Illegal SetPolicy Request Json"},
        {"{}", "Failed to parse policy: No `policy` field inside SetPolicy Request Json"},
        {"[]", "Failed to parse policy: No `policy` field inside SetPolicy Request Json"},
        {"{\"Policy\":\"\"}",
         "Failed to parse policy: No `policy` field inside SetPolicy Request Json"},
        {"{\"policy\":1}",
         "Failed to parse policy: `policy` field is not a string in SetPolicy Request Json"},
        {"{\"policy\":null}",
         "Failed to parse policy: `policy` field is not a string in SetPolicy Request Json"},
        {"{\"policy\":\"a+b/\"}", NULL},
        {"{\"policy\":\"YQ==\"}", NULL},
        {"{\"policy\":\"_w\"}", "Failed to parse policy: Failed to decode policy: not UTF-8"},
    };
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    for (size_t i = 0; i < 2 * COUNT(rows); i++) {
        bool reference = i >= COUNT(rows);
        size_t row = i % COUNT(rows);
        if (i == COUNT(rows)) kit_open((struct kit_options){.reference = true, .network = true});
        ASK("POST", TARGET, .local = true, BODY(rows[row].body));
        check_error(reference ? 401 : 400, "ParsePolicyError", rows[row].detail);
        check_record("set-policy", "error", "refused");
    }
    kit_open((struct kit_options){0});
    assert_int_equal(ASK("GET", "/strongroom/v1/status", .local = true), 200);
    assert_string_equal(text_at("/policy_digest"), ALLOW_ALL); /* what was in force still is */
}

#define FAILED "Policy engine error: Failed to load policy: "

/* For a person: place, sentence, that line of his text, the way out. */
static void test_set__refused_text_says_where_and_why(void **state)
{
    static const struct { const char *text, *detail; } rows[] = {
        {"package policy\n\ndefault allow := false\n\nallow if {\n\tstartwith(data.plugin, \"re\")\n}\n",
         FAILED "policy.rego:6:2: rego_type_error: undefined function startwith\n"
                "     startwith(data.plugin, \"re\")\n"
                "    did you mean startswith?"},
        {"package policy\n\nallow {\n\ttrue\n}\n",
         FAILED "policy.rego:3:7: rego_parse_error: `if` keyword is required before rule body\n"
                "    allow {\n"
                "    Rego of before version 1: write `allow if {`"},
        {"package policy\nallow if http.send({}).ok\n",
         FAILED "policy.rego:2:10: rego_type_error: unsafe built-in function calls in expression: "
                "http.send\n    allow if http.send({}).ok\n"
                "    nothing outside is reached from a policy; put the value into data or input"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(set_policy(rows[i].text), 400);
        check_error_with(400, "PolicyEngineError", rows[i].detail, 1);
        check_record("set-policy", "error", "refused");
        assert_int_equal(json_count(member("/errors")), 1);
    }
    kit_open((struct kit_options){.reference = true, .network = true});
    assert_int_equal(set_policy("nonsense"), 401);
    check_error_with(401, "PolicyEngineError", NULL, 1);
    assert_int_equal(set_policy(""), 401);
    check_error_with(401, "PolicyEngineError", NULL, 1);
}

/* All that is wrong, bounded: five for the reader, twenty for a program, and how many more. */
static void test_set__many_errors_at_once(void **state)
{
    struct buf text = BUF_INIT;
    buf_add_str(&text, "package policy\n");
    for (int i = 0; i < 30; i++) buf_addf(&text, "p%02d if nosuch%02d(1)\n", i, i);
    int status = set_policy(buf_str(&text));
    buf_free(&text);
    assert_int_equal(status, 400);
    check_error_with(400, "PolicyEngineError", NULL, 2);
    assert_int_equal(json_count(member("/errors")), REGO_ERRORS_MAX);
    assert_string_equal(text_at("/errors/19/source"), "p19 if nosuch19(1)");
    assert_string_equal(text_at("/errors/19/code"), "rego_type_error");
    int64_t n = 0;
    assert_true(json_int(member("/more"), &n));
    assert_int_equal(n, 10);
    assert_true(json_int(member("/errors/19/line"), &n));
    assert_int_equal(n, 21);
    assert_true(json_int(member("/errors/19/column"), &n));
    assert_int_equal(n, 8);
    assert_non_null(strstr(text_at("/detail"), "\nand 25 more"));
    assert_null(strstr(text_at("/detail"), "nosuch05"));
}

static int upload(const char *text, const char *target)
{
    policy_body(text, &body);
    return ASK("POST", target, .local = true, .body = buf_span(&body));
}


/* It is set all the same, and the answer says so to who asks: clients of the KBS expect no body. */
static void test_set__warnings_are_told(void **state)
{
    kit_open((struct kit_options){.lint = find_word});
    assert_int_equal(upload(SUSPICIOUS, TARGET "?warnings=1"), 200);
    assert_string_equal(header("ETag"), "\"1\"");
    assert_string_equal(response()->content_type, "application/json");
    assert_int_equal(json_count(member("/warnings")), 1);
    assert_string_equal(text_at("/warnings/0/code"), "lint_claim");
    assert_string_equal(text_at("/warnings/0/source"), "allow if input.submods.cpu1");
    assert_string_equal(text_at("/warnings/0/hint"), "did you mean cpu0?");
    check_record("set-policy", "done", "");
    assert_int_equal(upload(SUSPICIOUS, TARGET), 200);
    assert_int_equal(response()->body.len, 0);
    assert_int_equal(upload(POLICY_ALLOW_ALL_TEXT, TARGET "?strict=1"), 200);
    assert_int_equal(response()->body.len, 0);
}

static void test_set__strict_makes_warnings_errors(void **state)
{
    kit_open((struct kit_options){.lint = find_word});
    assert_int_equal(upload(POLICY_ALLOW_ALL_TEXT, TARGET), 200);
    assert_int_equal(upload(SUSPICIOUS, TARGET "?strict=1"), 400);
    check_error_with(400, "PolicyEngineError",
                     FAILED "policy.rego:3:24: lint_claim: tokens have no cpu1\n"
                     "    allow if input.submods.cpu1\n    did you mean cpu0?", 1);
    check_record("set-policy", "error", "refused");
    assert_int_equal(upload(SUSPICIOUS, TARGET "?strict=true"), 400);
    assert_int_equal(ASK("GET", "/strongroom/v1/status", .local = true), 200);
    assert_string_equal(text_at("/policy_digest"), ALLOW_ALL);
    assert_int_equal(upload(SUSPICIOUS, TARGET "?strict=0"), 200);
}

/* A comment makes the text as long as wanted. */
static int set_policy_of(size_t bytes)
{
    struct buf text = BUF_INIT;
    buf_add_str(&text, POLICY_ALLOW_ALL_TEXT "#");
    while (text.len < bytes) buf_add_byte(&text, 'x');
    int status = set_policy(buf_str(&text));
    buf_free(&text);
    return status;
}

static void test_set__size_limit(void **state)
{
    assert_int_equal(set_policy_of(POLICY_MAX), 200);
    assert_int_equal(set_policy_of(POLICY_MAX + 1), 400);
    check_error(400, "ParsePolicyError", NULL);
    assert_non_null(strstr(text_at("/detail"), "over 262144 bytes"));
    assert_int_equal(set_policy_of(BODY_JSON), 413);
    check_error(413, "PayloadTooLarge", NULL);
}

static void test_set__preconditions(void **state)
{
    policy_body(POLICY_DENY_ALL_TEXT, &body);
    struct span text = buf_span(&body);
    ASK("POST", TARGET, .local = true, .body = text, HEADERS("If-Match: \"1\""));
    check_error(412, "PreconditionFailed", NULL);
    check_record("set-policy", "error", "precondition");
    assert_int_equal(ASK("POST", TARGET, .local = true, .body = text, HEADERS("If-None-Match: *")),
                     200);
    assert_int_equal(ASK("POST", TARGET, .local = true, .body = text, HEADERS("If-Match: \"1\"")),
                     200);
    assert_string_equal(header("ETag"), "\"2\"");
    ASK("POST", TARGET, .local = true, .body = text, HEADERS("If-Match: two"));
    check_error(400, "InvalidRequestPath", NULL);
}

static void test_set__reader(void **state)
{
    kit_open((struct kit_options){.read_only = true});
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 503);
    check_error(503, "ReadOnly", NULL);
    assert_int_equal(ASK("GET", "/strongroom/v1/status", .local = true), 200);
    assert_string_equal(text_at("/policy"), "none");
}

/* Without its record the answer is 503; but it is stored, so it is in force, as after a restart. */
static void test_set__without_a_record(void **state)
{
    audit_break();
    int status = set_policy(POLICY_DENY_ALL_TEXT);
    audit_heal();
    assert_int_equal(status, 503);
    check_error(503, "Unavailable", NULL);
    assert_null(header("ETag"));
    assert_int_equal(ASK("GET", "/strongroom/v1/status", .local = true), 200);
    assert_string_equal(text_at("/policy_digest"), DENY_ALL);
    audit_break();
    status = set_policy("nonsense");
    audit_heal();
    check_error(503, "Unavailable", NULL);
}

/* Ids, never the text (kbs-api.md 6.3); a path below changes nothing (15.12). */
static void test_list__ids(void **state)
{
    static const char *const targets[] = {TARGET, TARGET "/x", TARGET "?x=y"};
    assert_int_equal(set_policy(POLICY_DENY_ALL_TEXT), 200);
    for (size_t i = 0; i < COUNT(targets); i++) {
        assert_int_equal(ASK("GET", targets[i], .local = true), 200);
        assert_string_equal(response()->content_type, "application/json");
        assert_string_equal(response_text(), "[\"resource-policy\"]");
    }
}

static int end(void **state)
{
    buf_free(&body);
    return kit_token_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_set__in_force_at_once),
        KIT_TEST(test_set__allow_resource_is_not_pkcs11),
        KIT_TEST(test_set__refused_uploads),
        KIT_TEST(test_set__refused_text_says_where_and_why),
        KIT_TEST(test_set__many_errors_at_once),
        KIT_TEST(test_set__warnings_are_told),
        KIT_TEST(test_set__strict_makes_warnings_errors),
        KIT_TEST(test_set__size_limit),
        KIT_TEST(test_set__preconditions),
        KIT_TEST(test_set__reader),
        KIT_TEST(test_set__without_a_record),
        KIT_TEST(test_list__ids),
    };
    return cmocka_run_group_tests(tests, kit_token, end);
}

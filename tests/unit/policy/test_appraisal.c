#include "policy/appraisal.h"
#include "policy/builtin.h"
#include "policy/value.h"
#include "tests/lib/test.h"

#define HEAD "package policy\n\nimport rego.v1\n\n"

static struct {
    struct appraisal_policy *policy;
    struct policy_run *run;
    struct policy_claims *evidence;
    struct rego_errors errors;
    struct appraisal_answer answer;
    char printed[64];
} t;

static int setup(void **state)
{
    t.run = policy_run_new();
    return t.run ? 0 : -1;
}

static int teardown(void **state)
{
    appraisal_policy_free(t.policy);
    policy_claims_free(t.evidence);
    policy_run_free(t.run);
    memset(&t, 0, sizeof t);
    return 0;
}

static void compile(const char *text, const struct builtin_host *host)
{
    appraisal_policy_free(t.policy);
    t.policy = appraisal_policy_compile(text, strlen(text), host, &t.errors);
    if (!t.policy) fail_msg("%s", t.errors.items[0].text);
    assert_int_equal(t.errors.count, 0);
}

static void print(void *context, const char *line, size_t len)
{
    snprintf(context, sizeof t.printed, "%.*s", (int) len, line);
}

static bool ask(const char *text, const char *evidence)
{
    struct appraisal_question q = {.now_ns = 7, .print = print, .context = t.printed};
    policy_claims_free(t.evidence);
    t.evidence = evidence ? policy_claims_new(evidence, strlen(evidence), NULL) : NULL;
    q.evidence = t.evidence;
    compile(text, NULL);
    memset(&t.answer, 0xAA, sizeof t.answer);
    return appraisal_policy_ask(t.policy, t.run, &q, &t.answer);
}

static int64_t claim(const char *name)
{
    int64_t n = 0;
    const struct value *v = object_get_z(t.answer.trust_claims, name);
    assert_true(value_is(v, VALUE_NUMBER) && num_to_i64(v->number, &n));
    return n;
}

static void test_ask__both_rules(void **state)
{
    assert_true(ask(HEAD "trust_claims := {\"hardware\": h}\n\ndefault h := 97\n\n"
                    "h := 2 if input.sample.svn == \"1\"\n\n"
                    "extensions := [{\"name\": \"a\", \"key\": 1, \"value\": time.now_ns()}]\n",
                    "{\"sample\":{\"svn\":\"1\"}}"));
    assert_false(t.answer.failed);
    assert_int_equal(claim("hardware"), 2);
    assert_int_equal(t.answer.extensions->count, 1);
    assert_true(t.answer.steps > 0);
    assert_true(ask(HEAD "trust_claims := {\"hardware\": h}\n\ndefault h := 97\n\n"
                    "h := 2 if input.sample.svn == \"1\"\n", NULL));
    assert_int_equal(claim("hardware"), 97);
    assert_null(t.answer.extensions);
}

/* Also what means another slot, or another package. */
static void test_ask__claims_nothing(void **state)
{
    static const char *const rows[] = {HEAD "allow := true\n", "package policy\n",
                                       "package agent_policy\n\ntrust_claims := {\"hardware\": 2}\n",
                                       HEAD "trust_claims := {\"a\": 1} if input.nosuch\n"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(ask(rows[i], "{}"));
        assert_null(t.answer.trust_claims);
        assert_null(t.answer.extensions);
    }
}

static void test_ask__fails(void **state)
{
    assert_false(ask(HEAD "trust_claims := {\"hardware\": h}\n\nh := 1\n\nh := 2 if input.a\n",
                     "{\"a\":1}"));
    assert_true(t.answer.failed);
    assert_null(t.answer.trust_claims);
    assert_non_null(strstr(t.answer.reason, "eval_conflict_error"));
    assert_non_null(strstr(t.answer.reason, "policy.rego:"));
    /* A builtin's error, even below `not`, and of the rule that nobody needs for the claims. */
    assert_false(ask(HEAD "trust_claims := {\"hardware\": 2} if not base64.decode(\"!\") == \"\"\n", "{}"));
    assert_non_null(strstr(t.answer.reason, "eval_builtin_error"));
    assert_false(ask(HEAD "trust_claims := {\"hardware\": 2}\n\n"
                     "extensions := [base64.decode(\"!\")]\n", "{}"));
}

static void test_ask__budget(void **state)
{
    assert_false(ask(HEAD "trust_claims := {\"hardware\": count(n)}\n\n"
                     "n := [1 | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); a == b]\n",
                     "{}"));
    assert_non_null(strstr(t.answer.reason, "limit_error"));
    assert_true(ask(HEAD "trust_claims := {\"hardware\": 2}\n", "{}")); /* the run is as good as new */
}

static void test_ask__prints(void **state)
{
    assert_true(ask(HEAD "trust_claims := {\"hardware\": 2} if print(\"seen\", input.a)\n", "{\"a\":1}"));
    assert_string_equal(t.printed, "seen 1");
}

static void test_compile__refused(void **state)
{
    static const char *const rows[] = {"garbage", HEAD "trust_claims := {\"a\": nosuch(1)}\n",
                                       HEAD "trust_claims := x\n", ""};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_null(appraisal_policy_compile(rows[i], strlen(rows[i]), NULL, &t.errors));
        assert_true(t.errors.count > 0);
    }
    appraisal_policy_free(NULL);
}

/* A name that another slot has is told apart from a slip of the pen. */
static void test_compile__function_of_another_slot(void **state)
{
    static const struct builtin_elsewhere elsewhere[] = {{"lookup", "only tests have lookup"}};
    static const struct builtin_host host = {.elsewhere = elsewhere, .elsewhere_count = 1};
    static const char text[] = HEAD "trust_claims := {\"hardware\": lookup(\"a\")}\n";
    assert_null(appraisal_policy_compile(text, strlen(text), &host, &t.errors));
    assert_string_equal(t.errors.items[0].text, "undefined function lookup");
    assert_string_equal(t.errors.items[0].hint, "only tests have lookup");
}

#define POLICY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        POLICY_TEST(test_ask__both_rules),
        POLICY_TEST(test_ask__claims_nothing),
        POLICY_TEST(test_ask__fails),
        POLICY_TEST(test_ask__budget),
        POLICY_TEST(test_ask__prints),
        POLICY_TEST(test_compile__refused),
        POLICY_TEST(test_compile__function_of_another_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "policy/policy_claims.h"
#include "policy/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LEN(a) (sizeof(a) / sizeof(a)[0])

static struct policy_claims *claims; /* freed in teardown: a failing assert jumps over all else */
static char *text;

static int teardown(void **state)
{
    policy_claims_free(claims);
    claims = NULL;
    free(text);
    text = NULL;
    return 0;
}

static const struct value *parse(const char *json)
{
    struct policy_claims_error e = { 0 };
    teardown(NULL);
    claims = policy_claims_new(json, strlen(json), &e);
    if (!claims) fail_msg("%s at %zu", e.text, e.offset);
    return policy_claims_value(claims);
}

static void refused(const char *json, size_t len, const char *why)
{
    struct policy_claims_error e = { 0 };
    assert_null(policy_claims_new(json, len, &e));
    assert_string_equal(e.text, why);
    assert_true(e.offset <= len);
    assert_null(policy_claims_new(json, len, NULL));
}

static void test_new__keeps_what_is_said(void **state)
{
    const struct value *v = parse("{\"exp\":1700000300,\"svn\":18446744073709551616,\"v\":1.10,"
                                  "\"submods\":{\"cpu0\":{\"ear.status\":\"affirming\"}},\"n\":[null,true]}");
    int64_t exp = 0;
    assert_true(num_to_i64(object_get_z(v, "exp")->number, &exp));
    assert_int_equal(exp, 1700000300);
    assert_string_equal(object_get_z(v, "svn")->number.text, "18446744073709551616");
    assert_string_equal(object_get_z(v, "v")->number.text, "1.10");
    v = object_get_z(object_get_z(object_get_z(v, "submods"), "cpu0"), "ear.status");
    assert_true(string_is(v, "affirming"));
}

/* The text may go, and does here before anything is read. */
static void test_new__copies_the_text(void **state)
{
    char json[] = "{\"a\":\"long enough to lie outside\"}";
    struct policy_claims *c = policy_claims_new(json, sizeof json - 1, NULL);
    memset(json, 'x', sizeof json);
    claims = c;
    assert_true(string_is(object_get_z(policy_claims_value(c), "a"), "long enough to lie outside"));
}

static void test_new__refusals(void **state)
{
    static const struct { const char *json, *why; } rows[] = {
        { "", "unexpected end of the text" },
        { "[]", "the claims are no JSON object" },
        { "\"a\"", "the claims are no JSON object" },
        { "null", "the claims are no JSON object" },
        { "{\"a\":1,\"a\":1}", "member named twice" },
        { "{\"a\":{\"b\":1,\"b\":2}}", "member named twice" },
        { "{} {}", "text behind the value" },
        { "{\"a\":01}", "bad number" },
        { "{\"a\":\"\xff\"}", "text is not UTF-8" },
        { "{\"a\":tru}", "unexpected character" },
    };
    for (size_t i = 0; i < LEN(rows); i++) refused(rows[i].json, strlen(rows[i].json), rows[i].why);
}

/* {"a":[[[..]]]}, `depth` levels in all. */
static size_t nested(unsigned depth)
{
    size_t arrays = depth - 1, len;
    free(text);
    text = malloc(2 * arrays + 8);
    memcpy(text, "{\"a\":", 5);
    len = 5;
    memset(text + len, '[', arrays);
    memset(text + len + arrays, ']', arrays);
    len += 2 * arrays;
    text[len++] = '}';
    return len;
}

static void test_new__depth(void **state)
{
    size_t len = nested(POLICY_CLAIMS_DEPTH_MAX);
    claims = policy_claims_new(text, len, NULL);
    assert_non_null(claims);
    len = nested(POLICY_CLAIMS_DEPTH_MAX + 1);
    refused(text, len, "nested too deep");
}

/* {"a":[-1,-1,..]}: three bytes make a whole value (0 to 255 are there already). */
static size_t numbers(size_t count)
{
    size_t len = 0;
    free(text);
    text = malloc(3 * count + 16);
    memcpy(text, "{\"a\":[-1", 8);
    for (len = 8; count > 1; count--, len += 3) memcpy(text + len, ",-1", 3);
    memcpy(text + len, "]}", 2);
    return len + 2;
}

static void test_new__size(void **state)
{
    size_t most = POLICY_CLAIMS_MAX / (sizeof(struct value) + sizeof(void *));
    size_t len = numbers(most - 20);
    claims = policy_claims_new(text, len, NULL);
    assert_non_null(claims);
    assert_true(policy_claims_bytes(claims) <= POLICY_CLAIMS_MAX);
    assert_true(policy_claims_bytes(claims) > POLICY_CLAIMS_MAX - POLICY_CLAIMS_MAX / 100);
    len = numbers(most + 1);
    refused(text, len, "the claims are too large");
    len = numbers(40 * most); /* beyond what parsing may use, too */
    refused(text, len, "the claims are too large");
}

/* What is kept of claims is near to what they are: many of them are kept. */
static void test_bytes__of_a_token(void **state)
{
    const char *json = "{\"submods\":{\"cpu0\":{\"ear.status\":\"affirming\",\"ear.trustworthiness-vector\":"
                       "{\"executables\":3,\"hardware\":2,\"configuration\":2}}},\"exp\":1,\"iat\":0}";
    parse(json);
    assert_true(policy_claims_bytes(claims) < 10 * strlen(json));
    policy_claims_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_new__keeps_what_is_said, teardown),
        cmocka_unit_test_teardown(test_new__copies_the_text, teardown),
        cmocka_unit_test_teardown(test_new__refusals, teardown),
        cmocka_unit_test_teardown(test_new__depth, teardown),
        cmocka_unit_test_teardown(test_new__size, teardown),
        cmocka_unit_test_teardown(test_bytes__of_a_token, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

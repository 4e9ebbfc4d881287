#include "broker/api/policy_text.h"
#include "broker/base/limits.h"
#include "broker/jose/b64url.h"
#include "tests/lib/test.h"

static struct buf body, text;

static int teardown(void **state)
{
    buf_free(&body);
    buf_free(&text);
    return 0;
}

static err_t read_encoded(struct span policy)
{
    buf_reset(&body);
    buf_free(&text);
    buf_add_str(&body, "{\"policy\":\"");
    b64url_add(&body, policy);
    buf_add_str(&body, "\",\"type\":\"rego\"}");
    return policy_text_read(buf_span(&body), &text);
}

static void test_read__the_text(void **state)
{
    assert_ok(read_encoded(SPAN_LIT("package policy\n# \xc3\xa9 ~~~\n")));
    assert_span(buf_span(&text), "package policy\n# \xc3\xa9 ~~~\n");
    assert_ok(read_encoded(SPAN_LIT("")));
    assert_int_equal(text.len, 0);
}

static void test_read__refusals(void **state)
{
    static const struct { const char *body, *says; } rows[] = {
        {"", "Illegal SetPolicy Request Json"},
        {"{\"policy\":\"YQ\"", "Illegal SetPolicy Request Json"},
        {"{\"policy\":\"YQ\",\"policy\":\"YQ\"}", "Illegal SetPolicy Request Json"},
        {"[\"YQ\"]", "No `policy` field"},
        {"{\"policy\":[\"YQ\"]}", "`policy` field is not a string"},
        {"{\"policy\":\"YQ==\"}", "Failed to decode policy: not base64url without padding"},
        {"{\"policy\":\"Y Q\"}", "Failed to decode policy: not base64url without padding"},
        {"{\"policy\":\"_w\"}", "Failed to decode policy: not UTF-8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_fails_with(policy_text_read(span_str(rows[i].body), &text), ERR_USAGE, rows[i].says);
        buf_free(&text);
    }
}

static void test_read__size(void **state)
{
    static uint8_t policy[POLICY_MAX + 1];
    memset(policy, '#', sizeof policy);
    assert_ok(read_encoded(span_of(policy, POLICY_MAX)));
    assert_int_equal(text.len, POLICY_MAX);
    assert_fails_with(read_encoded(span_of(policy, POLICY_MAX + 1)), ERR_USAGE, "over 262144 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_read__the_text, teardown),
        cmocka_unit_test_teardown(test_read__refusals, teardown),
        cmocka_unit_test_teardown(test_read__size, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

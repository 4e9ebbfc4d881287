#include "tests/unit/api/kit.h"

#define TARGET "/kbs/v0/reference-value"
#define GET_FAILED "RVPS configuration failed: Failed to get reference_values: "
#define SET_FAILED "RVPS configuration failed: Failed to register reference value: "

static struct buf body;

static int teardown(void **state)
{
    buf_free(&body);
    return kit_teardown(state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, teardown)

static int set(const char *payload)
{
    struct buf encoded = BUF_INIT;
    b64_add(&encoded, span_str(payload));
    buf_reset(&body);
    buf_addf(&body, "{\"payload\":\"%s\",\"type\":\"sample\",\"version\":\"0.1.0\"}", buf_str(&encoded));
    buf_free(&encoded);
    return ASK("POST", TARGET, .local = true, .body = buf_span(&body));
}

static void check_value(const char *name, const char *expected)
{
    char target[400];
    snprintf(target, sizeof target, TARGET "/%s", name);
    assert_int_equal(ASK("GET", target, .local = true), 200);
    assert_string_equal(response()->content_type, "application/json");
    assert_string_equal(response_text(), expected);
}

static void test_set__comes_back(void **state)
{
    assert_int_equal(set("{\"svn\":[\"1\"],\"a/b c\":{\"x\":null}}"), 200);
    assert_int_equal(response()->body.len, 0);
    assert_string_equal(response()->content_type, "application/json");
    check_record("set-reference-value", "done", "");
    assert_int_equal(set("{\"other\":1}"), 200);
    check_value("svn", "[\"1\"]");
    check_value("a/b%20c", "{\"x\":null}");
    check_value("other", "1");
}

static void test_get__unknown_and_none(void **state)
{
    assert_int_equal(ASK("GET", TARGET "/nosuch", .local = true), 404);
    check_error(404, "RvpsError", GET_FAILED "No reference value found for the given id: nosuch");
    check_record("read-reference-value", "missing", "refused");
    assert_int_equal(ASK("GET", TARGET, .local = true), 400);
    check_error(400, "RvpsError", GET_FAILED "query reference values");
    assert_int_equal(ASK("GET", TARGET "/", .local = true), 400);
    kit_open((struct kit_options){.reference = true, .network = true});
    assert_int_equal(ASK("GET", TARGET "/nosuch", .local = true), 401);
}

static void test_set__refused_changes_nothing(void **state)
{
    assert_int_equal(set("{\"a\":1}"), 200);
    static const char *const bodies[] = {
        "", "[]", "{\"version\":\"0.1.0\",\"type\":\"abacus\",\"payload\":\"e30=\"}",
        "{\"version\":\"0.1.0\",\"type\":\"sample\",\"payload\":\"!!\"}"};
    for (size_t i = 0; i < COUNT(bodies); i++) {
        assert_int_equal(ASK("POST", TARGET, .local = true, BODY(bodies[i])), 400);
        check_error(400, "RvpsError", NULL);
        assert_true(strncmp(text_at("/detail"), SET_FAILED, strlen(SET_FAILED)) == 0);
        check_record("set-reference-value", "error", "refused");
    }
    assert_int_equal(ASK("POST", TARGET, .local = true, BODY("\xff")), 400);
    assert_non_null(strstr(text_at("/detail"), "Failed to parse reference value message"));
    assert_int_equal(ASK("POST", TARGET "/a", .local = true, BODY("{}")), 400);
    assert_int_equal(set("{\"a\":2,\"\":3}"), 400);
    check_value("a", "1");
}

static void test_list__all_of_them(void **state)
{
    clock_test_set(NOON);
    assert_int_equal(ASK("GET", "/strongroom/v1/reference-values", .local = true), 200);
    assert_string_equal(response_text(), "{\"values\":[]}");
    assert_int_equal(set("{\"b\":1,\"a\":[2]}"), 200);
    assert_int_equal(ASK("GET", "/strongroom/v1/reference-values", .local = true), 200);
    assert_string_equal(response_text(), "{\"values\":[{\"name\":\"a\",\"value\":[2],\"expires\":1827144000,"
                        "\"expired\":false},{\"name\":\"b\",\"value\":1,\"expires\":1827144000,\"expired\":false}]}");
    assert_int_equal(ASK("GET", "/strongroom/v1/reference-values/a", .local = true), 404);
}

static void test_all__by_others(void **state)
{
    assert_int_equal(ASK("POST", TARGET, BODY("{}")), 401);
    check_error(401, "AdminAuthAccess", NULL);
    assert_int_equal(ASK("GET", TARGET "/a"), 401);
    assert_int_equal(ASK("GET", "/strongroom/v1/reference-values"), 401);
    assert_int_equal(ASK("DELETE", TARGET "/a", .local = true), 404);
    kit_open((struct kit_options){.read_only = true});
    assert_int_equal(set("{\"a\":1}"), 503);
}

static void test_set__no_record(void **state)
{
    audit_break();
    assert_int_equal(set("{\"a\":1}"), 503);
    audit_heal();
    check_value("a", "1");
}

/* ---- where another service appraises --------------------------------------------------------- */

static struct err remote_register(void *context, struct span message)
{
    if (!span_starts(message, "{\"mine\"")) FAIL(ERR_TOKEN_DOWN, "the service does not answer");
    return ERR_OK;
}

static struct err remote_query(void *context, const char *name, struct buf *ret)
{
    buf_addf(ret, "\"%s\"", name);
    return buf_ok(ret);
}

static void test_all__elsewhere(void **state)
{
    kit.api->upkeep = (struct attest_upkeep){.register_values = remote_register, .query_value = remote_query};
    kit.api->config.upkeep = &kit.api->upkeep;
    assert_int_equal(ASK("POST", TARGET, .local = true, BODY("{\"mine\":1}")), 200);
    assert_int_equal(set("{\"a\":1}"), 503);
    check_value("x/y", "\"x/y\"");
    assert_int_equal(ASK("GET", "/strongroom/v1/reference-values", .local = true), 400);
    assert_non_null(strstr(text_at("/detail"), "only a broker that appraises by itself"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_set__comes_back),
        TEST(test_get__unknown_and_none),
        TEST(test_set__refused_changes_nothing),
        TEST(test_list__all_of_them),
        TEST(test_all__by_others),
        TEST(test_set__no_record),
        TEST(test_all__elsewhere),
    };
    return cmocka_run_group_tests(tests, kit_token, kit_token_end);
}

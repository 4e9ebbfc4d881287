#include "tests/unit/api/kit.h"

#define RESOURCE "/kbs/v0/resource/a/b/c"
#define VERSIONS "/strongroom/v1/resource-versions/a/b/c"
#define RESTORE "/strongroom/v1/resource-restore/a/b/c"
#define PURGE "/strongroom/v1/resource-purge/a/b/c"

static int setup(void **state)
{
    kit_setup(state);
    kit_open((struct kit_options){.keep_versions = 5});
    return 0;
}

static int store(const char *value)
{
    return ASK("POST", RESOURCE, .local = true, BODY(value));
}

static void check_value(const char *value)
{
    assert_int_equal(ASK("GET", "/strongroom/v1/resource/a/b/c", .local = true), 200);
    assert_span(secret_span(response()->secret_body), value);
}

static void test_versions__newest_first(void **state)
{
    assert_int_equal(store("one"), 200);
    assert_int_equal(store("three"), 200);
    assert_int_equal(ASK("DELETE", RESOURCE, .local = true), 200);
    assert_int_equal(ASK("GET", VERSIONS, .local = true), 200);
    assert_null(header("ETag")); /* nothing to match below a tombstone */
    assert_non_null(strstr(response_text(), "{\"name\":\"a/b/c\",\"versions\":[{\"state\":\"deleted\",\"version\":3"));
    assert_non_null(strstr(response_text(), "{\"state\":\"live\",\"version\":2"));
    assert_non_null(strstr(response_text(), "\"size\":5"));
    assert_int_equal(store("four"), 200);
    assert_int_equal(ASK("GET", VERSIONS, .local = true), 200);
    assert_string_equal(header("ETag"), "\"4\"");
}

static void test_versions__what_a_condition_is_held_against_below_what_cannot_be_read(void **state)
{
    struct p11_object o;
    assert_int_equal(store("one"), 200);
    assert_ok(p11_object_create(kit.token, "a/b/c", SPAN_LIT("SRE1\x02 of the future"), &o));
    kit_open((struct kit_options){.keep_versions = 5});
    assert_int_equal(ASK("GET", VERSIONS, .local = true), 200);
    assert_string_equal(header("ETag"), "\"1\"");
    assert_int_equal(ASK("POST", RESOURCE, .local = true, BODY("two"), HEADERS("If-Match: \"1\"")), 200);
    check_value("two");
}

static void test_versions__refused(void **state)
{
    assert_int_equal(ASK("GET", VERSIONS, .local = true), 404);
    assert_int_equal(ASK("GET", "/strongroom/v1/resource-versions/a/b", .local = true), 400);
    kit_open((struct kit_options){.mode = ADMIN_DENY_ALL});
    assert_int_equal(ASK("GET", VERSIONS), 401);
}

static void test_restore__a_deleted_one_comes_back(void **state)
{
    assert_int_equal(store("one"), 200);
    assert_int_equal(ASK("DELETE", RESOURCE, .local = true), 200);
    assert_int_equal(ASK("POST", RESTORE, .local = true, BODY("{\"version\":1}")), 200);
    assert_string_equal(header("ETag"), "\"3\"");
    check_record("restore", "done", "restored version 1");
    check_value("one");
}

static void test_restore__refused_changes_nothing(void **state)
{
    static const struct { const char *body; int status; } rows[] = {
        {"", 400}, {"{}", 400}, {"{\"version\":0}", 400}, {"{\"version\":\"1\"}", 400},
        {"{\"version\":1,\"more\":2}", 400}, {"[1]", 400}, {"{\"version\":9}", 404},
        {"{\"version\":2}", 409},
    };
    assert_int_equal(store("one"), 200);
    assert_int_equal(store("two"), 200);
    for (size_t i = 0; i < COUNT(rows); i++) {
        int status = ASK("POST", RESTORE, .local = true, BODY(rows[i].body));
        if (status != rows[i].status) fail_msg("%s: %d", rows[i].body, status);
    }
    assert_int_equal(ASK("POST", RESTORE, .local = true, BODY("{\"version\":1}"),
                         HEADERS("If-Match: \"1\"")), 412);
    check_value("two");
}

static void test_purge__only_what_is_over(void **state)
{
    assert_int_equal(store("one"), 200);
    assert_int_equal(ASK("POST", PURGE, .local = true), 409);
    check_value("one");
    assert_int_equal(ASK("DELETE", RESOURCE, .local = true), 200);
    assert_int_equal(ASK("POST", PURGE, .local = true), 200);
    assert_string_equal(response_text(), "{\"purged\":2}");
    check_record("purge", "done", "");
    assert_int_equal(ASK("GET", VERSIONS, .local = true), 404);
    assert_int_equal(ASK("POST", PURGE, .local = true), 404);
}

static void test_put__until_a_time(void **state)
{
    static const char *const wrong[] = {"", "x", "-1", "0", "1000", "1999", "99999999999999999999",
                                        "253402300800", "9223372036854775807"};
    char target[120];
    clock_test_set(2000);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        snprintf(target, sizeof target, RESOURCE "?not_after=%s", wrong[i]);
        assert_int_equal(ASK("POST", target, .local = true, BODY("x")), 400);
    }
    assert_int_equal(ASK("POST", RESOURCE "?not_after=3000", .local = true, BODY("x")), 200);
    check_value("x");
    assert_int_equal(ASK("GET", VERSIONS, .local = true), 200);
    assert_non_null(strstr(response_text(), "\"not_after\":\"1970-01-01T00:50:00Z\",\"expired\":false"));
    assert_int_equal(ASK("POST", RESOURCE "?not_after=253402300799", .local = true, BODY("y")), 200);
    assert_int_equal(ASK("GET", VERSIONS, .local = true), 200);
    assert_non_null(strstr(response_text(), "\"not_after\":\"9999-12-31T23:59:59Z\""));
    assert_int_equal(ASK("POST", RESOURCE "?not_after=3000", .local = true, BODY("x")), 200);
    clock_test_set(3001);
    assert_int_equal(ASK("GET", "/strongroom/v1/resource/a/b/c", .local = true), 404);
    assert_int_equal(ASK("POST", PURGE, .local = true), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_versions__newest_first, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_versions__what_a_condition_is_held_against_below_what_cannot_be_read,
                                        setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_versions__refused, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_restore__a_deleted_one_comes_back, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_restore__refused_changes_nothing, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_purge__only_what_is_over, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_put__until_a_time, setup, kit_teardown),
    };
    return cmocka_run_group_tests(tests, kit_token, kit_token_end);
}

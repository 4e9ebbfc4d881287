#include "tests/unit/api/kit.h"

#define RESOURCES "/strongroom/v1/resources"

static int write_batch(const char *body)
{
    return ASK("POST", RESOURCES, .local = true, BODY(body));
}

static void check_version(const char *pointer, int64_t expected)
{
    int64_t version = -1;
    if (!json_int(member(pointer), &version)) fail_msg("%s: %s", pointer, response_text());
    assert_int_equal(version, expected);
}

static void test_write__each_by_itself(void **state)
{
    assert_int_equal(write_batch("1 0 a/b/c\nx1 0 a/b/d\ny"), 200);
    assert_int_equal(json_count(member("/results")), 2);
    check_version("/results/0/version", 1);
    check_record("put", "done", "");
    assert_string_equal(audit_text("resource"), "a/b/d");
    assert_int_equal(write_batch("1 1 a/b/c\nz1 0 a/b/d\ny1 0 no-name\nx1 0 a/b/e\nx1 0 a/b/e\nx"), 200);
    check_version("/results/0/version", 2);
    assert_string_equal(text_at("/results/1/class"), err_class_name(ERR_PRECONDITION));
    assert_non_null(text_at("/results/1/detail"));
    assert_string_equal(text_at("/results/2/class"), err_class_name(ERR_USAGE));
    check_version("/results/3/version", 1);
    assert_string_equal(text_at("/results/4/class"), err_class_name(ERR_CONFLICT));
    check_record("put", "error", err_class_name(ERR_CONFLICT));
    assert_int_equal(ASK("GET", "/strongroom/v1/resource/a/b/c", .local = true), 200);
    assert_span(secret_span(response()->secret_body), "z");
}

static void test_write__refused_whole(void **state)
{
    assert_int_equal(write_batch("1 0 a/b/c\nx2 0 a/b/d\ny"), 400);
    assert_int_equal(ASK("GET", "/strongroom/v1/resource/a/b/c", .local = true), 404);
    assert_int_equal(ASK("POST", RESOURCES, BODY("")), 404); /* by TCP there is no such thing */
    assert_int_equal(ASK("POST", RESOURCES "/x", .local = true, BODY("")), 404);
    assert_int_equal(write_batch(""), 200);
    assert_int_equal(json_count(member("/results")), 0);
    kit_open((struct kit_options){.read_only = true});
    assert_int_equal(write_batch("1 0 a/b/c\nx"), 503);
}

static void test_write__without_a_record(void **state)
{
    audit_break();
    assert_int_equal(write_batch("1 0 a/b/c\nx"), 503);
    audit_heal();
    assert_int_equal(ASK("GET", "/strongroom/v1/resource/a/b/c", .local = true), 200); /* it was stored */
}

/* Room for the record of a short name and for the one that says what is missing, not for that of a long name. */
static void test_write__one_without_a_record_takes_no_other_s(void **state)
{
    char body[2 * NAME_MAX_BYTES];
    struct rlimit limit;
    assert_int_equal(write_batch("1 0 a/b/c\nx"), 200);
    size_t before = (audit_count(), kit.records.len);
    assert_int_equal(write_batch("1 0 a/b/d\nx"), 200);
    size_t room = (audit_count(), kit.records.len) - before + NAME_MAX_BYTES - 16;
    snprintf(body, sizeof body, "1 0 a/b/%0251d\nx1 0 a/b/e\nx", 0);
    audit_break();
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur += room;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_true(write_batch(body) >= 500);
    audit_heal();
    audit_count();
    assert_non_null(strstr(buf_str(&kit.records), "a/b/e"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_write__each_by_itself),
        KIT_TEST(test_write__refused_whole),
        KIT_TEST(test_write__without_a_record),
        KIT_TEST(test_write__one_without_a_record_takes_no_other_s),
    };
    return cmocka_run_group_tests(tests, kit_token, kit_token_end);
}

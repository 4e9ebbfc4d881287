#include "broker/api/diagnostics.h"
#include "policy/errors.h"
#include "tests/lib/test.h"

static struct rego_errors errors;
static struct buf out;

static int setup(void **state)
{
    errors = (struct rego_errors){0};
    return 0;
}

static int teardown(void **state)
{
    buf_free(&out);
    return 0;
}

static void add(unsigned line, const char *text, const char *hint)
{
    static const char policy[] = "package policy\n\tallow if x\n";
    const struct rego_source source = {"policy.rego", policy, sizeof policy - 1};
    const struct rego_span at = {.line = line, .column = 3, .offset = 17, .len = 1};
    struct rego_error *e = rego_error_add(&errors, REGO_TYPE_ERROR, line ? &source : NULL,
                                          line ? &at : NULL, "%s", text);
    if (hint) rego_error_hint(e, "%s", hint);
}

static void test_text__one(void **state)
{
    add(2, "no x", "write y");
    diagnostics_text(&errors, 5, &out);
    assert_string_equal(buf_str(&out), "policy.rego:2:3: rego_type_error: no x\n"
                                       "     allow if x\n"
                                       "    write y");
}

static void test_text__bounded(void **state)
{
    for (int i = 0; i < REGO_ERRORS_MAX + 4; i++) add(0, "out of memory", NULL);
    diagnostics_text(&errors, 2, &out);
    assert_string_equal(buf_str(&out), "rego_type_error: out of memory\n"
                                       "rego_type_error: out of memory\n"
                                       "and 22 more");
}

static void test_text__none(void **state)
{
    diagnostics_text(&errors, 5, &out);
    assert_string_equal(buf_str(&out), "");
}

static void members(void)
{
    struct json_out o = JSON_OUT(&out);
    json_begin_object(&o);
    diagnostics_members(&errors, &o);
    json_end_object(&o);
}

static void test_members__what_applies(void **state)
{
    add(2, "no \"x\"", "write y");
    add(0, "too much", NULL);
    members();
    assert_string_equal(buf_str(&out),
                        "{\"errors\":[{\"code\":\"rego_type_error\",\"text\":\"no \\\"x\\\"\",\"line\":2,"
                        "\"column\":3,\"source\":\" allow if x\",\"hint\":\"write y\"},"
                        "{\"code\":\"rego_type_error\",\"text\":\"too much\"}]}");
}

static void test_members__more(void **state)
{
    struct json_doc *doc = NULL;
    for (int i = 0; i < REGO_ERRORS_MAX + 4; i++) add(1, "x", NULL);
    members();
    assert_ok(json_parse(buf_span(&out), &doc));
    assert_int_equal(json_count(json_get(json_root(doc), "errors")), REGO_ERRORS_MAX);
    int64_t more = 0;
    assert_true(json_int(json_get(json_root(doc), "more"), &more));
    assert_int_equal(more, 4);
    json_free(doc);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_text__one), TEST(test_text__bounded), TEST(test_text__none),
        TEST(test_members__what_applies), TEST(test_members__more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

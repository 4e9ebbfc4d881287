/* The report of an import. */
#include "broker/cmd/import_report.h"

#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "tests/lib/test.h"

static struct import_report report;
static struct buf out;

static int teardown(void **state)
{
    (void) state;
    import_report_free(&report);
    buf_free(&out);
    return 0;
}

static const struct import_item one = {.kind = IMPORT_RESOURCE, .name = "a/b/c", .where = "/s/one"};
static const struct import_item again = {.kind = IMPORT_RESOURCE, .name = "a/b/c", .where = "/s/two"};
static const struct import_item policy = {.kind = IMPORT_RELEASE_POLICY, .name = "a/b/c", .where = "/s/p"};
static const struct import_item bad = {.kind = IMPORT_RESOURCE, .name = "a/b/c", .where = "/s/\\x1bbad",
                                       .skip = "it is bad"};

static void test_report__names_stand_once(void **state)
{
    assert_ok(import_report_add(&report, &bad));
    assert_ok(import_report_add(&report, &one));
    assert_ok(import_report_add(&report, &again));
    assert_ok(import_report_add(&report, &policy));
    assert_int_equal(import_report_count(&report, IMPORT_PENDING), 2);
    assert_int_equal(import_report_count(&report, IMPORT_SKIPPED), 2);
    assert_null(import_report_find(&report, &again));
    struct import_line *line = import_report_find(&report, &one);
    assert_non_null(line);
    assert_ok(import_report_set(&report, line, IMPORT_TAKEN, ""));
    line->verified = true;
    line->bytes = 3;
    import_report_text(&report, &out);
    assert_string_equal(buf_str(&out),
                        "skipped       resource           /s/\\x1bbad: it is bad\n"
                        "taken         resource           a/b/c (verified)\n"
                        "skipped       resource           /s/two: its name is taken by /s/one\n"
                        "pending       policy             a/b/c\n");
    buf_reset(&out);
    import_report_json(&report, true, &out);
    struct json_doc *doc = NULL;
    assert_ok(json_parse(buf_span(&out), &doc));
    int64_t n = 0;
    bool verified = false;
    assert_true(json_int(json_pointer(json_root(doc), "/summary/skipped"), &n));
    assert_int_equal(n, 2);
    assert_true(json_int(json_pointer(json_root(doc), "/entries/1/size"), &n));
    assert_int_equal(n, 3);
    assert_true(json_bool(json_pointer(json_root(doc), "/entries/1/verified"), &verified) && verified);
    assert_string_equal(json_string(json_pointer(json_root(doc), "/entries/2/source")), "/s/two");
    json_free(doc);
}

static void test_report__verdict(void **state)
{
    assert_ok(import_report_verdict(&report));
    assert_ok(import_report_add(&report, &one));
    assert_ok(import_report_add(&report, &policy));
    assert_ok(import_report_add(&report, &bad));
    assert_fails(import_report_verdict(&report), ERR_PARTIAL);
    assert_ok(import_report_set(&report, import_report_find(&report, &one), IMPORT_CLASHES, ""));
    assert_fails(import_report_verdict(&report), ERR_CONFLICT);
    assert_ok(import_report_set(&report, import_report_find(&report, &policy), IMPORT_FAILED, ""));
    assert_fails(import_report_verdict(&report), ERR_DAMAGED);
}

static void test_report__limit(void **state)
{
    for (unsigned i = 0; i < IMPORT_MAX_ENTRIES; i++) assert_ok(import_report_add(&report, &bad));
    assert_fails(import_report_add(&report, &bad), ERR_TOOLARGE);
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_report__names_stand_once), TEST(test_report__verdict),
                                       TEST(test_report__limit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

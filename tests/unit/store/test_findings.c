#include "broker/store/findings.h"
#include "broker/base/limits.h"
#include "tests/lib/test.h"

static struct findings list;

static int teardown(void **state)
{
    findings_free(&list);
    return 0;
}

static struct finding damaged(const char *label, uint64_t version)
{
    return (struct finding){.fault = FAULT_DAMAGED, .label = label, .version = version, .why = "x"};
}

static void test_findings_add__copies_the_label(void **state)
{
    char label[] = "a/b/c";
    struct finding f = damaged(label, 2);
    findings_add(&list, &f);
    label[0] = 'z';
    assert_int_equal(list.n, 1);
    assert_string_equal(list.at[0].label, "a/b/c");
}

static void test_findings_add__counts_beyond_the_names(void **state)
{
    struct finding f = damaged("a/b/c", 1);
    for (size_t i = 0; i < STORE_FINDINGS_MAX + 2; i++) findings_add(&list, &f);
    assert_int_equal(list.n, STORE_FINDINGS_MAX);
    assert_int_equal(list.count[FAULT_DAMAGED], STORE_FINDINGS_MAX + 2);
    assert_int_equal(list.count[FAULT_TORN], 0);
}

static void test_findings_hold__by_fault_label_and_version(void **state)
{
    struct finding f = damaged("a/b/c", 2), other = f;
    findings_add(&list, &f);
    assert_true(findings_hold(&list, &other));
    other.why = "another word for it";
    assert_true(findings_hold(&list, &other));
    other.version = 3;
    assert_false(findings_hold(&list, &other));
    other = damaged("a/b/d", 2);
    assert_false(findings_hold(&list, &other));
    other = f;
    other.fault = FAULT_MISSING;
    assert_false(findings_hold(&list, &other));
}

static void test_fault__each_has_its_words(void **state)
{
    for (unsigned f = 0; f < FAULT_COUNT; f++) {
        assert_non_null(fault_name((enum fault) f));
        assert_non_null(fault_hint((enum fault) f));
        for (unsigned g = 0; g < f; g++)
            assert_string_not_equal(fault_name((enum fault) f), fault_name((enum fault) g));
    }
    assert_true(fault_hurts(FAULT_DAMAGED) && fault_hurts(FAULT_MISSING));
    assert_false(fault_hurts(FAULT_FOREIGN) || fault_hurts(FAULT_LEFTOVER));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_findings_add__copies_the_label),
        TEST(test_findings_add__counts_beyond_the_names),
        TEST(test_findings_hold__by_fault_label_and_version),
        TEST(test_fault__each_has_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

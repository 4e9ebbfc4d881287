#include "broker/store/label.h"
#include "tests/lib/test.h"

static const struct {
    enum envelope_kind kind;
    const char *name, *label, *noun;
} OURS[] = {
    {ENVELOPE_RESOURCE, "default/key/1", "default/key/1", "resource"},
    {ENVELOPE_POLICY, "resource-policy", "strongroom:policy:resource-policy", "policy"},
    {ENVELOPE_REFERENCE_VALUE, "svn", "strongroom:reference-value:svn", "reference value"},
    {ENVELOPE_REFERENCE_VALUE, "a/b:c", "strongroom:reference-value:a/b:c", "reference value"},
};

static void test_label__there_and_back(void **state)
{
    for (size_t i = 0; i < sizeof OURS / sizeof *OURS; i++) {
        char label[P11_LABEL_MAX + 1];
        assert_string_equal(label_make(OURS[i].kind, OURS[i].name, label), OURS[i].label);
        enum envelope_kind kind = ENVELOPE_CANARY;
        const char *name = NULL;
        assert_int_equal(label_read(label, &kind, &name), LABEL_OURS);
        assert_int_equal(kind, OURS[i].kind);
        assert_string_equal(name, OURS[i].name);
        assert_string_equal(kind_noun(kind), OURS[i].noun);
    }
}

static void test_label_read__others(void **state)
{
    static const struct {
        const char *label;
        enum label_owner owner;
    } rows[] = {
        {"strongroom:canary:0001", LABEL_RESERVED},
        {"strongroom:epoch:4e1f", LABEL_RESERVED},
        {"strongroom:manifest", LABEL_RESERVED},
        {"strongroom:policy:", LABEL_UNKNOWN},
        {"strongroom:policy:a b", LABEL_UNKNOWN},
        {"strongroom:tomorrow:x", LABEL_UNKNOWN},
        {"strongroom-kek-1", LABEL_UNKNOWN},
        {"my key", LABEL_UNKNOWN},
        {"a/b", LABEL_UNKNOWN},
        {"a/b/c/d", LABEL_UNKNOWN},
        {"", LABEL_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum envelope_kind kind = ENVELOPE_RESOURCE;
        const char *name = NULL;
        assert_int_equal(label_read(rows[i].label, &kind, &name), rows[i].owner);
        assert_null(name);
    }
}

static void test_name_check__other_kinds(void **state)
{
    char name[NAME_MAX_BYTES + 2] = {0};
    memset(name, 'x', NAME_MAX_BYTES);
    assert_ok(name_check(ENVELOPE_POLICY, name));
    char label[P11_LABEL_MAX + 1];
    label_make(ENVELOPE_REFERENCE_VALUE, name, label); /* the longest label fits */
    name[NAME_MAX_BYTES] = 'x';
    assert_fails_with(name_check(ENVELOPE_POLICY, name), ERR_USAGE, "256 bytes");
    assert_fails_with(name_check(ENVELOPE_POLICY, ""), ERR_USAGE, "policy is empty");
    assert_fails_with(name_check(ENVELOPE_REFERENCE_VALUE, "a b"), ERR_USAGE, "0x20");
    assert_fails_with(name_check(ENVELOPE_REFERENCE_VALUE, "a\x7f"), ERR_USAGE, "0x7f");
    assert_fails_with(name_check(ENVELOPE_CANARY, "x"), ERR_USAGE, "kind 4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_label__there_and_back),
        cmocka_unit_test(test_label_read__others),
        cmocka_unit_test(test_name_check__other_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The texts; what they make of evidence is tested where they are compiled (api/test_appraiser.c). */
#include "broker/attest/default_policy.h"
#include "tests/lib/vectors.h"

/* What operators are given to start from is what is in force. */
static void test_default_policy__is_the_shipped_file(void **state)
{
    static const struct { const char *device, *file; } rows[] = {
        {"cpu", "../../scripts/share/default_cpu.rego"},
        {"gpu", "../../scripts/share/default_gpu.rego"}};
    for (size_t i = 0; i < 2; i++) {
        struct buf text = BUF_INIT;
        vector_read(rows[i].file, &text);
        assert_string_equal(buf_str(&text), default_policy(rows[i].device));
        buf_free(&text);
    }
}

static void test_default_policy__no_other_class(void **state)
{
    assert_null(default_policy("switch"));
    assert_null(default_policy(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_policy__is_the_shipped_file),
        cmocka_unit_test(test_default_policy__no_other_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

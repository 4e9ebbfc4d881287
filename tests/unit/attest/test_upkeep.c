#include "broker/attest/attest.h"
#include "tests/lib/test.h"

static void test_nowhere__says_where(void **state)
{
    const struct attest_upkeep *u = &attest_upkeep_nowhere;
    struct buf value = BUF_INIT;
    uint64_t version = 0;
    static const char where[] = "set them where its attestation tokens are issued";
    assert_fails_with(u->set_policy(u->context, &(struct attest_policy){.id = "default_cpu"}, &version),
                      ERR_USAGE, where);
    assert_fails_with(u->register_values(u->context, SPAN_LIT("{}")), ERR_USAGE, where);
    assert_fails_with(u->query_value(u->context, "svn", &value), ERR_USAGE, where);
    assert_int_equal(value.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nowhere__says_where)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

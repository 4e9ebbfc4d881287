#include "broker/base/rand.h"
#include "tests/lib/test.h"

static int real_random(void **state)
{
    rand_test_seed(-1);
    return 0;
}

static void test_rand_bytes__differ_each_time(void **state)
{
    uint8_t a[32], b[32];
    assert_ok(rand_bytes(a, sizeof a));
    assert_ok(rand_bytes(b, sizeof b));
    assert_memory_not_equal(a, b, sizeof a);
}

static void test_rand_bytes__fills_all_and_no_more(void **state)
{
    /* Each byte is looked at over many fills: one that is never written stays 0. */
    uint8_t seen[40] = {0};
    for (int i = 0; i < 64; i++) {
        uint8_t out[40] = {0};
        assert_ok(rand_bytes(out + 1, 38));
        for (size_t k = 0; k < sizeof out; k++) seen[k] |= out[k];
    }
    assert_int_equal(seen[0], 0);
    assert_int_equal(seen[39], 0);
    for (size_t k = 1; k < 39; k++) assert_int_not_equal(seen[k], 0);
}

static void test_rand_bytes__nothing(void **state)
{
    uint8_t untouched = 0x5a;
    assert_ok(rand_bytes(&untouched, 0));
    assert_int_equal(untouched, 0x5a);
}

static void test_rand_bytes__more_than_openssl_takes(void **state)
{
    uint8_t one;
    assert_fails(rand_bytes(&one, (size_t) INT32_MAX + 1), ERR_INTERNAL);
}

static void test_rand_test_seed__counts_up_and_ends(void **state)
{
    uint8_t out[4], again[4];
    rand_test_seed(254);
    assert_ok(rand_bytes(out, sizeof out));
    assert_memory_equal(out, "\xfe\xff\x00\x01", 4);
    assert_ok(rand_bytes(out, sizeof out)); /* goes on, so that two values differ */
    assert_memory_equal(out, "\x02\x03\x04\x05", 4);
    rand_test_seed(254);
    assert_ok(rand_bytes(again, sizeof again));
    assert_memory_equal(again, "\xfe\xff\x00\x01", 4);
    rand_test_seed(-1);
    uint8_t a[32], b[32];
    assert_ok(rand_bytes(a, sizeof a));
    assert_ok(rand_bytes(b, sizeof b));
    assert_memory_not_equal(a, b, sizeof a);
    assert_int_not_equal((uint8_t) (a[0] + 1) == a[1] && (uint8_t) (a[1] + 1) == a[2] &&
                         (uint8_t) (a[2] + 1) == a[3], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_rand_bytes__differ_each_time, real_random),
        cmocka_unit_test_teardown(test_rand_bytes__fills_all_and_no_more, real_random),
        cmocka_unit_test_teardown(test_rand_bytes__nothing, real_random),
        cmocka_unit_test_teardown(test_rand_bytes__more_than_openssl_takes, real_random),
        cmocka_unit_test_teardown(test_rand_test_seed__counts_up_and_ends, real_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

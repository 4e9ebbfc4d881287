#include "tests/lib/test.h"

static void test_add__grows_and_terminates(void **state)
{
    struct buf b = BUF_INIT;
    for (int i = 0; i < 1000; i++) buf_addf(&b, "%d,", i);
    assert_ok(buf_ok(&b));
    assert_int_equal(strlen(buf_str(&b)), b.len);
    assert_true(span_starts(buf_span(&b), "0,1,2,"));
    buf_free(&b);
}

/* Tokens are kept by the thousand: a copy made at once takes what it needs, the NUL included. */
static void test_add__first_fill_takes_no_more(void **state)
{
    static const char text[1000] = "";
    struct buf b = BUF_INIT, small = BUF_INIT;
    buf_add(&b, text, sizeof text);
    assert_int_equal(b.cap, sizeof text + 1);
    buf_add(&b, text, 2);
    assert_int_equal(b.cap, 2 * (sizeof text + 1)); /* then it doubles */
    buf_add_byte(&small, 'a');
    assert_int_equal(small.cap, 64);
    buf_free(&b);
    buf_free(&small);
}

static void test_max__at_and_beyond(void **state)
{
    struct buf b = {.max = 4};
    buf_add_str(&b, "1234");
    assert_ok(buf_ok(&b));
    buf_add_byte(&b, '5');
    assert_fails(buf_ok(&b), ERR_TOOLARGE);
    assert_string_equal(buf_str(&b), ""); /* a failed buf gives no half text */
    buf_add_str(&b, "more");              /* and stays failed */
    assert_fails(buf_ok(&b), ERR_TOOLARGE);
    assert_null(buf_extend(&b, 1));
    buf_reset(&b);
    assert_null(buf_extend(&b, 5)); /* nor is there room that the heap may have given beside it */
    buf_reset(&b);
    assert_null(buf_extend(&b, SIZE_MAX));
    buf_reset(&b);
    buf_add_str(&b, "ok");
    assert_span(buf_span(&b), "ok");
    buf_free(&b);
}

static void test_integers__big_endian_round_trip(void **state)
{
    struct buf b = BUF_INIT;
    buf_add_u8(&b, 0xfe);
    buf_add_u16(&b, 0x0102);
    buf_add_u32(&b, 0xdeadbeef);
    buf_add_u64(&b, UINT64_C(0x8000000000000001));
    assert_int_equal(b.len, 15);
    assert_int_equal(b.data[1], 1);
    struct reader r = {.rest = buf_span(&b)};
    assert_int_equal(read_u8(&r), 0xfe);
    assert_int_equal(read_u16(&r), 0x0102);
    assert_int_equal(read_u32(&r), 0xdeadbeef);
    assert_true(read_u64(&r) == UINT64_C(0x8000000000000001));
    assert_false(r.failed);
    assert_int_equal(read_u8(&r), 0); /* beyond the end */
    assert_true(r.failed);
    assert_int_equal(read_bytes(&r, 0).len, 0);
    buf_free(&b);
}

static void test_reader__never_past_the_end(void **state)
{
    const uint8_t three[] = {1, 2, 3};
    struct reader r = {.rest = span_of(three, 3)};
    assert_int_equal(read_u32(&r), 0);
    assert_true(r.failed);
    r = (struct reader){.rest = span_of(three, 3)};
    assert_null(read_bytes(&r, SIZE_MAX).data);
    assert_true(r.failed);
}

static void test_hex__both_ways(void **state)
{
    struct buf b = BUF_INIT;
    buf_add_hex(&b, SPAN_LIT("\x00\xab\xff"));
    assert_span(buf_span(&b), "00abff");
    uint8_t out[3];
    char text[8] = "#######";
    hex_encode(SPAN_LIT("\x00\xab\xff"), text);
    assert_string_equal(text, "00abff");
    hex_encode(span_of(NULL, 0), text);
    assert_string_equal(text, "");
    assert_true(hex_decode("00ABff", out, 3));
    assert_memory_equal(out, "\x00\xab\xff", 3);
    assert_false(hex_decode("00abf", out, 3));
    assert_false(hex_decode("00abfg", out, 3));
    assert_false(hex_decode("00abff00", out, 3));
    buf_free(&b);
}

static void test_steal__leaves_an_empty_buffer(void **state)
{
    struct buf b = BUF_INIT;
    buf_add_str(&b, "abc");
    size_t len = 0;
    uint8_t *data = buf_steal(&b, &len);
    assert_int_equal(len, 3);
    assert_int_equal(b.len, 0);
    assert_null(b.data);
    free(data);
}

static void test_span__comparisons(void **state)
{
    assert_true(span_eq(span_of(NULL, 0), SPAN_LIT("")));
    assert_true(span_eq_str(SPAN_LIT("abc"), "abc"));
    assert_false(span_eq_str(SPAN_LIT("abc"), "abcd"));
    assert_false(span_starts(SPAN_LIT("ab"), "abc"));
    assert_int_equal(span_str(NULL).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add__grows_and_terminates),
        cmocka_unit_test(test_add__first_fill_takes_no_more),
        cmocka_unit_test(test_max__at_and_beyond),
        cmocka_unit_test(test_integers__big_endian_round_trip),
        cmocka_unit_test(test_reader__never_past_the_end),
        cmocka_unit_test(test_hex__both_ways),
        cmocka_unit_test(test_steal__leaves_an_empty_buffer),
        cmocka_unit_test(test_span__comparisons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

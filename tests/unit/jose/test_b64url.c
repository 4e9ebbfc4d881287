#include "tests/unit/jose/jose_test.h"

#include "broker/base/rand.h"

/* RFC 4648 10, and the two characters in which the alphabets differ. */
static const struct { const char *plain, *std, *url; } VECTORS[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xbf", "+/+/", "-_-_"},
};

static void test_b64url_add__vectors(void **state)
{
    for (size_t i = 0; i < COUNT(VECTORS); i++) {
        _cleanup_buf_ struct buf url = BUF_INIT;
        _cleanup_buf_ struct buf std = BUF_INIT;
        b64url_add(&url, span_str(VECTORS[i].plain));
        b64_add(&std, span_str(VECTORS[i].plain));
        assert_string_equal(buf_str(&url), VECTORS[i].url);
        assert_string_equal(buf_str(&std), VECTORS[i].std);
    }
}

static void test_b64url_decode__vectors(void **state)
{
    for (size_t i = 0; i < COUNT(VECTORS); i++) {
        _cleanup_buf_ struct buf url = BUF_INIT;
        _cleanup_buf_ struct buf std = BUF_INIT;
        _cleanup_secret_ struct secret *s = NULL;
        assert_ok(b64url_decode(span_str(VECTORS[i].url), &url));
        assert_ok(b64_decode(span_str(VECTORS[i].std), &std));
        assert_ok(b64url_decode_secret(span_str(VECTORS[i].url), &s));
        assert_true(span_eq_str(buf_span(&url), VECTORS[i].plain));
        assert_true(span_eq_str(buf_span(&std), VECTORS[i].plain));
        assert_true(span_eq_str(secret_span(s), VECTORS[i].plain));
    }
}

static void test_b64url_decode__refuses(void **state)
{
    static const char *const BAD[] = {
        "Z", "Zg==", "Zm8=", "Zh", "Zm9", "Zm9vY", "Zm 9", " Zm9v", "Zm9v\n", "Zm+v", "Zm/v",
        "Zm9v=", "====", "Zm9\xc3", "Zm9@", "Zm9[", "Zm9`", "Zm9{", "Zm9:", "Zm.v", "Zm9vZm9v!",
    };
    for (size_t i = 0; i < COUNT(BAD); i++) {
        _cleanup_buf_ struct buf out = BUF_INIT;
        struct secret *s = NULL;
        buf_add_str(&out, "kept");
        if (b64url_decode(span_str(BAD[i]), &out).code != ERR_USAGE) fail_msg("took %s", BAD[i]);
        assert_true(span_eq_str(buf_span(&out), "kept"));
        assert_fails(b64url_decode_secret(span_str(BAD[i]), &s), ERR_USAGE);
        assert_null(s);
    }
}

static void test_b64_decode__refuses(void **state)
{
    static const char *const BAD[] = {"Zg", "Zg=", "Zh==", "Zm9=", "Zm9v====", "====", "A===", "=",
                                      "Zg==Zg==", "Zm-v", "Zm_v", "Zm9v\n", "Z===", "Zm8=="};
    for (size_t i = 0; i < COUNT(BAD); i++) {
        _cleanup_buf_ struct buf out = BUF_INIT;
        if (b64_decode(span_str(BAD[i]), &out).code != ERR_USAGE) fail_msg("took %s", BAD[i]);
        assert_int_equal(out.len, 0);
    }
}

/* Every byte value in every place: exactly the 64 characters of the alphabet are taken. */
static void test_b64url_decode__every_character(void **state)
{
    for (size_t at = 0; at < 4; at++) {
        int taken = 0;
        for (int c = 0; c < 256; c++) {
            uint8_t text[4] = {'A', 'A', 'A', 'A'};
            text[at] = (uint8_t) c;
            _cleanup_buf_ struct buf out = BUF_INIT;
            taken += err_ok(b64url_decode(span_of(text, 4), &out));
        }
        assert_int_equal(taken, 64);
    }
}

static void test_b64url__round_trips(void **state)
{
    uint8_t data[300];
    assert_ok(rand_bytes(data, sizeof data));
    for (size_t len = 0; len <= sizeof data; len++) {
        _cleanup_buf_ struct buf text = BUF_INIT;
        _cleanup_buf_ struct buf back = BUF_INIT;
        b64url_add(&text, span_of(data, len));
        assert_ok(b64url_decode(buf_span(&text), &back));
        assert_true(span_eq(buf_span(&back), span_of(data, len)));
        buf_reset(&text);
        buf_reset(&back);
        b64_add(&text, span_of(data, len));
        assert_ok(b64_decode(buf_span(&text), &back));
        assert_true(span_eq(buf_span(&back), span_of(data, len)));
    }
}

static void test_b64url__buffer_limit(void **state)
{
    _cleanup_buf_ struct buf small = {.max = 7};
    b64url_add(&small, SPAN_LIT("foobar"));
    assert_fails(buf_ok(&small), ERR_TOOLARGE);
    assert_fails(b64url_decode(SPAN_LIT("Zm9v"), &small), ERR_TOOLARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_b64url_add__vectors),
        cmocka_unit_test(test_b64url_decode__vectors),
        cmocka_unit_test(test_b64url_decode__refuses),
        cmocka_unit_test(test_b64_decode__refuses),
        cmocka_unit_test(test_b64url_decode__every_character),
        cmocka_unit_test(test_b64url__round_trips),
        cmocka_unit_test(test_b64url__buffer_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/base/digest.h"
#include "tests/lib/test.h"

static void check(enum digest_alg alg, const char *text, const char *hex)
{
    struct digest d = {0};
    struct buf got = BUF_INIT;
    assert_ok(digest_compute(alg, span_str(text), &d));
    buf_add_hex(&got, digest_span(&d));
    assert_string_equal(buf_str(&got), hex);
    buf_free(&got);
}

/* FIPS 180-4's "abc", and kbs-api.md A.3. */
static void test_digest_compute__vectors(void **state)
{
    check(DIGEST_SHA256, "abc",
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check(DIGEST_SHA384, "{\"a\":\"test\",\"b\":1,\"c\":{\"d\":\"e\"}}",
          "e71ce8e70d814ba6639c3612ebee0ff1f76f650f8dbb5e47157e0f3f525cd22c4597480a186427c813ca941"
          "da78870c3");
    check(DIGEST_SHA512, "abc",
          "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c2"
          "3a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
    check(DIGEST_SHA256, "",
          "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void test_digest_alg_from__names(void **state)
{
    enum digest_alg alg = DIGEST_SHA512;
    assert_true(digest_alg_from("sha256", &alg));
    assert_int_equal(alg, DIGEST_SHA256);
    assert_true(digest_alg_from("sha384", &alg));
    assert_true(digest_alg_from("sha512", &alg));
    assert_string_equal(digest_alg_name(alg), "sha512");
    static const char *const unknown[] = {"SHA256", "sha-256", "sm3", "sha1", "md5", ""};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_false(digest_alg_from(unknown[i], &alg));
}

static void test_digest_hex__first_bytes(void **state)
{
    char out[2 * DIGEST_MAX + 1];
    struct digest d = {0};
    assert_ok(digest_compute(DIGEST_SHA256, span_str("abc"), &d));
    digest_hex(&d, 8, out);
    assert_string_equal(out, "ba7816bf8f01cfea");
    digest_hex(&d, d.len, out);
    assert_int_equal(strlen(out), 64);
    assert_string_equal(out + 56, "f20015ad");
    digest_hex(&d, 0, out);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest_compute__vectors),
        cmocka_unit_test(test_digest_alg_from__names),
        cmocka_unit_test(test_digest_hex__first_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

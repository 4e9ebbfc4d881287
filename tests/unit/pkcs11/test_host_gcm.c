#include "pkcs11/host_gcm.h"
#include "tests/lib/test.h"

/* Test case 16 of the GCM specification (McGrew and Viega, appendix B). */
static const char KEY[] = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
static const char IV[] = "cafebabefacedbaddecaf888";
static const char AAD[] = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
static const char PLAIN[] =
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525"
    "b16aedf5aa0de657ba637b39";
static const char CIPHER[] =
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838"
    "c5f61e6393ba7a0abcc9f662";
static const char TAG[] = "76fc6ece0f4e1768cddf8853bb2d551b";

#define N 60
static uint8_t key[32], iv[12], aad[20], plain[N], want[N], want_tag[16];

static struct host_gcm known(void)
{
    assert_true(hex_decode(KEY, key, sizeof key) && hex_decode(IV, iv, sizeof iv) &&
                hex_decode(AAD, aad, sizeof aad) && hex_decode(PLAIN, plain, N) &&
                hex_decode(CIPHER, want, N) && hex_decode(TAG, want_tag, 16));
    return (struct host_gcm){span_of(key, 32), span_of(iv, 12), span_of(aad, 20)};
}

static void test_seal__known_answer(void **state)
{
    struct host_gcm g = known();
    uint8_t out[N], tag[16];
    assert_true(host_gcm_seal(&g, span_of(plain, N), out, tag));
    assert_memory_equal(out, want, N);
    assert_memory_equal(tag, want_tag, 16);
    assert_true(host_gcm_open(&g, span_of(want, N), span_of(want_tag, 16), out));
    assert_memory_equal(out, plain, N);
}

static void test_open__every_change_is_refused_and_nothing_left(void **state)
{
    struct host_gcm g = known();
    struct { uint8_t *at; size_t len; } parts[] = {{key, 32}, {iv, 12}, {aad, 20}, {want, N},
                                                   {want_tag, 16}};
    for (size_t p = 0; p < 5; p++)
        for (size_t i = 0; i < parts[p].len; i++) {
            uint8_t out[N] = {0}, zero[N] = {0};
            parts[p].at[i] ^= 0x80;
            assert_false(host_gcm_open(&g, span_of(want, N), span_of(want_tag, 16), out));
            assert_memory_equal(out, zero, N);
            parts[p].at[i] ^= 0x80;
        }
}

static void test_gcm__empty_and_wrong_sizes(void **state)
{
    struct host_gcm g = known();
    uint8_t out[16], tag[16];
    struct span none = span_of(NULL, 0);
    assert_true(host_gcm_seal(&g, none, out, tag));
    assert_true(host_gcm_open(&g, none, span_of(tag, 16), out));
    assert_false(host_gcm_open(&g, none, span_of(tag, 12), out));
    g.aad = none;
    assert_false(host_gcm_open(&g, none, span_of(tag, 16), out));
    g.key.len = 16;
    assert_false(host_gcm_seal(&g, none, out, tag));
    g.key.len = 32;
    g.iv.len = 11;
    assert_false(host_gcm_seal(&g, none, out, tag));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seal__known_answer),
        cmocka_unit_test(test_open__every_change_is_refused_and_nothing_left),
        cmocka_unit_test(test_gcm__empty_and_wrong_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

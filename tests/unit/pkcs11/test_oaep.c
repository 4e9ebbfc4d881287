#include "tests/lib/test.h"

#include "pkcs11/oaep.h"

#include <openssl/rsa.h>

static EVP_PKEY *pair;

static int setup(void **state)
{
    pair = EVP_RSA_gen(2048);
    return pair ? 0 : -1;
}

static int teardown(void **state)
{
    EVP_PKEY_free(pair);
    return 0;
}

/* What the token does: RSA alone; or OpenSSL's own OAEP, to hold ours against. */
static size_t private_op(struct span in, int padding, const EVP_MD *md, uint8_t out[256])
{
    size_t len = 256;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pair, NULL);
    assert_int_equal(EVP_PKEY_decrypt_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, padding), 1);
    if (md) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md), 1);
    }
    assert_int_equal(EVP_PKEY_decrypt(ctx, out, &len, in.data, in.len), 1);
    EVP_PKEY_CTX_free(ctx);
    return len;
}

static const uint8_t filler[512] = {1, 2, 3};
static const enum oaep_hash hashes[] = {OAEP_SHA256, OAEP_SHA1};

static void test_room__of_each_hash(void **state)
{
    assert_int_equal(oaep_block(pair), 256);
    assert_int_equal(oaep_room(256, OAEP_SHA256), 190);
    assert_int_equal(oaep_room(256, OAEP_SHA1), 214);
    assert_int_equal(oaep_room(66, OAEP_SHA256), 0);
    assert_int_equal(oaep_room(10, OAEP_SHA1), 0);
}

static void test_encrypt__opens_with_openssl(void **state)
{
    for (size_t h = 0; h < 2; h++) {
        size_t sizes[] = {0, 1, 32, oaep_room(256, hashes[h])};
        for (size_t i = 0; i < 4; i++) {
            struct buf wrapped = BUF_INIT;
            uint8_t out[256];
            assert_ok(oaep_encrypt(pair, hashes[h], span_of(filler, sizes[i]), &wrapped));
            assert_int_equal(wrapped.len, 256);
            size_t len = private_op(buf_span(&wrapped), RSA_PKCS1_OAEP_PADDING,
                                    h ? EVP_sha1() : EVP_sha256(), out);
            assert_int_equal(len, sizes[i]);
            assert_memory_equal(out, filler, len);
            buf_free(&wrapped);
        }
    }
}

static void test_encrypt__one_byte_too_much(void **state)
{
    for (size_t h = 0; h < 2; h++) {
        struct buf wrapped = BUF_INIT;
        buf_add_str(&wrapped, "before");
        assert_fails_with(oaep_encrypt(pair, hashes[h],
                                       span_of(filler, oaep_room(256, hashes[h]) + 1), &wrapped),
                          ERR_TOOLARGE, h ? "214 bytes fit" : "190 bytes fit");
        assert_span(buf_span(&wrapped), "before");
        buf_free(&wrapped);
    }
}

static void test_encrypt__never_the_same_twice(void **state)
{
    struct buf a = BUF_INIT, b = BUF_INIT;
    assert_ok(oaep_encrypt(pair, OAEP_SHA256, SPAN_LIT("same"), &a));
    assert_ok(oaep_encrypt(pair, OAEP_SHA256, SPAN_LIT("same"), &b));
    assert_false(span_eq(buf_span(&a), buf_span(&b)));
    buf_free(&a);
    buf_free(&b);
}

static void test_decode__round_trip(void **state)
{
    for (size_t h = 0; h < 2; h++) {
        size_t sizes[] = {0, 1, 32, oaep_room(256, hashes[h])};
        for (size_t i = 0; i < 4; i++) {
            struct buf wrapped = BUF_INIT;
            struct secret *out = NULL;
            uint8_t block[256];
            assert_ok(oaep_encrypt(pair, hashes[h], span_of(filler, sizes[i]), &wrapped));
            assert_int_equal(private_op(buf_span(&wrapped), RSA_NO_PADDING, NULL, block), 256);
            assert_int_equal(block[0], 0);
            assert_ok(oaep_decode(span_of(block, 256), hashes[h], &out));
            assert_true(secret_equal(secret_span(out), span_of(filler, sizes[i])));
            /* The other hash opens nothing. */
            struct secret *other = NULL;
            assert_fails(oaep_decode(span_of(block, 256), hashes[!h], &other), ERR_CRYPTO);
            secret_free(out);
            buf_free(&wrapped);
        }
    }
}

/* Every byte of a block matters, the first one too (Manger's oracle), and no text tells which. */
static void test_decode__each_byte_changed(void **state)
{
    struct buf wrapped = BUF_INIT;
    uint8_t block[256];
    char said[256] = "";
    assert_ok(oaep_encrypt(pair, OAEP_SHA256, SPAN_LIT("value"), &wrapped));
    private_op(buf_span(&wrapped), RSA_NO_PADDING, NULL, block);
    for (size_t i = 0; i < sizeof block; i++) {
        struct secret *out = NULL;
        block[i] ^= 1;
        struct err e = oaep_decode(span_of(block, 256), OAEP_SHA256, &out);
        assert_int_equal(e.code, ERR_CRYPTO);
        assert_null(out);
        if (!said[0]) snprintf(said, sizeof said, "%s", err_text(e));
        assert_string_equal(err_text(e), said);
        block[i] ^= 1;
    }
    buf_free(&wrapped);
}

static void test_decode__blocks_too_short_for_any_message(void **state)
{
    uint8_t block[256] = {0};
    size_t sizes[] = {0, 1, 65, 66, 256};
    for (size_t i = 0; i < 5; i++) {
        struct secret *out = NULL;
        assert_fails(oaep_decode(span_of(block, sizes[i]), OAEP_SHA256, &out), ERR_CRYPTO);
    }
}

static void test_in_range__length_and_modulus(void **state)
{
    uint8_t c[257];
    BIGNUM *n = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(pair, "n", &n), 1);
    assert_int_equal(BN_bn2binpad(n, c, 256), 256);
    assert_false(oaep_in_range(pair, span_of(c, 256))); /* the modulus itself */
    BN_sub_word(n, 1);
    assert_int_equal(BN_bn2binpad(n, c, 256), 256);
    assert_true(oaep_in_range(pair, span_of(c, 256)));
    assert_false(oaep_in_range(pair, span_of(c, 255)));
    assert_false(oaep_in_range(pair, span_of(c, 257)));
    memset(c, 0xff, sizeof c);
    assert_false(oaep_in_range(pair, span_of(c, 256)));
    BN_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_room__of_each_hash),
        cmocka_unit_test(test_encrypt__opens_with_openssl),
        cmocka_unit_test(test_encrypt__one_byte_too_much),
        cmocka_unit_test(test_encrypt__never_the_same_twice),
        cmocka_unit_test(test_decode__round_trip),
        cmocka_unit_test(test_decode__each_byte_changed),
        cmocka_unit_test(test_decode__blocks_too_short_for_any_message),
        cmocka_unit_test(test_in_range__length_and_modulus),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

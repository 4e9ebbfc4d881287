#include "tests/unit/jose/jose_test.h"

#include "broker/base/secret.h"
#include "broker/jose/jwe_alg.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>

static const struct { const char *alg, *header; } ALGS[] = {
    {"RSA-OAEP-256", "{\"alg\":\"RSA-OAEP-256\",\"enc\":\"A256GCM\"}"},
    {"RSA1_5", "{\"alg\":\"RSA1_5\",\"enc\":\"A256GCM\"}"},
};

static const uint8_t CEK[JWE_CEK] = {1, 2, 3};

static void test_jwe_rsa_wrap__header_and_size(void **state)
{
    EVP_PKEY *key = vector_key("kbs/keys/guest-rsa2048.pem");
    for (size_t i = 0; i < COUNT(ALGS); i++) {
        const struct jwe_alg *a = jwe_alg_named(ALGS[i].alg, "RSA", NULL);
        struct buf header = BUF_INIT, wrapped = BUF_INIT;
        uint8_t back[JWE_CEK] = {0};
        assert_ok(a->wrap(a, key, CEK, NULL, &header, &wrapped));
        assert_string_equal(buf_str(&header), ALGS[i].header);
        assert_int_equal(wrapped.len, 256);
        assert_true(a->unwrap(a, key, (struct json){0}, buf_span(&wrapped), back));
        assert_memory_equal(back, CEK, JWE_CEK);
        buf_free(&header);
        buf_free(&wrapped);
    }
    EVP_PKEY_free(key);
}

static void test_jwe_rsa_unwrap__refuses(void **state)
{
    EVP_PKEY *key = vector_key("kbs/keys/guest-rsa2048.pem");
    const struct jwe_alg *oaep = jwe_alg_named("RSA-OAEP-256", "RSA", NULL);
    struct buf header = BUF_INIT, wrapped = BUF_INIT;
    uint8_t back[JWE_CEK] = {7};
    assert_ok(oaep->wrap(oaep, key, CEK, NULL, &header, &wrapped));
    wrapped.data[100] ^= 1;
    assert_false(oaep->unwrap(oaep, key, (struct json){0}, buf_span(&wrapped), back));
    assert_false(oaep->unwrap(oaep, key, (struct json){0}, span_of(wrapped.data, 255), back));
    assert_false(oaep->unwrap(oaep, key, (struct json){0}, (struct span){0}, back));
    assert_int_equal(back[0], 7); /* as it was */
    assert_int_equal(secret_used(), 0);
    buf_free(&header);
    buf_free(&wrapped);
    EVP_PKEY_free(key);
}

/* OAEP with SHA-1, the default of many libraries, is another algorithm (RSA-OAEP). */
static void test_jwe_rsa_unwrap__oaep_sha1(void **state)
{
    EVP_PKEY *key = vector_key("kbs/keys/guest-rsa2048.pem");
    const struct jwe_alg *oaep = jwe_alg_named("RSA-OAEP-256", "RSA", NULL);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    uint8_t wrapped[256], back[JWE_CEK] = {0};
    size_t len = sizeof wrapped;
    assert_int_equal(EVP_PKEY_encrypt_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING), 1);
    assert_int_equal(EVP_PKEY_encrypt(ctx, wrapped, &len, CEK, JWE_CEK), 1);
    assert_false(oaep->unwrap(oaep, key, (struct json){0}, span_of(wrapped, len), back));
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
}

/* A content key of another length than 32 bytes is none of ours. */
static void test_jwe_rsa_unwrap__short_content_key(void **state)
{
    EVP_PKEY *key = vector_key("kbs/keys/guest-rsa2048.pem");
    const struct jwe_alg *old = jwe_alg_named("RSA1_5", "RSA", NULL);
    for (size_t cek_len = 31; cek_len <= 33; cek_len++) {
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
        uint8_t cek[33] = {0}, wrapped[256], back[JWE_CEK] = {7};
        size_t len = sizeof wrapped;
        assert_int_equal(EVP_PKEY_encrypt_init(ctx), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING), 1);
        assert_int_equal(EVP_PKEY_encrypt(ctx, wrapped, &len, cek, cek_len), 1);
        assert_int_equal(old->unwrap(old, key, (struct json){0}, span_of(wrapped, len), back),
                         cek_len == 32);
        EVP_PKEY_CTX_free(ctx);
    }
    EVP_PKEY_free(key);
}

static void test_jwe_alg_named__table(void **state)
{
    static const struct { const char *alg, *kty, *crv; bool known; } CASES[] = {
        {"ECDH-ES+A256KW", "EC", "P-256", true}, {"ECDH-ES+A256KW", "EC", "P-521", true},
        {"RSA-OAEP-256", "RSA", NULL, true},     {"RSA1_5", "RSA", NULL, true},
        {"RSA1_5", "RSA", "ignored", true},      {"ECDH-ES+A256KW", "EC", "P-384", false},
        {"ECDH-ES+A256KW", "EC", NULL, false},   {"ECDH-ES+A256KW", "RSA", NULL, false},
        {"RSA-OAEP-256", "EC", "P-256", false},  {"RSA-OAEP", "RSA", NULL, false},
        {"dir", "oct", NULL, false},             {NULL, "EC", "P-256", false},
        {"RSA1_5", NULL, NULL, false},
    };
    for (size_t i = 0; i < COUNT(CASES); i++)
        if ((jwe_alg_named(CASES[i].alg, CASES[i].kty, CASES[i].crv) != NULL) != CASES[i].known)
            fail_msg("case %zu", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jwe_rsa_wrap__header_and_size),
        cmocka_unit_test(test_jwe_rsa_unwrap__refuses),
        cmocka_unit_test(test_jwe_rsa_unwrap__oaep_sha1),
        cmocka_unit_test(test_jwe_rsa_unwrap__short_content_key),
        cmocka_unit_test(test_jwe_alg_named__table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

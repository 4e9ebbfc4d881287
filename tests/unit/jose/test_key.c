#include "tests/unit/jose/jose_test.h"

#include <openssl/pem.h>

static void test_key_from_pem__forms(void **state)
{
    /* PKCS#8 EC, and PKCS#1 RSA, as clients write them */
    static const char *const FILES[] = {"kbs/keys/guest-p256.pem", "kbs/keys/guest-p521.pem",
                                        "kbs/keys/guest-rsa2048.pem"};
    for (size_t i = 0; i < COUNT(FILES); i++) {
        EVP_PKEY *key = vector_key(FILES[i]), *back = NULL;
        struct secret *pem = NULL;
        assert_ok(key_to_pem(key, &pem));
        assert_true(span_starts(secret_span(pem), "-----BEGIN PRIVATE KEY-----\n"));
        assert_ok(key_from_pem(secret_span(pem), &back));
        assert_int_equal(EVP_PKEY_eq(key, back), 1);
        secret_free(pem);
        EVP_PKEY_free(key);
        EVP_PKEY_free(back);
    }
}

static void test_key_from_pem__sec1(void **state)
{
    EVP_PKEY *key = NULL, *back = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    assert_ok(key_generate_ec("P-384", &key));
    assert_int_equal(PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    long len = BIO_get_mem_data(bio, &text);
    assert_true(span_starts(span_of(text, (size_t) len), "-----BEGIN EC PRIVATE KEY-----"));
    assert_ok(key_from_pem(span_of(text, (size_t) len), &back));
    assert_int_equal(EVP_PKEY_eq(key, back), 1);
    BIO_free(bio);
    EVP_PKEY_free(key);
    EVP_PKEY_free(back);
}

static void test_key_from_pem__refuses(void **state)
{
    EVP_PKEY *key = NULL;
    struct buf public = BUF_INIT;
    assert_fails(key_from_pem((struct span){0}, &key), ERR_USAGE);
    assert_fails(key_from_pem(SPAN_LIT("hello"), &key), ERR_USAGE);
    assert_fails(key_from_pem(SPAN_LIT("-----BEGIN PRIVATE KEY-----\nAAAA\n"
                                       "-----END PRIVATE KEY-----\n"), &key), ERR_USAGE);
    vector_read("kbs/keys/admin-es256.pub", &public);
    assert_fails(key_from_pem(buf_span(&public), &key), ERR_USAGE);
    assert_null(key);
    buf_free(&public);
}

/* It must say so at once, not ask on the terminal. */
static void test_key_from_pem__encrypted(void **state)
{
    EVP_PKEY *key = NULL, *none = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    assert_ok(key_generate_ec("P-256", &key));
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_256_cbc(), "1234", 4, NULL,
                                                   NULL), 1);
    long len = BIO_get_mem_data(bio, &text);
    assert_fails_with(key_from_pem(span_of(text, (size_t) len), &none), ERR_USAGE, "encrypted");
    BIO_free(bio);
    EVP_PKEY_free(key);
}

static void test_key_generate__kinds(void **state)
{
    EVP_PKEY *a = NULL, *b = NULL;
    assert_ok(key_generate_ec("P-521", &a));
    assert_int_equal(EVP_PKEY_get_bits(a), 521);
    EVP_PKEY_free(a);
    assert_ok(key_generate_ed25519(&a));
    assert_ok(key_generate_ed25519(&b));
    assert_int_not_equal(EVP_PKEY_eq(a, b), 1);
    EVP_PKEY_free(a);
    EVP_PKEY_free(b);
    a = NULL;
    assert_fails(key_generate_ec("secp256k1", &a), ERR_USAGE);
    assert_fails(key_generate_ec("Ed25519", &a), ERR_USAGE);
    assert_null(a);
}

static void test_key_public_pem__no_private_part(void **state)
{
    EVP_PKEY *key = NULL, *none = NULL;
    struct buf pem = BUF_INIT;
    assert_ok(key_generate_ed25519(&key));
    assert_ok(key_public_pem(key, &pem));
    assert_true(span_starts(buf_span(&pem), "-----BEGIN PUBLIC KEY-----\n"));
    assert_fails(key_from_pem(buf_span(&pem), &none), ERR_USAGE);
    buf_free(&pem);
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_from_pem__forms),
        cmocka_unit_test(test_key_from_pem__sec1),
        cmocka_unit_test(test_key_from_pem__refuses),
        cmocka_unit_test(test_key_from_pem__encrypted),
        cmocka_unit_test(test_key_generate__kinds),
        cmocka_unit_test(test_key_public_pem__no_private_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

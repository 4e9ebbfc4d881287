#include "tests/unit/jose/jose_test.h"

#include "broker/jose/key_kind.h"
#include "broker/jose/ossl.h"

#include <openssl/core_names.h>
#include <openssl/ecerr.h>
#include <openssl/err.h>

static void test_key_kind_named__table(void **state)
{
    static const struct { const char *kty, *crv; size_t bytes; bool known; } CASES[] = {
        {"EC", "P-256", 32, true}, {"EC", "P-384", 48, true}, {"EC", "P-521", 66, true},
        {"RSA", NULL, 0, true}, {"OKP", "Ed25519", 32, true}, {"EC", NULL, 0, false},
        {"EC", "p-256", 0, false}, {"OKP", "Ed448", 0, false}, {"oct", NULL, 0, false},
        {NULL, "P-256", 0, false},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        const struct key_kind *k = key_kind_named(CASES[i].kty, CASES[i].crv);
        if ((k != NULL) != CASES[i].known) fail_msg("case %zu", i);
        if (k) assert_int_equal(k->bytes, CASES[i].bytes);
    }
}

static void test_key_kind_of__keys(void **state)
{
    EVP_PKEY *p521 = EVP_EC_gen("P-521"), *k1 = EVP_EC_gen("secp256k1");
    EVP_PKEY *x = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    EVP_PKEY *rsa = vector_key("kbs/keys/guest-rsa2048.pem");
    assert_ptr_equal(key_kind_of(p521), key_kind_named("EC", "P-521"));
    assert_ptr_equal(key_kind_of(rsa), key_kind_named("RSA", NULL));
    assert_null(key_kind_of(k1));
    assert_null(key_kind_of(x));
    EVP_PKEY_free(p521);
    EVP_PKEY_free(k1);
    EVP_PKEY_free(x);
    EVP_PKEY_free(rsa);
}

/* A key whose PEM holds its point compressed is written with both coordinates all the same. */
static void test_key_put_members__compressed_point(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    struct buf plain = jwk_text_of(key, NULL);
    assert_int_equal(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                                    "compressed"), 1);
    struct buf compressed = jwk_text_of(key, NULL);
    assert_string_equal(buf_str(&plain), buf_str(&compressed));
    buf_free(&plain);
    buf_free(&compressed);
    EVP_PKEY_free(key);
}

static void test_ossl_drain__empties_the_queue(void **state)
{
    ERR_clear_error();
    assert_null(ossl_drain());
    ERR_raise(ERR_LIB_EC, EC_R_POINT_IS_NOT_ON_CURVE);
    ERR_raise(ERR_LIB_EVP, EVP_R_INVALID_KEY);
    assert_non_null(strstr(ossl_drain(), "point is not on curve"));
    assert_null(ossl_drain());
}

static void test_ossl_algorithms__fetched_once(void **state)
{
    const struct ossl_algorithms *a = NULL, *b = NULL;
    assert_ok(ossl_algorithms(&a));
    assert_ok(ossl_algorithms(&b));
    assert_ptr_equal(a, b);
    assert_int_equal(EVP_MD_get_size(a->sha384), 48);
    assert_int_equal(EVP_CIPHER_get_key_length(a->aes256_wrap), 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_kind_named__table),
        cmocka_unit_test(test_key_kind_of__keys),
        cmocka_unit_test(test_key_put_members__compressed_point),
        cmocka_unit_test(test_ossl_drain__empties_the_queue),
        cmocka_unit_test(test_ossl_algorithms__fetched_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

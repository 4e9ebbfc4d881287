#include "tests/unit/pkcs11/pairs.h"

static struct p11_session session;
static CK_OBJECT_HANDLE object;

static int ready(void **state)
{
    return token_bare(state);
}

static int gone(void **state)
{
    session_drop(&session);
    return token_gone(state);
}

/* A public session object with these attributes. */
static void put(CK_ATTRIBUTE *more, CK_ULONG n)
{
    CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
    CK_BBOOL no = CK_FALSE;
    CK_ATTRIBUTE t[8] = {ATTR(CKA_CLASS, class), ATTR(CKA_TOKEN, no), ATTR(CKA_PRIVATE, no)};
    memcpy(t + 3, more, n * sizeof *more);
    if (!session.p) assert_ok(session_take(token, &session));
    assert_int_equal(token->fn->C_CreateObject(session.h, t, 3 + n, &object), CKR_OK);
}

static void put_rsa(uint8_t *n, size_t n_len, uint8_t *e, size_t e_len)
{
    CK_KEY_TYPE type = CKK_RSA;
    CK_ATTRIBUTE more[] = {ATTR(CKA_KEY_TYPE, type), {CKA_MODULUS, n, n_len},
                           {CKA_PUBLIC_EXPONENT, e, e_len}};
    put(more, 3);
}

static void put_ec(struct span curve, uint8_t *point, size_t len)
{
    CK_KEY_TYPE type = CKK_EC;
    CK_ATTRIBUTE more[] = {ATTR(CKA_KEY_TYPE, type), ATTR_SPAN(CKA_EC_PARAMS, curve),
                           {CKA_EC_POINT, point, len}};
    put(more, 3);
}

static EVP_PKEY *rsa(void)
{
    EVP_PKEY *key = NULL;
    assert_ok(public_key_rsa(&session, object, &key));
    return key;
}

static EVP_PKEY *p256(void)
{
    EVP_PKEY *key = NULL;
    assert_ok(public_key_p256(&session, object, &key));
    return key;
}

static void check_refused(EVP_PKEY *key)
{
    assert_null(key);
}

static void test_rsa__leading_zeros_and_limits(void **state)
{
    uint8_t n[JOSE_MAX_RSA_BITS / 8 + 2] = {0}, e[] = {1, 0, 1}, even[] = {1, 0, 0}, one[] = {1};
    n[1] = 0x80;
    n[256] = 1;
    put_rsa(n, 257, e, 3); /* a zero in front: 2048 bits all the same */
    EVP_PKEY *key = rsa();
    assert_non_null(key);
    assert_int_equal(EVP_PKEY_get_bits(key), 2048);
    EVP_PKEY_free(key);
    put_rsa(n, 257, even, 3);
    check_refused(rsa());
    put_rsa(n, 257, one, 1);
    check_refused(rsa());
    n[256] = 2;
    put_rsa(n, 257, e, 3);
    check_refused(rsa());
    n[256] = 0, n[255] = 1;
    put_rsa(n, 256, e, 3); /* 2040 bits */
    check_refused(rsa());
    n[255] = 0, n[JOSE_MAX_RSA_BITS / 8 + 1] = 1;
    put_rsa(n, sizeof n, e, 3); /* longer than any we take */
    check_refused(rsa());
}

/* The generator of P-256. */
static uint8_t G[65] = {
    0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5,
    0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4,
    0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a,
    0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33,
    0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
};

static void test_p256__der_and_bare(void **state)
{
    uint8_t der[67] = {0x04, 65};
    memcpy(der + 2, G, sizeof G);
    put_ec(public_key_p256_params(), der, sizeof der);
    EVP_PKEY *a = p256();
    put_ec(public_key_p256_params(), G, sizeof G);
    EVP_PKEY *b = p256();
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(EVP_PKEY_eq(a, b), 1);
    struct buf pem = BUF_INIT;
    assert_ok(public_key_pem(a, &pem));
    assert_true(span_starts(buf_span(&pem), "-----BEGIN PUBLIC KEY-----\nMFkw"));
    buf_free(&pem);
    EVP_PKEY_free(a);
    EVP_PKEY_free(b);
}

static void test_p256__what_is_no_point(void **state)
{
    uint8_t der[67] = {0x04, 65}, p384[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22};
    memcpy(der + 2, G, sizeof G);
    der[66] ^= 1; /* off the curve */
    put_ec(public_key_p256_params(), der, sizeof der);
    check_refused(p256());
    der[66] ^= 1;
    put_ec(span_of(p384, sizeof p384), der, sizeof der);
    check_refused(p256());
    put_ec(public_key_p256_params(), der, sizeof der - 1);
    check_refused(p256());
    der[1] = 64;
    put_ec(public_key_p256_params(), der, sizeof der);
    check_refused(p256());
}

static void test_public_key__of_a_token_that_is_gone(void **state)
{
    uint8_t n[256] = {0x80}, e[] = {1, 0, 1};
    EVP_PKEY *key = NULL;
    n[255] = 1;
    token_through_faults("");
    put_rsa(n, sizeof n, e, 3);
    softhsm_fault(&hsm, "C_GetAttributeValue rv=0x30");
    assert_fails(public_key_rsa(&session, object, &key), ERR_TOKEN_DOWN);
    assert_fails(public_key_p256(&session, object, &key), ERR_TOKEN_DOWN);
    assert_null(key);
    softhsm_fault(&hsm, "C_GetAttributeValue rv=0x11"); /* hides what it has */
    check_refused(rsa());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rsa__leading_zeros_and_limits, ready, gone),
        cmocka_unit_test_setup_teardown(test_p256__der_and_bare, ready, gone),
        cmocka_unit_test_setup_teardown(test_p256__what_is_no_point, ready, gone),
        cmocka_unit_test_setup_teardown(test_public_key__of_a_token_that_is_gone, ready, gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

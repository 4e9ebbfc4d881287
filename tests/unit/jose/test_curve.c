#include "tests/unit/jose/jose_test.h"

#include "broker/jose/curve.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>

static const char *const CURVES[] = {"P-256", "P-384", "P-521"};

static size_t point_of(const EVP_PKEY *key, uint8_t point[KEY_MAX_POINT])
{
    size_t len = 0;
    assert_int_equal(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, KEY_MAX_POINT, &len), 1);
    return len;
}

static void test_curve_key__forms(void **state)
{
    const struct key_kind *kind = key_kind_named("EC", "P-256");
    EVP_PKEY *key = EVP_EC_gen("P-256"), *back = NULL;
    uint8_t point[KEY_MAX_POINT];
    size_t len = point_of(key, point);
    assert_ok(curve_key(kind, span_of(point, len), &back));
    assert_int_equal(EVP_PKEY_eq(key, back), 1);
    EVP_PKEY_free(back);
    back = NULL;
    point[64] ^= 1; /* off the curve */
    assert_fails(curve_key(kind, span_of(point, len), &back), ERR_USAGE);
    point[0] = 0; /* infinity */
    assert_fails(curve_key(kind, span_of(point, 1), &back), ERR_USAGE);
    assert_null(back);
    assert_int_equal(ERR_peek_error(), 0); /* nothing stays in OpenSSL's queue */
    EVP_PKEY_free(key);
}

/* A point on each curve is taken, and no other pair of numbers: neither one that is off the curve, nor
 * coordinates beyond the field that would be on it when reduced. */
static void test_curve_key__every_curve(void **state)
{
    /* p of P-256; (p, y) is (0, y) when reduced, and y is a root of its b. */
    static const char beyond[] =
        "04ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"
        "66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4";
    uint8_t point[KEY_MAX_POINT];
    EVP_PKEY *back = NULL;
    for (size_t i = 0; i < COUNT(CURVES); i++) {
        const struct key_kind *kind = key_kind_named("EC", CURVES[i]);
        EVP_PKEY *key = EVP_EC_gen(CURVES[i]);
        size_t len = point_of(key, point);
        assert_ok(curve_key(kind, span_of(point, len), &back));
        assert_int_equal(EVP_PKEY_eq(key, back), 1);
        assert_ptr_equal(key_kind_of(back), kind);
        EVP_PKEY_free(back);
        back = NULL;
        point[len - 1] ^= 1;
        assert_fails(curve_key(kind, span_of(point, len), &back), ERR_USAGE);
        assert_fails(curve_key(kind, span_of(point, len - 1), &back), ERR_USAGE);
        EVP_PKEY_free(key);
    }
    const struct key_kind *p256 = key_kind_named("EC", "P-256");
    assert_true(hex_decode(beyond, point, 65));
    assert_fails(curve_key(p256, span_of(point, 65), &back), ERR_USAGE);
    memset(point + 1, 0, 32); /* the same point, as it should be written */
    assert_ok(curve_key(p256, span_of(point, 65), &back));
    EVP_PKEY_free(back);
}

/* The thread's own key takes one point after the other; a bad one does not spoil the next. */
static void test_curve_borrow__one_after_the_other(void **state)
{
    uint8_t point[KEY_MAX_POINT];
    for (size_t i = 0; i < COUNT(CURVES); i++) {
        const struct key_kind *kind = key_kind_named("EC", CURVES[i]);
        EVP_PKEY *first = NULL, *again = NULL;
        for (int turn = 0; turn < 3; turn++) {
            EVP_PKEY *key = EVP_EC_gen(CURVES[i]);
            size_t len = point_of(key, point);
            assert_ok(curve_borrow(kind, span_of(point, len), &again));
            assert_int_equal(EVP_PKEY_eq(key, again), 1);
            assert_true(!first || again == first);
            first = again;
            point[len - 1] ^= 1;
            assert_fails(curve_borrow(kind, span_of(point, len), &again), ERR_USAGE);
            point[0] = 0;
            assert_fails(curve_borrow(kind, span_of(point, 1), &again), ERR_USAGE);
            assert_fails(curve_borrow(kind, span_of(point, 0), &again), ERR_USAGE);
            EVP_PKEY_free(key);
        }
    }
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_curve_generate__every_curve(void **state)
{
    for (size_t i = 0; i < COUNT(CURVES); i++) {
        const struct key_kind *kind = key_kind_named("EC", CURVES[i]);
        EVP_PKEY *a = NULL, *b = NULL;
        assert_ok(curve_generate(kind, &a));
        assert_ok(curve_generate(kind, &b));
        assert_ptr_equal(key_kind_of(a), kind);
        assert_int_equal(EVP_PKEY_eq(a, b), 0);
        EVP_PKEY_free(a);
        EVP_PKEY_free(b);
    }
}

#define THREADS 4
#define TURNS 50

/* Each thread has a key of its own to lend, so no point is another thread's. */
static void *borrow_in_turns(void *arg)
{
    const struct key_kind *kind = key_kind_named("EC", "P-256");
    uint8_t point[2][KEY_MAX_POINT];
    EVP_PKEY *keys[2] = {EVP_EC_gen("P-256"), EVP_EC_gen("P-256")};
    bool good = true;
    for (int i = 0; i < 2; i++) {
        size_t len = 0;
        good &= EVP_PKEY_get_octet_string_param(keys[i], OSSL_PKEY_PARAM_PUB_KEY, point[i], KEY_MAX_POINT, &len) == 1;
    }
    for (int i = 0; i < TURNS; i++) {
        EVP_PKEY *got = NULL, *fresh = NULL;
        good &= err_ok(curve_borrow(kind, span_of(point[i % 2], 65), &got)) && err_ok(curve_generate(kind, &fresh)) &&
                EVP_PKEY_eq(got, keys[i % 2]) == 1;
        EVP_PKEY_free(fresh);
    }
    EVP_PKEY_free(keys[0]);
    EVP_PKEY_free(keys[1]);
    return good ? arg : NULL;
}

static void test_curve_borrow__threads(void **state)
{
    static int good;
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, borrow_in_turns, &good), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *got = NULL;
        assert_int_equal(pthread_join(threads[i], &got), 0);
        assert_ptr_equal(got, &good);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_curve_key__forms),
        cmocka_unit_test(test_curve_key__every_curve),
        cmocka_unit_test(test_curve_borrow__one_after_the_other),
        cmocka_unit_test(test_curve_generate__every_curve),
        cmocka_unit_test(test_curve_borrow__threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

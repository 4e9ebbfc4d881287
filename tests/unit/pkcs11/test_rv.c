#include "tests/lib/test.h"

#include "pkcs11/rv.h"

static void test_rv_name__standard_vendor_and_unknown_codes(void **state)
{
    static const struct { CK_RV rv; const char *name; } ROWS[] = {
        {CKR_OK, "CKR_OK"},
        {CKR_PIN_LOCKED, "CKR_PIN_LOCKED"},
        {CKR_GENERAL_ERROR, "CKR_GENERAL_ERROR"},
        {0x42, "CKR_AEAD_DECRYPT_FAILED"},
        {0x200, "CKR_FUNCTION_REJECTED"},
        {0x1b5, "CKR_EXCEEDED_MAX_ITERATIONS"}, /* p11-kit's header numbers these otherwise */
        {0x1b6, "CKR_FIPS_SELF_TEST_FAILED"},
        {0x1b7, "CKR_LIBRARY_LOAD_FAILED"},
        {0x1b8, "CKR_PIN_TOO_WEAK"},
        {0x1b9, "CKR_PUBLIC_KEY_INVALID"},
        {CKR_VENDOR_DEFINED, "CKR_VENDOR_DEFINED+0x0"},
        {0x80000384UL, "CKR_VENDOR_DEFINED+0x384"},
        {0x1f5, "CKR_0x1f5"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        char out[RV_NAME];
        assert_string_equal(rv_name(ROWS[i].rv, out), ROWS[i].name);
    }
}

static void test_rv_class__decides_reaction(void **state)
{
    static const struct { CK_RV rv; enum err_class class; enum rv_reaction reaction; } ROWS[] = {
        {CKR_OK, ERR_NONE, RV_FINE},
        {CKR_ENCRYPTED_DATA_INVALID, ERR_CRYPTO, RV_ITEM},
        {CKR_WRAPPED_KEY_INVALID, ERR_CRYPTO, RV_ITEM},
        {CKR_GENERAL_ERROR, ERR_TOKEN_DOWN, RV_CANARY},
        {CKR_SESSION_HANDLE_INVALID, ERR_TOKEN_DOWN, RV_SESSION},
        {CKR_USER_NOT_LOGGED_IN, ERR_TOKEN_DOWN, RV_LOGIN},
        {CKR_DEVICE_REMOVED, ERR_TOKEN_DOWN, RV_REINIT},
        {CKR_CRYPTOKI_NOT_INITIALIZED, ERR_TOKEN_DOWN, RV_REINIT},
        {CKR_PIN_INCORRECT, ERR_HUMAN, RV_HUMAN},
        {CKR_PIN_LOCKED, ERR_HUMAN, RV_HUMAN},
        {CKR_SESSION_COUNT, ERR_BUSY, RV_WAIT},
        {CKR_DEVICE_MEMORY, ERR_FULL, RV_FULL},
        {CKR_OBJECT_HANDLE_INVALID, ERR_NOTFOUND, RV_HANDLE},
        {0x80000384UL, ERR_TOKEN_DOWN, RV_SESSION},
        {0x1f5, ERR_TOKEN_DOWN, RV_SESSION},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        assert_int_equal(rv_class(ROWS[i].rv), ROWS[i].class);
        assert_int_equal(rv_reaction(ROWS[i].rv), ROWS[i].reaction);
    }
}

/* A guest is not told that his request was wrong, whatever the token says to it. */
static void test_rv_work_class__blames_nobody_who_asked(void **state)
{
    static const struct { CK_RV rv; enum err_class class; } ROWS[] = {
        {CKR_OK, ERR_NONE},
        {CKR_ENCRYPTED_DATA_INVALID, ERR_INTERNAL}, /* of the table: crypto */
        {CKR_SESSION_EXISTS, ERR_INTERNAL},         /* conflict */
        {CKR_OBJECT_HANDLE_INVALID, ERR_TOKEN_DOWN}, /* not found */
        {CKR_PIN_INVALID, ERR_HUMAN},               /* usage */
        {CKR_USER_ANOTHER_ALREADY_LOGGED_IN, ERR_HUMAN}, /* conflict */
        {CKR_DEVICE_MEMORY, ERR_FULL},
        {CKR_TOKEN_WRITE_PROTECTED, ERR_READONLY},
        {CKR_GENERAL_ERROR, ERR_TOKEN_DOWN},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++)
        assert_int_equal(rv_work_class(ROWS[i].rv), ROWS[i].class);
    for (CK_RV rv = 0; rv < 0x400; rv++) {
        enum err_class class = rv_work_class(rv);
        assert_false(class == ERR_USAGE || class == ERR_CONFLICT || class == ERR_NOTFOUND || class == ERR_CRYPTO);
    }
}

static void test_rv_is_of_the_moment__not_what_the_token_can(void **state)
{
    static const CK_RV NOW[] = {CKR_DEVICE_REMOVED, CKR_SESSION_COUNT, CKR_DEVICE_MEMORY, CKR_PIN_LOCKED, 0x80000384UL};
    static const CK_RV LASTING[] = {CKR_OK, CKR_GENERAL_ERROR, CKR_MECHANISM_INVALID, CKR_ENCRYPTED_DATA_INVALID,
                                    CKR_TOKEN_WRITE_PROTECTED};
    for (size_t i = 0; i < sizeof NOW / sizeof *NOW; i++) assert_true(rv_is_of_the_moment(NOW[i]));
    for (size_t i = 0; i < sizeof LASTING / sizeof *LASTING; i++) assert_false(rv_is_of_the_moment(LASTING[i]));
}

static void test_rv_class__only_ok_is_no_error(void **state)
{
    for (CK_RV rv = 1; rv < 0x400; rv++) {
        assert_int_not_equal(rv_class(rv), ERR_NONE);
        assert_int_not_equal(rv_reaction(rv), RV_FINE);
    }
}

static void test_rv_keeps_session__data_errors_only(void **state)
{
    assert_true(rv_keeps_session(CKR_OK));
    assert_true(rv_keeps_session(CKR_ENCRYPTED_DATA_INVALID));
    assert_true(rv_keeps_session(CKR_ATTRIBUTE_SENSITIVE));
    assert_false(rv_keeps_session(CKR_GENERAL_ERROR));
    assert_false(rv_keeps_session(CKR_OPERATION_ACTIVE));
    assert_false(rv_keeps_session(CKR_BUFFER_TOO_SMALL));
    assert_false(rv_keeps_session(CKR_SESSION_CLOSED));
    assert_false(rv_keeps_session(0x80000384UL));
}

static err_t failing(CK_RV rv)
{
    FAIL_RV(rv, "C_Login", "the token refuses");
}

static void test_fail_rv__names_call_and_code(void **state)
{
    struct err e = failing(CKR_PIN_LOCKED);
    assert_int_equal(e.code, ERR_HUMAN);
    assert_string_equal(err_reason(e), "the token refuses");
    assert_non_null(strstr(err_text(e), "C_Login: CKR_PIN_LOCKED (0xa4)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rv_name__standard_vendor_and_unknown_codes),
        cmocka_unit_test(test_rv_class__decides_reaction),
        cmocka_unit_test(test_rv_work_class__blames_nobody_who_asked),
        cmocka_unit_test(test_rv_is_of_the_moment__not_what_the_token_can),
        cmocka_unit_test(test_rv_class__only_ok_is_no_error),
        cmocka_unit_test(test_rv_keeps_session__data_errors_only),
        cmocka_unit_test(test_fail_rv__names_call_and_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

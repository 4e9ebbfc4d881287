#include "tests/unit/pkcs11/token.h"

#include "pkcs11/find.h"

static struct p11_session session;
static struct cek_op op;

static void begin(void)
{
    session = (struct p11_session){0};
    assert_ok(session_take(token, &session));
    op = (struct cek_op){.fn = token->fn, .h = session.h};
}

static CK_BBOOL flag(CK_OBJECT_HANDLE h, CK_ATTRIBUTE_TYPE type)
{
    CK_BBOOL value = 99;
    size_t len = 0;
    CK_RV rv = attribute_read(&session, h, type, &value, sizeof value, &len);
    return rv == CKR_OK ? value : 99;
}

/* What the token made of the templates, for each use: when made, when unwrapped. */
static const struct {
    enum cek_use use;
    CK_ATTRIBUTE_TYPE type;
    CK_BBOOL made, back;
} WANT[] = {
    {CEK_GCM, CKA_SENSITIVE, 1, 1}, {CEK_GCM, CKA_EXTRACTABLE, 1, 0}, {CEK_GCM, CKA_ENCRYPT, 1, 0},
    {CEK_GCM, CKA_DECRYPT, 0, 1}, {CEK_GCM, CKA_TOKEN, 0, 0}, {CEK_GCM, CKA_PRIVATE, 1, 1},
    {CEK_GCM, CKA_SIGN, 0, 0}, {CEK_GCM, CKA_VERIFY, 0, 0},
    {CEK_CBC, CKA_SENSITIVE, 1, 1}, {CEK_CBC, CKA_EXTRACTABLE, 1, 0}, {CEK_CBC, CKA_ENCRYPT, 1, 0},
    {CEK_CBC, CKA_DECRYPT, 0, 1},
    {CEK_MAC, CKA_SENSITIVE, 1, 1}, {CEK_MAC, CKA_EXTRACTABLE, 1, 0}, {CEK_MAC, CKA_SIGN, 1, 0},
    {CEK_MAC, CKA_VERIFY, 0, 1}, {CEK_MAC, CKA_ENCRYPT, 0, 0}, {CEK_MAC, CKA_DECRYPT, 0, 0},
    {CEK_HOST, CKA_SENSITIVE, 0, 0}, {CEK_HOST, CKA_EXTRACTABLE, 1, 1}, {CEK_HOST, CKA_ENCRYPT, 0, 0},
    {CEK_HOST, CKA_DECRYPT, 0, 0}, {CEK_HOST, CKA_WRAP, 0, 0}, {CEK_HOST, CKA_UNWRAP, 0, 0},
};

static void test_cek__attributes_read_back(void **state)
{
    begin();
    for (enum cek_use use = CEK_GCM; use <= CEK_HOST; use++) {
        CK_OBJECT_HANDLE made = 0, back = 0;
        uint8_t bytes[CEK_WRAPPED_MAX], value[32];
        size_t len = 0;
        assert_int_equal(cek_generate(&op, use, &made), CKR_OK);
        assert_int_equal(cek_wrap(&op, ENVELOPE_KW, token->active->handle, made, bytes), CKR_OK);
        struct cek_wrapped w = {ENVELOPE_KW, use, span_of(bytes, cek_wrapped_len(ENVELOPE_KW))};
        assert_int_equal(cek_unwrap(&op, token->active->handle, &w, &back), CKR_OK);
        for (size_t i = 0; i < sizeof WANT / sizeof *WANT; i++) {
            if (WANT[i].use != use) continue;
            if (flag(made, WANT[i].type) != WANT[i].made || flag(back, WANT[i].type) != WANT[i].back)
                fail_msg("use %d, attribute %#lx: %d, %d", (int) use, WANT[i].type,
                         flag(made, WANT[i].type), flag(back, WANT[i].type));
        }
        CK_RV shown = attribute_read(&session, back, CKA_VALUE, value, sizeof value, &len);
        assert_int_equal(shown, use == CEK_HOST ? CKR_OK : CKR_ATTRIBUTE_SENSITIVE);
        /* Not even wrapped again. */
        CK_RV again = cek_wrap(&op, ENVELOPE_KW, token->active->handle, back, bytes);
        assert_int_equal(again == CKR_OK, use == CEK_HOST);
        assert_int_equal(cek_destroy(&op, made), CKR_OK);
        assert_int_equal(cek_destroy(&op, back), CKR_OK);
    }
    session_drop(&session);
}

static void test_cek__movable_only_wraps(void **state)
{
    CK_OBJECT_HANDLE made = 0, back = 0;
    uint8_t bytes[CEK_WRAPPED_MAX];
    begin();
    assert_int_equal(cek_generate(&op, CEK_MAC, &made), CKR_OK);
    assert_int_equal(cek_wrap(&op, ENVELOPE_KW, token->active->handle, made, bytes), CKR_OK);
    struct cek_wrapped w = {ENVELOPE_KW, CEK_MAC, span_of(bytes, cek_wrapped_len(ENVELOPE_KW))};
    assert_int_equal(cek_unwrap_movable(&op, token->active->handle, &w, &back), CKR_OK);
    assert_int_equal(flag(back, CKA_EXTRACTABLE), 1);
    assert_int_equal(flag(back, CKA_SENSITIVE), 1);
    assert_int_equal(flag(back, CKA_VERIFY), 0);
    assert_int_equal(cek_wrap(&op, ENVELOPE_KW, token->active->handle, back, bytes), CKR_OK);
    session_drop(&session);
}

static void test_cek__lengths_that_are_no_whole_key(void **state)
{
    static const uint8_t mechanisms[] = {ENVELOPE_KW, ENVELOPE_KWP, ENVELOPE_CBC_PAD};
    static const size_t lens[] = {40, 40, 64};
    uint8_t bytes[CEK_WRAPPED_MAX + 8] = {0};
    CK_OBJECT_HANDLE h = 0;
    begin();
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(cek_wrapped_len(mechanisms[i]), lens[i]);
        for (size_t len = 0; len <= sizeof bytes; len += 8) {
            if (len == lens[i]) continue;
            struct cek_wrapped w = {mechanisms[i], CEK_GCM, span_of(bytes, len)};
            assert_int_equal(cek_unwrap(&op, token->active->handle, &w, &h),
                             CKR_WRAPPED_KEY_LEN_RANGE);
        }
    }
    assert_int_equal(cek_wrapped_len(ENVELOPE_OAEP_SHA256), 0);
    assert_int_equal(cek_wrapped_len(0), 0);
    assert_int_equal(cek_wrapped_len(255), 0);
    assert_int_equal(cek_wrap(&op, 255, token->active->handle, h, bytes), CKR_MECHANISM_INVALID);
    session_drop(&session);
}

#define KEK(test) cmocka_unit_test_setup_teardown(test, token_with_kek, token_gone)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEK(test_cek__attributes_read_back),
        KEK(test_cek__movable_only_wraps),
        KEK(test_cek__lengths_that_are_no_whole_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/unit/pkcs11/token.h"

#include "pkcs11/cek.h"
#include "pkcs11/find.h"
#include "pkcs11/suite.h"

static void test_suite__softhsm_passes(void **state)
{
    assert_string_equal(p11_suite_text(token), "AES-KW recipients, AES-GCM payloads");
    assert_int_equal(token->suite, 1);
    assert_int_equal(token->mechanism, ENVELOPE_KW);
    assert_ok(suite_self_test(token, token->active->handle));
    assert_ok(suite_negotiate(token));
}

static void test_suite__skipped_without_a_kek(void **state)
{
    assert_ok(suite_negotiate(token));
    assert_int_equal(token->suite, 0);
    assert_non_null(strstr(p11_suite_text(token), "kek create"));
}

/* Every call that fails is named, and the step. */
static void test_suite__names_the_step_that_fails(void **state)
{
    static const struct { const char *rule, *says, *code; enum err_class class; } CASES[] = {
        {"C_GenerateKey rv=0x70", "making a content key", "CKR_MECHANISM_INVALID", ERR_USAGE},
        {"C_EncryptInit rv=0x70", "encrypting with AES-GCM", "C_EncryptInit", ERR_USAGE},
        {"C_Encrypt rv=0x71", "encrypting with AES-GCM", "CKR_MECHANISM_PARAM_INVALID", ERR_USAGE},
        {"C_WrapKey rv=0x69", "wrapping", "CKR_KEY_NOT_WRAPPABLE", ERR_USAGE},
        {"C_UnwrapKey rv=0x5", "unwrapping", "CKR_GENERAL_ERROR", ERR_USAGE},
        {"C_Decrypt rv=0x40", "decrypting with AES-GCM", "CKR_ENCRYPTED_DATA_INVALID", ERR_USAGE},
        {"C_Decrypt rv=0x30", "stopped answering", "CKR_DEVICE_ERROR", ERR_TOKEN_DOWN},
        /* in mid-test: the round trip went well, then the token died; no proof of tampering */
        {"C_Decrypt rv=0x32 after=1", "stopped answering", "CKR_DEVICE_REMOVED", ERR_TOKEN_DOWN},
        {"C_OpenSession rv=0x32", "gives no session", "CKR_DEVICE_REMOVED", ERR_TOKEN_DOWN},
        /* what the unwrapped key became cannot be read */
        {"C_GetAttributeValue rv=0x12", "came out readable", "", ERR_USAGE},
    };
    token_through_faults("");
    CK_OBJECT_HANDLE kek = token->active->handle;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        softhsm_fault(&hsm, CASES[i].rule);
        struct err e = suite_self_test(token, kek);
        if (e.code != CASES[i].class || !strstr(err_text(e), CASES[i].says) ||
            !strstr(err_text(e), CASES[i].code))
            fail_msg("%s: %s", CASES[i].rule, err_ok(e) ? "passed" : err_text(e));
    }
    softhsm_fault(&hsm, "");
    assert_ok(suite_self_test(token, kek));
}

static void test_suite__open_fails_on_a_token_that_fails(void **state)
{
    token_through_faults("");
    token_close();
    softhsm_fault(&hsm, "C_Decrypt rv=0x70");
    assert_fails_with(token_open_with(softhsm_fault_module(), 0, 0), ERR_USAGE, "self-test");
    softhsm_fault(&hsm, "");
    assert_ok(token_open_with(softhsm_fault_module(), 0, 0));
}

/* ---- tokens that lie: a function list with one function of our own ---------------------- */

static CK_FUNCTION_LIST lying;
static CK_FUNCTION_LIST *honest;

static CK_RV unwrap_readable(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE kek,
                             CK_BYTE *wrapped, CK_ULONG len, CK_ATTRIBUTE *t, CK_ULONG n,
                             CK_OBJECT_HANDLE *ret)
{
    static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ATTRIBUTE mine[32];
    assert_true(n <= 32);
    for (CK_ULONG i = 0; i < n; i++) {
        mine[i] = t[i];
        if (t[i].type == CKA_SENSITIVE) mine[i].pValue = &no;
        if (t[i].type == CKA_EXTRACTABLE) mine[i].pValue = &yes;
    }
    return honest->C_UnwrapKey(s, m, kek, wrapped, len, mine, n, ret);
}

/* Verifies nothing of the header. */
static CK_RV encrypt_init_without_aad(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k)
{
    CK_GCM_PARAMS p = *(CK_GCM_PARAMS *) m->pParameter;
    p.ulAADLen = 0;
    CK_MECHANISM mine = {m->mechanism, &p, sizeof p};
    return honest->C_EncryptInit(s, &mine, k);
}

static CK_RV decrypt_init_without_aad(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k)
{
    CK_GCM_PARAMS p = *(CK_GCM_PARAMS *) m->pParameter;
    p.ulAADLen = 0;
    CK_MECHANISM mine = {m->mechanism, &p, sizeof p};
    return honest->C_DecryptInit(s, &mine, k);
}

/* Ignores our IV, as Luna does in FIPS mode, but consistently. */
static CK_RV encrypt_init_own_iv(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k)
{
    static CK_BYTE zero[12];
    CK_GCM_PARAMS p = *(CK_GCM_PARAMS *) m->pParameter;
    p.pIv = zero;
    CK_MECHANISM mine = {m->mechanism, &p, sizeof p};
    return honest->C_EncryptInit(s, &mine, k);
}

static CK_RV decrypt_init_own_iv(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k)
{
    static CK_BYTE zero[12];
    CK_GCM_PARAMS p = *(CK_GCM_PARAMS *) m->pParameter;
    p.pIv = zero;
    CK_MECHANISM mine = {m->mechanism, &p, sizeof p};
    return honest->C_DecryptInit(s, &mine, k);
}

static CK_RV encrypt_longer(CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG n, CK_BYTE *out,
                            CK_ULONG *out_n)
{
    CK_RV rv = honest->C_Encrypt(s, in, n, out, out_n);
    if (rv == CKR_OK) *out_n -= 4; /* a tag of 96 bits */
    return rv;
}

static CK_FUNCTION_LIST *lies_begin(void)
{
    honest = token->fn;
    lying = *honest;
    token->fn = &lying;
    return &lying;
}

static void lies_end(void)
{
    token->fn = honest;
}

static struct err test_active(void)
{
    struct err e = suite_self_test(token, token->active->handle);
    lies_end();
    return e;
}

static void test_suite__refuses_a_token_that_overrides_attributes(void **state)
{
    lies_begin()->C_UnwrapKey = unwrap_readable;
    assert_fails_with(test_active(), ERR_USAGE, "came out readable");
}

static void test_suite__refuses_a_token_that_does_not_bind_the_header(void **state)
{
    CK_FUNCTION_LIST *fn = lies_begin();
    fn->C_EncryptInit = encrypt_init_without_aad;
    fn->C_DecryptInit = decrypt_init_without_aad;
    assert_fails_with(test_active(), ERR_USAGE, "changed header");
}

static void test_suite__refuses_a_token_with_an_iv_of_its_own(void **state)
{
    CK_FUNCTION_LIST *fn = lies_begin();
    fn->C_EncryptInit = encrypt_init_own_iv;
    fn->C_DecryptInit = decrypt_init_own_iv;
    assert_fails_with(test_active(), ERR_USAGE, "changed IV");
    fn = lies_begin();
    fn->C_EncryptInit = encrypt_init_own_iv;
    assert_fails_with(test_active(), ERR_USAGE, "decrypting");
}

static void test_suite__refuses_another_length(void **state)
{
    lies_begin()->C_Encrypt = encrypt_longer;
    assert_fails_with(test_active(), ERR_USAGE, "encrypting with AES-GCM");
}

/* ---- content keys as they really are ---------------------------------------------------- */

static CK_BBOOL flag(struct p11_session *s, CK_OBJECT_HANDLE h, CK_ATTRIBUTE_TYPE type)
{
    CK_BBOOL value = 99;
    size_t len = 0;
    assert_int_equal(attribute_read(s, h, type, &value, sizeof value, &len), CKR_OK);
    return value;
}

static void test_cek__attributes_read_back(void **state)
{
    struct p11_session s = {0};
    CK_OBJECT_HANDLE made = 0, back = 0;
    uint8_t wrapped[CEK_WRAPPED_MAX], value[32];
    size_t len = 0;
    assert_ok(session_take(token, &s));
    struct cek_op op = {.fn = token->fn, .h = s.h};
    assert_int_equal(cek_generate(&op, &made), CKR_OK);
    assert_int_equal(cek_wrap(&op, token->active->handle, made, wrapped, &len), CKR_OK);
    assert_int_equal(len, CEK_WRAPPED_KW);
    assert_int_equal(cek_unwrap(&op, token->active->handle, span_of(wrapped, len), &back), CKR_OK);
    static const struct { CK_ATTRIBUTE_TYPE type; CK_BBOOL made, back; } WANT[] = {
        {CKA_TOKEN, 0, 0}, {CKA_PRIVATE, 1, 1}, {CKA_SENSITIVE, 1, 1}, {CKA_EXTRACTABLE, 1, 0},
        {CKA_ENCRYPT, 1, 0}, {CKA_DECRYPT, 0, 1}, {CKA_WRAP, 0, 0}, {CKA_UNWRAP, 0, 0},
        {CKA_SIGN, 0, 0}, {CKA_VERIFY, 0, 0},
    };
    for (size_t i = 0; i < sizeof WANT / sizeof *WANT; i++) {
        assert_int_equal(flag(&s, made, WANT[i].type), WANT[i].made);
        assert_int_equal(flag(&s, back, WANT[i].type), WANT[i].back);
    }
    assert_int_equal(attribute_read(&s, back, CKA_VALUE, value, sizeof value, &len),
                     CKR_ATTRIBUTE_SENSITIVE);
    /* Not even wrapped again. */
    assert_int_not_equal(cek_wrap(&op, token->active->handle, back, wrapped, &len), CKR_OK);
    assert_int_equal(cek_destroy(&op, made), CKR_OK);
    assert_int_equal(cek_destroy(&op, back), CKR_OK);
    session_drop(&s);
}

#define KEK(test) cmocka_unit_test_setup_teardown(test, token_with_kek, token_gone)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEK(test_suite__softhsm_passes),
        cmocka_unit_test_setup_teardown(test_suite__skipped_without_a_kek, token_bare, token_gone),
        KEK(test_suite__names_the_step_that_fails),
        KEK(test_suite__open_fails_on_a_token_that_fails),
        KEK(test_suite__refuses_a_token_that_overrides_attributes),
        KEK(test_suite__refuses_a_token_that_does_not_bind_the_header),
        KEK(test_suite__refuses_a_token_with_an_iv_of_its_own),
        KEK(test_suite__refuses_another_length),
        KEK(test_cek__attributes_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

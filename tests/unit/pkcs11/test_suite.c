#include "tests/unit/pkcs11/token.h"

#include "pkcs11/suite.h"

/* The plainest way, and the test of it. */
static struct err self_test(CK_OBJECT_HANDLE kek)
{
    bool readable = false;
    return suite_self_test(token, suite_way_find(1, ENVELOPE_KW), kek, &readable);
}

static void test_suite__softhsm_passes(void **state)
{
    assert_string_equal(p11_suite_text(token), "AES-KW recipients, AES-GCM payloads");
    assert_int_equal(token->way->suite, 1);
    assert_int_equal(token->way->mechanism, ENVELOPE_KW);
    assert_ok(self_test(token->active->handle));
    assert_ok(suite_negotiate(token));
}

static void test_suite__skipped_without_a_kek(void **state)
{
    assert_ok(suite_negotiate(token));
    assert_null(token->way);
    assert_non_null(strstr(p11_suite_text(token), "kek create"));
}

/* Every call that fails is named, and the step. */
static void test_suite__names_the_step_that_fails(void **state)
{
    static const struct { const char *rule, *says, *code; enum err_class class; } CASES[] = {
        {"C_GenerateKey rv=0x70", "making a content key", "CKR_MECHANISM_INVALID", ERR_USAGE},
        {"C_EncryptInit rv=0x70", "sealing a payload", "C_EncryptInit", ERR_USAGE},
        {"C_Encrypt rv=0x71", "sealing a payload", "CKR_MECHANISM_PARAM_INVALID", ERR_USAGE},
        {"C_WrapKey rv=0x69", "wrapping", "CKR_KEY_NOT_WRAPPABLE", ERR_USAGE},
        {"C_UnwrapKey rv=0x5", "unwrapping", "CKR_GENERAL_ERROR", ERR_USAGE},
        {"C_Decrypt rv=0x40", "opening a payload", "CKR_ENCRYPTED_DATA_INVALID", ERR_USAGE},
        {"C_Decrypt rv=0x30", "stopped answering", "CKR_DEVICE_ERROR", ERR_TOKEN_DOWN},
        /* in mid-test: the round trip went well, then the token died; no proof of tampering */
        {"C_Decrypt rv=0x32 after=1", "stopped answering", "CKR_DEVICE_REMOVED", ERR_TOKEN_DOWN},
        {"C_OpenSession rv=0x32", "gives no session", "CKR_DEVICE_REMOVED", ERR_TOKEN_DOWN},
    };
    token_through_faults("");
    CK_OBJECT_HANDLE kek = token->active->handle;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        softhsm_fault(&hsm, CASES[i].rule);
        struct err e = self_test(kek);
        if (e.code != CASES[i].class || !strstr(err_text(e), CASES[i].says) ||
            !strstr(err_text(e), CASES[i].code))
            fail_msg("%s: %s", CASES[i].rule, err_ok(e) ? "passed" : err_text(e));
    }
    softhsm_fault(&hsm, "");
    assert_ok(self_test(kek));
}

static void test_suite__open_fails_on_a_token_that_fails(void **state)
{
    token_through_faults("");
    token_close();
    softhsm_fault(&hsm, "C_WrapKey rv=0x70");
    assert_fails_with(token_open_with(softhsm_fault_module(), 0, 0), ERR_USAGE, "self-test");
    /* Suite 3 would do, and could open nothing that is there. */
    softhsm_fault(&hsm, "C_Decrypt rv=0x70");
    assert_fails_with(token_open_with(softhsm_fault_module(), 0, 0), ERR_USAGE, "no longer does");
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

static CK_RV no_wrap(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE kek,
                     CK_OBJECT_HANDLE key, CK_BYTE *out, CK_ULONG *n)
{
    return CKR_MECHANISM_INVALID;
}

static void lies_end(void)
{
    token->fn = honest;
}

static struct err test_active(void)
{
    struct err e = self_test(token->active->handle);
    lies_end();
    return e;
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
    assert_fails_with(test_active(), ERR_USAGE, "opening");
}

static void test_suite__refuses_another_length(void **state)
{
    lies_begin()->C_Encrypt = encrypt_longer;
    assert_fails_with(test_active(), ERR_USAGE, "sealing a payload");
}

/* ---- choosing: tokens that can do less -------------------------------------------------- */

/* Mechanisms that the token then does not know; 0 ends. */
static CK_MECHANISM_TYPE refused[8];

static bool is_refused(const CK_MECHANISM *m)
{
    for (size_t i = 0; refused[i]; i++)
        if (refused[i] == m->mechanism) return true;
    return false;
}

static CK_RV encrypt_init(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k)
{
    return is_refused(m) ? CKR_MECHANISM_INVALID : honest->C_EncryptInit(s, m, k);
}

static CK_RV sign_init(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k)
{
    return is_refused(m) ? CKR_MECHANISM_INVALID : honest->C_SignInit(s, m, k);
}

/* The weaker the token, the lower the row; and what was sealed before still opens. */
static void test_negotiate__weaker_tokens(void **state)
{
    static const struct { CK_MECHANISM_TYPE refused[3]; uint8_t suite; const char *says; } CASES[] = {
        {{CKM_AES_GCM}, 2, "AES-KW recipients, AES-CBC payloads with HMAC-SHA-256"},
        {{CKM_AES_GCM, CKM_SHA256_HMAC}, 3, "opened into this process"},
        {{CKM_AES_CBC_PAD, CKM_SHA256_HMAC}, 1, "AES-KW recipients, AES-GCM payloads"},
    };
    struct buf first = sealed("a/b/c", SPAN_LIT("before"));
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        CK_FUNCTION_LIST *fn = lies_begin();
        fn->C_EncryptInit = encrypt_init;
        fn->C_SignInit = sign_init;
        memset(refused, 0, sizeof refused);
        memcpy(refused, CASES[i].refused, sizeof CASES[i].refused);
        token->way = NULL;
        assert_ok(suite_negotiate(token));
        assert_int_equal(token->way->suite, CASES[i].suite);
        assert_non_null(strstr(p11_suite_text(token), CASES[i].says));
        struct buf b = sealed("a/b/c", SPAN_LIT("value"));
        assert_int_equal(decoded(&b).meta.suite, CASES[i].suite);
        assert_opens(&b, SPAN_LIT("value"));
        assert_opens(&first, SPAN_LIT("before"));
        lies_end();
        assert_opens(&b, SPAN_LIT("value")); /* whoever can do more reads it as well */
        buf_free(&b);
    }
    buf_free(&first);
}

/* Keys that come out readable: after all ways that keep them, before the host; and said. */
static void test_negotiate__readable_keys(void **state)
{
    lies_begin()->C_UnwrapKey = unwrap_readable;
    token->way = NULL;
    assert_ok(suite_negotiate(token));
    assert_int_equal(token->way->suite, 1);
    assert_true(token->readable);
    assert_non_null(strstr(p11_suite_text(token), "come out readable"));
    lies_end();
    assert_ok(suite_negotiate_with(token, token->active->handle));
    assert_false(token->readable);
    /* What became of a key cannot be asked: then it counts as readable. */
    bool readable = false;
    token_through_faults("");
    softhsm_fault(&hsm, "C_GetAttributeValue rv=0x12");
    assert_ok(suite_self_test(token, suite_way_find(1, ENVELOPE_KW), token->active->handle, &readable));
    assert_true(readable);
    softhsm_fault(&hsm, "");
}

/* One bad moment changes nothing; a mechanism that is gone for good does. */
static void test_negotiate__stays_with_what_it_found(void **state)
{
    token_through_faults("");
    const struct suite_way *way = token->way;
    softhsm_fault(&hsm, "C_Decrypt rv=0x5 count=1");
    assert_ok(suite_negotiate_with(token, token->active->handle));
    assert_ptr_equal(token->way, way);
    softhsm_fault(&hsm, "C_Decrypt rv=0x30");
    assert_fails(suite_negotiate_with(token, token->active->handle), ERR_TOKEN_DOWN);
    assert_ptr_equal(token->way, way);
    /* Neither what an item's flaw is answered with, however often, nor one word of a lost mechanism. */
    softhsm_fault(&hsm, "C_UnwrapKey rv=0x40");
    assert_fails(suite_negotiate_with(token, token->active->handle), ERR_TOKEN_DOWN);
    assert_ptr_equal(token->way, way);
    softhsm_fault(&hsm, "C_UnwrapKey rv=0x70 count=1");
    assert_ok(suite_negotiate_with(token, token->active->handle));
    assert_ptr_equal(token->way, way);
    softhsm_fault(&hsm, "");
    CK_FUNCTION_LIST *fn = lies_begin();
    fn->C_EncryptInit = encrypt_init;
    memset(refused, 0, sizeof refused);
    refused[0] = CKM_AES_GCM;
    assert_ok(suite_negotiate_with(token, token->active->handle));
    assert_int_equal(token->way->suite, 2);
    lies_end();
}

static CK_RV decrypt_init(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k)
{
    return is_refused(m) ? CKR_MECHANISM_INVALID : honest->C_DecryptInit(s, m, k);
}

/* A weaker suite would be found, but what was sealed could not be opened beside it. */
static void test_negotiate__stays_when_the_canary_does_not_open(void **state)
{
    const struct suite_way *way = token->way;
    CK_FUNCTION_LIST *fn = lies_begin();
    fn->C_EncryptInit = encrypt_init;
    fn->C_DecryptInit = decrypt_init;
    memset(refused, 0, sizeof refused);
    refused[0] = CKM_AES_GCM;
    struct err e = p11_kek_reload(token);
    lies_end();
    assert_fails_with(e, ERR_USAGE, "no longer does what the canary");
    assert_ptr_equal(token->way, way);
    assert_ok(p11_kek_reload(token));
}

static void test_negotiate__nothing_passes(void **state)
{
    CK_FUNCTION_LIST *fn = lies_begin();
    fn->C_UnwrapKey = NULL;
    fn->C_WrapKey = no_wrap;
    token->way = NULL;
    assert_fails_with(suite_negotiate(token), ERR_USAGE, "wrapping a content key fails");
    assert_null(token->way);
    lies_end();
}

#define KEK(test) cmocka_unit_test_setup_teardown(test, token_with_kek, token_gone)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEK(test_suite__softhsm_passes),
        cmocka_unit_test_setup_teardown(test_suite__skipped_without_a_kek, token_bare, token_gone),
        KEK(test_suite__names_the_step_that_fails),
        KEK(test_suite__open_fails_on_a_token_that_fails),
        KEK(test_suite__refuses_a_token_that_does_not_bind_the_header),
        KEK(test_suite__refuses_a_token_with_an_iv_of_its_own),
        KEK(test_suite__refuses_another_length),
        KEK(test_negotiate__weaker_tokens),
        KEK(test_negotiate__readable_keys),
        KEK(test_negotiate__stays_with_what_it_found),
        KEK(test_negotiate__stays_when_the_canary_does_not_open),
        KEK(test_negotiate__nothing_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Several objects that are made together: one find reads them back, and each has its own outcome. */
#include "tests/unit/pkcs11/keeper.h"

#include "pkcs11/object.h"

#define N 5u

static struct {
    struct p11_draft drafts[STORE_BATCH_MAX];
    char labels[STORE_BATCH_MAX][32], values[STORE_BATCH_MAX][32];
} batch;

static struct p11_draft *prepare(size_t n)
{
    memset(&batch, 0, sizeof batch);
    for (size_t i = 0; i < n; i++) {
        snprintf(batch.labels[i], sizeof batch.labels[i], "a/b/%zu", i);
        snprintf(batch.values[i], sizeof batch.values[i], "value %zu", i);
        batch.drafts[i] = (struct p11_draft){.label = batch.labels[i], .value = span_str(batch.values[i])};
    }
    return batch.drafts;
}

static void create(size_t n)
{
    p11_objects_create(token, prepare(n), n);
}

static enum err_class code_of(size_t i)
{
    return batch.drafts[i].outcome.err.code;
}

static size_t count(const char *label, struct p11_object *ret)
{
    struct p11_object found[4] = {{0}};
    size_t n = 0;
    assert_ok(p11_object_find(token, label, found, 4, &n));
    *ret = found[0];
    return n;
}

/* What is acknowledged is there once, under the handle that was told; what is not leaves nothing. */
static void assert_true_outcomes(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct p11_object found;
        bool good = code_of(i) == ERR_NONE;
        if (count(batch.labels[i], &found) != good) fail_msg("object %zu, outcome %d", i, (int) code_of(i));
        if (!good) continue;
        _cleanup_buf_ struct buf b = BUF_INIT;
        assert_ok(p11_object_read(token, batch.drafts[i].object, &b));
        assert_span(buf_span(&b), batch.values[i]);
        assert_ok(p11_object_destroy(token, batch.drafts[i].object));
    }
}

static void assert_calls(int creations, int finds)
{
    assert_int_equal(softhsm_fault_count(&hsm, "C_CreateObject"), creations);
    assert_int_equal(softhsm_fault_count(&hsm, "C_FindObjectsInit"), finds);
    assert_int_equal(softhsm_fault_count(&hsm, "C_OpenSession"), finds); /* each on a session of its own */
    softhsm_fault_clear_log(&hsm);
}

/* A find is linear in the token's objects, so that one for each makes many quadratic. */
static void test_batch__one_find_whatever_its_size(void **state)
{
    static const size_t SIZES[] = {1, 2, 16, STORE_BATCH_MAX};
    token_through_faults("");
    create(1); /* the pool has its session now */
    assert_true_outcomes(1);
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        softhsm_fault_clear_log(&hsm);
        create(SIZES[i]);
        assert_calls((int) SIZES[i], 1);
        assert_int_equal(code_of(SIZES[i] - 1), ERR_NONE);
        assert_true_outcomes(SIZES[i]);
    }
}

static void test_batch__a_single_object_has_its_own_find(void **state)
{
    struct p11_object o;
    token_through_faults("");
    assert_ok(p11_object_create(token, "a/b/c", SPAN_LIT("1"), &o));
    softhsm_fault_clear_log(&hsm);
    for (int i = 0; i < 3; i++) assert_ok(p11_object_create(token, "a/b/c", SPAN_LIT("1"), &o));
    assert_calls(3, 3);
}

static void test_batch__of_none(void **state)
{
    token_through_faults("");
    p11_objects_create(token, prepare(0), 0);
}

static void test_batch__what_is_too_large_fails_alone(void **state)
{
    static uint8_t big[ENVELOPE_MAX + 1];
    prepare(3);
    batch.drafts[1].value = span_of(big, sizeof big);
    p11_objects_create(token, batch.drafts, 3);
    assert_int_equal(code_of(1), ERR_TOOLARGE);
    assert_int_equal(code_of(0), ERR_NONE);
    assert_int_equal(code_of(2), ERR_NONE);
    assert_true_outcomes(3);
}

/* ---- one that goes wrong ------------------------------------------------------------------ */

static void test_batch__what_the_token_refuses_fails_alone(void **state)
{
    static const struct { const char *rule; enum err_class class; const char *says; } CASES[] = {
        {"C_CreateObject rv=0x31 after=2 count=1", ERR_FULL, "no room for a/b/2"},
        {"C_CreateObject rv=0x5 after=2 count=1", ERR_FULL, "no room for a/b/2"},
        {"C_CreateObject rv=0x30 after=2 count=1", ERR_TOKEN_DOWN, "does not store a/b/2"},
        {"C_CreateObject rv=0xe2 after=2 count=1", ERR_READONLY, "does not store a/b/2"},
        {"C_GetAttributeValue rv=0x30 after=2 count=1", ERR_TOKEN_DOWN, "reading a/b/2 back"},
    };
    token_through_faults("");
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        softhsm_fault(&hsm, CASES[i].rule);
        create(N);
        softhsm_fault(&hsm, "");
        struct err e = err_load(&batch.drafts[2].outcome);
        if (e.code != CASES[i].class || !strstr(err_text(e), CASES[i].says))
            fail_msg("%s: %s", CASES[i].rule, err_ok(e) ? "stored" : err_text(e));
        for (size_t j = 0; j < N; j++) assert_int_equal(code_of(j), j == 2 ? CASES[i].class : ERR_NONE);
        assert_true_outcomes(N);
    }
}

/* Nothing was seen of any of them, so none counts, and none stays. */
static void test_batch__a_find_that_fails(void **state)
{
    static const char *const RULES[] = {"C_FindObjectsInit rv=0x30 count=1", "C_FindObjects rv=0x30 count=1",
                                        "C_FindObjectsFinal rv=0x30 count=1"};
    token_through_faults("");
    for (size_t i = 0; i < sizeof RULES / sizeof *RULES; i++) {
        softhsm_fault(&hsm, RULES[i]);
        create(N);
        softhsm_fault(&hsm, "");
        for (size_t j = 0; j < N; j++) assert_int_equal(code_of(j), ERR_TOKEN_DOWN);
        assert_true_outcomes(N);
    }
}

/* A token without room for another session reads back on the first. */
static void test_batch__without_a_fresh_session(void **state)
{
    token_through_faults("");
    create(1);
    assert_true_outcomes(1);
    softhsm_fault(&hsm, "C_OpenSession rv=0xb1");
    create(N);
    softhsm_fault(&hsm, "");
    for (size_t i = 0; i < N; i++) assert_int_equal(code_of(i), ERR_NONE);
    assert_true_outcomes(N);
}

/* ---- tokens that lie ---------------------------------------------------------------------- */

static CK_FUNCTION_LIST lying;
static CK_FUNCTION_LIST *honest;
static int calls;

static int lies_gone(void **state)
{
    if (honest) token->fn = honest;
    honest = NULL;
    return token_gone(state);
}

/* SoftHSM on a full disk: CKR_OK, and an object of no bytes, or none at all (tokens.md 2.2). */
static CK_RV third_missing(CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *ret)
{
    *ret = 4711;
    return ++calls == 3 ? CKR_OK : honest->C_CreateObject(s, t, n, ret);
}

static CK_RV third_with(struct span value, CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n,
                        CK_OBJECT_HANDLE *ret)
{
    bool third = ++calls == 3;
    for (CK_ULONG i = 0; third && i < n; i++)
        if (t[i].type == CKA_VALUE) t[i] = (CK_ATTRIBUTE){CKA_VALUE, (void *) value.data, value.len};
    return honest->C_CreateObject(s, t, n, ret);
}

static CK_RV third_empty(CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *ret)
{
    return third_with(SPAN_LIT(""), s, t, n, ret);
}

static CK_RV third_changed(CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *ret)
{
    return third_with(SPAN_LIT("vALUE 2"), s, t, n, ret);
}

static CK_RV third_longer(CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *ret)
{
    return third_with(SPAN_LIT("value 2 and more"), s, t, n, ret);
}

static void test_batch__one_that_reads_back_bad_fails_alone(void **state)
{
    static const struct {
        CK_RV (*create)(CK_SESSION_HANDLE, CK_ATTRIBUTE *, CK_ULONG, CK_OBJECT_HANDLE *);
        enum err_class class;
    } CASES[] = {
        {third_missing, ERR_FULL}, {third_empty, ERR_FULL},
        {third_changed, ERR_TOKEN_DOWN}, {third_longer, ERR_TOKEN_DOWN},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        calls = 0;
        honest = token->fn;
        lying = *honest;
        lying.C_CreateObject = CASES[i].create;
        token->fn = &lying;
        create(N);
        token->fn = honest;
        for (size_t j = 0; j < N; j++)
            if (code_of(j) != (j == 2 ? CASES[i].class : ERR_NONE)) fail_msg("case %zu, object %zu", i, j);
        assert_true_outcomes(N);
    }
}

/* ---- a token that goes away and comes back ------------------------------------------------ */

/* Wherever it goes, each lies there once in the end. */
static void test_batch__again_when_the_token_is_back(void **state)
{
    static const char *const RULES[] = {
        "C_CreateObject rv=0xb3 after=2 count=1",
        "C_CreateObject rv=0xb3 done after=2 count=1",
        "C_CreateObject drop_all after=3 count=1",
        "C_FindObjectsInit rv=0xb3 count=1\nC_DestroyObject rv=0xb3 count=2",
        "C_OpenSession drop_all count=1",
        "C_FindObjectsInit drop_all count=1",
        "C_FindObjectsInit forget count=1",
        "C_GetAttributeValue rv=0xb3 after=1 count=1\nC_DestroyObject rv=0xb3 count=1",
    };
    token_through_faults("");
    keeper_start();
    for (size_t i = 0; i < sizeof RULES / sizeof *RULES; i++) {
        softhsm_fault(&hsm, RULES[i]);
        create(N);
        softhsm_fault(&hsm, "");
        for (size_t j = 0; j < N; j++) {
            struct p11_object found;
            struct err e = err_load(&batch.drafts[j].outcome);
            if (!err_ok(e)) fail_msg("%s: object %zu: %s", RULES[i], j, err_text(e));
            if (count(batch.labels[j], &found) != 1) fail_msg("%s: object %zu", RULES[i], j);
            assert_ok(p11_object_destroy(token, found));
        }
    }
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, token_with_kek, token_gone)
    const struct CMUnitTest tests[] = {
        TEST(test_batch__one_find_whatever_its_size),
        TEST(test_batch__a_single_object_has_its_own_find),
        TEST(test_batch__of_none),
        TEST(test_batch__what_is_too_large_fails_alone),
        TEST(test_batch__what_the_token_refuses_fails_alone),
        TEST(test_batch__a_find_that_fails),
        TEST(test_batch__without_a_fresh_session),
        cmocka_unit_test_setup_teardown(test_batch__one_that_reads_back_bad_fails_alone, token_with_kek, lies_gone),
        cmocka_unit_test_setup_teardown(test_batch__again_when_the_token_is_back, token_with_kek, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/unit/pkcs11/token.h"

#include "pkcs11/seal.h"

static void next_kek(void)
{
    struct p11_kek_info kek;
    assert_ok(p11_kek_create(token, true, &kek));
}

static struct err rewrap(const struct buf *old, struct buf *ret)
{
    struct envelope e = decoded(old);
    return p11_rewrap(token, &e, ret);
}

static void test_rewrap__only_the_recipient_changes(void **state)
{
    static const size_t sizes[] = {0, 1, 1000};
    uint8_t plain[1000];
    memset(plain, 'p', sizeof plain);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct buf old = sealed("a/b/c", span_of(plain, sizes[i])), new = BUF_INIT;
        next_kek();
        assert_ok(rewrap(&old, &new));
        struct envelope o = decoded(&old), n = decoded(&new);
        assert_true(span_eq(o.bound, n.bound));
        assert_true(span_eq(o.iv, n.iv));
        assert_true(span_eq(o.tag, n.tag));
        assert_true(span_eq(o.ciphertext, n.ciphertext));
        assert_int_equal(n.recipient_count, 1);
        assert_int_equal(n.recipients[0].generation, p11_active_generation(token));
        assert_opens(&new, span_of(plain, sizes[i]));
        assert_opens(&old, span_of(plain, sizes[i])); /* the old key is still there */
        buf_free(&old);
        buf_free(&new);
    }
}

static void test_rewrap__other_tokens_stay_recipients(void **state)
{
    struct buf old = sealed("a/b/c", SPAN_LIT("value")), both = BUF_INIT, new = BUF_INIT;
    struct envelope e = decoded(&old);
    struct envelope_recipient recipients[2] = {e.recipients[0], e.recipients[0]};
    memset(recipients[0].kek_id, 0xAB, sizeof recipients[0].kek_id);
    recipients[0].generation = 7;
    buf_add_span(&both, e.bound);
    memcpy(e.recipients, recipients, sizeof recipients);
    e.recipient_count = 2;
    put_rest_of(&both, &e);
    next_kek();
    assert_ok(rewrap(&both, &new));
    struct envelope n = decoded(&new);
    assert_int_equal(n.recipient_count, 2);
    assert_int_equal(n.recipients[1].generation, 7);
    assert_int_equal(n.recipients[1].kek_id[0], 0xAB);
    assert_opens(&new, SPAN_LIT("value"));
    buf_free(&old);
    buf_free(&both);
    buf_free(&new);
}

static void test_rewrap__refuses(void **state)
{
    struct buf old = sealed("a/b/c", SPAN_LIT("value")), new = BUF_INIT;
    assert_fails(rewrap(&old, &new), ERR_CONFLICT);
    next_kek();
    struct envelope e = decoded(&old);
    /* The last 40 bytes before the payload's IV are the wrapped key. */
    size_t at = (size_t) (e.recipients[0].keys[0].data - old.data);
    old.data[at + 3] ^= 1;
    assert_fails(rewrap(&old, &new), ERR_DAMAGED);
    old.data[at + 3] ^= 1;
    memset(old.data + (at - 24), 0xCD, ENVELOPE_KEK_ID); /* id, generation, mechanism, count, length */
    assert_fails(rewrap(&old, &new), ERR_NOTFOUND);
    assert_int_equal(new.len, 0);
    buf_free(&old);
    buf_free(&new);
}

static void test_rewrap__leaves_no_content_key_behind(void **state)
{
    struct buf old = sealed("a/b/c", SPAN_LIT("value"));
    next_kek();
    for (int i = 0; i < 50; i++) {
        struct buf new = BUF_INIT;
        assert_ok(rewrap(&old, &new));
        buf_free(&new);
    }
    struct p11_session s = {0};
    assert_ok(session_take(token, &s));
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_BBOOL no = CK_FALSE;
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_TOKEN, &no, sizeof no}};
    CK_OBJECT_HANDLE found[8];
    CK_ULONG n = 0;
    assert_int_equal(token->fn->C_FindObjectsInit(s.h, template, 2), CKR_OK);
    assert_int_equal(token->fn->C_FindObjects(s.h, found, 8, &n), CKR_OK);
    assert_int_equal(token->fn->C_FindObjectsFinal(s.h), CKR_OK);
    assert_int_equal(n, 0);
    session_drop(&s);
    buf_free(&old);
}

static void test_rewrap__token_failures(void **state)
{
    static const struct { const char *rule; enum err_class class; } CASES[] = {
        {"C_WrapKey rv=0xb3 count=1", ERR_NONE}, /* a lost session: once more on another */
        {"C_WrapKey rv=0x30", ERR_TOKEN_DOWN},
        {"C_UnwrapKey rv=0x31", ERR_BUSY},
        {"C_DestroyObject rv=0x30", ERR_TOKEN_DOWN}, /* a content key that stays is no success */
    };
    struct buf old = sealed("a/b/c", SPAN_LIT("value"));
    next_kek();
    token_through_faults("");
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct buf new = BUF_INIT;
        softhsm_fault(&hsm, CASES[i].rule);
        struct err e = rewrap(&old, &new);
        softhsm_fault(&hsm, "");
        if (e.code != CASES[i].class)
            fail_msg("%s: %s", CASES[i].rule, err_ok(e) ? "rewrapped" : err_text(e));
        if (e.code) assert_int_equal(new.len, 0);
        else assert_opens(&new, SPAN_LIT("value"));
        buf_free(&new);
    }
    buf_free(&old);
}

static void test_kek_destroy__an_old_one(void **state)
{
    struct buf old = sealed("a/b/c", SPAN_LIT("value"));
    struct secret *value = NULL;
    struct p11_kek_info keks[4];
    struct p11_object found[4];
    size_t n = 0;
    assert_fails(p11_kek_destroy(token, 1), ERR_CONFLICT);
    next_kek();
    assert_fails(p11_kek_destroy(token, 2), ERR_CONFLICT);
    assert_fails(p11_kek_destroy(token, 3), ERR_NOTFOUND);
    assert_ok(p11_kek_destroy(token, 1));
    assert_ok(p11_kek_list(token, keks, 4, &n));
    assert_int_equal(n, 1);
    assert_int_equal(keks[0].generation, 2);
    assert_ok(p11_object_find(token, "strongroom:canary:1", found, 4, &n));
    assert_int_equal(n, 0);
    assert_fails(unsealed(&old, &value), ERR_NOTFOUND); /* foreign by now */
    assert_ok(p11_check(token));
    buf_free(&old);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, token_with_kek, token_gone)
    const struct CMUnitTest tests[] = {
        TEST(test_rewrap__only_the_recipient_changes),
        TEST(test_rewrap__other_tokens_stay_recipients),
        TEST(test_rewrap__refuses),
        TEST(test_rewrap__leaves_no_content_key_behind),
        TEST(test_rewrap__token_failures),
        TEST(test_kek_destroy__an_old_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

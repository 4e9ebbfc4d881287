#include "tests/unit/pkcs11/token.h"

#include "pkcs11/find.h"
#include "pkcs11/kek.h"
#include "pkcs11/seal.h"
#include "pkcs11/watch.h"

#include <pthread.h>
#include <sched.h>

/* ---- making a key by hand, with one attribute otherwise --------------------------------- */

static CK_RV make_key(const char *label, CK_ATTRIBUTE_TYPE changed, CK_BBOOL to, CK_ULONG bytes,
                      size_t id_len)
{
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE aes = CKK_AES;
    uint8_t id[ENVELOPE_KEK_ID] = "handmade";
    CK_BBOOL flags[] = {1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0};
    CK_ATTRIBUTE_TYPE types[] = {CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE, CKA_EXTRACTABLE,
                                 CKA_MODIFIABLE, CKA_WRAP, CKA_UNWRAP, CKA_ENCRYPT, CKA_DECRYPT,
                                 CKA_SIGN, CKA_VERIFY, CKA_DERIVE};
    CK_ATTRIBUTE t[17] = {ATTR(CKA_CLASS, class), ATTR(CKA_KEY_TYPE, aes),
                          ATTR(CKA_VALUE_LEN, bytes), {CKA_ID, id, id_len},
                          {CKA_LABEL, (void *) label, strlen(label)}};
    for (size_t i = 0; i < 12; i++) {
        if (types[i] == changed) flags[i] = to;
        t[5 + i] = (CK_ATTRIBUTE){types[i], &flags[i], sizeof flags[i]};
    }
    CK_MECHANISM mechanism = {.mechanism = CKM_AES_KEY_GEN};
    CK_OBJECT_HANDLE h;
    struct p11_session s = {0};
    assert_ok(session_take(token, &s));
    CK_RV rv = token->fn->C_GenerateKey(s.h, &mechanism, t, 17, &h);
    session_drop(&s);
    return rv;
}

static size_t canaries(uint32_t generation)
{
    char label[64];
    struct p11_object found[8];
    size_t n = 0;
    snprintf(label, sizeof label, CANARY_LABEL "%u", generation);
    assert_ok(p11_object_find(token, label, found, 8, &n));
    return n;
}

static void destroy_labelled(const char *label)
{
    struct p11_object found[8];
    size_t n = 0;
    assert_ok(p11_object_find(token, label, found, 8, &n));
    for (size_t i = 0; i < n; i++) assert_ok(p11_object_destroy(token, found[i]));
}

static void put(const char *label, struct span value)
{
    struct p11_object o;
    assert_ok(p11_object_create(token, label, value, &o));
}

static struct p11_kek_info only_kek(void)
{
    struct p11_kek_info all[KEK_MAX];
    size_t n = 0;
    assert_ok(p11_kek_list(token, all, KEK_MAX, &n));
    assert_int_equal(n, 1);
    return all[0];
}

/* ---- labels ----------------------------------------------------------------------------- */

static void test_kek_generation__labels(void **state)
{
    static const struct { const char *label; uint32_t generation; } CASES[] = {
        {"strongroom-kek-1", 1}, {"strongroom-kek-42", 42}, {"strongroom-kek-4294967295", UINT32_MAX},
        {"strongroom-kek-4294967296", 0}, {"strongroom-kek-99999999999999999999999", 0},
        {"strongroom-kek-", 0}, {"strongroom-kek-0", 0}, {"strongroom-kek-01", 0},
        {"strongroom-kek-1 ", 0}, {"strongroom-kek--1", 0}, {"strongroom-kek-1a", 0},
        {"strongroom-kek", 0}, {"another", 0}, {"", 0},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        assert_int_equal(kek_generation(CASES[i].label), CASES[i].generation);
}

/* ---- creating --------------------------------------------------------------------------- */

static void test_kek_create__attributes_as_demanded(void **state)
{
    struct p11_kek_info k;
    assert_false(p11_has_kek(token));
    assert_ok(p11_kek_create(token, false, &k));
    assert_true(p11_has_kek(token));
    assert_string_equal(k.label, "strongroom-kek-1");
    assert_int_equal(k.generation, 1);
    assert_true(k.sensitive && k.always_sensitive && k.never_extractable && k.local);
    assert_false(k.extractable || k.modifiable);
    assert_true(k.can_wrap && k.can_unwrap);
    assert_false(k.can_encrypt || k.can_decrypt || k.can_sign || k.can_verify || k.can_derive);
    assert_true(k.sound && k.canary_ok && k.active);
    assert_int_equal(canaries(1), 1);
    assert_ok(p11_check(token));
    struct p11_kek_info listed = only_kek();
    assert_memory_equal(listed.id, k.id, sizeof k.id);
}

static void test_kek_create__second_needs_next(void **state)
{
    struct p11_kek_info first = only_kek(), k, all[4];
    size_t n = 0;
    assert_fails_with(p11_kek_create(token, false, &k), ERR_CONFLICT, "strongroom-kek-1");
    assert_ok(p11_kek_create(token, true, &k));
    assert_int_equal(k.generation, 2);
    assert_memory_not_equal(k.id, first.id, sizeof k.id);
    assert_ok(p11_kek_list(token, all, 4, &n));
    assert_int_equal(n, 2);
    assert_false(all[0].active);
    assert_true(all[1].active && all[0].sound && all[0].canary_ok);
    assert_fails(p11_kek_list(token, all, 1, &n), ERR_TOOLARGE);
    assert_int_equal(canaries(2), 1);
}

static void test_kek_create__next_on_a_bare_token_is_the_first(void **state)
{
    struct p11_kek_info k;
    assert_ok(p11_kek_create(token, true, &k));
    assert_int_equal(k.generation, 1);
}

static void test_kek_create__sees_what_another_made_meanwhile(void **state)
{
    struct p11_kek_info k;
    assert_int_equal(make_key("strongroom-kek-7", 0, 0, 32, 16), CKR_OK);
    assert_fails_with(p11_kek_create(token, false, &k), ERR_CONFLICT, "strongroom-kek-7");
    assert_int_equal(p11_active_generation(token), 7); /* it is ours by now */
    assert_ok(p11_kek_create(token, true, &k));
    assert_int_equal(k.generation, 8);
}

static void test_kek_create__token_refuses(void **state)
{
    struct p11_kek_info k;
    token_through_faults("C_GenerateKey rv=0x31");
    assert_fails(p11_kek_create(token, false, &k), ERR_FULL);
    softhsm_fault(&hsm, "");
    assert_false(p11_has_kek(token));
    assert_ok(p11_kek_create(token, false, &k));
}

/* Made otherwise than asked, or fit for nothing: none is left to stand in the way of the next. */
static void test_kek_create__what_cannot_be_used_is_removed(void **state)
{
    static const struct { const char *rule, *says; enum err_class code; } CASES[] = {
        {"C_GetAttributeValue flip=0x103", "CKA_SENSITIVE", ERR_USAGE},
        {"C_GetAttributeValue flip=0x102", "CKA_ID", ERR_USAGE},
        {"C_UnwrapKey rv=0x30", "CKR_DEVICE_ERROR", ERR_TOKEN_DOWN},
    };
    struct p11_kek_info k;
    token_through_faults("");
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        softhsm_fault(&hsm, CASES[i].rule);
        assert_fails_with(p11_kek_create(token, false, &k), CASES[i].code, CASES[i].says);
    }
    softhsm_fault(&hsm, "");
    assert_ok(p11_kek_create(token, false, &k));
    assert_int_equal(k.generation, 1);
}

static void test_kek__survives_reopening(void **state)
{
    struct p11_kek_info before = only_kek();
    token_reopen();
    struct p11_kek_info after = only_kek();
    assert_memory_equal(before.id, after.id, sizeof before.id);
    assert_true(after.active && after.canary_ok);
    assert_int_equal(canaries(1), 1);
}

/* ---- keys that are not as demanded ------------------------------------------------------ */

static void test_keys_load__one_attribute_off(void **state)
{
    static const struct { CK_ATTRIBUTE_TYPE type; CK_BBOOL to; } CASES[] = {
        {CKA_SENSITIVE, 0}, {CKA_EXTRACTABLE, 1}, {CKA_MODIFIABLE, 1}, {CKA_WRAP, 0},
        {CKA_UNWRAP, 0}, {CKA_ENCRYPT, 1}, {CKA_DECRYPT, 1}, {CKA_SIGN, 1}, {CKA_VERIFY, 1},
        {CKA_DERIVE, 1}, {CKA_PRIVATE, 0},
    };
    struct p11_kek_info all[KEK_MAX];
    size_t n = 0, count = sizeof CASES / sizeof *CASES;
    for (size_t i = 0; i < count; i++) {
        char label[64];
        snprintf(label, sizeof label, KEK_LABEL "%zu", i + 2);
        assert_int_equal(make_key(label, CASES[i].type, CASES[i].to, 32, 16), CKR_OK);
    }
    token_reopen();
    assert_ok(p11_kek_list(token, all, KEK_MAX, &n));
    assert_int_equal(n, count + 1);
    assert_true(all[0].sound && all[0].active); /* the good one, though it is the oldest */
    for (size_t i = 1; i < n; i++) {
        if (all[i].sound || all[i].active || all[i].canary_ok) fail_msg("case %zu", i - 1);
        assert_int_equal(canaries(all[i].generation), 0);
    }
}

/* An attribute that is not shown makes a key unsound, unless the token shows it at the next try, or shows
 * nothing any more. */
static void test_keys_load__a_bad_moment_condemns_no_key(void **state)
{
    token_through_faults("");
    softhsm_fault(&hsm, "C_GetAttributeValue rv=0x12 after=1 count=1");
    assert_ok(p11_kek_reload(token));
    assert_true(only_kek().sound);
    softhsm_fault(&hsm, "C_GetAttributeValue rv=0x12 after=1");
    assert_fails_with(p11_kek_reload(token), ERR_TOKEN_DOWN, "does not show strongroom-kek-1 any more");
    assert_true(only_kek().sound);
}

static void test_keys_load__wrong_size_or_id(void **state)
{
    struct p11_kek_info all[4];
    size_t n = 0;
    assert_int_equal(make_key("strongroom-kek-2", 0, 0, 16, 16), CKR_OK);
    assert_int_equal(make_key("strongroom-kek-3", 0, 0, 32, 8), CKR_OK);
    token_reopen();
    assert_ok(p11_kek_list(token, all, 4, &n));
    assert_int_equal(n, 3);
    assert_true(all[0].active);
    assert_false(all[1].sound || all[2].sound);
}

static void test_keys_load__only_an_unsound_one(void **state)
{
    assert_int_equal(make_key("strongroom-kek-1", CKA_EXTRACTABLE, 1, 32, 16), CKR_OK);
    token_reopen();
    struct buf b = BUF_INIT;
    struct envelope_meta meta = meta_of("a/b/c", 1);
    assert_true(p11_has_kek(token));
    assert_fails_with(p11_seal(token, &meta, SPAN_LIT("x"), &b), ERR_HUMAN, "fit for sealing");
    assert_fails(p11_check(token), ERR_HUMAN);
    buf_free(&b);
}

static void test_keys_load__other_labels_are_not_ours(void **state)
{
    assert_int_equal(make_key("strongroom-kek-1-old", 0, 0, 32, 16), CKR_OK);
    assert_int_equal(make_key("vault-key", 0, 0, 32, 16), CKR_OK);
    token_reopen();
    assert_false(p11_has_kek(token));
}

static void test_keys_load__two_of_one_generation(void **state)
{
    assert_int_equal(make_key("strongroom-kek-1", 0, 0, 32, 16), CKR_OK);
    token_close();
    assert_fails_with(token_open_with(hsm.module, 0, 0), ERR_CONFLICT, "strongroom-kek-1");
}

static void test_kek_reload__sees_a_new_generation(void **state)
{
    struct p11_kek_info all[4];
    size_t n = 0;
    uint64_t before = p11_kek_changes(token);
    assert_int_equal(make_key("strongroom-kek-2", 0, 0, 32, 16), CKR_OK);
    assert_int_equal(p11_kek_changes(token), before); /* nobody has looked */
    assert_ok(p11_kek_reload(token));
    assert_true(p11_kek_changes(token) > before);
    assert_ok(p11_kek_list(token, all, 4, &n));
    assert_int_equal(n, 2);
    assert_true(all[1].active);
}

static void test_kek_changes__whoever_makes_or_removes_one(void **state)
{
    struct p11_kek_info kek;
    uint64_t before = p11_kek_changes(token);
    assert_ok(p11_kek_create(token, true, &kek));
    uint64_t made = p11_kek_changes(token);
    assert_true(made > before);
    assert_ok(p11_kek_destroy(token, kek.generation - 1));
    assert_true(p11_kek_changes(token) > made);
}

/* ---- keys that are gone, and keys that are not shown ------------------------------------ */

static size_t known_keks(void)
{
    struct p11_kek_info all[KEK_MAX];
    size_t n = 0;
    assert_ok(p11_kek_list(token, all, KEK_MAX, &n));
    return n;
}

/* SoftHSM then finds nothing, and says CKR_OK. */
static void test_kek_reload__tokens_directory_vanished(void **state)
{
    char away[400];
    snprintf(away, sizeof away, "%s.away", hsm.tokens);
    assert_int_equal(rename(hsm.tokens, away), 0);
    struct err e = p11_kek_reload(token);
    assert_int_equal(rename(away, hsm.tokens), 0);
    assert_fails_with(e, ERR_TOKEN_DOWN, "does not show strongroom-kek-1 any more");
    assert_true(only_kek().active); /* its envelopes are none of foreigners */
    assert_ok(p11_recover(token));
    assert_ok(p11_kek_reload(token));
}

/* The label of one of two keys is not shown, by whichever code. */
static void test_kek_reload__a_hidden_label_is_no_removal(void **state)
{
    static const char *const RULES[] = {"C_GetAttributeValue rv=0x12 count=2",  /* ATTRIBUTE_TYPE_INVALID */
                                        "C_GetAttributeValue rv=0x82 count=2",  /* OBJECT_HANDLE_INVALID */
                                        "C_GetAttributeValue rv=0x150 count=2", /* BUFFER_TOO_SMALL */
                                        "C_GetAttributeValue rv=0x30 count=1"}; /* DEVICE_ERROR */
    struct p11_kek_info second;
    token_through_faults("");
    assert_ok(p11_kek_create(token, true, &second));
    for (size_t i = 0; i < sizeof RULES / sizeof *RULES; i++) {
        softhsm_fault(&hsm, RULES[i]);
        assert_fails(p11_kek_reload(token), ERR_TOKEN_DOWN);
        assert_int_equal(known_keks(), 2);
        assert_int_equal(p11_active_generation(token), 2);
    }
    softhsm_fault(&hsm, "C_GetAttributeValue rv=0x12 count=1"); /* asked once more, it does */
    assert_ok(p11_kek_reload(token));
    assert_int_equal(known_keks(), 2);
}

/* Of somebody else's, while all of ours are there. SoftHSM lists keys in the order in which they were made. */
static void test_kek_reload__a_hidden_label_of_another_key(void **state)
{
    struct p11_kek_info kek;
    token_through_faults("");
    assert_int_equal(make_key("vault-key", 0, 0, 32, 16), CKR_OK);
    assert_ok(p11_kek_create(token, false, &kek));
    softhsm_fault(&hsm, "C_GetAttributeValue rv=0x12 count=2");
    assert_ok(p11_kek_reload(token));
    assert_true(only_kek().active);
}

static void test_kek_destroy__token_refuses(void **state)
{
    static const char *const RULES[] = {"C_FindObjectsInit rv=0x30 count=1", "C_DestroyObject rv=0x30", NULL};
    struct p11_kek_info second;
    char rule[64];
    token_through_faults("");
    assert_ok(p11_kek_create(token, true, &second));
    softhsm_fault_clear_log(&hsm);
    assert_ok(p11_kek_reload(token));
    int looks = softhsm_fault_count(&hsm, "C_DestroyObject"); /* of content keys that were tried */
    snprintf(rule, sizeof rule, "C_DestroyObject rv=0x30 after=%d count=1", looks + 1); /* its canary goes, and it stays */
    for (size_t i = 0; i < sizeof RULES / sizeof *RULES; i++) {
        softhsm_fault(&hsm, RULES[i] ? RULES[i] : rule);
        assert_fails(p11_kek_destroy(token, 1), ERR_TOKEN_DOWN);
        assert_int_equal(known_keks(), 2);
    }
    softhsm_fault(&hsm, "");
    assert_ok(p11_kek_destroy(token, 1));
    assert_int_equal(only_kek().generation, 2);
    assert_int_equal(canaries(1), 0);
}

static void make_long_labelled(void)
{
    char label[301] = "";
    memset(label, 'x', sizeof label - 1);
    assert_int_equal(make_key(label, 0, 0, 32, 16), CKR_OK);
}

/* Somebody else's label, longer than any of ours, hides nothing: what is removed beside it is gone. */
static void test_kek_destroy__beside_a_long_label(void **state)
{
    struct p11_kek_info second;
    make_long_labelled();
    assert_ok(p11_kek_create(token, true, &second));
    assert_ok(p11_kek_destroy(token, 1));
    assert_int_equal(only_kek().generation, 2);
}

/* As another broker removes it. */
static void destroy_key(uint32_t generation)
{
    struct p11_session s = {0};
    assert_ok(session_take(token, &s));
    for (size_t i = 0; i < token->kek_count; i++)
        if (token->keks[i].generation == generation)
            assert_int_equal(token->fn->C_DestroyObject(s.h, token->keks[i].handle), CKR_OK);
    session_drop(&s);
}

static void test_recover__after_a_removal_beside_a_long_label(void **state)
{
    struct p11_kek_info second;
    make_long_labelled();
    assert_ok(p11_kek_create(token, true, &second));
    destroy_key(1);
    assert_ok(p11_recover(token));
    assert_int_equal(only_kek().generation, 2);
}

/* ---- canaries --------------------------------------------------------------------------- */

static void *reload(void *slot)
{
    atomic_store((struct watch_thread *_Atomic *) slot, watch_self());
    return err_ok(p11_kek_reload(token)) ? NULL : (void *) "not loaded";
}

static void await_call(struct watch_thread *_Atomic *slot)
{
    struct watch_thread *t = NULL;
    while (!(t = atomic_load(slot)) || !atomic_load(&t->until)) sched_yield();
}

/* Somebody looks at the keys, and the token hangs: whoever waits for that has a deadline, too. */
static void test_kek_reload__waiting_for_another_is_watched(void **state)
{
    struct watch_thread *_Atomic looks = NULL, *_Atomic waits = NULL;
    pthread_t first, second;
    void *complaint = NULL;
    token_through_faults("");
    softhsm_fault(&hsm, "C_FindObjects hang");
    assert_int_equal(pthread_create(&first, NULL, reload, (void *) &looks), 0);
    await_call(&looks);
    assert_int_equal(pthread_create(&second, NULL, reload, (void *) &waits), 0);
    await_call(&waits);
    softhsm_fault(&hsm, "");
    pthread_join(first, &complaint);
    assert_null(complaint);
    pthread_join(second, &complaint);
    assert_null(complaint);
}

static void test_canary__missing_is_written(void **state)
{
    destroy_labelled(CANARY_LABEL "1");
    token_reopen();
    assert_true(only_kek().canary_ok);
    assert_int_equal(canaries(1), 1);
}

static void test_canary__torn_is_replaced(void **state)
{
    destroy_labelled(CANARY_LABEL "1");
    put(CANARY_LABEL "1", SPAN_LIT("SRE1\1"));
    token_reopen();
    assert_true(only_kek().canary_ok);
    assert_int_equal(canaries(1), 1);
}

/* Neither is written over, and neither seals. */
static void test_canary__that_does_not_open(void **state)
{
    struct p11_object o;
    size_t n = 0;
    struct buf b = BUF_INIT, value = BUF_INIT;
    struct envelope_meta meta = meta_of("a/b/c", 1);
    struct buf old = sealed("a/b/c", SPAN_LIT("old"));
    assert_ok(p11_object_find(token, CANARY_LABEL "1", &o, 1, &n));
    assert_ok(p11_object_read(token, o, &value));
    value.data[value.len - 1] ^= 1;
    destroy_labelled(CANARY_LABEL "1");
    put(CANARY_LABEL "1", buf_span(&value));
    token_reopen();
    assert_false(only_kek().canary_ok);
    assert_true(only_kek().sound);
    assert_int_equal(canaries(1), 1);
    assert_fails(p11_seal(token, &meta, SPAN_LIT("x"), &b), ERR_HUMAN);
    assert_opens(&old, SPAN_LIT("old")); /* reading goes on: each envelope verifies by itself */
    buf_free(&old);
    buf_free(&b);
    buf_free(&value);
}

/* An envelope of this very KEK, but no canary. */
static void test_canary__another_envelope_in_its_place(void **state)
{
    struct buf b = sealed("strongroom-kek-1", SPAN_LIT("Strongroom canary, public bytes."));
    destroy_labelled(CANARY_LABEL "1");
    put(CANARY_LABEL "1", buf_span(&b));
    token_reopen();
    assert_false(only_kek().canary_ok);
    buf_free(&b);
}

/* A canary of this very KEK with the right bytes, but made for another name. */
static void test_canary__of_another_name(void **state)
{
    struct buf b = BUF_INIT;
    struct seal_key key = seal_key_of(token->active);
    struct envelope_meta meta = meta_of("strongroom-kek-2", 1);
    meta.kind = ENVELOPE_CANARY;
    assert_ok(seal_under(token, &key, way_now(), &meta, SPAN_LIT("Strongroom canary, public bytes."), &b));
    destroy_labelled(CANARY_LABEL "1");
    put(CANARY_LABEL "1", buf_span(&b));
    token_reopen();
    assert_false(only_kek().canary_ok);
    buf_free(&b);
}

static void test_canary__older_generation_may_fail_alone(void **state)
{
    struct p11_kek_info k, all[4];
    size_t n = 0;
    assert_ok(p11_kek_create(token, true, &k));
    destroy_labelled(CANARY_LABEL "1");
    put(CANARY_LABEL "1", SPAN_LIT("not an envelope"));
    token_reopen();
    assert_ok(p11_kek_list(token, all, 4, &n));
    assert_false(all[0].canary_ok);
    assert_true(all[1].canary_ok && all[1].active);
    assert_ok(p11_check(token));
}

/* The newest failing its canary leaves the one before it in charge. */
static void test_canary__newest_fails(void **state)
{
    struct p11_kek_info k, all[4];
    size_t n = 0;
    assert_ok(p11_kek_create(token, true, &k));
    destroy_labelled(CANARY_LABEL "2");
    put(CANARY_LABEL "2", SPAN_LIT("not an envelope"));
    token_reopen();
    assert_ok(p11_kek_list(token, all, 4, &n));
    assert_true(all[0].active);
    assert_false(all[1].active);
}

static void test_canary__cannot_be_stored(void **state)
{
    destroy_labelled(CANARY_LABEL "1");
    token_through_faults("C_CreateObject rv=0x31");
    assert_true(only_kek().canary_ok);
    assert_ok(p11_check(token));
    softhsm_fault(&hsm, "");
    assert_int_equal(canaries(1), 0);
}

static void test_check__without_kek_and_with_a_token_down(void **state)
{
    struct p11_kek_info k;
    assert_fails_with(p11_check(token), ERR_HUMAN, "kek create");
    assert_ok(p11_kek_create(token, false, &k));
    token_through_faults("");
    assert_ok(p11_check(token));
    softhsm_fault(&hsm, "C_UnwrapKey rv=0x30");
    assert_fails_with(p11_check(token), ERR_TOKEN_DOWN, "CKR_DEVICE_ERROR");
    softhsm_fault(&hsm, "");
    assert_ok(p11_check(token));
}

#define KEK(test) cmocka_unit_test_setup_teardown(test, token_with_kek, token_gone)
#define BARE(test) cmocka_unit_test_setup_teardown(test, token_bare, token_gone)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kek_generation__labels),
        BARE(test_kek_create__attributes_as_demanded),
        KEK(test_kek_create__second_needs_next),
        BARE(test_kek_create__next_on_a_bare_token_is_the_first),
        BARE(test_kek_create__sees_what_another_made_meanwhile),
        BARE(test_kek_create__token_refuses),
        BARE(test_kek_create__what_cannot_be_used_is_removed),
        KEK(test_kek__survives_reopening),
        KEK(test_keys_load__one_attribute_off),
        KEK(test_keys_load__a_bad_moment_condemns_no_key),
        KEK(test_keys_load__wrong_size_or_id),
        BARE(test_keys_load__only_an_unsound_one),
        BARE(test_keys_load__other_labels_are_not_ours),
        KEK(test_keys_load__two_of_one_generation),
        KEK(test_kek_reload__sees_a_new_generation),
        KEK(test_kek_changes__whoever_makes_or_removes_one),
        KEK(test_kek_reload__waiting_for_another_is_watched),
        KEK(test_kek_reload__tokens_directory_vanished),
        KEK(test_kek_reload__a_hidden_label_is_no_removal),
        BARE(test_kek_reload__a_hidden_label_of_another_key),
        KEK(test_kek_destroy__token_refuses),
        KEK(test_kek_destroy__beside_a_long_label),
        KEK(test_recover__after_a_removal_beside_a_long_label),
        KEK(test_canary__missing_is_written),
        KEK(test_canary__torn_is_replaced),
        KEK(test_canary__that_does_not_open),
        KEK(test_canary__another_envelope_in_its_place),
        KEK(test_canary__of_another_name),
        KEK(test_canary__older_generation_may_fail_alone),
        KEK(test_canary__newest_fails),
        KEK(test_canary__cannot_be_stored),
        BARE(test_check__without_kek_and_with_a_token_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

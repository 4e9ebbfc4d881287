#include "tests/unit/pkcs11/pairs.h"

#include <pthread.h>
#include <sched.h>

#include "pkcs11/watch.h"

static struct p11_pair *pair;

static int gone(void **state)
{
    p11_pair_free(TAKE_PTR(pair));
    return token_gone(state);
}

static void open_pair(const char *label, enum p11_pair_type type, bool sha1)
{
    struct p11_pair_config config = {label, type, sha1};
    p11_pair_free(TAKE_PTR(pair));
    assert_ok(p11_pair_new(token, &config, &pair));
}

static void make(const char *label, enum p11_pair_type type)
{
    struct p11_pair_info info = {0};
    assert_ok(p11_pair_create(token, label, type, 2048, &info));
    p11_pair_info_done(&info);
}

static struct buf wrapped(struct span plain)
{
    struct buf b = BUF_INIT;
    assert_ok(p11_pair_wrap(pair, plain, &b));
    return b;
}

static void assert_unwraps(const struct buf *b, struct span plain)
{
    struct secret *out = NULL;
    assert_ok(p11_pair_unwrap(pair, buf_span(b), &out));
    assert_true(secret_equal(secret_span(out), plain));
    secret_free(out);
}

static err_t unwrap(struct span b)
{
    struct secret *out = NULL;
    struct err e = p11_pair_unwrap(pair, b, &out);
    secret_free(out);
    return e;
}

static err_t sign(void)
{
    uint8_t digest[P11_PAIR_DIGEST] = {7}, signature[P11_PAIR_SIGNATURE];
    return p11_pair_sign(pair, digest, signature);
}

/* ---- round trips ------------------------------------------------------------------------ */

static const uint8_t bytes[512] = {9, 8, 7};

static void test_unwrap__round_trips(void **state)
{
    static const size_t SIZES[] = {0, 1, 32, 190, 214};
    make("w", P11_PAIR_RSA);
    for (int sha1 = 0; sha1 < 2; sha1++) {
        open_pair("w", P11_PAIR_RSA, sha1);
        for (size_t i = 0; i < (sha1 ? 5u : 4u); i++) {
            struct buf b = wrapped(span_of(bytes, SIZES[i]));
            assert_int_equal(b.len, 256);
            assert_unwraps(&b, span_of(bytes, SIZES[i]));
            buf_free(&b);
        }
        struct buf b = BUF_INIT;
        assert_fails(p11_pair_wrap(pair, span_of(bytes, sha1 ? 215 : 191), &b), ERR_TOOLARGE);
        assert_int_equal(b.len, 0);
        buf_free(&b);
    }
}

static void test_sign__verifies(void **state)
{
    make("s", P11_PAIR_EC_P256);
    open_pair("s", P11_PAIR_EC_P256, false);
    assert_ok(sign()); /* what it signs is verified by pair_try, and by every guest's token */
    struct buf pem = BUF_INIT;
    assert_ok(p11_pair_public(pair, &pem));
    assert_true(span_starts(buf_span(&pem), "-----BEGIN PUBLIC KEY-----\n"));
    buf_free(&pem);
}

/* ---- what does not open ----------------------------------------------------------------- */

static void test_unwrap__one_sentence_for_every_cause(void **state)
{
    make("w", P11_PAIR_RSA);
    make("other", P11_PAIR_RSA);
    for (int sha1 = 0; sha1 < 2; sha1++) {
        char said[300] = "";
        open_pair("other", P11_PAIR_RSA, sha1);
        struct buf foreign = wrapped(SPAN_LIT("value"));
        open_pair("w", P11_PAIR_RSA, !sha1);
        struct buf hash = wrapped(SPAN_LIT("value"));
        open_pair("w", P11_PAIR_RSA, sha1);
        struct buf good = wrapped(SPAN_LIT("value"));
        uint8_t zero[256] = {0}, ones[256], flipped[256];
        memset(ones, 0xff, sizeof ones);
        memcpy(flipped, good.data, 256);
        flipped[255] ^= 1;
        foreign.data[0] &= 0x3f; /* below any modulus */
        struct span bad[] = {buf_span(&foreign), buf_span(&hash), span_of(zero, 256),
                             span_of(ones, 256), span_of(flipped, 256)};
        for (size_t i = 0; i < 5; i++) {
            struct err e = unwrap(bad[i]);
            if (e.code != ERR_CRYPTO) fail_msg("%zu: %s", i, err_text(e));
            if (!said[0]) snprintf(said, sizeof said, "%s", err_text(e));
            assert_string_equal(err_text(e), said);
        }
        assert_unwraps(&good, SPAN_LIT("value"));
        buf_free(&foreign);
        buf_free(&hash);
        buf_free(&good);
    }
}

static void test_unwrap__wrong_length_is_said(void **state)
{
    static const size_t SIZES[] = {0, 1, 255, 257, 512};
    make("w", P11_PAIR_RSA);
    open_pair("w", P11_PAIR_RSA, false);
    for (size_t i = 0; i < 5; i++)
        assert_fails_with(unwrap(span_of(bytes, SIZES[i])), ERR_USAGE, "has 256 bytes, not");
}

/* ---- pairs that are not there, or not fit ----------------------------------------------- */

static void test_pair__missing_says_what_to_run(void **state)
{
    token_through_faults("");
    open_pair("w", P11_PAIR_RSA, false);
    softhsm_fault_clear_log(&hsm);
    for (int i = 0; i < 5; i++)
        assert_fails_with(unwrap(span_of(bytes, 256)), ERR_NOTFOUND,
                          "strongroom token keypair create --type rsa --label 'w'");
    /* Looked for once; the sanitizers' slowness may let the second of waiting pass. */
    assert_in_range(softhsm_fault_count(&hsm, "C_FindObjectsInit"), 1, 4);
    make("w", P11_PAIR_RSA); /* one that we make is found at once */
    struct buf b = wrapped(SPAN_LIT("x"));
    assert_unwraps(&b, SPAN_LIT("x"));
    buf_free(&b);
}

/* One that another program makes is found a little later. */
static void test_pair__made_by_another_program(void **state)
{
    open_pair("w", P11_PAIR_RSA, false);
    assert_fails(unwrap(span_of(bytes, 256)), ERR_NOTFOUND);
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "w"}), CKR_OK);
    struct err e = {ERR_NOTFOUND};
    for (unsigned tries = 0; e.code == ERR_NOTFOUND && tries < 100000000; tries++) {
        struct buf pem = BUF_INIT;
        e = p11_pair_public(pair, &pem);
        buf_free(&pem);
    }
    assert_ok(e);
}

static void test_pair__not_fit(void **state)
{
    make("e", P11_PAIR_EC_P256);
    open_pair("e", P11_PAIR_RSA, false);
    assert_fails_with(unwrap(span_of(bytes, 256)), ERR_HUMAN, "no rsa key pair");
    make("r", P11_PAIR_RSA);
    open_pair("r", P11_PAIR_EC_P256, false);
    assert_fails_with(sign(), ERR_HUMAN, "no ec-p256 key pair");
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "x", .id = 7,
                                                         .changed = CKA_EXTRACTABLE, .to = 1}), CKR_OK);
    open_pair("x", P11_PAIR_RSA, false);
    assert_fails_with(unwrap(span_of(bytes, 256)), ERR_HUMAN, "CKA_EXTRACTABLE");
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "d", .id = 8}), CKR_OK);
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "d", .id = 9}), CKR_OK);
    open_pair("d", P11_PAIR_RSA, false);
    assert_fails_with(unwrap(span_of(bytes, 256)), ERR_CONFLICT, "2 private keys");
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "p", .ec = true, .id = 20,
                                                         .public_id = 21}), CKR_OK);
    open_pair("p", P11_PAIR_EC_P256, false);
    assert_fails(sign(), ERR_HUMAN);
}

/* ---- faults ----------------------------------------------------------------------------- */

static void test_pair__lost_sessions_are_repeated_once(void **state)
{
    token_through_faults("");
    make("w", P11_PAIR_RSA);
    make("s", P11_PAIR_EC_P256);
    open_pair("w", P11_PAIR_RSA, false);
    struct buf b = wrapped(SPAN_LIT("x"));
    softhsm_fault(&hsm, "C_DecryptInit rv=0xb3 count=1");
    assert_unwraps(&b, SPAN_LIT("x"));
    softhsm_fault(&hsm, "C_Decrypt rv=0x30 count=1");
    assert_unwraps(&b, SPAN_LIT("x"));
    softhsm_fault(&hsm, "C_Decrypt rv=0x60 count=1"); /* a stale handle: found again */
    assert_unwraps(&b, SPAN_LIT("x"));
    open_pair("s", P11_PAIR_EC_P256, false);
    assert_ok(sign());
    softhsm_fault(&hsm, "C_SignInit rv=0x60 count=1");
    assert_ok(sign());
    softhsm_fault(&hsm, "C_Sign rv=0xb3 count=1");
    assert_ok(sign());
    softhsm_fault(&hsm, "");
    buf_free(&b);
}

static void test_pair__token_errors_are_told_as_such(void **state)
{
    static const struct { const char *rv; enum err_class class; } CASES[] = {
        {"0x30", ERR_TOKEN_DOWN}, {"0x32", ERR_TOKEN_DOWN}, {"0x31", ERR_BUSY},
        {"0x70", ERR_INTERNAL}, {"0x80000384", ERR_TOKEN_DOWN}, {"0x5", ERR_TOKEN_DOWN},
        {"0x101", ERR_TOKEN_DOWN},
    };
    token_through_faults("");
    make("w", P11_PAIR_RSA);
    make("s", P11_PAIR_EC_P256);
    struct p11_pair_config config = {"s", P11_PAIR_EC_P256, false};
    struct p11_pair *signer = NULL;
    assert_ok(p11_pair_new(token, &config, &signer));
    open_pair("w", P11_PAIR_RSA, false);
    struct buf b = wrapped(SPAN_LIT("x"));
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char rules[160];
        uint8_t digest[P11_PAIR_DIGEST] = {7}, signature[P11_PAIR_SIGNATURE];
        assert_unwraps(&b, SPAN_LIT("x"));
        assert_ok(p11_pair_sign(signer, digest, signature));
        snprintf(rules, sizeof rules, "C_Decrypt rv=%s\nC_Sign rv=%s\n", CASES[i].rv, CASES[i].rv);
        softhsm_fault(&hsm, rules);
        assert_fails_with(unwrap(buf_span(&b)), CASES[i].class, "C_Decrypt");
        assert_fails_with(p11_pair_sign(signer, digest, signature), CASES[i].class, "C_Sign");
        softhsm_fault(&hsm, "");
    }
    assert_unwraps(&b, SPAN_LIT("x"));
    buf_free(&b);
    p11_pair_free(signer);
}

/* Where the token does the OAEP its CKR_GENERAL_ERROR may be the ciphertext's fault or its own. */
static void test_unwrap__general_error_asks_the_canary(void **state)
{
    token_through_faults("");
    make("w", P11_PAIR_RSA);
    open_pair("w", P11_PAIR_RSA, true);
    struct buf b = wrapped(SPAN_LIT("x"));
    assert_unwraps(&b, SPAN_LIT("x"));
    softhsm_fault(&hsm, "C_Decrypt rv=0x5 count=1");
    assert_fails(unwrap(buf_span(&b)), ERR_CRYPTO);
    softhsm_fault(&hsm, "C_Decrypt rv=0x5");
    assert_fails(unwrap(buf_span(&b)), ERR_TOKEN_DOWN);
    softhsm_fault(&hsm, "C_Decrypt rv=0x40");
    assert_fails(unwrap(buf_span(&b)), ERR_CRYPTO);
    softhsm_fault(&hsm, "");
    assert_unwraps(&b, SPAN_LIT("x"));
    buf_free(&b);
}

static void test_pair__comes_back_with_the_token(void **state)
{
    token_through_faults("");
    make("w", P11_PAIR_RSA);
    open_pair("w", P11_PAIR_RSA, false);
    struct buf b = wrapped(SPAN_LIT("x"));
    assert_unwraps(&b, SPAN_LIT("x"));
    assert_ok(p11_recover(token));
    assert_unwraps(&b, SPAN_LIT("x"));
    softhsm_fault(&hsm, "C_GetSlotList rv=0x32\nC_GetTokenInfo rv=0x32");
    assert_fails(p11_recover(token), ERR_TOKEN_DOWN);
    assert_fails(unwrap(buf_span(&b)), ERR_TOKEN_DOWN);
    softhsm_fault(&hsm, "");
    assert_ok(p11_recover(token));
    assert_unwraps(&b, SPAN_LIT("x"));
    buf_free(&b);
}

static void test_pair__deleted_and_made_again(void **state)
{
    make("w", P11_PAIR_RSA);
    open_pair("w", P11_PAIR_RSA, false);
    struct buf old = wrapped(SPAN_LIT("x"));
    assert_unwraps(&old, SPAN_LIT("x"));
    keys_labelled(CKO_PRIVATE_KEY, "w", true);
    keys_labelled(CKO_PUBLIC_KEY, "w", true);
    assert_fails(unwrap(buf_span(&old)), ERR_NOTFOUND);
    make("w", P11_PAIR_RSA);
    struct buf new = wrapped(SPAN_LIT("y"));
    assert_unwraps(&new, SPAN_LIT("y"));
    buf_free(&old);
    buf_free(&new);
}

/* SoftHSM whose files are away finds nothing, without an error: that is no missing pair. */
static void test_pair__files_are_away(void **state)
{
    char away[320];
    make("s", P11_PAIR_EC_P256);
    open_pair("s", P11_PAIR_EC_P256, false);
    assert_ok(sign());
    snprintf(away, sizeof away, "%s-away", hsm.tokens);
    assert_int_equal(rename(hsm.tokens, away), 0);
    assert_fails(sign(), ERR_TOKEN_DOWN);
    assert_int_equal(rename(away, hsm.tokens), 0);
    assert_ok(p11_recover(token));
    assert_ok(sign());
}

/* ---- threads ---------------------------------------------------------------------------- */

#define THREADS 4
#define ROUNDS 20

static void *use_it(void *arg)
{
    const struct buf *b = arg;
    uintptr_t failures = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct secret *out = NULL;
        if (!err_ok(p11_pair_unwrap(pair, buf_span(b), &out))) failures++;
        else failures += !secret_equal(secret_span(out), SPAN_LIT("x"));
        secret_free(out);
    }
    return (void *) failures;
}

/* All find it at once, and lose it now and then. */
static void test_pair__threads(void **state)
{
    pthread_t threads[THREADS];
    make("w", P11_PAIR_RSA);
    open_pair("w", P11_PAIR_RSA, false);
    struct buf b = wrapped(SPAN_LIT("x"));
    open_pair("w", P11_PAIR_RSA, false);
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, use_it, &b), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failures = NULL;
        assert_int_equal(pthread_join(threads[i], &failures), 0);
        assert_null(failures);
    }
    buf_free(&b);
}

static struct watch_thread *_Atomic finder;

static void *wrap_in_thread(void *arg)
{
    struct buf b = BUF_INIT;
    atomic_store(&finder, watch_self());
    struct err e = p11_pair_wrap(pair, SPAN_LIT("x"), &b);
    buf_free(&b);
    return err_ok(e) ? NULL : (void *) "not wrapped";
}

/* Somebody looks for the key, and the token hangs. */
static void test_pair__an_event_loop_does_not_wait_for_who_looks(void **state)
{
    struct watch_thread *me = watch_self(), *other = NULL;
    struct buf b = BUF_INIT;
    void *complaint = NULL;
    pthread_t thread;
    make("w", P11_PAIR_RSA);
    token_through_faults("");
    open_pair("w", P11_PAIR_RSA, false);
    softhsm_fault(&hsm, "C_FindObjects hang");
    assert_int_equal(pthread_create(&thread, NULL, wrap_in_thread, NULL), 0);
    while (!(other = atomic_load(&finder)) || !atomic_load(&other->until)) sched_yield();
    me->crypto_only = true;
    me->must_move = false;
    struct err e = p11_pair_wrap(pair, SPAN_LIT("x"), &b);
    me->crypto_only = false;
    assert_fails(e, ERR_BUSY);
    assert_true(me->must_move && me->to_objects);
    softhsm_fault(&hsm, "");
    pthread_join(thread, &complaint);
    assert_null(complaint);
    assert_ok(p11_pair_wrap(pair, SPAN_LIT("x"), &b));
    buf_free(&b);
}

/* ---- the URI ---------------------------------------------------------------------------- */

static void test_uri__names_a_key_of_this_token(void **state)
{
    static const struct { const char *uri, *label; } GOOD[] = {
        {"pkcs11:object=signer;type=private", "signer"}, {"pkcs11:object=a%20b", "a b"},
        {"pkcs11:token=test;object=signer", "signer"},
    };
    static const struct { const char *uri, *part; } BAD[] = {
        {"pkcs11:", "name the key by its label"}, {"pkcs11:object=", "name the key"},
        {"pkcs11:object=a;type=public", "type=private"}, {"pkcs11:object=a;id=%01", "name the key"},
        {"pkcs11:token=other;object=a", "another token"}, {"pkcs11:object=a?pin-value=1234", "name"},
        {"pkcs11:object=a;shape=round", "name the key"}, {"file:/a", "cannot be read"},
        {"pkcs11:object=%zz", "cannot be read"},
    };
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        char *label = NULL;
        assert_ok(p11_pair_uri_label(token, GOOD[i].uri, &label));
        assert_string_equal(label, GOOD[i].label);
        free(label);
    }
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        char *label = NULL;
        struct err e = p11_pair_uri_label(token, BAD[i].uri, &label);
        if (e.code != ERR_USAGE || !strstr(err_text(e), BAD[i].part))
            fail_msg("%s: %s", BAD[i].uri, err_text(e));
        assert_null(label);
        assert_null(strstr(err_text(e), "1234"));
    }
}

#define KEK(test) cmocka_unit_test_setup_teardown(test, token_with_kek, gone)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEK(test_unwrap__round_trips),
        KEK(test_sign__verifies),
        KEK(test_unwrap__one_sentence_for_every_cause),
        KEK(test_unwrap__wrong_length_is_said),
        KEK(test_pair__missing_says_what_to_run),
        KEK(test_pair__made_by_another_program),
        KEK(test_pair__not_fit),
        KEK(test_pair__lost_sessions_are_repeated_once),
        KEK(test_pair__token_errors_are_told_as_such),
        KEK(test_unwrap__general_error_asks_the_canary),
        KEK(test_pair__comes_back_with_the_token),
        KEK(test_pair__deleted_and_made_again),
        KEK(test_pair__files_are_away),
        KEK(test_pair__threads),
        KEK(test_pair__an_event_loop_does_not_wait_for_who_looks),
        KEK(test_uri__names_a_key_of_this_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/unit/pkcs11/pairs.h"

static struct pair_key key;
static struct p11_pair_info info;

static int ready(void **state)
{
    key = (struct pair_key){0};
    info = (struct p11_pair_info){0};
    return token_with_kek(state);
}

static int gone(void **state)
{
    pair_key_done(&key);
    p11_pair_info_done(&info);
    return token_gone(state);
}

static void find(const char *label)
{
    const char *wrong = NULL;
    pair_key_done(&key);
    p11_pair_info_done(&info);
    info = (struct p11_pair_info){0};
    assert_ok(pair_find(token, label, &key, &info, &wrong));
    assert_null(wrong);
}

static err_t try_it(enum oaep_hash hash)
{
    return pair_try(token, info.label, info.type, hash, &key);
}

/* SoftHSM's OAEP knows SHA-1 alone: with SHA-256 it does bare RSA, and we decode. */
static void test_try__who_decodes(void **state)
{
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "a"}), CKR_OK);
    find("a");
    assert_ok(try_it(OAEP_SHA1));
    assert_false(key.decodes);
    assert_ok(try_it(OAEP_SHA256));
    assert_true(key.decodes);
}

static void test_try__signs(void **state)
{
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "a", .ec = true}), CKR_OK);
    find("a");
    assert_ok(try_it(OAEP_SHA256));
}

/* A public half that somebody put there: who has no PIN can. */
static void test_try__halves_of_two_pairs(void **state)
{
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "a", .ec = true, .id = 1,
                                                         .public_id = 2}), CKR_OK);
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "b", .ec = true, .id = 3,
                                                         .public_id = 1}), CKR_OK);
    find("a");
    assert_fails_with(try_it(OAEP_SHA256), ERR_USAGE, "do not belong together");
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "r", .id = 4}), CKR_OK);
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "s", .id = 5}), CKR_OK);
    find("r");
    struct pair_key first = key;
    key.public = NULL;
    find("s");
    CK_OBJECT_HANDLE other = key.handle;
    key.handle = first.handle;
    for (int i = 0; i < 20; i++) /* whichever number it is wrapped to */
        assert_fails_with(try_it(OAEP_SHA256), ERR_USAGE, "do not belong together");
    key.handle = other;
    assert_ok(try_it(OAEP_SHA256));
    pair_key_done(&first);
}

static void test_try__token_that_cannot_or_is_gone(void **state)
{
    token_through_faults("");
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "a"}), CKR_OK);
    find("a");
    softhsm_fault(&hsm, "C_DecryptInit rv=0x70");
    assert_fails_with(try_it(OAEP_SHA1), ERR_USAGE, "neither does RSA-OAEP");
    softhsm_fault(&hsm, "C_DecryptInit rv=0x32");
    assert_fails(try_it(OAEP_SHA1), ERR_TOKEN_DOWN);
    /* GENERAL_ERROR: the canary tells, and here it fails as well. */
    softhsm_fault(&hsm, "C_DecryptInit rv=0x5");
    assert_fails(try_it(OAEP_SHA1), ERR_TOKEN_DOWN);
    /* And here it opens: the token's OAEP is what fails, so it is tried again, then bare RSA. */
    softhsm_fault(&hsm, "C_DecryptInit rv=0x5 count=1");
    assert_ok(try_it(OAEP_SHA1));
    assert_false(key.decodes);
    softhsm_fault(&hsm, "C_DecryptInit rv=0x70 count=2");
    assert_ok(try_it(OAEP_SHA1));
    assert_true(key.decodes);
    pair_key_done(&key);
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "e", .ec = true, .id = 2}), CKR_OK);
    find("e");
    softhsm_fault(&hsm, "C_SignInit rv=0x70");
    assert_fails_with(try_it(OAEP_SHA1), ERR_USAGE, "does not sign");
    softhsm_fault(&hsm, "C_Sign rv=0x30");
    assert_fails(try_it(OAEP_SHA1), ERR_TOKEN_DOWN);
}

/* After the token was opened again the same number may be another key. */
static void test_once__handle_of_before(void **state)
{
    uint8_t bytes[256] = {1}, digest[P11_PAIR_DIGEST] = {0}, signature[P11_PAIR_SIGNATURE];
    size_t len = 0;
    struct pair_answer a = {CKR_OK, ""};
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "a"}), CKR_OK);
    find("a");
    assert_ok(p11_recover(token));
    assert_fails(pair_decrypt_once(token, &key, OAEP_SHA1, span_of(bytes, 256), bytes, &len, &a),
                 ERR_TOKEN_DOWN);
    assert_fails(pair_sign_once(token, &key, digest, signature, &a), ERR_TOKEN_DOWN);
}

#define KEK(test) cmocka_unit_test_setup_teardown(test, ready, gone)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEK(test_try__who_decodes),
        KEK(test_try__signs),
        KEK(test_try__halves_of_two_pairs),
        KEK(test_try__token_that_cannot_or_is_gone),
        KEK(test_once__handle_of_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

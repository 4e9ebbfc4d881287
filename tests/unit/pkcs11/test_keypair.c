#include "tests/unit/pkcs11/pairs.h"

static struct p11_pair_info info;

static int ready(void **state)
{
    info = (struct p11_pair_info){0};
    return token_with_kek(state);
}

static int gone(void **state)
{
    p11_pair_info_done(&info);
    return token_gone(state);
}

static err_t make(const char *label, enum p11_pair_type type, unsigned bits)
{
    p11_pair_info_done(&info);
    info = (struct p11_pair_info){0};
    return p11_pair_create(token, label, type, bits, &info);
}

static void test_type__names(void **state)
{
    enum p11_pair_type type = P11_PAIR_OTHER;
    assert_true(p11_pair_type_from("ec-p256", &type) && type == P11_PAIR_EC_P256);
    assert_true(p11_pair_type_from("rsa", &type) && type == P11_PAIR_RSA);
    assert_false(p11_pair_type_from("other", &type));
    assert_false(p11_pair_type_from("RSA", &type));
    assert_false(p11_pair_type_from("", &type));
    assert_string_equal(p11_pair_type_name(P11_PAIR_OTHER), "other");
}

static void check_secrecy(void)
{
    assert_true(info.sound && info.sensitive && info.always_sensitive && info.never_extractable &&
                info.local);
    assert_false(info.extractable || info.modifiable || info.can_unwrap || info.can_derive);
    assert_int_equal(info.id_len, 16);
    assert_true(span_starts(buf_span(&info.public_pem), "-----BEGIN PUBLIC KEY-----\n"));
}

static void test_create__rsa_as_demanded(void **state)
{
    assert_ok(make("wrap key", P11_PAIR_RSA, 2048));
    check_secrecy();
    assert_string_equal(info.label, "wrap key");
    assert_int_equal(info.type, P11_PAIR_RSA);
    assert_int_equal(info.bits, 2048);
    assert_true(info.can_decrypt && !info.can_sign);
    assert_int_equal(pairs_labelled("wrap key"), 1);
}

static void test_create__ec_as_demanded(void **state)
{
    assert_ok(make("signer", P11_PAIR_EC_P256, 0));
    check_secrecy();
    assert_int_equal(info.type, P11_PAIR_EC_P256);
    assert_int_equal(info.bits, 256);
    assert_true(info.can_sign && !info.can_decrypt);
    assert_int_equal(pairs_labelled("signer"), 1);
}

/* The token itself says no, whatever its attributes tell. */
static void test_create__private_half_cannot_be_read(void **state)
{
    static const CK_ATTRIBUTE_TYPE SECRET[] = {CKA_PRIVATE_EXPONENT, CKA_PRIME_1, CKA_VALUE};
    for (int i = 0; i < 2; i++) {
        struct pair_key key = {0};
        const char *wrong = NULL;
        assert_ok(make(i ? "ec" : "rsa", i ? P11_PAIR_EC_P256 : P11_PAIR_RSA, 2048));
        struct p11_pair_info found = {0};
        assert_ok(pair_find(token, info.label, &key, &found, &wrong));
        struct p11_session s = {0};
        assert_ok(session_take(token, &s));
        for (size_t a = i ? 2 : 0; a < (i ? 3u : 2u); a++) {
            uint8_t bytes[600];
            CK_ATTRIBUTE read = {SECRET[a], bytes, sizeof bytes};
            assert_int_equal(token->fn->C_GetAttributeValue(s.h, key.handle, &read, 1),
                             CKR_ATTRIBUTE_SENSITIVE);
        }
        CK_BBOOL yes = CK_TRUE;
        CK_ATTRIBUTE open = {CKA_EXTRACTABLE, &yes, sizeof yes};
        assert_int_not_equal(token->fn->C_SetAttributeValue(s.h, key.handle, &open, 1), CKR_OK);
        session_drop(&s);
        pair_key_done(&key);
        p11_pair_info_done(&found);
    }
}

static void test_create__bits(void **state)
{
    static const unsigned WRONG[] = {0, 1024, 2047, 2049, 2560, 4097, 5120, 8192};
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++)
        assert_fails_with(make("x", P11_PAIR_RSA, WRONG[i]), ERR_USAGE, "2048, 3072 or 4096");
    assert_int_equal(pairs_labelled("x"), 0);
    assert_ok(make("x", P11_PAIR_RSA, KEYPAIR_RSA_MIN_BITS + 1024));
    assert_int_equal(info.bits, 3072);
}

static void test_create__labels(void **state)
{
    char longest[KEYPAIR_LABEL_MAX + 2];
    memset(longest, 'l', sizeof longest);
    longest[KEYPAIR_LABEL_MAX + 1] = '\0';
    assert_fails_with(make(longest, P11_PAIR_EC_P256, 0), ERR_USAGE, "1 to 64");
    assert_fails(make("", P11_PAIR_EC_P256, 0), ERR_USAGE);
    assert_fails(make("a\nb", P11_PAIR_EC_P256, 0), ERR_USAGE);
    assert_fails(make("\xc3\xa9", P11_PAIR_EC_P256, 0), ERR_USAGE);
    assert_fails_with(make("strongroom:x", P11_PAIR_EC_P256, 0), ERR_USAGE, "Strongroom's own");
    assert_fails(make("strongroom-kek-2", P11_PAIR_EC_P256, 0), ERR_USAGE);
    longest[KEYPAIR_LABEL_MAX] = '\0';
    assert_ok(make(longest, P11_PAIR_EC_P256, 0));
    assert_string_equal(info.label, longest);
}

static void test_create__label_is_taken(void **state)
{
    assert_ok(make("a", P11_PAIR_EC_P256, 0));
    assert_fails_with(make("a", P11_PAIR_EC_P256, 0), ERR_CONFLICT, "choose another label");
    assert_fails(make("a", P11_PAIR_RSA, 2048), ERR_CONFLICT);
    /* A public half alone is in the way too: which one would be meant? */
    assert_int_equal(keys_labelled(CKO_PRIVATE_KEY, "a", true), 1);
    assert_fails(make("a", P11_PAIR_RSA, 2048), ERR_CONFLICT);
    assert_int_equal(keys_labelled(CKO_PUBLIC_KEY, "a", true), 1);
    assert_ok(make("a", P11_PAIR_RSA, 2048));
}

static void test_create__token_refuses(void **state)
{
    token_through_faults("C_GenerateKeyPair rv=0x31");
    assert_fails_with(make("a", P11_PAIR_EC_P256, 0), ERR_FULL, "CKR_DEVICE_MEMORY");
    softhsm_fault(&hsm, "C_GenerateKeyPair rv=0x70");
    assert_fails_with(make("a", P11_PAIR_EC_P256, 0), ERR_INTERNAL, "CKR_MECHANISM_INVALID");
    softhsm_fault(&hsm, "");
    assert_ok(make("a", P11_PAIR_EC_P256, 0));
}

/* A pair that cannot be used is gone again, both halves. */
static void test_create__that_does_not_work_is_removed(void **state)
{
    token_through_faults("C_Sign rv=0x70");
    assert_fails_with(make("a", P11_PAIR_EC_P256, 0), ERR_USAGE, "does not sign");
    assert_int_equal(pairs_labelled("a"), 0);
    softhsm_fault(&hsm, "C_DecryptInit rv=0x70");
    assert_fails_with(make("a", P11_PAIR_RSA, 2048), ERR_USAGE, "neither does RSA-OAEP");
    assert_int_equal(pairs_labelled("a"), 0);
    softhsm_fault(&hsm, "C_Sign rv=0x32");
    assert_fails(make("a", P11_PAIR_EC_P256, 0), ERR_TOKEN_DOWN);
    softhsm_fault(&hsm, "");
    assert_int_equal(pairs_labelled("a"), 0);
}

/* ---- finding and listing ---------------------------------------------------------------- */

struct listed { size_t n; char text[2048]; };

static err_t visit(void *arg, const struct p11_pair_info *i)
{
    struct listed *l = arg;
    size_t len = strlen(l->text);
    snprintf(l->text + len, sizeof l->text - len, "%s:%s:%u%s;", i->label,
             p11_pair_type_name(i->type), i->bits, i->sound ? "" : ":unsound");
    l->n++;
    return l->n == 9 ? ERR_MAKE(ERR_USAGE, "enough") : ERR_OK;
}

static void test_list__ours_and_others(void **state)
{
    struct listed l = {0};
    assert_ok(p11_pair_list(token, visit, &l));
    assert_int_equal(l.n, 0);
    assert_ok(make("a", P11_PAIR_RSA, 2048));
    assert_ok(make("b", P11_PAIR_EC_P256, 0));
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "c", .changed = CKA_EXTRACTABLE,
                                                         .to = 1}), CKR_OK);
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "d", .ec = true, .p384 = true,
                                                         .id = 2}), CKR_OK);
    assert_ok(p11_pair_list(token, visit, &l));
    assert_int_equal(l.n, 4);
    assert_non_null(strstr(l.text, "a:rsa:2048;"));
    assert_non_null(strstr(l.text, "b:ec-p256:256;"));
    assert_non_null(strstr(l.text, "c:rsa:2048:unsound;"));
    assert_non_null(strstr(l.text, "d:other:0:unsound;"));
    l.n = 8;
    assert_fails_with(p11_pair_list(token, visit, &l), ERR_USAGE, "enough");
}

static void test_list__survives_reopening_and_a_lost_session(void **state)
{
    struct listed l = {0};
    token_through_faults("");
    assert_ok(make("a", P11_PAIR_EC_P256, 0));
    token_reopen();
    assert_ok(p11_pair_list(token, visit, &l));
    assert_string_equal(l.text, "a:ec-p256:256;");
    token_through_faults("");
    softhsm_fault(&hsm, "C_FindObjectsInit rv=0x32");
    assert_fails(p11_pair_list(token, visit, &l), ERR_TOKEN_DOWN);
}

static void test_find__what_forbids_the_use(void **state)
{
    static const struct { CK_ATTRIBUTE_TYPE type; CK_BBOOL to; const char *name; bool ec; } CASES[] = {
        {CKA_SENSITIVE, 0, "CKA_SENSITIVE", false}, {CKA_EXTRACTABLE, 1, "CKA_EXTRACTABLE", false},
        {CKA_PRIVATE, 0, "CKA_PRIVATE", false}, {CKA_DECRYPT, 0, "CKA_DECRYPT", false},
        {CKA_SIGN, 0, "CKA_SIGN", true}, {CKA_EXTRACTABLE, 1, "CKA_EXTRACTABLE", true},
        {CKA_SIGN, 1, NULL, false}, {CKA_ALWAYS_AUTHENTICATE, 1, "CKA_ALWAYS_AUTHENTICATE", true},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char label[8];
        struct pair_key key = {0};
        const char *wrong = NULL;
        snprintf(label, sizeof label, "k%zu", i);
        assert_int_equal(make_pair_by_hand((struct handmade){
            .label = label, .ec = CASES[i].ec, .id = (uint8_t) (10 + i),
            .changed = CASES[i].type, .to = CASES[i].to}), CKR_OK);
        p11_pair_info_done(&info);
        info = (struct p11_pair_info){0};
        assert_ok(pair_find(token, label, &key, &info, &wrong));
        pair_key_done(&key);
        assert_int_equal(info.sound, CASES[i].name == NULL);
        if (CASES[i].name) assert_string_equal(wrong, CASES[i].name);
        else assert_null(wrong);
    }
}

static void test_find__none_and_two(void **state)
{
    struct pair_key key = {0};
    const char *wrong = NULL;
    assert_fails_with(pair_find(token, "a", &key, &info, &wrong), ERR_NOTFOUND, "labelled a");
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "a", .ec = true}), CKR_OK);
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "a", .ec = true, .id = 2}), CKR_OK);
    assert_fails_with(pair_find(token, "a", &key, &info, &wrong), ERR_CONFLICT, "2 private keys");
}

/* The private RSA key shows its own modulus; an EC key needs its public half, by the same id. */
static void test_find__public_half(void **state)
{
    struct pair_key key = {0};
    const char *wrong = NULL;
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "r", .no_id = true}), CKR_OK);
    assert_int_equal(keys_labelled(CKO_PUBLIC_KEY, "r", true), 1);
    assert_ok(pair_find(token, "r", &key, &info, &wrong));
    assert_non_null(key.public);
    assert_true(info.sound);
    pair_key_done(&key);
    p11_pair_info_done(&info);
    info = (struct p11_pair_info){0};
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "e", .ec = true, .id = 5,
                                                         .public_id = 6}), CKR_OK);
    assert_ok(pair_find(token, "e", &key, &info, &wrong));
    assert_null(key.public);
    assert_false(info.sound);
    assert_int_equal(info.public_pem.len, 0);
}

#define KEK(test) cmocka_unit_test_setup_teardown(test, ready, gone)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_type__names),
        KEK(test_create__rsa_as_demanded),
        KEK(test_create__ec_as_demanded),
        KEK(test_create__private_half_cannot_be_read),
        KEK(test_create__bits),
        KEK(test_create__labels),
        KEK(test_create__label_is_taken),
        KEK(test_create__token_refuses),
        KEK(test_create__that_does_not_work_is_removed),
        KEK(test_list__ours_and_others),
        KEK(test_list__survives_reopening_and_a_lost_session),
        KEK(test_find__what_forbids_the_use),
        KEK(test_find__none_and_two),
        KEK(test_find__public_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

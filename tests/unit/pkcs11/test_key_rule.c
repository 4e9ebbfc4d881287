#include "tests/unit/pkcs11/pairs.h"

#include "pkcs11/key_rule.h"

struct told { bool yes, no, none; };

/* CKA_DECRYPT is true, CKA_SIGN false; a private key has no CKA_MODULUS_BITS. */
static void test_rules__every_demand(void **state)
{
    static const struct { CK_ATTRIBUTE_TYPE type; enum demand demand; bool kept; } CASES[] = {
        {CKA_DECRYPT, MUST_BE_TRUE, true}, {CKA_DECRYPT, MUST_BE_FALSE, false},
        {CKA_DECRYPT, MUST_NOT_BE_TRUE, false}, {CKA_DECRYPT, FOR_INFORMATION, true},
        {CKA_SIGN, MUST_BE_TRUE, false}, {CKA_SIGN, MUST_BE_FALSE, true},
        {CKA_SIGN, MUST_NOT_BE_TRUE, true}, {CKA_SIGN, FOR_INFORMATION, true},
        {CKA_MODULUS_BITS, MUST_BE_TRUE, false}, {CKA_MODULUS_BITS, MUST_BE_FALSE, false},
        {CKA_MODULUS_BITS, MUST_NOT_BE_TRUE, true}, {CKA_MODULUS_BITS, FOR_INFORMATION, true},
    };
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "a"}), CKR_OK);
    struct p11_pair_info info = {0};
    struct pair_key key = {0};
    const char *wrong = NULL;
    assert_ok(pair_find(token, "a", &key, &info, &wrong));
    struct p11_session s = {0};
    assert_ok(session_take(token, &s));
    struct key_seen seen = {&s, key.handle, "a"};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct key_rule rule = {CASES[i].type, "the rule", CASES[i].demand, NO_FIELD};
        wrong = NULL;
        assert_ok(key_rules_check(&seen, &rule, 1, NULL, &wrong));
        if ((wrong == NULL) != CASES[i].kept) fail_msg("case %zu", i);
    }
    session_drop(&s);
    pair_key_done(&key);
    p11_pair_info_done(&info);
}

static void test_rules__first_wrong_is_named_and_fields_are_told(void **state)
{
    static const struct key_rule RULES[] = {
        {CKA_DECRYPT, "first", MUST_BE_TRUE, offsetof(struct told, yes)},
        {CKA_SIGN, "second", MUST_BE_TRUE, offsetof(struct told, no)},
        {CKA_MODULUS_BITS, "third", MUST_BE_TRUE, offsetof(struct told, none)},
    };
    struct told told = {.no = true, .none = true};
    struct p11_pair_info info = {0};
    struct pair_key key = {0};
    const char *wrong = NULL;
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "a"}), CKR_OK);
    assert_ok(pair_find(token, "a", &key, &info, &wrong));
    struct p11_session s = {0};
    assert_ok(session_take(token, &s));
    struct key_seen seen = {&s, key.handle, "a"};
    wrong = NULL;
    assert_ok(key_rules_check(&seen, RULES, 3, &told, &wrong));
    assert_string_equal(wrong, "second");
    assert_true(told.yes);
    assert_false(told.no || told.none);
    wrong = "of before";
    assert_ok(key_rules_check(&seen, RULES, 3, &told, &wrong));
    assert_string_equal(wrong, "of before");
    session_drop(&s);
    pair_key_done(&key);
    p11_pair_info_done(&info);
}

static void test_read_exactly__sizes_and_a_token_that_is_gone(void **state)
{
    struct p11_pair_info info = {0};
    struct pair_key key = {0};
    const char *wrong = NULL;
    CK_ULONG type = 0;
    uint8_t byte = 0;
    bool there = true;
    token_through_faults("");
    assert_int_equal(make_pair_by_hand((struct handmade){.label = "a"}), CKR_OK);
    assert_ok(pair_find(token, "a", &key, &info, &wrong));
    struct p11_session s = {0};
    assert_ok(session_take(token, &s));
    struct key_seen seen = {&s, key.handle, "a"};
    assert_ok(key_read_exactly(&seen, CKA_KEY_TYPE, &byte, sizeof byte, &there));
    assert_false(there);
    assert_ok(key_read_exactly(&seen, CKA_KEY_TYPE, &type, sizeof type, &there));
    assert_true(there && type == CKK_RSA);
    softhsm_fault(&hsm, "C_GetAttributeValue rv=0x32");
    assert_fails_with(key_read_exactly(&seen, CKA_KEY_TYPE, &type, sizeof type, &there),
                      ERR_TOKEN_DOWN, "CKR_DEVICE_REMOVED");
    session_drop(&s);
    pair_key_done(&key);
    p11_pair_info_done(&info);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rules__every_demand, token_bare, token_gone),
        cmocka_unit_test_setup_teardown(test_rules__first_wrong_is_named_and_fields_are_told,
                                        token_bare, token_gone),
        cmocka_unit_test_setup_teardown(test_read_exactly__sizes_and_a_token_that_is_gone,
                                        token_bare, token_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

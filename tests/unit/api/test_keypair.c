#include "tests/unit/api/kit.h"

#define PATH "/strongroom/v1/keypairs"

static int create(const char *body)
{
    return ASK("POST", PATH, .local = true, BODY(body));
}

static void test_create__answers_and_is_recorded(void **state)
{
    assert_int_equal(create("{\"label\":\"signer\",\"type\":\"ec-p256\"}"), 200);
    assert_string_equal(text_at("/label"), "signer");
    assert_string_equal(text_at("/type"), "ec-p256");
    assert_int_equal(strlen(text_at("/id")), 32);
    assert_non_null(strstr(text_at("/public_key"), "-----BEGIN PUBLIC KEY-----"));
    static const struct { const char *name; bool value; } FLAGS[] = {
        {"/sound", true}, {"/sensitive", true}, {"/extractable", false},
        {"/never_extractable", true}, {"/decrypt", false}, {"/sign", true},
    };
    for (size_t i = 0; i < COUNT(FLAGS); i++) {
        bool is = !FLAGS[i].value;
        assert_true(json_bool(member(FLAGS[i].name), &is));
        assert_int_equal(is, FLAGS[i].value);
    }
    check_record("keypair-create", "done", "signer");
    create("{\"label\":\"signer\",\"type\":\"rsa\"}");
    check_error(409, "Conflict", NULL);
    assert_non_null(strstr(text_at("/detail"), "choose another label"));
    check_record("keypair-create", "error", "conflict");
}

static void test_create__bits(void **state)
{
    int64_t bits = 0;
    assert_int_equal(create("{\"label\":\"b\",\"type\":\"rsa\",\"bits\":2048}"), 200);
    assert_true(json_int(member("/bits"), &bits));
    assert_int_equal(bits, 2048);
    assert_int_equal(create("{\"label\":\"c\",\"type\":\"rsa\"}"), 200);
    assert_true(json_int(member("/bits"), &bits));
    assert_int_equal(bits, KEYPAIR_RSA_DEFAULT_BITS);
}

static void test_create__wishes_that_are_none(void **state)
{
    static const struct { const char *body, *says; } rows[] = {
        {"", ""}, {"[]", "wants a label"}, {"{}", "wants a label"},
        {"{\"label\":\"x\"}", "rsa or ec-p256"}, {"{\"type\":\"rsa\"}", "wants a label"},
        {"{\"label\":7,\"type\":\"rsa\"}", "wants a label"},
        {"{\"label\":\"x\",\"type\":\"dsa\"}", "rsa or ec-p256"},
        {"{\"label\":\"\",\"type\":\"rsa\"}", "1 to 64"},
        {"{\"label\":\"x\",\"type\":\"rsa\",\"bits\":1024}", "2048, 3072 or 4096"},
        {"{\"label\":\"x\",\"type\":\"rsa\",\"bits\":-1}", "bits is a number"},
        {"{\"label\":\"x\",\"type\":\"rsa\",\"bits\":\"2048\"}", "bits is a number"},
        {"{\"label\":\"x\",\"type\":\"rsa\",\"bits\":99999999999}", "bits is a number"},
        {"{\"label\":\"x\",\"type\":\"ec-p256\",\"bits\":256}", "bits are for RSA"},
        {"{\"label\":\"strongroom-kek-9\",\"type\":\"ec-p256\"}", "Strongroom's own"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        create(rows[i].body);
        check_error(400, "InvalidRequestPath", NULL);
        if (!strstr(text_at("/detail"), rows[i].says)) fail_msg("%s", text_at("/detail"));
        check_record("keypair-create", "error", "usage");
    }
}

static void test_create__not_over_the_network_and_not_by_a_reader(void **state)
{
    kit_open((struct kit_options){.mode = ADMIN_INSECURE_ALLOW_ALL});
    assert_int_equal(ASK("POST", PATH, BODY("{\"label\":\"n\",\"type\":\"ec-p256\"}")), 404);
    kit_open((struct kit_options){.read_only = true});
    create("{\"label\":\"n\",\"type\":\"ec-p256\"}");
    check_error(503, "ReadOnly", NULL);
    assert_int_equal(ASK("GET", PATH, .local = true), 200);
    assert_null(strstr(response_text(), "\"n\""));
}

static void test_create__without_a_record(void **state)
{
    audit_break();
    assert_int_equal(create("{\"label\":\"unrecorded\",\"type\":\"ec-p256\"}"), 503);
    audit_heal();
    /* It is there, and the list says so: nothing is hidden. */
    assert_int_equal(ASK("GET", PATH, .local = true), 200);
    assert_non_null(strstr(response_text(), "\"unrecorded\""));
}

static void test_list__for_operators(void **state)
{
    ASK("GET", PATH);
    check_error(401, "AdminAuthInitialization", NULL);
    assert_int_equal(create("{\"label\":\"listed\",\"type\":\"ec-p256\"}"), 200);
    assert_int_equal(ASK("GET", PATH, .local = true), 200);
    bool found = false;
    for (struct json k = json_first(member("/keypairs")); json_present(k); k = json_next(k))
        found |= strcmp(json_string(json_get(k, "label")), "listed") == 0;
    assert_true(found);
    assert_null(strstr(response_text(), "PRIVATE"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_create__answers_and_is_recorded),
        KIT_TEST(test_create__bits),
        KIT_TEST(test_create__wishes_that_are_none),
        KIT_TEST(test_create__not_over_the_network_and_not_by_a_reader),
        KIT_TEST(test_create__without_a_record),
        KIT_TEST(test_list__for_operators),
    };
    return cmocka_run_group_tests(tests, kit_token, kit_token_end);
}

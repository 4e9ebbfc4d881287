#include "tests/lib/test.h"

#include "pkcs11/p11_internal.h"
#include "tests/lib/softhsm.h"

static struct softhsm hsm;
static struct p11_module *module;

static int setup(void **state)
{
    return softhsm_start(&hsm, "vault one");
}

static int teardown(void **state)
{
    module_unref(TAKE_PTR(module));
    return softhsm_stop(&hsm);
}

static CK_FUNCTION_LIST *load(void)
{
    assert_ok(module_load(hsm.module, &module));
    return module_fn(module);
}

static struct err find(const char *text, CK_SLOT_ID *slot, struct p11_token_info *info)
{
    struct p11_uri uri _cleanup_uri_ = {0};
    TRY(uri_parse(text, &uri));
    return slot_find(module_fn(module), &uri, slot, info);
}

static void test_uri_parse__refuses_what_names_no_token(void **state)
{
    static const struct { const char *uri, *word; } ROWS[] = {
        {"vault", "cannot be read"},
        {"", "cannot be read"},
        {"pkcs11:token=%zz", "cannot be read"},
        {"pkcs11:", "fits any token"},
        {"pkcs11:token=", "fits any token"},
        {"pkcs11:manufacturer=SoftHSM%20project", "fits any token"},
        {"pkcs11:token=vault;slot-id=3", "slot-id"},
        {"pkcs11:slot-id=0;token=vault", "slot-id"},
        {"pkcs11:token=vault?pin-value=31337", "pin-value"},
        {"pkcs11:token=vault;colour=red", "not understood"},
        {"pkcs11:token=vault?speed=9", "not understood"},
        {"pkcs11:token=vault;object=key;type=private", "object"},
        {"pkcs11:token=vault?module-name=softhsm2", "module-name"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct p11_uri uri = {0};
        struct err e = uri_parse(ROWS[i].uri, &uri);
        assert_int_equal(e.code, ERR_USAGE);
        assert_non_null(strstr(err_text(e), ROWS[i].word));
        assert_null(strstr(err_text(e), "31337")); /* no PIN in a log */
        assert_null(uri.uri);
    }
}

static void test_uri_parse__gives_module_and_pin_source(void **state)
{
    struct p11_uri uri = {0};
    assert_ok(uri_parse("pkcs11:serial=12ab?module-path=/lib/x.so&pin-source=file:/etc/p", &uri));
    assert_string_equal(uri.module_path, "/lib/x.so");
    assert_string_equal(uri.pin_source, "file:/etc/p");
    uri_done(&uri);
    assert_ok(uri_parse("pkcs11:token=a;serial=1;manufacturer=m;model=v2", &uri));
    assert_null(uri.module_path);
    uri_done(&uri);
    uri_done(&uri);
}

static void test_uri_names(void **state)
{
    static const struct { const char *uri; bool named; } ROWS[] = {
        {"pkcs11:token=vault%20one", true},           {"pkcs11:serial=12ab", true},
        {"pkcs11:token=vault%20one;serial=12ab", true}, {"pkcs11:token=vault%20one;serial=12ac", false},
        {"pkcs11:token=vault", false},                {"pkcs11:token=vault%20one;model=any", true},
        {"pkcs11:serial=12ab?pin-source=file:/p", true}, {"pkcs11:", false}, {"vault", false},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++)
        if (p11_uri_names(ROWS[i].uri, "vault one", "12ab") != ROWS[i].named) fail_msg("%s", ROWS[i].uri);
    assert_false(p11_uri_names("pkcs11:serial=12ab", "a label of more than thirty-two bytes", "12ab"));
}

static void test_slot_find__by_label_and_by_serial(void **state)
{
    struct p11_token_info one = {0}, two = {0};
    CK_SLOT_ID slot = 0, slot2 = 0;
    char by_serial[64];
    load();
    assert_ok(find("pkcs11:token=vault%20one", &slot, &one));
    assert_string_equal(one.label, "vault one");
    assert_string_equal(one.manufacturer, "SoftHSM project");
    assert_string_equal(one.model, "SoftHSM v2");
    assert_string_equal(one.module_manufacturer, "SoftHSM");
    assert_true(one.initialized && one.user_pin_initialized && one.login_required);
    assert_false(one.pin_count_low || one.pin_final_try || one.pin_locked);
    assert_int_equal(one.max_sessions, 0);
    assert_int_equal(one.slot, slot);
    snprintf(by_serial, sizeof by_serial, "pkcs11:serial=%s", one.serial);
    assert_ok(find(by_serial, &slot2, &two));
    assert_int_equal(slot, slot2);
}

static void test_slot_find__none_lists_those_there_are(void **state)
{
    struct p11_token_info info = {0};
    CK_SLOT_ID slot = 0;
    load();
    struct err e = find("pkcs11:token=nothing", &slot, &info);
    assert_int_equal(e.code, ERR_NOTFOUND);
    assert_non_null(strstr(err_reason(e), "\"vault one\" (serial "));
    assert_int_equal(find("pkcs11:token=vault%20one;model=other", &slot, &info).code,
                     ERR_NOTFOUND);
}

static void test_slot_find__no_token_at_all(void **state)
{
    struct p11_token_info info = {0};
    CK_SLOT_ID slot = 0;
    softhsm_stop(&hsm);
    assert_int_equal(softhsm_start(&hsm, NULL), 0);
    load();
    struct err e = find("pkcs11:token=vault", &slot, &info);
    assert_int_equal(e.code, ERR_NOTFOUND);
    assert_non_null(strstr(err_reason(e), "no initialised token at all"));
}

static void test_slot_find__two_of_one_label_need_the_serial(void **state)
{
    struct p11_token_info tokens[3] = {0}, info = {0};
    _cleanup_free_ CK_SLOT_ID *slots = NULL;
    CK_SLOT_ID slot = 0;
    char uri[96];
    CK_ULONG n = 0;
    assert_int_equal(softhsm_add_token(&hsm, "vault one"), 0);
    assert_ok(slot_list(load(), &slots, &n));
    assert_int_equal(n, 3); /* and SoftHSM's free slot */
    for (size_t i = 0; i < n; i++) assert_ok(slot_info(module_fn(module), slots[i], &tokens[i]));
    struct err e = find("pkcs11:token=vault%20one", &slot, &info);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_non_null(strstr(err_reason(e), "add serial="));
    for (size_t i = 0; i < n; i++) {
        if (!tokens[i].initialized) continue;
        assert_non_null(strstr(err_reason(e), tokens[i].serial));
    }
    for (size_t i = 0; i < n; i++) {
        if (!tokens[i].initialized) continue;
        snprintf(uri, sizeof uri, "pkcs11:token=vault%%20one;serial=%s", tokens[i].serial);
        assert_ok(find(uri, &slot, &info));
        assert_string_equal(info.serial, tokens[i].serial);
    }
}

static void test_slot_find__labels_are_escaped(void **state)
{
    struct p11_token_info info = {0};
    CK_SLOT_ID slot = 0;
    assert_int_equal(softhsm_add_token(&hsm, "evil\033[2J"), 0);
    load();
    struct err e = find("pkcs11:token=nothing", &slot, &info);
    assert_non_null(strstr(err_reason(e), "evil"));
    assert_null(strchr(err_reason(e), '\033'));
}

static void test_p11_info_by_uri__asks_without_login(void **state)
{
    struct p11_token_info info = {0};
    assert_ok(p11_info_by_uri(hsm.module, NULL, "pkcs11:token=vault%20one", &info));
    assert_string_equal(info.label, "vault one");
    assert_fails(p11_info_by_uri(NULL, NULL, "pkcs11:token=vault%20one", &info), ERR_USAGE);
    assert_fails(p11_info_by_uri(hsm.module, NULL, "pkcs11:token=x", &info), ERR_NOTFOUND);
}

static void test_slot_info__token_that_is_gone(void **state)
{
    struct p11_token_info info = {0};
    CK_TOKEN_INFO raw = {0};
    assert_fails(slot_info(load(), 4711, &info), ERR_TOKEN_DOWN);
    assert_fails(slot_token_info(module_fn(module), 4711, &raw), ERR_TOKEN_DOWN);
}

static CK_RV more_slots(CK_BBOOL present, CK_SLOT_ID *list, CK_ULONG *n)
{
    *n = list ? *n + 5 : 1;
    return CKR_OK;
}

/* A count beyond what was asked for would be read behind the room for it. */
static void test_slot_list__a_count_beyond_the_room(void **state)
{
    CK_FUNCTION_LIST lying = {.C_GetSlotList = more_slots};
    CK_SLOT_ID *slots = NULL;
    CK_ULONG n = 0;
    assert_fails(slot_list(&lying, &slots, &n), ERR_TOKEN_DOWN);
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uri_parse__refuses_what_names_no_token),
        cmocka_unit_test(test_uri_parse__gives_module_and_pin_source),
        cmocka_unit_test(test_uri_names),
        cmocka_unit_test(test_slot_list__a_count_beyond_the_room),
        CASE(test_slot_find__by_label_and_by_serial),
        CASE(test_slot_find__none_lists_those_there_are),
        CASE(test_slot_find__no_token_at_all),
        CASE(test_slot_find__two_of_one_label_need_the_serial),
        CASE(test_slot_find__labels_are_escaped),
        CASE(test_p11_info_by_uri__asks_without_login),
        CASE(test_slot_info__token_that_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

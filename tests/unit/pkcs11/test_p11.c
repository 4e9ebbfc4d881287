#include "tests/lib/test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "pkcs11/p11_internal.h"
#include "tests/lib/softhsm.h"

static struct softhsm hsm;
static struct p11 *token;
static struct p11_config config;

static int setup(void **state)
{
    if (softhsm_start(&hsm, "vault")) return -1;
    config = (struct p11_config){.module = hsm.module, .token_uri = hsm.uri,
                                 .pin_source = hsm.pin_file, .state_dir = hsm.state,
                                 .cek_cache = 16};
    return softhsm_fault(&hsm, "");
}

static int teardown(void **state)
{
    p11_close(TAKE_PTR(token));
    return softhsm_stop(&hsm);
}

/* Through the fault module from now on; false when it was not built. */
static bool use_fault(void)
{
    config.module = softhsm_fault_module();
    return config.module != NULL;
}

static void assert_open(void)
{
    assert_ok(p11_open(&config, &token));
}

static struct envelope_meta a_resource(void)
{
    return (struct envelope_meta){.kind = ENVELOPE_RESOURCE, .version = 1, .created = 1,
                                  .name = SPAN_LIT("default/key/1")};
}

/* Seals and opens again: the token works from end to end. */
static struct err round_trip(struct p11 *p)
{
    _cleanup_buf_ struct buf sealed = BUF_INIT;
    _cleanup_secret_ struct secret *opened = NULL;
    struct envelope_meta meta = a_resource();
    struct envelope e;
    bool has_meta = false;
    TRY(p11_seal(p, &meta, SPAN_LIT("plaintext"), &sealed));
    if (envelope_decode(buf_span(&sealed), &e, &has_meta) != ENVELOPE_SOUND)
        FAIL(ERR_DAMAGED, "what was sealed is no envelope");
    TRY(p11_unseal(p, &e, &opened));
    if (!span_eq_str(secret_span(opened), "plaintext")) FAIL(ERR_DAMAGED, "other plaintext");
    return ERR_OK;
}

static void test_p11_open__without_kek(void **state)
{
    struct p11_token_info info = {0};
    assert_open();
    assert_false(p11_has_kek(token));
    assert_string_equal(p11_label(token), "vault");
    p11_last_info(token, &info);
    assert_string_equal(info.serial, p11_serial(token));
    assert_int_equal(strlen(p11_serial(token)), 16);
}

static void test_p11_open__finds_its_kek_again(void **state)
{
    struct p11_kek_info kek = {0};
    assert_open();
    assert_ok(p11_kek_create(token, false, &kek));
    assert_ok(round_trip(token));
    uint64_t epoch = token->epoch;
    p11_close(TAKE_PTR(token));
    assert_open();
    assert_true(p11_has_kek(token));
    assert_true(token->epoch > epoch);
    assert_ok(round_trip(token));
}

static void test_p11_open__refuses_incomplete_config(void **state)
{
    struct p11_config none = config;
    none.token_uri = NULL;
    assert_fails(p11_open(&none, &token), ERR_USAGE);
    none = config;
    none.state_dir = NULL;
    assert_fails(p11_open(&none, &token), ERR_USAGE);
    none = config;
    none.module = NULL;
    assert_fails(p11_open(&none, &token), ERR_USAGE);
    none = config;
    none.token_uri = "pkcs11:token=other";
    assert_fails(p11_open(&none, &token), ERR_NOTFOUND);
    assert_null(token);
    p11_close(NULL);
}

static void test_p11_open__module_and_pin_from_the_uri(void **state)
{
    char uri[800];
    snprintf(uri, sizeof uri, "pkcs11:token=vault?module-path=%s&pin-source=file:%s", hsm.module,
             hsm.pin_file);
    config.token_uri = uri;
    config.module = config.pin_source = NULL;
    assert_open();
    memset(uri, 'x', sizeof uri - 1); /* the strings were copied */
    assert_string_equal(p11_label(token), "vault");
}

static void test_p11_open__pin_file_readable_by_others(void **state)
{
    if (!use_fault()) skip();
    assert_int_equal(chmod(hsm.pin_file, 0644), 0);
    assert_fails(p11_open(&config, &token), ERR_USAGE);
    assert_int_equal(softhsm_fault_count(&hsm, "C_Login"), 0);
}

static void test_p11_open__wrong_pin_is_not_sent_by_the_next_start(void **state)
{
    char path[300];
    if (!use_fault()) skip();
    assert_int_equal(softhsm_write(&hsm, "wrong", "wrong\n", 0600, path, sizeof path), 0);
    config.pin_source = path;
    for (int start = 0; start < 3; start++)
        assert_fails(p11_open(&config, &token), ERR_HUMAN);
    assert_int_equal(softhsm_fault_count(&hsm, "C_Login"), 1);
    config.pin_source = hsm.pin_file;
    assert_open();
    assert_int_equal(softhsm_fault_count(&hsm, "C_Login"), 2);
}

/* Every call that opening makes fails once, with each kind of code: an error and no leak, and then
 * it opens. */
static void test_p11_open__any_call_may_fail(void **state)
{
    static const char *const CALLS[] = {"C_Initialize", "C_GetSlotList", "C_OpenSession",
                                        "C_FindObjectsInit"};
    static const CK_RV CODES[] = {CKR_DEVICE_REMOVED, CKR_GENERAL_ERROR, 0x80000384UL};
    char rule[96];
    if (!use_fault()) skip();
    for (size_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++) {
        for (size_t k = 0; k < sizeof CODES / sizeof *CODES; k++) {
            snprintf(rule, sizeof rule, "%s rv=0x%lx", CALLS[i], CODES[k]);
            softhsm_fault(&hsm, rule);
            assert_false(err_ok(p11_open(&config, &token)));
            assert_null(token);
        }
    }
    softhsm_fault(&hsm, "");
    assert_open();
}

static void test_p11_open__pool_within_what_the_token_allows(void **state)
{
    if (!use_fault()) skip();
    softhsm_fault(&hsm, "tokeninfo sessions=6");
    config.max_sessions = 100;
    assert_open();
    assert_int_equal(token->pool.cap, 4);
}

static void test_p11_close__logs_out_and_finalizes(void **state)
{
    if (!use_fault()) skip();
    assert_open();
    p11_close(TAKE_PTR(token));
    assert_int_equal(softhsm_fault_count(&hsm, "C_Logout"), 1);
    assert_int_equal(softhsm_fault_count(&hsm, "C_Finalize"), 1);
    assert_int_equal(softhsm_fault_count(&hsm, "C_OpenSession"),
                     softhsm_fault_count(&hsm, "C_CloseSession"));
}

static void test_p11_close__leaves_another_opening_alone(void **state)
{
    struct p11 *other = NULL;
    struct p11_config second = config;
    second.token_uri = "pkcs11:token=backup";
    assert_int_equal(softhsm_add_token(&hsm, "backup"), 0);
    assert_open();
    assert_ok(p11_open(&second, &other));
    struct p11_kek_info kek = {0};
    assert_ok(p11_kek_create(token, false, &kek));
    p11_close(other);
    assert_ok(round_trip(token));
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_p11_open__without_kek),
        CASE(test_p11_open__finds_its_kek_again),
        CASE(test_p11_open__refuses_incomplete_config),
        CASE(test_p11_open__module_and_pin_from_the_uri),
        CASE(test_p11_open__pin_file_readable_by_others),
        CASE(test_p11_open__wrong_pin_is_not_sent_by_the_next_start),
        CASE(test_p11_open__any_call_may_fail),
        CASE(test_p11_open__pool_within_what_the_token_allows),
        CASE(test_p11_close__logs_out_and_finalizes),
        CASE(test_p11_close__leaves_another_opening_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

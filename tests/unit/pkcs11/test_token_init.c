#include "tests/lib/test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "broker/base/file.h"
#include "pkcs11/p11_internal.h"
#include "tests/lib/softhsm.h"

static struct softhsm hsm;
static struct secret *so_pin, *user_pin;
static char *backup;

static int setup(void **state)
{
    if (softhsm_start(&hsm, NULL)) return -1;
    return err_ok(secret_copy(SPAN_LIT(SOFTHSM_SO_PIN), &so_pin)) &&
                   err_ok(secret_copy(SPAN_LIT(SOFTHSM_PIN), &user_pin)) ? 0 : -1;
}

static int teardown(void **state)
{
    secret_free(TAKE_PTR(so_pin));
    secret_free(TAKE_PTR(user_pin));
    free(TAKE_PTR(backup));
    return softhsm_stop(&hsm);
}

static struct err init(const char *module, const char *label, struct p11_token_info *ret)
{
    free(TAKE_PTR(backup));
    return p11_token_init(module, label, so_pin, user_pin, hsm.state, ret, &backup);
}

/* The user's login as a restarted program does it. */
static struct err log_in(const char *uri_text)
{
    struct p11_uri uri _cleanup_uri_ = {0};
    _cleanup_module_ struct p11_module *m = NULL;
    struct p11_token_info info = {0};
    CK_SESSION_HANDLE h = 0;
    CK_SLOT_ID slot = 0;
    TRY(uri_parse(uri_text, &uri));
    TRY(module_load(hsm.module, &m));
    TRY(slot_find(module_fn(m), &uri, &slot, &info));
    TRY(session_open(module_fn(m), slot, &h));
    bool sent = false;
    return login_gate(module_fn(m), slot, h, user_pin, hsm.state, &sent);
}

static void test_p11_token_init__makes_a_token_that_opens(void **state)
{
    struct p11_token_info info = {0};
    struct stat st;
    assert_ok(init(hsm.module, "new vault", &info));
    assert_string_equal(info.label, "new vault");
    assert_int_equal(strlen(info.serial), 16);
    assert_true(info.initialized && info.user_pin_initialized);
    assert_ok(log_in("pkcs11:token=new%20vault"));
    assert_non_null(backup);
    assert_non_null(strstr(backup, info.serial));
    assert_int_equal(stat(backup, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(st.st_size > 100);
}

static CK_ULONG slots_with_a_token(void)
{
    _cleanup_module_ struct p11_module *m = NULL;
    _cleanup_free_ CK_SLOT_ID *slots = NULL;
    CK_ULONG n = 0;
    assert_ok(module_load(hsm.module, &m));
    assert_ok(slot_list(module_fn(m), &slots, &n));
    return n;
}

static void test_p11_token_init__refuses_a_label_that_exists(void **state)
{
    struct p11_token_info info = {0};
    assert_ok(init(hsm.module, "vault", &info));
    assert_fails(init(hsm.module, "vault", &info), ERR_CONFLICT);
    assert_null(backup);
    assert_int_equal(slots_with_a_token(), 2); /* it, and the free slot */
    assert_ok(init(hsm.module, "vault 2", &info));
    assert_ok(log_in("pkcs11:token=vault%202"));
}

static void test_p11_token_init__labels(void **state)
{
    struct p11_token_info info = {0};
    static const char *const BAD[] = {"", "a\nb", "blank ", "\xff\xfe",
                                      "123456789012345678901234567890123"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_fails(init(hsm.module, BAD[i], &info), ERR_USAGE);
    assert_ok(init(hsm.module, "12345678901234567890123456789012", &info));
    assert_string_equal(info.label, "12345678901234567890123456789012");
}

static void test_p11_token_init__backup_brings_a_torn_token_back(void **state)
{
    struct p11_token_info info = {0};
    _cleanup_buf_ struct buf copy = BUF_INIT;
    char object[400];
    assert_ok(init(hsm.module, "vault", &info));
    assert_true(softhsm_find_file(&hsm, "token.object", object, sizeof object));
    /* What a SIGKILL within C_Login leaves. */
    assert_int_equal(truncate(object, 0), 0);
    struct err e = log_in("pkcs11:token=vault");
    assert_int_equal(e.code, ERR_NOTFOUND);
    assert_non_null(strstr(err_reason(e), "no initialised token"));
    assert_ok(file_read(backup, 65536, &copy));
    assert_ok(file_write_atomic(object, buf_span(&copy), 0600));
    assert_ok(log_in("pkcs11:token=vault"));
}

static void test_p11_token_init__user_pin_refused(void **state)
{
    struct p11_token_info info = {0};
    secret_free(TAKE_PTR(user_pin));
    assert_ok(secret_copy(SPAN_LIT("1"), &user_pin)); /* SoftHSM wants 4 */
    struct err e = init(hsm.module, "vault", &info);
    assert_int_equal(e.code, ERR_USAGE);
    assert_non_null(strstr(err_text(e), "user PINs of 4 to 255 bytes; nothing was initialised"));
    secret_free(TAKE_PTR(user_pin));
    assert_ok(secret_copy(SPAN_LIT("1234"), &user_pin));
    assert_ok(init(hsm.module, "vault", &info)); /* the label is free */
}

/* A token that finds out only when it is there. */
static void test_p11_token_init__user_pin_refused_late(void **state)
{
    struct p11_token_info info = {0};
    if (!softhsm_fault_module()) skip();
    softhsm_fault(&hsm, "C_InitPIN rv=0xa2");
    struct err e = init(softhsm_fault_module(), "vault", &info);
    assert_int_equal(e.code, ERR_USAGE);
    assert_non_null(strstr(err_text(e), "has no user PIN"));
    assert_non_null(strstr(err_text(e), "CKR_PIN_LEN_RANGE"));
}

static void test_p11_token_init__no_free_slot_and_lost_token(void **state)
{
    struct p11_token_info info = {0};
    if (!softhsm_fault_module()) skip();
    softhsm_fault(&hsm, "tokeninfo set=0x400"); /* every slot says: initialised */
    assert_fails(init(softhsm_fault_module(), "vault", &info), ERR_NOTFOUND);
    softhsm_fault(&hsm, "C_InitToken rv=0xa0");
    struct err e = init(softhsm_fault_module(), "vault", &info);
    assert_int_equal(e.code, ERR_HUMAN);
    assert_non_null(strstr(err_text(e), "C_InitToken: CKR_PIN_INCORRECT"));
    softhsm_fault(&hsm, "C_InitToken rv=0"); /* says yes, does nothing */
    assert_fails(init(softhsm_fault_module(), "vault", &info), ERR_TOKEN_DOWN);
    assert_null(backup);
}

/* The token is made all the same, and the missing copy is said in the log. */
static void test_p11_token_init__no_backup_place(void **state)
{
    struct p11_token_info info = {0};
    assert_int_equal(rmdir(hsm.state), 0);
    assert_ok(init(hsm.module, "vault", &info));
    assert_null(backup);
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_p11_token_init__makes_a_token_that_opens),
        CASE(test_p11_token_init__refuses_a_label_that_exists),
        CASE(test_p11_token_init__labels),
        CASE(test_p11_token_init__backup_brings_a_torn_token_back),
        CASE(test_p11_token_init__user_pin_refused),
        CASE(test_p11_token_init__user_pin_refused_late),
        CASE(test_p11_token_init__no_free_slot_and_lost_token),
        CASE(test_p11_token_init__no_backup_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/lib/test.h"

#include <p11-kit/p11-kit.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pkcs11/p11_internal.h"
#include "pkcs11/token_file.h"
#include "tests/lib/softhsm.h"

/* All through the fault module: its log proves how often a PIN was sent. Each `try` loads the
 * module anew, as a restarted program would. */
static struct softhsm hsm;
static struct p11_module *module;
static struct secret *pin;
static char *marker;

static int setup(void **state)
{
    if (softhsm_start(&hsm, "vault")) return -1;
    return softhsm_fault(&hsm, "");
}

static int teardown(void **state)
{
    module_unref(TAKE_PTR(module));
    secret_free(TAKE_PTR(pin));
    free(TAKE_PTR(marker));
    return softhsm_stop(&hsm);
}

/* Stands before p11-kit's, which reads the system's configuration. */
static const char *log_calls;

char *p11_kit_config_option(CK_FUNCTION_LIST *fn, const char *option)
{
    return log_calls && strcmp(option, "log-calls") == 0 ? strdup(log_calls) : NULL;
}

static CK_C_Login login_instead; /* of the module's, when it is set */

static struct err gate(const char *text)
{
    struct p11_uri uri _cleanup_uri_ = {0};
    struct p11_token_info info = {0};
    CK_SESSION_HANDLE h = 0;
    CK_SLOT_ID slot = 0;
    TRY(uri_parse(hsm.uri, &uri));
    TRY(module_load(softhsm_fault_module(), &module));
    CK_FUNCTION_LIST *fn = module_fn(module);
    TRY(slot_find(fn, &uri, &slot, &info));
    if (!marker) TRY(token_file_path(hsm.state, "pin-failed-", info.serial, "", &marker));
    TRY(session_open(fn, slot, &h));
    if (text) TRY(secret_copy(span_str(text), &pin));
    bool sent = false;
    CK_FUNCTION_LIST changed = *fn;
    if (login_instead) changed.C_Login = login_instead;
    return login_gate(&changed, slot, h, pin, hsm.state, &sent);
}

/* One life of the program. The chain of the error stays for err_text. */
static struct err try(const char *text)
{
    struct err e = gate(text);
    module_unref(TAKE_PTR(module));
    secret_free(TAKE_PTR(pin));
    return e;
}

static int logins(void)
{
    return softhsm_fault_count(&hsm, "C_Login");
}

static bool marker_says(const char *word)
{
    char line[160] = "";
    FILE *f = fopen(marker, "r");
    if (!f) return false;
    bool read = fgets(line, sizeof line, f);
    fclose(f);
    return read && strstr(line, word);
}

#define NEED_FAULT() do { if (!softhsm_fault_module()) skip(); } while (0)

static void test_login_gate__right_pin_leaves_no_marker(void **state)
{
    NEED_FAULT();
    assert_ok(try(SOFTHSM_PIN));
    assert_int_equal(logins(), 1);
    assert_int_equal(access(marker, F_OK), -1);
}

static void test_login_gate__wrong_pin_is_sent_once(void **state)
{
    NEED_FAULT();
    struct stat st;
    struct err e = try("wrong");
    assert_int_equal(e.code, ERR_HUMAN);
    assert_non_null(strstr(err_text(e), "CKR_PIN_INCORRECT"));
    assert_null(strstr(err_text(e), "wrong\""));
    assert_true(marker_says(" failed "));
    assert_int_equal(stat(marker, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    for (int restart = 0; restart < 3; restart++) {
        e = try("wrong");
        assert_int_equal(e.code, ERR_HUMAN);
        assert_non_null(strstr(err_reason(e), marker)); /* names the file to delete */
    }
    assert_int_equal(logins(), 1);
}

static void test_login_gate__changed_pin_is_tried(void **state)
{
    NEED_FAULT();
    assert_fails(try("wrong"), ERR_HUMAN);
    assert_fails(try("wrong too"), ERR_HUMAN);
    assert_int_equal(logins(), 2);
    assert_ok(try(SOFTHSM_PIN));
    assert_int_equal(logins(), 3);
    assert_int_equal(access(marker, F_OK), -1);
}

static void test_login_gate__deleted_marker_allows_a_try(void **state)
{
    NEED_FAULT();
    assert_fails(try("wrong"), ERR_HUMAN);
    assert_int_equal(unlink(marker), 0);
    assert_fails(try("wrong"), ERR_HUMAN);
    assert_int_equal(logins(), 2);
}

/* A module that dies in C_Login leaves "trying"; so does a token that goes away. */
static void test_login_gate__unfinished_try_may_be_repeated(void **state)
{
    NEED_FAULT();
    softhsm_fault(&hsm, "C_Login rv=0x30 count=1");
    assert_fails(try(SOFTHSM_PIN), ERR_TOKEN_DOWN);
    assert_true(marker_says(" trying "));
    assert_ok(try(SOFTHSM_PIN));
    assert_int_equal(access(marker, F_OK), -1);
}

static void test_login_gate__unfinished_try_with_counted_failure(void **state)
{
    NEED_FAULT();
    softhsm_fault(&hsm, "C_Login rv=0x30 count=1");
    assert_fails(try(SOFTHSM_PIN), ERR_TOKEN_DOWN);
    softhsm_fault(&hsm, "tokeninfo set=0x10000"); /* CKF_USER_PIN_COUNT_LOW */
    int before = logins();
    struct err e = try(SOFTHSM_PIN);
    assert_int_equal(e.code, ERR_HUMAN);
    assert_non_null(strstr(err_reason(e), marker));
    assert_int_equal(logins(), before);
}

static void test_login_gate__unreadable_marker_stops(void **state)
{
    NEED_FAULT();
    static const char *const BAD[] = {"", "strongroom-pin 1 trying zz\n", "strongroom-pin 2 x"};
    assert_fails(try("wrong"), ERR_HUMAN);
    for (size_t i = 0; i < 3; i++) {
        FILE *f = fopen(marker, "w");
        fputs(BAD[i], f);
        fclose(f);
        struct err e = try(SOFTHSM_PIN);
        assert_int_equal(e.code, ERR_HUMAN);
        assert_non_null(strstr(err_text(e), "cannot be understood"));
    }
    assert_int_equal(logins(), 1);
}

static void test_login_gate__flags_forbid_a_try(void **state)
{
    NEED_FAULT();
    static const struct { const char *rule, *word; } ROWS[] = {
        {"tokeninfo set=0x40000", "is locked"},
        {"tokeninfo set=0x20000", "one more wrong PIN"},
        {"tokeninfo set=0x80000", "must be changed"},
        {"tokeninfo clear=0x8", "no user PIN yet"},
        {"tokeninfo set=0x60000", "is locked"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        softhsm_fault(&hsm, ROWS[i].rule);
        struct err e = try(SOFTHSM_PIN);
        assert_int_equal(e.code, ERR_HUMAN);
        assert_non_null(strstr(err_reason(e), ROWS[i].word));
    }
    assert_int_equal(logins(), 0);
    softhsm_fault(&hsm, "tokeninfo set=0x10000"); /* COUNT_LOW alone: someone else's failure */
    assert_ok(try(SOFTHSM_PIN));
}

static void test_login_gate__token_locks_at_login(void **state)
{
    NEED_FAULT();
    softhsm_fault(&hsm, "C_Login rv=0xa4");
    struct err e = try(SOFTHSM_PIN);
    assert_int_equal(e.code, ERR_HUMAN);
    assert_non_null(strstr(err_text(e), "CKR_PIN_LOCKED"));
    assert_int_equal(access(marker, F_OK), -1); /* nothing is known against this PIN */
}

static void test_login_gate__already_logged_in_is_proved(void **state)
{
    NEED_FAULT();
    /* A lie: nobody is logged in. */
    softhsm_fault(&hsm, "C_Login rv=0x100");
    assert_fails(try(SOFTHSM_PIN), ERR_CONFLICT);
    /* The truth: a second gate in one life. */
    softhsm_fault(&hsm, "");
    assert_ok(gate(SOFTHSM_PIN));
    secret_free(TAKE_PTR(pin));
    struct p11_module *first = TAKE_PTR(module);
    struct err e = gate(SOFTHSM_PIN);
    module_unref(first);
    assert_ok(e);
}

static void test_login_gate__key_pad_sends_no_pin(void **state)
{
    NEED_FAULT();
    softhsm_fault(&hsm, "tokeninfo set=0x100\nC_Login rv=0");
    assert_ok(try(NULL));
    assert_int_equal(logins(), 1);
}

static void test_login_gate__no_pin_and_no_login_needed(void **state)
{
    NEED_FAULT();
    assert_fails(try(NULL), ERR_USAGE);
    softhsm_fault(&hsm, "tokeninfo clear=0x4");
    assert_ok(try(NULL));
    assert_int_equal(logins(), 0);
}

static void test_login_gate__no_marker_no_login(void **state)
{
    NEED_FAULT();
    assert_int_equal(rmdir(hsm.state), 0);
    assert_false(err_ok(try(SOFTHSM_PIN)));
    assert_int_equal(logins(), 0);
}

/* The disk fails while the token looks at the PIN. */
static CK_RV login_and_lose_the_state(CK_SESSION_HANDLE h, CK_USER_TYPE user, CK_BYTE *text, CK_ULONG n)
{
    char away[400];
    snprintf(away, sizeof away, "%s.away", hsm.state);
    assert_int_equal(rename(hsm.state, away), 0);
    return module_fn(module)->C_Login(h, user, text, n);
}

/* Whoever hears anything else of a wrong PIN would send it again. */
static void test_login_gate__refusal_that_cannot_be_kept(void **state)
{
    NEED_FAULT();
    login_instead = login_and_lose_the_state;
    struct err e = try("wrong");
    login_instead = NULL;
    assert_int_equal(e.code, ERR_HUMAN);
    assert_non_null(strstr(err_text(e), "CKR_PIN_INCORRECT"));
    assert_int_equal(logins(), 1);
}

static void test_login_gate__no_pin_where_calls_are_logged(void **state)
{
    NEED_FAULT();
    log_calls = "yes";
    struct err e = try(SOFTHSM_PIN);
    log_calls = "no";
    assert_int_equal(e.code, ERR_USAGE);
    assert_non_null(strstr(err_reason(e), "log-calls"));
    assert_int_equal(logins(), 0);
    assert_ok(try(SOFTHSM_PIN));
    log_calls = NULL;
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int which)
{
    interrupted++;
}

static CK_RV login_and_be_interrupted(CK_SESSION_HANDLE h, CK_USER_TYPE user, CK_BYTE *text, CK_ULONG n)
{
    raise(SIGINT);
    raise(SIGTERM);
    CK_RV rv = module_fn(module)->C_Login(h, user, text, n);
    return interrupted ? CKR_CANCEL : rv;
}

/* SoftHSM writes token.object anew in each login: an end within it would be the token's. */
static void test_login_gate__who_is_told_to_end_waits(void **state)
{
    NEED_FAULT();
    void (*before[2])(int) = {signal(SIGINT, on_interrupt), signal(SIGTERM, on_interrupt)};
    login_instead = login_and_be_interrupted;
    interrupted = 0;
    struct err e = try(SOFTHSM_PIN);
    login_instead = NULL;
    signal(SIGINT, before[0]);
    signal(SIGTERM, before[1]);
    assert_ok(e);
    assert_int_equal(interrupted, 2);
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_login_gate__right_pin_leaves_no_marker),
        CASE(test_login_gate__wrong_pin_is_sent_once),
        CASE(test_login_gate__changed_pin_is_tried),
        CASE(test_login_gate__deleted_marker_allows_a_try),
        CASE(test_login_gate__unfinished_try_may_be_repeated),
        CASE(test_login_gate__unfinished_try_with_counted_failure),
        CASE(test_login_gate__unreadable_marker_stops),
        CASE(test_login_gate__flags_forbid_a_try),
        CASE(test_login_gate__token_locks_at_login),
        CASE(test_login_gate__already_logged_in_is_proved),
        CASE(test_login_gate__key_pad_sends_no_pin),
        CASE(test_login_gate__no_pin_and_no_login_needed),
        CASE(test_login_gate__no_marker_no_login),
        CASE(test_login_gate__refusal_that_cannot_be_kept),
        CASE(test_login_gate__no_pin_where_calls_are_logged),
        CASE(test_login_gate__who_is_told_to_end_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

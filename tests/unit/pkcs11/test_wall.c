/* This program is its own helper: the broker's side starts it with the word token-helper. What it does then
 * says $TEST_HELPER: without it what a helper must. */
#include "tests/lib/test.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pkcs11/keypair.h"
#include "pkcs11/p11_internal.h"
#include "pkcs11/wall.h"
#include "tests/lib/softhsm.h"

static struct softhsm hsm;
static struct p11 *token;
static struct p11_helper helper;
static struct p11_config config;
static struct wall *wall;

static int setup(void **state)
{
    if (softhsm_start(&hsm, "vault")) return -1;
    unsetenv("TEST_HELPER");
    helper = (struct p11_helper){.best_effort = true, .memory_locked = 2u << 20, .hang_ms = 60000};
    config = (struct p11_config){.module = hsm.module, .token_uri = hsm.uri, .pin_source = hsm.pin_file,
                                 .state_dir = hsm.state, .cek_cache = 16, .helper = &helper};
    return softhsm_fault(&hsm, "");
}

static int teardown(void **state)
{
    p11_close(TAKE_PTR(token));
    wall_free(TAKE_PTR(wall));
    return softhsm_stop(&hsm);
}

static void open_with_kek(const char *module)
{
    struct p11_kek_info kek;
    config.module = module;
    assert_non_null(module);
    assert_ok(p11_open(&config, &token));
    assert_ok(p11_kek_create(token, false, &kek));
    assert_true(kek.sound && kek.canary_ok);
}

/* Seals so many bytes and opens them again. */
static struct err round_trip(struct p11 *p, size_t len)
{
    static uint8_t plain[VALUE_MAX];
    _cleanup_buf_ struct buf sealed = BUF_INIT;
    _cleanup_secret_ struct secret *opened = NULL;
    struct envelope_meta meta = {.kind = ENVELOPE_RESOURCE, .version = 1, .created = 1,
                                 .name = SPAN_LIT("default/key/1")};
    struct envelope e;
    bool has_meta = false;
    TRY(p11_seal(p, &meta, span_of(plain, len), &sealed));
    if (envelope_decode(buf_span(&sealed), &e, &has_meta) != ENVELOPE_SOUND)
        FAIL(ERR_DAMAGED, "what was sealed is no envelope");
    TRY(p11_unseal(p, &e, &opened));
    if (!secret_equal(secret_span(opened), span_of(plain, len))) FAIL(ERR_DAMAGED, "other plaintext");
    return ERR_OK;
}

static pid_t helper_pid(void)
{
    pid_t pid = p11_helper_stats().pid;
    assert_true(pid > 0);
    return pid;
}

/* ---- what it is for ---------------------------------------------------------------------- */

static void test_wall__a_token_works_through_it(void **state)
{
    struct p11_object made, found[2];
    struct p11_token_info info = {0};
    char epoch[P11_EPOCH_TEXT];
    size_t n = 0;
    _cleanup_buf_ struct buf value = BUF_INIT;
    open_with_kek(hsm.module);
    assert_ok(round_trip(token, 9));
    assert_ok(round_trip(token, 0));
    assert_ok(p11_object_create(token, "a/b/c", SPAN_LIT("bytes"), &made));
    assert_ok(p11_object_find(token, "a/b/c", found, 2, &n));
    assert_int_equal(n, 1);
    assert_ok(p11_object_read(token, made, &value));
    assert_span(buf_span(&value), "bytes");
    assert_ok(p11_object_destroy(token, made));
    assert_ok(p11_epoch_touch(token, epoch));
    assert_ok(p11_check(token));
    p11_last_info(token, &info);
    assert_string_equal(info.label, "vault");
    assert_int_equal(p11_helper_stats().starts, 1);
    pid_t pid = helper_pid();
    p11_close(TAKE_PTR(token));
    assert_int_equal(kill(pid, 0), -1); /* it went with us, and is no zombie */
    assert_int_equal(p11_helper_stats().pid, 0);
}

/* A call of its own, with all that it makes. */
static void test_wall__key_pairs_are_made_through_it(void **state)
{
    struct p11_pair_info pair = {0};
    open_with_kek(hsm.module);
    assert_ok(p11_pair_create(token, "wrap key", P11_PAIR_RSA, 2048, &pair));
    assert_true(pair.sound && pair.sensitive && pair.can_decrypt && !pair.can_sign);
    assert_string_equal(pair.label, "wrap key");
    p11_pair_info_done(&pair);
    pair = (struct p11_pair_info){0};
    assert_ok(p11_pair_create(token, "signer", P11_PAIR_EC_P256, 0, &pair));
    assert_true(pair.sound && pair.can_sign && !pair.can_decrypt);
    p11_pair_info_done(&pair);
}

static void test_wall__the_pin_is_not_here(void **state)
{
    open_with_kek(hsm.module);
    assert_null(token->pin);
    CK_BYTE pin[] = SOFTHSM_PIN;
    CK_SESSION_HANDLE h = token->idle_session;
    assert_int_equal(token->fn->C_Login(h, CKU_USER, pin, sizeof pin - 1), CKR_FUNCTION_NOT_SUPPORTED);
}

static err_t refuse(void *arg, const char *serial)
{
    assert_int_equal(strlen(serial), 16);
    ++*(int *) arg;
    FAIL(ERR_CONFLICT, "taken");
}

static void test_open__found_is_asked_before_the_login(void **state)
{
    int asked = 0;
    config.module = softhsm_fault_module();
    config.found = refuse;
    config.found_arg = &asked;
    assert_fails(p11_open(&config, &token), ERR_CONFLICT);
    config.helper = NULL;
    assert_fails(p11_open(&config, &token), ERR_CONFLICT);
    assert_int_equal(asked, 2);
    assert_int_equal(softhsm_fault_count(&hsm, "C_Login"), 0);
}

/* The gate is the same: an error with all of its sentences, and a wrong PIN is not sent twice. */
static void test_wall__a_wrong_pin_is_sent_once(void **state)
{
    char wrong[300];
    softhsm_write(&hsm, "wrong", "00000000\n", 0600, wrong, sizeof wrong);
    config.module = softhsm_fault_module();
    config.pin_source = wrong;
    assert_fails_with(p11_open(&config, &token), ERR_HUMAN, "CKR_PIN_INCORRECT");
    assert_fails_with(p11_open(&config, &token), ERR_HUMAN, "is not sent again");
    assert_int_equal(softhsm_fault_count(&hsm, "C_Login"), 1);
    config.pin_source = "file:/nonexistent/pin";
    assert_fails_with(p11_open(&config, &token), ERR_NOTFOUND, "/nonexistent/pin");
    assert_int_equal(softhsm_fault_count(&hsm, "C_Login"), 1);
}

static struct err log_in(CK_SLOT_ID slot, CK_SESSION_HANDLE h, const char *pin_source)
{
    bool sent = true;
    struct wall_login login = {.slot = slot, .session = h, .pin_source = pin_source, .state_dir = hsm.state};
    return wall_login(wall, &login, &sent);
}

/* A typed PIN ends with the helper that has it; nobody is asked again by a broker that runs. */
static void test_wall__a_typed_pin_is_for_one_helper(void **state)
{
    CK_SLOT_ID slots[4];
    CK_ULONG n = 4;
    CK_SESSION_HANDLE h = 0;
    assert_ok(wall_open(hsm.module, &helper, &wall));
    CK_FUNCTION_LIST *fn = wall_fn(wall);
    assert_int_equal(fn->C_Initialize(NULL), CKR_OK);
    assert_int_equal(fn->C_GetSlotList(CK_TRUE, slots, &n), CKR_OK);
    assert_int_equal(fn->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &h), CKR_OK);
    /* There is no terminal here, or nobody types; so a session that is none must do. */
    assert_int_equal(kill(helper_pid(), SIGKILL), 0);
    assert_fails(log_in(slots[0], h, "prompt"), ERR_TOKEN_DOWN);
    assert_int_equal(fn->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    assert_int_equal(fn->C_Initialize(NULL), CKR_OK);
    assert_fails_with(log_in(slots[0], h, NULL), ERR_HUMAN, "restart the program");
    assert_fails(log_in(slots[0], h, hsm.pin_file), ERR_TOKEN_DOWN); /* no such session */
}

static void test_auto__all_but_softhsm(void **state)
{
    assert_true(p11_uses_softhsm("/usr/lib/softhsm/libsofthsm2.so", "pkcs11:token=a"));
    assert_true(p11_uses_softhsm(NULL, "pkcs11:token=a?module-path=/usr/lib/softhsm/libsofthsm2.so"));
    assert_false(p11_uses_softhsm("/opt/softhsm/libvendor.so", "pkcs11:token=a"));
    assert_false(p11_uses_softhsm(NULL, "pkcs11:token=a"));
}

/* A token that wanted a person is not sent the same PIN again, and is sent another; as without a wall. */
static void test_wall__a_spent_pin_waits_for_another(void **state)
{
    char pin[300];
    softhsm_write(&hsm, "own-pin", SOFTHSM_PIN "\n", 0600, pin, sizeof pin);
    config.pin_source = pin;
    open_with_kek(softhsm_fault_module());
    assert_int_equal(softhsm_fault(&hsm, "C_Login rv=0xa3\n"), 0); /* CKR_PIN_EXPIRED */
    softhsm_fault_clear_log(&hsm);
    assert_fails_with(p11_recover(token), ERR_HUMAN, "CKR_PIN_EXPIRED");
    assert_fails_with(p11_recover(token), ERR_HUMAN, "not asked again with the same PIN");
    assert_int_equal(softhsm_fault_count(&hsm, "C_Login"), 1);
    softhsm_write(&hsm, "own-pin", "another\n", 0600, pin, sizeof pin);
    assert_fails_with(p11_recover(token), ERR_HUMAN, "CKR_PIN_EXPIRED");
    assert_int_equal(softhsm_fault_count(&hsm, "C_Login"), 2);
    assert_int_equal(softhsm_fault(&hsm, ""), 0);
    softhsm_write(&hsm, "own-pin", SOFTHSM_PIN "\n", 0600, pin, sizeof pin);
    assert_ok(p11_recover(token));
    assert_ok(round_trip(token, 9));
}

/* A helper that is new knows none of the PINs before; the marker does. */
static void spend_and_kill(bool corrected_first)
{
    char pin[300];
    softhsm_write(&hsm, "own-pin", SOFTHSM_PIN "\n", 0600, pin, sizeof pin);
    config.pin_source = pin;
    open_with_kek(softhsm_fault_module());
    softhsm_fault_clear_log(&hsm);
    softhsm_write(&hsm, "own-pin", "another\n", 0600, pin, sizeof pin);
    assert_fails_with(p11_recover(token), ERR_HUMAN, "CKR_PIN_INCORRECT");
    assert_int_equal(kill(helper_pid(), SIGKILL), 0);
    for (int i = 0; i < 2 && !corrected_first; i++) assert_fails(p11_recover(token), ERR_HUMAN);
    assert_int_equal(softhsm_fault_count(&hsm, "C_Login"), 1);
    softhsm_write(&hsm, "own-pin", SOFTHSM_PIN "\n", 0600, pin, sizeof pin);
    assert_ok(p11_recover(token));
    assert_ok(round_trip(token, 9));
}

static void test_wall__a_spent_pin_is_corrected_after_its_helper_died(void **state)
{
    spend_and_kill(false);
}

static void test_wall__a_spent_pin_is_corrected_while_there_is_no_helper(void **state)
{
    spend_and_kill(true);
}

static void test_wall__values_of_all_sizes(void **state)
{
    helper.memory_locked = 8u << 20;
    open_with_kek(hsm.module);
    static const size_t SIZES[] = {1, 64, 65, 3800, 4096, 5000, 65536, VALUE_MAX};
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) assert_ok(round_trip(token, SIZES[i]));
}

/* Too little memory over there is this request's trouble, not the helper's end. */
static void test_wall__a_spent_budget_is_busy(void **state)
{
    open_with_kek(hsm.module);
    assert_fails(round_trip(token, VALUE_MAX), ERR_BUSY);
    assert_ok(round_trip(token, 1000));
    assert_int_equal(p11_helper_stats().starts, 1);
}

static void test_wall__one_in_a_process(void **state)
{
    struct wall *second = NULL;
    assert_ok(wall_open(hsm.module, &helper, &wall));
    assert_fails(wall_open(hsm.module, &helper, &second), ERR_CONFLICT);
    wall_free(TAKE_PTR(wall));
    assert_ok(wall_open(hsm.module, &helper, &wall));
}

static void test_wall__a_module_that_is_none(void **state)
{
    config.module = "/etc/passwd";
    assert_fails_with(p11_open(&config, &token), ERR_USAGE, "no PKCS#11 library");
    config.module = hsm.module;
    helper.program = "/nonexistent/strongroom";
    assert_fails_with(p11_open(&config, &token), ERR_INTERNAL, "/nonexistent/strongroom");
    helper.program = "/bin/true";
    assert_fails(p11_open(&config, &token), ERR_TOKEN_DOWN);
    assert_int_equal(p11_helper_stats().pid, 0);
}

/* Lengths of attributes that the token does not have are no bytes; those of the next one are not its. */
static void test_wall__an_attribute_that_is_not_there(void **state)
{
    open_with_kek(hsm.module);
    CK_ULONG none = 7;
    CK_OBJECT_CLASS class = CKO_DATA;
    CK_BBOOL sensitive = CK_FALSE;
    CK_ATTRIBUTE a[] = {{CKA_MODULUS_BITS, &none, sizeof none}, {CKA_CLASS, &class, sizeof class},
                        {CKA_SENSITIVE, &sensitive, sizeof sensitive}};
    CK_RV rv = token->fn->C_GetAttributeValue(token->key_session, token->keks[0].handle, a, 3);
    assert_int_equal(rv, CKR_ATTRIBUTE_TYPE_INVALID);
    assert_int_equal(a[0].ulValueLen, CK_UNAVAILABLE_INFORMATION);
    assert_int_equal(class, CKO_SECRET_KEY);
    assert_int_equal(sensitive, CK_TRUE);
    assert_ok(round_trip(token, 9));
    assert_int_equal(p11_helper_stats().starts, 1);
}

/* ---- when it fails ----------------------------------------------------------------------- */

static void assert_back(uint64_t starts)
{
    assert_ok(p11_recover(token));
    assert_ok(round_trip(token, 9));
    assert_int_equal(p11_helper_stats().starts, starts);
}

static void recover_in_time(void)
{
    struct err e = p11_recover(token);
    for (; e.code == ERR_BUSY || e.code == ERR_TOKEN_DOWN; e = p11_recover(token)) poll(NULL, 0, 100);
    assert_ok(e);
}

static void test_wall__a_killed_helper_is_a_fault_that_passes(void **state)
{
    open_with_kek(hsm.module);
    pid_t pid = helper_pid();
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_fails(round_trip(token, 9), ERR_TOKEN_DOWN);
    assert_int_equal(kill(pid, 0), -1);
    assert_fails(round_trip(token, 9), ERR_TOKEN_DOWN);
    assert_back(2);
}

static void test_wall__a_module_that_crashes(void **state)
{
    open_with_kek(softhsm_fault_module());
    assert_int_equal(softhsm_fault(&hsm, "C_Decrypt segv\n"), 0);
    assert_fails(round_trip(token, 9), ERR_TOKEN_DOWN);
    assert_int_equal(softhsm_fault(&hsm, ""), 0);
    assert_back(2);
}

static void test_wall__a_module_that_hangs(void **state)
{
    open_with_kek(softhsm_fault_module());
    p11_close(TAKE_PTR(token));
    helper.hang_ms = 1500;
    struct err e = p11_open(&config, &token);
    while (e.code == ERR_TOKEN_DOWN) e = p11_open(&config, &token); /* a slow machine is no hang */
    assert_ok(e);
    assert_int_equal(softhsm_fault(&hsm, "C_Decrypt hang\n"), 0);
    pid_t pid = helper_pid();
    assert_fails(round_trip(token, 9), ERR_TOKEN_DOWN);
    assert_int_equal(kill(pid, 0), -1);
    /* Nor does one that hangs at its end keep us. */
    assert_int_equal(softhsm_fault(&hsm, ""), 0);
    assert_ok(p11_recover(token));
    pid = helper_pid();
    assert_int_equal(softhsm_fault(&hsm, "C_Finalize hang\n"), 0);
    err_ignore(module_restart(token->module, false)); /* the next helper may have to wait */
    assert_int_equal(kill(pid, 0), -1);
    recover_in_time();
    assert_ok(round_trip(token, 9));
}

/* It goes with its helper, when nothing else helps. */
static void test_wall__a_module_that_does_not_stop(void **state)
{
    open_with_kek(softhsm_fault_module());
    pid_t pid = helper_pid();
    assert_int_equal(softhsm_fault(&hsm, "C_Finalize rv=0x30\n"), 0);
    assert_fails(module_restart(token->module, false), ERR_CONFLICT);
    assert_int_equal(kill(pid, 0), 0);
    assert_ok(module_restart(token->module, true));
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(softhsm_fault(&hsm, ""), 0);
    assert_back(2);
}

/* Each start is a login: helpers that die as soon as they run are not started without end. */
static void test_wall__helpers_that_keep_dying_wait(void **state)
{
    open_with_kek(hsm.module);
    assert_int_equal(kill(helper_pid(), SIGKILL), 0);
    assert_fails(p11_check(token), ERR_TOKEN_DOWN);
    assert_ok(p11_recover(token)); /* at once */
    assert_int_equal(kill(helper_pid(), SIGKILL), 0);
    assert_fails(p11_check(token), ERR_TOKEN_DOWN);
    assert_fails(p11_recover(token), ERR_TOKEN_DOWN); /* after WALL_PAUSE_MS */
    assert_int_equal(p11_helper_stats().starts, 2);
    recover_in_time();
    assert_int_equal(p11_helper_stats().starts, 3);
}

static void *open_wall(void *arg)
{
    struct err e = wall_open(hsm.module, &helper, &wall);
    return e.code == ERR_TOKEN_DOWN ? NULL : (void *) "not so";
}

/* Who asks for figures does not wait for a module that hangs while it is loaded. */
static void test_wall__figures_while_a_helper_starts(void **state)
{
    struct p11_helper_stats stats = {0};
    pthread_t thread;
    void *complaint = NULL;
    helper.hang_ms = 3600000;
    setenv("TEST_HELPER", "stuck", 1);
    assert_int_equal(pthread_create(&thread, NULL, open_wall, NULL), 0);
    while (!(stats = p11_helper_stats()).pid) sched_yield();
    assert_int_equal(stats.starts, 1);
    assert_int_equal(kill(stats.pid, SIGKILL), 0);
    pthread_join(thread, &complaint);
    assert_null(complaint);
    assert_int_equal(p11_helper_stats().pid, 0);
}

/* ---- helpers that the broker must not believe -------------------------------------------- */

static void test_wall__hostile_helpers(void **state)
{
    static const char *const KINDS[] = {"mute", "short", "long", "garbage", "lengths", "closes"};
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        setenv("TEST_HELPER", KINDS[i], 1);
        helper.hang_ms = i ? 60000 : 300; /* only the first is waited for */
        assert_ok(wall_open(hsm.module, &helper, &wall));
        pid_t pid = helper_pid();
        CK_INFO info = {0};
        assert_int_equal(wall_fn(wall)->C_GetInfo(&info), CKR_DEVICE_REMOVED);
        assert_int_equal(kill(pid, 0), -1);
        assert_int_equal(wall_fn(wall)->C_GetInfo(&info), CKR_DEVICE_REMOVED);
        wall_free(TAKE_PTR(wall));
    }
    helper.hang_ms = 60000;
    setenv("TEST_HELPER", "chain", 1);
    assert_fails_with(wall_open(hsm.module, &helper, &wall), ERR_INTERNAL, "xxxx");
    setenv("TEST_HELPER", "refuses", 1);
    assert_ok(wall_open(hsm.module, &helper, &wall));
    CK_INFO info = {0};
    assert_int_equal(wall_fn(wall)->C_GetInfo(&info), CKR_SESSION_COUNT);
}

/* What is asked for has room first, and the broker's memory is not the helper's to spend. */
static void test_wall__a_list_without_an_end(void **state)
{
    CK_SLOT_ID *slots = NULL;
    CK_ULONG n = 0;
    setenv("TEST_HELPER", "slots", 1);
    assert_ok(wall_open(hsm.module, &helper, &wall));
    assert_fails_with(slot_list(wall_fn(wall), &slots, &n), ERR_TOKEN_DOWN, "1099511627776 tokens");
}

/* ---- many at once ------------------------------------------------------------------------ */

static atomic_bool ending;
static atomic_uint good, failed;

static void *work(void *arg)
{
    while (!atomic_load(&ending)) {
        struct err e = round_trip(token, 100);
        if (err_ok(e)) atomic_fetch_add(&good, 1);
        else if (e.code == ERR_TOKEN_DOWN || e.code == ERR_BUSY) atomic_fetch_add(&failed, 1);
        else if (!atomic_exchange(&ending, true))
            fprintf(stderr, "not so: %s: %s\n", err_class_name(e.code), err_text(e));
    }
    return NULL;
}

static void await(atomic_uint *count, unsigned more)
{
    for (unsigned from = atomic_load(count); atomic_load(count) < from + more && !atomic_load(&ending);)
        sched_yield();
}

static void test_wall__calls_in_parallel_and_a_death_among_them(void **state)
{
    pthread_t threads[4];
    open_with_kek(hsm.module);
    atomic_store(&ending, false);
    for (size_t i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, work, NULL), 0);
    await(&good, 40);
    assert_int_equal(kill(helper_pid(), SIGKILL), 0);
    await(&failed, 4);
    recover_in_time();
    await(&good, 40);
    assert_false(atomic_exchange(&ending, true));
    for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    assert_int_equal(p11_helper_stats().starts, 2);
}

/* ---- this program as a helper ------------------------------------------------------------ */

static void answer(int fd, const char *kind)
{
    uint64_t words[64] = {0};
    size_t len = (WALL_REPLY_HEAD * sizeof *words) + sizeof(CK_INFO);
    if (recv(fd, words, sizeof words, 0) <= 0 || strcmp(kind, "closes") == 0) _exit(0);
    words[0] = len;
    words[1] = words[2] = 0;
    if (strcmp(kind, "short") == 0) words[0] = len -= 8;
    if (strcmp(kind, "long") == 0) words[0] = len += 8;
    if (strcmp(kind, "garbage") == 0) memset(words, 0xa5, sizeof words);
    if (strcmp(kind, "lengths") == 0) words[0] = UINT64_MAX;
    if (strcmp(kind, "slots") == 0) {
        words[0] = len = (WALL_REPLY_HEAD + 1) * sizeof *words;
        words[3] = UINT64_C(1) << 40;
    }
    if (strcmp(kind, "refuses") == 0) {
        words[0] = len = WALL_REPLY_HEAD * sizeof *words;
        words[1] = CKR_SESSION_COUNT;
        words[2] = WALL_REFUSED;
    }
    if (strcmp(kind, "mute") != 0 && send(fd, words, len, MSG_NOSIGNAL) < 0) _exit(0);
}

static int hostile(const char *kind)
{
    static struct wall_hello hello;
    struct err_chain chain = {0};
    char byte, space[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {&byte, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    int fd = -1;
    if (recv(WALL_CONTROL_FD, &hello, sizeof hello, 0) != sizeof hello) return 1;
    if (strcmp(kind, "chain") == 0) {
        memset(&chain, 'x', sizeof chain); /* pointers, too, and a class and a count that there are not */
        chain.count = 1;
    }
    if (strcmp(kind, "stuck") == 0) return recv(WALL_CONTROL_FD, &byte, 1, 0) == 0 ? 0 : 1;
    if (send(WALL_CONTROL_FD, &chain, sizeof chain, MSG_NOSIGNAL) < 0) return 1;
    if (recvmsg(WALL_CONTROL_FD, &m, 0) != 1 || !CMSG_FIRSTHDR(&m)) return 1;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    answer(fd, kind);
    return recv(WALL_CONTROL_FD, &byte, 1, 0) == 0 ? 0 : 1; /* until the broker ends us */
}

int main(int argc, char **argv)
{
    const char *kind = getenv("TEST_HELPER");
    if (argc == 2 && strcmp(argv[1], "token-helper") == 0)
        return kind ? hostile(kind) : err_exit_code(p11_helper_run().code);
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_wall__a_token_works_through_it),
        TEST(test_wall__key_pairs_are_made_through_it),
        TEST(test_wall__the_pin_is_not_here),
        TEST(test_open__found_is_asked_before_the_login),
        TEST(test_wall__a_wrong_pin_is_sent_once),
        TEST(test_wall__a_spent_pin_waits_for_another),
        TEST(test_wall__a_spent_pin_is_corrected_after_its_helper_died),
        TEST(test_wall__a_spent_pin_is_corrected_while_there_is_no_helper),
        TEST(test_wall__a_typed_pin_is_for_one_helper),
        cmocka_unit_test(test_auto__all_but_softhsm),
        TEST(test_wall__values_of_all_sizes),
        TEST(test_wall__a_spent_budget_is_busy),
        TEST(test_wall__one_in_a_process),
        TEST(test_wall__a_module_that_is_none),
        TEST(test_wall__an_attribute_that_is_not_there),
        TEST(test_wall__a_killed_helper_is_a_fault_that_passes),
        TEST(test_wall__a_module_that_crashes),
        TEST(test_wall__a_module_that_hangs),
        TEST(test_wall__a_module_that_does_not_stop),
        TEST(test_wall__helpers_that_keep_dying_wait),
        TEST(test_wall__figures_while_a_helper_starts),
        TEST(test_wall__hostile_helpers),
        TEST(test_wall__a_list_without_an_end),
        TEST(test_wall__calls_in_parallel_and_a_death_among_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

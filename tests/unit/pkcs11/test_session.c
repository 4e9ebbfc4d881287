#include "tests/lib/test.h"

#include "pkcs11/p11_internal.h"
#include "pkcs11/watch.h"
#include "tests/lib/softhsm.h"
#include "tests/unit/pkcs11/gate.h"

/* A pool without the rest of an opened token: sessions need no login. */
static struct softhsm hsm;
static struct p11 token;

static void open_token(const char *module, unsigned cap)
{
    struct p11_uri uri _cleanup_uri_ = {0};
    struct p11_token_info info = {0};
    assert_ok(module_load(module, &token.module));
    token.fn = module_fn(token.module);
    assert_ok(uri_parse(hsm.uri, &uri));
    assert_ok(slot_find(token.fn, &uri, &token.slot, &info));
    pool_init(&token.pool, cap);
    token.pool.wait_ms = 50;
}

static int setup(void **state)
{
    token = (struct p11){0};
    return softhsm_start(&hsm, "vault");
}

static int teardown(void **state)
{
    if (token.module) {
        pool_close_idle(&token);
        pool_done(&token.pool);
        module_unref(TAKE_PTR(token.module));
    }
    return softhsm_stop(&hsm);
}

static void test_pool_cap__least_of_wish_token_and_limit(void **state)
{
    static const struct { unsigned wanted; CK_ULONG token; unsigned cap; } ROWS[] = {
        {0, CK_EFFECTIVELY_INFINITE, P11_SESSIONS_DEFAULT},
        {0, CK_UNAVAILABLE_INFORMATION, P11_SESSIONS_DEFAULT},
        {P11_SESSIONS_MAX, 0, P11_SESSIONS_MAX},
        {P11_SESSIONS_MAX + 1, 0, P11_SESSIONS_MAX},
        {8, 16, 8},
        {16, 16, 14},
        {16, 4, 2},
        {16, 3, 1},
        {16, 1, 1},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++)
        assert_int_equal(pool_cap(ROWS[i].wanted, ROWS[i].token), ROWS[i].cap);
}

static void test_session_get__reuses_what_came_back(void **state)
{
    CK_SESSION_HANDLE a = 0, b = 0;
    open_token(hsm.module, 4);
    assert_ok(session_get(&token, &a));
    session_put(&token, a, CKR_OK);
    assert_ok(session_get(&token, &b));
    assert_int_equal(a, b);
    session_put(&token, b, CKR_ENCRYPTED_DATA_INVALID); /* a data error does not spoil it */
    assert_int_equal(token.pool.idle_n, 1);
    assert_int_equal(token.pool.open_n, 1);
}

static void test_session_put__broken_one_is_replaced(void **state)
{
    CK_SESSION_HANDLE a = 0, b = 0;
    CK_SESSION_INFO info = {0};
    open_token(hsm.module, 1);
    assert_ok(session_get(&token, &a));
    session_put(&token, a, CKR_DEVICE_ERROR);
    assert_int_equal(token.pool.open_n, 0);
    assert_int_equal(token.fn->C_GetSessionInfo(a, &info), CKR_SESSION_HANDLE_INVALID);
    assert_ok(session_get(&token, &b));
    assert_int_equal(token.fn->C_GetSessionInfo(b, &info), CKR_OK);
    assert_true(info.flags & CKF_RW_SESSION);
    session_put(&token, b, CKR_OK);
}

static void test_session_take__scope_returns_or_closes(void **state)
{
    open_token(hsm.module, 1);
    {
        _cleanup_session_ struct p11_session s = {0};
        assert_ok(session_take(&token, &s));
        assert_int_equal(session_rv(&s, CKR_ENCRYPTED_DATA_INVALID), CKR_ENCRYPTED_DATA_INVALID);
    }
    assert_int_equal(token.pool.idle_n, 1);
    {
        _cleanup_session_ struct p11_session s = {0};
        assert_ok(session_take(&token, &s));
        session_rv(&s, CKR_GENERAL_ERROR);
        session_rv(&s, CKR_OK); /* does not heal it */
    }
    assert_int_equal(token.pool.idle_n, 0);
    assert_int_equal(token.pool.open_n, 0);
}

static void test_session_take_at__handle_of_an_earlier_opening(void **state)
{
    _cleanup_session_ struct p11_session s = {0};
    open_token(hsm.module, 1);
    token.epoch = 7;
    assert_int_equal(session_take_at(&token, 6, &s).code, ERR_TOKEN_DOWN);
    assert_int_equal(token.pool.open_n, token.pool.idle_n); /* given back */
    assert_ok(session_take_at(&token, 7, &s));
}

static void test_session_get__exhausted_pool_gives_up_in_time(void **state)
{
    CK_SESSION_HANDLE a = 0, b = 0, c = 0;
    open_token(hsm.module, 2);
    assert_ok(session_get(&token, &a));
    assert_ok(session_get(&token, &b));
    uint64_t before = clock_mono_ns();
    struct err e = session_get(&token, &c);
    uint64_t waited = clock_mono_ns() - before;
    assert_int_equal(e.code, ERR_BUSY);
    assert_non_null(strstr(err_reason(e), "2 in use"));
    assert_true(waited >= 50 * CLOCK_SECOND_NS / 1000);
    session_put(&token, a, CKR_OK);
    session_put(&token, b, CKR_OK);
}

static void *put_later(void *arg)
{
    session_put(&token, *(CK_SESSION_HANDLE *) arg, CKR_OK);
    return NULL;
}

static void test_session_get__waits_for_one_that_comes_back(void **state)
{
    CK_SESSION_HANDLE a = 0, b = 0;
    pthread_t thread;
    open_token(hsm.module, 1);
    token.pool.wait_ms = 10000;
    assert_ok(session_get(&token, &a));
    pthread_create(&thread, NULL, put_later, &a);
    assert_ok(session_get(&token, &b));
    pthread_join(thread, NULL);
    assert_int_equal(a, b);
    session_put(&token, b, CKR_OK);
}

static void test_session_get__token_with_fewer_sessions_shrinks_the_cap(void **state)
{
    CK_SESSION_HANDLE a = 0, b = 0, c = 0;
    if (!softhsm_fault_module()) skip();
    softhsm_fault(&hsm, "C_OpenSession rv=0xb1 after=2");
    open_token(softhsm_fault_module(), 16);
    assert_ok(session_get(&token, &a));
    assert_ok(session_get(&token, &b));
    assert_fails(session_get(&token, &c), ERR_BUSY);
    assert_int_equal(token.pool.cap, 2);
    session_put(&token, a, CKR_OK);
    assert_ok(session_get(&token, &c));
    session_put(&token, b, CKR_OK);
    session_put(&token, c, CKR_OK);
    assert_int_equal(token.pool.open_n, 2);
}

static void test_session_get__a_token_that_gives_more_again(void **state)
{
    CK_SESSION_HANDLE h[3] = {0};
    if (!softhsm_fault_module()) skip();
    softhsm_fault(&hsm, "C_OpenSession rv=0xb1 after=1");
    open_token(softhsm_fault_module(), 2);
    assert_ok(session_get(&token, &h[0]));
    assert_fails(session_get(&token, &h[1]), ERR_BUSY);
    token.pool.grow_at = 0; /* the time is over */
    assert_fails(session_get(&token, &h[1]), ERR_BUSY);
    assert_int_equal(token.pool.cap, 1); /* asked once, in vain */
    softhsm_fault(&hsm, "");
    token.pool.grow_at = 0;
    assert_ok(session_get(&token, &h[1]));
    assert_fails(session_get(&token, &h[2]), ERR_BUSY); /* no more than was wanted */
    session_put(&token, h[0], CKR_OK);
    session_put(&token, h[1], CKR_OK);
    assert_int_equal(token.pool.open_n, 2);
}

static void test_session_get__token_without_any_session(void **state)
{
    CK_SESSION_HANDLE a = 0;
    if (!softhsm_fault_module()) skip();
    open_token(softhsm_fault_module(), 16);
    softhsm_fault(&hsm, "C_OpenSession rv=0xb1");
    assert_fails(session_get(&token, &a), ERR_BUSY);
    softhsm_fault(&hsm, "C_OpenSession rv=0x32");
    struct err e = session_get(&token, &a);
    assert_int_equal(e.code, ERR_TOKEN_DOWN);
    assert_non_null(strstr(err_text(e), "CKR_DEVICE_REMOVED"));
    assert_int_equal(token.pool.open_n, 0);
    assert_int_equal(token.pool.cap, 16);
    softhsm_fault(&hsm, "");
    assert_ok(session_get(&token, &a));
    session_put(&token, a, CKR_OK);
}

static void *get_and_tell(void *arg)
{
    CK_SESSION_HANDLE h = 0;
    struct err e = session_get(&token, &h);
    *(enum err_class *) arg = e.code;
    if (err_ok(e)) session_put(&token, h, CKR_OK);
    return NULL;
}

static enum err_class get_in_another_thread(void)
{
    enum err_class code = ERR_NONE;
    pthread_t thread;
    pthread_create(&thread, NULL, get_and_tell, &code);
    pthread_join(thread, NULL);
    return code;
}

static void test_pool_stop__only_the_stopper_goes_on(void **state)
{
    CK_SESSION_HANDLE a = 0;
    open_token(hsm.module, 2);
    assert_ok(session_get(&token, &a));
    assert_fails(pool_stop(&token), ERR_BUSY); /* one is out */
    session_put(&token, a, CKR_OK);
    assert_ok(pool_stop(&token));
    assert_int_equal(token.pool.open_n, 0);
    assert_int_equal(get_in_another_thread(), ERR_TOKEN_DOWN);
    assert_ok(session_get(&token, &a));
    session_put(&token, a, CKR_OK);
    pool_resume(&token, ERR_NONE);
    assert_int_equal(get_in_another_thread(), ERR_NONE);
}

static void test_pool_resume__down_fails_at_once(void **state)
{
    open_token(hsm.module, 2);
    token.pool.wait_ms = 60000; /* a wait would be seen */
    assert_ok(pool_stop(&token));
    pool_resume(&token, ERR_HUMAN);
    assert_int_equal(get_in_another_thread(), ERR_HUMAN);
    assert_ok(pool_stop(&token));
    pool_resume(&token, ERR_NONE);
    assert_int_equal(get_in_another_thread(), ERR_NONE);
}

static void *churn(void *arg)
{
    unsigned seed = (unsigned) (uintptr_t) arg;
    for (unsigned i = 0; i < 400; i++) {
        CK_SESSION_HANDLE h = 0;
        CK_SESSION_INFO info = {0};
        struct err e = session_get(&token, &h);
        if (!err_ok(e)) return (void *) "no session";
        if (token.fn->C_GetSessionInfo(h, &info) != CKR_OK) return (void *) "dead session";
        session_put(&token, h, (i + seed) % 7 ? CKR_OK : CKR_DEVICE_ERROR);
    }
    return NULL;
}

static void test_session_get__eight_threads_share_three(void **state)
{
    pthread_t threads[8];
    open_token(hsm.module, 3);
    token.pool.wait_ms = 20000;
    for (uintptr_t i = 0; i < 8; i++) pthread_create(&threads[i], NULL, churn, (void *) i);
    for (int i = 0; i < 8; i++) {
        void *complaint = NULL;
        pthread_join(threads[i], &complaint);
        assert_null(complaint);
    }
    assert_true(token.pool.open_n <= 3);
    assert_int_equal(token.pool.open_n, token.pool.idle_n);
}

/* ---- calls that hang --------------------------------------------------------------------- */

static int late; /* under gate_lock */

static void on_late(void *arg)
{
    gate_add(&late);
}

/* Holds a session in a call that hangs; gives it back. */
static void *hang(void *handle)
{
    CK_SESSION_HANDLE *h = handle;
    if (!err_ok(session_get(&token, h))) return (void *) "no session";
    watch_self()->late = on_late;
    watch_begin(WATCH_CRYPTO);
    gate_pass();
    watch_end();
    watch_self()->late = NULL;
    session_put(&token, *h, CKR_OK);
    return NULL;
}

static int teardown_hang(void **state)
{
    gate_set(true);
    watch_stop();
    gate_set(false);
    return teardown(state);
}

static void test_pool_write_off__another_takes_its_place(void **state)
{
    struct watch_config config = {.crypto_ms = 10};
    CK_SESSION_HANDLE hung = 0, h = 0;
    CK_SESSION_INFO info = {0};
    pthread_t thread;
    void *complaint = NULL;
    late = 0;
    open_token(hsm.module, 1);
    assert_ok(watch_start(&config));
    pthread_create(&thread, NULL, hang, &hung);
    gate_await_count(&late, 1);
    assert_ok(session_get(&token, &h)); /* though the cap is 1 */
    session_put(&token, h, CKR_OK);
    /* The module must not be started anew under a call. */
    assert_fails_with(pool_stop(&token), ERR_BUSY, "1 token sessions are still in use");
    assert_int_equal(token.pool.lost_n, 1);
    gate_set(true);
    pthread_join(thread, &complaint);
    assert_null(complaint);
    assert_int_equal(token.pool.lost_n, 0);
    assert_int_equal(token.pool.open_n, 1);
    assert_int_equal(token.pool.idle_n, 1);
    assert_int_equal(token.fn->C_GetSessionInfo(hung, &info), CKR_SESSION_HANDLE_INVALID);
    assert_int_equal(token.fn->C_GetSessionInfo(h, &info), CKR_OK);
}

/* Gives back a session that the token forgot, so that those that idle are closed with it. */
static void *lose(void *arg)
{
    struct p11_session s = {0};
    if (!err_ok(session_take(&token, &s))) return (void *) "no session";
    watch_self()->late = on_late;
    session_rv(&s, CKR_SESSION_HANDLE_INVALID);
    session_drop(&s);
    watch_self()->late = NULL;
    return NULL;
}

static void test_pool_close_idle__nobody_waits_for_a_close_that_hangs(void **state)
{
    struct watch_config config = {.object_ms = 10};
    CK_SESSION_HANDLE a = 0, b = 0;
    pthread_t thread;
    void *complaint = NULL;
    late = 0;
    if (!softhsm_fault_module()) skip();
    open_token(softhsm_fault_module(), 2);
    assert_ok(session_get(&token, &a));
    assert_ok(session_get(&token, &b));
    session_put(&token, a, CKR_OK);
    session_put(&token, b, CKR_OK);
    softhsm_fault(&hsm, "C_CloseSession hang");
    assert_ok(watch_start(&config));
    pthread_create(&thread, NULL, lose, NULL);
    gate_await_count(&late, 1); /* the watcher gets by */
    assert_ok(session_get(&token, &a));
    assert_ok(session_get(&token, &b)); /* both were written off */
    softhsm_fault(&hsm, "");
    pthread_join(thread, &complaint);
    assert_null(complaint);
    session_put(&token, a, CKR_OK);
    session_put(&token, b, CKR_OK);
    assert_int_equal(token.pool.lost_n, 0);
    assert_int_equal(token.pool.open_n, 2);
    assert_int_equal(token.pool.idle_n, 2);
}

static void *stop_pool(void *arg)
{
    struct err e = pool_stop(&token);
    if (err_ok(e)) pool_resume(&token, ERR_NONE);
    return err_ok(e) ? NULL : (void *) "not stopped";
}

static void test_pool_stop__nobody_waits_for_a_close_that_hangs(void **state)
{
    CK_SESSION_HANDLE a = 0, b = 0;
    pthread_t thread;
    void *complaint = NULL;
    if (!softhsm_fault_module()) skip();
    open_token(softhsm_fault_module(), 2);
    assert_ok(session_get(&token, &a));
    assert_ok(session_get(&token, &b));
    session_put(&token, a, CKR_OK);
    softhsm_fault(&hsm, "C_CloseSession hang");
    token.pool.wait_ms = 60000;
    pthread_create(&thread, NULL, stop_pool, NULL);
    session_put(&token, b, CKR_OK); /* that the stopper waits for; or it was before */
    while (get_in_another_thread() == ERR_NONE) sched_yield();
    assert_int_equal(get_in_another_thread(), ERR_TOKEN_DOWN);
    softhsm_fault(&hsm, "");
    pthread_join(thread, &complaint);
    assert_null(complaint);
    assert_int_equal(token.pool.open_n, 0);
    assert_ok(session_get(&token, &a));
    session_put(&token, a, CKR_OK);
}

static void test_session_get__an_event_loop_does_not_wait(void **state)
{
    CK_SESSION_HANDLE a = 0, b = 0;
    open_token(hsm.module, 1);
    token.pool.wait_ms = 60000; /* a wait would be seen */
    assert_ok(session_get(&token, &a));
    watch_self()->must_move = false;
    atomic_store(&watch_self()->here, true);
    struct err e = session_get(&token, &b);
    atomic_store(&watch_self()->here, false);
    assert_int_equal(e.code, ERR_BUSY);
    assert_true(watch_self()->must_move);
    session_put(&token, a, CKR_OK);
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_cap__least_of_wish_token_and_limit),
        CASE(test_session_get__reuses_what_came_back),
        CASE(test_session_put__broken_one_is_replaced),
        CASE(test_session_take__scope_returns_or_closes),
        CASE(test_session_take_at__handle_of_an_earlier_opening),
        CASE(test_session_get__exhausted_pool_gives_up_in_time),
        CASE(test_session_get__waits_for_one_that_comes_back),
        CASE(test_session_get__token_with_fewer_sessions_shrinks_the_cap),
        CASE(test_session_get__a_token_that_gives_more_again),
        CASE(test_session_get__token_without_any_session),
        CASE(test_pool_stop__only_the_stopper_goes_on),
        CASE(test_pool_resume__down_fails_at_once),
        CASE(test_session_get__eight_threads_share_three),
        CASE(test_session_get__an_event_loop_does_not_wait),
        CASE(test_pool_stop__nobody_waits_for_a_close_that_hangs),
        cmocka_unit_test_setup_teardown(test_pool_close_idle__nobody_waits_for_a_close_that_hangs, setup,
                                        teardown_hang),
        cmocka_unit_test_setup_teardown(test_pool_write_off__another_takes_its_place, setup, teardown_hang),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

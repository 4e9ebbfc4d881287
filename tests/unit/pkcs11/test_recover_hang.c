/* The keeper's own call does not return. */
#include "tests/unit/pkcs11/keeper.h"

#include "pkcs11/watch.h"

static void open_faults(void)
{
    token_through_faults("");
    softhsm_fault_clear_log(&hsm);
}

/* Seals something: the token works. */
static struct err works(void)
{
    _cleanup_buf_ struct buf b = BUF_INIT;
    struct envelope_meta meta = meta_of("a/b/c", 1);
    return p11_seal(token, &meta, SPAN_LIT("plaintext"), &b);
}

/* Nobody can say that it works while the look itself does not return. */
static void look_hangs(const char *rules)
{
    struct watch_config watch = {.crypto_ms = 500, .object_ms = 500};
    open_faults();
    assert_ok(watch_start(&watch));
    keeper_start();
    softhsm_fault(&hsm, rules);
    p11_hurry(token);
    while (!kept.entered[P11_WAITING]) sched_yield();
    assert_int_equal(kept.entered[P11_RECOVERING], 1);
    assert_int_equal(status().state, P11_WAITING);
    assert_int_equal(status().next, P11_STEP_LOOK);
    assert_non_null(strstr(status().reason, "does not return"));
    softhsm_fault(&hsm, "");
    await_state(P11_UP);
    assert_ok(works());
    keeper_stop();
    watch_stop();
    assert_int_equal(kept.entered[P11_UP], 1);
    assert_int_equal(status().taken[P11_STEP_RESTART], 0); /* nothing was wrong with it but that */
}

static void test_keeper__its_own_call_hangs(void **state)
{
    look_hangs("C_Decrypt hang");
}

/* Nor does it keep the lock of all objects unseen. */
static void test_keeper__asking_the_module_hangs(void **state)
{
    look_hangs("C_GetInfo hang");
}

static void hopeless(void *arg)
{
    (*(atomic_int *) arg)++;
}

/* Nobody else can bring the token back: a restart of the program is asked for, until it returns. */
static void restart_hangs(const char *rules)
{
    /* The watcher may look at a long call as late as at a shorter one. */
    struct watch_config watch = {.crypto_ms = 1000, .object_ms = 1000, .long_ms = 200, .hang_ms = 10};
    atomic_int told = 0;
    open_faults();
    assert_ok(watch_start(&watch));
    keeper_start();
    watch_on_hopeless(hopeless, &told);
    softhsm_fault(&hsm, rules);
    p11_hurry(token);
    while (!told) sched_yield();
    assert_int_equal(status().state, P11_WAITING);
    assert_int_equal(status().next, P11_STEP_LOOK);
    softhsm_fault(&hsm, "");
    await_state(P11_UP);
    assert_ok(works());
    watch_on_hopeless(NULL, NULL);
    keeper_stop();
    watch_stop();
}

static void test_keeper__stopping_the_module_hangs(void **state)
{
    restart_hangs("C_Decrypt rv=0x30\nC_Finalize hang");
}

static void test_keeper__starting_the_module_hangs(void **state)
{
    restart_hangs("C_Decrypt rv=0x30\nC_Initialize hang");
}

static void *work(void *arg)
{
    err_ignore(works());
    return NULL;
}

/* A worker's call hangs, and the token must be opened again, which waits for all calls: only a restart helps. */
static void test_keeper__waits_for_a_call_that_hangs(void **state)
{
    struct watch_config watch = {.crypto_ms = 200, .object_ms = 200, .hang_ms = 10};
    atomic_int told = 0;
    pthread_t worker;
    open_faults();
    assert_ok(watch_start(&watch));
    watch_on_hopeless(hopeless, &told);
    token->pool.wait_ms = 10;
    softhsm_fault(&hsm, "C_GenerateKey hang count=1\nC_UnwrapKey rv=0x32");
    assert_int_equal(pthread_create(&worker, NULL, work, NULL), 0);
    while (!watch_lost()) sched_yield();
    assert_int_equal(told, 0); /* by itself it is no reason: others work on */
    keeper_begin();
    while (!told) sched_yield();
    await_state(P11_WAITING);
    softhsm_fault(&hsm, "");
    pthread_join(worker, NULL);
    p11_hurry(token);
    await_state(P11_UP);
    assert_ok(works());
    watch_on_hopeless(NULL, NULL);
    keeper_stop();
    watch_stop();
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, token_with_kek, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_keeper__its_own_call_hangs),
        CASE(test_keeper__asking_the_module_hangs),
        CASE(test_keeper__stopping_the_module_hangs),
        CASE(test_keeper__starting_the_module_hangs),
        CASE(test_keeper__waits_for_a_call_that_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

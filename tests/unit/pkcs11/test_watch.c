#include "tests/lib/test.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "broker/base/clock.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"
#include "pkcs11/watch.h"
#include "tests/unit/pkcs11/gate.h"

#define MS UINT64_C(1000000)

/* A thread that makes one call and holds it at the gate. */
struct caller {
    pthread_t thread;
    enum watch_kind kind;
    bool patient, here, vital;
    int late, back;    /* under gate_lock */
    uint64_t took;
};

static void on_late(void *arg)
{
    gate_add(&((struct caller *) arg)->late);
}

static void *call(void *arg)
{
    struct caller *c = arg;
    struct watch_thread *me = watch_self();
    me->patient = c->patient;
    me->late = on_late;
    me->arg = c;
    atomic_store(&me->here, c->here);
    atomic_store(&me->vital, c->vital);
    watch_begin(c->kind);
    gate_pass();
    c->took = watch_end();
    atomic_store(&me->here, false);
    atomic_store(&me->vital, false);
    me->late = NULL;
    gate_add(&c->back);
    return NULL;
}

static void begin(struct caller *c)
{
    assert_int_equal(pthread_create(&c->thread, NULL, call, c), 0);
}

static void end(struct caller *c)
{
    gate_set(true);
    pthread_join(c->thread, NULL);
    gate_set(false);
}

static void start(struct watch_config config)
{
    assert_ok(watch_start(&config));
}

static int teardown(void **state)
{
    gate_set(true);
    watch_stop();
    gate_set(false);
    return 0;
}

static void test_watch_end__counts_what_it_took(void **state)
{
    struct watch_stats before, after;
    watch_stats(&before);
    watch_begin(WATCH_OBJECT);
    uint64_t ns = watch_end();
    watch_begin(WATCH_WAIT); /* no call */
    watch_end();
    watch_stats(&after);
    uint64_t calls = 0;
    for (unsigned i = 0; i < WATCH_BUCKETS; i++)
        calls += after.took[WATCH_OBJECT].buckets[i] - before.took[WATCH_OBJECT].buckets[i];
    assert_int_equal(calls, 1);
    assert_int_equal(after.took[WATCH_OBJECT].sum_ns - before.took[WATCH_OBJECT].sum_ns, ns);
    assert_int_equal(after.took[WATCH_CRYPTO].sum_ns, before.took[WATCH_CRYPTO].sum_ns);
}

static void test_watch__a_late_call_is_told_once_and_comes_back(void **state)
{
    struct caller c = {.kind = WATCH_CRYPTO};
    struct watch_stats before, after;
    watch_stats(&before);
    start((struct watch_config){.crypto_ms = 10});
    begin(&c);
    gate_await_count(&c.late, 1);
    assert_int_equal(watch_lost(), 1);
    assert_false(watch_await_calls(1));
    end(&c);
    assert_true(watch_await_calls(60000));
    assert_int_equal(watch_lost(), 0);
    assert_int_equal(gate_count(&c.late), 1);
    assert_true(c.took >= 10 * MS);
    watch_stats(&after);
    assert_int_equal(after.written_off - before.written_off, 1);
}

static uint64_t await_call(const char **ret_what)
{
    uint64_t ns = 0;
    while (!(ns = watch_longest(ret_what))) sched_yield();
    return ns;
}

static void test_watch_longest__is_the_first_that_began(void **state)
{
    struct caller first = {.kind = WATCH_LONG}, second = {.kind = WATCH_OBJECT};
    const char *what = "none";
    assert_int_equal(watch_longest(&what), 0);
    assert_string_equal(what, "none");
    begin(&first);
    uint64_t before = await_call(&what);
    begin(&second);
    assert_true(watch_longest(&what) > before);
    assert_string_equal(what, "login, key pair or start");
    end(&first);
    end(&second);
    assert_int_equal(watch_longest(&what), 0);
}

/* A call that works, or would had it a core: the machine is busy, not the token. */
struct busy {
    uint64_t ns;
    int late;
};

static void on_late_work(void *arg)
{
    gate_add(&((struct busy *) arg)->late);
}

static void *work(void *arg)
{
    struct busy *b = arg;
    struct watch_thread *me = watch_self();
    uint64_t until = clock_mono_ns() + b->ns;
    me->late = on_late_work;
    me->arg = b;
    watch_begin(WATCH_CRYPTO);
    while (clock_mono_ns() < until) continue;
    watch_end();
    me->late = NULL;
    return NULL;
}

static void test_watch__a_busy_thread_has_longer(void **state)
{
    struct busy slow = {.ns = P11_BUSY_MS * MS / 8}, endless = {.ns = (P11_BUSY_MS + 200) * MS};
    struct busy *all[] = {&slow, &endless};
    start((struct watch_config){.crypto_ms = 10});
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, work, all[i]), 0);
        pthread_join(thread, NULL);
    }
    assert_int_equal(slow.late, 0);
    assert_int_equal(endless.late, 1);
}

static void test_watch__kinds_have_deadlines_of_their_own(void **state)
{
    struct caller quick = {.kind = WATCH_CRYPTO}, patient = {.kind = WATCH_CRYPTO, .patient = true},
                  object = {.kind = WATCH_OBJECT}, wait = {.kind = WATCH_WAIT},
                  login = {.kind = WATCH_LONG};
    struct caller *all[] = {&patient, &object, &wait, &login, &quick};
    start((struct watch_config){.crypto_ms = 10, .object_ms = P11_DEADLINE_MAX_MS});
    for (size_t i = 0; i < 4; i++) begin(all[i]);
    gate_await(4);
    begin(&quick); /* last, so that all others are older when it is late */
    gate_await_count(&quick.late, 1);
    assert_int_equal(watch_lost(), 1);
    gate_set(true);
    for (size_t i = 0; i < 5; i++) {
        pthread_join(all[i]->thread, NULL);
        assert_int_equal(all[i]->late, all[i] == &quick);
    }
    gate_set(false);
}

static void test_watch__longer_calls_are_late_too(void **state)
{
    struct caller patient = {.kind = WATCH_CRYPTO, .patient = true}, object = {.kind = WATCH_OBJECT},
                  login = {.kind = WATCH_LONG};
    start((struct watch_config){.crypto_ms = 10, .object_ms = 20, .long_ms = 30});
    begin(&patient);
    begin(&object);
    begin(&login);
    gate_await_count(&patient.late, 1);
    gate_await_count(&object.late, 1);
    gate_await_count(&login.late, 1);
    gate_set(true);
    pthread_join(patient.thread, NULL);
    pthread_join(login.thread, NULL);
    end(&object);
}

static int rounds;

static uint64_t count_rounds(void *arg, uint64_t now)
{
    gate_add(&rounds);
    return UINT64_MAX;
}

/* The watcher sleeps until the end of a long one when a short one begins. */
static void test_watch__deadlines_of_objects_may_be_the_shorter_ones(void **state)
{
    struct caller crypto = {.kind = WATCH_CRYPTO}, object = {.kind = WATCH_OBJECT};
    rounds = 0;
    start((struct watch_config){.crypto_ms = 3600000, .object_ms = 10, .sweep = count_rounds});
    begin(&crypto);
    gate_await(1);
    int before = gate_count(&rounds);
    gate_await_count(&rounds, before + 1);
    begin(&object);
    gate_await_count(&object.late, 1);
    gate_set(true);
    pthread_join(crypto.thread, NULL);
    end(&object);
}

/* Deadlines of an hour: what is looked at is long before them, and each look is a little later. */
static const struct watch_config HOUR = {.crypto_ms = 3600000, .object_ms = 3600000, .long_ms = 3600000};
static uint64_t looked_at;

static bool look_for_stuck(void)
{
    looked_at += P11_STUCK_MS * MS;
    return watch_loop_stuck(looked_at);
}

static void test_watch_loop_stuck__only_event_loops(void **state)
{
    struct caller worker = {.kind = WATCH_OBJECT}, loop = {.kind = WATCH_OBJECT, .here = true};
    start(HOUR);
    looked_at = clock_mono_ns() + 1000 * MS;
    begin(&worker);
    gate_await(1);
    assert_false(look_for_stuck());
    begin(&loop);
    gate_await(2);
    while (!look_for_stuck()) sched_yield(); /* at the gate, but perhaps not asleep yet */
    assert_true(looked_at < clock_mono_ns() + HOUR.object_ms / 2 * MS);
    gate_set(true);
    pthread_join(worker.thread, NULL);
    end(&loop);
    assert_false(look_for_stuck());
}

static atomic_bool worked_enough;

static void *work_here(void *arg)
{
    struct watch_thread *me = watch_self();
    atomic_store(&me->here, true);
    watch_begin(WATCH_OBJECT);
    gate_add(arg);
    while (!atomic_load(&worked_enough)) continue;
    watch_end();
    atomic_store(&me->here, false);
    return NULL;
}

/* Until its deadline a loop that works, or would had it a core, is no reason to take work from the others. */
static void test_watch_loop_stuck__not_for_want_of_a_core(void **state)
{
    pthread_t thread;
    int began = 0;
    atomic_store(&worked_enough, false);
    start(HOUR);
    assert_int_equal(pthread_create(&thread, NULL, work_here, &began), 0);
    gate_await_count(&began, 1);
    bool before = look_for_stuck(), after = watch_loop_stuck(clock_mono_ns() + (HOUR.object_ms + 500) * MS);
    atomic_store(&worked_enough, true);
    pthread_join(thread, NULL);
    assert_false(before);
    assert_true(after);
}

static int swept;

static uint64_t sweep(void *arg, uint64_t now)
{
    gate_add(&swept);
    return gate_count(&swept) < 3 ? now + MS : UINT64_MAX;
}

/* Until the watcher has looked at all from beginning to end. */
static void await_rounds(void)
{
    int before = gate_count(&swept);
    do {
        watch_arm(); /* it may be about to sleep */
        sched_yield();
    } while (gate_count(&swept) <= before + 3);
}

/* It looks again when it said it would, and after that only when something is under way. */
static void test_watch_arm__sweeps_until_nothing_is_due(void **state)
{
    swept = 0;
    start((struct watch_config){.crypto_ms = 10, .sweep = sweep});
    gate_await_count(&swept, 3);
    await_rounds();
}

static void hopeless(void *count)
{
    gate_add(count);
}

/* An event loop, or the thread that would bring the token back; a worker has a substitute. */
static void test_watch_on_hopeless__each_time_that_a_thread_cannot_be_done_without(void **state)
{
    struct caller worker = {.kind = WATCH_OBJECT}, loop = {.kind = WATCH_OBJECT, .here = true},
                  keeper = {.kind = WATCH_OBJECT, .vital = true};
    struct caller *vital[] = {&loop, &keeper};
    int told = 0;
    start((struct watch_config){.object_ms = 10, .hang_ms = 10, .sweep = sweep});
    watch_on_hopeless(hopeless, &told);
    begin(&worker);
    gate_await_count(&worker.late, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(gate_count(&told), i);
        begin(vital[i]);
        gate_await_count(&told, i + 1);
        if (i == 0) {
            gate_set(true);
            pthread_join(worker.thread, NULL);
        }
        end(vital[i]);
        assert_true(watch_await_calls(60000));
        await_rounds(); /* the watcher saw that it is over */
    }
    watch_on_hopeless(NULL, NULL);
    assert_int_equal(told, 2);
}

/* Behind a thread that makes call after call there is no reason for a restart, however many wait; behind one
 * whose call hangs there is. */
static void test_watch_on_hopeless__waiting_is_no_reason_without_a_call_that_hangs(void **state)
{
    struct caller waits[P11_LOST_MAX], hangs = {.kind = WATCH_OBJECT};
    int told = 0;
    start((struct watch_config){.object_ms = 10, .wait_ms = 10, .hang_ms = 10, .sweep = sweep});
    watch_on_hopeless(hopeless, &told);
    for (unsigned i = 0; i < P11_LOST_MAX; i++) {
        waits[i] = (struct caller){.kind = WATCH_WAIT, .vital = i == 0};
        begin(&waits[i]);
        gate_await_count(&waits[i].late, 1);
    }
    uint64_t until = clock_mono_ns() + 50 * MS; /* five times what makes it hopeless */
    while (clock_mono_ns() < until) await_rounds();
    assert_int_equal(gate_count(&told), 0);
    begin(&hangs);
    gate_await_count(&told, 1);
    gate_set(true);
    for (unsigned i = 0; i < P11_LOST_MAX; i++) pthread_join(waits[i].thread, NULL);
    end(&hangs);
    watch_on_hopeless(NULL, NULL);
}

/* A restart is the last resort: not before it has hung for as long as was said. */
static void test_watch_on_hopeless__not_at_once(void **state)
{
    struct caller loop = {.kind = WATCH_OBJECT, .here = true};
    int told = 0;
    start((struct watch_config){.object_ms = 10, .hang_ms = 60000, .sweep = sweep});
    watch_on_hopeless(hopeless, &told);
    begin(&loop);
    gate_await_count(&loop.late, 1);
    await_rounds();
    assert_int_equal(gate_count(&told), 0);
    end(&loop);
    watch_on_hopeless(NULL, NULL);
}

static void *has_slot(void *arg)
{
    return atomic_load(&watch_self()->tid) == gettid() ? NULL : (void *) "not watched";
}

/* Threads that ended leave their place to others. */
static void test_watch_self__more_threads_than_places_in_turn(void **state)
{
    for (unsigned i = 0; i < WATCH_THREADS + 2; i++) {
        pthread_t thread;
        void *complaint = NULL;
        assert_int_equal(pthread_create(&thread, NULL, has_slot, NULL), 0);
        pthread_join(thread, &complaint);
        assert_null(complaint);
    }
}

static void test_watch_start__one_at_a_time(void **state)
{
    start((struct watch_config){0});
    struct watch_config another = {0};
    assert_fails(watch_start(&another), ERR_CONFLICT);
    watch_stop();
    watch_stop();
    start((struct watch_config){0});
}

static void *many_calls(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        watch_begin(i % 2 ? WATCH_CRYPTO : WATCH_OBJECT);
        watch_end();
    }
    return NULL;
}

/* Calls that end while the watcher looks: none is lost for good. */
static void test_watch__many_threads(void **state)
{
    pthread_t threads[6];
    struct caller late = {.kind = WATCH_CRYPTO};
    start((struct watch_config){.crypto_ms = P11_DEADLINE_MIN_MS, .object_ms = P11_DEADLINE_MIN_MS});
    begin(&late);
    for (int i = 0; i < 6; i++) pthread_create(&threads[i], NULL, many_calls, NULL);
    for (int i = 0; i < 6; i++) pthread_join(threads[i], NULL);
    gate_await_count(&late.late, 1);
    end(&late);
    assert_int_equal(watch_lost(), 0);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watch_end__counts_what_it_took),
        cmocka_unit_test_teardown(test_watch__a_late_call_is_told_once_and_comes_back, teardown),
        cmocka_unit_test_teardown(test_watch_longest__is_the_first_that_began, teardown),
        cmocka_unit_test_teardown(test_watch__a_busy_thread_has_longer, teardown),
        cmocka_unit_test_teardown(test_watch__kinds_have_deadlines_of_their_own, teardown),
        cmocka_unit_test_teardown(test_watch__longer_calls_are_late_too, teardown),
        cmocka_unit_test_teardown(test_watch__deadlines_of_objects_may_be_the_shorter_ones, teardown),
        cmocka_unit_test_teardown(test_watch_loop_stuck__only_event_loops, teardown),
        cmocka_unit_test_teardown(test_watch_loop_stuck__not_for_want_of_a_core, teardown),
        cmocka_unit_test_teardown(test_watch_on_hopeless__each_time_that_a_thread_cannot_be_done_without, teardown),
        cmocka_unit_test_teardown(test_watch_on_hopeless__waiting_is_no_reason_without_a_call_that_hangs, teardown),
        cmocka_unit_test_teardown(test_watch_on_hopeless__not_at_once, teardown),
        cmocka_unit_test(test_watch_self__more_threads_than_places_in_turn),
        cmocka_unit_test_teardown(test_watch_arm__sweeps_until_nothing_is_due, teardown),
        cmocka_unit_test_teardown(test_watch_start__one_at_a_time, teardown),
        cmocka_unit_test_teardown(test_watch__many_threads, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

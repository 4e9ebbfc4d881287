/* The thread in the background, beside readers and writers. */
#include "tests/unit/store/fixture.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

static int setup(void **state)
{
    return setup_store(state);
}

static struct scrub_stats stats(void)
{
    struct scrub_stats x;
    scrub_stats(fx.store, &x);
    return x;
}

/* Until the condition holds; a generous limit, so that a loaded machine changes nothing. */
#define WAIT_FOR(condition)                                                      \
    do {                                                                         \
        uint64_t end_ = clock_mono_ns() + 60 * CLOCK_SECOND_NS;                  \
        while (!(condition) && clock_mono_ns() < end_) poll(NULL, 0, 5);         \
        if (!(condition)) fail_msg("%s did not happen within 60 s", #condition); \
    } while (0)

static void start(unsigned rate, unsigned pause)
{
    struct scrub_config config = {.rate = rate, .pause_seconds = pause};
    assert_ok(scrub_start(fx.store, &config));
}

static void stop(void)
{
    assert_true(scrub_stop(fx.store, 60000));
    assert_true(scrub_stop(fx.store, 0)); /* once is enough */
}

static void test_scrub_run__passes_by_itself(void **state)
{
    fx_put("a/b/c", "one");
    start(SCRUB_RATE_MAX, 1);
    WAIT_FOR(stats().passes >= 2);
    assert_true(stats().objects >= 1);
    assert_true(stats().finished > 0);
    stop();
}

static void test_scrub_run__writes_the_manifest_after_a_write(void **state)
{
    start(0, 1);
    fx_put("a/b/c", "one");
    WAIT_FOR(stats().manifest_version == 1 && !stats().manifest_behind);
    fx_put("a/b/c", "two");
    WAIT_FOR(stats().manifest_version == 2 && !stats().manifest_behind);
    assert_int_equal(stats().passes, 0); /* rate 0: none of its own */
    stop();
    assert_int_equal(fx_objects(LABEL_MANIFEST), 1);
}

static void test_scrub_run__a_pass_that_is_asked_for(void **state)
{
    uint64_t before = 9;
    fx_put("a/b/c", "one");
    start(0, 0);
    assert_ok(scrub_now(fx.store, &before));
    assert_int_equal(before, 0);
    WAIT_FOR(stats().passes > before);
    assert_int_equal(stats().objects, 1);
    assert_ok(scrub_now(fx.store, &before)); /* once more, at once */
    assert_int_equal(before, 1);
    WAIT_FOR(stats().passes > before);
    stop();
}

static void test_scrub_run__without_the_thread_a_pass_is_over_at_once(void **state)
{
    for (uint64_t n = 0; n < 2; n++) {
        uint64_t before = 9;
        assert_ok(scrub_now(fx.store, &before));
        assert_int_equal(before, n);
        assert_int_equal(stats().passes, n + 1);
    }
}

static void destroy_unseen(const char *name)
{
    struct p11_object o[2];
    size_t n = 0;
    assert_ok(p11_object_find(fx.token, name, o, 2, &n));
    assert_ok(p11_object_destroy(fx.token, o[0]));
}

/* With its end it is known what the token has lost. */
static void test_scrub_run__a_pass_that_is_asked_for_compares(void **state)
{
    uint64_t before = 0;
    fx_put("a/b/c", "one");
    start(0, 0);
    WAIT_FOR(stats().manifest_version == 1);
    destroy_unseen("a/b/c");
    assert_ok(scrub_now(fx.store, &before));
    WAIT_FOR(stats().passes > before);
    assert_int_equal(stats().found[FAULT_MISSING], 1);
    stop();
}

static void test_scrub_run__waits_before_its_first_pass(void **state)
{
    fx_put("a/b/c", "one");
    start(SCRUB_RATE_MAX, 0);
    WAIT_FOR(stats().manifest_version == 1);
    assert_int_equal(stats().checked, 0);
    stop();
}

#define MANY 60u /* objects; at one a second a pass takes longer than we wait for anything */

static void start_slowly(void)
{
    char name[16];
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "a/b/%u", i);
        fx_put(name, name);
    }
    start(1, 1);
    WAIT_FOR(stats().looked_at >= 1);
}

static void test_scrub_run__asking_ends_a_slow_pass(void **state)
{
    uint64_t before = 0;
    start_slowly();
    assert_ok(scrub_now(fx.store, &before));
    WAIT_FOR(stats().passes > before);
    assert_int_equal(stats().objects, MANY);
    stop();
}

static void test_scrub_run__a_slow_pass_keeps_nothing_waiting(void **state)
{
    start_slowly();
    fx_put("a/b/c", "one");
    WAIT_FOR(!stats().manifest_behind);
    assert_true(stats().running);
    stop();
    assert_true(stats().looked_at < MANY);
    assert_int_equal(stats().passes, 0);
}

/* ---- a token that is down ---------------------------------------------------------------- */

static void move_tokens(bool away)
{
    char other[400];
    snprintf(other, sizeof other, "%s.away", fx.hsm.tokens);
    assert_int_equal(rename(away ? fx.hsm.tokens : other, away ? other : fx.hsm.tokens), 0);
}

static err_t came_back(void *arg)
{
    return ERR_OK;
}

static void changed(void *arg, const struct p11_status *now)
{
}

/* A round of the token's keeper, which ends with this state. */
static void tend_token(enum p11_state state)
{
    static const struct p11_keeper keeper = {.came_back = came_back, .changed = changed};
    struct p11_status status;
    p11_tend(fx.token, &keeper);
    p11_status(fx.token, &status);
    assert_int_equal(status.state, state);
}

static void take_down(void)
{
    move_tokens(true);
    tend_token(P11_WAITING);
}

static void bring_back(void)
{
    move_tokens(false);
    tend_token(P11_UP);
}

/* It begins no pass, and tries no manifest: the one that failed would be tried again much later. */
static void test_scrub_run__waits_for_a_token_that_is_down(void **state)
{
    uint64_t begun = clock_mono_ns();
    fx_put("a/b/c", "one");
    take_down();
    start(SCRUB_RATE_MAX, 1);
    WAIT_FOR(clock_mono_ns() >= begun + 3 * CLOCK_SECOND_NS); /* a second until the first pass, and some looks */
    assert_int_equal(stats().passes, 0);
    assert_int_equal(stats().failed, ERR_NONE);
    {
        SCOPED_LOCK(&fx.store->work);
        assert_int_equal(fx.store->manifest.retry, 0);
    }
    bring_back();
    WAIT_FOR(stats().passes >= 1 && !stats().manifest_behind);
    stop();
    assert_int_equal(stats().failed, ERR_NONE);
}

/* The pass under way ends, and does not count. */
static void test_scrub_run__a_token_that_goes_down_ends_the_pass(void **state)
{
    start_slowly();
    {
        SCOPED_LOCK(&fx.store->scrub.gate); /* it rests until the token is down */
        take_down();
    }
    WAIT_FOR(!stats().running);
    stop();
    bring_back();
    assert_int_equal(stats().failed, ERR_BUSY); /* told to end; no object failed */
    assert_int_equal(stats().passes, 0);
}

/* ---- stopping ---------------------------------------------------------------------------- */

/* The thread has nothing to tend, so it begins the pass that is asked for next. */
static bool settled(void)
{
    SCOPED_LOCK(&fx.store->lock);
    return fx.store->manifest.synced == fx.store->changes && fx.store->scrub.compared == fx.store->changes;
}

/* A token that does not answer holds up whoever stops the thread no longer than he likes. */
static void test_scrub_run__stopping_waits_for_a_while_only(void **state)
{
    uint64_t before = 0;
    start(0, 0);
    WAIT_FOR(settled());
    {
        SCOPED_LOCK(&fx.store->work);
        assert_ok(scrub_now(fx.store, &before));
        WAIT_FOR(stats().running);
        assert_false(scrub_stop(fx.store, 0));
    }
    stop();
}

static uint64_t asked; /* what scrub_now said, + 1 */

static void ask_for_another(void *arg, const struct finding *f)
{
    uint64_t before = 0;
    if (asked || !err_ok(scrub_now(fx.store, &before))) return;
    asked = before + 1;
}

static void place_damaged(const char *name)
{
    struct buf bytes = BUF_INIT;
    fx_seal(fx.token, name, 1, "value", &bytes);
    bytes.data[bytes.len - 1] ^= 1;
    fx_place(name, buf_span(&bytes));
    buf_free(&bytes);
    SCOPED_LOCK(&fx.store->work);
    assert_ok(rescan_locked(fx.store));
}

/* Asked for when the pass under way has seen everything: what is done by then is of the next one. */
static void test_scrub_run__a_pass_that_began_before_is_not_the_one(void **state)
{
    for (int own = 0; own < 2; own++) {
        uint64_t first = 0;
        setup_store(state);
        asked = 0;
        scrub_tell(fx.store, ask_for_another, NULL);
        place_damaged("a/b/c");
        start(own ? SCRUB_RATE_MAX : 0, own ? 1 : 3600);
        if (!own) assert_ok(scrub_now(fx.store, &first));
        WAIT_FOR(stats().passes > first && stats().passes >= asked);
        assert_true(asked > 0);
        assert_true(stats().checked >= 2);
        stop();
    }
}

static void test_scrub_run__sees_a_removal_without_a_pass(void **state)
{
    fx_put("a/b/c", "one");
    start(0, 0);
    WAIT_FOR(stats().manifest_version == 1);
    destroy_unseen("a/b/c");
    {
        SCOPED_LOCK(&fx.store->work);
        assert_ok(rescan_locked(fx.store));
    }
    WAIT_FOR(stats().found[FAULT_MISSING] == 1);
    fx_put("a/b/c", "healed");
    WAIT_FOR(stats().found[FAULT_MISSING] == 0);
    stop();
}

static atomic_bool done;
static atomic_uint wrong;

static void *compare_on(void *arg)
{
    const struct scrub_walk walk = {.s = fx.store};
    for (unsigned i = 0; i < 200; i++)
        if (!err_ok(scrub_compare(&walk))) atomic_fetch_add(&wrong, 1);
    return NULL;
}

/* Each puts a list of its own in the place of the one that the other holds its findings against. */
static void test_scrub_run__two_compare_at_once(void **state)
{
    pthread_t other;
    const struct scrub_walk walk = {.s = fx.store};
    atomic_store(&wrong, 0);
    fx_put("a/b/c", "one");
    manifest_flush(fx.store);
    destroy_unseen("a/b/c");
    {
        SCOPED_LOCK(&fx.store->work);
        assert_ok(rescan_locked(fx.store));
    }
    assert_ok(scrub_compare(&walk));
    assert_int_equal(pthread_create(&other, NULL, compare_on, NULL), 0);
    compare_on(NULL);
    pthread_join(other, NULL);
    assert_int_equal(atomic_load(&wrong), 0);
    assert_int_equal(stats().found[FAULT_MISSING], 1);
}

static void *read_on(void *arg)
{
    while (!atomic_load(&done)) {
        _cleanup_secret_ struct secret *value = NULL;
        struct err e = store_get(fx.store, ENVELOPE_RESOURCE, "a/b/0", &value, NULL);
        if (!err_ok(e) || secret_len(value) != 1) atomic_fetch_add(&wrong, 1);
    }
    return NULL;
}

static void test_scrub_run__beside_readers_and_writers(void **state)
{
    pthread_t reader;
    char name[16];
    uint64_t before = 0;
    atomic_store(&done, false);
    fx_put("a/b/0", "0");
    start(SCRUB_RATE_MAX, 1);
    assert_int_equal(pthread_create(&reader, NULL, read_on, NULL), 0);
    for (unsigned i = 0; i < 60; i++) {
        snprintf(name, sizeof name, "a/b/%u", i % 7);
        fx_put(name, "x");
        if (i % 20 == 0) assert_ok(scrub_now(fx.store, &before));
    }
    assert_ok(scrub_now(fx.store, &before));
    WAIT_FOR(stats().passes > before);
    atomic_store(&done, true);
    pthread_join(reader, NULL);
    assert_int_equal(atomic_load(&wrong), 0);
    for (unsigned f = 0; f < FAULT_COUNT; f++) assert_int_equal(stats().found[f], 0);
    stop();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(test_scrub_run__passes_by_itself),
        TEST(test_scrub_run__writes_the_manifest_after_a_write),
        TEST(test_scrub_run__a_pass_that_is_asked_for),
        TEST(test_scrub_run__without_the_thread_a_pass_is_over_at_once),
        TEST(test_scrub_run__a_pass_that_is_asked_for_compares),
        TEST(test_scrub_run__waits_before_its_first_pass),
        TEST(test_scrub_run__asking_ends_a_slow_pass),
        TEST(test_scrub_run__a_slow_pass_keeps_nothing_waiting),
        TEST(test_scrub_run__waits_for_a_token_that_is_down),
        TEST(test_scrub_run__a_token_that_goes_down_ends_the_pass),
        TEST(test_scrub_run__stopping_waits_for_a_while_only),
        TEST(test_scrub_run__a_pass_that_began_before_is_not_the_one),
        TEST(test_scrub_run__sees_a_removal_without_a_pass),
        TEST(test_scrub_run__two_compare_at_once),
        TEST(test_scrub_run__beside_readers_and_writers),
    };
    return cmocka_run_group_tests(tests, setup_token, teardown_token);
}

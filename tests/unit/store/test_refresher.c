/* A second store on the same token stands for another broker. */
#include "tests/unit/store/fixture.h"
#include "broker/base/log.h"

#include <pthread.h>

static struct store *other;

/* What the store's thread told. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned looks;
    uint64_t rescans; /* that the last look saw */
} told = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void look(void *arg)
{
    uint64_t rescans = store_rescans(fx.store);
    SCOPED_LOCK(&told.lock);
    told.looks++;
    told.rescans = rescans;
    pthread_cond_broadcast(&told.changed);
}

static struct store_listener listener = {.look = look};

static void await(const volatile void *at, uint64_t wanted)
{
    SCOPED_LOCK(&told.lock);
    for (;;) {
        uint64_t now = at == &told.looks ? told.looks : told.rescans;
        if (now >= wanted) return;
        pthread_cond_wait(&told.changed, &told.lock);
    }
}

static int setup(void **state)
{
    store_close(TAKE_PTR(other));
    int rc = setup_store(state);
    struct store_config config = fx_config();
    assert_ok(store_open(&config, &other));
    told.looks = 0;
    told.rescans = 0;
    return rc;
}

static void open_watched(void)
{
    struct store_config config = fx_config();
    config.watch = true;
    fx_open_store(config);
}

static int teardown(void **state)
{
    store_close(TAKE_PTR(other));
    return teardown_token(state);
}

static void test_refresher__another_writer_is_seen_without_a_read(void **state)
{
    fx_put("a/b/c", "one");
    open_watched();
    assert_true(store_is_watched(fx.store));
    store_listen(fx.store, &listener);
    assert_ok(fx_try_put(other, "a/b/c", "two", NULL));
    await(&told.rescans, 1);
    assert_value("a/b/c", "two");
    store_unlisten(fx.store, &listener);
}

/* Whoever asks how often it was rescanned asks no token: that may hang. */
static void test_store_rescans__asks_no_token_when_watched(void **state)
{
    open_watched();
    SCOPED_LOCK(&fx.store->work); /* the thread cannot rescan */
    assert_ok(fx_try_put(other, "a/b/c", "two", NULL));
    struct timespec past_the_interval = {.tv_nsec = 2 * STORE_EPOCH_MS * 1000000l};
    nanosleep(&past_the_interval, NULL);
    assert_int_equal(store_rescans(fx.store), 0);
}

static void test_store_unlisten__nothing_is_told_after_it(void **state)
{
    struct store_listener second = {.look = look};
    open_watched();
    store_listen(fx.store, &listener);
    store_listen(fx.store, &second);
    await(&told.looks, 4);
    store_unlisten(fx.store, &listener);
    store_unlisten(fx.store, &listener); /* twice does no harm */
    store_unlisten(fx.store, &second);
    unsigned looks = told.looks; /* nobody writes it any more */
    open_watched();
    assert_int_equal(told.looks, looks);
}

static void test_refresher__none_without_watch(void **state)
{
    assert_false(store_is_watched(fx.store));
    store_listen(fx.store, &listener);
    assert_ok(fx_try_put(other, "a/b/c", "theirs", NULL));
    assert_value("a/b/c", "theirs");
    store_unlisten(fx.store, &listener);
    assert_int_equal(told.looks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_refresher__another_writer_is_seen_without_a_read, setup),
        cmocka_unit_test_setup(test_store_rescans__asks_no_token_when_watched, setup),
        cmocka_unit_test_setup(test_store_unlisten__nothing_is_told_after_it, setup),
        cmocka_unit_test_setup(test_refresher__none_without_watch, setup),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, setup_token, teardown);
}

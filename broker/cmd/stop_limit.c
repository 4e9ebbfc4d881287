#include "broker/cmd/stop_limit.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "broker/base/cleanup.h"
#include "broker/base/clock.h"

static struct {
    pthread_mutex_t lock; /* guards ended */
    pthread_cond_t wake;
    bool started, ended;
    pthread_t thread;
    struct timespec at;   /* of CLOCK_MONOTONIC */
    void (*over)(void *arg);
    void *arg;
} limit = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

/* False: the time came first. */
static bool await_end(void)
{
    SCOPED_LOCK(&limit.lock);
    while (!limit.ended)
        if (pthread_cond_clockwait(&limit.wake, &limit.lock, CLOCK_MONOTONIC, &limit.at) == ETIMEDOUT) break;
    return limit.ended;
}

static void *wait_out(void *arg)
{
    if (!await_end()) limit.over(limit.arg);
    return NULL;
}

err_t stop_limit_start(unsigned ms, void (*over)(void *arg), void *arg)
{
    uint64_t at = clock_mono_ns() + ms * (CLOCK_SECOND_NS / 1000);
    limit.at = (struct timespec){.tv_sec = (time_t) (at / CLOCK_SECOND_NS),
                                 .tv_nsec = (long) (at % CLOCK_SECOND_NS)};
    limit.over = over;
    limit.arg = arg;
    limit.ended = false;
    if (pthread_create(&limit.thread, NULL, wait_out, NULL))
        FAIL(ERR_INTERNAL, "cannot start the thread that ends a stop which takes too long");
    limit.started = true;
    return ERR_OK;
}

void stop_limit_end(void)
{
    if (!limit.started) return;
    {
        SCOPED_LOCK(&limit.lock);
        limit.ended = true;
        pthread_cond_signal(&limit.wake);
    }
    pthread_join(limit.thread, NULL);
    limit.started = false;
}

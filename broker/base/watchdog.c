#include "broker/base/watchdog.h"

#include "broker/base/clock.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>

#define TICK_MS 200 /* between looks while anything is watched; nothing here is exact */

struct watchdog {
    const _Atomic uint64_t *stop_at;
    pthread_mutex_t lock; /* guards all below, and every struct watched */
    pthread_cond_t changed;
    struct watched *first;
    bool ending;
    pthread_t thread;
};

static void look_locked(struct watchdog *w)
{
    uint64_t now = clock_mono_ns(), stop_at = atomic_load(w->stop_at);
    for (struct watched *x = w->first; x; x = x->next)
        if (x->fd >= 0 && (now >= x->until || (stop_at && now >= stop_at))) shutdown(x->fd, SHUT_RDWR);
}

static void wait_tick_locked(struct watchdog *w)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TICK_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) until.tv_sec++, until.tv_nsec -= 1000000000L;
    pthread_cond_timedwait(&w->changed, &w->lock, &until);
}

static void *watch(void *arg)
{
    struct watchdog *w = arg;
    SCOPED_LOCK(&w->lock);
    while (!w->ending) {
        if (w->first) wait_tick_locked(w);
        else pthread_cond_wait(&w->changed, &w->lock);
        look_locked(w);
    }
    return NULL;
}

struct err watchdog_new(const _Atomic uint64_t *stop_at, struct watchdog **ret)
{
    pthread_condattr_t attributes;
    struct watchdog *w = calloc(1, sizeof *w);
    if (!w) FAIL(ERR_INTERNAL, "out of memory");
    w->stop_at = stop_at;
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&w->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&w->thread, NULL, watch, w)) {
        free(w);
        FAIL(ERR_INTERNAL, "cannot start a thread; raise the limit of tasks");
    }
    *ret = w;
    return ERR_OK;
}

void watchdog_free(struct watchdog *w)
{
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

void watchdog_start(struct watchdog *w, struct watched *x, uint64_t until)
{
    *x = (struct watched){.fd = -1, .until = until};
    SCOPED_LOCK(&w->lock);
    x->link = &w->first;
    x->next = w->first;
    if (x->next) x->next->link = &x->next;
    w->first = x;
    pthread_cond_signal(&w->changed);
}

/* A descriptor of our own: whoever closes the other cannot make us shut down what took its number. */
void watchdog_socket(struct watchdog *w, struct watched *x, int fd)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    SCOPED_LOCK(&w->lock);
    if (x->fd >= 0) close(x->fd);
    x->fd = own;
}

void watchdog_end(struct watchdog *w, struct watched *x)
{
    SCOPED_LOCK(&w->lock);
    *x->link = x->next;
    if (x->next) x->next->link = x->link;
    if (x->fd >= 0) close(x->fd);
    x->fd = -1;
}

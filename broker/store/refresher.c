/* The thread that keeps the catalog true while requests come: it looks at the epoch object and rescans, so
 * that neither a look nor a scan (0.3 to 1 s at 10,000 objects) holds up a request. */
#include "broker/store/store_internal.h"

#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "pkcs11/watch.h"

#include <time.h>

#define PERIOD_NS (STORE_EPOCH_MS * (CLOCK_SECOND_NS / 1000))

#define LOOKERS_MAX 3u /* threads: one, and those that it was replaced for */

/* One thread. */
struct looker {
    struct refresher *r;
    pthread_t thread;
    bool used, ended; /* used: to be joined */
    bool replaced;    /* its own, or the watcher's while a call of it is late */
};

struct refresher {
    struct store *store;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wake;  /* stop */
    struct looker lookers[LOOKERS_MAX];
    bool stop;
};

/* False when it is time to end. */
static bool await_turn(struct refresher *r)
{
    uint64_t at = clock_mono_ns() + PERIOD_NS;
    struct timespec until = {.tv_sec = (time_t) (at / CLOCK_SECOND_NS),
                             .tv_nsec = (long) (at % CLOCK_SECOND_NS)};
    SCOPED_LOCK(&r->lock);
    while (!r->stop && pthread_cond_timedwait(&r->wake, &r->lock, &until) == 0) continue;
    return !r->stop;
}

static void look_round(struct refresher *r, bool *failed)
{
    struct err e = refresh_watched(r->store);
    if (!err_ok(e) && !*failed)
        log_warn_err(e, "store.refresh", LOG_S("effect", "readers look themselves, or are told so"));
    *failed = !err_ok(e);
    SCOPED_JOB_LOCK(&r->store->listening);
    for (struct store_listener *l = r->store->listeners; l; l = l->next) l->look(l->arg);
}

static bool start_looker_locked(struct refresher *r);

/* By the watcher: a call of this thread hangs. What other brokers change, policies above all, must be seen
 * all the same. */
static void looks_late(void *arg)
{
    struct looker *l = arg;
    SCOPED_LOCK(&l->r->lock);
    if (l->replaced || l->r->stop) return;
    l->replaced = start_looker_locked(l->r);
}

static void *refresh(void *arg)
{
    struct looker *l = arg;
    struct watch_thread *me = watch_self();
    bool failed = false;
    me->patient = true;
    me->arg = l;
    me->late = looks_late;
    while (!l->replaced && await_turn(l->r)) look_round(l->r, &failed);
    me->late = NULL;
    SCOPED_LOCK(&l->r->lock);
    l->ended = true;
    return NULL;
}

/* In a place that is free, or that of one that has ended. The watcher may be who starts it, and waits for
 * nobody, so that one is let go; a stop has only the last of each place to join. */
static bool start_looker_locked(struct refresher *r)
{
    struct looker *l = r->lookers;
    while (l < r->lookers + LOOKERS_MAX && l->used && !l->ended) l++;
    if (l == r->lookers + LOOKERS_MAX) return false;
    if (l->used) pthread_detach(l->thread);
    *l = (struct looker){.r = r};
    l->used = pthread_create(&l->thread, NULL, refresh, l) == 0;
    return l->used;
}

bool store_is_watched(const struct store *s)
{
    return s->refresher != NULL;
}

void store_listen(struct store *s, struct store_listener *l)
{
    SCOPED_LOCK(&s->listening);
    l->next = s->listeners;
    s->listeners = l;
}

void store_unlisten(struct store *s, struct store_listener *l)
{
    SCOPED_LOCK(&s->listening);
    struct store_listener **at = &s->listeners;
    while (*at && *at != l) at = &(*at)->next;
    if (*at) *at = l->next;
}

static void refresher_free(struct refresher *r)
{
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

struct err refresher_start(struct store *s)
{
    struct refresher *r = calloc(1, sizeof *r);
    if (!r) FAIL(ERR_INTERNAL, "out of memory");
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&r->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&r->lock, NULL);
    r->store = s;
    s->refresher = r;
    pthread_mutex_lock(&r->lock);
    bool started = start_looker_locked(r);
    pthread_mutex_unlock(&r->lock);
    if (started) return ERR_OK;
    s->refresher = NULL;
    refresher_free(r);
    FAIL(ERR_INTERNAL, "cannot start the thread that keeps the catalog true");
}

void refresher_stop(struct store *s)
{
    struct refresher *r = s->refresher;
    if (!r) return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_broadcast(&r->wake);
    pthread_mutex_unlock(&r->lock);
    /* Nobody starts another one now. Joined, so that what OpenSSL keeps for a thread has gone with it. */
    for (size_t i = 0; i < LOOKERS_MAX; i++)
        if (r->lookers[i].used) pthread_join(r->lookers[i].thread, NULL);
    s->refresher = NULL;
    refresher_free(r);
}

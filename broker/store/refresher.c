/* The thread that keeps the catalog true while requests come: it looks at the epoch object and rescans, so
 * that neither a look nor a scan (a second at 10,000 objects) holds up a request. */
#include "broker/store/store_internal.h"

#include "broker/base/clock.h"
#include "broker/base/log.h"

#include <time.h>

#define PERIOD_NS (STORE_EPOCH_MS * (CLOCK_SECOND_NS / 1000))

struct refresher {
    struct store *store;
    pthread_t thread;
    pthread_mutex_t lock; /* guards stop */
    pthread_cond_t wake;
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

static void *refresh(void *arg)
{
    struct refresher *r = arg;
    bool failed = false;
    while (await_turn(r)) {
        struct err e = refresh_watched(r->store);
        if (!err_ok(e) && !failed)
            log_warn_err(e, "store.refresh", LOG_S("effect", "readers look themselves, or are told so"));
        failed = !err_ok(e);
        SCOPED_LOCK(&r->store->listening);
        for (struct store_listener *l = r->store->listeners; l; l = l->next) l->look(l->arg);
    }
    return NULL;
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
    if (pthread_create(&r->thread, NULL, refresh, r) == 0) return ERR_OK;
    s->refresher = NULL;
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    free(r);
    FAIL(ERR_INTERNAL, "cannot start the thread that keeps the catalog true");
}

void refresher_stop(struct store *s)
{
    struct refresher *r = s->refresher;
    if (!r) return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    s->refresher = NULL;
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

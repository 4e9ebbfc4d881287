#include "broker/jose/key_source.h"

#include "broker/base/clock.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"
#include "broker/jose/key_schedule.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

struct key_source {
    struct key_sources *all;
    struct key_source *next;
    char *name, *place;
    enum key_form form;
    struct outbound *peer; /* NULL: a file */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;  /* guards what follows */
    pthread_cond_t changed;
    struct key_schedule schedule;
    struct jwk_set *set;   /* NULL before the first answer */
    bool stop, looked;     /* looked: at least once, however it went */
    bool down;             /* the last look failed */
    uint64_t refreshes, failures, loaded_at; /* clock_mono_ns */
};

struct key_sources {
    struct key_source *first, **last;
    _Atomic uint64_t removals;
};

/* ---- one look ------------------------------------------------------------------------------- */

static void note_change(const struct key_source *s, const struct jwk_set *set, bool removed)
{
    log_info("keys.loaded", LOG_S("source", s->name), LOG_U("keys", jwk_set_count(set)),
             LOG_U("skipped", jwk_set_skipped(set)),
             LOG_S("effect", removed ? "tokens of keys that went are refused" : "none refused"));
}

static void accept(struct key_source *s, const struct fetched_keys *f)
{
    struct jwk_set *old = s->set; /* nobody else writes it */
    bool removed = old && !jwk_set_keeps(f->set, old);
    bool same = old && !removed && jwk_set_keeps(old, f->set);
    uint64_t now = clock_mono_ns();
    pthread_mutex_lock(&s->lock);
    bool news = s->down || !same;
    s->set = f->set;
    s->down = false;
    s->refreshes++;
    s->loaded_at = now;
    key_schedule_succeeded(&s->schedule, now, f->has_keep ? &f->keep_seconds : NULL);
    pthread_mutex_unlock(&s->lock);
    /* After the exchange: who sees the larger count sees the new set too. */
    if (removed) atomic_fetch_add_explicit(&s->all->removals, 1, memory_order_release);
    if (news) note_change(s, f->set, removed);
    jwk_set_unref(old);
}

static void note_failure(struct key_source *s, struct err e)
{
    pthread_mutex_lock(&s->lock);
    bool news = !s->down, none = !s->set;
    s->down = true;
    s->failures++;
    key_schedule_failed(&s->schedule, clock_mono_ns());
    pthread_mutex_unlock(&s->lock);
    const char *effect = none ? "no token of this source is accepted until it can be read"
                              : "the keys of before stay";
    if (news) log_err(e, "keys.unavailable", LOG_S("source", s->name), LOG_S("effect", effect));
    else log_debug_err(e, "keys.still-unavailable", LOG_S("source", s->name));
}

static void look(struct key_source *s)
{
    struct fetched_keys f = {0};
    struct err e = key_fetch(s->peer, s->place, s->form, &f);
    if (err_ok(e)) accept(s, &f);
    else note_failure(s, e);
    SCOPED_LOCK(&s->lock);
    s->looked = true;
    pthread_cond_broadcast(&s->changed);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void wait_until(struct key_source *s, uint64_t mono_ns)
{
    struct timespec until = {.tv_sec = (time_t) (mono_ns / CLOCK_SECOND_NS),
                             .tv_nsec = (long) (mono_ns % CLOCK_SECOND_NS)};
    pthread_cond_timedwait(&s->changed, &s->lock, &until);
}

/* Until the next look is due and has begun; false when it is time to end. */
static bool await_turn(struct key_source *s)
{
    SCOPED_LOCK(&s->lock);
    while (!s->stop) {
        uint64_t now = clock_mono_ns(), next = key_schedule_next(&s->schedule);
        if (now >= next) {
            key_schedule_begin(&s->schedule, now);
            return true;
        }
        wait_until(s, next);
    }
    return false;
}

static void *keep_true(void *arg)
{
    struct key_source *s = arg;
    while (await_turn(s)) look(s);
    return NULL;
}

/* ---- making and ending ----------------------------------------------------------------------- */

struct err key_sources_new(struct key_sources **ret)
{
    struct key_sources *k = calloc(1, sizeof *k);
    if (!k) FAIL(ERR_INTERNAL, "out of memory");
    k->last = &k->first;
    *ret = k;
    return ERR_OK;
}

static void source_free(struct key_source *s)
{
    if (s->started) {
        pthread_mutex_lock(&s->lock);
        s->stop = true;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
        if (s->peer) outbound_stop(s->peer);
        pthread_join(s->thread, NULL);
    }
    outbound_free(s->peer);
    jwk_set_unref(s->set);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s->name);
    free(s->place);
    free(s);
}
DEFINE_CLEANUP(struct key_source, source_free);

void key_sources_free(struct key_sources *k)
{
    if (!k) return;
    /* All of them first, so that their requests end together. */
    for (struct key_source *s = k->first; s; s = s->next)
        if (s->peer) outbound_stop(s->peer);
    for (struct key_source *s = k->first, *next; s; s = next) {
        next = s->next;
        source_free(s);
    }
    free(k);
}

/* s is zeroed; source_free takes it whether or not this succeeds. */
static err_t source_init(struct key_source *s, struct key_sources *k,
                         const struct key_source_config *c)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&s->lock, NULL);
    s->all = k;
    s->form = c->form;
    s->name = strdup(c->name);
    s->place = strdup(c->place);
    if (!s->name || !s->place) FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

/* A file that is wrong at the start is a mistake to be told now, not one to be waited out. */
static err_t first_look(struct key_source *s, const char *ca_file)
{
    if (!key_place_is_url(s->place)) {
        struct fetched_keys f = {0};
        key_schedule_begin(&s->schedule, clock_mono_ns());
        TRY(key_fetch(NULL, s->place, s->form, &f));
        accept(s, &f);
        s->looked = true;
        return ERR_OK;
    }
    struct outbound_config config = {.ca_file = ca_file, .total_ms = KEY_FETCH_MS,
                                     .answer_max = KEY_SOURCE_MAX, .idle_max = 1};
    TRY(outbound_check_believed_url(s->place));
    return outbound_new(&config, &s->peer);
}

struct err key_sources_add(struct key_sources *k, const struct key_source_config *config,
                           struct key_source **ret)
{
    _cleanup_(source_freep) struct key_source *s = calloc(1, sizeof *s);
    if (!s) FAIL(ERR_INTERNAL, "out of memory");
    TRY(source_init(s, k, config));
    TRYC(first_look(s, config->ca_file), "%s", config->name);
    if (pthread_create(&s->thread, NULL, keep_true, s) != 0)
        FAIL(ERR_INTERNAL, "cannot start the thread that looks at %s", config->name);
    s->started = true;
    *k->last = s;
    k->last = &s->next;
    *ret = TAKE_PTR(s);
    return ERR_OK;
}

/* ---- using ----------------------------------------------------------------------------------- */

void key_sources_wait(struct key_sources *k, uint64_t end)
{
    for (struct key_source *s = k ? k->first : NULL; s; s = s->next) {
        SCOPED_LOCK(&s->lock);
        while (!s->looked && clock_mono_ns() < end) wait_until(s, end);
    }
}

void key_sources_refresh(struct key_sources *k)
{
    for (struct key_source *s = k ? k->first : NULL; s; s = s->next) {
        SCOPED_LOCK(&s->lock);
        key_schedule_force(&s->schedule);
        pthread_cond_broadcast(&s->changed);
    }
}

uint64_t key_sources_removals(const struct key_sources *k)
{
    return atomic_load_explicit(&k->removals, memory_order_acquire);
}

struct jwk_set *key_source_get(struct key_source *s)
{
    SCOPED_LOCK(&s->lock);
    return jwk_set_ref(s->set);
}

void key_source_want(struct key_source *s)
{
    SCOPED_LOCK(&s->lock);
    if (s->schedule.wanted) return; /* a flood of such tokens wakes nobody */
    key_schedule_want(&s->schedule);
    pthread_cond_broadcast(&s->changed);
}

void key_sources_stats(struct key_sources *k,
                       void (*visit)(void *arg, const struct key_source_stats *s), void *arg)
{
    for (struct key_source *s = k ? k->first : NULL; s; s = s->next) {
        struct key_source_stats stats = {.name = s->name};
        pthread_mutex_lock(&s->lock);
        stats.refreshes = s->refreshes;
        stats.failures = s->failures;
        stats.keys = jwk_set_count(s->set);
        stats.loaded = s->set != NULL;
        if (stats.loaded) stats.age_seconds = (clock_mono_ns() - s->loaded_at) / CLOCK_SECOND_NS;
        pthread_mutex_unlock(&s->lock);
        visit(arg, &stats);
    }
}

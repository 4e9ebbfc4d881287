/* The thread in the background: passes at their pace, comparisons when something changed, the
 * manifest when something was written. */
#include "broker/store/store_internal.h"

#include "broker/base/log.h"

#include <string.h>
#include <time.h>

#define TICK_NS (CLOCK_SECOND_NS / 2) /* between looks at what is due */
#define RETRY_SECONDS 10u             /* after a pass that did not come to its end */

static bool told_to_stop(struct store *s)
{
    SCOPED_LOCK(&s->scrub.gate);
    return s->scrub.stop;
}

static bool is_wanted(struct store *s)
{
    SCOPED_LOCK(&s->scrub.gate);
    return s->scrub.wanted;
}

/* Until `end` (clock_mono_ns), or until the thread is told to stop or asked for a pass. */
static void sleep_until(struct store *s, uint64_t end)
{
    struct timespec t = {.tv_sec = (time_t) (end / CLOCK_SECOND_NS),
                         .tv_nsec = (long) (end % CLOCK_SECOND_NS)};
    SCOPED_LOCK(&s->scrub.gate);
    while (!s->scrub.stop && !s->scrub.wanted &&
           pthread_cond_timedwait(&s->scrub.wake, &s->scrub.gate, &t) == 0)
        continue;
}

static bool is_up(struct store *s)
{
    struct p11_status status;
    p11_status(s->config.token, &status);
    return status.state == P11_UP;
}

static bool rest_plainly(struct store *s, uint64_t ns)
{
    struct timespec t = {.tv_sec = (time_t) (ns / CLOCK_SECOND_NS), .tv_nsec = (long) (ns % CLOCK_SECOND_NS)};
    nanosleep(&t, NULL);
    return !told_to_stop(s);
}

/* What must not wait for the end of a pass. */
static void tend(struct store *s)
{
    const struct scrub_walk walk = {.s = s, .rest = rest_plainly};
    bool changed = false;
    if (!is_up(s)) return;
    if (manifest_due(s)) manifest_flush(s);
    {
        SCOPED_LOCK(&s->lock);
        changed = s->scrub.compared != s->changes;
    }
    if (!changed) return;
    struct err e = scrub_compare(&walk);
    if (!err_ok(e)) log_debug_err(e, "scrub.not-compared");
}

/* Between two objects of a pass; one that somebody waits for takes the place of the one under way. */
static bool rest_in_pass(struct store *s, uint64_t ns)
{
    uint64_t end = clock_mono_ns() + ns;
    for (;;) {
        tend(s);
        uint64_t now = clock_mono_ns();
        if (told_to_stop(s) || is_wanted(s) || !is_up(s)) return false;
        if (now >= end) return true;
        sleep_until(s, end - now < TICK_NS ? end : now + TICK_NS);
    }
}

/* At full speed, but for the end of the process. */
static bool rest_in_haste(struct store *s, uint64_t ns)
{
    return rest_plainly(s, ns);
}

static err_t make_pass(struct store *s, bool wanted)
{
    struct scrub_walk walk = {.s = s, .rest = wanted ? rest_in_haste : rest_in_pass};
    if (!wanted) walk.pace_ns = CLOCK_SECOND_NS / s->scrub.config.rate;
    struct err e = scrub_pass(&walk);
    if (err_ok(e) && wanted) e = scrub_compare(&walk);
    return e;
}

/* Counted at its end, whatever came of it, unless another one takes its place: whoever asked for that one waits
 * for the count. */
static void end_pass(struct store *s, bool wanted, struct err e)
{
    if (e.code == ERR_BUSY && !wanted) return;
    if (!err_ok(e)) log_warn_err(e, "scrub.unfinished", LOG_S("effect", "it begins anew later"));
    SCOPED_LOCK(&s->lock);
    s->scrub.failed = e.code;
    s->scrub.passes += wanted || !is_wanted(s);
    s->scrub.answering = false;
}

/* Whether the pass to be made is one that was asked for. */
static bool take_wish(struct store *s)
{
    SCOPED_LOCK(&s->lock);
    SCOPED_LOCK(&s->scrub.gate);
    s->scrub.answering = s->scrub.wanted;
    s->scrub.wanted = false;
    return s->scrub.answering;
}

static uint64_t after(uint64_t seconds)
{
    return clock_mono_ns() + seconds * CLOCK_SECOND_NS;
}

static void *run(void *arg)
{
    struct store *s = arg;
    unsigned pause = s->scrub.config.pause_seconds;
    uint64_t next = after(pause < SCRUB_FIRST_SECONDS ? pause : SCRUB_FIRST_SECONDS);
    while (!told_to_stop(s)) {
        bool wanted = take_wish(s);
        bool due = s->scrub.config.rate && clock_mono_ns() >= next && is_up(s);
        if (wanted || due) {
            struct err e = make_pass(s, wanted);
            end_pass(s, wanted, e);
            next = after(err_ok(e) || e.code == ERR_LIMIT ? pause : RETRY_SECONDS);
        }
        tend(s);
        sleep_until(s, clock_mono_ns() + TICK_NS);
    }
    SCOPED_LOCK(&s->scrub.gate);
    s->scrub.ended = true;
    pthread_cond_broadcast(&s->scrub.wake);
    return NULL;
}

/* ---- life -------------------------------------------------------------------------------- */

void scrub_init(struct store *s)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&s->scrub.wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&s->scrub.gate, NULL);
    pthread_mutex_init(&s->scrub.turn, NULL);
}

struct err scrub_start(struct store *s, const struct scrub_config *config)
{
    ENSURE(!s->scrub.started);
    s->scrub.config = *config;
    if (s->scrub.config.rate > SCRUB_RATE_MAX) s->scrub.config.rate = SCRUB_RATE_MAX;
    if (s->scrub.config.pause_seconds == 0) s->scrub.config.pause_seconds = SCRUB_PAUSE_SECONDS;
    s->scrub.started = true;
    if (pthread_create(&s->scrub.thread, NULL, run, s) == 0) return ERR_OK;
    s->scrub.started = false;
    FAIL(ERR_INTERNAL, "cannot start the thread that looks after the objects");
}

bool scrub_stop(struct store *s, unsigned ms)
{
    uint64_t end = clock_mono_ns() + ms * (CLOCK_SECOND_NS / 1000);
    struct timespec t = {.tv_sec = (time_t) (end / CLOCK_SECOND_NS),
                         .tv_nsec = (long) (end % CLOCK_SECOND_NS)};
    if (!s->scrub.started) return true;
    {
        SCOPED_LOCK(&s->scrub.gate);
        s->scrub.stop = true;
        pthread_cond_broadcast(&s->scrub.wake);
        while (!s->scrub.ended)
            if (pthread_cond_timedwait(&s->scrub.wake, &s->scrub.gate, &t) != 0) break;
        if (!s->scrub.ended) return false;
    }
    pthread_join(s->scrub.thread, NULL);
    s->scrub.started = false;
    return true;
}

void scrub_done(struct store *s)
{
    ENSURE(scrub_stop(s, HTTP_STOP_SECONDS * 1000)); /* the owner stopped it, or can wait */
    for (size_t i = 0; i < SCRUB_SOURCES; i++) findings_free(&s->scrub.found[i]);
    pthread_cond_destroy(&s->scrub.wake);
    pthread_mutex_destroy(&s->scrub.gate);
    pthread_mutex_destroy(&s->scrub.turn);
}

/* ---- by request -------------------------------------------------------------------------- */

struct err scrub_now(struct store *s, uint64_t *ret_passes)
{
    if (!s->scrub.started) {
        struct scrub_walk walk = {.s = s};
        struct err e = scrub_pass(&walk);
        if (err_ok(e)) e = scrub_compare(&walk);
        TRY(e);
        SCOPED_LOCK(&s->lock);
        *ret_passes = s->scrub.passes++;
        return ERR_OK;
    }
    SCOPED_LOCK(&s->lock);
    SCOPED_LOCK(&s->scrub.gate);
    *ret_passes = s->scrub.passes + s->scrub.answering; /* one that began before tells old things */
    s->scrub.wanted = true;
    pthread_cond_broadcast(&s->scrub.wake);
    return ERR_OK;
}

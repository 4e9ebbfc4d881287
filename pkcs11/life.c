#include "pkcs11/life.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "broker/base/clock.h"
#include "broker/base/limits.h"
#include "broker/base/rand.h"

#define MS_NS (CLOCK_SECOND_NS / 1000)

void life_init(struct life *l)
{
    *l = (struct life){.mend_ms = P11_MEND_MS, .since = clock_mono_ns(), .since_unix = clock_now()};
    pthread_mutex_init(&l->lock, NULL);
    /* The wall clock may jump; a pause must not. */
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->news, &attr);
    pthread_condattr_destroy(&attr);
}

void life_done(struct life *l)
{
    pthread_cond_destroy(&l->news);
    pthread_mutex_destroy(&l->lock);
}

/* False: that time came. */
static bool wait_locked(struct life *l, uint64_t until)
{
    if (clock_mono_ns() >= until) return false;
    struct timespec t = {.tv_sec = (time_t) (until / CLOCK_SECOND_NS),
                         .tv_nsec = (long) (until % CLOCK_SECOND_NS)};
    pthread_cond_timedwait(&l->news, &l->lock, &t);
    return true;
}

static bool given_up(const struct life *l)
{
    return l->state == P11_WAITING || l->state == P11_HUMAN;
}

static void enter_locked(struct life *l, enum p11_state state)
{
    if (l->state != state) {
        l->state = state;
        l->since = clock_mono_ns();
        l->since_unix = clock_now();
    }
    pthread_cond_broadcast(&l->news);
}

static void note_locked(struct life *l, struct err why)
{
    l->why = why.code;
    snprintf(l->reason, sizeof l->reason, "%s", err_ok(why) ? "" : err_text(why));
}

/* Between half of it and all, so that brokers that share a token do not come all at once. */
static uint64_t pause_ns(unsigned tries)
{
    uint64_t ms = TOKEN_RETRY_MAX_MS;
    uint32_t random = 0;
    if (tries < 16 && ((uint64_t) TOKEN_RETRY_MS << tries) < ms) ms = (uint64_t) TOKEN_RETRY_MS << tries;
    if (!err_ok(rand_bytes(&random, sizeof random))) random = UINT32_MAX;
    return (ms / 2 + ms / 2 * random / UINT32_MAX) * MS_NS;
}

static void pause_locked(struct life *l, unsigned tries)
{
    l->step = P11_STEP_RESTART;
    l->next_at = clock_mono_ns() + pause_ns(tries);
}

/* ---- of everybody ----------------------------------------------------------------------- */

void life_status(struct life *l, struct p11_status *ret)
{
    SCOPED_LOCK(&l->lock);
    uint64_t now = clock_mono_ns();
    *ret = (struct p11_status){
        .state = l->state, .since = l->since_unix, .seconds = (now - l->since) / CLOCK_SECOND_NS,
        .next = l->step, .tries = l->tries, .why = l->why,
    };
    if (given_up(l) && l->next_at > now) ret->next_ms = (l->next_at - now + MS_NS - 1) / MS_NS;
    memcpy(ret->reason, l->reason, sizeof ret->reason);
    memcpy(ret->taken, l->taken, sizeof ret->taken);
    memcpy(ret->helped, l->helped, sizeof ret->helped);
}

void life_ask(struct life *l)
{
    SCOPED_LOCK(&l->lock);
    l->asked = true;
    pthread_cond_broadcast(&l->news);
}

bool life_mended(struct life *l, uint64_t opening)
{
    SCOPED_LOCK(&l->lock);
    if (!l->kept || pthread_equal(l->keeper, pthread_self())) return false;
    uint64_t until = clock_mono_ns() + l->mend_ms * MS_NS;
    /* One that runs already may have looked before the trouble began. */
    uint64_t round = l->begun + 1;
    l->asked = true;
    pthread_cond_broadcast(&l->news);
    while (l->done < round && l->opening <= opening && l->kept && !given_up(l))
        if (!wait_locked(l, until)) break;
    return l->done >= round || l->opening > opening;
}

void life_hurry(struct life *l)
{
    SCOPED_LOCK(&l->lock);
    l->hurried = true;
    pthread_cond_broadcast(&l->news);
}

void life_end(struct life *l)
{
    SCOPED_LOCK(&l->lock);
    l->ending = true;
    l->kept = false;
    pthread_cond_broadcast(&l->news);
}

static void count_locked(struct life *l, enum p11_step step, bool helped)
{
    l->taken[step]++;
    l->helped[step] += helped;
}

void life_count(struct life *l, enum p11_step step, bool helped)
{
    SCOPED_LOCK(&l->lock);
    count_locked(l, step, helped);
}

/* ---- of the keeper ---------------------------------------------------------------------- */

bool life_await(struct life *l)
{
    SCOPED_LOCK(&l->lock);
    l->keeper = pthread_self();
    l->kept = !l->ending;
    while (!l->ending) {
        if (l->hurried || (l->asked && !given_up(l))) break;
        if (!wait_locked(l, l->next_at)) break;
    }
    l->asked = l->hurried = false;
    l->begun++;
    return !l->ending;
}

void life_works(struct life *l, uint64_t opening)
{
    SCOPED_LOCK(&l->lock);
    l->done = l->begun;
    l->opening = opening;
    if (l->state == P11_UP) l->next_at = clock_mono_ns() + TOKEN_LOOK_MS * MS_NS;
    pthread_cond_broadcast(&l->news);
}

bool life_begin(struct life *l, enum p11_step step, struct err why)
{
    SCOPED_LOCK(&l->lock);
    bool soon = l->came_back && clock_mono_ns() - l->since < TOKEN_SETTLED_MS * MS_NS;
    l->relapses = soon ? l->relapses + 1 : 0;
    l->step = step;
    note_locked(l, why);
    enter_locked(l, P11_RECOVERING);
    return l->relapses <= TOKEN_RELAPSES;
}

void life_rest(struct life *l)
{
    SCOPED_LOCK(&l->lock);
    pause_locked(l, l->relapses > TOKEN_RELAPSES ? l->relapses - TOKEN_RELAPSES - 1 : 0);
    enter_locked(l, P11_WAITING);
}

void life_hang(struct life *l)
{
    SCOPED_LOCK(&l->lock);
    l->step = P11_STEP_LOOK;
    l->next_at = clock_mono_ns();
    enter_locked(l, P11_WAITING);
}

void life_step(struct life *l, enum p11_step step)
{
    SCOPED_LOCK(&l->lock);
    l->step = step;
}

void life_up(struct life *l)
{
    SCOPED_LOCK(&l->lock);
    l->came_back = true;
    l->tries = 0;
    l->step = P11_STEP_LOOK;
    l->next_at = clock_mono_ns() + TOKEN_LOOK_MS * MS_NS;
    note_locked(l, (struct err){ERR_NONE});
    enter_locked(l, P11_UP);
}

void life_fail(struct life *l, struct err why)
{
    SCOPED_LOCK(&l->lock);
    bool human = why.code == ERR_HUMAN;
    note_locked(l, why);
    pause_locked(l, human ? UINT16_MAX : l->tries);
    l->tries++;
    enter_locked(l, human ? P11_HUMAN : P11_WAITING);
}

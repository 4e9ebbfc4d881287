#include "pkcs11/p11_internal.h"

#include <errno.h>
#include <time.h>

#include "broker/base/log.h"
#include "pkcs11/job.h"
#include "pkcs11/watch.h"

void pool_init(struct p11_pool *pool, unsigned cap)
{
    *pool = (struct p11_pool){.cap = cap, .wanted = cap, .wait_ms = P11_JOB_SECONDS * 1000};
    pthread_mutex_init(&pool->lock, NULL);
    /* The wall clock may jump; a deadline must not. */
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->free, &attr);
    pthread_condattr_destroy(&attr);
}

void pool_done(struct p11_pool *pool)
{
    pthread_cond_destroy(&pool->free);
    pthread_mutex_destroy(&pool->lock);
}

unsigned pool_cap(unsigned wanted, CK_ULONG token_max)
{
    unsigned cap = wanted ? wanted : P11_SESSIONS_DEFAULT;
    if (cap > P11_SESSIONS_MAX) cap = P11_SESSIONS_MAX;
    bool known = token_max != CK_UNAVAILABLE_INFORMATION && token_max != CK_EFFECTIVELY_INFINITE;
    if (!known) return cap;
    /* Two are ours: the idle one that keeps the login, and the one that owns session keys. */
    CK_ULONG rest = token_max > 3 ? token_max - 2 : 1;
    return cap < rest ? cap : (unsigned) rest;
}

unsigned p11_sessions(struct p11 *p)
{
    SCOPED_LOCK(&p->pool.lock);
    return p->pool.cap;
}

err_t session_open(CK_FUNCTION_LIST *fn, CK_SLOT_ID slot, CK_SESSION_HANDLE *ret)
{
    /* Always read-write: CloudHSM fails creates on others with CKR_FUNCTION_FAILED. */
    CK_SESSION_HANDLE h = CK_INVALID_HANDLE;
    CK_RV rv = fn->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &h);
    if (rv != CKR_OK) FAIL_RV(rv, "C_OpenSession", "the token gives no session");
    *ret = h;
    return ERR_OK;
}

static struct timespec deadline_in(unsigned ms)
{
    uint64_t at = clock_mono_ns() + ms * (CLOCK_SECOND_NS / 1000);
    return (struct timespec){.tv_sec = (time_t) (at / CLOCK_SECOND_NS),
                             .tv_nsec = (long) (at % CLOCK_SECOND_NS)};
}

/* One getter can go on; while recovery waits for the last session, it must hear of it. */
static void wake_locked(struct p11_pool *pool)
{
    if (pool->stopped)
        pthread_cond_broadcast(&pool->free);
    else
        pthread_cond_signal(&pool->free);
}

/* What a getter is allowed to do next. */
enum turn { TURN_REUSE, TURN_OPEN, TURN_LATE, TURN_DOWN, TURN_MOVE };

static bool shut_locked(const struct p11_pool *pool)
{
    return pool->stopped && !pthread_equal(pool->stopper, pthread_self());
}

/* Coming back is a matter of milliseconds, or of who knows how long. */
static unsigned patience_ms(const struct p11 *p, bool shut)
{
    bool short_one = shut && p->life.mend_ms < p->pool.wait_ms;
    return short_one ? p->life.mend_ms : p->pool.wait_ms;
}

/* Whether one more may be opened. */
static bool has_room_locked(struct p11_pool *pool)
{
    bool full = pool->open_n >= pool->cap;
    if (full && pool->cap < pool->wanted && clock_mono_ns() >= pool->grow_at) pool->cap = pool->wanted;
    return pool->open_n < pool->cap;
}

static enum turn wait_turn_locked(struct p11 *p)
{
    struct p11_pool *pool = &p->pool;
    struct timespec deadline = {0};
    for (bool late = false;;) {
        bool shut = shut_locked(pool);
        if (!pool->stopped && pool->down) return TURN_DOWN;
        if (!shut && pool->idle_n) return TURN_REUSE;
        if (!shut && has_room_locked(pool)) return TURN_OPEN;
        if (late) return shut ? TURN_DOWN : TURN_LATE;
        if (!job_may_wait()) return TURN_MOVE;
        if (!deadline.tv_sec) deadline = deadline_in(patience_ms(p, shut));
        /* A wake-up may come together with the time-out: look once more before giving up. */
        late = pthread_cond_timedwait(&pool->free, &pool->lock, &deadline) == ETIMEDOUT;
    }
}

/* ---- whose call hangs ------------------------------------------------------------------- */

/* This thread has one more of the pool's sessions, or is about to open it. */
static void hold_locked(struct p11_pool *pool)
{
    struct watch_thread *t = watch_self();
    if (!t->pool) t->pool = pool;
    if (t->pool == pool) t->held++;
    /* of a second token's pool: not watched, and never written off */
}

/* It has one less. True: it was written off meanwhile, and no longer counts as open. */
static bool let_go_locked(struct p11_pool *pool)
{
    struct watch_thread *t = watch_self();
    if (t->pool != pool) return false;
    bool lost = t->lost > 0;
    if (lost) {
        t->lost--;
        pool->lost_n--;
    } else {
        t->held--;
    }
    if (!t->held && !t->lost) t->pool = NULL;
    return lost;
}

void pool_write_off(struct watch_thread *t)
{
    struct p11_pool *pool = t->pool;
    if (!pool) return;
    SCOPED_LOCK(&pool->lock);
    pool->open_n -= t->held;
    pool->lost_n += t->held;
    t->lost += t->held;
    t->held = 0;
    pthread_cond_broadcast(&pool->free);
}

/* ---- getting and putting ---------------------------------------------------------------- */

/* One that was counted is gone, or was never opened. */
static void give_up(struct p11_pool *pool)
{
    SCOPED_LOCK(&pool->lock);
    if (!let_go_locked(pool)) pool->open_n--;
    wake_locked(pool);
}

/* The token allows fewer than it said (YubiHSM: 16 for all its users): go on with what is open, for a while,
 * as others close theirs, and so do our calls that hang. Returns the new cap; 0 when we have none, so that
 * waiting would be for nothing. */
static unsigned shrink_cap(struct p11_pool *pool)
{
    SCOPED_LOCK(&pool->lock);
    if (!let_go_locked(pool)) pool->open_n--;
    if (!pool->open_n) {
        wake_locked(pool);
        return 0;
    }
    if (pool->open_n < pool->cap) pool->cap = pool->open_n;
    pool->grow_at = clock_mono_ns() + P11_SESSIONS_SECONDS * CLOCK_SECOND_NS;
    return pool->cap;
}

static err_t open_counted(struct p11 *p, CK_SESSION_HANDLE *ret, bool *ret_wait)
{
    CK_SESSION_HANDLE h = CK_INVALID_HANDLE;
    CK_RV rv = p->fn->C_OpenSession(p->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &h);
    if (rv == CKR_OK) {
        *ret = h;
        return ERR_OK;
    }
    if (rv == CKR_SESSION_COUNT) {
        unsigned cap = shrink_cap(&p->pool);
        *ret_wait = cap > 0;
        if (cap) log_warn("token.sessions", LOG_S("why", "the token allows no more"),
                          LOG_U("cap", cap));
        if (cap) return ERR_OK;
    } else {
        give_up(&p->pool);
        life_ask(&p->life);
    }
    FAIL_RV(rv, "C_OpenSession", "the token gives no session");
}

err_t session_get(struct p11 *p, CK_SESSION_HANDLE *ret)
{
    struct p11_pool *pool = &p->pool;
    module_guard(p->module);
    for (bool again = true; again;) {
        again = false;
        {
            SCOPED_LOCK(&pool->lock);
            enum turn turn = wait_turn_locked(p);
            if (turn == TURN_LATE)
                FAIL(ERR_BUSY, "no token session came free within %u ms (%u in use); raise "
                     "max_sessions if the token allows it", pool->wait_ms, pool->open_n);
            if (turn == TURN_MOVE) FAIL(ERR_BUSY, "no token session is free at once");
            if (turn == TURN_DOWN)
                FAIL(pool->down ? pool->down : ERR_TOKEN_DOWN,
                     "the token is away, and did not come back yet");
            if (turn == TURN_REUSE) {
                *ret = pool->idle[--pool->idle_n];
                hold_locked(pool);
                return ERR_OK;
            }
            pool->open_n++;
            hold_locked(pool);
        }
        /* Outside the lock: opening may take as long as a network HSM likes. */
        TRY(open_counted(p, ret, &again));
    }
    return ERR_OK;
}

void session_put(struct p11 *p, CK_SESSION_HANDLE h, CK_RV last_rv)
{
    struct p11_pool *pool = &p->pool;
    if (rv_keeps_session(last_rv)) {
        SCOPED_LOCK(&pool->lock);
        /* More open than the cap after it shrank, or another was opened in its place since its call
         * hung: this one goes. */
        if (pool->open_n <= pool->cap && !watch_self()->lost) {
            let_go_locked(pool);
            pool->idle[pool->idle_n++] = h;
            wake_locked(pool);
            return;
        }
    }
    p->fn->C_CloseSession(h); /* broken anyway; its code tells nothing we could act on */
    give_up(pool);
}

err_t session_take(struct p11 *p, struct p11_session *ret)
{
    CK_SESSION_HANDLE h = CK_INVALID_HANDLE;
    TRY(session_get(p, &h));
    *ret = (struct p11_session){.p = p, .h = h};
    return ERR_OK;
}

err_t session_take_at(struct p11 *p, uint64_t epoch, struct p11_session *ret)
{
    _cleanup_session_ struct p11_session s = {0};
    TRY(session_take(p, &s));
    if (p->epoch != epoch) FAIL(ERR_TOKEN_DOWN, "the token was opened again meanwhile");
    *ret = s;
    s.p = NULL;
    return ERR_OK;
}

/* They count as in this thread's hands until they are closed. */
static unsigned take_idle(struct p11_pool *pool, CK_SESSION_HANDLE ret[P11_SESSIONS_MAX])
{
    SCOPED_LOCK(&pool->lock);
    unsigned n = pool->idle_n;
    for (; pool->idle_n; pool->idle_n--) {
        ret[pool->idle_n - 1] = pool->idle[pool->idle_n - 1];
        hold_locked(pool);
    }
    return n;
}

/* Outside the lock, as opening: event loops and the watcher take it. */
void pool_close_idle(struct p11 *p)
{
    CK_SESSION_HANDLE idle[P11_SESSIONS_MAX];
    for (unsigned n = take_idle(&p->pool, idle); n; n--) {
        p->fn->C_CloseSession(idle[n - 1]);
        give_up(&p->pool);
    }
}

void session_spoil(struct p11_session *s, CK_RV rv)
{
    enum rv_reaction reaction = rv_reaction(rv);
    s->broken = true;
    s->gone |= rv == CKR_SESSION_HANDLE_INVALID || rv == CKR_SESSION_CLOSED;
    if (reaction == RV_LOGIN || reaction == RV_REINIT) life_ask(&s->p->life);
}

void session_drop(struct p11_session *s)
{
    if (!s->p) return;
    if (s->gone) pool_close_idle(s->p); /* before others take them: each would fail once more */
    session_put(s->p, s->h, s->broken ? CKR_SESSION_CLOSED : CKR_OK);
    *s = (struct p11_session){0};
}

bool session_again(struct p11 *p, CK_RV rv, unsigned attempt, bool handles)
{
    enum rv_reaction r = rv_reaction(rv);
    bool again = r == RV_SESSION || (handles && r == RV_HANDLE);
    if (attempt) life_count(&p->life, P11_STEP_SESSION, rv == CKR_OK);
    return again && !attempt;
}

static err_t await_all(struct p11_pool *pool)
{
    struct timespec deadline = deadline_in(pool->wait_ms);
    SCOPED_LOCK(&pool->lock);
    if (pool->stopped) FAIL(ERR_BUSY, "the token is being recovered already");
    pool->stopped = true;
    pool->stopper = pthread_self();
    while (pool->open_n > pool->idle_n || pool->lost_n) {
        if (pthread_cond_timedwait(&pool->free, &pool->lock, &deadline) != ETIMEDOUT) continue;
        pool->stopped = false;
        pthread_cond_broadcast(&pool->free);
        FAIL(ERR_BUSY, "%u token sessions are still in use after %u ms; a module that hangs "
             "needs a restart of the program", pool->open_n - pool->idle_n + pool->lost_n, pool->wait_ms);
    }
    return ERR_OK;
}

err_t pool_stop(struct p11 *p)
{
    struct err e = await_all(&p->pool);
    watch_stalls(!err_ok(e));
    TRY(e);
    pool_close_idle(p);
    return ERR_OK;
}

void pool_resume(struct p11 *p, enum err_class down)
{
    SCOPED_LOCK(&p->pool.lock);
    p->pool.stopped = false;
    p->pool.down = down;
    pthread_cond_broadcast(&p->pool.free);
}

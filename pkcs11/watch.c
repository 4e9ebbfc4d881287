#include "pkcs11/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/base/cleanup.h"
#include "broker/base/clock.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"

#define MS_NS UINT64_C(1000000)

const uint64_t watch_bounds_ns[WATCH_BUCKETS - 1] = {
    50000, 100000, 300000, 1 * MS_NS, 5 * MS_NS, 20 * MS_NS, 100 * MS_NS, 250 * MS_NS, 1000 * MS_NS,
    5000 * MS_NS,
};

enum state { FINE, FIRING /* the watcher is at it */, LATE };

static struct watch_thread slots[WATCH_THREADS];
static _Atomic unsigned slots_end; /* no slot at or beyond it was ever used */
static _Thread_local struct watch_thread *self;
static _Thread_local struct watch_thread unwatched;
static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static struct {
    pthread_mutex_t lock; /* all below but the atomics */
    pthread_cond_t wake;  /* armed, or the end */
    pthread_cond_t fired; /* the watcher is done with a late call */
    pthread_t thread;
    bool running, stop;
    struct watch_config config;
    void (*hopeless)(void *arg);
    void *hopeless_arg;
    uint64_t hopeless_since; /* 0: it is not */
    uint64_t hang_ns;        /* until it is said */
    bool told;
    atomic_bool armed; /* the watcher looks again by itself, within the shortest deadline; or there is none */
    atomic_bool stalls; /* watch_stalls */
    _Atomic unsigned lost;
    _Atomic uint64_t written_off, crypto_ns, object_ns, wait_ns, long_ns;
} w = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .fired = PTHREAD_COND_INITIALIZER, .armed = true,
    .crypto_ns = P11_CRYPTO_MS * MS_NS, .object_ns = P11_OBJECT_MS * MS_NS,
    .wait_ns = P11_WAIT_SECONDS * CLOCK_SECOND_NS, .long_ns = P11_LONG_MS * MS_NS,
};

/* ---- threads ---------------------------------------------------------------------------- */

static void give_slot_back(void *slot)
{
    struct watch_thread *t = slot;
    t->late = NULL;
    t->patient = t->crypto_only = t->must_move = t->to_objects = false;
    t->pool = NULL;
    t->held = t->lost = 0;
    atomic_store(&t->used, false); /* its counts stay: they are of the process */
}

static void make_key(void)
{
    ENSURE(pthread_key_create(&key, give_slot_back) == 0);
}

static struct watch_thread *take_slot(void)
{
    pthread_once(&key_once, make_key);
    for (unsigned i = 0; i < WATCH_THREADS; i++) {
        bool free_one = false;
        if (atomic_load(&slots[i].used) ||
            !atomic_compare_exchange_strong(&slots[i].used, &free_one, true))
            continue;
        unsigned end = atomic_load(&slots_end);
        while (end <= i && !atomic_compare_exchange_weak(&slots_end, &end, i + 1)) continue;
        pthread_setspecific(key, &slots[i]);
        atomic_store(&slots[i].tid, gettid());
        return &slots[i];
    }
    return &unwatched;
}

struct watch_thread *watch_self(void)
{
    if (!self) self = take_slot();
    return self;
}

/* ---- calls ------------------------------------------------------------------------------ */

static uint64_t patience_ns(const struct watch_thread *t, enum watch_kind kind)
{
    if (kind == WATCH_WAIT) return atomic_load_explicit(&w.wait_ns, memory_order_relaxed);
    if (kind == WATCH_LONG) return atomic_load_explicit(&w.long_ns, memory_order_relaxed);
    /* Nobody waits for an answer of a thread that runs no job. */
    bool crypto = kind == WATCH_CRYPTO && t->late && !t->patient;
    return atomic_load_explicit(crypto ? &w.crypto_ns : &w.object_ns, memory_order_relaxed);
}

void watch_begin(enum watch_kind kind)
{
    struct watch_thread *t = watch_self();
    uint64_t now = clock_mono_ns();
    atomic_store_explicit(&t->kind, kind, memory_order_relaxed);
    atomic_store_explicit(&t->since, now, memory_order_relaxed);
    /* Either we see that the watcher sleeps, or it sees this call before it does. */
    atomic_store(&t->until, now + patience_ns(t, kind));
    if (!atomic_load(&w.armed)) watch_arm();
}

static void come_back(struct watch_thread *t, uint64_t ns)
{
    SCOPED_LOCK(&w.lock);
    while (atomic_load(&t->state) == FIRING) pthread_cond_wait(&w.fired, &w.lock);
    if (atomic_load(&t->state) != LATE) return;
    atomic_store(&t->state, FINE);
    if (atomic_fetch_sub(&w.lost, 1) == 1) pthread_cond_broadcast(&w.fired);
    log_info("token.call-back", LOG_U("ms", ns / MS_NS));
}

static void count(struct watch_thread *t, uint64_t ns)
{
    size_t i = 0;
    if (t->kind >= WATCH_WAIT) return;
    while (i < WATCH_BUCKETS - 1 && ns > watch_bounds_ns[i]) i++;
    _Atomic uint64_t *bucket = &t->took[t->kind].buckets[i], *sum = &t->took[t->kind].sum_ns;
    /* only this thread adds */
    atomic_store_explicit(bucket, atomic_load_explicit(bucket, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(sum, atomic_load_explicit(sum, memory_order_relaxed) + ns,
                          memory_order_relaxed);
}

uint64_t watch_end(void)
{
    struct watch_thread *t = watch_self();
    uint64_t ns = clock_mono_ns() - atomic_load_explicit(&t->since, memory_order_relaxed);
    atomic_store(&t->until, 0);
    if (atomic_load(&t->state) != FINE) come_back(t, ns);
    count(t, ns);
    return ns;
}

/* ---- the watcher ------------------------------------------------------------------------ */

static const char *kind_text(enum watch_kind kind)
{
    static const char *const text[] = {[WATCH_CRYPTO] = "cryptography", [WATCH_OBJECT] = "objects",
                                       [WATCH_WAIT] = "waiting for another", [WATCH_LONG] = "login, key pair or start"};
    return text[kind];
}

/* The lock is dropped while others are told; the thread waits for us in watch_end meanwhile. */
static void fire_locked(struct watch_thread *t, uint64_t until)
{
    atomic_store(&t->state, FIRING);
    if (atomic_load(&t->until) != until) { /* back in time after all, perhaps in another call */
        atomic_store(&t->state, FINE);
        return;
    }
    unsigned lost = atomic_fetch_add(&w.lost, 1) + 1;
    atomic_fetch_add(&w.written_off, 1);
    pthread_mutex_unlock(&w.lock);
    log_warn("token.call-late", LOG_S("what", kind_text(t->kind)),
             LOG_U("ms", (until - atomic_load(&t->since)) / MS_NS), LOG_U("hang_now", lost),
             LOG_S("effect", "its session is written off and its request is answered"));
    pool_write_off(t);
    if (t->late) t->late(t->arg);
    pthread_mutex_lock(&w.lock);
    atomic_store(&t->state, LATE);
    pthread_cond_broadcast(&w.fired);
}

/* Runs, or would if it had a core (proc(5), stat: the state follows the name). Unknown: no. */
static bool is_runnable(const struct watch_thread *t)
{
    char path[48], text[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int) atomic_load(&t->tid));
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (len < 0) return false;
    text[len] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end && strncmp(name_end, ") R", 3) == 0;
}

/* When to look again at a call past its deadline; 0: it is late. */
static uint64_t grace_of(const struct watch_thread *t, uint64_t until, uint64_t now)
{
    if (now >= until + P11_BUSY_MS * MS_NS || !is_runnable(t)) return 0;
    return now + P11_STUCK_MS * MS_NS;
}

/* Fires what is late; the earliest deadline of the others. *ret_grave: a thread that nobody can replace does not
 * come back, no more may be given up, or the token must be opened again, which waits for all. Those who wait for
 * another that makes call after call (a rotation on a slow card) are late, but come back: only with a call that
 * hangs is it grave. */
static uint64_t look_locked(uint64_t now, bool *ret_grave)
{
    uint64_t next = UINT64_MAX;
    unsigned end = atomic_load(&slots_end);
    bool vital_calls = false, vital_waits = false, call_hangs = false;
    for (unsigned i = 0; i < end; i++) {
        struct watch_thread *t = &slots[i];
        uint64_t until = atomic_load(&t->until);
        if (!until) continue;
        uint64_t due = until;
        if (now >= until && atomic_load(&t->state) == FINE && !(due = grace_of(t, until, now)))
            fire_locked(t, until);
        if (now < due && due < next) next = due;
        if (atomic_load(&t->state) != LATE) continue;
        bool vital = atomic_load(&t->here) || atomic_load(&t->vital), waits = t->kind == WATCH_WAIT;
        call_hangs |= !waits;
        vital_waits |= vital && waits;
        vital_calls |= vital && !waits;
    }
    bool nobody_goes_on = vital_waits || atomic_load(&w.stalls) || atomic_load(&w.lost) >= P11_LOST_MAX;
    *ret_grave = vital_calls || (call_hangs && nobody_goes_on);
    return next;
}

/* Whether it is time to say that only a restart helps; *next is when to look again. */
static bool judge_locked(uint64_t now, bool grave, uint64_t *next)
{
    if (!grave) {
        w.hopeless_since = 0;
        w.told = false;
        return false;
    }
    if (!w.hopeless_since) w.hopeless_since = now;
    uint64_t at = w.hopeless_since + w.hang_ns;
    if (!w.told && at < *next) *next = at;
    if (w.told || now < at) return false;
    w.told = true;
    return true;
}

static void tell_hopeless_locked(void)
{
    void (*hopeless)(void *arg) = w.hopeless;
    void *arg = w.hopeless_arg;
    pthread_mutex_unlock(&w.lock);
    log_error("token.hangs", LOG_U("calls", atomic_load(&w.lost)), LOG_U("seconds", w.hang_ns / CLOCK_SECOND_NS),
              LOG_S("meaning", "the PKCS#11 module does not return; only a restart of this program "
                               "gives these threads back"));
    if (hopeless) hopeless(arg);
    pthread_mutex_lock(&w.lock);
}

static uint64_t round_locked(void)
{
    bool grave = false;
    uint64_t now = clock_mono_ns(), next = look_locked(now, &grave);
    if (w.config.sweep) {
        pthread_mutex_unlock(&w.lock);
        uint64_t other = w.config.sweep(w.config.arg, now);
        pthread_mutex_lock(&w.lock);
        if (other < next) next = other;
    }
    if (judge_locked(now, grave, &next)) tell_hopeless_locked();
    return next;
}

static void sleep_until_locked(uint64_t at)
{
    struct timespec t = {.tv_sec = (time_t) (at / CLOCK_SECOND_NS),
                         .tv_nsec = (long) (at % CLOCK_SECOND_NS)};
    pthread_cond_timedwait(&w.wake, &w.lock, &t);
}

/* What began since we looked, a call or a job that was queued, has no earlier deadline than one that begins
 * now. */
static uint64_t shortest_ns(void)
{
    uint64_t crypto = atomic_load(&w.crypto_ns), object = atomic_load(&w.object_ns);
    uint64_t call = crypto < object ? crypto : object, job = P11_JOB_SECONDS * CLOCK_SECOND_NS;
    return call < job ? call : job;
}

static void *watch(void *arg)
{
    SCOPED_LOCK(&w.lock);
    while (!w.stop) {
        uint64_t next = round_locked();
        if (next == UINT64_MAX) {
            /* What begins from here on wakes us; what began before is seen by one more look. */
            atomic_store(&w.armed, false);
            next = round_locked();
            while (next == UINT64_MAX && !w.stop && !atomic_load(&w.armed))
                pthread_cond_wait(&w.wake, &w.lock);
            atomic_store(&w.armed, true);
            if (next == UINT64_MAX) continue;
        }
        if (w.stop) break;
        uint64_t soonest = clock_mono_ns() + shortest_ns();
        sleep_until_locked(next < soonest ? next : soonest);
    }
    return NULL;
}

void watch_arm(void)
{
    if (atomic_load(&w.armed)) return;
    SCOPED_LOCK(&w.lock);
    atomic_store(&w.armed, true);
    pthread_cond_signal(&w.wake);
}

void watch_stalls(bool stalls)
{
    atomic_store(&w.stalls, stalls);
    if (stalls) watch_arm();
}

err_t watch_start(const struct watch_config *config)
{
    pthread_condattr_t monotonic;
    SCOPED_LOCK(&w.lock);
    if (w.running) FAIL(ERR_CONFLICT, "calls are watched already");
    w.config = *config;
    w.crypto_ns = (config->crypto_ms ? config->crypto_ms : P11_CRYPTO_MS) * MS_NS;
    w.object_ns = (config->object_ms ? config->object_ms : P11_OBJECT_MS) * MS_NS;
    w.hang_ns = (config->hang_ms ? config->hang_ms : P11_HANG_SECONDS * 1000) * MS_NS;
    w.wait_ns = config->wait_ms ? config->wait_ms * MS_NS : P11_WAIT_SECONDS * CLOCK_SECOND_NS;
    w.long_ns = (config->long_ms ? config->long_ms : P11_LONG_MS) * MS_NS;
    w.stop = w.told = false;
    w.stalls = false;
    w.hopeless_since = 0;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w.wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&w.thread, NULL, watch, NULL)) {
        pthread_cond_destroy(&w.wake);
        FAIL(ERR_INTERNAL, "cannot start the thread that watches calls to the token");
    }
    w.running = true;
    return ERR_OK;
}

void watch_stop(void)
{
    pthread_mutex_lock(&w.lock);
    bool running = w.running;
    w.stop = true;
    if (running) pthread_cond_signal(&w.wake);
    pthread_mutex_unlock(&w.lock);
    if (!running) return;
    pthread_join(w.thread, NULL);
    SCOPED_LOCK(&w.lock);
    w.running = false;
    atomic_store(&w.armed, true);
    pthread_cond_destroy(&w.wake);
    w.crypto_ns = P11_CRYPTO_MS * MS_NS;
    w.object_ns = P11_OBJECT_MS * MS_NS;
    w.wait_ns = P11_WAIT_SECONDS * CLOCK_SECOND_NS;
    w.long_ns = P11_LONG_MS * MS_NS;
}

void watch_on_hopeless(void (*hopeless)(void *arg), void *arg)
{
    SCOPED_LOCK(&w.lock);
    w.hopeless = hopeless;
    w.hopeless_arg = arg;
}

/* ---- asking ----------------------------------------------------------------------------- */

/* Until its deadline, who lacks a core is not stuck. */
static bool is_stuck(const struct watch_thread *t, uint64_t now)
{
    uint64_t until = atomic_load(&t->until);
    if (!until || now <= atomic_load(&t->since) + P11_STUCK_MS * MS_NS) return false;
    return now >= until || !is_runnable(t);
}

bool watch_loop_stuck(uint64_t now)
{
    static _Atomic uint64_t next_look;
    static atomic_bool stuck;
    uint64_t due = atomic_load_explicit(&next_look, memory_order_relaxed);
    if (now < due || !atomic_compare_exchange_strong(&next_look, &due, now + P11_STUCK_MS * MS_NS / 4))
        return atomic_load_explicit(&stuck, memory_order_relaxed);
    bool found = false;
    unsigned end = atomic_load(&slots_end);
    for (unsigned i = 0; i < end && !found; i++)
        found = atomic_load(&slots[i].here) && is_stuck(&slots[i], now);
    atomic_store(&stuck, found);
    return found;
}

unsigned watch_lost(void)
{
    return atomic_load(&w.lost);
}

uint64_t watch_longest(const char **ret_what)
{
    uint64_t now = clock_mono_ns(), longest = 0;
    unsigned end = atomic_load(&slots_end);
    for (unsigned i = 0; i < end; i++) {
        uint64_t since = atomic_load(&slots[i].since);
        if (!atomic_load(&slots[i].until) || since >= now || now - since <= longest) continue;
        longest = now - since;
        *ret_what = kind_text(slots[i].kind);
    }
    return longest;
}

bool watch_await_calls(unsigned ms)
{
    uint64_t until = clock_mono_ns() + ms * MS_NS;
    struct timespec at = {.tv_sec = (time_t) (until / CLOCK_SECOND_NS),
                          .tv_nsec = (long) (until % CLOCK_SECOND_NS)};
    SCOPED_LOCK(&w.lock);
    while (atomic_load(&w.lost))
        if (pthread_cond_clockwait(&w.fired, &w.lock, CLOCK_MONOTONIC, &at) == ETIMEDOUT) break;
    return !atomic_load(&w.lost);
}

void watch_stats(struct watch_stats *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->lost = watch_lost();
    ret->written_off = atomic_load(&w.written_off);
    unsigned end = atomic_load(&slots_end);
    for (unsigned i = 0; i < end; i++)
        for (unsigned kind = 0; kind < WATCH_WAIT; kind++) {
            for (unsigned b = 0; b < WATCH_BUCKETS; b++)
                ret->took[kind].buckets[b] += atomic_load_explicit(&slots[i].took[kind].buckets[b],
                                                                   memory_order_relaxed);
            ret->took[kind].sum_ns += atomic_load_explicit(&slots[i].took[kind].sum_ns,
                                                           memory_order_relaxed);
        }
}

/* Calls into the module that are under way, and what becomes of those that do not return.
 *
 * PKCS#11 cannot cancel a call. So each call has a deadline, and one thread, the watcher, looks after
 * them: a call that is late has its session written off and its request answered while the thread still
 * hangs in the module. It is counted as lost until it comes back. The watcher sleeps on a condition
 * while no call is under way, and until the next deadline otherwise. A thread that is ready to run at its
 * deadline lacks a core rather than an answer of the token: it has P11_BUSY_MS more.
 *
 * A thread has a slot of its own here. Beginning and ending a call are a few atomic stores. */
#pragma once

#include "broker/base/err.h"

#include <stdatomic.h>
#include <sys/types.h>

enum watch_kind {
    WATCH_CRYPTO, /* cryptography, and reading attributes through a handle */
    WATCH_OBJECT, /* what goes through the token's objects, or opens and closes sessions */
    WATCH_WAIT,   /* no call: waiting for a lock that is held over calls */
    WATCH_LONG,   /* login, making key pairs, stopping and starting the module */
    WATCH_KINDS
};

#define WATCH_BUCKETS 11 /* upper bounds in watch_bounds_ns, and the rest */
extern const uint64_t watch_bounds_ns[WATCH_BUCKETS - 1];

struct p11_pool;

/* What the watcher reads of a thread it reads while that thread is in a late call, and the thread does
 * not leave the call before it is done: so the plain fields need no lock. */
struct watch_thread {
    _Atomic uint64_t until; /* clock_mono_ns: deadline of the call under way; 0: none */
    _Atomic uint64_t since;
    _Atomic int state;      /* of watch.c: whether this call is late */
    _Atomic bool used;
    _Atomic bool here;      /* runs a job where the request is: an event loop */
    _Atomic pid_t tid;      /* as the kernel counts */
    _Atomic bool vital;     /* no other thread can do its work: the token's keeper */
    _Atomic enum watch_kind kind;
    bool patient;           /* cryptography has as long as object calls */
    bool crypto_only;       /* job.c: runs a job that must not wait for objects */
    bool must_move;         /* .. and cannot go on here, */
    bool to_objects;        /* .. but among those that may */
    void (*late)(void *arg); /* once for each late call, by the watcher; NULL: nothing */
    void *arg;
    struct p11_pool *pool;  /* session.c: sessions in this thread's hands, and those written off */
    unsigned held, lost;
    struct {
        _Atomic uint64_t buckets[WATCH_BUCKETS], sum_ns;
    } took[WATCH_WAIT];     /* by kind; only the thread adds, anybody reads */
};

/* This thread's slot. Never NULL: threads beyond WATCH_THREADS share nothing and are not watched. */
struct watch_thread *watch_self(void);

/* Around each call into the module. They do not nest. watch_end returns how long it took, in
 * nanoseconds; when the call was late it first waits for the watcher to be done with it. */
void watch_begin(enum watch_kind kind);
uint64_t watch_end(void);

struct watch_config {
    unsigned crypto_ms, object_ms, long_ms; /* deadlines of one call; 0: the defaults of limits.h */
    unsigned wait_ms;                       /* .. of waiting for others; 0: P11_WAIT_SECONDS */
    unsigned hang_ms; /* how long calls hang before it is hopeless; 0: P11_HANG_SECONDS */
    /* By the watcher, now and then while something is under way: deadlines that are not of calls.
     * Returns the next one, UINT64_MAX: none. */
    uint64_t (*sweep)(void *arg, uint64_t now);
    void *arg;
};

/* One watcher at a time: ERR_CONFLICT. */
err_t watch_start(const struct watch_config *config);
void watch_stop(void);
/* What the watcher does, beyond logging it, when P11_LOST_MAX calls hang for so long, or one of an event loop
 * or a vital thread does, or any while watch_stalls. Who waits counts among them, if any call hangs. NULL: nothing. */
void watch_on_hopeless(void (*hopeless)(void *arg), void *arg);
/* Whether the token cannot be opened again for calls that are under way: then one that hangs is as grave as the
 * keeper's own. */
void watch_stalls(bool stalls);
/* Something has a deadline that only sweep knows of. */
void watch_arm(void);

/* Whether an event loop is in a call for longer than P11_STUCK_MS, and not for want of a core. Looks at most four
 * times as often. */
bool watch_loop_stuck(uint64_t now);

struct watch_stats {
    unsigned lost;          /* calls that are late now */
    uint64_t written_off;   /* calls that were ever late */
    struct {
        uint64_t buckets[WATCH_BUCKETS], sum_ns;
    } took[WATCH_WAIT];
};
void watch_stats(struct watch_stats *ret);
unsigned watch_lost(void);
/* For how long the longest of the calls that are under way is, in nanoseconds, and which kind of call, a static text;
 * 0: none is. Needs no watcher. */
uint64_t watch_longest(const char **ret_what);
/* Waits until no call is late. False: some still are after so long. */
bool watch_await_calls(unsigned ms);

/* session.c: takes this thread's sessions out of the pool's count. By the watcher. */
void pool_write_off(struct watch_thread *t);

/* Submit and complete: work for the token, on threads of its own or at once.
 *
 * With a fast token (SoftHSM answers in microseconds) a job is run by whoever submits it; with a slow one
 * it is queued for a worker, and the connection that waits for it is suspended meanwhile. The latency of
 * the token's cryptography decides (pace.h). Work that goes through the token's objects can take a second
 * whatever the token: it has a queue and a worker of its own, so that it never holds up cryptography.
 *
 * A worker whose call does not return is written off: `late` answers for its job, and another thread takes
 * its place (watch.h). */
#pragma once

#include "broker/base/cleanup.h"
#include "broker/base/err.h"

enum job_kind { JOB_CRYPTO, JOB_OBJECT, JOB_KINDS };

struct job {
    void (*run)(struct job *job);  /* does the work; stores its result in what embeds the job */
    void (*done)(struct job *job); /* after run, for a job that was pending; on the worker */
    /* A call of it is past its deadline. Answers for the job at once, on another thread, while run still
     * goes on; so it touches nothing that run does. Instead of done, `gone` is called when run has come
     * to its end after all. NULL: done is called then, however late. */
    void (*late)(struct job *job);
    void (*gone)(struct job *job);
    enum job_kind kind;
    bool queued;                   /* never where the request is, and never begun again */
    uint64_t deadline;             /* clock_mono_ns; a job still queued then is not run; 0: none */
    bool expired;                  /* set before done when the deadline passed in the queue */
    struct job *next;              /* of the queue */
};

enum job_result { JOB_PENDING, JOB_REFUSED /* queue full, or its workers all hang */ };

struct job_pool;

/* workers 0: every job runs at once. One queue for jobs of any kind. The pool's threads start here. */
err_t job_pool_new(unsigned workers, unsigned queue_max, struct job_pool **ret);

struct token_pool_config {
    unsigned workers;    /* for cryptography; 0: every job runs at once, and no call is given up */
    bool adaptive;       /* cryptography runs at once while the token is fast */
    unsigned queue_max;  /* of each kind */
    unsigned crypto_ms, object_ms; /* deadlines of one call; 0: limits.h */
    unsigned hang_ms;    /* see watch.h; 0: limits.h */
};
/* For the token of this process; one at a time. Calls have deadlines from here on. */
err_t job_pool_new_token(const struct token_pool_config *config, struct job_pool **ret);

/* Runs the job here and returns true, or does not: it belongs on a worker. What it did until it found that
 * out it will do again. The job's memory stays the submitter's and must live until run (here) or done or
 * gone (queued). */
bool job_run_here(struct job_pool *pool, struct job *job);
/* JOB_PENDING or JOB_REFUSED. */
enum job_result job_queue(struct job_pool *pool, struct job *job);
/* Whether `late` may be called for jobs of this pool. */
bool job_pool_gives_up(const struct job_pool *pool);

/* For work: what follows waits for the token's objects (an object call, a lock that is held over some).
 * ERR_BUSY where that must not be, on an event loop or a worker for cryptography: then it has to return at
 * once, and begins again among the jobs of JOB_OBJECT. */
err_t job_moves(void);
/* The same for what waits for a session: false on an event loop, and it begins again on a worker. */
bool job_may_wait(void);
/* What met one of these came to a good end all the same: it is not begun again. */
void job_settled(void);
/* Takes a mutex that is held over calls to the token; waiting for it has a deadline as a call has. */
void job_lock(pthread_mutex_t *m);
#define SCOPED_JOB_LOCK(m)                                                       \
    _cleanup_(cleanup_unlock) pthread_mutex_t *SCOPED_LOCK_NAME(__LINE__) = (m); \
    job_lock(SCOPED_LOCK_NAME(__LINE__))

struct job_stats {
    unsigned waiting;                      /* jobs in queues */
    uint64_t here, queued, refused;        /* jobs by where they began, or that they did not */
    uint64_t expired;                      /* that waited too long */
};
void job_pool_stats(struct job_pool *pool, struct job_stats *ret);
unsigned job_pool_depth(struct job_pool *pool); /* jobs waiting, for metrics */
/* Runs what is queued, then ends the threads. Nothing may be submitted meanwhile, and no call may hang
 * (watch_lost). */
void job_pool_free(struct job_pool *pool);

/* Submit and complete: work for the token, on threads of its own or at once.
 *
 * With a fast token (SoftHSM) a job is run inline by whoever submits it; with a slow one it is
 * queued for a worker, and the connection that waits for it is suspended meanwhile. */
#pragma once

#include "broker/base/err.h"

struct job {
    void (*run)(struct job *job);  /* does the work; stores its result in what embeds the job */
    void (*done)(struct job *job); /* on the worker, after run, for a job that was pending */
    uint64_t deadline;             /* clock_mono_ns; a job still queued then is not run; 0: none */
    bool expired;                  /* set before done when the deadline passed in the queue */
    struct job *next;              /* of the queue */
};

enum job_result { JOB_DONE, JOB_PENDING, JOB_REFUSED /* queue full */ };

struct job_pool;

/* workers 0: every job runs inline. The pool's threads start here. */
err_t job_pool_new(unsigned workers, unsigned queue_max, struct job_pool **ret);
/* The job's memory stays the submitter's and must live until run (inline) or done (pending). */
enum job_result job_submit(struct job_pool *pool, struct job *job);
unsigned job_pool_depth(struct job_pool *pool); /* jobs waiting, for metrics */
/* Runs what is queued, then ends the threads. Nothing may be submitted meanwhile. */
void job_pool_free(struct job_pool *pool);

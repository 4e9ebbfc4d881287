/* Running a call: decide, then work here or on a worker, then finish.
 *
 * Work that goes on a worker of the token's may never come back (pkcs11/watch.h), and the request is to be
 * answered all the same. So it is done by a second call, with what the request brought moved over to it.
 * When it ends in time that one answers. When it is late the first one does, and the second lives on until
 * its work ends. */
#include "broker/api/endpoint.h"

#include "broker/base/clock.h"

static void run_work(struct job *job)
{
    struct call *c = (struct call *) job;
    c->work_error = c->endpoint->work(c);
    if (err_ok(c->work_error)) job_settled(); /* and what it made is not made twice */
    else err_save(c->work_error, &c->chain);
}

static void finish(struct call *c)
{
    struct err e = c->work_error;
    if (c->job.expired) e = ERR_MAKE(ERR_TIMEOUT, "no worker was free in time");
    else if (!err_ok(e)) e = err_load(&c->chain);
    c->endpoint->finish(c, e);
}

static void work_done(struct job *job)
{
    struct call *c = (struct call *) job;
    finish(c);
    call_count_answer(c);
    c->x->resume(c->x);
}

/* ---- a call that works for another ---------------------------------------------------------- */

struct split {
    struct call call;     /* first: a job is cast back to it; its x is `own` while it works */
    struct call *asked;   /* the one that it works for */
    struct exchange own;  /* what the request was, and nobody else's */
};

static void split_free(struct split *w)
{
    secret_free(w->own.req.body);
    buf_free(&w->own.req.public_body);
    response_reset(&w->own.resp); /* of work that could not write its record */
    call_free(w); /* its call lies at its beginning */
}

static void visit_nothing(const struct request *r, const char *name,
                          bool (*visit)(void *arg, const char *value), void *arg)
{
}

static void move_body(struct request *from, struct request *to)
{
    to->body = TAKE_PTR(from->body);
    to->public_body = from->public_body;
    from->public_body = BUF_INIT;
}

/* What of the request lies in the transport's memory is not there for work. */
static void take_request(struct split *w, struct exchange *x)
{
    w->own = (struct exchange){.req = x->req};
    struct request *r = &w->own.req;
    r->path = r->query = span_of(NULL, 0);
    r->certificate = NULL;
    r->each_header = visit_nothing;
    r->transport = NULL;
    move_body(&x->req, r);
    w->call.x = &w->own;
}

static void give_request_back(struct split *w)
{
    w->call.x = w->asked->x;
    move_body(&w->own.req, &w->call.x->req);
}

/* NULL: out of memory, and nothing is moved. */
static struct split *split(struct call *c)
{
    struct split *w = malloc(sizeof *w);
    if (!w) return NULL;
    w->call = *c;
    w->asked = c;
    w->call.counted = false; /* the first one is */
    if (!err_ok(route_parse(c->x->req.path, c->endpoint->prefix, c->x->req.query, &w->call.route))) {
        free(w);
        return NULL;
    }
    if (c->guest) guest_ref(c->guest);
    if (c->policy) release_policy_ref(c->policy);
    c->challenge = (struct attest_challenge){0};
    c->value = NULL;
    c->errors = c->warnings = NULL;
    c->text = BUF_INIT;
    take_request(w, c->x);
    return w;
}

static void answer(struct call *c)
{
    struct exchange *x = c->x;
    call_count_answer(c);
    x->resume(x); /* c may be gone by now */
}

static void split_done(struct job *job)
{
    struct split *w = (struct split *) job;
    struct call *c = w->asked;
    give_request_back(w);
    finish(&w->call);
    split_free(w);
    answer(c);
}

static void split_late(struct job *job)
{
    struct call *c = ((struct split *) job)->asked;
    c->endpoint->finish(c, ERR_MAKE(ERR_TIMEOUT, "the token did not answer in time; what was asked for may "
                                                 "yet be done"));
    answer(c);
}

/* Nobody waits for the answer any more. What an operator has changed after all is recorded all the same. */
static void split_gone(struct job *job)
{
    struct split *w = (struct split *) job;
    const struct endpoint *endpoint = w->call.endpoint;
    bool changed = endpoint->access >= ACCESS_ADMIN_PLUGIN && endpoint->method != HTTP_GET;
    if (changed && err_ok(w->call.work_error)) endpoint->finish(&w->call, ERR_OK);
    response_reset(&w->own.resp);
    split_free(w);
}

static bool queue_split(struct call *c)
{
    struct split *w = split(c);
    if (w) {
        struct job *job = &w->call.job;
        job->done = split_done;
        job->late = split_late;
        job->gone = split_gone;
        if (job_queue(c->pool, job) == JOB_PENDING) return false; /* c may be gone already */
        give_request_back(w);
        split_free(w);
    }
    call_error(c, KBS_UNAVAILABLE, NULL);
    return true;
}

/* ---- every call ------------------------------------------------------------------------------ */

bool call_run(struct call *c)
{
    if (c->endpoint->decide(c)) return true;
    enum work_place place = c->endpoint->place;
    c->job.kind = place == WORK_OBJECTS ? JOB_OBJECT : JOB_CRYPTO;
    c->job.queued = place == WORK_CRYPTO_QUEUED;
    c->job.run = run_work;
    c->job.done = work_done;
    c->job.deadline = clock_mono_ns() + P11_JOB_SECONDS * CLOCK_SECOND_NS;
    if (job_run_here(c->pool, &c->job)) {
        finish(c);
        return true;
    }
    if (job_pool_gives_up(c->pool)) return queue_split(c);
    if (job_queue(c->pool, &c->job) == JOB_PENDING) return false;
    call_error(c, KBS_UNAVAILABLE, NULL);
    return true;
}

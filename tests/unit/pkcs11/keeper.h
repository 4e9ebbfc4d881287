/* The keeper of the token, as a thread of the test: what it told, and how it is waited for. */
#pragma once

#include "tests/unit/pkcs11/token.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static struct {
    bool runs;
    pthread_t thread;
    atomic_int entered[P11_STATE_COUNT]; /* how often each state began */
    atomic_int came_back;
} kept;

static inline struct err came_back(void *arg)
{
    kept.came_back++;
    return ERR_OK;
}

static inline void changed(void *arg, const struct p11_status *now)
{
    kept.entered[now->state]++;
}

static inline void *keep(void *arg)
{
    const struct p11_keeper keeper = {.came_back = came_back, .changed = changed};
    while (p11_await(token)) p11_tend(token, &keeper);
    return NULL;
}

static inline bool has_looked(void)
{
    SCOPED_LOCK(&token->life.lock);
    return token->life.done > 0;
}

static inline void keeper_begin(void)
{
    memset(&kept, 0, sizeof kept);
    token->life.mend_ms = 60000; /* this machine may be slow */
    pthread_create(&kept.thread, NULL, keep, NULL);
    kept.runs = true;
}

/* Of a token that works. */
static inline void keeper_start(void)
{
    token->serialize_all = true; /* see drop_all */
    keeper_begin();
    while (!has_looked()) sched_yield();
}

static inline void keeper_stop(void)
{
    if (!kept.runs) return;
    p11_keep_end(token);
    pthread_join(kept.thread, NULL);
    kept.runs = false;
}

static inline int end(void **state)
{
    keeper_stop();
    return token_gone(state);
}

static inline struct p11_status status(void)
{
    struct p11_status s;
    p11_status(token, &s);
    return s;
}

static inline void await_state(enum p11_state state)
{
    while (status().state != state) sched_yield();
}

/* A handler that keeps an event loop for as long as the test wants: `GET /hold`. */
#pragma once

#include <pthread.h>

#include "peer.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: x\r\n\r\n"

static struct {
    pthread_mutex_t lock;
    pthread_cond_t change;
    unsigned held; /* event loops that /hold keeps in the handler */
    bool let_go;
} hold = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false};

static inline bool holding_serve(void *ctx, struct exchange *x)
{
    if (span_starts(x->req.path, "/hold")) {
        pthread_mutex_lock(&hold.lock);
        hold.held++;
        while (!hold.let_go) pthread_cond_wait(&hold.change, &hold.lock);
        hold.held--;
        pthread_mutex_unlock(&hold.lock);
    }
    return test_serve(ctx, x);
}

static const struct exchange_handler holding_handler = {
    .head = test_head, .serve = holding_serve, .refuse = test_refuse};

static inline unsigned loops_held(void)
{
    SCOPED_LOCK(&hold.lock);
    return hold.held;
}

static inline void let_go(bool yes)
{
    SCOPED_LOCK(&hold.lock);
    hold.let_go = yes;
    pthread_cond_broadcast(&hold.change);
}

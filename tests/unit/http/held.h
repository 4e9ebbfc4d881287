/* A handler that keeps an event loop for as long as the test wants: `GET /hold`; or gives long answers: `GET /long`. */
#pragma once

#include <pthread.h>

#include "peer.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: x\r\n\r\n"

static struct {
    pthread_mutex_t lock;
    pthread_cond_t change;
    unsigned held;        /* event loops that /hold keeps in the handler */
    unsigned came, freed; /* of /hold: all, and those that were let go */
} hold = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0};

static inline bool holding_serve(void *ctx, struct exchange *x)
{
    if (span_starts(x->req.path, "/hold")) {
        SCOPED_LOCK(&hold.lock);
        unsigned mine = hold.came++;
        hold.held++;
        while (mine >= hold.freed) pthread_cond_wait(&hold.change, &hold.lock);
        hold.held--;
    } else if (span_starts(x->req.path, "/long")) {
        fill_text(&x->resp, 200, "");
        if (buf_extend(&x->resp.body, HTTP_TURN_BYTES / 2)) memset(x->resp.body.data, 'x', x->resp.body.len);
        return true;
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

/* The one that has waited longest. */
static inline void let_go(void)
{
    SCOPED_LOCK(&hold.lock);
    hold.freed++;
    pthread_cond_broadcast(&hold.change);
}

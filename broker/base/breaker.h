/* Whether to ask a service that failed of late. Closed: it is asked. Open: after some failures in a row
 * nobody asks for a while. Half open: then one tries, and what comes of that decides.
 *
 * Thread-safe. Times are of clock_mono_ns, given by the caller. */
#pragma once

#include "broker/base/cleanup.h"

enum breaker_state { BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN };

struct breaker {
    unsigned failures_max;        /* in a row that open it */
    uint64_t first_ns, longest_ns; /* how long it stays open; doubled with each failed try */
    pthread_mutex_t lock;         /* guards all below */
    enum breaker_state state;
    unsigned failures;            /* in a row */
    uint64_t wait_ns, until;      /* while not closed */
    uint64_t opened;              /* times that it left closed */
};

void breaker_init(struct breaker *b, unsigned failures_max, unsigned first_ms, unsigned longest_ms);
void breaker_done(struct breaker *b);

enum breaker_pass { BREAKER_REFUSED, BREAKER_PASS, BREAKER_PROBE };
/* What a request was good for; NEITHER when that shows nothing of the service. */
enum breaker_result { BREAKER_GOOD, BREAKER_BAD, BREAKER_NEITHER };

/* Before a request. Whoever gets another answer than REFUSED calls breaker_leave with it, once. */
enum breaker_pass breaker_enter(struct breaker *b, uint64_t now);

/* After it. True when the state changed, which is *ret_state. */
bool breaker_leave(struct breaker *b, enum breaker_pass pass, enum breaker_result result, uint64_t now,
                   enum breaker_state *ret_state);

struct breaker_view {
    enum breaker_state state;
    unsigned wait_s;   /* until somebody may try, rounded up; 0 unless open */
    uint64_t opened;
};
void breaker_look(struct breaker *b, uint64_t now, struct breaker_view *ret);

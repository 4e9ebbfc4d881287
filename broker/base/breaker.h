/* Whether to ask a service that failed of late. Closed: it is asked. Open: nobody asks for a while. Half
 * open: then one tries, and what comes of that decides.
 *
 * Requests are made of what strangers send, who may know how to make one fail. So no number of failed
 * requests opens it: after some in a row, and when half open, one caller asks a question of our own that
 * no stranger has a part in (the neutral question), and that decides alone.
 *
 * Thread-safe. Times are of clock_mono_ns, given by the caller. */
#pragma once

#include "broker/base/cleanup.h"

enum breaker_state { BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN };

struct breaker {
    unsigned failures_max;        /* in a row, after which the neutral question is asked */
    uint64_t first_ns, longest_ns; /* how long it stays open; doubled with each failed try */
    pthread_mutex_t lock;         /* guards all below */
    enum breaker_state state;
    unsigned failures;            /* in a row, failures_max at most */
    bool probing;                 /* somebody asks the neutral question */
    uint64_t wait_ns, until;      /* while not closed */
    uint64_t opened;              /* times that it left closed */
};

void breaker_init(struct breaker *b, unsigned failures_max, unsigned first_ms, unsigned longest_ms);
void breaker_done(struct breaker *b);

enum breaker_pass { BREAKER_REFUSED, BREAKER_PASS, BREAKER_PROBE };
/* What a request was good for; NEITHER when that shows nothing of the service. */
enum breaker_result { BREAKER_GOOD, BREAKER_BAD, BREAKER_NEITHER };
/* ASK: the caller asks the neutral question now, and calls breaker_probed. UP, DOWN: for the log. */
enum breaker_news { BREAKER_NO_NEWS, BREAKER_ASK, BREAKER_UP, BREAKER_DOWN };

/* Before a request. PASS: it may be sent, and breaker_leave is called after it, once. PROBE: first the
 * caller asks the neutral question, and calls breaker_probed; if it was answered, it goes on as with PASS. */
enum breaker_pass breaker_enter(struct breaker *b, uint64_t now);

/* After a request. Never opens it: ASK when it would, and nobody asks yet. */
enum breaker_news breaker_leave(struct breaker *b, enum breaker_result result);

/* After the neutral question. */
enum breaker_news breaker_probed(struct breaker *b, enum breaker_result result, uint64_t now);

struct breaker_view {
    enum breaker_state state;
    unsigned wait_s;   /* until somebody may try, rounded up; 0 unless open */
    uint64_t opened;
};
void breaker_look(struct breaker *b, uint64_t now, struct breaker_view *ret);

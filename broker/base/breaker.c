#include "broker/base/breaker.h"

#include "broker/base/clock.h"

#define MS_NS UINT64_C(1000000)

void breaker_init(struct breaker *b, unsigned failures_max, unsigned first_ms, unsigned longest_ms)
{
    *b = (struct breaker){.failures_max = failures_max, .first_ns = first_ms * MS_NS,
                          .longest_ns = longest_ms * MS_NS};
    pthread_mutex_init(&b->lock, NULL);
}

void breaker_done(struct breaker *b)
{
    pthread_mutex_destroy(&b->lock);
}

enum breaker_pass breaker_enter(struct breaker *b, uint64_t now)
{
    SCOPED_LOCK(&b->lock);
    if (b->state == BREAKER_CLOSED) return BREAKER_PASS;
    if (b->state == BREAKER_HALF_OPEN || now < b->until) return BREAKER_REFUSED;
    b->state = BREAKER_HALF_OPEN;
    return BREAKER_PROBE;
}

static void open_locked(struct breaker *b, uint64_t now)
{
    b->opened += b->state == BREAKER_CLOSED;
    b->state = BREAKER_OPEN;
    b->until = now + b->wait_ns;
}

static void fail_locked(struct breaker *b, enum breaker_pass pass, uint64_t now)
{
    if (pass == BREAKER_PROBE) {
        b->wait_ns = b->wait_ns > b->longest_ns / 2 ? b->longest_ns : b->wait_ns * 2;
        open_locked(b, now);
    } else if (b->state == BREAKER_CLOSED && ++b->failures >= b->failures_max) {
        b->wait_ns = b->first_ns;
        open_locked(b, now);
    }
    /* Otherwise a request of before it opened: it says nothing new. */
}

bool breaker_leave(struct breaker *b, enum breaker_pass pass, enum breaker_result result, uint64_t now,
                   enum breaker_state *ret_state)
{
    SCOPED_LOCK(&b->lock);
    /* For those who read the log, half open is still open. */
    bool was_closed = b->state == BREAKER_CLOSED;
    if (result == BREAKER_BAD) {
        fail_locked(b, pass, now);
    } else if (result == BREAKER_GOOD) {
        b->state = BREAKER_CLOSED;
        b->failures = 0;
    } else if (pass == BREAKER_PROBE && b->state == BREAKER_HALF_OPEN) {
        b->state = BREAKER_OPEN; /* it is past `until`: the next one tries */
    }
    *ret_state = b->state;
    return was_closed != (b->state == BREAKER_CLOSED);
}

void breaker_look(struct breaker *b, uint64_t now, struct breaker_view *ret)
{
    SCOPED_LOCK(&b->lock);
    *ret = (struct breaker_view){.state = b->state, .opened = b->opened};
    if (b->state == BREAKER_OPEN && now < b->until)
        ret->wait_s = (unsigned) ((b->until - now + CLOCK_SECOND_NS - 1) / CLOCK_SECOND_NS);
}

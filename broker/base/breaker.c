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
    if (b->probing || now < b->until) return BREAKER_REFUSED;
    b->state = BREAKER_HALF_OPEN;
    b->probing = true;
    return BREAKER_PROBE;
}

static enum breaker_news close_locked(struct breaker *b)
{
    /* For those who read the log, half open is still open. */
    enum breaker_news news = b->state == BREAKER_CLOSED ? BREAKER_NO_NEWS : BREAKER_UP;
    b->state = BREAKER_CLOSED;
    b->failures = 0;
    return news;
}

enum breaker_news breaker_leave(struct breaker *b, enum breaker_result result)
{
    SCOPED_LOCK(&b->lock);
    if (result == BREAKER_GOOD) return close_locked(b);
    /* Not closed: a request of before it opened, whose failure says nothing new. */
    if (result == BREAKER_NEITHER || b->state != BREAKER_CLOSED) return BREAKER_NO_NEWS;
    if (b->failures < b->failures_max) b->failures++;
    if (b->failures < b->failures_max || b->probing) return BREAKER_NO_NEWS;
    b->probing = true;
    return BREAKER_ASK;
}

static enum breaker_news open_locked(struct breaker *b, uint64_t now)
{
    bool was_closed = b->state == BREAKER_CLOSED;
    if (was_closed && b->failures < b->failures_max) return BREAKER_NO_NEWS; /* a success came in between */
    if (was_closed) b->wait_ns = b->first_ns;
    else b->wait_ns = b->wait_ns > b->longest_ns / 2 ? b->longest_ns : b->wait_ns * 2;
    b->opened += was_closed;
    b->state = BREAKER_OPEN;
    b->until = now + b->wait_ns;
    return was_closed ? BREAKER_DOWN : BREAKER_NO_NEWS;
}

enum breaker_news breaker_probed(struct breaker *b, enum breaker_result result, uint64_t now)
{
    SCOPED_LOCK(&b->lock);
    b->probing = false;
    if (result == BREAKER_GOOD) return close_locked(b);
    if (result == BREAKER_BAD) return open_locked(b, now);
    if (b->state == BREAKER_HALF_OPEN) b->state = BREAKER_OPEN; /* past `until`: the next one tries */
    return BREAKER_NO_NEWS;
}

void breaker_look(struct breaker *b, uint64_t now, struct breaker_view *ret)
{
    SCOPED_LOCK(&b->lock);
    *ret = (struct breaker_view){.state = b->state, .opened = b->opened};
    if (b->state == BREAKER_OPEN && now < b->until)
        ret->wait_s = (unsigned) ((b->until - now + CLOCK_SECOND_NS - 1) / CLOCK_SECOND_NS);
}

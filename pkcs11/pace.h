/* Whether the token is fast or slow, by the latency of its cryptography, with hysteresis.
 *
 * Fast: the moving average is below PACE_SLOW_US. Work then runs where the request is, since handing it
 * to another thread costs more than the work. Slow: work goes to workers. Back to fast when a good part
 * of the calls is below PACE_FAST_US: not the average, since many workers beside each other make a local
 * token look slower than it is. It stays slow for PACE_HOLD_MS at least, and twice as long each time that
 * going back was wrong.
 *
 * Noting a call costs two relaxed atomics while the token is fast. Thread-safe. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pace {
    _Atomic uint64_t average_ns;
    _Atomic unsigned count; /* of calls that the average is of, up to PACE_CALLS */
    atomic_bool slow;
    _Atomic uint64_t changes;
    pthread_mutex_t lock;   /* all below */
    uint64_t changed, hold_ns;
    unsigned seen, quick;   /* of this window, while slow */
};
#define PACE_INIT {.lock = PTHREAD_MUTEX_INITIALIZER}

void pace_note(struct pace *p, uint64_t ns);
static inline bool pace_is_slow(const struct pace *p)
{
    return atomic_load_explicit(&p->slow, memory_order_relaxed);
}
/* A call hangs: slow from now on. */
void pace_stumble(struct pace *p);

/* Of the token of this process: its own module alone is measured. */
extern struct pace token_pace;

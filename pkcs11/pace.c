#include "pkcs11/pace.h"

#include "broker/base/cleanup.h"
#include "broker/base/clock.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"

#define US_NS UINT64_C(1000)
#define MS_NS UINT64_C(1000000)
/* A thread that loses its core in the middle of a call is no slow token: one sample counts for so much, and a
 * very long one, of which two in PACE_CALLS are enough, for so much. */
#define SAMPLE_MAX_NS (4 * PACE_SLOW_US * US_NS)
#define STUMBLE_NS (3 * SAMPLE_MAX_NS)

static uint64_t sample_of(uint64_t ns)
{
    if (ns > PACE_STUMBLE_MS * MS_NS) return STUMBLE_NS;
    return ns < SAMPLE_MAX_NS ? ns : SAMPLE_MAX_NS;
}

struct pace token_pace = PACE_INIT;

static void turn_locked(struct pace *p, bool slow, uint64_t now)
{
    atomic_store(&p->slow, slow);
    atomic_fetch_add(&p->changes, 1);
    p->changed = now;
    p->seen = p->quick = 0;
}

static void to_slow(struct pace *p, uint64_t ns)
{
    uint64_t now = clock_mono_ns();
    {
        SCOPED_LOCK(&p->lock);
        if (atomic_load(&p->slow)) return;
        bool again = p->changed && now - p->changed < 4 * p->hold_ns;
        p->hold_ns = again ? 2 * p->hold_ns : PACE_HOLD_MS * MS_NS;
        if (p->hold_ns > PACE_HOLD_MAX_MS * MS_NS) p->hold_ns = PACE_HOLD_MAX_MS * MS_NS;
        turn_locked(p, true, now);
    }
    log_info("token.slow", LOG_U("call_us", ns / US_NS),
             LOG_S("effect", "with token.workers: auto its work goes to workers"));
}

static void while_slow(struct pace *p, uint64_t ns)
{
    {
        SCOPED_LOCK(&p->lock);
        p->quick += ns < PACE_FAST_US * US_NS;
        if (++p->seen < PACE_WINDOW) return;
        uint64_t now = clock_mono_ns();
        bool fast = p->quick >= PACE_WINDOW / 4 && now - p->changed >= p->hold_ns;
        p->seen = p->quick = 0;
        if (!fast || !atomic_load(&p->slow)) return;
        atomic_store(&p->count, 0);
        atomic_store(&p->average_ns, 0);
        turn_locked(p, false, now);
    }
    log_info("token.fast", LOG_S("effect", "with token.workers: auto its work runs where the request is"));
}

void pace_note(struct pace *p, uint64_t ns)
{
    unsigned n = atomic_load_explicit(&p->count, memory_order_relaxed);
    uint64_t average = atomic_load_explicit(&p->average_ns, memory_order_relaxed);
    uint64_t sample = sample_of(ns);
    if (n < PACE_CALLS) atomic_store_explicit(&p->count, ++n, memory_order_relaxed);
    /* Of two threads at once one may win: it is an average all the same. */
    average = sample > average ? average + (sample - average) / n : average - (average - sample) / n;
    atomic_store_explicit(&p->average_ns, average, memory_order_relaxed);
    if (pace_is_slow(p)) while_slow(p, ns);
    else if (n >= PACE_FIRST && average > PACE_SLOW_US * US_NS) to_slow(p, ns);
}

void pace_stumble(struct pace *p)
{
    if (!pace_is_slow(p)) to_slow(p, PACE_STUMBLE_MS * MS_NS);
}

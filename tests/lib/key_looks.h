/* Waiting until sources of keys have been looked at, for tests of those who use them. */
#pragma once

#include "broker/base/clock.h"
#include "broker/jose/key_source.h"
#include "tests/lib/test.h"

#include <poll.h>

struct key_looks { uint64_t good, bad; };

static inline void key_looks_add(void *arg, const struct key_source_stats *s)
{
    struct key_looks *l = arg;
    l->good += s->refreshes;
    l->bad += s->failures;
}

static inline struct key_looks key_looks(struct key_sources *k)
{
    struct key_looks l = {0};
    key_sources_stats(k, key_looks_add, &l);
    return l;
}

/* Until all of them together were looked at so often, well and in vain. */
static inline void key_looks_await(struct key_sources *k, uint64_t good, uint64_t bad)
{
    uint64_t end = clock_mono_ns() + 60 * CLOCK_SECOND_NS;
    struct key_looks l = key_looks(k);
    for (; l.good < good || l.bad < bad; l = key_looks(k)) {
        if (clock_mono_ns() > end)
            fail_msg("%llu looks went well, %llu did not", (unsigned long long) l.good,
                     (unsigned long long) l.bad);
        poll(NULL, 0, 2);
    }
}

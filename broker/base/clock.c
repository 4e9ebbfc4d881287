#include "broker/base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#ifdef STRONGROOM_TEST
static _Atomic int64_t test_time;
static _Atomic uint64_t test_mono;
void clock_test_set(int64_t unix_seconds) { test_time = unix_seconds; }
void clock_test_mono(uint64_t ns) { test_mono = ns; }
#endif

static struct timespec now(void)
{
    struct timespec t = {0};
#ifdef STRONGROOM_TEST
    if ((t.tv_sec = test_time)) return t;
#endif
    clock_gettime(CLOCK_REALTIME, &t);
    return t;
}

int64_t clock_now_ms(void)
{
    struct timespec t = now();
    return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_now_ns(void)
{
    struct timespec t = now();
    int64_t ns;
    if (__builtin_mul_overflow(t.tv_sec, (int64_t) CLOCK_SECOND_NS, &ns)) return INT64_MAX;
    return ns + t.tv_nsec;
}

int64_t clock_now(void)
{
    return clock_now_ms() / 1000;
}

uint64_t clock_mono_ns(void)
{
    struct timespec t;
#ifdef STRONGROOM_TEST
    uint64_t set = test_mono;
    if (set) return set;
#endif
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t) t.tv_sec * CLOCK_SECOND_NS + (uint64_t) t.tv_nsec;
}

bool clock_take_share(uint64_t *used_ns, unsigned per_second, unsigned burst)
{
    uint64_t share = CLOCK_SECOND_NS / per_second, now = clock_mono_ns(), from = *used_ns > now ? *used_ns : now;
    if (from - now > (burst - 1) * share) return false;
    *used_ns = from + share;
    return true;
}

static struct tm split(int64_t unix_seconds)
{
    time_t t = (time_t) unix_seconds;
    struct tm tm = {0};
    gmtime_r(&t, &tm);
    return tm;
}

const char *clock_rfc3339(int64_t unix_seconds, char out[CLOCK_TEXT])
{
    struct tm tm = split(unix_seconds);
    strftime(out, CLOCK_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return out;
}

const char *clock_imf_fixdate(int64_t unix_seconds, char out[CLOCK_TEXT])
{
    /* By hand, since strftime's %a and %b follow the locale. */
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm = split(unix_seconds);
    snprintf(out, CLOCK_TEXT, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday % 7],
             tm.tm_mday, months[tm.tm_mon % 12], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
             tm.tm_sec);
    return out;
}

/* The one source of time. Tests turn it, in the test build only. Thread-safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t clock_now(void);      /* Unix time, seconds */
int64_t clock_now_ms(void);   /* Unix time, milliseconds */
int64_t clock_now_ns(void);   /* Unix time, nanoseconds; until the year 2262, then its last */
uint64_t clock_mono_ns(void); /* monotonic, nanoseconds; for deadlines and durations */

#define CLOCK_SECOND_NS UINT64_C(1000000000)

/* For what may happen so often a second, and `burst` times (from 1 on) at once: each takes its share of time, and a
 * burst takes it in advance. *used_ns, until when it is used up, is the caller's, under his lock; 0 at first. False:
 * not now, and nothing is taken. */
bool clock_take_share(uint64_t *used_ns, unsigned per_second, unsigned burst);

/* RFC 3339 UTC, "2026-11-24T12:00:00Z"; and IMF-fixdate (RFC 9110 5.6.7) for cookies. */
#define CLOCK_TEXT 40
const char *clock_rfc3339(int64_t unix_seconds, char out[CLOCK_TEXT]);
const char *clock_imf_fixdate(int64_t unix_seconds, char out[CLOCK_TEXT]);

#ifdef STRONGROOM_TEST
void clock_test_set(int64_t unix_seconds); /* 0 gives the real clock back */
void clock_test_mono(uint64_t ns);         /* the same of the monotonic one */
#endif

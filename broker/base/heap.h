/* How the heap of a process that stays is kept. */
#pragma once

#include <malloc.h>

/* glibc puts small chunks that are freed aside, and merges all of them whenever a large one is wanted. Between
 * the session keys that a module in this process holds there are many: with 10,000 of them in use that was a
 * quarter of a release. Without it each is merged as it is freed. At the start; any time is fine. */
static inline void heap_tune(void)
{
    mallopt(M_MXFAST, 0);
}

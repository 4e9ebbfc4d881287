/* Ends sockets whose time is over, from a thread of its own: for a library that does not look at the clock
 * while its peer keeps it busy. Thread-safe. */
#pragma once

#include "broker/base/cleanup.h"

struct watchdog;

/* The thread starts here. stop_at: clock_mono_ns when all of them end, 0: not yet; borrowed. */
err_t watchdog_new(const _Atomic uint64_t *stop_at, struct watchdog **ret);
void watchdog_free(struct watchdog *w); /* NULL-safe; nothing is watched any more */

/* One socket; lives with whoever uses it, between start and end. */
struct watched {
    int fd;          /* -1: nothing yet */
    uint64_t until;  /* clock_mono_ns */
    struct watched *next, **link;
};
void watchdog_start(struct watchdog *w, struct watched *x, uint64_t until);
/* Its socket, once it is known; fd stays the caller's. Without a descriptor left it is not watched. */
void watchdog_socket(struct watchdog *w, struct watched *x, int fd);
void watchdog_end(struct watchdog *w, struct watched *x);

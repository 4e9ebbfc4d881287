/* The time that a stop may take. What a stop waits for may be in a call to the token that hangs, of which no
 * request waits, so that nobody gives it up: a look, a login, the start of the module, the logout at the end.
 *
 * One at a time in a process. */
#pragma once

#include "broker/base/err.h"

/* Unless stop_limit_end comes within so long, a thread calls over(arg), which ends the process. ERR_INTERNAL
 * when no thread can be started. */
err_t stop_limit_start(unsigned ms, void (*over)(void *arg), void *arg);
/* The stop is done. Nothing when none was started. */
void stop_limit_end(void);

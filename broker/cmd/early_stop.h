/* A stop that is asked for while the program starts. A start may hang in the token, and signals are blocked: to
 * die within a login would tear SoftHSM's token.
 *
 * One at a time in a process. */
#pragma once

#include "broker/base/err.h"

/* From now on a thread hears SIGTERM and SIGINT, which the caller has blocked. When early_stop_end does not come
 * within so long after one of them, it calls over(), which ends the process. ERR_INTERNAL when that cannot be
 * begun. */
err_t early_stop_listen(unsigned ms, void (*over)(void));
/* The start is over, and the signals are the caller's again. True: one was heard. */
bool early_stop_end(void);

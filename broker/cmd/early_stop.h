/* A stop that is asked for while the program starts, and word of a start that takes long. It may hang in the token,
 * and signals are blocked: to die within a login would tear SoftHSM's token.
 *
 * One at a time in a process. */
#pragma once

#include "broker/base/err.h"

struct early_stop {
    unsigned stop_ms;    /* a stop may take so long, */
    void (*over)(void);  /* .. which then ends the process */
    unsigned tell_ms;    /* after each so long of a start that nobody stops */
    void (*tell)(void);
};

/* From now on a thread hears SIGTERM and SIGINT, which the caller has blocked, and calls over() when
 * early_stop_end does not come in time after one of them; until one comes it calls tell(). ERR_INTERNAL when that
 * cannot be begun. */
err_t early_stop_listen(const struct early_stop *how);
/* The start is over, and the signals are the caller's again. True: one was heard. */
bool early_stop_end(void);

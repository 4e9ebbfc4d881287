/* Keeps the token up (p11_tend) on a thread of its own, has the store look again when it came back, and
 * tells what happens: one log line and one audit record a change of state (DESIGN 4). */
#pragma once

#include "broker/audit/audit.h"
#include "broker/store/store.h"

struct supervisor;

/* token, store and audit are borrowed. ERR_INTERNAL when no thread can be started. */
err_t supervisor_start(struct p11 *token, struct store *store, struct audit *audit,
                       struct supervisor **ret);
void supervisor_stop(struct supervisor *s); /* ends the thread; NULL-safe */

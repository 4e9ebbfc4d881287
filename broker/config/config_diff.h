/* What changed from one configuration to the next. */
#pragma once

#include "broker/base/buf.h"
#include "broker/config/config.h"

/* Adds the paths of the keys that a reload applies, a blank between them. Thread-safe. */
void config_reloaded_keys(struct buf *ret);

/* Adds the paths of the keys whose values differ and that only a restart applies, a blank between them; nothing
 * when there are none. Values are not shown. Thread-safe, for both are only read. */
void config_restart_keys(const struct config *running, const struct config *fresh, struct buf *ret);

/* A strict, bounded TOML 1.0 reader that gives JSON: for init-data and KBS configurations.
 * (Debian has no TOML library for C.) */
#pragma once

#include "broker/base/buf.h"

/* Appends the document as one JSON object to *ret. Dates and times become strings as written;
 * inf, nan and U+0000 are refused. ERR_USAGE with line, column and what was expected;
 * ERR_TOOLARGE over TOML_MAX_* (limits.h). Pure, thread-safe. TOML 1.0.0 (toml.io/en/v1.0.0). */
err_t toml_to_json(struct span text, struct buf *ret);

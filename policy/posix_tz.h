/* The TZ string of POSIX (XBD 8.3) with RFC 8536's extension, e.g. "CET-1CEST,M3.5.0,M10.5.0/3". */
#pragma once

#include "policy/builtin.h"

bool posix_tz_at(const char *text, size_t len, int64_t unix_seconds, struct builtin_zone *ret);

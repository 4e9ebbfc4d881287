/* Compiled time zones (RFC 8536), from bytes that the host has loaded: which offset holds when. */
#pragma once

#include "policy/builtin.h"

/* False when the bytes are no TZif file of version 2 or later, or are cut or contradictory. Years
 * beyond the file's table follow its footer, a POSIX TZ string. */
bool tzif_zone_at(const uint8_t *data, size_t len, int64_t unix_seconds, struct builtin_zone *ret);

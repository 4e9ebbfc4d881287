/* Case of code points. */
#pragma once

#include <stdint.h>

/* The other case by Unicode's simple mapping; the code point itself when it has none. */
uint32_t rune_upper(uint32_t rune);
uint32_t rune_lower(uint32_t rune);

/* What differs between two texts, line by line, as a unified diff. Pure. */
#pragma once

#include "broker/base/buf.h"

#define LINE_DIFF_EDITS_MAX 1000u /* edits that are looked for; beyond it all that differs is one block */
#define LINE_DIFF_CONTEXT 3u      /* equal lines shown around a change */

/* Appends "--- a_name", "+++ b_name" and the hunks that make b from a, the fewest lines that do unless
 * that takes more than LINE_DIFF_EDITS_MAX edits; nothing when the texts are equal. Names are written
 * as they are. ERR_INTERNAL when out of memory, ERR_TOOLARGE when *out is full. */
err_t line_diff(struct span a, const char *a_name, struct span b, const char *b_name,
                struct buf *out);

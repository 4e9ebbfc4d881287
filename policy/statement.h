/* What the author wrote, on one line. */
#pragma once

#include "policy/checked.h"

struct text;

/* Copies the stretch, white space that holds a newline as one space, comments left out, at most about
 * `max` bytes (then an ellipsis). Control characters become spaces. Nothing when there is no such text. */
void statement_print(struct text *t, const struct checked_program *p, struct checked_span span, size_t max);

/* print() of policies: at log level debug its lines go to the log. */
#pragma once

#include <stddef.h>

#define POLICY_PRINT_LINES 100 /* of one evaluation */

/* For rego_input.print; context is an unsigned, how many lines are left, the last of which says so:
 * POLICY_PRINT_LINES + 1 at first. */
void policy_print_line(void *context, const char *line, size_t len);

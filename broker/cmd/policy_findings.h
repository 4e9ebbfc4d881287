/* What the broker finds wrong with a policy's text, for a person at a terminal. */
#pragma once

#include "broker/cmd/client.h"

/* Of an answer that is not 200: each error as compilers show it, on standard error, with this name for
 * the text; then the error to end with, "WHAT: FILE is refusedEFFECT". Any other refusal is as
 * http_answer_error has it. */
err_t policy_refused(const struct http_answer *answer, const char *what, const char *file,
                     const char *effect);

/* The warnings that came with an answer that is 200, in the same form; nothing when there are none. */
void policy_print_warnings(const struct http_answer *answer, const char *file);

/* The layout of a policy, as `opa fmt` has it in the main: tabs, one expression a line in bodies,
 * single spaces, single blank lines. Comments stay, and so do the author's line breaks elsewhere.
 * What is written parses to the same tree and formats to itself. Pure. */
#pragma once

#include "policy/rego.h"
#include "policy/text.h"

/* Appends the text in order to *to. False, with errors, when it does not parse or the arena of *to
 * is exhausted; *to is then of no use. */
bool rego_format(struct text *to, const struct rego_module *module, struct rego_errors *ret_errors);

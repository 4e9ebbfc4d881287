/* What a compilation found, as compilers tell it: place and sentence, the line with a mark below the
 * place, the way out. Everything is made safe for a terminal. */
#pragma once

#include "policy/rego.h"

#include <stdio.h>

enum policy_severity { POLICY_ERROR, POLICY_WARNING };

/* Of one file: `file` stands for the name that the diagnostics have. */
void policy_report(FILE *out, const char *file, enum policy_severity severity, const struct rego_errors *errors);

/* The same for one diagnostic; file NULL: the name that it has. */
void policy_report_one(FILE *out, const char *file, enum policy_severity severity, const struct rego_error *e);

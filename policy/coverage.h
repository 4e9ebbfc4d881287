/* Which lines of the modules did evaluations reach? Counted as OPA does: the line of an expression when
 * it was evaluated, the line of a head when its rule held. Of the lines that have either; a line with
 * several is covered when one of them is. One thread at a time. */
#pragma once

#include "policy/trace.h"

struct checked_program;
struct coverage;

/* NULL without memory. The program must outlive it. */
struct coverage *coverage_new(const struct checked_program *p);
void coverage_free(struct coverage *c);

/* For rego_input.tracer: adds what the evaluation reaches. Valid as long as the coverage. */
const struct tracer *coverage_tracer(struct coverage *c);

/* Of the module's lines, from 1: is there anything to cover, was it? False beyond the text. */
bool coverage_line(const struct coverage *c, size_t module, unsigned line, bool *ret_covered);
unsigned coverage_lines(const struct coverage *c, size_t module); /* of the text */

struct coverage_count { size_t lines, covered; };
struct coverage_count coverage_count(const struct coverage *c, size_t module);

/* In tenths of a percent, rounded down: 1000 only when all is covered, or nothing is there. */
unsigned coverage_permille(struct coverage_count n);

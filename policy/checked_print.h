/* The checked form as text, for tests and for looking at it: locals are name#number (a made one is
 * #number), everything else as close to Rego as it goes. */
#pragma once

#include "policy/checked.h"
#include "policy/text.h"

void checked_print_term(struct text *t, const struct checked_term *term);
/* Expressions separated by "; ". */
void checked_print_body(struct text *t, const struct checked_body *body);
/* Head, " if " and body, for the rule and its else branches. */
void checked_print_rule(struct text *t, const struct checked_rule *rule);
/* One line for each rule, groups in their order. */
void checked_print_program(struct text *t, const struct checked_program *program);

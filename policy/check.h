/* Checks on the lowered form that make it the checked one. */
#pragma once

#include "policy/compile_context.h"

/* Puts every body into an order in which it is safe to run, or says which variables are unsafe. */
void check_safety(struct compile *c, struct checked_query *queries);

/* Fills *ret_groups with all groups, each behind those it depends on, and numbers them; a group that
 * depends on itself is an error. Returns how many. */
size_t check_recursion(struct compile *c, struct checked_group *const **ret_groups);

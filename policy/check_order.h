/* The order in which the expressions of a body can run. Shared by check_*.c only. */
#pragma once

#include "policy/check_bound.h"

/* Chooses from `left` those that are ready, in their order, again and again as long as that helps (OPA's
 * minimal reordering). Chosen ones are NULL in left afterwards, and what they bind is bound. Returns how
 * many were chosen; chosen may be NULL. */
size_t order_choose(struct checked_expr **left, size_t count, struct bound *b,
                    void (*chosen)(struct checked_expr *e, struct bound *b, void *context), void *context);
/* A copy of the body's expressions to choose from; NULL without memory. */
struct checked_expr **order_list(struct compile *c, const struct checked_body *body);

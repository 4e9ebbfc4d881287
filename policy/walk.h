/* Walking over the checked form. */
#pragma once

#include "policy/checked.h"

/* Called for each mention of a local; false stops the walk. name may be NULL. */
typedef bool walk_local(void *context, uint32_t number, const char *name);

/* All locals in a term, those inside comprehensions included. True when no call said stop. */
bool walk_term_locals(const struct checked_term *t, walk_local *visit, void *context);
bool walk_expr_locals(const struct checked_expr *e, walk_local *visit, void *context);
bool walk_body_locals(const struct checked_body *body, walk_local *visit, void *context);

/* What a body reads of rules and functions: REF and callee are each given or NULL. */
typedef void walk_use(void *context, const struct checked_ref *ref, const struct checked_group *function);

/* All of them, closures included. */
void walk_body_uses(const struct checked_body *body, walk_use *visit, void *context);

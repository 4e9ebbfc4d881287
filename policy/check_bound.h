/* Which locals have a value at a place of a body, and whether an expression could run there. Shared by
 * check_*.c only. */
#pragma once

#include "policy/compile_context.h"

struct bound {
    struct compile *compile;
    uint64_t *bits; /* by number of the local */
    size_t words;
    uint32_t *trail; /* in the order in which they were bound; room for all */
    size_t count;
};

/* Locals that an expression waits for: as long as none of them is bound, it cannot run. */
struct missing {
    uint32_t *at;
    size_t count, cap;
};

/* None is bound yet. False when memory or steps are short. */
bool bound_new(struct compile *c, uint32_t locals, struct bound *ret);
/* The same for the next rule, with the memory of the one before; zeroed at first. */
bool bound_reuse(struct compile *c, uint32_t locals, struct bound *b);
bool bound_has(const struct bound *b, uint32_t number);
void bound_add(struct bound *b, uint32_t number);
/* Forgets what was bound since b->count was this. */
void bound_undo(struct bound *b, size_t count);

/* All locals of the term are bound. m: gets what is missing, or NULL. */
bool term_bound(const struct checked_term *t, const struct bound *b, struct missing *m);
/* Can it run here? A CHECKED_WITH is asked for its replacements only, not for its body. */
bool expr_ready(const struct checked_expr *e, const struct bound *b, struct missing *m);
void missing_add(struct compile *c, struct missing *m, uint32_t number);

/* Binds what running it would bind. */
void bind_term(const struct checked_term *t, struct bound *b);
void bind_list(struct checked_term *const *at, size_t count, struct bound *b);
void bind_expr(const struct checked_expr *e, struct bound *b);

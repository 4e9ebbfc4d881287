/* What one evaluation may still spend. Every statement, loop turn and unit of a builtin's work is
 * a step; amplifiers (ranges, products, powers of sets) charge by the size of their output before
 * they make it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct budget {
    uint64_t steps_left;
    bool spent; /* sticky: some charge was refused; whoever sees it ends the evaluation */
    /* Optional second opinion, asked about every 1024 steps (the host's clock): false ends it. */
    bool (*go_on)(void *context);
    void *context;
    uint64_t next_ask; /* asked again when steps_left falls to this */
};

static inline void budget_init(struct budget *b, uint64_t steps)
{
    *b = (struct budget) { .steps_left = steps };
}

/* Out of line: the refusal and the question to the host. */
bool budget_spend_slow(struct budget *b, uint64_t steps);

/* False when the steps are not there: nothing may be done then. NULL has no limit. */
static inline bool budget_spend(struct budget *b, uint64_t steps)
{
    if (!b) return true;
    if (b->go_on || b->spent || steps > b->steps_left) return budget_spend_slow(b, steps);
    b->steps_left -= steps;
    return true;
}

#include "policy/budget.h"

enum { ASK_EVERY = 1024 };

bool budget_spend_slow(struct budget *b, uint64_t steps)
{
    if (b->spent) return false;
    if (steps > b->steps_left) return b->spent = true, false;
    if (b->next_ask == 0) b->next_ask = b->steps_left > ASK_EVERY ? b->steps_left - ASK_EVERY : 0;
    b->steps_left -= steps;
    if (!b->go_on || b->steps_left > b->next_ask) return true;
    b->next_ask = b->steps_left > ASK_EVERY ? b->steps_left - ASK_EVERY : 0;
    if (b->go_on(b->context)) return true;
    b->spent = true;
    return false;
}

/* What a rule compares with constants: the raw material of its index. Shared by plan_*.c only. */
#pragma once

#include "policy/plan_index.h"
#include "policy/planner.h"

enum { PLAN_GUARDS_MAX = 32 }; /* of one rule; more are not looked at */

/* The rule cannot succeed unless what stands at the path is one of the values. */
struct plan_guard {
    const struct plan_path *path;
    const struct value *const *values;
    size_t count;
    bool late; /* something stands before it in the body that may end the evaluation with an error */
};

struct plan_guards {
    struct plan_guard *at;
    size_t count;
};

/* Those of the rule: of its arguments, and of its body, or what the bodies of all its else branches have
 * in common. They live in the planner's arena. */
void plan_find_guards(struct planner *p, const struct checked_rule *r, struct plan_guards *ret);

bool plan_path_equal(const struct plan_path *x, const struct plan_path *y);

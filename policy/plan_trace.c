/* What a traced plan has more than a fast one: origins of instructions and marks. */
#include "policy/planner.h"

static const struct plan_origin nobody;

static void begin(struct planner *p, struct plan_origin of, enum plan_mark mark)
{
    struct plan_origin *origin = arena_alloc(p->arena, sizeof *origin);
    if (!origin) {
        plan_fail(p, "the policy is too large");
        return;
    }
    *origin = of;
    p->origin = origin;
    plan_emit(p, PLAN_MARK, -1, -1, -1)->flag = (uint8_t) mark;
}

void plan_trace_rule(struct planner *p, const struct checked_rule *r)
{
    if (!p->traced) return;
    if (r) begin(p, (struct plan_origin) { .rule = r }, PLAN_MARK_BODY);
    else p->origin = &nobody;
}

const struct plan_origin *plan_trace_expr(struct planner *p, const struct checked_expr *e)
{
    const struct plan_origin *outer = p->origin;
    if (!p->traced) return NULL;
    begin(p, (struct plan_origin) { .rule = outer->rule, .expr = e, .outer = outer->expr ? outer : NULL },
          PLAN_MARK_EXPR);
    return outer;
}

void plan_trace_end(struct planner *p, const struct plan_origin *outer)
{
    p->origin = outer;
}

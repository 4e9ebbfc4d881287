#include "policy/planner.h"

static bool plan_all(struct planner *p, struct plan *plan)
{
    const struct checked_program *c = p->checked;
    struct plan_unit *groups = arena_alloc_array(p->arena, c->group_count, sizeof *groups);
    struct plan_unit *queries = arena_alloc_array(p->arena, c->query_count, sizeof *queries);
    if (!groups || !queries) return plan_fail(p, "the policy is too large");
    for (size_t i = 0; i < c->group_count; i++) {
        if (!plan_group(p, c->groups[i], &groups[c->groups[i]->number])) return false;
    }
    for (size_t i = 0; i < c->query_count; i++) {
        queries[i].name = c->module_names[c->module_count - c->query_count + i];
        if (!plan_query(p, &c->queries[i], &queries[i])) return false;
    }
    plan->groups = groups;
    plan->queries = queries;
    return true;
}

static const struct plan *make(struct arena *a, const struct checked_program *checked, const struct plan *fast,
                               struct plan_problem *ret_problem)
{
    struct planner p = { .arena = a, .checked = checked, .problem = ret_problem, .traced = fast };
    if (fast) p.patterns = fast->patterns;
    *ret_problem = (struct plan_problem) { 0 };
    struct plan *plan = arena_alloc(a, sizeof *plan);
    if (!plan) {
        plan_fail(&p, "the policy is too large");
        return NULL;
    }
    if (!plan_all(&p, plan)) return NULL;
    plan->checked = checked;
    plan->constants = p.constants;
    plan->constant_count = p.constant_count;
    plan->args = p.args;
    plan->builtins = p.builtins;
    plan->withs = p.withs;
    plan->indexes = p.indexes;
    plan->patterns = p.patterns;
    return plan;
}

const struct plan *plan_make(struct arena *a, const struct checked_program *checked,
                             struct plan_problem *ret_problem)
{
    return make(a, checked, NULL, ret_problem);
}

const struct plan *plan_make_traced(struct arena *a, const struct plan *fast, struct plan_problem *ret_problem)
{
    return make(a, fast->checked, fast, ret_problem);
}

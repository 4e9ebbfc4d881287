/* Bodies and their expressions: calls, closures, with. */
#include "policy/builtin_pattern.h"
#include "policy/planner.h"

/* ---- calls -------------------------------------------------------------------------------------- */

/* Builtins that have an instruction of their own. */
struct own_insn { const char *name; uint8_t flag; };

static const struct own_insn comparisons[] = {
    { "equal", PLAN_EQ }, { "neq", PLAN_NE }, { "lt", PLAN_LT },
    { "lte", PLAN_LE },   { "gt", PLAN_GT },  { "gte", PLAN_GE }, { 0 },
};

static const struct own_insn arithmetic[] = {
    { "plus", PLAN_ADD_INTEGERS }, { "minus", PLAN_SUBTRACT }, { "mul", PLAN_MULTIPLY },
    { "rem", PLAN_REMAINDER },     { 0 },
};

static bool has_own(const struct own_insn *table, const struct builtin *row, uint8_t *ret_flag)
{
    if (!(row->flags & BUILTIN_OPERATOR)) return false;
    for (; table->name; table++) {
        if (strcmp(row->name, table->name) != 0) continue;
        *ret_flag = table->flag;
        return true;
    }
    return false;
}

bool plan_compares(const struct builtin *row)
{
    uint8_t flag = 0;
    return row && (has_own(comparisons, row, &flag) || strcmp(row->name, "internal.member_2") == 0);
}

/* The slot of a call's result: that of the variable which it binds, when it is one. */
static int32_t result_slot(struct planner *p, const struct checked_term *output)
{
    if (!output || output->kind != CHECKED_LOCAL || plan_bound(p, output)) return plan_slot(p);
    return p->local_base + (int32_t) output->local.number;
}

/* What happens to a result: it is tested, or unified with the output. */
static bool result(struct planner *p, const struct checked_term *output, int32_t slot)
{
    if (output) return plan_match(p, output, slot);
    plan_emit(p, PLAN_TRUE, -1, slot, -1);
    return !p->failed;
}

static bool plan_compare(struct planner *p, uint8_t compare, const int32_t *args,
                         const struct checked_term *output)
{
    if (!output) {
        enum plan_op op = compare == PLAN_EQ ? PLAN_EQUAL : PLAN_COMPARE;
        plan_emit(p, op, -1, args[0], args[1])->flag = compare;
        return !p->failed;
    }
    int32_t slot = result_slot(p, output);
    plan_emit(p, PLAN_COMPARED, slot, args[0], args[1])->flag = compare;
    return result(p, output, slot);
}

/* A pattern that is a constant is compiled now. One that is wrong is told when it is used, as in OPA. */
static void prepare_pattern(struct planner *p, const struct builtin *row, const int32_t *args)
{
    const struct pattern_use *use = pattern_use_of(row);
    const struct value *values[BUILTIN_ARGS_MAX] = { 0 };
    if (!use || p->failed || p->pattern_count == PLAN_PATTERNS_MAX) return;
    for (size_t i = 0; i < row->arity; i++)
        if (args[i] < 0) values[i] = p->constants[~args[i]];
    for (size_t i = 0; i < use->count; i++)
        if (!values[use->operands[i]]) return;
    p->pattern_count += pattern_prepare(p->arena, &p->patterns, use, values);
}

static bool call_builtin(struct planner *p, const struct builtin *row, const int32_t *args, size_t count,
                         const struct checked_term *output)
{
    uint8_t flag = 0;
    if (count == 2 && has_own(comparisons, row, &flag)) return plan_compare(p, flag, args, output);
    if (count == 2 && !output && strcmp(row->name, "internal.member_2") == 0) {
        plan_emit(p, PLAN_MEMBER, -1, args[0], args[1]);
        return !p->failed;
    }
    if (count > BUILTIN_ARGS_MAX) return plan_fail(p, "%s with %zu operands", row->name, count);
    prepare_pattern(p, row, args);
    int32_t first = plan_args(p, args, count);
    bool silent = row->flags & BUILTIN_NO_RESULT;
    int32_t slot = row->flags & BUILTIN_RELATION ? plan_slot(p) : result_slot(p, output);
    enum plan_op op = silent ? PLAN_PRINT : count == 2 && has_own(arithmetic, row, &flag) ? PLAN_ARITHMETIC : PLAN_BUILTIN;
    struct plan_insn *insn = plan_emit(p, op, slot, plan_builtin(p, row), first);
    insn->count = (uint16_t) count;
    insn->flag = flag;
    if (silent) return !p->failed;
    if (row->flags & BUILTIN_RELATION) {
        int32_t solution = plan_slot(p);
        plan_loop(p, slot, -1, solution);
        slot = solution;
    }
    return result(p, output, slot);
}

static bool plan_call(struct planner *p, const struct checked_expr *e)
{
    size_t count = e->call.count;
    int32_t *args = plan_scratch(p, count);
    for (size_t i = 0; i < count && !p->failed; i++) args[i] = plan_term(p, e->call.args[i]);
    if (p->failed) return false;
    if (e->call.callee.builtin)
        return call_builtin(p, e->call.callee.builtin, args, count, e->call.output);
    int32_t first = plan_args(p, args, count);
    int32_t slot = result_slot(p, e->call.output);
    int32_t group = (int32_t) e->call.callee.function->number;
    plan_emit(p, PLAN_CALL, slot, group, first)->count = (uint16_t) count;
    return result(p, e->call.output, slot);
}

/* ---- closures ----------------------------------------------------------------------------------- */

/* What a closure changes and gives back. */
struct scope { plan_label otherwise; uint32_t loops; size_t bound; };

static struct scope enter(struct planner *p, plan_label otherwise)
{
    struct scope outer = { p->otherwise, p->loops, p->trail_count };
    p->otherwise = otherwise;
    p->loops = 0;
    return outer;
}

static void leave(struct planner *p, struct scope outer)
{
    plan_unbind(p, outer.bound);
    p->otherwise = outer.otherwise;
    p->loops = outer.loops;
}

static bool plan_not(struct planner *p, const struct checked_body *body)
{
    plan_label holds = plan_label_new(p);
    struct scope outer = enter(p, holds);
    plan_body(p, body);
    plan_fail_here(p, outer.otherwise);
    plan_label_here(p, holds);
    leave(p, outer);
    return !p->failed;
}

/* A slot of its own for a variable that a loop binds; -1 for none. */
static int32_t own_slot(struct planner *p, const struct checked_term *local)
{
    if (!local) return -1;
    int32_t slot = p->local_base + (int32_t) local->local.number;
    plan_bind(p, local->local.number, slot);
    return slot;
}

static bool plan_every(struct planner *p, const struct checked_expr *e)
{
    int32_t domain = plan_term(p, e->every.domain);
    int32_t iterator = (int32_t) plan_iterator(p);
    plan_label next = plan_label_new(p), after = plan_label_new(p);
    plan_emit(p, PLAN_ITERATE, iterator, domain, -1);
    plan_label_here(p, next);
    struct scope outer = enter(p, p->otherwise);
    int32_t key = own_slot(p, e->every.key), value = own_slot(p, e->every.value);
    plan_emit(p, PLAN_NEXT, iterator, key, value)->to = (int32_t) after;
    plan_body(p, &e->every.body);
    plan_jump(p, next); /* one solution for each turn is enough */
    plan_label_here(p, after);
    leave(p, outer);
    return !p->failed;
}

int32_t plan_comprehension(struct planner *p, const struct checked_comprehension *c)
{
    static const uint8_t kinds[] = {
        [CHECKED_ARRAY_OF] = VALUE_ARRAY, [CHECKED_SET_OF] = VALUE_SET, [CHECKED_OBJECT_OF] = VALUE_OBJECT,
    };
    struct checked_place place = p->place;
    int32_t builder = (int32_t) plan_builder(p);
    plan_emit(p, PLAN_BUILD, builder, -1, -1)->flag = kinds[c->kind];
    plan_label end = plan_label_new(p);
    struct scope outer = enter(p, end);
    plan_body(p, &c->body);
    if (c->kind == CHECKED_OBJECT_OF) {
        int32_t key = plan_term(p, c->key);
        int32_t value = plan_term(p, c->term);
        plan_emit(p, PLAN_PUT, builder, key, value);
    } else {
        int32_t member = plan_term(p, c->term);
        plan_emit(p, PLAN_ADD, builder, member, -1);
    }
    plan_jump(p, p->otherwise);
    plan_label_here(p, end);
    leave(p, outer);
    p->place = place;
    int32_t slot = plan_slot(p);
    plan_emit(p, PLAN_BUILT, slot, builder, -1);
    return slot;
}

/* ---- with --------------------------------------------------------------------------------------- */

/* Replacements in force; their values are evaluated before any of them holds. */
static void begin_with(struct planner *p, const struct checked_expr *e)
{
    size_t count = e->with.count;
    int32_t *values = plan_scratch(p, count);
    for (size_t i = 0; i < count && !p->failed; i++) {
        const struct checked_with *w = &e->with.at[i];
        values[i] = w->value ? plan_term(p, w->value) : plan_constant(p, value_null());
    }
    if (p->failed) return;
    int32_t first = plan_args(p, values, count), which = (int32_t) p->with_count;
    for (size_t i = 0; i < count; i++) {
        if (p->with_count == p->with_cap) {
            void *grown = arena_grow(p->arena, p->withs, p->with_count, &p->with_cap, sizeof *p->withs);
            if (!grown) {
                plan_fail(p, "the policy is too large");
                return;
            }
            p->withs = grown;
        }
        p->withs[p->with_count++].of = &e->with.at[i];
    }
    plan_emit(p, PLAN_WITH, -1, which, first)->count = (uint16_t) count;
}

/* The body has loops: a turn taken later would run outside of the replacements. So its solutions are
 * collected within, each an array of the locals it bound, and what follows ranges over them. */
static void collect(struct planner *p, int32_t builder, plan_label failed, struct scope outer)
{
    const uint32_t *locals = p->trail + outer.bound;
    size_t count = p->trail_count - outer.bound;
    int32_t *operands = plan_scratch(p, count);
    if (p->failed) return;
    for (size_t i = 0; i < count; i++) operands[i] = p->where[locals[i]];
    int32_t first = plan_args(p, operands, count), solution = plan_slot(p), all = plan_slot(p);
    plan_emit(p, PLAN_ARRAY, solution, -1, first)->count = (uint16_t) count;
    plan_emit(p, PLAN_ADD, builder, solution, -1);
    plan_jump(p, p->otherwise);
    plan_label_here(p, failed);
    p->otherwise = outer.otherwise;
    p->loops = outer.loops;
    plan_emit(p, PLAN_WITH_END, -1, -1, -1);
    plan_emit(p, PLAN_BUILT, all, builder, -1);
    plan_loop(p, all, -1, solution);
    for (size_t i = 0; i < count; i++) {
        int32_t slot = p->local_base + (int32_t) locals[i];
        plan_emit(p, PLAN_AT, slot, solution, -1)->count = (uint16_t) i;
        p->where[locals[i]] = slot;
    }
}

static bool plan_with_body(struct planner *p, const struct checked_expr *e)
{
    begin_with(p, e);
    int32_t builder = (int32_t) plan_builder(p);
    size_t build = p->length;
    plan_emit(p, PLAN_BUILD, builder, -1, -1)->flag = VALUE_ARRAY;
    plan_label failed = plan_label_new(p);
    struct scope outer = enter(p, failed);
    plan_body(p, &e->with.body);
    if (p->failed) return false;
    if (p->loops > 0) {
        collect(p, builder, failed, outer);
        return !p->failed;
    }
    p->code[build].op = PLAN_NOP;
    plan_label after = plan_label_new(p);
    plan_emit(p, PLAN_WITH_END, -1, -1, -1);
    plan_jump(p, after);
    plan_label_here(p, failed);
    p->otherwise = outer.otherwise;
    p->loops = outer.loops;
    plan_emit(p, PLAN_WITH_END, -1, -1, -1);
    plan_jump(p, p->otherwise);
    plan_label_here(p, after);
    return !p->failed;
}

/* ---- bodies ------------------------------------------------------------------------------------- */

static bool expr_code(struct planner *p, const struct checked_expr *e)
{
    switch (e->kind) {
    case CHECKED_TEST: {
        if (e->test->kind == CHECKED_CONST && value_truthy(e->test->value)) return true;
        int32_t operand = plan_term(p, e->test);
        plan_emit(p, PLAN_TRUE, -1, operand, -1);
        return !p->failed;
    }
    case CHECKED_UNIFY: return plan_unify(p, e->unify.left, e->unify.right);
    case CHECKED_CALL: return plan_call(p, e);
    case CHECKED_NOT: return plan_not(p, &e->negated);
    case CHECKED_EVERY: return plan_every(p, e);
    case CHECKED_WITH: return plan_with_body(p, e);
    }
    return plan_fail(p, "an unknown kind of expression");
}

static void plan_expr(struct planner *p, const struct checked_expr *e)
{
    p->place = e->place;
    const struct plan_origin *outer = plan_trace_expr(p, e);
    expr_code(p, e);
    plan_trace_end(p, outer);
}

bool plan_body(struct planner *p, const struct checked_body *body)
{
    if (p->depth >= PLAN_DEPTH_MAX) plan_fail(p, "bodies nest too deeply");
    p->depth++;
    for (size_t i = 0; i < body->count && !p->failed; i++) plan_expr(p, body->at[i]);
    p->depth--;
    return !p->failed;
}

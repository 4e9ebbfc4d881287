/* The loop that tells a tracer of every step. It runs the same instructions as the fast one, on the plan
 * that shows whose they are. */
#include "policy/machine.h"
#include "policy/trace.h"

/* What a failing instruction means; -1: nothing, it only steers. */
static const int8_t reasons[PLAN_OPS] = {
    [PLAN_NOP] = -1,
    [PLAN_MOVE] = -1,
    [PLAN_JUMP] = TRACE_NEVER,
    [PLAN_TRUE] = TRACE_NOT_TRUE,
    [PLAN_EQUAL] = TRACE_UNEQUAL,
    [PLAN_COMPARE] = TRACE_COMPARED,
    [PLAN_COMPARED] = -1,
    [PLAN_ITERATE] = TRACE_NO_COLLECTION,
    [PLAN_NEXT] = TRACE_TURNS_OVER,
    [PLAN_GET] = TRACE_NO_MEMBER,
    [PLAN_ARRAY_OF] = TRACE_SHAPE,
    [PLAN_OBJECT_OF] = TRACE_SHAPE,
    [PLAN_MEMBER] = TRACE_NOT_IN,
    [PLAN_BUILTIN] = TRACE_PROBLEM,
    [PLAN_ARITHMETIC] = TRACE_PROBLEM,
    [PLAN_WHEN_SET] = -1,
    [PLAN_WHEN_RESULT] = -1,
    [PLAN_INSERT_MISSING] = -1,
    /* all others: TRACE_UNDEFINED */
};

static void tell(struct vm *vm, struct trace_event *e, const struct vm_frame *f)
{
    ptrdiff_t group = f->unit - vm->plan->groups;
    e->unit = f->unit;
    e->vm = vm;
    e->frame = f;
    if (f->unit->kind != PLAN_UNIT_QUERY) e->group = vm->plan->checked->groups[group];
    if (e->kind != TRACE_ENTER && e->kind != TRACE_LEAVE) {
        e->insn = f->insn;
        e->origin = f->unit->origins[f->insn - f->unit->code];
    }
    vm->tracer->event(vm->tracer->context, e);
}

static const struct checked_expr *expr_of(const struct vm_frame *f)
{
    return f->unit->origins[f->insn - f->unit->code]->expr;
}

/* Loops of the machine's own: `every` ends well when its turns are over; behind a `with` its solutions
 * are gone through, and that there was none has been told already. */
static bool is_own_loop(const struct vm_frame *f)
{
    const struct checked_expr *expr = expr_of(f);
    return expr && (expr->kind == CHECKED_EVERY || expr->kind == CHECKED_WITH);
}

static void tell_failed(struct vm *vm, const struct vm_frame *f, const struct plan_insn *i)
{
    if (reasons[i->op] < 0 || (i->op == PLAN_JUMP && !i->flag)) return;
    struct trace_event e = { .kind = TRACE_FAILED, .reason = (enum trace_reason) reasons[i->op] };
    const struct checked_expr *expr = expr_of(f);
    switch (i->op) {
    case PLAN_NEXT:
        if (is_own_loop(f)) return;
        e.turns = f->iterators[i->a].at;
        break;
    case PLAN_JUMP:
        if (expr && expr->kind == CHECKED_NOT) e.reason = TRACE_NEGATED;
        break;
    case PLAN_BUILTIN:
    case PLAN_ARITHMETIC:
        if (vm->call->problem == BUILTIN_FINE) e.reason = TRACE_UNDEFINED;
        e.problem = vm->call->text;
        break;
    case PLAN_EQUAL:
    case PLAN_COMPARE:
    case PLAN_GET:
    case PLAN_MEMBER: e.right = vm_operand(vm, f, i->c); /* fallthrough */
    case PLAN_TRUE:
    case PLAN_ITERATE:
    case PLAN_ARRAY_OF:
    case PLAN_OBJECT_OF: e.left = vm_operand(vm, f, i->b);
    }
    tell(vm, &e, f);
}

/* The unit's own result, as against the members of a comprehension. */
static void tell_held(struct vm *vm, const struct vm_frame *f, const struct plan_insn *i)
{
    const struct plan_origin *origin = f->unit->origins[i - f->unit->code];
    if (!origin->rule || origin->expr) return;
    if (i->op != PLAN_RESULT && i->op != PLAN_ADD && i->op != PLAN_INSERT && i->op != PLAN_INSERT_MISSING) return;
    tell(vm, &(struct trace_event) { .kind = TRACE_HELD, .value = vm_operand(vm, f, i->b) }, f);
}

static void tell_mark(struct vm *vm, const struct vm_frame *f, const struct plan_insn *i)
{
    tell(vm, &(struct trace_event) { .kind = i->flag == PLAN_MARK_BODY ? TRACE_BODY : TRACE_EXPR }, f);
}

static bool run(struct vm *vm, struct vm_frame *f)
{
    for (const struct plan_insn *i = f->unit->code, *next = NULL; i; i = next) {
        f->insn = i;
        if (i->op == PLAN_MARK) tell_mark(vm, f, i);
        vm->call->problem = BUILTIN_FINE;
        vm->call->text[0] = '\0';
        next = vm_step(vm, f, i);
        if (next == i + 1) tell_held(vm, f, i);
        else if (next) tell_failed(vm, f, i);
    }
    return vm->status == VM_FINE;
}

bool vm_trace_run(struct vm *vm, struct vm_frame *f)
{
    const struct plan_unit *u = f->unit;
    /* Nobody may find what earlier frames left behind. */
    memset(f->slots + u->arity, 0, (u->slots - u->arity) * sizeof *f->slots);
    memset(f->iterators, 0, u->iterators * sizeof *f->iterators);
    tell(vm, &(struct trace_event) { .kind = TRACE_ENTER }, f);
    return run(vm, f);
}

void vm_trace_leave(struct vm *vm, const struct vm_frame *f, const struct value *v)
{
    tell(vm, &(struct trace_event) { .kind = TRACE_LEAVE, .value = v }, f);
}

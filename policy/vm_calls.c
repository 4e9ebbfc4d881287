/* Calls of functions and builtins, and what `with` puts in their place. */
#include "policy/machine.h"

enum { BUILTIN_WEIGHT_STEP = 64 }; /* most builtins look at a part of their operands only */

static const struct vm_mock *mock_of(const struct vm *vm, const struct checked_group *g, const struct builtin *row)
{
    for (const struct vm_mock *m = vm->scope->mocks; m; m = m->next) {
        const struct checked_callee *target = &m->of->target;
        if (g ? target->function == g : target->builtin == row) return m;
    }
    return NULL;
}

static const char *problem_code(enum builtin_problem problem)
{
    return problem == BUILTIN_TYPE_ERROR ? "eval_type_error"
           : problem == BUILTIN_CONFLICT ? "eval_conflict_error"
                                         : "eval_builtin_error";
}

static const struct value *builtin_failed(struct vm *vm, const struct vm_frame *f)
{
    struct builtin_call *call = vm->call;
    if (call->problem == BUILTIN_HALT) return vm_limit(vm, call->text), NULL; /* the call outlives the result */
    if (call->problem != BUILTIN_CONFLICT && (!vm->strict || vm->builtin_code)) return NULL;
    const char *text = arena_copy(call->arena, call->text, strlen(call->text));
    if (!text) return vm_spent(vm), NULL;
    if (call->problem == BUILTIN_CONFLICT) return vm_error(vm, f, problem_code(call->problem), text), NULL;
    vm->builtin_code = problem_code(call->problem);
    vm->builtin_text = text;
    vm->builtin_place = f->unit->places[f->insn - f->unit->code];
    return NULL;
}

/* NULL: undefined, or the evaluation ended. */
static const struct value *run_builtin(struct vm *vm, const struct vm_frame *f, const struct builtin *row,
                                       const struct value *const *args)
{
    /* Builtins charge for what they make; this is for what they read. */
    uint64_t weight = 0;
    for (unsigned i = 0; i < row->arity; i++) weight += value_weight(args[i]);
    if (weight >= BUILTIN_WEIGHT_STEP && !vm_spend(vm, weight / BUILTIN_WEIGHT_STEP)) return NULL;
    const struct value *v = builtin_run(vm->call, row, args);
    return v || vm->call->problem == BUILTIN_FINE ? v : builtin_failed(vm, f);
}

/* What stands in for the function runs without any replacements of functions: so f may be replaced
 * by something that calls f. */
static const struct value *run_mock(struct vm *vm, const struct vm_frame *f, const struct vm_mock *m,
                                    const struct value *const *args)
{
    const struct checked_callee *by = &m->of->by;
    if (!by->builtin && !by->function) return m->value;
    struct vm_scope *scope = vm_scope_push(vm);
    if (!scope) return NULL;
    scope->mocks = NULL;
    const struct value *v = by->builtin ? run_builtin(vm, f, by->builtin, args)
                                        : vm_unit(vm, &vm->plan->groups[by->function->number], args);
    vm->scope = scope->outer;
    return v;
}

static const struct value **arguments(struct vm *vm, const struct vm_frame *f, const struct plan_insn *i,
                                      const struct value **few, size_t room)
{
    const struct value **args = i->count <= room ? few : arena_alloc_array(vm_arena(vm), i->count, sizeof *args);
    for (size_t n = 0; args && n < i->count; n++) args[n] = vm_operand(vm, f, vm->plan->args[i->c + (int32_t) n]);
    if (!args) vm_spent(vm);
    return args;
}

const struct plan_insn *vm_call(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    const struct value *few[8];
    const struct value **args = arguments(vm, f, i, few, sizeof few / sizeof few[0]);
    if (!args) return VM_HALT;
    const struct vm_mock *m =
        vm->scope->mocks ? mock_of(vm, vm->plan->checked->groups[i->b], NULL) : NULL;
    const struct value *v = m ? run_mock(vm, f, m, args) : vm_unit(vm, &vm->plan->groups[i->b], args);
    return vm_store(vm, f, i, v);
}

const struct plan_insn *vm_builtin(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    const struct value *args[BUILTIN_ARGS_MAX];
    const struct builtin *row = vm->plan->builtins[i->b];
    for (size_t n = 0; n < i->count; n++) args[n] = vm_operand(vm, f, vm->plan->args[i->c + (int32_t) n]);
    const struct vm_mock *m = vm->scope->mocks ? mock_of(vm, NULL, row) : NULL;
    return vm_store(vm, f, i, m ? run_mock(vm, f, m, args) : run_builtin(vm, f, row, args));
}

/* Of integers of 64 bits; false: it is something else, or does not fit. */
static bool integers(uint8_t op, int64_t x, int64_t y, int64_t *ret)
{
    switch (op) {
    case PLAN_ADD_INTEGERS: return !__builtin_add_overflow(x, y, ret);
    case PLAN_SUBTRACT: return !__builtin_sub_overflow(x, y, ret);
    case PLAN_MULTIPLY: return !__builtin_mul_overflow(x, y, ret);
    default:
        if (y == 0 || y == -1) return false;
        *ret = x % y;
        return true;
    }
}

const struct plan_insn *vm_arithmetic(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    const int32_t *args = vm->plan->args + i->c;
    const struct value *x = vm_operand(vm, f, args[0]), *y = vm_operand(vm, f, args[1]);
    int64_t result = 0;
    bool quick = x->kind == VALUE_NUMBER && y->kind == VALUE_NUMBER && num_is_int(x->number) && num_is_int(y->number)
                 && !vm->scope->mocks && integers(i->flag, x->number.i, y->number.i, &result);
    if (!quick) return vm_builtin(vm, f, i);
    if (!vm_spend(vm, 1)) return VM_HALT;
    return vm_store_made(vm, f, i, value_int(vm_arena(vm), result));
}

const struct plan_insn *vm_print(struct vm *vm, struct vm_frame *f, const struct plan_insn *i)
{
    const struct value *args[BUILTIN_ARGS_MAX];
    for (size_t n = 0; n < i->count; n++) args[n] = vm_operand(vm, f, vm->plan->args[i->c + (int32_t) n]);
    run_builtin(vm, f, vm->plan->builtins[i->b], args);
    return vm->status == VM_FINE ? i + 1 : VM_HALT;
}

#include "policy/rego.h"

#include "policy/arena.h"
#include "policy/builtin.h"
#include "policy/compile.h"
#include "policy/errors.h"
#include "policy/plan.h"
#include "policy/vm.h"

#include <stdlib.h>

enum {
    PROGRAM_BYTES = 64 << 20,
    RUN_BYTES = 32 << 20,
    STEPS_DEFAULT = 1000 * 1000,
};

/* Everything lies in the arena, the program itself too. */
struct rego_program {
    struct arena *arena;
    const struct builtin_host *host;
    const struct plan *plan;
    const struct plan *traced; /* NULL unless asked for */
    size_t stack_words;
};

struct rego_run {
    const struct rego_program *program;
    struct arena *arena;
    uint64_t *stack;
    size_t stack_words;
    struct builtin_call call; /* of the evaluation; here because of its size */
};

/* ---- compiling ---------------------------------------------------------------------------------- */

static bool copy_modules(struct arena *a, const struct rego_module *modules, size_t count,
                         struct rego_module *ret)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = modules[i].name ? modules[i].name : "";
        ret[i].name = arena_copy(a, name, strlen(name));
        ret[i].text = arena_copy(a, modules[i].text, modules[i].len);
        ret[i].len = modules[i].len;
        if (!ret[i].name || !ret[i].text) return false;
    }
    return true;
}

static void refuse_plan(const struct checked_program *checked, const struct plan_problem *problem,
                        struct rego_errors *errors)
{
    const char *name = problem->module < checked->module_count ? checked->module_names[problem->module] : "";
    const struct rego_source source = { .name = name, .text = "" };
    const struct rego_span at = { .line = problem->line, .column = problem->column };
    rego_error_add(errors, REGO_COMPILE_ERROR, &source, &at, "%s", problem->text);
}

/* Fills p's plans. */
static bool compile(struct rego_program *p, const struct rego_module *modules, size_t count,
                    const struct rego_options *o, struct rego_errors *errors)
{
    struct arena *a = p->arena;
    const struct compile_options options = {
        .host = o->host,
        .allow_refused = o->allow_refused,
        .queries = o->queries,
        .query_count = o->query_count,
    };
    struct rego_module *copies = arena_alloc_array(a, count, sizeof *copies);
    const struct checked_program *checked = NULL;
    if (copies && copy_modules(a, modules, count, copies))
        checked = compile_modules(a, copies, count, &options, errors);
    if (!checked) {
        if (!errors->count)
            rego_error_add(errors, REGO_COMPILE_ERROR, NULL, NULL, "the policy needs too much memory");
        return false;
    }
    struct plan_problem problem = { 0 };
    p->plan = plan_make(a, checked, &problem);
    if (p->plan && o->traced) p->traced = plan_make_traced(a, p->plan, &problem);
    if (p->plan && (p->traced || !o->traced)) return true;
    refuse_plan(checked, &problem, errors);
    return false;
}

static size_t stack_words(const struct rego_program *p)
{
    size_t fast = vm_stack_words(p->plan), traced = p->traced ? vm_stack_words(p->traced) : 0;
    return fast > traced ? fast : traced;
}

struct rego_program *rego_compile(const struct rego_module *modules, size_t count,
                                  const struct rego_options *options, struct rego_errors *ret_errors)
{
    const struct rego_options none = { 0 };
    if (!options) options = &none;
    *ret_errors = (struct rego_errors) { 0 };
    struct arena *a = arena_new(options->arena_bytes ? options->arena_bytes : PROGRAM_BYTES);
    struct rego_program *p = a ? arena_alloc(a, sizeof *p) : NULL;
    if (p) *p = (struct rego_program) { .arena = a, .host = options->host };
    if (!p || !compile(p, modules, count, options, ret_errors)) {
        if (!p) rego_error_add(ret_errors, REGO_COMPILE_ERROR, NULL, NULL, "out of memory");
        arena_free(a);
        return NULL;
    }
    p->stack_words = stack_words(p);
    return p;
}

const struct checked_program *rego_program_checked(const struct rego_program *p)
{
    return p->plan->checked;
}

void rego_program_free(struct rego_program *p)
{
    if (p) arena_free(p->arena);
}

/* ---- evaluating --------------------------------------------------------------------------------- */

struct rego_run *rego_run_new(const struct rego_program *p, size_t arena_bytes)
{
    struct rego_run *run = calloc(1, sizeof *run);
    if (!run) return NULL;
    run->arena = arena_new(arena_bytes ? arena_bytes : RUN_BYTES);
    if (run->arena && (!p || rego_run_bind(run, p))) return run;
    rego_run_free(run);
    return NULL;
}

bool rego_run_bind(struct rego_run *run, const struct rego_program *p)
{
    run->program = p;
    if (p->stack_words <= run->stack_words) return true;
    free(run->stack);
    run->stack = malloc(p->stack_words * sizeof *run->stack); /* touched as far as it is used */
    run->stack_words = run->stack ? p->stack_words : 0;
    if (!run->stack) run->program = NULL;
    return run->stack != NULL;
}

void rego_run_free(struct rego_run *run)
{
    if (!run) return;
    arena_free(run->arena);
    free(run->stack);
    free(run);
}

const struct checked_program *rego_run_checked(const struct rego_run *run)
{
    return run->program->plan->checked;
}

size_t rego_program_bytes(const struct rego_program *p)
{
    return arena_used(p->arena);
}

size_t rego_run_bytes(const struct rego_run *run)
{
    return arena_used(run->arena);
}

static void report(const struct vm *vm, struct rego_result *ret)
{
    const struct checked_program *checked = vm->plan->checked;
    ret->status = vm->status == VM_FINE ? REGO_OK : vm->status == VM_LIMIT ? REGO_LIMIT : REGO_FAILED;
    ret->rule_module = "";
    if (ret->value && vm->rule.line && vm->rule.module < checked->module_count) {
        ret->rule_module = checked->module_names[vm->rule.module];
        ret->rule_line = vm->rule.line;
    }
    if (ret->status == REGO_OK) return;
    ret->value = ret->bindings = NULL;
    ret->error_code = vm->code;
    ret->error_text = vm->text;
    ret->error_module = "";
    if (!vm->place.line) return;
    if (vm->place.module < checked->module_count) ret->error_module = checked->module_names[vm->place.module];
    ret->error_line = vm->place.line;
    ret->error_column = vm->place.column;
}

bool rego_eval(struct rego_run *run, size_t query, const struct rego_input *in, struct rego_result *ret)
{
    bool traced = in->tracer && run->program->traced;
    const struct plan *plan = traced ? run->program->traced : run->program->plan;
    uint64_t steps = in->steps ? in->steps : STEPS_DEFAULT;
    struct budget budget;
    budget_init(&budget, steps);
    arena_reset(run->arena);
    *ret = (struct rego_result) { 0 };
    struct builtin_call *call = &run->call;
    call->arena = run->arena;
    call->budget = &budget;
    call->host = run->program->host;
    call->print = in->print;
    call->context = in->context;
    call->now_ns = in->now_ns;
    call->patterns = plan->patterns;
    call->cache = NULL; /* what was in it lay in the arena */
    struct vm_scope scope = {
        .input = in->input,
        .data = in->data ? in->data : &VALUE_EMPTY_OBJECT,
        .memo = arena_alloc_array(run->arena, plan->checked->node_count, sizeof(struct value *)),
    };
    struct vm vm = {
        .plan = plan,
        .call = call,
        .scope = &scope,
        .stack = run->stack,
        .stack_size = run->program->stack_words, /* not more, whoever ran here before */
        .depth_max = in->depth ? in->depth : VM_DEPTH_DEFAULT,
        .strict = in->strict,
        .all_rules = in->all_rules,
        .tracer = traced ? in->tracer : NULL,
    };
    if (vm.depth_max > VM_DEPTH_MAX) vm.depth_max = VM_DEPTH_MAX;
    if (scope.memo) {
        vm_query(&vm, &plan->queries[query], &ret->value, &ret->bindings);
    } else {
        vm.status = VM_LIMIT;
        vm.code = "limit_error";
        vm.text = "the evaluation needs too much memory";
    }
    ret->steps = steps - budget.steps_left;
    report(&vm, ret);
    return ret->status == REGO_OK;
}

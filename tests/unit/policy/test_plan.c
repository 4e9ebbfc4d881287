/* Plans of checked bodies made by hand: what the front never makes, and what the machine does with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/checked.h"
#include "policy/json.h"
#include "policy/plan.h"
#include "policy/vm.h"

#include <stdlib.h>
#include <string.h>

static struct arena *arena;

static int setup(void **state)
{
    arena = arena_new(1 << 26);
    return arena ? 0 : -1;
}

static int teardown(void **state)
{
    arena_free(arena);
    return 0;
}

/* ---- making checked terms ---- */

static struct checked_term *term(enum checked_term_kind kind)
{
    struct checked_term *t = arena_alloc(arena, sizeof *t);
    t->kind = kind;
    t->place.line = 1;
    return t;
}

static struct checked_term *constant(const char *json)
{
    struct checked_term *t = term(CHECKED_CONST);
    t->value = json_to_value(arena, json, strlen(json), NULL, NULL);
    return t;
}

static struct checked_term *local(uint32_t number)
{
    struct checked_term *t = term(CHECKED_LOCAL);
    t->local.number = number;
    t->local.name = "x";
    return t;
}

static struct checked_term *pair(struct checked_term *x, struct checked_term *y)
{
    struct checked_term *t = term(CHECKED_ARRAY), **at = arena_alloc_array(arena, 2, sizeof *at);
    at[0] = x;
    at[1] = y;
    t->items.at = at;
    t->items.count = 2;
    return t;
}

static struct checked_expr *unify(struct checked_term *left, struct checked_term *right)
{
    struct checked_expr *e = arena_alloc(arena, sizeof *e);
    *e = (struct checked_expr) { .kind = CHECKED_UNIFY, .place = { .line = 7, .column = 3 } };
    e->unify.left = left;
    e->unify.right = right;
    return e;
}

/* ---- one query over no rules ---- */

struct query {
    struct checked_expr *exprs[4];
    struct checked_variable variable;
    struct checked_query query;
    struct checked_node root;
    struct checked_node *nodes[1];
    const char *names[1];
    struct checked_program program;
    struct plan_problem problem;
};

static struct query *query(size_t exprs, uint32_t locals)
{
    struct query *q = arena_alloc(arena, sizeof *q);
    q->variable = (struct checked_variable) { "x", 0 };
    q->query = (struct checked_query) {
        .body = { q->exprs, exprs }, .local_count = locals, .variables = &q->variable, .variable_count = 1,
    };
    q->nodes[0] = &q->root;
    q->names[0] = "query 1";
    q->program = (struct checked_program) {
        .root = &q->root, .nodes = q->nodes, .node_count = 1, .queries = &q->query, .query_count = 1,
        .module_names = q->names, .module_count = 1,
    };
    return q;
}

static const char *run(struct query *q)
{
    const struct plan *plan = plan_make(arena, &q->program, &q->problem);
    if (!plan) return q->problem.text;
    struct budget budget;
    budget_init(&budget, 1000);
    struct builtin_call call = { .arena = arena, .budget = &budget };
    struct vm_scope scope = {
        .data = &VALUE_EMPTY_OBJECT,
        .memo = arena_alloc_array(arena, 1, sizeof(struct value *)),
    };
    struct vm vm = { .plan = plan, .call = &call, .scope = &scope, .depth_max = 10 };
    vm.stack_size = vm_stack_words(plan);
    vm.stack = arena_alloc_array(arena, vm.stack_size, sizeof *vm.stack);
    const struct value *value = NULL, *bindings = NULL;
    if (!vm_query(&vm, &plan->queries[0], &value, &bindings)) return vm.code;
    struct text t;
    text_init(&t, arena);
    json_write(&t, bindings);
    return text_end(&t);
}

/* ---- tests ---- */

static void test_unify__constant(void **state)
{
    struct query *q = query(1, 1);
    q->exprs[0] = unify(local(0), constant("5"));
    assert_string_equal(run(q), "[{\"x\":5}]");
}

/* [x, 1] = [y, x]: the second pair binds x for the first. */
static void test_unify__pairs_bind_for_one_another(void **state)
{
    struct query *q = query(1, 2);
    q->exprs[0] = unify(pair(local(0), constant("1")), pair(local(1), local(0)));
    assert_string_equal(run(q), "[{\"x\":1}]");
}

static void test_unify__pattern_of_constant(void **state)
{
    struct query *q = query(2, 2);
    q->exprs[0] = unify(pair(local(0), pair(local(1), constant("3"))), constant("[1, [2, 3]]"));
    q->exprs[1] = unify(local(1), constant("2"));
    assert_string_equal(run(q), "[{\"x\":1}]");
    q->exprs[1] = unify(local(1), constant("4"));
    assert_string_equal(run(q), "[]");
}

static void test_unify__neither_side_bound(void **state)
{
    struct query *q = query(1, 2);
    q->exprs[0] = unify(local(0), local(1));
    assert_string_equal(run(q), "neither side of = binds the other");
    assert_int_equal(q->problem.line, 7);
    assert_int_equal(q->problem.column, 3);
}

static void test_query__unbound_variable(void **state)
{
    struct query *q = query(0, 1);
    assert_string_equal(run(q), "variable x is not bound");
}

static void test_plan__deep_pattern(void **state)
{
    struct query *q = query(1, 1);
    struct checked_term *deep = local(0);
    for (int i = 0; i < 1000; i++) deep = pair(deep, constant("1"));
    q->exprs[0] = unify(deep, constant("[]"));
    assert_string_equal(run(q), "patterns nest too deeply");
}

static void test_plan_print__names_every_instruction(void **state)
{
    struct query *q = query(1, 1);
    q->exprs[0] = unify(pair(local(0), constant("3")), constant("[1, 3]"));
    const struct plan *plan = plan_make(arena, &q->program, &q->problem);
    assert_non_null(plan);
    struct text t;
    text_init(&t, arena);
    plan_print(&t, plan, &plan->queries[0]);
    const char *text = text_end(&t);
    assert_non_null(strstr(text, "array-of"));
    assert_non_null(strstr(text, "[1, 3]"));
    assert_null(strstr(text, "(null)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unify__constant),
        cmocka_unit_test(test_unify__pairs_bind_for_one_another),
        cmocka_unit_test(test_unify__pattern_of_constant),
        cmocka_unit_test(test_unify__neither_side_bound),
        cmocka_unit_test(test_query__unbound_variable),
        cmocka_unit_test(test_plan__deep_pattern),
        cmocka_unit_test(test_plan_print__names_every_instruction),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* checked.c and walk.c: children by key; locals and uses of the checked form. */
#include "tests/unit/policy/checked.h"

#include "policy/value.h"
#include "policy/walk.h"

static const struct checked_program *compile(struct arena *a, const char *text)
{
    static struct rego_errors errors;
    const struct rego_module m = { "p.rego", text, strlen(text) };
    const struct checked_program *p = compile_modules(a, &m, 1, NULL, &errors);
    assert_non_null(p);
    return p;
}

static void test_checked_child__all_kinds_of_keys(void **state)
{
    (void) state;
    struct arena *a = arena_new(1 << 20);
    const struct checked_program *p = compile(a, "package p\nb := 1\na.x := 1\nc[1] := 2\nc[null] := 3\nc.d := 4");
    const struct checked_node *n = checked_child(p->root, value_string_z(a, "p"));
    assert_non_null(n);
    assert_ptr_equal(n->parent, p->root);
    assert_int_equal(n->child_count, 3);
    assert_non_null(checked_child(n, value_string_z(a, "a")));
    assert_null(checked_child(n, value_string_z(a, "x")));
    assert_null(checked_child(n, value_int(a, 1)));
    n = checked_child(n, value_string_z(a, "c"));
    assert_null(n->group);
    assert_non_null(checked_child(n, value_int(a, 1))->group);
    assert_non_null(checked_child(n, value_null())->group);
    assert_string_equal(checked_child(n, value_string_z(a, "d"))->group->name, "data.p.c.d");
    arena_free(a);
}

static bool count_local(void *context, uint32_t number, const char *name)
{
    unsigned *seen = context;
    (void) name;
    assert_in_range(number, 0, 31);
    *seen |= 1u << number;
    return true;
}

static bool stop_at_once(void *context, uint32_t number, const char *name)
{
    (void) number, (void) name;
    ++*(unsigned *) context;
    return false;
}

static void count_use(void *context, const struct checked_ref *ref, const struct checked_group *function)
{
    unsigned *counts = context;
    counts[0] += ref != NULL;
    counts[1] += function != NULL;
}

static void test_walk__everything(void **state)
{
    (void) state;
    struct arena *a = arena_new(1 << 20);
    const struct checked_program *p = compile(a,
        "package p\n"
        "f(x) := x\n"
        "q if { a := {k: v | some k, v in input.x; f(k)}; every m, n in a { m == n; f(n) }\n"
        " not f(a[_w]) with input as {a} with f as f; {a, [1]} ; _w = 1 }\n");
    const struct checked_rule *q = p->groups[1]->rules[0];
    unsigned seen = 0, stops = 0, uses[2] = { 0 };
    assert_string_equal(q->name, "q");
    assert_true(walk_body_locals(&q->body, count_local, &seen));
    assert_int_equal(seen, (1u << q->local_count) - 1);
    assert_false(walk_body_locals(&q->body, stop_at_once, &stops));
    assert_int_equal(stops, 1);
    walk_body_uses(&q->body, count_use, uses);
    assert_int_equal(uses[0], 2); /* input.x[k], a[_w] */
    assert_int_equal(uses[1], 4); /* three calls, one replacement */
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checked_child__all_kinds_of_keys),
        cmocka_unit_test(test_walk__everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

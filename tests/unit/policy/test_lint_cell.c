/* lint_cell.c: the same way is the same cell; what is narrowed can be undone. */
#include "tests/unit/policy/linter.h"

static void test_cell_member__same_way(void **state)
{
    struct linter *l = linter_new(LINTS_CLAIMS);
    (void) state;
    assert_ptr_equal(linter_way(l, "parts.cpu0.status"), linter_way(l, "parts.cpu0.status"));
    assert_ptr_not_equal(linter_way(l, "parts.cpu0"), linter_way(l, "parts.cpu1"));
    assert_ptr_not_equal(linter_way(l, "parts._"), linter_way(l, "parts._"));
    assert_true(cell_same(linter_way(l, "parts._.status"), linter_way(l, "parts._.status")));
    assert_false(cell_same(linter_way(l, "parts._.status"), linter_way(l, "parts.cpu0.status")));
    assert_false(cell_same(l->input, l->data));
    linter_free(l);
}

static void test_cell_member__facts(void **state)
{
    static const struct { const char *way; unsigned kinds; bool optional, absent; } CASES[] = {
        { "iss", KIND_BIT(STRING), false, false },
        { "parts", KIND_BIT(OBJECT), false, false },
        { "parts.cpu7", KIND_BIT(OBJECT), true, false },
        { "parts.cpu7.level", KIND_BIT(NUMBER), false, false },
        { "parts.cpu", KIND_ANY, true, true },
        { "parts._", KIND_BIT(OBJECT), true, false },
        { "parts._.vector._", KIND_BIT(NUMBER), false, false },
        { "parts._.evidence._", KIND_ANY, true, false },
        { "parts._.evidence.snp.flags._", KIND_BIT(STRING), true, false },
        { "extra.x.y", KIND_ANY, true, false },
        { "iss.x", KIND_ANY, true, true },
        { "old", KIND_ANY, false, true },
    };
    struct linter *l = linter_new(LINTS_CLAIMS);
    (void) state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const struct cell *c = linter_way(l, CASES[i].way);
        if (c->kinds != CASES[i].kinds || c->absent != CASES[i].absent) print_error("%s\n", CASES[i].way);
        assert_int_equal(c->kinds, CASES[i].kinds);
        assert_int_equal(c->absent, CASES[i].absent);
        if (!c->absent) assert_int_equal(c->optional, CASES[i].optional);
    }
    assert_true(cell_is_there(linter_way(l, "parts")));
    assert_false(cell_is_there(linter_way(l, "parts.cpu0.status")));
    linter_free(l);
}

static void test_cell_member__too_long_a_way(void **state)
{
    struct linter *l = linter_new("\"any\"");
    struct cell *c = l->input;
    (void) state;
    for (unsigned i = 0; i < LINT_WAY_MAX; i++) c = cell_member(l, c, value_string_z(l->arena, "x"), NULL, false);
    assert_int_equal(c->way, LINT_WAY_MAX);
    assert_int_equal(c->root, CELL_INPUT);
    c = cell_member(l, c, value_string_z(l->arena, "x"), NULL, false);
    assert_int_equal(c->root, CELL_MADE);
    assert_int_equal(c->way, 0);
    linter_free(l);
}

static void test_cell_join__of_two(void **state)
{
    struct linter *l = linter_new(LINTS_CLAIMS);
    struct cell *cpu = linter_way(l, "parts.cpu0"), *gpu = linter_way(l, "parts.gpu0");
    struct cell *evidence = linter_way(l, "parts.cpu0.evidence");
    (void) state;
    assert_ptr_equal(cell_join(l, NULL, cpu), cpu);
    assert_ptr_equal(cell_join(l, cpu, NULL), cpu);
    assert_ptr_equal(cell_join(l, cpu, cpu), cpu);
    assert_int_equal(cell_join(l, cpu, gpu)->schema_count, 1);
    assert_int_equal(cell_join(l, cpu, evidence)->schema_count, 2);
    struct cell *both = cell_join(l, cpu, linter_way(l, "iss"));
    assert_int_equal(both->kinds, KIND_BIT(OBJECT) | KIND_BIT(STRING));
    struct cell *one = cell_constant(l, value_int(l->arena, 1)), *again = cell_constant(l, value_int(l->arena, 1));
    assert_non_null(cell_join(l, one, again)->constant);
    assert_null(cell_join(l, one, cell_constant(l, value_int(l->arena, 2)))->constant);
    linter_free(l);
}

/* A value of more shapes than are kept: nothing is known of it. */
static void test_cell_join__many_shapes(void **state)
{
    struct linter *l = linter_new("\"any\"");
    struct cell *joined = NULL;
    (void) state;
    for (unsigned i = 0; i <= LINT_SCHEMAS_MAX; i++) {
        char schema[64];
        struct cell *c = cell_new(l, KIND_BIT(OBJECT));
        snprintf(schema, sizeof schema, "{\"k%u\": \"number\"}", i);
        const struct value **at = arena_alloc(l->arena, sizeof *at);
        at[0] = lints_json(l->arena, schema);
        c->schemas = at;
        c->schema_count = 1;
        joined = cell_join(l, joined, c);
        assert_int_equal(joined->schema_count, i < LINT_SCHEMAS_MAX ? i + 1 : 0);
    }
    linter_free(l);
}

static void test_cell_refine__undone_and_suspended(void **state)
{
    struct linter *l = linter_new("\"any\"");
    struct cell *c = linter_way(l, "x");
    const struct value *one = value_int(l->arena, 1);
    (void) state;
    size_t mark = cells_mark(l);
    cell_refine(l, c, KIND_BIT(NUMBER) | KIND_BIT(STRING), NULL);
    cell_refine(l, c, KIND_BIT(NUMBER), one);
    assert_int_equal(c->kinds, KIND_BIT(NUMBER));
    assert_ptr_equal(c->constant, one);
    size_t narrowed = cells_mark(l);
    cells_suspend(l, narrowed);
    assert_int_equal(c->kinds, KIND_ANY);
    assert_null(c->constant);
    cells_resume(l, narrowed);
    assert_int_equal(c->kinds, KIND_BIT(NUMBER));
    assert_ptr_equal(c->constant, one);
    cells_undo(l, mark);
    assert_int_equal(c->kinds, KIND_ANY);
    assert_null(c->constant);
    cell_refine(l, c, KIND_ANY, NULL); /* says nothing, so nothing is kept */
    assert_int_equal(cells_mark(l), mark);
    linter_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cell_member__same_way),
        cmocka_unit_test(test_cell_member__facts),
        cmocka_unit_test(test_cell_member__too_long_a_way),
        cmocka_unit_test(test_cell_join__of_two),
        cmocka_unit_test(test_cell_join__many_shapes),
        cmocka_unit_test(test_cell_refine__undone_and_suspended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

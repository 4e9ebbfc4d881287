/* compile.c: several modules and queries together, what is told at once, limits. */
#include "tests/unit/policy/checked.h"

struct fixture {
    struct arena *arena;
    struct rego_errors errors;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f) return -1;
    f->arena = arena_new(8 << 20);
    *state = f;
    return f->arena ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_free(f->arena);
    free(f);
    return 0;
}

static const struct checked_program *compile(struct fixture *f, const char *const *texts, size_t count,
                                             const struct compile_options *options)
{
    struct rego_module modules[4];
    static const char *const names[4] = { "0.rego", "1.rego", "2.rego", "3.rego" };
    assert_in_range(count, 0, 4);
    for (size_t i = 0; i < count; i++)
        modules[i] = (struct rego_module) { names[i], texts[i], strlen(texts[i]) };
    return compile_modules(f->arena, modules, count, options, &f->errors);
}

static const char *body_text(struct fixture *f, const struct checked_body *body)
{
    struct text t;
    text_init(&t, f->arena);
    checked_print_body(&t, body);
    return text_end(&t);
}

static void test_compile_modules__none(void **state)
{
    struct fixture *f = *state;
    const struct checked_program *p = compile(f, NULL, 0, NULL);
    assert_non_null(p);
    assert_non_null(p->root);
    assert_int_equal(p->group_count, 0);
    assert_int_equal(p->query_count, 0);
}

static void test_compile_modules__package_in_two_modules(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = { "package a\nx := y", "package a\ny := 1", "package a.b\nz := 2" };
    const struct checked_program *p = compile(f, texts, 3, NULL);
    assert_non_null(p);
    assert_int_equal(p->group_count, 3);
    assert_int_equal(p->node_count, 6); /* data, a, b, z, x, y */
    assert_int_equal(p->module_count, 3);
    assert_string_equal(p->module_names[1], "1.rego");
    for (size_t i = 0; i < p->group_count; i++) assert_int_equal(p->groups[i]->number, i);
    for (size_t i = 0; i < p->node_count; i++) assert_int_equal(p->nodes[i]->number, i);
}

/* A package's name below another is no global of that other one. */
static void test_compile_modules__package_is_no_name(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = { "package a\nx := b.z", "package a.b\nz := 2" };
    assert_null(compile(f, texts, 2, NULL));
    assert_string_equal(f->errors.items[0].text, "var b is unsafe");
    assert_string_equal(f->errors.items[0].module, "0.rego");
    assert_string_equal(f->errors.items[0].source, "x := b.z");
}

static void test_compile_modules__conflicts_between_modules(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = { "package a\nb := 1", "package a.b\nz := 2", "package a\nb contains 1" };
    assert_null(compile(f, texts, 3, NULL));
    const char *text = errors_text(f->arena, &f->errors);
    assert_non_null(strstr(text, "rule data.a.b conflicts with [data.a.b.z]"));
    assert_non_null(strstr(text, "package a.b conflicts with rule data.a.b defined at 0.rego:2"));
}

static void test_compile_modules__all_of_a_step_at_once(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = { "package a\nx := foo(1)\ny := 1\ny contains 2\nz if http.send({})" };
    assert_null(compile(f, names, 1, NULL));
    assert_string_equal(errors_text(f->arena, &f->errors),
                        "2:6 rego_type_error undefined function foo\n"
                        "3:1 rego_type_error conflicting rules data.a.y found\n"
                        "5:6 rego_type_error unsafe built-in function calls in expression: http.send\n");
}

static void test_compile_modules__safety_and_recursion_at_once(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = { "package a\nx if y\ny if x\nz if not w" };
    assert_null(compile(f, texts, 1, NULL));
    assert_int_equal(f->errors.count, 3);
    assert_string_equal(f->errors.items[2].text, "var w is unsafe");
    assert_string_equal(f->errors.items[2].code, REGO_UNSAFE_VAR_ERROR);
}

static void test_compile_modules__hints(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = { "package a\nx := cuont([1])\ny := fresh_tokne(1)\nfresh_token(_) := 1" };
    assert_null(compile(f, texts, 1, NULL));
    assert_string_equal(f->errors.items[0].hint, "did you mean count?");
    assert_string_equal(f->errors.items[1].hint, "did you mean fresh_token?");
}

static void test_compile_modules__refused_are_known_to_tests(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = {
        "package a\nx if http.send({}) with http.send as 1\ny := internal.member_2(1, [1])",
    };
    const struct compile_options options = { .allow_refused = true };
    assert_non_null(compile(f, texts, 1, &options));
}

static void test_compile_modules__queries(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = { "package a\nx := 1" };
    static const char *const queries[] = {
        "data.a.x", "data.a.x = v", "data.a.x + 1", "x := 1; some i; data.a[i] = x", "data.a[_]", "x = 1; x > 0",
    };
    const struct compile_options options = { .queries = queries, .query_count = 6 };
    const struct checked_program *p = compile(f, texts, 1, &options);
    assert_non_null(p);
    assert_int_equal(p->query_count, 6);
    assert_string_equal(body_text(f, &p->queries[0].body), "#0 = data[\"a\"][\"x\"]");
    assert_non_null(p->queries[0].value);
    assert_string_equal(body_text(f, &p->queries[1].body), "data[\"a\"][\"x\"] = v#0");
    assert_null(p->queries[1].value);
    assert_int_equal(p->queries[1].variable_count, 1);
    assert_string_equal(p->queries[1].variables[0].name, "v");
    assert_non_null(p->queries[2].value);
    assert_int_equal(p->queries[3].variable_count, 2);
    assert_string_equal(p->queries[3].variables[0].name, "i");
    assert_string_equal(p->queries[3].variables[1].name, "x");
    assert_null(p->queries[4].value);
    assert_int_equal(p->queries[4].variable_count, 0);
    assert_int_equal(p->queries[5].local_count, 1);
    assert_string_equal(p->module_names[1], "query 1");
}

static void test_compile_modules__bad_query(void **state)
{
    struct fixture *f = *state;
    static const char *const queries[] = { "data.a", "not x" };
    const struct compile_options options = { .queries = queries, .query_count = 2 };
    assert_null(compile(f, NULL, 0, &options));
    assert_string_equal(f->errors.items[0].text, "var x is unsafe");
    assert_string_equal(f->errors.items[0].module, "query 2");
}

static void test_compile_modules__arena_full(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = { "package a\nx := [y | y := input.z; y > 1]\ny := 1 if x\nz[q] := 1 if q := 2" };
    const char *const *text = texts;
    size_t refused = 0;
    for (size_t cap = 64; cap < 32768; cap += 64) {
        struct fixture small = { .arena = arena_new(cap) };
        assert_non_null(small.arena);
        if (!compile(&small, text, 1, NULL)) {
            assert_true(small.errors.count > 0);
            refused++;
        }
        arena_free(small.arena);
    }
    assert_true(refused > 10);
    assert_non_null(compile(f, texts, 1, NULL));
}

/* Longest path of a rule, and one beyond. */
static void test_compile_modules__path_limit(void **state)
{
    struct fixture *f = *state;
    for (int parts = 199; parts <= 200; parts++) {
        struct text t;
        text_init(&t, f->arena);
        text_add_string(&t, "package a\nx");
        for (int i = 1; i < parts; i++) text_add_string(&t, ".y");
        text_add_string(&t, " := 1");
        const char *whole = text_end(&t);
        const struct checked_program *p = compile(f, &whole, 1, NULL);
        assert_true((p != NULL) == (parts + 1 <= 200));
    }
    assert_string_equal(f->errors.items[0].text, "the path of a rule has at most 200 parts");
}

/* A body in the worst order is quadratic: it ends by the steps, not by patience. */
static void test_compile_modules__step_limit(void **state)
{
    struct fixture *f = *state;
    struct arena *a = arena_new((size_t) 256 << 20);
    struct text t;
    text_init(&t, a);
    text_add_string(&t, "package a\nx if {\n");
    for (int i = 0; i < 40000; i++) text_addf(&t, "v%d = v%d\n", i, i + 1);
    text_add_string(&t, "v40000 = 1 }\n");
    const struct rego_module m = { "0.rego", text_end(&t), t.len };
    assert_null(compile_modules(a, &m, 1, NULL, &f->errors));
    assert_string_equal(f->errors.items[0].text, "the modules take more work to check than is allowed");
    arena_free(a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_compile_modules__##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(none), TEST(package_in_two_modules), TEST(package_is_no_name),
        TEST(conflicts_between_modules), TEST(all_of_a_step_at_once),
        TEST(safety_and_recursion_at_once), TEST(hints), TEST(refused_are_known_to_tests),
        TEST(queries), TEST(bad_query), TEST(arena_full), TEST(path_limit), TEST(step_limit),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The index changes nothing but the work: every policy is evaluated with it and without, over many requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/json.h"
#include "policy/rego.h"

#include <stdlib.h>
#include <string.h>

#define P "package t\n"

static const char *const policies[] = {
    /* complete rules: agreement, conflicts, defaults, constants and values */
    P "default r := 0\nr := 1 if input.x == 1\nr := 2 if input.x == 2\nr := 3 if input.x == \"a\"\nr := 4 if input.x == [1]\n",
    P "r := 1 if input.x == 1\nr := 1 if input.x in {1, 2}\nr := 2 if input.x in [2, \"a\"]\nr := 2 if input.y == 1\n",
    P "r := 1 if input.x == 1\nr := 2 if input.y == 1\nr := 3 if input.x == 2\nr := 4 if input.x == null\nr := 5 if not input.x\n",
    P "r := input.y if input.x == 1\nr := input.x if input.x == 2\nr := input.x if input.y == 1\nr := input.y if input.y == 2\n",
    P "r if input.x == 1\nr if input.x == 2\nr if input.y == 1\nr if { input.x == \"a\"; input.y == {\"z\": 1} }\n",
    /* else */
    P "r := 1 if input.x == 1 else := 2 if input.y == 1\nr := 3 if input.x == 2 else := 4 if input.x == 3 else := 5 if input.x == 4\n"
      "r := 6 if input.x == \"a\"\nr := 7 if input.x == [1]\nr := 8 if input.x == true\n",
    P "default r := 9\nr := 1 if { input.x == 1; input.y == 2 } else := 2 if input.x == 1\nr := 3 if input.x == 2 else := 4\n",
    /* partial sets and objects, general heads with defaults below */
    P "r contains 1 if input.x == 1\nr contains 2 if input.y == 1\nr contains input.y if input.x == 2\nr contains 3 if input.x\n",
    P "r[\"a\"] := 1 if input.x == 1\nr[k] := 1 if { some k in [\"a\", \"b\"]; input.x == 1 }\nr[input.x] := 2 if input.y == 1\n"
      "r[\"a\"] := 3 if input.x == 2\nr.b := 4 if input.x == 3\n",
    P "r[k].c contains 1 if { some k in [\"a\", \"b\"]; input.x == 1 }\nr.a.d := 1 if input.x == 1\nr.a.e := 2 if input.y == 1\n"
      "r.f := 3 if input.x == 2\ndefault r.g := 4\nr.g := 5 if input.x == 3\n",
    /* functions: constants, patterns, defaults, conflicts */
    P "f(1) := \"one\"\nf(2) := \"two\"\nf(x) := \"a\" if x == \"a\"\nf([1]) := \"list\"\nf([_, y]) := y\ndefault f(_) := \"none\"\nr := f(input.x)\n",
    P "f(x, 1) := x\nf(1, y) := y\nf(x, y) := 7 if { x == 2; y == 2 }\nf({\"z\": x}, _) := x\nf(x, _) := 1 if x.z == 1\nr := f(input.x, input.y)\n",
    /* with: input, data, a function within the key */
    P "q := 1 if input.x == 1\nq := 2 if input.x == 2\nq := 3 if data.d == \"a\"\nq := 4 if input.x == 4\ng(_) := 4\n"
      "r := [x | some i in [1, 2, 3, 4]; x := q with input.x as i with data.d as \"b\"]\n",
    P "q := 1 if lower(input.x) == \"a\"\nq := 2 if lower(input.x) == \"b\"\nq := 3 if lower(input.x) == \"c\"\nq := 4 if input.y == 4\n"
      "g(x) := \"b\"\nr := [x | x := [q][_]] if input.y == 1\nr := x if { input.y != 1; x := q with lower as g }\n",
    P "q := 1 if data.d == \"a\"\nq := 2 if data.d == \"b\"\nq := 3 if data.e[0] == 1\nq := 4 if data.e[\"0\"] == 2\n"
      "r := {\"own\": q, \"other\": x} if x := q with data.d as input.x with data.e as [input.y]\n",
    /* errors of builtins within keys and bodies */
    P "r := 1 if concat(\"/\", input.x) == \"a/b\"\nr := 2 if concat(\"/\", input.x) == \"1\"\nr := 3 if to_number(input.x) == 1\n"
      "r := 4 if { input.x == 1; 1 / 0 == 1 }\nr := 5 if input.y == 1\n",
    /* four of a key, and rules without one between them */
    P "r contains 0 if input\nr contains 1 if { input.x == 1; input.y == 1 }\nr contains 2 if { input.x == 1; input.y == 2 }\n"
      "r contains 3 if { input.x == 1; input.y in [1, 2] }\nr contains 4 if input.y == 2\nr contains 5 if true\n"
      "r contains 6 if { input.y == 1; input.x == 1; input.z == 0 }\n",
};

static const char *const inputs[] = {
    NULL, "{}", "{\"x\": 1}", "{\"x\": 1.0}", "{\"x\": 2}", "{\"x\": 3, \"y\": 1}", "{\"x\": \"a\"}", "{\"x\": \"A\", \"y\": 2}",
    "{\"x\": [1]}", "{\"x\": [1, 2], \"y\": 1}", "{\"x\": [\"a\", \"b\"]}", "{\"x\": {\"z\": 1}, \"y\": 1}", "{\"x\": null}",
    "{\"x\": true, \"y\": 4}", "{\"x\": 1, \"y\": 1}", "{\"x\": 1, \"y\": 2}", "{\"x\": 2, \"y\": 2}", "{\"x\": 2, \"y\": 1}",
    "{\"x\": \"a\", \"y\": {\"z\": 1}}", "{\"x\": 4, \"y\": 1, \"z\": 0}", "{\"x\": 1, \"y\": 1, \"z\": 0}", "[1]", "\"a\"",
};

#define COUNT(x) (sizeof(x) / sizeof((x)[0]))

/* What comes out, in the arena; *ret_steps what it took. */
static const char *outcome(struct arena *a, struct rego_run *run, struct rego_input in, uint64_t *ret_steps)
{
    struct rego_result result;
    struct text t;
    text_init(&t, a);
    if (!rego_eval(run, 0, &in, &result)) text_addf(&t, "%s: %s", result.error_code, result.error_text);
    else if (!result.value) text_add_string(&t, "undefined");
    else value_print(&t, result.value);
    *ret_steps = result.steps;
    return text_end(&t);
}

struct totals { uint64_t with, without; unsigned wrong; };

static void compare(struct arena *a, struct rego_run *run, const char *policy, const char *json, bool strict,
                    struct totals *totals)
{
    static const char data[] = "{\"d\": \"a\", \"e\": {\"0\": 2}}";
    struct rego_input in = { .strict = strict, .data = json_to_value(a, data, sizeof data - 1, NULL, NULL) };
    uint64_t with = 0, without = 0;
    if (json) in.input = json_to_value(a, json, strlen(json), NULL, NULL);
    const char *indexed = outcome(a, run, in, &with);
    in.all_rules = true;
    const char *all = outcome(a, run, in, &without);
    if (strcmp(indexed, all) != 0) {
        print_error("%sinput %s, strict %d\n  with the index %s\n  without        %s\n", policy, json ? json : "-", strict,
                    indexed, all);
        totals->wrong++;
    }
    totals->with += with;
    totals->without += without;
}

static void test_index__changes_nothing(void **state)
{
    static struct rego_errors errors;
    struct totals totals = { 0 };
    for (size_t i = 0; i < COUNT(policies); i++) {
        struct rego_module module = { "t.rego", policies[i], strlen(policies[i]) };
        const char *query = "data.t.r";
        struct rego_options options = { .queries = &query, .query_count = 1 };
        struct rego_program *p = rego_compile(&module, 1, &options, &errors);
        if (!p) fail_msg("%s%s", policies[i], errors.items[0].text);
        struct rego_run *run = rego_run_new(p, 0);
        struct arena *a = arena_new(1 << 22);
        for (size_t k = 0; k < 2 * COUNT(inputs); k++)
            compare(a, run, policies[i], inputs[k / 2], k % 2 != 0, &totals);
        arena_free(a);
        rego_run_free(run);
        rego_program_free(p);
    }
    assert_int_equal(totals.wrong, 0);
    assert_true(totals.with < totals.without);
}

/* What goes wrong in a rule before its key is compared is left out with the rule, as in OPA: errors of builtins,
 * conflicts of other rules. What it prints is not. */
static void count_line(void *context, const char *line, size_t len)
{
    ++*(unsigned *) context;
}

static void test_index__what_is_left_out(void **state)
{
    static struct rego_errors errors;
    static const char text[] = P
        "r := 1 if { to_number(\"x\") > 1; input.x == 1 }\n"
        "r := 2 if { print(\"two\"); input.x == 2 }\nr := 3 if input.x == 3\nr := 4 if input.x == 4\nr := 5 if input.x == 5\n"
        "r := 6 if { conflict == 1; input.x == 6 }\nconflict := 1\nconflict := 2\n";
    struct rego_module module = { "t.rego", text, sizeof text - 1 };
    const char *query = "data.t.r";
    struct rego_options options = { .queries = &query, .query_count = 1 };
    struct rego_program *p = rego_compile(&module, 1, &options, &errors);
    struct rego_run *run = rego_run_new(p, 0);
    struct arena *a = arena_new(1 << 20);
    unsigned lines = 0;
    struct rego_input in = { .strict = true, .print = count_line, .context = &lines };
    struct rego_result result;
    in.input = json_to_value(a, "{\"x\": 3}", 8, NULL, NULL);
    assert_true(rego_eval(run, 0, &in, &result));
    assert_int_equal(lines, 1);
    in.all_rules = true;
    assert_false(rego_eval(run, 0, &in, &result));
    assert_string_equal(result.error_code, "eval_conflict_error");
    in.all_rules = false;
    in.input = json_to_value(a, "{\"x\": 1}", 8, NULL, NULL);
    assert_false(rego_eval(run, 0, &in, &result));
    assert_string_equal(result.error_code, "eval_builtin_error");
    arena_free(a);
    rego_run_free(run);
    rego_program_free(p);
}

/* A value heavier than every constant is not walked over, however large. */
static void test_index__large_values_cost_nothing(void **state)
{
    static struct rego_errors errors;
    static const char text[] = P "r if input.x == 1\nr if input.x == [2]\nr if input.x == \"3\"\nr if input.x == 4\n";
    struct rego_module module = { "t.rego", text, sizeof text - 1 };
    const char *query = "data.t.r";
    struct rego_options options = { .queries = &query, .query_count = 1 };
    struct rego_program *p = rego_compile(&module, 1, &options, &errors);
    struct rego_run *run = rego_run_new(p, 0);
    struct arena *a = arena_new(1 << 24);
    struct value_builder list, object;
    struct rego_result result;
    value_builder_init(&list, a, VALUE_ARRAY);
    for (int i = 0; i < 100000; i++) value_builder_add(&list, value_int(a, i));
    value_builder_init(&object, a, VALUE_OBJECT);
    value_builder_put(&object, value_string_z(a, "x"), value_builder_end(&list, NULL));
    struct rego_input in = { .input = value_builder_end(&object, NULL) };
    assert_true(rego_eval(run, 0, &in, &result));
    assert_null(result.value);
    assert_true(result.steps < 10);
    arena_free(a);
    rego_run_free(run);
    rego_program_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index__changes_nothing),
        cmocka_unit_test(test_index__what_is_left_out),
        cmocka_unit_test(test_index__large_values_cost_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

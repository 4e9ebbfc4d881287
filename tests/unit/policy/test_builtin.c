#include "tests/lib/builtin_cases.h"

#include <stdio.h>
#include <stdlib.h>

static void test_rows__consistent(void **state)
{
    size_t count = 0;
    const struct builtin *rows = builtin_all(&count);
    assert_true(count > 150);
    for (size_t i = 0; i < count; i++) {
        const struct builtin *b = &rows[i];
        assert_ptr_equal(builtin_find(NULL, b->name, strlen(b->name)), b); /* no name twice */
        assert_true(b->arity < BUILTIN_ARGS_MAX);
        if (!b->run != !!(b->flags & (BUILTIN_REFUSED | BUILTIN_FROM_HOST))) fail_msg("%s: function and flags disagree", b->name);
        assert_int_equal(!b->infix, !(b->flags & BUILTIN_OPERATOR));
        for (unsigned k = b->arity; k < BUILTIN_ARGS_MAX; k++) assert_int_equal(b->operands[k], ARG_ANY);
    }
    assert_null(builtin_find(NULL, "foo.bar", 7));
    assert_null(builtin_find(NULL, "coun", 4));
}

static const char *path_of(char *buf, size_t size)
{
    const char *root = getenv("STRONGROOM_SOURCE");
    snprintf(buf, size, "%s/tests/rego/refused.txt", root ? root : ".");
    return buf;
}

/* What the table refuses and what the suite's list says are the same names. */
static void test_rows__refused_as_listed(void **state)
{
    char path[4096], line[512], name[80];
    FILE *f = fopen(path_of(path, sizeof path), "r");
    assert_non_null(f);
    size_t listed = 0, refused = 0, count = 0;
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#' || sscanf(line, "%79s", name) != 1 || strcmp(name, "test.sleep") == 0) continue;
        const struct builtin *b = builtin_find(NULL, name, strlen(name));
        if (!b || !(b->flags & BUILTIN_REFUSED)) fail_msg("%s is not refused by the table", name);
        listed++;
    }
    fclose(f);
    const struct builtin *rows = builtin_all(&count);
    for (size_t i = 0; i < count; i++)
        refused += (rows[i].flags & (BUILTIN_REFUSED | BUILTIN_DEPRECATED)) == BUILTIN_REFUSED;
    assert_int_equal(listed, refused);
}

static const struct value *host_sha(struct builtin_call *call, const struct value *const *args)
{
    return value_string_z(call->arena, call->context);
}

static void test_host__rows_win(void **state)
{
    static const struct builtin ROWS[] = {
        { .name = "crypto.sha256", .run = host_sha, .arity = 1, .operands = { ARG_STRING } },
    };
    static const struct builtin_host HOST = { .rows = ROWS, .row_count = 1 };
    struct builtin_bench b;
    bench_open(&b);
    const struct value *operands = bench_json(&b, "[\"x\"]");
    assert_null(bench_call(&b, "crypto.sha256", operands));
    assert_int_equal(b.call.problem, BUILTIN_ERROR);
    b.call.host = &HOST;
    char answer[] = "from the host";
    b.call.context = answer;
    assert_string_equal(bench_call(&b, "crypto.sha256", operands)->string, answer);
    assert_null(bench_call(&b, "crypto.sha256", bench_json(&b, "[1]")));
    assert_string_equal(b.call.text, "crypto.sha256: operand 1 must be string but got number");
    arena_free(b.arena);
}

static void test_run__refused_never_runs(void **state)
{
    struct builtin_bench b;
    bench_open(&b);
    assert_null(bench_call(&b, "http.send", bench_json(&b, "[{}]")));
    assert_int_equal(b.call.problem, BUILTIN_ERROR);
    arena_free(b.arena);
}

static void test_run__spent_budget_halts(void **state)
{
    struct builtin_bench b;
    bench_open(&b);
    budget_init(&b.budget, 0);
    assert_null(bench_call(&b, "upper", bench_json(&b, "[\"x\"]")));
    assert_int_equal(b.call.problem, BUILTIN_HALT);
    arena_free(b.arena);
}

/* Beyond a limit of ours nothing is known: an evaluation that went on with "undefined" would let
 * `not f(x)` hold. */
static void test_limit__is_a_halt(void **state)
{
    static const char *const CALLS[][2] = {
        { "plus", "[1e6000, 1]" },
        { "mul", "[1e4000, 1e4000]" },
        { "round", "[1e6000]" },
        { "sum", "[[1e6000, 1]]" },
        { "product", "[[1e4000, 1e4000]]" },
        { "format_int", "[1e6000, 10]" },
        { "bits.lsh", "[1, 1000000]" },
        { "numbers.range", "[1e6000, 1]" },
        { "units.parse", "[\"1e6000k\"]" },
        { "units.parse_bytes", "[\"1e6000k\"]" },
    };
    for (size_t i = 0; i < sizeof CALLS / sizeof CALLS[0]; i++) {
        struct builtin_bench b;
        bench_open(&b);
        const struct value *v = bench_call(&b, CALLS[i][0], bench_json(&b, CALLS[i][1]));
        if (v || b.call.problem != BUILTIN_HALT) fail_msg("%s%s goes on: %s", CALLS[i][0], CALLS[i][1], b.call.text);
        arena_free(b.arena);
    }
}

/* A text of `count` times c between two others. */
static const struct value *long_text(struct arena *a, const char *before, char c, size_t count, const char *after)
{
    struct text t;
    text_init(&t, a);
    text_add_string(&t, before);
    for (size_t i = 0; i < count; i++) text_add_char(&t, c);
    text_add_string(&t, after);
    return value_from_text(&t);
}

static void test_limit__of_long_texts(void **state)
{
    static const struct { const char *name, *before; char c; size_t count; const char *after; } CALLS[] = {
        { "to_number", "0.", '1', NUM_TEXT_MAX, "" },
        { "units.parse", "0.", '1', NUM_TEXT_MAX, "k" },
        { "json.is_valid", "", '[', JSON_DEPTH_MAX + 1, "" },
        { "json.unmarshal", "", '[', JSON_DEPTH_MAX + 1, "" },
        { "json.is_valid", "0.", '1', NUM_TEXT_MAX, "" },
        { "regex.is_valid", "", 'a', 70000, "" },
    };
    for (size_t i = 0; i < sizeof CALLS / sizeof CALLS[0]; i++) {
        struct builtin_bench b;
        bench_open(&b);
        const struct value *operand = long_text(b.arena, CALLS[i].before, CALLS[i].c, CALLS[i].count, CALLS[i].after);
        const struct value *v = builtin_run(&b.call, builtin_find(NULL, CALLS[i].name, strlen(CALLS[i].name)), &operand);
        if (v || b.call.problem != BUILTIN_HALT) fail_msg("%s goes on: %s", CALLS[i].name, b.call.text);
        assert_non_null(strstr(b.call.text, CALLS[i].name));
        arena_free(b.arena);
    }
}

static void test_halt__first_reason_stays(void **state)
{
    struct builtin_bench b;
    bench_open(&b);
    b.call.builtin = builtin_find(NULL, "upper", 5);
    assert_null(builtin_limit(&b.call, "nested too deep"));
    assert_null(builtin_halt(&b.call));
    assert_string_equal(b.call.text, "upper: nested too deep");
    arena_free(b.arena);
}

static void test_fail__long_texts_are_cut(void **state)
{
    struct builtin_bench b;
    bench_open(&b);
    b.call.builtin = builtin_find(NULL, "upper", 5);
    char text[2 * BUILTIN_ERROR_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_null(builtin_fail(&b.call, "%s", text));
    assert_int_equal(strlen(b.call.text), BUILTIN_ERROR_MAX - 1);
    arena_free(b.arena);
}

static const struct builtin_case TEMPLATE[] = {
    { "internal.template_string", "[[\"a\", 1, \"b\"]]", "\"a1b\"", NULL },
    { "internal.template_string", "[[]]", "\"\"", NULL },
};

static char printed[100];

static void keep(void *context, const char *line, size_t len)
{
    snprintf(printed, sizeof printed, "%.*s", (int) len, line);
}

static void test_template__sets_are_values(void **state)
{
    BENCH_TABLE(TEMPLATE);
    struct builtin_bench b;
    bench_open(&b);
    b.call.print = keep;
    const struct value **one = arena_alloc_array(b.arena, 1, sizeof *one);
    one[0] = value_string_z(b.arena, "x");
    const struct value **parts = arena_alloc_array(b.arena, 3, sizeof *parts);
    parts[0] = value_string_z(b.arena, "a");
    parts[1] = value_set(b.arena, one, 1);
    parts[2] = &VALUE_EMPTY_SET;
    const struct value *operands = value_array(b.arena, parts, 3);
    assert_string_equal(builtin_run(&b.call, builtin_find(NULL, "internal.template_string", 24), &operands)->string, "ax<undefined>");
    assert_non_null(builtin_run(&b.call, builtin_find(NULL, "internal.print", 14), &operands));
    assert_string_equal(printed, "a x <undefined>");

    const struct value **two = arena_alloc_array(b.arena, 2, sizeof *two);
    two[0] = value_bool(true);
    two[1] = value_null();
    parts = arena_alloc_array(b.arena, 1, sizeof *parts);
    parts[0] = value_set(b.arena, two, 2);
    operands = value_array(b.arena, parts, 1);
    assert_null(builtin_run(&b.call, builtin_find(NULL, "internal.template_string", 24), &operands));
    assert_int_equal(b.call.problem, BUILTIN_CONFLICT);
    arena_free(b.arena);
}

/* A short exponent is a long number, and an IPv6 block has many widths. */
static void test_run__small_operands_pay_for_large_work(void **state)
{
    static const struct { const char *name, *operands; uint64_t steps; } CASES[] = {
        { "sum", "[[1e4999]]", 8000 },
        { "product", "[[1e4999]]", 8000 },
        { "units.parse_bytes", "[\"1e4990\"]", 8000 },
        { "units.parse", "[\"1e4990Ki\"]", 8000 },
        { "floor", "[1e4999]", 8000 },
        { "plus", "[1e4999, 1]", 8000 },
        { "net.cidr_merge", "[[\"2001:db8::/48\"]]", 160 },
    };
    struct builtin_bench b;
    bench_open(&b);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        uint64_t before = b.budget.steps_left;
        if (!bench_call(&b, CASES[i].name, bench_json(&b, CASES[i].operands))) fail_msg("%s", b.call.text);
        uint64_t steps = before - b.budget.steps_left;
        if (steps < CASES[i].steps) fail_msg("%s costs %ju", CASES[i].name, (uintmax_t) steps);
    }
    arena_free(b.arena);
}

static void test_builtin_operand_kinds__of_rows(void **state)
{
    const struct builtin *concat = builtin_find(NULL, "concat", 6), *now = builtin_find(NULL, "time.now_ns", 11);
    (void) state;
    assert_int_equal(builtin_operand_kinds(concat, 1), 1u << VALUE_STRING);
    assert_int_equal(builtin_operand_kinds(concat, 2), 1u << VALUE_SET | 1u << VALUE_ARRAY);
    assert_int_equal(builtin_operand_kinds(concat, 0), ~0u);
    assert_int_equal(builtin_operand_kinds(concat, 3), ~0u);
    assert_int_equal(builtin_operand_kinds(now, 1), ~0u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builtin_operand_kinds__of_rows),
        cmocka_unit_test(test_run__small_operands_pay_for_large_work),
        cmocka_unit_test(test_rows__consistent),        cmocka_unit_test(test_rows__refused_as_listed),
        cmocka_unit_test(test_host__rows_win),          cmocka_unit_test(test_run__refused_never_runs),
        cmocka_unit_test(test_run__spent_budget_halts), cmocka_unit_test(test_limit__is_a_halt),
        cmocka_unit_test(test_limit__of_long_texts),    cmocka_unit_test(test_halt__first_reason_stays),
        cmocka_unit_test(test_fail__long_texts_are_cut),
        cmocka_unit_test(test_template__sets_are_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Whole policies: compiled, run, and their bindings compared as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/json.h"
#include "policy/rego.h"

#include <pthread.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

/* What is wanted: JSON of the bindings, or "!code" of the error of compiling or evaluating. */
struct row { const char *name, *module, *query, *input, *data, *want; };

static struct rego_input limits; /* steps and depth of the next evaluations */
static size_t arena_bytes;

static const struct value *parse(struct arena *a, const char *json)
{
    if (!json) return NULL;
    struct json_error e = { 0 };
    const struct value *v = json_to_value(a, json, strlen(json), NULL, &e);
    if (!v) fail_msg("%s: %s", json, e.text);
    return v;
}

/* The outcome as text, from malloc. */
static char *outcome(const struct row *r)
{
    struct rego_module m = { "test.rego", r->module, strlen(r->module) };
    struct rego_options o = { .queries = &r->query, .query_count = 1 };
    struct rego_errors *errors = calloc(1, sizeof *errors);
    char *text = malloc(4096);
    struct rego_program *p = rego_compile(&m, 1, &o, errors);
    if (!p) {
        snprintf(text, 4096, "!%s %s", errors->items[0].code, errors->items[0].text);
        free(errors);
        return text;
    }
    struct arena *a = arena_new(1 << 24);
    struct rego_run *run = rego_run_new(p, arena_bytes);
    struct rego_input in = limits;
    in.input = parse(a, r->input);
    in.data = parse(a, r->data);
    struct rego_result result;
    if (rego_eval(run, 0, &in, &result)) {
        struct text t;
        text_init(&t, a);
        json_write(&t, result.bindings);
        snprintf(text, 4096, "%s", text_end(&t));
    } else {
        snprintf(text, 4096, "!%s %s", result.error_code, result.error_text);
    }
    rego_run_free(run);
    rego_program_free(p);
    arena_free(a);
    free(errors);
    return text;
}

static void check(const struct row *rows, size_t count)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < count; i++) {
        char *got = outcome(&rows[i]);
        bool ok = rows[i].want[0] == '!' ? strncmp(got, rows[i].want, strlen(rows[i].want)) == 0
                                         : strcmp(got, rows[i].want) == 0;
        if (!ok) print_error("%s:\n  want %s\n  got  %s\n", rows[i].name, rows[i].want, got);
        wrong += !ok;
        free(got);
    }
    assert_int_equal(wrong, 0);
}

#define CHECK(rows) check(rows, sizeof(rows) / sizeof((rows)[0]))
#define P "package t\n"

static void test_eval__complete_rules(void **state)
{
    static const struct row rows[] = {
        { "constant", P "p := 1", "data.t.p = x", NULL, NULL, "[{\"x\":1}]" },
        { "no such rule", P "p := 1", "data.t.q = x", NULL, NULL, "[]" },
        { "default", P "default p := 1\np := 2 if input.a", "data.t.p = x", "{}", NULL, "[{\"x\":1}]" },
        { "default not taken", P "default p := 1\np := 2 if input.a", "data.t.p = x", "{\"a\":0}", NULL, "[{\"x\":2}]" },
        { "false fails", P "p if input.a", "data.t.p = x", "{\"a\":false}", NULL, "[]" },
        { "agreeing", P "p := x if { some x in [1, 1] }", "data.t.p = x", NULL, NULL, "[{\"x\":1}]" },
        { "conflict within", P "p := x if { some x in [1, 2] }", "data.t.p = x", NULL, NULL, "!eval_conflict_error complete rules" },
        { "conflict between", P "p := 1\np := 2", "data.t.p = x", NULL, NULL, "!eval_conflict_error" },
        { "default hides no conflict", P "default p := 0\np := 1\np := 2", "data.t.p = x", NULL, NULL, "!eval_conflict_error" },
        { "else", P "p := 1 if input.a else := 2 if input.b else := 3", "data.t.p = x", "{\"b\":true}", NULL, "[{\"x\":2}]" },
        { "last else", P "p := 1 if input.a else := 2 if input.b else := 3", "data.t.p = x", "{}", NULL, "[{\"x\":3}]" },
        { "else after loop", P "p := x if { some x in input; x > 1 } else := 9", "data.t.p = x", "[1,2,2]", NULL, "[{\"x\":2}]" },
        { "else after empty loop", P "p := x if { some x in input; x > 1 } else := 9", "data.t.p = x", "[1]", NULL, "[{\"x\":9}]" },
        { "undefined input", P "p if not input.a", "data.t.p = x", NULL, NULL, "[{\"x\":true}]" },
    };
    CHECK(rows);
}

static void test_eval__partial_rules(void **state)
{
    static const struct row rows[] = {
        { "set", P "p contains x if some x in [3, 1, 3]", "data.t.p = x", NULL, NULL, "[{\"x\":[1,3]}]" },
        { "empty set", P "p contains x if some x in []", "data.t.p = x", NULL, NULL, "[{\"x\":[]}]" },
        { "object", P "p[k] := v if some v, k in [\"a\", \"b\"]", "data.t.p = x", NULL, NULL, "[{\"x\":{\"a\":0,\"b\":1}}]" },
        { "object conflict", P "p[\"a\"] := v if some v in [1, 2]\np[k] := 1 if k := \"b\"", "data.t.p = x", NULL, NULL, "!eval_conflict_error" },
        { "general", P "p[q].r contains s if { some s, q in [\"a\", \"b\"] }\np.a.z := 1", "data.t.p = x", NULL, NULL, "[{\"x\":{\"a\":{\"r\":[0],\"z\":1},\"b\":{\"r\":[1]}}}]" },
        { "by key", P "p contains x if some x in [1, 2]", "data.t.p[2] = x", NULL, NULL, "[{\"x\":2}]" },
        { "all keys", P "p contains x if some x in [1, 2]", "data.t.p[x]", NULL, NULL, "[{\"x\":1},{\"x\":2}]" },
    };
    CHECK(rows);
}

static void test_eval__functions(void **state)
{
    static const struct row rows[] = {
        { "patterns", P "f([x, 1]) := x\nf({\"a\": y}) := y\np := [f([5, 1]), f({\"a\": 6})]", "data.t.p = x", NULL, NULL, "[{\"x\":[5,6]}]" },
        { "no match", P "f(1) := 2\np := f(3)", "data.t.p = x", NULL, NULL, "[]" },
        { "default", P "default f(_) := 7\nf(1) := 2\np := [f(1), f(2)]", "data.t.p = x", NULL, NULL, "[{\"x\":[2,7]}]" },
        { "conflict", P "f(_) := 1\nf(x) := x\np := f(2)", "data.t.p = x", NULL, NULL, "!eval_conflict_error functions" },
        { "else", P "f(x) := 1 if x > 5 else := 2 if x > 3 else := 3\np := [f(6), f(4), f(1)]", "data.t.p = x", NULL, NULL, "[{\"x\":[1,2,3]}]" },
        { "undefined argument", P "f(x) := 1\np := f(input.a)", "data.t.p = x", "{}", NULL, "[]" },
    };
    CHECK(rows);
}

static void test_eval__unification(void **state)
{
    static const struct row rows[] = {
        { "arrays", P "p := [x, y] if [x, 1, [y]] = [2, 1, [3]]", "data.t.p = x", NULL, NULL, "[{\"x\":[2,3]}]" },
        { "both ways", P "p := [x, y] if [x, 1] = [y, x]", "data.t.p = x", NULL, NULL, "[{\"x\":[1,1]}]" },
        { "lengths", P "p if [x, 1] = [1]", "data.t.p = x", NULL, NULL, "[]" },
        { "object", P "p := x if {\"a\": x, \"b\": 2} = input", "data.t.p = x", "{\"a\":1,\"b\":2}", NULL, "[{\"x\":1}]" },
        { "object with more", P "p := x if {\"a\": x} = input", "data.t.p = x", "{\"a\":1,\"b\":2}", NULL, "[]" },
        { "join", P "p contains x if { input.a[i] = x; input.b[i] = x }", "data.t.p = x", "{\"a\":[1,2,3],\"b\":[1,5,3]}", NULL, "[{\"x\":[1,3]}]" },
    };
    CHECK(rows);
}

static void test_eval__closures(void **state)
{
    static const struct row rows[] = {
        { "array", P "p := [(x * 2) | some x in [1, 2]]", "data.t.p = x", NULL, NULL, "[{\"x\":[2,4]}]" },
        { "nested", P "p := [[x, y] | some x in [1, 2]; y := {z | some z in [x, 3]}]", "data.t.p = x", NULL, NULL, "[{\"x\":[[1,[1,3]],[2,[2,3]]]}]" },
        { "object conflict", P "p := {\"a\": x | some x in [1, 2]}", "data.t.p = x", NULL, NULL, "!eval_conflict_error object keys" },
        { "not", P "p if not 4 in [1, 2]", "data.t.p = x", NULL, NULL, "[{\"x\":true}]" },
        { "every", P "p if every x in [1, 2] { x < 3 }", "data.t.p = x", NULL, NULL, "[{\"x\":true}]" },
        { "every fails", P "p if every x in [1, 2] { x < 2 }", "data.t.p = x", NULL, NULL, "[]" },
        { "every of nothing", P "p if every x in [] { x < 2 }", "data.t.p = x", NULL, NULL, "[{\"x\":true}]" },
        { "every of undefined", P "p if every x in input.a { x < 2 }", "data.t.p = x", "{}", NULL, "[]" },
        { "every with loop inside", P "p if every x in [1, 2] { some y in [0, 2, 3]; x < y }", "data.t.p = x", NULL, NULL, "[{\"x\":true}]" },
        { "every in a loop", P "p contains k if { some k, v in {\"a\": [1], \"b\": [9]}; every x in v { x < 5 } }", "data.t.p = x", NULL, NULL, "[{\"x\":[\"a\"]}]" },
    };
    CHECK(rows);
}

static void test_eval__documents(void **state)
{
    static const struct row rows[] = {
        { "package", P "p := 1\nq := 2 if false\nf(x) := x", "data.t = x", NULL, NULL, "[{\"x\":{\"p\":1}}]" },
        { "with base", P "p := 1", "data.t = x", NULL, "{\"t\":{\"b\":2}}", "[{\"x\":{\"b\":2,\"p\":1}}]" },
        { "over packages", P "p := 1\nq := 2", "data[a][b] = x", NULL, "{\"u\":{\"c\":3}}", "[{\"a\":\"t\",\"b\":\"p\",\"x\":1},{\"a\":\"t\",\"b\":\"q\",\"x\":2},{\"a\":\"u\",\"b\":\"c\",\"x\":3}]" },
        { "key known late", P "p := 1\nq := 1\nq := 2", "k = \"p\"; data.t[k] = x", NULL, NULL, "[{\"k\":\"p\",\"x\":1}]" },
        { "base below package", P "p := 1", "data.t.b[i] = x", NULL, "{\"t\":{\"b\":[7,8]}}", "[{\"i\":0,\"x\":7},{\"i\":1,\"x\":8}]" },
    };
    CHECK(rows);
}

static void test_eval__with(void **state)
{
    static const struct row rows[] = {
        { "input", P "q := input.a\np := [q, x, y] if { x := q with input.a as 2; y := q with input as {\"a\": 3} }", "data.t.p = x", "{\"a\":1}", NULL, "[{\"x\":[1,2,3]}]" },
        { "loops", P "q contains x if some x in input\np := [x | q[x] with input as [1, 2]; 0 in input]", "data.t.p = x", "[0]", NULL, "[{\"x\":[1,2]}]" },
        { "data over rule", P "q := 1\np := x if x := data.t.q with data.t.q as 5", "data.t.p = x", NULL, NULL, "[{\"x\":5}]" },
        { "function", P "f(x) := x\ng(x) := x + 1\np := [f(1), y] if y := f(1) with f as g", "data.t.p = x", NULL, NULL, "[{\"x\":[1,2]}]" },
        { "function by caller", P "f(x) := x\ng(x) := f(x) + 1\np := y if y := f(1) with f as g", "data.t.p = x", NULL, NULL, "[{\"x\":2}]" },
        { "builtin by value", P "p := y if y := count([1]) with count as 9", "data.t.p = x", NULL, NULL, "[{\"x\":9}]" },
        { "undefined value", P "p if true with input as data.nothing", "data.t.p = x", NULL, NULL, "[]" },
        { "not", P "p if not input.a with input as {}", "data.t.p = x", "{\"a\":1}", NULL, "[{\"x\":true}]" },
    };
    CHECK(rows);
}

static void test_eval__queries(void **state)
{
    static const struct row rows[] = {
        { "no variables", P "p := 1", "data.t.p", NULL, NULL, "[{}]" },
        { "false", P "p := false", "data.t.p", NULL, NULL, "[]" },
        { "several", P "p := 1", "data.t.p = x; y = 2", NULL, NULL, "[{\"x\":1,\"y\":2}]" },
        { "loop", P "p := 1", "x = [1, 2][i]", NULL, NULL, "[{\"i\":0,\"x\":1},{\"i\":1,\"x\":2}]" },
    };
    CHECK(rows);
}

static const struct row endless = {
    "endless", P "p := count([1 | some a in input; some b in input; some c in input; some d in input])",
    "data.t.p = x", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25]", NULL, "!limit_error",
};

static void test_eval__steps_are_spent(void **state)
{
    limits = (struct rego_input) { .steps = 1000 };
    check(&endless, 1);
    limits = (struct rego_input) { 0 };
}

static void test_eval__memory_is_spent(void **state)
{
    arena_bytes = 1 << 16;
    check(&endless, 1);
    arena_bytes = 0;
}

static void test_eval__depth_is_spent(void **state)
{
    static const struct row row = {
        "deep", P "a(x) := b(x)\nb(x) := c(x)\nc(x) := d(x)\nd(x) := x\np := a(1)", "data.t.p = x", NULL, NULL, NULL,
    };
    struct row limited = row, enough = row;
    limited.want = "!limit_error";
    enough.want = "[{\"x\":1}]";
    limits = (struct rego_input) { .depth = 5 };
    check(&limited, 1);
    limits = (struct rego_input) { .depth = 6 };
    check(&enough, 1);
    limits = (struct rego_input) { 0 };
}

static struct rego_program *compile_query(const char *module, const char *query)
{
    struct rego_module m = { "test.rego", module, strlen(module) };
    struct rego_options o = { .queries = &query, .query_count = 1 };
    static struct rego_errors errors;
    struct rego_program *p = rego_compile(&m, 1, &o, &errors);
    assert_non_null(p);
    return p;
}

/* One run, two programs in turn, one of which needs a stack of its own size. */
static void test_run_bind__one_run_for_many(void **state)
{
    enum { VARS = 9000 }; /* of one body: a frame beyond the usual stack */
    static char wide[VARS * 16 + 64];
    int n = snprintf(wide, sizeof wide, P "p if {\n");
    for (int i = 0; i < VARS; i++) n += snprintf(wide + n, sizeof wide - (size_t) n, "x%d := %d\n", i, i);
    snprintf(wide + n, sizeof wide - (size_t) n, "}\n");
    struct rego_program *small = compile_query(P "p := 1", "data.t.p"), *large = compile_query(wide, "data.t.p");
    struct rego_run *run = rego_run_new(NULL, 0);
    struct rego_input in = { 0 };
    struct rego_result r;
    assert_non_null(run);
    for (int i = 0; i < 4; i++) {
        assert_true(rego_run_bind(run, i % 2 ? large : small));
        assert_true(rego_eval(run, 0, &in, &r));
        assert_non_null(r.value);
        assert_int_equal(r.value->kind, i % 2 ? VALUE_BOOL : VALUE_NUMBER);
    }
    rego_run_free(run);
    rego_program_free(small);
    rego_program_free(large);
}

static void test_eval__a_limit_has_a_place(void **state)
{
    struct rego_program *p = compile_query(P "\np if {\n\tcount(numbers.range(1, 100000)) > 1\n}", "data.t.p");
    struct rego_run *run = rego_run_new(p, 0);
    struct rego_input in = { .steps = 1000 };
    struct rego_result r;
    assert_false(rego_eval(run, 0, &in, &r));
    assert_int_equal(r.status, REGO_LIMIT);
    assert_int_equal(r.error_line, 4);
    assert_string_equal(r.error_module, "test.rego");
    rego_run_free(run);
    rego_program_free(p);
}

/* ---- stacks and threads ---- */

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { STACK = 4 * REGO_STACK_BYTES };
#else
enum { STACK = REGO_STACK_BYTES };
#endif
enum { THREADS = 8, LEVELS = 190, CALLS = 500 };

/* before, count times unit, middle, count times after, end; from malloc. */
static char *nested(const char *before, const char *unit, const char *middle, const char *after, const char *end, size_t count)
{
    char *text = malloc(strlen(before) + count * (strlen(unit) + strlen(after)) + strlen(middle) + strlen(end) + 1);
    assert_non_null(text);
    char *to = stpcpy(text, before);
    for (size_t i = 0; i < count; i++) to = stpcpy(to, unit);
    to = stpcpy(to, middle);
    for (size_t i = 0; i < count; i++) to = stpcpy(to, after);
    stpcpy(to, end);
    return text;
}

/* Functions that call each other, and at the bottom what recurses by itself. */
static char *deep_calls(void)
{
    char *text = malloc(CALLS * 40 + 4096), *to = stpcpy(text, "package t\np := f0(1)\n");
    for (int i = 0; i < CALLS; i++) to += snprintf(to, 40, "f%d(x) := f%d(x)\n", i, i + 1);
    to += snprintf(to, 40, "f%d(x) if {\n\tregex.match(`", CALLS);
    for (int i = 0; i < 200; i++) *to++ = '(';
    *to++ = 'a';
    for (int i = 0; i < 200; i++) *to++ = ')';
    stpcpy(to, "`, \"a\")\n\tinput == json.unmarshal(json.marshal(input))\n\tcount([1 | walk(input, _)]) > 100\n}\n");
    return text;
}

static void *small_stack(void *unused)
{
    static const struct { const char *before, *unit, *middle, *after, *end; } FORMS[] = {
        { "package t\np := ", "[", "1", "]", "" },        { "package t\np := ", "(", "1", ")", "" },
        { "package t\np := ", "{", "1", "}", "" },        { "package t\np := x if { ", "{\"a\": ", "x", "}", " = input }" },
        { "package t\np := ", "[y | y := ", "1", "]", "" }, { "package t\np := ", "$\"{", "1", "}\"", "" },
        { "package t\np if { ", "every x in [1] { x; ", "true", "}", " }" },
    };
    for (size_t i = 0; i < 2 * sizeof FORMS / sizeof FORMS[0]; i++) {
        size_t f = i / 2, levels = i % 2 ? 100000 : f >= 4 ? LEVELS / 2 : LEVELS; /* too deep, and not */
        char *module = nested(FORMS[f].before, FORMS[f].unit, FORMS[f].middle, FORMS[f].after, FORMS[f].end, levels);
        const struct row r = { "deep", module, "data.t.p = x", NULL, NULL, NULL };
        char *got = outcome(&r);
        bool right = i % 2 ? strstr(got, "nested more than 200 levels deep") != NULL : got[0] == '[';
        if (!right) print_error("form %zu: %s\n", f, got);
        free(got);
        free(module);
        if (!right) return NULL;
    }
    char *module = deep_calls(), *input = nested("", "[", "1", "]", "", 120);
    const struct row r = { "calls", module, "data.t.p = x", input, NULL, NULL };
    char *got = outcome(&r);
    bool right = strcmp(got, "[{\"x\":true}]") == 0;
    if (!right) print_error("calls: %s\n", got);
    free(got);
    free(module);
    free(input);
    return right ? unused : NULL;
}

static void test_threads__of_small_stacks(void **state)
{
    static char fine;
    pthread_t threads[THREADS];
    pthread_attr_t attributes;
    unsigned wrong = 0;
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstacksize(&attributes, STACK), 0);
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], &attributes, small_stack, &fine), 0);
    for (int i = 0; i < THREADS; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        wrong += result != &fine;
    }
    pthread_attr_destroy(&attributes);
    assert_int_equal(wrong, 0);
}

/* Rules that allow because something is undefined: an evaluation that ends early must not be one of
 * these, whatever it ran out of and wherever. */
static const struct row FAIL_OPEN[] = {
    { "not a call", P "p if not regex.match(`^(a|aa)+$`, input)", "data.t.p = x", "\"aaaaaaaab\"", NULL, "[{\"x\":true}]" },
    { "not a rule", P "p if not d\nd if { some x in numbers.range(1, 50); x > 60 }", "data.t.p = x", NULL, NULL, "[{\"x\":true}]" },
    { "not a function", P "p if not f(3)\nf(x) if { y := [z | some z in numbers.range(1, x); z > 5]; count(y) > 0 }", "data.t.p = x", NULL, NULL, "[{\"x\":true}]" },
    { "every", P "p if every x in numbers.range(1, 20) { x < 21 }", "data.t.p = x", NULL, NULL, "[{\"x\":true}]" },
    { "empty comprehension", P "p if count([x | some x in numbers.range(1, 20); x > 20]) == 0", "data.t.p = x", NULL, NULL, "[{\"x\":true}]" },
    { "empty set rule", P "p if count(d) == 0\nd contains x if { some x in numbers.range(1, 20); x > 20 }", "data.t.p = x", NULL, NULL, "[{\"x\":true}]" },
    { "default", P "default p := true\np := false if count(numbers.range(1, 20)) == 20", "data.t.p = x", NULL, NULL, "[{\"x\":false}]" },
    { "else", P "p := false if { sprintf(\"%d\", [count(numbers.range(1, 20))]) == \"20\" } else := true", "data.t.p = x", NULL, NULL, "[{\"x\":false}]" },
    { "default of a function", P "default f(_) := true\nf(x) := false if concat(\"\", [x, x]) == \"aa\"\np := f(\"a\")", "data.t.p = x", NULL, NULL, "[{\"x\":false}]" },
    { "undefined texts", P "p if $\"{concat(\",\", [input.a])}\" == \"<undefined>\"", "data.t.p = x", "{}", NULL, "[{\"x\":true}]" },
    { "object.get", P "p if object.get({\"a\": {\"b\": upper(\"x\")}}, [\"a\", \"b\"], \"none\") != \"none\"", "data.t.p = x", NULL, NULL, "[{\"x\":true}]" },
    { "with", P "p if not d with input as {\"l\": numbers.range(1, 9)}\nd if input.l[_] > 10", "data.t.p = x", NULL, NULL, "[{\"x\":true}]" },
    { "base key", P "p if not data.o[1]", "data.t.p = x", NULL, "{\"o\":{\"2\":0}}", "[{\"x\":true}]" },
};

static void check_limited(const struct row *r, const char *what, uint64_t amount)
{
    char *got = outcome(r);
    bool ended = strncmp(got, "!limit_error", 12) == 0;
    if (!ended && strcmp(got, r->want) != 0)
        fail_msg("%s with %llu %s: %s", r->name, (unsigned long long) amount, what, got);
    free(got);
}

static void test_limits__never_change_the_answer(void **state)
{
    CHECK(FAIL_OPEN);
    for (size_t i = 0; i < sizeof FAIL_OPEN / sizeof FAIL_OPEN[0]; i++) {
        for (limits.steps = 1; limits.steps < 400; limits.steps++)
            check_limited(&FAIL_OPEN[i], "steps", limits.steps);
        limits.steps = 0;
        for (arena_bytes = 16; arena_bytes < 12000; arena_bytes += 16)
            check_limited(&FAIL_OPEN[i], "bytes", arena_bytes);
        arena_bytes = 0;
        for (limits.depth = 1; limits.depth < 8; limits.depth++)
            check_limited(&FAIL_OPEN[i], "calls", limits.depth);
        limits.depth = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eval__complete_rules),
        cmocka_unit_test(test_eval__partial_rules),
        cmocka_unit_test(test_eval__functions),
        cmocka_unit_test(test_eval__unification),
        cmocka_unit_test(test_eval__closures),
        cmocka_unit_test(test_eval__documents),
        cmocka_unit_test(test_eval__with),
        cmocka_unit_test(test_eval__queries),
        cmocka_unit_test(test_eval__steps_are_spent),
        cmocka_unit_test(test_eval__memory_is_spent),
        cmocka_unit_test(test_eval__depth_is_spent),
        cmocka_unit_test(test_eval__a_limit_has_a_place),
        cmocka_unit_test(test_run_bind__one_run_for_many),
        cmocka_unit_test(test_limits__never_change_the_answer),
        cmocka_unit_test(test_threads__of_small_stacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

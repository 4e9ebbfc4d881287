/* One program, many threads: each with its own run, all with the same answers. For ThreadSanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/json.h"
#include "policy/rego.h"

#include <pthread.h>
#include <string.h>

#define THREADS 6
#define ROUNDS 40

/* What a program shares: constants, indexes, patterns. What it does not: memos, scopes, builders. */
static const char text[] =
    "package t\n"
    "allow if { data[\"resource-path\"] == [\"a\", \"b\", \"c1\"]; input.ok }\n"
    "allow if { data[\"resource-path\"] == [\"a\", \"b\", \"c2\"]; input.ok }\n"
    "allow if { data[\"resource-path\"] == [\"a\", \"b\", \"c3\"]; input.ok }\n"
    "allow if { data[\"resource-path\"] == [\"a\", \"b\", \"c4\"]; input.ok }\n"
    "names contains x if { some x in input.names; regex.match(`^[a-zä]+[0-9]$`, x) }\n"
    "sum_of(xs) := sum([x | some x in xs; x > 1])\n"
    "r := {\"allow\": allow, \"names\": names, \"sum\": sum_of([1, 2, n]), \"set\": {1, n} | {3},\n"
    "      \"with\": w, \"glob\": glob.match(\"a.*\", [\".\"], \"a.b\"), \"text\": sprintf(\"%s-%d\", [\"x\", n])} if {\n"
    "  n := count(names)\n"
    "  w := allow with data[\"resource-path\"] as [\"a\", \"b\", \"c4\"]\n"
    "}\n";

static const char want[] = "{\"allow\":true,\"glob\":true,\"names\":[\"a1\",\"\xc3\xa4""2\"],\"set\":[1,2,3],"
                           "\"sum\":4,\"text\":\"x-2\",\"with\":true}";

static struct shared {
    const struct rego_program *program;
    const struct value *input, *data;
} shared;

static void *evaluate(void *arg)
{
    unsigned *wrong = arg;
    struct arena *a = arena_new(1 << 20);
    struct rego_run *run = rego_run_new(shared.program, 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct rego_input in = { .input = shared.input, .data = shared.data };
        struct rego_result result = { 0 };
        struct text t;
        arena_reset(a);
        text_init(&t, a);
        if (rego_eval(run, 0, &in, &result) && result.value) json_write(&t, result.value);
        const char *got = text_end(&t);
        *wrong += !got || strcmp(got, want) != 0;
    }
    rego_run_free(run);
    arena_free(a);
    return NULL;
}

static void test_eval__one_program_many_threads(void **state)
{
    static struct rego_errors errors;
    static const char input[] = "{\"ok\": true, \"names\": [\"a1\", \"\xc3\xa4""2\", \"B3\", \"c\"]}";
    static const char data[] = "{\"resource-path\": [\"a\", \"b\", \"c3\"]}";
    struct rego_module module = { "t.rego", text, sizeof text - 1 };
    const char *query = "data.t.r";
    struct rego_options options = { .queries = &query, .query_count = 1 };
    struct arena *a = arena_new(1 << 20);
    struct rego_program *program = rego_compile(&module, 1, &options, &errors);
    pthread_t threads[THREADS];
    unsigned wrong[THREADS] = { 0 }, all = 0;

    assert_non_null(program);
    shared = (struct shared) {
        program, json_to_value(a, input, sizeof input - 1, NULL, NULL), json_to_value(a, data, sizeof data - 1, NULL, NULL),
    };
    for (size_t i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, evaluate, &wrong[i]), 0);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        all += wrong[i];
    }
    rego_program_free(program);
    arena_free(a);
    assert_int_equal(all, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_eval__one_program_many_threads) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Our engine, driven like the reference's (tests/bench/regorus):
 *
 *     beside bench MILLISECONDS QUERY POLICY INPUT DATA [QUERY POLICY INPUT DATA ...]
 *         nanoseconds of one evaluation and its value, a line each; program, input and data are ready before
 *     beside oracle
 *         {"modules":[text],"query":text,"input":any,"data":object} a line on standard input;
 *         {"value":any}, {"undefined":true}, {"error":text} or {"refused":text} a line back */
#include "broker/builtins/builtins.h"
#include "policy/json.h"
#include "policy/rego.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MODULES_MAX 16
#define CASE_BYTES ((size_t) 64 << 20)

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "beside: %s: %s\n", what, why);
    exit(1);
}

static struct rego_program *compile(const struct rego_module *modules, size_t count, const char *query,
                                    struct rego_errors *errors)
{
    const struct rego_options options = {
        .queries = &query, .query_count = 1, .host = builtins_host(),
    };
    return rego_compile(modules, count, &options, errors);
}

/* ---- bench ---- */

static char *read_text(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "rb");
    if (!f) fail(path, "cannot be opened");
    char *text = malloc(CASE_BYTES);
    *ret_len = text ? fread(text, 1, CASE_BYTES, f) : 0;
    fclose(f);
    return text;
}

static const struct value *read_json(struct arena *a, const char *path)
{
    size_t len = 0;
    char *text = read_text(path, &len);
    struct json_error error = { 0 };
    const struct value *v = json_to_value(a, text, len, NULL, &error);
    free(text);
    if (!v) fail(path, error.text);
    return v;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t) t.tv_sec * 1000000000u + (uint64_t) t.tv_nsec;
}

static uint64_t spend(struct rego_run *run, const struct rego_input *in, uint64_t times)
{
    uint64_t began = now_ns();
    for (uint64_t i = 0; i < times; i++) {
        struct rego_result result;
        if (!rego_eval(run, 0, in, &result)) fail("evaluation", result.error_text);
    }
    return now_ns() - began;
}

/* Prints a line. */
static void measure(uint64_t budget, char **args)
{
    struct arena *arena = arena_new(CASE_BYTES);
    struct rego_errors errors;
    size_t len = 0;
    char *text = read_text(args[1], &len);
    const struct rego_module module = { .name = args[1], .text = text, .len = len };
    struct rego_program *p = compile(&module, 1, args[0], &errors);
    if (!p) fail(args[1], errors.items[0].text);
    const struct rego_input in = { .input = read_json(arena, args[2]), .data = read_json(arena, args[3]) };
    struct rego_run *run = rego_run_new(p, 0);
    struct rego_result result;
    if (!rego_eval(run, 0, &in, &result)) fail("evaluation", result.error_text);
    const char *value = !result.value                      ? "undefined"
                        : result.value == value_bool(true) ? "true" : "not true";
    uint64_t times = 1, spent = 0;
    while ((spent = spend(run, &in, times)) < budget) times *= 2;
    printf("%.1f %s\n", (double) spent / (double) times, value);
    rego_run_free(run);
    rego_program_free(p);
    arena_free(arena);
    free(text);
}

static int bench(int argc, char **argv)
{
    uint64_t budget = strtoull(argv[0], NULL, 10) * 1000000u;
    for (int i = 1; i + 4 <= argc; i += 4) measure(budget, argv + i);
    return 0;
}

/* ---- oracle ---- */

static void put(struct text *t, const char *name, const char *value)
{
    text_addf(t, "{\"%s\":", name);
    json_write_string(t, value, strlen(value), false);
    text_add_char(t, '}');
}

static void evaluate(struct text *t, struct rego_program *p, const struct value *fields)
{
    struct rego_run *run = rego_run_new(p, 0);
    struct rego_result result;
    const struct rego_input in = {
        .input = object_get_z(fields, "input"), .data = object_get_z(fields, "data"),
    };
    if (!rego_eval(run, 0, &in, &result)) {
        put(t, "error", result.error_text);
    } else if (!result.value) {
        text_add_string(t, "{\"undefined\":true}");
    } else {
        text_add_string(t, "{\"value\":");
        json_write(t, result.value);
        text_add_char(t, '}');
    }
    rego_run_free(run);
}

static void answer(struct text *t, const struct value *fields)
{
    struct rego_module modules[MODULES_MAX];
    struct rego_errors errors;
    size_t count = 0;
    const struct value *texts = object_get_z(fields, "modules"), *query = object_get_z(fields, "query");
    for (size_t i = 0; value_is(texts, VALUE_ARRAY) && i < texts->count && count < MODULES_MAX; i++)
        if (texts->items[i]->kind == VALUE_STRING)
            modules[count++] = (struct rego_module) {
                .name = "case.rego", .text = texts->items[i]->string, .len = texts->items[i]->count,
            };
    struct rego_program *p =
        value_is(query, VALUE_STRING) ? compile(modules, count, query->string, &errors) : NULL;
    if (p) {
        evaluate(t, p, fields);
        rego_program_free(p);
        return;
    }
    char why[600];
    snprintf(why, sizeof why, "%s:%u: %s", errors.items[0].code, errors.items[0].line, errors.items[0].text);
    put(t, "refused", value_is(query, VALUE_STRING) ? why : "no query");
}

static int oracle(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    while ((len = getline(&line, &cap, stdin)) > 0) {
        struct arena *a = arena_new(CASE_BYTES);
        struct text t;
        text_init(&t, a);
        const struct value *fields = json_to_value(a, line, (size_t) len, NULL, NULL);
        if (value_is(fields, VALUE_OBJECT)) answer(&t, fields);
        else put(&t, "refused", "no JSON object");
        const char *text = text_end(&t);
        puts(text ? text : "{\"error\":\"no memory\"}");
        fflush(stdout);
        arena_free(a);
    }
    free(line);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "bench") == 0) return bench(argc - 2, argv + 2);
    if (argc == 2 && strcmp(argv[1], "oracle") == 0) return oracle();
    fprintf(stderr, "usage: beside bench MILLISECONDS QUERY POLICY INPUT DATA ... | oracle\n");
    return 2;
}

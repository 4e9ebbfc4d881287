#include "tests/rego/trial.h"

#include "broker/builtins/builtins.h"
#include "policy/builtin.h"
#include "policy/json.h"
#include "policy/rego.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ARENA_BYTES ((size_t) 256 << 20)

struct trial {
    const struct value *fields;
    struct arena *arena;
    struct rego_program *program, *term_program;
    struct rego_run *run, *term_run;
    char *why;
};

static struct {
    struct trial_options options;
    struct builtin_host host;
    struct builtin *rows;         /* the host's and, for what nobody gives, a function that notes the call */
    const struct builtin *called; /* the first of these that the present evaluation called */
} app;

/* ---- functions that nobody gives ---- */

static const struct value *note_call(struct builtin_call *call, const struct value *const *args)
{
    if (!app.called) app.called = call->builtin;
    return builtin_fail(call, "not available to this case");
}

bool trial_prepare(const struct trial_options *options)
{
    const struct builtin_host *host = builtins_host();
    size_t count = 0, n = host->row_count;
    const struct builtin *all = builtin_all(&count);
    app.options = *options;
    app.rows = calloc(n + count, sizeof *app.rows);
    if (!app.rows) return false;
    memcpy(app.rows, host->rows, n * sizeof *app.rows);
    for (size_t i = 0; i < count; i++) {
        const struct builtin *b = builtin_find(host, all[i].name, strlen(all[i].name));
        if (b->run) continue;
        app.rows[n] = *b;
        app.rows[n++].run = note_call;
    }
    app.host = *host;
    app.host.rows = app.rows;
    app.host.row_count = n;
    return true;
}

/* What the call says about the case; PASSED when there was none. */
static enum verdict verdict_of_call(struct trial *t)
{
    if (!app.called) return PASSED;
    const struct refusals *r = app.options.refusals;
    for (size_t i = 0; i < r->count; i++) {
        if (strcmp(r->rows[i].name, app.called->name) != 0) continue;
        snprintf(t->why, WHY_MAX, "%s: %s", r->rows[i].name, r->rows[i].reason);
        return REFUSED;
    }
    bool crypto = app.called->flags & BUILTIN_FROM_HOST;
    snprintf(t->why, WHY_MAX, "%s: %s", app.called->name,
             crypto ? "needs the host's cryptography" : "does not run, and nobody said that it is refused");
    return crypto ? SKIPPED : FAILED;
}

/* ---- fields ---- */

bool trial_knows_field(const struct value *name)
{
    static const char *const NAMES[] = {
        "note", "query", "modules", "data", "input", "input_term", "want_result", "want_error",
        "want_error_code", "want_defined", "strict_error", "sort_bindings", "ignore_generated_vars", "env",
        /* of other suites' programs; nothing for us */
        "file", "filename", "entrypoints", "plan", "want_plan_result",
    };
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++)
        if (string_is(name, NAMES[i])) return true;
    return false;
}

static const char *field_text(const struct trial *t, const char *name)
{
    const struct value *v = object_get_z(t->fields, name);
    return value_is(v, VALUE_STRING) ? v->string : NULL;
}

static bool field_true(const struct trial *t, const char *name)
{
    return object_get_z(t->fields, name) == value_bool(true);
}

static enum verdict fail(struct trial *t, const char *what)
{
    snprintf(t->why, WHY_MAX, "%s", what);
    return FAILED;
}

/* What a case must have for there to be something to judge. */
static const char *problem_of(const struct trial *t)
{
    static const struct { const char *name; unsigned kinds; const char *problem; } FIELDS[] = {
        { "query", 1u << VALUE_STRING, "query is no text" },
        { "modules", 1u << VALUE_ARRAY, "modules are no array" },
        { "data", 1u << VALUE_OBJECT | 1u << VALUE_NULL, "data is no object" },
        { "input_term", 1u << VALUE_STRING, "input_term is no text" },
        { "want_result", 1u << VALUE_ARRAY | 1u << VALUE_NULL, "want_result is no array" },
        { "want_error", 1u << VALUE_STRING, "want_error is no text" },
        { "want_error_code", 1u << VALUE_STRING, "want_error_code is no text" },
        { "want_defined", 1u << VALUE_BOOL, "want_defined is no boolean" },
        { "strict_error", 1u << VALUE_BOOL, "strict_error is no boolean" },
        { "sort_bindings", 1u << VALUE_BOOL, "sort_bindings is no boolean" },
        { "ignore_generated_vars", 1u << VALUE_BOOL, "ignore_generated_vars is no boolean" },
        { "env", 1u << VALUE_OBJECT, "env is no object" },
    };
    if (!value_is(t->fields, VALUE_OBJECT)) return "the case is no object";
    for (size_t i = 0; i < sizeof FIELDS / sizeof FIELDS[0]; i++) {
        const struct value *v = object_get_z(t->fields, FIELDS[i].name);
        if (v && !(FIELDS[i].kinds & 1u << v->kind)) return FIELDS[i].problem;
    }
    if (!field_text(t, "query")) return "no query";
    const struct value *modules = object_get_z(t->fields, "modules");
    for (size_t i = 0; modules && i < modules->count; i++)
        if (modules->items[i]->kind != VALUE_STRING) return "a module is no text";
    bool wants = value_is(object_get_z(t->fields, "want_result"), VALUE_ARRAY) || field_text(t, "want_error")
                 || field_text(t, "want_error_code") || object_get_z(t->fields, "want_defined");
    return wants ? NULL : "none of want_result, want_error, want_error_code, want_defined";
}

/* ---- results ---- */

static void say(struct trial *t, const char *label, const struct value *v)
{
    struct text text;
    text_init(&text, t->arena);
    if (v) value_print(&text, v);
    const char *shown = text_end(&text);
    size_t len = strlen(t->why);
    snprintf(t->why + len, WHY_MAX - len, "%s%s %.*s", len ? "; " : "", label, 500, shown ? shown : "?");
}

static const struct value *sorted(struct trial *t, const struct value *array)
{
    if (!value_is(array, VALUE_ARRAY)) return array;
    const struct value **items = arena_alloc_array(t->arena, array->count + 1, sizeof *items);
    if (!items) return NULL;
    for (size_t i = 0; i < array->count; i++) items[i] = array->items[i];
    return value_sort(t->arena, items, array->count) ? value_array(t->arena, items, array->count) : NULL;
}

/* As JSON: sets become arrays, every key a string. */
static const struct value *as_json(struct trial *t, const struct value *v)
{
    struct text text;
    text_init(&text, t->arena);
    json_write(&text, v);
    const char *json = text_end(&text);
    const struct json_options options = { .depth_max = VALUE_DEPTH_MAX, .last_key_wins = true };
    return json ? json_to_value(t->arena, json, strlen(json), &options, NULL) : NULL;
}

/* Bindings as a set of objects, in the form in which two of them are compared. */
static const struct value *normal(struct trial *t, const struct value *bindings)
{
    bool sort = field_true(t, "sort_bindings"), drop = field_true(t, "ignore_generated_vars");
    struct value_builder set;
    value_builder_init(&set, t->arena, VALUE_SET);
    for (size_t i = 0; i < bindings->count; i++) {
        const struct value *from = bindings->items[i];
        struct value_builder to;
        value_builder_init(&to, t->arena, VALUE_OBJECT);
        for (size_t k = 0; value_is(from, VALUE_OBJECT) && k < from->count; k++) {
            const struct value *name = from->pairs[k].key;
            if (drop && strncmp(name->string, "__local", 7) == 0) continue;
            const struct value *v = as_json(t, from->pairs[k].value);
            value_builder_put(&to, name, sort ? sorted(t, v) : v);
        }
        value_builder_add(&set, value_builder_end(&to, NULL));
    }
    return value_builder_end(&set, NULL);
}

static enum verdict judge_result(struct trial *t, const struct value *bindings)
{
    const struct value *want = object_get_z(t->fields, "want_result"), *defined = object_get_z(t->fields, "want_defined");
    if (field_text(t, "want_error") || field_text(t, "want_error_code")) {
        say(t, "wanted an error, got", bindings);
        return FAILED;
    }
    if (defined && defined->boolean != (bindings->count > 0)) {
        say(t, defined->boolean ? "wanted something, got" : "wanted nothing, got", bindings);
        return FAILED;
    }
    if (!value_is(want, VALUE_ARRAY)) return PASSED;
    const struct value *a = normal(t, want), *b = normal(t, bindings);
    if (a && b && value_equal(a, b)) return PASSED;
    say(t, "wanted", a);
    say(t, "got", b);
    return FAILED;
}

/* What the case wants as an error: code equal, text contained; a case wants either or both. */
static enum verdict judge_error(struct trial *t, const char *code, const char *text)
{
    const char *want_code = field_text(t, "want_error_code"), *want_text = field_text(t, "want_error");
    bool wanted = (want_code || want_text) && (!want_code || strcmp(code, want_code) == 0)
                  && (!want_text || strstr(text, want_text));
    if (wanted) return PASSED;
    snprintf(t->why, WHY_MAX, "got error %.900s; wanted %s%s%s", text, want_code || want_text ? "" : "a result",
             want_code ? want_code : "", want_text ? " " : "");
    size_t len = strlen(t->why);
    snprintf(t->why + len, WHY_MAX - len, "%s", want_text ? want_text : "");
    return FAILED;
}

static enum verdict judge_compile_errors(struct trial *t, const struct rego_errors *errors)
{
    char text[WHY_MAX];
    size_t len = 0;
    for (size_t i = 0; i < errors->count && len < sizeof text; i++)
        len += (size_t) snprintf(text + len, sizeof text - len, "%s%s:%u: %s: %s", i ? "\n" : "", errors->items[i].module,
                                 errors->items[i].line, errors->items[i].code, errors->items[i].text);
    return judge_error(t, errors->count ? errors->items[0].code : "", len ? text : "compilation failed without a word");
}

static enum verdict judge(struct trial *t, bool ok, const struct rego_result *r)
{
    if (ok) return judge_result(t, r->bindings);
    char text[WHY_MAX];
    snprintf(text, sizeof text, "%s:%u: %s: %s", r->error_module, r->error_line, r->error_code, r->error_text);
    return judge_error(t, r->error_code, text);
}

/* ---- running ---- */

/* `input_term` is Rego: sets and keys of any type. It is the answer of a query of its own. */
static bool find_input(struct trial *t, const struct value **ret)
{
    *ret = object_get_z(t->fields, "input");
    const char *term = field_text(t, "input_term");
    if (!term) return true;
    struct text query;
    text_init(&query, t->arena);
    text_add_string(&query, "x = ");
    text_add_string(&query, term);
    const char *const queries[] = { text_end(&query) };
    struct rego_errors errors = { 0 };
    const struct rego_options options = { .queries = queries, .query_count = 1 };
    t->term_program = queries[0] ? rego_compile(NULL, 0, &options, &errors) : NULL;
    t->term_run = t->term_program ? rego_run_new(t->term_program, 0) : NULL;
    struct rego_result result = { 0 };
    const struct rego_input in = { 0 };
    if (!t->term_run || !rego_eval(t->term_run, 0, &in, &result) || result.bindings->count != 1) return false;
    *ret = object_get_z(result.bindings->items[0], "x");
    return *ret != NULL;
}

static struct rego_module *find_modules(struct trial *t, size_t *ret_count)
{
    const struct value *texts = object_get_z(t->fields, "modules");
    *ret_count = texts ? texts->count : 0;
    struct rego_module *modules = arena_alloc_array(t->arena, *ret_count + 1, sizeof *modules);
    for (size_t i = 0; modules && i < *ret_count; i++) {
        struct text name;
        text_init(&name, t->arena);
        text_addf(&name, "test-%zu.rego", i); /* as OPA's runner calls them */
        modules[i] = (struct rego_module) { text_end(&name), texts->items[i]->string, texts->items[i]->count };
    }
    return modules;
}

static struct rego_input input_of(const struct trial *t, const struct value *input)
{
    const struct value *data = object_get_z(t->fields, "data");
    struct timespec now = { 0 };
    clock_gettime(CLOCK_REALTIME, &now);
    return (struct rego_input) {
        .input = input,
        .data = value_is(data, VALUE_OBJECT) ? data : NULL,
        .now_ns = (int64_t) now.tv_sec * 1000000000 + now.tv_nsec,
        .strict = field_true(t, "strict_error"),
    };
}

/* With less of something the evaluation ends with limit_error, or nothing is different. */
static bool same_within(struct trial *t, struct rego_input in, uint64_t steps, unsigned depth)
{
    struct rego_result r = { 0 };
    in.steps = steps;
    in.depth = depth;
    bool ok = rego_eval(t->run, 0, &in, &r);
    if ((!ok && r.status == REGO_LIMIT) || judge(t, ok, &r) == PASSED) return true;
    size_t len = strlen(t->why);
    snprintf(t->why + len, WHY_MAX - len, " (within %llu steps and %u calls; 0 is the default)",
             (unsigned long long) steps, depth);
    return false;
}

static enum verdict try_limits(struct trial *t, struct rego_input in, uint64_t spent)
{
    for (unsigned depth = 1; depth < 4; depth++)
        if (!same_within(t, in, 0, depth)) return FAILED;
    for (uint64_t steps = 1, more = 1; steps < spent; steps += more, more += steps / 4)
        if (!same_within(t, in, steps, 0)) return FAILED;
    return PASSED;
}

static enum verdict evaluate(struct trial *t)
{
    size_t count = 0;
    const struct rego_module *modules = find_modules(t, &count);
    const char *const queries[] = { field_text(t, "query") };
    const struct rego_options options = {
        .queries = queries, .query_count = 1, .allow_refused = true, .host = &app.host,
    };
    struct rego_errors errors = { 0 };
    const struct value *input = NULL;
    if (!find_input(t, &input)) return fail(t, "input_term cannot be read");
    if (!modules) return fail(t, "out of memory");
    t->program = rego_compile(modules, count, &options, &errors);
    if (!t->program) return judge_compile_errors(t, &errors);
    t->run = rego_run_new(t->program, 0);
    if (!t->run) return fail(t, "out of memory");
    const struct rego_input in = input_of(t, input);
    struct rego_result result = { 0 };
    app.called = NULL;
    bool ok = rego_eval(t->run, 0, &in, &result);
    enum verdict v = verdict_of_call(t);
    if (v == PASSED) v = judge(t, ok, &result);
    return v == PASSED && app.options.limits ? try_limits(t, in, result.steps) : v;
}

static void set_environment(const struct trial *t)
{
    const struct value *env = object_get_z(t->fields, "env");
    for (size_t i = 0; env && i < env->count; i++)
        if (value_is(env->pairs[i].key, VALUE_STRING) && value_is(env->pairs[i].value, VALUE_STRING))
            setenv(env->pairs[i].key->string, env->pairs[i].value->string, 1);
}

enum verdict trial_run(const struct value *fields, char why[WHY_MAX])
{
    struct trial t = { .fields = fields, .arena = arena_new(ARENA_BYTES), .why = why };
    why[0] = '\0';
    const char *problem = t.arena ? problem_of(&t) : "out of memory";
    if (!problem) set_environment(&t);
    enum verdict v = problem ? fail(&t, problem) : evaluate(&t);
    rego_run_free(t.run);
    rego_program_free(t.program);
    rego_run_free(t.term_run);
    rego_program_free(t.term_program);
    arena_free(t.arena);
    return v;
}

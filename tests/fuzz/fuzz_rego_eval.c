/* Target Functions: rego_compile rego_eval builtin_run explain */
#include "policy/explain.h"
#include "policy/json.h"
#include "policy/plan.h"
#include "policy/rego.h"
#include "policy/trace.h"
#include "policy/value.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS 200000
#define ARENA ((size_t) 32 << 20)

static const char DOCUMENTS[] =
    "{\"data\": {\"plugin\": \"resource\", \"resource-path\": [\"a\", \"b\", \"c\"], \"query\": {\"k\": \"v\"}},"
    " \"input\": {\"submods\": {\"cpu0\": {\"ear.status\": \"affirming\", \"vector\": [2, 2, 3]}}, \"exp\": 1700000000}}";

/* From malloc. */
static char *text_of(const struct value *v)
{
    struct arena *a = arena_new((size_t) 64 << 20);
    struct text t;
    text_init(&t, a);
    value_print(&t, v);
    const char *text = text_end(&t);
    char *copy = strdup(text ? text : "too long");
    arena_free(a);
    return copy;
}

static void check_errors(const struct rego_errors *errors)
{
    if (errors->count == 0 || errors->count > REGO_ERRORS_MAX) abort();
    for (size_t i = 0; i < errors->count; i++)
        if (errors->items[i].code[0] == 0 || errors->items[i].text[0] == 0) abort();
}

/* What a tracer is told must hang together: units nest, every step but theirs is somebody's. */
static void watch(void *context, const struct trace_event *e)
{
    size_t *open = context;
    if (e->kind == TRACE_ENTER) ++*open;
    if (*open == 0) abort();
    if (e->kind == TRACE_LEAVE) --*open;
    else if (e->kind != TRACE_ENTER && (!e->insn || !e->origin)) abort();
    if ((e->kind == TRACE_BODY || e->kind == TRACE_HELD) && !e->origin->rule) abort();
    if (e->kind == TRACE_EXPR && !e->origin->expr) abort();
}

/* Without the rule index it comes to the same, but for errors in rules that the index leaves out. */
static void check_index(struct rego_run *run, struct rego_input in, const struct rego_result *all, const char *bindings)
{
    struct rego_result result = { 0 };
    in.all_rules = false;
    rego_eval(run, 0, &in, &result);
    if (all->status != REGO_OK || result.status == REGO_LIMIT) return;
    if (result.status != REGO_OK) abort();
    char *again = text_of(result.bindings);
    if (strcmp(bindings, again) != 0) abort();
    free(again);
}

/* A watched evaluation comes to the same. It spends more steps, so it is given more. */
static void check_traced(struct rego_run *run, struct rego_input in, const struct rego_result *untraced,
                         const char *bindings)
{
    size_t open = 0;
    const struct tracer tracer = { watch, &open };
    struct rego_result result = { 0 };
    in.tracer = &tracer;
    in.steps *= 4;
    rego_eval(run, 0, &in, &result);
    if (open != 0) abort();
    if (untraced->status == REGO_LIMIT || result.status == REGO_LIMIT) return;
    if (result.status != untraced->status) abort();
    if (result.status != REGO_OK && strcmp(result.error_code, untraced->error_code) != 0) abort();
    if (result.status != REGO_OK) return;
    char *again = text_of(result.bindings);
    if (strcmp(bindings, again) != 0) abort();
    free(again);
}

/* Whatever happens can be told, on a screen. */
static void check_explained(struct rego_run *run, const struct rego_input *in)
{
    struct arena *a = arena_new((size_t) 4 << 20);
    struct rego_result result;
    struct text t;
    char line[EXPLAIN_SHORT_MAX];
    const struct explanation *e = explain(run, 0, in, a, &result);
    if (!e) abort();
    text_init(&t, a);
    explain_print(&t, e);
    const char *text = text_end(&t);
    explain_short(e, line, sizeof line);
    if (!text || text[0] == 0 || line[0] == 0 || strchr(line, '\n') || !explain_value(e, a)) abort();
    size_t lines = 0;
    for (; *text; text++) lines += *text == '\n';
    if (lines > EXPLAIN_LINES_MAX + 1) abort();
    arena_free(a);
}

/* Whatever compiles runs within its budget and does the same twice, watched or not; what does not
 * compile says why. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 20000) return 0;
    struct rego_module module = { "fuzz.rego", (const char *) data, size };
    struct rego_options options = { .queries = (const char *const[]) { "data = x" }, .query_count = 1, .arena_bytes = ARENA,
                                    .traced = true };
    struct rego_errors errors = { 0 };
    struct rego_program *p = rego_compile(&module, 1, &options, &errors);
    if (!p) {
        check_errors(&errors);
        return 0;
    }
    struct arena *arena = arena_new(1 << 20);
    const struct value *documents = json_to_value(arena, DOCUMENTS, sizeof DOCUMENTS - 1, NULL, NULL);
    struct rego_run *run = rego_run_new(p, ARENA);
    if (!documents || !run) abort();
    uint64_t steps[2] = { 0 };
    enum rego_status status[2] = { REGO_OK, REGO_OK };
    for (int i = 0; i < 2; i++) {
        struct rego_input in = {
            .input = object_get_z(documents, "input"), .data = object_get_z(documents, "data"),
            .now_ns = 1700000000000000000, .steps = STEPS, .strict = size % 2, .all_rules = true,
        };
        struct rego_result result = { 0 };
        rego_eval(run, 0, &in, &result);
        if (result.steps > STEPS || (result.status != REGO_OK && !result.error_code)) abort();
        steps[i] = result.steps;
        status[i] = result.status;
        if (i == 0) continue;
        char *bindings = result.status == REGO_OK ? text_of(result.bindings) : NULL;
        const struct rego_result untraced = { .status = result.status, .error_code = result.error_code };
        check_index(run, in, &untraced, bindings);
        check_traced(run, in, &untraced, bindings);
        check_explained(run, &in);
        free(bindings);
    }
    if (steps[0] != steps[1] || status[0] != status[1]) abort();
    rego_run_free(run);
    rego_program_free(p);
    arena_free(arena);
    return 0;
}

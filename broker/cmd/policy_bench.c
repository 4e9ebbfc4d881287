/* strongroom policy bench */
#include "broker/base/clock.h"
#include "broker/base/file.h"
#include "broker/base/json.h"
#include "broker/builtins/builtins.h"
#include "broker/cmd/policy_case.h"
#include "broker/cmd/policy_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    RUNS_DEFAULT = 1000,
    RUNS_MAX = 1000000,
    COMPILES = 7,
    BATCH_NS = 20000, /* a sample is long enough for the clock not to matter */
    BATCH_MAX = 4096,
};

/* Nanoseconds each. */
struct times { uint64_t min, median, max; };

static int by_size(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *) x, b = *(const uint64_t *) y;
    return (a > b) - (a < b);
}

static struct times times_of(uint64_t *samples, size_t count)
{
    qsort(samples, count, sizeof *samples, by_size);
    return (struct times) {samples[0], samples[count / 2], samples[count - 1]};
}

static uint64_t sample(struct policy_case *c, unsigned batch)
{
    struct rego_result result;
    uint64_t begin = clock_mono_ns();
    for (unsigned i = 0; i < batch; i++) rego_eval(c->run, 0, &c->input, &result);
    return clock_mono_ns() - begin;
}

static err_t time_evaluations(struct policy_case *c, unsigned runs, unsigned *ret_batch, struct times *ret)
{
    uint64_t *samples = calloc(runs, sizeof *samples);
    if (!samples) FAIL(ERR_INTERNAL, "out of memory");
    unsigned batch = 1;
    sample(c, 1); /* memory is touched, caches are warm */
    while (batch < BATCH_MAX && sample(c, batch) < BATCH_NS) batch *= 2;
    for (unsigned i = 0; i < runs; i++) samples[i] = sample(c, batch) / batch;
    *ret = times_of(samples, runs);
    *ret_batch = batch;
    free(samples);
    return ERR_OK;
}

static err_t time_compiling(const struct policy_case_options *o, struct times *ret)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    uint64_t samples[COMPILES];
    TRY(policy_case_read(o->policy, &text));
    const struct rego_module module = {POLICY_MODULE, (const char *) text.data, text.len};
    const struct rego_options options = {.queries = &o->rule, .query_count = 1, .host = builtins_host()};
    for (int i = 0; i < COMPILES; i++) {
        struct rego_errors errors;
        uint64_t begin = clock_mono_ns();
        struct rego_program *p = rego_compile(&module, 1, &options, &errors);
        samples[i] = clock_mono_ns() - begin;
        rego_program_free(p);
        if (!p) FAIL(ERR_INTERNAL, "%s compiled only once", o->policy);
    }
    *ret = times_of(samples, COMPILES);
    return ERR_OK;
}

/* ---- telling ------------------------------------------------------------------------------------ */

struct measured {
    struct times evaluation, compiling;
    unsigned runs, batch;
    uint64_t steps;
    size_t program_bytes, run_bytes;
    const char *outcome;
};

static void put_times(struct json_out *o, const char *name, struct times t)
{
    json_key(o, name);
    json_begin_object(o);
    json_member_uint(o, "min", t.min);
    json_member_uint(o, "median", t.median);
    json_member_uint(o, "max", t.max);
    json_end_object(o);
}

static err_t print_json(const struct measured *m)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    struct json_out o = JSON_OUT(&text);
    json_begin_object(&o);
    put_times(&o, "evaluation_ns", m->evaluation);
    put_times(&o, "compile_ns", m->compiling);
    json_member_uint(&o, "samples", m->runs);
    json_member_uint(&o, "evaluations_per_sample", m->batch);
    json_member_uint(&o, "steps", m->steps);
    json_member_uint(&o, "program_bytes", m->program_bytes);
    json_member_uint(&o, "evaluation_bytes", m->run_bytes);
    json_member_str(&o, "outcome", m->outcome);
    json_end_object(&o);
    buf_add_str(&text, "\n");
    TRY(buf_ok(&text));
    return file_write_all(STDOUT_FILENO, buf_span(&text));
}

static void print_times(const char *name, struct times t)
{
    printf("%-14s %12ju %12ju %12ju\n", name, (uintmax_t) t.min, (uintmax_t) t.median, (uintmax_t) t.max);
}

static void print_table(const struct measured *m)
{
    printf("%-14s %12s %12s %12s\n", "NANOSECONDS", "MIN", "MEDIAN", "MAX");
    print_times("evaluation", m->evaluation);
    print_times("compile", m->compiling);
    printf("\n%u samples of %u evaluations, %ju steps each: %s\n", m->runs, m->batch, (uintmax_t) m->steps, m->outcome);
    printf("memory: program %zu bytes, values of an evaluation %zu bytes\n", m->program_bytes, m->run_bytes);
}

static err_t measure(const struct policy_case_options *o, struct policy_case *c, struct measured *m)
{
    struct rego_result result;
    struct policy_decision decision;
    TRY(policy_case_open(o, c));
    rego_eval(c->run, 0, &c->input, &result);
    policy_judge(&result, &decision);
    m->steps = result.steps;
    m->outcome = policy_outcome_name(decision.outcome);
    m->program_bytes = rego_program_bytes(c->program);
    m->run_bytes = rego_run_bytes(c->run);
    TRY(time_evaluations(c, m->runs, &m->batch, &m->evaluation));
    return time_compiling(o, &m->compiling);
}

struct err cmd_policy_bench(const struct command *self, int argc, char **argv)
{
    struct policy_case_options o = POLICY_CASE_OPTIONS;
    struct measured m = {.runs = RUNS_DEFAULT};
    const char *format = "table";
    bool json = false;
    const struct opt table[] = {
        POLICY_CASE_ROWS(&o),
        {"runs", 'n', OPT_NUMBER, &m.runs, "N", "samples to take (default 1000)"},
        {"format", 0, OPT_TEXT, &format, "FORMAT", "table or json"},
        {0},
    };
    TRY(opt_parse(self, table, "", "Times one evaluation, with the claims parsed already, as in a broker.",
                  argc, argv, 0, 0, NULL));
    TRY(opt_format(format, &json));
    if (m.runs < 1 || m.runs > RUNS_MAX) FAIL(ERR_USAGE, "--runs is from 1 to %d, not %u", RUNS_MAX, m.runs);
    o.fast = true;
    struct policy_case c = {0};
    struct err e = measure(&o, &c, &m);
    policy_case_free(&c);
    TRY(e);
    if (json) return print_json(&m);
    print_table(&m);
    return ERR_OK;
}

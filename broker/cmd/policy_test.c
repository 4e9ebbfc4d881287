/* strongroom policy test */
#include "broker/base/clock.h"
#include "broker/base/file.h"
#include "broker/base/json.h"
#include "broker/builtins/builtins.h"
#include "broker/cmd/policy_case.h"
#include "broker/cmd/policy_files.h"
#include "broker/cmd/policy_report.h"
#include "policy/coverage.h"
#include "policy/explain.h"
#include "policy/json.h"
#include "policy/suite.h"
#include "policy/value.h"

#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WORDS_BYTES = 4 << 20, PRINTED_MAX = 64 << 10 /* bytes of one test's print() */ };

struct options {
    const char *run, *now;
    unsigned min_coverage;
    bool verbose, coverage, strict, json;
};

struct testing {
    const struct options *o;
    struct policy_files files;
    struct suite *suite;
    struct rego_input input;
    regex_t wanted;
    bool has_wanted;
    size_t outcomes[SUITE_OUTCOMES];
    struct buf printed; /* of the test that runs */
    struct json_out *out; /* with --format json */
};

static const char *const outcome_names[SUITE_OUTCOMES] = {
    [SUITE_PASSED] = "PASS", [SUITE_FAILED] = "FAIL", [SUITE_ERROR] = "ERROR", [SUITE_SKIPPED] = "SKIPPED",
}, *const json_names[SUITE_OUTCOMES] = {
    [SUITE_PASSED] = "passed", [SUITE_FAILED] = "failed", [SUITE_ERROR] = "error", [SUITE_SKIPPED] = "skipped",
};

/* ---- one test ----------------------------------------------------------------------------------- */

static void keep_line(void *context, const char *line, size_t len)
{
    struct buf *printed = context;
    buf_add(printed, line, len);
    buf_add_byte(printed, '\n');
}

/* Each line below the test, safe for a terminal. */
static void print_printed(struct buf *printed)
{
    const char *text = buf_str(printed);
    while (*text) {
        size_t len = strcspn(text, "\n");
        char line[400];
        text_cut(line, sizeof line, text, len);
        text_tame(line, strlen(line));
        printf("    print: %s\n", line);
        text += len + (text[len] == '\n');
    }
    if (printed->failed) printf("    print: (more than is kept)\n");
}

static void print_explanation(struct arena *words, const struct explanation *e)
{
    struct text t;
    text_init(&t, words);
    explain_print(&t, e);
    for (const char *text = text_end(&t); text && *text;) {
        size_t len = strcspn(text, "\n");
        printf("    %.*s\n", (int) len, text);
        text += len + (text[len] == '\n');
    }
}

static void print_test(struct testing *t, const struct suite_test *test, const struct suite_result *r,
                       struct arena *words)
{
    bool told = r->outcome == SUITE_FAILED || r->outcome == SUITE_ERROR;
    if (!told && !t->o->verbose) return;
    printf("%s: %s\n", test->name, outcome_names[r->outcome]);
    if (!told) return;
    if (t->o->verbose && r->explanation) print_explanation(words, r->explanation);
    else printf("    %s\n", r->reason);
    print_printed(&t->printed);
}

static void put_test(struct testing *t, const struct suite_test *test, const struct suite_result *r,
                     struct arena *words)
{
    struct text text;
    text_init(&text, words);
    json_begin_object(t->out);
    json_member_str(t->out, "name", test->name);
    json_member_str(t->out, "file", t->files.modules[test->module].name);
    json_member_uint(t->out, "line", test->line);
    json_member_str(t->out, "result", json_names[r->outcome]);
    if (r->reason) json_member_str(t->out, "reason", r->reason);
    if (t->printed.len) json_member_str(t->out, "printed", buf_str(&t->printed));
    const struct value *e = t->o->verbose && r->explanation ? explain_value(r->explanation, words) : NULL;
    if (e) json_write(&text, e);
    const char *whole = e ? text_end(&text) : NULL;
    if (whole) json_member_raw(t->out, "explanation", span_str(whole));
    json_end_object(t->out);
}

static err_t run_test(struct testing *t, size_t i, struct arena *words)
{
    const struct suite_test *test = suite_at(t->suite, i);
    struct suite_result result;
    if (t->has_wanted && regexec(&t->wanted, test->name, 0, NULL, 0) != 0) return ERR_OK;
    arena_reset(words);
    buf_free(&t->printed);
    t->printed.max = PRINTED_MAX;
    suite_run(t->suite, i, &t->input, words, &result);
    t->outcomes[result.outcome]++;
    if (t->out) put_test(t, test, &result, words);
    else print_test(t, test, &result, words);
    return ERR_OK;
}

/* ---- coverage ----------------------------------------------------------------------------------- */

/* "3-5, 9": runs of lines that were missed, with nothing but empty ones between. */
static void add_missed(const struct coverage *c, size_t module, struct buf *out)
{
    unsigned first = 0, last = 0;
    for (unsigned line = 1; line <= coverage_lines(c, module) + 1; line++) {
        bool covered = false, there = coverage_line(c, module, line, &covered);
        if (there && !covered) {
            if (!first) first = line;
            last = line;
        } else if (first && (there || line > coverage_lines(c, module))) {
            buf_addf(out, "%s%u", out->len ? ", " : "", first);
            if (last > first) buf_addf(out, "-%u", last);
            first = 0;
        }
    }
}

static void print_percent(const char *name, struct coverage_count n)
{
    unsigned permille = coverage_permille(n);
    printf("%-40s %3u.%u %%  %zu of %zu lines", name, permille / 10, permille % 10, n.covered, n.lines);
}

static void print_coverage(const struct testing *t)
{
    const struct coverage *c = suite_coverage(t->suite);
    for (size_t m = 0; m < t->files.count; m++) {
        _cleanup_buf_ struct buf missed = BUF_INIT;
        struct coverage_count n = coverage_count(c, m);
        if (n.lines == 0 || suite_module_has_tests(t->suite, m)) continue;
        print_percent(t->files.modules[m].name, n);
        add_missed(c, m, &missed);
        printf("%s%s\n", missed.len ? "; missed: " : "", buf_str(&missed));
    }
    print_percent("coverage", suite_coverage_count(t->suite));
    printf("\n");
}

static void put_count(struct json_out *o, struct coverage_count n)
{
    json_member_uint(o, "lines", n.lines);
    json_member_uint(o, "covered", n.covered);
    json_key(o, "percent");
    _cleanup_buf_ struct buf percent = BUF_INIT;
    buf_addf(&percent, "%u.%u", coverage_permille(n) / 10, coverage_permille(n) % 10);
    json_put_raw(o, buf_span(&percent));
}

static void put_file(const struct testing *t, size_t module)
{
    const struct coverage *c = suite_coverage(t->suite);
    json_begin_object(t->out);
    json_member_str(t->out, "file", t->files.modules[module].name);
    json_member_bool(t->out, "tests", suite_module_has_tests(t->suite, module));
    put_count(t->out, coverage_count(c, module));
    json_key(t->out, "missed");
    json_begin_array(t->out);
    for (unsigned line = 1; line <= coverage_lines(c, module); line++) {
        bool covered = false;
        if (coverage_line(c, module, line, &covered) && !covered) json_put_uint(t->out, line);
    }
    json_end_array(t->out);
    json_end_object(t->out);
}

static void put_coverage(const struct testing *t)
{
    json_key(t->out, "coverage");
    json_begin_object(t->out);
    put_count(t->out, suite_coverage_count(t->suite));
    json_key(t->out, "files");
    json_begin_array(t->out);
    for (size_t m = 0; m < t->files.count; m++) put_file(t, m);
    json_end_array(t->out);
    json_end_object(t->out);
}

/* ---- all ---------------------------------------------------------------------------------------- */

static size_t ran(const struct testing *t)
{
    return t->outcomes[SUITE_PASSED] + t->outcomes[SUITE_FAILED] + t->outcomes[SUITE_ERROR];
}

static err_t run_all(struct testing *t)
{
    struct arena *words = arena_new(WORDS_BYTES);
    if (!words) FAIL(ERR_INTERNAL, "out of memory");
    struct err e = ERR_OK;
    for (size_t i = 0; i < suite_count(t->suite) && err_ok(e); i++) e = run_test(t, i, words);
    arena_free(words);
    return e;
}

static void print_sums(const struct testing *t)
{
    printf("%zu passed, %zu failed, %zu ended in an error, %zu skipped\n", t->outcomes[SUITE_PASSED],
           t->outcomes[SUITE_FAILED], t->outcomes[SUITE_ERROR], t->outcomes[SUITE_SKIPPED]);
    if (t->o->coverage) print_coverage(t);
}

static err_t run_json(struct testing *t)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    struct json_out o = JSON_OUT(&text);
    t->out = &o;
    json_begin_object(&o);
    json_key(&o, "tests");
    json_begin_array(&o);
    TRY(run_all(t));
    json_end_array(&o);
    json_member_uint(&o, "passed", t->outcomes[SUITE_PASSED]);
    json_member_uint(&o, "failed", t->outcomes[SUITE_FAILED]);
    json_member_uint(&o, "errors", t->outcomes[SUITE_ERROR]);
    json_member_uint(&o, "skipped", t->outcomes[SUITE_SKIPPED]);
    if (t->o->coverage) put_coverage(t);
    json_end_object(&o);
    buf_add_str(&text, "\n");
    TRY(buf_ok(&text));
    return file_write_all(STDOUT_FILENO, buf_span(&text));
}

static err_t verdict(const struct testing *t)
{
    size_t bad = t->outcomes[SUITE_FAILED] + t->outcomes[SUITE_ERROR];
    unsigned permille = coverage_permille(suite_coverage_count(t->suite));
    if (bad) FAIL(ERR_DENIED, "%zu of %zu tests did not hold", bad, ran(t));
    if (ran(t) == 0) FAIL(ERR_NOTFOUND, "no test ran: rules named test_... are tests%s", t->o->run ? ", and --run chooses" : "");
    if (permille < 10 * t->o->min_coverage)
        FAIL(ERR_DENIED, "the tests cover %u.%u %% of the lines, and %u %% are wanted", permille / 10, permille % 10,
             t->o->min_coverage);
    return ERR_OK;
}

static err_t prepare(struct testing *t, const char *const *paths, size_t count)
{
    struct rego_errors errors;
    if (t->o->run && regcomp(&t->wanted, t->o->run, REG_EXTENDED | REG_NOSUB) != 0)
        FAIL(ERR_USAGE, "--run is no regular expression: %s", t->o->run);
    t->has_wanted = t->o->run != NULL;
    TRY(policy_case_time(t->o->now, &t->input.now_ns));
    TRY(policy_files_read(paths, count, &t->files));
    t->suite = suite_new(t->files.modules, t->files.count, builtins_host(), &errors);
    if (t->suite) return ERR_OK;
    policy_report(stderr, NULL, POLICY_ERROR, &errors);
    FAIL(ERR_USAGE, "the modules do not compile together");
}

static err_t test(const struct options *o, const char *const *paths, size_t count)
{
    struct testing t = {.o = o, .input = {.strict = o->strict, .steps = POLICY_STEPS_MAX, .depth = POLICY_DEPTH_MAX}};
    t.input.print = keep_line;
    t.input.context = &t.printed;
    struct err e = prepare(&t, paths, count);
    if (err_ok(e)) e = o->json ? run_json(&t) : run_all(&t);
    if (err_ok(e) && !o->json && ran(&t) + t.outcomes[SUITE_SKIPPED]) print_sums(&t);
    if (err_ok(e)) e = verdict(&t);
    suite_free(t.suite);
    policy_files_free(&t.files);
    buf_free(&t.printed);
    if (t.has_wanted) regfree(&t.wanted);
    return e;
}

struct err cmd_policy_test(const struct command *self, int argc, char **argv)
{
    const char *paths[POLICY_FILES_MAX], *format = "table";
    struct options o = {0};
    const struct opt table[] = {
        {"verbose", 'v', OPT_FLAG, &o.verbose, NULL, "every test, and all that stopped a failing one"},
        {"run", 0, OPT_TEXT, &o.run, "REGEX", "only tests whose name fits, such as data.policy_test.test_a"},
        {"coverage", 0, OPT_FLAG, &o.coverage, NULL, "which lines of the policies the tests reached"},
        {"min-coverage", 0, OPT_NUMBER, &o.min_coverage, "N", "fail below N percent; implies --coverage"},
        {"strict", 0, OPT_FLAG, &o.strict, NULL, "an error of a builtin ends a test, as it makes a broker refuse"},
        {"now", 0, OPT_TEXT, &o.now, "TIME", "time.now_ns(), RFC 3339 (default: the clock)"},
        {"format", 0, OPT_TEXT, &format, "FORMAT", "table or json"},
        {0},
    };
    TRY(opt_parse(self, table, "PATH...",
                  "Files, and folders with all *.rego below them, compiled together. Rules named test_... are\n"
                  "tests and hold when they are defined and not false; todo_test_... are skipped. Coverage\n"
                  "counts files without tests. Exit code 4 when a test fails or too few lines are reached.",
                  argc, argv, 1, POLICY_FILES_MAX, paths));
    TRY(opt_format(format, &o.json));
    if (o.min_coverage > 100) FAIL(ERR_USAGE, "--min-coverage is a percentage, not %u", o.min_coverage);
    o.coverage |= o.min_coverage > 0;
    size_t count = 0;
    while (count < POLICY_FILES_MAX && paths[count]) count++;
    return test(&o, paths, count);
}

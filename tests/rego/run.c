/* Runs conformance cases of the Rego language (the JSON form of OPA's suite) against the engine.
 *
 *   run [-s] [-t] [-f] [-r REFUSED] [-n PART] FOLDER|FILE...
 *     -s  all cases in this process (for leak checkers); otherwise one process a case
 *     -t  a table of the categories before the last line
 *     -f  only the lines of failures
 *     -r  the list of refused functions and reasons
 *     -n  only cases whose category or note contains PART
 *
 * A line per case: `ok NAME`, `FAIL NAME: why`, `refused NAME: why`, `skipped NAME: why`. The last line
 * counts them. Exit status 1 when a case failed. */
#include "policy/builtin.h"
#include "policy/json.h"
#include "policy/rego.h"
#include "broker/builtins/builtins.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARENA_BYTES ((size_t) 256 << 20)
#define CASE_SECONDS 20
#define MODULES_MAX 32
#define REFUSED_MAX 128
#define CATEGORIES_MAX 400
#define WHY_MAX 1500

enum verdict { PASSED, FAILED, REFUSED, SKIPPED, VERDICTS };
static const char *const VERDICT_NAMES[VERDICTS] = { "ok", "FAIL", "refused", "skipped" };

struct category {
    char name[80];
    unsigned counts[VERDICTS];
};

static struct {
    bool one_process, table, failures_only;
    const char *part;
    struct {
        char name[80], reason[160];
    } refused[REFUSED_MAX];
    size_t refused_count;
    struct category categories[CATEGORIES_MAX];
    size_t category_count;
} app;

/* One case while it runs; `why` explains everything but `ok`. */
struct trial {
    const struct value *fields;
    struct arena *arena;
    struct rego_program *program, *term_program;
    struct rego_run *run, *term_run;
    char why[WHY_MAX];
};

static const char *field_text(const struct value *object, const char *name)
{
    const struct value *v = object_get_z(object, name);
    return value_is(v, VALUE_STRING) ? v->string : NULL;
}

static bool field_true(const struct value *object, const char *name)
{
    return object_get_z(object, name) == value_bool(true);
}

/* ---- which cases cannot run ---- */

static bool word_char(char c)
{
    return c == '_' || c == '.' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The text calls the function and does not replace it: `with NAME as ...`. */
static bool text_needs(const char *text, const char *name)
{
    char mocked[120];
    snprintf(mocked, sizeof mocked, "with %s as ", name);
    if (strstr(text, mocked)) return false;
    size_t len = strlen(name);
    for (const char *at = text; (at = strstr(at, name)); at += len)
        if ((at == text || !word_char(at[-1])) && at[len] == '(') return true;
    return false;
}

static bool case_needs(const struct value *fields, const char *name)
{
    const char *query = field_text(fields, "query");
    if (query && text_needs(query, name)) return true;
    const struct value *modules = object_get_z(fields, "modules");
    for (size_t i = 0; value_is(modules, VALUE_ARRAY) && i < modules->count; i++)
        if (value_is(modules->items[i], VALUE_STRING) && text_needs(modules->items[i]->string, name)) return true;
    return false;
}

static enum verdict cannot_run(struct trial *t)
{
    for (size_t i = 0; i < app.refused_count; i++)
        if (case_needs(t->fields, app.refused[i].name)) {
            snprintf(t->why, sizeof t->why, "%s: %s", app.refused[i].name, app.refused[i].reason);
            return REFUSED;
        }
    size_t count = 0;
    const struct builtin *rows = builtin_all(&count);
    for (size_t i = 0; i < count; i++)
        if (rows[i].flags & BUILTIN_FROM_HOST && !builtin_find(builtins_host(), rows[i].name, strlen(rows[i].name))->run
            && case_needs(t->fields, rows[i].name)) {
            snprintf(t->why, sizeof t->why, "%s: needs the host's cryptography", rows[i].name);
            return SKIPPED;
        }
    return PASSED;
}

/* ---- running ---- */

static void say(struct trial *t, const char *label, const struct value *v)
{
    struct text text;
    text_init(&text, t->arena);
    if (v) value_print(&text, v);
    const char *shown = text_end(&text);
    size_t len = strlen(t->why);
    snprintf(t->why + len, sizeof t->why - len, "%s%s %.*s", len ? "; " : "", label, 500, shown ? shown : "?");
}

/* What the case wants as an error: code equal, text contained; a case wants either or both. */
static enum verdict judge_error(struct trial *t, const char *code, const char *text)
{
    const char *want_code = field_text(t->fields, "want_error_code");
    const char *want_text = field_text(t->fields, "want_error");
    if ((want_code || want_text) && (!want_code || strcmp(code, want_code) == 0) &&
        (!want_text || strstr(text, want_text)))
        return PASSED;
    snprintf(t->why, sizeof t->why, "got error %s; wanted %s%s%s", text,
             want_code || want_text ? "" : "a result", want_code ? want_code : "", want_text ? " " : "");
    size_t len = strlen(t->why);
    snprintf(t->why + len, sizeof t->why - len, "%s", want_text ? want_text : "");
    return FAILED;
}

static int by_value(const void *a, const void *b)
{
    return value_compare(*(const struct value *const *) a, *(const struct value *const *) b);
}

static const struct value *sorted(struct trial *t, const struct value *array)
{
    if (!value_is(array, VALUE_ARRAY)) return array;
    const struct value **items = arena_alloc_array(t->arena, array->count + 1, sizeof *items);
    if (!items) return NULL;
    if (array->count) memcpy(items, array->items, array->count * sizeof *items);
    qsort(items, array->count, sizeof *items, by_value);
    return value_array(t->arena, items, array->count);
}

/* As JSON: sets become arrays, every key a string. */
static const struct value *as_json(struct trial *t, const struct value *v)
{
    struct text text;
    text_init(&text, t->arena);
    json_write(&text, v);
    const char *json = text_end(&text);
    return json ? json_to_value(t->arena, json, strlen(json), NULL, NULL) : NULL;
}

/* Bindings as a set of objects, in the form in which two of them are compared. */
static const struct value *normal(struct trial *t, const struct value *bindings)
{
    bool sort = field_true(t->fields, "sort_bindings"), drop = field_true(t->fields, "ignore_generated_vars");
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
    if (object_get_z(t->fields, "want_error") || object_get_z(t->fields, "want_error_code")) {
        say(t, "wanted an error, got", bindings);
        return FAILED;
    }
    if (field_true(t->fields, "want_defined") && bindings->count > 0) return PASSED;
    const struct value *want = object_get_z(t->fields, "want_result");
    if (!value_is(want, VALUE_ARRAY)) {
        if (bindings->count == 0) return PASSED;
        say(t, "wanted nothing, got", bindings);
        return FAILED;
    }
    const struct value *a = normal(t, want), *b = normal(t, bindings);
    if (a && b && value_equal(a, b)) return PASSED;
    say(t, "wanted", a);
    say(t, "got", b);
    return FAILED;
}

static enum verdict compile_failed(struct trial *t, const struct rego_errors *errors)
{
    char text[WHY_MAX];
    size_t len = 0;
    for (size_t i = 0; i < errors->count && len < sizeof text; i++)
        len += (size_t) snprintf(text + len, sizeof text - len, "%s%s:%u: %s: %s", i ? "\n" : "", errors->items[i].module,
                                 errors->items[i].line, errors->items[i].code, errors->items[i].text);
    return judge_error(t, errors->count ? errors->items[0].code : "", len ? text : "compilation failed without a word");
}

static enum verdict eval_failed(struct trial *t, const struct rego_result *r)
{
    char text[WHY_MAX];
    snprintf(text, sizeof text, "%s:%u: %s: %s", r->error_module ? r->error_module : "", r->error_line,
             r->error_code ? r->error_code : "", r->error_text ? r->error_text : "");
    return judge_error(t, r->error_code ? r->error_code : "", text);
}

/* `input_term` is Rego: sets and keys of any type. It is the answer of a query of its own. */
static bool find_input(struct trial *t, const struct value **ret)
{
    *ret = object_get_z(t->fields, "input");
    const char *term = field_text(t->fields, "input_term");
    if (!term) return true;
    char query[65536];
    if (snprintf(query, sizeof query, "x = %s", term) >= (int) sizeof query) return false;
    struct rego_errors errors = { 0 };
    struct rego_options options = { .queries = (const char *const[]) { query }, .query_count = 1 };
    t->term_program = rego_compile(NULL, 0, &options, &errors);
    if (!t->term_program || !(t->term_run = rego_run_new(t->term_program, 0))) {
        compile_failed(t, &errors);
        return false;
    }
    struct rego_result result = { 0 };
    if (!rego_eval(t->term_run, 0, &(struct rego_input) { 0 }, &result) || result.bindings->count != 1) return false;
    *ret = object_get_z(result.bindings->items[0], "x");
    return *ret != NULL;
}

static size_t find_modules(struct trial *t, struct rego_module modules[MODULES_MAX], char names[MODULES_MAX][24])
{
    const struct value *texts = object_get_z(t->fields, "modules");
    size_t n = 0;
    for (; value_is(texts, VALUE_ARRAY) && n < texts->count && n < MODULES_MAX; n++) {
        snprintf(names[n], sizeof names[n], "test-%zu.rego", n);
        modules[n] = (struct rego_module) { names[n], texts->items[n]->string, texts->items[n]->count };
    }
    return n;
}

static enum verdict evaluate(struct trial *t)
{
    struct rego_module modules[MODULES_MAX];
    char names[MODULES_MAX][24];
    const char *query = field_text(t->fields, "query");
    struct rego_options options = { .queries = &query, .query_count = query ? 1 : 0, .allow_refused = true,
                                    .host = builtins_host() };
    struct rego_errors errors = { 0 };
    const struct value *input = NULL;
    if (!query || !find_input(t, &input)) {
        size_t len = strlen(t->why);
        snprintf(t->why + len, sizeof t->why - len, " (query or input_term cannot be read)");
        return FAILED;
    }
    t->program = rego_compile(modules, find_modules(t, modules, names), &options, &errors);
    if (!t->program) return compile_failed(t, &errors);
    t->run = rego_run_new(t->program, 0);
    struct timespec now = { 0 };
    clock_gettime(CLOCK_REALTIME, &now);
    const struct rego_input in = {
        .input = input,
        .data = object_get_z(t->fields, "data"),
        .now_ns = (int64_t) now.tv_sec * 1000000000 + now.tv_nsec,
        .strict = field_true(t->fields, "strict_error"),
    };
    struct rego_result result = { 0 };
    return rego_eval(t->run, 0, &in, &result) ? judge_result(t, result.bindings) : eval_failed(t, &result);
}

static enum verdict try_case(const struct value *fields, const char *name)
{
    struct trial t = { .fields = fields, .arena = arena_new(ARENA_BYTES) };
    enum verdict v = cannot_run(&t);
    if (v == PASSED) v = evaluate(&t);
    if (!app.failures_only || v == FAILED)
        printf("%s %s%s%s\n", VERDICT_NAMES[v], name, v == PASSED ? "" : ": ", v == PASSED ? "" : t.why);
    rego_run_free(t.run);
    rego_program_free(t.program);
    rego_run_free(t.term_run);
    rego_program_free(t.term_program);
    arena_free(t.arena);
    return v;
}

/* A case of its own process: a crash or an endless loop is one failed case. */
static enum verdict try_apart(const struct value *fields, const char *name)
{
    if (app.one_process) return try_case(fields, name);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(CASE_SECONDS);
        enum verdict v = try_case(fields, name);
        fflush(stdout);
        _exit((int) v);
    }
    int status = 0;
    if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) < VERDICTS)
        return (enum verdict) WEXITSTATUS(status);
    printf("FAIL %s: %s %d\n", name, WIFSIGNALED(status) ? "killed by signal" : "the process ended with",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return FAILED;
}

/* ---- files ---- */

static struct category *category_of(const char *name)
{
    for (size_t i = 0; i < app.category_count; i++)
        if (strcmp(app.categories[i].name, name) == 0) return &app.categories[i];
    struct category *c = &app.categories[app.category_count < CATEGORIES_MAX - 1 ? app.category_count++ : CATEGORIES_MAX - 1];
    snprintf(c->name, sizeof c->name, "%s", name);
    return c;
}

static char *read_file(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    char *text = NULL;
    size_t len = 0, cap = 0, n = 0;
    do {
        char *grown = realloc(text, cap = cap ? 2 * cap : 1 << 16);
        if (!grown) break;
        text = grown;
        len += n = fread(text + len, 1, cap - len, f);
    } while (len == cap);
    fclose(f);
    *ret_len = len;
    return text;
}

static bool wanted(const char *category, const char *note)
{
    return !app.part || strstr(category, app.part) || strstr(note, app.part);
}

static bool run_file(const char *path)
{
    size_t len = 0;
    char *text = read_file(path, &len);
    struct arena *arena = arena_new(ARENA_BYTES);
    struct json_error error = { 0 };
    const struct value *file = text && arena ? json_to_value(arena, text, len, NULL, &error) : NULL;
    const struct value *cases = value_is(file, VALUE_OBJECT) ? object_get_z(file, "cases") : NULL;
    bool fine = value_is(cases, VALUE_ARRAY);
    if (!fine)
        fprintf(stderr, "%s: no cases: %s at byte %zu\n", path, error.text ? error.text : "cannot be read", error.offset);
    const char *category = cases ? field_text(file, "category") : NULL;
    for (size_t i = 0; fine && i < cases->count; i++) {
        const char *note = field_text(cases->items[i], "note");
        const char *group = category ? category : path;
        if (!note) note = group;
        if (wanted(group, note)) category_of(group)->counts[try_apart(cases->items[i], note)]++;
    }
    arena_free(arena);
    free(text);
    return fine;
}

static int is_json(const struct dirent *e)
{
    size_t len = strlen(e->d_name);
    return len > 5 && strcmp(e->d_name + len - 5, ".json") == 0;
}

static bool run_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) return run_file(path);
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, is_json, alphasort);
    bool fine = n > 0;
    if (!fine) fprintf(stderr, "%s: no .json files there\n", path);
    for (int i = 0; i < n; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        fine = run_file(name) && fine;
        free(entries[i]);
    }
    free(entries);
    return fine;
}

/* `name  reason` a line, # comments. */
static bool read_refused(const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f) return false;
    char line[512];
    while (fgets(line, sizeof line, f) && app.refused_count < REFUSED_MAX) {
        if (line[0] == '#' || line[0] == '\n') continue;
        if (sscanf(line, "%79s %159[^\n]", app.refused[app.refused_count].name,
                   app.refused[app.refused_count].reason) == 2)
            app.refused_count++;
    }
    fclose(f);
    return true;
}

static int report(void)
{
    unsigned sum[VERDICTS] = { 0 };
    if (app.table) printf("%-36s %6s %6s %7s %7s\n", "category", "ok", "FAIL", "refused", "skipped");
    for (size_t i = 0; i < app.category_count; i++) {
        const struct category *c = &app.categories[i];
        for (int v = 0; v < VERDICTS; v++) sum[v] += c->counts[v];
        if (app.table)
            printf("%-36s %6u %6u %7u %7u\n", c->name, c->counts[PASSED], c->counts[FAILED], c->counts[REFUSED],
                   c->counts[SKIPPED]);
    }
    printf("skipped: %u refused by design, %u need the host's cryptography\n", sum[REFUSED], sum[SKIPPED]);
    printf("%u passed, %u failed, %u skipped\n", sum[PASSED], sum[FAILED], sum[REFUSED] + sum[SKIPPED]);
    return sum[FAILED] ? 1 : 0;
}

int main(int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "stfr:n:")) != -1;)
        switch (option) {
        case 's': app.one_process = true; break;
        case 't': app.table = true; break;
        case 'f': app.failures_only = true; break;
        case 'n': app.part = optarg; break;
        case 'r':
            if (read_refused(optarg)) break;
            fprintf(stderr, "%s: cannot be read\n", optarg);
            return 2;
        default: return 2;
        }
    if (optind == argc) {
        fprintf(stderr, "usage: %s [-stf] [-r REFUSED] [-n PART] FOLDER|FILE...\n", argv[0]);
        return 2;
    }
    bool fine = true;
    for (int i = optind; i < argc; i++) fine = run_path(argv[i]) && fine;
    int status = report();
    return fine ? status : 2;
}

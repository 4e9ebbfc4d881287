/* Runs conformance cases of the Rego language (the JSON form of OPA's suite) against the engine.
 *
 *   run [-s] [-t] [-f] [-l] [-r REFUSED] [-n PART] FOLDER|FILE...
 *     -s  all cases in this process (for leak checkers); otherwise one process a case
 *     -t  a table of the categories before the last line
 *     -f  only the lines of failures
 *     -l  each case that passed once more within less and less steps and calls
 *     -r  the list of refused functions and reasons
 *     -n  only cases whose category or note contains PART
 *
 * Of a folder every file that ends in .json is read, also in folders below. A line per case: `ok NAME`,
 * `FAIL NAME: why`, `refused NAME: why`, `skipped NAME: why`; a file that cannot be read is one failed
 * case. The last line counts them. Exit status 1 when a case failed, 2 when nothing could be run. */
#include "policy/json.h"
#include "tests/rego/trial.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARENA_BYTES ((size_t) 512 << 20)
#define CASE_SECONDS 20
#define CATEGORIES_MAX 400
#define UNKNOWN_MAX 20
#define FOLDERS_MAX 20 /* within each other */

static const char *const VERDICT_NAMES[VERDICTS] = { "ok", "FAIL", "refused", "skipped" };

struct category {
    char name[80];
    unsigned counts[VERDICTS];
};

static struct {
    bool one_process, table, failures_only;
    const char *part;
    struct refusals refusals;
    struct category categories[CATEGORIES_MAX];
    size_t category_count;
    char unknown[UNKNOWN_MAX][80]; /* fields that nobody knows: each is told once */
    size_t unknown_count;
} app;

/* ---- cases ---- */

static void tell(enum verdict v, const char *name, const char *why)
{
    if (app.failures_only && v != FAILED) return;
    printf("%s %s%s%s\n", VERDICT_NAMES[v], name, v == PASSED ? "" : ": ", v == PASSED ? "" : why);
}

static enum verdict try_case(const struct value *fields, const char *name)
{
    char why[WHY_MAX];
    enum verdict v = trial_run(fields, why);
    for (char *c = why; *c; c++)
        if (*c == '\n') *c = ' '; /* one line a case */
    tell(v, name, why);
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
    char why[80];
    snprintf(why, sizeof why, "%s %d", WIFSIGNALED(status) ? "killed by signal" : "the process ended with",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    tell(FAILED, name, why);
    return FAILED;
}

static void note_unknown_fields(const struct value *fields)
{
    for (size_t i = 0; value_is(fields, VALUE_OBJECT) && i < fields->count; i++) {
        const struct value *name = fields->pairs[i].key;
        size_t known = 0;
        if (trial_knows_field(name) || app.unknown_count == UNKNOWN_MAX) continue;
        while (known < app.unknown_count && !string_is(name, app.unknown[known])) known++;
        if (known == app.unknown_count)
            snprintf(app.unknown[app.unknown_count++], sizeof app.unknown[0], "%.79s", name->string);
    }
}

/* ---- files ---- */

static struct category *category_of(const char *name)
{
    for (size_t i = 0; i < app.category_count; i++)
        if (strncmp(app.categories[i].name, name, sizeof app.categories[i].name - 1) == 0) return &app.categories[i];
    struct category *c = &app.categories[app.category_count < CATEGORIES_MAX - 1 ? app.category_count++ : CATEGORIES_MAX - 1];
    snprintf(c->name, sizeof c->name, "%.79s", name);
    return c;
}

static char *read_file(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    size_t len = 0, cap = 0, n = 0;
    if (!f) return NULL;
    do {
        char *grown = realloc(text, cap = cap ? 2 * cap : 1 << 16);
        if (!grown) break;
        text = grown;
        len += n = fread(text + len, 1, cap - len, f);
    } while (len == cap);
    bool fine = text && !ferror(f) && len < cap;
    fclose(f);
    *ret_len = len;
    return fine ? text : (free(text), NULL);
}

static bool wanted(const char *category, const char *note)
{
    return !app.part || strstr(category, app.part) || strstr(note, app.part);
}

static const char *text_of(const struct value *object, const char *name)
{
    const struct value *v = value_is(object, VALUE_OBJECT) ? object_get_z(object, name) : NULL;
    return value_is(v, VALUE_STRING) ? v->string : NULL;
}

static void run_file(const char *path)
{
    size_t len = 0;
    char *text = read_file(path, &len), why[200];
    struct arena *arena = arena_new(ARENA_BYTES);
    struct json_error error = { 0 };
    const struct json_options options = { .depth_max = VALUE_DEPTH_MAX, .last_key_wins = true };
    const struct value *file = text && arena ? json_to_value(arena, text, len, &options, &error) : NULL;
    const struct value *cases = value_is(file, VALUE_OBJECT) ? object_get_z(file, "cases") : file;
    const char *group = text_of(file, "category");
    if (!group) group = path;
    if (!value_is(cases, VALUE_ARRAY)) {
        snprintf(why, sizeof why, "no cases: %s at byte %zu",
                 error.text ? error.text : text ? "no array of them" : "cannot be read", error.offset);
        tell(FAILED, path, why);
        category_of(group)->counts[FAILED]++;
        cases = NULL;
    }
    for (size_t i = 0; cases && i < cases->count; i++) {
        const char *note = text_of(cases->items[i], "note");
        if (!note) note = path;
        if (!wanted(group, note)) continue;
        note_unknown_fields(cases->items[i]);
        category_of(group)->counts[try_apart(cases->items[i], note)]++;
    }
    arena_free(arena);
    free(text);
}

static int is_visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static bool ends_in_json(const char *name)
{
    size_t len = strlen(name);
    return len > 5 && strcmp(name + len - 5, ".json") == 0;
}

/* False when the path itself is not there. */
static bool run_path(const char *path, unsigned depth)
{
    struct stat st;
    if (stat(path, &st) != 0) return fprintf(stderr, "%s: not there\n", path), false;
    if (!S_ISDIR(st.st_mode)) return run_file(path), true;
    struct dirent **entries = NULL;
    int n = depth < FOLDERS_MAX ? scandir(path, &entries, is_visible, alphasort) : -1;
    if (n < 0) fprintf(stderr, "%s: cannot be read\n", path);
    for (int i = 0; i < n; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        bool below = stat(name, &st) == 0 && S_ISDIR(st.st_mode);
        if (below || ends_in_json(name)) run_path(name, depth + 1);
        free(entries[i]);
    }
    free(entries);
    return n >= 0;
}

/* `name  reason` a line, # comments. */
static bool read_refused(const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f) return false;
    char line[512];
    struct refusals *r = &app.refusals;
    while (fgets(line, sizeof line, f) && r->count < REFUSED_MAX) {
        if (line[0] == '#' || line[0] == '\n') continue;
        if (sscanf(line, "%79s %159[^\n]", r->rows[r->count].name, r->rows[r->count].reason) == 2) r->count++;
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
    for (size_t i = 0; i < app.unknown_count; i++) printf("cases have a field `%s`, which is ignored\n", app.unknown[i]);
    printf("skipped: %u refused by design, %u need the host's cryptography\n", sum[REFUSED], sum[SKIPPED]);
    printf("%u passed, %u failed, %u skipped\n", sum[PASSED], sum[FAILED], sum[REFUSED] + sum[SKIPPED]);
    if (sum[FAILED]) return 1;
    return sum[PASSED] ? 0 : 2; /* a folder without cases shows nothing */
}

int main(int argc, char **argv)
{
    struct trial_options options = { .refusals = &app.refusals };
    for (int option; (option = getopt(argc, argv, "stflr:n:")) != -1;)
        switch (option) {
        case 's': app.one_process = true; break;
        case 't': app.table = true; break;
        case 'f': app.failures_only = true; break;
        case 'l': options.limits = true; break;
        case 'n': app.part = optarg; break;
        case 'r':
            if (read_refused(optarg)) break;
            fprintf(stderr, "%s: cannot be read\n", optarg);
            return 2;
        default: return 2;
        }
    if (optind == argc || !trial_prepare(&options)) {
        fprintf(stderr, "usage: %s [-stfl] [-r REFUSED] [-n PART] FOLDER|FILE...\n", argv[0]);
        return 2;
    }
    bool fine = true;
    for (int i = optind; i < argc; i++) fine = run_path(argv[i], 0) && fine;
    int status = report();
    return fine ? status : 2;
}

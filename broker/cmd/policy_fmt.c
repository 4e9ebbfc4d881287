/* strongroom policy fmt */
#include "broker/base/file.h"
#include "broker/base/limits.h"
#include "broker/base/line_diff.h"
#include "broker/cmd/policy_case.h"
#include "broker/cmd/policy_files.h"
#include "broker/cmd/policy_report.h"
#include "policy/arena.h"
#include "policy/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT_ARENA_BYTES ((size_t) 256 << 20)

struct formatting {
    bool write, check, diff;
    size_t changed, refused;
};

/* ---- one file ----------------------------------------------------------------------------------- */

/* A file's mode stays what it was. */
static err_t write_back(const char *path, struct span text)
{
    struct stat st;
    if (stat(path, &st) != 0) FAIL_ERRNO(ERR_USAGE, "cannot look at %s", path);
    TRY(file_write_atomic(path, text, st.st_mode & 0777));
    fprintf(stderr, "%s: laid out anew\n", path);
    return ERR_OK;
}

static err_t print_diff(const char *path, struct span before, struct span after)
{
    _cleanup_buf_ struct buf out = {.max = 2 * (before.len + after.len) + 4096};
    TRY(line_diff(before, path, after, "laid out", &out));
    return file_write_all(STDOUT_FILENO, buf_span(&out));
}

static err_t use_layout(struct formatting *f, const struct rego_module *m, struct span layout)
{
    struct span text = span_of(m->text, m->len);
    bool same = span_eq(text, layout);
    if (!f->write && !f->check && !f->diff) return file_write_all(STDOUT_FILENO, layout);
    if (same) return ERR_OK;
    f->changed++;
    if (f->check) printf("%s\n", m->name);
    if (f->diff) TRY(print_diff(m->name, text, layout));
    return f->write ? write_back(m->name, layout) : ERR_OK;
}

static err_t format_one(struct formatting *f, const struct rego_module *m)
{
    struct arena *arena = arena_new(FORMAT_ARENA_BYTES);
    if (!arena) FAIL(ERR_INTERNAL, "out of memory");
    struct text layout;
    struct rego_errors errors;
    text_init(&layout, arena);
    struct err e = ERR_OK;
    if (rego_format(&layout, m, &errors)) {
        e = use_layout(f, m, span_of(layout.data, layout.len));
    } else {
        policy_report(stderr, m->name, POLICY_ERROR, &errors);
        f->refused++;
    }
    arena_free(arena);
    return e;
}

/* ---- the command -------------------------------------------------------------------------------- */

static err_t format_stdin(struct formatting *f)
{
    _cleanup_buf_ struct buf text = {.max = POLICY_MAX};
    uint8_t block[4096];
    for (size_t n = 0; (n = fread(block, 1, sizeof block, stdin)) > 0;) buf_add(&text, block, n);
    TRYC(buf_ok(&text), "standard input");
    const struct rego_module m = {"standard input", buf_str(&text), text.len};
    return format_one(f, &m);
}

static err_t format_files(struct formatting *f, const char *const *paths, size_t count)
{
    struct policy_files files = {0};
    struct err e = policy_files_read(paths, count, &files);
    for (size_t i = 0; err_ok(e) && i < files.count; i++) e = format_one(f, &files.modules[i]);
    policy_files_free(&files);
    return e;
}

struct err cmd_policy_fmt(const struct command *self, int argc, char **argv)
{
    const char *operands[POLICY_FILES_MAX];
    struct formatting f = {0};
    const struct opt table[] = {
        {"write", 'w', OPT_FLAG, &f.write, NULL, "change the files instead of printing"},
        {"check", 0, OPT_FLAG, &f.check, NULL, "only name files that are laid out otherwise; exit 1 for any"},
        {"diff", 'd', OPT_FLAG, &f.diff, NULL, "only show what would change; exit 1 for any"},
        {0},
    };
    TRY(opt_parse(self, table, "[FILE|FOLDER...]",
                  "Without a file: from standard input to standard output. Comments stay, the meaning too: what\n"
                  "is written is read again and compared before it replaces anything.", argc, argv, 0,
                  POLICY_FILES_MAX, operands));
    if (f.write && (f.check || f.diff)) FAIL(ERR_USAGE, "--write excludes --check and --diff");
    size_t count = 0;
    while (count < POLICY_FILES_MAX && operands[count]) count++;
    if (f.write && !count) FAIL(ERR_USAGE, "--write wants files");
    TRY(count ? format_files(&f, operands, count) : format_stdin(&f));
    if (f.refused) FAIL(ERR_USAGE, "%zu of the files do not parse and stay as they are", f.refused);
    if (f.changed && (f.check || f.diff)) exit(1); /* as diff(1) */
    return ERR_OK;
}

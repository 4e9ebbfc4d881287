#include "broker/cmd/policy_files.h"

#include "broker/base/file.h"
#include "broker/cmd/policy_case.h"
#include "policy/rego.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Diagnostics have room for so much of a name: its end says more. */
static const char *shown(const char *path)
{
    const size_t room = sizeof((struct rego_error *) NULL)->module - 1, len = strlen(path);
    return len > room ? path + (len - room) : path;
}

static err_t read_file(struct policy_files *f, const char *path)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    if (f->count == POLICY_FILES_MAX) FAIL(ERR_USAGE, "more than %u files", POLICY_FILES_MAX);
    TRY(policy_case_read(path, &text));
    struct rego_module *m = &f->modules[f->count++];
    m->name = strdup(shown(path));
    m->text = (char *) buf_steal(&text, &m->len);
    if (!m->text) m->text = strdup("");
    if (!m->name || !m->text) FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

static int is_visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static bool is_rego(const char *name)
{
    size_t len = strlen(name);
    return len > 5 && strcmp(name + len - 5, ".rego") == 0;
}

static err_t read_folder(struct policy_files *f, const char *path, unsigned depth);

static err_t read_entry(struct policy_files *f, const char *folder, const char *name, unsigned depth)
{
    _cleanup_free_ char *path = NULL;
    struct stat st;
    TRY(path_join(folder, name, &path));
    if (lstat(path, &st) != 0) FAIL_ERRNO(ERR_USAGE, "cannot look at %s", path);
    if (S_ISDIR(st.st_mode)) return read_folder(f, path, depth + 1);
    return is_rego(name) ? read_file(f, path) : ERR_OK;
}

static err_t read_folder(struct policy_files *f, const char *path, unsigned depth)
{
    struct dirent **entries = NULL;
    struct err e = ERR_OK;
    if (depth > POLICY_FILES_DEPTH_MAX) FAIL(ERR_USAGE, "%s lies deeper than %u folders", path, POLICY_FILES_DEPTH_MAX);
    int count = scandir(path, &entries, is_visible, alphasort);
    if (count < 0) FAIL_ERRNO(ERR_USAGE, "cannot read the folder %s", path);
    for (int i = 0; i < count; i++) {
        if (err_ok(e)) e = read_entry(f, path, entries[i]->d_name, depth);
        free(entries[i]);
    }
    free(entries);
    return e;
}

struct err policy_files_read(const char *const *paths, size_t count, struct policy_files *ret)
{
    *ret = (struct policy_files) {.modules = calloc(POLICY_FILES_MAX, sizeof(struct rego_module))};
    if (!ret->modules) FAIL(ERR_INTERNAL, "out of memory");
    for (size_t i = 0; i < count; i++) {
        struct stat st;
        bool folder = stat(paths[i], &st) == 0 && S_ISDIR(st.st_mode);
        TRY(folder ? read_folder(ret, paths[i], 0) : read_file(ret, paths[i]));
    }
    if (ret->count == 0) FAIL(ERR_USAGE, "there is no file named *.rego");
    return ERR_OK;
}

void policy_files_free(struct policy_files *f)
{
    for (size_t i = 0; f->modules && i < f->count; i++) {
        free((char *) f->modules[i].name);
        free((char *) f->modules[i].text);
    }
    free(f->modules);
}

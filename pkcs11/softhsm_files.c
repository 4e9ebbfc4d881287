#include "pkcs11/softhsm_files.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/base/file.h"
#include "broker/base/log.h"
#include "pkcs11/p11_internal.h"
#include "pkcs11/softhsm_backup.h"

#define SUFFIX ".object"
#define FILE_MAX (ENVELOPE_MAX + (64u << 10)) /* bytes; what is larger is no object of ours */

/* ---- one file ---------------------------------------------------------------------------- */

/* As they are stored: kinds of attributes. */
enum { KIND_TRUTH = 1, KIND_NUMBER = 2, KIND_BYTES = 3, KIND_ATTRIBUTES = 4, KIND_MECHANISMS = 5 };

enum softhsm_object softhsm_object_judge(struct span file)
{
    struct reader r = {file, false};
    read_u64(&r); /* its generation */
    while (!r.failed && r.rest.len) {
        read_u64(&r); /* the attribute's type */
        uint64_t kind = read_u64(&r), n = 1;
        size_t each = kind == KIND_NUMBER || kind == KIND_MECHANISMS ? 8 : 1;
        if (kind < KIND_TRUTH || kind > KIND_MECHANISMS)
            break; /* we know no more of it, so nothing bad either */
        if (kind >= KIND_BYTES) n = read_u64(&r);
        if (kind == KIND_BYTES && n > SOFTHSM_VALUE_MAX) return SOFTHSM_DEADLY;
        if (n > r.rest.len / each) r.failed = true;
        else read_bytes(&r, (size_t) n * each);
    }
    return r.failed ? SOFTHSM_CUT : SOFTHSM_WHOLE;
}

static bool has_suffix(const char *name)
{
    size_t len = strlen(name);
    return len > strlen(SUFFIX) && strcmp(name + len - strlen(SUFFIX), SUFFIX) == 0;
}

/* Whether it is old enough to be judged, and no object. One that goes meanwhile is none of it. */
static bool is_leftover(const char *path)
{
    struct stat st;
    _cleanup_buf_ struct buf file = {.max = FILE_MAX};
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) return false;
    if (clock_now() - st.st_mtim.tv_sec < (int64_t) LEFTOVER_SECONDS) return false;
    if (!err_ok(file_read(path, FILE_MAX, &file))) return false;
    return softhsm_object_judge(buf_span(&file)) != SOFTHSM_WHOLE;
}

static bool is_deadly(const char *path)
{
    _cleanup_buf_ struct buf file = {.max = FILE_MAX};
    return err_ok(file_read(path, FILE_MAX, &file)) && softhsm_object_judge(buf_span(&file)) == SOFTHSM_DEADLY;
}

/* ---- a token's directory ----------------------------------------------------------------- */

static void cleanup_dir(DIR **d)
{
    if (*d) closedir(*d);
}

/* SoftHSM names a token's directory by a UUID and takes the serial from its end. */
static bool is_of(const char *directory, const char *serial)
{
    return strlen(directory) == 36 && strlen(serial) == 16 && memcmp(directory + 19, serial, 4) == 0 &&
           strcmp(directory + 24, serial + 4) == 0;
}

static err_t find_directory(const char *tokens, const char *serial, char **ret)
{
    _cleanup_(cleanup_dir) DIR *d = opendir(tokens);
    if (!d) FAIL_ERRNO(ERR_NOTFOUND, "cannot look into %s", tokens);
    for (struct dirent *e; (e = readdir(d));)
        if (is_of(e->d_name, serial)) return path_join(tokens, e->d_name, ret);
    FAIL(ERR_NOTFOUND, "%s holds no token with serial %s", tokens, serial);
}

/* Each object file of a directory that is so. */
static err_t each_object(const char *directory, bool (*is_so)(const char *path),
                         err_t (*visit)(void *arg, const char *path), void *arg)
{
    _cleanup_(cleanup_dir) DIR *d = opendir(directory);
    if (!d) FAIL_ERRNO(ERR_NOTFOUND, "cannot look into %s", directory);
    for (struct dirent *e; (e = readdir(d));) {
        _cleanup_free_ char *path = NULL;
        if (!has_suffix(e->d_name)) continue;
        TRY(path_join(directory, e->d_name, &path));
        if (is_so(path)) TRY(visit(arg, path));
    }
    return ERR_OK;
}

err_t softhsm_leftovers(const char *tokens, const char *serial,
                        err_t (*visit)(void *arg, const char *path), void *arg)
{
    _cleanup_free_ char *directory = NULL;
    TRY(find_directory(tokens, serial, &directory));
    return each_object(directory, is_leftover, visit, arg);
}

static err_t refuse(void *arg, const char *path)
{
    FAIL(ERR_DAMAGED, "SoftHSM would end or hang any program at the damaged %s: move it and its .lock away, then see "
         "`strongroom token verify`", path);
}

err_t softhsm_check_objects(const char *module)
{
    _cleanup_free_ char *tokens = NULL;
    const char *name = strrchr(module, '/');
    if (!strstr(name ? name : module, "softhsm") || !err_ok(softhsm_token_dir(&tokens))) return ERR_OK;
    _cleanup_(cleanup_dir) DIR *d = opendir(tokens);
    for (struct dirent *e; d && (e = readdir(d));) {
        _cleanup_free_ char *directory = NULL;
        if (e->d_name[0] == '.') continue;
        TRY(path_join(tokens, e->d_name, &directory));
        struct err found = each_object(directory, is_deadly, refuse, NULL);
        if (found.code != ERR_NOTFOUND) TRY(found);
    }
    return ERR_OK;
}

bool softhsm_is(CK_FUNCTION_LIST *fn)
{
    CK_INFO about = {0};
    return fn->C_GetInfo(&about) == CKR_OK && memcmp(about.manufacturerID, "SoftHSM ", 8) == 0;
}

static bool is_softhsm(struct p11 *p)
{
    SCOPED_OBJECTS(p); /* recovery must not take the module away meanwhile */
    return softhsm_is(p->fn);
}

err_t p11_leftovers(struct p11 *p, err_t (*visit)(void *arg, const char *path), void *arg)
{
    _cleanup_free_ char *tokens = NULL;
    module_guard(p->module);
    if (!is_softhsm(p)) return ERR_OK;
    struct err e = softhsm_token_dir(&tokens);
    if (err_ok(e)) e = softhsm_leftovers(tokens, p->serial, visit, arg);
    /* It may lie where only the module looks; then nobody can tell. */
    if (e.code != ERR_NOTFOUND) return e;
    log_debug_err(e, "token.leftovers", LOG_S("effect", "files that are no objects are not looked for"));
    return ERR_OK;
}

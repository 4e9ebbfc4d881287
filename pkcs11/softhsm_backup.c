#include "pkcs11/softhsm_backup.h"

#include "broker/base/cleanup.h"
#include "broker/base/file.h"
#include "pkcs11/token_file.h"

#include <dirent.h>
#include <string.h>

#define CONF_MAX (64u << 10)
#define TOKEN_OBJECT_MAX (64u << 10) /* it is some 300 bytes */
#define DEFAULT_CONF "/etc/softhsm/softhsm2.conf"
#define DEFAULT_TOKENDIR "/var/lib/softhsm/tokens"

/* Where SoftHSM 2.6 looks, in its order. */
static err_t read_conf(struct buf *ret)
{
    const char *named = getenv("SOFTHSM2_CONF"), *home = getenv("HOME");
    if (named) return file_read(named, CONF_MAX, ret);
    if (home) {
        _cleanup_free_ char *path = NULL;
        TRY(path_join(home, ".config/softhsm2/softhsm2.conf", &path));
        if (err_ok(file_read(path, CONF_MAX, ret))) return ERR_OK;
    }
    return file_read(DEFAULT_CONF, CONF_MAX, ret);
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t len = strlen(text);
    while (len && strchr(" \t\r", text[len - 1])) len--;
    text[len] = '\0';
    return text;
}

struct err softhsm_token_dir(char **ret)
{
    _cleanup_buf_ struct buf conf = BUF_INIT;
    TRYC(read_conf(&conf), "cannot read SoftHSM's configuration");
    buf_add_byte(&conf, '\0');
    TRY(buf_ok(&conf));
    const char *dir = DEFAULT_TOKENDIR;
    char *rest = (char *) conf.data;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *name = strsep(&line, "=");
        if (line && strcmp(trim(name), "directories.tokendir") == 0) dir = trim(line);
    }
    if (!(*ret = strdup(dir))) FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

static bool holds(const struct buf *names, const char *name)
{
    size_t len = strlen(name) + 1;
    for (size_t at = 0; at < names->len; at += strlen((const char *) names->data + at) + 1)
        if (names->len - at >= len && memcmp(names->data + at, name, len) == 0) return true;
    return false;
}

static void cleanup_closedir(DIR **d)
{
    if (*d) closedir(*d);
}

/* Names of subdirectories that `except` does not hold. */
static err_t list_except(const char *dir, const struct buf *except, struct buf *ret)
{
    _cleanup_(cleanup_closedir) DIR *d = opendir(dir);
    if (!d) return ERR_OK; /* SoftHSM makes it with the first token */
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.' || e->d_type == DT_REG) continue;
        if (!except || !holds(except, e->d_name)) buf_add(ret, e->d_name, strlen(e->d_name) + 1);
    }
    return buf_ok(ret);
}

err_t softhsm_list_dirs(struct buf *ret)
{
    _cleanup_free_ char *dir = NULL;
    TRY(softhsm_token_dir(&dir));
    return list_except(dir, NULL, ret);
}

err_t softhsm_backup(const struct buf *before, const char *serial, const char *state_dir,
                     char **ret_path)
{
    _cleanup_free_ char *dir = NULL, *own = NULL, *object = NULL, *copy = NULL;
    _cleanup_buf_ struct buf fresh = BUF_INIT, content = BUF_INIT;
    TRY(softhsm_token_dir(&dir));
    TRY(list_except(dir, before, &fresh));
    const char *name = buf_str(&fresh);
    if (!fresh.len || strlen(name) + 1 != fresh.len)
        FAIL(ERR_CONFLICT, "cannot tell which directory of %s is the new token's, so no copy of "
             "its token.object was made; copy it by hand", dir);
    TRY(path_join(dir, name, &own));
    TRY(path_join(own, "token.object", &object));
    TRY(file_read(object, TOKEN_OBJECT_MAX, &content));
    TRY(token_file_path(state_dir, "softhsm-", serial, "-token.object", &copy));
    TRY(file_write_atomic(copy, buf_span(&content), 0600));
    *ret_path = TAKE_PTR(copy);
    return ERR_OK;
}

#include "broker/store/directory_internal.h"

#include "broker/base/file.h"
#include "broker/base/rand.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 6u /* folders that the longest label is cut into, and the bucket */

/* ---- what an errno means for who wrote or read ------------------------------------------- */

static enum err_class write_class(int code)
{
    static const struct { int code; enum err_class class; } TABLE[] = {
        {ENOSPC, ERR_FULL}, {EDQUOT, ERR_FULL}, {EROFS, ERR_READONLY}, {EACCES, ERR_READONLY},
        {EPERM, ERR_READONLY},
    };
    for (size_t i = 0; i < sizeof TABLE / sizeof *TABLE; i++)
        if (TABLE[i].code == code) return TABLE[i].class;
    return ERR_TOKEN_DOWN;
}

#define FAIL_WRITE(what, path)                                                   \
    do {                                                                         \
        enum err_class class_ = write_class(errno);                              \
        FAIL_ERRNO(class_, class_ == ERR_FULL                                    \
                   ? "no room for %s in the directory of envelopes; make room and write again" \
                   : "the directory of envelopes: " what " %s", path);           \
    } while (0)

/* ---- listing ----------------------------------------------------------------------------- */

void listing_free(struct listing *l)
{
    for (size_t i = 0; i < l->n; i++) free(l->at[i]);
    free(l->at);
    *l = (struct listing){0};
}

static err_t listing_add(struct listing *l, const char *path)
{
    if (l->n >= STORE_READ_MAX)
        FAIL(ERR_TOOLARGE, "the directory of envelopes holds more than %u files", STORE_READ_MAX);
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 32;
        char **at = reallocarray(l->at, cap, sizeof *at);
        if (!at) FAIL(ERR_INTERNAL, "out of memory");
        l->at = at;
        l->cap = cap;
    }
    char *copy = strdup(path);
    if (!copy) FAIL(ERR_INTERNAL, "out of memory");
    l->at[l->n++] = copy;
    return ERR_OK;
}

static void close_dir(DIR **dir)
{
    if (*dir) closedir(*dir);
}

/* NULL with errno. */
static DIR *open_folder(int root, const char *path)
{
    int fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0) close(fd);
    return dir;
}

static bool is_folder(int root, const char *path, const struct dirent *entry)
{
    struct stat st;
    if (entry->d_type != DT_UNKNOWN) return entry->d_type == DT_DIR; /* though it may have gone since */
    if (fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW)) return errno == ENOENT; /* which is told in the same way */
    return S_ISDIR(st.st_mode);
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* In the root: below it a long label may be cut into such a name. */
static bool is_temporary(const char *name)
{
    return strncmp(name, DIRECTORY_TEMPORARY, strlen(DIRECTORY_TEMPORARY)) == 0;
}

/* On its way out, or left by a kill. */
static err_t add_empty(struct listing *l, const char *path)
{
    _cleanup_free_ char *folder = NULL;
    TRY(path_join(path, "", &folder)); /* "path/" */
    return listing_add(l, folder);
}

/* Into folders as deep as ours go; one that is deeper is a stranger as a whole. */
static err_t list_folder(int root, const char *path, unsigned depth, struct listing *ret)
{
    _cleanup_(close_dir) DIR *dir = open_folder(root, path);
    if (!dir && errno == ENOENT) {
        ret->outrun |= depth > 1;
        return ERR_OK;
    }
    if (!dir) FAIL_ERRNO(ERR_TOKEN_DOWN, "the directory of envelopes: cannot list %s", path);
    for (bool empty = depth > 1;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry && errno)
            FAIL_ERRNO(ERR_TOKEN_DOWN, "the directory of envelopes: cannot list %s", path);
        if (!entry) return empty ? add_empty(ret, path) : ERR_OK;
        if (is_dots(entry->d_name)) continue;
        empty = false;
        _cleanup_free_ char *below = NULL;
        TRY(path_join(path, entry->d_name, &below));
        if (depth < DEPTH_MAX && is_folder(root, below, entry)) TRY(list_folder(root, below, depth + 1, ret));
        else TRY(listing_add(ret, below));
    }
}

err_t listing_read(int root, uint8_t bucket, struct listing *ret)
{
    char path[4];
    snprintf(path, sizeof path, "%02x", bucket);
    return list_folder(root, path, 1, ret);
}

static bool is_ours(const char *name)
{
    unsigned bucket = 0;
    char again[4] = "";
    if (strlen(name) == 2 && sscanf(name, "%2x", &bucket) == 1) snprintf(again, sizeof again, "%02x", bucket);
    return strcmp(name, again) == 0 || strcmp(name, DIRECTORY_MARK) == 0 ||
           strcmp(name, DIRECTORY_LOCK) == 0 || strcmp(name, DIRECTORY_EPOCH) == 0;
}

err_t listing_read_root(int root, struct listing *ret)
{
    _cleanup_(close_dir) DIR *dir = open_folder(root, ".");
    if (!dir) FAIL_ERRNO(ERR_TOKEN_DOWN, "the directory of envelopes cannot be listed");
    for (struct dirent *entry; (entry = readdir(dir));)
        if (!is_dots(entry->d_name) && !is_temporary(entry->d_name) && !is_ours(entry->d_name))
            TRY(listing_add(ret, entry->d_name));
    return ERR_OK;
}

/* ---- reading ----------------------------------------------------------------------------- */

static err_t read_all(int fd, const char *path, size_t size, struct buf *ret)
{
    size_t before = ret->len;
    uint8_t *at = buf_extend(ret, size + 1); /* a byte more, which must not be there */
    if (!at) return buf_ok(ret);
    size_t got = 0;
    while (got <= size) {
        ssize_t n = read(fd, at + got, size + 1 - got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            ret->len = before;
            FAIL_ERRNO(ERR_DAMAGED, "%s cannot be read", path);
        }
        if (n == 0) break;
        got += (size_t) n;
    }
    ret->len = before + got;
    if (got <= size) return ERR_OK;
    ret->len = before;
    FAIL(ERR_DAMAGED, "%s grows while it is read", path);
}

/* Of a file that does not open: what says nothing of the file itself must not condemn it. */
static enum err_class open_class(int code)
{
    if (code == ENOENT) return ERR_NOTFOUND;
    return code == EMFILE || code == ENFILE || code == ENOMEM ? ERR_TOKEN_DOWN : ERR_DAMAGED;
}

err_t directory_file_read(int root, const char *path, struct buf *ret)
{
    struct stat st;
    /* NONBLOCK: a fifo must not hold us. */
    _cleanup_close_ int fd = openat(root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) FAIL_ERRNO(open_class(errno), "%s cannot be opened", path);
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) FAIL(ERR_DAMAGED, "%s is no regular file", path);
    if (st.st_size > (off_t) ENVELOPE_MAX)
        FAIL(ERR_DAMAGED, "%s is over %u bytes", path, ENVELOPE_MAX);
    return read_all(fd, path, (size_t) st.st_size, ret);
}

/* ---- writing ----------------------------------------------------------------------------- */

/* The folder that a path lies in; "." for the root. */
static err_t parent_of(const char *path, char **ret)
{
    const char *slash = strrchr(path, '/');
    *ret = slash ? strndup(path, (size_t) (slash - path)) : strdup(".");
    if (!*ret) FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

static err_t sync_folder(int root, const char *path)
{
    _cleanup_close_ int fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fsync(fd)) FAIL_WRITE("cannot sync", path);
    return ERR_OK;
}

static err_t sync_parent(int root, const char *path)
{
    _cleanup_free_ char *parent = NULL;
    TRY(parent_of(path, &parent));
    return sync_folder(root, parent);
}

/* The folders above a file, each durable before anything is put into it: also one that somebody made who
 * was killed before he could sync it. */
static err_t make_folders(int root, const char *path, bool sync)
{
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        _cleanup_free_ char *folder = strndup(path, (size_t) (slash - path));
        if (!folder) FAIL(ERR_INTERNAL, "out of memory");
        if (mkdirat(root, folder, 0700) && errno != EEXIST) FAIL_WRITE("cannot make", folder);
        if (sync) TRY(sync_parent(root, folder));
    }
    return ERR_OK;
}

static err_t write_temporary(int root, const char *name, const struct directory_write *w)
{
    _cleanup_close_ int fd =
        openat(root, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) FAIL_WRITE("cannot make", w->path);
    for (size_t done = 0; done < w->value.len;) {
        ssize_t n = write(fd, w->value.data + done, w->value.len - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) FAIL_WRITE("cannot write", w->path);
        done += (size_t) n;
    }
    if (w->sync && fsync(fd)) FAIL_WRITE("cannot sync", w->path);
    return ERR_OK;
}

static int rename_into_place(int root, const char *name, const struct directory_write *w)
{
    if (w->replace) return renameat(root, name, root, w->path);
    int rc = renameat2(root, name, root, w->path, RENAME_NOREPLACE);
    /* File systems without it (NFS): the number in the name is random, so that none is replaced. */
    return rc && errno == EINVAL ? renameat(root, name, root, w->path) : rc;
}

err_t directory_file_write(int root, const struct directory_write *w)
{
    uint8_t random[8];
    char name[sizeof DIRECTORY_TEMPORARY + 2 * sizeof random] = DIRECTORY_TEMPORARY;
    TRY(rand_bytes(random, sizeof random));
    hex_encode(span_of(random, sizeof random), name + strlen(name));
    TRY(make_folders(root, w->path, w->sync));
    struct err e = write_temporary(root, name, w);
    if (err_ok(e) && rename_into_place(root, name, w)) {
        int code = errno;
        unlinkat(root, name, 0);
        errno = code;
        FAIL_WRITE("cannot name", w->path);
    }
    if (!err_ok(e)) unlinkat(root, name, 0);
    TRY(e);
    return w->sync ? sync_parent(root, w->path) : ERR_OK;
}

err_t directory_file_remove(int root, const char *path)
{
    _cleanup_free_ char *folder = NULL;
    if (unlinkat(root, path, 0)) {
        if (errno == ENOENT) FAIL(ERR_NOTFOUND, "%s is gone already", path);
        FAIL_WRITE("cannot remove", path);
    }
    TRY(sync_parent(root, path));
    TRY(parent_of(path, &folder));
    /* One that is not empty stays; the bucket ("3f") stays in any case. */
    for (char *slash; (slash = strrchr(folder, '/')); *slash = '\0')
        if (unlinkat(root, folder, AT_REMOVEDIR)) break;
    return ERR_OK;
}

void directory_sweep(int root)
{
    _cleanup_(close_dir) DIR *dir = open_folder(root, ".");
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (is_temporary(entry->d_name))
            unlinkat(root, entry->d_name, 0); /* one that stays does no harm */
}

#include "broker/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static err_t open_regular(const char *path, int *ret_fd, struct stat *ret_stat)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        FAIL_ERRNO(errno == ENOENT || errno == ENOTDIR ? ERR_NOTFOUND : ERR_USAGE,
                   "cannot read %s", path);
    if (fstat(fd, ret_stat) != 0) FAIL_ERRNO(ERR_INTERNAL, "cannot look at %s", path);
    if (!S_ISREG(ret_stat->st_mode)) FAIL(ERR_USAGE, "%s is not a regular file", path);
    *ret_fd = fd;
    fd = -1;
    return ERR_OK;
}

struct err file_read(const char *path, size_t max, struct buf *ret)
{
    _cleanup_close_ int fd = -1;
    struct stat st;
    TRY(open_regular(path, &fd, &st));
    _cleanup_buf_ struct buf b = {.max = max};
    for (;;) {
        uint8_t block[16384];
        ssize_t n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) FAIL_ERRNO(ERR_INTERNAL, "cannot read %s", path);
        if (n == 0) break;
        buf_add(&b, block, (size_t) n);
        if (b.failed) FAIL(ERR_TOOLARGE, "%s is larger than the limit of %zu bytes", path, max);
    }
    buf_add_span(ret, buf_span(&b));
    return buf_ok(ret);
}

/* At the limit: the end must follow. An error does not pass for the end. */
static err_t expect_end(int fd, size_t max)
{
    uint8_t probe = 0;
    ssize_t n;
    do n = read(fd, &probe, 1);
    while (n < 0 && errno == EINTR);
    explicit_bzero(&probe, 1);
    if (n < 0) FAIL_ERRNO(ERR_INTERNAL, "cannot read");
    if (n > 0) FAIL(ERR_TOOLARGE, "more than the limit of %zu bytes", max);
    return ERR_OK;
}

/* Room for the whole of a file and a byte that finds its end: growing would copy, and of large
 * secrets two at once may not fit into the budget. */
static size_t first_room(int fd)
{
    struct stat st;
    bool sized = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
    return sized ? (size_t) st.st_size + 1 : 4096;
}

struct err file_read_fd_secret(int fd, size_t max, struct secret **ret)
{
    _cleanup_(secret_buf_free) struct secret_buf b = {.max = max};
    for (;;) {
        if (b.len == max) {
            TRY(expect_end(fd, max));
            break;
        }
        /* Read straight into locked memory: no copy stays on the stack. */
        if (b.len == secret_len(b.block)) {
            size_t want = b.len ? b.len * 2 : first_room(fd);
            TRY(secret_buf_reserve(&b, want < max ? want : max));
        }
        ssize_t n = read(fd, secret_data(b.block) + b.len, secret_len(b.block) - b.len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) FAIL_ERRNO(ERR_INTERNAL, "cannot read");
        if (n == 0) break;
        b.len += (size_t) n;
    }
    *ret = secret_buf_steal(&b);
    if (!*ret) FAIL(ERR_BUSY, "the budget of locked memory is spent");
    return ERR_OK;
}

struct err file_read_secret(const char *path, size_t max, struct secret **ret)
{
    _cleanup_close_ int fd = -1;
    struct stat st;
    TRY(open_regular(path, &fd, &st));
    if (st.st_uid != 0 && st.st_uid != geteuid())
        FAIL(ERR_USAGE, "%s belongs to user %u, who could change it; it must be yours or root's: "
                        "chown it", path, (unsigned) st.st_uid);
    if (st.st_mode & 077)
        FAIL(ERR_USAGE, "%s can be read by others (mode %04o); run: chmod 600 %s", path,
             (unsigned) st.st_mode & 07777, path);
    TRYC(file_read_fd_secret(fd, max, ret), "%s", path);
    return ERR_OK;
}

struct err file_write_all(int fd, struct span data)
{
    while (data.len) {
        ssize_t n = write(fd, data.data, data.len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) FAIL_ERRNO(ERR_INTERNAL, "cannot write");
        data.data += n;
        data.len -= (size_t) n;
    }
    return ERR_OK;
}

static err_t fsync_parent(const char *path)
{
    _cleanup_free_ char *dir = strdup(path);
    if (!dir) FAIL(ERR_INTERNAL, "out of memory");
    char *slash = strrchr(dir, '/');
    if (slash == dir) slash[1] = '\0';
    else if (slash) *slash = '\0';
    _cleanup_close_ int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) FAIL_ERRNO(ERR_INTERNAL, "cannot sync the folder of %s", path);
    return ERR_OK;
}

struct err file_write_atomic(const char *path, struct span data, unsigned mode)
{
    _cleanup_free_ char *temp = NULL;
    if (asprintf(&temp, "%s.XXXXXX", path) < 0) FAIL(ERR_INTERNAL, "out of memory");
    _cleanup_close_ int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0) FAIL_ERRNO(ERR_USAGE, "cannot create a file beside %s", path);
    struct err e = file_write_all(fd, data);
    if (err_ok(e) && (fchmod(fd, mode) != 0 || fsync(fd) != 0 || rename(temp, path) != 0))
        e = err_start_errno(ERR_INTERNAL, errno, __FILE__, __LINE__, __func__, "cannot write %s",
                            path);
    if (!err_ok(e)) {
        unlink(temp);
        return e;
    }
    return fsync_parent(path);
}

struct err file_write_output(const char *path, struct span data, unsigned mode)
{
    struct stat st;
    if (lstat(path, &st) == 0 ? S_ISREG(st.st_mode) : errno == ENOENT)
        return file_write_atomic(path, data, mode);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, (mode_t) mode);
    if (fd < 0) FAIL_ERRNO(ERR_USAGE, "cannot write %s", path);
    return file_write_all(fd, data);
}

struct err file_make_dirs(const char *path, unsigned mode)
{
    if (!path[0]) FAIL(ERR_USAGE, "a folder's name is empty");
    _cleanup_free_ char *copy = strdup(path);
    if (!copy) FAIL(ERR_INTERNAL, "out of memory");
    for (char *p = copy + 1;; p++) {
        if (*p != '/' && *p != '\0') continue;
        char end = *p;
        *p = '\0';
        if (mkdir(copy, mode) != 0 && errno != EEXIST)
            FAIL_ERRNO(ERR_USAGE, "cannot create the folder %s", copy);
        if (end == '\0') break;
        *p = end;
    }
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        FAIL(ERR_USAGE, "%s is not a folder", path);
    return ERR_OK;
}

struct err path_join(const char *dir, const char *name, char **ret)
{
    size_t len = strlen(dir);
    if (asprintf(ret, "%s%s%s", dir, len && dir[len - 1] == '/' ? "" : "/", name) < 0)
        FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

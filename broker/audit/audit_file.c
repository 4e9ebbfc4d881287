#include "broker/audit/audit_file.h"

#include "broker/base/cleanup.h"
#include "broker/base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static err_t check_owner(int fd, const char *path, off_t *ret_size)
{
    struct stat st;
    if (fstat(fd, &st) != 0) FAIL_ERRNO(ERR_INTERNAL, "cannot look at the audit file %s", path);
    if (!S_ISREG(st.st_mode))
        FAIL(ERR_USAGE, "the audit file %s is not a regular file; name one", path);
    if (st.st_uid != geteuid())
        FAIL(ERR_USAGE, "the audit file %s belongs to user %u; chown it to the user that runs the "
                        "broker", path, (unsigned) st.st_uid);
    if (st.st_mode & 022)
        FAIL(ERR_USAGE, "the audit file %s can be written by others (mode %04o); run: chmod 600 %s",
             path, (unsigned) st.st_mode & 07777, path);
    *ret_size = st.st_size;
    return ERR_OK;
}

static err_t take_lock(int fd, const char *path)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return ERR_OK;
    if (errno == EWOULDBLOCK)
        FAIL(ERR_CONFLICT, "another process writes the audit file %s; each broker needs a file of "
                           "its own (audit.file)", path);
    FAIL_ERRNO(ERR_INTERNAL, "cannot lock the audit file %s", path);
}

/* The last line's hash, and how much of it is torn. A last line beyond every limit of ours is none
 * of ours; its end is hashed as it stands. */
static err_t read_tail(struct audit_file *f, const char *path, off_t size)
{
    static const size_t most = AUDIT_LINE_MAX + 1;
    size_t len = size < (off_t) most ? (size_t) size : most;
    f->last = CHAIN_START;
    f->torn = 0;
    if (!len) return ERR_OK;
    _cleanup_buf_ struct buf tail = {.max = most};
    uint8_t *bytes = buf_extend(&tail, len);
    if (!bytes) FAIL(ERR_INTERNAL, "out of memory");
    if (pread(f->fd, bytes, len, size - (off_t) len) != (ssize_t) len)
        FAIL_ERRNO(ERR_INTERNAL, "cannot read the end of the audit file %s", path);
    bool whole = bytes[len - 1] == '\n'; /* else a power cut or a full disk ended the last process */
    size_t end = whole ? len - 1 : len;
    const uint8_t *before = end ? memrchr(bytes, '\n', end) : NULL;
    size_t first = before ? (size_t) (before - bytes) + 1 : 0;
    f->torn = whole ? 0 : end - first;
    return chain_hash(span_of(bytes + first, end - first), &f->last);
}

struct err audit_file_open(const char *path, struct audit_file *ret)
{
    /* O_NONBLOCK so that a FIFO somebody put there is refused instead of waited for. */
    _cleanup_close_ int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK |
                                            O_NOCTTY | O_CLOEXEC, 0600);
    if (fd < 0 && errno == ENOENT)
        FAIL(ERR_USAGE, "the folder of the audit file %s does not exist; create it, owned by the "
                        "user that runs the broker", path);
    if (fd < 0 && errno == ELOOP)
        FAIL(ERR_USAGE, "the audit file %s is a symbolic link; name the file itself", path);
    if (fd < 0) FAIL_ERRNO(ERR_USAGE, "cannot open the audit file %s", path);
    struct audit_file f = {.fd = fd};
    off_t size = 0;
    TRY(take_lock(fd, path));
    TRY(check_owner(fd, path, &size));
    TRY(read_tail(&f, path, size));
    *ret = f;
    fd = -1;
    return ERR_OK;
}

void audit_file_close(struct audit_file *f)
{
    if (f->fd >= 0) close(f->fd);
    f->fd = -1;
}

bool audit_file_same(const struct audit_file *f, const char *path)
{
    struct stat held, named;
    return fstat(f->fd, &held) == 0 && stat(path, &named) == 0 && held.st_dev == named.st_dev &&
           held.st_ino == named.st_ino;
}

bool audit_file_removed(const struct audit_file *f)
{
    struct stat held;
    return fstat(f->fd, &held) == 0 && held.st_nlink == 0;
}

/* A short write is a failure, never continued: with O_APPEND the rest could land behind somebody
 * else's line. */
static err_t append_bytes(struct audit_file *f, const char *path, struct span bytes)
{
    ssize_t n = 0;
    do {
        n = write(f->fd, bytes.data, bytes.len);
    } while (n < 0 && errno == EINTR);
    if (n < 0) FAIL_ERRNO(ERR_INTERNAL, "cannot write to the audit file %s", path);
    if ((size_t) n == bytes.len) return ERR_OK;
    struct stat st;
    bool back = fstat(f->fd, &st) == 0 && st.st_size >= n && ftruncate(f->fd, st.st_size - n) == 0;
    if (!back) f->torn = (size_t) n;
    FAIL(ERR_INTERNAL, "the audit file %s took only %zd of %zu bytes; is the disk full?", path, n,
         bytes.len);
}

struct err audit_file_append(struct audit_file *f, const char *path, struct span line)
{
    TRY(append_bytes(f, path, line));
    return chain_hash(span_of(line.data, line.len - 1), &f->last);
}

struct err audit_file_end_torn(struct audit_file *f, const char *path)
{
    /* What stands there is hashed as it is found: our own idea of it may be wrong. */
    struct stat st;
    if (fstat(f->fd, &st) != 0) FAIL_ERRNO(ERR_INTERNAL, "cannot look at the audit file %s", path);
    TRY(read_tail(f, path, st.st_size));
    if (!f->torn) return ERR_OK;
    TRY(append_bytes(f, path, SPAN_LIT("\n")));
    f->torn = 0;
    return ERR_OK;
}

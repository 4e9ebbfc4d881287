#include "pkcs11/writer_lock.h"

#include "broker/base/file.h"
#include "broker/base/log.h"
#include "pkcs11/token_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

struct writer_lock {
    int fd;
};

#define HOLDER_MAX 256

/* Who wrote the file, for the message alone: another program may be writing it just now. */
static const char *read_holder(int fd, char out[HOLDER_MAX])
{
    char raw[HOLDER_MAX / 4];
    ssize_t n = pread(fd, raw, sizeof raw, 0);
    size_t len = n > 0 ? (size_t) n : 0;
    while (len && raw[len - 1] == '\n') len--;
    return len ? log_escape(out, HOLDER_MAX, span_of(raw, len)) : "another program";
}

/* Whoever may open the file for reading may lock it, and keep us out. */
static err_t open_locked(const char *path, int *ret)
{
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        FAIL_ERRNO(ERR_USAGE, "cannot open the lock file %s; check the directory's owner", path);
    if (fchmod(fd, 0600)) FAIL_ERRNO(ERR_USAGE, "cannot close the lock file %s to others; check its owner", path);
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        char holder[HOLDER_MAX];
        if (errno != EWOULDBLOCK) FAIL_ERRNO(ERR_INTERNAL, "cannot lock %s", path);
        FAIL(ERR_CONFLICT, "%s writes to this token already (%s); stop it, or send the command "
             "through its admin socket", read_holder(fd, holder), path);
    }
    *ret = fd;
    fd = -1;
    return ERR_OK;
}

err_t writer_lock_take(const char *lock_dir, const char *serial, const char *who,
                       struct writer_lock **ret)
{
    _cleanup_free_ char *path = NULL;
    _cleanup_close_ int fd = -1;
    TRYC(file_make_dirs(lock_dir, 0755), "cannot make the lock directory %s", lock_dir);
    TRY(token_file_path(lock_dir, "token-", serial, ".lock", &path));
    TRY(open_locked(path, &fd));
    /* The content is for the one who finds it taken; the lock holds without it. */
    if (ftruncate(fd, 0) || dprintf(fd, "%s, pid %d\n", who, (int) getpid()) < 0)
        FAIL_ERRNO(ERR_INTERNAL, "cannot write %s", path);
    struct writer_lock *l = calloc(1, sizeof *l);
    if (!l) FAIL(ERR_INTERNAL, "out of memory");
    l->fd = fd;
    fd = -1;
    *ret = l;
    return ERR_OK;
}

void writer_lock_release(struct writer_lock *l)
{
    if (!l) return;
    /* Emptied, not removed: a removed file could be locked by one while another makes a new one. */
    if (ftruncate(l->fd, 0)) {
        /* the name in it is old then, and nobody holds the lock */
    }
    close(l->fd);
    free(l);
}

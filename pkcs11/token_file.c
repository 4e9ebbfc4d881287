#include "pkcs11/token_file.h"

#include "broker/base/cleanup.h"
#include "broker/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

static bool is_plain(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           c == '.' || c == '-' || c == '_';
}

err_t token_file_path(const char *dir, const char *prefix, const char *serial, const char *suffix,
                      char **ret)
{
    _cleanup_buf_ struct buf name = BUF_INIT;
    buf_add_str(&name, prefix);
    for (const char *at = serial; *at; at++) {
        if (is_plain(*at))
            buf_add_byte(&name, (uint8_t) *at);
        else
            buf_addf(&name, "%%%02X", (unsigned) (uint8_t) *at);
    }
    buf_add_str(&name, suffix);
    TRY(buf_ok(&name));
    return path_join(dir, buf_str(&name), ret);
}

err_t token_file_lock(const char *path, int *ret_fd)
{
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        FAIL_ERRNO(ERR_USAGE, "cannot open %s; check that the directory exists and is ours", path);
    while (flock(fd, LOCK_EX))
        if (errno != EINTR) FAIL_ERRNO(ERR_INTERNAL, "cannot lock %s", path);
    *ret_fd = fd;
    fd = -1;
    return ERR_OK;
}

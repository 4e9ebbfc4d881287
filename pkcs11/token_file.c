#include "pkcs11/token_file.h"

#include "broker/base/cleanup.h"
#include "broker/base/clock.h"
#include "broker/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>

#define LOCK_PAUSE_MS 10 /* between two tries */

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

/* flock has no time-out. */
static err_t lock_in_time(const char *path, int fd, unsigned ms)
{
    uint64_t until = clock_mono_ns() + ms * (CLOCK_SECOND_NS / 1000);
    const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000L};
    while (flock(fd, LOCK_EX | LOCK_NB)) {
        if (errno != EWOULDBLOCK && errno != EINTR) FAIL_ERRNO(ERR_INTERNAL, "cannot lock %s", path);
        if (clock_mono_ns() >= until)
            FAIL(ERR_TOKEN_DOWN, "another program holds %s for more than %u ms; does it hang in a login?",
                 path, ms);
        nanosleep(&pause, NULL);
    }
    return ERR_OK;
}

err_t token_file_lock(const char *path, unsigned ms, int *ret_fd)
{
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        FAIL_ERRNO(ERR_USAGE, "cannot open %s; check that the directory exists and is ours", path);
    TRY(lock_in_time(path, fd, ms));
    *ret_fd = fd;
    fd = -1;
    return ERR_OK;
}

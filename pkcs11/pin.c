#include "pkcs11/p11_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>

#include "broker/base/file.h"
#include "broker/base/log.h"

/* Room for CR LF behind the longest PIN, and one byte that shows a longer one. */
#define PIN_READ_MAX (PIN_MAX + 3)

/* Drops one LF or CR LF, as editors and `echo` leave it. A PIN may end with any other byte. */
static void drop_newline(struct secret *pin)
{
    const uint8_t *data = secret_data(pin);
    size_t len = secret_len(pin);
    if (!len || data[len - 1] != '\n') return;
    len--;
    if (len && data[len - 1] == '\r') len--;
    secret_shrink(pin, len);
}

static err_t check_length(const char *where, struct secret *pin)
{
    if (secret_len(pin) == 0) FAIL(ERR_USAGE, "%s holds no PIN", where);
    if (secret_len(pin) > PIN_MAX)
        FAIL(ERR_USAGE, "the PIN in %s is longer than %u bytes", where, PIN_MAX);
    return ERR_OK;
}

static err_t read_file(const char *path, struct secret **ret)
{
    _cleanup_secret_ struct secret *pin = NULL;
    TRYC(file_read_secret(path, PIN_READ_MAX, &pin), "cannot read the PIN file %s", path);
    drop_newline(pin);
    TRY(check_length(path, pin));
    *ret = TAKE_PTR(pin);
    return ERR_OK;
}

/* systemd's LoadCredential= puts it there, readable by the service alone. */
static err_t read_credential(const char *name, struct secret **ret)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    if (!dir || !*dir)
        FAIL(ERR_USAGE, "pin-source credential:%s: the service manager hands it to the service alone, whose unit "
             "says LoadCredential=%s:/path; start that, and commands go through it", name, name);
    if (!*name || strchr(name, '/') || name[0] == '.')
        FAIL(ERR_USAGE, "pin-source credential:%s is no credential's name", name);
    _cleanup_free_ char *path = NULL;
    TRY(path_join(dir, name, &path));
    return read_file(path, ret);
}

/* ---- the terminal ----------------------------------------------------------------------- */

#define CTRL_C 0x03

/* A terminal with echo off; echo comes back on every way out. */
struct quiet_tty {
    int fd;
    struct termios before;
};

static void quiet_tty_done(struct quiet_tty *t)
{
    if (t->fd < 0) return;
    tcsetattr(t->fd, TCSAFLUSH, &t->before);
    close(t->fd);
}

static err_t quiet_tty_open(struct quiet_tty *ret)
{
    _cleanup_close_ int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        FAIL_ERRNO(ERR_USAGE, "no terminal to ask for the PIN; give a pin-source, as in "
                   "file:/path or credential:NAME");
    struct termios before = {0};
    if (tcgetattr(fd, &before)) FAIL_ERRNO(ERR_INTERNAL, "cannot read the terminal's settings");
    struct termios quiet = before;
    quiet.c_lflag &= ~(tcflag_t) (ECHO | ECHOE | ECHOK | ECHONL);
    /* Without ISIG, Ctrl-C arrives as a byte: no signal can leave the terminal without echo. */
    quiet.c_lflag &= ~(tcflag_t) ISIG;
    quiet.c_lflag |= ICANON;
    quiet.c_cc[VEOL] = CTRL_C; /* it ends the line: nobody has to press Enter behind it */
    if (tcsetattr(fd, TCSAFLUSH, &quiet)) FAIL_ERRNO(ERR_INTERNAL, "cannot switch echo off");
    *ret = (struct quiet_tty){.fd = fd, .before = before};
    fd = -1;
    return ERR_OK;
}

static err_t prompt(const char *what, struct secret **ret)
{
    _cleanup_(quiet_tty_done) struct quiet_tty tty = {.fd = -1};
    _cleanup_secret_ struct secret *pin = NULL;
    char safe[128];
    TRY(secret_new(PIN_READ_MAX, &pin));
    TRY(quiet_tty_open(&tty));
    dprintf(tty.fd, "%s: ", log_escape(safe, sizeof safe, span_str(what)));
    /* A line at a time (ICANON), so one read is the whole answer. */
    ssize_t n = 0;
    do n = read(tty.fd, secret_data(pin), PIN_READ_MAX);
    while (n < 0 && errno == EINTR);
    dprintf(tty.fd, "\n");
    if (n < 0) FAIL_ERRNO(ERR_INTERNAL, "cannot read from the terminal");
    if (n > 0 && memchr(secret_data(pin), CTRL_C, (size_t) n))
        FAIL(ERR_USAGE, "interrupted at the PIN");
    secret_shrink(pin, (size_t) n);
    drop_newline(pin);
    TRY(check_length("the terminal's line", pin));
    *ret = TAKE_PTR(pin);
    return ERR_OK;
}

/* The rest of `text` after `prefix`, or NULL. */
static const char *after(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

err_t p11_pin_read(const char *pin_source, const char *what, struct secret **ret)
{
    const char *rest = NULL;
    if (!pin_source || strcmp(pin_source, "prompt") == 0) return prompt(what, ret);
    if ((rest = after(pin_source, "credential:"))) return read_credential(rest, ret);
    if (!(rest = after(pin_source, "file:"))) rest = pin_source;
    if (rest[0] == '/') return read_file(rest, ret);
    /* Not shown: somebody may have put the PIN itself here. */
    FAIL(ERR_USAGE, "pin-source is none of file:/path, /path, credential:NAME and prompt");
}

err_t p11_pin_check(const char *pin_source)
{
    _cleanup_secret_ struct secret *pin = NULL;
    if (!pin_source || strcmp(pin_source, "prompt") == 0) return ERR_OK;
    if (after(pin_source, "credential:") && !getenv("CREDENTIALS_DIRECTORY")) return ERR_OK;
    return p11_pin_read(pin_source, "PIN", &pin);
}

#include "broker/http/listen.h"

#include "broker/base/cleanup.h"
#include "broker/base/limits.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define BACKLOG 4096 /* a crowd that comes at once; the system has a limit of its own */

void listen_text(const struct sockaddr *address, char *out, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "";
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *) address;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        snprintf(out, size, "%s:%u", host, ntohs(v4->sin_port));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *) address;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        snprintf(out, size, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else
        snprintf(out, size, "?");
}

/* ---- TCP ------------------------------------------------------------------------------------ */

/* Splits "host:port" or "[host]:port" into copies. */
static err_t split_address(const char *text, char host[256], char port[8])
{
    const char *colon = strrchr(text, ':');
    const char *begin = text, *end = colon;
    if (colon && text[0] == '[' && colon > text && colon[-1] == ']') {
        begin = text + 1;
        end = colon - 1;
    } else if (colon && memchr(text, ':', (size_t) (colon - text)))
        colon = NULL; /* a bare IPv6 address: which colon is the port's? */
    size_t n = colon ? (size_t) (end - begin) : 0;
    size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
    if (n == 0 || n >= 256 || digits == 0 || digits > 5 || colon[1 + digits])
        FAIL(ERR_USAGE, "\"%s\" is no address to listen on: write HOST:PORT or [IPV6]:PORT", text);
    memcpy(host, begin, n);
    host[n] = '\0';
    memcpy(port, colon + 1, digits + 1);
    return ERR_OK;
}

static err_t look_up(const char *text, struct addrinfo **ret)
{
    char host[256] = "", port[8] = "";
    TRY(split_address(text, host, port));
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    int rc = getaddrinfo(host, port, &hints, ret);
    if (rc)
        FAIL(ERR_USAGE, "\"%s\" is no address to listen on: %s", text, gai_strerror(rc));
    return ERR_OK;
}

static err_t bind_failed(const char *address)
{
    if (errno == EADDRINUSE)
        FAIL(ERR_CONFLICT, "address in use: %s; stop who listens there (ss -ltnp) or choose "
             "another port", address);
    if (errno == EADDRNOTAVAIL)
        FAIL(ERR_USAGE, "%s is not an address of this host", address);
    FAIL_ERRNO(ERR_INTERNAL, "cannot listen on %s", address);
}

static err_t bind_to(const struct addrinfo *ai, const char *address, int *ret_fd)
{
    static const int on = 1;
    _cleanup_close_ int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) FAIL_ERRNO(ERR_INTERNAL, "cannot open a socket for %s", address);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (ai->ai_family == AF_INET6) /* so that 0.0.0.0 and [::] can both be configured */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, BACKLOG)) return bind_failed(address);
    *ret_fd = fd;
    fd = -1;
    return ERR_OK;
}

struct err listen_tcp(const char *address, int *ret_fd, char ret_bound[LISTEN_ADDRESS])
{
    struct addrinfo *ai = NULL;
    TRY(look_up(address, &ai));
    int fd = -1;
    struct err e = bind_to(ai, address, &fd);
    freeaddrinfo(ai);
    TRY(e);

    struct sockaddr_storage bound = {0};
    socklen_t len = sizeof bound;
    getsockname(fd, (struct sockaddr *) &bound, &len);
    listen_text((struct sockaddr *) &bound, ret_bound, LISTEN_ADDRESS);
    *ret_fd = fd;
    return ERR_OK;
}

void listen_await_bytes(int fd)
{
    static const int seconds = HTTP_SILENT_SECONDS;
    setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
}

/* ---- Unix ----------------------------------------------------------------------------------- */

static int unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* A process that died leaves its socket file; connecting to it is refused. */
static err_t remove_stale(const struct sockaddr_un *at)
{
    struct stat st = {0};
    if (lstat(at->sun_path, &st) == 0 && !S_ISSOCK(st.st_mode))
        FAIL(ERR_CONFLICT, "%s exists and is not a socket: move it away or configure another "
             "admin socket", at->sun_path);
    _cleanup_close_ int fd = unix_socket();
    if (fd < 0) FAIL_ERRNO(ERR_INTERNAL, "cannot open a socket for %s", at->sun_path);
    if (connect(fd, (const struct sockaddr *) at, sizeof *at) == 0 || errno != ECONNREFUSED)
        FAIL(ERR_CONFLICT, "address in use: %s; another strongroom serves there", at->sun_path);
    if (unlink(at->sun_path) && errno != ENOENT)
        FAIL_ERRNO(ERR_INTERNAL, "cannot remove the stale socket %s", at->sun_path);
    return ERR_OK;
}

struct err listen_unix(const char *path, int *ret_fd)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof at.sun_path)
        FAIL(ERR_USAGE, "the admin socket's path is longer than %zu bytes: %s",
             sizeof at.sun_path - 1, path);
    memcpy(at.sun_path, path, strlen(path) + 1);
    _cleanup_close_ int fd = unix_socket();
    if (fd < 0) FAIL_ERRNO(ERR_INTERNAL, "cannot open a socket for %s", path);
    /* the file takes the mode of the socket's inode: never open to others, not even for a moment,
     * and no umask to change under other threads */
    if (fchmod(fd, 0600)) FAIL_ERRNO(ERR_INTERNAL, "cannot set the mode of %s", path);
    const struct sockaddr *address = (const struct sockaddr *) &at;
    int rc = bind(fd, address, sizeof at);
    if (rc && errno == EADDRINUSE) {
        TRY(remove_stale(&at));
        rc = bind(fd, address, sizeof at);
    }
    if (rc || listen(fd, BACKLOG)) FAIL_ERRNO(ERR_INTERNAL, "cannot listen on %s", path);
    *ret_fd = fd;
    fd = -1;
    return ERR_OK;
}

void listen_unix_close(const char *path, int fd)
{
    /* another process may have replaced a file that somebody removed: closed first, ours refuses
     * connections, theirs does not */
    close(fd);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, path, strlen(path) + 1);
    err_ignore(remove_stale(&at)); /* at worst a stale file stays, which the next start replaces */
}

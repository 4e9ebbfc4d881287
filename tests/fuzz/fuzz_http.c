/* Target Functions: request_access request_line guard_target guard_header quirk_folded conn_enter
 *
 * A whole server: the bytes go in through its socket, and what comes out must be answers, then an
 * end. The handler is one that wants some bodies, refuses others and answers late, and holds the
 * server to what it promises of a request. */
#include "broker/base/log.h"
#include "broker/http/server.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <linux/sockios.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define BODY_LIMIT 300u
#define PATIENCE_MS 8000 /* libFuzzer's own time-out is ten seconds */

static struct http_server *server;
static struct sockaddr_un address = {.sun_family = AF_UNIX};

/* ---- handler -------------------------------------------------------------------------------- */

static void count_free(void *user)
{
    ENSURE(user);
}

static bool see_value(void *arg, const char *value)
{
    ENSURE(strcspn(value, "\r\n") == strlen(value));
    return true;
}

static void check_request(const struct request *r)
{
    ENSURE(r->path.len > 0 && r->path.data[0] == '/');
    ENSURE(r->path.len + r->query.len <= HTTP_MAX_TARGET);
    for (size_t i = 0; i < r->path.len; i++) ENSURE(r->path.data[i] && !strchr(" ?#", r->path.data[i]));
    ENSURE(r->has_query || r->query.len == 0);
    ENSURE(r->local_admin && strncmp(r->peer, "unix:", 5) == 0);
    ENSURE(strlen(r->method_name) > 0);
    r->each_header(r, "Content-Length", see_value, NULL);
    r->each_header(r, "X", see_value, NULL);
}

static void head(void *ctx, struct exchange *x)
{
    check_request(&x->req);
    x->user = x;
    x->user_free = count_free;
    if (span_starts(x->req.path, "/d")) x->resp.status = 403;
    else if (span_starts(x->req.path, "/e")) x->body_limit = BODY_LIMIT;
    x->body_public = span_starts(x->req.path, "/ep");
}

static bool serve(void *ctx, struct exchange *x)
{
    struct span body = request_body(&x->req);
    check_request(&x->req);
    ENSURE(body.len <= x->body_limit);
    ENSURE(!x->body_public || !x->req.body);
    x->resp.status = 200;
    buf_add_span(&x->resp.body, body);
    if (!span_starts(x->req.path, "/el")) return true;
    x->resume(x);
    return false;
}

static void refuse(void *ctx, struct exchange *x, int status)
{
    ENSURE(status == 413 || status == 408 || status == 503);
    x->resp.status = status;
}

static const struct exchange_handler handler = {.head = head, .serve = serve, .refuse = refuse};

/* ---- client --------------------------------------------------------------------------------- */

static void remove_socket(void)
{
    http_server_stop(server, 0);
    *strrchr(address.sun_path, '/') = '\0';
    rmdir(address.sun_path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char dir[64];
    log_set_level(LOG_LEVEL_ERROR);
    snprintf(dir, sizeof dir, "%s/strongroom-fuzz-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    ENSURE(mkdtemp(dir));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/http", dir);
    struct http_config config = {.admin_socket = address.sun_path, .threads = 1};
    ENSURE(err_ok(http_server_start(&config, &handler, &server)));
    atexit(remove_socket);
    return 0;
}

/* Waits until the server has read all, or has closed: so that the end that follows comes on its own,
 * and a split falls where it was put. */
static void until_read(int fd)
{
    for (int ms = 0; ms < PATIENCE_MS; ms++) {
        int unread = 0;
        struct pollfd p = {.fd = fd, .events = POLLRDHUP};
        if (ioctl(fd, SIOCOUTQ, &unread) || unread == 0 || poll(&p, 1, 0) == 1) return;
        poll(NULL, 0, ms < 100 ? 0 : 1);
    }
}

/* What the server says; it may be nothing. Non-blocking, so that it never waits for us for long. */
static void take_answers(int fd, bool to_the_end)
{
    char block[4096];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (poll(&p, 1, to_the_end ? PATIENCE_MS : 0) == 1) {
        ssize_t n = recv(fd, block, sizeof block, MSG_DONTWAIT);
        if (n <= 0) return;
    }
    if (to_the_end) err_abort("the server did not end the connection", __FILE__, __LINE__);
}

static bool send_piece(int fd, const uint8_t *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            take_answers(fd, false);
            continue;
        }
        if (n <= 0) return false;
        data += n;
        len -= (size_t) n;
    }
    until_read(fd);
    return true;
}

/* First byte: after how many bytes the first piece ends; the rest is what a client sends. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    size_t split = data[0] < size - 1 ? data[0] : size - 1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ENSURE(fd >= 0);
    while (connect(fd, (const struct sockaddr *) &address, sizeof address)) poll(NULL, 0, 1);
    if (send_piece(fd, data + 1, split)) send_piece(fd, data + 1 + split, size - 1 - split);
    take_answers(fd, false);
    shutdown(fd, SHUT_WR);
    take_answers(fd, true);
    close(fd);
    return 0;
}

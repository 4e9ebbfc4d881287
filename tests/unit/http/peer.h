/* A client on a bare socket and a handler to serve it, for the tests of broker/http.
 * Every wait has a deadline; nothing here measures time. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/http/server.h"

#define PATIENCE_MS 20000

/* ---- client --------------------------------------------------------------------------------- */

struct reply {
    int status;
    char head[4096];
    char body[8192];
    size_t len; /* of the body */
};

static inline int dial(const char *address)
{
    unsigned port = (unsigned) strtoul(strrchr(address, ':') + 1, NULL, 10);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t) port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *) &to, sizeof to), 0);
    return fd;
}

static inline int dial_unix(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    assert_true(strlen(path) < sizeof to.sun_path);
    memcpy(to.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *) &to, sizeof to), 0);
    return fd;
}

/* False when the peer has closed: that may be the point. */
static inline bool put(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n <= 0) return false;
        at += n;
        len -= (size_t) n;
    }
    return true;
}
static inline bool put_text(int fd, const char *text)
{
    return put(fd, text, strlen(text));
}

static inline void send_repeated(int fd, const char *begin, char c, size_t n, const char *end)
{
    char *text = malloc(n);
    ENSURE(text);
    memset(text, c, n);
    put_text(fd, begin);
    put(fd, text, n);
    put_text(fd, end);
    free(text);
}

/* Bytes read, 0 at the end or on a reset. */
static inline size_t get_some(int fd, void *out, size_t len)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, PATIENCE_MS) != 1) fail_msg("no bytes and no end within %d ms", PATIENCE_MS);
    ssize_t n = recv(fd, out, len, 0);
    return n > 0 ? (size_t) n : 0;
}

static inline void expect_end(int fd)
{
    char byte;
    if (get_some(fd, &byte, 1)) fail_msg("more bytes where the end should be: '%c'", byte);
}

static inline const char *field(const struct reply *r, const char *name)
{
    static __thread char value[256];
    for (const char *line = strstr(r->head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        size_t n = strlen(name);
        if (strncasecmp(line + 2, name, n) != 0 || line[2 + n] != ':') continue;
        const char *begin = line + 2 + n + 1 + strspn(line + 2 + n + 1, " ");
        snprintf(value, sizeof value, "%.*s", (int) strcspn(begin, "\r"), begin);
        return value;
    }
    return NULL;
}

/* Reads exactly one reply; false when the connection ended before a whole head. */
static inline bool read_reply_to(int fd, struct reply *r, bool to_head)
{
    memset(r, 0, sizeof *r);
    size_t n = 0;
    while (n < 4 || memcmp(r->head + n - 4, "\r\n\r\n", 4) != 0) {
        assert_true(n + 1 < sizeof r->head);
        if (get_some(fd, r->head + n, 1) == 0) return false;
        n++;
    }
    r->status = (int) strtol(r->head + strlen("HTTP/1.1 "), NULL, 10);
    const char *length = field(r, "Content-Length");
    size_t want = length && !to_head ? strtoul(length, NULL, 10) : 0;
    assert_true(want < sizeof r->body);
    while (r->len < want) {
        size_t got = get_some(fd, r->body + r->len, want - r->len);
        assert_true(got > 0);
        r->len += got;
    }
    return true;
}
static inline struct reply read_reply(int fd)
{
    struct reply r;
    if (!read_reply_to(fd, &r, false)) fail_msg("the connection ended instead of an answer");
    return r;
}

static inline struct reply ask(int fd, const char *request)
{
    put_text(fd, request);
    return read_reply(fd);
}

/* ---- handler -------------------------------------------------------------------------------- */

#define ECHO_LIMIT 4000u

/* What a request to /pend left, for the test to take up. */
struct pending {
    pthread_mutex_t lock;
    pthread_cond_t came;
    struct exchange *x;
};
static struct pending pending = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL};
static atomic_uint heads, serves, refuses, frees;

static inline void count_free(void *user)
{
    frees++;
}

static inline void fill_text(struct response *r, int status, const char *text)
{
    r->status = status;
    r->content_type = "text/plain";
    buf_add_str(&r->body, text);
}

static inline void test_head(void *ctx, struct exchange *x)
{
    heads++;
    x->user = x;
    x->user_free = count_free;
    if (span_starts(x->req.path, "/deny")) fill_text(&x->resp, 403, "denied");
    else if (span_starts(x->req.path, "/echo")) x->body_limit = ECHO_LIMIT;
    else if (span_starts(x->req.path, "/pend")) x->body_limit = ECHO_LIMIT;
    else if (span_starts(x->req.path, "/huge")) x->body_limit = 64u << 20;
    x->body_public = memmem(x->req.path.data, x->req.path.len, "-public", 7) != NULL;
    if (memmem(x->req.path.data, x->req.path.len, "huge-public", 11)) x->body_limit = 2 * HTTP_PUBLIC_BODIES_MAX;
}

static inline void describe(struct exchange *x)
{
    struct response *r = &x->resp;
    fill_text(r, 200, x->req.method_name);
    buf_addf(&r->body, " %d ", (int) x->req.method);
    buf_add_span(&r->body, x->req.path);
    buf_add_str(&r->body, x->req.has_query ? "?" : "");
    buf_add_span(&r->body, x->req.query);
    const char *test = request_header(&x->req, "x-test");
    buf_addf(&r->body, " %s %s %d", test ? test : "-", x->req.local_admin ? x->req.peer : "tcp",
             x->req.body != NULL);
}

static inline void describe_peer(struct exchange *x)
{
    const struct peer_certificate *c = x->req.certificate;
    fill_text(&x->resp, 200, x->req.certificate_wanted ? "wanted, " : "not wanted, ");
    buf_addf(&x->resp.body, "%s%s", !c ? "none" : c->verified ? "good " : "bad ", c ? c->subject : "");
}

static inline bool test_serve(void *ctx, struct exchange *x)
{
    serves++;
    if (span_starts(x->req.path, "/echo")) {
        x->resp.status = 200;
        assert_true(err_ok(secret_copy(request_body(&x->req), &x->resp.secret_body)));
        response_header(&x->resp, "ETag", "\"%d\"", 7);
    } else if (span_starts(x->req.path, "/empty"))
        x->resp.status = 204;
    else if (span_starts(x->req.path, "/nothing"))
        x->resp.status = 200;
    else if (span_starts(x->req.path, "/who"))
        describe_peer(x);
    else if (span_starts(x->req.path, "/bye")) {
        fill_text(&x->resp, 200, "bye");
        x->resp.close = true;
    } else if (span_starts(x->req.path, "/early")) {
        describe(x);
        x->resume(x);
        return false;
    } else if (span_starts(x->req.path, "/pend")) {
        pthread_mutex_lock(&pending.lock);
        pending.x = x;
        pthread_cond_broadcast(&pending.came);
        pthread_mutex_unlock(&pending.lock);
        return false;
    } else
        describe(x);
    return true;
}

static inline void test_refuse(void *ctx, struct exchange *x, int status)
{
    refuses++;
    /* a handler may look at the request here too */
    const char *test = request_header(&x->req, "x-test");
    fill_text(&x->resp, status, test ? test : "refused");
}

static const struct exchange_handler test_handler = {
    .head = test_head, .serve = test_serve, .refuse = test_refuse};

static inline struct exchange *take_pending(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&pending.lock);
    int rc = 0;
    while (!pending.x && rc == 0)
        rc = pthread_cond_timedwait(&pending.came, &pending.lock, &until);
    struct exchange *x = TAKE_PTR(pending.x);
    pthread_mutex_unlock(&pending.lock);
    return x;
}

static inline struct exchange *await_pending(void)
{
    struct exchange *x = take_pending();
    ENSURE(x);
    return x;
}

/* ---- server --------------------------------------------------------------------------------- */

static struct http_server *server;
static struct tls_settings small_tls;           /* of small_config; tls_peer.h fills it */
static int (*dial_client)(const char *address) = dial;

static inline struct http_config small_config(void)
{
    static const char *const any[] = {"127.0.0.1:0"};
    return (struct http_config){.sockets = any, .socket_count = 1, .threads = 2,
                                .tls = small_tls};
}

static inline void start_with(const struct http_config *config)
{
    heads = serves = refuses = frees = 0;
    struct err e = http_server_start(config, &test_handler, &server);
    if (!err_ok(e)) fail_msg("%s", err_text(e));
}

static inline int start_small(void **state)
{
    struct http_config config = small_config();
    start_with(&config);
    return 0;
}

static inline int stop_server(void **state)
{
    http_server_stop(TAKE_PTR(server), 0);
    return 0;
}

static inline int client(void)
{
    return dial_client(http_server_address(server, 0));
}

static inline struct http_stats stats(void)
{
    struct http_stats s;
    http_server_stats(server, &s);
    return s;
}

/* Waits until the expression is true, yielding to the server by a poll without descriptors. */
#define AWAIT(expr)                                                              \
    do {                                                                         \
        uint64_t until_ = clock_mono_ns() + PATIENCE_MS * UINT64_C(1000000);     \
        while (!(expr)) {                                                        \
            if (clock_mono_ns() > until_) fail_msg("never: %s", #expr);          \
            poll(NULL, 0, 1);                                                    \
        }                                                                        \
    } while (0)

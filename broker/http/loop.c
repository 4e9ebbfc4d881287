/* An event loop: one thread that runs one daemon of libmicrohttpd, whose connections the acceptor hands over.
 * The thread is ours, and so is the wait: left to itself, MHD 0.9.75 takes events by 128 until it gets fewer, and
 * after exactly so many it waits for the next one, with those in hand not served. Nor does MHD wake a thread of ours:
 * who hands over or resumes a connection does. */
#include "broker/http/internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define EAGER_TURNS 256u /* so often MHD may want to go on with nothing new: then the loop rests after each turn */
#define REST_MS 4
#define TURN_SHARE 8u /* of the line: such a part of it is a turn, where that is more than HTTP_TURN */

/* ---- libmicrohttpd -------------------------------------------------------------------------- */

static void log_mhd(void *cls, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void log_mhd(void *cls, const char *fmt, va_list ap)
{
    if (!log_enabled(LOG_LEVEL_DEBUG)) return;
    char text[240];
    vsnprintf(text, sizeof text, fmt, ap);
    log_debug("http.mhd", LOG_S("text", text));
}

/* Routing is on the raw path: "%2F" is not '/', "%2e%2e" is no parent (kbs-api.md 1.3). */
static size_t leave_escaped(void *cls, struct MHD_Connection *connection, char *text)
{
    return strlen(text);
}

/* The pool holds the head. 128 KiB as a rule, because attestation tokens are large; and never as little as
 * 32 KiB: a larger one is a mapping of its own, gone when the connection closes, while that came from the heap,
 * and closed connections left plaintext in memory. The limit on connections is ours, so
 * MHD's own only must not be less; so are the deadlines, and MHD is given none: one that passed
 * before ours would end a connection without the 408. */
static err_t start_daemon(struct http_server *s, bool secure, struct MHD_Daemon **ret)
{
    /* MHD_OPTION_END where there is no TLS: what follows is not looked at */
    enum MHD_OPTION certificate = secure ? MHD_OPTION_HTTPS_CERT_CALLBACK2 : MHD_OPTION_END;
    unsigned flags = (secure ? MHD_USE_TLS : 0) | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_EPOLL |
                     MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    *ret = MHD_start_daemon(flags, 0, NULL, NULL, request_access, s,
                            MHD_OPTION_EXTERNAL_LOGGER, log_mhd, NULL,
                            MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, s->head_bytes,
                            MHD_OPTION_CONNECTION_LIMIT,
                            s->conns.limits.max + s->conns.limits.max_admin + s->conns.limits.max_probe,
                            MHD_OPTION_URI_LOG_CALLBACK, request_line, s,
                            MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL,
                            MHD_OPTION_NOTIFY_COMPLETED, request_completed, s,
                            MHD_OPTION_NOTIFY_CONNECTION, request_notify_connection, s,
                            certificate, tls_certificate,
                            MHD_OPTION_END);
    if (!*ret) FAIL(ERR_INTERNAL, "cannot start an HTTP event loop");
    return ERR_OK;
}

/* ---- the thread ----------------------------------------------------------------------------- */

static void list_init(struct conn_list *l)
{
    l->first = NULL;
    l->end = &l->first;
}

static void list_add(struct conn_list *l, struct conn *c)
{
    c->loop_next = NULL;
    *l->end = c;
    l->end = &c->loop_next;
}

static struct conn *list_take(struct conn_list *l)
{
    struct conn *c = l->first;
    if (!c) return NULL;
    l->first = c->loop_next;
    if (!l->first) l->end = &l->first;
    return c;
}

static void adopt(struct http_loop *l, struct conn *c)
{
    bool began = false;
    struct conn_carrier carrier = {.family = AF_UNSPEC, .conn = c, .began = &began};
    if (MHD_add_connection(l->daemon, c->handed_fd, (const struct sockaddr *) &carrier, sizeof carrier) != MHD_YES &&
        !began)
        conn_remove(&l->server->conns, c);
}

static struct conn *take_handed(struct http_loop *l, bool *ret_others)
{
    SCOPED_LOCK(&l->lock);
    struct conn *c = list_take(&l->handed);
    *ret_others = l->handed.first != NULL;
    return c;
}

/* A turn's worth of those that were handed over: others wait where they cost nothing yet. False: there are none. */
static bool adopt_some(struct http_loop *l)
{
    struct conn *c;
    bool others = false;
    for (unsigned n = 0; n < HTTP_TURN && (c = take_handed(l, &others)); n++) adopt(l, c);
    return others;
}

/* Those for whom there is something to read, a turn's worth: each step of a handshake takes its time. */
static void resume_some(struct http_loop *l)
{
    struct epoll_event events[HTTP_TURN];
    int n = l->shaking_count ? epoll_wait(l->shaking_fd, events, HTTP_TURN, 0) : 0;
    for (int i = 0; i < n; i++) {
        struct MHD_Connection *connection = events[i].data.ptr;
        int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        epoll_ctl(l->shaking_fd, EPOLL_CTL_DEL, fd, NULL);
        l->shaking_count--;
        MHD_resume_connection(connection);
    }
}

static bool is_stopped(struct http_loop *l)
{
    SCOPED_LOCK(&l->lock);
    return l->stop;
}

/* What came together is read first and then served in a row: code and tables of the cryptography stay in the
 * caches, which the way through the kernel and MHD empties. Of a long line a share, since MHD looks through all
 * that wait to find whom to answer; of long answers fewer. False: nobody was waiting. */
static bool serve_some(struct http_loop *l)
{
    unsigned share = l->waiting_count / TURN_SHARE, turn = share > HTTP_TURN ? share : HTTP_TURN;
    struct conn *c;
    unsigned n = 0;
    size_t bytes = 0;
    while (n < turn && bytes < HTTP_TURN_BYTES && (c = list_take(&l->waiting))) {
        bytes += request_serve(c);
        n++;
    }
    l->waiting_count -= n;
    return n > 0;
}

/* Until there is something to do. What MHD has read, and not served yet, is no event any more; so it may want to go on
 * at once. Where the extension of a chunk is longer than its memory it wants that turn after turn, and does nothing until
 * the body is late. But over TLS it goes by a record a turn, and of requests that it has in hand it answers one in two:
 * where that is how far it came, loop_progress says so. */
static void await(struct http_loop *l)
{
    MHD_UNSIGNED_LONG_LONG ms = 0;
    struct pollfd fds[] = {{.fd = l->epoll_fd, .events = POLLIN}, {.fd = l->wake_fd, .events = POLLIN},
                           {.fd = l->shaking_fd, .events = POLLIN}};
    eventfd_t times;
    bool eager = MHD_get_timeout(l->daemon, &ms) == MHD_YES && ms == 0; /* else a time-out that is never to pass */
    if (eager && l->eager_turns++ < EAGER_TURNS) return;
    int n = poll(fds, sizeof fds / sizeof *fds, eager ? REST_MS : -1);
    if (n || !eager) l->eager_turns = 0;
    if (n > 0 && fds[1].revents) eventfd_read(l->wake_fd, &times);
}

static void *run(void *arg)
{
    struct http_loop *l = arg;
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    while (!is_stopped(l)) {
        bool others = adopt_some(l);
        resume_some(l);
        MHD_run(l->daemon);
        bool served = serve_some(l);
        if (others || served) l->eager_turns = 0;
        else await(l);
    }
    return NULL;
}

/* ---- start and stop ------------------------------------------------------------------------- */

static err_t start_thread(struct http_loop *l)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info || info->epoll_fd < 0) FAIL(ERR_INTERNAL, "this libmicrohttpd was built without epoll");
    l->epoll_fd = info->epoll_fd;
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->wake_fd < 0) FAIL_ERRNO(ERR_INTERNAL, "cannot make an eventfd");
    l->shaking_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->shaking_fd < 0) FAIL_ERRNO(ERR_INTERNAL, "cannot make an epoll");
    int rc = pthread_create(&l->thread, NULL, run, l);
    if (rc) FAIL(ERR_INTERNAL, "cannot start an HTTP event loop: %s", strerror(rc));
    l->runs = true;
    return ERR_OK;
}

struct err loop_start(struct http_server *s, bool secure, struct http_loop *l)
{
    *l = (struct http_loop){.server = s, .wake_fd = -1, .shaking_fd = -1};
    list_init(&l->handed);
    list_init(&l->waiting);
    pthread_mutex_init(&l->lock, NULL);
    TRY(start_daemon(s, secure, &l->daemon));
    return start_thread(l);
}

void loop_hand_take(struct http_loop *l, int fd, struct conn *c)
{
    c->handed_fd = fd;
    {
        SCOPED_LOCK(&l->lock);
        list_add(&l->handed, c);
    }
    eventfd_write(l->wake_fd, 1);
}

void loop_queue(struct http_loop *l, struct conn *c)
{
    list_add(&l->waiting, c);
    l->waiting_count++;
}

void loop_progress(struct http_loop *l)
{
    l->eager_turns = 0;
}

void loop_await_bytes(struct http_loop *l, struct MHD_Connection *connection, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(l->shaking_fd, EPOLL_CTL_ADD, fd, &event)) return; /* no room: it is looked at each turn */
    l->shaking_count++;
    MHD_suspend_connection(connection);
}

/* Under the lock, so that the loop is still there for the second step: whoever stops it takes the lock too. */
void loop_resume(struct http_loop *l, struct MHD_Connection *connection)
{
    SCOPED_LOCK(&l->lock);
    MHD_resume_connection(connection);
    eventfd_write(l->wake_fd, 1);
}

void loop_stop(struct http_loop *l)
{
    if (l->runs) {
        {
            SCOPED_LOCK(&l->lock);
            l->stop = true;
        }
        eventfd_write(l->wake_fd, 1);
        pthread_join(l->thread, NULL);
    }
    if (l->daemon) MHD_stop_daemon(l->daemon);
    if (l->wake_fd >= 0) close(l->wake_fd);
    if (l->shaking_fd >= 0) close(l->shaking_fd);
    pthread_mutex_destroy(&l->lock);
}

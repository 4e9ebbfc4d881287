/* The acceptor: one thread that takes connections from the listening sockets, spreads them evenly
 * over the event loops (left to itself, libmicrohttpd gives a new connection to whichever thread
 * wakes first, so one core may idle), and looks after deadlines. */
#include "broker/http/internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define TICK_MS 250      /* how often deadlines are looked at */
#define HANGUP_TICKS 4   /* every so many looks, for hang-ups too: a system call a connection */
#define ACCEPT_BATCH 64  /* connections from one socket before the others get their turn */
#define PROBE_HEAD_MAX 2048 /* bytes; a longer one is no probe's */
#define LATE_BATCH 64    /* late bodies answered in one look */

/* ---- deadlines ------------------------------------------------------------------------------ */

void acceptor_sweep(struct http_server *s, struct conn_sweep sweep)
{
    struct conn_late late[LATE_BATCH];
    sweep.now = clock_mono_ns();
    sweep.late = late;
    sweep.late_max = LATE_BATCH;
    conn_sweep(&s->conns, &sweep);
    s->timed_out += sweep.timed_out;
    for (size_t i = 0; i < sweep.late_count; i++) {
        request_late_take(s, late[i].txn, late[i].fd);
        shutdown(late[i].fd, SHUT_RDWR);
        close(late[i].fd);
    }
}

/* ---- accepting ------------------------------------------------------------------------------ */

/* Takes the socket. What came is thrown away first, since closing over unread bytes is a reset and no answer. The
 * answer goes with the end of the stream: one packet, and packets are most of what it costs to refuse a crowd. */
static void answer_take(int fd, const char *text)
{
    ssize_t n = recv(fd, NULL, HTTP_HEAD_MAX, MSG_DONTWAIT | MSG_TRUNC);
    n = send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE);
    (void) n; /* the connection ends either way */
    close(fd);
}

static void refuse_take(struct http_server *s, int fd, bool plain)
{
    s->refused_busy++;
    if (plain)
        answer_take(fd, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
                        "Content-Length: 0\r\nConnection: close\r\n\r\n");
    else close(fd); /* before a TLS handshake nobody would understand it */
}

/* Whether the bytes that came are a whole head of a probe or a scraper. They must not wait behind guests: who
 * is answered late, or 503, may take the broker for dead and end it in the midst of a crowd. */
static bool is_probe(int fd)
{
    static const char *const targets[] = {"GET /healthz", "GET /readyz", "GET /metrics"};
    char begun[PROBE_HEAD_MAX + 1] = "";
    ssize_t n = recv(fd, begun, PROBE_HEAD_MAX, MSG_PEEK | MSG_DONTWAIT);
    if (n <= 0 || !strstr(begun, "\r\n\r\n")) return false;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        size_t len = strlen(targets[i]);
        if (strncmp(begun, targets[i], len) == 0 && (begun[len] == ' ' || begun[len] == '?')) return true;
    }
    return false;
}

/* Takes the socket: the event loop closes it. */
static void hand_take(struct http_server *s, int fd, struct conn *c)
{
    static const int on = 1;
    s->accepted++;
    if (!c->local_admin) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    loop_hand_take(&s->loops[c->loop], fd, c);
}

/* The same, or refuses it. */
static void admit_take(struct http_server *s, int fd, const struct sockaddr *address, const char *peer,
                       bool probe)
{
    struct conn *c = NULL;
    struct err e = conn_add(&s->conns, address, peer, probe, &c);
    if (err_ok(e)) {
        c->one_answer = probe; /* what comes behind it is not looked at here */
        hand_take(s, fd, c);
        return;
    }
    log_debug_err(e, "http.busy", LOG_S("peer", peer));
    refuse_take(s, fd, !address || probe || !s->conns.limits.handshake_ns);
}

static void accept_tcp(struct http_server *s, int fd, const struct sockaddr_storage *from)
{
    const struct sockaddr *address = (const struct sockaddr *) from;
    struct conn *c = NULL;
    char peer[64] = "";
    listen_text(address, peer, sizeof peer);
    /* one more than there may be of them is a guest like others */
    if (!s->conns.limits.handshake_ns && is_probe(fd) && err_ok(conn_add(&s->conns, address, peer, true, &c)))
        hand_take(s, fd, c);
    else admit_take(s, fd, address, peer, false);
}

static void accept_probe(struct http_server *s, int fd, const struct sockaddr_storage *from)
{
    char peer[64] = "";
    listen_text((const struct sockaddr *) from, peer, sizeof peer);
    if (is_probe(fd)) admit_take(s, fd, (const struct sockaddr *) from, peer, true);
    else answer_take(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

/* The file's mode keeps others out already; this holds also where somebody loosened it. */
static void accept_admin(struct http_server *s, int fd, const struct sockaddr_storage *from)
{
    struct ucred who = {.uid = (uid_t) -1};
    socklen_t len = sizeof who;
    bool known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0;
    if (!known || (who.uid != 0 && who.uid != geteuid())) {
        log_warn("http.admin-refused", LOG_U("uid", who.uid));
        close(fd);
        return;
    }
    char peer[64] = "";
    snprintf(peer, sizeof peer, "unix:uid=%u", who.uid);
    admit_take(s, fd, NULL, peer, false);
}

typedef void take_fn(struct http_server *s, int fd, const struct sockaddr_storage *from);

/* False when this process has no room for another socket. */
static bool accept_some(struct http_server *s, int listener, take_fn *take)
{
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage from = {0};
        socklen_t len = sizeof from;
        int fd = accept4(listener, (struct sockaddr *) &from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) take(s, fd, &from);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log_warn("http.accept", LOG_S("error", strerror(errno)),
                     LOG_S("hint", "raise LimitNOFILE or lower http max connections"));
            return false;
        } else if (errno != ECONNABORTED && errno != EINTR)
            return true;
    }
    return true;
}

/* Whose connections come from the descriptor of that index, as filled below. */
static take_fn *taker(const struct http_server *s, size_t index)
{
    if (index == 1) return accept_admin;
    return s->listeners[index - 2].probes ? accept_probe : accept_tcp;
}

/* The wake-up first, then the admin socket, then the others. poll passes over fd -1. */
static size_t fill(const struct http_server *s, struct pollfd *fds)
{
    fds[0] = (struct pollfd){.fd = s->wake_fd, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = s->admin_fd, .events = POLLIN};
    for (size_t i = 0; i < s->listener_count; i++)
        fds[2 + i] = (struct pollfd){.fd = s->listeners[i].fd, .events = POLLIN};
    return 2 + s->listener_count;
}

void *acceptor_run(void *server)
{
    struct http_server *s = server;
    struct pollfd *fds = calloc(2 + s->listener_count, sizeof *fds);
    ENSURE(fds);
    size_t count = fill(s, fds);
    uint64_t next_sweep = 0;
    unsigned ticks = 0;
    bool room = true;
    while (!s->stopping) {
        bool quiet = room && conn_table_count(&s->conns) == 0;
        /* out of sockets: poll would return at once, for ever; wait for some to close */
        int n = poll(fds, room ? count : 1, quiet ? -1 : TICK_MS);
        bool had_room = room;
        room = true;
        for (size_t i = 1; n > 0 && had_room && i < count; i++)
            if (fds[i].revents) room &= accept_some(s, fds[i].fd, taker(s, i));
        if (clock_mono_ns() < next_sweep) continue;
        acceptor_sweep(s, (struct conn_sweep){.hangups = ++ticks % HANGUP_TICKS == 0});
        next_sweep = clock_mono_ns() + TICK_MS * UINT64_C(1000000);
    }
    free(fds);
    return NULL;
}

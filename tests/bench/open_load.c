#include "tests/bench/open_load.h"

#include "broker/base/clock.h"
#include "tests/bench/load.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define ANSWER_MAX (64u << 10)
#define EVENTS 256
#define HOSTS 200u /* addresses that fresh connections come from: one has too few ports */

struct lane {
    int fd;
    bool busy;
    uint64_t due, begun;
    size_t sent;       /* bytes of the request */
    size_t len, want;  /* bytes of the answer; want 0: its head is not whole */
    int status;
    char *answer;      /* ANSWER_MAX */
};

struct samples {
    uint64_t *at;
    size_t n, cap;
};

struct run {
    const struct open_load *load;
    size_t request_len;
    int epoll;
    struct lane *lanes;
    unsigned *idle, idle_n;
    uint64_t begin, end;
    uint64_t started; /* requests so far: the next is due at begin + started / rate */
    struct samples good, refused;
    struct open_result result;
};

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return (x > y) - (x < y);
}

void latencies_of(uint64_t *ns, size_t n, struct latencies *ret)
{
    *ret = (struct latencies){.count = n};
    if (!n) return;
    qsort(ns, n, sizeof *ns, by_value);
    ret->median_ms = (double) ns[n / 2] / 1e6;
    ret->p99_ms = (double) ns[n * 99 / 100] / 1e6;
    ret->max_ms = (double) ns[n - 1] / 1e6;
}

/* The core time of another process, of all its threads. */
static double core_seconds(pid_t pid)
{
    clockid_t clock;
    struct timespec t = {0};
    ENSURE(clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &t) == 0);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void note(struct samples *s, uint64_t ns)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 4096;
        s->at = reallocarray(s->at, s->cap, sizeof *s->at);
        ENSURE(s->at);
    }
    s->at[s->n++] = ns;
}

/* ---- one connection ------------------------------------------------------------------------- */

static bool watch(struct run *r, struct lane *l)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                            .data.u32 = (uint32_t) (l - r->lanes)};
    return epoll_ctl(r->epoll, EPOLL_CTL_ADD, l->fd, &e) == 0;
}

/* Begins to connect, as another host each time. */
static bool dial(struct run *r, struct lane *l)
{
    static const int on = 1;
    struct sockaddr_in from = {.sin_family = AF_INET}, to;
    if (!load_address(r->load->address, &to)) return false;
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t) (r->started % HOSTS));
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0) return false;
    setsockopt(l->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(l->fd, (struct sockaddr *) &from, sizeof from)) return false;
    return (connect(l->fd, (struct sockaddr *) &to, sizeof to) == 0 || errno == EINPROGRESS) && watch(r, l);
}

/* Ready for the next request, or out of the game. */
static void put_down(struct run *r, struct lane *l, bool broken)
{
    l->busy = false;
    if (broken) r->result.other++;
    if ((broken || r->load->fresh) && l->fd >= 0) {
        close(l->fd);
        l->fd = -1;
    }
    if (!broken || r->load->fresh) r->idle[r->idle_n++] = (unsigned) (l - r->lanes);
}

/* False: the connection is broken. One that was refused may be closed already, its answer in it. */
static bool speak(struct run *r, struct lane *l)
{
    while (l->sent < r->request_len) {
        ssize_t n = send(l->fd, r->load->request + l->sent, r->request_len - l->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) return errno == EAGAIN || errno == ENOTCONN || errno == EPIPE || errno == ECONNRESET;
        l->sent += (size_t) n;
    }
    return true;
}

static void answered(struct run *r, struct lane *l)
{
    uint64_t now = clock_mono_ns();
    if (l->status == 200 && now >= r->end) r->result.late++;
    if (l->status == 200) note(&r->good, now - l->due);
    else if (l->status == 503) note(&r->refused, now - l->begun);
    else r->result.other++;
    put_down(r, l, false);
}

static void read_head(struct lane *l)
{
    l->answer[l->len] = '\0';
    const char *end = strstr(l->answer, "\r\n\r\n");
    const char *length = strcasestr(l->answer, "\r\ncontent-length:");
    if (!end || !length) return;
    l->status = (int) strtol(l->answer + strlen("HTTP/1.1 "), NULL, 10);
    l->want = (size_t) (end + 4 - l->answer) + strtoul(length + 17, NULL, 10);
}

/* All that has come; false: the connection ended before the whole answer. */
static bool hear(struct run *r, struct lane *l)
{
    while (l->busy) {
        ssize_t n = recv(l->fd, l->answer + l->len, ANSWER_MAX - 1 - l->len, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) return true;
        if (n <= 0) return false;
        l->len += (size_t) n;
        if (!l->want) read_head(l);
        if (l->want && l->len >= l->want) answered(r, l);
    }
    return true;
}

static void begin(struct run *r, struct lane *l, uint64_t due)
{
    r->started++;
    l->due = due;
    l->begun = clock_mono_ns();
    l->sent = l->len = l->want = 0;
    l->busy = true;
    if ((r->load->fresh && !dial(r, l)) || !speak(r, l)) put_down(r, l, true);
}

/* ---- all of them ---------------------------------------------------------------------------- */

/* All that is due and has a connection. */
static void send_due(struct run *r)
{
    uint64_t now = clock_mono_ns();
    if (now >= r->end) return;
    for (unsigned most = r->idle_n; most && r->idle_n; most--) {
        double after = r->load->rate > 0 ? (double) r->started / r->load->rate * 1e9 : 0;
        uint64_t due = r->load->rate > 0 ? r->begin + (uint64_t) after : now;
        if (due > now) return;
        begin(r, &r->lanes[r->idle[--r->idle_n]], due);
    }
}

/* A kept connection has had an answer before: else what is measured is how they are accepted, all at once. */
static err_t introduce(struct lane *l)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
    l->len = l->want = 0;
    ssize_t n = send(l->fd, request, sizeof request - 1, MSG_NOSIGNAL);
    while (n > 0 && (!l->want || l->len < l->want)) {
        n = recv(l->fd, l->answer + l->len, ANSWER_MAX - 1 - l->len, 0);
        if (n > 0) l->len += (size_t) n;
        if (n > 0 && !l->want) read_head(l);
    }
    if (n <= 0 || l->status != 404) FAIL(ERR_INTERNAL, "a first request was answered %d", l->status);
    return ERR_OK;
}

static err_t open_lanes(struct run *r)
{
    unsigned n = r->load->connections;
    r->lanes = calloc(n, sizeof *r->lanes);
    r->idle = calloc(n, sizeof *r->idle);
    if (!r->lanes || !r->idle) FAIL(ERR_INTERNAL, "out of memory");
    for (unsigned i = 0; i < n; i++) r->lanes[i].fd = -1;
    for (unsigned i = 0; i < n; i++) {
        struct lane *l = &r->lanes[i];
        l->answer = malloc(ANSWER_MAX);
        if (!l->answer) FAIL(ERR_INTERNAL, "out of memory");
        if (!r->load->fresh) l->fd = load_connect(r->load->address);
        if (!r->load->fresh && l->fd < 0) FAIL_ERRNO(ERR_INTERNAL, "only %u of %u connections", i, n);
        if (!r->load->fresh) TRY(introduce(l));
        if (!r->load->fresh && !watch(r, l)) FAIL_ERRNO(ERR_INTERNAL, "a connection that cannot be watched");
        r->idle[r->idle_n++] = i;
    }
    return ERR_OK;
}

static void close_lanes(struct run *r)
{
    for (unsigned i = 0; r->lanes && i < r->load->connections; i++) {
        if (r->lanes[i].fd >= 0) close(r->lanes[i].fd);
        free(r->lanes[i].answer);
    }
    free(r->lanes);
    free(r->idle);
    free(r->good.at);
    free(r->refused.at);
}

/* Until the end, and then for what is under way: five seconds. */
static void drive(struct run *r)
{
    unsigned busy = 1;
    while (clock_mono_ns() < r->end + 5 * CLOCK_SECOND_NS && (clock_mono_ns() < r->end || busy)) {
        struct epoll_event ready[EVENTS];
        send_due(r);
        int n = epoll_wait(r->epoll, ready, EVENTS, 1);
        for (int i = 0; i < n; i++) {
            struct lane *l = &r->lanes[ready[i].data.u32];
            if (l->fd < 0) continue; /* put down since */
            bool well = !l->busy || (speak(r, l) && hear(r, l));
            if (!well) put_down(r, l, true);
        }
        busy = 0;
        for (unsigned i = 0; i < r->load->connections && !busy; i++) busy = r->lanes[i].busy;
    }
    for (unsigned i = 0; i < r->load->connections; i++) r->result.other += r->lanes[i].busy;
}

struct err open_load_run(const struct open_load *load, struct open_result *ret)
{
    _cleanup_close_ int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct run r = {.load = load, .request_len = strlen(load->request), .epoll = epoll};
    struct err e = epoll < 0 ? ERR_MAKE(ERR_INTERNAL, "no epoll") : open_lanes(&r);
    if (err_ok(e)) {
        double before = core_seconds(load->server);
        r.begin = clock_mono_ns();
        r.end = r.begin + (uint64_t) (load->seconds * 1e9);
        drive(&r);
        r.result.seconds = load->seconds;
        r.result.whole_seconds = (double) (clock_mono_ns() - r.begin) / (double) CLOCK_SECOND_NS;
        r.result.core_seconds = core_seconds(load->server) - before;
        uint64_t due = (uint64_t) (load->rate * load->seconds);
        r.result.unsent = due > r.started ? due - r.started : 0;
        latencies_of(r.good.at, r.good.n, &r.result.good);
        latencies_of(r.refused.at, r.refused.n, &r.result.refused);
        *ret = r.result;
    }
    close_lanes(&r);
    return e;
}

#include "tests/bench/open_load.h"

#include "broker/base/clock.h"
#include "tests/bench/load.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#define ANSWER_MAX (64u << 10)
#define EVENTS 256

struct lane {
    int fd;
    bool busy;
    uint64_t due, sent;
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

static void note(struct samples *s, uint64_t ns)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 4096;
        s->at = reallocarray(s->at, s->cap, sizeof *s->at);
        ENSURE(s->at);
    }
    s->at[s->n++] = ns;
}

static uint64_t due_at(const struct run *r, uint64_t n)
{
    return r->begin + (uint64_t) ((double) n / r->load->rate * 1e9);
}

/* All that is due and has a connection. */
static void send_due(struct run *r)
{
    uint64_t now = clock_mono_ns();
    size_t len = strlen(r->load->request);
    while (r->idle_n && now < r->end && due_at(r, r->started) <= now) {
        struct lane *l = &r->lanes[r->idle[--r->idle_n]];
        l->due = due_at(r, r->started++);
        l->sent = clock_mono_ns();
        l->len = l->want = 0;
        l->busy = true;
        if (send(l->fd, r->load->request, len, MSG_NOSIGNAL) != (ssize_t) len) r->result.other++;
    }
}

static void answered(struct run *r, struct lane *l)
{
    uint64_t now = clock_mono_ns();
    if (l->status == 200) note(&r->good, now - l->due);
    else if (l->status == 503) note(&r->refused, now - l->sent);
    else r->result.other++;
    l->busy = false;
    r->idle[r->idle_n++] = (unsigned) (l - r->lanes);
}

/* False: the connection ended. */
static bool hear(struct run *r, struct lane *l)
{
    ssize_t n = recv(l->fd, l->answer + l->len, ANSWER_MAX - 1 - l->len, MSG_DONTWAIT);
    if (n <= 0) return false;
    l->len += (size_t) n;
    l->answer[l->len] = '\0';
    if (!l->want) {
        const char *end = strstr(l->answer, "\r\n\r\n");
        const char *length = strcasestr(l->answer, "\r\ncontent-length:");
        if (!end || !length) return true;
        l->status = (int) strtol(l->answer + strlen("HTTP/1.1 "), NULL, 10);
        l->want = (size_t) (end + 4 - l->answer) + strtoul(length + 17, NULL, 10);
    }
    if (l->len >= l->want) answered(r, l);
    return true;
}

static err_t open_lanes(struct run *r, int epoll)
{
    unsigned n = r->load->connections;
    r->lanes = calloc(n, sizeof *r->lanes);
    r->idle = calloc(n, sizeof *r->idle);
    if (!r->lanes || !r->idle) FAIL(ERR_INTERNAL, "out of memory");
    for (unsigned i = 0; i < n; i++) r->lanes[i].fd = -1;
    for (unsigned i = 0; i < n; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
        struct lane *l = &r->lanes[i];
        l->answer = malloc(ANSWER_MAX);
        l->fd = load_connect(r->load->address);
        if (!l->answer || l->fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, l->fd, &e))
            FAIL_ERRNO(ERR_INTERNAL, "only %u of %u connections", i, n);
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

/* Until the end, and then for what is under way: two seconds. */
static void drive(struct run *r, int epoll)
{
    unsigned busy = 1;
    while (clock_mono_ns() < r->end + 2 * CLOCK_SECOND_NS && (clock_mono_ns() < r->end || busy)) {
        struct epoll_event ready[EVENTS];
        send_due(r);
        int n = epoll_wait(epoll, ready, EVENTS, 1);
        for (int i = 0; i < n; i++) {
            struct lane *l = &r->lanes[ready[i].data.u32];
            if (hear(r, l)) continue;
            epoll_ctl(epoll, EPOLL_CTL_DEL, l->fd, NULL);
            r->result.other++;
            l->busy = false; /* it is out of the game */
        }
        busy = 0;
        for (unsigned i = 0; i < r->load->connections && !busy; i++) busy = r->lanes[i].busy;
    }
}

struct err open_load_run(const struct open_load *load, struct open_result *ret)
{
    struct run r = {.load = load};
    _cleanup_close_ int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct err e = epoll < 0 ? ERR_MAKE(ERR_INTERNAL, "no epoll") : open_lanes(&r, epoll);
    if (err_ok(e)) {
        r.begin = clock_mono_ns();
        r.end = r.begin + (uint64_t) (load->seconds * 1e9);
        drive(&r, epoll);
        r.result.seconds = load->seconds;
        uint64_t due = (uint64_t) (load->rate * load->seconds);
        r.result.unsent = due > r.started ? due - r.started : 0;
        latencies_of(r.good.at, r.good.n, &r.result.good);
        latencies_of(r.refused.at, r.refused.n, &r.result.refused);
        *ret = r.result;
    }
    close_lanes(&r);
    return e;
}

#include "tests/bench/load.h"

#include "broker/base/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MAX (256u << 10) /* bytes, head included */
#define THREADS_MAX 16u

struct peer {
    int fd;
    struct buf request, answer;
    size_t want; /* bytes of the whole answer; 0 until its head is there */
    size_t head; /* bytes of it */
};

struct worker {
    pthread_t thread;
    const struct load *load;
    struct peer *peers;
    unsigned count;
    unsigned first;            /* number of peers[0] */
    uint64_t end;              /* clock_mono_ns */
    atomic_uint_fast64_t *left; /* answers that are still wanted, of all workers */
    uint64_t answers;
    size_t body;
    double core_seconds;
    char failed[ERR_TEXT];     /* why, or empty */
};

static double core_seconds(int who)
{
    struct rusage u = {0};
    getrusage(who, &u);
    return (double) (u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double) (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

bool load_address(const char *address, struct sockaddr_in *ret)
{
    char host[64];
    const char *colon = strrchr(address, ':');
    *ret = (struct sockaddr_in){.sin_family = AF_INET};
    if (!colon) return false;
    snprintf(host, sizeof host, "%.*s", (int) (colon - address), address);
    ret->sin_port = htons((uint16_t) strtoul(colon + 1, NULL, 10));
    return inet_pton(AF_INET, host, &ret->sin_addr) == 1;
}

int load_connect(const char *address)
{
    struct sockaddr_in to;
    if (!load_address(address, &to)) return -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0) return -1;
    if (connect(fd, (struct sockaddr *) &to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* ---- one connection ------------------------------------------------------------------------- */

static bool fail(struct worker *w, const char *why, struct span answer)
{
    size_t len = answer.len < 160 ? answer.len : 160;
    snprintf(w->failed, sizeof w->failed, "%s: %.*s", why, (int) len, (const char *) answer.data);
    return false;
}

static bool ask(struct worker *w, unsigned i)
{
    struct peer *p = &w->peers[i];
    const struct load *l = w->load;
    buf_reset(&p->request);
    buf_reset(&p->answer);
    p->want = 0;
    if (!l->ask(l->context, w->first + i, &p->request) || p->request.failed)
        return fail(w, "no request", buf_span(&p->request));
    if (send(p->fd, p->request.data, p->request.len, MSG_NOSIGNAL) != (ssize_t) p->request.len)
        return fail(w, "a request could not be sent", buf_span(&p->request));
    return true;
}

/* The head's end and the length behind it, once they are there. */
static bool read_head(struct worker *w, struct peer *p)
{
    const char *text = buf_str(&p->answer);
    const char *end = strstr(text, "\r\n\r\n");
    if (!end) return true;
    const char *length = strcasestr(text, "\r\ncontent-length:");
    if (strncmp(text, "HTTP/1.1 200", 12) != 0 || !length || length > end)
        return fail(w, "the answer is no 200", buf_span(&p->answer));
    p->head = (size_t) (end + 4 - text);
    p->want = p->head + strtoul(length + 17, NULL, 10);
    if (p->want > ANSWER_MAX) return fail(w, "a long answer", buf_span(&p->answer));
    return true;
}

static bool hear(struct worker *w, unsigned i)
{
    struct peer *p = &w->peers[i];
    const struct load *l = w->load;
    struct span body = span_of(p->answer.data + p->head, p->want - p->head);
    if (p->answer.len != p->want) return fail(w, "bytes behind the answer", buf_span(&p->answer));
    if (l->hear && !l->hear(l->context, w->first + i, span_of(p->answer.data, p->head), body))
        return fail(w, "an answer that nobody understands", body);
    w->answers++;
    w->body = body.len;
    return true;
}

/* Reads what is there; a whole answer is heard, and the next request is on its way. */
static bool serve(struct worker *w, unsigned i)
{
    struct peer *p = &w->peers[i];
    size_t before = p->answer.len;
    uint8_t *at = buf_extend(&p->answer, ANSWER_MAX - before);
    ssize_t n = at ? recv(p->fd, at, ANSWER_MAX - before, MSG_DONTWAIT) : -1;
    p->answer.len = before + (n > 0 ? (size_t) n : 0);
    if (n <= 0) return fail(w, "a connection ended", buf_span(&p->answer));
    if (!p->want && !read_head(w, p)) return false;
    if (!p->want || p->answer.len < p->want) return true;
    if (!hear(w, i)) return false;
    if (w->load->answers && atomic_fetch_sub(w->left, 1) <= 1) w->end = 0;
    return ask(w, i);
}

/* ---- one thread ----------------------------------------------------------------------------- */

static bool done(const struct worker *w)
{
    if (w->failed[0] || !w->end) return true;
    if (w->load->answers && (int64_t) atomic_load(w->left) <= 0) return true;
    return clock_mono_ns() >= w->end;
}

static void run_peers(struct worker *w, int epoll)
{
    for (unsigned i = 0; i < w->count; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
        w->peers[i].fd = load_connect(w->load->address);
        if (w->peers[i].fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, w->peers[i].fd, &e) != 0) {
            fail(w, "cannot connect", span_str(w->load->address));
            return;
        }
    }
    for (unsigned i = 0; i < w->count; i++)
        if (!ask(w, i)) return;
    while (!done(w)) {
        struct epoll_event ready[LOAD_CONNECTIONS_MAX];
        int n = epoll_wait(epoll, ready, LOAD_CONNECTIONS_MAX, 100);
        for (int i = 0; i < n && w->end; i++)
            if (!serve(w, ready[i].data.u32)) return;
    }
}

/* The real guests are on other machines: an answer wakes them, but never takes the core from the server
 * that has just sent it. A thread of SCHED_BATCH waits for its turn likewise. */
static void give_way(void)
{
    struct sched_param none = {0};
    ENSURE(sched_setscheduler(0, SCHED_BATCH, &none) == 0);
}

static void *run_worker(void *arg)
{
    struct worker *w = arg;
    give_way();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll >= 0) run_peers(w, epoll);
    for (unsigned i = 0; i < w->count; i++) {
        struct peer *p = &w->peers[i];
        if (p->fd >= 0) close(p->fd);
        buf_free(&p->request);
        buf_free(&p->answer);
    }
    if (epoll >= 0) close(epoll);
    w->core_seconds = core_seconds(RUSAGE_THREAD);
    return NULL;
}

bool load_ask_same(void *context, unsigned connection, struct buf *request)
{
    buf_add_str(request, context);
    return true;
}

struct err load_run(const struct load *load, struct load_result *ret)
{
    struct worker workers[THREADS_MAX] = {0};
    struct peer peers[LOAD_CONNECTIONS_MAX] = {0};
    unsigned threads = load->threads, given = 0;
    ENSURE(load->connections <= LOAD_CONNECTIONS_MAX && threads > 0 && threads <= THREADS_MAX);
    atomic_uint_fast64_t left = load->answers;
    double before = core_seconds(RUSAGE_SELF);
    uint64_t begin = clock_mono_ns(), end = UINT64_MAX;
    if (load->seconds > 0) end = begin + (uint64_t) (load->seconds * (double) CLOCK_SECOND_NS);
    for (unsigned i = 0; i < load->connections; i++) peers[i].fd = -1;
    for (unsigned i = 0; i < threads; i++) {
        struct worker *w = &workers[i];
        unsigned count = (load->connections - given) / (threads - i);
        *w = (struct worker){.load = load, .peers = peers + given, .first = given, .count = count,
                             .end = end, .left = &left};
        given += count;
        ENSURE(pthread_create(&w->thread, NULL, run_worker, w) == 0);
    }
    struct load_result r = {0};
    const char *failed = NULL;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        r.answers += workers[i].answers;
        r.body = workers[i].body;
        r.client_seconds += workers[i].core_seconds;
        if (workers[i].failed[0]) failed = workers[i].failed;
    }
    r.seconds = (double) (clock_mono_ns() - begin) / (double) CLOCK_SECOND_NS;
    r.server_seconds = core_seconds(RUSAGE_SELF) - before - r.client_seconds;
    if (failed) FAIL(ERR_INTERNAL, "under load: %s", failed);
    *ret = r;
    return ERR_OK;
}

#include "broker/http/conn.h"

#include "broker/base/clock.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* ---- table ---------------------------------------------------------------------------------- */

struct err conn_table_init(struct conn_table *t, const struct conn_limits *limits, unsigned loops)
{
    *t = (struct conn_table){.limits = *limits, .loops = loops};
    t->per_loop = calloc(loops, sizeof *t->per_loop);
    t->loop_since = calloc(loops, sizeof *t->loop_since);
    if (!t->per_loop || !t->loop_since) FAIL(ERR_INTERNAL, "out of memory");
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->emptier, &attr);
    pthread_condattr_destroy(&attr);
    return ERR_OK;
}

static void conn_free(struct conn *c)
{
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void conn_table_done(struct conn_table *t)
{
    for (size_t i = 0; i < CONN_BUCKETS; i++)
        while (t->buckets[i]) {
            struct conn *c = t->buckets[i];
            t->buckets[i] = c->next;
            conn_free(c);
        }
    pthread_cond_destroy(&t->emptier);
    pthread_mutex_destroy(&t->lock);
    free(TAKE_PTR(t->per_loop));
    free(TAKE_PTR(t->loop_since));
}

static unsigned count_locked(const struct conn_table *t)
{
    return t->count + t->admins + t->probes;
}

unsigned conn_table_count(struct conn_table *t)
{
    SCOPED_LOCK(&t->lock);
    return count_locked(t);
}

unsigned conn_table_wait(struct conn_table *t, unsigned ms)
{
    uint64_t until = clock_mono_ns() + ms * UINT64_C(1000000);
    struct timespec ts = {.tv_sec = (time_t) (until / CLOCK_SECOND_NS),
                          .tv_nsec = (long) (until % CLOCK_SECOND_NS)};
    SCOPED_LOCK(&t->lock);
    if (count_locked(t)) pthread_cond_timedwait(&t->emptier, &t->lock, &ts);
    return count_locked(t);
}

static void ip_of(const struct sockaddr *address, uint8_t ret[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (address && address->sa_family == AF_INET6)
        memcpy(ret, &((const struct sockaddr_in6 *) address)->sin6_addr, 16);
    else if (address && address->sa_family == AF_INET) {
        memcpy(ret, mapped, sizeof mapped);
        memcpy(ret + 12, &((const struct sockaddr_in *) address)->sin_addr, 4);
    }
}

static struct conn **bucket_of(struct conn_table *t, const uint8_t ip[16])
{
    uint32_t h = 2166136261u; /* FNV-1a: a peer that fills one bucket only slows its own accept */
    for (size_t i = 0; i < 16; i++) h = (h ^ ip[i]) * 16777619u;
    return &t->buckets[(h ^ (h >> 16)) % CONN_BUCKETS];
}

static err_t check_limits_locked(struct conn_table *t, const struct conn *c)
{
    if (c->local_admin) {
        if (t->admins >= t->limits.max_admin)
            FAIL(ERR_LIMIT, "%u connections on the admin socket", t->admins);
        return ERR_OK;
    }
    if (c->probe) {
        if (t->probes >= t->limits.max_probe) FAIL(ERR_LIMIT, "%u probes", t->probes);
        return ERR_OK;
    }
    if (t->count >= t->limits.max) FAIL(ERR_LIMIT, "%u connections", t->count);
    if (t->limits.max_per_ip == 0) return ERR_OK;
    unsigned same = 0;
    for (const struct conn *o = *bucket_of(t, c->ip); o; o = o->next)
        if (!o->local_admin && !o->probe && memcmp(o->ip, c->ip, sizeof c->ip) == 0) same++;
    if (same >= t->limits.max_per_ip) FAIL(ERR_LIMIT, "%u connections of one address", same);
    return ERR_OK;
}

/* Its handler hangs in a call that never ends, perhaps: whoever came there would wait with it. */
static bool is_stuck(const struct conn_table *t, unsigned loop, uint64_t now)
{
    uint64_t since = atomic_load_explicit(&t->loop_since[loop], memory_order_relaxed);
    return since && now > since + HTTP_STUCK_MS * UINT64_C(1000000);
}

static bool is_better(const struct conn_table *t, unsigned a, unsigned b)
{
    uint64_t now = clock_mono_ns();
    bool a_stuck = is_stuck(t, a, now), b_stuck = is_stuck(t, b, now);
    return a_stuck == b_stuck ? t->per_loop[a] < t->per_loop[b] : b_stuck;
}

/* The last loop is theirs who must not wait behind guests. Where it is stuck, the others do, as long as
 * they speak the same. */
static unsigned choose_loop(const struct conn_table *t, const struct conn *c)
{
    unsigned last = t->loops - 1, best = 0;
    unsigned end = t->limits.apart ? last : t->loops;
    bool only_last = t->limits.handshake_ns || !is_stuck(t, last, clock_mono_ns());
    if (t->limits.apart && (c->local_admin || c->probe) && only_last) return last;
    for (unsigned i = 1; i < end; i++)
        if (is_better(t, i, best)) best = i;
    return best;
}

static unsigned *counter_of(struct conn_table *t, const struct conn *c)
{
    return c->local_admin ? &t->admins : c->probe ? &t->probes : &t->count;
}

static void insert_locked(struct conn_table *t, struct conn *c)
{
    c->loop = choose_loop(t, c);
    t->per_loop[c->loop]++;
    c->loop_since = &t->loop_since[c->loop];
    *counter_of(t, c) += 1;
    c->link = bucket_of(t, c->ip);
    c->next = *c->link;
    if (c->next) c->next->link = &c->next;
    *c->link = c;
}

struct err conn_add(struct conn_table *t, const struct sockaddr *address, const char *peer, bool probe,
                    struct conn **ret)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c) FAIL(ERR_INTERNAL, "out of memory");
    pthread_mutex_init(&c->lock, NULL);
    c->fd = -1;
    c->local_admin = !address;
    c->probe = probe;
    c->secure = address && !probe && t->limits.handshake_ns;
    snprintf(c->peer, sizeof c->peer, "%s", peer);
    ip_of(address, c->ip);

    SCOPED_LOCK(&t->lock);
    struct err e = check_limits_locked(t, c);
    if (!err_ok(e)) {
        conn_free(c);
        return e;
    }
    insert_locked(t, c);
    *ret = c;
    return ERR_OK;
}

void conn_remove(struct conn_table *t, struct conn *c)
{
    {
        SCOPED_LOCK(&t->lock);
        *c->link = c->next;
        if (c->next) c->next->link = c->link;
        t->per_loop[c->loop]--;
        *counter_of(t, c) -= 1;
        pthread_cond_signal(&t->emptier);
    }
    conn_free(c);
}

/* ---- steps of a request --------------------------------------------------------------------- */

void conn_opened(struct conn *c, int fd, struct txn *txn)
{
    SCOPED_LOCK(&c->lock);
    c->fd = fd;
    c->txn = txn;
    c->since = clock_mono_ns();
    if (c->secure) c->state = CONN_HANDSHAKE;
}

void conn_ready(struct conn *c, uint64_t now)
{
    SCOPED_LOCK(&c->lock);
    if (c->state != CONN_HANDSHAKE) return;
    c->state = CONN_IDLE;
    c->since = now;
}

bool conn_shakes(struct conn *c)
{
    SCOPED_LOCK(&c->lock);
    return c->state == CONN_HANDSHAKE;
}

struct txn *conn_begin(struct conn *c, uint64_t now)
{
    SCOPED_LOCK(&c->lock);
    if (c->state == CONN_CUT) return NULL;
    c->state = CONN_HEAD;
    c->hung_up = false;
    c->since = now;
    c->body_since = 0;
    return c->txn;
}

struct txn *conn_enter(struct conn *c)
{
    SCOPED_LOCK(&c->lock);
    if (c->state == CONN_CUT) return NULL;
    c->state = CONN_BUSY;
    c->hung_up = false;
    return c->txn;
}

void conn_leave(struct conn *c, enum conn_state state)
{
    SCOPED_LOCK(&c->lock);
    c->state = state;
    if (state == CONN_BODY && c->body_since == 0) c->body_since = clock_mono_ns();
}

struct txn *conn_end(struct conn *c, uint64_t now, bool *ret_in_head)
{
    SCOPED_LOCK(&c->lock);
    *ret_in_head = c->state == CONN_HEAD;
    if (c->state != CONN_CUT) c->state = CONN_IDLE;
    c->since = now;
    c->forgiven = 0;
    return c->txn;
}

struct txn *conn_closing(struct conn *c, bool *ret_ready)
{
    SCOPED_LOCK(&c->lock);
    *ret_ready = c->state != CONN_HANDSHAKE;
    c->state = CONN_CUT;
    c->fd = -1;
    return TAKE_PTR(c->txn);
}

void conn_forgive(struct conn *c, uint64_t ns)
{
    SCOPED_LOCK(&c->lock);
    c->forgiven += ns;
}

/* ---- deadlines ------------------------------------------------------------------------------ */

static uint64_t deadline_locked(const struct conn *c, const struct conn_limits *l)
{
    uint64_t since = c->since + c->forgiven, request = since + l->request_ns;
    uint64_t body = c->body_since + l->body_ns;
    if (c->probe && c->state != CONN_BUSY && c->state != CONN_CUT) return since + l->probe_ns;
    switch (c->state) {
    /* The first byte of a head is not seen before the end of its line: whoever drips that line has
     * the time to stay idle for it. */
    case CONN_IDLE: return c->since + l->idle_ns;
    case CONN_HANDSHAKE: return c->since + l->handshake_ns;
    case CONN_HEAD: return c->since + l->head_ns;
    case CONN_BODY: return body < request ? body : request;
    case CONN_SENDING: return request;
    case CONN_BUSY:
    case CONN_CUT: break;
    }
    return UINT64_MAX;
}

/* Nothing was written for this request yet, so the event loop has nothing under way either. */
static void answer_late_head(int fd)
{
    static const char text[] = "HTTP/1.1 408 Request Timeout\r\n"
                               "Content-Length: 0\r\nConnection: close\r\n\r\n";
    ssize_t ignored = send(fd, text, sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void) ignored; /* the connection ends either way */
}

/* A body that is late gets an answer, which somebody without locks writes. */
static bool hand_over_locked(struct conn *c, struct conn_sweep *s)
{
    if (s->late_count == s->late_max) return false;
    int fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) return false;
    s->late[s->late_count++] = (struct conn_late){TAKE_PTR(c->txn), fd};
    c->state = CONN_CUT;
    return true;
}

static void shut_locked(struct conn *c)
{
    c->state = CONN_CUT;
    /* the event loop sees the end of the stream, and closes */
    shutdown(c->fd, SHUT_RDWR);
}

static void cut_locked(struct conn *c, struct conn_sweep *s)
{
    bool answers = !s->all && !c->secure;
    if (answers && c->state == CONN_BODY && hand_over_locked(c, s)) return;
    if (answers && c->state == CONN_HEAD) answer_late_head(c->fd);
    shut_locked(c);
}

/* A peer that only ended its sending side may still wait for the answer to what it sent: SENDING is
 * not looked at, and bytes that wait to be read are read first. */
static bool left_locked(struct conn *c)
{
    if (c->state == CONN_SENDING) return false;
    struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};
    int unread = 0;
    if (poll(&p, 1, 0) != 1 || ioctl(c->fd, FIONREAD, &unread) || unread) return false;
    bool again = c->hung_up;
    c->hung_up = true;
    return again;
}

static void look_at(const struct conn_table *t, struct conn *c, struct conn_sweep *s)
{
    SCOPED_LOCK(&c->lock);
    if (c->fd < 0 || c->state == CONN_BUSY || c->state == CONN_CUT) return;
    bool late = deadline_locked(c, &t->limits) <= s->now;
    if (late) s->timed_out++;
    bool waits = c->state == CONN_IDLE || c->state == CONN_HANDSHAKE;
    if (late || s->all || (s->idle && waits)) cut_locked(c, s);
    else if (s->hangups && left_locked(c)) shut_locked(c);
}

void conn_sweep(struct conn_table *t, struct conn_sweep *s)
{
    SCOPED_LOCK(&t->lock);
    for (size_t i = 0; i < CONN_BUCKETS; i++)
        for (struct conn *c = t->buckets[i]; c; c = c->next) look_at(t, c, s);
}

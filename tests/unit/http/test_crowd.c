/* A crowd that behaves at random, in plain HTTP and over TLS: whatever request was sent whole on a connection that
 * stays open has exactly one answer, the right one, in order. Longer: CROWD_SECONDS=600 CROWD_SEED=7. */
#include "tls_peer.h"

#define CLIENTS 24u    /* threads */
#define AT_ONCE 8u     /* connections of each */
#define PIPELINE 5u
#define BODY_MAX 3000u
#define LATER_MAX (16 * CLIENTS * AT_ONCE) /* with those whose guests have left */

static atomic_uint next_number, answered;
static atomic_bool over;

/* ---- the handler: at once, after a while, or later from another thread ------------------------ */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t came;
    struct exchange *x[LATER_MAX];
    unsigned count;
    bool end;
} later = {.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};

static void crowd_head(void *ctx, struct exchange *x)
{
    test_head(ctx, x);
    x->body_limit = BODY_MAX;
}

/* "/now/17" with a body of 5 bytes is answered "17 5". */
static void crowd_answer(struct exchange *x)
{
    const char *slash = memrchr(x->req.path.data, '/', x->req.path.len);
    size_t at = (size_t) (slash + 1 - (const char *) x->req.path.data);
    x->resp.status = 200;
    buf_addf(&x->resp.body, "%.*s %zu", (int) (x->req.path.len - at), slash + 1, request_body(&x->req).len);
}

static bool crowd_serve(void *ctx, struct exchange *x)
{
    if (span_starts(x->req.path, "/later")) {
        SCOPED_LOCK(&later.lock);
        ENSURE(later.count < LATER_MAX);
        later.x[later.count++] = x;
        pthread_cond_signal(&later.came);
        return false;
    }
    if (span_starts(x->req.path, "/hold")) poll(NULL, 0, 3);
    crowd_answer(x);
    if (!span_starts(x->req.path, "/early")) return true;
    x->resume(x);
    return false;
}

static const struct exchange_handler crowd_handler = {.head = crowd_head, .serve = crowd_serve, .refuse = test_refuse};

static struct exchange *take_later(void)
{
    SCOPED_LOCK(&later.lock);
    while (!later.count && !later.end) pthread_cond_wait(&later.came, &later.lock);
    return later.count ? later.x[--later.count] : NULL;
}

static void *answer_later(void *arg)
{
    struct exchange *x;
    for (unsigned n = 0; (x = take_later()); n++) {
        if (n % 8 == 0) poll(NULL, 0, 1);
        crowd_answer(x);
        x->resume(x);
    }
    return NULL;
}

/* ---- the guests ------------------------------------------------------------------------------ */

enum leaving { LEAVE_POLITELY, LEAVE_WITH_CLOSE, LEAVE_HALF, LEAVE_IN_HEAD, LEAVE_IN_BODY, LEAVE_UNREAD, LEAVINGS };

struct asked {
    unsigned number;
    size_t body;
    bool head;
};

struct guest {
    int fd;
    unsigned rounds; /* still to go */
    enum leaving leaving;
    struct asked asked[PIPELINE];
    unsigned count;
    struct buf sent; /* what goes out this round */
};

static unsigned below(unsigned *seed, unsigned n)
{
    return (unsigned) rand_r(seed) % n;
}

/* At once, or in two pieces. */
static void say(int fd, const struct buf *text, unsigned *seed)
{
    size_t first = below(seed, 3) ? text->len : below(seed, (unsigned) text->len);
    put(fd, text->data, first);
    if (first < text->len && below(seed, 4) == 0) poll(NULL, 0, 1);
    put(fd, (const char *) text->data + first, text->len - first);
}

static void add_body(struct buf *b, size_t len, bool chunked, unsigned *seed)
{
    char text[BODY_MAX];
    memset(text, 'b', sizeof text);
    for (size_t at = 0, n; at < len; at += n) {
        n = chunked ? 1 + below(seed, (unsigned) (len - at)) : len - at;
        if (chunked) buf_addf(b, "%zx\r\n", n);
        buf_addf(b, "%.*s%s", (int) n, text, chunked ? "\r\n" : "");
    }
    if (chunked) buf_add_str(b, "0\r\n\r\n");
}

static void add_request(struct guest *g, bool last, unsigned *seed)
{
    static const char *const ways[] = {"now", "now", "now", "later", "later", "early", "hold"};
    struct asked *a = &g->asked[g->count++];
    bool posts = below(seed, 3) == 0, chunked = below(seed, 2);
    *a = (struct asked){.number = ++next_number, .body = posts ? below(seed, BODY_MAX) : 0,
                        .head = !posts && below(seed, 6) == 0};
    buf_addf(&g->sent, "%s /%s/%u HTTP/1.1\r\nHost: x\r\n", posts ? "POST" : a->head ? "HEAD" : "GET",
             ways[below(seed, sizeof ways / sizeof *ways)], a->number);
    if (last && g->leaving == LEAVE_WITH_CLOSE) buf_add_str(&g->sent, "Connection: close\r\n");
    if (posts && chunked) buf_add_str(&g->sent, "Transfer-Encoding: chunked\r\n\r\n");
    else buf_addf(&g->sent, "Content-Length: %zu\r\n\r\n", a->body);
    if (posts) add_body(&g->sent, a->body, chunked, seed);
}

static void ask_some(struct guest *g, unsigned *seed)
{
    g->count = 0;
    if (g->rounds == 0) return;
    bool last = --g->rounds == 0;
    unsigned n = last && g->leaving == LEAVE_HALF ? 1 : 1 + below(seed, below(seed, 3) ? 1 : PIPELINE);
    buf_reset(&g->sent);
    for (unsigned i = 0; i < n; i++) add_request(g, last && i + 1 == n, seed);
    say(g->fd, &g->sent, seed);
    if (last && g->leaving == LEAVE_HALF) shutdown(g->fd, SHUT_WR);
}

static void expect_one(const struct guest *g, const struct asked *a)
{
    struct reply r;
    char want[64];
    ENSURE(read_reply_to(g->fd, &r, a->head));
    snprintf(want, sizeof want, "%u %zu", a->number, a->body);
    ENSURE(r.status == 200);
    if (a->head) ENSURE(strtoul(field(&r, "Content-Length"), NULL, 10) == strlen(want));
    else ENSURE(strcmp(r.body, want) == 0);
    answered++;
}

static void begin_something(const struct guest *g)
{
    if (g->leaving == LEAVE_IN_HEAD) put_text(g->fd, "POST /now/1 HTTP/1.1\r\nHo");
    if (g->leaving == LEAVE_IN_BODY) put_text(g->fd, "POST /now/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab");
}

static void come(struct guest *g, unsigned *seed)
{
    *g = (struct guest){.fd = client(), .rounds = 1 + below(seed, 6), .leaving = below(seed, LEAVINGS)};
    /* the thread that speaks TLS for it would hang up */
    if (g->leaving == LEAVE_HALF && small_tls.certificate) g->leaving = LEAVE_UNREAD;
}

static void leave(struct guest *g)
{
    begin_something(g);
    close(g->fd);
    buf_free(&g->sent);
}

/* All ask, and then all read. */
static void visit(struct guest guests[AT_ONCE], unsigned *seed)
{
    bool more = true;
    for (unsigned i = 0; i < AT_ONCE; i++) come(&guests[i], seed);
    while (more) {
        more = false;
        for (unsigned i = 0; i < AT_ONCE; i++) ask_some(&guests[i], seed);
        for (unsigned i = 0; i < AT_ONCE; i++) {
            struct guest *g = &guests[i];
            if (g->rounds == 0 && g->leaving == LEAVE_UNREAD) continue;
            for (unsigned n = 0; n < g->count; n++) expect_one(g, &g->asked[n]);
            more |= g->rounds > 0;
        }
    }
    for (unsigned i = 0; i < AT_ONCE; i++) leave(&guests[i]);
}

static void *run_client(void *arg)
{
    unsigned seed = *(unsigned *) arg;
    struct guest guests[AT_ONCE];
    while (!over) visit(guests, &seed);
    return NULL;
}

/* ---- the runs -------------------------------------------------------------------------------- */

static unsigned from_environment(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text ? (unsigned) strtoul(text, NULL, 10) : otherwise;
}

static void end_later(pthread_t thread)
{
    {
        SCOPED_LOCK(&later.lock);
        later.end = true;
        pthread_cond_signal(&later.came);
    }
    pthread_join(thread, NULL);
}

static void run_crowd(unsigned seed, unsigned seconds)
{
    pthread_t threads[CLIENTS];
    unsigned seeds[CLIENTS];
    over = false;
    for (unsigned i = 0; i < CLIENTS; i++) {
        seeds[i] = seed * 1000 + i;
        assert_int_equal(pthread_create(&threads[i], NULL, run_client, &seeds[i]), 0);
    }
    poll(NULL, 0, (int) seconds * 1000);
    over = true;
    for (unsigned i = 0; i < CLIENTS; i++) pthread_join(threads[i], NULL);
}

static void test_crowd__each_request_has_its_answer(void **state)
{
    pthread_t thread;
    struct http_config config = small_config();
    heads = serves = refuses = frees = answered = 0;
    later.end = false;
    assert_true(err_ok(http_server_start(&config, &crowd_handler, &server)));
    assert_int_equal(pthread_create(&thread, NULL, answer_later, NULL), 0);
    run_crowd(from_environment("CROWD_SEED", 1), from_environment("CROWD_SECONDS", 1));
    AWAIT(stats().open == 0);
    assert_true(http_server_stop(TAKE_PTR(server), 0));
    end_later(thread);
    assert_true(answered > 0);
    assert_int_equal(refuses, 0);
    assert_int_equal(frees, heads);
}

int main(void)
{
    const struct CMUnitTest plain[] = {cmocka_unit_test(test_crowd__each_request_has_its_answer)};
    int failed = cmocka_run_group_tests_name("plain", plain, NULL, NULL);
    return failed + cmocka_run_group_tests_name("tls", plain, tls_on, tls_off);
}

#include "tests/lib/test.h"

#include "broker/base/limits.h"
#include "broker/base/outbound.h"

#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* A server that reads one request at a time and does with it what the test wants. */
struct peer {
    int listener;
    unsigned port;
    pthread_t thread;
    void (*answer)(int fd);
    atomic_int connections, requests;
    atomic_bool hang_up; /* after each answer */
    char seen[4096];     /* the last request, head and body */
};

static void say(int fd, const char *text)
{
    size_t len = strlen(text);
    while (len) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n <= 0) return;
        text += n;
        len -= (size_t) n;
    }
}

/* Head, and a body as long as it says; false at the end of the connection. */
static bool read_request(struct peer *p, int fd)
{
    size_t len = 0, wanted = 0;
    for (;;) {
        ssize_t n = recv(fd, p->seen + len, sizeof p->seen - 1 - len, 0);
        if (n <= 0) return false;
        len += (size_t) n;
        p->seen[len] = '\0';
        const char *end = strstr(p->seen, "\r\n\r\n");
        if (!end) continue;
        const char *length = strcasestr(p->seen, "content-length: ");
        wanted = (size_t) (end + 4 - p->seen) + (length ? strtoul(length + 16, NULL, 10) : 0);
        if (len >= wanted) return true;
    }
}

static void *serve(void *arg)
{
    struct peer *p = arg;
    for (;;) {
        int fd = accept(p->listener, NULL, NULL);
        if (fd < 0) return NULL;
        atomic_fetch_add(&p->connections, 1);
        while (read_request(p, fd)) {
            atomic_fetch_add(&p->requests, 1);
            p->answer(fd);
            if (atomic_load(&p->hang_up)) break;
        }
        close(fd);
    }
}

static void start(struct peer *p, void (*answer)(int fd))
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    memset(p, 0, sizeof *p);
    p->answer = answer;
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *) &at, sizeof at), 0);
    assert_int_equal(listen(p->listener, 16), 0);
    getsockname(p->listener, (struct sockaddr *) &at, &len);
    p->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
}

/* After outbound_free, which closes the connection that the thread may be reading from. */
static void stop(struct peer *p)
{
    shutdown(p->listener, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    close(p->listener);
}

static struct outbound *client(const struct outbound_config *config)
{
    struct outbound *o = NULL;
    assert_ok(outbound_new(config, &o));
    return o;
}

static struct err ask(struct outbound *o, const struct peer *p, struct outbound_request r,
                      struct outbound_answer *ret)
{
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/some/path?secret=1", p->port);
    r.url = url;
    if (!r.method) r.method = "GET";
    return outbound_send(o, &r, ret);
}

static void answer_hello(int fd)
{
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control:  max-age=60 \r\n\r\nhello");
}

struct noted { char cache[64]; };

static void note(void *arg, struct span name, struct span value)
{
    struct noted *n = arg;
    if (name.len == 13 && strncasecmp((const char *) name.data, "cache-control", 13) == 0)
        snprintf(n->cache, sizeof n->cache, "%.*s", (int) value.len, (const char *) value.data);
}

static void test_send__get(void **state)
{
    struct peer p;
    struct noted noted = {""};
    struct outbound_answer a = {0};
    start(&p, answer_hello);
    struct outbound *o = client(&(struct outbound_config){0});
    assert_ok(ask(o, &p, (struct outbound_request){.on_header = note, .arg = &noted}, &a));
    assert_int_equal(a.status, 200);
    assert_true(span_eq_str(buf_span(&a.body), "hello"));
    assert_string_equal(noted.cache, "max-age=60");
    assert_non_null(strstr(p.seen, "GET /some/path?secret=1 HTTP/1.1\r\n"));
    buf_free(&a.body);
    outbound_free(o);
    stop(&p);
}

static void test_send__post_with_headers_on_the_same_connection(void **state)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    struct peer p;
    start(&p, answer_hello);
    struct outbound *o = client(&(struct outbound_config){0});
    for (int i = 0; i < 3; i++) {
        struct outbound_answer a = {0};
        struct outbound_request r = {.method = "POST", .headers = headers, .body = SPAN_LIT("{\"a\":1}")};
        assert_ok(ask(o, &p, r, &a));
        buf_free(&a.body);
    }
    assert_non_null(strstr(p.seen, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(p.seen, "\r\n\r\n{\"a\":1}"));
    assert_null(strcasestr(p.seen, "\r\nexpect:"));
    assert_int_equal(atomic_load(&p.requests), 3);
    assert_int_equal(atomic_load(&p.connections), 1);
    outbound_free(o);
    stop(&p);
}

static void test_send__a_connection_that_was_closed_is_made_anew(void **state)
{
    struct peer p;
    start(&p, answer_hello);
    atomic_store(&p.hang_up, true);
    struct outbound *o = client(&(struct outbound_config){0});
    for (int i = 0; i < 2; i++) {
        struct outbound_answer a = {0};
        assert_ok(ask(o, &p, (struct outbound_request){0}, &a));
        buf_free(&a.body);
    }
    assert_int_equal(atomic_load(&p.connections), 2);
    outbound_free(o);
    stop(&p);
}

static void answer_moved(int fd)
{
    say(fd, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
}

/* The peer is the proxy; nothing has the name that is asked for. */
static void test_send__no_proxy_where_none_is_wanted(void **state)
{
    struct peer p;
    char proxy[64];
    struct outbound_answer a = {0};
    const struct outbound_request r = {.method = "GET", .url = "http://service.invalid/"};
    start(&p, answer_hello);
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", p.port);
    assert_int_equal(setenv("http_proxy", proxy, 1), 0);
    struct outbound *by_proxy = client(&(struct outbound_config){0});
    assert_ok(outbound_send(by_proxy, &r, &a));
    buf_free(&a.body);
    struct outbound *direct = client(&(struct outbound_config){.direct = true});
    assert_fails(outbound_send(direct, &r, &a), ERR_BUSY);
    unsetenv("http_proxy");
    assert_int_equal(atomic_load(&p.requests), 1);
    outbound_free(direct);
    outbound_free(by_proxy);
    stop(&p);
}

static void test_send__a_redirect_is_an_answer(void **state)
{
    struct peer p;
    struct outbound_answer a = {0};
    start(&p, answer_moved);
    struct outbound *o = client(&(struct outbound_config){0});
    assert_ok(ask(o, &p, (struct outbound_request){0}, &a));
    assert_int_equal(a.status, 302);
    buf_free(&a.body);
    outbound_free(o);
    stop(&p);
}

static void answer_endless(int fd)
{
    char piece[4097];
    memset(piece, 'x', 4096);
    piece[4096] = '\0';
    say(fd, "HTTP/1.1 200 OK\r\n\r\n");
    for (int i = 0; i < 1024; i++) say(fd, piece);
}

static void test_send__an_endless_body_is_cut(void **state)
{
    struct peer p;
    struct outbound_answer a = {0};
    start(&p, answer_endless);
    atomic_store(&p.hang_up, true);
    struct outbound *o = client(&(struct outbound_config){.answer_max = 10000});
    struct err e = ask(o, &p, (struct outbound_request){0}, &a);
    assert_fails(e, ERR_TOOLARGE);
    assert_non_null(strstr(err_text(e), "10000 bytes"));
    outbound_free(o);
    stop(&p);
}

static void answer_exactly(int fd)
{
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789");
}

static void test_send__a_body_at_the_limit_is_taken(void **state)
{
    struct peer p;
    struct outbound_answer a = {0};
    start(&p, answer_exactly);
    struct outbound *at = client(&(struct outbound_config){.answer_max = 10});
    assert_ok(ask(at, &p, (struct outbound_request){0}, &a));
    buf_free(&a.body);
    outbound_free(at);
    struct outbound *below = client(&(struct outbound_config){.answer_max = 9});
    assert_fails(ask(below, &p, (struct outbound_request){0}, &a), ERR_TOOLARGE);
    outbound_free(below);
    stop(&p);
}

/* A byte now and then, for as long as somebody waits: only the limit on the whole ends it. */
static void answer_drip(int fd)
{
    struct pollfd gone = {.fd = fd, .events = POLLRDHUP};
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    while (poll(&gone, 1, 10) == 0 && send(fd, "x", 1, MSG_NOSIGNAL) == 1) continue;
}

static void test_send__a_slow_drip_ends_at_the_deadline(void **state)
{
    struct peer p;
    struct outbound_answer a = {0};
    start(&p, answer_drip);
    struct outbound *o = client(&(struct outbound_config){.total_ms = 100});
    struct err e = ask(o, &p, (struct outbound_request){.method = "POST"}, &a);
    assert_fails(e, ERR_TIMEOUT);
    assert_true(a.maybe_seen);
    assert_null(strstr(err_text(e), "secret"));
    outbound_free(o);
    o = client(&(struct outbound_config){.total_ms = UINT_MAX}); /* the request says less */
    assert_fails(ask(o, &p, (struct outbound_request){.method = "POST", .total_ms = 100}, &a), ERR_TIMEOUT);
    outbound_free(o);
    stop(&p);
}

static void answer_nothing(int fd)
{
    shutdown(fd, SHUT_RDWR);
}

static void test_send__who_hangs_up_may_have_seen_it(void **state)
{
    struct peer p;
    struct outbound_answer a = {0};
    start(&p, answer_nothing);
    struct outbound *o = client(&(struct outbound_config){0});
    assert_fails(ask(o, &p, (struct outbound_request){.method = "POST"}, &a), ERR_BUSY);
    assert_true(a.maybe_seen);
    outbound_free(o);
    stop(&p);
}

static void test_send__nobody_there(void **state)
{
    struct peer p;
    struct outbound_answer a = {.maybe_seen = true};
    start(&p, answer_hello);
    stop(&p);
    struct outbound *o = client(&(struct outbound_config){0});
    struct err e = ask(o, &p, (struct outbound_request){0}, &a);
    assert_fails(e, ERR_BUSY);
    assert_false(a.maybe_seen);
    assert_non_null(strstr(err_text(e), "http://127.0.0.1:"));
    outbound_free(o);
}

/* Answers all but the second request. */
static atomic_int asked_once;
static void answer_but_the_second(int fd)
{
    if (atomic_fetch_add(&asked_once, 1) == 1) shutdown(fd, SHUT_RDWR);
    else answer_hello(fd);
}

/* The peer may have acted on it: only who says that this does no harm is asked for again. */
static void test_send__a_kept_connection_that_ends_under_a_request(void **state)
{
    static const struct { const char *method; bool repeatable, works; } rows[] = {
        {"POST", false, false}, {"POST", true, true}, {"GET", false, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct peer p;
        start(&p, answer_but_the_second);
        atomic_store(&asked_once, 0);
        struct outbound *o = client(&(struct outbound_config){0});
        struct outbound_request r = {.method = rows[i].method, .repeatable = rows[i].repeatable};
        struct outbound_answer first = {0}, second = {0};
        assert_ok(ask(o, &p, r, &first));
        struct err e = ask(o, &p, r, &second);
        if (err_ok(e) != rows[i].works) fail_msg("row %zu: %s", i, err_ok(e) ? "works" : err_text(e));
        assert_true(second.maybe_seen);
        assert_int_equal(atomic_load(&p.requests), rows[i].works ? 3 : 2);
        buf_free(&first.body);
        buf_free(&second.body);
        outbound_free(o);
        stop(&p);
    }
}

static void answer_headers(int fd)
{
    say(fd, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 100000; i++) {
        char line[64];
        snprintf(line, sizeof line, "X-%d: 0123456789012345678901234567890123456789\r\n", i);
        if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0) return;
    }
}

static void test_send__endless_headers_are_cut(void **state)
{
    struct peer p;
    struct outbound_answer a = {0};
    start(&p, answer_headers);
    atomic_store(&p.hang_up, true);
    struct outbound *o = client(&(struct outbound_config){0});
    assert_fails(ask(o, &p, (struct outbound_request){0}, &a), ERR_TOOLARGE);
    outbound_free(o);
    stop(&p);
}

/* Its answer is no frame of HTTP/2, whatever it says. */
static void test_send__who_wants_http2_is_not_served_by_less(void **state)
{
    struct peer p;
    struct outbound_answer a = {0};
    start(&p, answer_hello);
    atomic_store(&p.hang_up, true);
    struct outbound *o = client(&(struct outbound_config){.http2 = true, .total_ms = 2000});
    assert_fails(ask(o, &p, (struct outbound_request){.method = "POST"}, &a), ERR_BUSY);
    outbound_free(o);
    stop(&p);
}

struct stopping {
    struct outbound *o;
    struct peer *p;
};

/* Once the peer has the request. */
static void *stop_then(void *arg)
{
    struct stopping *s = arg;
    while (!atomic_load(&s->p->requests)) sched_yield();
    outbound_stop(s->o);
    return NULL;
}

static void answer_late(int fd)
{
    char byte;
    err_ignore((struct err){recv(fd, &byte, 1, 0) < 0 ? ERR_INTERNAL : ERR_NONE}); /* until it goes */
}

static void test_stop__ends_what_is_under_way(void **state)
{
    struct peer p;
    struct outbound_answer a = {0};
    pthread_t thread;
    start(&p, answer_late);
    struct outbound *o = client(&(struct outbound_config){.total_ms = 60000});
    struct stopping stopping = {o, &p};
    assert_int_equal(pthread_create(&thread, NULL, stop_then, &stopping), 0);
    assert_fails(ask(o, &p, (struct outbound_request){0}, &a), ERR_BUSY);
    pthread_join(thread, NULL);
    assert_fails(ask(o, &p, (struct outbound_request){0}, &a), ERR_BUSY);
    outbound_free(o);
    stop(&p);
}

/* Within the hour that the whole request might take. */
static void test_stop_in__ends_it_later(void **state)
{
    struct peer p;
    struct outbound_answer a = {0};
    start(&p, answer_late);
    struct outbound *o = client(&(struct outbound_config){.total_ms = 3600000});
    outbound_stop_in(o, 100);
    assert_fails(ask(o, &p, (struct outbound_request){0}, &a), ERR_BUSY);
    outbound_free(o);
    stop(&p);
}

static void test_new__files(void **state)
{
    struct outbound *o = NULL;
    assert_fails(outbound_new(&(struct outbound_config){.ca_file = "/nowhere/ca.pem"}, &o), ERR_USAGE);
    assert_fails(outbound_new(&(struct outbound_config){.client_cert = "/dev/null"}, &o), ERR_USAGE);
    assert_null(o);
}

static void test_send__no_proxy_to_this_host(void **state)
{
    struct peer p;
    struct outbound_answer a = {0};
    start(&p, answer_hello);
    setenv("http_proxy", "http://127.0.0.1:1", 1); /* where nobody is */
    setenv("no_proxy", "example.org", 1);
    struct outbound *o = client(&(struct outbound_config){0});
    struct err e = ask(o, &p, (struct outbound_request){0}, &a);
    unsetenv("http_proxy");
    unsetenv("no_proxy");
    assert_ok(e);
    assert_int_equal(a.status, 200);
    buf_free(&a.body);
    outbound_free(o);
    stop(&p);
}

/* Of another host: the peer is the proxy, which is asked unless no_proxy names that host or all. */
static void test_send__a_proxy_but_for_those_named(void **state)
{
    static const struct { const char *small, *large; bool by_proxy; } rows[] = {
        {NULL, NULL, true}, {"example.org", "service.invalid", true}, {"service.invalid", NULL, false},
        {"example.org,service.invalid", NULL, false}, {"*", NULL, false}, {NULL, "*", false},
        {"", "service.invalid", false},
    };
    struct peer p;
    char proxy[64];
    const struct outbound_request r = {.method = "GET", .url = "http://service.invalid/"};
    start(&p, answer_hello);
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", p.port);
    setenv("http_proxy", proxy, 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct outbound_answer a = {0};
        if (rows[i].small) setenv("no_proxy", rows[i].small, 1);
        if (rows[i].large) setenv("NO_PROXY", rows[i].large, 1);
        struct outbound *o = client(&(struct outbound_config){0});
        struct err e = outbound_send(o, &r, &a);
        unsetenv("no_proxy");
        unsetenv("NO_PROXY");
        buf_free(&a.body);
        outbound_free(o);
        if (err_ok(e) != rows[i].by_proxy) fail_msg("row %zu", i);
    }
    unsetenv("http_proxy");
    stop(&p);
}

static void test_check_url(void **state)
{
    static const struct { const char *url; bool good; } rows[] = {
        {"http://127.0.0.1:50004", true}, {"https://as.example.org/a/b?c=d", true},
        {"HTTPS://as.example.org", true}, {"http://[::1]:8080/", true},
        {"", false}, {"as.example.org", false}, {"file:///etc/passwd", false},
        {"http://", false}, {"http://user@host/", false}, {"http://user:word@host/", false},
        {"http://host/#part", false}, {"http://host:99999/", false}, {"http://a b/", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err e = outbound_check_url(rows[i].url);
        if (err_ok(e) != rows[i].good) fail_msg("%s", rows[i].url);
        if (!err_ok(e)) assert_null(strstr(err_text(e), "word"));
    }
}

static void test_check_believed_url(void **state)
{
    static const struct { const char *url; bool good; } rows[] = {
        {"https://keys.example", true}, {"HTTPS://keys.example/a?b", true},
        {"http://127.0.0.1:1/a", true}, {"http://127.255.0.9/", true}, {"http://[::1]/", true},
        {"http://LocalHost:80/", true}, {"http://keys.example", false},
        {"http://128.0.0.1/", false}, {"http://[::2]/", false}, {"http://127.0.0.1.example/", false},
        {"http://localhost.example/", false}, {"http://0.0.0.0/", false},
        {"http://127.0.0.1@keys.example/", false}, {"/a", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (err_ok(outbound_check_believed_url(rows[i].url)) != rows[i].good)
            fail_msg("%s", rows[i].url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_send__get),
        cmocka_unit_test(test_send__post_with_headers_on_the_same_connection),
        cmocka_unit_test(test_send__a_connection_that_was_closed_is_made_anew),
        cmocka_unit_test(test_send__no_proxy_where_none_is_wanted),
        cmocka_unit_test(test_send__a_redirect_is_an_answer),
        cmocka_unit_test(test_send__an_endless_body_is_cut),
        cmocka_unit_test(test_send__a_body_at_the_limit_is_taken),
        cmocka_unit_test(test_send__a_slow_drip_ends_at_the_deadline),
        cmocka_unit_test(test_send__who_hangs_up_may_have_seen_it),
        cmocka_unit_test(test_send__nobody_there),
        cmocka_unit_test(test_send__a_kept_connection_that_ends_under_a_request),
        cmocka_unit_test(test_send__endless_headers_are_cut),
        cmocka_unit_test(test_send__who_wants_http2_is_not_served_by_less),
        cmocka_unit_test(test_stop__ends_what_is_under_way),
        cmocka_unit_test(test_stop_in__ends_it_later),
        cmocka_unit_test(test_new__files),
        cmocka_unit_test(test_send__no_proxy_to_this_host),
        cmocka_unit_test(test_send__a_proxy_but_for_those_named),
        cmocka_unit_test(test_check_url),
        cmocka_unit_test(test_check_believed_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/attest/as_call.h"
#include "broker/attest/as_service.h"
#include "broker/base/clock.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"
#include "tests/lib/test.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define TOKEN "eyJh.e30.c2ln"
#define PEERS 64

/* A REST service that answers every question with the same bytes; NULL: hangs up. Challenges it answers
 * with `challenged` when that is set. */
struct peer {
    int listener;
    unsigned port;
    pthread_t thread, readers[PEERS];
    atomic_uint connections;
    atomic_int requests;
    _Atomic(const char *) says, challenged;
    atomic_int challenges;
};

struct reader_arg { struct peer *p; int fd; };

static bool read_question(int fd, bool *ret_challenge)
{
    char text[8192];
    size_t len = 0;
    for (;;) {
        ssize_t n = recv(fd, text + len, sizeof text - 1 - len, 0);
        if (n <= 0) return false;
        len += (size_t) n;
        text[len] = '\0';
        const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "content-length: ");
        if (end && len >= (size_t) (end + 4 - text) + (length ? strtoul(length + 16, NULL, 10) : 0)) {
            *ret_challenge = strncmp(text, "POST /challenge ", 16) == 0;
            return true;
        }
    }
}

static void *talk(void *arg)
{
    struct reader_arg a = *(struct reader_arg *) arg;
    free(arg);
    for (bool challenge; read_question(a.fd, &challenge);) {
        atomic_fetch_add(&a.p->requests, 1);
        atomic_fetch_add(&a.p->challenges, challenge);
        const char *says = challenge ? atomic_load(&a.p->challenged) : NULL;
        if (!says) says = atomic_load(&a.p->says);
        if (!says || send(a.fd, says, strlen(says), MSG_NOSIGNAL) < 0) break;
    }
    close(a.fd);
    return NULL;
}

static void *serve(void *arg)
{
    struct peer *p = arg;
    for (;;) {
        int fd = accept(p->listener, NULL, NULL);
        if (fd < 0) return NULL;
        struct reader_arg *a = malloc(sizeof *a);
        *a = (struct reader_arg){p, fd};
        unsigned i = atomic_fetch_add(&p->connections, 1);
        if (i >= PEERS || pthread_create(&p->readers[i], NULL, talk, a)) abort();
    }
}

static struct peer peer;
static struct as_service *s;
static struct buf got;

/* Texts live until the end of the test: an older one may still be on its way out. */
static char *texts[128];
static size_t text_count;

static void connect_to(unsigned port)
{
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", port);
    struct as_config config = {.kind = AS_REST, .url = url, .call_seconds = 5};
    assert_ok(as_service_new(&config, &s));
}

static int setup(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    log_set_level(LOG_LEVEL_ERROR);
    memset(&peer, 0, sizeof peer);
    peer.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(peer.listener, (struct sockaddr *) &at, sizeof at), 0);
    assert_int_equal(listen(peer.listener, 64), 0);
    getsockname(peer.listener, (struct sockaddr *) &at, &len);
    peer.port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&peer.thread, NULL, serve, &peer), 0);
    connect_to(peer.port);
    return 0;
}

static int teardown(void **state)
{
    as_service_free(s); /* closes the connections that the readers read from */
    s = NULL;
    shutdown(peer.listener, SHUT_RDWR);
    pthread_join(peer.thread, NULL);
    for (unsigned i = 0; i < peer.connections; i++) pthread_join(peer.readers[i], NULL);
    close(peer.listener);
    buf_free(&got);
    while (text_count) free(texts[--text_count]);
    return 0;
}

static void says_with(const char *status, size_t len, const char *body, char fill)
{
    size_t size = len + 128;
    char *t = calloc(1, size);
    assert_non_null(t);
    assert_true(text_count < sizeof texts / sizeof *texts);
    texts[text_count++] = t;
    int head = snprintf(t, size, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", status, len);
    if (body) memcpy(t + head, body, len);
    else memset(t + head, fill, len);
    atomic_store(&peer.says, t);
}

static void says(const char *status_and_body)
{
    char status[32];
    const char *body = strchr(status_and_body, '|') + 1;
    snprintf(status, sizeof status, "%.*s", (int) (body - 1 - status_and_body), status_and_body);
    says_with(status, strlen(body), body, 0);
}

static struct err evaluate(void)
{
    static const struct as_piece piece = {"sample", SPAN_LIT("{}"), SPAN_LIT("{}"), "sha384", NULL};
    buf_reset(&got);
    return as_evaluate(s, &piece, 1, &got);
}

static struct as_stats stats(void)
{
    struct as_stats st = {0};
    as_service_stats(s, &st);
    return st;
}

static void until_it_may_be_asked(void)
{
    uint64_t deadline = clock_mono_ns() + 60 * CLOCK_SECOND_NS;
    while (stats().breaker.wait_s) {
        assert_true(clock_mono_ns() < deadline);
        poll(NULL, 0, 10);
    }
}

static void test_new__refusals(void **state)
{
    static const struct { struct as_config config; const char *why; } rows[] = {
        {{.url = "127.0.0.1:1"}, "as_addr"}, {{.url = "http://h/?a=b"}, "query"},
        {{.url = "http://u@h/"}, "user part"},
        {{.url = "https://h", .ca_file = "/nowhere/ca.pem"}, "/nowhere/ca.pem"},
        {{.url = "https://h", .client_cert = "/dev/null"}, "go together"},
    };
    struct as_service *none = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_fails_with(as_service_new(&rows[i].config, &none), ERR_USAGE, rows[i].why);
    assert_null(none);
}

static void test_evaluate(void **state)
{
    says("200 OK|" TOKEN);
    assert_ok(evaluate());
    assert_string_equal(buf_str(&got), TOKEN);
    says("500 No|causes");
    assert_fails_with(evaluate(), ERR_AUTH, "causes");
    says("404 No|where");
    assert_fails_with(evaluate(), ERR_BUSY, "does not serve this");
    static const char *const no_tokens[] = {"200 OK|", "200 OK|a.b", "200 OK|a.b.c.d", "200 OK|a.b.<"};
    for (size_t i = 0; i < sizeof no_tokens / sizeof *no_tokens; i++) {
        says(no_tokens[i]);
        assert_fails_with(evaluate(), ERR_BUSY, "not of an attestation service");
        assert_int_equal(got.len, 0);
    }
    assert_int_equal(peer.connections, 1);
    assert_int_equal(stats().calls, 7);
    assert_int_equal(stats().refusals, 1);
    assert_int_equal(stats().failures, 4);
}

static void test_challenge__limits(void **state)
{
    says("200 OK|{\"n\":1}");
    assert_ok(as_challenge(s, "se", SPAN_LIT("{}"), &got));
    assert_string_equal(buf_str(&got), "{\"n\":1}");
    says("200 OK|");
    assert_fails(as_challenge(s, "se", SPAN_LIT("{}"), &got), ERR_BUSY);
    says("200 OK|\xff");
    assert_fails(as_challenge(s, "se", SPAN_LIT("{}"), &got), ERR_BUSY);
    for (unsigned over = 0; over <= 1; over++) {
        says_with("200 OK", AS_CHALLENGE_MAX + over, NULL, 'x');
        buf_reset(&got);
        struct err e = as_challenge(s, "se", SPAN_LIT("{}"), &got);
        assert_int_equal(e.code, over ? ERR_AUTH : ERR_NONE);
    }
}

static void test_down__not_asked_for_a_while(void **state)
{
    atomic_store(&peer.says, NULL);
    for (unsigned i = 0; i < AS_BREAKER_FAILURES; i++) {
        assert_int_equal(stats().breaker.state, BREAKER_CLOSED);
        assert_fails(evaluate(), ERR_BUSY);
    }
    assert_int_equal(stats().breaker.state, BREAKER_OPEN);
    assert_true(stats().breaker.wait_s >= 1);
    int before = peer.requests;
    assert_fails_with(evaluate(), ERR_BUSY, "not asked for a while");
    assert_int_equal(peer.requests, before);
    assert_int_equal(stats().calls, AS_BREAKER_FAILURES);
    assert_int_equal(stats().failures, AS_BREAKER_FAILURES);
}

/* Guests whose questions fail, each of them: the service is asked a question of the broker's own, answers,
 * and others are served at once. */
static void test_failures_of_guests_do_not_open_it(void **state)
{
    static const char *const alive[] = {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                                        "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno",
                                        "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"};
    for (int row = 0; row < 3; row++) {
        atomic_store(&peer.challenged, alive[row]);
        atomic_store(&peer.says, NULL);
        for (unsigned i = 0; i < AS_BREAKER_FAILURES; i++) assert_fails_with(evaluate(), ERR_BUSY, "no answer");
        assert_int_equal(peer.challenges, row + 1);
        assert_int_equal(stats().breaker.state, BREAKER_CLOSED);
        says("200 OK|" TOKEN);
        assert_ok(evaluate());
    }
    assert_int_equal(stats().breaker.opened, 0);
    assert_int_equal(stats().calls, 3 * (AS_BREAKER_FAILURES + 1));
    assert_int_equal(stats().failures, 3 * AS_BREAKER_FAILURES);
}

/* Down, back again: the broker's own question closes it, even when the guest that came for it fails. */
static void test_back_again(void **state)
{
    atomic_store(&peer.says, NULL);
    for (unsigned i = 0; i < AS_BREAKER_FAILURES; i++) assert_fails(evaluate(), ERR_BUSY);
    assert_int_equal(stats().breaker.state, BREAKER_OPEN);
    atomic_store(&peer.challenged, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    until_it_may_be_asked();
    assert_fails_with(evaluate(), ERR_BUSY, "no answer");
    assert_int_equal(stats().breaker.state, BREAKER_CLOSED);
    says("200 OK|" TOKEN);
    assert_ok(evaluate());
    assert_int_equal(stats().breaker.opened, 1);
}

static void test_still_down(void **state)
{
    atomic_store(&peer.says, NULL);
    for (unsigned i = 0; i < AS_BREAKER_FAILURES; i++) assert_fails(evaluate(), ERR_BUSY);
    until_it_may_be_asked();
    int before = peer.challenges;
    assert_fails_with(evaluate(), ERR_BUSY, "still down");
    assert_int_equal(peer.challenges, before + 1);
    assert_int_equal(stats().calls, AS_BREAKER_FAILURES); /* evidence was not sent */
    assert_int_equal(stats().breaker.state, BREAKER_OPEN);
    assert_true(stats().breaker.wait_s > 2);
}

/* What is too long is that guest's, and shows nothing of the service. */
static void test_too_long(void **state)
{
    for (unsigned i = 0; i < 2 * AS_BREAKER_FAILURES; i++) {
        char *token = malloc(AS_ANSWER_MAX + 1);
        memset(token, 'x', AS_ANSWER_MAX + 1);
        token[1] = token[3] = '.';
        bool answer = i % 2; /* else the token alone */
        says_with("200 OK", answer ? AS_ANSWER_MAX + 1 : JOSE_MAX_TOKEN + 1, token, 0);
        free(token);
        assert_fails_with(evaluate(), ERR_AUTH, answer ? "larger than" : "too long");
    }
    assert_int_equal(stats().breaker.state, BREAKER_CLOSED);
    assert_int_equal(stats().failures + stats().refusals, 0);
    assert_int_equal(peer.challenges, 0);
}

static void test_refusals_do_not_open_it(void **state)
{
    static const char *const rows[] = {"500 No|x", "400 No|x", "413 No|x", "404 No|x", "429 No|x"};
    for (size_t i = 0; i < 4 * AS_BREAKER_FAILURES; i++) {
        says(rows[i % 5]);
        assert_false(err_ok(evaluate()));
    }
    assert_int_equal(stats().breaker.state, BREAKER_CLOSED);
}

static struct err set_policy(const struct attest_upkeep *u, struct span text, uint64_t *ret_version)
{
    struct attest_policy policy = {.id = "default_cpu", .text = text};
    return u->set_policy(u->context, &policy, ret_version);
}

/* A kept connection that is closed under the question: asked again where that does no harm. */
static void test_repeated(void **state)
{
    struct attest_upkeep u = as_service_upkeep(s);
    uint64_t version = 1;
    says("200 OK|" TOKEN);
    assert_ok(evaluate());
    atomic_store(&peer.says, NULL);
    assert_fails(evaluate(), ERR_BUSY);
    assert_int_equal(peer.requests, 3);
    says("200 OK|" TOKEN);
    assert_ok(evaluate());
    atomic_store(&peer.says, NULL);
    assert_fails(set_policy(&u, SPAN_LIT("package policy"), &version), ERR_BUSY);
    assert_int_equal(peer.requests, 5);
    assert_int_equal(version, 1);
}

static void test_upkeep(void **state)
{
    struct attest_upkeep u = as_service_upkeep(s);
    uint64_t version = 1;
    says("200 OK|");
    assert_ok(set_policy(&u, SPAN_LIT("package policy"), &version));
    assert_int_equal(version, 0);
    struct attest_policy first = {.id = "default_cpu", .text = SPAN_LIT("package policy"), .has_if_match = true};
    assert_fails_with(u.set_policy(u.context, &first, &version), ERR_USAGE, "without If-Match");
    says("500 No|not rego");
    assert_fails_with(set_policy(&u, SPAN_LIT("x"), &version), ERR_USAGE, "not rego");
    assert_fails_with(u.register_values(u.context, SPAN_LIT("{}")), ERR_USAGE, "at the RVPS");
    assert_fails_with(u.query_value(u.context, "x", &got), ERR_USAGE, "at the RVPS");
    assert_int_equal(peer.requests, 2);
}

static void test_stop(void **state)
{
    says("200 OK|" TOKEN);
    as_service_stop_in(s, 0);
    for (unsigned i = 0; i <= AS_BREAKER_FAILURES; i++)
        assert_fails_with(evaluate(), ERR_BUSY, "stopping"); /* the end is not the service's fault */
    assert_int_equal(peer.requests, 0);
    assert_int_equal(stats().failures, 0);
}

static atomic_uint outcomes[ERR_CLASS_COUNT];

static void *ask_often(void *arg)
{
    static const struct as_piece piece = {"sample", SPAN_LIT("{}"), SPAN_LIT("{}"), "sha384", NULL};
    for (int i = 0; i < 50; i++) {
        struct buf token = BUF_INIT;
        struct err e = as_evaluate(s, &piece, 1, &token);
        struct as_stats st = {0};
        as_service_stats(s, &st);
        atomic_fetch_add(&outcomes[e.code], 1);
        if (err_ok(e) != span_eq_str(buf_span(&token), TOKEN)) atomic_fetch_add(&outcomes[ERR_INTERNAL], 1);
        buf_free(&token);
    }
    return NULL;
}

/* Several threads, while the service changes its mind. */
static void test_threads(void **state)
{
    static const char *const rows[] = {"200 OK|" TOKEN, "500 No|x", "200 OK|<html>", "200 OK|" TOKEN};
    pthread_t threads[4];
    says("200 OK|" TOKEN);
    for (size_t i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, ask_often, NULL), 0);
    for (int turn = 0; turn < 40; turn++) {
        int before = peer.requests;
        says(rows[turn % 4]);
        for (int spin = 0; spin < 1000 && peer.requests == before; spin++) sched_yield();
    }
    for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    assert_int_equal(outcomes[ERR_NONE] + outcomes[ERR_AUTH] + outcomes[ERR_BUSY], 200);
    assert_true(outcomes[ERR_NONE] > 0);
    assert_true(peer.connections <= 4 * 2); /* a thread each, and they are kept */
    assert_true(stats().calls >= stats().failures + stats().refusals);
}

int main(void)
{
#define AS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new__refusals), AS_TEST(test_evaluate), AS_TEST(test_challenge__limits),
        AS_TEST(test_down__not_asked_for_a_while), AS_TEST(test_refusals_do_not_open_it),
        AS_TEST(test_failures_of_guests_do_not_open_it), AS_TEST(test_back_again), AS_TEST(test_still_down),
        AS_TEST(test_too_long), AS_TEST(test_repeated), AS_TEST(test_upkeep), AS_TEST(test_stop), AS_TEST(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

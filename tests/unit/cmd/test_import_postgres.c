/* What may stand in a URL, and what a server over a network gets to see; the rest needs a real server
 * (tests/integration/test_moving_in.py). */
#include "broker/cmd/import_postgres.h"

#include "tests/lib/test.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/un.h>

static void test_check_url(void **state)
{
    static const char *const good[] = {"postgresql://", "postgres:///kbs", "postgresql://u@h:5/d?sslmode=require",
                                       "postgresql:///?service=kbs&passfile=/etc/pgpass"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_ok(import_postgres_check_url(good[i]));
    static const char *const secret[] = {"postgresql://u:hush@h/d", "postgresql://:hush@h/d",
                                         "postgresql://h/d?password=hush", "postgresql://h/d?sslpassword=hush",
                                         "postgresql://h/d?pass%77ord=hush"};
    for (size_t i = 0; i < sizeof secret / sizeof *secret; i++) {
        struct err e = import_postgres_check_url(secret[i]);
        assert_int_equal(e.code, ERR_USAGE);
        assert_non_null(strstr(err_text(e), "PGPASSFILE"));
        assert_null(strstr(err_text(e), "hush"));
    }
    static const char *const wrong[] = {"postgresql://u:hush@[::1/d", "postgresql://h/d?nonsense=hush"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct err e = import_postgres_check_url(wrong[i]);
        assert_int_equal(e.code, ERR_USAGE);
        assert_null(strstr(err_text(e), "hush"));
    }
}

static enum import_way way(const char *address, bool tls, const char *sslmode)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
        return import_postgres_way((const struct sockaddr *) &in, tls, sslmode);
    assert_int_equal(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
    return import_postgres_way((const struct sockaddr *) &in6, tls, sslmode);
}

/* Without TLS secrets may not leave this host; with it, only verification says to whom they come from. */
static void test_way(void **state)
{
    static const struct { const char *address; bool here; } rows[] = {
        {"127.0.0.1", true}, {"127.255.255.254", true}, {"::1", true}, {"::ffff:127.0.0.1", true},
        {"126.255.255.255", false}, {"128.0.0.1", false}, {"10.0.0.1", false}, {"0.0.0.0", false},
        {"1.0.0.127", false}, {"::", false}, {"::2", false}, {"::ffff:10.0.0.1", false},
        {"fe80::1", false}, {"::127.0.0.1", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *a = rows[i].address;
        enum import_way open = rows[i].here ? IMPORT_WAY_GOOD : IMPORT_WAY_OPEN;
        enum import_way unverified = rows[i].here ? IMPORT_WAY_GOOD : IMPORT_WAY_UNVERIFIED;
        static const char *const modes[] = {NULL, "", "disable", "allow", "prefer", "require", "verify-full2"};
        for (size_t j = 0; j < sizeof modes / sizeof *modes; j++) {
            if (way(a, false, modes[j]) != open || way(a, true, modes[j]) != unverified)
                fail_msg("%s, sslmode %s", a, modes[j] ? modes[j] : "not set");
        }
        assert_int_equal(way(a, true, "verify-ca"), IMPORT_WAY_GOOD);
        assert_int_equal(way(a, true, "verify-full"), IMPORT_WAY_GOOD);
        assert_int_equal(way(a, false, "verify-full"), open); /* what is, not what was wished */
    }
    const struct sockaddr_un un = {.sun_family = AF_UNIX}, unknown = {.sun_family = AF_UNSPEC};
    assert_int_equal(import_postgres_way((const struct sockaddr *) &un, false, NULL), IMPORT_WAY_GOOD);
    assert_int_equal(import_postgres_way((const struct sockaddr *) &unknown, false, NULL),
                     IMPORT_WAY_OPEN);
}

static void test_open__no_password_from_the_environment(void **state)
{
    struct import_postgres *p = NULL;
    const char *warning = NULL;
    setenv("PGPASSWORD", "hush", 1);
    assert_fails_with(import_postgres_open("postgresql:///x?host=/none", &p, &warning), ERR_USAGE, "PGPASSWORD");
    unsetenv("PGPASSWORD");
    assert_fails(import_postgres_open("postgresql:///x?host=/none", &p, &warning), ERR_TOKEN_DOWN);
}

/* ---- a server that asks for the password in clear ------------------------------------------ */

#define HUSH "hush-4711"

/* Tests listen on the loopback address alone, which is no network. So the one question by which the
 * program tells them apart is answered here: all in this executable ask this function. */
static bool over_network;

int getpeername(int fd, struct sockaddr *restrict peer, socklen_t *restrict len)
{
    long rc = syscall(SYS_getpeername, fd, peer, len);
    if (rc == 0 && over_network && peer->sa_family == AF_INET)
        ((struct sockaddr_in *) (void *) peer)->sin_addr.s_addr = htonl(0x0a000001);
    return (int) rc;
}

struct server {
    int fd;
    unsigned port;
    bool mute; /* never answers, not even to the first message */
    pthread_t thread;
    char got[2000]; /* all that the client sent */
    size_t len;
};

static bool get(struct server *s, int fd, size_t len)
{
    assert_true(s->len + len < sizeof s->got);
    for (size_t end = s->len + len; s->len < end;) {
        ssize_t n = recv(fd, s->got + s->len, end - s->len, 0);
        if (n <= 0) return false;
        s->len += (size_t) n;
    }
    return true;
}

static uint32_t number_at(const struct server *s, size_t at)
{
    uint32_t n;
    memcpy(&n, s->got + at, sizeof n);
    return ntohl(n);
}

/* No TLS and no GSSAPI (N), then AuthenticationCleartextPassword, then all that comes. */
static void *serve(void *arg)
{
    struct server *s = arg;
    int fd = accept(s->fd, NULL, NULL);
    for (size_t at = 0; fd >= 0 && !s->mute && get(s, fd, 8); at = s->len) {
        bool wish = number_at(s, at + 4) == 80877103 || number_at(s, at + 4) == 80877104;
        if (!wish && !get(s, fd, number_at(s, at) - 8)) break;
        if (wish && send(fd, "N", 1, MSG_NOSIGNAL) == 1) continue;
        if (!wish && send(fd, "R\0\0\0\10\0\0\0\3", 9, MSG_NOSIGNAL) == 9 && get(s, fd, 5))
            get(s, fd, number_at(s, s->len - 4) - 4);
        break;
    }
    while (s->mute && recv(fd, s->got, 1000, 0) > 0);
    close(fd);
    return NULL;
}

static void start(struct server *s)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(s->fd >= 0);
    assert_int_equal(bind(s->fd, (const struct sockaddr *) &in, sizeof in), 0);
    assert_int_equal(listen(s->fd, 1), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *) &in, &len), 0);
    s->port = ntohs(in.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

/* what: the conninfo, without the ports; of two hosts the first has nobody listening. */
static struct err try_open(struct server *s, bool network, const char *what)
{
    char file[] = "/tmp/strongroom-pgpass-XXXXXX", info[300];
    const char *warning = NULL;
    struct import_postgres *p = NULL;
    int fd = mkstemp(file); /* mode 0600 */
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "*:*:*:*:" HUSH "\n", strlen(HUSH) + 9), strlen(HUSH) + 9);
    close(fd);
    start(s);
    snprintf(info, sizeof info, "user=kbs dbname=x gssencmode=disable passfile=%s port=%s%u %s", file,
             strchr(what, ',') ? "1," : "", s->port, what);
    over_network = network;
    struct err e = import_postgres_open(info, &p, &warning);
    over_network = false;
    unlink(file);
    pthread_join(s->thread, NULL);
    close(s->fd);
    assert_null(p);
    return e;
}

static bool got(const struct server *s, const char *text)
{
    return memmem(s->got, s->len, text, strlen(text)) != NULL;
}

/* The password is the first thing that must not be read there, not the last. */
static void test_open__no_password_over_a_network_without_tls(void **state)
{
    static const char *const rows[] = {
        "host=127.0.0.1", "host=localhost hostaddr=127.0.0.1",
        "host=127.0.0.1,127.0.0.1", "host=127.0.0.1 sslmode=disable",
        "host=127.0.0.1 sslmode=allow", "host=127.0.0.1 sslmode=prefer",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct server far = {0}, near = {0};
        struct err e = try_open(&far, true, rows[i]);
        assert_fails_with(e, ERR_USAGE, "without TLS");
        assert_true(got(&far, "kbs"));
        assert_false(got(&far, HUSH));
        e = try_open(&near, false, rows[i]); /* this host: the same server gets what it asks for */
        assert_fails(e, ERR_TOKEN_DOWN);
        assert_true(got(&near, HUSH));
    }
    struct server s = {0};
    struct err e = try_open(&s, true, "host=127.0.0.1 sslmode=require");
    assert_fails_with(e, ERR_TOKEN_DOWN, "SSL");
    assert_false(got(&s, "kbs"));
}

static void test_open__connect_timeout(void **state)
{
    struct server s = {.mute = true};
    struct err e = try_open(&s, false, "host=127.0.0.1 connect_timeout=1");
    assert_fails_with(e, ERR_TOKEN_DOWN, "connect_timeout");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_url),
        cmocka_unit_test(test_way),
        cmocka_unit_test(test_open__no_password_from_the_environment),
        cmocka_unit_test(test_open__no_password_over_a_network_without_tls),
        cmocka_unit_test(test_open__connect_timeout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Whom the acceptor lets in, and what becomes of others; what lies behind it is in test_server.c and test_probe.c. */
#include "admin_path.h"
#include "tls_peer.h"

#include <dirent.h>
#include <sys/syscall.h>

#define GET(target) "GET " target " HTTP/1.1\r\nHost: x\r\n\r\n"

#define OUR_UID 1000u
#define LOOK_MS 200
#define TRIES_MAX 100 /* while we look; an acceptor that does not wait makes thousands */

static atomic_uint peer_uid;
static atomic_int accept_error, accept_flags;
static atomic_uint accepts;

/* ---- in the place of the system's ------------------------------------------------------------ */

uid_t geteuid(void)
{
    return OUR_UID;
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    int rc = (int) syscall(SYS_getsockopt, fd, level, name, value, len);
    if (level == SOL_SOCKET && name == SO_PEERCRED) ((struct ucred *) value)->uid = peer_uid;
    return rc;
}

int accept4(int fd, struct sockaddr *from, socklen_t *len, int flags)
{
    accepts++;
    accept_flags = flags;
    errno = accept_error;
    return errno ? -1 : (int) syscall(SYS_accept4, fd, from, len, flags);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_admin__is_for_root_and_our_user(void **state)
{
    static const uid_t good[] = {0, OUR_UID}, bad[] = {1, OUR_UID + 1, (uid_t) -1};
    struct http_config config = small_config();
    config.admin_socket = admin_path;
    start_with(&config);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char expected[64];
        snprintf(expected, sizeof expected, "GET 0 /x - unix:uid=%u 0", good[i]);
        peer_uid = good[i];
        int fd = dial_unix(admin_path);
        assert_string_equal(ask(fd, GET("/x")).body, expected);
        close(fd);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        peer_uid = bad[i];
        int fd = dial_unix(admin_path);
        put_text(fd, GET("/x"));
        expect_end(fd);
        close(fd);
    }
    assert_int_equal(heads, 2);
}

static void test_accept__without_a_socket_left_it_waits(void **state)
{
    static const int full[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
    start_small(NULL);
    for (size_t i = 0; i < sizeof full / sizeof *full; i++) {
        accept_error = full[i];
        accepts = 0;
        int fd = client();
        put_text(fd, GET("/x"));
        AWAIT(accepts >= 2);
        accepts = 0;
        poll(NULL, 0, LOOK_MS);
        assert_true(accepts < TRIES_MAX);
        accept_error = 0;
        assert_int_equal(read_reply(fd).status, 200);
        assert_int_equal(accept_flags, SOCK_NONBLOCK | SOCK_CLOEXEC);
        close(fd);
        AWAIT(stats().open == 0);
    }
}

static bool name_peer(void *ctx, struct exchange *x)
{
    fill_text(&x->resp, 200, x->req.peer);
    return true;
}

static void test_accept__peers_are_named(void **state)
{
    static const char *const some[] = {"127.0.0.1:0"};
    static const struct exchange_handler handler = {.head = test_head, .serve = name_peer, .refuse = test_refuse};
    static const char *const requests[] = {GET("/x"), GET("/healthz"), GET("/healthz")};
    static const size_t sockets[] = {0, 0, 1};
    struct http_config config = small_config();
    config.probe_sockets = some;
    config.probe_socket_count = 1;
    assert_true(err_ok(http_server_start(&config, &handler, &server)));
    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++) {
        int fd = dial(http_server_address(server, sockets[i]));
        struct sockaddr_in own = {0};
        socklen_t len = sizeof own;
        char expected[64];
        getsockname(fd, (struct sockaddr *) &own, &len);
        snprintf(expected, sizeof expected, "127.0.0.1:%u", ntohs(own.sin_port));
        assert_string_equal(ask(fd, requests[i]).body, expected);
        close(fd);
    }
}

static unsigned descriptors(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    ENSURE(d);
    while (readdir(d)) n++;
    closedir(d);
    return n;
}

static void test_sweep__a_late_body_leaves_no_descriptor(void **state)
{
    struct http_config config = small_config();
    config.body_seconds = 1;
    start_with(&config);
    unsigned before = descriptors();
    int fd = client();
    assert_int_equal(ask(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{").status, 408);
    expect_end(fd);
    close(fd);
    AWAIT(descriptors() == before);
}

/* Over TLS nothing is said in the plain, not even to a probe; on the admin socket nothing is said but that. */
static void test_tls__who_is_too_many_is_told_in_his_language(void **state)
{
    int admin[HTTP_ADMIN_CONNECTIONS];
    struct http_config config = small_config();
    config.max_connections = 1;
    config.admin_socket = admin_path;
    peer_uid = 0;
    start_with(&config);
    int guest = client();
    assert_int_equal(ask(guest, GET("/x")).status, 200);
    accept_error = EMFILE; /* until the request is there too */
    int over = dial(http_server_address(server, 0));
    put_text(over, GET("/healthz"));
    accept_error = 0;
    expect_end(over);
    close(over);
    close(guest);
    for (size_t i = 0; i < HTTP_ADMIN_CONNECTIONS; i++) {
        admin[i] = dial_unix(admin_path);
        assert_int_equal(ask(admin[i], GET("/x")).status, 200);
    }
    over = dial_unix(admin_path);
    struct reply r = read_reply(over);
    assert_int_equal(r.status, 503);
    assert_string_equal(field(&r, "Content-Length"), "0");
    assert_string_equal(field(&r, "Connection"), "close");
    expect_end(over);
    close(over);
    for (size_t i = 0; i < HTTP_ADMIN_CONNECTIONS; i++) close(admin[i]);
}

#define TEST(t) cmocka_unit_test_teardown(t, stop_server)

int main(void)
{
    const struct CMUnitTest plain[] = {
        TEST(test_admin__is_for_root_and_our_user),
        TEST(test_accept__without_a_socket_left_it_waits),
        TEST(test_accept__peers_are_named),
        TEST(test_sweep__a_late_body_leaves_no_descriptor),
    };
    const struct CMUnitTest tls[] = {TEST(test_tls__who_is_too_many_is_told_in_his_language)};
    make_directory(NULL);
    int failed = cmocka_run_group_tests_name("plain", plain, NULL, NULL);
    failed += cmocka_run_group_tests_name("tls", tls, tls_on, tls_off);
    remove_directory(NULL);
    return failed;
}

/* Probes and the admin socket, while guests have all loops and all connections. */
#include "admin_path.h"
#include "held.h"

#define POST(target, length) \
    "POST " target " HTTP/1.1\r\nHost: x\r\nContent-Length: " length "\r\n\r\n"

static void expect_probe(const char *request)
{
    int fd = client();
    struct reply r = ask(fd, request);
    assert_int_equal(r.status, 200);
    close(fd);
}

static const char *const probes[] = {
    GET("/healthz"), GET("/readyz"), GET("/metrics"), GET("/metrics?x=1"),
    /* a scraper's head */
    "GET /metrics HTTP/1.1\r\nHost: broker.strongroom.svc.cluster.local:8080\r\nUser-Agent: Prometheus/2.45.0\r\n"
    "Accept: application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\nAccept-Encoding: gzip\r\n"
    "X-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n"};

/* All loops of guests are busy, and there is no room for one more of them. */
static void test_probe__is_answered_whatever_guests_do(void **state)
{
    struct http_config config = small_config();
    config.threads = config.max_connections = 1;
    config.admin_socket = admin_path;
    assert_true(err_ok(http_server_start(&config, &holding_handler, &server)));
    int guest = client();
    put_text(guest, GET("/hold"));
    AWAIT(loops_held() == 1);
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) expect_probe(probes[i]);
    int admin = dial_unix(admin_path);
    assert_int_equal(ask(admin, GET("/x")).status, 200);
    close(admin);
    int over = client();
    assert_int_equal(ask(over, GET("/x")).status, 503);
    expect_end(over);
    close(over);
    let_go();
    assert_int_equal(read_reply(guest).status, 200);
    close(guest);
}

/* Nobody else jumps the line; what comes behind a probe is answered in its order. */
static void test_probe__is_nothing_else(void **state)
{
    static const char *const others[] = {
        GET("/healthz/x"), GET("/healthzx"), GET("/x"), "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        POST("/healthz", "0"), " GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"};
    struct http_config config = small_config();
    config.max_connections = 1;
    start_with(&config);
    int guest = client();
    assert_int_equal(ask(guest, GET("/x")).status, 200);
    assert_int_equal(ask(guest, GET("/healthz")).status, 200);
    assert_int_equal(ask(guest, GET("/x")).status, 200);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        int fd = client();
        assert_int_equal(ask(fd, others[i]).status, 503);
        close(fd);
    }
    int two = client();
    assert_int_equal(ask(two, GET("/healthz") GET("/deny")).status, 200);
    assert_int_equal(read_reply(two).status, 403);
    assert_int_equal(ask(two, GET("/x")).status, 200);
    close(two);
    close(guest);
}

static void expect_only(const char *address, const char *request, int status)
{
    int fd = dial(address);
    assert_int_equal(ask(fd, request).status, status);
    expect_end(fd);
    close(fd);
}

static void test_probe__on_a_socket_of_its_own(void **state)
{
    static const char *const some[] = {"127.0.0.1:0"};
    struct http_config config = small_config();
    config.probe_sockets = some;
    config.probe_socket_count = 1;
    start_with(&config);
    const char *address = http_server_address(server, 1);
    assert_string_not_equal(address, http_server_address(server, 0));
    assert_null(http_server_address(server, 2));
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) expect_only(address, probes[i], 200);
    unsigned served = serves;
    expect_only(address, GET("/x"), 404);
    expect_only(address, POST("/healthz", "0"), 404);
    expect_only(address, GET("/healthz") GET("/x"), 200);
    assert_int_equal(serves, served + 1);
}

/* Without a word it is a guest like others, once the system hands it over. */
static void test_probe__silent_connections_are_counted(void **state)
{
    struct http_config config = small_config();
    config.max_connections = 2;
    start_with(&config);
    int silent = client(), begun = client();
    put_text(begun, "GET /healthz HTTP/1.1\r\n"); /* no whole head, so no probe */
    AWAIT(stats().open == 2);
    int over = client();
    assert_int_equal(ask(over, GET("/x")).status, 503);
    close(over);
    assert_int_equal(ask(silent, GET("/x")).status, 200);
    assert_int_equal(ask(begun, "Host: x\r\n\r\n").status, 200);
    close(silent);
    close(begun);
}

static void test_probe__one_too_many_is_a_guest(void **state)
{
    int fd[HTTP_PROBE_CONNECTIONS + 1];
    start_small(NULL);
    for (size_t i = 0; i <= HTTP_PROBE_CONNECTIONS; i++) {
        fd[i] = client();
        assert_int_equal(ask(fd[i], GET("/healthz")).status, 200);
    }
    for (size_t i = 0; i <= HTTP_PROBE_CONNECTIONS; i++) close(fd[i]);
}

#define TEST(t) cmocka_unit_test_teardown(t, stop_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_probe__is_answered_whatever_guests_do),
        TEST(test_probe__is_nothing_else),
        TEST(test_probe__on_a_socket_of_its_own),
        TEST(test_probe__silent_connections_are_counted),
        TEST(test_probe__one_too_many_is_a_guest),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}

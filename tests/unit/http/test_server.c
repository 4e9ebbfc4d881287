/* The server as a server: limits, deadlines, the admin socket, start and stop. */
#include <pthread.h>

#include "admin_path.h"

#include <sys/stat.h>

#define GET(target) "GET " target " HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST(target, length) \
    "POST " target " HTTP/1.1\r\nHost: x\r\nContent-Length: " length "\r\n\r\n"

/* ---- start ---------------------------------------------------------------------------------- */

static void test_start__several_sockets_and_loops(void **state)
{
    static const char *const sockets[] = {"127.0.0.1:0", "127.0.0.1:0"};
    struct http_config config = {.sockets = sockets, .socket_count = 2};
    start_with(&config);
    assert_string_not_equal(http_server_address(server, 0), http_server_address(server, 1));
    assert_null(http_server_address(server, 2));
    for (size_t i = 0; i < 2; i++) {
        int fd = dial(http_server_address(server, i));
        assert_int_equal(ask(fd, GET("/x")).status, 200);
        close(fd);
    }
}

static void test_start__errors_leave_nothing(void **state)
{
    struct http_config config = small_config();
    config.admin_socket = admin_path;
    start_with(&config);
    const char *both[] = {"127.0.0.1:0", http_server_address(server, 0), "nonsense"};
    struct http_server *second = NULL;
    struct http_config taken = {.sockets = both, .socket_count = 2};
    struct err e = http_server_start(&taken, &test_handler, &second);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_non_null(strstr(err_text(e), "address in use: 127.0.0.1:"));
    taken = (struct http_config){.sockets = both, .socket_count = 1, .admin_socket = admin_path};
    e = http_server_start(&taken, &test_handler, &second);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_non_null(strstr(err_text(e), "address in use"));
    both[1] = "nonsense";
    taken = (struct http_config){.sockets = both, .socket_count = 2};
    assert_int_equal(http_server_start(&taken, &test_handler, &second).code, ERR_USAGE);
    assert_null(second);
    int fd = dial_unix(admin_path); /* the first one is unharmed */
    assert_int_equal(ask(fd, GET("/x")).status, 200);
    close(fd);
}

/* ---- limits --------------------------------------------------------------------------------- */

/* A head that is so long but for `rest` bytes is read, a longer one is refused. */
static void expect_head_limit(size_t bytes, size_t rest)
{
    static const char begun[] = "GET /x HTTP/1.1\r\nHost: h\r\nX-Long: ", end[] = "\r\n\r\n";
    for (int over = 0; over < 2; over++) {
        _cleanup_buf_ struct buf head = BUF_INIT;
        size_t len = bytes - (over ? 0 : rest);
        buf_add_str(&head, begun);
        memset(buf_extend(&head, len), 'x', len);
        buf_add_str(&head, end);
        int fd = client();
        struct reply r = ask(fd, buf_str(&head));
        assert_int_equal(r.status, over ? 431 : 200);
        close(fd);
    }
}

static void test_limit__head(void **state)
{
    struct http_config config = small_config();
    config.head_bytes = HTTP_HEAD_MIN;
    start_with(&config);
    expect_head_limit(HTTP_HEAD_MIN, 4096);
    stop_server(NULL);
    config.head_bytes = 0;
    start_with(&config);
    expect_head_limit(HTTP_HEAD_BYTES, 32 << 10);
}

static void test_limit__connections(void **state)
{
    struct http_config config = small_config();
    config.max_connections = 3;
    config.admin_socket = admin_path;
    start_with(&config);
    int fd[3];
    for (int i = 0; i < 3; i++) {
        fd[i] = client();
        assert_int_equal(ask(fd[i], GET("/x")).status, 200);
    }
    int over = client();
    struct reply r = read_reply(over);
    assert_int_equal(r.status, 503);
    assert_string_equal(field(&r, "Retry-After"), "1");
    expect_end(over);
    close(over);
    assert_int_equal(stats().refused_busy, 1);
    assert_int_equal(stats().open, 3);

    int admin = dial_unix(admin_path); /* an operator still gets in */
    assert_int_equal(ask(admin, GET("/x")).status, 200);
    close(admin);

    close(fd[0]);
    AWAIT(stats().open == 2);
    fd[0] = client();
    assert_int_equal(ask(fd[0], GET("/x")).status, 200);
    for (int i = 0; i < 3; i++) close(fd[i]);
    AWAIT(stats().open == 0);
    assert_int_equal(stats().accepted, 5);
}

/* However long its head is. */
static void test_limit__connections_long_head(void **state)
{
    struct http_config config = small_config();
    config.max_connections = 1;
    start_with(&config);
    _cleanup_buf_ struct buf head = BUF_INIT;
    buf_add_str(&head, "GET /x HTTP/1.1\r\nHost: x\r\nX-Long: ");
    memset(buf_extend(&head, 40 << 10), 'x', 40 << 10);
    buf_add_str(&head, "\r\n\r\n");
    int fd = client();
    assert_int_equal(ask(fd, GET("/x")).status, 200);
    for (int i = 0; i < 20; i++) {
        int over = client();
        put(over, head.data, head.len);
        assert_int_equal(read_reply(over).status, 503);
        close(over);
    }
    close(fd);
}

static void test_limit__connections_per_ip(void **state)
{
    struct http_config config = small_config();
    config.max_connections_per_ip = 2;
    start_with(&config);
    int fd[2];
    for (int i = 0; i < 2; i++) {
        fd[i] = client();
        assert_int_equal(ask(fd[i], GET("/x")).status, 200);
    }
    int over = client();
    assert_int_equal(read_reply(over).status, 503);
    close(over);
    for (int i = 0; i < 2; i++) close(fd[i]);
}

/* ---- deadlines ------------------------------------------------------------------------------ */

/* Sends a byte after each answer to poll, which is "nothing yet", until the server has enough. */
static void drip(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t until = clock_mono_ns() + PATIENCE_MS * UINT64_C(1000000);
    while (poll(&p, 1, 50) == 0) {
        put_text(fd, "y");
        assert_true(clock_mono_ns() < until);
    }
}

static void start_impatient(unsigned head, unsigned body, unsigned request)
{
    struct http_config config = small_config();
    config.head_seconds = head;
    config.body_seconds = body;
    config.request_seconds = request;
    start_with(&config);
}

static void test_deadline__dripping_head(void **state)
{
    start_impatient(1, 0, 0);
    int fd = client();
    put_text(fd, "GET /x HTTP/1.1\r\nX: ");
    drip(fd);
    struct reply r;
    if (read_reply_to(fd, &r, false)) {
        assert_int_equal(r.status, 408);
        expect_end(fd);
    }
    close(fd);
    AWAIT(stats().open == 0);
    AWAIT(stats().timed_out == 1); /* counted when all late ones are cut */
    assert_int_equal(heads, 0);
}

static void test_deadline__dripping_body(void **state)
{
    start_impatient(0, 1, 0);
    int fd = client();
    put_text(fd, "POST /echo HTTP/1.1\r\nX-Test: slow\r\nContent-Length: 4000\r\n\r\n");
    drip(fd);
    struct reply r;
    if (read_reply_to(fd, &r, false)) {
        assert_int_equal(r.status, 408);
        /* the connection's headers are out of reach by then */
        assert_string_equal(r.body, "refused");
        assert_string_equal(field(&r, "Connection"), "close");
        expect_end(fd);
    }
    close(fd);
    AWAIT(stats().open == 0 && frees == 1);
    assert_int_equal(refuses, 1);
    assert_int_equal(serves, 0);
    AWAIT(stats().timed_out == 1); /* counted when all late ones are cut */
    assert_int_equal(secret_used(), 0);
}

static void test_deadline__silent_body_is_answered(void **state)
{
    start_impatient(0, 1, 0);
    int fd = client();
    struct reply r = ask(fd, POST("/echo", "4000") "{");
    assert_int_equal(r.status, 408);
    expect_end(fd);
    close(fd);
}

/* A time to stay idle that is shorter than the time for a body does not end the body. */
static void test_deadline__silent_body_is_not_idle(void **state)
{
    struct http_config config = small_config();
    config.idle_seconds = 1;
    config.body_seconds = 2;
    start_with(&config);
    int fd = client();
    struct reply r = ask(fd, POST("/echo", "4000") "{");
    assert_int_equal(r.status, 408);
    expect_end(fd);
    close(fd);
}

#define LARGE (12u << 20)

/* A peer that does not read: the answer is larger than what sockets hold. */
static void test_deadline__answer_not_read(void **state)
{
    start_impatient(0, 0, 3);
    int fd = client(), small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    put_text(fd, POST("/pend", "6") "secret");
    struct exchange *x = await_pending();
    assert_true(secret_used() > 0);
    x->resp.status = 200;
    uint8_t *body = buf_extend(&x->resp.body, LARGE);
    ENSURE(body);
    memset(body, 'z', LARGE);
    x->resume(x);
    AWAIT(secret_used() == 0); /* the request's body goes when the answer is queued */
    assert_int_equal(stats().open, 1);
    AWAIT(stats().timed_out == 1 && stats().open == 0);
    close(fd);
}

static void test_deadline__pending_is_not_cut(void **state)
{
    start_impatient(1, 1, 1);
    int fd = client(), late = client();
    put_text(fd, GET("/pend"));
    struct exchange *x = await_pending();
    put_text(late, "GET /x HTTP/1.1\r\nX"); /* began later, and its deadline passes first */
    AWAIT(stats().timed_out == 1);
    describe(x);
    x->resume(x);
    assert_int_equal(read_reply(fd).status, 200);
    assert_int_equal(ask(fd, GET("/y")).status, 200);
    close(fd);
    close(late);
}

static void test_deadline__idle(void **state)
{
    struct http_config config = small_config();
    config.idle_seconds = 1;
    start_with(&config);
    int fd = client();
    assert_int_equal(ask(fd, GET("/x")).status, 200);
    expect_end(fd);
    close(fd);
}

/* ---- admin socket --------------------------------------------------------------------------- */

static void test_admin__peer_and_mode(void **state)
{
    struct http_config config = small_config();
    config.admin_socket = admin_path;
    start_with(&config);
    struct stat st;
    assert_int_equal(lstat(admin_path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    int fd = dial_unix(admin_path);
    char expected[64];
    snprintf(expected, sizeof expected, "GET 0 /x - unix:uid=%u 0", geteuid());
    for (int i = 0; i < 3; i++) assert_string_equal(ask(fd, GET("/x")).body, expected);
    assert_string_equal(ask(fd, POST("/echo", "2") "ab").body, "ab");
    close(fd);
    stop_server(NULL);
    assert_int_equal(lstat(admin_path, &st), -1);
}

static void test_admin__without_tcp(void **state)
{
    struct http_config config = {.admin_socket = admin_path, .threads = 1};
    start_with(&config);
    assert_null(http_server_address(server, 0));
    int fd = dial_unix(admin_path);
    assert_int_equal(ask(fd, GET("/x")).status, 200);
    close(fd);
}

/* ---- many at once --------------------------------------------------------------------------- */

static void *client_loop(void *arg)
{
    static const char *const requests[] = {GET("/x"), POST("/echo", "3") "abc", GET("/early")};
    for (int i = 0; i < 60; i++) {
        int fd = client();
        for (size_t j = 0; j < 3; j++)
            if (ask(fd, requests[j]).status != 200) return arg;
        close(fd);
    }
    return NULL;
}

static void test_many__clients_at_once(void **state)
{
    struct http_config config = small_config();
    config.threads = 3;
    start_with(&config);
    pthread_t thread[6];
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, client_loop, server), 0);
    for (size_t i = 0; i < 6; i++) {
        void *failed = NULL;
        pthread_join(thread[i], &failed);
        assert_null(failed);
    }
    AWAIT(stats().open == 0);
    assert_int_equal(stats().accepted, 360);
    assert_int_equal(heads, 1080);
    assert_int_equal(frees, 1080);
}

/* ---- stop ----------------------------------------------------------------------------------- */

static void *stop_thread(void *arg)
{
    http_server_stop(server, *(unsigned *) arg);
    return NULL;
}

/* With a grace the pending request is answered; without, it still is waited for. */
static void test_stop__while_suspended(void **state)
{
    static unsigned graces[] = {5000, 0};
    for (size_t i = 0; i < 2; i++) {
        start_small(NULL);
        int idle = client(), fd = client(), body = client();
        assert_int_equal(ask(idle, GET("/x")).status, 200);
        put_text(body, POST("/echo", "50") "{");
        AWAIT(heads == 2);
        put_text(fd, GET("/pend"));
        struct exchange *x = await_pending();
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, stop_thread, &graces[i]), 0);
        expect_end(idle);
        if (graces[i] == 0) expect_end(body);
        close(idle);
        close(body);
        describe(x);
        x->resume(x);
        if (graces[i]) {
            struct reply r = read_reply(fd);
            assert_int_equal(r.status, 200);
            assert_string_equal(field(&r, "Connection"), "close");
            expect_end(fd);
        }
        pthread_join(thread, NULL);
        server = NULL;
        close(fd);
        assert_int_equal(frees, 3);
        assert_int_equal(secret_used(), 0);
    }
}

/* What never ends is left as it is, and so is all that it uses; a later try finds it ended. */
static void test_stop__what_does_not_end_is_not_freed(void **state)
{
    struct http_config config = small_config();
    config.stop_seconds = 1;
    start_with(&config);
    int fd = client();
    put_text(fd, GET("/pend"));
    struct exchange *x = await_pending();
    assert_false(http_server_stop(server, 0));
    assert_false(http_server_stop(server, 0));
    assert_int_equal(frees, 0);
    describe(x);
    x->resume(x);
    assert_true(http_server_stop(TAKE_PTR(server), 0));
    assert_int_equal(frees, 1);
    close(fd);
}

static void test_stop__busy_clients_and_port_is_free_again(void **state)
{
    start_small(NULL);
    char address[80];
    snprintf(address, sizeof address, "%s", http_server_address(server, 0));
    int fd[20];
    for (size_t i = 0; i < 20; i++) {
        fd[i] = client();
        put_text(fd[i], i % 2 ? POST("/echo", "50") "{" : "GET /x HTTP/1.1\r\nX");
    }
    AWAIT(heads == 10);
    stop_server(NULL);
    for (size_t i = 0; i < 20; i++) {
        expect_end(fd[i]);
        close(fd[i]);
    }
    assert_int_equal(frees, 10);
    const char *again[] = {address};
    struct http_config config = {.sockets = again, .socket_count = 1};
    start_with(&config);
}

static void test_stop__null(void **state)
{
    assert_true(http_server_stop(NULL, 0));
}

#define TEST(t) cmocka_unit_test_teardown(t, stop_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_start__several_sockets_and_loops),
        TEST(test_start__errors_leave_nothing),
        TEST(test_limit__head),
        TEST(test_limit__connections),
        TEST(test_limit__connections_long_head),
        TEST(test_limit__connections_per_ip),
        TEST(test_deadline__dripping_head),
        TEST(test_deadline__dripping_body),
        TEST(test_deadline__silent_body_is_answered),
        TEST(test_deadline__silent_body_is_not_idle),
        TEST(test_deadline__answer_not_read),
        TEST(test_deadline__pending_is_not_cut),
        TEST(test_deadline__idle),
        TEST(test_admin__peer_and_mode),
        TEST(test_admin__without_tcp),
        TEST(test_many__clients_at_once),
        TEST(test_stop__while_suspended),
        TEST(test_stop__what_does_not_end_is_not_freed),
        TEST(test_stop__busy_clients_and_port_is_free_again),
        TEST(test_stop__null),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}

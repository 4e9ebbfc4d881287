/* An event loop rests while it waits for its guests, whatever they have said so far. */
#include "held.h"
#include "tls_peer.h"

#include <sys/epoll.h>
#include <sys/syscall.h>

#define LOOK_MS 200
#define TURNS_MAX 100 /* while we look; a loop that does not rest makes thousands */

#define RECORDS 600u

static atomic_uint turns;
static atomic_uint idle_waits; /* for a time that passed without news */
static __thread bool is_loop;

/* In the place of the system's: libmicrohttpd calls it once a turn. */
int epoll_wait(int set, struct epoll_event *events, int max, int ms)
{
    turns++;
    is_loop = true;
    return (int) syscall(SYS_epoll_wait, set, events, max, ms);
}

/* Likewise: an event loop waits with it. */
int poll(struct pollfd *fds, nfds_t count, int ms)
{
    int n = (int) syscall(SYS_poll, fds, count, ms);
    if (is_loop && n == 0) idle_waits++;
    return n;
}

static void expect_rest(void)
{
    bool rests = false;
    for (int i = 0; i < 20 && !rests; i++) { /* what was said has to arrive first */
        turns = 0;
        poll(NULL, 0, LOOK_MS);
        rests = turns <= TURNS_MAX;
    }
    if (!rests) fail_msg("%u turns in %d ms", turns, LOOK_MS);
}

static void expect_rest_after(int fd, const char *text, size_t len)
{
    put(fd, text, len);
    expect_rest();
    close(fd);
    AWAIT(stats().open == 0);
}

static void test_rest__in_mid_request(void **state)
{
    static const char *const begun[] = {
        "", "GET /x", "GET /x HTTP/1.1\r\nHost: x\r\n", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX:"};
    for (size_t i = 0; i < sizeof begun / sizeof *begun; i++)
        expect_rest_after(client(), begun[i], strlen(begun[i]));
}

/* libmicrohttpd has no room for it, and reads no further. */
static void test_rest__in_a_chunk_extension_without_end(void **state)
{
    int fd = client(), other = client();
    send_repeated(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;", 'x', 2 * HTTP_HEAD_BYTES, "");
    expect_rest();
    assert_int_equal(ask(other, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
    expect_rest();
    close(other);
    close(fd);
}

static void test_rest__between_requests_and_in_pending_ones(void **state)
{
    int fd = client();
    assert_int_equal(ask(fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
    expect_rest();
    put_text(fd, "GET /pend HTTP/1.1\r\nHost: x\r\n\r\n");
    struct exchange *x = await_pending();
    expect_rest();
    fill_text(&x->resp, 200, "late");
    x->resume(x);
    assert_int_equal(read_reply(fd).status, 200);
    close(fd);
    AWAIT(stats().open == 0);
}

/* After the first bytes of a ClientHello. */
static void test_rest__in_mid_handshake(void **state)
{
    static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on";
    expect_rest_after(dial(http_server_address(server, 0)), hello, sizeof hello);
}

/* All of them are there at once, and each is read in a turn of its own: no event tells of the next. */
static void expect_no_rest(const char *begin, const char *record, const char *end)
{
    static const struct tls_dial any = {0};
    struct pump *p = tls_shake(http_server_address(server, 0), &any);
    ENSURE(p);
    int holder = client();
    put_text(holder, GET("/hold"));
    AWAIT(loops_held() == 1);
    put_record(p, begin);
    for (unsigned i = 0; i < RECORDS; i++) put_record(p, record);
    if (*end) put_record(p, end);
    idle_waits = 0;
    let_go();
    expect_record(p, "HTTP/1.1 200");
    assert_int_equal(idle_waits, 0);
    assert_int_equal(read_reply(holder).status, 200);
    close(holder);
    pump_free(p);
}

static void test_rest__not_in_a_body_of_many_records(void **state)
{
    char head[100];
    snprintf(head, sizeof head, "POST /huge HTTP/1.1\r\nHost: x\r\nContent-Length: %u\r\n\r\n", RECORDS * 8);
    expect_no_rest(head, "8 bytes.", "");
}

static void test_rest__not_in_a_head_of_many_records(void **state)
{
    expect_no_rest("GET /x HTTP/1.1\r\nHost: x\r\nX: ", "y", "\r\n\r\n");
}

static void test_rest__not_in_a_trailer_of_many_records(void **state)
{
    expect_no_rest("POST /huge HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", "y", "\r\n\r\n");
}

/* A record a turn, as long as the socket takes them. */
static void test_rest__not_in_an_answer_of_many_records(void **state)
{
    static const struct tls_dial small = {.record_max = 512};
    struct pump *p = tls_shake(http_server_address(server, 0), &small);
    ENSURE(p);
    char block[512];
    size_t got = 0;
    idle_waits = 0;
    put_record(p, GET("/long"));
    while (got < HTTP_TURN_BYTES / 2) got += get_record(p, block, sizeof block);
    assert_int_equal(idle_waits, 0);
    pump_free(p);
}

/* What a head decides is answered with no turn of its own. */
static void test_rest__not_before_the_last_of_many_refusals(void **state)
{
    static const char one[] = GET("/deny");
    char all[RECORDS * (sizeof one - 1)];
    for (unsigned i = 0; i < RECORDS; i++) memcpy(all + i * (sizeof one - 1), one, sizeof one - 1);
    int fd = client();
    idle_waits = 0;
    put(fd, all, sizeof all);
    for (unsigned i = 0; i < RECORDS; i++) assert_int_equal(read_reply(fd).status, 403);
    assert_int_equal(idle_waits, 0);
    close(fd);
}

static int start_tls(void **state)
{
    tls_on(state);
    return start_small(state);
}

static int start_one_loop(void **state)
{
    tls_on(state);
    struct http_config config = small_config();
    config.threads = 1;
    assert_true(err_ok(http_server_start(&config, &holding_handler, &server)));
    return 0;
}

static int stop_tls(void **state)
{
    stop_server(state);
    return tls_off(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rest__in_mid_request, start_small, stop_server),
        cmocka_unit_test_setup_teardown(test_rest__in_a_chunk_extension_without_end, start_small, stop_server),
        cmocka_unit_test_setup_teardown(test_rest__between_requests_and_in_pending_ones, start_small, stop_server),
        cmocka_unit_test_setup_teardown(test_rest__in_mid_handshake, start_tls, stop_tls),
        cmocka_unit_test_setup_teardown(test_rest__not_before_the_last_of_many_refusals, start_small, stop_server),
        cmocka_unit_test_setup_teardown(test_rest__not_in_a_body_of_many_records, start_one_loop, stop_tls),
        cmocka_unit_test_setup_teardown(test_rest__not_in_a_head_of_many_records, start_one_loop, stop_tls),
        cmocka_unit_test_setup_teardown(test_rest__not_in_a_trailer_of_many_records, start_one_loop, stop_tls),
        cmocka_unit_test_setup_teardown(test_rest__not_in_an_answer_of_many_records, start_one_loop, stop_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

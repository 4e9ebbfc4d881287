/* Event loops: what comes while one is busy is served when it is not. */
#include "held.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

/* libmicrohttpd takes so many events from the kernel at a time. */
#define EVENTS_AT_ONCE 128u

#define GUESTS_MAX (2 * EVENTS_AT_ONCE)

static int holder, guest[GUESTS_MAX];

/* So many guests of a server with one loop, which is busy. */
static void hold_loop(unsigned guests)
{
    struct http_config config = small_config();
    config.threads = 1;
    assert_true(err_ok(http_server_start(&config, &holding_handler, &server)));
    serves = 0;
    holder = client();
    for (unsigned i = 0; i < guests; i++) {
        guest[i] = client();
        assert_int_equal(ask(guest[i], GET("/x")).status, 200);
    }
    /* whoever was answered last is looked at first: none of the guests */
    assert_int_equal(ask(holder, GET("/x")).status, 200);
    put_text(holder, GET("/hold"));
    AWAIT(loops_held() == 1);
}

static void expect_answers(unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) assert_int_equal(read_reply(guest[i]).status, 200);
}

static void leave(unsigned guests)
{
    for (unsigned i = 0; i < guests; i++) close(guest[i]);
    close(holder);
    stop_server(NULL);
}

static unsigned on_the_way(int fd)
{
    int bytes = 0;
    assert_int_equal(ioctl(fd, SIOCOUTQ, &bytes), 0);
    return (unsigned) bytes;
}

/* Returns when the request lies at the server: what is sent next comes behind it. */
static void put_in_order(int fd, const char *request)
{
    put_text(fd, request);
    AWAIT(on_the_way(fd) == 0);
}

/* All requests come at once for the loop, and nothing comes after them that would wake it again. */
static void expect_served(unsigned guests)
{
    hold_loop(guests);
    for (unsigned i = 0; i < guests; i++) put_text(guest[i], GET("/x"));
    let_go();
    assert_int_equal(read_reply(holder).status, 200);
    expect_answers(0, guests);
    leave(guests);
}

static void test_loop__serves_however_many_come_at_once(void **state)
{
    static const unsigned numbers[] = {1, EVENTS_AT_ONCE - 1, EVENTS_AT_ONCE, EVENTS_AT_ONCE + 1, 2 * EVENTS_AT_ONCE};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) expect_served(numbers[i]);
}

/* More than it takes over at a time; and those before the last say nothing (the system hands them over after
 * HTTP_SILENT_SECONDS), so nothing but their number has the loop go on. */
static void test_loop__takes_over_however_many_connect_at_once(void **state)
{
    unsigned guests = 8 * HTTP_TURN;
    hold_loop(0);
    for (unsigned i = 0; i + 1 < guests; i++) guest[i] = client();
    AWAIT(stats().open == guests);
    guest[guests - 1] = client();
    put_text(guest[guests - 1], GET("/x"));
    AWAIT(stats().open == guests + 1);
    let_go();
    assert_int_equal(read_reply(holder).status, 200);
    expect_answers(guests - 1, guests);
    leave(guests);
}

/* Those of one turn have their answers before anybody of the next is served. */
static void test_loop__serves_in_turns(void **state)
{
    unsigned guests = HTTP_TURN + 2;
    hold_loop(guests);
    for (unsigned i = 0; i < guests; i++) put_in_order(guest[i], i == HTTP_TURN ? GET("/hold") : GET("/x"));
    let_go();
    assert_int_equal(read_reply(holder).status, 200);
    AWAIT(loops_held() == 1);
    expect_answers(0, HTTP_TURN);
    assert_int_equal(serves, guests + 2 + HTTP_TURN);
    let_go();
    expect_answers(HTTP_TURN, guests);
    leave(guests);
}

/* Long answers end a turn, since all of them are in memory until it ends. */
static void test_loop__ends_a_turn_early(void **state)
{
    char byte;
    hold_loop(4);
    for (unsigned i = 0; i < 3; i++) put_in_order(guest[i], GET("/long"));
    put_in_order(guest[3], GET("/hold"));
    let_go();
    assert_int_equal(read_reply(holder).status, 200);
    AWAIT(loops_held() == 1);
    for (unsigned i = 0; i < 2; i++) assert_int_equal(get_some(guest[i], &byte, 1), 1);
    assert_int_equal(recv(guest[2], &byte, 1, MSG_DONTWAIT), -1);
    let_go();
    expect_answers(3, 4);
    leave(4);
}

/* A peer that sends no more may still wait for the answer to what it sent. */
static void test_loop__answers_who_ended_the_sending_side(void **state)
{
    unsigned guests = 4;
    hold_loop(guests);
    for (unsigned i = 0; i < guests; i++) {
        put_text(guest[i], GET("/x"));
        shutdown(guest[i], SHUT_WR);
    }
    let_go();
    assert_int_equal(read_reply(holder).status, 200);
    expect_answers(0, guests);
    for (unsigned i = 0; i < guests; i++) expect_end(guest[i]);
    leave(guests);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loop__serves_however_many_come_at_once),
        cmocka_unit_test(test_loop__takes_over_however_many_connect_at_once),
        cmocka_unit_test(test_loop__serves_in_turns),
        cmocka_unit_test(test_loop__answers_who_ended_the_sending_side),
        cmocka_unit_test(test_loop__ends_a_turn_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Event loops: what comes while one is busy is served when it is not. */
#include "held.h"

/* libmicrohttpd takes so many events from the kernel at a time. */
#define EVENTS_AT_ONCE 128u

/* Guests whose requests come while the only loop is busy, all at once for it. Nothing comes after them that would
 * wake it again. */
static void expect_served(unsigned guests)
{
    struct http_config config = small_config();
    config.threads = 1;
    assert_true(err_ok(http_server_start(&config, &holding_handler, &server)));
    int holder = client(), *fd = calloc(guests, sizeof *fd);
    assert_non_null(fd);
    for (unsigned i = 0; i < guests; i++) {
        fd[i] = client();
        assert_int_equal(ask(fd[i], GET("/x")).status, 200);
    }
    put_text(holder, GET("/hold"));
    AWAIT(loops_held() == 1);
    for (unsigned i = 0; i < guests; i++) put_text(fd[i], GET("/x"));
    let_go(true);
    assert_int_equal(read_reply(holder).status, 200);
    let_go(false);
    for (unsigned i = 0; i < guests; i++) {
        assert_int_equal(read_reply(fd[i]).status, 200);
        close(fd[i]);
    }
    close(holder);
    free(fd);
    stop_server(NULL);
}

static void test_loop__serves_however_many_come_at_once(void **state)
{
    static const unsigned numbers[] = {1, EVENTS_AT_ONCE - 1, EVENTS_AT_ONCE, EVENTS_AT_ONCE + 1, 2 * EVENTS_AT_ONCE};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) expect_served(numbers[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loop__serves_however_many_come_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

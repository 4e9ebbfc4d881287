/* Connections that an event loop cannot take over: the system has no room for one more to be watched. */
#include "peer.h"

#include <sys/epoll.h>
#include <sys/syscall.h>

static atomic_bool full;
static atomic_uint watched; /* times that a connection began to be */

/* In the place of the system's, for libmicrohttpd too. */
int epoll_ctl(int set, int op, int fd, struct epoll_event *event)
{
    if (full && op == EPOLL_CTL_ADD) {
        errno = ENOSPC;
        return -1;
    }
    int rc = (int) syscall(SYS_epoll_ctl, set, op, fd, event);
    if (op == EPOLL_CTL_ADD) watched++;
    return rc;
}

static void test_adopt__without_room_ends_that_connection_alone(void **state)
{
    static const char get[] = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n";
    start_small(NULL);
    int before = client(), leaving = client();
    assert_int_equal(ask(before, get).status, 200);
    assert_int_equal(ask(leaving, get).status, 200);
    AWAIT(watched == 4); /* each from its beginning, and again after its request */
    full = true;
    int refused = client();
    put_text(refused, get);
    expect_end(refused);
    assert_int_equal(ask(leaving, get).status, 200);
    expect_end(leaving); /* it was not watched while its request waited */
    full = false;
    AWAIT(stats().open == 1);
    int after = client();
    assert_int_equal(ask(after, get).status, 200);
    assert_int_equal(ask(before, get).status, 200);
    close(before);
    close(leaving);
    close(refused);
    close(after);
    stop_server(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_adopt__without_room_ends_that_connection_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/lib/test.h"

#include "broker/base/clock.h"
#include "broker/base/watchdog.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static _Atomic uint64_t stop_at;

static struct watchdog *new_dog(void)
{
    struct watchdog *w = NULL;
    stop_at = 0;
    assert_ok(watchdog_new(&stop_at, &w));
    return w;
}

/* Reads one side until its end, which only the watchdog can bring. */
static void *read_to_end(void *arg)
{
    char byte;
    while (recv(*(int *) arg, &byte, 1, 0) > 0) continue;
    return NULL;
}

static void wait_for_end(struct watchdog *w, uint64_t until, uint64_t stop)
{
    int pair[2];
    pthread_t reader;
    struct watched x;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    watchdog_start(w, &x, until);
    watchdog_socket(w, &x, pair[0]);
    assert_int_equal(pthread_create(&reader, NULL, read_to_end, &pair[0]), 0);
    stop_at = stop;
    pthread_join(reader, NULL);
    watchdog_end(w, &x);
    assert_int_equal(x.fd, -1);
    close(pair[0]);
    close(pair[1]);
}

static void test_time_is_over(void **state)
{
    struct watchdog *w = new_dog();
    wait_for_end(w, clock_mono_ns(), 0);
    wait_for_end(w, UINT64_MAX, clock_mono_ns());
    watchdog_free(w);
}

/* What is done is let be, and so is whoever got its number. */
static void test_others_are_let_be(void **state)
{
    struct watchdog *w = new_dog();
    struct watched early, late;
    int a[2], b[2], c[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a), 0);
    watchdog_start(w, &late, UINT64_MAX);
    watchdog_socket(w, &late, a[0]);
    watchdog_start(w, &early, clock_mono_ns());
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b), 0);
    watchdog_socket(w, &early, b[0]);
    close(b[0]); /* the library gave it up; ours is another descriptor of the same socket */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, c), 0);
    assert_int_equal(c[0], b[0]); /* and this took its number */
    char byte;
    assert_int_equal(recv(b[1], &byte, 1, 0), 0); /* ended by the watchdog */
    assert_int_equal(send(a[1], "x", 1, MSG_NOSIGNAL), 1);
    assert_int_equal(recv(a[0], &byte, 1, 0), 1);
    watchdog_end(w, &early);
    assert_int_equal(send(c[1], "x", 1, MSG_NOSIGNAL), 1);
    assert_int_equal(recv(c[0], &byte, 1, 0), 1);
    watchdog_end(w, &late);
    watchdog_free(w);
    close(c[0]);
    close(c[1]);
    close(a[0]);
    close(a[1]);
    close(b[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_is_over),
        cmocka_unit_test(test_others_are_let_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

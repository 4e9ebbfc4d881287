/* A helper seen from a broker that is not what it should be. The helper is this program again. */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pkcs11/wall.h"
#include "tests/lib/softhsm.h"

extern char **environ;

static struct softhsm hsm;
static pid_t pid;
static int control = -1, channel = -1;

static int setup(void **state)
{
    return softhsm_start(&hsm, "vault");
}

static void close_all(void)
{
    if (channel >= 0) close(channel);
    if (control >= 0) close(control);
    channel = control = -1;
}

/* Its exit code; 128 and more: a signal. */
static int await_end(void)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int teardown(void **state)
{
    close_all();
    if (pid) kill(pid, SIGKILL);
    if (pid) await_end();
    return softhsm_stop(&hsm);
}

static void start(void)
{
    int pair[2];
    char name[] = "strongroom", word[] = "token-helper";
    char *argv[] = {name, word, NULL};
    posix_spawn_file_actions_t files;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, pair[1], WALL_CONTROL_FD);
    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", &files, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&files);
    close(pair[1]);
    control = pair[0];
}

static void greet(void)
{
    struct wall_hello hello = {.size = sizeof hello, .memory_locked = 1u << 20, .best_effort = true};
    struct err_chain answer = {0};
    snprintf(hello.module, sizeof hello.module, "%s", hsm.module);
    start();
    assert_int_equal(send(control, &hello, sizeof hello, 0), sizeof hello);
    assert_int_equal(recv(control, &answer, sizeof answer, 0), sizeof answer);
    assert_true(err_ok(answer.err));
}

static void open_channel(void)
{
    int pair[2];
    char byte = 0;
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } space = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space.bytes,
                       .msg_controllen = sizeof space.bytes};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &pair[1], sizeof(int));
    assert_int_equal(sendmsg(control, &m, 0), 1);
    close(pair[1]);
    channel = pair[0];
}

/* The code of C_GetInfo, sent a piece at a time when so wanted. */
static CK_RV ask(size_t pieces)
{
    uint64_t request[3] = {sizeof request, 1, WALL_GetInfo};
    uint64_t head[WALL_REPLY_HEAD] = {0};
    uint8_t rest[sizeof(CK_INFO)];
    for (size_t i = 0; i < sizeof request; i += sizeof request / pieces)
        assert_true(send(channel, (uint8_t *) request + i, sizeof request / pieces, MSG_NOSIGNAL) > 0);
    assert_int_equal(recv(channel, head, sizeof head, MSG_WAITALL), sizeof head);
    size_t more = head[0] - sizeof head;
    if (more) assert_int_equal(recv(channel, rest, more, MSG_WAITALL), more);
    return head[1];
}

static void test_helper__serves_whoever_speaks_well(void **state)
{
    greet();
    open_channel();
    assert_int_equal(ask(1), CKR_CRYPTOKI_NOT_INITIALIZED);
    assert_int_equal(ask(24), CKR_CRYPTOKI_NOT_INITIALIZED); /* byte by byte */
    /* Signals are the broker's affair: a terminal or a service manager sends them to both. */
    kill(pid, SIGTERM);
    kill(pid, SIGINT);
    kill(pid, SIGHUP);
    assert_int_equal(ask(1), CKR_CRYPTOKI_NOT_INITIALIZED);
    close_all();
    assert_int_equal(await_end(), 0);
}

static void test_helper__ends_at_what_is_no_frame(void **state)
{
    static const uint64_t FRAMES[][4] = {
        {24, 1, WALL_CALL_COUNT, 0}, {24, 0, 0, 0}, {24, 3, 0, 0}, {0, 0, 0, 0}, {8, 1, 1, 1},
        {UINT64_MAX, 1, 1, 1}, {32, 1, WALL_GetInfo, 1}, {32, 1, WALL_Decrypt, UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof FRAMES / sizeof *FRAMES; i++) {
        size_t len = FRAMES[i][0] == 24 ? 24 : 32;
        greet();
        open_channel();
        assert_int_equal(send(channel, FRAMES[i], len, 0), len);
        assert_int_equal(await_end(), err_exit_code(ERR_INTERNAL));
        close_all();
    }
}

/* Frames and results beyond its locked memory are refused, one by one. */
static void test_helper__refuses_what_it_has_no_memory_for(void **state)
{
    static uint64_t frame[VALUE_MAX / 8];
    uint64_t head[WALL_REPLY_HEAD];
    greet();
    open_channel();
    frame[0] = sizeof frame;
    assert_int_equal(send(channel, frame, sizeof frame, 0), sizeof frame);
    assert_int_equal(recv(channel, head, sizeof head, MSG_WAITALL), sizeof head);
    assert_int_equal(head[2], WALL_REFUSED);
    uint64_t room[6] = {48, 1, WALL_Decrypt, 1, WALL_NO_BYTES, VALUE_MAX};
    assert_int_equal(send(channel, room, sizeof room, 0), sizeof room);
    assert_int_equal(recv(channel, head, sizeof head, MSG_WAITALL), sizeof head);
    assert_int_equal(head[2], WALL_REFUSED);
    assert_int_equal(ask(1), CKR_CRYPTOKI_NOT_INITIALIZED);
}

static void test_helper__wants_its_broker(void **state)
{
    uint64_t no_hello[4] = {sizeof no_hello};
    start();
    assert_int_equal(send(control, no_hello, sizeof no_hello, 0), sizeof no_hello);
    assert_int_equal(await_end(), err_exit_code(ERR_USAGE));
    close_all();
    start();
    close_all(); /* gone before it spoke */
    assert_int_equal(await_end(), err_exit_code(ERR_USAGE));
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "token-helper") == 0)
        return err_exit_code(p11_helper_run().code);
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_helper__serves_whoever_speaks_well),
        TEST(test_helper__ends_at_what_is_no_frame),
        TEST(test_helper__refuses_what_it_has_no_memory_for),
        TEST(test_helper__wants_its_broker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

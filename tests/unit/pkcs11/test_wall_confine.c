#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pkcs11/wall.h"

/* Each is tried in a process of its own; 0, or the errno that it got. */
static int inet(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0;
}
static int inet6(void)
{
    return socket(AF_INET6, SOCK_DGRAM, 0) < 0 ? errno : 0;
}
static int netlink(void)
{
    return socket(AF_NETLINK, SOCK_RAW, 0) < 0 ? errno : 0;
}
static int local(void)
{
    int pair[2];
    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0;
}
static int run_program(void)
{
    char *argv[] = {NULL};
    execv("/bin/true", argv);
    return errno;
}
static int make_process(void)
{
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    return pid < 0 ? errno : 0;
}
static int signal_parent(void)
{
    return kill(getppid(), 0) ? errno : 0;
}
static int signal_itself(void)
{
    return kill(getpid(), 0) ? errno : 0;
}
/* What comes to a descriptor may send any signal to its owner. */
static int own_by_parent(void)
{
    int pair[2];
    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || fcntl(pair[0], F_SETOWN, getppid()) ? errno : 0;
}
static int own_by_parent_ex(void)
{
    int pair[2];
    struct f_owner_ex owner = {F_OWNER_PID, getppid()};
    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || fcntl(pair[0], F_SETOWN_EX, &owner) ? errno : 0;
}
static int own_by_parent_ioctl(void)
{
    int pair[2], owner = getppid();
    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || ioctl(pair[0], FIOSETOWN, &owner) ? errno : 0;
}
static int own_by_parent_socket(void)
{
    int pair[2], owner = getppid();
    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || ioctl(pair[0], SIOCSPGRP, &owner) ? errno : 0;
}
static int type_into_console(void)
{
    char what = 3; /* paste */
    return ioctl(STDIN_FILENO, TIOCLINUX, &what) ? errno : 0;
}
static int trace_parent(void)
{
    return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) ? errno : 0;
}
static int limit_parent(void)
{
    return prlimit(getppid(), RLIMIT_CORE, NULL, NULL) ? errno : 0;
}
static int limit_itself(void)
{
    struct rlimit none = {0, 0};
    return setrlimit(RLIMIT_CORE, &none) ? errno : 0;
}
static int parent_memory(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", (int) getppid());
    return open(path, O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
}
static int io_ring(void)
{
    return syscall(SYS_io_uring_setup, 1, NULL) ? errno : 0;
}

/* With nothing that the kernel would accept: without a rule of ours it is another errno, or none. */
static long call;
static int raw_call(void)
{
    return syscall(call, -1L, 0L, 0L, 0L, 0L, 0L) < 0 ? errno : 0;
}

static int confined(int (*attempt)(void), bool network)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) _exit(err_ok(wall_confine(network)) ? attempt() : 255);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 254;
}

static void test_confine__what_a_module_may_not(void **state)
{
    static const struct { int (*attempt)(void); int without, with_network; } ROWS[] = {
        {inet, EACCES, 0}, {inet6, EACCES, 0}, {netlink, EACCES, 0}, {local, 0, 0},
        {run_program, EPERM, EPERM}, {make_process, EPERM, EPERM}, {signal_parent, EPERM, EPERM},
        {signal_itself, 0, 0}, {limit_parent, EPERM, EPERM}, {limit_itself, 0, 0},
        {parent_memory, EACCES, EACCES}, {trace_parent, EPERM, EPERM}, {io_ring, EPERM, EPERM},
        {own_by_parent, EPERM, EPERM}, {own_by_parent_ex, EPERM, EPERM},
        {own_by_parent_ioctl, EPERM, EPERM}, {own_by_parent_socket, EPERM, EPERM},
        {type_into_console, EPERM, EPERM},
    };
    assert_int_equal(prctl(PR_SET_DUMPABLE, 0), 0); /* as a broker does */
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        assert_int_equal(confined(ROWS[i].attempt, false), ROWS[i].without);
        /* No IPv6 on this host is no rule of ours. */
        int got = confined(ROWS[i].attempt, true);
        assert_true(got == ROWS[i].with_network || (!ROWS[i].with_network && got == EAFNOSUPPORT));
    }
}

/* Processes by another way, signals to others by another way, and others' memory and descriptors. */
static void test_confine__calls_whatever_their_arguments(void **state)
{
    static const struct { long call; int error; } ROWS[] = {
        {SYS_clone3, ENOSYS}, {SYS_tgkill, EPERM}, {SYS_tkill, EPERM}, {SYS_rt_sigqueueinfo, EPERM},
        {SYS_rt_tgsigqueueinfo, EPERM}, {SYS_pidfd_send_signal, EPERM}, {SYS_process_vm_readv, EPERM},
        {SYS_process_vm_writev, EPERM}, {SYS_process_madvise, EPERM}, {SYS_pidfd_getfd, EPERM}, {SYS_kcmp, EPERM},
        {SYS_execveat, EPERM}, {SYS_unshare, EPERM}, {SYS_setns, EPERM}, {SYS_io_uring_enter, EPERM},
        {SYS_io_uring_register, EPERM}, {SYS_userfaultfd, EPERM}, {SYS_keyctl, EPERM}, {SYS_add_key, EPERM},
        {SYS_request_key, EPERM}, {SYS_perf_event_open, EPERM},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        call = ROWS[i].call;
        int got = confined(raw_call, true);
        if (got != ROWS[i].error) fail_msg("row %zu: %s", i, strerror(got));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_confine__what_a_module_may_not),
        cmocka_unit_test(test_confine__calls_whatever_their_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "admin_path.h"

#include <sys/stat.h>

#include "broker/http/listen.h"

static void expect_err(struct err e, enum err_class code, const char *text)
{
    if (e.code != code || !strstr(err_text(e), text))
        fail_msg("%s: %s", err_class_name(e.code), err_text(e));
}

static void test_listen_tcp__addresses(void **state)
{
    static const struct {
        const char *address;
        enum err_class code;
        const char *begins;
    } rows[] = {
        {"127.0.0.1:0", ERR_NONE, "127.0.0.1:"},
        {"", ERR_USAGE, NULL},
        {"127.0.0.1", ERR_USAGE, NULL},
        {":8080", ERR_USAGE, NULL},
        {"127.0.0.1:", ERR_USAGE, NULL},
        {"127.0.0.1:http", ERR_USAGE, NULL},
        {"127.0.0.1:123456", ERR_USAGE, NULL},
        {"127.0.0.1:0x", ERR_USAGE, NULL},
        {"::1:8080", ERR_USAGE, NULL},
        {"[::1]", ERR_USAGE, NULL},
        {"[]:80", ERR_USAGE, NULL},
        {"[127.0.0.1]x:80", ERR_USAGE, NULL},
        {"999.1.1.1.:80", ERR_USAGE, NULL},
        {"192.0.2.1:0", ERR_USAGE, NULL}, /* TEST-NET-1 is nobody's */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd = -1;
        char bound[LISTEN_ADDRESS] = "";
        struct err e = listen_tcp(rows[i].address, &fd, bound);
        if (e.code != rows[i].code) fail_msg("%s: %s", rows[i].address, err_text(e));
        if (!rows[i].begins) continue;
        assert_ptr_equal(strstr(bound, rows[i].begins), bound);
        assert_true(strtoul(strrchr(bound, ':') + 1, NULL, 10) > 0);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        close(fd);
    }
}

static void test_listen_tcp__ipv6(void **state)
{
    int fd = -1;
    char bound[LISTEN_ADDRESS] = "";
    struct err e = listen_tcp("[::1]:0", &fd, bound);
    if (!err_ok(e)) skip(); /* a host without IPv6 */
    assert_ptr_equal(strstr(bound, "[::1]:"), bound);
    close(fd);
}

static void test_listen_tcp__in_use(void **state)
{
    int fd = -1, second = -1;
    char bound[LISTEN_ADDRESS] = "", other[LISTEN_ADDRESS] = "";
    assert_true(err_ok(listen_tcp("127.0.0.1:0", &fd, bound)));
    expect_err(listen_tcp(bound, &second, other), ERR_CONFLICT, "address in use: 127.0.0.1:");
    close(fd);
    assert_true(err_ok(listen_tcp(bound, &second, other)));
    close(second);
}

static void test_listen_unix__mode_and_removal(void **state)
{
    int fd = -1;
    mode_t before = umask(0);
    struct err e = listen_unix(admin_path, &fd);
    umask(before);
    assert_true(err_ok(e));
    struct stat st;
    assert_int_equal(lstat(admin_path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0600);
    listen_unix_close(admin_path, fd);
    assert_int_equal(lstat(admin_path, &st), -1);
}

static void test_listen_unix__live_is_a_conflict(void **state)
{
    int fd = -1, second = -1;
    assert_true(err_ok(listen_unix(admin_path, &fd)));
    expect_err(listen_unix(admin_path, &second), ERR_CONFLICT, "address in use: ");
    struct stat st;
    assert_int_equal(lstat(admin_path, &st), 0);
    listen_unix_close(admin_path, fd);
}

static void test_listen_unix__stale_is_replaced(void **state)
{
    int fd = -1;
    assert_true(err_ok(listen_unix(admin_path, &fd)));
    close(fd); /* as when a process dies: the file stays */
    assert_true(err_ok(listen_unix(admin_path, &fd)));
    int c = dial_unix(admin_path);
    close(c);
    listen_unix_close(admin_path, fd);
}

static void test_listen_unix__closing_leaves_the_successor(void **state)
{
    int fd = -1, successor = -1;
    assert_true(err_ok(listen_unix(admin_path, &fd)));
    unlink(admin_path);
    assert_true(err_ok(listen_unix(admin_path, &successor)));
    listen_unix_close(admin_path, fd);
    struct stat st;
    assert_int_equal(lstat(admin_path, &st), 0);
    listen_unix_close(admin_path, successor);
}

static void test_listen_unix__other_file(void **state)
{
    int fd = open(admin_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600), second = -1;
    assert_true(fd >= 0);
    close(fd);
    expect_err(listen_unix(admin_path, &second), ERR_CONFLICT, "is not a socket");
    unlink(admin_path);
}

static void test_listen_unix__path_length(void **state)
{
    char text[128];
    int fd = -1;
    memset(text, 'a', sizeof text);
    text[108] = '\0';
    expect_err(listen_unix(text, &fd), ERR_USAGE, "longer than 107");
    expect_err(listen_unix("/nonexistent/a", &fd), ERR_INTERNAL, "cannot listen on");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listen_tcp__addresses),
        cmocka_unit_test(test_listen_tcp__ipv6),
        cmocka_unit_test(test_listen_tcp__in_use),
        cmocka_unit_test(test_listen_unix__mode_and_removal),
        cmocka_unit_test(test_listen_unix__live_is_a_conflict),
        cmocka_unit_test(test_listen_unix__stale_is_replaced),
        cmocka_unit_test(test_listen_unix__closing_leaves_the_successor),
        cmocka_unit_test(test_listen_unix__other_file),
        cmocka_unit_test(test_listen_unix__path_length),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}

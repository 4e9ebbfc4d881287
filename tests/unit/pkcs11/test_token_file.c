#include "tests/lib/test.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "broker/base/cleanup.h"
#include "pkcs11/token_file.h"
#include "tests/lib/softhsm.h"

static struct softhsm dir; /* only its directory */

static int setup(void **state)
{
    return softhsm_start(&dir, NULL);
}

static int teardown(void **state)
{
    return softhsm_stop(&dir);
}

static void test_token_file_path__serial_cannot_leave_the_directory(void **state)
{
    static const struct { const char *serial, *path; } ROWS[] = {
        {"12ab-C_d.9", "/s/x-12ab-C_d.9.lock"},
        {"../../etc/passwd", "/s/x-..%2F..%2Fetc%2Fpasswd.lock"},
        {"a b", "/s/x-a%20b.lock"},
        {"a%20b", "/s/x-a%2520b.lock"},
        {"\xc3\xa4\n", "/s/x-%C3%A4%0A.lock"},
        {"", "/s/x-.lock"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        char *path = NULL;
        assert_ok(token_file_path("/s", "x-", ROWS[i].serial, ".lock", &path));
        assert_string_equal(path, ROWS[i].path);
        free(path);
    }
}

static void test_token_file_lock__excludes_until_closed(void **state)
{
    char *path = NULL;
    int fd = -1;
    assert_ok(token_file_path(dir.dir, "x-", "1", ".lock", &path));
    assert_ok(token_file_lock(path, 0, &fd));
    int other = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
    close(fd);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
    int third = -1;
    assert_fails_with(token_file_lock(path, 1, &third), ERR_TOKEN_DOWN, path); /* not for ever */
    assert_int_equal(third, -1);
    close(other);
    assert_ok(token_file_lock(path, 0, &third));
    close(third);
    free(path);
}

static void test_token_file_lock__no_directory_or_a_link(void **state)
{
    int fd = -1;
    char link[300];
    assert_fails(token_file_lock("/nonexistent/x.lock", 0, &fd), ERR_USAGE);
    snprintf(link, sizeof link, "%.280s/link", dir.dir);
    assert_int_equal(symlink(dir.pin_file, link), 0);
    assert_fails(token_file_lock(link, 0, &fd), ERR_USAGE);
    assert_int_equal(fd, -1);
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token_file_path__serial_cannot_leave_the_directory),
        CASE(test_token_file_lock__excludes_until_closed),
        CASE(test_token_file_lock__no_directory_or_a_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

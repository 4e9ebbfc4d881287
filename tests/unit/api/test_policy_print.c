#include "broker/api/policy_print.h"
#include "broker/base/log.h"
#include "tests/lib/test.h"

#include <string.h>
#include <unistd.h>

/* As many lines as are allowed, then one that says so, then none. */
static void test_print_line__bounded(void **state)
{
    unsigned left = POLICY_PRINT_LINES + 1, lines = 0;
    char file[] = "/tmp/strongroom-print-XXXXXX", line[1024], last[1024] = "";
    int fd = mkstemp(file), old = dup(STDERR_FILENO);
    assert_true(fd >= 0 && old >= 0);
    dup2(fd, STDERR_FILENO);
    log_set_level(LOG_LEVEL_DEBUG);
    for (unsigned i = 0; i < POLICY_PRINT_LINES + 20; i++) policy_print_line(&left, "abcdef", 3);
    log_set_level(LOG_LEVEL_ERROR);
    dup2(old, STDERR_FILENO);
    close(old);
    close(fd);
    FILE *in = fopen(file, "r");
    assert_non_null(in);
    while (fgets(line, sizeof line, in)) {
        if (lines++ == 0) assert_true(strstr(line, "abc") && !strstr(line, "abcd"));
        memcpy(last, line, sizeof last);
    }
    fclose(in);
    unlink(file);
    assert_int_equal(lines, POLICY_PRINT_LINES + 1);
    assert_non_null(strstr(last, "no more lines are shown"));
    assert_int_equal(left, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_print_line__bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

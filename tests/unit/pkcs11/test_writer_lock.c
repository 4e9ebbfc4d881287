#include "tests/lib/test.h"

#include <ftw.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pkcs11/writer_lock.h"

static char dir[256], locks[300];

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/strongroom-test-XXXXXX", tmp ? tmp : P_tmpdir);
    if (!mkdtemp(dir)) return -1;
    snprintf(locks, sizeof locks, "%s/run/locks", dir);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    return remove(path);
}

static int teardown(void **state)
{
    return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void test_writer_lock_take__makes_the_directory_and_file(void **state)
{
    struct writer_lock *l = NULL;
    char path[400], text[128] = "", want[128];
    struct stat st;
    assert_ok(writer_lock_take(locks, "a1/b 2", "strongroom serve", &l));
    assert_int_equal(stat(locks, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0755);
    snprintf(path, sizeof path, "%s/token-a1%%2Fb%%202.lock", locks);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof text, f));
    fclose(f);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600); /* who may open it may lock it */
    snprintf(want, sizeof want, "strongroom serve, pid %d\n", (int) getpid());
    assert_string_equal(text, want);
    writer_lock_release(l);
    assert_int_equal(access(path, F_OK), 0);
}

static void test_writer_lock_take__closes_a_file_that_others_may_open(void **state)
{
    struct writer_lock *l = NULL;
    struct stat st;
    char path[400];
    snprintf(path, sizeof path, "%s/token-s1.lock", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(chmod(path, 0644), 0);
    assert_ok(writer_lock_take(dir, "s1", "strongroom serve", &l));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    writer_lock_release(l);
}

static void test_writer_lock_take__second_taker_is_told_the_holder(void **state)
{
    struct writer_lock *l = NULL, *other = NULL, *second = NULL;
    assert_ok(writer_lock_take(locks, "s1", "strongroom serve", &l));
    struct err e = writer_lock_take(locks, "s1", "strongroom kek", &second);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_non_null(strstr(err_reason(e), "strongroom serve, pid"));
    assert_ok(writer_lock_take(locks, "s2", "strongroom kek", &other));
    writer_lock_release(other);
    writer_lock_release(l);
    assert_ok(writer_lock_take(locks, "s1", "strongroom kek", &second));
    writer_lock_release(second);
}

/* A child holds the lock until its pipe closes; the lock ends with the child. */
static void test_writer_lock_take__held_by_another_process(void **state)
{
    int ready[2], stop[2], status = 0;
    char byte = 0;
    struct writer_lock *l = NULL;
    assert_int_equal(pipe(ready) | pipe(stop), 0);
    pid_t child = fork();
    if (child == 0) {
        close(stop[1]);
        struct err e = writer_lock_take(locks, "s1", "another strongroom", &l);
        if (!err_ok(e) || write(ready[1], "x", 1) != 1) _exit(1);
        _exit(read(stop[0], &byte, 1) == 0 ? 0 : 1); /* without releasing */
    }
    close(stop[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    struct err e = writer_lock_take(locks, "s1", "us", &l);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_non_null(strstr(err_reason(e), "another strongroom"));
    close(stop[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_ok(writer_lock_take(locks, "s1", "us", &l));
    writer_lock_release(l);
    close(ready[0]);
    close(ready[1]);
}

static void test_writer_lock_take__no_place_for_it(void **state)
{
    struct writer_lock *l = NULL;
    assert_false(err_ok(writer_lock_take("/dev/null/locks", "s1", "us", &l)));
    assert_null(l);
    writer_lock_release(NULL);
}

/* The file's content is anybody's word: no control character may reach a terminal. */
static void test_writer_lock_take__holder_is_escaped(void **state)
{
    struct writer_lock *l = NULL, *second = NULL;
    assert_ok(writer_lock_take(locks, "s1", "evil\033[2J", &l));
    struct err e = writer_lock_take(locks, "s1", "us", &second);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_null(strchr(err_reason(e), '\033'));
    writer_lock_release(l);
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_writer_lock_take__makes_the_directory_and_file),
        CASE(test_writer_lock_take__closes_a_file_that_others_may_open),
        CASE(test_writer_lock_take__second_taker_is_told_the_holder),
        CASE(test_writer_lock_take__held_by_another_process),
        CASE(test_writer_lock_take__no_place_for_it),
        CASE(test_writer_lock_take__holder_is_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

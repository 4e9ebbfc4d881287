/* A piece of a line that cannot be cut off again (chattr +a), a file that is removed, and what becomes of the chain. */
#include "broker/audit/audit.h"
#include "broker/audit/chain.h"
#include "broker/base/cleanup.h"
#include "broker/base/clock.h"
#include "broker/base/limits.h"
#include "tests/lib/test.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Stands before the C library's. */
int ftruncate(int fd, off_t size)
{
    errno = EPERM;
    return -1;
}

static char dir[64], path[96], old[128];
static struct audit *audit;
static struct audit_event event = {.action = "attest", .decision = "deny"};

static int setup(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/audit-torn-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    snprintf(path, sizeof path, "%s/audit.jsonl", dir);
    snprintf(old, sizeof old, "%s.1", path);
    signal(SIGXFSZ, SIG_IGN); /* write fails with EFBIG instead, as on a full disk */
    clock_test_mono(CLOCK_SECOND_NS); /* stands still */
    event.stranger = false;
    assert_ok(audit_open(path, AUDIT_SYNC_NONE, "00112233", &audit));
    return 0;
}

static int teardown(void **state)
{
    audit_close(audit);
    audit = NULL;
    unlink(old);
    unlink(path);
    rmdir(dir);
    clock_test_mono(0);
    return 0;
}

/* Files of this process may grow to `size` bytes. The limit is soft and off again before anything is printed. */
static void limit_files(rlim_t size)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size == RLIM_INFINITY ? limit.rlim_max : size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The size of the file, which is full by then. */
static rlim_t leave_a_piece(void)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    rlim_t size = (rlim_t) st.st_size + 5;
    limit_files(size);
    struct err e = audit_write(audit, &event);
    limit_files(RLIM_INFINITY);
    assert_int_equal(e.code, ERR_INTERNAL);
    return size;
}

static void tell(void *arg, uint64_t number, const char *problem)
{
    print_message("line %u: %s\n", (unsigned) number, problem);
}

static struct chain_report verify(void)
{
    struct chain_report report = {0};
    const char *const paths[] = {old, path};
    for (size_t i = 0; i < 2; i++) {
        FILE *f = fopen(paths[i], "re");
        if (!f) continue;
        assert_ok(chain_verify(f, &report, tell, NULL));
        fclose(f);
    }
    return report;
}

static void test_write__a_piece_that_stays_gets_a_record_of_its_own(void **state)
{
    rlim_t full = leave_a_piece();
    limit_files(full + 1); /* the line end fits, its record does not */
    struct err e = audit_write(audit, &event);
    limit_files(RLIM_INFINITY);
    assert_int_equal(e.code, ERR_INTERNAL);
    assert_ok(audit_write(audit, &event));
    struct chain_report report = verify();
    assert_int_equal(report.problems, 0);
    assert_int_equal(report.torn, 1);
    assert_int_equal(report.records, 4); /* start, torn, audit-back, attest */
}

/* Else what a full disk did looks like what a forger did. */
static void test_reopen__mends_the_old_file(void **state)
{
    bool changed = false;
    leave_a_piece();
    assert_int_equal(rename(path, old), 0);
    assert_ok(audit_reopen(audit, &changed));
    assert_true(changed);
    assert_ok(audit_write(audit, &event));
    struct chain_report report = verify();
    assert_int_equal(report.problems, 0);
    assert_int_equal(report.torn, 1);
    assert_int_equal(report.records, 5); /* start, torn, rotate, audit-back, attest */
}

static void test_reopen__links_to_a_piece_that_nothing_can_be_written_behind(void **state)
{
    bool changed = false;
    for (int i = 0; i < 3; i++) assert_ok(audit_write(audit, &event));
    rlim_t full = leave_a_piece();
    assert_int_equal(rename(path, old), 0);
    limit_files(full); /* there is room in the new file only */
    struct err e = audit_reopen(audit, &changed);
    limit_files(RLIM_INFINITY);
    assert_ok(e);
    assert_true(changed);
    struct chain_report report = verify();
    assert_int_equal(report.problems, 1); /* that the old file ends in it */
    assert_int_equal(report.torn, 1);
}

static void test_close__what_is_left_to_tell_is_a_line_of_its_own(void **state)
{
    event.stranger = true;
    for (unsigned i = 0; i < AUDIT_STRANGERS_BURST + 5; i++) assert_ok(audit_write(audit, &event));
    event.stranger = false;
    leave_a_piece();
    audit_close(TAKE_PTR(audit));
    struct chain_report report = verify();
    assert_int_equal(report.problems, 0);
    assert_int_equal(report.torn, 1);
    /* start, the strangers with a record, two summaries, torn, audit-back */
    assert_int_equal(report.records, AUDIT_STRANGERS_BURST + 5);
}

/* rm, or a cleaner of old files, where a rotation was meant: nobody could read what is written to it. */
static void test_write__a_removed_file_is_begun_anew(void **state)
{
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_fails_with(audit_write(audit, &event), ERR_USAGE, "was removed");
    assert_int_equal(rmdir(path), 0);
    assert_ok(audit_write(audit, &event));
    assert_ok(audit_write(audit, &event));
    struct chain_report report = verify();
    assert_int_equal(report.problems, 0);
    assert_int_equal(report.records, 4); /* rotate, audit-back, twice attest */
    assert_false(chain_is_start(&report.before));
}

static bool works_with_room_for(rlim_t size)
{
    limit_files(size);
    bool works = audit_works(audit);
    limit_files(RLIM_INFINITY);
    return works;
}

/* Whoever asks whether it works finds out, and has it told; what nobody could tell is told later, once. */
static void test_works__tells_of_what_is_missing(void **state)
{
    assert_true(audit_works(audit));
    rlim_t full = leave_a_piece();
    assert_false(works_with_room_for(full));
    assert_true(works_with_room_for(RLIM_INFINITY));
    assert_true(audit_works(audit));
    assert_int_equal(audit_failures(audit), 1);
    assert_ok(audit_write(audit, &event));
    struct chain_report report = verify();
    assert_int_equal(report.problems, 0);
    assert_int_equal(report.records, 4); /* start, torn, audit-back, attest */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_write__a_piece_that_stays_gets_a_record_of_its_own),
        TEST(test_reopen__mends_the_old_file),
        TEST(test_reopen__links_to_a_piece_that_nothing_can_be_written_behind),
        TEST(test_write__a_removed_file_is_begun_anew),
        TEST(test_works__tells_of_what_is_missing),
        TEST(test_close__what_is_left_to_tell_is_a_line_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

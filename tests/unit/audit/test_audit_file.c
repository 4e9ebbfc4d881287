/* A file that takes nothing more, at the two moments when a chain begins or moves. */
#include "broker/audit/audit.h"
#include "broker/audit/chain.h"
#include "tests/lib/test.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

static char dir[64], path[96], old[128];
static struct audit *audit;
static const struct audit_event event = {.action = "attest", .decision = "deny"};

static int setup(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/audit-file-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    snprintf(path, sizeof path, "%s/audit.jsonl", dir);
    snprintf(old, sizeof old, "%s.1", path);
    signal(SIGXFSZ, SIG_IGN); /* write fails with EFBIG instead, as on a full disk */
    return 0;
}

static int teardown(void **state)
{
    audit_close(audit);
    audit = NULL;
    unlink(old);
    unlink(path);
    return rmdir(dir);
}

/* Whether files of this process may grow. The limit is soft and off again before anything is printed. */
static void full_disk(bool full)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = full ? 0 : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Who could not write that it began must not begin. */
static void test_open__no_room_for_the_first_record(void **state)
{
    full_disk(true);
    struct err e = audit_open(path, AUDIT_SYNC_NONE, "", &audit);
    full_disk(false);
    assert_int_equal(e.code, ERR_INTERNAL);
    assert_null(audit);
}

static void tell(void *arg, uint64_t number, const char *problem)
{
    print_message("line %u: %s\n", (unsigned) number, problem);
}

/* A chain that went on in the new file without a link there would be two. */
static void test_reopen__keeps_the_old_file_when_the_new_one_takes_no_record(void **state)
{
    bool changed = true;
    struct chain_report report = {0};
    assert_ok(audit_open(path, AUDIT_SYNC_NONE, "", &audit));
    assert_int_equal(rename(path, old), 0);
    full_disk(true);
    struct err e = audit_reopen(audit, &changed);
    full_disk(false);
    assert_int_equal(e.code, ERR_INTERNAL);
    assert_false(changed);
    assert_ok(audit_write(audit, &event));
    FILE *f = fopen(old, "re");
    assert_non_null(f);
    assert_ok(chain_verify(f, &report, tell, NULL));
    fclose(f);
    assert_int_equal(report.records, 2);
    assert_int_equal(report.problems, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_open__no_room_for_the_first_record),
        TEST(test_reopen__keeps_the_old_file_when_the_new_one_takes_no_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

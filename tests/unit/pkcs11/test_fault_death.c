/* The deaths that the fault module deals out. Each is died by a child; this process never loads the
 * module itself. */
#include "tests/unit/pkcs11/faulty.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int setup(void **state)
{
    if (!softhsm_fault_module() || softhsm_start(&hsm, "test")) return -1;
    return softhsm_fault(&hsm, "");
}

static int teardown(void **state)
{
    return softhsm_stop(&hsm);
}

/* What kills the child that does `work`, logged in, under these rules; 0: it lived. Sanitizers would
 * make an exit of it, and what they handle in the child is not what this is about. */
static int death_of(const char *text, void (*work)(void))
{
    int status = 0;
    softhsm_fault(&hsm, "");
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        load();
        initialize();
        slot = find_slot();
        open_session(&session);
        if (softhsm_fault(&hsm, text)) _exit(9);
        work();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) assert_int_equal(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void log_in_only(void)
{
    login_with(SOFTHSM_PIN);
}

static void create_three(void)
{
    static const char *const LABELS[] = {"one", "two", "three"};
    CK_OBJECT_HANDLE o = 0;
    login_with(SOFTHSM_PIN);
    for (int i = 0; i < 3; i++) create_data(LABELS[i], span_str("value"), yes, &o);
}

static int count_objects(void)
{
    static const char *const LABELS[] = {"one", "two", "three"};
    int found = 0, status = 0;
    softhsm_fault(&hsm, "");
    pid_t child = fork(); /* the module has one life in a process: not in ours */
    if (child == 0) {
        load();
        initialize();
        log_in();
        for (int i = 0; i < 3; i++) {
            CK_OBJECT_HANDLE o[FOUND_MAX];
            CK_ULONG n = 0;
            find_data(LABELS[i], o, &n);
            found += (int) n;
        }
        _exit(found);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_segv__at_the_nth_call(void **state)
{
    assert_int_equal(death_of("C_CreateObject segv after=1", create_three), SIGSEGV);
    assert_int_equal(count_objects(), 1);
    assert_int_equal(death_of("* segv", log_in_only), SIGSEGV);
}

static void test_kill__before_and_after_the_token_did_it(void **state)
{
    assert_int_equal(death_of("C_CreateObject kill after=1", create_three), SIGKILL);
    assert_int_equal(count_objects(), 1);
    assert_int_equal(death_of("C_CreateObject kill done after=1", create_three), SIGKILL);
    assert_int_equal(count_objects(), 1 + 2); /* one of before, two of now: "one" twice */
}

static void test_kill__never_reached(void **state)
{
    assert_int_equal(death_of("C_CreateObject kill after=3\nC_CreateObject within=99",
                              create_three), 0);
    assert_int_equal(count_objects(), 3);
}

static off_t size_of_token_object(void)
{
    char path[512];
    struct stat st = {0};
    assert_true(softhsm_find_file(&hsm, "token.object", path, sizeof path));
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static void test_within__a_login_cut_off_leaves_an_empty_token_object(void **state)
{
    assert_true(size_of_token_object() > 0);
    assert_int_equal(death_of("C_Login within=1", log_in_only), SIGKILL);
    assert_int_equal(size_of_token_object(), 0);
}

static void test_within__a_create_cut_off_between_two_attributes(void **state)
{
    assert_int_equal(death_of("C_CreateObject within=5 after=1", create_three), SIGKILL);
    assert_true(size_of_token_object() > 0);
    assert_int_equal(count_objects(), 1);
}

static void test_control__a_typing_error_aborts(void **state)
{
    static const char *const WRONG[] = {
        "C_Creat kill", "C_CreateObject kil", "C_CreateObject after=x", "C_CreateObject after=",
        "C_CreateObject rv", "tokeninfo drop", "sessions max", "sessions drop=1", "pin",
        "C_Login within=0", "gcm", "log", "count  ",
    };
    for (size_t i = 0; i < COUNT_OF(WRONG); i++)
        if (death_of(WRONG[i], log_in_only) != SIGABRT) fail_msg("taken: %s", WRONG[i]);
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_segv__at_the_nth_call),
        CASE(test_kill__before_and_after_the_token_did_it),
        CASE(test_kill__never_reached),
        CASE(test_within__a_login_cut_off_leaves_an_empty_token_object),
        CASE(test_within__a_create_cut_off_between_two_attributes),
        CASE(test_control__a_typing_error_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

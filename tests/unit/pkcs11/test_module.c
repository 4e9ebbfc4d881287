#include "tests/lib/test.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pkcs11/p11_internal.h"
#include "tests/lib/softhsm.h"

static struct softhsm hsm;
static struct p11_module *a, *b;

static int setup(void **state)
{
    return softhsm_start(&hsm, NULL);
}

static int teardown(void **state)
{
    module_unref(TAKE_PTR(a));
    module_unref(TAKE_PTR(b));
    return softhsm_stop(&hsm);
}

static void test_module_load__bad_paths_are_named(void **state)
{
    static const struct { const char *path, *word; } ROWS[] = {
        {"/nonexistent/lib.so", "no such PKCS#11 library"},
        {"libsofthsm2.so", "full path"},
        {"", "full path"},
        {"/", "is no file"},
        {"/etc/passwd", "no PKCS#11 library"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct err e = module_load(ROWS[i].path, &a);
        assert_int_equal(e.code, ERR_USAGE);
        assert_non_null(strstr(err_text(e), ROWS[i].word));
        assert_null(a);
    }
}

/* A file is all that it looks for. */
static void test_p11_module_check__file(void **state)
{
    assert_ok(p11_module_check("/etc/passwd"));
    assert_fails_with(p11_module_check("/nonexistent/lib.so"), ERR_USAGE, "no such PKCS#11 library");
    assert_fails_with(p11_module_check("/"), ERR_USAGE, "is no file");
}

static void test_module_load__shared_by_two_openings(void **state)
{
    assert_ok(module_load(hsm.module, &a));
    assert_false(module_shared(a));
    assert_ok(module_load(hsm.module, &b));
    assert_ptr_equal(a, b);
    assert_true(module_shared(a));
    assert_string_equal(module_path(a), hsm.module);
    assert_fails(module_restart(a, false), ERR_CONFLICT);
    module_unref(TAKE_PTR(b));
    CK_INFO info = {0};
    assert_int_equal(module_fn(a)->C_GetInfo(&info), CKR_OK); /* not finalized yet */
    assert_ok(module_restart(a, false));
    assert_int_equal(module_fn(a)->C_GetInfo(&info), CKR_OK);
}

/* A text for C_Initialize reaches the module, SoftHSM refuses it, and it is one for all openings. */
static void test_module_load__init_args(void **state)
{
    char args[MODULE_ARGS_MAX + 2];
    memset(args, 'x', sizeof args - 1);
    args[MODULE_ARGS_MAX + 1] = '\0';
    assert_fails_with(module_load_in(NULL, hsm.module, args, &a), ERR_USAGE, "over 2048 bytes");
    args[MODULE_ARGS_MAX] = '\0';
    struct err e = module_load_in(NULL, hsm.module, args, &a);
    assert_fails_with(e, ERR_TOKEN_DOWN, "token.init_args");
    assert_non_null(strstr(err_text(e), "CKR_ARGUMENTS_BAD"));
    assert_ok(module_load(hsm.module, &a));
    assert_fails_with(module_load_in(NULL, hsm.module, "x", &b), ERR_CONFLICT, "other arguments");
}

static void test_module_unref__finalizes_with_the_last(void **state)
{
    if (!softhsm_fault_module()) skip();
    softhsm_fault(&hsm, "");
    assert_ok(module_load(softhsm_fault_module(), &a));
    module_unref(TAKE_PTR(a));
    assert_int_equal(softhsm_fault_count(&hsm, "C_Initialize"), 1);
    assert_int_equal(softhsm_fault_count(&hsm, "C_Finalize"), 1);
    module_unref(NULL);
}

static void test_module_load__initialize_fails(void **state)
{
    if (!softhsm_fault_module()) skip();
    softhsm_fault(&hsm, "C_Initialize rv=0x30 count=1");
    struct err e = module_load(softhsm_fault_module(), &a);
    assert_int_equal(e.code, ERR_TOKEN_DOWN);
    assert_non_null(strstr(err_text(e), "CKR_DEVICE_ERROR (0x30)"));
    assert_ok(module_load(softhsm_fault_module(), &a));
}

/* Somebody else's C_Initialize is somebody else's to undo. */
static void test_module_load__initialised_by_another(void **state)
{
    if (!softhsm_fault_module()) skip();
    softhsm_fault(&hsm, "");
    assert_ok(module_load(hsm.module, &b)); /* the module behind it, so it is initialised already */
    assert_ok(module_load(softhsm_fault_module(), &a));
    assert_fails(module_restart(a, false), ERR_CONFLICT);
    module_unref(TAKE_PTR(a));
    assert_int_equal(softhsm_fault_count(&hsm, "C_Finalize"), 0);
}

/* And when somebody did undo it, there is nothing to spare any more. */
static void test_module_restart__finalized_by_another(void **state)
{
    CK_INFO info = {0};
    assert_ok(module_load(hsm.module, &a));
    assert_ok(module_load(hsm.module, &b));
    assert_fails(module_restart(a, false), ERR_CONFLICT);
    assert_int_equal(module_fn(a)->C_Finalize(NULL), CKR_OK);
    assert_ok(module_restart(a, false));
    assert_int_equal(module_fn(b)->C_GetInfo(&info), CKR_OK);
    assert_fails(module_restart(b, false), ERR_CONFLICT); /* the other one has brought it back */
    module_unref(TAKE_PTR(b));
    assert_ok(module_restart(a, false));
}

static void test_module_guard__aborts_in_a_forked_child(void **state)
{
    int status = 0;
    assert_ok(module_load(hsm.module, &a));
    module_guard(a);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        module_guard(a);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

static void test_module_check_log_calls__off(void **state)
{
    assert_ok(module_check_log_calls());
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_module_load__bad_paths_are_named),
        CASE(test_p11_module_check__file),
        CASE(test_module_load__shared_by_two_openings),
        CASE(test_module_load__init_args),
        CASE(test_module_unref__finalizes_with_the_last),
        CASE(test_module_load__initialize_fails),
        CASE(test_module_load__initialised_by_another),
        CASE(test_module_restart__finalized_by_another),
        CASE(test_module_guard__aborts_in_a_forked_child),
        CASE(test_module_check_log_calls__off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

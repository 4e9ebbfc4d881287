#include "tests/unit/pkcs11/keeper.h"

#include <sys/wait.h>
#include <unistd.h>

#include "pkcs11/find.h"
#include "pkcs11/object.h"

#define PREFIX "strongroom:epoch:"

struct epochs_seen { size_t n; };

static err_t count_epoch(void *arg, const struct p11_seen *seen)
{
    if (strncmp(seen->label, PREFIX, strlen(PREFIX)) == 0) ((struct epochs_seen *) arg)->n++;
    return ERR_OK;
}

static size_t epochs_on_token(void)
{
    struct epochs_seen seen = {0};
    assert_ok(p11_object_scan(token, false, count_epoch, &seen));
    return seen.n;
}

static CK_OBJECT_HANDLE make_epoch(const char *label)
{
    struct p11_session s = {0};
    CK_OBJECT_HANDLE h = 0;
    assert_ok(session_take(token, &s));
    assert_int_equal(object_create_locked(&s, label, SPAN_LIT("epoch"), true, &h), CKR_OK);
    session_drop(&s);
    return h;
}

static void test_epoch__none_then_touched_then_read(void **state)
{
    char a[P11_EPOCH_TEXT], b[P11_EPOCH_TEXT];
    assert_fails(p11_epoch_read(token, a), ERR_NOTFOUND);
    assert_ok(p11_epoch_touch(token, a));
    assert_int_equal(strlen(a), strlen(PREFIX) + 32);
    assert_int_equal(strncmp(a, PREFIX, strlen(PREFIX)), 0);
    assert_int_equal(strspn(a + strlen(PREFIX), "0123456789abcdef"), 32);
    assert_ok(p11_epoch_read(token, b));
    assert_string_equal(a, b);
    assert_ok(p11_epoch_touch(token, a));
    assert_string_not_equal(a, b);
    assert_ok(p11_epoch_read(token, b));
    assert_string_equal(a, b);
    assert_int_equal(epochs_on_token(), 1);
}

static void test_epoch__survives_reopening(void **state)
{
    char a[P11_EPOCH_TEXT], b[P11_EPOCH_TEXT];
    assert_ok(p11_epoch_touch(token, a));
    token_reopen();
    assert_ok(p11_epoch_read(token, b));
    assert_string_equal(a, b);
    token_reopen();
    assert_ok(p11_epoch_touch(token, a)); /* without having read it first */
    assert_int_equal(epochs_on_token(), 1);
}

static void test_epoch__several_greatest_wins_and_touch_clears(void **state)
{
    char a[P11_EPOCH_TEXT], label[P11_EPOCH_TEXT + 1] = PREFIX;
    make_epoch(PREFIX "5");
    make_epoch(PREFIX "9");
    make_epoch(PREFIX "7");
    memset(label + strlen(PREFIX), '9', sizeof label - 1 - strlen(PREFIX)); /* too long by its NUL */
    make_epoch(label);
    assert_ok(p11_epoch_read(token, a));
    assert_string_equal(a, PREFIX "9");
    token_reopen();
    assert_ok(p11_epoch_touch(token, a));
    assert_int_equal(epochs_on_token(), 2); /* ours, and the one that is none */
}

static void test_epoch__handle_that_went_away(void **state)
{
    char a[P11_EPOCH_TEXT], b[P11_EPOCH_TEXT];
    struct p11_object o;
    size_t n = 0;
    assert_ok(p11_epoch_touch(token, a));
    assert_ok(p11_object_find(token, a, &o, 1, &n));
    assert_ok(p11_object_destroy(token, o));
    make_epoch(PREFIX "another");
    assert_ok(p11_epoch_read(token, b));
    assert_string_equal(b, PREFIX "another");
    assert_ok(p11_epoch_touch(token, a));
    assert_int_equal(epochs_on_token(), 1);
}

static void relabel(const char *from, const char *to)
{
    struct p11_session s = {0};
    struct p11_object o;
    size_t n = 0;
    CK_ATTRIBUTE label = {CKA_LABEL, (void *) to, strlen(to)};
    assert_ok(p11_object_find(token, from, &o, 1, &n));
    assert_int_equal(n, 1);
    assert_ok(session_take(token, &s));
    assert_int_equal(token->fn->C_SetAttributeValue(s.h, o.handle, &label, 1), CKR_OK);
    session_drop(&s);
}

/* As on tokens that give a handle twice: what the handle shows is no epoch, and is left alone. */
static void test_epoch__handle_of_another_object(void **state)
{
    char a[P11_EPOCH_TEXT];
    struct p11_object o;
    size_t n = 0;
    assert_ok(p11_epoch_touch(token, a));
    relabel(a, "a/b/c");
    assert_fails(p11_epoch_read(token, a), ERR_NOTFOUND);
    assert_ok(p11_epoch_touch(token, a));
    relabel(a, "x/y/z");
    assert_ok(p11_epoch_touch(token, a));
    assert_int_equal(epochs_on_token(), 1);
    assert_ok(p11_object_find(token, "a/b/c", &o, 1, &n));
    assert_int_equal(n, 1);
    assert_ok(p11_object_find(token, "x/y/z", &o, 1, &n));
    assert_int_equal(n, 1);
}

/* It says so (FUNCTION_NOT_SUPPORTED), or says that it did: readers look at the label, not at our success. */
static void test_epoch__token_that_does_not_relabel(void **state)
{
    static const char *const RULES[] = {"C_SetAttributeValue rv=0x54", "C_SetAttributeValue rv=0"};
    char a[P11_EPOCH_TEXT], b[P11_EPOCH_TEXT];
    for (size_t i = 0; i < sizeof RULES / sizeof *RULES; i++) {
        token_through_faults(RULES[i]);
        assert_ok(p11_epoch_touch(token, a));
        assert_ok(p11_epoch_touch(token, b));
        assert_string_not_equal(a, b);
        assert_int_equal(epochs_on_token(), 1);
        assert_ok(p11_epoch_read(token, a));
        assert_string_equal(a, b);
    }
}

/* Nobody would hear of the change: who touched must know. */
static void test_epoch__token_that_takes_none(void **state)
{
    char a[P11_EPOCH_TEXT], b[P11_EPOCH_TEXT];
    token_through_faults("");
    assert_ok(p11_epoch_touch(token, a));
    softhsm_fault(&hsm, "C_SetAttributeValue rv=0x54\nC_CreateObject rv=0x31");
    assert_fails_with(p11_epoch_touch(token, b), ERR_FULL, "takes no epoch object");
    softhsm_fault(&hsm, "");
    assert_ok(p11_epoch_read(token, b));
    assert_string_equal(a, b);
}

static void test_epoch__read_is_one_call_and_touch_finds_nothing(void **state)
{
    char a[P11_EPOCH_TEXT];
    token_through_faults("");
    assert_ok(p11_epoch_touch(token, a));
    softhsm_fault_clear_log(&hsm);
    for (int i = 0; i < 5; i++) assert_ok(p11_epoch_read(token, a));
    assert_int_equal(softhsm_fault_count(&hsm, "C_GetAttributeValue"), 5);
    assert_ok(p11_epoch_touch(token, a));
    assert_int_equal(softhsm_fault_count(&hsm, "C_SetAttributeValue"), 1);
    assert_int_equal(softhsm_fault_count(&hsm, "C_FindObjectsInit"), 0);
    assert_int_equal(softhsm_fault_count(&hsm, "C_CreateObject"), 0);
}

static void test_epoch__token_down(void **state)
{
    char a[P11_EPOCH_TEXT];
    token_through_faults("");
    assert_ok(p11_epoch_touch(token, a));
    softhsm_fault(&hsm, "C_GetAttributeValue rv=0x30\nC_FindObjectsInit rv=0x30\n"
                        "C_SetAttributeValue rv=0x30");
    assert_fails(p11_epoch_read(token, a), ERR_TOKEN_DOWN);
    assert_fails(p11_epoch_touch(token, a), ERR_TOKEN_DOWN);
    softhsm_fault(&hsm, "");
    assert_ok(p11_epoch_read(token, a));
}

/* Nobody notices: each waits for the login and is repeated. */
static void test_epoch__lost_login(void **state)
{
    char a[P11_EPOCH_TEXT], b[P11_EPOCH_TEXT];
    token_through_faults("");
    assert_ok(p11_epoch_touch(token, a));
    keeper_start();
    softhsm_fault(&hsm, "C_GetAttributeValue drop_all count=1");
    assert_ok(p11_epoch_read(token, b));
    assert_string_equal(a, b);
    softhsm_fault(&hsm, "C_GetAttributeValue drop_all count=1");
    assert_ok(p11_epoch_touch(token, a));
    softhsm_fault(&hsm, "");
    assert_int_equal(epochs_on_token(), 1);
    assert_int_equal(kept.came_back, 2);
}

/* ---- another process -------------------------------------------------------------------- */

/* Forked before this process loads the module: waits for its turn, touches, ends. */
static int touch_in_child(int go)
{
    char byte, epoch[P11_EPOCH_TEXT];
    if (read(go, &byte, 1) != 1) return 1;
    if (!err_ok(token_open_with(hsm.module, 0, 0))) return 2;
    if (!err_ok(p11_epoch_touch(token, epoch))) return 3;
    token_close();
    return 0;
}

static void test_epoch__change_by_another_process_is_seen(void **state)
{
    int go[2], status = -1;
    char a[P11_EPOCH_TEXT], b[P11_EPOCH_TEXT];
    token_close();
    assert_int_equal(pipe(go), 0);
    pid_t pid = fork();
    if (pid == 0) _exit(touch_in_child(go[0]));
    assert_true(pid > 0);
    token_open(0, 0);
    assert_ok(p11_epoch_touch(token, a));
    assert_int_equal(write(go[1], "x", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_ok(p11_epoch_read(token, b)); /* through the handle that we know */
    assert_string_not_equal(a, b);
    assert_int_equal(epochs_on_token(), 1);
    close(go[0]);
    close(go[1]);
}

#define KEK(test) cmocka_unit_test_setup_teardown(test, token_with_kek, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEK(test_epoch__none_then_touched_then_read),
        KEK(test_epoch__survives_reopening),
        KEK(test_epoch__several_greatest_wins_and_touch_clears),
        KEK(test_epoch__handle_that_went_away),
        KEK(test_epoch__handle_of_another_object),
        KEK(test_epoch__token_that_does_not_relabel),
        KEK(test_epoch__token_that_takes_none),
        KEK(test_epoch__read_is_one_call_and_touch_finds_nothing),
        KEK(test_epoch__token_down),
        KEK(test_epoch__lost_login),
        KEK(test_epoch__change_by_another_process_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

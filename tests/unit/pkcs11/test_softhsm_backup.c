#include "tests/lib/test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "pkcs11/softhsm_backup.h"
#include "tests/lib/softhsm.h"

static struct softhsm hsm;
static struct buf names;
static char *copy;

static int setup(void **state)
{
    return softhsm_start(&hsm, NULL);
}

static int teardown(void **state)
{
    buf_free(&names);
    free(copy);
    copy = NULL;
    return softhsm_stop(&hsm);
}

static void test_softhsm_backup__the_one_new_directory(void **state)
{
    struct stat st;
    assert_int_equal(softhsm_add_token(&hsm, "old"), 0);
    assert_ok(softhsm_list_dirs(&names));
    assert_int_equal(names.len, 37); /* a UUID and its NUL */
    assert_int_equal(softhsm_add_token(&hsm, "new"), 0);
    assert_ok(softhsm_backup(&names, "ab/1", hsm.state, &copy));
    assert_non_null(strstr(copy, "/softhsm-ab%2F1-token.object"));
    assert_int_equal(stat(copy, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_softhsm_backup__none_or_two_new_ones(void **state)
{
    assert_ok(softhsm_list_dirs(&names));
    assert_int_equal(names.len, 0);
    assert_fails(softhsm_backup(&names, "1", hsm.state, &copy), ERR_CONFLICT);
    assert_int_equal(softhsm_add_token(&hsm, "a"), 0);
    assert_int_equal(softhsm_add_token(&hsm, "b"), 0);
    assert_fails(softhsm_backup(&names, "1", hsm.state, &copy), ERR_CONFLICT);
    assert_null(copy);
}

static void test_softhsm_list_dirs__reads_the_configuration(void **state)
{
    char conf[300], text[700], odd[400], sub[450];
    snprintf(odd, sizeof odd, "%s/o d", hsm.dir);
    snprintf(sub, sizeof sub, "%s/one", odd);
    assert_int_equal(mkdir(odd, 0700) | mkdir(sub, 0700), 0);
    snprintf(text, sizeof text, "# comment\nlog.level=INFO\n \tdirectories.tokendir\t=  %s \t\r\nx",
             odd);
    assert_int_equal(softhsm_write(&hsm, "odd.conf", text, 0600, conf, sizeof conf), 0);
    setenv("SOFTHSM2_CONF", conf, 1);
    assert_ok(softhsm_list_dirs(&names));
    assert_int_equal(names.len, 4);
    assert_string_equal((const char *) names.data, "one");
    setenv("SOFTHSM2_CONF", "/nonexistent.conf", 1);
    assert_fails(softhsm_list_dirs(&names), ERR_NOTFOUND);
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_softhsm_backup__the_one_new_directory),
        CASE(test_softhsm_backup__none_or_two_new_ones),
        CASE(test_softhsm_list_dirs__reads_the_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

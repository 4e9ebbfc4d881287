#include "broker/base/json.h"
#include "tests/lib/test.h"

#include <errno.h>
#include <pthread.h>

static err_t inner(void) { FAIL(ERR_NOTFOUND, "no key %d", 7); }
static err_t middle(void)
{
    TRYC(inner(), "open %s", "a/b/c");
    return ERR_OK;
}
static err_t outer(void)
{
    TRY(middle());
    return ERR_OK;
}

static void test_chain__joins_outermost_first(void **state)
{
    struct err e = outer();
    assert_int_equal(e.code, ERR_NOTFOUND);
    assert_string_equal(err_text(e), "open a/b/c: no key 7");
    assert_string_equal(err_reason(e), "no key 7");
    assert_non_null(strstr(err_where(e), "test_err.c:"));
}

static void test_fail__starts_anew(void **state)
{
    err_ignore(outer()); /* a chain that nobody reads */
    struct err e = inner();
    assert_string_equal(err_text(e), "no key 7");
}

static err_t by_errno(void)
{
    errno = ENOENT;
    FAIL_ERRNO(ERR_USAGE, "cannot read %s", "x");
}

static void test_errno__is_named(void **state)
{
    assert_string_equal(err_text(by_errno()), "cannot read x [No such file or directory]");
}

static err_t deep(int n)
{
    if (n == 0) FAIL(ERR_INTERNAL, "bottom");
    TRYC(deep(n - 1), "level %d", n);
    return ERR_OK;
}

static void test_chain__bounded(void **state)
{
    struct err e = deep(30);
    const char *text = err_text(e);
    assert_non_null(strstr(text, "bottom"));
    assert_true(strncmp(text, "level 30: ", 10) == 0); /* outermost stays, the middle is lost */
}

static void test_text__long_is_cut(void **state)
{
    char big[2000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    struct err e = ERR_MAKE(ERR_USAGE, "%s", big);
    assert_int_equal(strlen(err_reason(e)), ERR_TEXT - 1);
    assert_string_equal(err_reason(e) + ERR_TEXT - 4, "...");
    for (size_t ahead = 0; ahead < 4; ahead++) { /* no character is cut into halves */
        char wide[2000] = "xxx";
        for (size_t i = ahead; i + 4 < sizeof wide; i += 4) memcpy(wide + i, "\xf0\x9f\x94\x91", 5);
        e = ERR_MAKE(ERR_USAGE, "%s", wide);
        assert_true(utf8_valid(span_str(err_reason(e))));
        assert_string_equal(err_reason(e) + strlen(err_reason(e)) - 3, "...");
        assert_true(strlen(err_reason(e)) > ERR_TEXT - 5);
    }
}

static void *other_thread(void *arg)
{
    struct err_chain *chain = arg;
    err_save(outer(), chain);
    return NULL;
}

static void test_save_load__crosses_threads(void **state)
{
    struct err_chain chain;
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, other_thread, &chain), 0);
    pthread_join(t, NULL);
    assert_string_equal(err_text(err_load(&chain)), "open a/b/c: no key 7");
}

static void test_classes__each_has_name_status_and_exit_code(void **state)
{
    for (enum err_class c = ERR_NONE; c < ERR_CLASS_COUNT; c++) {
        assert_non_null(err_class_name(c));
        assert_in_range(err_http_status(c), 200, 599);
        assert_in_range(err_exit_code(c), c == ERR_NONE ? 0 : 1, c == ERR_NONE ? 0 : 9);
    }
    assert_int_equal(err_http_status(ERR_FULL), 507);
    assert_int_equal(err_http_status(ERR_TOKEN_DOWN), 503);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain__joins_outermost_first),
        cmocka_unit_test(test_fail__starts_anew),
        cmocka_unit_test(test_errno__is_named),
        cmocka_unit_test(test_chain__bounded),
        cmocka_unit_test(test_text__long_is_cut),
        cmocka_unit_test(test_save_load__crosses_threads),
        cmocka_unit_test(test_classes__each_has_name_status_and_exit_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

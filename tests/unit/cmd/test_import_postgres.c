/* What may stand in a URL; the rest needs a server (tests/integration/test_moving_in.py). */
#include "broker/cmd/import_postgres.h"

#include "tests/lib/test.h"

static void test_check_url(void **state)
{
    static const char *const good[] = {"postgresql://", "postgres:///kbs", "postgresql://u@h:5/d?sslmode=require",
                                       "postgresql:///?service=kbs&passfile=/etc/pgpass"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_ok(import_postgres_check_url(good[i]));
    static const char *const secret[] = {"postgresql://u:hush@h/d", "postgresql://:hush@h/d",
                                         "postgresql://h/d?password=hush", "postgresql://h/d?sslpassword=hush",
                                         "postgresql://h/d?pass%77ord=hush"};
    for (size_t i = 0; i < sizeof secret / sizeof *secret; i++) {
        struct err e = import_postgres_check_url(secret[i]);
        assert_int_equal(e.code, ERR_USAGE);
        assert_non_null(strstr(err_text(e), "PGPASSFILE"));
        assert_null(strstr(err_text(e), "hush"));
    }
    static const char *const wrong[] = {"postgresql://u:hush@[::1/d", "postgresql://h/d?nonsense=hush"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct err e = import_postgres_check_url(wrong[i]);
        assert_int_equal(e.code, ERR_USAGE);
        assert_null(strstr(err_text(e), "hush"));
    }
}

static void test_open__no_password_from_the_environment(void **state)
{
    struct import_postgres *p = NULL;
    setenv("PGPASSWORD", "hush", 1);
    assert_fails_with(import_postgres_open("postgresql:///x?host=/none", &p), ERR_USAGE, "PGPASSWORD");
    unsetenv("PGPASSWORD");
    assert_fails(import_postgres_open("postgresql:///x?host=/none", &p), ERR_TOKEN_DOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_url),
        cmocka_unit_test(test_open__no_password_from_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

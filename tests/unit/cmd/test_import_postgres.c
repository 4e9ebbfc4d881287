/* What may stand in a URL; the rest needs a server (tests/integration/test_moving_in.py). */
#include "broker/cmd/import_postgres.h"

#include "tests/lib/test.h"

#include <arpa/inet.h>
#include <sys/un.h>

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

static enum import_way way(const char *address, bool tls, const char *sslmode)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
        return import_postgres_way((const struct sockaddr *) &in, tls, sslmode);
    assert_int_equal(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
    return import_postgres_way((const struct sockaddr *) &in6, tls, sslmode);
}

/* Without TLS secrets may not leave this host; with it, only verification says to whom they come from. */
static void test_way(void **state)
{
    static const struct { const char *address; bool here; } rows[] = {
        {"127.0.0.1", true}, {"127.255.255.254", true}, {"::1", true}, {"::ffff:127.0.0.1", true},
        {"126.255.255.255", false}, {"128.0.0.1", false}, {"10.0.0.1", false}, {"0.0.0.0", false},
        {"1.0.0.127", false}, {"::", false}, {"::2", false}, {"::ffff:10.0.0.1", false},
        {"fe80::1", false}, {"::127.0.0.1", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *a = rows[i].address;
        enum import_way open = rows[i].here ? IMPORT_WAY_GOOD : IMPORT_WAY_OPEN;
        enum import_way unverified = rows[i].here ? IMPORT_WAY_GOOD : IMPORT_WAY_UNVERIFIED;
        static const char *const modes[] = {NULL, "", "disable", "allow", "prefer", "require", "verify-full2"};
        for (size_t j = 0; j < sizeof modes / sizeof *modes; j++) {
            if (way(a, false, modes[j]) != open || way(a, true, modes[j]) != unverified)
                fail_msg("%s, sslmode %s", a, modes[j] ? modes[j] : "not set");
        }
        assert_int_equal(way(a, true, "verify-ca"), IMPORT_WAY_GOOD);
        assert_int_equal(way(a, true, "verify-full"), IMPORT_WAY_GOOD);
        assert_int_equal(way(a, false, "verify-full"), open); /* what is, not what was wished */
    }
    const struct sockaddr_un un = {.sun_family = AF_UNIX}, unknown = {.sun_family = AF_UNSPEC};
    assert_int_equal(import_postgres_way((const struct sockaddr *) &un, false, NULL), IMPORT_WAY_GOOD);
    assert_int_equal(import_postgres_way((const struct sockaddr *) &unknown, false, NULL),
                     IMPORT_WAY_OPEN);
}

static void test_open__no_password_from_the_environment(void **state)
{
    struct import_postgres *p = NULL;
    const char *warning = NULL;
    setenv("PGPASSWORD", "hush", 1);
    assert_fails_with(import_postgres_open("postgresql:///x?host=/none", &p, &warning), ERR_USAGE, "PGPASSWORD");
    unsetenv("PGPASSWORD");
    assert_fails(import_postgres_open("postgresql:///x?host=/none", &p, &warning), ERR_TOKEN_DOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_url),
        cmocka_unit_test(test_way),
        cmocka_unit_test(test_open__no_password_from_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "policy/cidr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define LEN(a) (sizeof(a) / sizeof(a)[0])

static void test_ip__text_both_ways(void **state)
{
    static const char *const cases[][2] = {
        { "1.2.3.4", "1.2.3.4" }, { "::", "::" }, { "::1", "::1" }, { "1::", "1::" },
        { "2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1" }, { "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
        { "0:0:0:0:0:0:1.2.3.4", "::102:304" }, { "::ffff:1.2.3.4", "1.2.3.4" }, { "1:0:0:2::3", "1:0:0:2::3" },
    };

    for (size_t i = 0; i < LEN(cases); i++) {
        struct ip ip;
        char text[CIDR_TEXT];

        if (!ip_parse(cases[i][0], strlen(cases[i][0]), &ip)) fail_msg("%s", cases[i][0]);
        ip_text(&ip, text);
        assert_string_equal(text, cases[i][1]);
    }
}

static void test_ip_parse__refuses(void **state)
{
    static const char *const cases[] = {
        "", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
        "1::2::3", "12345::", "::g", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "1:", ":1", "1:2:3:4:5:6:7:8::", "fe80::1%eth0",
    };
    struct ip ip;

    for (size_t i = 0; i < LEN(cases); i++)
        if (ip_parse(cases[i], strlen(cases[i]), &ip)) fail_msg("accepted: %s", cases[i]);
}

static void test_cidr_parse__limits(void **state)
{
    static const char *const good[] = { "0.0.0.0/0", "1.2.3.4/32", "::/0", "::1/128", "::ffff:1.2.3.4/128" };
    static const char *const bad[] = { "1.2.3.4", "1.2.3.4/33", "::/129", "1.2.3.4/", "1.2.3.4/-1", "/8", "1.2.3.4/8/8", "" };
    struct cidr c;

    for (size_t i = 0; i < LEN(good); i++)
        if (!cidr_parse(good[i], strlen(good[i]), &c)) fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < LEN(bad); i++)
        if (cidr_parse(bad[i], strlen(bad[i]), &c)) fail_msg("accepted: %s", bad[i]);
}

static void test_cidr__range(void **state)
{
    struct cidr c;
    char text[CIDR_TEXT];

    assert_true(cidr_parse("10.1.2.3/12", 11, &c));
    cidr_text(&c, text);
    assert_string_equal(text, "10.0.0.0/12");
    struct ip last = cidr_last(&c), next = last;
    ip_text(&last, text);
    assert_string_equal(text, "10.15.255.255");
    assert_true(cidr_has(&c, &last));
    assert_true(ip_next(&next));
    ip_text(&next, text);
    assert_string_equal(text, "10.16.0.0");
    assert_false(cidr_has(&c, &next));
    assert_true(ip_previous(&next));
    assert_int_equal(ip_compare(&next, &last), 0);
}

static void test_ip__ends_of_the_family(void **state)
{
    struct ip ip;

    assert_true(ip_parse("255.255.255.255", 15, &ip));
    assert_false(ip_next(&ip));
    assert_true(ip_parse("0.0.0.0", 7, &ip));
    assert_false(ip_previous(&ip));
    assert_true(ip_parse("::", 2, &ip));
    assert_false(ip_previous(&ip));
    assert_true(ip_next(&ip));
    assert_int_equal(ip.bytes[15], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ip__text_both_ways), cmocka_unit_test(test_ip_parse__refuses),
        cmocka_unit_test(test_cidr_parse__limits), cmocka_unit_test(test_cidr__range),
        cmocka_unit_test(test_ip__ends_of_the_family),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "policy/errors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char text[] = "package p\n\tx := \"\xc3\xa9\"\nlast";
static const struct rego_source source = {"m.rego", text, sizeof text - 1};

static void test_error_add__place_and_line(void **state)
{
    struct rego_errors errors = {0};
    const struct rego_span at = {.line = 2, .column = 7, .offset = 16, .len = 1};
    struct rego_error *e =
        rego_error_add(&errors, REGO_PARSE_ERROR, &source, &at, "unexpected %s token", "eof");
    char printed[100];

    assert_non_null(e);
    rego_error_hint(e, "try %d", 1);
    assert_string_equal(e->hint, "try 1");
    assert_string_equal(e->source, " x := \"\xc3\xa9\"");
    size_t len = rego_error_print(e, printed, sizeof printed);
    assert_string_equal(printed, "m.rego:2:7: rego_parse_error: unexpected eof token");
    assert_int_equal(len, strlen(printed));
    assert_int_equal(rego_error_print(e, printed, 7), len);
    assert_string_equal(printed, "m.rego");
}

static void test_error_add__no_place(void **state)
{
    struct rego_errors errors = {0};
    char printed[100];

    rego_error_print(rego_error_add(&errors, REGO_TYPE_ERROR, NULL, NULL, "no"), printed, 100);
    assert_string_equal(printed, "rego_type_error: no");
    rego_error_hint(NULL, "ignored");
}

static void test_error_add__only_counts_beyond_the_most(void **state)
{
    struct rego_errors errors = {0};

    for (int i = 0; i < REGO_ERRORS_MAX; i++)
        assert_non_null(rego_error_add(&errors, REGO_TYPE_ERROR, NULL, NULL, "%d", i));
    assert_null(rego_error_add(&errors, REGO_TYPE_ERROR, NULL, NULL, "too many"));
    assert_int_equal(errors.count, REGO_ERRORS_MAX);
    assert_int_equal(errors.more, 1);
}

static void test_error_add__cuts_at_a_character(void **state)
{
    struct rego_errors errors = {0};
    char lengthy[2 * REGO_TEXT_MAX];

    for (size_t i = 0; i < sizeof lengthy - 2; i += 2) memcpy(lengthy + i, "\xc3\xa9", 2);
    lengthy[sizeof lengthy - 2] = '\0';
    const struct rego_error *e =
        rego_error_add(&errors, REGO_TYPE_ERROR, NULL, NULL, "%s", lengthy);
    assert_int_equal(strlen(e->text), REGO_TEXT_MAX - 2); /* 319 would be half a character */
    assert_int_equal((unsigned char) e->text[REGO_TEXT_MAX - 3], 0xa9);
}

static void test_errors_sort__by_place_and_stable(void **state)
{
    static const struct { unsigned line, column; const char *text; } rows[] = {
        {3, 1, "d"}, {1, 5, "b"}, {1, 2, "a"}, {1, 5, "c"}};
    struct rego_errors errors = {0};
    char order[5] = "";

    for (size_t i = 0; i < 4; i++) {
        const struct rego_span at = {.line = rows[i].line, .column = rows[i].column};
        rego_error_add(&errors, REGO_TYPE_ERROR, &source, &at, "%s", rows[i].text);
    }
    rego_errors_sort(&errors);
    for (size_t i = 0; i < 4; i++) order[i] = errors.items[i].text[0];
    assert_string_equal(order, "abcd");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_add__place_and_line),
        cmocka_unit_test(test_error_add__no_place),
        cmocka_unit_test(test_error_add__only_counts_beyond_the_most),
        cmocka_unit_test(test_error_add__cuts_at_a_character),
        cmocka_unit_test(test_errors_sort__by_place_and_stable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

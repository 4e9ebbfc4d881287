#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "broker/http/quirk.h"

/* Lines as the parser leaves them: a NUL over the colon. */
static void test_quirk_folded__lines(void **state)
{
    static const char close_by[] = "X\0a", blanks[] = "X\0 \t a", empty[] = "X\0", glued[] = "Xb\0";
    assert_false(quirk_folded(close_by, 1, close_by + 2));
    assert_false(quirk_folded(blanks, 1, blanks + 5));
    assert_false(quirk_folded(empty, 1, empty + 2));
    assert_true(quirk_folded(glued, 2, close_by + 2));
    assert_true(quirk_folded(blanks, 1, blanks + 4));
}

static void test_quirk_nul_in_target__lengths(void **state)
{
    static const char line[] = "/a\0b\0HTTP/1.1";
    assert_true(quirk_nul_in_target(line, line + 5, 2));
    assert_false(quirk_nul_in_target(line, line + 5, 4));
}

static void test_quirk_hide_arguments__targets(void **state)
{
    static const struct { const char *target, *left; } rows[] = {
        {"/a", "/a"}, {"", ""}, {"/a?", "/a?"}, {"/a?b", "/a?"}, {"/a?b&c=d?e", "/a?"}, {"?", "?"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[16] = "";
        strncpy(text, rows[i].target, sizeof text - 1);
        quirk_hide_arguments(text);
        assert_string_equal(text, rows[i].left);
    }
}

/* If this fails, the library is newer than what was measured: look whether it still needs us. */
static void test_quirk_applies__here(void **state)
{
    assert_true(quirk_applies());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quirk_folded__lines),
        cmocka_unit_test(test_quirk_nul_in_target__lengths),
        cmocka_unit_test(test_quirk_hide_arguments__targets),
        cmocka_unit_test(test_quirk_applies__here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

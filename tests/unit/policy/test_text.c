#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/text.h"

#include <string.h>

static void test_text_tame__control_characters_become_spaces(void **state)
{
    static const struct { const char *text, *want; } rows[] = {
        { "a b", "a b" },
        { "a\nb\x1b[2J\x7f", "a b [2J " },
        { "\xc2\x9b" "2J", "  2J" },                  /* U+009B is CSI */
        { "\xc2\xa0\xc3\xa4\xe2\x80\xa6", "\xc2\xa0\xc3\xa4\xe2\x80\xa6" },
        { "\xe0\xc2\x80", "\xe0  " },                  /* of text that is none, too */
        { "\xc2", "\xc2" },
        { "", "" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[32];
        memcpy(text, rows[i].text, strlen(rows[i].text) + 1);
        text_tame(text, strlen(text));
        assert_string_equal(text, rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_tame__control_characters_become_spaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

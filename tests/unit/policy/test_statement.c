#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/errors.h"
#include "policy/statement.h"
#include "policy/text.h"

#include <string.h>

static struct rego_source source;
static const struct checked_program program = { .sources = &source, .module_count = 1 };

static void check(const char *text, size_t max, const char *want)
{
    struct arena *a = arena_new(1 << 16);
    struct text t;
    source = (struct rego_source) { "p.rego", text, strlen(text) };
    text_init(&t, a);
    statement_print(&t, &program, (struct checked_span) { { .line = 1 }, (uint32_t) strlen(text) }, max);
    assert_string_equal(text_end(&t), want);
    arena_free(a);
}

static void test_statement_print__one_line(void **state)
{
    check("a == b", 100, "a == b");
    check("every x in y {\n\t# why\n\tx > 1 # and\r\n\tz\n}", 100, "every x in y { x > 1 z }");
    check("a == \"x # y \\\" # z\"", 100, "a == \"x # y \\\" # z\"");
    check("a == `raw # \n b`", 100, "a == `raw #   b`");
    check("a == \"open", 100, "a == \"open");
    check("\"\x01\x7f\"", 100, "\"  \"");
}

static void test_statement_print__is_cut(void **state)
{
    check("abcdef", 6, "abcdef");
    check("abcdefg", 6, "abcdef\xe2\x80\xa6");
    check("\xc3\xa4\xc3\xa4", 3, "\xc3\xa4\xc3\xa4");
    check("\xc3\xa4\xc3\xa4z", 3, "\xc3\xa4\xc3\xa4\xe2\x80\xa6");
}

static void test_statement_print__without_a_text(void **state)
{
    struct arena *a = arena_new(1 << 16);
    struct text t;
    source = (struct rego_source) { "p.rego", "abc", 3 };
    text_init(&t, a);
    statement_print(&t, &program, (struct checked_span) { { .module = 1, .line = 1 }, 1 }, 10);
    statement_print(&t, &program, (struct checked_span) { { .line = 0 }, 1 }, 10);
    statement_print(&t, &program, (struct checked_span) { { .line = 1, .offset = 2 }, 2 }, 10);
    statement_print(&t, &program, (struct checked_span) { { .line = 1, .offset = 4 }, 0 }, 10);
    assert_int_equal(t.len, 0);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statement_print__one_line),
        cmocka_unit_test(test_statement_print__is_cut),
        cmocka_unit_test(test_statement_print__without_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

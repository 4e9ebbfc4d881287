/* What becomes a program, what is refused for its size, and what is known of it beforehand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/arena.h"
#include "policy/regex_class.h"
#include "policy/regex_program.h"
#include "policy/text.h"

static struct arena *arena;

static int setup(void **state)
{
    arena = arena_new(32 << 20);
    return arena ? 0 : -1;
}

static int teardown(void **state)
{
    arena_free(arena);
    return 0;
}

static const struct regex_program *program(const char *source, struct regex_refusal *ret)
{
    return regex_compile(arena, source, strlen(source), ret);
}

static const char *times(const char *part, size_t count)
{
    struct text t;
    text_init(&t, arena);
    for (size_t i = 0; i < count; i++) text_add_string(&t, part);
    return text_end(&t);
}

static void test_regex_compile__limits(void **state)
{
    struct regex_refusal r;
    assert_non_null(program("a{1000}", &r));
    assert_non_null(program("(?:a{10}){100}", &r));
    assert_null(program("(?:a{10}){101}", &r));
    assert_string_equal(r.kind, "invalid repeat count");
    assert_null(program("(?:(?:a{2,11}){2,10}b){1,10}", &r));
    assert_string_equal(r.kind, "invalid repeat count");

    assert_non_null(program(times("[ab]{1,500}", REGEX_INSNS_MAX / 1000 - 1), &r));
    assert_null(program(times("[ab]{1,500}", REGEX_INSNS_MAX / 1000 + 1), &r));
    assert_string_equal(r.kind, "expression too large");
    assert_true(r.limit);

    assert_non_null(program(times("(a)", REGEX_GROUPS_MAX), &r));
    assert_null(program(times("(a)", REGEX_GROUPS_MAX + 1), &r));
    assert_string_equal(r.kind, "expression has too many groups");
    assert_true(r.limit); /* RE2 would take it: under `not` it must not be undefined */

    assert_null(program("a[x\\p{Nope}]b", &r));
    assert_string_equal(r.kind, "invalid character class range");
    assert_int_equal(r.near_len, 8);
    assert_memory_equal(r.near, "\\p{Nope}", 8);
    assert_false(r.limit);
}

static void test_regex_compile__without_memory(void **state)
{
    for (size_t bytes = 0; bytes < 4000; bytes += 16) {
        struct arena *small = arena_new(bytes);
        struct regex_refusal r;
        const struct regex_program *p = regex_compile(small, "(a|[b-d]+)*\\b", 13, &r);
        if (!p) assert_true(!r.kind && !r.near && !r.limit);
        assert_int_equal(p == NULL, arena_failed(small));
        arena_free(small);
    }
}

static bool may_begin(const struct regex_program *p, unsigned char c)
{
    return !p->first_known || (p->first[c / 64] >> c % 64 & 1);
}

static void test_regex_compile__first_bytes(void **state)
{
    static const struct { const char *source, *with, *without; bool anchored; } rows[] = {
        { "abc", "a", "bc\xc3", false },        { "a|b", "ab", "c\xc3", false },
        { "[b-d]x?", "bcd", "ax\xc3", false },  { "(?i)q", "qQ", "x\xc3", false },
        { "(?i)k", "kK\xe2", "x", false },      { "a*b", "ab", "c", false },
        { "\xc3\xa4", "\xc3", "a\xe2", false }, { ".", "ab\xc3", "\n", false },
        { "(?s).", "\n", "", false },           { "a*", "ab\n", "", false },
        { "^a", "a", "b", true },               { "\\Aa", "a", "b", true },
        { "(^a)", "a", "b", true },             { "^a|b", "ab", "c", false },
        { "(?m)^a", "a", "b", false },          { "[^a]", "b\xc3", "a", false },
        { "\xef\xbf\xbd", "\xef\xff", "a", false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct regex_refusal r;
        const struct regex_program *p = program(rows[i].source, &r);
        assert_non_null(p);
        assert_int_equal(p->anchored, rows[i].anchored);
        for (const char *c = rows[i].with; *c; c++) assert_true(may_begin(p, (unsigned char) *c));
        for (const char *c = rows[i].without; *c; c++)
            if (may_begin(p, (unsigned char) *c) && strcmp(rows[i].source, ".") != 0)
                fail_msg("%s may begin with %02x", rows[i].source, (unsigned char) *c);
    }
}

static void test_regex_class__members(void **state)
{
    static const struct { const char *source; bool ignore_case; uint32_t has[3], lacks[3]; } rows[] = {
        { "[a-c]", false, { 'a', 'b', 'c' }, { 'd', 'A', 0xe4 } },
        { "[a-c]", true, { 'a', 'B', 'C' }, { 'd', 'D', 0xe4 } },
        { "[^a-c]", false, { 'd', 0xe4, 0x10ffff }, { 'a', 'b', 'c' } },
        { "\\p{Greek}", false, { 0x3b1, 0x391, 0x3c9 }, { 'a', 0xe4, 0x430 } },
        { "\\PL", false, { '1', ' ', 0x20ac }, { 'a', 0xe4, 0x3b1 } },
        { "[[:digit:]x]", false, { '0', '9', 'x' }, { 'a', 'y', 0x660 } },
        { "k", true, { 'k', 'K', 0x212a }, { 'l', 0x3ba, 'j' } },
        { "s", true, { 's', 'S', 0x17f }, { 'z', 0xdf, 't' } },
    };
    void *match = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct regex_class c;
        assert_true(regex_class_make(arena, rows[i].source, strlen(rows[i].source), rows[i].ignore_case, &c));
        for (size_t k = 0; k < 3; k++) {
            if (!regex_class_has(&c, rows[i].has[k], arena, &match)) fail_msg("%s lacks %x", rows[i].source, rows[i].has[k]);
            if (regex_class_has(&c, rows[i].lacks[k], arena, &match)) fail_msg("%s has %x", rows[i].source, rows[i].lacks[k]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_regex_compile__limits),
        cmocka_unit_test(test_regex_compile__without_memory),
        cmocka_unit_test(test_regex_compile__first_bytes),
        cmocka_unit_test(test_regex_class__members),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

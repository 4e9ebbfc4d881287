/* Programs over texts: which match, which groups, and what it costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/arena.h"
#include "policy/budget.h"
#include "policy/regex_program.h"
#include "policy/regex_syntax.h"

#define OFFSETS_MAX 24

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

static struct regex_names names; /* of the last program */

/* NULL with *ret->kind when it is refused. */
static const struct regex_program *program(const char *pattern, struct regex_refusal *ret)
{
    struct regex_problem problem;
    struct text source;
    text_init(&source, arena);
    names = (struct regex_names) { 0 };
    if (!regex_translate(&source, pattern, strlen(pattern), &names, &problem)) fail_msg("%s: %s", pattern, problem.kind);
    return regex_compile(arena, text_end(&source), source.len, ret);
}

/* "2-4 3-4 -": the match and its groups; "no"; "spent". */
static const char *found(const struct regex_program *p, const char *s, size_t from, uint64_t steps, uint64_t *ret_steps)
{
    size_t offsets[OFFSETS_MAX], count = 2 * ((size_t) p->groups + 1);
    struct budget budget;
    struct regex_scratch scratch = { .arena = arena, .budget = &budget };
    struct text t;
    assert_true(count <= OFFSETS_MAX);
    budget_init(&budget, steps);
    enum regex_outcome outcome = regex_search(&scratch, p, s, strlen(s), from, offsets, count);
    if (ret_steps) *ret_steps = steps - budget.steps_left;
    if (outcome != REGEX_FOUND) return outcome == REGEX_NONE ? "no" : "spent";
    text_init(&t, arena);
    for (size_t i = 0; i < count; i += 2) {
        if (offsets[i] == SIZE_MAX) text_add_string(&t, " -");
        else text_addf(&t, " %zu-%zu", offsets[i], offsets[i + 1]);
    }
    return text_end(&t) + 1;
}

struct row { const char *pattern, *text, *want; size_t from; };

static void check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct regex_refusal refusal = { 0 };
        const struct regex_program *p = program(rows[i].pattern, &refusal);
        if (!p) fail_msg("%s: %s", rows[i].pattern, refusal.kind);
        const char *got = found(p, rows[i].text, rows[i].from, 100000, NULL);
        if (strcmp(got, rows[i].want) != 0) fail_msg("%s on %s: %s, not %s", rows[i].pattern, rows[i].text, got, rows[i].want);
        struct budget budget;
        budget_init(&budget, 100000);
        struct regex_scratch scratch = { .arena = arena, .budget = &budget };
        enum regex_outcome fact = regex_search(&scratch, p, rows[i].text, strlen(rows[i].text), rows[i].from, NULL, 0);
        assert_int_equal(fact, strcmp(got, "no") == 0 ? REGEX_NONE : REGEX_FOUND);
    }
}

#define CHECK(rows) check(rows, sizeof(rows) / sizeof((rows)[0]))

static void test_search__leftmost_and_preferred(void **state)
{
    static const struct row rows[] = {
        { "b", "abc", "1-2", 0 },             { "b", "abc", "no", 2 },
        { "", "abc", "0-0", 0 },              { "", "abc", "2-2", 2 },
        { "a|ab", "ab", "0-1", 0 },           { "ab|a", "ab", "0-2", 0 },
        { "(a|ab)(c|bcd)", "abcd", "0-4 0-1 1-4", 0 },
        { "a*", "aaa", "0-3", 0 },            { "a*?", "aaa", "0-0", 0 },
        { "a+?", "aaa", "0-1", 0 },           { "(?U)a+", "aaa", "0-1", 0 },
        { "a{2}", "aaa", "0-2", 0 },          { "a{2,}", "aaaa", "0-4", 0 },
        { "a{1,2}?", "aaa", "0-1", 0 },       { "a{0}b", "ab", "1-2", 0 },
        { "x{0,2}y", "xxxy", "1-4", 0 },      { "b*c", "abbc", "1-4", 0 },
        { "(?:ab)+", "ababa", "0-4", 0 },     { "a.c", "a\nc", "no", 0 },
        { "(?s)a.c", "a\nc", "0-3", 0 },      { "c|b|a", "xab", "1-2", 0 },
    };
    CHECK(rows);
}

static void test_search__groups(void **state)
{
    static const struct row rows[] = {
        { "(a)|(b)", "b", "0-1 - 0-1", 0 },
        { "(a)*", "aab", "0-2 1-2", 0 },
        { "(a)*b", "b", "0-1 -", 0 },
        { "((a)(b)?)+", "aba", "0-3 2-3 2-3 1-2", 0 },
        { "(a*)*", "b", "0-0 0-0", 0 },      /* Go: the empty match counts */
        { "(a*)+", "aa", "0-2 0-2", 0 },
        { "(a|b*)*", "abb", "0-3 1-3", 0 },
        { "(x?)(y)", "y", "0-1 0-0 0-1", 0 },
        { "(?P<n>a)(?:b)(?<m>c)", "abc", "0-3 0-1 2-3", 0 },
    };
    struct regex_refusal refusal;
    CHECK(rows);
    assert_int_equal(program("(?P<one>a)(b)(?P<three>c)", &refusal)->groups, 3);
    assert_int_equal(names.count, 2);
    assert_int_equal(names.items[1].group, 3);
}

static void test_search__assertions(void **state)
{
    static const struct row rows[] = {
        { "^b", "ab", "no", 0 },              { "^b", "ab", "no", 1 },
        { "a$", "a\n", "no", 0 },             { "(?m)a$", "a\n", "0-1", 0 },
        { "(?m)^b", "a\nb", "2-3", 0 },       { "(?m)^$", "a\n", "2-2", 0 },
        { "\\Aa\\z", "a", "0-1", 0 },         { "\\bb", "ab b", "3-4", 0 },
        { "\\Bb", "ab b", "1-2", 0 },         { "b\\b", "bb", "1-2", 0 },
        { "^*a", "ba", "1-2", 0 },            { "(?:^|,)a", "b,a", "1-3", 0 },
        { "\\b", "", "no", 0 },               { "\\B", "", "0-0", 0 },
        { "$^", "", "0-0", 0 },
    };
    CHECK(rows);
}

static void test_search__unicode(void **state)
{
    static const struct row rows[] = {
        { ".", "\xc3\xa4", "0-2", 0 },        { "[^a]", "\xe2\x82\xac", "0-3", 0 },
        { "\xc3\xa4+", "a\xc3\xa4\xc3\xa4", "1-5", 0 },
        { "\\p{Greek}", "a\xce\xb1", "1-3", 0 }, { "\\PL", "a\xce\xb1-", "3-4", 0 },
        { "(?i)\xc3\xa4", "\xc3\x84", "0-2", 0 }, { "(?i)k", "\xe2\x84\xaa", "0-3", 0 },
        { "(?i)strasse", "STRASSE", "0-7", 0 },   { "(?i)[a-z]+", "ABC", "0-3", 0 },
        { "\\w", "\xc3\xa4", "no", 0 },       { ".", "\xff", "0-1", 0 },   /* as Go: U+FFFD */
        { "\xef\xbf\xbd", "a\xff", "1-2", 0 },    { "[^a]b", "\xc3""b", "0-2", 0 },
    };
    CHECK(rows);
}

static char *repeat(const char *part, size_t times, const char *tail)
{
    struct text t;
    text_init(&t, arena);
    for (size_t i = 0; i < times; i++) text_add_string(&t, part);
    text_add_string(&t, tail);
    return arena_copy(arena, text_end(&t), t.len);
}

/* Twice the text costs twice the steps, however a backtracking matcher would fare. */
static void test_search__linear(void **state)
{
    static const char *const patterns[] = {
        "[a-z]+[0-9]", "(a+)+$", "(a|aa)+$", "(a|a?)*[bc]", "a*a*a*a*[bc]", "(.*)(.*)(.*)[0-9]", "(?:a?){30}a{30}[0-9]",
        "(a*)*(a*)*[0-9]", ".*.*=.*", "(x+x+)+y|[0-9]",
    };
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        struct regex_refusal refusal;
        const struct regex_program *p = program(patterns[i], &refusal);
        uint64_t once = 0, twice = 0;
        assert_string_equal(found(p, repeat("a", 2000, "-"), 0, 10000000, &once), "no");
        assert_string_equal(found(p, repeat("a", 4000, "-"), 0, 10000000, &twice), "no");
        if (twice > 2 * once + 200) fail_msg("%s: %llu, %llu", patterns[i], (unsigned long long) once, (unsigned long long) twice);
    }
}

static void test_search__budget(void **state)
{
    struct regex_refusal refusal;
    const struct regex_program *p = program("[a-z]+[0-9]", &refusal);
    assert_string_equal(found(p, repeat("a", 20000, ""), 0, 1000, NULL), "spent");
    uint64_t beyond_ascii = 0; /* three ways, each asks a class */
    p = program("[^a-z]{3}\\p{Greek}", &refusal);
    assert_string_equal(found(p, repeat("\xc3\xa4", 2000, ""), 0, 1000000, &beyond_ascii), "no");
    assert_true(beyond_ascii > 2000 * 3 * 2);
    struct arena *small = arena_new(200);
    struct regex_scratch scratch = { .arena = small };
    assert_int_equal(regex_search(&scratch, p, "a1", 2, 0, NULL, 0), REGEX_SPENT);
    arena_free(small);
}

/* One scratch for patterns of any size, in any order, with and without groups. */
static void test_search__scratch_is_reused(void **state)
{
    static const char *const patterns[] = { "b", "((a)(b)(c)|[xy]+)*z", "a{100}", "(b)", "[0-9]{3}b", "b" };
    struct budget budget;
    struct regex_scratch scratch = { .arena = arena, .budget = &budget };
    size_t offsets[OFFSETS_MAX];
    budget_init(&budget, 1000000);
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
            struct regex_refusal refusal;
            const struct regex_program *p = program(patterns[i], &refusal);
            for (size_t count = 0; count <= 2 * ((size_t) p->groups + 1); count += 2) {
                bool want = strchr(patterns[i], 'b') && i != 1 && i != 4;
                assert_int_equal(regex_search(&scratch, p, "acb", 3, 0, offsets, count), want ? REGEX_FOUND : REGEX_NONE);
                if (want && count) assert_int_equal(offsets[0], 2);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_search__leftmost_and_preferred), cmocka_unit_test(test_search__groups),
        cmocka_unit_test(test_search__assertions),             cmocka_unit_test(test_search__unicode),
        cmocka_unit_test(test_search__linear),                 cmocka_unit_test(test_search__budget),
        cmocka_unit_test(test_search__scratch_is_reused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

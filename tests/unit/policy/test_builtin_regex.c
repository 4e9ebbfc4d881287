#include "policy/regex_syntax.h"
#include "tests/lib/builtin_cases.h"

#include <stdio.h>

static const struct builtin_case MATCH[] = {
    { "regex.match", "[\"^[0-9a-f]{4}$\", \"00ff\"]", "true", NULL },
    { "regex.match", "[\"^a$\", \"a\\n\"]", "false", NULL },
    { "regex.match", "[\"(?m)^a$\", \"b\\na\\nc\"]", "true", NULL },
    { "regex.match", "[\"a.c\", \"a\\nc\"]", "false", NULL },
    { "regex.match", "[\"(?s)a.c\", \"a\\nc\"]", "true", NULL },
    { "regex.match", "[\"(?i)\xc3\xa4\", \"\xc3\x84\"]", "true", NULL },
    { "regex.match", "[\"^\\\\w$\", \"\xc3\xa4\"]", "false", NULL },
    { "regex.match", "[\"^\\\\s$\", \"\\u000b\"]", "false", NULL },
    { "regex.match", "[\"^[\\\\s]$\", \"\\u000b\"]", "false", NULL },
    { "regex.match", "[\"^[\\\\S]$\", \"\\u000b\"]", "true", NULL },
    { "regex.match", "[\"^\\\\v$\", \"\\n\"]", "false", NULL },
    { "regex.match", "[\"^\\\\pL+$\", \"a\xc3\xa4\"]", "true", NULL },
    { "regex.match", "[\"^\\\\p{Greek}$\", \"\xce\xb1\"]", "true", NULL },
    { "regex.match", "[\"^[[:alpha:]_]+$\", \"a_b\"]", "true", NULL },
    { "regex.match", "[\"^[^[:^digit:]]$\", \"1\"]", "true", NULL },
    { "regex.match", "[\"^[]a]+$\", \"a]\"]", "true", NULL },
    { "regex.match", "[\"^a{,2}$\", \"a{,2}\"]", "true", NULL },
    { "regex.match", "[\"^a{x$\", \"a{x\"]", "true", NULL },
    { "regex.match", "[\"^(?:\\\\Qa.b\\\\E)+$\", \"a.ba.b\"]", "true", NULL },
    { "regex.match", "[\"^\\\\x41\\\\x{42}\\\\103\\\\.$\", \"ABC.\"]", "true", NULL },
    { "regex.match", "[\"^*a\", \"a\"]", "true", NULL },
    { "regex.match", "[\"\", \"\"]", "true", NULL },
    { "regex.match", "[\"(?P<x>a)(?<y>b)\", \"ab\"]", "true", NULL },
    { "regex.match", "[\"[\", \"a\"]", NULL, "regex.match: error parsing regexp: missing closing ]: `[`" },
    { "regex.match", "[\"a\", 1]", NULL, "regex.match: operand 2 must be string but got number" },
    { "regex.find_n", "[\"a.\", \"paranormal\", -1]", "[\"ar\", \"an\", \"al\"]", NULL },
    { "regex.find_n", "[\"a.\", \"paranormal\", 2]", "[\"ar\", \"an\"]", NULL },
    { "regex.find_n", "[\"a*\", \"baac\", -1]", "[\"\", \"aa\", \"\"]", NULL },
    { "regex.find_n", "[\"a\", \"a\", 0]", "[]", NULL },
    { "regex.find_all_string_submatch_n", "[\"a(x*)b\", \"-axxb-ab-\", -1]", "[[\"axxb\", \"xx\"], [\"ab\", \"\"]]", NULL },
    { "regex.find_all_string_submatch_n", "[\"(a)|(b)\", \"b\", -1]", "[[\"b\", \"\", \"b\"]]", NULL },
    { "regex.find_all_string_submatch_n", "[\"(b)|(a)\", \"b\", 1]", "[[\"b\", \"b\", \"\"]]", NULL },
    { "regex.split", "[\"z+\", \"pizzazz\"]", "[\"pi\", \"a\", \"\"]", NULL },
    { "regex.split", "[\"\", \"ab\"]", "[\"a\", \"b\"]", NULL },
    { "regex.split", "[\"x\", \"\"]", "[\"\"]", NULL },
    { "regex.replace", "[\"foo bar\", \"(o+) b\", \"<$1>$$${1}$x$\"]", "\"f<oo>$oo$ar\"", NULL },
    { "regex.replace", "[\"abc\", \"x*\", \"-\"]", "\"-a-b-c-\"", NULL },
    { "regex.replace", "[\"baac\", \"a*\", \"X\"]", "\"XbXcX\"", NULL },
    { "regex.replace", "[\"ab\", \"(?P<n>a)\", \"${n}${n}\"]", "\"aab\"", NULL },
    { "regex.replace", "[\"b\", \"(?P<n>a)|(?P<n>b)\", \"<$n>\"]", "\"<b>\"", NULL }, /* names may repeat */
    { "regex.replace", "[\"ab\", \"(?P<1x>a)(b)\", \"$2${1x}\"]", "\"ba\"", NULL },
    { "regex.replace", "[\"a\", \"(?P<a_name_of_more_than_thirty_two_bytes>a)\", \"${a_name_of_more_than_thirty_two_bytes}!\"]", "\"a!\"", NULL },
    { "regex.match", "[\"a{2}{3}\", \"a\"]", NULL, "invalid nested repetition operator: `{2}{3}`" },
    { "regex.match", "[\"\\\\p{Nope}\", \"a\"]", NULL, "invalid character class range: `\\p{Nope}`" },
    { "regex.is_valid", "[\"a+\"]", "true", NULL },
    { "regex.is_valid", "[1]", "false", NULL },
    { "regex.template_match", "[\"urn:foo:{.*}\", \"urn:foo:bar:baz\", \"{\", \"}\"]", "true", NULL },
    { "regex.template_match", "[\"a.{[0-9]{2}}\", \"ax12\", \"{\", \"}\"]", "false", NULL },
    { "regex.template_match", "[\"a.{[0-9]{2}}\", \"a.12\", \"{\", \"}\"]", "true", NULL },
    { "regex.template_match", "[\"a{b\", \"a\", \"{\", \"}\"]", NULL, "unbalanced braces" },
    { "regex.template_match", "[\"a\", \"a\", \"{{\", \"}\"]", NULL, "start delimiter has to be exactly one character long" },
};

/* What PCRE2 would take and RE2 does not have. */
static const char *const REFUSED[] = {
    "(?=a)", "(?!a)", "(?<=a)", "(?<!a)", "(?>a)", "(?|a|b)", "(?R)", "(?1)", "(?&x)", "(?P=x)", "(?#c)", "(?x)a", "(*ACCEPT)",
    "(*UTF8)a", "a++", "a*+", "a?+", "a**", "a{2}{3}", "(a)\\1", "\\k<x>", "\\g1", "\\K", "\\G", "\\R", "\\X", "\\h", "\\N",
    "\\Z", "\\e", "\\cA", "\\o{1}", "\\C", "[b-a]", "[a-\\d]", "[[:nope:]]", "a{1001}", "a{2,1}", "a)", "(a", "[a", "\\", "*a",
    "|*", "(?P<>a)", "(?P<a b>c)", "\\p{Nope}", "\\xg", "(?i-)", "++", "(?C1)", "(?(1)a|b)",
};

static void test_regex__go(void **state) { BENCH_TABLE(MATCH); }

static void test_regex__refused(void **state)
{
    struct builtin_bench b;
    bench_open(&b);
    for (size_t i = 0; i < sizeof REFUSED / sizeof REFUSED[0]; i++) {
        const struct value *pattern = value_string_z(b.arena, REFUSED[i]);
        if (builtin_run(&b.call, builtin_find(NULL, "regex.is_valid", 14), &pattern) != value_bool(false))
            fail_msg("%s is taken", REFUSED[i]);
    }
    arena_free(b.arena);
}

static void test_regex__nesting_limit(void **state)
{
    char pattern[2 * REGEX_NESTING_MAX + 4];
    for (size_t n = REGEX_NESTING_MAX; n <= REGEX_NESTING_MAX + 1; n++) {
        struct builtin_bench b;
        bench_open(&b);
        memset(pattern, '(', n);
        memset(pattern + n, ')', n);
        const struct value *v = value_string(b.arena, pattern, 2 * n);
        bool within = n == REGEX_NESTING_MAX;
        assert_ptr_equal(builtin_run(&b.call, builtin_find(NULL, "regex.is_valid", 14), &v), within ? value_bool(true) : NULL);
        assert_int_equal(b.call.problem, within ? BUILTIN_FINE : BUILTIN_HALT);
        arena_free(b.arena);
    }
}

/* Exponential on a backtracking engine, linear here: answered for what the text is long. */
static void test_regex__catastrophe_is_answered(void **state)
{
#define LONG "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"
    static const struct builtin_case CASES[] = {
        { "regex.match", "[\"^(a|aa|aaa)+$\", \"" LONG "\"]", "false", NULL },
        { "regex.find_n", "[\"(a|aa)+$\", \"" LONG "\", -1]", "[]", NULL },
        { "regex.find_all_string_submatch_n", "[\"(a|aa)+$\", \"" LONG "\", -1]", "[]", NULL },
        { "regex.split", "[\"(a|aa)+$\", \"" LONG "\"]", "[\"" LONG "\"]", NULL },
        { "regex.replace", "[\"" LONG "\", \"(a|aa)+$\", \"\"]", "\"" LONG "\"", NULL },
        { "regex.template_match", "[\"{(a|aa)+}\", \"" LONG "\", \"{\", \"}\"]", "false", NULL },
        { "glob.match", "[\"*a*a*a*a*a*a*a*a*b\", null, \"" LONG "c\"]", "false", NULL },
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct builtin_bench b;
        bench_open(&b);
        budget_init(&b.budget, 20 * 1000);
        bench_check(&b, &CASES[i]);
        arena_free(b.arena);
    }
}

static const struct value *repeated(struct builtin_bench *b, const char *part, size_t times, const char *end)
{
    struct text t;
    text_init(&t, b->arena);
    for (size_t i = 0; i < times; i++) text_add_string(&t, part);
    text_add_string(&t, end);
    return value_from_text(&t);
}

/* A long text is paid for, and ends the evaluation when there is not enough for it. */
static void test_regex__dear_searches(void **state)
{
    static const char PATTERN[] = "(?:a|aa)+b";
    struct builtin_bench b;
    bench_open(&b);
    const struct value *operands[] = { value_string_z(b.arena, PATTERN), repeated(&b, "\xc3\xa4xaaaaaaaaaaaaaac ", 20, "aab"), value_int(b.arena, -1) };
    uint64_t before = b.budget.steps_left;
    const struct value *v = builtin_run(&b.call, builtin_find(NULL, "regex.find_n", 12), operands);
    if (!v) fail_msg("%s", b.call.text);
    assert_int_equal(v->count, 1);
    assert_string_equal(v->items[0]->string, "aab");
    assert_true(before - b.budget.steps_left > 300 / 16);
    operands[1] = repeated(&b, "aaaaaaaaaaaaaac ", 5000, "b");
    budget_init(&b.budget, 1000);
    assert_null(builtin_run(&b.call, builtin_find(NULL, "regex.find_n", 12), operands));
    assert_int_equal(b.call.problem, BUILTIN_HALT);
    arena_free(b.arena);
}

/* Many matches in a long text are charged for the text once, not for the rest of it at each match. */
static void test_regex__many_matches_are_cheap(void **state)
{
    struct builtin_bench b;
    bench_open(&b);
    const struct value *operands[] = { repeated(&b, "ab", 20000, ""), value_string_z(b.arena, "b"), value_string_z(b.arena, "c") };
    budget_init(&b.budget, 100 * 1000);
    const struct value *v = builtin_run(&b.call, builtin_find(NULL, "regex.replace", 13), operands);
    assert_non_null(v);
    assert_memory_equal(v->string, "acac", 4);
    assert_int_equal(v->count, 40000);
    arena_free(b.arena);
}

/* A decoder may give any bytes; what is no character counts as one that nothing names. */
static void test_regex__text_that_is_not_utf8(void **state)
{
    struct builtin_bench b;
    bench_open(&b);
    const struct value *operands[] = { value_string_z(b.arena, "b+"), value_string(b.arena, "\xff" "a\xc3" "bb\xe2\x82", 7), value_int(b.arena, -1) };
    const struct value *v = builtin_run(&b.call, builtin_find(NULL, "regex.find_n", 12), operands);
    assert_non_null(v);
    assert_int_equal(v->count, 1);
    assert_string_equal(v->items[0]->string, "bb");
    arena_free(b.arena);
}

static void test_regex__cached(void **state)
{
    struct builtin_bench b;
    bench_open(&b);
    const struct value *operands = bench_json(&b, "[\"a+\", \"baa\"]");
    bench_call(&b, "regex.match", operands);
    size_t used = arena_used(b.arena);
    for (int i = 0; i < 100; i++) bench_call(&b, "regex.match", operands);
    assert_int_equal(arena_used(b.arena), used);
    arena_free(b.arena);
}

/* Each pattern that is looked at before the one asked for is a step. */
static void test_regex__cached_behind_others(void **state)
{
    struct builtin_bench b;
    bench_open(&b);
    const struct value *operands[] = { NULL, value_string_z(b.arena, "b") };
    uint64_t before = 0;
    for (int i = 0; i <= 101; i++) {
        char text[8];
        snprintf(text, sizeof text, "a%d", i % 101);
        operands[0] = value_string_z(b.arena, text);
        before = b.budget.steps_left;
        assert_non_null(builtin_run(&b.call, builtin_find(NULL, "regex.match", 11), operands));
    }
    assert_true(before - b.budget.steps_left >= 100);
    arena_free(b.arena);
}

static const struct builtin_case GLOB[] = {
    { "glob.match", "[\"*.github.com\", [\".\"], \"api.github.com\"]", "true", NULL },
    { "glob.match", "[\"*.github.com\", [\".\"], \"api.x.github.com\"]", "false", NULL },
    { "glob.match", "[\"*.github.com\", [], \"api.x.github.com\"]", "false", NULL },
    { "glob.match", "[\"*.github.com\", null, \"api.x.github.com\"]", "true", NULL },
    { "glob.match", "[\"api.**.com\", [\".\"], \"api.cdn.github.com\"]", "true", NULL },
    { "glob.match", "[\"*:github:com\", [\":\"], \"a.b:github:com\"]", "true", NULL },
    { "glob.match", "[\"[a-c]at\", [], \"bat\"]", "true", NULL },
    { "glob.match", "[\"[!a-c]at\", [], \"bat\"]", "false", NULL },
    { "glob.match", "[\"?at\", [\"f\"], \"fat\"]", "false", NULL },
    { "glob.match", "[\"{cat,bat,[fr]at}\", [], \"rat\"]", "true", NULL },
    { "glob.match", "[\"{a,{b,c}d}e\", [], \"cde\"]", "true", NULL },
    { "glob.match", "[\"a,b\", [], \"a,b\"]", "true", NULL },
    { "glob.match", "[\"\\\\*\", [], \"*\"]", "true", NULL },
    { "glob.match", "[\"\\\\*\", [], \"a\"]", "false", NULL },
    { "glob.match", "[\"a+(b)\", [], \"a+(b)\"]", "true", NULL },
    { "glob.match", "[\"*\", [\"^\", \"]\"], \"a]b\"]", "false", NULL },
    { "glob.match", "[\"a\\nb*\", null, \"a\\nb\\n\"]", "true", NULL },
    { "glob.match", "[\"{a\", [], \"a\"]", NULL, "glob.match: unexpected end of input" },
    { "glob.match", "[\"[a\", [], \"a\"]", NULL, "glob.match: unexpected end of input" },
    { "glob.match", "[\"a\", 1, \"a\"]", NULL, "operand 2 must be one of {array, null} but got number" },
    { "glob.match", "[\"a\", [\"ab\"], \"a\"]", NULL, "operand 2" },
    { "glob.quote_meta", "[\"*.git[h]ub{.}\"]", "\"\\\\*.git\\\\[h\\\\]ub\\\\{.\\\\}\"", NULL },
};

static void test_glob__gobwas(void **state) { BENCH_TABLE(GLOB); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_regex__go),
        cmocka_unit_test(test_regex__refused),
        cmocka_unit_test(test_regex__nesting_limit),
        cmocka_unit_test(test_regex__catastrophe_is_answered),
        cmocka_unit_test(test_regex__dear_searches),
        cmocka_unit_test(test_regex__many_matches_are_cheap),
        cmocka_unit_test(test_regex__text_that_is_not_utf8),
        cmocka_unit_test(test_regex__cached),
        cmocka_unit_test(test_regex__cached_behind_others),
        cmocka_unit_test(test_glob__gobwas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "policy/regex_syntax.h"
#include "tests/lib/builtin_cases.h"

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
    "|*", "(?P<1>a)", "(?P<a>b)(?P<a>c)", "\\p{Nope}", "\\xg", "(?i-)", "++", "(?C1)", "(?(1)a|b)",
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
        assert_ptr_equal(builtin_run(&b.call, builtin_find(NULL, "regex.is_valid", 14), &v), value_bool(n == REGEX_NESTING_MAX));
        arena_free(b.arena);
    }
}

/* Exponential on a backtracking engine: an error within a moment, paid for. */
static void test_regex__catastrophe_is_bounded(void **state)
{
    struct builtin_bench b;
    bench_open(&b);
    const struct value *operands = bench_json(&b, "[\"^(a|aa|aaa)+$\", \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"]");
    uint64_t before = b.budget.steps_left;
    const struct value *v = bench_call(&b, "regex.match", operands);
    assert_true(v == value_bool(false) || (!v && b.call.problem == BUILTIN_ERROR));
    assert_true(before > b.budget.steps_left);
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
        cmocka_unit_test(test_regex__catastrophe_is_bounded),
        cmocka_unit_test(test_regex__cached),
        cmocka_unit_test(test_glob__gobwas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

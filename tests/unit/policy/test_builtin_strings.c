#include "tests/lib/builtin_cases.h"

static const struct builtin_case SEARCH[] = {
    { "contains", "[\"abcdefgh\", \"defg\"]", "true", NULL },
    { "contains", "[\"abc\", \"\"]", "true", NULL },
    { "contains", "[\"abc\", \"ac\"]", "false", NULL },
    { "startswith", "[\"abc\", \"ab\"]", "true", NULL },
    { "startswith", "[\"a\", \"ab\"]", "false", NULL },
    { "endswith", "[\"abc\", \"bc\"]", "true", NULL },
    { "endswith", "[\"c\", \"bc\"]", "false", NULL },
    { "indexof", "[\"abc\", \"c\"]", "2", NULL },
    { "indexof", "[\"\xc3\xa5\xc3\xa4\xc3\xb6\", \"\xc3\xb6\"]", "2", NULL },
    { "indexof", "[\"abc\", \"x\"]", "-1", NULL },
    { "indexof", "[\"abc\", \"\"]", NULL, "indexof: empty search character" },
    { "indexof_n", "[\"aaa\", \"aa\"]", "[0, 1]", NULL },
    { "indexof_n", "[\"\xc3\xa5x\xc3\xa5x\", \"x\"]", "[1, 3]", NULL },
    { "indexof_n", "[\"abc\", \"x\"]", "[]", NULL },
    { "indexof_n", "[\"abababa\", \"aba\"]", "[0, 2, 4]", NULL },
    { "indexof_n", "[\"aabaabaaab\", \"aabaa\"]", "[0, 3]", NULL },
    { "indexof_n", "[\"aaaab\", \"aab\"]", "[2]", NULL },
    { "indexof_n", "[\"\xc3\xa4\xc3\xa4\xc3\xa4\", \"\xc3\xa4\xc3\xa4\"]", "[0, 1]", NULL },
    { "indexof_n", "[\"a\", \"ab\"]", "[]", NULL },
    { "strings.count", "[\"cheese\", \"e\"]", "3", NULL },
    { "strings.count", "[\"aaa\", \"aa\"]", "1", NULL },
    { "strings.count", "[\"dummy\", \"\"]", "6", NULL },
    { "strings.any_prefix_match", "[\"a/b\", [\"x\", \"a\"]]", "true", NULL },
    { "strings.any_prefix_match", "[[\"a/b\"], \"b\"]", "false", NULL },
    { "strings.any_suffix_match", "[[\"a/b\"], \"b\"]", "true", NULL },
    { "strings.any_suffix_match", "[[], [\"b\"]]", "false", NULL },
    { "strings.any_suffix_match", "[[1], \"b\"]", NULL,
      "strings.any_suffix_match: operand 1 must be array of strings but got array containing number" },
    { "strings.any_suffix_match", "[\"a\", 1]", NULL, "operand 2 must be one of {string, set, array} but got number" },
};

static const struct builtin_case CUT[] = {
    { "substring", "[\"abcdefgh\", 2, 3]", "\"cde\"", NULL },
    { "substring", "[\"abc\", 1, -1]", "\"bc\"", NULL },
    { "substring", "[\"abc\", 3, 1]", "\"\"", NULL },
    { "substring", "[\"abc\", 9, -1]", "\"\"", NULL },
    { "substring", "[\"\xc3\xa5\xc3\xa4\xc3\xb6\", 1, 1]", "\"\xc3\xa4\"", NULL },
    { "substring", "[\"abc\", -1, 1]", NULL, "substring: negative offset" },
    { "substring", "[\"abc\", 1.5, 1]", NULL, "operand 2 must be integer number but got floating-point number" },
    { "strings.reverse", "[\"b\xc3\xa5r\"]", "\"r\xc3\xa5" "b\"", NULL },
    { "strings.reverse", "[1]", NULL, "strings.reverse: operand 1 must be string but got number" },
    { "trim", "[\"..foo.bar..\", \".\"]", "\"foo.bar\"", NULL },
    { "trim", "[\"\xc3\xa4" "a\xc3\xa4\", \"\xc3\xa4\"]", "\"a\"", NULL },
    { "trim", "[\"aaa\", \"a\"]", "\"\"", NULL },
    { "trim_left", "[\"..a.\", \".\"]", "\"a.\"", NULL },
    { "trim_right", "[\".a..\", \".\"]", "\".a\"", NULL },
    { "trim_prefix", "[\"abab\", \"ab\"]", "\"ab\"", NULL },
    { "trim_prefix", "[\"abab\", \"b\"]", "\"abab\"", NULL },
    { "trim_suffix", "[\"abab\", \"ab\"]", "\"ab\"", NULL },
    { "trim_space", "[\"\\t\\n x\\u00a0\\u2003\"]", "\"x\"", NULL },
};

static const struct builtin_case JOIN[] = {
    { "concat", "[\",\", [\"a\", \"b\"]]", "\"a,b\"", NULL },
    { "concat", "[\",\", []]", "\"\"", NULL },
    { "concat", "[\",\", [\"a\", 1]]", NULL, "operand 2 must be array of strings but got array containing number" },
    { "concat", "[\",\", \"a\"]", NULL, "operand 2 must be one of {set, array} but got string" },
    { "split", "[\"a/b/\", \"/\"]", "[\"a\", \"b\", \"\"]", NULL },
    { "split", "[\"\", \"/\"]", "[\"\"]", NULL },
    { "split", "[\"a\xc3\xa4\", \"\"]", "[\"a\", \"\xc3\xa4\"]", NULL },
    { "replace", "[\"aXbX\", \"X\", \"--\"]", "\"a--b--\"", NULL },
    { "replace", "[\"ab\", \"\", \"x\"]", "\"xaxbx\"", NULL },
    { "strings.replace_n", "[{\"f\": \"x\", \"foo\": \"xxx\"}, \"foobar\"]", "\"xoobar\"", NULL },
    { "strings.replace_n", "[{\"<\": \"&lt;\", \">\": \"&gt;\"}, \"<b>\"]", "\"&lt;b&gt;\"", NULL },
    { "strings.replace_n", "[{\"\": \"X\", \"b\": \"1\"}, \"abc\"]", "\"XaX1XcX\"", NULL },
    { "strings.replace_n", "[{\"\": \"X\", \"ab\": \"1\"}, \"abab\"]", "\"X1X1X\"", NULL },
    { "strings.replace_n", "[{\"f\": 1}, \"foo\"]", NULL,
      "strings.replace_n: operand 1 non-string value found in pattern object" },
    { "lower", "[\"AbC\xc3\x84\xce\xa9\"]", "\"abc\xc3\xa4\xcf\x89\"", NULL },
    { "upper", "[\"abc\xc3\xa4\xc3\x9f\xce\xb5\xd0\xb6\"]", "\"ABC\xc3\x84\xc3\x9f\xce\x95\xd0\x96\"", NULL },
    { "format_int", "[255, 16]", "\"ff\"", NULL },
    { "format_int", "[-15.9, 10]", "\"-15\"", NULL },
    { "format_int", "[5, 2]", "\"101\"", NULL },
    { "format_int", "[8, 8]", "\"10\"", NULL },
    { "format_int", "[18446744073709551616, 16]", "\"10000000000000000\"", NULL },
    { "format_int", "[1, 7]", NULL, "format_int: operand 2 must be one of {2, 8, 10, 16}" },
};

static const struct builtin_case SPRINTF[] = {
    { "sprintf", "[\"hi %02d\", [5]]", "\"hi 05\"", NULL },
    { "sprintf", "[\"%02X.%x\", [127, 255]]", "\"7F.ff\"", NULL },
    { "sprintf", "[\"%#x %#o %b %O %c %q %U\", [255, 8, 5, 8, 65, 65, 8364]]", "\"0xff 010 101 0o10 A 'A' U+20AC\"", NULL },
    { "sprintf", "[\"%v %v %v\", [[\"there\", 5, 3.14], true, null]]", "\"[\\\"there\\\", 5, 3.14] true null\"", NULL },
    { "sprintf", "[\"%d|%5d|%-5d|%05d|%+d|% d\", [1, 2, 3, -4, 5, 6]]", "\"1|    2|3    |-0004|+5| 6\"", NULL },
    { "sprintf", "[\"%s|%5s|%-5s|%.2s|%q|%x\", [\"a\", \"b\", \"c\", \"def\", \"g\\\"\", \"hi\"]]",
      "\"a|    b|c    |de|\\\"g\\\\\\\"\\\"|6869\"", NULL },
    { "sprintf", "[\"%f %.2f %e %g %v %6.1f\", [1.5, 2.345, 1.5, 1.5, 0.00001, 3.25]]",
      "\"1.500000 2.35 1.500000e+00 1.5 1e-05    3.2\"", NULL },
    { "sprintf", "[\"%v %v\", [1234567.5, 123456.5]]", "\"1.2345675e+06 123456.5\"", NULL },
    { "sprintf", "[\"%s %d %x\", [123456789123456789123, 123456789123456789123, 18446744073709551616]]",
      "\"123456789123456789123 123456789123456789123 10000000000000000\"", NULL },
    { "sprintf", "[\"%[2]d %[1]d\", [1, 2]]", "\"2 1\"", NULL },
    { "sprintf", "[\"%*d|%.*f\", [4, 7, 1, 2.25]]", "\"   7|2.2\"", NULL },
    { "sprintf", "[\"%t %d\", [true, \"x\"]]", "\"%!t(string=true) %!d(string=x)\"", NULL },
    { "sprintf", "[\"%T %T %T %T\", [1, 1.5, \"x\", 18446744073709551616]]", "\"int float64 string *big.Int\"", NULL },
    { "sprintf", "[\"%d %d\", [1]]", "\"1 %!d(MISSING)\"", NULL },
    { "sprintf", "[\"%d\", [1, \"b\", 2.5]]", "\"1%!(EXTRA string=b, float64=2.5)\"", NULL },
    { "sprintf", "[\"100%% %\", []]", "\"100% %!(NOVERB)\"", NULL },
    { "sprintf", "[\"%[3]d\", [1]]", "\"%!d(BADINDEX)\"", NULL },
    { "sprintf", "[\"%*d\", [\"x\", 7]]", "\"%!(BADWIDTH)7\"", NULL },
    { "sprintf", "[\"%z\", [7]]", "\"%!z(int=7)\"", NULL },
    { "sprintf", "[\"x\", 1]", NULL, "sprintf: operand 2 must be array but got number" },
};

static void test_strings__search(void **state) { BENCH_TABLE(SEARCH); }
static void test_strings__cut(void **state) { BENCH_TABLE(CUT); }
static void test_strings__join(void **state) { BENCH_TABLE(JOIN); }
static void test_sprintf__verbs_and_complaints(void **state) { BENCH_TABLE(SPRINTF); }

/* A width is paid for before it is written. */
static void test_sprintf__width_is_charged(void **state)
{
    struct builtin_bench b;
    bench_open(&b);
    budget_init(&b.budget, 1000);
    assert_null(bench_call(&b, "sprintf", bench_json(&b, "[\"%999999d\", [1]]")));
    assert_int_equal(b.call.problem, BUILTIN_HALT);
    arena_free(b.arena);
}

static void test_replace__amplification_ends_with_the_arena(void **state)
{
    struct builtin_bench b;
    bench_open(&b);
    static char operands[40000];
    memset(operands, 'a', sizeof operands);
    memcpy(operands, "[\"", 2);
    memcpy(operands + 20000, "\",\"a\",\"", 7);
    memcpy(operands + sizeof operands - 3, "\"]", 3);
    assert_null(bench_call(&b, "replace", bench_json(&b, operands)));
    assert_int_equal(b.call.problem, BUILTIN_HALT);
    arena_free(b.arena);
}

static const struct value *run_of(struct builtin_bench *b, size_t count, const char *end)
{
    struct text t;
    text_init(&t, b->arena);
    for (size_t i = 0; i < count; i++) text_add_char(&t, 'a');
    text_add_string(&t, end);
    return value_from_text(&t);
}

/* Texts made for each other: no more work than is paid for. */
static void test_search__hostile_texts(void **state)
{
    struct builtin_bench b;
    bench_open(&b);
    const struct value *operands[] = { run_of(&b, 400000, ""), run_of(&b, 200000, "b") };
    const struct value *v = builtin_run(&b.call, builtin_find(NULL, "indexof_n", 9), operands);
    assert_non_null(v);
    assert_int_equal(v->count, 0);

    const struct value *texts[1000], *parts[1000];
    for (size_t i = 0; i < 1000; i++) texts[i] = run_of(&b, 1000, "c"), parts[i] = run_of(&b, 1000, "b");
    operands[0] = value_array(b.arena, texts, 1000);
    operands[1] = value_array(b.arena, parts, 1000);
    budget_init(&b.budget, 1000 * 1000);
    assert_null(builtin_run(&b.call, builtin_find(NULL, "strings.any_prefix_match", 24), operands));
    assert_int_equal(b.call.problem, BUILTIN_HALT);

    struct value_pair *pairs = arena_alloc_array(b.arena, 10, sizeof *pairs);
    for (size_t i = 0; i < 10; i++) pairs[i] = (struct value_pair) { run_of(&b, 20000 + i, "b"), run_of(&b, 1, "") };
    operands[0] = value_object(b.arena, pairs, 10, NULL);
    operands[1] = run_of(&b, 60000, "");
    budget_init(&b.budget, 1000 * 1000);
    assert_null(builtin_run(&b.call, builtin_find(NULL, "strings.replace_n", 17), operands));
    assert_int_equal(b.call.problem, BUILTIN_HALT);
    arena_free(b.arena);
}

static void test_concat__sets_in_order(void **state)
{
    struct builtin_bench b;
    bench_open(&b);
    const struct value **items = arena_alloc_array(b.arena, 2, sizeof *items);
    items[0] = value_string_z(b.arena, "z");
    items[1] = value_string_z(b.arena, "a");
    const struct value *operands[] = { value_string_z(b.arena, "-"), value_set(b.arena, items, 2) };
    const struct value *v = builtin_run(&b.call, builtin_find(NULL, "concat", 6), operands);
    assert_non_null(v);
    assert_string_equal(v->string, "a-z");
    arena_free(b.arena);
}

/* Decoders may yield bytes that are no UTF-8; every function must live with them. */
static void test_strings__bad_utf8(void **state)
{
    static const char *const ONE[] = { "lower", "upper", "strings.reverse", "trim_space", "hex.encode", "base64.encode",
                                       "urlquery.encode", "json.marshal", "json.is_valid", "glob.quote_meta" };
    static const char *const TWO[] = { "indexof", "indexof_n", "split", "strings.count", "trim", "contains", "regex.match",
                                       "regex.split" };
    struct builtin_bench b;
    bench_open(&b);
    const struct value *bad = value_string(b.arena, "a\xff\xc3", 3), *operands[] = { bad, bad };
    for (size_t i = 0; i < sizeof ONE / sizeof ONE[0]; i++)
        assert_non_null(builtin_run(&b.call, builtin_find(NULL, ONE[i], strlen(ONE[i])), operands));
    for (size_t i = 0; i < sizeof TWO / sizeof TWO[0]; i++)
        builtin_run(&b.call, builtin_find(NULL, TWO[i], strlen(TWO[i])), operands);
    assert_int_not_equal(b.call.problem, BUILTIN_HALT);
    arena_free(b.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings__search),
        cmocka_unit_test(test_strings__cut),
        cmocka_unit_test(test_strings__join),
        cmocka_unit_test(test_sprintf__verbs_and_complaints),
        cmocka_unit_test(test_sprintf__width_is_charged),
        cmocka_unit_test(test_replace__amplification_ends_with_the_arena),
        cmocka_unit_test(test_search__hostile_texts), cmocka_unit_test(test_concat__sets_in_order),
        cmocka_unit_test(test_strings__bad_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

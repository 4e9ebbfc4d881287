#include "policy/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LEN(a) (sizeof(a) / sizeof(a)[0])

static int setup(void **state)
{
    return !(*state = arena_new(1 << 22));
}

static int teardown(void **state)
{
    arena_free(*state);
    return 0;
}

static const struct value *parse(struct arena *a, const char *text)
{
    struct json_error e = { 0 };
    const struct value *v = json_to_value(a, text, strlen(text), NULL, &e);

    if (!v) fail_msg("%s: %s at %zu", text, e.text, e.offset);
    return v;
}

static const char *written(struct arena *a, const struct value *v)
{
    struct text t;

    text_init(&t, a);
    json_write(&t, v);
    return text_end(&t);
}

static void test_parse_and_write__pairs(void **state)
{
    static const struct { const char *in, *out; } cases[] = {
        { "null", "null" }, { " true\n", "true" }, { "[ ]", "[]" }, { "{ }", "{}" }, { "\"\"", "\"\"" },
        { "{\"b\": 1, \"a\": [1, 2.50, -3e2]}", "{\"a\":[1,2.50,-3e2],\"b\":1}" },
        { "18446744073709551615", "18446744073709551615" },
        { "\"\\u00e9\\ud83d\\ude00\\n\\/\\b\\f\"", "\"\xc3\xa9\xf0\x9f\x98\x80\\n/\\b\\f\"" },
        { "\"\\ud800x\\udc00\\ud800\\u0041\"", "\"\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd" "A\"" },
        { "\"<a&b>\\u2028\\u0001\\u0000\\u007f\"", "\"\\u003ca\\u0026b\\u003e\\u2028\\u0001\\u0000\x7f\"" },
    };

    for (size_t i = 0; i < LEN(cases); i++)
        assert_string_equal(written(*state, parse(*state, cases[i].in)), cases[i].out);
}

static void test_parse__refused(void **state)
{
    static const struct { const char *text, *problem; } cases[] = {
        { "", "unexpected end" }, { "tru", "unexpected character" }, { "[1,]", "unexpected character" },
        { "[1 2]", "expected ',' or ']'" }, { "{\"a\":1,}", "member's name" }, { "{\"a\" 1}", "expected ':'" },
        { "{\"a\":1,\"a\":1}", "named twice" }, { "{1:2}", "member's name" }, { "\"\t\"", "control character" },
        { "\"\\x\"", "bad escape" }, { "\"\\u12\"", "bad escape" }, { "\"abc", "end of the string" },
        { "\"\xff\"", "not UTF-8" }, { "\"\\n\xed\xa0\x80\"", "not UTF-8" }, { "01", "bad number" },
        { "1 1", "behind the value" }, { "{\"a\":1", "expected ',' or '}'" }, { "'a'", "unexpected character" },
    };

    for (size_t i = 0; i < LEN(cases); i++) {
        struct json_error e = { 0 };

        if (json_to_value(*state, cases[i].text, strlen(cases[i].text), NULL, &e) || !strstr(e.text, cases[i].problem))
            fail_msg("%s: %s", cases[i].text, e.text ? e.text : "accepted");
    }
}

static void test_parse__last_key_wins_on_request(void **state)
{
    const struct json_options options = { .last_key_wins = true };
    const char *text = "{\"a\":1,\"b\":2,\"a\":3}";

    assert_string_equal(written(*state, json_to_value(*state, text, strlen(text), &options, NULL)), "{\"a\":3,\"b\":2}");
}

static void test_parse__depth_limit(void **state)
{
    char text[2 * JSON_DEPTH_MAX + 2];
    struct json_error e;

    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    assert_null(json_to_value(*state, text, sizeof text, NULL, &e));
    assert_string_equal(e.text, "nested too deep");
    assert_non_null(json_to_value(*state, text + 1, 2 * JSON_DEPTH_MAX, NULL, &e));
}

static void test_parse__budget_and_memory(void **state)
{
    struct budget b;
    struct json_options options = { .budget = &b };
    struct json_error e;
    struct arena *small = arena_new(200);

    budget_init(&b, 4);
    assert_non_null(json_to_value(*state, "[1,2,3]", 7, &options, &e));
    assert_null(json_to_value(*state, "1", 1, &options, &e));
    assert_string_equal(e.text, "out of steps");
    assert_null(json_to_value(small, "[1,2,3,4,5,6,7,8,9,10,11,12]", 28, NULL, &e));
    assert_string_equal(e.text, "out of memory");
    arena_free(small);
}

static void test_write__sets_and_odd_keys(void **state)
{
    const struct value *items[] = { value_int(*state, 2), value_string_z(*state, "a"), value_int(*state, 1) };
    const struct value *set = value_set(*state, items, 3);
    struct value_pair pairs[] = { { set, value_null() }, { value_bool(true), set }, { value_int(*state, 7), set } };
    const struct value *object = value_object(*state, pairs, 3, NULL);

    assert_string_equal(written(*state, object), "{\"7\":[1,2,\"a\"],\"[1,2,\\\"a\\\"]\":null,\"true\":[1,2,\"a\"]}");
}

static void test_write_pretty(void **state)
{
    struct text t;

    text_init(&t, *state);
    json_write_pretty(&t, parse(*state, "{\"a\":[1,{}],\"b\":[]}"), ">", "  ");
    assert_string_equal(text_end(&t), "{\n>  \"a\": [\n>    1,\n>    {}\n>  ],\n>  \"b\": []\n>}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_parse_and_write__pairs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parse__refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parse__last_key_wins_on_request, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parse__depth_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parse__budget_and_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write__sets_and_odd_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write_pretty, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

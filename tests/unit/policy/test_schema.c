/* schema.c: what a schema says of members and kinds, and whether a value is as it says. */
#include "tests/unit/policy/lints.h"

#include "policy/schema.h"

static const char SCHEMA[] =
    "{\"name\": \"string\", \"size?\": \"number\", \"cpu#\": {\"on\": \"boolean\"}, \"*#\": \"null\","
    " \"list\": [\"string a|b|longer word\"], \"deep\": {\"*\": \"any\"}, \"odd\": \"strange\", \"~old\": \"write name\"}";

struct member_case {
    const char *key;      /* JSON */
    const char *expected; /* JSON of the member's schema, "" when there is none; '?' in front: optional */
};

static const struct member_case MEMBERS[] = {
    { "\"name\"", "\"string\"" }, { "\"size\"", "?\"number\"" }, { "\"size?\"", "" },
    { "\"nam\"", "" }, { "\"cpu0\"", "?{\"on\":\"boolean\"}" }, { "\"cpu12\"", "?{\"on\":\"boolean\"}" },
    { "\"cpu\"", "" }, { "\"cpu0x\"", "" }, { "\"cpux0\"", "?\"null\"" }, { "\"xcpu0\"", "?\"null\"" },
    { "\"0\"", "" }, { "\"other7\"", "?\"null\"" }, { "\"cpu#\"", "" }, { "\"*#\"", "" }, { "\"~old\"", "" },
    { "\"old\"", "" }, { "0", "" }, { "\"\"", "" },
};

static void test_schema_member__of_object(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof MEMBERS / sizeof *MEMBERS; i++) {
        struct arena *a = arena_new(1 << 20);
        struct text got;
        bool optional = false;
        const struct value *member = schema_member(lints_json(a, SCHEMA), lints_json(a, MEMBERS[i].key), &optional);
        text_init(&got, a);
        if (member && optional) text_add_char(&got, '?');
        if (member) json_write(&got, member);
        const char *text = text_end(&got);
        if (strcmp(text, MEMBERS[i].expected) != 0) print_error("member %s\n", MEMBERS[i].key);
        assert_string_equal(text, MEMBERS[i].expected);
        arena_free(a);
    }
}

static const struct value *member_z(struct arena *a, const struct value *v, const char *key, bool *optional)
{
    return schema_member(v, value_string_z(a, key), optional);
}

static void test_schema_member__of_the_rest(void **state)
{
    struct arena *a = arena_new(1 << 20);
    const struct value *schema = lints_json(a, SCHEMA), *any = lints_json(a, "\"any\"");
    const struct value *list = object_get_z(schema, "list");
    bool optional = false;
    (void) state;
    assert_ptr_equal(member_z(a, any, "x", &optional), any);
    assert_true(optional);
    optional = false;
    assert_true(string_is(schema_member(list, value_int(a, 7), &optional), "string a|b|longer word"));
    assert_true(optional);
    assert_null(member_z(a, list, "first", &optional));
    assert_null(member_z(a, object_get_z(schema, "name"), "x", &optional));
    assert_true(string_is(member_z(a, object_get_z(schema, "deep"), "x", &optional), "any"));
    arena_free(a);
}

static void test_schema_kinds__words(void **state)
{
    static const struct { const char *schema; unsigned kinds; } CASES[] = {
        { "\"string\"", KIND_BIT(STRING) }, { "\"string a|b\"", KIND_BIT(STRING) },
        { "\"number\"", KIND_BIT(NUMBER) }, { "\"boolean\"", KIND_BIT(BOOL) }, { "\"null\"", KIND_BIT(NULL) },
        { "\"any\"", KIND_ANY }, { "\"numbers\"", KIND_ANY }, { "\"\"", KIND_ANY }, { "3", KIND_ANY },
        { "[\"string\"]", KIND_BIT(ARRAY) }, { "[]", KIND_ANY }, { "[\"string\", \"string\"]", KIND_ANY },
        { "{}", KIND_BIT(OBJECT) },
    };
    struct arena *a = arena_new(1 << 20);
    (void) state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        assert_int_equal(schema_kinds(lints_json(a, CASES[i].schema)), CASES[i].kinds);
        assert_int_equal(schema_is_any(lints_json(a, CASES[i].schema)), CASES[i].kinds == KIND_ANY);
    }
    arena_free(a);
}

static void test_schema_allows_string__words(void **state)
{
    struct arena *a = arena_new(1 << 20);
    const struct value *words = lints_json(a, "\"string a|b|longer word\"");
    (void) state;
    assert_true(schema_allows_string(words, value_string_z(a, "a")));
    assert_true(schema_allows_string(words, value_string_z(a, "longer word")));
    assert_false(schema_allows_string(words, value_string_z(a, "longer")));
    assert_false(schema_allows_string(words, value_string_z(a, "")));
    assert_false(schema_allows_string(words, value_string_z(a, "a|b")));
    assert_true(schema_allows_string(lints_json(a, "\"string\""), value_string_z(a, "a")));
    assert_true(schema_allows_string(lints_json(a, "[\"string\"]"), value_string_z(a, "a")));
    arena_free(a);
}

static void test_schema_is_filled__required_members(void **state)
{
    struct arena *a = arena_new(1 << 20);
    (void) state;
    assert_true(schema_is_filled(lints_json(a, SCHEMA)));
    assert_false(schema_is_filled(lints_json(a, "{\"a?\": \"any\", \"*\": \"any\", \"b#\": \"any\", \"~c\": \"d\"}")));
    assert_false(schema_is_filled(lints_json(a, "[\"string\"]")));
    assert_true(string_is(schema_advice(lints_json(a, SCHEMA), value_string_z(a, "old")), "write name"));
    assert_null(schema_advice(lints_json(a, SCHEMA), value_string_z(a, "name")));
    arena_free(a);
}

static const struct { const char *value, *why; } CONFORM[] = {
    { "{\"name\": \"x\", \"list\": [], \"deep\": {}, \"odd\": 1}", "" },
    { "{\"name\": \"x\", \"size\": 3, \"cpu0\": {\"on\": true}, \"x1\": null, \"list\": [\"a\", \"longer word\"],"
      " \"deep\": {\"a\": {\"b\": []}}, \"odd\": {}}", "" },
    { "{\"list\": [], \"deep\": {}, \"odd\": 1}", "name: is missing" },
    { "{\"name\": 1, \"list\": [], \"deep\": {}, \"odd\": 1}", "name: is of another kind" },
    { "{\"name\": \"x\", \"size\": \"3\", \"list\": [], \"deep\": {}, \"odd\": 1}", "size: is of another kind" },
    { "{\"name\": \"x\", \"list\": [\"a\", \"c\"], \"deep\": {}, \"odd\": 1}", "list.1: is none of the strings listed" },
    { "{\"name\": \"x\", \"list\": [], \"deep\": {}, \"odd\": 1, \"more\": 1}", "more: is not in the schema" },
    { "{\"name\": \"x\", \"list\": [], \"deep\": {}, \"odd\": 1, \"cpu3\": {}}", "cpu3.on: is missing" },
    { "{\"name\": \"x\", \"list\": [], \"deep\": {}, \"odd\": 1, \"cpu3\": {\"on\": 1}}", "cpu3.on: is of another kind" },
    { "{\"name\": \"x\", \"list\": [], \"deep\": {}, \"odd\": 1, \"old\": 1}", "old: is not in the schema" },
    { "[]", "is of another kind" },
};

static void test_schema_conforms__values(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof CONFORM / sizeof *CONFORM; i++) {
        struct arena *a = arena_new(1 << 20);
        struct text why;
        text_init(&why, a);
        const struct value *v = lints_json(a, CONFORM[i].value);
        bool ok = schema_conforms(lints_json(a, SCHEMA), v, &why);
        assert_string_equal(text_end(&why), CONFORM[i].why);
        assert_int_equal(ok, CONFORM[i].why[0] == '\0');
        assert_int_equal(schema_conforms(lints_json(a, SCHEMA), v, NULL), ok);
        arena_free(a);
    }
}

/* n arrays inside each other. */
static const struct value *nested(struct arena *a, const char *inner, size_t n)
{
    struct text t;
    text_init(&t, a);
    for (size_t i = 0; i < n; i++) text_add_char(&t, '[');
    text_add_string(&t, inner);
    for (size_t i = 0; i < n; i++) text_add_char(&t, ']');
    return lints_json(a, text_end(&t));
}

static void test_schema_conforms__depth(void **state)
{
    struct arena *a = arena_new(1 << 20);
    (void) state;
    const struct value *schema = nested(a, "\"number\"", SCHEMA_DEPTH_MAX + 1);
    assert_true(schema_conforms(nested(a, "\"number\"", SCHEMA_DEPTH_MAX), nested(a, "1", SCHEMA_DEPTH_MAX), NULL));
    assert_false(schema_conforms(schema, nested(a, "1", SCHEMA_DEPTH_MAX + 1), NULL));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema_member__of_object),
        cmocka_unit_test(test_schema_member__of_the_rest),
        cmocka_unit_test(test_schema_kinds__words),
        cmocka_unit_test(test_schema_allows_string__words),
        cmocka_unit_test(test_schema_is_filled__required_members),
        cmocka_unit_test(test_schema_conforms__values),
        cmocka_unit_test(test_schema_conforms__depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

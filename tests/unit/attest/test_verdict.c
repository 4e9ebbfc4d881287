#include "broker/attest/verdict.h"
#include "policy/json.h"
#include "policy/value.h"
#include "tests/lib/test.h"

static struct {
    struct arena *arena;
    struct ear_verdict verdict;
} t;

static int setup(void **state)
{
    t.arena = arena_new(1u << 20);
    return t.arena ? 0 : -1;
}

static int teardown(void **state)
{
    ear_verdict_done(&t.verdict);
    arena_free(t.arena);
    memset(&t, 0, sizeof t);
    return 0;
}

static const struct value *value_of(const char *json)
{
    if (!json) return NULL;
    const struct value *v = json_to_value(t.arena, json, strlen(json), NULL, NULL);
    assert_non_null(v);
    return v;
}

/* NULL: the rule has no value. */
static struct err verdict(const char *claims, const char *extensions)
{
    ear_verdict_done(&t.verdict);
    memset(&t.verdict, 0, sizeof t.verdict);
    return verdict_from(value_of(claims), value_of(extensions), &t.verdict);
}

static void test_verdict_from__claims(void **state)
{
    assert_ok(verdict("{\"hardware\":2,\"file-system\":-128,\"sourced-data\":127,\"executables\":3.0}", NULL));
    assert_int_equal(t.verdict.vector.value[EAR_HARDWARE], 2);
    assert_int_equal(t.verdict.vector.value[EAR_FILE_SYSTEM], -128);
    assert_int_equal(t.verdict.vector.value[EAR_SOURCED_DATA], 127);
    assert_int_equal(t.verdict.vector.value[EAR_EXECUTABLES], 3);
    assert_int_equal(t.verdict.vector.value[EAR_CONFIGURATION], 0);
    assert_int_equal(t.verdict.extensions.len, 0);
}

static void test_verdict_from__no_claims(void **state)
{
    assert_ok(verdict(NULL, NULL));
    assert_string_equal(ear_status(&t.verdict.vector), "none");
    assert_fails_with(verdict("{}", NULL), ERR_USAGE, "it claims nothing");
}

static void test_verdict_from__claims_refused(void **state)
{
    static const struct { const char *claims, *text; } rows[] = {
        {"{\"nonsense\":2}", "\"nonsense\", which is no claim"},
        {"{\"file_system\":2}", "file-system"},
        {"{\"\":2}", "no claim"},
        {"{\"hardware\":128}", "no integer from -128 to 127"},
        {"{\"hardware\":-129}", "no integer"},
        {"{\"hardware\":99999999999999999999}", "no integer"},
        {"{\"hardware\":2.5}", "no integer"},
        {"{\"hardware\":\"2\"}", "no integer"},
        {"{\"hardware\":null}", "no integer"},
        {"[2]", "of type array"},
        {"true", "of type boolean"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_fails_with(verdict(rows[i].claims, NULL), ERR_USAGE, rows[i].text);
}

static void test_verdict_from__extensions(void **state)
{
    assert_ok(verdict(NULL, "[]"));
    assert_int_equal(t.verdict.extensions.len, 0);
    assert_ok(verdict(NULL, "[{\"name\":\"b\",\"key\":-18,\"value\":{\"x\":[1.50,null]}},"
                      "{\"name\":\"a\\\"\",\"key\":1,\"value\":false,\"more\":1}]"));
    assert_string_equal(buf_str(&t.verdict.extensions),
                        "\"b\":{\"x\":[1.50,null]},\"a\\\"\":false");
}

static void test_verdict_from__extensions_refused(void **state)
{
    static const struct { const char *extensions, *text; } rows[] = {
        {"{}", "of type object"},
        {"[1]", "no object"},
        {"[{\"key\":1,\"value\":1}]", "no name"},
        {"[{\"name\":\"\",\"key\":1,\"value\":1}]", "no name"},
        {"[{\"name\":7,\"key\":1,\"value\":1}]", "no name"},
        {"[{\"name\":\"a\",\"value\":1}]", "needs \"key\""},
        {"[{\"name\":\"a\",\"key\":\"1\",\"value\":1}]", "needs \"key\""},
        {"[{\"name\":\"a\",\"key\":1}]", "and \"value\""},
        {"[{\"name\":\"ear.status\",\"key\":1,\"value\":1}]", "cannot be called"},
        {"[{\"name\":\"a\\u0000b\",\"key\":1,\"value\":1}]", "cannot be called"},
        {"[{\"name\":\"a\",\"key\":1,\"value\":1},{\"name\":\"a\",\"key\":2,\"value\":1}]", "two extensions \"a\""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_fails_with(verdict("{\"hardware\":2}", rows[i].extensions), ERR_USAGE, rows[i].text);
}

static void test_verdict_from__number_of_extensions(void **state)
{
    for (unsigned beyond = 0; beyond <= 1; beyond++) {
        struct buf list = BUF_INIT;
        for (unsigned i = 0; i < VERDICT_EXTENSIONS_MAX + beyond; i++)
            buf_addf(&list, "%c{\"name\":\"n%u\",\"key\":1,\"value\":1}", i ? ',' : '[', i);
        buf_add_byte(&list, ']');
        struct err e = verdict(NULL, buf_str(&list));
        buf_free(&list);
        if (beyond) assert_fails_with(e, ERR_USAGE, "the limit is 16");
        else assert_ok(e);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_verdict_from__claims),
        TEST(test_verdict_from__no_claims),
        TEST(test_verdict_from__claims_refused),
        TEST(test_verdict_from__extensions),
        TEST(test_verdict_from__extensions_refused),
        TEST(test_verdict_from__number_of_extensions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

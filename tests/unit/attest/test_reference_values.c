#include "broker/attest/reference_values.h"
#include "broker/base/limits.h"
#include "broker/jose/b64url.h"
#include "policy/value.h"
#include "tests/lib/test.h"

#define NOW 1795521600
#define YEAR_LATER (NOW + REFERENCE_VALUE_SECONDS)

static struct {
    struct reference_values *values;
    struct buf text, message;
} t;

static int setup(void **state)
{
    assert_ok(reference_values_parse(SPAN_LIT(REFERENCE_VALUES_EMPTY), &t.values));
    return 0;
}

static int teardown(void **state)
{
    reference_values_free(t.values);
    buf_free(&t.text);
    buf_free(&t.message);
    memset(&t, 0, sizeof t);
    return 0;
}

/* `more` are members of ours, "" or ",\"replace\":true". */
static struct span message(const char *payload, const char *more)
{
    struct buf encoded = BUF_INIT;
    b64_add(&encoded, span_str(payload));
    buf_reset(&t.message);
    buf_addf(&t.message, "{\"version\":\"0.1.0\",\"type\":\"sample\",\"payload\":\"%s\"%s}",
             buf_str(&encoded), more);
    buf_free(&encoded);
    return buf_span(&t.message);
}

/* The set after this message takes the place of the one before. */
static struct err register_at(const char *payload, const char *more, int64_t now)
{
    struct reference_values *next = NULL;
    buf_reset(&t.text);
    struct err e = reference_values_register(t.values, message(payload, more), now, &t.text);
    if (!err_ok(e)) return e;
    assert_ok(reference_values_parse(buf_span(&t.text), &next));
    reference_values_free(t.values);
    t.values = next;
    return ERR_OK;
}

static struct err query(const char *name, int64_t now)
{
    buf_reset(&t.text);
    return reference_values_query(t.values, name, now, &t.text);
}

#define assert_value(name, now, expected)                                                      \
    do {                                                                                       \
        assert_ok(query(name, now));                                                           \
        assert_string_equal(buf_str(&t.text), expected);                                       \
    } while (0)

static void test_register__every_kind_comes_back(void **state)
{
    assert_ok(register_at("{\"a\":[\"x\",1.50],\"b\":\"t\",\"c\":7,\"d\":false,\"e/f g\":{\"n\":[null]}}", "", NOW));
    assert_value("a", NOW, "[\"x\",1.50]");
    assert_value("b", NOW, "\"t\"");
    assert_value("c", NOW, "7");
    assert_value("d", NOW, "false");
    assert_value("e/f g", NOW, "{\"n\":[null]}");
    assert_int_equal(reference_values_count(t.values), 5);
    assert_fails_with(query("z", NOW), ERR_NOTFOUND, "No reference value found for the given id: z");
}

static void test_register__replaces_what_it_names(void **state)
{
    assert_ok(register_at("{\"a\":1,\"b\":2}", "", NOW));
    assert_ok(register_at("{\"a\":3,\"c\":4}", "", NOW));
    assert_value("a", NOW, "3");
    assert_value("b", NOW, "2");
    assert_value("c", NOW, "4");
    assert_ok(register_at("{\"b\":null,\"nosuch\":null}", "", NOW));
    assert_fails(query("b", NOW), ERR_NOTFOUND);
    assert_int_equal(reference_values_count(t.values), 2);
    assert_ok(register_at("{\"d\":5}", ",\"replace\":true", NOW));
    assert_int_equal(reference_values_count(t.values), 1);
    assert_ok(register_at("{\"e\":6}", ",\"replace\":false", NOW));
    assert_int_equal(reference_values_count(t.values), 2);
    assert_ok(register_at("{}", "", NOW));
    assert_int_equal(reference_values_count(t.values), 2);
}

/* The last second is the one before. */
static void test_find__expired_do_not_count(void **state)
{
    assert_ok(register_at("{\"a\":1}", "", NOW));
    assert_ok(register_at("{\"b\":2}", ",\"expires\":1795521610", NOW));
    assert_ok(register_at("{\"c\":3}", ",\"expires\":0", NOW));
    assert_value("b", NOW + 9, "2");
    assert_fails(query("b", NOW + 10), ERR_NOTFOUND);
    assert_null(reference_values_find(t.values, "b", 1, NOW + 10));
    assert_value("a", YEAR_LATER - 1, "1");
    assert_fails(query("a", YEAR_LATER), ERR_NOTFOUND);
    assert_value("c", INT64_MAX, "3");
    buf_reset(&t.text);
    assert_ok(reference_values_list(t.values, NOW + 10, &t.text));
    assert_non_null(strstr(buf_str(&t.text), "{\"name\":\"b\",\"value\":2,\"expires\":1795521610,\"expired\":true}"));
    assert_non_null(strstr(buf_str(&t.text), "{\"name\":\"c\",\"value\":3,\"expires\":0,\"expired\":false}"));
    assert_ok(register_at("{\"d\":4}", "", NOW + 10)); /* and leaves out what has expired */
    assert_int_equal(reference_values_count(t.values), 3);
}

static void test_register__refused(void **state)
{
    static const struct { const char *payload, *more, *text; } rows[] = {
        {"[1]", "", "no JSON object"},
        {"{", "", "payload"},
        {"{\"a\":1,\"a\":2}", "", "payload"},
        {"{\"\":1}", "", "1 to 255 bytes"},
        {"{\"a\":1}", ",\"expires\":1795521600", "time to come"},
        {"{\"a\":1}", ",\"expires\":-1", "time to come"},
        {"{\"a\":1}", ",\"expires\":\"x\"", "time to come"},
        {"{\"a\":1}", ",\"replace\":1", "true or false"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_fails_with(register_at(rows[i].payload, rows[i].more, NOW), ERR_USAGE, rows[i].text);
    static const struct { const char *message, *text; } messages[] = {
        {"", "message"},
        {"[]", "version"},
        {"{\"version\":\"0.1.0\",\"type\":\"sample\"}", "payload"},
        {"{\"version\":\"0.2.0\",\"type\":\"sample\",\"payload\":\"e30=\"}", "version 0.2.0; 0.1.0 is known"},
        {"{\"version\":\"0.1.0\",\"type\":\"swid\",\"payload\":\"e30=\"}", "type swid"},
        {"{\"version\":\"0.1.0\",\"type\":\"sample\",\"payload\":\"e30\"}", "base64"},
        {"{\"version\":\"0.1.0\",\"type\":\"sample\",\"payload\":{}}", "payload"}};
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
        assert_fails_with(reference_values_register(t.values, span_str(messages[i].message), NOW, &t.text),
                          ERR_USAGE, messages[i].text);
    assert_int_equal(reference_values_count(t.values), 0);
}

/* When what is stored cannot be read, nothing is added to it silently. */
static void test_register__damaged(void **state)
{
    assert_fails_with(reference_values_register(NULL, message("{\"a\":1}", ""), NOW, &t.text),
                      ERR_DAMAGED, "\"replace\": true");
    buf_reset(&t.text);
    assert_ok(reference_values_register(NULL, message("{\"a\":1}", ",\"replace\":true"), NOW, &t.text));
}

static void test_register__limits(void **state)
{
    char name[REFERENCE_NAME_MAX + 2], payload[400];
    for (size_t beyond = 0; beyond <= 1; beyond++) {
        memset(name, 'n', sizeof name);
        name[REFERENCE_NAME_MAX + beyond] = '\0';
        snprintf(payload, sizeof payload, "{\"%s\":1}", name);
        assert_int_equal(register_at(payload, "", NOW).code, beyond ? ERR_USAGE : ERR_NONE);
    }
    for (unsigned beyond = 0; beyond <= 1; beyond++) {
        struct buf many = BUF_INIT;
        for (unsigned i = 0; i < REFERENCE_VALUES_MAX + beyond; i++)
            buf_addf(&many, "%c\"n%u\":1", i ? ',' : '{', i);
        buf_add_byte(&many, '}');
        struct err e = register_at(buf_str(&many), ",\"replace\":true", NOW);
        buf_free(&many);
        if (beyond) assert_fails_with(e, ERR_TOOLARGE, "the limit is 2048");
        else assert_ok(e);
    }
}

static void test_register__bytes(void **state)
{
    for (size_t beyond = 0; beyond <= 1; beyond++) {
        struct buf big = BUF_INIT;
        static const char around[] = "{\"values\":{\"a\":{\"value\":\"\",\"expires\":0}}}";
        buf_add_str(&big, "{\"values\":{\"a\":{\"value\":\"");
        while (big.len < REFERENCE_VALUES_BYTES + beyond - strlen("\",\"expires\":0}}}")) buf_add_byte(&big, 'x');
        buf_add_str(&big, "\",\"expires\":0}}}");
        assert_true(big.len > sizeof around);
        struct reference_values *v = NULL;
        struct err e = reference_values_parse(buf_span(&big), &v);
        reference_values_free(v);
        buf_free(&big);
        if (beyond) assert_fails_with(e, ERR_TOOLARGE, "the limit is");
        else assert_ok(e);
    }
}

static void test_parse__refused(void **state)
{
    static const char *const rows[] = {
        "", "[]", "{}", "{\"values\":[]}", "{\"values\":{\"a\":1}}", "{\"values\":{\"a\":{\"value\":1}}}",
        "{\"values\":{\"a\":{\"expires\":1}}}", "{\"values\":{\"a\":{\"value\":1,\"expires\":-1}}}",
        "{\"values\":{\"a\":{\"value\":1,\"expires\":\"1\"}}}"};
    struct reference_values *v = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_false(err_ok(reference_values_parse(span_str(rows[i]), &v)));
        assert_null(v);
    }
    reference_values_free(NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_register__every_kind_comes_back),
        TEST(test_register__replaces_what_it_names),
        TEST(test_find__expired_do_not_count),
        TEST(test_register__refused),
        TEST(test_register__damaged),
        TEST(test_register__limits),
        TEST(test_register__bytes),
        TEST(test_parse__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Keys of a KBS and what they are called here. */
#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "tests/unit/cmd/collect.h"

static struct err outcome;

static err_t give(void *arg, size_t max, struct secret **ret)
{
    const char *text = arg;
    (void) max;
    if (!err_ok(outcome)) FAIL(outcome.code, "on purpose");
    return secret_copy(span_str(text), ret);
}

static const char *offered(enum kbs_space space, const char *key, const char *value)
{
    const struct import_entry e = {.space = space, .key = span_str(key), .place = "here",
                                   .read = give, .arg = (void *) (uintptr_t) value};
    buf_reset(&seen);
    assert_ok(import_offer(&walk, &e));
    return buf_str(&seen);
}

static int setup(void **state)
{
    outcome = ERR_OK;
    return make_dir(state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, remove_dir)

static void test_offer__names(void **state)
{
    assert_string_equal(offered(KBS_REPOSITORY, "a/b/c", "x"), "resource a/b/c = x\n");
    assert_string_equal(offered(KBS_POLICIES, "resource-policy.rego", "x"),
                        "policy resource-policy = x\n");
    assert_string_equal(offered(KBS_ATTESTATION_POLICIES, "default_cpu.rego", "x"),
                        "attestation-policy default_cpu = x\n");
    assert_string_equal(offered(KBS_REFERENCE_VALUES, "svn \xc3\xa9", "x"),
                        "reference-value svn \xc3\xa9 = x\n");
    static const struct {
        enum kbs_space space;
        const char *key;
    } refused[] = {
        {KBS_REPOSITORY, ""}, {KBS_REPOSITORY, "a/b"}, {KBS_REPOSITORY, "a/b/c/d"},
        {KBS_REPOSITORY, "a/../c"}, {KBS_REPOSITORY, "a/b/.c"}, {KBS_REPOSITORY, "a/b/\xc3\xa9"},
        {KBS_POLICIES, "resource-policy"}, {KBS_POLICIES, "other.rego"}, {KBS_POLICIES, ".rego"},
        {KBS_ATTESTATION_POLICIES, ".rego"}, {KBS_ATTESTATION_POLICIES, "a b.rego"},
        {KBS_ATTESTATION_POLICIES, "default_cpu"}, {KBS_REFERENCE_VALUES, ""},
        {KBS_REFERENCE_VALUES, "\xff"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (!strstr(offered(refused[i].space, refused[i].key, "x"), " ! "))
            fail_msg("%s gave %s", refused[i].key, buf_str(&seen));
}

static void test_offer__long_names(void **state)
{
    char key[IMPORT_KEY_MAX + 2];
    memset(key, 'x', sizeof key);
    key[REFERENCE_NAME_MAX] = '\0';
    assert_null(strstr(offered(KBS_REFERENCE_VALUES, key, "1"), " ! "));
    key[REFERENCE_NAME_MAX] = 'x';
    key[REFERENCE_NAME_MAX + 1] = '\0';
    assert_non_null(strstr(offered(KBS_REFERENCE_VALUES, key, "1"), "1 to 255 bytes"));
    key[REFERENCE_NAME_MAX + 1] = 'x';
    key[IMPORT_KEY_MAX + 1] = '\0';
    assert_non_null(strstr(offered(KBS_REFERENCE_VALUES, key, "1"), "more than 1024 bytes"));
}

static void test_offer__values(void **state)
{
    assert_non_null(strstr(offered(KBS_POLICIES, "resource-policy.rego", ""), "empty"));
    assert_non_null(strstr(offered(KBS_POLICIES, "resource-policy.rego", "\xff"), "not UTF-8"));
    assert_string_equal(offered(KBS_REPOSITORY, "a/b/c", "\xff"), "resource a/b/c = \xff\n");
    outcome = (struct err){ERR_TOOLARGE};
    assert_string_equal(offered(KBS_REPOSITORY, "a/b/c", ""), "resource a/b/c ! on purpose\n");
    outcome = (struct err){ERR_BUSY};
    const struct import_entry e = {.key = SPAN_LIT("a/b/c"), .place = "here", .read = give, .arg = (char[]){""}};
    assert_fails(import_offer(&walk, &e), ERR_BUSY);
    const struct import_walk names = {.visit = collect};
    buf_reset(&seen);
    assert_ok(import_offer(&names, &e)); /* nothing is read that is not asked for */
    assert_string_equal(buf_str(&seen), "resource a/b/c\n");
}

static void test_record(void **state)
{
    struct json_doc *doc = NULL;
    struct import_record r = {0};
    assert_ok(import_record_parse(SPAN_LIT("{\"version\":\"0.1.0\",\"name\":\"x\",\"expiration\":"
                                           "\"2027-01-31T12:00:00Z\",\"value\":[1.50, {}]}"), &doc, &r));
    assert_span(r.value, "[1.50, {}]");
    assert_int_equal(r.expires, 1801396800);
    json_free(doc);
    static const char *const wrong[] = {
        "", "[]", "{}", "{\"version\":\"0.1.0\"}",
        "{\"version\":\"0.2.0\",\"expiration\":\"2027-01-31T12:00:00Z\",\"value\":1}",
        "{\"version\":\"0.1.0\",\"expiration\":\"2027-01-31T12:00:00\",\"value\":1}",
        "{\"version\":\"0.1.0\",\"expiration\":\"2027-01-31T12:00:00Zx\",\"value\":1}",
        "{\"version\":\"0.1.0\",\"expiration\":5,\"value\":1}",
        "{\"version\":\"0.1.0\",\"expiration\":\"2027-01-31T12:00:00Z\"}",
        "{\"version\":\"0.1.0\",\"expiration\":\"2027-01-31T12:00:00Z\",\"value\":null}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_fails(import_record_parse(span_str(wrong[i]), &doc, &r), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_offer__names), TEST(test_offer__long_names),
                                       TEST(test_offer__values), TEST(test_record)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/attest/init_data.h"
#include "tests/unit/attest/kit.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))
#define HEAD "algorithm = \"sha384\"\nversion = \"0.1.0\"\n\n[data]\n"

static void claims_are(const char *body, const char *expected)
{
    struct digest d = {0};
    struct buf claims = BUF_INIT;
    assert_ok(init_data_read("toml", body, &d, &claims));
    assert_span(buf_span(&claims), expected);
    buf_free(&claims);
}

static void test_init_data_read__claims(void **state)
{
    claims_are(HEAD "\"kbscheck\" = \"init-data\"\n", "{\"kbscheck\":\"init-data\"}");
    claims_are(HEAD, "{}");
    claims_are(HEAD "\"a\" = '''\nx\"\n'''\nb = \"\"\n", "{\"a\":\"x\\\"\\n\",\"b\":\"\"}");
    claims_are(HEAD "\"cdh.toml\" = '''\n[kbc]\nname = \"cc_kbc\"\nn = 3\n'''\n"
               "\"aa.toml\" = '[t]'\n",
               "{\"cdh.toml\":{\"kbc\":{\"name\":\"cc_kbc\",\"n\":3}},\"aa.toml\":{\"t\":{}}}");
}

static void test_init_data_read__agent_policy(void **state)
{
    claims_are(HEAD "\"policy.rego\" = '''\npackage agent_policy\n\n"
               "policy_data := {\n \"containers\": [ {\"n\": 1.50} ] }\n'''\n",
               "{\"agent_policy_claims\":{\n \"containers\": [ {\"n\": 1.50} ] }}");
    static const char *const without[] = {"package x", "policy_data := {} # not last",
                                          "policy_data := {", "policy_data = {}"};
    for (size_t i = 0; i < LENGTH(without); i++) {
        struct buf body = BUF_INIT, expected = BUF_INIT;
        buf_addf(&body, HEAD "\"policy.rego\" = '%s'\n", without[i]);
        buf_addf(&expected, "{\"policy.rego\":\"%s\"}", without[i]);
        claims_are(buf_str(&body), buf_str(&expected));
        buf_free(&expected);
        buf_free(&body);
    }
}

/* Over the whole body as received, comments and white space included. */
static void test_init_data_read__digest(void **state)
{
    static const struct { const char *name; enum digest_alg alg; } rows[] = {
        {"sha256", DIGEST_SHA256}, {"sha384", DIGEST_SHA384}, {"sha512", DIGEST_SHA512}};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct buf body = BUF_INIT, claims = BUF_INIT;
        struct digest got = {0}, expected = {0};
        buf_addf(&body, "# x\nalgorithm = \"%s\"\nversion = \"1\"\n[data]\n\n", rows[i].name);
        assert_ok(digest_compute(rows[i].alg, buf_span(&body), &expected));
        assert_ok(init_data_read("toml", buf_str(&body), &got, &claims));
        assert_true(span_eq(digest_span(&got), digest_span(&expected)));
        buf_free(&claims);
        buf_free(&body);
    }
}

static void test_init_data_read__refused(void **state)
{
    static const struct { const char *format, *body; } rows[] = {
        {"json", "{}"}, {"TOML", HEAD}, {"", HEAD}, {"toml ", HEAD},
        {"toml", "= ="},
        {"toml", ""},
        {"toml", "version = \"0.1.0\"\n[data]\n"},
        {"toml", "algorithm = \"sha384\"\n[data]\n"},
        {"toml", "algorithm = \"sha384\"\nversion = \"0.1.0\"\n"},
        {"toml", "algorithm = \"sha384\"\nversion = 1\n[data]\n"},
        {"toml", "algorithm = \"sm3\"\nversion = \"0.1.0\"\n[data]\n"},
        {"toml", "algorithm = \"SHA384\"\nversion = \"0.1.0\"\n[data]\n"},
        {"toml", "algorithm = \"sha384\"\nversion = \"0.1.0\"\ndata = \"x\"\n"},
        {"toml", HEAD "a = 1\n"},
        {"toml", HEAD "[data.a]\n"},
        {"toml", HEAD "\"cdh.toml\" = \"= =\"\n"},
        {"toml", HEAD "\"aa.toml\" = \"= =\"\n"},
        {"toml", HEAD "\"cdh.toml\" = 1\n"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct digest d = {0};
        struct buf claims = BUF_INIT;
        assert_fails(init_data_read(rows[i].format, rows[i].body, &d, &claims), ERR_USAGE);
        assert_int_equal(d.len, 0);
        buf_free(&claims);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init_data_read__claims),
        cmocka_unit_test(test_init_data_read__agent_policy),
        cmocka_unit_test(test_init_data_read__digest),
        cmocka_unit_test(test_init_data_read__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

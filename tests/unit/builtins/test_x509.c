/* x509.c and x509_value.c through the functions of the table. */
#include "broker/builtins/internal.h"
#include "broker/jose/jwk.h"
#include "broker/jose/x5c.h"
#include "tests/lib/test.h"
#include "tests/unit/builtins/host_bench.h"

#define NOW 1700000000

static struct builtin_bench b;
static struct buf pem;

static int setup(void **state)
{
    EVP_PKEY *key = NULL;
    host_open(&b);
    assert_ok(key_generate_ec("P-256", &key));
    assert_ok(x5c_self_sign(key, "policy test", NOW - 100, 1000, &pem));
    EVP_PKEY_free(key);
    return 0;
}

static int teardown(void **state)
{
    arena_free(b.arena);
    buf_free(&pem);
    return 0;
}

static const struct value *call(const char *name, const char *text, const char *options)
{
    const struct value *args[] = {value_string_z(b.arena, text), options ? bench_json(&b, options) : NULL};
    b.call.text[0] = 0;
    return builtin_run(&b.call, builtin_find(b.call.host, name, strlen(name)), args);
}

#define PARSE "crypto.x509.parse_certificates"
#define VERIFY "crypto.x509.parse_and_verify_certificates"

static void assert_common_name(const struct value *certs)
{
    assert_non_null(certs);
    assert_true(certs->count >= 1);
    const struct value *cert = certs->items[0];
    assert_true(string_is(object_get_z(object_get_z(cert, "Subject"), "CommonName"), "policy test"));
    assert_true(string_is(object_get_z(object_get_z(cert, "Issuer"), "CommonName"), "policy test"));
    assert_true(string_is(object_get_z(cert, "NotBefore"), "2023-11-14T22:11:40Z"));
    assert_int_equal(object_get_z(cert, "Version")->number.i, 3);
    assert_int_equal(object_get_z(cert, "PublicKeyAlgorithm")->number.i, 3);
    assert_int_equal(object_get_z(cert, "SignatureAlgorithm")->number.i, 10);
    assert_int_equal(object_get_z(cert, "DNSNames")->kind, VALUE_NULL);
    assert_int_equal(object_get_z(cert, "URIStrings")->kind, VALUE_NULL);
}

static void test_parse__pem_and_base64_of_pem(void **state)
{
    assert_common_name(call(PARSE, buf_str(&pem), NULL));
    const struct value *text = value_string_z(b.arena, buf_str(&pem));
    const struct value *encoded = builtin_base64_encode(&b.call, &text);
    assert_common_name(call(PARSE, encoded->string, NULL));
    const struct value *raw = object_get_z(call(PARSE, buf_str(&pem), NULL)->items[0], "Raw");
    assert_common_name(call(PARSE, raw->string, NULL)); /* DER */
}

static void test_parse__refuses_other_texts(void **state)
{
    static const struct { const char *text, *error; } rows[] = {
        {"YmFkc3RyaW5n", "x509: malformed certificate"},
        {"!", "illegal base64 data at input byte 0"},
        {"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
         "PEM block type is 'PUBLIC KEY', expected CERTIFICATE"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_null(call(PARSE, rows[i].text, NULL));
        assert_int_equal(b.call.problem, BUILTIN_ERROR);
        if (!strstr(b.call.text, rows[i].error)) fail_msg("%s: %s", rows[i].text, b.call.text);
    }
}

static void test_parse__at_and_over_the_number_of_certificates(void **state)
{
    struct buf many = {.max = 1 << 20};
    for (int i = 0; i < CERTIFICATES_MAX; i++) buf_add_span(&many, buf_span(&pem));
    const struct value *v = call(PARSE, buf_str(&many), NULL);
    assert_non_null(v);
    assert_int_equal(v->count, CERTIFICATES_MAX);
    buf_add_span(&many, buf_span(&pem));
    assert_null(call(PARSE, buf_str(&many), NULL));
    assert_int_equal(b.call.problem, BUILTIN_HALT);
    buf_free(&many);
}

static bool valid(const struct value *v)
{
    assert_non_null(v);
    assert_int_equal(v->count, 2);
    return v->items[0] == value_bool(true);
}

static void test_verify__root_first_leaf_last(void **state)
{
    char chain[2048];
    snprintf(chain, sizeof chain, "%s%s", buf_str(&pem), buf_str(&pem));
    b.call.now_ns = (int64_t) NOW * 1000000000;
    const struct value *v = call(VERIFY, chain, NULL);
    assert_true(valid(v));
    assert_common_name(v->items[1]);
    assert_false(valid(call(VERIFY, buf_str(&pem), NULL))); /* a root alone is no chain */
    assert_false(valid(call(VERIFY, "nothing", NULL)));
    b.call.now_ns = (int64_t) (NOW + 2000) * 1000000000;
    assert_false(valid(call(VERIFY, chain, NULL)));
}

static void test_verify__options(void **state)
{
    char chain[2048];
    snprintf(chain, sizeof chain, "%s%s", buf_str(&pem), buf_str(&pem));
    b.call.now_ns = (int64_t) (NOW + 2000) * 1000000000;
#define OPTIONS VERIFY "_with_options"
    assert_true(valid(call(OPTIONS, chain, "{\"CurrentTime\": 1700000000000000000}")));
    assert_false(valid(call(OPTIONS, chain, "{}")));
    assert_false(valid(call(OPTIONS, chain, "{\"CurrentTime\": 1700000000000000000, \"DNSName\": \"a.test\"}")));
    assert_true(valid(call(OPTIONS, chain, "{\"CurrentTime\": 1700000000000000000, \"KeyUsages\": [\"KeyUsageAny\"]}")));
    static const struct { const char *options, *error; } bad[] = {
        {"{\"CurrentTime\": \"x\"}", "'CurrentTime' should be a number"},
        {"{\"CurrentTime\": 1.5}", "'CurrentTime' should be a valid int64 number"},
        {"{\"DNSName\": 1}", "'DNSName' should be a string"},
        {"{\"KeyUsages\": 1}", "'KeyUsages' should be an Array or Set"},
        {"{\"KeyUsages\": [\"Nope\"]}", "invalid entries for 'KeyUsages' found: [Nope]"},
        {"{\"MaxConstraintComparisons\": \"x\"}", "'MaxConstraintComparisons' should be a number"},
        {"{\"x\": 1}", "invalid key option"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(call(OPTIONS, chain, bad[i].options));
        if (!strstr(b.call.text, bad[i].error)) fail_msg("%s: %s", bad[i].options, b.call.text);
    }
}

static void test_request__refuses_other_texts(void **state)
{
    static const struct { const char *text, *error; } rows[] = {
        {"YmFkc3RyaW5n", "asn1: structure error"},
        {"LS0tLS1CRUdJTiBYLS0tLS0KQUFBQQotLS0tLUVORCBYLS0tLS0K", "invalid PEM-encoded certificate signing request"},
        {"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "asn1: structure error"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_null(call("crypto.x509.parse_certificate_request", rows[i].text, NULL));
        if (!strstr(b.call.text, rows[i].error)) fail_msg("%s: %s", rows[i].text, b.call.text);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_parse__pem_and_base64_of_pem),
        TEST(test_parse__refuses_other_texts),
        TEST(test_parse__at_and_over_the_number_of_certificates),
        TEST(test_verify__root_first_leaf_last),
        TEST(test_verify__options),
        TEST(test_request__refuses_other_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

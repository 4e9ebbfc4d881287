/* x509.c through the functions of the table. */
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

static void test_parse__damaged_blocks_are_passed_over(void **state)
{
    static const char damaged[] = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
    struct buf text = {.max = 1 << 16};
    buf_add_span(&text, span_str(damaged));
    buf_add_span(&text, buf_span(&pem));
    buf_add_span(&text, span_str(damaged));
    buf_add_span(&text, buf_span(&pem));
    buf_add_span(&text, span_str("-----BEGIN CERTIFICATE-----\nMII")); /* and no end */
    const struct value *v = call(PARSE, buf_str(&text), NULL);
    assert_common_name(v);
    assert_int_equal(v->count, 2);
    assert_int_equal(call(PARSE, damaged, NULL)->count, 0);
    assert_int_equal(call(PARSE, "", NULL)->count, 0);
    buf_free(&text);
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
        TEST(test_parse__damaged_blocks_are_passed_over),
        TEST(test_request__refuses_other_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

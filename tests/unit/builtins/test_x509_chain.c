/* Chains and their options, with certificates made to order. */
#include "tests/lib/test.h"
#include "tests/unit/builtins/certs.h"
#include "tests/unit/builtins/host_bench.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>

#define VERIFY "crypto.x509.parse_and_verify_certificates"
#define AT_NOW "\"CurrentTime\": 1700000000000000000"

static struct builtin_bench b;

static int setup(void **state)
{
    host_open(&b);
    return 0;
}

static int teardown(void **state)
{
    arena_free(b.arena);
    return 0;
}

static const struct value *call(const char *name, const char *text, const char *options)
{
    const struct value *args[] = {value_string_z(b.arena, text), options ? bench_json(&b, options) : NULL};
    b.call.text[0] = 0;
    b.call.now_ns = (int64_t) CERTS_NOW * 1000000000;
    return builtin_run(&b.call, builtin_find(b.call.host, name, strlen(name)), args);
}

/* [valid, chain] without an error. */
static bool valid(const char *text, const char *options)
{
    const struct value *v = call(options ? VERIFY "_with_options" : VERIFY, text, options);
    if (!v) fail_msg("%s: %s", options ? options : "no options", b.call.text);
    assert_int_equal(v->count, 2);
    if (v->items[0] != value_bool(true)) assert_int_equal(v->items[1]->count, 0);
    return v->items[0] == value_bool(true);
}

/* Root, one between, leaf: the root first, as the functions want them. */
struct chain {
    struct made_cert root, between, leaf;
    struct buf pem;
};

static struct chain chain_make(const struct cert_plan *between, const struct cert_plan *leaf)
{
    static const struct cert_plan root = {.common_name = "root", .extensions = {CERT_CA}};
    struct chain c = {.pem = {.max = 1 << 16}};
    c.root = cert_make(&root, NULL, NULL);
    c.between = cert_make(between, NULL, &c.root);
    c.leaf = cert_make(leaf, NULL, &c.between);
    cert_add_pem(&c.pem, &c.root);
    cert_add_pem(&c.pem, &c.between);
    cert_add_pem(&c.pem, &c.leaf);
    return c;
}

static void chain_free(struct chain *c)
{
    cert_free(&c->root);
    cert_free(&c->between);
    cert_free(&c->leaf);
    buf_free(&c->pem);
}

static const struct cert_plan BETWEEN = {.common_name = "between", .extensions = {CERT_CA}};
static const struct cert_plan LEAF = {
    .common_name = "leaf.test",
    .extensions = {{NID_subject_alt_name, "DNS:a.test,DNS:*.wild.test,IP:192.0.2.1,IP:2001:db8::1"}}};

static void test_verify__leaf_first_in_the_answer(void **state)
{
    static const char *const names[] = {"leaf.test", "between", "root"};
    struct chain c = chain_make(&BETWEEN, &LEAF);
    const struct value *v = call(VERIFY, buf_str(&c.pem), NULL);
    assert_non_null(v);
    assert_ptr_equal(v->items[0], value_bool(true));
    assert_int_equal(v->items[1]->count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(string_is(object_get_z(object_get_z(v->items[1]->items[i], "Subject"), "CommonName"), names[i]));
    chain_free(&c);
}

static void test_verify__what_is_no_chain(void **state)
{
    struct chain c = chain_make(&BETWEEN, &LEAF);
    struct buf t = {.max = 1 << 16};
    cert_add_pem(&t, &c.root);
    cert_add_pem(&t, &c.leaf); /* the one between is missing */
    assert_false(valid(buf_str(&t), NULL));
    buf_reset(&t);
    cert_add_pem(&t, &c.leaf);
    cert_add_pem(&t, &c.between);
    cert_add_pem(&t, &c.root); /* the leaf as the root: no certificate of its */
    assert_false(valid(buf_str(&t), NULL));
    buf_reset(&t);
    cert_add_pem(&t, &c.between); /* any certificate may be the root */
    cert_add_pem(&t, &c.leaf);
    assert_true(valid(buf_str(&t), NULL));
    assert_false(valid(buf_str(&c.pem), "{\"CurrentTime\": 1700003601000000000}")); /* an hour and a second */
    assert_true(valid(buf_str(&c.pem), "{\"CurrentTime\": 1700003599000000000}"));
    buf_free(&t);
    chain_free(&c);
}

static void test_verify__only_a_ca_signs(void **state)
{
    static const struct cert_plan no_ca = {.common_name = "between",
                                           .extensions = {{NID_basic_constraints, "critical,CA:FALSE"}}};
    struct chain c = chain_make(&no_ca, &LEAF);
    assert_false(valid(buf_str(&c.pem), NULL));
    chain_free(&c);
}

/* Neither does a root that does not say so, but for those of before version 3, which cannot. */
static void test_verify__a_root_says_that_it_signs(void **state)
{
    static const struct { long version; int nid; const char *value; bool good; } rows[] = {
        {2, NID_key_usage, "keyCertSign", false},
        {2, NID_basic_constraints, "CA:FALSE", false},
        {2, NID_basic_constraints, "CA:TRUE", true},
        {0, 0, NULL, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cert_plan plan = {.common_name = "root", .extensions = {{rows[i].nid, rows[i].value}}};
        struct made_cert root = cert_draft(&plan, NULL, NULL);
        struct buf t = {.max = 1 << 16};
        X509_set_version(root.cert, rows[i].version);
        cert_sign(root.cert, root.key, NULL);
        struct made_cert leaf = cert_make(&LEAF, NULL, &root);
        cert_add_pem(&t, &root);
        cert_add_pem(&t, &leaf);
        if (valid(buf_str(&t), NULL) != rows[i].good) fail_msg("row %zu", i);
        cert_free(&root);
        cert_free(&leaf);
        buf_free(&t);
    }
}

/* The whole chain must allow one and the same usage. */
static void test_verify__usages(void **state)
{
    static const struct { const char *between, *leaf, *wanted; bool good; } rows[] = {
        {NULL, NULL, NULL, true},
        {NULL, "serverAuth", NULL, true},
        {NULL, "clientAuth", NULL, false},
        {NULL, "clientAuth", "\"KeyUsageClientAuth\"", true},
        {NULL, "clientAuth", "\"\\\"KeyUsageClientAuth\\\"\"", true},
        {NULL, "clientAuth", "\"KeyUsageAny\"", true},
        {NULL, "clientAuth", "", false},
        {NULL, "clientAuth", "7", false},
        {"serverAuth", "clientAuth", "\"KeyUsageClientAuth\",\"KeyUsageServerAuth\"", false},
        {"serverAuth,clientAuth", "clientAuth", "\"KeyUsageClientAuth\",\"KeyUsageServerAuth\"", true},
        {"anyExtendedKeyUsage", "codeSigning", "\"KeyUsageCodeSigning\"", true},
        {NULL, NULL, "\"KeyUsageMicrosoftKernelCodeSigning\"", true},
        {NULL, "1.2.3.4", "\"KeyUsageMicrosoftKernelCodeSigning\"", false},
        {NULL, "1.3.6.1.4.1.311.61.1.1", "\"KeyUsageMicrosoftKernelCodeSigning\"", true},
        {NULL, "1.3.6.1.4.1.311.61.1.1", NULL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cert_plan between = BETWEEN, leaf = {.common_name = "leaf"};
        if (rows[i].between) {
            between.extensions[1].nid = NID_ext_key_usage;
            between.extensions[1].value = rows[i].between;
        }
        if (rows[i].leaf) {
            leaf.extensions[0].nid = NID_ext_key_usage;
            leaf.extensions[0].value = rows[i].leaf;
        }
        struct chain c = chain_make(&between, &leaf);
        char options[256];
        snprintf(options, sizeof options, "{" AT_NOW ", \"KeyUsages\": [%s]}", rows[i].wanted ? rows[i].wanted : "");
        if (valid(buf_str(&c.pem), rows[i].wanted ? options : NULL) != rows[i].good)
            fail_msg("row %zu: %s", i, options);
        chain_free(&c);
    }
}

static void test_verify__host_names(void **state)
{
    static const struct { const char *name; bool good; } rows[] = {
        {"a.test", true},
        {"A.TEST", true},
        {"\\\"a.test\\\"", true},
        {"b.test", false},
        {"x.a.test", false},
        {"a.test.", true},
        {"a.test..", false},
        {".", false},
        {"leaf.test", false}, /* the common name does not count */
        {".test", false},     /* nor does a domain for the names in it */
        {"x.wild.test", true},
        {"x.y.wild.test", false},
        {"192.0.2.1", true},
        {"192.0.2.2", false},
        {"2001:db8::1", true},
        {"[2001:db8::1]", true},
        {"[2001:db8::2]", false},
        {"a.test\\u0000.evil", false},
        {"[", false},
        {"", true},
    };
    struct chain c = chain_make(&BETWEEN, &LEAF);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char options[256];
        snprintf(options, sizeof options, "{\"DNSName\": \"%s\"}", rows[i].name);
        if (valid(buf_str(&c.pem), options) != rows[i].good) fail_msg("%s", options);
    }
    char name[255], longest[320];
    memset(name, 'a', 254); /* one more than a name may have */
    name[254] = 0;
    snprintf(longest, sizeof longest, "{\"DNSName\": \"%s\"}", name);
    assert_false(valid(buf_str(&c.pem), longest));
    chain_free(&c);
}

/* A leaf without any alternative name, where OpenSSL alone would take the common name. */
static void test_verify__common_name_is_no_host_name(void **state)
{
    static const struct cert_plan bare = {.common_name = "leaf.test"};
    struct chain c = chain_make(&BETWEEN, &bare);
    assert_true(valid(buf_str(&c.pem), "{}"));
    assert_false(valid(buf_str(&c.pem), "{\"DNSName\": \"leaf.test\"}"));
    chain_free(&c);
}

static void test_verify__weak_signatures_and_keys(void **state)
{
    struct cert_plan sha1 = LEAF;
    sha1.digest = "SHA1";
    struct chain c = chain_make(&BETWEEN, &sha1);
    assert_false(valid(buf_str(&c.pem), NULL));
    chain_free(&c);

    static const struct { unsigned bits; bool good; } rows[] = {{1024, false}, {2048, true}};
    static const struct cert_plan root = {.common_name = "root", .extensions = {CERT_CA}};
    for (size_t i = 0; i < 2; i++) {
        struct buf t = {.max = 1 << 16};
        struct made_cert top = cert_make(&root, EVP_RSA_gen(rows[i].bits), NULL);
        struct made_cert leaf = cert_make(&LEAF, NULL, &top);
        cert_add_pem(&t, &top);
        cert_add_pem(&t, &leaf);
        if (valid(buf_str(&t), NULL) != rows[i].good) fail_msg("RSA of %u bits", rows[i].bits);
        cert_free(&top);
        cert_free(&leaf);
        buf_free(&t);
    }
}

/* A key that no one has: a modulus of so many bits with the exponent 3. */
static EVP_PKEY *key_of_bits(int bits)
{
    BIGNUM *n = BN_new(), *e = BN_new();
    BN_set_bit(n, bits - 1);
    BN_set_bit(n, 0);
    BN_set_word(e, 3);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params), 1);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    return key;
}

static void test_verify__keys_at_and_over_the_limit(void **state)
{
    static const struct { int bits; bool good; } rows[] = {{8192, true}, {8193, false}};
    static const struct cert_plan root = {.common_name = "root", .extensions = {CERT_CA}};
    for (size_t i = 0; i < 2; i++) {
        struct buf t = {.max = 1 << 16};
        struct made_cert top = cert_make(&root, NULL, NULL);
        struct made_cert leaf = cert_make(&LEAF, key_of_bits(rows[i].bits), &top);
        cert_add_pem(&t, &top);
        cert_add_pem(&t, &leaf);
        if (valid(buf_str(&t), NULL) != rows[i].good) fail_msg("RSA of %d bits", rows[i].bits);
        cert_free(&top);
        cert_free(&leaf);
        buf_free(&t);
    }
}

static void test_options__errors(void **state)
{
    static const struct { const char *options, *error; } bad[] = {
        {"{\"CurrentTime\": \"x\"}", "'CurrentTime' should be a number"},
        {"{\"CurrentTime\": 1.5}", "'CurrentTime' should be a valid int64 number"},
        {"{\"CurrentTime\": 9223372036854775808}", "'CurrentTime' should be a valid int64 number"},
        {"{\"DNSName\": 1}", "'DNSName' should be a string"},
        {"{\"KeyUsages\": 1}", "'KeyUsages' should be an Array or Set"},
        {"{\"KeyUsages\": [\"Nope\", \"KeyUsageAny\", \"No\"]}", "invalid entries for 'KeyUsages' found: [Nope No]"},
        {"{\"MaxConstraintComparisons\": \"x\"}", "'MaxConstraintComparisons' should be a number"},
        {"{\"MaxConstraintComparisons\": 1.5}", "'MaxConstraintComparisons' should be a valid number"},
        {"{\"x\": 1}", "invalid key option"},
    };
    struct chain c = chain_make(&BETWEEN, &LEAF);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(call(VERIFY "_with_options", buf_str(&c.pem), bad[i].options));
        assert_int_equal(b.call.problem, BUILTIN_ERROR);
        if (!strstr(b.call.text, bad[i].error)) fail_msg("%s: %s", bad[i].options, b.call.text);
        assert_false(valid("nothing", bad[i].options)); /* the text comes first */
    }
    assert_true(valid(buf_str(&c.pem), "{\"MaxConstraintComparisons\": 10}"));
    chain_free(&c);
}

static void test_verify__pays_for_signatures(void **state)
{
    struct chain c = chain_make(&BETWEEN, &LEAF);
    budget_init(&b.budget, 15000); /* three certificates: 3 * 5,000 and the reading */
    assert_null(call(VERIFY, buf_str(&c.pem), NULL));
    assert_int_equal(b.call.problem, BUILTIN_HALT);
    chain_free(&c);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_verify__leaf_first_in_the_answer),
        TEST(test_verify__what_is_no_chain),
        TEST(test_verify__only_a_ca_signs),
        TEST(test_verify__a_root_says_that_it_signs),
        TEST(test_verify__usages),
        TEST(test_verify__host_names),
        TEST(test_verify__common_name_is_no_host_name),
        TEST(test_verify__weak_signatures_and_keys),
        TEST(test_verify__keys_at_and_over_the_limit),
        TEST(test_options__errors),
        TEST(test_verify__pays_for_signatures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

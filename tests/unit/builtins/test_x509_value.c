/* x509_value.c and x509_pieces.c: the members of certificates made to order. */
#include "broker/builtins/x509_pieces.h"
#include "tests/lib/test.h"
#include "tests/unit/builtins/certs.h"
#include "tests/unit/builtins/host_bench.h"

static struct builtin_bench b;

static int setup(void **state)
{
    host_open(&b);
    b.call.builtin = builtin_find(b.call.host, "crypto.x509.parse_certificates", 30);
    return 0;
}

static int teardown(void **state)
{
    arena_free(b.arena);
    return 0;
}

static const struct value *value_of(const struct made_cert *m)
{
    b.call.problem = BUILTIN_FINE;
    b.call.text[0] = 0;
    return x509_value(&b.call, m->cert);
}

static void assert_member(const struct value *object, const char *name, const char *want)
{
    const struct value *got = object_get_z(object, name);
    struct text t;
    text_init(&t, b.arena);
    if (got) json_write(&t, got);
    if (!got || !value_equal(got, bench_json(&b, want)))
        fail_msg("%s: %s, wanted %s", name, got ? text_end(&t) : "absent", want);
}

struct row {
    const char *name, *want;
};
#define MEMBERS(object, rows) \
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows)[0]; i++) assert_member(object, (rows)[i].name, (rows)[i].want)

static const struct cert_plan RICH = {
    .common_name = "rich",
    .extensions = {
        {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
        {NID_key_usage, "critical,digitalSignature,keyCertSign,decipherOnly"},
        {NID_ext_key_usage, "clientAuth,1.2.3.4,serverAuth,1.3.6.1.4.1.311.61.1.1"},
        {NID_subject_key_identifier, "01:02:03"},
        {NID_subject_alt_name, "DNS:a.test,DNS:*.b.test,email:me@a.test,IP:192.0.2.1,IP:2001:db8:0:0:1::2,"
                               "IP:::ffff:192.0.2.7,URI:spiffe://a.test/x?y=1,RID:1.2.3"},
        {NID_crl_distribution_points, "URI:http://a.test/list"},
        {NID_info_access, "OCSP;URI:http://a.test/ocsp,caIssuers;URI:http://a.test/ca"},
        {NID_certificate_policies, "1.3.5.7"},
        {NID_name_constraints, "critical,permitted;DNS:a.test,excluded;IP:10.0.0.0/255.0.0.0,excluded;URI:.evil.test"},
        {NID_policy_constraints, "critical,requireExplicitPolicy:3"},
    },
};

static void test_value__extensions(void **state)
{
    static const struct row rows[] = {
        {"BasicConstraintsValid", "true"}, {"IsCA", "true"}, {"MaxPathLen", "0"}, {"MaxPathLenZero", "true"},
        {"KeyUsage", "289"}, /* 1 | 32 | 256 */
        {"ExtKeyUsage", "[2, 1, 13]"}, {"UnknownExtKeyUsage", "[[1, 2, 3, 4]]"},
        {"SubjectKeyId", "\"AQID\""}, {"AuthorityKeyId", "null"},
        {"DNSNames", "[\"a.test\", \"*.b.test\"]"}, {"EmailAddresses", "[\"me@a.test\"]"},
        {"IPAddresses", "[\"192.0.2.1\", \"2001:db8::1:0:0:2\", \"192.0.2.7\"]"},
        {"URIStrings", "[\"spiffe://a.test/x?y=1\"]"},
        {"CRLDistributionPoints", "[\"http://a.test/list\"]"}, {"OCSPServer", "[\"http://a.test/ocsp\"]"},
        {"IssuingCertificateURL", "[\"http://a.test/ca\"]"}, {"PolicyIdentifiers", "[[1, 3, 5, 7]]"},
        {"PermittedDNSDomainsCritical", "true"}, {"PermittedDNSDomains", "[\"a.test\"]"},
        {"ExcludedDNSDomains", "null"}, {"ExcludedIPRanges", "[{\"IP\": \"10.0.0.0\", \"Mask\": \"/wAAAA==\"}]"},
        {"ExcludedURIDomains", "[\".evil.test\"]"}, {"PermittedEmailAddresses", "null"},
        {"UnhandledCriticalExtensions", "[[2, 5, 29, 36]]"}, {"ExtraExtensions", "null"},
    };
    struct made_cert m = cert_make(&RICH, NULL, NULL);
    const struct value *v = value_of(&m);
    if (!v) fail_msg("%s", b.call.text);
    MEMBERS(v, rows);
    const struct value *list = object_get_z(v, "Extensions");
    assert_int_equal(list->count, 10);
    assert_member(list->items[0], "Id", "[2, 5, 29, 19]");
    assert_member(list->items[0], "Critical", "true");
    assert_member(list->items[0], "Value", "\"MAYBAf8CAQA=\"");
    assert_member(list->items[2], "Critical", "false");
    cert_free(&m);
}

static void test_value__nothing_extended(void **state)
{
    static const struct row rows[] = {
        {"Version", "3"}, {"SerialNumber", "1"}, {"NotBefore", "\"2023-11-14T21:13:20Z\""},
        {"NotAfter", "\"2023-11-14T23:13:20Z\""}, {"BasicConstraintsValid", "false"}, {"IsCA", "false"},
        {"MaxPathLen", "0"}, {"MaxPathLenZero", "false"}, {"KeyUsage", "0"}, {"ExtKeyUsage", "null"},
        {"UnknownExtKeyUsage", "null"}, {"SubjectKeyId", "null"}, {"DNSNames", "null"}, {"IPAddresses", "null"},
        {"URIStrings", "null"}, {"Extensions", "null"}, {"UnhandledCriticalExtensions", "null"},
        {"OCSPServer", "null"}, {"PolicyIdentifiers", "null"}, {"PermittedDNSDomainsCritical", "false"},
        {"PermittedIPRanges", "null"},
    };
    static const struct cert_plan bare = {.common_name = "bare"};
    struct made_cert m = cert_make(&bare, NULL, NULL);
    MEMBERS(value_of(&m), rows);
    cert_free(&m);
}

static void test_value__names(void **state)
{
    static const struct cert_plan plan = {.common_name = "first"};
    static const struct { int nid; const char *text; } more[] = {
        {NID_countryName, "DE"}, {NID_organizationName, "One"}, {NID_organizationName, "Zw\xc3\xb6lf"},
        {NID_serialNumber, "77"}, {NID_domainComponent, "test"}, {NID_commonName, "last"}};
    static const struct row rows[] = {
        {"Country", "[\"DE\"]"}, {"Organization", "[\"One\", \"Zw\xc3\xb6lf\"]"}, {"OrganizationalUnit", "null"},
        {"Locality", "null"}, {"Province", "null"}, {"StreetAddress", "null"}, {"PostalCode", "null"},
        {"SerialNumber", "\"77\""}, {"CommonName", "\"last\""}, {"ExtraNames", "null"},
        {"Names", "[{\"Type\": [2,5,4,3], \"Value\": \"first\"}, {\"Type\": [2,5,4,6], \"Value\": \"DE\"},"
                  "{\"Type\": [2,5,4,10], \"Value\": \"One\"}, {\"Type\": [2,5,4,10], \"Value\": \"Zw\xc3\xb6lf\"},"
                  "{\"Type\": [2,5,4,5], \"Value\": \"77\"},"
                  "{\"Type\": [0,9,2342,19200300,100,1,25], \"Value\": \"test\"},"
                  "{\"Type\": [2,5,4,3], \"Value\": \"last\"}]"},
    };
    struct made_cert m = cert_draft(&plan, NULL, NULL);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        X509_NAME_add_entry_by_NID(X509_get_subject_name(m.cert), more[i].nid, MBSTRING_UTF8,
                                   (const uint8_t *) more[i].text, -1, -1, 0);
    cert_sign(m.cert, m.key, NULL);
    const struct value *v = value_of(&m);
    MEMBERS(object_get_z(v, "Subject"), rows);
    assert_member(object_get_z(v, "Issuer"), "CommonName", "\"first\"");
    cert_free(&m);
}

/* What the raw members hold is the certificate's own DER. */
static void assert_raw(const struct value *v, const char *name, const uint8_t *der, size_t len)
{
    const struct value *encoded = object_get_z(v, name);
    const struct value *raw = builtin_base64_decode(&b.call, &encoded);
    assert_non_null(raw);
    assert_int_equal(raw->count, len);
    assert_memory_equal(raw->string, der, len);
}

static void test_value__raw_parts(void **state)
{
    struct made_cert m = cert_make(&RICH, NULL, NULL);
    const struct value *v = value_of(&m);
    uint8_t *der = NULL;
    const uint8_t *name = NULL;
    size_t name_len = 0;
    int len = i2d_X509(m.cert, &der);
    assert_raw(v, "Raw", der, (size_t) len);
    OPENSSL_free(der);
    der = NULL;
    len = i2d_re_X509_tbs(m.cert, &der);
    assert_raw(v, "RawTBSCertificate", der, (size_t) len);
    OPENSSL_free(der);
    der = NULL;
    len = i2d_PUBKEY(m.key, &der);
    assert_raw(v, "RawSubjectPublicKeyInfo", der, (size_t) len);
    OPENSSL_free(der);
    X509_NAME_get0_der(X509_get_issuer_name(m.cert), &name, &name_len);
    assert_raw(v, "RawIssuer", name, name_len);
    assert_raw(v, "RawSubject", name, name_len);
    const ASN1_BIT_STRING *signature = NULL;
    X509_get0_signature(&signature, NULL, m.cert);
    assert_raw(v, "Signature", ASN1_STRING_get0_data(signature), (size_t) ASN1_STRING_length(signature));
    cert_free(&m);
}

/* ---- keys and algorithms ----------------------------------------------------------------------------- */

static void test_value__keys_and_algorithms(void **state)
{
    static const struct { const char *type, *digest; unsigned bits; const char *key, *algorithm; } rows[] = {
        {"RSA", "SHA256", 2048, "1", "4"}, {"RSA", "SHA384", 2048, "1", "5"}, {"RSA", "SHA512", 2048, "1", "6"},
        {"RSA", "SHA1", 2048, "1", "3"}, {"EC", "SHA256", 0, "3", "10"}, {"EC", "SHA384", 0, "3", "11"},
        {"EC", "SHA512", 0, "3", "12"}, {"ED25519", NULL, 0, "4", "16"}, {"ED448", NULL, 0, "0", "0"},
    };
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cert_plan plan = {.common_name = "x", .digest = rows[i].digest};
        bool is_rsa = rows[i].bits != 0, is_ec = strcmp(rows[i].type, "EC") == 0;
        EVP_PKEY *key = is_rsa ? rsa : is_ec ? EVP_EC_gen("P-384") : EVP_PKEY_Q_keygen(NULL, NULL, rows[i].type);
        if (is_rsa) EVP_PKEY_up_ref(rsa);
        struct made_cert m = cert_draft(&plan, key, NULL);
        if (strcmp(rows[i].type, "ED448") == 0) assert_true(X509_sign(m.cert, key, NULL) > 0);
        else cert_sign(m.cert, key, rows[i].digest);
        const struct value *v = value_of(&m);
        if (!v) fail_msg("%s: %s", rows[i].type, b.call.text);
        assert_member(v, "PublicKeyAlgorithm", rows[i].key);
        assert_member(v, "SignatureAlgorithm", rows[i].algorithm);
        cert_free(&m);
    }
    EVP_PKEY_free(rsa);
}

static void sign_pss(X509 *cert, EVP_PKEY *key, const EVP_MD *md)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx = NULL;
    assert_int_equal(EVP_DigestSignInit(ctx, &pctx, md, NULL, key), 1);
    assert_true(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) > 0);
    assert_true(X509_sign_ctx(cert, ctx) > 0);
    EVP_MD_CTX_free(ctx);
}

static void test_value__pss_by_its_hash(void **state)
{
    static const struct { const EVP_MD *(*md)(void); const char *want; } rows[] = {
        {EVP_sha256, "13"}, {EVP_sha384, "14"}, {EVP_sha512, "15"}, {EVP_sha224, "0"}, {EVP_sha1, "0"}};
    static const struct cert_plan plan = {.common_name = "x"};
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        EVP_PKEY_up_ref(rsa);
        struct made_cert m = cert_draft(&plan, rsa, NULL);
        sign_pss(m.cert, rsa, rows[i].md());
        assert_member(value_of(&m), "SignatureAlgorithm", rows[i].want);
        cert_free(&m);
    }
    EVP_PKEY_free(rsa);
}

static void test_value__public_keys(void **state)
{
    static const struct cert_plan plan = {.common_name = "x"};
    struct made_cert m = cert_make(&plan, EVP_RSA_gen(2048), NULL);
    BIGNUM *n = NULL;
    EVP_PKEY_get_bn_param(m.key, "n", &n);
    char *digits = BN_bn2dec(n);
    assert_member(object_get_z(value_of(&m), "PublicKey"), "N", digits);
    assert_member(object_get_z(value_of(&m), "PublicKey"), "E", "65537");
    OPENSSL_free(digits);
    BN_free(n);
    cert_free(&m);

    m = cert_make(&plan, NULL, NULL);
    n = NULL;
    EVP_PKEY_get_bn_param(m.key, "qx", &n);
    digits = BN_bn2dec(n);
    assert_member(object_get_z(value_of(&m), "PublicKey"), "X", digits);
    assert_member(object_get_z(value_of(&m), "PublicKey"), "Curve", "{}");
    OPENSSL_free(digits);
    BN_free(n);
    cert_free(&m);

    m = cert_make(&plan, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL);
    uint8_t raw[32];
    size_t len = sizeof raw;
    assert_int_equal(EVP_PKEY_get_raw_public_key(m.key, raw, &len), 1);
    assert_raw(value_of(&m), "PublicKey", raw, len);
    cert_free(&m);
}

/* ---- what is malformed ---------------------------------------------------------------------------------- */

static void add_der(X509 *cert, int nid, const void *der, int len)
{
    ASN1_OCTET_STRING *s = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(s, der, len);
    X509_EXTENSION *e = X509_EXTENSION_create_by_NID(NULL, nid, 0, s);
    assert_int_equal(X509_add_ext(cert, e, -1), 1);
    X509_EXTENSION_free(e);
    ASN1_OCTET_STRING_free(s);
}

static void test_value__malformed_extensions(void **state)
{
    static const struct { int nid; const char *der; int len; const char *error; } rows[] = {
        {NID_key_usage, "\x04\x00", 2, "x509: malformed extension"},
        {NID_basic_constraints, "junk", 4, "x509: malformed extension"},
        {NID_ext_key_usage, "\x30\x7f", 2, "x509: malformed extension"},
        {NID_subject_alt_name, "\x30\x03\x82\x01\xff", 5, "x509: invalid IA5String"},
        {NID_subject_alt_name, "\x30\x05\x87\x03\x01\x02\x03", 7, "x509: cannot parse IP address of length 3"},
        {NID_subject_alt_name, "\x30", 1, "x509: malformed extension"},
    };
    static const struct cert_plan plan = {.common_name = "x"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct made_cert m = cert_draft(&plan, NULL, NULL);
        add_der(m.cert, rows[i].nid, rows[i].der, rows[i].len);
        cert_sign(m.cert, m.key, NULL);
        assert_null(value_of(&m));
        assert_int_equal(b.call.problem, BUILTIN_ERROR);
        if (!strstr(b.call.text, rows[i].error)) fail_msg("row %zu: %s", i, b.call.text);
        cert_free(&m);
    }
}

static void test_value__extension_there_twice(void **state)
{
    static const struct cert_plan plan = {
        .common_name = "x", .extensions = {{NID_key_usage, "keyCertSign"}, {NID_key_usage, "digitalSignature"}}};
    struct made_cert m = cert_make(&plan, NULL, NULL);
    assert_null(value_of(&m));
    assert_non_null(strstr(b.call.text, "x509: certificate contains duplicate extensions"));
    cert_free(&m);
}

static void test_value__integers_at_and_over_the_limit(void **state)
{
    struct cert_plan plan = {.common_name = "x", .serial_bits = X509_INTEGER_BITS_MAX};
    struct made_cert m = cert_make(&plan, NULL, NULL);
    assert_non_null(value_of(&m));
    cert_free(&m);
    plan.serial_bits++;
    m = cert_make(&plan, NULL, NULL);
    assert_null(value_of(&m));
    assert_non_null(strstr(b.call.text, "x509: an integer of more than 16384 bits"));
    cert_free(&m);
}

/* ---- requests -------------------------------------------------------------------------------------------- */

static void test_request_value__members(void **state)
{
    static const struct row rows[] = {
        {"Version", "0"}, {"PublicKeyAlgorithm", "3"}, {"SignatureAlgorithm", "10"},
        {"DNSNames", "[\"a.test\"]"}, {"IPAddresses", "null"}, {"ExtraExtensions", "null"},
    };
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509_REQ *request = X509_REQ_new();
    STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
    sk_X509_EXTENSION_push(list, X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:a.test"));
    cert_set_name(X509_REQ_get_subject_name(request), "wanted");
    X509_REQ_set_version(request, X509_REQ_VERSION_1);
    X509_REQ_set_pubkey(request, key);
    X509_REQ_add_extensions(request, list);
    assert_true(X509_REQ_sign(request, key, EVP_sha256()) > 0);
    const struct value *v = x509_request_value(&b.call, request);
    if (!v) fail_msg("%s", b.call.text);
    MEMBERS(v, rows);
    assert_member(object_get_z(v, "Subject"), "CommonName", "\"wanted\"");
    assert_int_equal(object_get_z(v, "Extensions")->count, 1);
    uint8_t *der = NULL;
    int len = i2d_re_X509_REQ_tbs(request, &der);
    assert_raw(v, "RawTBSCertificateRequest", der, (size_t) len);
    OPENSSL_free(der);
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
    X509_REQ_free(request);
    EVP_PKEY_free(key);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_value__extensions),
        TEST(test_value__nothing_extended),
        TEST(test_value__names),
        TEST(test_value__raw_parts),
        TEST(test_value__keys_and_algorithms),
        TEST(test_value__pss_by_its_hash),
        TEST(test_value__public_keys),
        TEST(test_value__malformed_extensions),
        TEST(test_value__extension_there_twice),
        TEST(test_value__integers_at_and_over_the_limit),
        TEST(test_request_value__members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/unit/jose/jose_test.h"

#include "broker/jose/x5c.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define NOW 1795453640

static X509 *certificate(struct buf *pem)
{
    BIO *bio = BIO_new_mem_buf(pem->data, (int) pem->len);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(cert);
    return cert;
}

/* A signer made at start is trusted by its own certificate, for as long as it says. */
static void test_x5c_self_sign__verifies_by_itself(void **state)
{
    EVP_PKEY *key = NULL;
    struct buf pem = BUF_INIT, text = BUF_INIT;
    struct x5c_store *s = NULL;
    struct jwk *k = NULL;
    assert_ok(key_generate_ec("P-256", &key));
    assert_ok(x5c_self_sign(key, "strongroom dev", NOW, 3600, &pem));
    assert_ok(x5c_store_new(&s));
    assert_ok(x5c_store_add_pem(s, buf_span(&pem)));
    text = jwk_text_of(key, "ES256");
    text.len--;
    struct json_out o = {.buf = &text, .need_comma = true};
    json_key(&o, "x5c");
    json_begin_array(&o);
    assert_ok(x5c_put_chain(buf_span(&pem), key, &o));
    json_end_array(&o);
    json_end_object(&o);
    struct json_doc *doc = parsed(buf_str(&text));
    assert_ok(jwk_from_json(json_root(doc), &k));
    assert_ok(x5c_verify(s, k, NOW, NULL));
    assert_ok(x5c_verify(s, k, NOW + 3599, NULL));
    assert_fails(x5c_verify(s, k, NOW + 3600, NULL), ERR_CRYPTO);
    assert_fails(x5c_verify(s, k, NOW - 2, NULL), ERR_CRYPTO);
    json_free(doc);
    jwk_free(k);
    x5c_store_free(s);
    buf_free(&text);
    buf_free(&pem);
    EVP_PKEY_free(key);
}

static void test_x5c_self_sign__content(void **state)
{
    EVP_PKEY *key = NULL;
    struct buf pem[2] = {0};
    assert_ok(key_generate_ec("P-256", &key));
    for (int i = 0; i < 2; i++) assert_ok(x5c_self_sign(key, "a b", NOW, 60, &pem[i]));
    X509 *a = certificate(&pem[0]), *b = certificate(&pem[1]);
    char name[32] = {0};
    X509_NAME_get_text_by_NID(X509_get_subject_name(a), NID_commonName, name, sizeof name);
    assert_string_equal(name, "a b");
    assert_int_equal(X509_get_version(a), X509_VERSION_3);
    assert_int_equal(X509_verify(a, key), 1);
    assert_int_equal(X509_check_ca(a), 1);
    assert_int_not_equal(ASN1_INTEGER_cmp(X509_get0_serialNumber(a), X509_get0_serialNumber(b)), 0);
    X509_free(a);
    X509_free(b);
    buf_free(&pem[0]);
    buf_free(&pem[1]);
    EVP_PKEY_free(key);
}

static void test_x5c_self_sign__bad_name(void **state)
{
    EVP_PKEY *key = NULL;
    struct buf pem = BUF_INIT;
    assert_ok(key_generate_ec("P-256", &key));
    assert_fails(x5c_self_sign(key, "\xff\xfe", NOW, 60, &pem), ERR_USAGE);
    assert_int_equal(pem.len, 0);
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_x5c_self_sign__verifies_by_itself),
        cmocka_unit_test(test_x5c_self_sign__content),
        cmocka_unit_test(test_x5c_self_sign__bad_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

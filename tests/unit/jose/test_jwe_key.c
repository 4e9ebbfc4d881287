#include "tests/unit/jose/jose_test.h"

#include "broker/jose/jwe.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#define X256 "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ"
#define Y256 "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck"
#define EC256 "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X256 "\",\"y\":\"" Y256 "\""
#define KW ",\"alg\":\"ECDH-ES+A256KW\""

static struct err read_key(const char *text, bool allow_rsa1_5, struct jwe_key **ret)
{
    struct json_doc *doc = parsed(text);
    struct err e = jwe_key_from_json(json_root(doc), allow_rsa1_5, ret);
    json_free(doc);
    return e;
}

/* Members that are none of the key's own are ignored, whatever they hold (kbs-api.md 2.1). */
static void test_jwe_key_from_json__unknown_members(void **state)
{
    struct jwe_key *k = NULL;
    assert_ok(read_key("{" EC256 KW ",\"kid\":7,\"d\":{},\"x5c\":\"no\",\"n\":[1]}", false, &k));
    assert_string_equal(jwe_key_alg(k), "ECDH-ES+A256KW");
    jwe_key_free(k);
    jwe_key_free(NULL);
}

static void test_jwe_key_from_json__refuses(void **state)
{
    static const char *const BAD[] = {
        "{}", "[]", "null", "{" EC256 "}", "{" EC256 ",\"alg\":\"ECDH-ES\"}",
        "{" EC256 ",\"alg\":\"ES256\"}", "{" EC256 ",\"alg\":\"RSA-OAEP-256\"}", "{" EC256 ",\"alg\":1}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\"" KW ",\"x\":\"" X256 "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\"" KW ",\"x\":\"" X256 "\",\"y\":\"" X256 "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\"" KW ",\"x\":\"AQ\",\"y\":\"AQ\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-521\"" KW ",\"x\":\"" X256 "\",\"y\":\"" Y256 "\"}",
        "{\"kty\":\"AKP\",\"alg\":\"ML-KEM-768+A192KW\",\"pub\":\"AAAA\"}",
        "{\"kty\":\"OKP\",\"crv\":\"X25519\"" KW ",\"x\":\"" X256 "\"}",
        "{\"kty\":\"RSA\",\"alg\":\"RSA-OAEP-256\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"alg\":\"RSA-OAEP\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
    };
    for (size_t i = 0; i < COUNT(BAD); i++) {
        struct jwe_key *k = NULL;
        struct err e = read_key(BAD[i], true, &k);
        if (e.code != ERR_CRYPTO) fail_msg("%s: %s", BAD[i], err_class_name(e.code));
        assert_true(strncmp(err_text(e), "unsupported TEE key: ", 21) == 0);
        assert_null(k);
    }
}

/* P-384 is a good curve, and yet no TEE key: no client can open what is sent to it. */
static void test_jwe_key_from_json__p384(void **state)
{
    EVP_PKEY *pkey = NULL;
    struct jwe_key *k = NULL;
    assert_ok(key_generate_ec("P-384", &pkey));
    struct buf text = jwk_text_of(pkey, "ECDH-ES+A256KW");
    assert_fails_with(read_key(buf_str(&text), true, &k), ERR_CRYPTO, "P-384");
    buf_free(&text);
    EVP_PKEY_free(pkey);
}

static void test_jwe_key_from_json__rsa(void **state)
{
    EVP_PKEY *pkey = vector_key("kbs/keys/guest-rsa2048.pem");
    struct buf oaep = jwk_text_of(pkey, "RSA-OAEP-256"), old = jwk_text_of(pkey, "RSA1_5");
    struct jwe_key *k = NULL;
    assert_ok(read_key(buf_str(&oaep), false, &k));
    assert_string_equal(jwe_key_alg(k), "RSA-OAEP-256");
    jwe_key_free(k);
    k = NULL;
    assert_fails_with(read_key(buf_str(&old), false, &k), ERR_CRYPTO, "RSA1_5");
    assert_ok(read_key(buf_str(&old), true, &k));
    jwe_key_free(k);
    buf_free(&oaep);
    buf_free(&old);
    EVP_PKEY_free(pkey);
}

static void test_jwe_key_from_json__rsa_1024(void **state)
{
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t) 1024);
    BIGNUM *n = NULL;
    uint8_t bytes[128];
    struct buf text = BUF_INIT;
    struct jwe_key *k = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(pkey, "n", &n), 1);
    assert_int_equal(BN_bn2bin(n, bytes), 128);
    buf_add_str(&text, "{\"kty\":\"RSA\",\"alg\":\"RSA-OAEP-256\",\"e\":\"AQAB\",\"n\":\"");
    b64url_add(&text, span_of(bytes, sizeof bytes));
    buf_add_str(&text, "\"}");
    assert_fails(read_key(buf_str(&text), true, &k), ERR_CRYPTO);
    assert_null(k);
    buf_free(&text);
    BN_free(n);
    EVP_PKEY_free(pkey);
}

/* ---- canonical form -------------------------------------------------------------------------------- */

static struct err canonical(const char *text, struct buf *ret)
{
    struct json_doc *doc = parsed(text);
    struct json_out o = JSON_OUT(ret);
    struct err e = jwe_tee_key_canonical(json_root(doc), &o);
    json_free(doc);
    return e;
}

/* kbs-api.md A.2: the object that is hashed, and its digest. */
static void test_jwe_tee_key_canonical__report_data(void **state)
{
    struct buf text = BUF_INIT, hex = BUF_INIT;
    uint8_t digest[SHA384_DIGEST_LENGTH];
    buf_add_str(&text, "{\"nonce\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\",\"tee-pubkey\":");
    assert_ok(canonical("{ \"y\":\"" Y256 "\", \"x\":\"" X256 "\", \"kid\":\"dropped\", \"use\":1,"
                        "\"kty\":\"EC\",\"crv\":\"P-256\"" KW "}", &text));
    buf_add_str(&text, "}");
    SHA384(text.data, text.len, digest);
    buf_add_hex(&hex, span_of(digest, sizeof digest));
    assert_string_equal(buf_str(&hex), "aa29da4707a36a4cdb112f5ba622c8d08443b311fd3985eb197711c8fa3db695"
                                       "fbc4c0d05ec867f41e656490aee5120d");
    buf_free(&text);
    buf_free(&hex);
}

static void test_jwe_tee_key_canonical__rsa_and_escapes(void **state)
{
    struct buf text = BUF_INIT;
    /* For the digest only: values are taken as they are, also those that are no key. */
    assert_ok(canonical("{\"n\":\"a\\u002fb\\\"\",\"kty\":\"RSA\",\"e\":\"\",\"alg\":\"RSA1_5\"}", &text));
    assert_string_equal(buf_str(&text), "{\"alg\":\"RSA1_5\",\"e\":\"\",\"kty\":\"RSA\",\"n\":\"a/b\\\"\"}");
    buf_free(&text);
}

static void test_jwe_tee_key_canonical__refuses(void **state)
{
    static const char *const BAD[] = {
        "{}", "[]", "{" EC256 "}", "{\"kty\":\"EC\",\"crv\":\"P-256\"" KW ",\"x\":\"a\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\"" KW ",\"x\":\"a\",\"y\":1}",
        "{\"kty\":\"EC\",\"crv\":\"P-384\"" KW ",\"x\":\"a\",\"y\":\"b\"}",
        "{\"kty\":\"RSA\",\"alg\":\"RSA-OAEP-256\",\"n\":\"a\"}",
    };
    for (size_t i = 0; i < COUNT(BAD); i++) {
        struct buf text = BUF_INIT;
        if (canonical(BAD[i], &text).code != ERR_CRYPTO) fail_msg("took %s", BAD[i]);
        assert_int_equal(text.len, 0);
        buf_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jwe_key_from_json__unknown_members),
        cmocka_unit_test(test_jwe_key_from_json__refuses),
        cmocka_unit_test(test_jwe_key_from_json__p384),
        cmocka_unit_test(test_jwe_key_from_json__rsa),
        cmocka_unit_test(test_jwe_key_from_json__rsa_1024),
        cmocka_unit_test(test_jwe_tee_key_canonical__report_data),
        cmocka_unit_test(test_jwe_tee_key_canonical__rsa_and_escapes),
        cmocka_unit_test(test_jwe_tee_key_canonical__refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

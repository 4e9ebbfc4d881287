#include "tests/unit/jose/jose_test.h"

#include "broker/jose/jwe_alg.h"

/* RFC 7518 appendix C: 128 bits for A128GCM with both parties named. */
static void test_jwe_concat_kdf__rfc7518_c(void **state)
{
    static const uint8_t Z[32] = {158, 86, 217, 29, 129, 113, 53, 211, 114, 131, 66,
                                  131, 191, 132, 38, 156, 251, 49, 110, 163, 218, 128,
                                  106, 72, 246, 218, 167, 121, 140, 254, 144, 196};
    uint8_t key[16];
    struct buf text = BUF_INIT;
    assert_ok(jwe_concat_kdf(span_of(Z, sizeof Z), "A128GCM", SPAN_LIT("Alice"), SPAN_LIT("Bob"),
                             key, sizeof key));
    b64url_add(&text, span_of(key, sizeof key));
    assert_string_equal(buf_str(&text), "VqqN6vgjbSBcIijNcacQGg");
    buf_free(&text);
}

/* kbs-api.md A.1: 256 bits for the key wrap, parties empty. */
static void test_jwe_concat_kdf__kek(void **state)
{
    struct json_doc *doc = vector_json("jose/jwe-p256.json");
    uint8_t z[32], want[32], kek[32];
    assert_true(hex_decode(json_string(json_get(json_root(doc), "z")), z, 32));
    assert_true(hex_decode(json_string(json_get(json_root(doc), "kek")), want, 32));
    assert_ok(jwe_concat_kdf(span_of(z, 32), "ECDH-ES+A256KW", (struct span){0}, (struct span){0},
                             kek, 32));
    assert_memory_equal(kek, want, 32);
    json_free(doc);
}

static const char KEK[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
static const char DATA[] = "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f";
static const char WRAPPED[] = "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326"
                              "cbc7f0e71a99f43bfb988b9b7a02dd21";

/* RFC 3394 4.6 */
static void test_jwe_aes_wrap__rfc3394(void **state)
{
    uint8_t kek[32], cek[32], want[40], wrapped[40], back[32] = {0};
    assert_true(hex_decode(KEK, kek, 32) && hex_decode(DATA, cek, 32) &&
                hex_decode(WRAPPED, want, 40));
    assert_ok(jwe_aes_wrap(kek, cek, wrapped));
    assert_memory_equal(wrapped, want, 40);
    assert_true(jwe_aes_unwrap(kek, span_of(wrapped, 40), back));
    assert_memory_equal(back, cek, 32);
}

static void test_jwe_aes_unwrap__changed(void **state)
{
    uint8_t kek[32], wrapped[48] = {0}, cek[32] = {7};
    assert_true(hex_decode(KEK, kek, 32) && hex_decode(WRAPPED, wrapped, 40));
    for (size_t i = 0; i < 40; i++) {
        wrapped[i] ^= 1;
        assert_false(jwe_aes_unwrap(kek, span_of(wrapped, 40), cek));
        wrapped[i] ^= 1;
    }
    for (size_t len = 0; len <= 48; len++)
        assert_int_equal(len == 40, len != 40 ? jwe_aes_unwrap(kek, span_of(wrapped, len), cek)
                                              : cek[0] == 7 && cek[1] == 0);
    kek[0] ^= 1;
    assert_false(jwe_aes_unwrap(kek, span_of(wrapped, 40), cek));
    assert_int_equal(cek[0], 7); /* as it was */
}

/* Headers are a fixed point: parsed and written canonically they are the same text. */
static void test_jwe_ecdh_wrap__header_is_canonical(void **state)
{
    static const char *const CRV[] = {"P-256", "P-521"};
    uint8_t cek[32] = {1}, back[32];
    for (size_t i = 0; i < COUNT(CRV); i++) {
        const struct jwe_alg *a = jwe_alg_named("ECDH-ES+A256KW", "EC", CRV[i]);
        EVP_PKEY *key = NULL;
        assert_ok(key_generate_ec(CRV[i], &key));
        /* Often enough that ephemeral coordinates and Z with leading zeros are among them. */
        for (int round = 0; round < (i == 0 ? 600 : 40); round++) {
            struct buf header = BUF_INIT, wrapped = BUF_INIT, canonical = BUF_INIT;
            struct json_doc *doc = NULL;
            struct json_out o = JSON_OUT(&canonical);
            memset(back, 0, sizeof back);
            assert_ok(a->wrap(a, key, cek, NULL, &header, &wrapped));
            assert_ok(json_parse(buf_span(&header), &doc));
            json_put_canonical(&o, json_root(doc));
            assert_string_equal(buf_str(&header), buf_str(&canonical));
            assert_int_equal(strlen(json_string(json_pointer(json_root(doc), "/epk/x"))),
                             i == 0 ? 43 : 88);
            assert_int_equal(wrapped.len, 40);
            assert_true(a->unwrap(a, key, json_root(doc), buf_span(&wrapped), back));
            assert_memory_equal(back, cek, 32);
            json_free(doc);
            buf_free(&header);
            buf_free(&wrapped);
            buf_free(&canonical);
        }
        EVP_PKEY_free(key);
    }
}

/* Z with a leading zero byte keeps it. Fixed keys, found by search; made with
 * python3-cryptography: see the vector file. */
static void test_jwe_ecdh_unwrap__leading_zero_z(void **state)
{
    struct json_doc *doc = vector_json("jose/ecdh-leading-zero.json");
    struct json root = json_root(doc);
    EVP_PKEY *key = NULL;
    struct buf wrapped = BUF_INIT;
    uint8_t cek[32] = {0}, want[32];
    const struct jwe_alg *a = jwe_alg_named("ECDH-ES+A256KW", "EC", "P-256");
    assert_true(strncmp(json_string(json_get(root, "z")), "00", 2) == 0);
    assert_ok(key_from_pem(span_str(json_string(json_get(root, "pem"))), &key));
    assert_ok(b64url_decode(span_str(json_string(json_get(root, "encrypted_key"))), &wrapped));
    assert_true(a->unwrap(a, key, json_get(root, "header"), buf_span(&wrapped), cek));
    assert_true(hex_decode(json_string(json_get(root, "cek")), want, 32));
    assert_memory_equal(cek, want, 32);
    buf_free(&wrapped);
    EVP_PKEY_free(key);
    json_free(doc);
}

static void test_jwe_ecdh_unwrap__bad_epk(void **state)
{
    static const char *const BAD[] = {
        "{}", "{\"epk\":1}", "{\"epk\":{}}", "{\"epk\":{\"kty\":\"EC\",\"crv\":\"P-256\"}}",
        "{\"epk\":{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}}",
        /* not on the curve */
        ("{\"epk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\","
         "\"y\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\"}}"),
    };
    const struct jwe_alg *a = jwe_alg_named("ECDH-ES+A256KW", "EC", "P-256");
    EVP_PKEY *key = vector_key("kbs/keys/guest-p256.pem"), *p521 = NULL;
    uint8_t cek[32] = {0}, wrapped[40] = {0};
    for (size_t i = 0; i < COUNT(BAD); i++) {
        struct json_doc *doc = parsed(BAD[i]);
        assert_false(a->unwrap(a, key, json_root(doc), span_of(wrapped, 40), cek));
        json_free(doc);
    }
    /* A good point, but of another curve than our key's. */
    assert_ok(key_generate_ec("P-521", &p521));
    struct buf jwk = jwk_text_of(p521, NULL), header = BUF_INIT;
    buf_addf(&header, "{\"epk\":%s}", buf_str(&jwk));
    struct json_doc *doc = parsed(buf_str(&header));
    assert_false(a->unwrap(a, key, json_root(doc), span_of(wrapped, 40), cek));
    json_free(doc);
    buf_free(&jwk);
    buf_free(&header);
    EVP_PKEY_free(key);
    EVP_PKEY_free(p521);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jwe_concat_kdf__rfc7518_c),
        cmocka_unit_test(test_jwe_concat_kdf__kek),
        cmocka_unit_test(test_jwe_aes_wrap__rfc3394),
        cmocka_unit_test(test_jwe_aes_unwrap__changed),
        cmocka_unit_test(test_jwe_ecdh_wrap__header_is_canonical),
        cmocka_unit_test(test_jwe_ecdh_unwrap__leading_zero_z),
        cmocka_unit_test(test_jwe_ecdh_unwrap__bad_epk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

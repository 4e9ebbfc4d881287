#include "tests/unit/jose/jose_test.h"

#include "broker/base/secret.h"
#include "broker/jose/jwe.h"

#include <openssl/evp.h>

static const struct { const char *exchange, *key; } RECORDED[] = {
    {"kbs/new-get-p256.json", "kbs/keys/guest-p256.pem"},
    {"kbs/new-get-p521.json", "kbs/keys/guest-p521.pem"},
    {"kbs/new-get-rsa.json", "kbs/keys/guest-rsa2048.pem"},
    {"kbs/old-get-p256.json", "kbs/keys/guest-p256.pem"},
    {"kbs/old-get-rsa.json", "kbs/keys/guest-rsa2048.pem"},
};

/* What the reference server sent to its own clients. */
static void test_jwe_decrypt__recorded(void **state)
{
    struct buf b64 = BUF_INIT, value = BUF_INIT;
    vector_read("kbs/value-a-b-c.b64", &b64);
    while (b64.len && b64.data[b64.len - 1] == '\n') b64.len--;
    assert_ok(b64_decode(buf_span(&b64), &value));
    for (size_t i = 0; i < COUNT(RECORDED); i++) {
        struct json_doc *doc = vector_json(RECORDED[i].exchange);
        const char *jwe = exchange_body(doc, "/resource/a/b/c", 1, "response");
        EVP_PKEY *key = vector_key(RECORDED[i].key);
        struct secret *opened = NULL;
        assert_non_null(jwe);
        assert_ok(jwe_decrypt(key, span_str(jwe), &opened));
        assert_true(span_eq(secret_span(opened), buf_span(&value)));
        secret_free(opened);
        EVP_PKEY_free(key);
        json_free(doc);
    }
    buf_free(&b64);
    buf_free(&value);
}

/* One member's decoded bytes with one bit turned, at a place. */
static void turn_bit(struct json jwe, const char *member, size_t at, struct buf *ret)
{
    struct json_out o = JSON_OUT(ret);
    json_begin_object(&o);
    for (struct json m = json_first(jwe); json_present(m); m = json_next(m)) {
        struct buf bytes = BUF_INIT, text = BUF_INIT;
        assert_ok(b64url_decode(span_str(json_string(m)), &bytes));
        if (strcmp(json_name(m), member) == 0) bytes.data[at % bytes.len] ^= 1;
        b64url_add(&text, buf_span(&bytes));
        json_member_span(&o, json_name(m), buf_span(&text));
        buf_free(&bytes);
        buf_free(&text);
    }
    json_end_object(&o);
}

static void test_jwe_decrypt__every_changed_bit_place(void **state)
{
    static const char *const MEMBERS[] = {"encrypted_key", "iv", "ciphertext", "tag"};
    for (size_t i = 0; i < 3; i++) {
        struct json_doc *doc = vector_json(RECORDED[i].exchange);
        struct json_doc *jwe = parsed(exchange_body(doc, "/resource/a/b/c", 1, "response"));
        EVP_PKEY *key = vector_key(RECORDED[i].key);
        for (size_t m = 0; m < COUNT(MEMBERS); m++) {
            for (size_t at = 0; at < 12; at++) {
                struct buf bad = BUF_INIT;
                struct secret *none = NULL;
                turn_bit(json_root(jwe), MEMBERS[m], at, &bad);
                struct err e = jwe_decrypt(key, buf_span(&bad), &none);
                assert_int_equal(e.code, ERR_CRYPTO);
                /* One sentence, whatever it was. */
                assert_string_equal(err_text(e), "the JWE does not open with this key");
                assert_null(none);
                buf_free(&bad);
            }
        }
        EVP_PKEY_free(key);
        json_free(jwe);
        json_free(doc);
    }
    assert_int_equal(secret_used(), 0);
}

/* The header is authenticated as received: the same members written otherwise do not open. */
static void test_jwe_decrypt__header_written_otherwise(void **state)
{
    struct json_doc *doc = vector_json("kbs/new-get-rsa.json");
    struct json_doc *jwe = parsed(exchange_body(doc, "/resource/a/b/c", 1, "response"));
    EVP_PKEY *key = vector_key("kbs/keys/guest-rsa2048.pem");
    static const char *const HEADERS[] = {"{\"alg\":\"RSA-OAEP-256\",\"enc\":\"A256GCM\"}",
                                          "{\"enc\":\"A256GCM\",\"alg\":\"RSA-OAEP-256\"}",
                                          "{\"alg\":\"RSA-OAEP-256\", \"enc\":\"A256GCM\"}"};
    for (size_t i = 0; i < COUNT(HEADERS); i++) {
        struct buf text = BUF_INIT, header = BUF_INIT;
        struct json_out o = JSON_OUT(&text);
        struct secret *opened = NULL;
        b64url_add(&header, span_str(HEADERS[i]));
        json_begin_object(&o);
        for (struct json m = json_first(json_root(jwe)); json_present(m); m = json_next(m))
            if (strcmp(json_name(m), "protected") == 0)
                json_member_span(&o, "protected", buf_span(&header));
            else
                json_member_str(&o, json_name(m), json_string(m));
        json_end_object(&o);
        struct err e = jwe_decrypt(key, buf_span(&text), &opened);
        assert_int_equal(e.code, i == 0 ? ERR_NONE : ERR_CRYPTO);
        secret_free(opened);
        buf_free(&text);
        buf_free(&header);
    }
    EVP_PKEY_free(key);
    json_free(jwe);
    json_free(doc);
}

static void test_jwe_decrypt__other_key(void **state)
{
    struct json_doc *doc = vector_json("kbs/new-get-p256.json");
    struct span jwe = span_str(exchange_body(doc, "/resource/a/b/c", 1, "response"));
    EVP_PKEY *p256 = NULL, *ed = NULL, *p521 = vector_key("kbs/keys/guest-p521.pem");
    EVP_PKEY *rsa = vector_key("kbs/keys/guest-rsa2048.pem");
    struct secret *none = NULL;
    assert_ok(key_generate_ec("P-256", &p256));
    assert_ok(key_generate_ed25519(&ed));
    assert_fails(jwe_decrypt(p256, jwe, &none), ERR_CRYPTO);
    assert_fails(jwe_decrypt(p521, jwe, &none), ERR_CRYPTO); /* alg fits, curve does not */
    assert_fails(jwe_decrypt(rsa, jwe, &none), ERR_USAGE);
    assert_fails(jwe_decrypt(ed, jwe, &none), ERR_USAGE);
    assert_null(none);
    EVP_PKEY_free(p256);
    EVP_PKEY_free(p521);
    EVP_PKEY_free(ed);
    EVP_PKEY_free(rsa);
    json_free(doc);
}

static struct err decrypt_with_header(EVP_PKEY *key, const char *header)
{
    struct buf text = BUF_INIT;
    struct secret *none = NULL;
    buf_add_str(&text, "{\"protected\":\"");
    b64url_add(&text, span_str(header));
    buf_add_str(&text, "\",\"encrypted_key\":\"AAAA\",\"iv\":\"QEFCQ0RFRkdISUpL\",\"ciphertext\":\"\","
                       "\"tag\":\"AAAAAAAAAAAAAAAAAAAAAA\"}");
    struct err e = jwe_decrypt(key, buf_span(&text), &none);
    assert_null(none);
    buf_free(&text);
    return e;
}

static void test_jwe_decrypt__headers(void **state)
{
    static const char *const BAD[] = {
        "", "[]", "{}", "{\"alg\":\"RSA-OAEP-256\"}", "{\"enc\":\"A256GCM\"}",
        "{\"alg\":\"RSA-OAEP-256\",\"enc\":\"A128GCM\"}", "{\"alg\":\"RSA-OAEP-256\",\"enc\":1}",
        "{\"alg\":\"RSA-OAEP\",\"enc\":\"A256GCM\"}", "{\"alg\":\"dir\",\"enc\":\"A256GCM\"}",
        "{\"alg\":\"ECDH-ES+A256KW\",\"enc\":\"A256GCM\"}",
        "{\"alg\":\"RSA-OAEP-256\",\"enc\":\"A256GCM\",\"alg\":\"RSA-OAEP-256\"}",
        "{\"alg\":\"RSA-OAEP-256\",\"enc\":\"A256GCM\",\"zip\":\"DEF\"}",
        "{\"alg\":\"RSA-OAEP-256\",\"enc\":\"A256GCM\",\"crit\":[\"x\"]}",
    };
    EVP_PKEY *key = vector_key("kbs/keys/guest-rsa2048.pem");
    for (size_t i = 0; i < COUNT(BAD); i++)
        if (decrypt_with_header(key, BAD[i]).code != ERR_USAGE) fail_msg("took %s", BAD[i]);
    assert_fails(decrypt_with_header(key, "{\"alg\":\"RSA-OAEP-256\",\"enc\":\"A256GCM\"}"), ERR_CRYPTO);
    assert_fails(decrypt_with_header(key, "{\"alg\":\"RSA1_5\",\"enc\":\"A256GCM\"}"), ERR_CRYPTO);
    EVP_PKEY_free(key);
}

static void test_jwe_decrypt__form(void **state)
{
    static const char H[] = "\"protected\":\"eyJhbGciOiJSU0EtT0FFUC0yNTYiLCJlbmMiOiJBMjU2R0NNIn0\"";
    static const char *const REST[] = {
        "", ",\"encrypted_key\":\"\",\"iv\":\"QEFCQ0RFRkdISUpL\",\"ciphertext\":\"\"",
        ",\"encrypted_key\":\"\",\"iv\":\"QEFCQ0RFRkdISUpL\",\"ciphertext\":\"\",\"tag\":\"\"",
        ",\"encrypted_key\":\"\",\"iv\":\"QEFCQ0RFRkdISUpL\",\"ciphertext\":\"\",\"tag\":\"AAAAAAAAAAAAAAAAAAAA\"",
        ",\"encrypted_key\":\"\",\"iv\":\"\",\"ciphertext\":\"\",\"tag\":\"AAAAAAAAAAAAAAAAAAAAAA\"",
        ",\"encrypted_key\":\"\",\"iv\":\"QEFCQ0RFRkdISUpL\",\"ciphertext\":1,\"tag\":\"AAAAAAAAAAAAAAAAAAAAAA\"",
        ",\"encrypted_key\":\"\",\"iv\":\"QEFCQ0RFRkdISUpL\",\"ciphertext\":\"AA==\",\"tag\":\"AAAAAAAAAAAAAAAAAAAAAA\"",
        ",\"encrypted_key\":\" \",\"iv\":\"QEFCQ0RFRkdISUpL\",\"ciphertext\":\"\",\"tag\":\"AAAAAAAAAAAAAAAAAAAAAA\"",
        ",\"encrypted_key\":\"\",\"iv\":\"QEFCQ0RFRkdISUpL\",\"ciphertext\":\"\",\"tag\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"aad\":\"\"",
        ",\"encrypted_key\":\"\",\"iv\":\"QEFCQ0RFRkdISUpL\",\"iv\":\"QEFCQ0RFRkdISUpL\",\"ciphertext\":\"\",\"tag\":\"AAAAAAAAAAAAAAAAAAAAAA\"",
    };
    EVP_PKEY *key = vector_key("kbs/keys/guest-rsa2048.pem");
    struct secret *none = NULL;
    for (size_t i = 0; i < COUNT(REST); i++) {
        struct buf text = BUF_INIT;
        buf_addf(&text, "{%s%s}", H, REST[i]);
        if (jwe_decrypt(key, buf_span(&text), &none).code != ERR_USAGE) fail_msg("took %s", REST[i]);
        buf_free(&text);
    }
    assert_fails(jwe_decrypt(key, (struct span){0}, &none), ERR_USAGE);
    assert_fails(jwe_decrypt(key, SPAN_LIT("[]"), &none), ERR_USAGE);
    assert_fails(jwe_decrypt(key, SPAN_LIT("a.b.c.d.e"), &none), ERR_USAGE);
    assert_null(none);
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jwe_decrypt__recorded),
        cmocka_unit_test(test_jwe_decrypt__every_changed_bit_place),
        cmocka_unit_test(test_jwe_decrypt__header_written_otherwise),
        cmocka_unit_test(test_jwe_decrypt__other_key),
        cmocka_unit_test(test_jwe_decrypt__headers),
        cmocka_unit_test(test_jwe_decrypt__form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

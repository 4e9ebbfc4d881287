#include "tests/unit/jose/jose_test.h"

#include "broker/base/secret.h"
#include "broker/jose/jwe.h"
#include "broker/jose/jwe_alg.h"

#include <openssl/evp.h>
#include <pthread.h>

static struct jwe_key *key_of(EVP_PKEY *pkey, const char *alg)
{
    struct buf text = jwk_text_of(pkey, alg);
    struct json_doc *doc = parsed(buf_str(&text));
    struct jwe_key *k = NULL;
    assert_ok(jwe_key_from_json(json_root(doc), true, &k));
    json_free(doc);
    buf_free(&text);
    return k;
}

/* kbs-api.md A.1, byte for byte. */
static void test_jwe_encrypt_fixed__kbs_vector(void **state)
{
    struct json_doc *doc = vector_json("jose/jwe-p256.json");
    struct json v = json_root(doc);
    uint8_t cek[32], iv[12];
    EVP_PKEY *ephemeral = NULL, *tee = NULL;
    struct jwe_key *to = NULL;
    struct buf out = BUF_INIT, want = BUF_INIT;
    struct secret *opened = NULL;
    assert_true(hex_decode(json_string(json_get(v, "cek")), cek, 32));
    assert_true(hex_decode(json_string(json_get(v, "iv")), iv, 12));
    assert_ok(key_from_pem(span_str(json_string(json_get(v, "ephemeral_pem"))), &ephemeral));
    assert_ok(key_from_pem(span_str(json_string(json_get(v, "tee_pem"))), &tee));
    assert_ok(jwe_key_from_json(json_get(v, "tee_jwk"), false, &to));
    struct jwe_fixed fixed = {span_of(cek, 32), span_of(iv, 12), ephemeral};
    struct span plaintext = span_str(json_string(json_get(v, "plaintext")));
    assert_ok(jwe_encrypt_fixed(to, plaintext, &fixed, &out));
    buf_addf(&want, "{\"protected\":\"%s\",\"encrypted_key\":\"%s\",\"iv\":\"%s\",\"ciphertext\":\"%s\","
             "\"tag\":\"%s\"}", json_string(json_get(v, "protected")),
             json_string(json_get(v, "encrypted_key")), json_string(json_get(v, "iv_text")),
             json_string(json_get(v, "ciphertext")), json_string(json_get(v, "tag")));
    assert_string_equal(buf_str(&out), buf_str(&want));
    assert_ok(jwe_decrypt(tee, buf_span(&out), &opened));
    assert_span(secret_span(opened), json_string(json_get(v, "plaintext")));
    secret_free(opened);
    jwe_key_free(to);
    EVP_PKEY_free(ephemeral);
    EVP_PKEY_free(tee);
    buf_free(&out);
    buf_free(&want);
    json_free(doc);
}

static const struct { const char *file, *alg, *header; } KINDS[] = {
    {"kbs/keys/guest-p256.pem", "ECDH-ES+A256KW", NULL},
    {"kbs/keys/guest-p521.pem", "ECDH-ES+A256KW", NULL},
    {"kbs/keys/guest-rsa2048.pem", "RSA-OAEP-256", "eyJhbGciOiJSU0EtT0FFUC0yNTYiLCJlbmMiOiJBMjU2R0NNIn0"},
    {"kbs/keys/guest-rsa2048.pem", "RSA1_5", "eyJhbGciOiJSU0ExXzUiLCJlbmMiOiJBMjU2R0NNIn0"},
};

/* Every kind of key, and sizes around the cipher's block and base64's group. */
static void test_jwe_encrypt__round_trips(void **state)
{
    static const size_t SIZES[] = {0, 1, 2, 3, 15, 16, 17, 1024, 100001};
    uint8_t *data = calloc(1, 100001);
    for (size_t i = 0; i < 100001; i++) data[i] = (uint8_t) (i * 7);
    for (size_t i = 0; i < COUNT(KINDS); i++) {
        EVP_PKEY *pkey = vector_key(KINDS[i].file);
        struct jwe_key *to = key_of(pkey, KINDS[i].alg);
        assert_string_equal(jwe_key_alg(to), KINDS[i].alg);
        for (size_t n = 0; n < COUNT(SIZES); n++) {
            struct buf out = BUF_INIT;
            struct secret *back = NULL;
            assert_ok(jwe_encrypt(to, span_of(data, SIZES[n]), &out));
            struct json_doc *doc = parsed(buf_str(&out));
            const char *protected = json_string(json_get(json_root(doc), "protected"));
            if (KINDS[i].header) assert_string_equal(protected, KINDS[i].header);
            assert_ok(jwe_decrypt(pkey, buf_span(&out), &back));
            assert_true(span_eq(secret_span(back), span_of(data, SIZES[n])));
            secret_free(back);
            json_free(doc);
            buf_free(&out);
        }
        jwe_key_free(to);
        EVP_PKEY_free(pkey);
    }
    free(data);
}

static void test_jwe_encrypt__value_limit(void **state)
{
    EVP_PKEY *pkey = vector_key("kbs/keys/guest-p256.pem");
    struct jwe_key *to = key_of(pkey, "ECDH-ES+A256KW");
    struct secret *big = NULL, *back = NULL;
    struct buf out = BUF_INIT;
    assert_ok(secret_new(VALUE_MAX + 1, &big));
    secret_data(big)[VALUE_MAX - 1] = 9;
    buf_add_str(&out, "before ");
    assert_fails(jwe_encrypt(to, secret_span(big), &out), ERR_TOOLARGE);
    assert_span(buf_span(&out), "before ");
    buf_free(&out);
    assert_ok(jwe_encrypt(to, span_of(secret_data(big), VALUE_MAX), &out));
    assert_true(out.cap < out.len + 64); /* it did not grow */
    assert_ok(jwe_decrypt(pkey, buf_span(&out), &back));
    assert_int_equal(secret_len(back), VALUE_MAX);
    assert_memory_equal(secret_data(back), secret_data(big), VALUE_MAX);
    secret_free(big);
    secret_free(back);
    buf_free(&out);
    jwe_key_free(to);
    EVP_PKEY_free(pkey);
}

static void test_jwe_encrypt__appends(void **state)
{
    EVP_PKEY *pkey = vector_key("kbs/keys/guest-p256.pem");
    struct jwe_key *to = key_of(pkey, "ECDH-ES+A256KW");
    struct buf out = BUF_INIT, small = {.max = 100};
    buf_add_str(&out, "x");
    assert_ok(jwe_encrypt(to, SPAN_LIT("v"), &out));
    assert_true(span_starts(buf_span(&out), "x{\"protected\":\""));
    assert_fails(jwe_encrypt(to, SPAN_LIT("v"), &small), ERR_TOOLARGE);
    assert_int_equal(small.len, 0);
    buf_free(&out);
    buf_free(&small);
    jwe_key_free(to);
    EVP_PKEY_free(pkey);
}

/* The content key inside of a JWE, opened with the guest's key. */
static void content_key(EVP_PKEY *pkey, struct json jwe, uint8_t cek[JWE_CEK])
{
    struct buf header = BUF_INIT, wrapped = BUF_INIT;
    struct json_doc *doc = NULL;
    const struct key_kind *kind = key_kind_of(pkey);
    assert_ok(b64url_decode(span_str(json_string(json_get(jwe, "protected"))), &header));
    assert_ok(b64url_decode(span_str(json_string(json_get(jwe, "encrypted_key"))), &wrapped));
    assert_ok(json_parse(buf_span(&header), &doc));
    const struct jwe_alg *a = jwe_alg_named(json_string(json_get(json_root(doc), "alg")), kind->kty,
                                            kind->crv);
    assert_true(a->unwrap(a, pkey, json_root(doc), buf_span(&wrapped), cek));
    json_free(doc);
    buf_free(&header);
    buf_free(&wrapped);
}

/* No part of them is the same, eight bytes being enough to tell. */
static void assert_fresh(const uint8_t *a, const uint8_t *b, size_t len)
{
    for (size_t i = 0; i + 8 <= len; i += 4) assert_memory_not_equal(a + i, b + i, 8);
}

static void initial_vector(struct json jwe, uint8_t iv[JWE_IV])
{
    struct buf b = BUF_INIT;
    assert_ok(b64url_decode(span_str(json_string(json_get(jwe, "iv"))), &b));
    assert_int_equal(b.len, JWE_IV);
    memcpy(iv, b.data, JWE_IV);
    buf_free(&b);
}

/* Nothing repeats between two releases of one value to one key (RFC 7516 11.2, GCM's IV). */
static void test_jwe_encrypt__fresh_each_time(void **state)
{
    static const char *const FRESH[] = {"encrypted_key", "iv", "ciphertext", "tag"};
    for (size_t i = 0; i < COUNT(KINDS); i++) {
        EVP_PKEY *pkey = vector_key(KINDS[i].file);
        struct jwe_key *to = key_of(pkey, KINDS[i].alg);
        struct buf a = BUF_INIT, b = BUF_INIT;
        assert_ok(jwe_encrypt(to, SPAN_LIT("the same value"), &a));
        assert_ok(jwe_encrypt(to, SPAN_LIT("the same value"), &b));
        struct json_doc *da = parsed(buf_str(&a)), *db = parsed(buf_str(&b));
        for (size_t f = 0; f < COUNT(FRESH); f++)
            assert_string_not_equal(json_string(json_get(json_root(da), FRESH[f])),
                                    json_string(json_get(json_root(db), FRESH[f])));
        if (!KINDS[i].header)
            assert_string_not_equal(json_string(json_get(json_root(da), "protected")),
                                    json_string(json_get(json_root(db), "protected")));
        uint8_t cek[2][JWE_CEK] = {0}, iv[2][JWE_IV] = {0};
        content_key(pkey, json_root(da), cek[0]);
        content_key(pkey, json_root(db), cek[1]);
        assert_fresh(cek[0], cek[1], JWE_CEK);
        initial_vector(json_root(da), iv[0]);
        initial_vector(json_root(db), iv[1]);
        assert_fresh(iv[0], iv[1], JWE_IV);
        json_free(da);
        json_free(db);
        buf_free(&a);
        buf_free(&b);
        jwe_key_free(to);
        EVP_PKEY_free(pkey);
    }
}

/* ---- threads: one key, many encrypting --------------------------------------------------------------- */

struct job {
    const struct jwe_key *to;
    EVP_PKEY *pkey;
    int bad;
};

static void *encrypt_some(void *p)
{
    struct job *job = p;
    for (int i = 0; i < 20; i++) {
        struct buf out = BUF_INIT;
        struct secret *back = NULL;
        if (!err_ok(jwe_encrypt(job->to, SPAN_LIT("shared"), &out)) ||
            !err_ok(jwe_decrypt(job->pkey, buf_span(&out), &back)) ||
            !span_eq_str(secret_span(back), "shared"))
            job->bad++;
        secret_free(back);
        buf_free(&out);
    }
    return NULL;
}

static void test_jwe_encrypt__threads(void **state)
{
    for (size_t i = 0; i < 3; i++) {
        EVP_PKEY *pkey = vector_key(KINDS[i].file);
        struct jwe_key *to = key_of(pkey, KINDS[i].alg);
        struct job jobs[4];
        pthread_t threads[4];
        for (size_t t = 0; t < 4; t++) {
            jobs[t] = (struct job){to, pkey, 0};
            assert_int_equal(pthread_create(&threads[t], NULL, encrypt_some, &jobs[t]), 0);
        }
        for (size_t t = 0; t < 4; t++) {
            pthread_join(threads[t], NULL);
            assert_int_equal(jobs[t].bad, 0);
        }
        jwe_key_free(to);
        EVP_PKEY_free(pkey);
    }
}

/* Locked memory is given back on every way out. */
static void test_jwe_encrypt__no_secret_stays(void **state)
{
    EVP_PKEY *pkey = vector_key("kbs/keys/guest-p256.pem");
    struct jwe_key *to = key_of(pkey, "ECDH-ES+A256KW");
    struct buf out = BUF_INIT, small = {.max = 10};
    size_t before = secret_used();
    assert_ok(jwe_encrypt(to, SPAN_LIT("v"), &out));
    assert_fails(jwe_encrypt(to, SPAN_LIT("v"), &small), ERR_TOOLARGE);
    assert_int_equal(secret_used(), before);
    buf_free(&out);
    buf_free(&small);
    jwe_key_free(to);
    EVP_PKEY_free(pkey);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jwe_encrypt_fixed__kbs_vector),
        cmocka_unit_test(test_jwe_encrypt__round_trips),
        cmocka_unit_test(test_jwe_encrypt__value_limit),
        cmocka_unit_test(test_jwe_encrypt__appends),
        cmocka_unit_test(test_jwe_encrypt__fresh_each_time),
        cmocka_unit_test(test_jwe_encrypt__threads),
        cmocka_unit_test(test_jwe_encrypt__no_secret_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

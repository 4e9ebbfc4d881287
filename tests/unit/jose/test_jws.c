#include "tests/unit/jose/jose_test.h"

#include "broker/jose/jws.h"

#include <openssl/evp.h>
#include <pthread.h>

/* ---- vectors ------------------------------------------------------------------------------------- */

static struct jws *token(const char *compact)
{
    struct jws *t = NULL;
    assert_ok(jws_parse(span_str(compact), &t));
    return t;
}

/* tests/vectors/jose/jws.json: each entry names where it comes from. */
static void test_jws_verify__vectors(void **state)
{
    struct json_doc *doc = vector_json("jose/jws.json");
    size_t seen = 0;
    for (struct json v = json_first(json_root(doc)); json_present(v); v = json_next(v)) {
        struct jwk *key = NULL;
        assert_ok(jwk_from_json(json_get(v, "jwk"), &key));
        struct jws *t = token(json_string(json_get(v, "compact")));
        assert_string_equal(jws_alg(t), json_string(json_get(v, "alg")));
        if (!err_ok(jws_verify(t, key))) fail_msg("%s", json_string(json_get(v, "source")));
        jws_free(t);
        jwk_free(key);
        seen++;
    }
    assert_int_equal(seen, 12);
    json_free(doc);
}

/* Each vector, with one bit turned in each of header, payload and signature, and cut short. */
static void test_jws_verify__changed(void **state)
{
    struct json_doc *doc = vector_json("jose/jws.json");
    for (struct json v = json_first(json_root(doc)); json_present(v); v = json_next(v)) {
        const char *compact = json_string(json_get(v, "compact"));
        struct jwk *key = NULL;
        assert_ok(jwk_from_json(json_get(v, "jwk"), &key));
        const char *dot[2] = {strchr(compact, '.'), strrchr(compact, '.')};
        size_t places[] = {(size_t) (dot[0] - compact) + 4, (size_t) (dot[1] - compact) + 1,
                           (size_t) (dot[1] - compact) + 40};
        for (size_t i = 0; i < COUNT(places); i++) {
            char *bad = strdup(compact);
            bad[places[i]] = bad[places[i]] == 'A' ? 'B' : 'A';
            struct jws *t = NULL;
            if (err_ok(jws_parse(span_str(bad), &t))) assert_fails(jws_verify(t, key), ERR_CRYPTO);
            jws_free(t);
            free(bad);
        }
        struct jws *cut = token("eyJhbGciOiJFUzI1NiJ9.e30.");
        assert_fails(jws_verify(cut, key), ERR_CRYPTO);
        jws_free(cut);
        jwk_free(key);
    }
    json_free(doc);
}

/* Every vector's token against every other vector's key. */
static void test_jws_verify__other_key(void **state)
{
    struct json_doc *doc = vector_json("jose/jws.json");
    for (struct json v = json_first(json_root(doc)); json_present(v); v = json_next(v)) {
        struct jws *t = token(json_string(json_get(v, "compact")));
        for (struct json w = json_first(json_root(doc)); json_present(w); w = json_next(w)) {
            struct jwk *key = NULL;
            assert_ok(jwk_from_json(json_get(w, "jwk"), &key));
            const char *n = json_string(json_get(json_get(v, "jwk"), "n"));
            const char *m = json_string(json_get(json_get(w, "jwk"), "n"));
            const char *a = jwk_alg(key);
            bool same = json_text(v).data == json_text(w).data ||
                        (n && m && strcmp(n, m) == 0 && (!a || strcmp(a, jws_alg(t)) == 0));
            assert_int_equal(err_ok(jws_verify(t, key)), same);
            jwk_free(key);
        }
        jws_free(t);
    }
    json_free(doc);
}

static void test_jws_verify__alg_of_the_key(void **state)
{
    EVP_PKEY *key = NULL;
    struct jwk *plain = NULL, *es256 = NULL, *es384 = NULL;
    struct buf compact = BUF_INIT;
    assert_ok(key_generate_ec("P-256", &key));
    assert_ok(jwk_from_pkey(key, NULL, &plain));
    assert_ok(jwk_from_pkey(key, "ES256", &es256));
    assert_ok(jwk_from_pkey(key, "ES384", &es384));
    assert_ok(jws_sign("ES256", key, SPAN_LIT("{\"alg\":\"ES256\"}"), SPAN_LIT(""), &compact));
    struct jws *t = token(buf_str(&compact));
    assert_int_equal(jws_payload(t).len, 0);
    assert_ok(jws_verify(t, plain));
    assert_ok(jws_verify(t, es256));
    assert_fails(jws_verify(t, es384), ERR_CRYPTO);
    jws_free(t);
    jwk_free(plain);
    jwk_free(es256);
    jwk_free(es384);
    EVP_PKEY_free(key);
    buf_free(&compact);
}

/* ---- parsing -------------------------------------------------------------------------------------- */

static struct err parse_header(const char *header)
{
    struct buf text = BUF_INIT;
    struct jws *t = NULL;
    b64url_add(&text, span_str(header));
    buf_add_str(&text, ".e30.AAAA");
    struct err e = jws_parse(buf_span(&text), &t);
    jws_free(t);
    buf_free(&text);
    return e;
}

static void test_jws_parse__headers(void **state)
{
    static const char *const BAD[] = {
        "", "{}", "[]", "\"ES256\"", "{\"alg\":null}", "{\"alg\":\"none\"}", "{\"alg\":\"None\"}",
        "{\"alg\":\"HS256\"}", "{\"alg\":\"HS512\"}", "{\"alg\":\"es256\"}", "{\"alg\":\"ES256K\"}",
        "{\"alg\":\"\"}", "{\"alg\":[\"ES256\"]}", "{\"alg\":\"ES256\",\"alg\":\"ES256\"}",
        "{\"alg\":\"ES256\",\"crit\":[\"exp\"]}", "{\"alg\":\"ES256\",\"crit\":[]}",
        "{\"alg\":\"ES256\",\"crit\":null}", "{\"alg\":\"ES256\"} x", "{\"alg\":\"ES256\"",
    };
    for (size_t i = 0; i < COUNT(BAD); i++)
        if (parse_header(BAD[i]).code != ERR_CRYPTO) fail_msg("took %s", BAD[i]);
    assert_ok(parse_header("{\"alg\":\"ES256\"}"));
    assert_ok(parse_header(" {\"typ\":\"JWT\", \"alg\":\"EdDSA\"}"));
}

static void test_jws_parse__form(void **state)
{
    static const char *const BAD[] = {
        "", ".", "..", "a", "eyJhbGciOiJFUzI1NiJ9", "eyJhbGciOiJFUzI1NiJ9.e30",
        "eyJhbGciOiJFUzI1NiJ9.e30.AAAA.", "eyJhbGciOiJFUzI1NiJ9.e30.AAAA.AAAA.AAAA",
        "eyJhbGciOiJFUzI1NiJ9.e30.AAA=", "eyJhbGciOiJFUzI1NiJ9.e30=.AAAA",
        "eyJhbGciOiJFUzI1NiJ9.e31.AAAA", "eyJhbGciOiJFUzI1NiJ9.e30.AAAAA",
        "eyJhbGciOiJFUzI1NiJ9 .e30.AAAA", "eyJhbGciOiJFUzI1NiJ9.e30.AAAA\n",
        "eyJhbGciOiJFUzI1NiJ9\n.e30.AAAA", ".e30.AAAA",
    };
    for (size_t i = 0; i < COUNT(BAD); i++) {
        struct jws *t = NULL;
        if (jws_parse(span_str(BAD[i]), &t).code != ERR_CRYPTO) fail_msg("took %s", BAD[i]);
        assert_null(t);
    }
}

static void test_jws_parse__size_limit(void **state)
{
    static const char HEAD[] = "eyJhbGciOiJFUzI1NiJ9.";
    struct buf text = BUF_INIT;
    struct jws *t = NULL;
    buf_add_str(&text, HEAD);
    /* Whole quartets in the payload, and a signature that fills up to the limit exactly. */
    size_t payload = (JOSE_MAX_TOKEN - sizeof HEAD) / 4 * 4 - 4;
    for (size_t i = 0; i < payload; i++) buf_add_byte(&text, 'A');
    buf_add_byte(&text, '.');
    while (text.len < JOSE_MAX_TOKEN) buf_add_byte(&text, 'A');
    assert_ok(jws_parse(buf_span(&text), &t));
    jws_free(t);
    t = NULL;
    buf_add_byte(&text, 'A');
    assert_fails(jws_parse(buf_span(&text), &t), ERR_CRYPTO);
    assert_null(t);
    assert_non_null(strstr(err_reason((struct err){ERR_CRYPTO}), "allowed"));
    buf_free(&text);
}

/* ---- signing -------------------------------------------------------------------------------------- */

static const struct { const char *alg, *crv, *header; size_t signature; } SIGNERS[] = {
    {"ES256", "P-256", "{\"alg\":\"ES256\",\"typ\":\"JWT\"}", 64},
    {"ES384", "P-384", "{\"alg\":\"ES384\"}", 96},
    {"EdDSA", NULL, "{\"alg\":\"EdDSA\"}", 64},
};

static EVP_PKEY *signer(size_t i)
{
    EVP_PKEY *key = NULL;
    assert_ok(SIGNERS[i].crv ? key_generate_ec(SIGNERS[i].crv, &key) : key_generate_ed25519(&key));
    return key;
}

/* Many times, so that an R or S with leading zeros is among them (1 in 128). */
static void test_jws_sign__round_trips(void **state)
{
    for (size_t i = 0; i < COUNT(SIGNERS); i++) {
        EVP_PKEY *key = signer(i);
        struct jwk *public = NULL;
        struct buf text = BUF_INIT;
        assert_ok(jwk_from_pkey(key, SIGNERS[i].alg, &public));
        for (int round = 0; round < 300; round++) {
            buf_reset(&text);
            assert_ok(jws_sign(SIGNERS[i].alg, key, span_str(SIGNERS[i].header),
                               SPAN_LIT("{\"exp\":1}"), &text));
            struct jws *t = token(buf_str(&text));
            assert_ok(jws_verify(t, public));
            assert_true(span_eq_str(jws_payload(t), "{\"exp\":1}"));
            const char *raw = strrchr(buf_str(&text), '.') + 1;
            assert_int_equal(strlen(raw), (SIGNERS[i].signature * 8 + 5) / 6);
            jws_free(t);
        }
        buf_free(&text);
        jwk_free(public);
        EVP_PKEY_free(key);
    }
}

/* One signer, many threads: every token verifies, and no two are the same. */
#define THREADS 8
#define TOKENS 40

struct signing {
    pthread_t thread;
    const struct jws_signer *signer;
    struct buf tokens[TOKENS];
};

static void *sign_often(void *arg)
{
    struct signing *s = arg;
    for (int i = 0; i < TOKENS; i++)
        if (!err_ok(jws_signer_sign(s->signer, SPAN_LIT("{\"exp\":1}"), &s->tokens[i])))
            buf_free(&s->tokens[i]);
    return NULL;
}

static void test_jws_signer_sign__threads(void **state)
{
    struct signing threads[THREADS] = {0};
    EVP_PKEY *key = signer(0);
    struct jws_signer *s = NULL;
    struct jwk *public = NULL;
    assert_ok(jwk_from_pkey(key, "ES256", &public));
    assert_ok(jws_signer_new("ES256", key, span_str(SIGNERS[0].header), &s));
    EVP_PKEY_free(key); /* the signer has a reference of its own */
    for (int i = 0; i < THREADS; i++) {
        threads[i].signer = s;
        assert_int_equal(pthread_create(&threads[i].thread, NULL, sign_often, &threads[i]), 0);
    }
    const char *first = NULL;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i].thread, NULL);
        for (int k = 0; k < TOKENS; k++) {
            const char *text = buf_str(&threads[i].tokens[k]);
            struct jws *t = token(text);
            assert_ok(jws_verify(t, public));
            jws_free(t);
            if (first) assert_string_not_equal(text, first);
            else first = text;
        }
    }
    for (int i = 0; i < THREADS; i++)
        for (int k = 0; k < TOKENS; k++) buf_free(&threads[i].tokens[k]);
    jws_signer_free(s);
    jws_signer_free(NULL);
    jwk_free(public);
}

static void test_jws_sign__misuse(void **state)
{
    EVP_PKEY *p256 = signer(0), *p384 = signer(1), *ed = signer(2);
    EVP_PKEY *rsa = vector_key("kbs/keys/guest-rsa2048.pem");
    struct span none = {0};
    struct buf out = BUF_INIT;
    assert_fails(jws_sign("ES384", p256, SPAN_LIT("{\"alg\":\"ES384\"}"), none, &out), ERR_USAGE);
    assert_fails(jws_sign("ES256", p384, SPAN_LIT("{\"alg\":\"ES256\"}"), none, &out), ERR_USAGE);
    assert_fails(jws_sign("ES256", ed, SPAN_LIT("{\"alg\":\"ES256\"}"), none, &out), ERR_USAGE);
    assert_fails(jws_sign("RS256", rsa, SPAN_LIT("{\"alg\":\"RS256\"}"), none, &out), ERR_USAGE);
    assert_fails(jws_sign("none", p256, SPAN_LIT("{\"alg\":\"none\"}"), none, &out), ERR_USAGE);
    assert_fails(jws_sign("ES256", p256, SPAN_LIT("{\"alg\":\"ES384\"}"), none, &out), ERR_INTERNAL);
    assert_fails(jws_sign("ES256", p256, SPAN_LIT("{}"), none, &out), ERR_INTERNAL);
    assert_fails(jws_sign("ES256", p256, SPAN_LIT("not json"), none, &out), ERR_USAGE);
    /* A public key alone cannot sign. */
    struct buf pem = BUF_INIT;
    struct jwk *public = NULL;
    assert_ok(key_public_pem(p256, &pem));
    assert_ok(jwk_from_pem(buf_span(&pem), &public));
    assert_fails(jws_sign("ES256", jwk_pkey(public), SPAN_LIT("{\"alg\":\"ES256\"}"), none, &out),
               ERR_INTERNAL);
    assert_int_equal(out.len, 0);
    buf_free(&pem);
    jwk_free(public);
    EVP_PKEY_free(p256);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(ed);
    EVP_PKEY_free(rsa);
}

/* A DER signature, or one of another curve's length, is no ES256 signature. */
static void test_jws_verify__signature_length(void **state)
{
    static const size_t LENGTHS[] = {0, 1, 63, 65, 70, 96, 132};
    EVP_PKEY *key = signer(0);
    struct jwk *public = NULL;
    assert_ok(jwk_from_pkey(key, NULL, &public));
    for (size_t i = 0; i < COUNT(LENGTHS); i++) {
        uint8_t raw[132] = {1};
        struct buf text = BUF_INIT;
        buf_add_str(&text, "eyJhbGciOiJFUzI1NiJ9.e30.");
        b64url_add(&text, span_of(raw, LENGTHS[i]));
        struct jws *t = token(buf_str(&text));
        assert_fails(jws_verify(t, public), ERR_CRYPTO);
        jws_free(t);
        buf_free(&text);
    }
    /* A good signature, with a byte more behind it and in front of it. */
    for (int behind = 0; behind < 2; behind++) {
        struct buf text = BUF_INIT, bytes = BUF_INIT;
        assert_ok(jws_sign("ES256", key, SPAN_LIT("{\"alg\":\"ES256\"}"), SPAN_LIT("{}"), &text));
        size_t dot = (size_t) (strrchr(buf_str(&text), '.') - buf_str(&text)) + 1;
        if (!behind) buf_add_byte(&bytes, 0);
        assert_ok(b64url_decode(span_of(text.data + dot, text.len - dot), &bytes));
        if (behind) buf_add_byte(&bytes, 0);
        text.len = dot;
        b64url_add(&text, buf_span(&bytes));
        struct jws *longer = token(buf_str(&text));
        assert_fails(jws_verify(longer, public), ERR_CRYPTO);
        jws_free(longer);
        buf_free(&text);
        buf_free(&bytes);
    }
    /* R = S = 0 (the "psychic" signature) */
    struct buf zero = BUF_INIT;
    uint8_t raw[64] = {0};
    buf_add_str(&zero, "eyJhbGciOiJFUzI1NiJ9.e30.");
    b64url_add(&zero, span_of(raw, sizeof raw));
    struct jws *t = token(buf_str(&zero));
    assert_fails(jws_verify(t, public), ERR_CRYPTO);
    jws_free(t);
    buf_free(&zero);
    jwk_free(public);
    EVP_PKEY_free(key);
}

static void test_jws_alg_known__names(void **state)
{
    static const char *const KNOWN[] = {"ES256", "ES384", "ES512", "RS256", "RS384",
                                        "RS512", "PS256", "PS384", "PS512", "EdDSA"};
    for (size_t i = 0; i < COUNT(KNOWN); i++) assert_true(jws_alg_known(KNOWN[i]));
    assert_false(jws_alg_known("none"));
    assert_false(jws_alg_known("HS256"));
    assert_false(jws_alg_known("RSA-OAEP-256"));
    assert_false(jws_alg_known(""));
    assert_false(jws_alg_known(NULL));
}

/* ---- times ------------------------------------------------------------------------------------------ */

static void test_jwt_check_times__table(void **state)
{
    static const struct { const char *claims; bool good; } CASES[] = {
        {"{\"exp\":1000}", true},
        {"{\"exp\":940}", true},
        {"{\"exp\":939}", false},
        {"{\"exp\":2000,\"nbf\":1060}", true},
        {"{\"exp\":2000,\"nbf\":1061}", false},
        {"{\"exp\":2000,\"nbf\":null}", false},
        {"{\"exp\":2000,\"nbf\":\"1\"}", false},
        {"{\"exp\":2000,\"iat\":99999}", true},
        {"{}", false},
        {"[]", false},
        {"{\"exp\":null}", false},
        {"{\"exp\":\"2000\"}", false},
        {"{\"exp\":2000.5}", false},
        {"{\"exp\":2e3}", false},
        {"{\"exp\":-9223372036854775808}", false},
        {"{\"exp\":9223372036854775807}", true},
        {"{\"exp\":99999999999999999999}", false},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct json_doc *doc = parsed(CASES[i].claims);
        int64_t exp = -7;
        struct err e = jwt_check_times(json_root(doc), 1000, 60, &exp);
        if (e.code != (CASES[i].good ? ERR_NONE : ERR_CRYPTO)) fail_msg("%s", CASES[i].claims);
        assert_int_equal(exp == -7, !CASES[i].good);
        if (CASES[i].good) assert_ok(jwt_check_times(json_root(doc), 1000, 60, NULL));
        json_free(doc);
    }
}

/* ---- a signer that is elsewhere ------------------------------------------------------------------ */

static err_t note_digest(void *context, const uint8_t digest[JWS_ES256_DIGEST],
                         uint8_t ret[JWS_ES256_SIGNATURE])
{
    memcpy(context, digest, JWS_ES256_DIGEST);
    memset(ret, 0x5a, JWS_ES256_SIGNATURE);
    return ERR_OK;
}

static err_t no_signature(void *context, const uint8_t digest[JWS_ES256_DIGEST],
                          uint8_t ret[JWS_ES256_SIGNATURE])
{
    FAIL(ERR_TOKEN_DOWN, "away");
}

/* It gets the SHA-256 of header, dot and payload, and what it gives is the third part as it is. */
static void test_jws_signer_remote__digest_and_signature(void **state)
{
    static const char head[] = "{\"alg\":\"ES256\"}", text[] = "eyJhbGciOiJFUzI1NiJ9.e30";
    uint8_t seen[32], wanted[32];
    struct buf out = BUF_INIT;
    struct jws_signer *s = NULL;
    struct jws_remote_key key = {seen, note_digest};
    assert_ok(jws_signer_new_remote(&key, span_str(head), &s));
    assert_ok(jws_signer_sign(s, SPAN_LIT("{}"), &out));
    assert_int_equal(EVP_Digest(text, strlen(text), wanted, NULL, EVP_sha256(), NULL), 1);
    assert_memory_equal(seen, wanted, 32);
    assert_true(span_starts(buf_span(&out), text));
    assert_string_equal(buf_str(&out) + strlen(text),
                        ".WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpa"
                        "WlpaWg");
    jws_signer_free(s);
    buf_reset(&out);
    key.sign = no_signature;
    assert_ok(jws_signer_new_remote(&key, span_str(head), &s));
    assert_fails_with(jws_signer_sign(s, SPAN_LIT("{}"), &out), ERR_TOKEN_DOWN, "away");
    assert_int_equal(out.len, 0);
    jws_signer_free(s);
    assert_fails(jws_signer_new_remote(&key, SPAN_LIT("{\"alg\":\"ES384\"}"), &s), ERR_INTERNAL);
    buf_free(&out);
}

static void test_jwt_iss_is__and_aud_has(void **state)
{
    static const struct { const char *claims; bool iss, aud; } CASES[] = {
        {"{\"iss\":\"i\",\"aud\":\"a\"}", true, true},
        {"{\"iss\":\"i\",\"aud\":[\"b\",\"a\"]}", true, true},
        {"{\"iss\":\"I\",\"aud\":\"A\"}", false, false},
        {"{\"iss\":[\"i\"],\"aud\":[]}", false, false},
        {"{\"iss\":1,\"aud\":[1,null,[\"a\"]]}", false, false},
        {"{\"aud\":{\"x\":\"a\"}}", false, false}, {"{}", false, false}, {"[\"a\"]", false, false},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct json_doc *doc = parsed(CASES[i].claims);
        if (jwt_iss_is(json_root(doc), "i") != CASES[i].iss ||
            jwt_aud_has(json_root(doc), "a") != CASES[i].aud) fail_msg("%s", CASES[i].claims);
        json_free(doc);
    }
}

/* use and key_ops of the key count, whoever brings it. */
static void test_jws_verify__purpose_of_the_key(void **state)
{
    static const struct { const char *member; bool good; } CASES[] = {
        {"\"use\":\"sig\"", true}, {"\"use\":\"enc\"", false},
        {"\"key_ops\":[\"verify\"]", true}, {"\"key_ops\":[\"sign\"]", false},
    };
    EVP_PKEY *pair = NULL;
    struct buf compact = BUF_INIT;
    assert_ok(key_generate_ed25519(&pair));
    assert_ok(jws_sign("EdDSA", pair, SPAN_LIT("{\"alg\":\"EdDSA\"}"), SPAN_LIT("{}"), &compact));
    struct jws *t = token(buf_str(&compact));
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct buf text = jwk_text_of(pair, NULL);
        struct jwk *key = NULL;
        text.len--;
        buf_addf(&text, ",%s}", CASES[i].member);
        struct json_doc *doc = parsed(buf_str(&text));
        assert_ok(jwk_from_json(json_root(doc), &key));
        assert_int_equal(jwk_may_verify(key), CASES[i].good);
        if (err_ok(jws_verify(t, key)) != CASES[i].good) fail_msg("%s", CASES[i].member);
        jwk_free(key);
        json_free(doc);
        buf_free(&text);
    }
    jws_free(t);
    buf_free(&compact);
    EVP_PKEY_free(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jws_signer_remote__digest_and_signature),
        cmocka_unit_test(test_jws_verify__vectors),
        cmocka_unit_test(test_jws_verify__changed),
        cmocka_unit_test(test_jws_verify__other_key),
        cmocka_unit_test(test_jws_verify__alg_of_the_key),
        cmocka_unit_test(test_jws_verify__signature_length),
        cmocka_unit_test(test_jws_parse__headers),
        cmocka_unit_test(test_jws_parse__form),
        cmocka_unit_test(test_jws_parse__size_limit),
        cmocka_unit_test(test_jws_sign__round_trips),
        cmocka_unit_test(test_jws_signer_sign__threads),
        cmocka_unit_test(test_jws_sign__misuse),
        cmocka_unit_test(test_jws_alg_known__names),
        cmocka_unit_test(test_jwt_check_times__table),
        cmocka_unit_test(test_jwt_iss_is__and_aud_has),
        cmocka_unit_test(test_jws_verify__purpose_of_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

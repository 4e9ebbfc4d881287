/* jwt.c, jwt_keys.c and jwt_verify.c through the functions of the table. */
#include "broker/builtins/internal.h"
#include "broker/jose/jws.h"
#include "tests/lib/vectors.h"
#include "tests/unit/builtins/host_bench.h"

#include <ctype.h>
#include <openssl/pem.h>

/* Secret "your-256-bit-secret", claims sub, name, iat. */
#define HS256                                                                                      \
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."                                                        \
    "eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ."                  \
    "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define CLAIMS "{\"sub\":\"1234567890\",\"name\":\"John Doe\",\"iat\":1516239022}"
#define NO "[false,{},{}]"

static void test_decode__parts_and_their_errors(void **state)
{
    static const struct builtin_case cases[] = {
        {"io.jwt.decode", "[\"" HS256 "\"]",
         "[" HEADER "," CLAIMS ",\"49f94ac7044948c78a285d904f87f0a4c7897f7e8f3a4eb2255fda750b2cc397\"]",
         NULL},
        {"io.jwt.decode", "[\"abc\"]", NULL, "io.jwt.decode: encoded JWT had no period separators"},
        {"io.jwt.decode", "[\"a.b\"]", NULL, "encoded JWT must have 3 sections, found 2"},
        {"io.jwt.decode", "[\"a.b.c.d\"]", NULL, "encoded JWT must have 3 sections, found 4"},
        {"io.jwt.decode", "[\"!.e30.\"]", NULL,
         "JWT header had invalid encoding: illegal base64url string: !"},
        {"io.jwt.decode", "[\"e30.!.\"]", NULL, "JWT payload had invalid encoding"},
        {"io.jwt.decode", "[\"e30.e30.!\"]", NULL, "JWT signature had invalid encoding"},
        {"io.jwt.decode", "[\"W10.e30.\"]", NULL, "bad JWT header: decoded JSON type was not an Object"},
        {"io.jwt.decode", "[\"e30.W10.\"]", NULL, "decoded JSON type was not an Object"},
        {"io.jwt.decode", "[\"ew.e30.\"]", NULL, "bad JWT header: invalid JSON"},
        {"io.jwt.decode", "[\"eyJlbmMiOjF9.e30.\"]", NULL, "JWT is a JWE object"},
        {"io.jwt.decode", "[7]", NULL, "operand 1 must be string but got number"},
    };
    HOST_TABLE(cases);
}

static void test_decode__a_number_above_2_63_is_exact(void **state)
{
    static const struct builtin_case cases[] = { /* {"svn":18446744073709551615} */
        {"io.jwt.decode", "[\"e30.eyJzdm4iOjE4NDQ2NzQ0MDczNzA5NTUxNjE1fQ.\"]",
         "[{},{\"svn\":18446744073709551615},\"\"]", NULL},
    };
    HOST_TABLE(cases);
}

/* ---- signatures ------------------------------------------------------------------------------------- */

static void test_verify_hs__secret_decides(void **state)
{
    static const struct builtin_case cases[] = {
        {"io.jwt.verify_hs256", "[\"" HS256 "\", \"your-256-bit-secret\"]", "true", NULL},
        {"io.jwt.verify_hs256", "[\"" HS256 "\", \"your-256-bit-secreT\"]", "false", NULL},
        {"io.jwt.verify_hs384", "[\"" HS256 "\", \"your-256-bit-secret\"]", "false", NULL},
        {"io.jwt.verify_hs512", "[\"" HS256 "\", \"\"]", "false", NULL},
        {"io.jwt.verify_hs256", "[\"x\", \"\"]", NULL, "no period separators"},
        {"io.jwt.decode_verify", "[\"eyJhbGciOjd9.e30.\", {\"secret\":\"s\"}]", NULL, "alg: must be a string"},
    };
    HOST_TABLE(cases);
}

/* The secret alone says by which algorithm: OPA does not look into the header. */
static void test_verify_hs__header_is_not_read(void **state)
{
    static const struct builtin_case cases[] = {
        {"io.jwt.verify_hs256", "[\"no.json.AAAA\", \"s\"]", "false", NULL},
        {"io.jwt.verify_hs512", "[\"!.!.AAAA\", \"s\"]", "false", NULL},
        {"io.jwt.verify_hs256", "[\"no.json.!\", \"s\"]", NULL, "illegal base64"},
    };
    HOST_TABLE(cases);
}

/* Which error is told when there are several: the sections, the keys, the signature, the header. */
static void test_verify__first_error(void **state)
{
#define KEY "{\\\"kty\\\":\\\"oct\\\",\\\"k\\\":\\\"AA\\\"}"
    static const struct builtin_case cases[] = {
        {"io.jwt.verify_rs256", "[\"x\", \"no key\"]", NULL, "no period separators"},
        {"io.jwt.verify_rs256", "[\"!.!.!\", \"no key\"]", NULL, "failed to parse a JWK key (set)"},
        {"io.jwt.verify_rs256", "[\"!.e30.!\", \"" KEY "\"]", NULL, "verify_rs256: illegal base64"},
        {"io.jwt.verify_rs256", "[\"!.e30.AA\", \"" KEY "\"]", NULL, "JWT header had invalid encoding"},
        {"io.jwt.decode_verify", "[\"x\", {\"cert\":\"no key\",\"hatever\":1}]", NULL,
         "failed to parse a JWK key (set)"},
        {"io.jwt.decode_verify", "[\"x\", {\"cert\":\"no key\",\"aud\":1}]", NULL,
         "aud constraint: must be a string"},
        {"io.jwt.decode_verify", "[\"x\", {\"secret\":\"s\",\"time\":\"now\"}]", NULL,
         "token time constraint: must be a number"},
        {"io.jwt.decode_verify", "[\"x\", {\"time\":1}]", NULL, "no key constraint"},
    };
    HOST_TABLE(cases);
}

/* A JWK may hold the secret; it verifies HS* and nothing else. */
static void test_decode_verify__secret_in_a_jwk(void **state)
{
#define K "eW91ci0yNTYtYml0LXNlY3JldA" /* your-256-bit-secret */
#define OCT(more) "{\\\"kty\\\":\\\"oct\\\",\\\"k\\\":\\\"" K "\\\"" more "}"
#define CERT(key) "[\"" HS256 "\", {\"cert\":\"" key "\"}]"
    static const struct builtin_case cases[] = {
        {"io.jwt.decode_verify", CERT(OCT("")), "[true," HEADER "," CLAIMS "]", NULL},
        {"io.jwt.decode_verify", CERT(OCT(",\\\"alg\\\":\\\"HS256\\\"")), "[true," HEADER "," CLAIMS "]", NULL},
        {"io.jwt.decode_verify", CERT("{\\\"keys\\\":[" OCT("") "]}"), "[true," HEADER "," CLAIMS "]", NULL},
        {"io.jwt.decode_verify", CERT(OCT(",\\\"alg\\\":\\\"HS512\\\"")), NO, NULL},
        {"io.jwt.decode_verify", CERT(OCT(",\\\"alg\\\":\\\"RS256\\\"")), NO, NULL},
        {"io.jwt.decode_verify", CERT(KEY), NO, NULL},
        {"io.jwt.decode_verify", CERT("{\\\"kty\\\":\\\"oct\\\",\\\"k\\\":\\\"\\\"}"), NULL,
         "failed to parse a JWK key (set): k of an oct key"},
        {"io.jwt.decode_verify", CERT("{\\\"kty\\\":\\\"oct\\\"}"), NULL,
         "failed to parse a JWK key (set): k of an oct key"},
        {"io.jwt.verify_es256", "[\"" HS256 "\", \"" OCT("") "\"]", "false", NULL},
    };
    HOST_TABLE(cases);
}

static const struct value *call_texts(struct builtin_bench *b, const char *name, const char *x, const char *y)
{
    const struct value *args[] = {value_string_z(b->arena, x), value_string_z(b->arena, y)};
    b->call.text[0] = 0;
    return builtin_run(&b->call, builtin_find(b->call.host, name, strlen(name)), args);
}

static void name_of(const char *alg, char ret[32])
{
    snprintf(ret, 32, "io.jwt.verify_%s", alg);
    for (char *c = ret; *c; c++) *c = (char) tolower(*c);
}

/* RFC 7515, RFC 8037 and others of tests/vectors/jose/jws.json: good as they are, bad with another
 * payload, with another algorithm, and with a key of another kind. */
static void test_verify__published_vectors(void **state)
{
    struct json_doc *doc = vector_json("jose/jws.json");
    struct builtin_bench b;
    host_open(&b);
    size_t seen = 0;
    for (struct json x = json_first(json_root(doc)); json_present(x); x = json_next(x)) {
        char name[32], key[4096];
        const char *compact = json_string(json_get(x, "compact")), *alg = json_string(json_get(x, "alg"));
        struct span jwk = json_text(json_get(x, "jwk"));
        if (!compact || !alg || !jwk.len) continue;
        snprintf(key, sizeof key, "%.*s", (int) jwk.len, (const char *) jwk.data);
        name_of(alg, name);
        assert_ptr_equal(call_texts(&b, name, compact, key), value_bool(true));
        assert_ptr_equal(call_texts(&b, strcmp(alg, "ES384") ? "io.jwt.verify_es384" : "io.jwt.verify_es256",
                                    compact, key), value_bool(false));
        char *changed = strdup(compact);
        char *c = strchr(changed, '.') + 1;
        *c = *c == 'a' ? 'b' : 'a';
        assert_ptr_equal(call_texts(&b, name, changed, key), value_bool(false));
        free(changed);
        seen++;
    }
    assert_true(seen >= 3);
    arena_free(b.arena);
    json_free(doc);
}

/* A token and the PEM of its key, made here. */
static struct buf made_token, made_pem;

static void make_token(const char *header, const char *claims)
{
    EVP_PKEY *key = NULL;
    buf_reset(&made_token);
    buf_reset(&made_pem);
    assert_ok(key_generate_ec("P-256", &key));
    assert_ok(key_public_pem(key, &made_pem));
    assert_ok(jws_sign("ES256", key, span_str(header), span_str(claims), &made_token));
    EVP_PKEY_free(key);
}

static void free_token(void)
{
    buf_free(&made_token);
    buf_free(&made_pem);
}

/* Static. */
static const char *with_a_byte_more(const char *pem)
{
    static char ret[1024];
    char *type = NULL, *header = NULL;
    uint8_t *der = NULL, longer[512] = {0};
    long len = 0;
    BIO *in = BIO_new_mem_buf(pem, -1), *out = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_read_bio(in, &type, &header, &der, &len), 1);
    assert_true((size_t) len < sizeof longer);
    memcpy(longer, der, (size_t) len);
    PEM_write_bio(out, type, "", longer, len + 1);
    int got = BIO_read(out, ret, sizeof ret - 1);
    assert_true(got > 0);
    ret[got] = 0;
    OPENSSL_free(type);
    OPENSSL_free(header);
    OPENSSL_free(der);
    BIO_free(in);
    BIO_free(out);
    return ret;
}

static void test_verify__key_texts(void **state)
{
    struct builtin_bench b;
    host_open(&b);
    make_token("{\"alg\":\"ES256\"}", "{}");
    const char *token = buf_str(&made_token), *pem = buf_str(&made_pem);
    static const char es256[] = "io.jwt.verify_es256";
    assert_ptr_equal(call_texts(&b, es256, token, pem), value_bool(true));
    char twice[1024];
    snprintf(twice, sizeof twice, "%s%s", pem, pem);
    static const struct { const char *key, *error; } bad[] = {
        {"nope", "failed to parse a JWK key (set)"},
        {"{}", "failed to parse a JWK key (set): a key without kty"},
        {"{\"keys\":7}", "failed to parse a JWK key (set): keys must be a list"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}", "failed to parse a JWK key (set)"},
        {"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", "failed to extract a Key"},
        {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "failed to parse a PEM certificate"},
        {"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "failed to parse a PEM public key"},
    };
    assert_null(call_texts(&b, es256, token, twice));
    assert_non_null(strstr(b.call.text, "extra data after a PEM certificate block"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(call_texts(&b, es256, token, bad[i].key));
        if (!strstr(b.call.text, bad[i].error)) fail_msg("%s: %s", bad[i].key, b.call.text);
    }
    /* DER of a key and one byte more */
    assert_null(call_texts(&b, es256, token, with_a_byte_more(pem)));
    assert_non_null(strstr(b.call.text, "failed to parse a PEM public key"));
    assert_ptr_equal(call_texts(&b, es256, token, "{\"keys\":[]}"), value_bool(false));
    assert_ptr_equal(call_texts(&b, es256, token, "{\"keys\":[{\"kty\":\"new\",\"k\":\"AA\"}]}"), value_bool(false));
    arena_free(b.arena);
    free_token();
}

/* ---- decode_verify -------------------------------------------------------------------------------------- */

static void test_decode_verify__constraints(void **state)
{
#define DV(constraints) "[\"" HS256 "\", {\"secret\":\"your-256-bit-secret\"" constraints "}]"
    static const struct builtin_case cases[] = {
        {"io.jwt.decode_verify", DV(""), "[true," HEADER "," CLAIMS "]", NULL},
        {"io.jwt.decode_verify", DV(",\"alg\":\"HS256\""), "[true," HEADER "," CLAIMS "]", NULL},
        {"io.jwt.decode_verify", DV(",\"alg\":\"HS384\""), NO, NULL},
        {"io.jwt.decode_verify", DV(",\"iss\":\"x\""), NO, NULL},
        {"io.jwt.decode_verify", DV(",\"aud\":\"x\""), NO, NULL},
        {"io.jwt.decode_verify", DV(",\"hatever\":1"), NULL, "unknown token validation constraint: hatever"},
        {"io.jwt.decode_verify", DV(",\"alg\":1"), NULL, "alg constraint: must be a string"},
        {"io.jwt.decode_verify", DV(",\"cert\":1"), NULL, "cert constraint: must be a string"},
        {"io.jwt.decode_verify", DV(",\"time\":\"now\""), NULL, "token time constraint: must be a number"},
        {"io.jwt.decode_verify", DV(",\"time\":-1"), NULL, "token time constraint: must not be negative"},
        {"io.jwt.decode_verify", DV(",\"cert\":\"{\\\"keys\\\":[]}\""), NULL, "duplicate key constraints"},
        {"io.jwt.decode_verify", "[\"" HS256 "\", {}]", NULL, "no key constraint"},
        {"io.jwt.decode_verify", "[\"" HS256 "\", {\"secret\":\"no\"}]", NO, NULL},
        {"io.jwt.decode_verify", "[\"" HS256 "\", {\"cert\":\"{\\\"keys\\\":[]}\"}]", NO, NULL},
    };
    HOST_TABLE(cases);
}

/* A token with these claims of its time, at 1,000 s: {valid}. */
static void test_decode_verify__times_and_audiences(void **state)
{
    static const struct { const char *claims, *constraint; bool valid; const char *error; } rows[] = {
        {"{\"exp\":1001}", "", true, NULL},
        {"{\"exp\":1000}", "", false, NULL},
        {"{\"exp\":1000.5}", "", true, NULL},
        {"{\"nbf\":1000}", "", true, NULL},
        {"{\"nbf\":1000.1}", "", false, NULL},
        {"{\"exp\":\"1001\"}", "", false, "exp value must be a number"},
        {"{\"nbf\":null}", "", false, "nbf value must be a number"},
        {"{\"aud\":\"a\"}", ",\"aud\":\"a\"", true, NULL},
        {"{\"aud\":[\"b\",\"a\"]}", ",\"aud\":\"a\"", true, NULL},
        {"{\"aud\":[\"b\"]}", ",\"aud\":\"a\"", false, NULL},
        {"{\"aud\":\"a\"}", "", false, NULL},
        {"{\"aud\":7}", ",\"aud\":\"a\"", false, NULL},
        {"{\"iss\":\"i\"}", ",\"iss\":\"i\"", true, NULL},
        {"{\"iss\":7}", ",\"iss\":\"i\"", false, NULL},
    };
    struct builtin_bench b;
    host_open(&b);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        make_token("{\"alg\":\"ES256\"}", rows[i].claims);
        char constraints[256];
        snprintf(constraints, sizeof constraints, "{\"time\":1000000000000%s}", rows[i].constraint);
        const struct value *o = object_with(b.arena, bench_json(&b, constraints),
                                            value_string_z(b.arena, "cert"),
                                            value_string_z(b.arena, buf_str(&made_pem)));
        const struct value *args[] = {value_string_z(b.arena, buf_str(&made_token)), o};
        const struct value *v = builtin_run(&b.call, builtin_find(b.call.host, "io.jwt.decode_verify", 20), args);
        if (rows[i].error) {
            assert_null(v);
            assert_non_null(strstr(b.call.text, rows[i].error));
        } else if (!v || v->items[0] != value_bool(rows[i].valid)) {
            fail_msg("%s %s: %s", rows[i].claims, rows[i].constraint, b.call.text);
        }
    }
    arena_free(b.arena);
    free_token();
}

static void test_decode_verify__header_rules(void **state)
{
    static const struct { const char *header; bool valid; const char *error; } rows[] = {
        {"{\"alg\":\"ES256\",\"crit\":[\"alg\"]}", true, NULL},
        {"{\"alg\":\"ES256\",\"crit\":[\"b64\"],\"b64\":false}", false, NULL},
        {"{\"alg\":\"ES256\",\"crit\":[]}", false, "crit: must be a nonempty list"},
        {"{\"alg\":\"ES256\",\"crit\":7}", false, "crit: must be a list"},
        {"{\"alg\":\"ES256\",\"crit\":[7]}", false, "crit: must be a list of strings"},
        {"{\"alg\":\"ES256\",\"kid\":7}", false, "kid: must be a string"},
    };
    struct builtin_bench b;
    host_open(&b);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        make_token(rows[i].header, "{}");
        const struct value *o = object_with(b.arena, &VALUE_EMPTY_OBJECT, value_string_z(b.arena, "cert"),
                                            value_string_z(b.arena, buf_str(&made_pem)));
        const struct value *args[] = {value_string_z(b.arena, buf_str(&made_token)), o};
        const struct value *v = builtin_run(&b.call, builtin_find(b.call.host, "io.jwt.decode_verify", 20), args);
        if (rows[i].error) {
            assert_null(v);
            assert_non_null(strstr(b.call.text, rows[i].error));
        } else if (!v || v->items[0] != value_bool(rows[i].valid)) {
            fail_msg("%s: %s", rows[i].header, b.call.text);
        }
    }
    arena_free(b.arena);
    free_token();
}

/* ---- limits -------------------------------------------------------------------------------------------------- */

static void test_limits__end_the_evaluation(void **state)
{
    struct builtin_bench b;
    host_open(&b);
    char *text = malloc(KEYS_TEXT_MAX + 2);
    assert_non_null(text);
    memset(text, 'a', KEYS_TEXT_MAX + 1);
    text[KEYS_TEXT_MAX + 1] = 0;
    assert_null(call_texts(&b, "io.jwt.verify_es256", "a.b.c", text));
    assert_int_equal(b.call.problem, BUILTIN_HALT);
    text[KEYS_TEXT_MAX] = 0; /* at the limit it is merely no key */
    assert_null(call_texts(&b, "io.jwt.verify_es256", "a.b.c", text));
    assert_int_equal(b.call.problem, BUILTIN_ERROR);
    text[JWT_MAX + 1] = 0;
    assert_null(call_texts(&b, "io.jwt.verify_hs256", text, ""));
    assert_int_equal(b.call.problem, BUILTIN_HALT);
    text[JWT_MAX] = 0;
    assert_null(call_texts(&b, "io.jwt.verify_hs256", text, ""));
    assert_int_equal(b.call.problem, BUILTIN_ERROR);
    free(text);
    arena_free(b.arena);
}

static void test_limits__tokens_within_tokens(void **state)
{
    struct builtin_bench b;
    host_open(&b);
    const struct value *token = value_string_z(b.arena, "e30.e30.");
    for (unsigned depth = 1; depth <= JWT_NESTED_MAX; depth++) {
        const struct value *got = bench_call(&b, "io.jwt.decode", value_array(b.arena, (const struct value **) &token, 1));
        if (!got || b.call.problem != BUILTIN_FINE) fail_msg("depth %u: %s", depth, b.call.text);
        const struct value *inner = builtin_base64url_encode_no_pad(&b.call, &token);
        struct text t;
        text_init(&t, b.arena);
        text_addf(&t, "eyJjdHkiOiJKV1QifQ.%s.", inner->string); /* {"cty":"JWT"} */
        token = value_from_text(&t);
    }
    const struct value *args[] = {token};
    assert_null(builtin_run(&b.call, builtin_find(b.call.host, "io.jwt.decode", 13), args));
    assert_int_equal(b.call.problem, BUILTIN_HALT);
    arena_free(b.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode__parts_and_their_errors),
        cmocka_unit_test(test_decode__a_number_above_2_63_is_exact),
        cmocka_unit_test(test_verify_hs__secret_decides),
        cmocka_unit_test(test_verify_hs__header_is_not_read),
        cmocka_unit_test(test_verify__first_error),
        cmocka_unit_test(test_decode_verify__secret_in_a_jwk),
        cmocka_unit_test(test_verify__published_vectors),
        cmocka_unit_test(test_verify__key_texts),
        cmocka_unit_test(test_decode_verify__constraints),
        cmocka_unit_test(test_decode_verify__times_and_audiences),
        cmocka_unit_test(test_decode_verify__header_rules),
        cmocka_unit_test(test_limits__end_the_evaluation),
        cmocka_unit_test(test_limits__tokens_within_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

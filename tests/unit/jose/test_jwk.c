#include "tests/unit/jose/jose_test.h"

#include <openssl/ec.h>

#define X256 "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ"
#define Y256 "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck"
#define P256 "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X256 "\",\"y\":\"" Y256 "\""
#define ED "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""

static struct err read_jwk(const char *text, struct jwk **ret)
{
    struct json_doc *doc = parsed(text);
    struct err e = jwk_from_json(json_root(doc), ret);
    json_free(doc);
    return e;
}

static void test_jwk_from_json__kinds(void **state)
{
    struct jwk *k = NULL;
    assert_ok(read_jwk("{" P256 ",\"alg\":\"ES256\",\"kid\":\"a\",\"use\":\"sig\"}", &k));
    assert_string_equal(jwk_kty(k), "EC");
    assert_string_equal(jwk_crv(k), "P-256");
    assert_string_equal(jwk_alg(k), "ES256");
    assert_string_equal(jwk_kid(k), "a");
    assert_int_equal(jwk_x5c_count(k), 0);
    assert_null(jwk_x5c(k, 0));
    jwk_free(k);
    assert_ok(read_jwk("{" ED "}", &k));
    assert_string_equal(jwk_kty(k), "OKP");
    assert_string_equal(jwk_crv(k), "Ed25519");
    assert_null(jwk_alg(k));
    assert_null(jwk_kid(k));
    jwk_free(k);
    jwk_free(NULL);
}

static void test_jwk_from_json__refuses(void **state)
{
    static const char *const BAD[] = {
        "[]", "\"x\"", "{}", "{\"kty\":\"EC\"}", "{\"kty\":1}",
        "{\"kty\":\"oct\",\"k\":\"AAAA\"}", "{\"kty\":\"oct\"}", "{\"kty\":\"ec\"}",
        "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" X256 "\",\"y\":\"" Y256 "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X256 "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X256 "=\",\"y\":\"" Y256 "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X256 " \",\"y\":\"" Y256 "\"}",
        /* on no curve, swapped, zero, and another curve's name */
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X256 "\",\"y\":\"" X256 "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" Y256 "\",\"y\":\"" X256 "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
        "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" X256 "\",\"y\":\"" Y256 "\"}",
        /* a coordinate one byte short and one long; both of wrong length with the right sum */
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X256 "\",\"y\":\"yWcI74CVK1P40lVf5yuEHtBFiGKLHTeKWUk5UA7JyQ\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AMHjScth7HAkjOgBA0w4NOG4jr4RYcslrzh0H3hfz8TE\",\"y\":\"" Y256 "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AMHjScth7HAkjOgBA0w4NOG4jr4RYcslrzh0H3hfz8TE\",\"y\":\"yWcI74CVK1P40lVf5yuEHtBFiGKLHTeKWUk5UA7JyQ\"}",
        /* the bytes of a good point, divided at another place */
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMR7\",\"y\":\"yWcI74CVK1P40lVf5yuEHtBFiGKLHTeKWUk5UA7JyQ\"}",
        "{" P256 ",\"alg\":1}", "{" P256 ",\"kid\":null}", "{" P256 ",\"x5c\":\"a\"}",
        "{" P256 ",\"x5c\":[1]}", "{" P256 ",\"x5c\":null}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qY\"}",
        "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}",
        "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", "{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"\"}",
    };
    for (size_t i = 0; i < COUNT(BAD); i++) {
        struct jwk *k = NULL;
        if (read_jwk(BAD[i], &k).code != ERR_USAGE) fail_msg("took %s", BAD[i]);
        assert_null(k);
    }
    struct jwk *k = NULL;
    assert_fails(jwk_from_json((struct json){0}, &k), ERR_USAGE);
}

static void test_jwk_from_json__private_members(void **state)
{
    static const char *const PRIVATE[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};
    for (size_t i = 0; i < COUNT(PRIVATE); i++) {
        char text[512];
        struct jwk *k = NULL;
        snprintf(text, sizeof text, "{" P256 ",\"%s\":\"c2VjcmV0dmFsdWU\"}", PRIVATE[i]);
        struct err e = read_jwk(text, &k);
        assert_int_equal(e.code, ERR_USAGE);
        assert_non_null(strstr(err_text(e), "private key"));
        assert_null(strstr(err_text(e), "c2VjcmV0")); /* the value itself is never told */
    }
}

/* RSA by bits, exponent and form. The moduli are no products of primes: form is all that counts. */
static struct err read_rsa(size_t bytes, uint8_t first, uint8_t last, struct span e)
{
    struct buf text = BUF_INIT;
    struct jwk *k = NULL;
    uint8_t *n = calloc(1, bytes);
    n[0] = first;
    n[bytes - 1] = last;
    buf_add_str(&text, "{\"kty\":\"RSA\",\"n\":\"");
    b64url_add(&text, span_of(n, bytes));
    buf_add_str(&text, "\",\"e\":\"");
    b64url_add(&text, e);
    buf_add_str(&text, "\"}");
    struct err err = read_jwk(buf_str(&text), &k);
    jwk_free(k);
    buf_free(&text);
    free(n);
    return err;
}

static void test_jwk_from_json__rsa_limits(void **state)
{
    struct span e = SPAN_LIT("\1\0\1");
    assert_ok(read_rsa(JOSE_MIN_RSA_BITS / 8, 0x80, 1, e));
    assert_fails(read_rsa(JOSE_MIN_RSA_BITS / 8, 0x7f, 1, e), ERR_USAGE);
    assert_fails(read_rsa(128, 0x80, 1, e), ERR_USAGE);
    assert_ok(read_rsa(JOSE_MAX_RSA_BITS / 8, 0xff, 1, e));
    assert_fails(read_rsa(JOSE_MAX_RSA_BITS / 8 + 1, 0x01, 1, e), ERR_USAGE);
    assert_fails(read_rsa(257, 0, 1, e), ERR_USAGE);    /* leading zero octet */
    assert_fails(read_rsa(256, 0x80, 2, e), ERR_USAGE); /* even */
    assert_ok(read_rsa(256, 0x80, 1, SPAN_LIT("\3")));
    assert_fails(read_rsa(256, 0x80, 1, SPAN_LIT("\1")), ERR_USAGE);
    assert_fails(read_rsa(256, 0x80, 1, SPAN_LIT("\2")), ERR_USAGE);
    assert_fails(read_rsa(256, 0x80, 1, SPAN_LIT("\0\1\0\1")), ERR_USAGE);
    assert_ok(read_rsa(256, 0x80, 1, SPAN_LIT("\1\0\0\0\0\0\0\1")));
    assert_fails(read_rsa(256, 0x80, 1, SPAN_LIT("\1\0\0\0\0\0\0\0\1")), ERR_USAGE);
}

static void test_jwk_from_json__x5c_limit(void **state)
{
    struct buf text = BUF_INIT;
    struct jwk *k = NULL;
    buf_add_str(&text, "{" P256 ",\"x5c\":[\"0\"");
    for (unsigned i = 1; i < JOSE_MAX_X5C; i++) buf_addf(&text, ",\"%u\"", i);
    size_t at_limit = text.len;
    buf_add_str(&text, "]}");
    assert_ok(read_jwk(buf_str(&text), &k));
    assert_int_equal(jwk_x5c_count(k), JOSE_MAX_X5C);
    assert_string_equal(jwk_x5c(k, JOSE_MAX_X5C - 1), "7");
    jwk_free(k);
    text.len = at_limit;
    buf_add_str(&text, ",\"8\"]}");
    assert_fails(read_jwk(buf_str(&text), &k), ERR_USAGE);
    buf_free(&text);
}

/* Every kind: members written, read back, the same key; and again through PEM. */
static void test_jwk_put_members__round_trips(void **state)
{
    static const char *const CRV[] = {"P-256", "P-384", "P-521", "Ed25519", "RSA"};
    for (size_t i = 0; i < COUNT(CRV); i++) {
        EVP_PKEY *key = NULL;
        struct buf pem = BUF_INIT;
        struct jwk *a = NULL, *b = NULL;
        if (strcmp(CRV[i], "RSA") == 0) key = vector_key("kbs/keys/guest-rsa2048.pem");
        else if (strcmp(CRV[i], "Ed25519") == 0) assert_ok(key_generate_ed25519(&key));
        else assert_ok(key_generate_ec(CRV[i], &key));
        struct buf text = jwk_text_of(key, "alg\"1");
        assert_null(strstr(buf_str(&text), "\"d\""));
        assert_ok(read_jwk(buf_str(&text), &a));
        assert_string_equal(jwk_alg(a), "alg\"1");
        assert_ok(key_public_pem(key, &pem));
        assert_ok(jwk_from_pem(buf_span(&pem), &b));
        assert_true(jwk_same_key(a, b));
        jwk_free(a);
        jwk_free(b);
        buf_free(&pem);
        buf_free(&text);
        EVP_PKEY_free(key);
    }
}

/* Coordinates keep their leading zeros (the x of 1 key in 256 has one). */
static void test_jwk_put_members__leading_zero(void **state)
{
    bool found = false;
    for (int i = 0; i < 5000 && !found; i++) {
        EVP_PKEY *key = NULL;
        struct jwk *back = NULL;
        assert_ok(key_generate_ec("P-256", &key));
        struct buf text = jwk_text_of(key, NULL);
        struct json_doc *doc = parsed(buf_str(&text));
        const char *x = json_string(json_get(json_root(doc), "x"));
        found = x[0] == 'A' && x[1] >= 'A' && x[1] <= 'P'; /* the first 8 bits are 0 */
        assert_int_equal(strlen(x), 43);
        if (found) assert_ok(read_jwk(buf_str(&text), &back));
        jwk_free(back);
        json_free(doc);
        buf_free(&text);
        EVP_PKEY_free(key);
    }
    assert_true(found);
}

static void test_jwk_same_key__differs(void **state)
{
    struct jwk *a = NULL, *b = NULL, *ed = NULL;
    EVP_PKEY *key = NULL;
    assert_ok(read_jwk("{" P256 ",\"kid\":\"one\"}", &a));
    assert_ok(key_generate_ec("P-256", &key));
    assert_ok(jwk_from_pkey(key, NULL, &b));
    assert_ok(read_jwk("{" ED "}", &ed));
    assert_true(jwk_same_key(a, a));
    assert_false(jwk_same_key(a, b));
    assert_false(jwk_same_key(a, ed));
    jwk_free(a);
    jwk_free(b);
    jwk_free(ed);
    EVP_PKEY_free(key);
}

static void test_jwk_from_pem__files(void **state)
{
    static const struct { const char *file, *kty, *crv; } FILES[] = {
        {"kbs/keys/admin-es256.pub", "EC", "P-256"},
        {"kbs/keys/admin-ed25519.pub", "OKP", "Ed25519"},
        {"kbs/keys/token-signer.crt", "EC", "P-256"},
    };
    for (size_t i = 0; i < COUNT(FILES); i++) {
        struct buf pem = BUF_INIT;
        struct jwk *k = NULL;
        vector_read(FILES[i].file, &pem);
        assert_ok(jwk_from_pem(buf_span(&pem), &k));
        assert_string_equal(jwk_kty(k), FILES[i].kty);
        assert_string_equal(jwk_crv(k), FILES[i].crv);
        jwk_free(k);
        buf_free(&pem);
    }
}

static void test_jwk_from_pem__refuses(void **state)
{
    struct jwk *k = NULL;
    struct buf private = BUF_INIT, small = BUF_INIT;
    assert_fails(jwk_from_pem((struct span){0}, &k), ERR_USAGE);
    assert_fails(jwk_from_pem(SPAN_LIT("no pem"), &k), ERR_USAGE);
    vector_read("kbs/keys/guest-p256.pem", &private);
    assert_fails(jwk_from_pem(buf_span(&private), &k), ERR_USAGE);
    EVP_PKEY *rsa1024 = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t) 1024);
    EVP_PKEY *k1 = EVP_EC_gen("secp256k1");
    assert_ok(key_public_pem(rsa1024, &small));
    assert_fails(jwk_from_pem(buf_span(&small), &k), ERR_USAGE);
    assert_fails(jwk_from_pkey(rsa1024, NULL, &k), ERR_USAGE);
    assert_fails(jwk_from_pkey(k1, NULL, &k), ERR_USAGE);
    assert_null(k);
    EVP_PKEY_free(rsa1024);
    EVP_PKEY_free(k1);
    buf_free(&private);
    buf_free(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jwk_from_json__kinds),
        cmocka_unit_test(test_jwk_from_json__refuses),
        cmocka_unit_test(test_jwk_from_json__private_members),
        cmocka_unit_test(test_jwk_from_json__rsa_limits),
        cmocka_unit_test(test_jwk_from_json__x5c_limit),
        cmocka_unit_test(test_jwk_put_members__round_trips),
        cmocka_unit_test(test_jwk_put_members__leading_zero),
        cmocka_unit_test(test_jwk_same_key__differs),
        cmocka_unit_test(test_jwk_from_pem__files),
        cmocka_unit_test(test_jwk_from_pem__refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

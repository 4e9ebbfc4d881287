#include "broker/attest/issuer.h"
#include "broker/base/limits.h"
#include "tests/unit/attest/mint.h"

#include <openssl/ecdsa.h>

static int setup(void **state)
{
    clock_test_set(NOON);
    log_set_level(LOG_LEVEL_ERROR);
    return 0;
}

static struct json_doc *header_of(const struct buf *token)
{
    struct jws *t = NULL;
    struct buf text = BUF_INIT;
    struct json_doc *doc = NULL;
    assert_ok(jws_parse(buf_span(token), &t));
    buf_add_span(&text, json_text(jws_header(t)));
    assert_ok(json_parse(buf_span(&text), &doc));
    buf_free(&text);
    jws_free(t);
    return doc;
}

static void test_issuer_sign__header(void **state)
{
    struct issuer *i = NULL;
    struct buf token = BUF_INIT;
    assert_ok(issuer_new(NULL, NULL, &i));
    assert_ok(issuer_sign(i, SPAN_LIT("{\"a\":1}"), &token));
    struct json_doc *header = header_of(&token);
    static const char *const names[] = {"typ", "alg", "jwk"};
    static const char *const members[] = {"alg", "x5c", "kty", "crv", "x", "y"};
    size_t n = 0;
    for (struct json m = json_first(json_root(header)); json_present(m); m = json_next(m))
        assert_string_equal(json_name(m), names[n++]);
    assert_int_equal(n, 3);
    struct json jwk = json_get(json_root(header), "jwk");
    n = 0;
    for (struct json m = json_first(jwk); json_present(m); m = json_next(m))
        n++;
    assert_int_equal(n, 6);
    for (size_t k = 0; k < n; k++) assert_true(json_present(json_get(jwk, members[k])));
    assert_int_equal(json_count(json_get(jwk, "x5c")), 1);

    struct jwk *key = NULL;
    struct jws *t = NULL;
    assert_ok(jwk_from_json(jwk, &key));
    assert_ok(jws_parse(buf_span(&token), &t));
    assert_ok(jws_verify(t, key));
    assert_span(jws_payload(t), "{\"a\":1}");
    jws_free(t);
    jwk_free(key);
    json_free(header);
    buf_free(&token);
    issuer_free(i);
}

static void test_issuer_new__files(void **state)
{
    struct mint m, other;
    struct secret *pem = NULL;
    struct issuer *i = NULL;
    mint_init(&m);
    mint_init(&other);
    assert_ok(key_to_pem(m.key, &pem));
    char *key = mint_file(secret_span(pem)), *chain = mint_file(buf_span(&m.chain));
    char *foreign = mint_file(buf_span(&other.chain)), *empty = mint_file(span_str(""));

    assert_ok(issuer_new(key, chain, &i));
    assert_true(span_eq(issuer_chain(i), buf_span(&m.chain)));
    issuer_free(i);
    i = NULL;
    assert_ok(issuer_new(key, NULL, &i));
    assert_true(issuer_chain(i).len > 0);
    issuer_free(i);
    i = NULL;

    assert_fails(issuer_new(key, foreign, &i), ERR_USAGE);
    assert_fails(issuer_new(key, empty, &i), ERR_USAGE);
    assert_fails(issuer_new(empty, chain, &i), ERR_USAGE);
    assert_fails_with(issuer_new(NULL, chain, &i), ERR_USAGE, "without the signer's key");
    assert_fails_with(issuer_new("no-such-file.pem", NULL, &i), ERR_NOTFOUND, "no-such-file.pem");
    assert_null(i);

    mint_file_remove(empty);
    mint_file_remove(foreign);
    mint_file_remove(chain);
    mint_file_remove(key);
    secret_free(pem);
    mint_done(&other);
    mint_done(&m);
}

/* Signs as a token does: R || S over a digest, with the private key of a mint. */
static err_t sign_with(void *context, const uint8_t digest[32], uint8_t signature[64])
{
    const struct mint *m = context;
    uint8_t der[80];
    size_t len = sizeof der;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(m->key, NULL);
    assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
    assert_int_equal(EVP_PKEY_sign(ctx, der, &len, digest, 32), 1);
    EVP_PKEY_CTX_free(ctx);
    const uint8_t *at = der;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long) len);
    assert_non_null(sig);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, 32), 32);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + 32, 32), 32);
    ECDSA_SIG_free(sig);
    return ERR_OK;
}

static err_t sign_lost(void *context, const uint8_t digest[32], uint8_t signature[64])
{
    FAIL(ERR_NOTFOUND, "the key is gone");
}

static err_t sign_never(void *context, const uint8_t digest[32], uint8_t signature[64])
{
    FAIL(ERR_TOKEN_DOWN, "the signer is away");
}

static void test_issuer_new_by__signs_elsewhere(void **state)
{
    struct mint m, other;
    struct issuer *i = NULL;
    struct buf pem = BUF_INIT, token = BUF_INIT;
    mint_init(&m);
    mint_init(&other);
    assert_ok(key_public_pem(m.key, &pem));
    char *chain = mint_file(buf_span(&m.chain)), *foreign = mint_file(buf_span(&other.chain));
    struct attest_signer signer = {.public_pem = buf_span(&pem), .name = "pkcs11:object=x",
                                   .by = {&m, sign_with}};
    assert_ok(issuer_new_by(&signer, chain, &i));
    assert_true(issuer_waits(i));
    assert_ok(issuer_sign(i, SPAN_LIT("{\"a\":1}"), &token));
    struct jws *t = NULL;
    struct jwk *key = NULL;
    assert_ok(jws_parse(buf_span(&token), &t));
    assert_ok(jwk_from_json(json_get(jws_header(t), "jwk"), &key));
    assert_int_equal(jwk_x5c_count(key), 1);
    assert_ok(jws_verify(t, key));
    jws_free(t);
    jwk_free(key);
    issuer_free(i);
    i = NULL;

    signer.by.sign = sign_never;
    size_t before = token.len;
    assert_ok(issuer_new_by(&signer, chain, &i));
    assert_fails_with(issuer_sign(i, SPAN_LIT("{}"), &token), ERR_TOKEN_DOWN, "the signer is away");
    assert_int_equal(token.len, before);
    issuer_free(i);
    i = NULL;
    signer.by.sign = sign_lost;
    assert_ok(issuer_new_by(&signer, chain, &i));
    assert_fails_with(issuer_sign(i, SPAN_LIT("{}"), &token), ERR_HUMAN, "the key is gone");
    issuer_free(i);
    i = NULL;
    assert_fails_with(issuer_new_by(&signer, foreign, &i), ERR_USAGE, "-force_pubkey");
    assert_fails_with(issuer_new_by(&signer, NULL, &i), ERR_USAGE, "cert_path");
    assert_fails(issuer_new_by(&signer, "no-such-file.pem", &i), ERR_NOTFOUND);
    signer.public_pem = SPAN_LIT("no key");
    assert_fails(issuer_new_by(&signer, chain, &i), ERR_USAGE);
    assert_null(i);
    mint_file_remove(chain);
    mint_file_remove(foreign);
    buf_free(&pem);
    buf_free(&token);
    mint_done(&m);
    mint_done(&other);
}

static void check_other_key(EVP_PKEY *key)
{
    struct secret *pem = NULL;
    struct issuer *i = NULL;
    assert_ok(key_to_pem(key, &pem));
    char *file = mint_file(secret_span(pem));
    struct err e = issuer_new(file, NULL, &i);
    assert_int_equal(e.code, ERR_USAGE);
    mint_file_remove(file);
    secret_free(pem);
    EVP_PKEY_free(key);
}

static void test_issuer_new__only_p256(void **state)
{
    EVP_PKEY *key = NULL;
    assert_ok(key_generate_ec("P-384", &key));
    check_other_key(key);
    key = NULL;
    assert_ok(key_generate_ed25519(&key));
    check_other_key(key);
}

static void test_issuer_sign__too_large(void **state)
{
    struct issuer *i = NULL;
    struct buf token = BUF_INIT, claims = BUF_INIT;
    assert_ok(issuer_new(NULL, NULL, &i));
    buf_addf(&claims, "{\"a\":\"%0*d\"}", (int) JOSE_MAX_TOKEN * 3 / 4 - 4096, 0);
    assert_ok(issuer_sign(i, buf_span(&claims), &token));
    buf_reset(&token);
    buf_reset(&claims);
    buf_addf(&claims, "{\"a\":\"%0*d\"}", (int) JOSE_MAX_TOKEN * 3 / 4, 0);
    assert_fails(issuer_sign(i, buf_span(&claims), &token), ERR_TOOLARGE);
    buf_free(&claims);
    buf_free(&token);
    issuer_free(i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_issuer_sign__header),
        cmocka_unit_test(test_issuer_new__files),
        cmocka_unit_test(test_issuer_new__only_p256),
        cmocka_unit_test(test_issuer_new_by__signs_elsewhere),
        cmocka_unit_test(test_issuer_sign__too_large),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}

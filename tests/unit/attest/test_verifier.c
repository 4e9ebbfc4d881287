#include "broker/attest/verifier.h"
#include "tests/lib/key_looks.h"
#include "tests/lib/vectors.h"
#include "tests/unit/attest/mint.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))
#define CLAIMS "{\"exp\":1795521900}" /* NOON + 300 */

static struct mint mint, stranger;
static struct verifier *verifier;
static struct buf token;

static int setup(void **state)
{
    log_set_level(LOG_LEVEL_ERROR);
    struct attest_config config = {0};
    mint_init(&mint);
    mint_init(&stranger);
    assert_ok(verifier_new(&config, buf_span(&mint.chain), &verifier));
    return 0;
}

static int teardown(void **state)
{
    verifier_free(verifier);
    buf_free(&token);
    mint_done(&stranger);
    mint_done(&mint);
    return 0;
}

static struct err check(const struct verifier *v, struct span text, int64_t now)
{
    struct verified_token t = {0};
    struct err e = verifier_check(v, text, now, &t);
    if (err_ok(e)) {
        assert_non_null(t.claims);
        assert_true(t.payload.len > 0 && t.exp > 0);
    } else {
        assert_null(t.claims);
    }
    verified_token_done(&t);
    return e;
}

static void test_verifier_check__good(void **state)
{
    mint_token(&mint, CLAIMS, &token);
    assert_ok(check(verifier, buf_span(&token), NOON));
}

static void test_verifier_check__times(void **state)
{
    static const struct { const char *claims; bool ok; } rows[] = {
        {"{\"exp\":1795521600}", true},   {"{\"exp\":1795521570}", true}, /* 30 s ago */
        {"{\"exp\":1795521480}", false},  /* two minutes ago */
        {"{}", false},                    {"{\"exp\":\"1795521900\"}", false},
        {"{\"exp\":null}", false},
        {"{\"exp\":1795521900,\"nbf\":1795522200}", false}, /* in ten minutes */
        {"{\"exp\":1795521900,\"nbf\":1795521590}", true},
        {"[1795521900]", false},          {"1795521900", false},
        {"{\"exp\":1795521900,\"exp\":1795521900}", false}, {"", false},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        mint_token(&mint, rows[i].claims, &token);
        struct err e = check(verifier, buf_span(&token), NOON);
        if (err_ok(e) != rows[i].ok) fail_msg("%s: %s", rows[i].claims, err_text(e));
    }
}

/* The suite's token-forged table, one by one. */
static void forge(EVP_PKEY *signer, EVP_PKEY *shown, struct span chain, const char *alg)
{
    struct buf header = BUF_INIT;
    mint_header(shown, chain, alg, &header);
    buf_reset(&token);
    assert_ok(jws_sign("ES256", signer, buf_span(&header), SPAN_LIT(CLAIMS), &token));
    buf_free(&header);
}

static void refused(const char *why)
{
    struct err e = check(verifier, buf_span(&token), NOON);
    if (err_ok(e)) fail_msg("accepted: %s", why);
}

static void test_verifier_check__strangers(void **state)
{
    forge(stranger.key, stranger.key, (struct span){0}, "ES256");
    refused("a key without a certificate");
    forge(stranger.key, stranger.key, buf_span(&stranger.chain), "ES256");
    refused("a certificate of his own");
    forge(stranger.key, mint.key, buf_span(&mint.chain), "ES256");
    refused("the key of the server, quoted");
    forge(mint.key, mint.key, (struct span){0}, "ES256");
    refused("the right key without its certificate");
    forge(mint.key, mint.key, buf_span(&mint.chain), NULL);
    refused("a key without alg");
    forge(mint.key, mint.key, buf_span(&mint.chain), "ES384");
    refused("a key for another alg");
    forge(mint.key, mint.key, buf_span(&mint.chain), "ES256");
    assert_ok(check(verifier, buf_span(&token), NOON));
    assert_false(err_ok(check(verifier, buf_span(&token), NOON - 3 * 86400))); /* certificate */
}

/* A stranger's key beside the server's certificate, which x5c_put_chain would not write. */
static void test_verifier_check__quoted_chain(void **state)
{
    struct buf good = BUF_INIT, header = BUF_INIT, other = BUF_INIT;
    mint_header(mint.key, buf_span(&mint.chain), "ES256", &good);
    mint_header(stranger.key, (struct span){0}, "ES256", &other);
    struct json_doc *a = NULL, *b = NULL;
    assert_ok(json_parse(buf_span(&good), &a));
    assert_ok(json_parse(buf_span(&other), &b));
    struct span jwk = json_text(json_get(json_root(b), "jwk"));
    buf_add_str(&header, "{\"alg\":\"ES256\",\"jwk\":");
    buf_add(&header, jwk.data, jwk.len - 1);
    buf_add_str(&header, ",\"x5c\":");
    buf_add_span(&header, json_text(json_pointer(json_root(a), "/jwk/x5c")));
    buf_add_str(&header, "}}");
    buf_reset(&token);
    assert_ok(jws_sign("ES256", stranger.key, buf_span(&header), SPAN_LIT(CLAIMS), &token));
    refused("the server's certificate, quoted");
    json_free(b);
    json_free(a);
    buf_free(&other);
    buf_free(&header);
    buf_free(&good);
}

static void test_verifier_check__texts(void **state)
{
    mint_token(&mint, CLAIMS, &token);
    char *text = strdup(buf_str(&token)), *copy = malloc(token.len + 8);
    assert_non_null(text);
    assert_non_null(copy);
    char *payload = strchr(text, '.'), *signature = strrchr(text, '.');
    size_t marks[] = {5, (size_t) (payload - text) + 5, (size_t) (signature - text) + 10};
    for (size_t i = 0; i < LENGTH(marks); i++) { /* header, payload, signature */
        snprintf(copy, token.len + 8, "%s", text);
        copy[marks[i]] = copy[marks[i]] == 'A' ? 'B' : 'A';
        assert_false(err_ok(check(verifier, span_str(copy), NOON)));
    }
    snprintf(copy, token.len + 8, "%s==", text);
    assert_false(err_ok(check(verifier, span_str(copy), NOON)));
    snprintf(copy, token.len + 8, "%s.x", text);
    assert_false(err_ok(check(verifier, span_str(copy), NOON)));
    signature[1] = '\0';
    assert_false(err_ok(check(verifier, span_str(text), NOON)));
    signature[0] = '\0';
    assert_false(err_ok(check(verifier, span_str(text), NOON)));
    static const char *const others[] = {
        "x.y.z", "", "..", "eyJhbGciOiJub25lIn0.eyJleHAiOjE3OTU1MjE5MDB9.",
        "eyJhbGciOiJub25lIn0.eyJleHAiOjE3OTU1MjE5MDB9.AAAA"};
    for (size_t i = 0; i < LENGTH(others); i++)
        assert_false(err_ok(check(verifier, span_str(others[i]), NOON)));
    free(copy);
    free(text);
}

/* ---- other ways of trust ------------------------------------------------------------------ */

static void sign_with_kid(const struct mint *m, const char *kid)
{
    struct buf header = BUF_INIT;
    buf_addf(&header, "{\"alg\":\"ES256\",\"kid\":\"%s\"}", kid);
    buf_reset(&token);
    assert_ok(jws_sign("ES256", m->key, buf_span(&header), SPAN_LIT(CLAIMS), &token));
    buf_free(&header);
}

/* kid and alg may be NULL. */
static void add_to_set(struct buf *set, const struct mint *m, const char *kid, const char *alg)
{
    struct jwk *jwk = NULL;
    struct json_out o = JSON_OUT(set);
    assert_ok(jwk_from_pkey(m->key, alg, &jwk));
    json_begin_object(&o);
    if (kid) json_member_str(&o, "kid", kid);
    jwk_put_members(jwk, &o);
    json_end_object(&o);
    jwk_free(jwk);
}

static void test_verifier_check__jwk_sets(void **state)
{
    struct buf set = BUF_INIT;
    buf_add_str(&set, "{\"keys\":[");
    add_to_set(&set, &mint, "one", "ES256");
    buf_add_str(&set, ",");
    add_to_set(&set, &mint, "bare", NULL);
    buf_add_str(&set, "]}");
    char *file = mint_file(buf_span(&set)), *empty = mint_file(SPAN_LIT("{\"keys\":[]}"));
    const char *files[] = {empty, file};
    struct attest_config config = {.trusted_jwk_sets = files, .trusted_jwk_set_count = 2};
    struct verifier *v = NULL;
    assert_ok(verifier_new(&config, buf_span(&mint.chain), &v));
    sign_with_kid(&mint, "one");
    assert_ok(check(v, buf_span(&token), NOON));
    sign_with_kid(&stranger, "one");
    assert_false(err_ok(check(v, buf_span(&token), NOON)));
    sign_with_kid(&mint, "nobody");
    assert_fails_with(check(v, buf_span(&token), NOON), ERR_CRYPTO, "nobody");
    sign_with_kid(&mint, "bare");
    assert_fails_with(check(v, buf_span(&token), NOON), ERR_CRYPTO, "alg is missing");
    /* A jwk that fails does not fall back to the kid. */
    struct buf header = BUF_INIT;
    buf_add_str(&header, "{\"alg\":\"ES256\",\"kid\":\"one\",\"jwk\":{}}");
    buf_reset(&token);
    assert_ok(jws_sign("ES256", mint.key, buf_span(&header), SPAN_LIT(CLAIMS), &token));
    assert_false(err_ok(check(v, buf_span(&token), NOON)));
    buf_free(&header);
    verifier_free(v);
    mint_file_remove(empty);
    mint_file_remove(file);
    buf_free(&set);
}

static void write_set(const char *file, const struct mint *m, const char *kid, const char *alg)
{
    struct buf set = BUF_INIT;
    buf_add_str(&set, "{\"keys\":[");
    add_to_set(&set, m, kid, alg);
    buf_add_str(&set, "]}");
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(set.data, 1, set.len, f), set.len);
    fclose(f);
    buf_free(&set);
}

/* Signers name their keys without asking each other. */
static void test_verifier_check__one_name_in_two_sets(void **state)
{
    char *first = mint_file(SPAN_LIT("")), *second = mint_file(SPAN_LIT(""));
    const char *files[] = {first, second};
    struct attest_config config = {.trusted_jwk_sets = files, .trusted_jwk_set_count = 2};
    struct verifier *v = NULL;
    struct mint third;
    mint_init(&third);
    write_set(first, &mint, "1", "ES256");
    write_set(second, &stranger, "1", "ES256");
    assert_ok(verifier_new(&config, buf_span(&mint.chain), &v));
    sign_with_kid(&mint, "1");
    assert_ok(check(v, buf_span(&token), NOON));
    sign_with_kid(&stranger, "1");
    assert_ok(check(v, buf_span(&token), NOON));
    sign_with_kid(&third, "1");
    assert_fails(check(v, buf_span(&token), NOON), ERR_CRYPTO);
    verifier_free(v);

    write_set(first, &stranger, NULL, "ES384"); /* one key, with an alg in each */
    write_set(second, &stranger, NULL, "ES256");
    assert_ok(verifier_new(&config, buf_span(&mint.chain), &v));
    forge(stranger.key, stranger.key, (struct span){0}, "ES256");
    assert_ok(check(v, buf_span(&token), NOON));
    verifier_free(v);
    mint_file_remove(second);
    mint_file_remove(first);
    mint_done(&third);
}

/* Another key under the name of one that is known is found as one of an unknown name is. */
static void test_verifier_check__name_with_another_key(void **state)
{
    char *file = mint_file(SPAN_LIT(""));
    const char *files[] = {file};
    struct attest_config config = {.trusted_jwk_sets = files, .trusted_jwk_set_count = 1};
    struct verifier *v = NULL;
    write_set(file, &mint, "1", "ES256");
    assert_ok(verifier_new(&config, buf_span(&mint.chain), &v));
    write_set(file, &stranger, "1", "ES256");
    sign_with_kid(&stranger, "1");
    assert_fails(check(v, buf_span(&token), NOON), ERR_CRYPTO);
    key_looks_await(verifier_keys(v), 2, 0);
    assert_ok(check(v, buf_span(&token), NOON));
    verifier_free(v);
    mint_file_remove(file);
}

/* The CoCo attestation service's set has no kid: the header's own key counts when it is in a set. */
static void test_verifier_check__header_key_in_a_set(void **state)
{
    struct mint other;
    struct buf set = BUF_INIT;
    mint_init(&other);
    buf_add_str(&set, "{\"keys\":[");
    add_to_set(&set, &stranger, "later", "ES512"); /* listed for another alg too */
    buf_add_str(&set, ",");
    add_to_set(&set, &stranger, NULL, "ES256");
    buf_add_str(&set, ",");
    add_to_set(&set, &other, NULL, NULL);
    buf_add_str(&set, "]}");
    char *file = mint_file(buf_span(&set));
    const char *files[] = {file};
    struct attest_config config = {.trusted_jwk_sets = files, .trusted_jwk_set_count = 1};
    struct verifier *v = NULL;
    assert_ok(verifier_new(&config, buf_span(&mint.chain), &v));
    forge(stranger.key, stranger.key, (struct span){0}, "ES256");
    assert_ok(check(v, buf_span(&token), NOON));
    forge(stranger.key, stranger.key, buf_span(&stranger.chain), "ES256");
    assert_ok(check(v, buf_span(&token), NOON)); /* whatever its certificate */
    forge(stranger.key, stranger.key, (struct span){0}, NULL);
    assert_ok(check(v, buf_span(&token), NOON)); /* the set says what the key is for */
    forge(mint.key, stranger.key, (struct span){0}, "ES256");
    assert_false(err_ok(check(v, buf_span(&token), NOON))); /* shown, but not signed with */
    forge(mint.key, mint.key, (struct span){0}, "ES256");
    assert_fails_with(check(v, buf_span(&token), NOON), ERR_CRYPTO, "in no trusted JWK set");
    forge(other.key, other.key, (struct span){0}, "ES256");
    assert_fails_with(check(v, buf_span(&token), NOON), ERR_CRYPTO, "alg is missing");
    forge(mint.key, mint.key, buf_span(&mint.chain), "ES256");
    assert_ok(check(v, buf_span(&token), NOON)); /* by certificate, as ever */
    verifier_free(v);
    mint_file_remove(file);
    buf_free(&set);
    mint_done(&other);
}

static void test_verifier_check__iss_and_aud(void **state)
{
    static const struct { const char *more; bool iss, aud; } rows[] = {
        {",\"iss\":\"one\",\"aud\":\"kbs\"", true, true},
        {",\"iss\":\"two\",\"aud\":[\"x\",\"kbs2\"]", true, true},
        {",\"iss\":\"three\",\"aud\":\"other\"", false, false},
        {",\"iss\":[\"one\"],\"aud\":[]", false, false}, {"", false, false},
        {",\"iss\":\"one\"", true, false}, {",\"aud\":\"kbs\"", false, true},
    };
    static const char *const issuers[] = {"one", "two"}, *const audiences[] = {"kbs", "kbs2"};
    for (unsigned rules = 0; rules < 4; rules++) {
        struct attest_config config = {.issuers = issuers, .issuer_count = rules & 1 ? 2 : 0,
                                       .audiences = audiences,
                                       .audience_count = rules & 2 ? 2 : 0};
        struct verifier *v = NULL;
        assert_ok(verifier_new(&config, buf_span(&mint.chain), &v));
        for (size_t i = 0; i < LENGTH(rows); i++) {
            char claims[200];
            snprintf(claims, sizeof claims, "{\"exp\":1795521900%s}", rows[i].more);
            mint_token(&mint, claims, &token);
            bool good = (!(rules & 1) || rows[i].iss) && (!(rules & 2) || rows[i].aud);
            if (err_ok(check(v, buf_span(&token), NOON)) != good)
                fail_msg("rules %u: %s", rules, claims);
        }
        verifier_free(v);
    }
}

static void test_verifier_check__key_for_something_else(void **state)
{
    struct attest_config config = {.insecure_header_jwk = true};
    struct verifier *v = NULL;
    assert_ok(verifier_new(&config, buf_span(&mint.chain), &v));
    struct buf header = BUF_INIT;
    mint_header(mint.key, buf_span(&mint.chain), "ES256", &header);
    header.len -= 2; /* of the jwk and the header */
    buf_add_str(&header, ",\"use\":\"enc\"}}");
    buf_reset(&token);
    assert_ok(jws_sign("ES256", mint.key, buf_span(&header), SPAN_LIT(CLAIMS), &token));
    assert_false(err_ok(check(v, buf_span(&token), NOON)));
    refused("a key for encryption, certified");
    verifier_free(v);
    buf_free(&header);
}

static void test_verifier_check__no_kid(void **state)
{
    buf_reset(&token);
    assert_ok(jws_sign("ES256", mint.key, SPAN_LIT("{\"alg\":\"ES256\"}"), SPAN_LIT(CLAIMS),
                       &token));
    assert_fails_with(check(verifier, buf_span(&token), NOON), ERR_CRYPTO, "neither jwk nor kid");
}

static void test_verifier_check__insecure_header_jwk(void **state)
{
    struct attest_config config = {.insecure_header_jwk = true};
    struct verifier *v = NULL;
    assert_ok(verifier_new(&config, buf_span(&mint.chain), &v));
    forge(stranger.key, stranger.key, (struct span){0}, "ES256");
    assert_ok(check(v, buf_span(&token), NOON));
    forge(stranger.key, mint.key, (struct span){0}, "ES256");
    assert_false(err_ok(check(v, buf_span(&token), NOON))); /* the signature still counts */
    verifier_free(v);
}

static void test_verifier_new__trusted_certs(void **state)
{
    char *file = mint_file(buf_span(&stranger.chain)), *bad = mint_file(SPAN_LIT("x"));
    const char *files[] = {file};
    struct attest_config config = {.trusted_certs = files, .trusted_cert_count = 1};
    struct verifier *v = NULL;
    assert_ok(verifier_new(&config, buf_span(&mint.chain), &v));
    mint_token(&stranger, CLAIMS, &token);
    assert_ok(check(v, buf_span(&token), NOON));
    mint_token(&mint, CLAIMS, &token); /* our own chain is no longer trusted */
    assert_false(err_ok(check(v, buf_span(&token), NOON)));
    verifier_free(v);
    v = NULL;

    files[0] = bad;
    assert_fails_with(verifier_new(&config, buf_span(&mint.chain), &v), ERR_USAGE, bad);
    config = (struct attest_config){.trusted_jwk_sets = files, .trusted_jwk_set_count = 1};
    assert_fails_with(verifier_new(&config, buf_span(&mint.chain), &v), ERR_USAGE, bad);
    files[0] = "no-such-file";
    assert_fails_with(verifier_new(&config, buf_span(&mint.chain), &v), ERR_NOTFOUND,
                      "no-such-file");
    assert_null(v);
    mint_file_remove(bad);
    mint_file_remove(file);
}

/* A CA has certified others too: only our own signer's key counts, unless the CA itself is named. */
static void test_verifier_new__own_chain_is_one_key(void **state)
{
    struct mint own, other;
    struct verifier *v = NULL;
    struct attest_config config = {0};
    mint_init_below(&own, &mint);
    mint_init_below(&other, &mint);
    assert_ok(verifier_new(&config, buf_span(&own.chain), &v));
    mint_token(&own, CLAIMS, &token);
    assert_ok(check(v, buf_span(&token), NOON));
    mint_token(&other, CLAIMS, &token);
    assert_fails_with(check(v, buf_span(&token), NOON), ERR_CRYPTO, "own signer");
    mint_token(&mint, CLAIMS, &token); /* the CA's own key */
    assert_fails_with(check(v, buf_span(&token), NOON), ERR_CRYPTO, "own signer");
    verifier_free(v);

    char *file = mint_file(buf_span(&mint.chain));
    const char *files[] = {file};
    config = (struct attest_config){.trusted_certs = files, .trusted_cert_count = 1};
    assert_ok(verifier_new(&config, buf_span(&own.chain), &v));
    mint_token(&other, CLAIMS, &token);
    assert_ok(check(v, buf_span(&token), NOON));
    verifier_free(v);
    mint_file_remove(file);
    mint_done(&other);
    mint_done(&own);
}

/* The recorded token, by the certificate of its signer, at that time and a day later. */
static void test_verifier_check__recorded(void **state)
{
    char path[512];
    const char *files[] = {vector_path("kbs/keys/token-signer.crt", path)};
    struct attest_config config = {.trusted_certs = files, .trusted_cert_count = 1};
    struct verifier *v = NULL;
    struct json_doc *doc = vector_json("kbs/new-attest-p256.json"), *answer = NULL;
    assert_ok(json_parse(span_str(exchange_body(doc, "/attest", 0, "response")), &answer));
    struct span text = span_str(json_string(json_get(json_root(answer), "token")));
    assert_ok(verifier_new(&config, buf_span(&mint.chain), &v));
    assert_ok(check(v, text, RECORDED_AT));
    assert_false(err_ok(check(v, text, RECORDED_AT + 86400)));
    assert_false(err_ok(check(verifier, text, RECORDED_AT))); /* who does not trust it */
    verifier_free(v);
    json_free(answer);
    json_free(doc);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_verifier_check__good),
        TEST(test_verifier_check__times),
        TEST(test_verifier_check__strangers),
        TEST(test_verifier_check__quoted_chain),
        TEST(test_verifier_check__texts),
        TEST(test_verifier_check__jwk_sets),
        TEST(test_verifier_check__one_name_in_two_sets),
        TEST(test_verifier_check__name_with_another_key),
        TEST(test_verifier_check__header_key_in_a_set),
        TEST(test_verifier_check__iss_and_aud),
        TEST(test_verifier_check__key_for_something_else),
        TEST(test_verifier_check__no_kid),
        TEST(test_verifier_check__insecure_header_jwk),
        TEST(test_verifier_new__trusted_certs),
        TEST(test_verifier_new__own_chain_is_one_key),
        TEST(test_verifier_check__recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

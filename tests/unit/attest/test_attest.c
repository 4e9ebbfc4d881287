#include "tests/unit/attest/world.h"

/* ---- auth --------------------------------------------------------------------------------- */

static void test_attest_auth__challenge(void **state)
{
    struct attest_challenge c = auth_as("azsnpvtpm"), other = auth_as("sample");
    assert_string_equal(c.tee, "az-snp-vtpm");
    assert_int_equal(c.expires, NOON + SESSION_SECONDS);
    assert_int_equal(strlen(c.session), 32);
    assert_int_equal(strspn(c.session, "0123456789abcdef"), 32);
    assert_int_equal(strlen(c.nonce), 44);
    struct buf raw = BUF_INIT;
    assert_ok(b64_decode(span_str(c.nonce), &raw));
    assert_int_equal(raw.len, 32);
    buf_free(&raw);
    assert_string_not_equal(c.session, other.session);
    assert_string_not_equal(c.nonce, other.nonce);
}

static void test_attest_auth__refused(void **state)
{
    struct attest_challenge c = {0};
    struct err e = attest_auth(a, SPAN_LIT("{"), &c);
    assert_int_equal(e.code, ERR_AUTH);
    assert_string_equal(err_reason(e), "deserialize Request");
    e = attest_auth(a, SPAN_LIT("{\"version\":\"0.2.0\",\"tee\":\"sample\",\"extra-params\":0}"), &c);
    assert_string_equal(err_reason(e), "KBS Client Protocol Version Mismatch: expect =0.4.0 while "
                                       "the request is 0.2.0");
    struct attest_stats s;
    attest_stats(a, &s);
    assert_int_equal(s.sessions, 0);
}

/* ---- attest ------------------------------------------------------------------------------- */

static void test_attest_evidence__token_and_guest(void **state)
{
    struct attest_challenge c = attested(NULL);
    struct guest *g = NULL, *same = NULL;
    const struct jwe_key *key = NULL;
    assert_ok(attest_by_session(a, c.session, &g));
    assert_string_equal(guest_tee(g), "sample");
    assert_ok(guest_key(g, &key));
    assert_string_equal(jwe_key_alg(key), "ECDH-ES+A256KW");
    struct json_doc *claims = claims_of(g);
    assert_string_equal(json_string(json_get(json_root(claims), "iss")), "test");
    assert_string_equal(json_string(json_pointer(json_root(claims),
                                                 "/submods/cpu0/ear.veraison.annotated-evidence/"
                                                 "runtime_data_claims/nonce")), c.nonce);
    json_free(claims);
    assert_ok(attest_by_token(a, buf_span(&token), &same)); /* the passport way */
    assert_ptr_equal(g, same);
    guest_unref(same);
    guest_unref(g);
}

static void test_attest_evidence__every_kind_of_key(void **state)
{
    static const char *const files[] = {"kbs/new-get-p256.json", "kbs/new-get-p521.json",
                                        "kbs/new-get-rsa.json"};
    for (size_t i = 0; i < LENGTH(files); i++) {
        struct json_doc *doc = vector_json(files[i]), *sent = NULL;
        struct buf key = BUF_INIT;
        assert_ok(json_parse(span_str(exchange_body(doc, "/attest", 0, "request")), &sent));
        buf_add_span(&key, json_text(json_pointer(json_root(sent), "/runtime-data/tee-pubkey")));
        struct attest_challenge c = attested(buf_str(&key));
        assert_true(by_session(c.session));
        buf_free(&key);
        json_free(sent);
        json_free(doc);
    }
}

/* The suite's table of bodies that attest nothing; afterwards the session is as good as before. */
static void test_attest_evidence__refused_and_retried(void **state)
{
    struct attest_challenge c = auth_as("sample"), other = auth_as("sample");
    struct buf wrong = BUF_INIT, right = BUF_INIT;
    binding("", c.nonce, KEY_B, DIGEST_SHA384, &wrong);
    binding("", c.nonce, KEY_A, DIGEST_SHA384, &right);
    const struct body rows[] = {
        {.report_data = buf_str(&wrong)},  {.report_data = ""}, {.report_data = "!"},
        {.nonce = other.nonce},            {.nonce = "x"},      {.nonce = ""},
        {.nonce = other.nonce, .report_data = buf_str(&right)},
        {.additional = "{\"sampledevice\":{}}"},
        {.init_data = "{\"format\":\"TOML\",\"body\":\"\"}"},
        {.init_data = "{\"format\":\"toml\",\"body\":\"= =\"}"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        assert_fails(attest_with(&c, rows[i]), ERR_AUTH);
        assert_false(by_session(c.session));
    }
    assert_ok(attest_with(&c, (struct body){0}));
    assert_true(by_session(c.session));
    assert_false(by_session(other.session));
    buf_free(&right);
    buf_free(&wrong);
}

static void test_attest_evidence__unusable_key(void **state)
{
    static const char *const keys[] = {
        /* not on the curve; P-384; direct ECDH; short; padded */
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ECDH-ES+A256KW\","
        "\"x\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\","
        "\"y\":\"-eSu95cIKRZIxWOdABuF4nwKVDUQYGkI0ah9_ubPf0k\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-384\",\"alg\":\"ECDH-ES+A256KW\","
        "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB\","
        "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAC\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ECDH-ES\","
        "\"x\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\","
        "\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ECDH-ES+A256KW\","
        "\"x\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_P\","
        "\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ECDH-ES+A256KW\","
        "\"x\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ=\","
        "\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\"}",
    };
    for (size_t i = 0; i < LENGTH(keys); i++) {
        struct attest_challenge c = auth_as("sample");
        struct json_doc *doc = NULL;
        struct buf bound = BUF_INIT;
        assert_ok(json_parse(span_str(keys[i]), &doc));
        bool hashable = err_ok(report_data_text("", c.nonce, json_root(doc), &bound));
        buf_free(&bound);
        json_free(doc);
        if (hashable) assert_fails(attest_with(&c, (struct body){.key = keys[i]}), ERR_AUTH);
        else { /* refused before anything is bound to it */
            buf_reset(&body);
            buf_addf(&body, "{\"runtime-data\":{\"nonce\":\"%s\",\"tee-pubkey\":%s},"
                     "\"tee-evidence\":{\"primary_evidence\":{},\"additional_evidence\":\"\"}}",
                     c.nonce, keys[i]);
            assert_fails(attest_evidence(a, c.session, buf_span(&body), &token, &c), ERR_AUTH);
        }
        assert_false(by_session(c.session));
    }
}

static void test_attest_evidence__body(void **state)
{
    struct attest_challenge c = auth_as("sample"), again = {0};
    assert_fails(attest_evidence(a, c.session, SPAN_LIT("{"), &token, &again), ERR_USAGE);
    c = attested(NULL); /* on an attested session it must parse too */
    buf_reset(&token);
    assert_fails(attest_evidence(a, c.session, SPAN_LIT("{}"), &token, &again), ERR_USAGE);
    assert_int_equal(token.len, 0);
}

static void test_attest_evidence__cookie(void **state)
{
    struct attest_challenge c = auth_as("sample");
    static const char *const texts[] = {NULL, "", "abc", "00000000000000000000000000000000",
                                        "../../etc/passwd", "..%2f..%2fetc%2fpasswd"};
    body_write((struct body){.nonce = c.nonce}, &body);
    for (size_t i = 0; i < LENGTH(texts); i++) {
        assert_fails(attest_evidence(a, texts[i], buf_span(&body), &token, &c), ERR_AUTH);
        assert_false(by_session(texts[i]));
    }
}

static void test_attest_evidence__no_verifier(void **state)
{
    start((struct attest_config){0});
    struct attest_challenge c = auth_as("sample");
    assert_fails_with(attest_with(&c, (struct body){0}), ERR_AUTH, "no verifier is configured");
}

static void test_attest_evidence__foreign_tee(void **state)
{
    static const char *const tees[] = {"snp", "tdx", "se", "sampledevice"};
    for (size_t i = 0; i < LENGTH(tees); i++) {
        struct attest_challenge c = auth_as(tees[i]);
        assert_fails(attest_with(&c, (struct body){0}), ERR_AUTH);
    }
}

/* A signer that is trusted no more signs for nobody, from the second on in which that is so. */
static void test_attest_evidence__own_signer_ends(void **state)
{
    struct mint m;
    struct secret *pem = NULL;
    mint_init(&m);
    assert_ok(key_to_pem(m.key, &pem));
    char *key = mint_file(secret_span(pem)), *chain = mint_file(buf_span(&m.chain));
    start((struct attest_config){.sample_verifier = true, .signer_key_file = key,
                                 .signer_chain_file = chain});
    attested(NULL);
    clock_test_set(NOON + 86399); /* the last second of the certificate */
    attested(NULL);
    clock_test_set(NOON + 86400);
    struct attest_challenge c = auth_as("sample");
    assert_fails_with(attest_with(&c, (struct body){0}), ERR_HUMAN, "would not be believed"); /* no guest's fault */
    assert_false(by_session(c.session));
    clock_test_set(NOON); /* and back, for whose clock was wrong */
    attested(NULL);
    secret_free(pem);
    mint_file_remove(key);
    mint_file_remove(chain);
    mint_done(&m);
}

/* ---- attest again ------------------------------------------------------------------------- */

static void test_attest_evidence__again_same_key(void **state)
{
    struct attest_challenge c = attested(NULL);
    char *first = strdup(buf_str(&token));
    clock_test_set(NOON + 10);
    assert_ok(attest_with(&c, (struct body){.report_data = "AAAA"})); /* not looked at */
    assert_string_equal(buf_str(&token), first);
    free(first);
}

static void test_attest_evidence__again_other_key(void **state)
{
    struct attest_challenge c = attested(KEY_A);
    char *first = strdup(buf_str(&token));
    assert_fails(attest_with(&c, (struct body){.key = KEY_B, .report_data = ""}), ERR_AUTH);
    assert_true(by_session(c.session)); /* as before */
    assert_ok(attest_with(&c, (struct body){.key = KEY_B}));
    assert_string_not_equal(buf_str(&token), first);
    struct guest *g = NULL;
    assert_ok(attest_by_session(a, c.session, &g));
    struct json_doc *claims = claims_of(g);
    assert_string_equal(json_string(json_pointer(json_root(claims),
        "/submods/cpu0/ear.veraison.annotated-evidence/runtime_data_claims/tee-pubkey/x")),
        "mO-oSnvA9wI8nKPEknnq4brqz1_qL6Y7HmuPM0luD2M");
    json_free(claims);
    guest_unref(g);
    free(first);
}

/* The token of a session that outlives it is no answer any more. */
static void test_attest_evidence__again_after_the_token(void **state)
{
    start((struct attest_config){.sample_verifier = true, .token_seconds = 60,
                                 .session_seconds = 600});
    struct attest_challenge c = attested(NULL);
    char *first = strdup(buf_str(&token));
    clock_test_set(NOON + 120); /* exp and its leeway */
    assert_true(by_session(c.session));
    clock_test_set(NOON + 121);
    assert_false(by_session(c.session));
    assert_ok(attest_with(&c, (struct body){0}));
    assert_string_not_equal(buf_str(&token), first);
    assert_true(by_session(c.session));
    free(first);
}

/* ---- who asks ----------------------------------------------------------------------------- */

static void test_attest_by_session__life(void **state)
{
    start((struct attest_config){.sample_verifier = true, .session_seconds = 30});
    struct attest_challenge c = attested(NULL), plain = auth_as("sample");
    assert_true(by_session(c.session));
    assert_false(by_session(plain.session));
    clock_test_set(NOON + 29);
    assert_true(by_session(c.session));
    clock_test_set(NOON + 30);
    assert_false(by_session(c.session));
    assert_fails(attest_with(&c, (struct body){0}), ERR_AUTH);
}

static void test_attest_by_session__flood(void **state)
{
    start((struct attest_config){.sample_verifier = true, .session_max = 10});
    struct attest_challenge c = attested(NULL);
    for (size_t i = 0; i < 100; i++) auth_as("sample");
    assert_true(by_session(c.session));
    struct attest_stats s;
    attest_stats(a, &s);
    assert_int_equal(s.sessions, 10);
    assert_int_equal(s.attested, 1);
    assert_int_equal(s.evicted, 91);
    assert_int_equal(s.remembered, 1);
}

static void test_attest_auth__all_attested(void **state)
{
    start((struct attest_config){.sample_verifier = true, .session_max = 2});
    attested(KEY_A);
    attested(KEY_B);
    struct attest_challenge c = {0};
    assert_fails(attest_auth(a, SPAN_LIT(REQUEST), &c), ERR_BUSY);
}

/* ---- configuration ------------------------------------------------------------------------ */

static void test_attest_new__refused(void **state)
{
    static const char *const bad[] = {"submods/x"};
    struct mint m;
    struct attest *none = NULL;
    mint_init(&m);
    char *file = mint_file(buf_span(&m.chain));
    const char *files[] = {file};
    struct attest_config config = {.extra_teekey_paths = bad, .extra_teekey_path_count = 1};
    assert_fails_with(attest_new(&config, &none), ERR_USAGE, "submods/x");
    /* Tokens that we sign would not verify here. */
    config = (struct attest_config){.sample_verifier = true, .trusted_certs = files,
                                    .trusted_cert_count = 1};
    assert_fails_with(attest_new(&config, &none), ERR_USAGE, "name the root of our signer's chain in trusted_certs_paths");
    assert_null(none);
    config = (struct attest_config){.sample_verifier = true, .issuer = "me", .issuer_count = 1,
                                    .issuers = (const char *const[]){"you"}};
    assert_fails_with(attest_new(&config, &none), ERR_USAGE, "our issuer_name in issuers");
    config.issuers = (const char *const[]){"me"};
    assert_ok(attest_new(&config, &none));
    attest_free(none);
    mint_file_remove(file);
    mint_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_attest_auth__challenge),
        TEST(test_attest_auth__refused),
        TEST(test_attest_evidence__token_and_guest),
        TEST(test_attest_evidence__every_kind_of_key),
        TEST(test_attest_evidence__refused_and_retried),
        TEST(test_attest_evidence__unusable_key),
        TEST(test_attest_evidence__body),
        TEST(test_attest_evidence__cookie),
        TEST(test_attest_evidence__no_verifier),
        TEST(test_attest_evidence__foreign_tee),
        TEST(test_attest_evidence__own_signer_ends),
        TEST(test_attest_evidence__again_same_key),
        TEST(test_attest_evidence__again_other_key),
        TEST(test_attest_evidence__again_after_the_token),
        TEST(test_attest_by_session__life),
        TEST(test_attest_by_session__flood),
        TEST(test_attest_auth__all_attested),
        TEST(test_attest_new__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

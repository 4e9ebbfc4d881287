/* Attestation tokens that guests bring, the keys behind them, and many at once. */
#include "tests/unit/attest/world.h"

#include <pthread.h>

static void test_attest_by_token__foreign_and_remembered(void **state)
{
    struct mint m;
    struct guest *g = NULL, *again = NULL;
    const struct jwe_key *key = NULL;
    mint_init(&m);
    char *file = mint_file(buf_span(&m.chain));
    const char *files[] = {file};
    static const char *const extra[] = {"/my/key"};
    start((struct attest_config){.trusted_certs = files, .trusted_cert_count = 1,
                                 .extra_teekey_paths = extra, .extra_teekey_path_count = 1});
    mint_token(&m, "{\"exp\":1795521900,\"my\":{\"key\":" KEY_A "}}", &token);
    assert_ok(attest_by_token(a, buf_span(&token), &g));
    assert_ok(guest_key(g, &key));
    struct json_doc *claims = claims_of(g);
    assert_int_equal(json_count(json_root(claims)), 2);
    assert_true(json_present(json_pointer(json_root(claims), "/my/key/kty")));
    json_free(claims);
    assert_int_equal(strlen(guest_fingerprint(g)), 16);
    assert_ok(attest_by_token(a, buf_span(&token), &again));
    assert_ptr_equal(g, again); /* remembered: the same guest */
    guest_unref(again);
    guest_unref(g);

    clock_test_set(NOON + 360);
    assert_ok(attest_by_token(a, buf_span(&token), &g));
    guest_unref(g);
    clock_test_set(NOON + 361);
    assert_fails(attest_by_token(a, buf_span(&token), &g), ERR_AUTH);
    clock_test_set(NOON);

    mint_token(&m, "{\"exp\":1795521900}", &token); /* no key: known, and of no use */
    assert_ok(attest_by_token(a, buf_span(&token), &g));
    assert_fails(guest_key(g, &key), ERR_AUTH);
    guest_unref(g);
    mint_file_remove(file);
    mint_done(&m);
}

/* Remembered or not: a token counts as long as its signer's certificate, though it names a later end. */
static void test_attest_by_token__certificate_ends(void **state)
{
    struct mint m;
    struct guest *g = NULL;
    struct secret *pem = NULL;
    mint_init(&m); /* until a day from NOON */
    assert_ok(key_to_pem(m.key, &pem));
    char *chain = mint_file(buf_span(&m.chain)), *key = mint_file(secret_span(pem));
    const char *files[] = {chain};
    start((struct attest_config){.sample_verifier = true, .signer_key_file = key, .signer_chain_file = chain,
                                 .trusted_certs = files, .trusted_cert_count = 1,
                                 .session_seconds = 10 * 86400, .token_seconds = 10 * 86400});
    struct attest_challenge c = attested(NULL); /* one of our own, */
    char *own = strdup(buf_str(&token));
    mint_token(&m, "{\"exp\":1796385600}", &token); /* and of somebody else's: ten days */
    for (int second = 86398; second <= 86400; second++) {
        clock_test_set(NOON + second);
        const char *const texts[] = {own, buf_str(&token)};
        for (size_t i = 0; i < LENGTH(texts); i++) {
            struct err e = attest_by_token(a, span_str(texts[i]), &g);
            assert_int_equal(e.code, second < 86400 ? ERR_NONE : ERR_AUTH);
            if (err_ok(e)) guest_unref(g);
        }
        assert_int_equal(by_session(c.session), second < 86400);
    }
    free(own);
    secret_free(pem);
    mint_file_remove(key);
    mint_file_remove(chain);
    mint_done(&m);
}

static void test_attest_by_token__refused(void **state)
{
    struct guest *g = NULL;
    struct buf large = BUF_INIT;
    attested(NULL);
    assert_fails(attest_by_token(a, SPAN_LIT(""), &g), ERR_AUTH);
    assert_fails(attest_by_token(a, SPAN_LIT("x.y.z"), &g), ERR_AUTH);
    token.data[token.len - 20] ^= 1;
    assert_fails(attest_by_token(a, buf_span(&token), &g), ERR_AUTH);
    for (size_t i = 0; i <= JOSE_MAX_TOKEN; i++) buf_add_byte(&large, 'a');
    assert_fails_with(attest_by_token(a, buf_span(&large), &g), ERR_AUTH, "longer than");
    assert_null(g);
    buf_free(&large);
}

/* Every recorded token verifies by the recorded signer's certificate while it was valid, and has the key
 * that its guest attested with. */
static void test_attest_by_token__recorded(void **state)
{
    static const char *const exchanges[] = {
        "kbs/new-attest-p256.json", "kbs/new-get-p256.json", "kbs/new-get-p521.json",
        "kbs/new-get-rsa.json", "kbs/new-get-denied.json", "kbs/new-get-missing.json",
        "kbs/old-get-p256.json", "kbs/old-get-rsa.json"};
    char path[512];
    size_t checked = 0;
    const char *files[] = {vector_path("kbs/keys/token-signer.crt", path)};
    clock_test_set(RECORDED_AT);
    start((struct attest_config){.trusted_certs = files, .trusted_cert_count = 1});
    for (size_t i = 0; i < sizeof exchanges / sizeof *exchanges; i++) {
        struct json_doc *doc = vector_json(exchanges[i]);
        const char *answer, *request;
        for (size_t n = 0; (answer = exchange_body(doc, "/attest", n, "response")); n++, checked++) {
            struct json_doc *given = NULL, *sent = NULL;
            struct buf key = BUF_INIT;
            struct guest *g = NULL;
            request = exchange_body(doc, "/attest", n, "request");
            assert_ok(json_parse(span_str(answer), &given));
            assert_ok(json_parse(span_str(request), &sent));
            const char *text = json_string(json_get(json_root(given), "token"));
            assert_ok(attest_by_token(a, span_str(text), &g));
            struct json_out o = JSON_OUT(&key);
            assert_ok(jwe_tee_key_canonical(json_pointer(json_root(sent), "/runtime-data/tee-pubkey"), &o));
            assert_true(guest_holds_key(g, buf_span(&key)));
            assert_string_equal(guest_tee(g), "sample");
            guest_unref(g);
            buf_free(&key);
            json_free(given);
            json_free(sent);
        }
        json_free(doc);
    }
    assert_int_equal(checked, 12);
    /* The passport client sends such a token as it is. */
    struct json_doc *doc = vector_json("kbs/new-get-passport.json");
    const char *bearer = exchange_header(doc, 0, "authorization");
    const struct jwe_key *key = NULL;
    struct guest *g = NULL;
    assert_ok(attest_by_token(a, span_str(bearer + strlen("Bearer ")), &g));
    assert_ok(guest_key(g, &key));
    guest_unref(g);
    clock_test_set(RECORDED_AT + 3600 + 120);
    assert_fails(attest_by_token(a, span_str(bearer + strlen("Bearer ")), &g), ERR_AUTH);
    json_free(doc);
}

/* ---- keys that go ---------------------------------------------------------------------------- */

static void rewrite(const char *file, struct span text)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text.data, 1, text.len, f), text.len);
    fclose(f);
}

/* The set says this from now on, and it has been read. */
static void publish(const char *file, struct span text)
{
    struct key_looks before = key_looks(attest_keys(a));
    rewrite(file, text);
    key_sources_refresh(attest_keys(a));
    key_looks_await(attest_keys(a), before.good + 1, 0);
}

/* Our own tokens, believed only because our signer's key is in a set. */
static void test_attest__key_removed(void **state)
{
    struct mint signer, other;
    struct secret *pem = NULL;
    struct buf set = BUF_INIT;
    struct json_out o = JSON_OUT(&set);
    struct jwk *jwk = NULL;
    struct guest *g = NULL;
    mint_init(&signer);
    mint_init(&other);
    assert_ok(key_to_pem(signer.key, &pem));
    assert_ok(jwk_from_pkey(signer.key, "ES256", &jwk));
    buf_add_str(&set, "{\"keys\":[");
    json_begin_object(&o);
    jwk_put_members(jwk, &o);
    json_end_object(&o);
    buf_add_str(&set, "]}");
    char *key_file = mint_file(secret_span(pem)), *cert_file = mint_file(buf_span(&other.chain));
    char *set_file = mint_file(buf_span(&set));
    const char *sets[] = {set_file}, *certs[] = {cert_file};
    start((struct attest_config){.sample_verifier = true, .signer_key_file = key_file,
                                 .trusted_certs = certs, .trusted_cert_count = 1,
                                 .trusted_jwk_sets = sets, .trusted_jwk_set_count = 1});
    struct attest_challenge c = attested(NULL);
    char *text = strdup(buf_str(&token));
    assert_true(by_session(c.session));
    assert_ok(attest_by_token(a, span_str(text), &g));
    guest_unref(g);
    publish(set_file, SPAN_LIT("{\"keys\":[]}"));
    assert_fails(attest_by_token(a, span_str(text), &g), ERR_AUTH); /* it was remembered */
    assert_false(by_session(c.session));
    assert_fails(attest_with(&c, (struct body){0}), ERR_HUMAN);
    publish(set_file, buf_span(&set)); /* a mistake, taken back */
    assert_true(by_session(c.session));
    assert_true(by_session(c.session));
    assert_ok(attest_by_token(a, span_str(text), &g));
    assert_int_equal(guest_removals(g), 1);
    guest_unref(g);
    free(text);
    mint_file_remove(set_file);
    mint_file_remove(cert_file);
    mint_file_remove(key_file);
    jwk_free(jwk);
    secret_free(pem);
    buf_free(&set);
    mint_done(&other);
    mint_done(&signer);
}

/* ---- threads ------------------------------------------------------------------------------ */

#define THREADS 4

struct job {
    struct attest_challenge c;
    struct buf body;
    size_t served;
};

/* Several attests at once in one session: each is served, and every token is good. */
static void *attest_at_once(void *arg)
{
    struct job *job = arg;
    for (size_t i = 0; i < 15; i++) {
        struct buf got = BUF_INIT;
        struct attest_challenge again = {0};
        struct guest *g = NULL, *other = NULL;
        if (err_ok(attest_evidence(a, job->c.session, buf_span(&job->body), &got, &again)) &&
            err_ok(attest_by_token(a, buf_span(&got), &g)) &&
            err_ok(attest_by_session(a, job->c.session, &other)))
            job->served++;
        guest_unref(other);
        guest_unref(g);
        buf_free(&got);
    }
    return NULL;
}

static void test_attest_evidence__threads(void **state)
{
    struct job jobs[THREADS] = {0};
    pthread_t threads[THREADS];
    struct attest_challenge c = auth_as("sample");
    for (size_t i = 0; i < THREADS; i++) {
        jobs[i].c = c;
        body_write((struct body){.nonce = c.nonce, .key = i % 2 ? KEY_A : KEY_B}, &jobs[i].body);
    }
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, attest_at_once, &jobs[i]), 0);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(jobs[i].served, 15);
        buf_free(&jobs[i].body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_attest_by_token__foreign_and_remembered),
        TEST(test_attest_by_token__certificate_ends),
        TEST(test_attest_by_token__refused),
        TEST(test_attest_by_token__recorded),
        TEST(test_attest__key_removed),
        TEST(test_attest_evidence__threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/attest/attest.h"
#include "broker/attest/guest.h"
#include "tests/lib/key_looks.h"
#include "tests/lib/vectors.h"
#include "tests/unit/attest/mint.h"

#include <pthread.h>

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static struct attest *a;
static struct buf body, token;

static void start(struct attest_config config)
{
    attest_free(a);
    a = NULL;
    assert_ok(attest_new(&config, &a));
    attest_appraise_by(a, &unknown_to_all);
}

static int setup(void **state)
{
    clock_test_set(NOON);
    log_set_level(LOG_LEVEL_ERROR);
    start((struct attest_config){.sample_verifier = true, .issuer = "test"});
    return 0;
}

static int teardown(void **state)
{
    attest_free(a);
    a = NULL;
    buf_free(&body);
    buf_free(&token);
    buf_free(&appraised.evidence);
    clock_test_set(0);
    return 0;
}

static struct attest_challenge auth_as(const char *tee)
{
    struct attest_challenge c = {0};
    buf_reset(&body);
    buf_addf(&body, "{\"version\":\"0.4.0\",\"tee\":\"%s\",\"extra-params\":{}}", tee);
    assert_ok(attest_auth(a, buf_span(&body), &c));
    return c;
}

static struct err attest_with(const struct attest_challenge *c, struct body b)
{
    struct attest_challenge again = {0};
    if (!b.nonce) b.nonce = c->nonce;
    body_write(b, &body);
    buf_reset(&token);
    struct err e = attest_evidence(a, c->session, buf_span(&body), &token, &again);
    if (err_ok(e)) {
        assert_string_equal(again.session, c->session);
        assert_string_equal(again.nonce, c->nonce);
        assert_int_equal(again.expires, c->expires);
    } else {
        assert_int_equal(token.len, 0);
    }
    return e;
}

static struct attest_challenge attested(const char *key)
{
    struct attest_challenge c = auth_as("sample");
    assert_ok(attest_with(&c, (struct body){.key = key}));
    return c;
}

static bool by_session(const char *session)
{
    struct guest *g = NULL;
    struct err e = attest_by_session(a, session, &g);
    guest_unref(g);
    if (!err_ok(e)) assert_int_equal(e.code, ERR_NOTFOUND);
    return err_ok(e);
}

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
    assert_fails_with(attest_with(&c, (struct body){0}), ERR_AUTH, "not trusted by");
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
    assert_fails(attest_with(&c, (struct body){0}), ERR_AUTH);
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

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
        TEST(test_attest_by_token__foreign_and_remembered),
        TEST(test_attest_by_token__refused),
        TEST(test_attest_by_token__recorded),
        TEST(test_attest__key_removed),
        TEST(test_attest_new__refused),
        TEST(test_attest_evidence__threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/unit/api/kit.h"

#include "broker/jose/x5c.h"

#include <openssl/pem.h>

#define ATTEST_FAILED "Attestation error: RCAR handshake Attest failed"

static struct buf body;

/* A body of evidence for this nonce over KEY_A. */
static struct span evidence(const char *nonce)
{
    body_write((struct body){.nonce = nonce}, &body);
    return buf_span(&body);
}

static void test_auth__challenge_and_cookie(void **state)
{
    clock_test_set(NOON);
    assert_int_equal(ASK("POST", "/kbs/v0/auth", BODY(REQUEST)), 200);
    assert_string_equal(response()->content_type, "application/json");
    assert_int_equal(json_count(member("")), 2);
    assert_int_equal(strlen(text_at("/nonce")), 44);
    assert_string_equal(text_at("/extra-params"), "");
    const char *cookie = header("Set-Cookie");
    assert_int_equal(strspn(cookie + strlen("kbs-session-id="), "0123456789abcdef"), 32);
    assert_string_equal(cookie + strlen("kbs-session-id=") + 32,
                        "; Expires=Tue, 24 Nov 2026 12:05:00 GMT");
    assert_int_equal(response()->header_count, 1);
}

static void test_auth__always_a_new_session(void **state)
{
    char first[sizeof kit.cookie];
    guest_auth();
    snprintf(first, sizeof first, "%s", kit.cookie);
    assert_int_equal(ASK("POST", "/kbs/v0/auth/below?and=query", BODY(REQUEST), HEADERS(first)),
                     200);
    assert_null(strstr(header("Set-Cookie"), first + strlen("Cookie: ")));
}

static void test_auth__refusals(void **state)
{
    static const struct { const char *body, *cause; } rows[] = {
        {"", "deserialize Request"},
        {"{}", "deserialize Request"},
        {"{\"version\":\"0.4.0\",\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":{}}",
         "deserialize Request"},
        {"{\"version\":\"x\",\"tee\":\"sample\",\"extra-params\":{}}",
         "failed to parse KBS version"},
        {"{\"version\":\"0.1.0\",\"tee\":\"sample\",\"extra-params\":{}}",
         "KBS Client Protocol Version Mismatch: expect =0.4.0 while the request is 0.1.0"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char detail[200];
        snprintf(detail, sizeof detail, "Attestation error: RCAR handshake Auth failed: %s",
                 rows[i].cause);
        ASK("POST", "/kbs/v0/auth", BODY(rows[i].body));
        check_error(401, "AttestationError", detail);
        assert_null(header("Set-Cookie"));
    }
    assert_int_equal(metric_now("kbs_auth_requests_total"), COUNT(rows));
    assert_int_equal(metric_now("kbs_auth_errors_total"), COUNT(rows));
    assert_int_equal(metric_now("kbs_auth_successes_total"), 0);
}

static void test_attest__token_and_the_same_cookie(void **state)
{
    char before[RESPONSE_HEADER_VALUE];
    const char *nonce = guest_auth();
    snprintf(before, sizeof before, "%s", header("Set-Cookie"));
    struct span sent = evidence(nonce);
    assert_int_equal(ASK("POST", "/kbs/v0/attest", HEADERS(kit.cookie), .body = sent), 200);
    assert_string_equal(response()->content_type, "application/json");
    assert_int_equal(json_count(member("")), 1);
    assert_true(strlen(text_at("/token")) > 100);
    assert_string_equal(header("Set-Cookie"), before); /* same value, same expiry (2.3) */
    check_record("attest", "allow", "sample");
    char principal[24];
    snprintf(principal, sizeof principal, "session:%.8s",
             kit.cookie + strlen("Cookie: kbs-session-id="));
    assert_string_equal(audit_text("principal"), principal);
    assert_string_equal(audit_text("peer"), "192.0.2.7:4711");
    assert_int_equal(metric_now("kbs_attestation_requests_total"), 1);
    assert_int_equal(metric_now("kbs_attestation_successes_total{tee_type=\"sample\"}"), 1);
    assert_int_equal(metric_now("kbs_attestation_failures_total{tee_type=\"sample\"}"), 0);
    assert_int_equal(metric_now("strongroom_sessions_attested"), 1);
}

static void check_refused(int status, const char *cause)
{
    check_error(status, "AttestationError", ATTEST_FAILED); /* never why */
    assert_null(header("Set-Cookie"));
    check_record("attest", "deny", cause);
}

static void test_attest__one_answer_for_every_refusal(void **state)
{
    char good[sizeof kit.cookie];
    struct span sent = evidence(guest_auth());
    snprintf(good, sizeof good, "%s", kit.cookie);
    ASK("POST", "/kbs/v0/attest/default/key/1", .body = sent);
    check_refused(401, "auth");
    assert_false(json_present(json_get(json_root(kit.record), "resource"))); /* a text of anybody's */
    ASK("POST", "/kbs/v0/attest", .body = sent, HEADERS("Cookie: KBS-SESSION-ID=x"));
    check_refused(401, "auth");
    ASK("POST", "/kbs/v0/attest", .body = sent, HEADERS("Cookie: kbs-session-id=" NONCE_A));
    check_refused(401, "auth");
    sent = evidence(NONCE_A);
    ASK("POST", "/kbs/v0/attest", .body = sent, HEADERS(good));
    check_refused(401, "auth");
    ASK("POST", "/kbs/v0/attest", BODY("{}"), HEADERS(good));
    check_refused(400, "usage");
    /* Evidence over another nonce was looked at; what came with no session or no form was not. */
    assert_int_equal(metric_now("kbs_attestation_requests_total"), 5);
    assert_int_equal(metric_now("kbs_attestation_errors_total"), 4);
    assert_int_equal(metric_now("kbs_attestation_failures_total{tee_type=\"sample\"}"), 1);
}

static void test_attest__a_failed_one_can_be_repeated(void **state)
{
    char nonce[64];
    snprintf(nonce, sizeof nonce, "%s", guest_auth());
    ASK("POST", "/kbs/v0/attest", .body = evidence(NONCE_A), HEADERS(kit.cookie));
    check_refused(401, "auth");
    assert_int_equal(ASK("POST", "/kbs/v0/attest", .body = evidence(nonce), HEADERS(kit.cookie)),
                     200);
}

static void test_attest__malformed_is_401_for_the_reference(void **state)
{
    kit_open((struct kit_options){.reference = true});
    guest_auth();
    ASK("POST", "/kbs/v0/attest", BODY("{}"), HEADERS(kit.cookie));
    check_error(401, "AttestationError", ATTEST_FAILED);
}

static void test_attest__no_record_no_token(void **state)
{
    struct span sent = evidence(guest_auth());
    audit_break();
    ASK("POST", "/kbs/v0/attest", .body = sent, HEADERS(kit.cookie));
    audit_heal();
    check_error(503, "Unavailable", NULL);
    assert_null(header("Set-Cookie"));
    assert_null(strstr(response_text(), "eyJ"));
}

static void test_attest__refusal_without_a_record_is_503(void **state)
{
    audit_break();
    ASK("POST", "/kbs/v0/attest", BODY("{}"));
    audit_heal();
    check_error(503, "Unavailable", NULL);
}

/* A service that does not answer is nobody's refusal: 503, and when to come again. */
static void test_attest__service_down(void **state)
{
    kit_open((struct kit_options){.service = true});
    struct span sent = evidence(guest_auth()); /* for which no service is asked */
    for (unsigned i = 0; i <= AS_BREAKER_FAILURES; i++) {
        ASK("POST", "/kbs/v0/attest", .body = sent, HEADERS(kit.cookie));
        check_error(503, "Unavailable", "evidence cannot be verified now; try again");
        assert_string_equal(header("Retry-After"), i < AS_BREAKER_FAILURES - 1 ? "1" : "2");
        check_record("attest", "error", "busy");
        assert_int_equal(metric_now("strongroom_attestation_service_up"), i < AS_BREAKER_FAILURES - 1);
    }
    assert_int_equal(metric_now("strongroom_attestation_service_calls_total"), AS_BREAKER_FAILURES);
    assert_int_equal(metric_now("strongroom_attestation_service_jobs_waiting"), 0);
    ASK("POST", "/kbs/v0/attest", .body = evidence(NONCE_A), HEADERS(kit.cookie));
    check_refused(401, "auth"); /* what needs nobody else is still said */
    ASK("POST", "/kbs/v0/auth", BODY("{\"version\":\"0.4.0\",\"tee\":\"se\",\"extra-params\":{}}"));
    check_error(503, "Unavailable", "evidence cannot be verified now; try again");
    assert_int_equal(ASK("GET", "/readyz"), 200); /* who has a token is served */
    assert_string_equal(text_at("/attestation_service"), "down");
}

static int end(void **state)
{
    buf_free(&body);
    return kit_token_end(state);
}

/* ---- a signing key on the token ------------------------------------------------------------ */

#define SIGNER "signer"

/* A certificate of the token's public key, by a CA that is made for it; leaf and CA as PEM. */
static void write_chain(char path[320])
{
    struct buf pem = BUF_INIT, chain = BUF_INIT, ca_pem = BUF_INIT;
    struct jwk *public = NULL;
    EVP_PKEY *ca_key = NULL;
    struct p11_pair_config config = {SIGNER, P11_PAIR_EC_P256, false};
    struct p11_pair *pair = NULL;
    char *text = NULL;
    assert_ok(p11_pair_new(kit.token, &config, &pair));
    assert_ok(p11_pair_public(pair, &pem));
    assert_ok(jwk_from_pem(buf_span(&pem), &public));
    assert_ok(key_generate_ec("P-256", &ca_key));
    assert_ok(x5c_self_sign(ca_key, "ca", clock_now() - 3600, 86400, &ca_pem));
    BIO *in = BIO_new_mem_buf(ca_pem.data, (int) ca_pem.len), *out = BIO_new(BIO_s_mem());
    X509 *ca = PEM_read_bio_X509(in, NULL, NULL, NULL), *leaf = X509_new();
    assert_true(ca && leaf && X509_set_pubkey(leaf, jwk_pkey(public)));
    assert_true(ASN1_INTEGER_set(X509_get_serialNumber(leaf), 2));
    assert_true(X509_set_issuer_name(leaf, X509_get_subject_name(ca)));
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(leaf), -3600));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(leaf), 3600));
    assert_true(X509_sign(leaf, ca_key, EVP_sha256()) > 0 && PEM_write_bio_X509(out, leaf));
    long len = BIO_get_mem_data(out, &text);
    buf_add(&chain, text, (size_t) len);
    buf_add_span(&chain, buf_span(&ca_pem));
    assert_int_equal(softhsm_write(&kit.hsm, "chain.pem", buf_str(&chain), 0644, path, 320), 0);
    X509_free(leaf);
    X509_free(ca);
    BIO_free(out);
    BIO_free(in);
    EVP_PKEY_free(ca_key);
    jwk_free(public);
    p11_pair_free(pair);
    buf_free(&ca_pem);
    buf_free(&chain);
    buf_free(&pem);
}

/* The broker again, with its signer on the token; made by the first who asks. */
static void open_signer_queue(unsigned workers, unsigned queue_max)
{
    static bool made;
    struct p11_pair_info info = {0};
    char chain[320];
    if (!made) assert_ok(p11_pair_create(kit.token, SIGNER, P11_PAIR_EC_P256, 0, &info));
    made = true;
    p11_pair_info_done(&info);
    write_chain(chain);
    kit_open((struct kit_options){.workers = workers, .queue_max = queue_max, .signer_label = SIGNER,
                                  .signer_chain = chain});
}

static void open_signer(unsigned workers)
{
    open_signer_queue(workers, 0);
}

static void test_attest__signed_by_the_token(void **state)
{
    for (unsigned workers = 0; workers < 3; workers += 2) {
        open_signer(workers);
        assert_true(attest_waits(kit.attest));
        put("a/b/c", "value");
        assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
        guest_attest(); /* its token came back through our own verifier */
        guest_get("/kbs/v0/resource/a/b/c");
        check_released("value");
        struct jws *t = NULL;
        const char *bearer = guest_bearer() + strlen("Authorization: Bearer ");
        assert_ok(jws_parse(span_str(bearer), &t));
        assert_int_equal(json_count(json_pointer(jws_header(t), "/jwk/x5c")), 2);
        jws_free(t);
    }
}

static void test_attest__token_that_does_not_sign_is_503(void **state)
{
    static const struct { const char *rules; int status; const char *variant; } rows[] = {
        {"C_Sign rv=0x30", 503, "Unavailable"}, {"C_SignInit rv=0x32", 503, "Unavailable"},
        {"C_Sign rv=0x5", 503, "Unavailable"}, {"C_SignInit rv=0x70", 500, "PluginInternalError"},
        {"C_Sign rv=0x31", 503, "Unavailable"},
    };
    for (unsigned workers = 0; workers < 3; workers += 2) {
        open_signer(workers);
        for (size_t i = 0; i < COUNT(rows); i++) {
            struct span sent = evidence(guest_auth());
            kit_faults(rows[i].rules);
            ASK("POST", "/kbs/v0/attest", HEADERS(kit.cookie), .body = sent);
            check_error(rows[i].status, rows[i].variant, NULL);
            if (rows[i].status == 503) assert_string_equal(header("Retry-After"), "1");
            check_record("attest", "error", NULL);
            kit_faults("");
            /* The same attestation again: nothing of it was used up. */
            assert_int_equal(ASK("POST", "/kbs/v0/attest", HEADERS(kit.cookie), .body = sent), 200);
        }
        assert_int_equal(metric_now("kbs_attestation_errors_total"), COUNT(rows));
    }
}

static void test_attest__refusals_with_a_signer_on_the_token(void **state)
{
    open_signer(2);
    guest_auth();
    ASK("POST", "/kbs/v0/attest", HEADERS(kit.cookie), BODY("{}"));
    check_refused(400, "usage");
    ASK("POST", "/kbs/v0/attest", HEADERS(kit.cookie), .body = evidence("another nonce"));
    check_refused(401, "auth");
}

/* Each request is an error, a success or a failure, those that no worker had room for too. */
static void test_attest__a_full_queue_is_counted(void **state)
{
    static struct visit visits[4];
    size_t last = 0;
    open_signer_queue(1, 1);
    struct span sent = evidence(guest_auth());
    kit_faults("C_Sign hang");
    while (last < COUNT(visits) - 1 &&
           !visit_start(&visits[last], (struct ask){.method = "POST", .target = "/kbs/v0/attest",
                                                    .headers = {kit.cookie}, .body = sent}))
        last++;
    kit_faults("");
    for (size_t i = 0; i < last; i++) assert_true(kit_wait(&visits[i].resumed, 1));
    assert_int_equal(visits[last].x.resp.status, 503);
    for (size_t i = 0; i <= last; i++) kit_visit_end(&visits[i]);
    assert_int_equal(metric_now("kbs_attestation_requests_total"), last + 1);
    assert_int_equal(metric_now("kbs_attestation_errors_total"), 1);
    assert_int_equal(metric_now("kbs_attestation_successes_total{tee_type=\"sample\"}"), last);
}

static void test_attest__survives_recovery_of_the_token(void **state)
{
    open_signer(0);
    guest_attest();
    assert_ok(p11_recover(kit.token));
    guest_attest();
}

/* attest_new tries it: a chain of another key does not start. */
static void test_signer__chain_of_another_key(void **state)
{
    struct p11_pair_info info = {0};
    char chain[320];
    open_signer(0);
    write_chain(chain);
    assert_ok(p11_pair_create(kit.token, "other", P11_PAIR_EC_P256, 0, &info));
    p11_pair_info_done(&info);
    kit_close();
    struct kit_options o = {.signer_label = "other", .signer_chain = chain};
    assert_fails_with(kit_open_attest(&o), ERR_USAGE, "-force_pubkey");
    assert_null(kit.attest);
    o.signer_label = "no such pair";
    p11_pair_free(TAKE_PTR(kit.signer));
    assert_fails_with(kit_open_attest(&o), ERR_NOTFOUND, "token keypair create --type ec-p256");
}

/* ---- a crowd ------------------------------------------------------------------------------ */

#define GUESTS 64
#define HANDSHAKES 2

static pthread_barrier_t all_there;

/* The body of an answer as JSON; NULL unless it is a 200. */
static struct json_doc *answer(struct visit *v, struct ask ask)
{
    struct json_doc *doc = NULL;
    if (!visit_start(v, ask) || v->x.resp.status != 200) return NULL;
    return err_ok(json_parse(buf_span(&v->x.resp.body), &doc)) ? doc : NULL;
}

static bool crowd_get(struct visit *v, const char *credential, EVP_PKEY *key)
{
    struct secret *value = NULL;
    bool good = visit_start(v, (struct ask){.target = "/kbs/v0/resource/a/b/c",
                                            .headers = {credential}}) &&
                err_ok(jwe_decrypt(key, buf_span(&v->x.resp.body), &value)) &&
                span_eq_str(secret_span(value), "for each of them");
    secret_free(value);
    return good;
}

/* auth, attest and a GET by the session and by the token, with this key: true when all went well. */
static bool crowd_handshake(EVP_PKEY *key)
{
    static const struct ask auth = {.method = "POST", .target = "/kbs/v0/auth",
                                    .body = SPAN_LIT(REQUEST)};
    struct visit v = {0};
    struct buf jwk = BUF_INIT, sent = BUF_INIT, bearer = BUF_INIT;
    char cookie[80] = "";
    guest_key_json(key, "ECDH-ES+A256KW", &jwk);
    struct json_doc *challenge = answer(&v, auth), *token = NULL;
    if (challenge) {
        const char *set = v.x.resp.headers[0].value;
        snprintf(cookie, sizeof cookie, "Cookie: %.*s", (int) strcspn(set, ";"), set);
        body_write((struct body){.nonce = json_string(json_get(json_root(challenge), "nonce")),
                                 .key = buf_str(&jwk)}, &sent);
        token = answer(&v, (struct ask){.method = "POST", .target = "/kbs/v0/attest",
                                        .headers = {cookie}, .body = buf_span(&sent)});
    }
    if (token)
        buf_addf(&bearer, "Authorization: Bearer %s",
                 json_string(json_get(json_root(token), "token")));
    bool good = token && crowd_get(&v, cookie, key) && crowd_get(&v, buf_str(&bearer), key);
    kit_visit_end(&v);
    json_free(challenge);
    json_free(token);
    buf_free(&jwk);
    buf_free(&sent);
    buf_free(&bearer);
    return good;
}

static void *crowd_guest(void *arg)
{
    uintptr_t good = 0;
    EVP_PKEY *key = NULL;
    struct err e = key_generate_ec("P-256", &key);
    pthread_barrier_wait(&all_there);
    for (int i = 0; i < HANDSHAKES && err_ok(e); i++) good += crowd_handshake(key);
    EVP_PKEY_free(key);
    return (void *) good;
}

/* Guests that come all at once: each gets a token of its own and what is released to it alone. */
static void test_handshake__64_guests_at_once(void **state)
{
    pthread_t guests[GUESTS];
    put("a/b/c", "for each of them");
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    pthread_barrier_init(&all_there, NULL, GUESTS);
    for (size_t i = 0; i < GUESTS; i++)
        assert_int_equal(pthread_create(&guests[i], NULL, crowd_guest, NULL), 0);
    size_t good = 0;
    for (size_t i = 0; i < GUESTS; i++) {
        void *result = NULL;
        pthread_join(guests[i], &result);
        good += (uintptr_t) result;
    }
    pthread_barrier_destroy(&all_there);
    assert_int_equal(good, GUESTS * HANDSHAKES);
    struct attest_stats s;
    attest_stats(kit.attest, &s);
    assert_int_equal(s.attested, GUESTS * HANDSHAKES);
    assert_int_equal(s.remembered, GUESTS * HANDSHAKES);
    assert_int_equal(metric_now("kbs_attestation_successes_total{tee_type=\"sample\"}"), GUESTS * HANDSHAKES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_auth__challenge_and_cookie),
        KIT_TEST(test_auth__always_a_new_session),
        KIT_TEST(test_auth__refusals),
        KIT_TEST(test_attest__token_and_the_same_cookie),
        KIT_TEST(test_attest__one_answer_for_every_refusal),
        KIT_TEST(test_attest__a_failed_one_can_be_repeated),
        KIT_TEST(test_attest__malformed_is_401_for_the_reference),
        KIT_TEST(test_attest__no_record_no_token),
        KIT_TEST(test_attest__refusal_without_a_record_is_503),
        KIT_TEST(test_attest__signed_by_the_token),
        KIT_TEST(test_attest__token_that_does_not_sign_is_503),
        KIT_TEST(test_attest__refusals_with_a_signer_on_the_token),
        KIT_TEST(test_attest__a_full_queue_is_counted),
        KIT_TEST(test_attest__survives_recovery_of_the_token),
        KIT_TEST(test_signer__chain_of_another_key),
        KIT_TEST(test_attest__service_down),
        KIT_TEST(test_handshake__64_guests_at_once),
    };
    return cmocka_run_group_tests(tests, kit_token_faults, end);
}

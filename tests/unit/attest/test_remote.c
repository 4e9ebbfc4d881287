#include "broker/attest/remote.h"

#include "broker/attest/as_service.h"
#include "tests/unit/attest/mint.h"

#define EVIDENCE_PATH "{\"submods\":{\"cpu0\":{\"ear.veraison.annotated-evidence\":{\"runtime_data_claims\":"

static struct mint mint;
static struct attest *a;
static struct as_service *s; /* where nobody listens: whoever asks it fails */
static struct buf body, token;
static const struct guest_rules rules;

static int setup(void **state)
{
    clock_test_set(NOON);
    log_set_level(LOG_LEVEL_ERROR);
    mint_init(&mint);
    char *file = mint_file(buf_span(&mint.chain));
    const char *const certs[] = {file};
    struct attest_config config = {.trusted_certs = certs, .trusted_cert_count = 1};
    assert_ok(attest_new(&config, &a));
    assert_ok(as_service_new(&(struct as_config){.url = "http://127.0.0.1:1", .kind = AS_REST}, &s));
    mint_file_remove(file);
    return 0;
}

static int teardown(void **state)
{
    as_service_free(s);
    attest_free(a);
    mint_done(&mint);
    buf_free(&body);
    buf_free(&token);
    clock_test_set(0);
    return 0;
}

static uint64_t calls(void)
{
    struct as_stats st = {0};
    as_service_stats(s, &st);
    return st.calls;
}

static struct err evaluate(const char *text)
{
    struct attestation t = {0};
    struct buf got = BUF_INIT;
    assert_ok(attestation_parse(span_str(text), &t));
    struct err e = remote_evaluate(s, "sample", NONCE_A, &t, &got);
    assert_int_equal(got.len, 0);
    attestation_done(&t);
    buf_free(&got);
    return e;
}

static const char *with(struct body b)
{
    body_write(b, &body);
    return buf_str(&body);
}

static void test_evaluate__not_asked_for_these(void **state)
{
    assert_fails_with(evaluate(with((struct body){.nonce = NONCE_A,
                                                  .init_data = "{\"format\":\"json\",\"body\":\"{}\"}"})),
                      ERR_USAGE, "only \"toml\"");
    assert_fails_with(evaluate(with((struct body){.nonce = NONCE_A, .report_data = "x",
                                                  .additional = "{\"abacus\":1}"})),
                      ERR_AUTH, "unknown TEE \"abacus\"");
    assert_fails(evaluate("{\"runtime-data\":{\"nonce\":\"n\",\"tee-pubkey\":{\"kty\":\"oct\"}},"
                          "\"tee-evidence\":{\"primary_evidence\":1,\"additional_evidence\":\"\"}}"),
                 ERR_CRYPTO);
    assert_int_equal(calls(), 0);
    assert_fails(evaluate(with((struct body){.nonce = NONCE_A})), ERR_BUSY);
    assert_int_equal(calls(), 1);
}

static void test_challenge__hash(void **state)
{
    static const struct { const char *params; bool asked, told; } rows[] = {
        {"{}", true, false}, {"\"\"", true, false}, {"{\"supported-hash-algorithms\":\"sha512\"}", true, false},
        {"{\"supported-hash-algorithms\":[\"sha256\",\"SHA512\"]}", true, true},
        {"{\"supported-hash-algorithms\":[\"sha256\",512]}", false, false},
        {"{\"supported-hash-algorithms\":[]}", false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct attest_challenge c = {0};
        uint64_t before = calls();
        buf_reset(&body);
        buf_addf(&body, "{\"version\":\"0.4.0\",\"tee\":\"se\",\"extra-params\":%s}", rows[i].params);
        struct err e = remote_challenge(s, "se", buf_span(&body), &c);
        if (calls() - before != rows[i].asked) fail_msg("%s", rows[i].params);
        assert_int_equal(e.code, rows[i].asked ? ERR_BUSY : ERR_AUTH);
        assert_int_equal(c.hash && strcmp(c.hash, "sha512") == 0, rows[i].told);
        attest_challenge_done(&c);
    }
}

/* A token with these runtime data, for a handshake of KEY_A and NONCE_A. */
static struct err check(const char *runtime)
{
    struct attestation t = {0};
    struct guest *g = NULL;
    struct buf claims = BUF_INIT;
    buf_addf(&claims, EVIDENCE_PATH "%s}}},\"exp\":%d}", runtime, NOON + 60);
    mint_token(&mint, buf_str(&claims), &token);
    assert_ok(attest_by_token(a, buf_span(&token), &g));
    assert_ok(attestation_parse(span_str(with((struct body){.nonce = NONCE_A, .key = KEY_A})), &t));
    struct err e = remote_check_token(g, &rules, NONCE_A, &t);
    guest_unref(g);
    attestation_done(&t);
    buf_free(&claims);
    return e;
}

static void test_check_token(void **state)
{
    assert_ok(check("{\"tee-pubkey\":" KEY_A ",\"nonce\":\"" NONCE_A "\"}"));
    assert_ok(check("{\"tee-pubkey\":" KEY_A "}")); /* not every maker repeats the nonce */
    /* One that is there is ours, or refused, whatever it is. */
    static const char *const others[] = {"\"AAAA\"", "\"\"", "7", "null", "true", "[]", "{}",
                                         "[\"" NONCE_A "\"]", "{\"nonce\":\"" NONCE_A "\"}"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct buf runtime = BUF_INIT;
        buf_addf(&runtime, "{\"tee-pubkey\":%s,\"nonce\":%s}", KEY_A, others[i]);
        assert_fails_with(check(buf_str(&runtime)), ERR_AUTH, "its nonce differs");
        buf_free(&runtime);
    }
    assert_fails_with(check("{\"tee-pubkey\":" KEY_B ",\"nonce\":\"" NONCE_A "\"}"), ERR_AUTH, "another key");
    assert_fails_with(check("{\"nonce\":\"" NONCE_A "\"}"), ERR_AUTH, "no tee-pubkey");
    assert_false(err_ok(check("{\"tee-pubkey\":{\"kty\":\"oct\"},\"nonce\":\"" NONCE_A "\"}")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_evaluate__not_asked_for_these),
        cmocka_unit_test(test_challenge__hash),
        cmocka_unit_test(test_check_token),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

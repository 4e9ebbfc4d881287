/* claims_schema.c: schemas of the right form, which tokens that are issued conform to. */
#include "broker/attest/claims_schema.h"
#include "broker/attest/ear.h"
#include "policy/json.h"
#include "policy/policy_claims.h"
#include "policy/schema.h"
#include "tests/lib/vectors.h"
#include "tests/unit/attest/kit.h"

static struct arena *arena;

static int setup(void **state)
{
    arena = arena_new(8 << 20);
    return arena ? 0 : -1;
}

static int teardown(void **state)
{
    arena_free(arena);
    arena = NULL;
    return 0;
}

static const struct value *value_of(struct span text)
{
    const struct value *v = json_to_value(arena, (const char *) text.data, text.len, NULL, NULL);
    assert_non_null(v);
    return v;
}

static struct json_doc *parsed(const char *text)
{
    struct json_doc *doc = NULL;
    assert_ok(json_parse(span_str(text), &doc));
    return doc;
}

static void test_claims_schema__members(void **state)
{
    struct json_doc *doc = parsed(claims_schema());
    struct json root = json_root(doc);
    assert_string_equal(json_string(json_get(root, "exp")), "number");
    assert_true(json_present(json_pointer(root, "/submods/cpu#/ear.trustworthiness-vector/sourced-data")));
    assert_true(json_present(json_pointer(root, "/submods/*#/ear.status")));
    json_free(doc);
}

/* Every TEE that can be named has a place for its claims; the evidence's schema is the same text. */
static void test_claims_schema_evidence__tees(void **state)
{
    static const char *const NAMES[] = {
        "az-snp-vtpm", "az-tdx-vtpm", "cca", "csv", "hygondcu", "nvidia", "nvidia-dpu", "sample",
        "sampledevice", "se", "sgx", "snp", "tdx", "tpm",
    };
    struct json_doc *doc = parsed(claims_schema_evidence());
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        char key[32];
        assert_string_equal(tee_canonical(NAMES[i]), NAMES[i]);
        snprintf(key, sizeof key, "%s?", NAMES[i]);
        assert_true(json_present(json_get(json_root(doc), key)));
    }
    assert_non_null(strstr(claims_schema(), claims_schema_evidence()));
    json_free(doc);
}

static void check_conforms(const struct value *claims)
{
    struct text why;
    text_init(&why, arena);
    bool ok = schema_conforms(value_of(span_str(claims_schema())), claims, &why);
    if (!ok) fail_msg("%s", text_end(&why));
}

static void test_claims_schema__token_that_was_issued(void **state)
{
    struct attest_config config = {.sample_verifier = true, .issuer = "test"};
    struct attest_challenge c = {0}, again = {0};
    struct attest *a = NULL;
    struct guest *g = NULL;
    struct buf body = BUF_INIT, token = BUF_INIT;
    log_set_level(LOG_LEVEL_ERROR);
    assert_ok(attest_new(&config, &a));
    attest_appraise_by(a, &unknown_to_all);
    assert_ok(attest_auth(a, SPAN_LIT(REQUEST), &c));
    body_write((struct body){.nonce = c.nonce}, &body);
    assert_ok(attest_evidence(a, c.session, buf_span(&body), &token, &again));
    assert_ok(attest_by_session(a, c.session, &g));
    check_conforms(policy_claims_value(guest_claims(g)));
    guest_unref(g);
    buf_free(&appraised.evidence);
    buf_free(&token);
    buf_free(&body);
    attest_free(a);
}

/* Devices beside the CPU, and a guest with init-data. */
static void test_claims_schema__all_that_a_token_can_hold(void **state)
{
    struct ear_part parts[] = {
        {.tee = "sample", .device = "cpu", .report_data = "r",
         .claims = SPAN_LIT("{\"debug\":false,\"launch_digest\":\"abcde\",\"platform_version\":"
                            "{\"major\":1,\"minor\":4},\"svn\":\"1\"}"),
         .runtime_claims = SPAN_LIT("{\"additional-evidence\":\"{}\",\"nonce\":\"n\",\"tee-pubkey\":" KEY_A "}"),
         .init_data = "ZGln", .init_data_claims = SPAN_LIT("{\"aa.toml\":{\"x\":1}}")},
        {.tee = "sampledevice", .device = "gpu", .report_data = "s", .claims = SPAN_LIT("{\"svn\":\"2\"}"),
         .runtime_claims = SPAN_LIT("{\"nonce\":\"n\",\"tee-pubkey\":{\"kty\":\"RSA\",\"alg\":\"RSA-OAEP-256\","
                                    "\"n\":\"n\",\"e\":\"e\"}}")},
        {.tee = "nvidia", .device = "switch", .number = 3, .report_data = "s", .claims = SPAN_LIT("{\"any\":[]}"),
         .runtime_claims = SPAN_LIT("{\"nonce\":\"n\",\"tee-pubkey\":" KEY_A "}")}};
    struct ear_appraised found[3];
    struct buf evidence[3] = {BUF_INIT, BUF_INIT, BUF_INIT};
    struct ear_verdict verdict = {0};
    for (size_t i = 0; i < 3; i++) {
        assert_ok(ear_write_evidence(&parts[i], &evidence[i]));
        found[i] = (struct ear_appraised){parts[i].device, parts[i].number, ATTEST_POLICY_ID,
                                          buf_span(&evidence[i]), &verdict};
    }
    struct ear ear = {.issuer = "i", .iat = 1, .exp = 2, .parts = found, .part_count = 3};
    struct buf claims = BUF_INIT;
    assert_ok(ear_write(&ear, &claims));
    check_conforms(value_of(buf_span(&claims)));
    for (size_t i = 0; i < 3; i++) buf_free(&evidence[i]);
    buf_free(&claims);
}

/* The payload of a recorded token is of the same format. */
static void test_claims_schema__recorded_token(void **state)
{
    struct json_doc *doc = vector_json("kbs/new-attest-p256.json"), *answer = NULL;
    struct buf claims = BUF_INIT;
    assert_ok(json_parse(span_str(exchange_body(doc, "/attest", 0, "response")), &answer));
    const char *from = strchr(json_string(json_get(json_root(answer), "token")), '.') + 1;
    assert_ok(b64url_decode(span_of(from, (size_t) (strchr(from, '.') - from)), &claims));
    check_conforms(value_of(buf_span(&claims)));
    buf_free(&claims);
    json_free(answer);
    json_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claims_schema__members),
        cmocka_unit_test(test_claims_schema_evidence__tees),
        cmocka_unit_test_setup_teardown(test_claims_schema__token_that_was_issued, setup, teardown),
        cmocka_unit_test_setup_teardown(test_claims_schema__all_that_a_token_can_hold, setup, teardown),
        cmocka_unit_test_setup_teardown(test_claims_schema__recorded_token, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/attest/ear.h"
#include "tests/lib/vectors.h"
#include "tests/unit/attest/kit.h"

static void test_ear_status__tiers(void **state)
{
    static const struct { int value; const char *status; } rows[] = {
        {0, "none"}, {1, "none"}, {-1, "none"}, {2, "affirming"}, {31, "affirming"},
        {-2, "affirming"}, {-32, "affirming"}, {32, "warning"}, {95, "warning"},
        {-33, "warning"}, {-96, "warning"}, {96, "contraindicated"}, {127, "contraindicated"},
        {-97, "contraindicated"}, {-128, "contraindicated"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ear_vector v = {{[EAR_SOURCED_DATA] = (int8_t) rows[i].value}};
        assert_string_equal(ear_status(&v), rows[i].status);
    }
    struct ear_vector worst = {{[EAR_INSTANCE_IDENTITY] = 99, [EAR_HARDWARE] = 2}};
    assert_string_equal(ear_status(&worst), "contraindicated");
}

static void test_ear_claim_from__names(void **state)
{
    for (int i = 0; i < EAR_CLAIM_COUNT; i++) {
        const char *name = ear_claim_name((enum ear_claim) i);
        assert_int_equal(ear_claim_from(name, strlen(name)), i);
        assert_int_equal(ear_claim_from(name, strlen(name) - 1), EAR_CLAIM_COUNT);
    }
    assert_int_equal(ear_claim_from("", 0), EAR_CLAIM_COUNT);
    assert_int_equal(ear_claim_from("Hardware", 8), EAR_CLAIM_COUNT);
}

static void test_ear_member_reserved__names(void **state)
{
    assert_true(ear_member_reserved("ear.status"));
    assert_true(ear_member_reserved("ear.veraison.annotated-evidence"));
    assert_false(ear_member_reserved("ear.trustee.identifiers"));
    assert_false(ear_member_reserved(""));
}

/* The payload of the recorded token, and what it was made from. Only who verified differs. */
static void test_ear_write__as_recorded(void **state)
{
    struct json_doc *doc = vector_json("kbs/new-attest-p256.json"), *answer = NULL, *body = NULL;
    assert_ok(json_parse(span_str(exchange_body(doc, "/attest", 0, "response")), &answer));
    assert_ok(json_parse(span_str(exchange_body(doc, "/attest", 0, "request")), &body));
    const char *token = json_string(json_get(json_root(answer), "token"));
    const char *from = strchr(token, '.') + 1;
    struct buf payload = BUF_INIT, bound = BUF_INIT, got = BUF_INIT, expected = BUF_INIT;
    assert_ok(b64url_decode(span_of(from, (size_t) (strchr(from, '.') - from)), &payload));

    struct json runtime = json_get(json_root(body), "runtime-data");
    struct json primary = json_pointer(json_root(body), "/tee-evidence/primary_evidence");
    assert_ok(report_data_text("", json_string(json_get(runtime, "nonce")),
                               json_get(runtime, "tee-pubkey"), &bound));
    struct ear_part part = {
        .tee = "sample", .device = "cpu", .report_data = json_string(json_get(primary,
                                                                              "report_data")),
        .runtime_claims = buf_span(&bound),
        .claims = SPAN_LIT("{\"debug\":false,\"launch_digest\":\"abcde\",\"platform_version\":"
                           "{\"major\":1,\"minor\":4},\"svn\":\"1\"}")};
    struct buf evidence = BUF_INIT;
    assert_ok(ear_write_evidence(&part, &evidence));
    struct ear_verdict verdict = {{{[EAR_EXECUTABLES] = 33, [EAR_HARDWARE] = 97,
                                    [EAR_CONFIGURATION] = 2}}, BUF_INIT};
    buf_add_str(&verdict.extensions, "\"ear.trustee.identifiers\":{\"validated\":{}}");
    struct ear_appraised appraised_part = {.device = "cpu", .policy_id = "default",
                                           .evidence = buf_span(&evidence), .verdict = &verdict};
    struct ear ear = {.issuer = "CoCo-Attestation-Service", .iat = 1795453633, .exp = 1795457233,
                      .parts = &appraised_part, .part_count = 1};
    assert_ok(ear_write(&ear, &got));

    static const char theirs[] = "{\"developer\":\"https://confidentialcontainers.org\","
                                 "\"build\":\"attestation-service 0.1.0\"}";
    static const char ours[] = "{\"developer\":\"Strongroom\",\"build\":\"strongroom "
                               STRONGROOM_VERSION "\"}";
    const char *text = buf_str(&payload), *at = strstr(text, theirs);
    assert_non_null(at);
    buf_add(&expected, text, (size_t) (at - text));
    buf_add_str(&expected, ours);
    buf_add_str(&expected, at + strlen(theirs));
    assert_string_equal(buf_str(&got), buf_str(&expected));

    ear_verdict_done(&verdict);
    buf_free(&evidence);
    buf_free(&expected);
    buf_free(&got);
    buf_free(&bound);
    buf_free(&payload);
    json_free(body);
    json_free(answer);
    json_free(doc);
}

static void test_ear_write__init_data_and_devices(void **state)
{
    struct ear_part parts[] = {
        {.tee = "sample", .device = "cpu", .report_data = "r", .claims = SPAN_LIT("{}"),
         .runtime_claims = SPAN_LIT("{\"nonce\":\"n\"}"), .init_data = "ZGln",
         .init_data_claims = SPAN_LIT("{\"a\":\"b\"}")},
        {.tee = "sampledevice", .device = "gpu", .report_data = "s", .claims = SPAN_LIT("{}"),
         .runtime_claims = SPAN_LIT("{}")},
        {.tee = "sampledevice", .device = "gpu", .number = 1, .report_data = "\"",
         .claims = SPAN_LIT("{}"), .runtime_claims = SPAN_LIT("{}")}};
    struct buf evidence[3] = {BUF_INIT, BUF_INIT, BUF_INIT};
    struct ear_verdict verdict = {0};
    struct ear_appraised found[3];
    for (size_t i = 0; i < 3; i++) {
        assert_ok(ear_write_evidence(&parts[i], &evidence[i]));
        found[i] = (struct ear_appraised){parts[i].device, parts[i].number, "default",
                                          buf_span(&evidence[i]), &verdict};
    }
    struct ear ear = {.issuer = "i", .iat = 1, .exp = 2, .parts = found, .part_count = 3};
    struct buf got = BUF_INIT;
    struct json_doc *doc = NULL;
    assert_ok(ear_write(&ear, &got));
    assert_ok(json_parse(buf_span(&got), &doc));
    struct json subs = json_get(json_root(doc), "submods");
    assert_int_equal(json_count(subs), 3);
    struct json cpu = json_pointer(subs, "/cpu0/ear.veraison.annotated-evidence");
    assert_string_equal(json_string(json_get(cpu, "init_data")), "ZGln");
    assert_span(json_text(json_get(cpu, "init_data_claims")), "{\"a\":\"b\"}");
    struct json gpu = json_pointer(subs, "/gpu1/ear.veraison.annotated-evidence");
    assert_string_equal(json_string(json_get(gpu, "report_data")), "\"");
    assert_false(json_present(json_get(gpu, "init_data")));
    assert_false(json_present(json_pointer(subs, "/gpu0/ear.trustee.identifiers")));
    assert_string_equal(json_string(json_pointer(subs, "/gpu1/ear.status")), "none");
    for (size_t i = 0; i < 3; i++) buf_free(&evidence[i]);
    json_free(doc);
    buf_free(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ear_status__tiers),
        cmocka_unit_test(test_ear_claim_from__names),
        cmocka_unit_test(test_ear_member_reserved__names),
        cmocka_unit_test(test_ear_write__as_recorded),
        cmocka_unit_test(test_ear_write__init_data_and_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

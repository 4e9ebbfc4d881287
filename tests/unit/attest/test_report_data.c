#include "broker/attest/report_data.h"
#include "broker/attest/request.h"
#include "tests/lib/vectors.h"
#include "tests/unit/attest/kit.h"

static void text_of(const char *additional, const char *key, struct buf *ret)
{
    struct json_doc *doc = NULL;
    buf_reset(ret);
    assert_ok(json_parse(span_str(key), &doc));
    assert_ok(report_data_text(additional, NONCE_A, json_root(doc), ret));
    json_free(doc);
}

#define CANONICAL_KEY                                                                          \
    "{\"alg\":\"ECDH-ES+A256KW\",\"crv\":\"P-256\",\"kty\":\"EC\","                            \
    "\"x\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\","                                    \
    "\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\"}"
#define DEVICE_MEMBERS "\"nonce\":\"" NONCE_A "\",\"tee-pubkey\":" CANONICAL_KEY "}"

/* kbs-api.md A.2, both texts and both digests. */
static void test_report_data_text__vectors(void **state)
{
    struct buf text = BUF_INIT, bound = BUF_INIT;
    text_of(NULL, KEY_A, &text);
    assert_span(buf_span(&text), "{" DEVICE_MEMBERS);
    text_of("", KEY_A, &text);
    assert_span(buf_span(&text), "{\"additional-evidence\":\"\"," DEVICE_MEMBERS);
    binding("", NONCE_A, KEY_A, DIGEST_SHA384, &bound);
    assert_span(buf_span(&bound),
                "1ZxcoTxV34ay/Ezpg66PJtAKEILzrPJtewd8SnomTkS0sfjM6XgBz7ogLjGX0FPv");
    buf_reset(&bound);
    binding(NULL, NONCE_A, KEY_A, DIGEST_SHA384, &bound);
    assert_span(buf_span(&bound),
                "qinaRwejakzbES9bpiLI0IRDsxH9OYXrGXcRyPo9tpX7xMDQXshn9B5lZJCu5RIN");
    buf_free(&bound);
    buf_free(&text);
}

static void test_report_data_text__unknown_members_are_dropped(void **state)
{
    struct buf text = BUF_INIT;
    text_of(NULL, "{\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\",\"kid\":\"x\","
            "\"x\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\",\"use\":\"enc\","
            "\"alg\":\"ECDH-ES+A256KW\",\"crv\":\"P-256\",\"kty\":\"EC\"}", &text);
    assert_span(buf_span(&text), "{" DEVICE_MEMBERS);
    buf_free(&text);
}

/* RFC 8785 3.2.2.2: the text inside the string is escaped minimally. */
static void test_report_data_text__escapes(void **state)
{
    struct buf text = BUF_INIT;
    text_of("{\"a\":\"\\u00e9/\n\"}\x01", KEY_A, &text);
    assert_span(buf_span(&text), "{\"additional-evidence\":\"{\\\"a\\\":\\\"\\\\u00e9/\\n\\\"}"
                "\\u0001\"," DEVICE_MEMBERS);
    buf_free(&text);
}

static void test_report_data_text__no_key(void **state)
{
    static const char *const keys[] = {"{}", "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AA\"}",
                                       "{\"kty\":\"EC\",\"crv\":\"P-256\"}"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct json_doc *doc = NULL;
        struct buf text = BUF_INIT;
        assert_ok(json_parse(span_str(keys[i]), &doc));
        struct err e = report_data_text("", "n", json_root(doc), &text);
        assert_false(err_ok(e));
        buf_free(&text);
        json_free(doc);
    }
}

/* What real clients bound their evidence to, P-256, P-521 and RSA, both generations. */
static void check_recorded(const char *file)
{
    struct json_doc *doc = vector_json(file);
    size_t n = 0;
    const char *body = NULL;
    for (; (body = exchange_body(doc, "/attest", n, "request")); n++) {
        struct attestation t = {0};
        struct buf text = BUF_INIT, got = BUF_INIT;
        struct digest d = {0};
        assert_ok(attestation_parse(span_str(body), &t));
        assert_ok(report_data_text(t.additional, t.nonce, t.tee_pubkey, &text));
        assert_ok(digest_compute(DIGEST_SHA384, buf_span(&text), &d));
        b64_add(&got, digest_span(&d));
        assert_string_equal(buf_str(&got), json_string(json_get(t.primary, "report_data")));
        buf_free(&got);
        buf_free(&text);
        attestation_done(&t);
    }
    assert_true(n > 0);
    json_free(doc);
}

static void test_report_data_text__recorded(void **state)
{
    static const char *const files[] = {
        "kbs/new-attest-p256.json", "kbs/new-get-p256.json", "kbs/new-get-p521.json",
        "kbs/new-get-rsa.json",     "kbs/new-get-denied.json", "kbs/new-get-missing.json",
        "kbs/old-get-p256.json",    "kbs/old-get-rsa.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) check_recorded(files[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report_data_text__vectors),
        cmocka_unit_test(test_report_data_text__unknown_members_are_dropped),
        cmocka_unit_test(test_report_data_text__escapes),
        cmocka_unit_test(test_report_data_text__no_key),
        cmocka_unit_test(test_report_data_text__recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "broker/attest/guest.h"
#include "tests/lib/claims.h"
#include "tests/unit/attest/mint.h"

static struct guest *guest_of(const char *claims, const struct guest_rules *rules)
{
    static const struct guest_rules none = {0};
    struct json_doc *doc = NULL;
    struct guest *g = NULL;
    struct digest d = {0};
    assert_ok(json_parse(span_str(claims), &doc));
    assert_ok(digest_compute(DIGEST_SHA256, SPAN_LIT("abc"), &d));
    struct guest_token t = {.text = SPAN_LIT("abc"), .sha256 = &d, .payload = span_str(claims),
                            .claims = json_root(doc), .exp = NOON};
    assert_ok(guest_new(&t, rules ? rules : &none, &g));
    json_free(doc);
    return g;
}

/* The guest's key is this one; NULL: there is none, with this class. */
static void key_is(const char *claims, const struct guest_rules *rules, const char *key,
                   enum err_class code)
{
    struct guest *g = guest_of(claims, rules);
    const struct jwe_key *found = NULL;
    if (!key) {
        assert_fails(guest_key(g, &found), code);
        assert_false(guest_holds_key(g, SPAN_LIT("")));
    } else {
        struct json_doc *doc = NULL;
        struct buf canonical = BUF_INIT;
        struct json_out o = JSON_OUT(&canonical);
        assert_ok(json_parse(span_str(key), &doc));
        assert_ok(jwe_tee_key_canonical(json_root(doc), &o));
        assert_ok(guest_key(g, &found));
        assert_non_null(found);
        assert_true(guest_holds_key(g, buf_span(&canonical)));
        buf_free(&canonical);
        json_free(doc);
    }
    guest_unref(g);
}

#define CPU0(key)                                                                              \
    "\"submods\":{\"cpu0\":{\"ear.veraison.annotated-evidence\":"                              \
    "{\"runtime_data_claims\":{\"tee-pubkey\":" key "}}}}"

static void test_guest_key__places(void **state)
{
    key_is("{" CPU0(KEY_A) "}", NULL, KEY_A, 0);
    key_is("{\"tee-pubkey\":" KEY_A "}", NULL, KEY_A, 0);
    key_is("{\"customized_claims\":{\"runtime_data\":{\"tee-pubkey\":" KEY_A "}}}", NULL, KEY_A, 0);
    key_is("{\"tdx\":{\"attester_user_data\":{\"tee-pubkey\":" KEY_A "}}}", NULL, KEY_A, 0);
    key_is("{\"tdx\":{\"attester_runtime_data\":{\"tee-pubkey\":" KEY_A "}}}", NULL, KEY_A, 0);
    key_is("{\"elsewhere\":" KEY_A "}", NULL, NULL, ERR_AUTH);
    key_is("{}", NULL, NULL, ERR_AUTH);
}

/* kbs-api.md 4.5: the first that exists decides, even when it is no key. */
static void test_guest_key__order(void **state)
{
    key_is("{\"tee-pubkey\":" KEY_B "," CPU0(KEY_A) "}", NULL, KEY_A, 0);
    key_is("{\"customized_claims\":{\"runtime_data\":{\"tee-pubkey\":\"x\"}}," CPU0(KEY_A) "}",
           NULL, NULL, ERR_AUTH);
    key_is("{\"tdx\":{\"attester_user_data\":{\"tee-pubkey\":null}}," CPU0(KEY_A) "}",
           NULL, NULL, ERR_AUTH);
    static const char *const extra[] = {"/none", "/mine/a~1b", "/tee-pubkey"};
    struct guest_rules rules = {.extra_paths = extra, .extra_path_count = 3};
    key_is("{\"mine\":{\"a/b\":" KEY_B "}," CPU0(KEY_A) "}", &rules, KEY_B, 0);
    key_is("{" CPU0(KEY_A) "}", &rules, KEY_A, 0);
}

static void test_guest_key__unsupported(void **state)
{
    key_is("{\"tee-pubkey\":{\"kty\":\"OKP\",\"crv\":\"X25519\",\"alg\":\"x\",\"x\":\"AA\"}}", NULL,
           NULL, ERR_CRYPTO);
    key_is("{\"tee-pubkey\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ECDH-ES+A256KW\","
           "\"x\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\","
           "\"y\":\"-eSu95cIKRZIxWOdABuF4nwKVDUQYGkI0ah9_ubPf0k\"}}", NULL, NULL, ERR_CRYPTO);
}

static void test_guest__what_it_says(void **state)
{
    struct guest *g = guest_of("{\"submods\":{\"cpu0\":{\"ear.veraison.annotated-evidence\":"
                               "{\"report_data\":\"\",\"tdx\":{}}}}}", NULL);
    assert_string_equal(guest_fingerprint(g), "ba7816bf8f01cfea"); /* SHA-256 of "abc" */
    assert_string_equal(guest_tee(g), "tdx");
    assert_span(guest_token_text(g), "abc");
    struct buf text = BUF_INIT;
    claims_text(g, &text);
    assert_string_equal(buf_str(&text), "{\"submods\":{\"cpu0\":{\"ear.veraison.annotated-evidence\":"
                                        "{\"report_data\":\"\",\"tdx\":{}}}}}");
    buf_free(&text);
    assert_false(guest_expired(g, NOON + TOKEN_LEEWAY_SECONDS));
    assert_true(guest_expired(g, NOON + TOKEN_LEEWAY_SECONDS + 1));
    guest_ref(g);
    guest_unref(g);
    assert_string_equal(guest_tee(g), "tdx"); /* still there */
    guest_unref(g);
    guest_unref(NULL);
    g = guest_of("{\"submods\":[]}", NULL);
    assert_string_equal(guest_tee(g), "");
    guest_unref(g);
}

/* A token may be as long as JOSE_MAX_TOKEN, and yet hold more values than anybody wants to keep. */
static void test_guest_new__claims_too_large(void **state)
{
    static char claims[120000];
    struct guest_rules rules = {0};
    struct json_doc *doc = NULL;
    struct guest *g = NULL;
    struct digest d = {.len = 32};
    size_t n = (size_t) snprintf(claims, sizeof claims, "{\"a\":[-1");
    while (n < JOSE_MAX_TOKEN / 4 * 3) n += (size_t) snprintf(claims + n, sizeof claims - n, ",[[[[-1]]]]");
    snprintf(claims + n, sizeof claims - n, "]}");
    assert_ok(json_parse(span_str(claims), &doc));
    struct guest_token t = {.text = SPAN_LIT("t"), .sha256 = &d, .payload = span_str(claims),
                            .claims = json_root(doc), .exp = NOON};
    struct err e = guest_new(&t, &rules, &g);
    json_free(doc);
    assert_fails_with(e, ERR_USAGE, "the claims are too large");
}

static void test_guest_bytes__grows_with_the_token(void **state)
{
    struct guest *small = guest_of("{}", NULL), *large = guest_of("{\"a\":[-1,-2,-3,-4,-5,-6,-7,-8]}", NULL);
    size_t a = guest_bytes(small), b = guest_bytes(large);
    guest_unref(small);
    guest_unref(large);
    assert_true(a >= GUEST_FIXED_BYTES && a < 2 * GUEST_FIXED_BYTES);
    assert_true(b > a + 8 * 32 && b < a + 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guest_key__places),
        cmocka_unit_test(test_guest_key__order),
        cmocka_unit_test(test_guest_key__unsupported),
        cmocka_unit_test(test_guest__what_it_says),
        cmocka_unit_test(test_guest_new__claims_too_large),
        cmocka_unit_test(test_guest_bytes__grows_with_the_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

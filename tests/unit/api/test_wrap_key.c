#include "tests/unit/api/kit.h"

#include "tests/lib/vectors.h"

#define TARGET "/kbs/v0/pkcs11/wrap-key"
#define ALLOW_WRAP "package policy\n\ndefault allow := false\n\nallow if {\n" \
                   "\tdata.plugin == \"pkcs11\"\n\tdata[\"resource-path\"] == [\"wrap-key\"]\n}\n"
#define NOT_FOR_THIS_KEY "this was not wrapped for this key"

static struct buf wrapped;

/* A token with a KEK and the pair of the default label. */
static int group(void **state)
{
    struct p11_pair_info pair = {0};
    if (kit_token_faults(state)) return -1;
    assert_ok(p11_pair_create(kit.token, KIT_WRAP_LABEL, P11_PAIR_RSA, 2048, &pair));
    p11_pair_info_done(&pair);
    return 0;
}

static int teardown(void **state)
{
    if (softhsm_fault_module()) softhsm_fault(&kit.hsm, "");
    buf_free(&wrapped);
    return kit_teardown(state);
}

static void wrap(struct span plain)
{
    assert_int_equal(ASK("POST", TARGET, .local = true, .body = plain), 200);
    buf_reset(&wrapped);
    buf_add_span(&wrapped, buf_span(&response()->body));
}

static int unwrap(struct span body)
{
    return ASK("GET", TARGET, HEADERS(kit.cookie), .body = body);
}

static void prepare(const char *policy)
{
    wrap(SPAN_LIT("a disk key"));
    assert_int_equal(set_policy(policy), 200);
    guest_attest();
}

static void test_post__raw_bytes(void **state)
{
    wrap(SPAN_LIT("a disk key"));
    assert_string_equal(response()->content_type, "text/xml");
    assert_int_equal(response()->body.len, 256);
    check_record("wrap", "done", "");
    assert_string_equal(audit_text("resource"), "wrap-key");
    assert_int_equal(metric_now("strongroom_wraps_total"), 1);
    assert_int_equal(metric_now("kbs_resource_writes_total"), 0);
}

static void test_get__is_released_to_the_guest(void **state)
{
    prepare(ALLOW_WRAP);
    unwrap(buf_span(&wrapped));
    check_released("a disk key");
    check_record("unwrap", "allow", "allow is true");
    assert_string_equal(audit_text("resource"), "wrap-key");
    assert_true(audit_text("policy")[0] != '\0');
    assert_int_equal(metric_now("strongroom_unwraps_total"), 1);
    assert_int_equal(metric_now("strongroom_releases_total"), 0);
}

static void test_round_trips__every_size_and_both_hashes(void **state)
{
    static const uint8_t bytes[256] = {1, 0, 2};
    static const size_t SIZES[] = {0, 1, 32, 190, 214};
    for (int sha1 = 0; sha1 < 2; sha1++) {
        kit_open((struct kit_options){.wrap_sha1 = sha1});
        prepare(ALLOW_WRAP);
        for (size_t i = 0; i < (sha1 ? 5u : 4u); i++) {
            wrap(span_of(bytes, SIZES[i]));
            assert_int_equal(unwrap(buf_span(&wrapped)), 200);
            secret_free(TAKE_PTR(kit.opened));
            assert_ok(jwe_decrypt(kit.guest_key, buf_span(&response()->body), &kit.opened));
            assert_true(secret_equal(secret_span(kit.opened), span_of(bytes, SIZES[i])));
        }
    }
}

static void test_workers__serve_it_too(void **state)
{
    kit_open((struct kit_options){.workers = 2});
    prepare(ALLOW_WRAP);
    unwrap(buf_span(&wrapped));
    check_released("a disk key");
}

/* ---- limits -------------------------------------------------------------------------------- */

static void test_post__more_than_a_block(void **state)
{
    static const uint8_t bytes[WRAP_BODY_MAX + 1];
    ASK("POST", TARGET, .local = true, .body = span_of(bytes, 191));
    check_error(413, "PayloadTooLarge", "190 bytes fit into one block of this key, not 191: wrap a "
                "key, and encrypt the rest with it");
    check_record("wrap", "error", "too-large");
    assert_int_equal(ASK("POST", TARGET, .local = true, .body = span_of(bytes, WRAP_BODY_MAX)), 413);
    check_record("wrap", "error", "too-large");
    ASK("POST", TARGET, .local = true, .body = span_of(bytes, sizeof bytes));
    check_error(413, "PayloadTooLarge", "payload reached size limit");
}

static void test_get__wrong_length(void **state)
{
    static const uint8_t bytes[WRAP_BODY_MAX + 1];
    static const size_t SIZES[] = {0, 1, 255, 257, WRAP_BODY_MAX};
    prepare(ALLOW_WRAP);
    for (size_t i = 0; i < COUNT(SIZES); i++) {
        char detail[80];
        unwrap(span_of(bytes, SIZES[i]));
        snprintf(detail, sizeof detail, "what is wrapped with this key has 256 bytes, not %zu",
                 SIZES[i]);
        check_error(400, "PluginInternalError", detail);
        check_record("unwrap", "error", "usage");
    }
    unwrap(span_of(bytes, sizeof bytes));
    check_error(413, "PayloadTooLarge", "payload reached size limit");
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void test_get__what_does_not_open_is_one_answer(void **state)
{
    uint8_t zero[256] = {0}, ones[256];
    memset(ones, 0xff, sizeof ones);
    for (int sha1 = 0; sha1 < 2; sha1++) {
        kit_open((struct kit_options){.wrap_sha1 = !sha1});
        wrap(SPAN_LIT("another hash"));
        struct buf other = wrapped;
        wrapped = BUF_INIT;
        kit_open((struct kit_options){.wrap_sha1 = sha1});
        prepare(ALLOW_WRAP);
        wrapped.data[255] ^= 1;
        struct span bad[] = {span_of(zero, 256), span_of(ones, 256), buf_span(&wrapped),
                             buf_span(&other)};
        for (size_t i = 0; i < COUNT(bad); i++) {
            unwrap(bad[i]);
            check_error(400, "PluginInternalError", NOT_FOR_THIS_KEY);
            check_record("unwrap", "error", "crypto");
        }
        assert_int_equal(metric_now("strongroom_unwraps_total"), 0);
        assert_int_equal(metric_now("strongroom_failures_total"), 0);
        buf_free(&other);
    }
    kit_open((struct kit_options){.reference = true});
    prepare(ALLOW_WRAP);
    unwrap(span_of(zero, 256));
    check_error(401, "PluginInternalError", NOT_FOR_THIS_KEY);
}

static const char *stock_allow_all(struct json_doc *doc)
{
    const char *body = exchange_body(doc, "/kbs/v0/resource-policy", 0, "request");
    assert_non_null(body);
    return body;
}

/* The reference's own allow-all allows plugin "resource" alone (kbs-api.md 15.13). */
static void test_get__stock_allow_all_denies(void **state)
{
    struct json_doc *doc = vector_json("kbs/new-admin-policy-allow.json");
    prepare(ALLOW_WRAP);
    put("a/b/c", "value");
    int status = ASK("POST", "/kbs/v0/resource-policy", .local = true, BODY(stock_allow_all(doc)));
    json_free(doc);
    assert_int_equal(status, 200);
    guest_get("/kbs/v0/resource/a/b/c");
    check_released("value");
    unwrap(buf_span(&wrapped));
    check_error(403, "PolicyDeny", "Access denied by policy");
    check_record("unwrap", "deny", NULL);
    guest_get("/kbs/v0/pkcs11/resource/a/b/c");
    check_error(403, "PolicyDeny", NULL);
}

static void test_get__order_of_refusals(void **state)
{
    prepare(ALLOW_WRAP);
    ASK("GET", TARGET, .body = buf_span(&wrapped));
    check_error(401, "TokenNotFound", NULL);
    ASK("GET", TARGET, HEADERS("Authorization: Bearer x"), .body = buf_span(&wrapped));
    check_error(401, "TokenVerifierError", NULL);
    ASK("GET", TARGET "/below", HEADERS(kit.cookie));
    check_error(403, "PolicyDeny", NULL); /* the policy sees the whole path */
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    ASK("GET", TARGET "/below", HEADERS(kit.cookie));
    check_error(400, "InvalidRequestPath", "there is nothing below pkcs11/wrap-key");
    check_record("unwrap", "error", "no such path");
    ASK("POST", TARGET "/", .local = true);
    check_error(400, "InvalidRequestPath", NULL);
    check_record("wrap", "error", "no such path");
    assert_int_equal(set_policy(POLICY_DENY_ALL_TEXT), 200);
    unwrap(buf_span(&wrapped));
    check_error(403, "PolicyDeny", NULL);
}

static void test_post__operators_by_the_acl(void **state)
{
    static const struct admin_acl acls[] = {{"wrapper", "^/kbs/v0/pkcs11/wrap-key$", "POST"},
                                            {"writer", "^/kbs/v0/resource/.*$", NULL}};
    kit_open((struct kit_options){.acls = acls, .acl_count = COUNT(acls)});
    ASK("POST", TARGET, BODY("x"));
    check_error(401, "AdminAuthInitialization", NULL);
    assert_int_equal(ASK("POST", TARGET, HEADERS(operator_bearer("wrapper")), BODY("x")), 200);
    assert_string_equal(audit_text("principal"), "admin:wrapper:alice");
    ASK("POST", TARGET, HEADERS(operator_bearer("writer")), BODY("x"));
    check_error(403, "AdminAuthInitialization", NULL);
    guest_attest();
    ASK("POST", TARGET, HEADERS(kit.cookie), BODY("x"));
    check_error(401, "AdminAuthInitialization", NULL);
}

static void test_methods__others(void **state)
{
    guest_attest();
    assert_int_equal(ASK("PUT", TARGET), 401);
    assert_int_equal(ASK("PUT", TARGET, HEADERS(kit.cookie)), 405);
    assert_string_equal(header("Allow"), "GET, POST");
    assert_int_equal(ASK("DELETE", TARGET), 401);
    assert_int_equal(ASK("DELETE", TARGET, .local = true), 405);
    assert_string_equal(header("Allow"), "GET, POST");
    assert_int_equal(ASK("HEAD", TARGET), 405);
}

/* Names of resources stay what they are. */
static void test_names__are_not_confused(void **state)
{
    prepare(POLICY_ALLOW_ALL_TEXT);
    put("wrap-key/b/c", "value");
    guest_get("/kbs/v0/pkcs11/resource/wrap-key/b/c");
    check_released("value");
    ASK("GET", "/kbs/v0/resource/wrap-key", HEADERS(kit.cookie));
    check_error(400, "InvalidRequestPath", NULL);
    ASK("GET", "/kbs/v0/pkcs11/wrap%2Dkey", HEADERS(kit.cookie), .body = buf_span(&wrapped));
    check_released("a disk key");
    ASK("GET", "/kbs/v0/pkcs11/wrap-keys", HEADERS(kit.cookie));
    check_error(400, "InvalidRequestPath", NULL);
}

static void test_missing__says_what_to_run(void **state)
{
    struct p11_pair_config config = {"no such pair", P11_PAIR_RSA, false};
    prepare(ALLOW_WRAP);
    struct p11_pair *mine = kit.api->config.wrap_key;
    assert_ok(p11_pair_new(kit.token, &config, &kit.api->config.wrap_key));
    ASK("POST", TARGET, .local = true, BODY("x"));
    check_error(404, "ResourceNotFound", NULL);
    assert_non_null(strstr(text_at("/detail"), "strongroom token keypair create --type rsa --label "
                                               "'no such pair'"));
    check_record("wrap", "missing", "not-found");
    unwrap(buf_span(&wrapped));
    check_error(404, "ResourceNotFound", NULL);
    assert_non_null(strstr(text_at("/detail"), "strongroom token keypair create"));
    assert_null(strstr(text_at("/detail"), "no such pair"));
    check_record("unwrap", "missing", "not-found");
    p11_pair_free(kit.api->config.wrap_key);
    kit.api->config.wrap_key = mine;
}

/* ---- faults -------------------------------------------------------------------------------- */

static void test_faults__are_told_as_such_and_end(void **state)
{
    static const struct { const char *rules; int status; const char *variant; } rows[] = {
        {"C_Decrypt rv=0x30", 503, "Unavailable"}, {"C_DecryptInit rv=0x32", 503, "Unavailable"},
        {"C_Decrypt rv=0x5", 503, "Unavailable"}, {"C_DecryptInit rv=0x70", 500, "PluginInternalError"},
        {"C_Decrypt rv=0x31", 503, "Unavailable"},
    };
    prepare(ALLOW_WRAP);
    unwrap(buf_span(&wrapped));
    check_released("a disk key");
    for (size_t i = 0; i < COUNT(rows); i++) {
        kit_faults(rows[i].rules);
        unwrap(buf_span(&wrapped));
        check_error(rows[i].status, rows[i].variant, NULL);
        if (rows[i].status == 503) assert_string_equal(header("Retry-After"), "1");
        check_record("unwrap", "error", NULL);
        kit_faults("");
        unwrap(buf_span(&wrapped));
        check_released("a disk key");
    }
}

static void test_audit__no_record_no_release(void **state)
{
    prepare(ALLOW_WRAP);
    audit_break();
    unwrap(buf_span(&wrapped));
    check_error(503, "Unavailable", NULL);
    ASK("POST", TARGET, .local = true, BODY("x"));
    check_error(503, "Unavailable", NULL);
    audit_heal();
    unwrap(buf_span(&wrapped));
    check_released("a disk key");
}

#define WRAP_TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WRAP_TEST(test_post__raw_bytes),
        WRAP_TEST(test_get__is_released_to_the_guest),
        WRAP_TEST(test_round_trips__every_size_and_both_hashes),
        WRAP_TEST(test_workers__serve_it_too),
        WRAP_TEST(test_post__more_than_a_block),
        WRAP_TEST(test_get__wrong_length),
        WRAP_TEST(test_get__what_does_not_open_is_one_answer),
        WRAP_TEST(test_get__stock_allow_all_denies),
        WRAP_TEST(test_get__order_of_refusals),
        WRAP_TEST(test_post__operators_by_the_acl),
        WRAP_TEST(test_methods__others),
        WRAP_TEST(test_names__are_not_confused),
        WRAP_TEST(test_missing__says_what_to_run),
        WRAP_TEST(test_faults__are_told_as_such_and_end),
        WRAP_TEST(test_audit__no_record_no_release),
    };
    return cmocka_run_group_tests(tests, group, kit_token_end);
}

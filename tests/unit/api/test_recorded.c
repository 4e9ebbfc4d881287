/* What real clients of two generations sent (tests/vectors/kbs), sent to our endpoints. */
#include "tests/unit/api/kit.h"

#include "tests/lib/vectors.h"

#define HEADS_MAX 7 /* of a recorded request; more are left out by no client */

/* One recorded exchange: its request as an ask, its answer to compare with. */
struct recorded {
    struct buf heads[HEADS_MAX], body;
    struct ask ask;
    struct json response;
};

static struct json_doc *file;
static struct recorded now;

static void forget(void)
{
    for (size_t i = 0; i < HEADS_MAX; i++) buf_free(&now.heads[i]);
    buf_free(&now.body);
    now = (struct recorded){0};
}

static void open_file(const char *name)
{
    char path[80];
    forget();
    json_free(TAKE_PTR(file));
    snprintf(path, sizeof path, "kbs/%s.json", name);
    file = vector_json(path);
}

static int end(void **state)
{
    forget();
    json_free(TAKE_PTR(file));
    return kit_teardown(state);
}

/* Fills `now` with the n-th exchange; false when there are not so many. A cookie of the recorded server is
 * replaced by ours. */
static bool load(size_t n)
{
    struct json x = json_first(json_root(file));
    forget();
    while (n-- && json_present(x)) x = json_next(x);
    if (!json_present(x)) return false;
    struct json request = json_get(x, "request");
    const char *body = json_string(json_get(request, "body"));
    const char *binary = json_string(json_get(request, "body_b64"));
    if (body) buf_add_str(&now.body, body);
    if (binary) assert_ok(b64_decode(span_str(binary), &now.body));
    size_t count = 0;
    for (struct json h = json_first(json_get(request, "headers")); json_present(h); h = json_next(h)) {
        const char *name = json_string(json_first(h)), *value = json_string(json_next(json_first(h)));
        assert_true(count < HEADS_MAX);
        if (strcmp(name, "cookie") == 0) buf_add_str(&now.heads[count], kit.cookie);
        else buf_addf(&now.heads[count], "%s: %s", name, value);
        now.ask.headers[count] = buf_str(&now.heads[count]);
        count++;
    }
    now.ask.method = json_string(json_get(request, "method"));
    now.ask.target = json_string(json_get(request, "target"));
    now.ask.body = buf_span(&now.body);
    now.response = json_get(x, "response");
    return true;
}

/* Our answer has the recorded status and body. */
static void check_as_recorded(void)
{
    int64_t status = 0;
    const char *body = json_string(json_get(now.response, "body"));
    assert_true(json_int(json_get(now.response, "status"), &status));
    assert_int_equal(kit_ask(now.ask), status);
    assert_string_equal(response_text(), body);
}

/* ---- guests ------------------------------------------------------------------------------- */

static void replace(struct buf *text, const char *old, const char *new)
{
    struct buf out = BUF_INIT;
    const char *at = strstr(buf_str(text), old);
    assert_non_null(at);
    buf_addf(&out, "%.*s%s%s", (int) (at - buf_str(text)), buf_str(text), new, at + strlen(old));
    assert_ok(buf_ok(&out));
    buf_free(text);
    *text = out;
}

/* The recorded body for another nonce: nothing else of what the client wrote changes. */
static void rebind(const char *nonce)
{
    struct json_doc *doc = NULL;
    struct buf bound = BUF_INIT, key = BUF_INIT;
    assert_ok(json_parse(buf_span(&now.body), &doc));
    buf_add_span(&key, json_text(json_pointer(json_root(doc), "/runtime-data/tee-pubkey")));
    binding("", nonce, buf_str(&key), DIGEST_SHA384, &bound);
    replace(&now.body, json_string(json_pointer(json_root(doc), "/runtime-data/nonce")), nonce);
    replace(&now.body,
            json_string(json_pointer(json_root(doc), "/tee-evidence/primary_evidence/report_data")),
            buf_str(&bound));
    now.ask.body = buf_span(&now.body);
    buf_free(&bound);
    buf_free(&key);
    json_free(doc);
}

static void read_key(const char *name)
{
    char path[80];
    struct buf pem = BUF_INIT;
    snprintf(path, sizeof path, "kbs/keys/guest-%s.pem", name);
    vector_read(path, &pem);
    assert_ok(key_from_pem(buf_span(&pem), &kit.guest_key));
    buf_free(&pem);
}

static void check_value(const char *name)
{
    struct buf text = BUF_INIT, value = BUF_INIT;
    vector_read(name, &text);
    while (text.len && text.data[text.len - 1] == '\n') text.len--;
    assert_ok(b64_decode(buf_span(&text), &value));
    assert_ok(jwe_decrypt(kit.guest_key, buf_span(&response()->body), &kit.opened));
    assert_int_equal(secret_len(kit.opened), value.len);
    assert_memory_equal(secret_data(kit.opened), value.data, value.len);
    buf_free(&text);
    buf_free(&value);
}

/* GET, auth, attest, GET, as the client did it; the nonce is ours, and so are the cookie and the token. */
static void test_guests__whole_journeys(void **state)
{
    static const struct { const char *file, *key; } rows[] = {
        {"new-get-p256", "p256"}, {"new-get-p521", "p521"}, {"new-get-rsa", "rsa2048"},
        {"old-get-p256", "p256"}, {"old-get-rsa", "rsa2048"},
    };
    struct buf value = BUF_INIT, raw = BUF_INIT;
    vector_read("kbs/value-a-b-c.b64", &value);
    while (value.len && value.data[value.len - 1] == '\n') value.len--;
    assert_ok(b64_decode(buf_span(&value), &raw));
    for (size_t i = 0; i < COUNT(rows); i++) {
        kit_setup(state);
        assert_int_equal(ASK("POST", "/kbs/v0/resource/a/b/c", .local = true, .body = buf_span(&raw)),
                         200);
        assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
        read_key(rows[i].key);
        open_file(rows[i].file);
        assert_true(load(0));
        check_as_recorded(); /* 401, to the byte */
        assert_true(load(1));
        assert_int_equal(kit_ask(now.ask), 200);
        assert_int_equal(json_count(member("")), 2);
        snprintf(kit.cookie, sizeof kit.cookie, "Cookie: %.*s",
                 (int) strcspn(header("Set-Cookie"), ";"), header("Set-Cookie"));
        char nonce[64];
        snprintf(nonce, sizeof nonce, "%s", text_at("/nonce"));
        assert_true(load(2));
        assert_int_equal(kit_ask(now.ask), 401); /* evidence for another nonce */
        rebind(nonce);
        assert_int_equal(kit_ask(now.ask), 200);
        assert_int_equal(json_count(member("")), 1);
        assert_true(load(3));
        assert_int_equal(kit_ask(now.ask), 200);
        assert_int_equal(json_count(member("")), 5); /* what the client wants, and no aad */
        check_value("kbs/value-a-b-c.b64");
        assert_false(load(4));
    }
    buf_free(&value);
    buf_free(&raw);
}

/* The client's three rounds end after one here; with the reference's statuses they go on, to the byte. */
static void test_guests__missing_and_denied(void **state)
{
    static const struct { const char *file, *policy, *variant; int truthful; } rows[] = {
        {"new-get-missing", POLICY_ALLOW_ALL_TEXT, "ResourceNotFound", 404},
        {"new-get-denied", POLICY_DENY_ALL_TEXT, "PolicyDeny", 403},
    };
    for (size_t i = 0; i < COUNT(rows) * 2; i++) {
        bool reference = i % 2;
        kit_setup(state);
        kit_open((struct kit_options){.reference = reference});
        assert_int_equal(set_policy(rows[i / 2].policy), 200);
        guest_attest();
        open_file(rows[i / 2].file);
        assert_true(load(3));
        if (reference) check_as_recorded();
        else {
            kit_ask(now.ask);
            check_error(rows[i / 2].truthful, rows[i / 2].variant, NULL);
        }
    }
}

/* ---- operators ---------------------------------------------------------------------------- */

static void open_for_operators(bool old_ones)
{
    char es256[512], ed25519[512];
    const struct admin_provider providers[] = {
        {.issuer = "issuer", .audience = "kbs",
         .public_key_uri = vector_path("kbs/keys/admin-es256.pub", es256)},
        {.public_key_uri = vector_path("kbs/keys/admin-ed25519.pub", ed25519),
         .default_role = old_ones ? "admin" : NULL}};
    kit_open((struct kit_options){.providers = providers, .provider_count = 2});
    clock_test_set(RECORDED_AT);
}

/* Of present clients: 200 and the recorded body, which is empty but for the reference value. */
static void test_operators__present_clients(void **state)
{
    static const char *const files[] = {
        "new-admin-refval", "new-admin-getref", "new-admin-attpol", "new-admin-policy-default",
        "new-admin-policy-deny", "new-admin-policy-affirming", "new-admin-policy-allow",
        "new-admin-set", "new-admin-delete",
    };
    open_for_operators(false);
    for (size_t i = 0; i < COUNT(files); i++) {
        open_file(files[i]);
        assert_true(load(0));
        check_as_recorded();
        assert_false(load(1));
    }
}

/* Of old clients: what the present reference refuses works here when it is configured to. */
static void test_operators__old_clients(void **state)
{
    static const char *const files[] = {
        "old-admin-policy-deny-all", "old-admin-policy-affirming", "old-admin-policy-default",
        "old-admin-policy-allow-all", "old-admin-set",
    };
    for (int old_ones = 0; old_ones < 2; old_ones++) {
        open_for_operators(old_ones);
        for (size_t i = 0; i < COUNT(files); i++) {
            open_file(files[i]);
            assert_true(load(0));
            assert_int_equal(kit_ask(now.ask), old_ones ? 200 : 401);
            if (old_ones) assert_string_equal(response_text(), "");
        }
    }
    struct buf value = BUF_INIT, raw = BUF_INIT;
    vector_read("kbs/value-q-r-s.b64", &value);
    while (value.len && value.data[value.len - 1] == '\n') value.len--;
    assert_ok(b64_decode(buf_span(&value), &raw));
    assert_int_equal(ASK("GET", "/strongroom/v1/resource/q/r/s", .local = true), 200);
    struct span stored = secret_span(response()->secret_body);
    assert_int_equal(stored.len, raw.len);
    assert_memory_equal(stored.data, raw.data, raw.len);
    buf_free(&value);
    buf_free(&raw);
}

static void test_operators__anonymous(void **state)
{
    open_for_operators(true);
    open_file("new-admin-anon");
    assert_true(load(0));
    check_as_recorded(); /* 401, to the byte */
}

#define RECORDED_TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECORDED_TEST(test_guests__whole_journeys),
        RECORDED_TEST(test_guests__missing_and_denied),
        RECORDED_TEST(test_operators__present_clients),
        RECORDED_TEST(test_operators__old_clients),
        RECORDED_TEST(test_operators__anonymous),
    };
    return cmocka_run_group_tests(tests, kit_token, kit_token_end);
}

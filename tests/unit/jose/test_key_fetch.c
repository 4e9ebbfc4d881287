#include "broker/jose/key_fetch.h"

#include "tests/lib/key_server.h"
#include "tests/unit/jose/jose_test.h"

#include <unistd.h>

#define ED "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define SET "{\"keys\":[{" ED ",\"kid\":\"a\",\"alg\":\"EdDSA\"}]}"
#define DISCOVERY "/.well-known/openid-configuration"

static struct key_server server;
static struct outbound *peer;

static int setup(void **state)
{
    struct outbound_config config = {.total_ms = KEY_FETCH_MS, .answer_max = KEY_SOURCE_MAX};
    key_server_start(&server, 0);
    assert_ok(outbound_new(&config, &peer));
    return 0;
}

static int teardown(void **state)
{
    outbound_free(peer);
    key_server_stop(&server);
    return 0;
}

static struct err fetch(const char *path, enum key_form form, struct fetched_keys *ret)
{
    char url[256];
    snprintf(url, sizeof url, "%s%s", server.url, path);
    return key_fetch(peer, url, form, ret);
}

/* It has the key "a" and says how long it is good. */
static void fetches(const char *path, bool has_keep, uint64_t seconds)
{
    struct fetched_keys f = {0};
    assert_ok(fetch(path, KEY_FORM_SET, &f));
    assert_non_null(jwk_set_find(f.set, "a"));
    assert_int_equal(f.has_keep, has_keep);
    if (has_keep) assert_int_equal(f.keep_seconds, seconds);
    jwk_set_unref(f.set);
}

static void fails(const char *path, enum key_form form, enum err_class code, const char *why)
{
    struct fetched_keys f = {0};
    assert_fails_with(fetch(path, form, &f), code, why);
    assert_null(f.set);
}

static void test_key_fetch__set(void **state)
{
    key_server_page(&server, "/jwks", "200 OK", "", SET);
    fetches("/jwks", false, 0);
    key_server_page(&server, "/jwks", "200 OK", "cache-control: public, max-age=77\r\n", SET);
    fetches("/jwks", true, 77);
    key_server_page(&server, "/jwks", "200 OK", "Cache-Control: max-age=77\r\nCache-Control: public\r\n", SET);
    fetches("/jwks", true, 77);
    assert_int_equal(atomic_load(&server.requests), 3);
}

static void serve_discovery(const char *issuer, const char *jwks_uri)
{
    char document[512];
    snprintf(document, sizeof document, "{\"issuer\":\"%s\",\"jwks_uri\":\"%s%s\"}", issuer,
             jwks_uri[0] == '/' ? server.url : "", jwks_uri);
    key_server_page(&server, DISCOVERY, "200 OK", "Cache-Control: max-age=5\r\n", document);
}

static void test_key_fetch__issuer(void **state)
{
    serve_discovery(server.url, "/keys");
    fails("", KEY_FORM_SET, ERR_USAGE, "its jwks_uri: the server answers 404");
    key_server_page(&server, "/keys", "200 OK", "Cache-Control: max-age=900\r\n", SET);
    fetches("", true, 900); /* of the keys, not of the document */
    key_server_page(&server, "/", "200 OK", "", "<html>welcome</html>");
    fetches("", true, 900);
    key_server_page(&server, "/keys", "200 OK", "", SET);
    fetches("", false, 0);
    key_server_page(&server, "/keys", "200 OK", "", "{\"keys\":7}");
    fails("", KEY_FORM_SET, ERR_USAGE, "its jwks_uri");
}

static void test_key_fetch__issuer_refused(void **state)
{
    key_server_page(&server, "/keys", "200 OK", "", SET);
    serve_discovery("https://evil.example", "/keys");
    fails("", KEY_FORM_SET, ERR_USAGE, "of issuer \"https://evil.example\"");
    serve_discovery(server.url, "http://keys.example/");
    fails("", KEY_FORM_SET, ERR_USAGE, "plain http is taken from this host only");
    serve_discovery(server.url, "file:///etc/passwd");
    fails("", KEY_FORM_SET, ERR_USAGE, "no http:// or https:// URL");
}

static void test_key_fetch__not_a_set(void **state)
{
    static const struct { const char *status, *headers, *body, *why; } rows[] = {
        {"404 Not Found", "", "", "the server answers 404"},
        {"500 Oops", "", SET, "the server answers 500"},
        {"204 No Content", "", "", "the server answers 204"},
        {"302 Found", "Location: /other\r\n", SET, "redirects are not followed"},
        {"301 Moved", "Location: /other\r\n", "", "redirects are not followed"},
        {"200 OK", "", "", "JWK set"}, {"200 OK", "", "garbage \xff\xfe", "JWK set"},
        {"200 OK", "", "{\"keys\":[]}{}", "JWK set"},
        {"200 OK", "", "{\"keys\":[],\"keys\":[]}", "JWK set"},
    };
    key_server_page(&server, "/other", "200 OK", "", SET);
    for (size_t i = 0; i < COUNT(rows); i++) {
        key_server_page(&server, "/jwks", rows[i].status, rows[i].headers, rows[i].body);
        fails("/jwks", KEY_FORM_SET, ERR_USAGE, rows[i].why);
        fails("/jwks", KEY_FORM_SET, ERR_USAGE, "and as an OpenID issuer");
    }
}

/* The same from a file. */
static struct err fetch_file(struct span text, struct fetched_keys *ret)
{
    char file[512];
    snprintf(file, sizeof file, "%s/strongroom-fetch-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    int fd = mkstemp(file);
    assert_int_equal(write(fd, text.data, text.len), text.len);
    close(fd);
    struct err e = key_fetch(NULL, file, KEY_FORM_SET, ret);
    unlink(file);
    return e;
}

static void test_key_fetch__limits(void **state)
{
    struct buf text = BUF_INIT;
    for (unsigned keys = JOSE_MAX_KEYS; keys <= JOSE_MAX_KEYS + 1; keys++) {
        struct fetched_keys f = {0};
        buf_reset(&text);
        buf_add_str(&text, "{\"keys\":[{}");
        for (unsigned i = 1; i < keys; i++) buf_addf(&text, ",{" ED ",\"kid\":\"%u\"}", i);
        buf_add_str(&text, "]}");
        key_server_page(&server, "/jwks", "200 OK", "", buf_str(&text));
        if (keys > JOSE_MAX_KEYS) {
            fails("/jwks", KEY_FORM_SET, ERR_USAGE, "more than 128 keys");
            continue;
        }
        assert_ok(fetch("/jwks", KEY_FORM_SET, &f));
        assert_int_equal(jwk_set_count(f.set), JOSE_MAX_KEYS - 1);
        assert_int_equal(jwk_set_skipped(f.set), 1);
        jwk_set_unref(f.set);
    }
    for (size_t len = KEY_SOURCE_MAX; len <= KEY_SOURCE_MAX + 1; len++) {
        struct fetched_keys f = {0}, from_file = {0};
        buf_reset(&text);
        buf_addf(&text, "{\"keys\":[]%*s}", (int) (len - strlen("{\"keys\":[]}")), "");
        key_server_page(&server, "/jwks", "200 OK", "", buf_str(&text));
        if (len > KEY_SOURCE_MAX) fails("/jwks", KEY_FORM_SET, ERR_TOOLARGE, "larger than");
        else assert_ok(fetch("/jwks", KEY_FORM_SET, &f));
        assert_int_equal(fetch_file(buf_span(&text), &from_file).code, len > KEY_SOURCE_MAX ? ERR_TOOLARGE : ERR_NONE);
        jwk_set_unref(f.set);
        jwk_set_unref(from_file.set);
    }
    buf_free(&text);
}

/* A server that is not there is not asked a second time for its discovery document. */
static void test_key_fetch__nobody(void **state)
{
    struct fetched_keys f = {0};
    assert_fails_with(key_fetch(peer, "http://127.0.0.1:1/", KEY_FORM_SET, &f), ERR_BUSY,
                      "no answer from http://127.0.0.1:1");
}

static void test_key_fetch__pem(void **state)
{
    struct fetched_keys f = {0};
    struct buf pem = BUF_INIT;
    EVP_PKEY *key = NULL;
    assert_ok(key_generate_ed25519(&key));
    assert_ok(key_public_pem(key, &pem));
    key_server_page(&server, "/pem", "200 OK", "", buf_str(&pem));
    assert_ok(fetch("/pem", KEY_FORM_PEM, &f));
    assert_int_equal(EVP_PKEY_eq(jwk_pkey(jwk_set_alone(f.set)), key), 1);
    jwk_set_unref(f.set);
    f.set = NULL;
    key_server_page(&server, "/pem", "200 OK", "", SET);
    fails("/pem", KEY_FORM_PEM, ERR_USAGE, "no PEM public key");
    fails("/none", KEY_FORM_PEM, ERR_USAGE, "the server answers 404");
    assert_int_equal(atomic_load(&server.requests), 3); /* nobody looked for an issuer */
    EVP_PKEY_free(key);
    buf_free(&pem);
}

static void test_key_fetch__files(void **state)
{
    char pem[512];
    struct fetched_keys f = {0};
    assert_ok(key_fetch(NULL, vector_path("kbs/keys/admin-ed25519.pub", pem), KEY_FORM_PEM, &f));
    assert_string_equal(jwk_crv(jwk_set_alone(f.set)), "Ed25519");
    assert_false(f.has_keep);
    jwk_set_unref(f.set);
    assert_fails_with(key_fetch(NULL, pem, KEY_FORM_SET, &f), ERR_USAGE, pem);
    assert_fails_with(key_fetch(NULL, "/no/such", KEY_FORM_SET, &f), ERR_NOTFOUND, "/no/such");
    assert_fails_with(key_fetch(NULL, "/dev/null", KEY_FORM_PEM, &f), ERR_USAGE, "/dev/null");
    assert_true(key_place_is_url("HTTPS://a"));
    assert_true(key_place_is_url("http://a"));
    assert_true(key_place_is_url("HTTP://a"));
    assert_false(key_place_is_url("/https://a"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_key_fetch__set),
        TEST(test_key_fetch__issuer),
        TEST(test_key_fetch__issuer_refused),
        TEST(test_key_fetch__not_a_set),
        TEST(test_key_fetch__limits),
        TEST(test_key_fetch__nobody),
        TEST(test_key_fetch__pem),
        TEST(test_key_fetch__files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

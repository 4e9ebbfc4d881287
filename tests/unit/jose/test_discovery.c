#include "broker/jose/discovery.h"
#include "tests/unit/jose/jose_test.h"

#define ISSUER "https://idp.example"
#define DOCUMENT(issuer, uri) "{\"issuer\":\"" issuer "\",\"jwks_uri\":\"" uri "\",\"x\":[1]}"

static void test_discovery_url__slash(void **state)
{
    static const char wanted[] = "https://idp.example/a/.well-known/openid-configuration";
    static const char *const issuers[] = {"https://idp.example/a", "https://idp.example/a/"};
    for (size_t i = 0; i < COUNT(issuers); i++) {
        char *url = NULL;
        assert_ok(discovery_url(issuers[i], &url));
        assert_string_equal(url, wanted);
        free(url);
    }
}

static void test_discovery_parse__good(void **state)
{
    static const struct { const char *issuer, *document, *uri; } rows[] = {
        {ISSUER, DOCUMENT(ISSUER, "https://keys.example/jwks?v=1"), "https://keys.example/jwks?v=1"},
        {ISSUER "/", DOCUMENT(ISSUER "/", "https://keys.example/"), "https://keys.example/"},
        {ISSUER, DOCUMENT(ISSUER, "HTTPS://keys.example/"), "HTTPS://keys.example/"},
        {"http://127.0.0.1:1", DOCUMENT("http://127.0.0.1:1", "http://127.0.0.1:1/k"),
         "http://127.0.0.1:1/k"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *uri = NULL;
        assert_ok(discovery_parse(span_str(rows[i].document), rows[i].issuer, &uri));
        assert_string_equal(uri, rows[i].uri);
        free(uri);
    }
}

static void test_discovery_parse__refused(void **state)
{
    static const struct { const char *document, *why; } rows[] = {
        {"", "discovery document"}, {"[]", "issuer"}, {"{}", "issuer"},
        {"{\"issuer\":1,\"jwks_uri\":\"https://a\"}", "issuer"},
        {"{\"issuer\":\"" ISSUER "\"}", "jwks_uri"},
        {"{\"issuer\":\"" ISSUER "\",\"jwks_uri\":[\"https://a\"]}", "jwks_uri"},
        {DOCUMENT("https://evil.example", "https://a"), "of issuer \"https://evil.example\""},
        {DOCUMENT(ISSUER "/", "https://a"), "to the last character"},
        {DOCUMENT(ISSUER ":443", "https://a"), "to the last character"},
        {DOCUMENT("https://IDP.example", "https://a"), "to the last character"},
        {DOCUMENT("https://idp.exampl", "https://a"), "to the last character"},
        {DOCUMENT(ISSUER, "http://keys.example/"), "no https URL"},
        {DOCUMENT(ISSUER, "http://127.0.0.1/"), "no https URL"}, /* no say over our own host */
        {DOCUMENT(ISSUER, "file:///etc/passwd"), "no https URL"},
        {DOCUMENT(ISSUER, "/jwks"), "no https URL"}, {DOCUMENT(ISSUER, ""), "no https URL"},
        {DOCUMENT(ISSUER, "https://user:pw@a/"), "user part"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *uri = NULL;
        struct err e = discovery_parse(span_str(rows[i].document), ISSUER, &uri);
        if (e.code != ERR_USAGE || !strstr(err_text(e), rows[i].why))
            fail_msg("%s: %s", rows[i].document, err_text(e));
        assert_null(uri);
    }
}

/* However the configured issuer writes its scheme. */
static void test_discovery_parse__scheme_in_capitals(void **state)
{
    static const char issuer[] = "HTTPS://idp.example";
    char *uri = NULL;
    assert_fails_with(discovery_parse(SPAN_LIT(DOCUMENT("HTTPS://idp.example", "http://127.0.0.1/")), issuer, &uri),
                      ERR_USAGE, "no https URL");
    assert_null(uri);
}

static void test_discovery_parse__limit(void **state)
{
    for (size_t len = KEY_URI_MAX; len <= KEY_URI_MAX + 1; len++) {
        struct buf text = BUF_INIT;
        char *uri = NULL;
        static const char host[] = "https://a/";
        buf_addf(&text, "{\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"%s%0*d\"}", host,
                 (int) (len - strlen(host)), 0);
        struct err e = discovery_parse(buf_span(&text), ISSUER, &uri);
        assert_int_equal(e.code, len > KEY_URI_MAX ? ERR_USAGE : ERR_NONE);
        free(uri);
        buf_free(&text);
    }
}

static void test_cache_max_age__table(void **state)
{
    static const struct { const char *value; bool found; uint64_t seconds; } rows[] = {
        {"max-age=60", true, 60}, {"public, Max-Age=3600 , must-revalidate", true, 3600},
        {"max-age=\"5\"", true, 5}, {"max-age=0", true, 0}, {"\tmax-age=7\t", true, 7},
        {"s-maxage=5, no-store", false, 0}, {"", false, 0}, {",,,", false, 0},
        {"max-age=", false, 0}, {"max-age=-1", false, 0}, {"max-age=1x", false, 0},
        {"max-age", false, 0}, {"xmax-age=1", false, 0}, {"max-age=x, max-age=9", true, 9},
        {"max-age=\"", false, 0}, {"max-age=\"\"", false, 0}, {"max-age=\"56", false, 0},
        {"max-age=56\"", false, 0}, {"max-age=1:", false, 0}, {"no-cache, ", false, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t seconds = 0;
        bool found = cache_max_age(span_str(rows[i].value), &seconds);
        if (found != rows[i].found || seconds != rows[i].seconds) fail_msg("%s", rows[i].value);
    }
    uint64_t seconds = 0;
    assert_true(cache_max_age(SPAN_LIT("max-age=18446744073709551617"), &seconds)); /* 2^64 + 1 */
    assert_true(seconds > KEY_REFRESH_MAX_SECONDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_discovery_url__slash),
        cmocka_unit_test(test_discovery_parse__good),
        cmocka_unit_test(test_discovery_parse__refused),
        cmocka_unit_test(test_discovery_parse__scheme_in_capitals),
        cmocka_unit_test(test_discovery_parse__limit),
        cmocka_unit_test(test_cache_max_age__table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/unit/jose/jose_test.h"

#define ED "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""

static struct jwk_set *set_of(const char *text)
{
    struct jwk_set *s = NULL;
    assert_ok(jwk_set_parse(span_str(text), &s));
    return s;
}

static void test_jwk_set_find__by_kid(void **state)
{
    struct jwk_set *s = set_of("{\"keys\":[{" ED ",\"kid\":\"a\"},{" ED "},{" ED ",\"kid\":\"b\"}]}");
    assert_string_equal(jwk_kid(jwk_set_find(s, "a")), "a");
    assert_string_equal(jwk_kid(jwk_set_find(s, "b")), "b");
    assert_null(jwk_set_find(s, "c"));
    assert_null(jwk_set_find(s, ""));
    assert_null(jwk_set_find(s, NULL));
    jwk_set_free(s);
    jwk_set_free(NULL);
}

static void test_jwk_set_find__two_of_a_name(void **state)
{
    struct jwk_set *s = set_of("{\"keys\":[{" ED ",\"kid\":\"a\"},{" ED ",\"kid\":\"a\"}]}");
    assert_null(jwk_set_find(s, "a"));
    jwk_set_free(s);
}

/* RFC 7517 5: what is not understood is skipped, wherever it stands. */
static void test_jwk_set_parse__skips_unknown(void **state)
{
    struct jwk_set *s = set_of("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\",\"kid\":\"h\"},1,null,[],{},"
                               "{\"kty\":\"AKP\",\"kid\":\"q\"},{" ED ",\"kid\":\"a\"},"
                               "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\",\"kid\":\"r\"}]}");
    assert_non_null(jwk_set_find(s, "a"));
    assert_null(jwk_set_find(s, "h"));
    assert_null(jwk_set_find(s, "q"));
    assert_null(jwk_set_find(s, "r"));
    jwk_set_free(s);
}

static void test_jwk_set_parse__refuses(void **state)
{
    static const char *const BAD[] = {"", "[]", "{}", "{\"keys\":{}}", "{\"keys\":null}",
                                      "{\"Keys\":[]}", "{\"keys\":[]", "{\"keys\":[],\"keys\":[]}"};
    for (size_t i = 0; i < COUNT(BAD); i++) {
        struct jwk_set *s = NULL;
        assert_fails(jwk_set_parse(span_str(BAD[i]), &s), ERR_USAGE);
        assert_null(s);
    }
    struct jwk_set *empty = set_of("{\"keys\":[]}");
    assert_null(jwk_set_find(empty, "a"));
    jwk_set_free(empty);
}

static void test_jwk_set_parse__limit(void **state)
{
    struct buf text = BUF_INIT;
    buf_add_str(&text, "{\"keys\":[{" ED ",\"kid\":\"0\"}");
    for (unsigned i = 1; i < JOSE_MAX_KEYS; i++) buf_addf(&text, ",{" ED ",\"kid\":\"%u\"}", i);
    size_t at_limit = text.len;
    buf_add_str(&text, "]}");
    struct jwk_set *s = set_of(buf_str(&text));
    assert_non_null(jwk_set_find(s, "127"));
    jwk_set_free(s);
    s = NULL;
    text.len = at_limit;
    buf_add_str(&text, ",1]}");
    assert_fails(jwk_set_parse(buf_span(&text), &s), ERR_USAGE);
    assert_null(s);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jwk_set_find__by_kid),
        cmocka_unit_test(test_jwk_set_find__two_of_a_name),
        cmocka_unit_test(test_jwk_set_parse__skips_unknown),
        cmocka_unit_test(test_jwk_set_parse__refuses),
        cmocka_unit_test(test_jwk_set_parse__limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

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
    jwk_set_unref(s);
    jwk_set_unref(NULL);
}

static void test_jwk_set_find__two_of_a_name(void **state)
{
    struct jwk_set *s = set_of("{\"keys\":[{" ED ",\"kid\":\"a\"},{" ED ",\"kid\":\"a\"}]}");
    assert_null(jwk_set_find(s, "a"));
    jwk_set_unref(s);
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
    jwk_set_unref(s);
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
    jwk_set_unref(empty);
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
    jwk_set_unref(s);
    s = NULL;
    text.len = at_limit;
    buf_add_str(&text, ",1]}");
    assert_fails(jwk_set_parse(buf_span(&text), &s), ERR_USAGE);
    assert_null(s);
    buf_free(&text);
}

/* RFC 7517 4.2, 4.3: what is not for verifying is as good as not there. */
static void test_jwk_set_parse__purpose(void **state)
{
    static const struct { const char *members; bool there; } rows[] = {
        {"", true}, {",\"use\":\"sig\"", true}, {",\"use\":\"enc\"", false}, {",\"use\":\"x\"", false},
        {",\"use\":1", false}, {",\"use\":null", false}, {",\"key_ops\":[\"verify\"]", true},
        {",\"key_ops\":[\"x\",\"verify\"]", true}, {",\"key_ops\":[]", false},
        {",\"key_ops\":[\"encrypt\"]", false}, {",\"key_ops\":\"verify\"", false},
        {",\"key_ops\":[1,\"verify\"]", false}, {",\"key_ops\":[\"Verify\"]", false},
        {",\"use\":\"sig\",\"key_ops\":[\"verify\"]", true},
        {",\"use\":\"enc\",\"key_ops\":[\"verify\"]", false},
        {",\"use\":\"sig\",\"key_ops\":[\"sign\"]", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[256];
        snprintf(text, sizeof text, "{\"keys\":[{" ED ",\"kid\":\"a\"%s}]}", rows[i].members);
        struct jwk_set *s = set_of(text);
        if ((jwk_set_find(s, "a") != NULL) != rows[i].there) fail_msg("%s", rows[i].members);
        assert_int_equal(jwk_set_count(s), rows[i].there);
        assert_int_equal(jwk_set_skipped(s), !rows[i].there);
        jwk_set_unref(s);
    }
    /* A key for something else does not make a name ambiguous. */
    struct jwk_set *s = set_of("{\"keys\":[{" ED ",\"kid\":\"a\",\"use\":\"enc\"},{" ED
                               ",\"kid\":\"a\",\"use\":\"sig\"}]}");
    assert_non_null(jwk_set_find(s, "a"));
    jwk_set_unref(s);
}

#define OTHER "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\"," \
              "\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\""

static void test_jwk_set_find_same__by_key(void **state)
{
    struct jwk_set *s = set_of("{\"keys\":[{" ED ",\"kid\":\"a\"},{" OTHER ",\"alg\":\"ES256\"}]}");
    struct jwk_set *one = set_of("{\"keys\":[{" OTHER "}]}");
    const struct jwk *wanted = jwk_set_alone(one);
    assert_string_equal(jwk_alg(jwk_set_find_same(s, wanted, NULL)), "ES256");
    assert_null(jwk_set_find_same(one, jwk_set_find(s, "a"), NULL));
    assert_null(jwk_set_find_same(NULL, wanted, "ES256"));
    assert_null(jwk_set_alone(s));
    assert_null(jwk_set_alone(NULL));
    assert_null(jwk_set_find(NULL, "a"));
    assert_int_equal(jwk_set_count(NULL), 0);
    jwk_set_unref(jwk_set_ref(s));
    assert_int_equal(jwk_set_count(s), 2);
    jwk_set_unref(one);
    jwk_set_unref(s);
}

/* RFC 7517 4.4: an RSA key stands in a set once for each of its algs. */
static void test_jwk_set_find_same__of_this_alg(void **state)
{
    struct jwk_set *s = set_of("{\"keys\":[{" ED ",\"alg\":\"EdDSA\",\"kid\":\"1\"},{" ED ",\"kid\":\"2\"},{"
                               ED ",\"alg\":\"Ed25519\",\"kid\":\"3\"}]}");
    const struct jwk *wanted = jwk_set_find(s, "2");
    assert_string_equal(jwk_kid(jwk_set_find_same(s, wanted, "EdDSA")), "1");
    assert_string_equal(jwk_kid(jwk_set_find_same(s, wanted, NULL)), "2");
    assert_string_equal(jwk_kid(jwk_set_find_same(s, wanted, "Ed25519")), "3");
    assert_string_equal(jwk_kid(jwk_set_find_same(s, wanted, "PS256")), "1");
    jwk_set_unref(s);
}

static void test_jwk_set_keeps__table(void **state)
{
    static const struct { const char *old, *new; bool keeps; } rows[] = {
        {"{" ED "}", "{" ED "}", true}, {"{" ED "}", "{" OTHER "},{" ED "}", true},
        {"{" ED "}", "", false}, {"{" ED "}", "{" OTHER "}", false}, {"", "{" ED "}", true},
        {"{" ED ",\"kid\":\"a\"}", "{" ED ",\"kid\":\"b\"}", false},
        {"{" ED ",\"kid\":\"a\"}", "{" OTHER ",\"kid\":\"a\"}", false},
        {"{" ED ",\"kid\":\"a\"}", "{" OTHER ",\"kid\":\"a\"},{" ED ",\"kid\":\"b\"}", false},
        {"{" ED ",\"alg\":\"EdDSA\"}", "{" ED "}", false},
        {"{" ED ",\"kid\":\"a\"}", "{" ED ",\"kid\":\"a\",\"alg\":\"EdDSA\"}", false},
        /* the name now means two keys, so neither */
        {"{" ED ",\"kid\":\"a\"}", "{" ED ",\"kid\":\"a\"},{" OTHER ",\"kid\":\"a\"}", false},
        {"{" ED ",\"kid\":\"a\"},{" OTHER ",\"kid\":\"a\"}", "{" OTHER "},{" ED "}", true},
        {"{" ED ",\"kid\":\"a\"}", "{" ED ",\"kid\":\"a\",\"use\":\"enc\"}", false},
        /* one key for two algs: nothing goes when their order changes, but when one goes */
        {"{" ED ",\"alg\":\"x\"},{" ED ",\"alg\":\"y\"}", "{" ED ",\"alg\":\"y\"},{" ED ",\"alg\":\"x\"}", true},
        {"{" ED ",\"alg\":\"x\"},{" ED ",\"alg\":\"y\"}", "{" ED ",\"alg\":\"x\"}", false},
        {"{" ED ",\"alg\":\"x\"},{" ED "}", "{" ED "},{" ED ",\"alg\":\"x\"}", true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char old_text[1024], new_text[1024];
        snprintf(old_text, sizeof old_text, "{\"keys\":[%s]}", rows[i].old);
        snprintf(new_text, sizeof new_text, "{\"keys\":[%s]}", rows[i].new);
        struct jwk_set *old = set_of(old_text), *new = set_of(new_text);
        if (jwk_set_keeps(new, old) != rows[i].keeps) fail_msg("row %zu", i);
        assert_true(jwk_set_keeps(new, new) && jwk_set_keeps(new, NULL));
        jwk_set_unref(new);
        jwk_set_unref(old);
    }
}

static void test_jwk_set_of__one(void **state)
{
    struct jwk_set *s = NULL;
    struct json_doc *doc = parsed("{" ED "}");
    struct jwk *key = NULL;
    assert_ok(jwk_from_json(json_root(doc), &key));
    assert_ok(jwk_set_of(key, &s));
    assert_ptr_equal(jwk_set_alone(s), key);
    jwk_set_unref(s);
    json_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jwk_set_find__by_kid),
        cmocka_unit_test(test_jwk_set_find__two_of_a_name),
        cmocka_unit_test(test_jwk_set_parse__skips_unknown),
        cmocka_unit_test(test_jwk_set_parse__refuses),
        cmocka_unit_test(test_jwk_set_parse__limit),
        cmocka_unit_test(test_jwk_set_parse__purpose),
        cmocka_unit_test(test_jwk_set_find_same__by_key),
        cmocka_unit_test(test_jwk_set_find_same__of_this_alg),
        cmocka_unit_test(test_jwk_set_keeps__table),
        cmocka_unit_test(test_jwk_set_of__one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#define LEN(a) (sizeof(a) / sizeof(a)[0])

static struct policy *compiled; /* freed in teardown: a failing assert jumps over everything else */

static int teardown(void **state)
{
    policy_free(compiled);
    compiled = NULL;
    return 0;
}

static const struct policy *compile(const char *text, size_t len)
{
    struct policy_error error = {0};
    policy_free(compiled);
    compiled = policy_compile(text, len, &error);
    if (!compiled) fail_msg("refused at %u:%u: %s", error.line, error.column, error.text);
    return compiled;
}

static bool allows(const struct policy *p, const char *plugin)
{
    struct policy_input input = {.claims = "{}", .claims_len = 2, .plugin = plugin};
    struct policy_decision d;
    policy_evaluate(p, &input, &d);
    assert_non_null(d.reason);
    return d.allow;
}

/* ---- accepted ---------------------------------------------------------------------------------- */

#define STOCK "default allow = false\nplugin = data.plugin\nallow if {\n\tplugin == \"resource\"\n}\n"

static void test_compile__accepts(void **state)
{
    static const struct { const char *text, *name; bool resource, other; } rows[] = {
        {POLICY_ALLOW_ALL_TEXT, "allow-all", true, true},
        {POLICY_DENY_ALL_TEXT, "deny-all", false, false},
        {"package policy\ndefault allow := true", "allow-all", true, true},
        {"package policy\ndefault allow := false", "deny-all", false, false},
        {"package policy\nimport rego.v1\ndefault allow = true", "allow-all", true, true},
        {"package policy\nimport rego.v1\n" STOCK, "allow-resource", true, false},
        {"package policy\n" STOCK, "allow-resource", true, false},
        {"# a\npackage # b\r\n policy\n\n\n# default allow = true\ndefault allow=false# c",
         "deny-all", false, false},
        {"package policy default allow = true", "allow-all", true, true},
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        const struct policy *p = compile(rows[i].text, strlen(rows[i].text));
        assert_string_equal(policy_name(p), rows[i].name);
        assert_int_equal(allows(p, "resource"), rows[i].resource);
        assert_int_equal(allows(p, "pkcs11"), rows[i].other);
    }
}

/* ---- the recorded uploads of kbs-client -------------------------------------------------------- */

/* The text inside an upload: {"policy":"<base64url>"} as a string in a JSON file. */
static size_t recorded(const char *name, char *out, size_t size)
{
    static const char mark[] = "{\\\"policy\\\":\\\"";
    const char *source = getenv("STRONGROOM_SOURCE");
    char path[512], text[16384];
    snprintf(path, sizeof path, "%s/tests/vectors/kbs/%s.json", source ? source : ".", name);
    FILE *f = fopen(path, "r");
    if (!f) fail_msg("cannot read %s", path);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    char *start = strstr(text, mark);
    assert_non_null(start);
    start += sizeof mark - 1;
    size_t len = strcspn(start, "\\\"");
    for (size_t i = 0; i < len; i++)
        start[i] = (char) (start[i] == '-' ? '+' : start[i] == '_' ? '/' : start[i]);
    size_t pad = (4 - len % 4) % 4;
    memset(start + len, '=', pad);
    assert_true((len + pad) / 4 * 3 < size);
    int decoded = EVP_DecodeBlock((unsigned char *) out, (unsigned char *) start, (int) (len + pad));
    assert_true(decoded > (int) pad);
    return (size_t) decoded - pad;
}

static void hash(const char *text, size_t len, char hex[2 * SHA256_DIGEST_LENGTH + 1])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *) text, len, digest);
    for (size_t i = 0; i < sizeof digest; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

static void test_compile__recorded_uploads(void **state)
{
    static const struct { const char *file, *sha256, *policy; bool resource, other; } rows[] = {
        {"new-admin-policy-allow",
         "65e44d6ed8635ff231bae649fb747c1d310c32969d52342e612d6a3997a208b1",
         "allow-resource", true, false},
        {"old-admin-policy-allow-all",
         "b3861e9e9b8a2fa695e43afe1518b5d49825a84ac2c7b341e3b46ca9d576ed6e",
         "allow-all", true, true},
        {"new-admin-policy-deny",
         "1dcb1fc7f5e461db45d9bf4386eb3c9ab6002392317b73dd74e8cdd2948ab124",
         "deny-all", false, false},
        {"old-admin-policy-deny-all",
         "f1fb88b65a28f888a9278dc294534afccffca13064729844b61ca61f69f3f1cf",
         "deny-all", false, false},
        {"new-admin-policy-affirming",
         "f445611d69a5d7b501f1c59139aa7608ffa779ab51db8a7a4b750b6fa6c603c1", NULL, false, false},
        {"old-admin-policy-affirming",
         "e9955f0ee9d9fc0b07e88d1aa0be6c553f0be470e25b02f637bb42406f6fd02a", NULL, false, false},
        {"old-admin-policy-default",
         "499ca0280c1ed8f13aa335c3cddab4fbf6952eefa383a49cf77968a6b0fe6c60", NULL, false, false},
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        char text[4096], hex[2 * SHA256_DIGEST_LENGTH + 1];
        size_t len = recorded(rows[i].file, text, sizeof text);
        hash(text, len, hex);
        assert_string_equal(hex, rows[i].sha256);
        if (!rows[i].policy) {
            struct policy_error error = {0};
            policy_free(compiled);
            compiled = policy_compile(text, len, &error);
            assert_null(compiled);
            assert_true(error.line > 1 && error.column > 0);
            continue;
        }
        const struct policy *p = compile(text, len);
        assert_string_equal(policy_name(p), rows[i].policy);
        assert_int_equal(allows(p, "resource"), rows[i].resource);
        assert_int_equal(allows(p, "pkcs11"), rows[i].other);
    }
}

/* ---- refused ----------------------------------------------------------------------------------- */

static void test_compile__refuses(void **state)
{
    static const struct { const char *text; unsigned line, column; const char *says; } rows[] = {
        {"", 0, 0, "the policy is empty"},
        {" \n# only a comment\n", 3, 1, "ends too early"},
        {"default allow = true", 1, 1, "begins with `package policy`"},
        {"package other\ndefault allow = true", 1, 9, "`other` is not expected"},
        {"package policy", 1, 15, "ends too early"},
        {"package policy.a\ndefault allow = true", 1, 15, "`.` is not expected"},
        {"package policy\nimport rego.v2\ndefault allow = true", 2, 13, "the only import"},
        {"package policy\nimport rego.v1\nimport rego.v1\ndefault allow = true", 3, 1, "`import`"},
        {"package policy\ndefault allow = 1", 2, 17, "`1` is not expected"},
        {"package policy\ndefault allow = \"true\"", 2, 17, "a string is not expected"},
        {"package policy\ndefault allow == true", 2, 15, "`==`"},
        {"package policy\ndefault allow = True", 2, 17, "`True`"},
        {"package policy\nallow = true", 2, 1, "`default allow = true`"},
        {"package policy\nallow if true", 2, 1, "`allow`"},
        {"package policy\ndefault allow = true\nallow = true", 3, 1, "`allow`"},
        {"package policy\ndefault allow = true }", 2, 22, "`}`"},
        {"package policy\ndefault allow = fals", 2, 17, "`fals`"},
        {"package policy\ndefault allow = {", 2, 17, "`{`"},
        {"package policy\ndefault allow = true @", 2, 22, "does not use"},
        {"package policy\ndefault allow = false\nplugin = data.plugin\nallow if {\n"
         "  plugin == \"pkcs11\"\n}", 5, 13, "a string is not expected"},
        {"package policy\ndefault allow = false\nplugin = data.plugin\nallow if {\n"
         "  plugin != \"resource\"\n}", 5, 10, "`!=`"},
        {"package policy\ndefault allow = false\nplugin = data.plugin\nallow if {\n"
         "  not plugin == \"resource\"\n}", 5, 3, "`not`"},
        {"package policy\ndefault allow = true\nplugin = data.plugin", 3, 1, "`plugin`"},
        {"package policy\ndefault aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa = true", 2, 9,
         "`aaaaaaaaaaaaaaaaaaaaaaaa...`"},
        {"package policy\ndefault allow = \"\xc3\xa9\xff\"", 2, 19, "not UTF-8"},
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct policy_error error = {0};
        compiled = policy_compile(rows[i].text, strlen(rows[i].text), &error);
        if (compiled) fail_msg("accepted: %s", rows[i].text);
        if (error.line != rows[i].line || error.column != rows[i].column ||
            !strstr(error.text, rows[i].says))
            fail_msg("row %zu: %u:%u: %s", i, error.line, error.column, error.text);
        assert_true(strlen(error.text) < sizeof error.text - 1);
    }
}

static void test_compile__a_cut_text_allows_nothing(void **state)
{
    static const char text[] = "package policy\n" STOCK;
    size_t whole = sizeof text - 2; /* without the last line end */
    for (size_t len = 0; len < whole; len++) {
        struct policy_error error = {0};
        policy_free(compiled);
        compiled = policy_compile(text, len, &error);
        if (compiled) assert_string_equal(policy_name(compiled), "deny-all");
        else assert_true(error.text[0] != '\0');
    }
    assert_true(allows(compile(text, whole), "resource"));
}

static void test_compile__a_nul_does_not_end_the_text(void **state)
{
    struct policy_error error = {0};
    compiled = policy_compile("package policy\ndefault allow = true\0", 36, &error);
    assert_null(compiled);
    assert_int_equal(error.line, 2);
}

/* ---- evaluation -------------------------------------------------------------------------------- */

static void test_evaluate__missing_policy_denies(void **state)
{
    struct policy_input input = {.plugin = "resource"};
    struct policy_decision d = {.allow = true};
    policy_evaluate(NULL, &input, &d);
    assert_false(d.allow);
    assert_string_equal(d.reason, "no policy");
}

static void test_evaluate__missing_plugin_denies(void **state)
{
    const struct policy *p = compile("package policy\n" STOCK, strlen("package policy\n" STOCK));
    struct policy_decision d = {.allow = true};
    policy_evaluate(p, NULL, &d);
    assert_false(d.allow);
    assert_false(allows(p, NULL));
    assert_false(allows(p, ""));
    assert_false(allows(p, "resources"));
    assert_false(allows(p, "Resource"));
}

static void test_free__null(void **state)
{
    policy_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_compile__accepts, teardown),
        cmocka_unit_test_teardown(test_compile__recorded_uploads, teardown),
        cmocka_unit_test_teardown(test_compile__refuses, teardown),
        cmocka_unit_test_teardown(test_compile__a_cut_text_allows_nothing, teardown),
        cmocka_unit_test_teardown(test_compile__a_nul_does_not_end_the_text, teardown),
        cmocka_unit_test_teardown(test_evaluate__missing_policy_denies, teardown),
        cmocka_unit_test_teardown(test_evaluate__missing_plugin_denies, teardown),
        cmocka_unit_test(test_free__null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

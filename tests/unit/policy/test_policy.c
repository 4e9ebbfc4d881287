#include "policy/policy.h"
#include "policy/value.h"

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

/* All that is owned, freed in teardown: a failing assert jumps over everything else. */
static struct policy *compiled;
static struct policy_run *run;
static struct policy_claims *claims;
static struct rego_errors errors;
static struct policy_decision decision;
static char printed[200];

static int setup(void **state)
{
    run = policy_run_new();
    return run ? 0 : -1;
}

static int teardown(void **state)
{
    policy_free(compiled);
    policy_run_free(run);
    policy_claims_free(claims);
    compiled = NULL;
    run = NULL;
    claims = NULL;
    return 0;
}

#define POLICY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void compile_len(const char *text, size_t len)
{
    policy_free(compiled);
    compiled = policy_compile(text, len, NULL, &errors);
    if (!compiled) fail_msg("%u: %s", errors.items[0].line, errors.items[0].text);
    assert_int_equal(errors.count, 0);
}

static void compile(const char *text)
{
    compile_len(text, strlen(text));
}

/* One condition, as most policies are. */
static void compile_if(const char *condition)
{
    char text[1024];
    snprintf(text, sizeof text, "package policy\n\nallow if {\n\t%s\n}\n", condition);
    compile(text);
}

static void set_claims(const char *json)
{
    policy_claims_free(claims);
    claims = policy_claims_new(json, strlen(json), NULL);
    assert_non_null(claims);
}

static const char *const path[] = { "a", "b", "c" };

static enum policy_outcome decide_request(struct policy_request r)
{
    if (!r.claims) r.claims = claims;
    if (!r.plugin) r.plugin = "resource";
    memset(&decision, 0xAA, sizeof decision); /* whatever was there before does not count */
    policy_decide(compiled, run, &r, &decision);
    assert_int_equal(decision.allow, decision.outcome == POLICY_ALLOW);
    assert_true(strlen(decision.reason) > 0);
    bool error = decision.outcome == POLICY_FAILED || decision.outcome == POLICY_LIMIT;
    assert_int_equal(decision.error_code != NULL, error);
    assert_int_equal(decision.detail[0] != '\0', error);
    return decision.outcome;
}
#define DECIDE(...) decide_request((struct policy_request) { __VA_ARGS__ })

/* ---- compiling --------------------------------------------------------------------------------- */

static void test_compile__refusals(void **state)
{
    static const struct { const char *text; unsigned line, column; const char *code, *says; } rows[] = {
        { "", 1, 1, "rego_parse_error", "" },
        { "# only a comment\n", 0, 0, "rego_parse_error", "" },
        { "package policy\n\nallow {\n\ttrue\n}\n", 3, 7, "rego_parse_error", "if" },
        { "package policy\n\nallow if nosuch(1)\n", 3, 10, "rego_type_error", "undefined function nosuch" },
        { "package policy\n\nallow if x == 1\n", 3, 10, "rego_unsafe_var_error", "x is unsafe" },
        { "package policy\n\nallow if allow\n", 3, 1, "rego_recursion_error", "recursive" },
        { "package policy\n\nallow if http.send({}).ok\n", 3, 10, "rego_type_error", "http.send" },
        { "package policy\n# \xff\n", 2, 3, "rego_parse_error", "UTF-8" },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        compiled = policy_compile(rows[i].text, strlen(rows[i].text), NULL, &errors);
        assert_null(compiled);
        const struct rego_error *e = &errors.items[0];
        if (errors.count < 1 || strcmp(e->code, rows[i].code) != 0 || !strstr(e->text, rows[i].says) ||
            (rows[i].line && (e->line != rows[i].line || e->column != rows[i].column)))
            fail_msg("row %zu: %u:%u %s: %s", i, e->line, e->column, e->code, e->text);
        if (rows[i].line) assert_string_equal(e->module, POLICY_MODULE);
    }
}

static void test_compile__tells_all_at_once(void **state)
{
    static const char text[] = "package policy\n\nallow if nosuch(1)\nallow if other(2)\n";
    assert_null(policy_compile(text, sizeof text - 1, NULL, &errors));
    assert_int_equal(errors.count, 2);
    assert_int_equal(errors.items[0].line, 3);
    assert_int_equal(errors.items[1].line, 4);
    assert_string_equal(errors.items[1].source, "allow if other(2)");
}

/* Whatever is left of a text that was cut short allows nothing. */
static void test_compile__a_cut_text_allows_nothing(void **state)
{
    static const char text[] =
        "package policy\nimport rego.v1\n\ndefault allow = false\n\nallow if {\n\tdata.plugin == \"resource\"\n}";
    for (size_t len = 0; len < sizeof text - 1; len++) {
        policy_free(compiled);
        compiled = policy_compile(text, len, NULL, &errors);
        if (!compiled) assert_true(errors.count > 0);
        else assert_int_not_equal(DECIDE(.path = path, .path_count = 3), POLICY_ALLOW);
    }
    compile(text);
    assert_int_equal(DECIDE(.path = path, .path_count = 3), POLICY_ALLOW);
}

static void test_compile__a_nul_does_not_end_the_text(void **state)
{
    compiled = policy_compile("package policy\ndefault allow = true\0", 36, NULL, &errors);
    assert_null(compiled);
    assert_int_equal(errors.items[0].line, 2);
}

static void test_free__null(void **state)
{
    policy_free(NULL);
    policy_run_free(NULL);
    policy_claims_free(NULL);
}

/* ---- the stock policies of both generations of kbs-client (kbs-api.md 6.4, 7.3) ---------------- */

/* A file of the repository; the caller frees. */
static char *read_file(const char *name)
{
    const char *source = getenv("STRONGROOM_SOURCE");
    char file[512], *text = NULL;
    size_t size = 0;
    snprintf(file, sizeof file, "%s/%s", source ? source : ".", name);
    FILE *f = fopen(file, "r");
    if (!f) fail_msg("cannot read %s", file);
    assert_true(getdelim(&text, &size, '\0', f) > 0);
    fclose(f);
    return text;
}

/* Base64url behind the mark, decoded, with a NUL behind; ret is as long as needed. */
static size_t decode_behind(char *text, const char *mark, char *ret, size_t size)
{
    char *start = strstr(text, mark);
    assert_non_null(start);
    start += strlen(mark);
    size_t len = strspn(start, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    size_t pad = (4 - len % 4) % 4;
    for (size_t i = 0; i < len; i++)
        start[i] = (char) (start[i] == '-' ? '+' : start[i] == '_' ? '/' : start[i]);
    memset(start + len, '=', pad);
    assert_true((len + pad) / 4 * 3 < size);
    int n = EVP_DecodeBlock((unsigned char *) ret, (unsigned char *) start, (int) (len + pad));
    assert_true(n > (int) pad);
    ret[(size_t) n - pad] = '\0';
    return (size_t) n - pad;
}

static void hash(const char *text, size_t len, char hex[2 * SHA256_DIGEST_LENGTH + 1])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *) text, len, digest);
    for (size_t i = 0; i < sizeof digest; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

static void compile_recorded(const char *name, const char *sha256)
{
    char text[8192], hex[2 * SHA256_DIGEST_LENGTH + 1], path_of[80];
    snprintf(path_of, sizeof path_of, "tests/vectors/kbs/%s.json", name);
    char *file = read_file(path_of);
    size_t len = decode_behind(file, "{\\\"policy\\\":\\\"", text, sizeof text);
    free(file);
    hash(text, len, hex);
    assert_string_equal(hex, sha256); /* kbs-api.md 6.4 */
    compile_len(text, len);
}

/* The claims of the token that the reference gave to a sample guest. */
static void recorded_token(char *ret, size_t size)
{
    char *file = read_file("tests/vectors/kbs/new-attest-p256.json");
    char *token = strstr(file, "{\\\"token\\\":\\\"");
    assert_non_null(token);
    decode_behind(token, ".", ret, size);
    free(file);
}

#define EVIDENCE(tee, status) \
    "{\"ear.status\":\"" status "\",\"ear.veraison.annotated-evidence\":{\"" tee "\":{\"svn\":\"1\"}}}"

enum guest { SAMPLE, TDX_GOOD, TDX_BAD, TWO_GOOD, ONE_OF_TWO, SAMPLE_GOOD, NO_SUBMODS, EMPTY, GUESTS };

static const char *const guests[GUESTS] = {
    [TDX_GOOD] = "{\"submods\":{\"cpu0\":" EVIDENCE("tdx", "affirming") "}}",
    [TDX_BAD] = "{\"submods\":{\"cpu0\":" EVIDENCE("tdx", "contraindicated") "}}",
    [TWO_GOOD] = "{\"submods\":{\"cpu0\":" EVIDENCE("snp", "affirming") ",\"gpu0\":" EVIDENCE("nvidia", "affirming") "}}",
    [ONE_OF_TWO] = "{\"submods\":{\"cpu0\":" EVIDENCE("snp", "affirming") ",\"gpu0\":" EVIDENCE("nvidia", "warning") "}}",
    [SAMPLE_GOOD] = "{\"submods\":{\"cpu0\":" EVIDENCE("sample", "affirming") "}}",
    [NO_SUBMODS] = "{\"exp\":1}",
    [EMPTY] = "{\"submods\":{}}",
};

/* A column a guest, as in the enum; '+' allows, and only then. */
static const struct stock {
    const char *file, *sha256, *resource, *pkcs11;
} stock[] = {
    { "new-admin-policy-allow", "65e44d6ed8635ff231bae649fb747c1d310c32969d52342e612d6a3997a208b1", "++++++++", "--------" },
    { "old-admin-policy-allow-all", "b3861e9e9b8a2fa695e43afe1518b5d49825a84ac2c7b341e3b46ca9d576ed6e", "++++++++", "++++++++" },
    { "new-admin-policy-deny", "1dcb1fc7f5e461db45d9bf4386eb3c9ab6002392317b73dd74e8cdd2948ab124", "--------", "--------" },
    { "old-admin-policy-deny-all", "f1fb88b65a28f888a9278dc294534afccffca13064729844b61ca61f69f3f1cf", "--------", "--------" },
    { "new-admin-policy-affirming", "f445611d69a5d7b501f1c59139aa7608ffa779ab51db8a7a4b750b6fa6c603c1", "-+-+-+--", "-+-+-+--" },
    { "old-admin-policy-affirming", "e9955f0ee9d9fc0b07e88d1aa0be6c553f0be470e25b02f637bb42406f6fd02a", "-+-+-+--", "-+-+-+--" },
    /* It looks for what should not be there, so it lets in whoever has no cpu0 at all. */
    { "old-admin-policy-default", "499ca0280c1ed8f13aa335c3cddab4fbf6952eefa383a49cf77968a6b0fe6c60", "-++++-++", "--------" },
};

static void test_decide__stock_policies(void **state)
{
    char sample[8192];
    recorded_token(sample, sizeof sample);
    for (size_t i = 0; i < LEN(stock); i++) {
        compile_recorded(stock[i].file, stock[i].sha256);
        for (size_t g = 0; g < 2 * GUESTS; g++) {
            bool pkcs11 = g >= GUESTS;
            const char *want = pkcs11 ? stock[i].pkcs11 : stock[i].resource;
            set_claims(g % GUESTS == SAMPLE ? sample : guests[g % GUESTS]);
            enum policy_outcome o = DECIDE(.plugin = pkcs11 ? "pkcs11" : "resource", .path = path, .path_count = 3);
            if (o != (want[g % GUESTS] == '+' ? POLICY_ALLOW : POLICY_DENY_FALSE))
                fail_msg("%s, guest %zu: %s", stock[i].file, g, decision.reason);
        }
    }
}

/* The example that is installed, for guests as they come. */
static void test_decide__the_example(void **state)
{
    static const struct { const char *repository, *claims; bool allow; } rows[] = {
        { "public", "{\"submods\":{\"cpu0\":" EVIDENCE("tdx", "affirming") "}}", true },
        { "public", "{\"submods\":{\"cpu0\":" EVIDENCE("tdx", "warning") "}}", false },
        { "public", "{\"submods\":{}}", false },
        { "public", "{}", false },
        { "team-a", "{\"submods\":{\"cpu0\":" EVIDENCE("tdx", "affirming") "}}", false },
        { "team-a", "{\"submods\":{\"cpu0\":{\"ear.status\":\"affirming\",\"ear.veraison.annotated-evidence\":"
                    "{\"init_data_claims\":{\"repository\":\"team-a\"}}}}}", true },
        { "team-b", "{\"submods\":{\"cpu0\":{\"ear.status\":\"affirming\",\"ear.veraison.annotated-evidence\":"
                    "{\"init_data_claims\":{\"repository\":\"team-a\"}}}}}", false },
        { "team-a", "{\"submods\":{\"cpu0\":{\"ear.status\":\"warning\",\"ear.veraison.annotated-evidence\":"
                    "{\"init_data_claims\":{\"repository\":\"team-a\"}}}}}", false },
    };
    char *text = read_file("scripts/share/policy.rego");
    compile(text);
    free(text);
    for (size_t i = 0; i < LEN(rows); i++) {
        const char *asked[] = { rows[i].repository, "b", "c" };
        set_claims(rows[i].claims);
        enum policy_outcome o = DECIDE(.path = asked, .path_count = 3);
        if (o != (rows[i].allow ? POLICY_ALLOW : POLICY_DENY_FALSE)) fail_msg("row %zu: %s", i, decision.reason);
        assert_int_equal(DECIDE(.plugin = "pkcs11", .path = asked, .path_count = 3), POLICY_DENY_FALSE);
    }
}

/* ---- outcomes ---------------------------------------------------------------------------------- */

static void test_decide__outcomes(void **state)
{
    static const struct { const char *text; enum policy_outcome outcome; const char *reason; unsigned line; } rows[] = {
        { "package policy\nallow := true", POLICY_ALLOW, "allow is true", 0 },
        { "package policy\nallow if true", POLICY_ALLOW, "allow is true", 0 },
        { "package policy\nallow := false", POLICY_DENY_FALSE, "allow is false", 0 },
        { "package policy\nallow if input.nosuch", POLICY_DENY_UNDEFINED, "allow is undefined", 0 },
        { "package policy\nallowed := true", POLICY_DENY_UNDEFINED, "allow is undefined", 0 },
        { "package policy", POLICY_DENY_UNDEFINED, "allow is undefined", 0 },
        { "package other\nallow := true", POLICY_DENY_UNDEFINED, "allow is undefined", 0 },
        { "package policy.sub\nallow := true", POLICY_DENY_UNDEFINED, "allow is undefined", 0 },
        { "package policy\nallow(x) := true", POLICY_DENY_UNDEFINED, "allow is undefined", 0 },
        { "package policy\nallow := \"true\"", POLICY_DENY_NOT_BOOLEAN, "allow is not a boolean but of type string", 0 },
        { "package policy\nallow := 1", POLICY_DENY_NOT_BOOLEAN, "allow is not a boolean but of type number", 0 },
        { "package policy\nallow := null", POLICY_DENY_NOT_BOOLEAN, "allow is not a boolean but of type null", 0 },
        { "package policy\nallow := [true]", POLICY_DENY_NOT_BOOLEAN, "allow is not a boolean but of type array", 0 },
        { "package policy\nallow := {\"a\": true}", POLICY_DENY_NOT_BOOLEAN, "allow is not a boolean but of type object", 0 },
        { "package policy\nallow contains true", POLICY_DENY_NOT_BOOLEAN, "allow is not a boolean but of type set", 0 },
        { "package policy.allow\nx := true", POLICY_DENY_NOT_BOOLEAN, "allow is not a boolean but of type object", 0 },
        { "package policy\nallow := true\nallow := data.plugin == \"no\"", POLICY_FAILED,
          "the policy failed: eval_conflict_error policy.rego:3", 3 },
        { "package policy\ndefault allow := true\nallow if to_number(data.plugin) > 1", POLICY_FAILED,
          "the policy failed: eval_builtin_error policy.rego:3", 3 },
        { "package policy\nallow if not startswith(data.query, \"a\")", POLICY_FAILED,
          "the policy failed: eval_type_error policy.rego:2", 2 },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        compile(rows[i].text);
        enum policy_outcome o = DECIDE(.path = path, .path_count = 3);
        if (o != rows[i].outcome || strcmp(decision.reason, rows[i].reason) != 0 || decision.line != rows[i].line)
            fail_msg("row %zu: %s at %u (%s)", i, decision.reason, decision.line, decision.detail);
        assert_int_equal(decision.column > 0, rows[i].line > 0);
    }
}

static void test_decide__budgets(void **state)
{
    static const struct { const char *condition; unsigned line; } rows[] = {
        { "count([1 | some a in numbers.range(1, 10000); some b in numbers.range(1, 10000); a == b]) == 0", 4 }, /* steps */
        { "count(numbers.range(1, 900000)) == [x | some x in numbers.range(1, 900000)]", 4 },               /* memory */
        { "count(concat(\",\", [s | some i in numbers.range(1, 30000); s := sprintf(\"%01000d\", [i])])) == 1", 4 },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        compile_if(rows[i].condition);
        assert_int_equal(DECIDE(.path = path, .path_count = 3), POLICY_LIMIT);
        assert_string_equal(decision.error_code, "limit_error");
        assert_string_equal(decision.reason, "the policy used up its budget policy.rego:4");
        assert_int_equal(decision.line, rows[i].line);
        assert_true(decision.steps <= POLICY_STEPS_MAX);
        compile_if("true"); /* the run is good for the next one */
        assert_int_equal(DECIDE(.path = path, .path_count = 3), POLICY_ALLOW);
    }
}

/* A long chain of functions, one over and one within the depth. */
static void test_decide__depth(void **state)
{
    enum { FUNCTIONS = POLICY_DEPTH_MAX + 10 };
    static char text[FUNCTIONS * 40];
    for (int over = 0; over < 2; over++) {
        int n = snprintf(text, sizeof text, "package policy\nallow if f0(1)\n");
        int count = over ? FUNCTIONS : POLICY_DEPTH_MAX - 10;
        for (int i = 0; i < count; i++)
            n += snprintf(text + n, sizeof text - (size_t) n, "f%d(x) if f%d(x)\n", i, i + 1);
        snprintf(text + n, sizeof text - (size_t) n, "f%d(x) if x == 1\n", count);
        compile(text);
        assert_int_equal(DECIDE(.path = path, .path_count = 3), over ? POLICY_LIMIT : POLICY_ALLOW);
    }
}

static void test_outcome_name__all(void **state)
{
    for (int i = POLICY_ALLOW; i <= POLICY_LIMIT; i++) {
        assert_non_null(policy_outcome_name((enum policy_outcome) i));
        for (int k = POLICY_ALLOW; k < i; k++)
            assert_string_not_equal(policy_outcome_name((enum policy_outcome) i), policy_outcome_name((enum policy_outcome) k));
    }
}

/* ---- what a policy is given -------------------------------------------------------------------- */

static void test_run_input__data(void **state)
{
    static const char *const paths[] = { "a", "", "\xff", "b\xc3\xa9", "%2F", ".." };
    static const struct policy_pair query[] = {
        { "k", "1" }, { "empty", "" }, { "b", "\xf0\x9f\x98\x80\xf0" }, { "k", "2" }, { "\xc3", "x" }, { "\xc3\xa9", "y" },
    };
    struct rego_input in;
    struct policy_request r = {
        .plugin = "p", .path = paths, .path_count = LEN(paths), .query = query, .query_count = LEN(query),
    };
    assert_true(policy_run_input(run, &r, &in));
    assert_null(in.input);
    assert_true(in.strict);
    assert_int_equal(in.data->count, 3);
    const struct value *v = object_get_z(in.data, "resource-path");
    static const char *const seen[] = { "a", "", "\xef\xbf\xbd", "b\xc3\xa9", "%2F", ".." };
    for (size_t i = 0; i < LEN(seen); i++) assert_true(string_is(array_at(v, i), seen[i]));
    v = object_get_z(in.data, "query");
    assert_int_equal(v->count, 5);
    assert_true(string_is(object_get_z(v, "k"), "2"));
    assert_true(string_is(object_get_z(v, "b"), "\xf0\x9f\x98\x80\xef\xbf\xbd"));
    assert_true(string_is(object_get_z(v, "\xef\xbf\xbd"), "x"));
}

static void test_decide__conditions(void **state)
{
    static const char *const holds[] = {
        "data.plugin == \"resource\"",
        "data[\"resource-path\"] == [\"a\", \"b\", \"c\"]",
        "data[\"resource-path\"][2] == \"c\"",
        "data.query == {\"k\": \"v\"}",
        "count(data.query) == 1",
        "input.submods.cpu0[\"ear.status\"] == \"affirming\"",
        "input.exp - input.iat <= 300",
        "input.big == 18446744073709551617",
        "time.now_ns() / 1000000000 < input.exp",
        "regex.match(\"^[a-z]$\", data[\"resource-path\"][0])",
        "every part in data[\"resource-path\"] { is_string(part); part != \"\" }",
        "not input.nosuch",
    };
    static const struct policy_pair query[] = { { "k", "v" } };
    set_claims("{\"submods\":{\"cpu0\":" EVIDENCE("tdx", "affirming") "},\"iat\":1700000000,\"exp\":1700000300,"
               "\"big\":18446744073709551617}");
    for (size_t i = 0; i < LEN(holds); i++) {
        compile_if(holds[i]);
        if (DECIDE(.path = path, .path_count = 3, .query = query, .query_count = 1, .now_ns = 1700000100000000000) != POLICY_ALLOW)
            fail_msg("%s: %s %s", holds[i], decision.reason, decision.detail);
    }
}

/* Anything that a request may hold and more: it is denied, not cut. */
static void test_decide__request_too_large(void **state)
{
    static const char *many[POLICY_REQUEST_MAX / 8];
    for (size_t i = 0; i < LEN(many); i++) many[i] = "x";
    compile(POLICY_ALLOW_ALL_TEXT);
    assert_int_equal(DECIDE(.path = many, .path_count = LEN(many)), POLICY_LIMIT);
    assert_string_equal(decision.reason, "the request takes too much memory");
    assert_int_equal(DECIDE(.path = many, .path_count = 4000), POLICY_ALLOW);
}

static void keep_line(void *context, const char *line, size_t len)
{
    snprintf(context, sizeof printed, "%.*s", (int) len, line);
}

static void test_decide__print(void **state)
{
    compile_if("print(\"plugin is\", data.plugin)");
    assert_int_equal(DECIDE(.print = keep_line, .context = printed), POLICY_ALLOW);
    assert_string_equal(printed, "plugin is resource");
    assert_int_equal(DECIDE(.plugin = "other"), POLICY_ALLOW);
    assert_string_equal(printed, "plugin is resource");
}

/* One run for all policies, whatever came before; and the same again gives the same. */
static void test_decide__a_run_serves_many(void **state)
{
    struct policy *one = policy_compile(POLICY_ALLOW_ALL_TEXT, strlen(POLICY_ALLOW_ALL_TEXT), NULL, &errors);
    uint64_t steps = 0;
    assert_non_null(one);
    for (int i = 0; i < 6; i++) {
        compile_if(i % 2 ? "count([1 | some a in numbers.range(1, 100); a > 0]) == 100" : "input.nosuch");
        assert_int_equal(DECIDE(.path = path, .path_count = 3), i % 2 ? POLICY_ALLOW : POLICY_DENY_UNDEFINED);
        if (i == 1) steps = decision.steps;
        if (i % 2) assert_int_equal(decision.steps, steps);
        struct policy_request r = { .plugin = "resource" };
        policy_decide(one, run, &r, &decision);
        assert_true(decision.allow);
    }
    policy_free(one);
}

static void test_explain__says_what_the_decision_does_not(void **state)
{
    char why[200];
    const struct policy_request r = { .plugin = "other", .path = path, .path_count = 3 };
    compile_if("data.plugin == \"resource\"");
    assert_int_equal(decide_request(r), POLICY_DENY_UNDEFINED);
    policy_explain(compiled, run, &r, why, sizeof why);
    assert_string_equal(why, "policy.rego:4: data.plugin == \"resource\": left is \"other\"");
    compile_if("print(\"not again\")");
    printed[0] = '\0';
    policy_explain(compiled, run, &(struct policy_request) { .plugin = "x", .print = keep_line, .context = printed },
                   why, sizeof why);
    assert_string_equal(why, "policy.rego:3: allow: holds with true");
    assert_string_equal(printed, "");
    policy_explain(compiled, run, &r, why, 12);
    assert_string_equal(why, "policy.rego");
}

/* The line of the rule that decided stands in the record of the decision. */
static void test_decide__names_the_rule(void **state)
{
    static const struct { const char *text; unsigned rule; } rows[] = {
        { "package policy\n\nallow := true", 3 },
        { "package policy\ndefault allow := false\nallow if data.plugin == \"resource\"", 3 },
        { "package policy\ndefault allow := false\nallow if data.plugin == \"other\"", 2 },
        { "package policy\nallow if data.plugin == \"other\"\n\nallow if {\n\thelper\n}\nhelper if true", 4 },
        { "package policy\nallow if false\nelse := true if true", 3 },
        { "package policy\nallow if data.plugin == \"other\"", 0 },
        { "package policy\nhelper := true", 0 },
        { "package policy\nallow := true\nallow := false", 0 },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        compile(rows[i].text);
        DECIDE(.path = path, .path_count = 3);
        if (decision.rule_line != rows[i].rule) fail_msg("row %zu: rule at %u", i, decision.rule_line);
    }
}

static void test_judge__is_what_decide_says(void **state)
{
    static const char *const question = "data.policy.allow";
    static const char text[] = "package policy\n\nallow := count(1)\n";
    const struct rego_module module = { POLICY_MODULE, text, sizeof text - 1 };
    const struct rego_options options = { .queries = &question, .query_count = 1 };
    struct rego_program *p = rego_compile(&module, 1, &options, &errors);
    struct rego_run *own = rego_run_new(p, 0);
    struct rego_result result;
    memset(&decision, 0xAA, sizeof decision);
    rego_eval(own, 0, &(struct rego_input) { .strict = true }, &result);
    policy_judge(&result, &decision);
    assert_false(decision.allow);
    assert_int_equal(decision.outcome, POLICY_FAILED);
    assert_string_equal(decision.reason, "the policy failed: eval_type_error policy.rego:3");
    assert_int_equal(decision.steps, result.steps);
    rego_run_free(own);
    rego_program_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        POLICY_TEST(test_compile__refusals),
        POLICY_TEST(test_compile__tells_all_at_once),
        POLICY_TEST(test_compile__a_cut_text_allows_nothing),
        POLICY_TEST(test_compile__a_nul_does_not_end_the_text),
        POLICY_TEST(test_free__null),
        POLICY_TEST(test_decide__stock_policies),
        POLICY_TEST(test_decide__the_example),
        POLICY_TEST(test_decide__outcomes),
        POLICY_TEST(test_decide__budgets),
        POLICY_TEST(test_decide__depth),
        POLICY_TEST(test_outcome_name__all),
        POLICY_TEST(test_run_input__data),
        POLICY_TEST(test_decide__conditions),
        POLICY_TEST(test_decide__request_too_large),
        POLICY_TEST(test_decide__print),
        POLICY_TEST(test_decide__a_run_serves_many),
        POLICY_TEST(test_explain__says_what_the_decision_does_not),
        POLICY_TEST(test_decide__names_the_rule),
        POLICY_TEST(test_judge__is_what_decide_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

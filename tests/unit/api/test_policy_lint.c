/* policy_lint.c: policies as people write them. Sane ones are told nothing; those that are shown around
 * broken are told what is wrong. */
#include "broker/api/policy_lint.h"
#include "broker/attest/claims_schema.h"
#include "broker/jose/b64url.h"
#include "policy/errors.h"
#include "policy/json.h"
#include "policy/lint.h"
#include "tests/lib/vectors.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static struct arena *arena;

static int setup(void **state)
{
    arena = arena_new(8 << 20);
    return arena ? 0 : -1;
}

static int teardown(void **state)
{
    arena_free(arena);
    arena = NULL;
    return 0;
}

/* ---- linting -------------------------------------------------------------------------------------- */

/* "LINE:COLUMN CODE" for each error or warning, a blank between. */
static const char *codes(const struct rego_errors *errors)
{
    struct text t;
    text_init(&t, arena);
    for (size_t i = 0; i < errors->count; i++)
        text_addf(&t, "%s%u:%u %s", i ? " " : "", errors->items[i].line, errors->items[i].column,
                  errors->items[i].code);
    return text_end(&t);
}

/* What is wrong with the text; warnings only when it compiles. attestation: not a resource policy. */
static void look(struct span text, bool attestation, struct rego_errors *ret)
{
    const struct rego_module m = {"policy.rego", (const char *) text.data, text.len};
    struct rego_program *program = rego_compile(&m, 1, NULL, ret);
    if (!program) return;
    rego_program_free(program);
    if (attestation) policy_lint_attestation(&m, ret);
    else policy_lint(&m, ret);
}

static const char *look_codes(struct span text)
{
    struct rego_errors errors;
    look(text, false, &errors);
    return codes(&errors);
}

/* ---- policies in order ---------------------------------------------------------------------------- */

static const struct { const char *name, *expected; } GOOD[] = {
    {"affirming", ""}, {"affirming-negated", ""}, {"fresh", ""}, {"pinned", ""}, {"per-repository", ""},
    {"public-and-private", ""}, {"functions", ""}, {"gpu", ""}, {"violations", ""}, {"no-sample", ""},
    {"older-paths", ""}, {"query", ""}, {"image-list", ""}, {"levels", ""}, {"tested", ""}, {"init-data", ""},
    {"tdx-profile", ""}, {"deny-list", ""}, {"any-plugin", "6:1 lint_all_plugins"},
};

static void test_policy_lint__policies_in_order(void **state)
{
    for (size_t i = 0; i < LENGTH(GOOD); i++) {
        struct buf text = BUF_INIT;
        char name[64];
        snprintf(name, sizeof name, "policies/%s.rego", GOOD[i].name);
        vector_read(name, &text);
        const char *got = look_codes(buf_span(&text));
        if (strcmp(got, GOOD[i].expected) != 0) print_error("%s\n", name);
        assert_string_equal(got, GOOD[i].expected);
        buf_free(&text);
    }
}

/* The one to start from, which is installed. */
static void test_policy_lint__policy_to_start_from(void **state)
{
    struct buf text = BUF_INIT;
    vector_read("../../scripts/share/policy.rego", &text);
    assert_string_equal(look_codes(buf_span(&text)), "");
    buf_free(&text);
}

/* ---- the stock policies --------------------------------------------------------------------------- */

/* The n-th policy that a recorded kbs-client sent. */
static void stock(const char *file, struct buf *ret)
{
    struct json_doc *doc = vector_json(file), *body = NULL;
    assert_ok(json_parse(span_str(exchange_body(doc, "/resource-policy", 0, "request")), &body));
    assert_ok(b64url_decode(span_str(json_string(json_get(json_root(body), "policy"))), ret));
    json_free(body);
    json_free(doc);
}

static void test_policy_lint__stock_policies(void **state)
{
    static const struct { const char *file, *expected; } STOCK[] = {
        {"kbs/old-admin-policy-allow-all.json", "4:1 lint_default_allow"},
        {"kbs/new-admin-policy-allow.json", "7:1 lint_any_guest"},
        {"kbs/old-admin-policy-deny-all.json", ""},
        {"kbs/new-admin-policy-deny.json", ""},
        {"kbs/old-admin-policy-affirming.json", "6:1 lint_all_plugins"},
        {"kbs/new-admin-policy-affirming.json", "6:1 lint_all_plugins"},
        {"kbs/old-admin-policy-default.json", "85:2 lint_fail_open"},
    };
    for (size_t i = 0; i < LENGTH(STOCK); i++) {
        struct buf text = BUF_INIT;
        stock(STOCK[i].file, &text);
        assert_string_equal(look_codes(buf_span(&text)), STOCK[i].expected);
        buf_free(&text);
    }
}

/* ---- shown around, and broken (rego.md 1.4) --------------------------------------------------------- */

struct shown {
    const char *text, *code;
    unsigned line, column;
    const char *hint; /* a part of it */
    bool attestation; /* given as attestation policy */
};

/* The first error or warning of that code is there. */
static void check_shown(struct shown s)
{
    struct rego_errors errors;
    look(span_str(s.text), s.attestation, &errors);
    for (size_t i = 0; i < errors.count; i++) {
        const struct rego_error *e = &errors.items[i];
        if (strcmp(e->code, s.code) != 0 || e->line != s.line || e->column != s.column) continue;
        if (!strstr(e->hint, s.hint)) fail_msg("hint: %s", e->hint);
        return;
    }
    fail_msg("no %s, but %s", s.code, codes(&errors));
}

static void test_rego_md_1_4__rule_called_allowed(void **state)
{
    check_shown((struct shown){"package policy\nimport rego.v1\n\ndefault allow = false\n\nallowed if {\n"
                               "\tinput.submods.cpu0[\"ear.status\"] == \"affirming\"\n}\n",
                               "lint_rule_name", 6, 1, "did you mean allow?", false});
}

static void test_rego_md_1_4__claim_below_the_status(void **state)
{
    static const char TEXT[] = "package policy\ndefault allow = false\nallow if {\n\tsome s in input.submods\n"
                               "\ts[\"ear.status.executables\"] == 3\n}\n";
    check_shown((struct shown){TEXT, "lint_unknown_path", 5, 4,
                               "did you mean input.submods[_][\"ear.trustworthiness-vector\"].executables?", false});
    check_shown((struct shown){"package policy\nallow if input.submods.cpu0[\"ear.status\"].executables == 3\n",
                               "lint_unknown_path", 2, 43, "[\"ear.trustworthiness-vector\"].executables?", false});
}

/* Three faults in one text: a name that is another, the package, and the slot it is set into. */
static void test_rego_md_1_4__quickstart(void **state)
{
#define QUICKSTART(name)                                                                             \
    "package my_policy\ndefault allow = false\nreference_tdx_mr_td := \"aa\"\nallow if {\n"             \
    "\tinput.submods.cpu0[\"ear.veraison.annotated-evidence\"].tdx.mr_td == " name "\n}\n"
    check_shown((struct shown){QUICKSTART("reference_tdx_mrtd"), "rego_unsafe_var_error", 5, 2,
                               "did you mean reference_tdx_mr_td?", false});
    check_shown((struct shown){QUICKSTART("reference_tdx_mr_td"), "lint_package", 1, 1,
                               "write `package policy`", false});
    check_shown((struct shown){QUICKSTART("reference_tdx_mr_td"), "lint_wrong_slot", 4, 1,
                               "set it as the resource policy", true});
}

static void test_rego_md_1_4__before_version_1(void **state)
{
    check_shown((struct shown){"package policy\ndefault allow = false\npath := split(data[\"resource-path\"], \"/\")\n"
                               "allow {\n\tcount(path) == 3\n}\n",
                               "rego_parse_error", 4, 7, "write `allow if {`", false});
    check_shown((struct shown){"package policy\npath := split(data[\"resource-path\"], \"/\")\n"
                               "allow if {\n\tcount(path) == 3\n\tinput[\"tee\"] == \"se\"\n}\n",
                               "lint_array_as_string", 2, 9, "concat(\"/\", data[\"resource-path\"])", false});
    check_shown((struct shown){"package policy\nallow if {\n\tinput[\"tee\"] == \"se\"\n}\n",
                               "lint_unknown_path", 3, 8, "ear.veraison.annotated-evidence", false});
}

static void test_rego_md_1_4__shipped_default(void **state)
{
    check_shown((struct shown){"package policy\ndefault allow = false\nplugin = data.plugin\nallow if {\n"
                               "\tplugin == \"resource\"\n\tnot input[\"submods\"][\"cpu0\"]"
                               "[\"ear.veraison.annotated-evidence\"][\"sample\"]\n}\n",
                               "lint_fail_open", 6, 2, "input.submods.cpu0", false});
}

static void test_rego_md_1_4__allow_all_of_one_plugin(void **state)
{
    check_shown((struct shown){"package policy\ndefault allow = false\nplugin = data.plugin\nallow if {\n"
                               "\tplugin == \"resource\"\n}\n",
                               "lint_any_guest", 4, 1, "other plugins", false});
}

/* A flat key for a nested path, here and in tokens of another time. */
static void test_rego_md_1_4__flat_keys(void **state)
{
    check_shown((struct shown){"package policy\nallow if input[\"tcb-status\"].snp.measurement == \"x\"\n",
                               "lint_unknown_path", 2, 16, "ear.veraison.annotated-evidence", false});
    check_shown((struct shown){"package policy\nallow if input.submods.cpu0.ear.status == \"affirming\"\n",
                               "lint_unknown_path", 2, 29, "did you mean input.submods.cpu0[\"ear.status\"]?", false});
}

static void test_rego_md_1_4__wrong_slot(void **state)
{
    check_shown((struct shown){"package policy\ndefault allow := false\nallow if input.submods\n", "lint_wrong_slot",
                               3, 1, "set it as the resource policy", true});
    check_shown((struct shown){"package policy\ndefault hardware := 97\ntrust_claims := {\"hardware\": hardware}\n",
                               "lint_wrong_slot", 3, 1, "set it as the attestation policy", false});
}

/* ---- more that is wrong --------------------------------------------------------------------------- */

#define CPU "input.submods.cpu0"
#define EVIDENCE CPU "[\"ear.veraison.annotated-evidence\"]"
#define RULE(body) "package policy\nallow if {\n\tdata.plugin == \"resource\"\n" body "\n}\n"

static void test_policy_lint__policies_that_are_wrong(void **state)
{
    static const struct { const char *text, *expected; } BAD[] = {
        {RULE("\tinput.submods.cpu[\"ear.status\"] == \"affirming\""), "4:16 lint_unknown_path"},
        {RULE("\tdata[\"resource_path\"][0] == \"a\"; input.exp > 0"), "4:7 lint_unknown_path"},
        {RULE("\tinput.expires > 0"), "4:8 lint_unknown_path"},
        {RULE("\t" EVIDENCE ".sampel"), "4:56 lint_unknown_path"},
        {RULE("\tdata[\"resource-path\"] == \"a/b/c\"; input.exp > 0"), "4:2 lint_array_as_string"},
        {RULE("\tstartswith(data[\"resource-path\"], \"a/\"); input.exp > 0"), "4:2 lint_array_as_string"},
        {RULE("\t" EVIDENCE ".sample.svn == 1"), "4:2 lint_type_mismatch"},
        {RULE("\t" CPU "[\"ear.trustworthiness-vector\"].hardware == \"2\""), "4:2 lint_type_mismatch"},
        {RULE("\t" CPU "[\"ear.trustworthiness-vector\"].hardware in {\"2\", \"3\"}"), "4:2 lint_type_mismatch"},
        {RULE("\tinput.iat + \"300\" > input.exp"), "4:2 lint_type_mismatch"},
        {RULE("\t" CPU "[\"ear.status\"] == \"afirming\""), "4:2 lint_never_true"},
        {RULE("\t" CPU "[\"ear.status\"] == \"affirming\"\n\t" CPU "[\"ear.status\"] == \"warning\""),
         "5:2 lint_never_true"},
        {RULE("\tnot " CPU "[\"ear.status\"] == \"contraindicated\""), "4:2 lint_fail_open"},
        {RULE("\tcount([s | some s in input.submods; s[\"ear.status\"] != \"affirming\"]) == 0"),
         "4:2 lint_fail_open"},
        {RULE("\tevery s in input.submods { s[\"ear.status\"] == \"affirming\" }"), "4:2 lint_every_empty"},
        {RULE("\t$\"{" EVIDENCE ".snp.a}\" == $\"{" EVIDENCE ".snp.b}\""), "4:2 lint_template"},
        {"package policy\nallow if input.submods\n", "2:1 lint_always_true"},
        {"package policy\ndefault allow := true\nallow := false if input.iss == \"x\"\n", "2:1 lint_default_allow"},
        {"package policy\nallow if input.iss == \"x\"\n", "2:1 lint_all_plugins"},
        {RULE("\tinput.iss == \"x\"") "iss_ok if input.iss == \"x\"\n", "6:1 lint_unused_rule"},
    };
    for (size_t i = 0; i < LENGTH(BAD); i++) {
        const char *got = look_codes(span_str(BAD[i].text));
        if (strcmp(got, BAD[i].expected) != 0) print_error("%s\n", BAD[i].text);
        assert_string_equal(got, BAD[i].expected);
    }
}

/* The evidence alone is the input of an attestation policy, and there is no data at all. */
static void test_policy_lint__attestation_policy(void **state)
{
    static const char TEXT[] = "package policy\n\ndefault hardware := 97\n\nhardware := 2 if {\n"
                               "\tinput.sample\n\tinput.sample.svn in data.reference.svn\n}\n\n"
                               "trust_claims := {\"hardware\": hardware}\n";
    struct rego_errors warnings;
    look(span_str(TEXT), true, &warnings);
    assert_string_equal(codes(&warnings), "7:27 lint_unknown_path");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_policy_lint__policies_in_order),
        CASE(test_policy_lint__policy_to_start_from),
        CASE(test_policy_lint__stock_policies),
        CASE(test_rego_md_1_4__rule_called_allowed),
        CASE(test_rego_md_1_4__claim_below_the_status),
        CASE(test_rego_md_1_4__quickstart),
        CASE(test_rego_md_1_4__before_version_1),
        CASE(test_rego_md_1_4__shipped_default),
        CASE(test_rego_md_1_4__allow_all_of_one_plugin),
        CASE(test_rego_md_1_4__flat_keys),
        CASE(test_rego_md_1_4__wrong_slot),
        CASE(test_policy_lint__policies_that_are_wrong),
        CASE(test_policy_lint__attestation_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

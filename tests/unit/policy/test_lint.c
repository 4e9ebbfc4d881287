/* lint.c: the table, profiles, several modules, limits. */
#include "tests/unit/policy/lints.h"

#include "policy/linter.h"

/* ---- the table ---------------------------------------------------------------------------------- */

static const char *readme(struct arena *a)
{
    const char *source = getenv("STRONGROOM_SOURCE");
    char path[512];
    snprintf(path, sizeof path, "%s%spolicy/README.md", source ? source : "", source ? "/" : "");
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *text = arena_alloc(a, 1 << 16);
    size_t len = fread(text, 1, (1 << 16) - 1, f);
    fclose(f);
    assert_true(len > 0);
    return text;
}

static void test_lint_row__in_the_readme(void **state)
{
    struct arena *a = arena_new(1 << 20);
    const char *text = readme(a);
    size_t count = 0, lines = 0;
    (void) state;
    for (; lint_row(count); count++) {
        char line[300];
        snprintf(line, sizeof line, "| `%s` | %s |\n", lint_row(count)->code, lint_row(count)->doc);
        if (!strstr(text, line)) print_error("policy/README.md lacks: %s", line);
        assert_non_null(strstr(text, line));
    }
    for (const char *at = text; (at = strstr(at, "| `lint_")); at++) lines++;
    assert_int_equal(lines, count);
    assert_int_equal(count, LINT_COUNT_);
    assert_null(lint_row(LINT_COUNT_ + 1));
    arena_free(a);
}

/* One policy for each row, in the order of the table. */
static const struct { const char *code, *text; } EACH[LINT_TOO_LARGE] = {
    { "lint_package", "package other\nallow if { input.ok; data.plugin == \"a\" }" },
    { "lint_wrong_slot", "package policy\ntrust_claims := {}" },
    { "lint_rule_name", "package policy\nallowed if { input.ok; data.plugin == \"a\" }" },
    { "lint_unknown_path", "package policy\nallow if { input.okay; data.plugin == \"a\" }" },
    { "lint_array_as_string", "package policy\nallow if { data.path == \"a/b\"; input.ok; data.plugin == \"a\" }" },
    { "lint_type_mismatch", "package policy\nallow if { input.exp == \"a\"; data.plugin == \"a\" }" },
    { "lint_never_true", "package policy\nallow if { input.exp == 1; input.exp == 2; data.plugin == \"a\" }" },
    { "lint_fail_open", "package policy\nallow if { not input.parts.cpu0.level == 1; data.plugin == \"a\" }" },
    { "lint_every_empty", "package policy\nallow if { every x in input.list { x }; data.plugin == \"a\" }" },
    { "lint_template", "package policy\nallow if { $\"{input.extra}\" == input.iss; data.plugin == \"a\" }" },
    { "lint_always_true", "package policy\nallow := true" },
    { "lint_default_allow", "package policy\ndefault allow := true" },
    { "lint_any_guest", "package policy\nallow if data.plugin == \"a\"" },
    { "lint_all_plugins", "package policy\nallow if input.ok" },
    { "lint_unused_rule", "package policy\nallow if { input.ok; data.plugin == \"a\" }\nx := 1" },
};

static void test_rego_lint__each_row(void **state)
{
    (void) state;
    for (size_t i = 0; i < LINT_TOO_LARGE; i++) {
        struct arena *a = arena_new(1 << 20);
        const struct lint_profile profile = lints_profile(a);
        const struct rego_module m = { "p.rego", EACH[i].text, strlen(EACH[i].text) };
        struct rego_errors warnings;
        assert_string_equal(lint_row(i)->code, EACH[i].code);
        rego_lint(&m, 1, NULL, &profile, &warnings);
        assert_int_equal(warnings.count, 1);
        assert_string_equal(warnings.items[0].code, EACH[i].code);
        assert_string_equal(warnings.items[0].module, "p.rego");
        arena_free(a);
    }
}

/* ---- profiles ----------------------------------------------------------------------------------- */

static void check_module(const struct lint_profile *p, const char *text, const char *expected)
{
    struct arena *a = arena_new(1 << 20);
    assert_string_equal(lint_module(a, text, p), expected);
    arena_free(a);
}

static void test_rego_lint__attestation_policy(void **state)
{
    (void) state;
    check_module(&LINT_ATTESTATION_POLICY,
                 "package policy\ndefault hardware := 97\nhardware := 2 if input.tdx\n"
                 "trust_claims := {\"hardware\": hardware}\nextensions contains \"x\" if input.tdx\n", "");
    check_module(&LINT_ATTESTATION_POLICY, "package policy\ndefault allow := false\nallow if input.tdx\n",
                 "3:1 wrong_slot resource policy given as attestation policy: it has allow and no trust_claims | "
                 "set it as the resource policy; the attestation policy asks for trust_claims\n");
    check_module(&LINT_ATTESTATION_POLICY, "package policy\nallow if input.tdx\ntrust_claims := {}\n",
                 "2:1 unused_rule nothing uses rule allow | use it in trust_claims, or remove it\n");
    check_module(&LINT_ATTESTATION_POLICY, "package policy\ntrustclaims := {}\n",
                 "2:1 rule_name rule trustclaims is never asked for; the rule is called trust_claims | "
                 "did you mean trust_claims?\n");
    check_module(&LINT_ATTESTATION_POLICY,
                 "package policy\nhardware := 2 if not input.tdx.debug\ntrust_claims := {\"hardware\": hardware}\n",
                 "2:18 fail_open this holds as well when input.tdx is missing | demand it in the same body: input.tdx\n");
}

static void test_rego_lint__nothing_known(void **state)
{
    const struct lint_profile none = { .package = "a.b" };
    (void) state;
    check_module(&LINT_RESOURCE_POLICY, "package policy\nallow if { input.tee == \"se\"; data.x.y == 3 }\n", "");
    check_module(&LINT_RESOURCE_POLICY, "package policy\nallow if { not input.a.b }\n",
                 "2:12 fail_open this holds as well when input.a is missing | demand it in the same body: input.a\n");
    check_module(&none, "package a.b\nx := 1\n", "");
    check_module(&none, "package a.c\nx := 1\n",
                 "1:1 package the policy is looked for in package a.b, which is not there | write `package a.b`\n");
    check_module(&LINT_RESOURCE_POLICY, "package policy.more\nallow := 1\n",
                 "1:1 package the resource policy is looked for in package policy, which is not there | write `package policy`\n"
                 "2:1 type_mismatch more.allow is a number: only the boolean true counts | write `allow if { .. }`\n");
}

/* ---- modules ------------------------------------------------------------------------------------ */

static void test_rego_lint__several_modules(void **state)
{
    static const char LIBRARY[] = "package lib\nfine(p) if p.statu == \"good\"\nunused := 1\n";
    static const char POLICY[] = "package policy\nimport data.lib\n"
                                 "allow if { data.plugin == \"a\"; lib.fine(input.parts.cpu0) }\n";
    static const char TESTS[] = "package policy_test\nimport data.policy\ntest_it if not policy.allow with input as {}\n";
    const struct rego_module modules[] = {
        { "lib.rego", LIBRARY, sizeof LIBRARY - 1 }, { "policy.rego", POLICY, sizeof POLICY - 1 },
        { "test.rego", TESTS, sizeof TESTS - 1 },
    };
    struct arena *a = arena_new(1 << 20);
    const struct lint_profile profile = lints_profile(a);
    struct rego_errors warnings;
    (void) state;
    rego_lint(modules, 3, NULL, &profile, &warnings);
    assert_int_equal(warnings.count, 1);
    assert_string_equal(warnings.items[0].code, "lint_unknown_path");
    assert_string_equal(warnings.items[0].module, "lib.rego");
    assert_int_equal(warnings.items[0].line, 2);
    assert_string_equal(warnings.items[0].source, "fine(p) if p.statu == \"good\"");
    rego_lint(modules, 0, NULL, &profile, &warnings);
    assert_int_equal(warnings.count, 0);
    arena_free(a);
}

static void test_rego_lint__does_not_compile(void **state)
{
    static const char *const TEXTS[] = { "", "package", "package policy\nallow {}", "package policy\nallow if x" };
    (void) state;
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        const struct rego_module m = { "p.rego", TEXTS[i], strlen(TEXTS[i]) };
        struct rego_errors warnings;
        memset(&warnings, 0x55, sizeof warnings);
        rego_lint(&m, 1, NULL, &LINT_RESOURCE_POLICY, &warnings);
        assert_int_equal(warnings.count, 0);
        assert_int_equal(warnings.more, 0);
    }
}

/* ---- limits ------------------------------------------------------------------------------------- */

static void lint_long(struct arena *a, struct text *t, struct rego_errors *ret)
{
    const struct lint_profile profile = lints_profile(a);
    const char *text = text_end(t);
    assert_non_null(text);
    const struct rego_module m = { "p.rego", text, t->len };
    struct rego_errors errors;
    struct rego_program *p = rego_compile(&m, 1, NULL, &errors);
    assert_non_null(p);
    rego_program_free(p);
    rego_lint(&m, 1, NULL, &profile, ret);
}

static void test_rego_lint__more_than_fit(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct rego_errors warnings;
    struct text t;
    (void) state;
    text_init(&t, a);
    text_add_string(&t, "package policy\nallow if { data.plugin == \"a\"\n");
    for (unsigned i = 0; i < REGO_ERRORS_MAX + 5; i++) text_addf(&t, "input.unknown%u\n", i);
    text_add_string(&t, "}\n");
    lint_long(a, &t, &warnings);
    assert_int_equal(warnings.count, REGO_ERRORS_MAX);
    assert_int_equal(warnings.more, 5);
    for (unsigned i = 0; i < REGO_ERRORS_MAX; i++) assert_int_equal(warnings.items[i].line, 3 + i);
    arena_free(a);
}

/* A chain of rules; the last has a fault that is found when it is not too far down. */
static size_t found_down(unsigned rules)
{
    struct arena *a = arena_new(1 << 24);
    struct rego_errors warnings;
    struct text t;
    text_init(&t, a);
    text_add_string(&t, "package policy\nallow if { data.plugin == \"a\"; r1 }\n");
    for (unsigned i = 1; i < rules; i++) text_addf(&t, "r%u if r%u\n", i, i + 1);
    text_addf(&t, "r%u if input.unknown\n", rules);
    lint_long(a, &t, &warnings);
    arena_free(a);
    return warnings.count;
}

static void test_rego_lint__depth(void **state)
{
    (void) state;
    assert_int_equal(found_down(LINT_DEPTH_MAX - 1), 1); /* with allow itself as many as are looked into */
    assert_int_equal(found_down(LINT_DEPTH_MAX), 0);
    assert_int_equal(found_down(20 * LINT_DEPTH_MAX), 0);
}

/* A function that is right in the call behind `calls` others in which it is wrong. */
static size_t found_in_calls(unsigned calls)
{
    struct arena *a = arena_new(1 << 22);
    struct rego_errors warnings;
    struct text t;
    text_init(&t, a);
    text_add_string(&t, "package policy\nallow if { data.plugin == \"a\"; input.ok\n");
    for (unsigned i = 0; i < calls; i++) text_addf(&t, "f(input.exp, \"%u\")\n", i);
    text_add_string(&t, "f(input.iss, \"x\")\n}\nf(a, b) if a == b\n");
    lint_long(a, &t, &warnings);
    arena_free(a);
    return warnings.count;
}

static void test_rego_lint__contexts(void **state)
{
    (void) state;
    assert_int_equal(found_in_calls(LINT_CONTEXTS_MAX - 1), 0);
    assert_int_equal(found_in_calls(LINT_CONTEXTS_MAX), 1); /* the right one is not looked into */
}

/* Doubling by calls: without bounds 2^60 bodies. */
static void test_rego_lint__functions_that_double(void **state)
{
    struct arena *a = arena_new(1 << 22);
    struct rego_errors warnings;
    struct text t;
    (void) state;
    text_init(&t, a);
    text_add_string(&t, "package policy\nallow if { data.plugin == \"a\"; f0(input.iss) }\n");
    for (unsigned i = 0; i < 60; i++) text_addf(&t, "f%u(x) if { f%u(x); f%u(x) }\n", i, i + 1, i + 1);
    text_add_string(&t, "f60(x) if x == 3\n");
    lint_long(a, &t, &warnings);
    assert_int_equal(warnings.count, 1);
    assert_string_equal(warnings.items[0].code, "lint_type_mismatch");
    arena_free(a);
}

/* More steps than are allowed: nothing uncertain is told, but that there may be more. */
static void test_rego_lint__more_work_than_allowed(void **state)
{
    struct arena *a = arena_new(1 << 24);
    struct rego_errors warnings;
    struct text t;
    (void) state;
    text_init(&t, a);
    text_add_string(&t, "package policy\nallow if { data.plugin == \"a\"; not bad; input.unknown\n");
    for (unsigned i = 0; i < 2000; i++) text_add_string(&t, "f(input.parts.cpu0)\n");
    text_add_string(&t, "input.parts.gpu0\n}\nbad if input.parts.gpu0.level == 1\nf(p) if {\n");
    for (unsigned i = 0; i < LINT_STEPS_MAX / LINT_CONTEXTS_MAX / 3; i++) text_add_string(&t, "p.level\n");
    text_add_string(&t, "}\n");
    lint_long(a, &t, &warnings);
    assert_int_equal(warnings.count, 2);
    assert_string_equal(warnings.items[0].code, "lint_unknown_path");
    assert_string_equal(warnings.items[1].code, "lint_too_large");
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lint_row__in_the_readme),
        cmocka_unit_test(test_rego_lint__each_row),
        cmocka_unit_test(test_rego_lint__attestation_policy),
        cmocka_unit_test(test_rego_lint__nothing_known),
        cmocka_unit_test(test_rego_lint__several_modules),
        cmocka_unit_test(test_rego_lint__does_not_compile),
        cmocka_unit_test(test_rego_lint__more_than_fit),
        cmocka_unit_test(test_rego_lint__depth),
        cmocka_unit_test(test_rego_lint__contexts),
        cmocka_unit_test(test_rego_lint__functions_that_double),
        cmocka_unit_test(test_rego_lint__more_work_than_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

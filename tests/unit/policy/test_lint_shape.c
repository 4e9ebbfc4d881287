/* lint_shape.c: the package, the rule that is asked for, rules that nobody asks for. */
#include "tests/unit/policy/lints.h"

static const struct lint_case MISSING[] = {
    { "x := 1\n",
      "1:1 rule_name there is no rule allow: everything is denied | write `allow if { .. }`\n" },
    { "allowed if { data.plugin == \"resource\"; input.ok }\n",
      "2:1 rule_name rule allowed is never asked for; the rule is called allow | did you mean allow?\n" },
    { "default allow := false\n"
      "allowed if { data.plugin == \"resource\"; input.ok }\n",
      "3:1 rule_name rule allowed is never asked for; the rule is called allow | did you mean allow?\n" },
    { "default allow := false\n"
      "alow if { data.plugin == \"resource\"; input.ok }\n",
      "3:1 rule_name rule alow is never asked for; the rule is called allow | did you mean allow?\n" },
    { "is_allowed if { data.plugin == \"resource\"; input.ok }\n",
      "2:1 rule_name rule is_allowed is never asked for; the rule is called allow | did you mean allow?\n" },
    { "allow_guest if { data.plugin == \"resource\"; input.ok }\n",
      "2:1 rule_name rule allow_guest is never asked for; the rule is called allow | did you mean allow?\n" },
    { "disallow if { data.plugin == \"resource\"; input.ok }\n",
      "1:1 rule_name there is no rule allow: everything is denied | write `allow if { .. }`\n" },
    { "default allow := false\n",
      "" },
    { "default allow := false\n"
      "deny if input.ok\n",
      "3:1 unused_rule nothing uses rule deny | use it in allow, or remove it\n" },
    { "Allow if { data.plugin == \"resource\"; input.ok }\n",
      "2:1 rule_name rule Allow is never asked for; the rule is called allow | did you mean allow?\n" },
    { "allow if { data.plugin == \"resource\"; allowed }\n"
      "allowed if input.ok\n",
      "" },
    { "default allow := false\n"
      "default allowed := false\n"
      "allowed if { data.plugin == \"resource\"; input.parts.cpu.status == \"good\" }\n",
      "4:1 rule_name rule allowed is never asked for; the rule is called allow | did you mean allow?\n"
      "4:53 unknown_path input.parts.cpu is not in any token | did you mean input.parts.cpu0?\n" },
    { "allow contains \"x\" if { data.plugin == \"resource\"; input.ok }\n",
      "2:1 type_mismatch allow is a set: only the boolean true counts | write `allow if { .. }`\n" },
};

static void test_lint_rule_name__missing(void **state)
{
    (void) state;
    CHECK_LINTS(MISSING);
}

static const struct lint_case ATTESTATION[] = {
    { "trust_claims := {\"hardware\": 2}\n",
      "2:1 wrong_slot attestation policy given as resource policy: it has trust_claims and no allow | set it as the attestation policy; the resource policy asks for allow\n" },
    { "default allow := false\n"
      "trust_claims := {\"hardware\": hardware}\n"
      "hardware := 2 if input.ok\n",
      "3:1 wrong_slot attestation policy given as resource policy: it has trust_claims and no allow | set it as the attestation policy; the resource policy asks for allow\n" },
    { "allow if { data.plugin == \"resource\"; input.ok }\n"
      "trust_claims := {\"hardware\": 2}\n",
      "3:1 unused_rule nothing uses rule trust_claims | use it in allow, or remove it\n" },
};

static void test_lint_wrong_slot__attestation(void **state)
{
    (void) state;
    CHECK_LINTS(ATTESTATION);
}

static const struct lint_case REACH[] = {
    { ALLOW("input.ok")
      "one := 1\n"
      "two := one\n"
      "f(x) := x\n"
      "default g(_) := 1\n"
      "s contains 1\n"
      "s contains 2\n",
      "5:1 unused_rule nothing uses rule one | use it in allow, or remove it\n"
      "6:1 unused_rule nothing uses rule two | use it in allow, or remove it\n"
      "7:1 unused_rule nothing uses function f | use it in allow, or remove it\n"
      "8:1 unused_rule nothing uses function g | use it in allow, or remove it\n"
      "9:1 unused_rule nothing uses rule s | use it in allow, or remove it\n" },
    { ALLOW("input.ok")
      "one := 1\n"
      "test_one if one == 1\n",
      "" },
    { ALLOW("input.ok")
      "test_allow if allow with input as sample\n"
      "sample := {\"ok\": true}\n"
      "todo_test_more if false\n",
      "" },
    { ALLOW("used.one == 1")
      "used.one := 1\n"
      "used.two := 2\n",
      "6:1 unused_rule nothing uses rule used.two | use it in allow, or remove it\n" },
    { ALLOW("data.policy.used[_] == 1")
      "used.one := 1\n"
      "used.two := 2\n",
      "" },
    { ALLOW("twice(input.exp) > 3")
      "twice(x) := x * two\n"
      "two := 2\n",
      "" },
    { ALLOW("[x | some x in numbers][_] > 3")
      "numbers := [1, 2]\n",
      "" },
    { ALLOW("every x in numbers { x > zero }")
      "numbers := [1, 2]\n"
      "zero := 0\n",
      "" },
    { ALLOW("not bad\n"
            "input.parts.cpu0")
      "bad if worse\n"
      "worse if input.parts.cpu0.status == \"bad\"\n",
      "" },
    { ALLOW("input.ok with input.exp as three")
      "three := 3\n",
      "" },
    { ALLOW("input.ok with lower as upper_")
      "upper_(x) := upper(x)\n",
      "" },
};

static void test_lint_unused_rule__reach(void **state)
{
    (void) state;
    CHECK_LINTS(REACH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lint_rule_name__missing),
        cmocka_unit_test(test_lint_wrong_slot__attestation),
        cmocka_unit_test(test_lint_unused_rule__reach),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* lint_broad.c: policies that allow much. */
#include "tests/unit/policy/lints.h"

static const struct lint_case WITH_AND_WITHOUT_RULES[] = {
    { "default allow := true\n",
      "2:1 default_allow everything is allowed to every guest with a valid token | write `default allow := false` and say when it is true\n" },
    { "default allow = true\n"
      "allow = false if input.iss == \"x\"\n",
      "2:1 default_allow whatever no rule decides is allowed: a claim that is missing lets everybody in | write `default allow := false` and say when it is true\n" },
    { "default allow := false\n",
      "" },
};

static void test_lint_default_allow__with_and_without_rules(void **state)
{
    (void) state;
    CHECK_LINTS(WITH_AND_WITHOUT_RULES);
}

static const struct lint_case BODIES[] = {
    { "allow := true\n",
      "2:1 always_true this rule always holds: every guest with a valid token gets everything | make it depend on what the token says\n" },
    { "allow if true\n",
      "2:1 always_true this rule always holds: every guest with a valid token gets everything | make it depend on what the token says\n" },
    { "allow if { 1 == 1; \"a\" < \"b\" }\n",
      "2:1 always_true this rule always holds: every guest with a valid token gets everything | make it depend on what the token says\n" },
    { "allow if { x := 1; x == 1 }\n",
      "2:1 always_true this rule always holds: every guest with a valid token gets everything | make it depend on what the token says\n" },
    { "allow if input.parts\n",
      "2:1 always_true this rule always holds: every guest with a valid token gets everything | make it depend on what the token says\n" },
    { "allow if input.exp\n",
      "2:1 always_true this rule always holds: every guest with a valid token gets everything | make it depend on what the token says\n" },
    { "allow if input.parts.cpu0\n",
      "2:1 all_plugins no rule asks for the plugin: what is allowed is allowed to all of them | ask for one: data.plugin == \"resource\"\n" },
    { "allow if data.plugin\n",
      "2:1 always_true this rule always holds: every guest with a valid token gets everything | make it depend on what the token says\n" },
    { "allow if ok\n"
      "ok := true\n",
      "2:1 always_true this rule always holds: every guest with a valid token gets everything | make it depend on what the token says\n" },
    { "allow if not bad\n"
      "bad if 1 == 2\n",
      "2:1 always_true this rule always holds: every guest with a valid token gets everything | make it depend on what the token says\n"
      "3:8 never_true this is never true\n" },
    { "allow if not bad\n"
      "bad if input.exp == \"3\"\n",
      "2:1 always_true this rule always holds: every guest with a valid token gets everything | make it depend on what the token says\n"
      "3:8 type_mismatch input.exp is a number, compared with a string: == never holds | write 3 without quotes\n" },
    { "allow := false\n",
      "" },
    { "allow if { input.ok; data.plugin == \"resource\" } else := true\n",
      "2:1 always_true this rule always holds: every guest with a valid token gets everything | make it depend on what the token says\n" },
    { "default allow := true\n"
      "allow := true\n",
      "2:1 default_allow whatever no rule decides is allowed: a claim that is missing lets everybody in | write `default allow := false` and say when it is true\n"
      "3:1 always_true this rule always holds: every guest with a valid token gets everything | make it depend on what the token says\n" },
};

static void test_lint_always_true__bodies(void **state)
{
    (void) state;
    CHECK_LINTS(BODIES);
}

static const struct lint_case RESOURCE_AND_CLAIMS[] = {
    { "allow if data.plugin == \"resource\"\n",
      "2:1 any_guest this does not look at the guest: every valid token will do, whatever it says | if that is meant: other plugins, such as pkcs11, need naming as well; otherwise ask for a claim of input\n" },
    { "plugin = data.plugin\n"
      "allow if plugin == \"resource\"\n",
      "3:1 any_guest this does not look at the guest: every valid token will do, whatever it says | if that is meant: other plugins, such as pkcs11, need naming as well; otherwise ask for a claim of input\n" },
    { "allow if { data.plugin == \"resource\"; time.now_ns() > 3 }\n",
      "2:1 any_guest this does not look at the guest: every valid token will do, whatever it says | if that is meant: other plugins, such as pkcs11, need naming as well; otherwise ask for a claim of input\n" },
    { "allow if time.now_ns() > 3\n",
      "2:1 any_guest this does not look at the guest: every valid token will do, whatever it says | ask for a claim of input\n" },
    { "allow if { data.plugin == \"resource\"; data.path[0] == \"public\" }\n",
      "" },
    { "allow if { data.plugin == \"resource\"; data.query.x == \"y\" }\n",
      "" },
    { "allow if { data.plugin == \"resource\"; input.ok }\n"
      "allow if data.plugin == \"other\"\n",
      "3:1 any_guest this does not look at the guest: every valid token will do, whatever it says | if that is meant: other plugins, such as pkcs11, need naming as well; otherwise ask for a claim of input\n" },
    { "allow if ok(data.plugin)\n"
      "ok(p) if p == \"resource\"\n",
      "2:1 any_guest this does not look at the guest: every valid token will do, whatever it says | if that is meant: other plugins, such as pkcs11, need naming as well; otherwise ask for a claim of input\n" },
    { "allow if { data.plugin == \"resource\"; claims.ok }\n"
      "claims := input\n",
      "" },
};

static void test_lint_any_guest__resource_and_claims(void **state)
{
    (void) state;
    CHECK_LINTS(RESOURCE_AND_CLAIMS);
}

static const struct lint_case ASKED_OR_NOT[] = {
    { "allow if input.ok\n",
      "2:1 all_plugins no rule asks for the plugin: what is allowed is allowed to all of them | ask for one: data.plugin == \"resource\"\n" },
    { "allow if input.ok\n"
      "allow if input.iss == \"x\"\n",
      "2:1 all_plugins no rule asks for the plugin: what is allowed is allowed to all of them | ask for one: data.plugin == \"resource\"\n" },
    { "allow if input.ok\n"
      "allow if { input.iss == \"x\"; data.plugin == \"other\" }\n",
      "" },
    { "allow if { input.ok; right_plugin }\n"
      "right_plugin if data.plugin in {\"a\", \"b\"}\n",
      "" },
    { "allow if { input.ok; not is_wrong }\n"
      "is_wrong if data.plugin == \"other\"\n",
      "" },
    { "allow if false\n",
      "2:10 never_true this is always false\n" },
    { "allow if { input.ok; is_right(\"resource\") }\n"
      "is_right(p) if data.plugin == p\n",
      "" },
};

static void test_lint_all_plugins__asked_or_not(void **state)
{
    (void) state;
    CHECK_LINTS(ASKED_OR_NOT);
}

static const struct lint_case KINDS[] = {
    { "allow contains \"x\" if { data.plugin == \"resource\"; input.ok }\n",
      "2:1 type_mismatch allow is a set: only the boolean true counts | write `allow if { .. }`\n" },
    { "allow := \"yes\" if { data.plugin == \"resource\"; input.ok }\n",
      "2:1 type_mismatch allow is a string: only the boolean true counts | write `allow if { .. }`\n" },
    { "allow := input.ok if data.plugin == \"resource\"\n",
      "" },
    { "allow := input.parts if data.plugin == \"resource\"\n",
      "2:1 type_mismatch allow is an object: only the boolean true counts | write `allow if { .. }`\n" },
    { "allow(x) if { data.plugin == \"resource\"; input.ok == x }\n",
      "2:1 type_mismatch allow is a function: only the boolean true counts | write `allow if { .. }`\n" },
    { "default allow := false\n"
      "allow := 1 if { data.plugin == \"resource\"; input.ok }\n",
      "3:1 type_mismatch allow is a number: only the boolean true counts | write `allow if { .. }`\n" },
    { "allow[x] := true if { data.plugin == \"resource\"; x := input.list[_] }\n",
      "2:1 type_mismatch allow is an object: only the boolean true counts | write `allow if { .. }`\n" },
};

static void test_lint_not_boolean__kinds(void **state)
{
    (void) state;
    CHECK_LINTS(KINDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lint_default_allow__with_and_without_rules),
        cmocka_unit_test(test_lint_always_true__bodies),
        cmocka_unit_test(test_lint_any_guest__resource_and_claims),
        cmocka_unit_test(test_lint_all_plugins__asked_or_not),
        cmocka_unit_test(test_lint_not_boolean__kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* lint_term.c: paths that lead nowhere, and what is known of those that do. */
#include "tests/unit/policy/lints.h"

static const struct lint_case CLAIMS[] = {
    { ALLOW("input.exp > 3"),
      "" },
    { ALLOW("input.expp > 3"),
      "3:7 unknown_path input.expp is not in any token | did you mean input.exp?\n" },
    { ALLOW("input.old"),
      "3:7 unknown_path input.old is not in any token | write input.exp\n" },
    { ALLOW("input.parts.cpu0.status == \"good\""),
      "" },
    { ALLOW("input.parts.cpu12.status == \"good\""),
      "" },
    { ALLOW("input.parts.cpu.status == \"good\""),
      "3:13 unknown_path input.parts.cpu is not in any token | did you mean input.parts.cpu0?\n" },
    { ALLOW("input.parts.accel0.status == \"good\""),
      "" },
    { ALLOW("input.parts[_].statu == \"good\""),
      "3:16 unknown_path input.parts[_].statu is not in any token | did you mean input.parts[_].status?\n" },
    { ALLOW("some name, part in input.parts\n"
            "part.statu == \"good\"\n"
            "name == \"cpu0\""),
      "4:6 unknown_path input.parts[_].statu is not in any token | did you mean input.parts[_].status?\n" },
    { ALLOW("input.parts.cpu0.a.b == \"x\""),
      "3:18 unknown_path input.parts.cpu0.a is not in any token | did you mean input.parts.cpu0[\"a.b\"]?\n" },
    { ALLOW("input.parts.cpu0.x == 1"),
      "3:18 unknown_path input.parts.cpu0.x is not in any token | did you mean input.parts.cpu0.vector.x?\n" },
    { ALLOW("input.parts.cpu0.status.level == 1"),
      "3:25 unknown_path input.parts.cpu0.status.level is not in any token | did you mean input.parts.cpu0.level?\n" },
    { ALLOW("input.parts.cpu0[\"status.level\"] == 1"),
      "3:18 unknown_path input.parts.cpu0[\"status.level\"] is not in any token | did you mean input.parts.cpu0.level?\n" },
    { ALLOW("input.list.first == \"x\""),
      "3:12 unknown_path input.list.first is not in any token | input.list is an array\n" },
    { ALLOW("input.list[0] == \"x\""),
      "" },
    { ALLOW("input.extra.what.ever == 1"),
      "" },
    { ALLOW("input.parts.cpu0.evidence.tdx.what.ever == 1"),
      "" },
    { ALLOW("input.parts.cpu0.evidence.snp.svm == 1"),
      "3:31 unknown_path input.parts.cpu0.evidence.snp.svm is not in any token | did you mean input.parts.cpu0.evidence.snp.svn?\n" },
    { ALLOW("data.path[0] == \"a\""),
      "" },
    { ALLOW("data.paths[0] == \"a\""),
      "3:6 unknown_path data.paths is not given to a policy | did you mean data.path?\n" },
    { ALLOW("data[\"pth\"][0] == \"a\""),
      "3:6 unknown_path data.pth is not given to a policy | did you mean data.path?\n" },
    { ALLOW("data.query.anything == \"x\""),
      "" },
    { ALLOW("data.policy.okay"),
      "3:1 unknown_path data.policy.okay is no rule\n" },
    { ALLOW("parts.cpu0.statu == \"good\"")
      "parts := input.parts\n",
      "3:12 unknown_path input.parts.cpu0.statu is not in any token | did you mean input.parts.cpu0.status?\n" },
    { ALLOW("p := input.parts\n"
            "p.cpu.status == \"good\""),
      "4:3 unknown_path input.parts.cpu is not in any token | did you mean input.parts.cpu0?\n" },
    { ALLOW("k := \"cpu\"\n"
            "input.parts[k].status == \"good\""),
      "4:1 unknown_path input.parts.cpu is not in any token | did you mean input.parts.cpu0?\n" },
    { ALLOW("some k in [\"cpu0\", \"gpu0\"]\n"
            "input.parts[k].status == \"good\""),
      "" },
    { ALLOW("input.parts[[\"a\"]].status == \"good\""),
      "3:13 unknown_path input.parts[[\"a\"]] is not in any token | input.parts has cpu0, gpu0\n" },
};

static void test_reference__claims(void **state)
{
    (void) state;
    CHECK_LINTS(CLAIMS);
}

static const struct lint_case MADE_VALUES[] = {
    { ALLOW("[first, second] := data.path\n"
            "first == \"a\"\n"
            "second == 3"),
      "5:1 type_mismatch data.path[1] is a string, compared with a number: == never holds | write \"3\", or to_number(data.path[1])\n" },
    { ALLOW("{\"x\": x, \"z\": z} = input.parts.cpu0.vector\n"
            "x == 1"),
      "3:10 unknown_path input.parts.cpu0.vector.z is not in any token | input.parts.cpu0.vector has x, y\n" },
    { ALLOW("reference.tdx.mrtdd == input.iss")
      "reference := {\"tdx\": {\"mrtd\": \"x\"}}\n",
      "3:15 unknown_path reference.tdx.mrtdd does not exist | did you mean reference.tdx.mrtd?\n" },
    { ALLOW("reference.tdx.mrtd == input.iss")
      "reference := {\"tdx\": {\"mrtd\": \"x\"}}\n",
      "" },
    { ALLOW("not input.parts.cpu.status"),
      "3:17 unknown_path input.parts.cpu is not in any token: it is undefined, and `not` makes that true | did you mean input.parts.cpu0?\n" },
    { "import input.parts as p\n"
      "allow if { p.cpu.status == \"good\"; data.plugin == \"resource\" }\n",
      "3:14 unknown_path input.parts.cpu is not in any token | did you mean input.parts.cpu0?\n" },
    { "import data.other\n"
      "allow if { other.x; data.plugin == \"resource\"; input.ok }\n",
      "3:12 unknown_path data.other is not given to a policy | data has path, plugin, query\n" },
    { ALLOW("[c | some c in input.parts; c.statu == \"good\"][_]"),
      "3:31 unknown_path input.parts[_].statu is not in any token | did you mean input.parts[_].status?\n" },
    { ALLOW("{n: c | some n, c in input.parts}.cpu0.status == \"good\""),
      "" },
    { ALLOW("x := {\"a\": input.parts.cpu0}\n"
            "x.a.statu == \"good\""),
      "4:5 unknown_path x.a.statu does not exist | did you mean x.a.status?\n" },
    { ALLOW("x := [input.parts.cpu0, input.parts.gpu0]\n"
            "x[_].statu == \"good\""),
      "4:6 unknown_path x[_].statu does not exist | did you mean x[_].status?\n" },
    { ALLOW("walk(input, [path, value])\n"
            "path[0] == \"parts\"\n"
            "value.whatever == 1"),
      "" },
};

static void test_reference__made_values(void **state)
{
    (void) state;
    CHECK_LINTS(MADE_VALUES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference__claims),
        cmocka_unit_test(test_reference__made_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

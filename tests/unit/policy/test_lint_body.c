/* lint_body.c: negation, every, tests, closures. */
#include "tests/unit/policy/lints.h"

static const struct lint_case FAILS_OPEN[] = {
    { ALLOW("not input.parts.cpu0.evidence.snp"),
      "3:1 fail_open this holds as well when input.parts.cpu0 is missing | demand it in the same body: input.parts.cpu0\n" },
    { ALLOW("not input.parts.cpu0.evidence.snp\n"
            "input.parts.cpu0"),
      "" },
    { ALLOW("not input.parts.cpu0.evidence.snp\n"
            "input.parts.cpu0.level == 2"),
      "" },
    { ALLOW("not input.parts.cpu0.evidence.snp\n"
            "count(input.parts) > 0"),
      "3:1 fail_open this holds as well when input.parts.cpu0 is missing | demand it in the same body: input.parts.cpu0\n" },
    { ALLOW("not input.parts.cpu0.evidence.snp.svn == 3\n"
            "input.parts.cpu0"),
      "3:1 fail_open this holds as well when input.parts.cpu0.evidence.snp is missing | demand it in the same body: input.parts.cpu0.evidence.snp\n" },
    { ALLOW("not input.parts.cpu0.evidence.snp.svn == 3\n"
            "input.parts.cpu0.evidence.snp"),
      "" },
    { ALLOW("not input.extra"),
      "" },
    { ALLOW("not snp")
      "snp := input.parts.cpu0.evidence.snp\n",
      "3:1 fail_open this holds as well when input.parts.cpu0 is missing | demand it in the same body: input.parts.cpu0\n" },
    { ALLOW("not snp\n"
            "input.parts.cpu0")
      "snp := evidence.snp\n"
      "evidence := input.parts.cpu0.evidence\n",
      "" },
    { ALLOW("not snp.svn")
      "snp := input.parts.cpu0.evidence.snp\n",
      "3:1 fail_open this holds as well when input.parts.cpu0.evidence.snp is missing | demand it in the same body: input.parts.cpu0.evidence.snp\n" },
    { ALLOW("not input.extra == \"x\""),
      "3:1 fail_open this holds as well when input.extra is missing | demand it in the same body: input.extra\n" },
    { ALLOW("not input.iss == \"x\""),
      "" },
    { ALLOW("not data.query.debug == \"x\""),
      "" },
    { ALLOW("not bad")
      "bad if input.parts.cpu0.status == \"bad\"\n",
      "3:1 fail_open this holds as well when input.parts.cpu0 is missing | demand it in the same body: input.parts.cpu0\n" },
    { ALLOW("not bad")
      "bad if input.parts.cpu0.status == \"bad\"\n"
      "bad if input.parts.gpu0.status == \"bad\"\n",
      "3:1 fail_open this holds as well when input.parts.cpu0 is missing | demand it in the same body: input.parts.cpu0\n" },
    { ALLOW("not bad\n"
            "input.parts.cpu0")
      "bad if input.parts.cpu0.status == \"bad\"\n"
      "bad if input.parts.gpu0.status == \"bad\"\n",
      "3:1 fail_open this holds as well when input.parts.gpu0 is missing | demand it in the same body: input.parts.gpu0\n" },
    { ALLOW("not bad\n"
            "input.parts.cpu0\n"
            "input.parts.gpu0")
      "bad if input.parts.cpu0.status == \"bad\"\n"
      "bad if input.parts.gpu0.status == \"bad\"\n",
      "" },
    { ALLOW("not startswith(input.extra.name, \"bad\")"),
      "3:1 fail_open this holds as well when input.extra.name is missing | demand it in the same body: input.extra.name\n" },
    { ALLOW("name := input.extra.name\n"
            "not startswith(name, \"bad\")"),
      "" },
    { ALLOW("not name in {\"x\"}")
      "name := input.extra.name\n",
      "3:1 fail_open this holds as well when input.extra.name is missing | demand it in the same body: input.extra.name\n" },
    { ALLOW("some p in input.parts\n"
            "not p.evidence.tdx"),
      "" },
    { ALLOW("some p in input.parts\n"
            "not p.evidence.tdx.debug"),
      "4:1 fail_open this holds as well when input.parts[_].evidence.tdx is missing | demand it in the same body: input.parts[_].evidence.tdx\n" },
    { ALLOW("some p in input.parts\n"
            "not p.evidence.tdx.debug\n"
            "p.evidence.tdx"),
      "" },
};

static void test_infer_not__fails_open(void **state)
{
    (void) state;
    CHECK_LINTS(FAILS_OPEN);
}

static const struct lint_case TWICE[] = {
    { ALLOW("not bad")
      "bad if not good\n"
      "good if input.parts.cpu0.status == \"good\"\n",
      "" },
    { ALLOW("not bad")
      "bad if not good\n"
      "good if not worse\n"
      "worse if input.parts.cpu0.status == \"bad\"\n",
      "3:1 fail_open this holds as well when input.parts.cpu0 is missing | demand it in the same body: input.parts.cpu0\n" },
    { ALLOW("fine")
      "fine if not bad\n"
      "bad if input.parts.cpu0.status == \"bad\"\n",
      "5:9 fail_open this holds as well when input.parts.cpu0 is missing | demand it in the same body: input.parts.cpu0\n" },
    { ALLOW("fine\n"
            "input.parts.cpu0")
      "fine if not bad\n"
      "bad if input.parts.cpu0.status == \"bad\"\n",
      "" },
    { ALLOW("not fine")
      "fine if { not bad; input.parts.gpu0 }\n"
      "bad if input.parts.cpu0.status == \"bad\"\n",
      "" },
    { ALLOW("not input.parts"),
      "3:1 never_true what is negated here always holds, so this never does\n" },
    { ALLOW("not true"),
      "3:1 never_true what is negated here always holds, so this never does\n" },
    { ALLOW("not false"),
      "3:1 never_true this is always false, and its negation always holds\n" },
    { ALLOW("not input.exp == \"3\""),
      "3:5 type_mismatch input.exp is a number, compared with a string: == never holds | write 3 without quotes\n" },
};

static void test_infer_not__twice(void **state)
{
    (void) state;
    CHECK_LINTS(TWICE);
}

static const struct lint_case EMPTY[] = {
    { ALLOW("every p in input.parts { p.status == \"good\" }"),
      "3:1 every_empty `every` holds when input.parts is empty | demand one in the same body: count(input.parts) > 0\n" },
    { ALLOW("every p in input.parts { p.status == \"good\" }\n"
            "count(input.parts) > 0"),
      "" },
    { ALLOW("every n, p in input.parts { p.status == \"good\"; startswith(n, \"cpu\") }\n"
            "input.parts.cpu0"),
      "" },
    { ALLOW("every x in input.list { x != \"\" }"),
      "3:1 every_empty `every` holds when input.list is empty | demand one in the same body: count(input.list) > 0\n" },
    { ALLOW("every v in input.parts.cpu0.vector { v > 2 }\n"
            "input.parts.cpu0"),
      "" },
    { ALLOW("every x in data.path { x != \"\" }"),
      "" },
    { ALLOW("every x in [\"cpu0\", \"gpu0\"] { input.parts[x].status == \"good\" }"),
      "" },
    { ALLOW("cpus := [p | some n, p in input.parts; startswith(n, \"cpu\")]\n"
            "every p in cpus { p.status == \"good\" }"),
      "4:1 every_empty `every` holds when cpus is empty | demand one in the same body: count(cpus) > 0\n" },
    { ALLOW("cpus := [p | some n, p in input.parts; startswith(n, \"cpu\")]\n"
            "every p in cpus { p.status == \"good\" }\n"
            "count(cpus) > 0"),
      "" },
    { ALLOW("every p in cpus { p.status == \"good\" }")
      "cpus contains p if { some n, p in input.parts; startswith(n, \"cpu\") }\n",
      "3:1 every_empty `every` holds when cpus is empty | demand one in the same body: count(cpus) > 0\n" },
    { ALLOW("every p in cpus { p.status == \"good\" }\n"
            "count(cpus) == 1")
      "cpus contains p if { some n, p in input.parts; startswith(n, \"cpu\") }\n",
      "" },
    { ALLOW("every p in input.parts { fine(p) }\n"
            "count(input.parts) > 0")
      "fine(p) if not p.evidence.tdx.debug\n",
      "6:12 fail_open this holds as well when input.parts[_].evidence.tdx is missing | demand it in the same body: input.parts[_].evidence.tdx\n" },
    { ALLOW("every p in input.parts { p.statu == \"good\" }\n"
            "input.parts.cpu0"),
      "3:28 unknown_path input.parts[_].statu is not in any token | did you mean input.parts[_].status?\n" },
    { ALLOW("all_good\n"
            "count(input.parts) > 0")
      "all_good if every p in input.parts { p.status == \"good\" }\n",
      "" },
    { ALLOW("not all_good")
      "all_good if every p in input.parts { p.status == \"good\" }\n",
      "" },
};

static void test_infer_every__empty(void **state)
{
    (void) state;
    CHECK_LINTS(EMPTY);
}

static const struct lint_case CONSTANTS[] = {
    { ALLOW("false"),
      "3:1 never_true this is always false\n" },
    { ALLOW("input.parts"),
      "" },
    { ALLOW("never")
      "never := false\n",
      "3:1 never_true this is always false\n" },
    { ALLOW("\"text\""),
      "" },
    { ALLOW("null"),
      "" },
    { ALLOW("input.exp"),
      "" },
    { ALLOW("input.exp - 1"),
      "" },
};

static void test_infer_truth__constants(void **state)
{
    (void) state;
    CHECK_LINTS(CONSTANTS);
}

static const struct lint_case UNKNOWN[] = {
    { ALLOW("other with input as {\"expp\": 1}")
      "other if input.ok\n",
      "" },
    { ALLOW("x := other with input.exp as 1\n"
            "x == 3\n"
            "x == 4")
      "other := input.exp\n",
      "5:1 never_true x cannot be 4 here: it is 3\n" },
};

static void test_infer_with__unknown(void **state)
{
    (void) state;
    CHECK_LINTS(UNKNOWN);
}

static const struct lint_case SIDES[] = {
    { ALLOW("input.exp = input.iss"),
      "3:1 type_mismatch input.exp is a number, compared with a string: == never holds\n" },
    { ALLOW("x = input.exp\n"
            "x == \"3\""),
      "4:1 type_mismatch input.exp is a number, compared with a string: == never holds | write 3 without quotes\n" },
    { ALLOW("[1, x] = [y, 2]\n"
            "x == \"a\""),
      "4:1 type_mismatch x is a number, compared with a string: == never holds\n" },
    { ALLOW("[x, y] = [1, 2, 3]\n"
            "x == y"),
      "3:1 never_true the two sides can never be the same\n"
      "4:1 never_true this is never true\n" },
    { ALLOW("count(input.parts) = 0"),
      "" },
    { ALLOW("count(input.parts) = \"1\""),
      "3:1 type_mismatch this value is a number, compared with a string: == never holds\n" },
};

static void test_infer_unify__sides(void **state)
{
    (void) state;
    CHECK_LINTS(SIDES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_infer_not__fails_open),
        cmocka_unit_test(test_infer_not__twice),
        cmocka_unit_test(test_infer_every__empty),
        cmocka_unit_test(test_infer_truth__constants),
        cmocka_unit_test(test_infer_with__unknown),
        cmocka_unit_test(test_infer_unify__sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

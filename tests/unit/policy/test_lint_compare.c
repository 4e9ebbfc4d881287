/* lint_compare.c: comparisons that never hold, or always do; collections that are tested for being empty. */
#include "tests/unit/policy/lints.h"

static const struct lint_case KINDS[] = {
    { ALLOW("input.exp == \"3\""),
      "3:1 type_mismatch input.exp is a number, compared with a string: == never holds | write 3 without quotes\n" },
    { ALLOW("input.exp == 3"),
      "" },
    { ALLOW("\"3\" == input.exp"),
      "3:1 type_mismatch input.exp is a number, compared with a string: == never holds | write 3 without quotes\n" },
    { ALLOW("input.iss == 3"),
      "3:1 type_mismatch input.iss is a string, compared with a number: == never holds | write \"3\", or to_number(input.iss)\n" },
    { ALLOW("input.iss == 3.5"),
      "3:1 type_mismatch input.iss is a string, compared with a number: == never holds\n" },
    { ALLOW("input.ok == \"true\""),
      "3:1 type_mismatch input.ok is a boolean, compared with a string: == never holds | write true without quotes\n" },
    { ALLOW("input.ok == true"),
      "" },
    { ALLOW("input.exp != \"3\""),
      "3:1 type_mismatch input.exp is a number, compared with a string: != always holds | write 3 without quotes\n" },
    { ALLOW("input.exp > \"3\""),
      "3:1 type_mismatch input.exp is a number, compared with a string: > goes by the kinds alone | write 3 without quotes\n" },
    { ALLOW("input.iss < 3"),
      "3:1 type_mismatch input.iss is a string, compared with a number: < goes by the kinds alone | write \"3\", or to_number(input.iss)\n" },
    { ALLOW("input.exp == input.iss"),
      "3:1 type_mismatch input.exp is a number, compared with a string: == never holds\n" },
    { ALLOW("input.exp = \"3\""),
      "3:1 type_mismatch input.exp is a number, compared with a string: == never holds | write 3 without quotes\n" },
    { ALLOW("input.extra == 3"),
      "" },
    { ALLOW("data.path == \"a/b/c\""),
      "3:1 array_as_string data.path is an array, compared with a string: == never holds | it is an array of its parts: data.path[0] is the first, concat(\"/\", data.path) is the text\n" },
    { ALLOW("\"a/b/c\" == data.path"),
      "3:1 array_as_string data.path is an array, compared with a string: == never holds | it is an array of its parts: data.path[0] is the first, concat(\"/\", data.path) is the text\n" },
    { ALLOW("data.path == [\"a\", \"b\", \"c\"]"),
      "" },
    { ALLOW("data.path != \"a/b/c\""),
      "3:1 array_as_string data.path is an array, compared with a string: != always holds | it is an array of its parts: data.path[0] is the first, concat(\"/\", data.path) is the text\n" },
    { ALLOW("data.path == 3"),
      "3:1 type_mismatch data.path is an array, compared with a number: == never holds\n" },
    { ALLOW("data.query == {}"),
      "" },
    { ALLOW("data.query == []"),
      "3:1 type_mismatch data.query is an object, compared with an array: == never holds\n" },
    { ALLOW("x := [1, 2]\n"
            "x == {1, 2}"),
      "4:1 type_mismatch x is an array, compared with a set: == never holds\n" },
    { ALLOW("null == input.exp"),
      "3:1 type_mismatch input.exp is a number, compared with null: == never holds\n" },
    { ALLOW("answer := input.exp == \"3\"\n"
            "answer"),
      "3:11 type_mismatch input.exp is a number, compared with a string: == never holds | write 3 without quotes\n" },
};

static void test_infer_mismatch__kinds(void **state)
{
    (void) state;
    CHECK_LINTS(KINDS);
}

static const struct lint_case CONTRADICTIONS[] = {
    { ALLOW("input.exp == 1\n"
            "input.exp == 2"),
      "4:1 never_true input.exp cannot be 2 here: it is 1\n" },
    { ALLOW("input.exp == 1\n"
            "input.exp == 1.0"),
      "" },
    { ALLOW("input.parts.cpu0.level == 1\n"
            "input.parts.gpu0.level == 2"),
      "" },
    { ALLOW("input.parts[_].level == 1\n"
            "input.parts[_].level == 2"),
      "" },
    { ALLOW("some p in input.parts\n"
            "p.level == 1\n"
            "p.level == 2"),
      "5:1 never_true input.parts[_].level cannot be 2 here: it is 1\n" },
    { ALLOW("e := input.exp\n"
            "input.exp == 1\n"
            "e == 2"),
      "5:1 never_true input.exp cannot be 2 here: it is 1\n" },
    { ALLOW("level == 1\n"
            "input.parts.cpu0.level == 2")
      "level := input.parts.cpu0.level\n",
      "4:1 never_true input.parts.cpu0.level cannot be 2 here: it is 1\n" },
    { ALLOW("input.exp == 1\n"
            "input.exp > 2"),
      "4:1 never_true input.exp is 1 here, never > 2\n" },
    { ALLOW("input.exp == 1\n"
            "input.exp >= 1"),
      "" },
    { ALLOW("input.exp == 1\n"
            "input.exp != 1"),
      "4:1 never_true input.exp is 1 here, never != 1\n" },
    { ALLOW("not input.exp == 1\n"
            "input.exp == 2"),
      "" },
    { ALLOW("x := 1\n"
            "x == 2"),
      "4:1 never_true x cannot be 2 here: it is 1\n" },
    { ALLOW("1 == 2"),
      "3:1 never_true this is never true\n" },
    { ALLOW("1 == 1"),
      "" },
    { ALLOW("\"a\" < \"b\""),
      "" },
    { ALLOW("\"b\" < \"a\""),
      "3:1 never_true this is never true\n" },
    { ALLOW("1 = 2"),
      "3:1 never_true this is never true\n" },
    { ALLOW("[1, 2] == [1, 2]"),
      "" },
    { ALLOW("x := \"a\"\n"
            "x in [\"a\", \"b\"]"),
      "" },
    { ALLOW("three == 4")
      "three := 3\n",
      "3:1 never_true three cannot be 4 here: it is 3\n" },
};

static void test_infer_equal__contradictions(void **state)
{
    (void) state;
    CHECK_LINTS(CONTRADICTIONS);
}

static const struct lint_case LISTED_STRINGS[] = {
    { ALLOW("input.parts.cpu0.status == \"good\""),
      "" },
    { ALLOW("input.parts.cpu0.status == \"goood\""),
      "3:1 never_true input.parts.cpu0.status is never \"goood\" | did you mean \"good\"?\n" },
    { ALLOW("input.parts.cpu0.status == \"affirming\""),
      "3:1 never_true input.parts.cpu0.status is never \"affirming\" | it is one of good, bad, unsure\n" },
    { ALLOW("\"unsur\" == input.parts[_].status"),
      "3:1 never_true input.parts[_].status is never \"unsur\" | did you mean \"unsure\"?\n" },
    { ALLOW("input.parts.cpu0.status != \"goood\""),
      "" },
    { ALLOW("input.parts.cpu0.status in {\"good\", \"unsure\"}"),
      "" },
    { ALLOW("input.parts.cpu0.status in {\"goood\"}"),
      "3:1 never_true input.parts.cpu0.status is never one of these | did you mean \"good\"?\n" },
    { ALLOW("input.parts.cpu0.status in {\"fine\", \"unsure\"}"),
      "" },
};

static void test_infer_equal__listed_strings(void **state)
{
    (void) state;
    CHECK_LINTS(LISTED_STRINGS);
}

static const struct lint_case COUNTED[] = {
    { ALLOW("not wrong\n"
            "count(input.parts) > 0")
      "wrong if { some p in input.parts; p.status != \"good\" }\n",
      "" },
    { ALLOW("not wrong")
      "wrong if { some p in input.parts; p.status != \"good\" }\n",
      "3:1 fail_open this holds as well when input.parts is empty | demand one in the same body: count(input.parts) > 0\n" },
    { ALLOW("not wrong\n"
            "count(input.parts) >= 1")
      "wrong if { some p in input.parts; p.status != \"good\" }\n",
      "" },
    { ALLOW("not wrong\n"
            "count(input.parts) == 2")
      "wrong if { some p in input.parts; p.status != \"good\" }\n",
      "" },
    { ALLOW("not wrong\n"
            "count(input.parts) != 0")
      "wrong if { some p in input.parts; p.status != \"good\" }\n",
      "" },
    { ALLOW("not wrong\n"
            "0 < count(input.parts)")
      "wrong if { some p in input.parts; p.status != \"good\" }\n",
      "" },
    { ALLOW("not wrong\n"
            "count(input.parts) >= 0")
      "wrong if { some p in input.parts; p.status != \"good\" }\n",
      "3:1 fail_open this holds as well when input.parts is empty | demand one in the same body: count(input.parts) > 0\n" },
    { ALLOW("not wrong\n"
            "count(input.parts) < 3")
      "wrong if { some p in input.parts; p.status != \"good\" }\n",
      "3:1 fail_open this holds as well when input.parts is empty | demand one in the same body: count(input.parts) > 0\n" },
    { ALLOW("not wrong\n"
            "input.parts != {}")
      "wrong if { some p in input.parts; p.status != \"good\" }\n",
      "" },
    { ALLOW("not wrong\n"
            "n := count(input.parts)\n"
            "n > 0")
      "wrong if { some p in input.parts; p.status != \"good\" }\n",
      "" },
    { ALLOW("not wrong\n"
            "input.parts[_].level > 1")
      "wrong if { some p in input.parts; p.status != \"good\" }\n",
      "" },
    { ALLOW("not wrong\n"
            "input.parts.cpu0")
      "wrong if { some p in input.parts; p.status != \"good\" }\n",
      "" },
    { ALLOW("count(wrong) == 0")
      "wrong contains p if { some p in input.parts; p.status != \"good\" }\n",
      "3:1 fail_open this holds as well when input.parts is empty | demand one in the same body: count(input.parts) > 0\n" },
    { ALLOW("wrong == set()")
      "wrong contains p if { some p in input.parts; p.status != \"good\" }\n",
      "3:1 fail_open this holds as well when input.parts is empty | demand one in the same body: count(input.parts) > 0\n" },
    { ALLOW("count(wrong) == 0\n"
            "count(input.parts) > 0")
      "wrong contains p if { some p in input.parts; p.status != \"good\" }\n",
      "" },
    { ALLOW("count(wrong) < 1")
      "wrong contains p if { some p in input.parts; p.evidence.tdx.bad == true }\n",
      "3:1 fail_open this holds as well when input.parts is empty | demand one in the same body: count(input.parts) > 0\n" },
    { ALLOW("count([p | some p in input.parts; p.status != \"good\"]) == 0"),
      "3:1 fail_open this holds as well when input.parts is empty | demand one in the same body: count(input.parts) > 0\n" },
    { ALLOW("count([p | some p in input.parts; p.status == \"good\"]) == 2"),
      "" },
    { ALLOW("count(good) > 0")
      "good contains p if { some p in input.parts; not p.evidence.tdx.debug }\n",
      "5:45 fail_open this holds as well when input.parts[_].evidence.tdx is missing | demand it in the same body: input.parts[_].evidence.tdx\n" },
    { ALLOW("count(good) == 0")
      "good contains p if { some p in input.parts; not p.evidence.tdx.debug }\n",
      "3:1 fail_open this holds as well when input.parts is empty | demand one in the same body: count(input.parts) > 0\n" },
};

static void test_infer_emptiness__counted(void **state)
{
    (void) state;
    CHECK_LINTS(COUNTED);
}

static const struct lint_case TEMPLATES[] = {
    { ALLOW("$\"{input.parts.cpu0.evidence.tdx.a}\" == $\"{input.extra}\""),
      "3:1 template when input.parts.cpu0.evidence.tdx.a is missing, the text that is compared here says <undefined> | compare the values themselves, or demand it in the same body: input.parts.cpu0.evidence.tdx.a\n" },
    { ALLOW("$\"x/{input.extra}\" == \"x/y\""),
      "" },
    { ALLOW("$\"{input.extra}\" != \"bad\""),
      "3:1 template when input.extra is missing, the text that is compared here says <undefined> | compare the values themselves, or demand it in the same body: input.extra\n" },
    { ALLOW("$\"{input.extra}\" == input.iss"),
      "3:1 template when input.extra is missing, the text that is compared here says <undefined> | compare the values themselves, or demand it in the same body: input.extra\n" },
    { ALLOW("$\"{input.iss}/{input.exp}\" == input.parts.cpu0[\"a.b\"]"),
      "" },
    { ALLOW("$\"{input.extra}\" == input.iss\n"
            "input.extra"),
      "" },
    { ALLOW("not $\"{input.extra}\" == \"bad\""),
      "3:1 fail_open this holds as well when input.extra is missing | demand it in the same body: input.extra\n" },
    { ALLOW("$\"{input.extra}\" == \"<undefined>\""),
      "3:1 template when input.extra is missing, the text that is compared here says <undefined> | compare the values themselves, or demand it in the same body: input.extra\n" },
    { ALLOW("not $\"{input.exp}\" == \"1\""),
      "" },
};

static void test_infer_blanks__templates(void **state)
{
    (void) state;
    CHECK_LINTS(TEMPLATES);
}

static const struct lint_case EITHER_WAY[] = {
    { ALLOW("bad == false")
      "default bad := false\n"
      "bad if input.parts.cpu0.evidence.tdx.debug\n",
      "3:1 fail_open this holds as well when input.parts.cpu0.evidence.tdx is missing | demand it in the same body: input.parts.cpu0.evidence.tdx\n" },
    { ALLOW("not bad")
      "default bad := false\n"
      "bad if input.parts.cpu0.evidence.tdx.debug\n",
      "3:1 fail_open this holds as well when input.parts.cpu0.evidence.tdx is missing | demand it in the same body: input.parts.cpu0.evidence.tdx\n" },
    { ALLOW("bad != true")
      "default bad := false\n"
      "bad if input.parts.cpu0.evidence.tdx.debug\n",
      "3:1 fail_open this holds as well when input.parts.cpu0.evidence.tdx is missing | demand it in the same body: input.parts.cpu0.evidence.tdx\n" },
    { ALLOW("good == true")
      "default good := false\n"
      "good if input.parts.cpu0.evidence.tdx.fine\n",
      "" },
    { ALLOW("good")
      "default good := false\n"
      "good if input.parts.cpu0.evidence.tdx.fine\n",
      "" },
    { ALLOW("fine")
      "default fine := true\n"
      "fine := false if input.parts.cpu0.evidence.tdx.debug\n",
      "3:1 fail_open this holds as well when input.parts.cpu0.evidence.tdx is missing | demand it in the same body: input.parts.cpu0.evidence.tdx\n" },
    { ALLOW("bad == false\n"
            "input.parts.cpu0.evidence.tdx")
      "default bad := false\n"
      "bad if input.parts.cpu0.evidence.tdx.debug\n",
      "" },
    { ALLOW("state == \"out\"")
      "default state := \"out\"\n"
      "state := \"in\" if input.parts.cpu0.evidence.tdx.member\n",
      "3:1 fail_open this holds as well when input.parts.cpu0.evidence.tdx is missing | demand it in the same body: input.parts.cpu0.evidence.tdx\n" },
    { ALLOW("state == \"in\"")
      "default state := \"out\"\n"
      "state := \"in\" if input.parts.cpu0.evidence.tdx.member\n",
      "" },
    { ALLOW("state == \"neither\"")
      "default state := \"out\"\n"
      "state := \"in\" if input.parts.cpu0.evidence.tdx.member\n",
      "3:1 never_true this is never true: state is \"in\" or \"out\"\n" },
    { ALLOW("bad == false")
      "default bad := false\n"
      "bad if not input.parts.cpu0.evidence.tdx.fine\n",
      "" },
};

static void test_compare_defaulted__either_way(void **state)
{
    (void) state;
    CHECK_LINTS(EITHER_WAY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_infer_mismatch__kinds),
        cmocka_unit_test(test_infer_equal__contradictions),
        cmocka_unit_test(test_infer_equal__listed_strings),
        cmocka_unit_test(test_infer_emptiness__counted),
        cmocka_unit_test(test_infer_blanks__templates),
        cmocka_unit_test(test_compare_defaulted__either_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

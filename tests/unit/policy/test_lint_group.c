/* lint_group.c: what several bodies, else branches and defaults say together. */
#include "tests/unit/policy/lints.h"

static const struct lint_case VALUES[] = {
    { ALLOW("level == \"2\"")
      "level := 2 if input.ok\n"
      "level := 3 if not input.ok\n",
      "3:1 type_mismatch level is a number, compared with a string: == never holds | write 2 without quotes\n" },
    { ALLOW("level == 4")
      "level := 2 if input.ok\n"
      "level := 3 if not input.ok\n",
      "" },
    { ALLOW("level == \"2\"")
      "level := 2 if input.ok else := 3 if input.iss == \"x\" else := 4\n",
      "3:1 type_mismatch level is a number, compared with a string: == never holds | write 2 without quotes\n" },
    { ALLOW("level == \"2\"")
      "default level := \"none\"\n"
      "level := 2 if input.ok\n",
      "3:1 never_true this is never true: level is 2 or \"none\"\n" },
    { ALLOW("level == []")
      "default level := \"none\"\n"
      "level := 2 if input.ok\n",
      "3:1 never_true this is never true: level is 2 or \"none\"\n" },
    { ALLOW("part.statu == \"good\"")
      "part := input.parts.cpu0 if input.ok\n"
      "part := input.parts.gpu0 if not input.ok\n",
      "3:6 unknown_path part.statu does not exist | did you mean part.status?\n" },
    { ALLOW("part.status == \"good\"")
      "part := input.parts.cpu0 if input.ok\n"
      "part := input.parts.cpu0.evidence if not input.ok\n",
      "" },
    { ALLOW("part.stat == \"good\"")
      "part := input.parts.cpu0 if input.ok\n"
      "part := input.parts.cpu0.evidence if not input.ok\n",
      "3:6 unknown_path part.stat does not exist | part has a.b, evidence, level, status, vector, snp, tdx\n" },
    { ALLOW("names[\"x\"]")
      "names contains n if some n, _ in input.parts\n",
      "" },
    { ALLOW("3 in names")
      "names contains n if { some n in input.list }\n",
      "3:1 type_mismatch names[_] is a string, compared with a number: in never holds | write \"3\", or to_number(names[_])\n" },
    { ALLOW("names[_] == 3")
      "names[n] := p.level if some n, p in input.parts\n",
      "" },
    { ALLOW("names[_] == \"x\"")
      "names[n] := p.level if some n, p in input.parts\n",
      "3:1 type_mismatch names[_] is a number, compared with a string: == never holds\n" },
    { ALLOW("never")
      "never if { 1 == 2 }\n",
      "5:12 never_true this is never true\n" },
};

static void test_infer_group__values(void **state)
{
    (void) state;
    CHECK_LINTS(VALUES);
}

static const struct lint_case NEEDS_OF_ALL_BODIES[] = {
    { ALLOW("some_part\n"
            "not bad")
      "some_part if input.parts.cpu0.status == \"good\"\n"
      "some_part if input.parts.cpu0.level == 2\n"
      "bad if input.parts.cpu0.status == \"bad\"\n",
      "" },
    { ALLOW("some_part\n"
            "not bad")
      "some_part if input.parts.cpu0.status == \"good\"\n"
      "some_part if input.parts.gpu0.level == 2\n"
      "bad if input.parts.cpu0.status == \"bad\"\n",
      "4:1 fail_open this holds as well when input.parts.cpu0 is missing | demand it in the same body: input.parts.cpu0\n" },
    { ALLOW("some_part\n"
            "not bad")
      "some_part if input.parts.cpu0.status == \"good\"\n"
      "some_part if input.parts.gpu0.level == 2\n"
      "bad if { some p in input.parts; p.status == \"bad\" }\n",
      "" },
    { ALLOW("level == 2\n"
            "not bad")
      "level := 2 if input.parts.cpu0.status == \"good\" else := 1 if input.parts.cpu0.status == \"unsure\"\n"
      "bad if input.parts.cpu0.status == \"bad\"\n",
      "" },
    { ALLOW("level == 2\n"
            "not bad")
      "default level := 0\n"
      "level := 2 if input.parts.cpu0.status == \"good\"\n"
      "bad if input.parts.cpu0.status == \"bad\"\n",
      "" },
    { ALLOW("level >= 1\n"
            "not bad")
      "default level := 0\n"
      "level := 2 if input.parts.cpu0.status == \"good\"\n"
      "bad if input.parts.cpu0.status == \"bad\"\n",
      "" },
};

static void test_infer_group__needs_of_all_bodies(void **state)
{
    (void) state;
    CHECK_LINTS(NEEDS_OF_ALL_BODIES);
}

static const struct lint_case APART_FROM_WHERE_IT_IS_READ[] = {
    { ALLOW("input.exp == 1\n"
            "other")
      "other if input.exp == 2\n",
      "" },
    { ALLOW("input.iss == \"a\"\n"
            "one\n"
            "two")
      "one if input.iss == \"a\"\n"
      "two if input.iss == \"a\"\n",
      "" },
};

static void test_infer_group__apart_from_where_it_is_read(void **state)
{
    (void) state;
    CHECK_LINTS(APART_FROM_WHERE_IT_IS_READ);
}

static const struct lint_case BODIES_THAT_SAY_FALSE[] = {
    { "allow := false if { data.plugin == \"a\"; input.parts.cpu0.status != \"good\" } else := true if data.plugin == \"b\"\n",
      "2:77 fail_open this holds as well when input.parts.cpu0 is missing | demand it in the same body: input.parts.cpu0\n" },
    { "allow := false if { data.plugin == \"a\"; input.parts.cpu0.status != \"good\" } else := true if { data.plugin == \"b\"; input.parts.cpu0 }\n",
      "" },
    { "allow := false if { data.plugin == \"a\"; not input.parts.cpu0.level == 1 }\n"
      "allow := true if { data.plugin == \"b\"; input.ok }\n",
      "" },
    { ALLOW("fine")
      "fine := false if not input.parts.cpu0.level == 1\n"
      "fine := true if input.iss == \"x\"\n",
      "" },
    { ALLOW("fine")
      "fine := true if input.iss == \"x\" else := false\n",
      "" },
    { ALLOW("fine == true")
      "default fine := true\n"
      "fine := false if input.parts.cpu0.level == 1\n",
      "3:1 fail_open this holds as well when input.parts.cpu0 is missing | demand it in the same body: input.parts.cpu0\n" },
    { ALLOW("odd(input.parts.cpu0) == true\n"
            "input.parts.cpu0")
      "odd(p) := false if p.evidence.tdx.even else := true\n",
      "6:40 fail_open this holds as well when input.parts.cpu0.evidence.tdx is missing | demand it in the same body: input.parts.cpu0.evidence.tdx\n" },
};

static void test_infer_group__bodies_that_say_false(void **state)
{
    (void) state;
    CHECK_LINTS(BODIES_THAT_SAY_FALSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_infer_group__values),
        cmocka_unit_test(test_infer_group__needs_of_all_bodies),
        cmocka_unit_test(test_infer_group__apart_from_where_it_is_read),
        cmocka_unit_test(test_infer_group__bodies_that_say_false),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* lint_call.c: operands that can never be right, results, types that are asked for. */
#include "tests/unit/policy/lints.h"

static const struct lint_case OPERANDS[] = {
    { ALLOW("startswith(input.iss, \"a\")"),
      "" },
    { ALLOW("startswith(input.exp, \"a\")"),
      "3:1 type_mismatch input.exp is a number: startswith wants a string\n" },
    { ALLOW("startswith(data.path, \"a\")"),
      "3:1 array_as_string data.path is an array: startswith wants a string | it is an array of its parts: data.path[0] is the first, concat(\"/\", data.path) is the text\n" },
    { ALLOW("startswith(data.path[0], \"a\")"),
      "" },
    { ALLOW("split(data.path, \"/\")[0] == \"a\""),
      "3:1 array_as_string data.path is an array: split wants a string | it is an array of its parts: data.path[0] is the first, concat(\"/\", data.path) is the text\n" },
    { ALLOW("x := concat(\"/\", data.path)\n"
            "x == \"a/b\""),
      "" },
    { ALLOW("x := concat(\"/\", data.path)\n"
            "x == 3"),
      "4:1 type_mismatch x is a string, compared with a number: == never holds | write \"3\", or to_number(x)\n" },
    { ALLOW("input.iss + 1 == 2"),
      "3:1 type_mismatch input.iss is a string: + wants a number\n" },
    { ALLOW("input.exp - input.parts == 2"),
      "" },
    { ALLOW("abs(input.iss) > 1"),
      "3:1 type_mismatch input.iss is a string: abs wants a number\n" },
    { ALLOW("regex.match(`^a`, input.ok)"),
      "3:1 type_mismatch input.ok is a boolean: regex.match wants a string\n" },
    { ALLOW("sprintf(\"%s\", input.iss) == \"a\""),
      "3:1 type_mismatch input.iss is a string: sprintf wants an array\n" },
    { ALLOW("ask(input.iss) == 1"),
      "" },
    { ALLOW("ask(input.exp) == 1"),
      "3:1 type_mismatch input.exp is a number: ask wants a string\n" },
    { ALLOW("count(input.exp) == 1"),
      "3:1 type_mismatch input.exp is a number: count wants a string or an array or an object or a set\n" },
    { ALLOW("count(input.parts) == \"1\""),
      "3:1 type_mismatch this value is a number, compared with a string: == never holds\n" },
    { ALLOW("lower(input.iss) == 3"),
      "3:1 type_mismatch this value is a string, compared with a number: == never holds\n" },
    { ALLOW("x := count(input.list)\n"
            "x == \"3\""),
      "4:1 type_mismatch x is a number, compared with a string: == never holds | write 3 without quotes\n" },
    { ALLOW("x := time.now_ns() / 1000000000\n"
            "x < \"now\""),
      "4:1 type_mismatch x is a number, compared with a string: < goes by the kinds alone\n" },
    { ALLOW("print(\"x\", input.whatever.there)"),
      "3:18 unknown_path input.whatever is not in any token | input has exp, extra, iss, list, ok, parts\n" },
};

static void test_call_builtin__operands(void **state)
{
    (void) state;
    CHECK_LINTS(OPERANDS);
}

static const struct lint_case ASKED[] = {
    { ALLOW("is_string(input.extra)\n"
            "input.extra == 3"),
      "4:1 type_mismatch input.extra is a string, compared with a number: == never holds | write \"3\", or to_number(input.extra)\n" },
    { ALLOW("is_string(input.extra)\n"
            "input.extra == \"3\""),
      "" },
    { ALLOW("path == \"a/b\"")
      "path := concat(\"/\", data.path) if is_array(data.path)\n"
      "path := data.path if { is_string(data.path); startswith(data.path, \"a\") }\n",
      "" },
    { ALLOW("not is_string(data.path)"),
      "" },
    { ALLOW("is_number(input.exp)"),
      "" },
};

static void test_call_is__asked(void **state)
{
    (void) state;
    CHECK_LINTS(ASKED);
}

static const struct lint_case ELEMENTS[] = {
    { ALLOW("input.exp in {1, 2}"),
      "" },
    { ALLOW("input.exp in {\"1\", \"2\"}"),
      "3:1 type_mismatch input.exp is a number, compared with a string: in never holds\n" },
    { ALLOW("input.iss in input.list"),
      "" },
    { ALLOW("input.exp in input.list"),
      "3:1 type_mismatch input.exp is a number, compared with a string: in never holds\n" },
    { ALLOW("\"a\", \"b\" in {\"a\": \"b\"}"),
      "" },
    { ALLOW("3 in data.path"),
      "3:1 type_mismatch data.path[_] is a string, compared with a number: in never holds | write \"3\", or to_number(data.path[_])\n" },
    { ALLOW("\"cpu0\" in object.keys(input.parts)"),
      "" },
    { ALLOW("x := input.exp in {\"1\"}\n"
            "x"),
      "3:6 type_mismatch input.exp is a number, compared with a string: in never holds\n" },
    { ALLOW("not input.iss in set()"),
      "" },
};

static void test_call_member__elements(void **state)
{
    (void) state;
    CHECK_LINTS(ELEMENTS);
}

static const struct lint_case FUNCTIONS[] = {
    { ALLOW("same(input.iss, \"x\")\n"
            "same(input.exp, 3)")
      "same(a, b) if a == b\n",
      "" },
    { ALLOW("same(input.iss, 3)\n"
            "same(input.exp, \"3\")")
      "same(a, b) if a == b\n",
      "6:15 type_mismatch input.iss is a string, compared with a number: == never holds | write \"3\", or to_number(input.iss)\n" },
    { ALLOW("fine(input.parts.cpu0)")
      "fine(p) if p.statu == \"good\"\n",
      "5:14 unknown_path input.parts.cpu0.statu is not in any token | did you mean input.parts.cpu0.status?\n" },
    { ALLOW("fine(input.parts.cpu0)\n"
            "fine(input.parts.gpu0.evidence)")
      "fine(p) if p.status == \"good\"\n",
      "" },
    { ALLOW("part(\"cpu\", input.parts.cpu0)\n"
            "part(\"gpu\", input.parts.gpu0.evidence)")
      "part(\"cpu\", p) if p.status == \"good\"\n"
      "part(\"gpu\", e) if e.snp.svn > 3\n",
      "" },
    { ALLOW("level(input.parts.cpu0) == \"2\"")
      "level(p) := p.level\n",
      "3:1 type_mismatch input.parts.cpu0.level is a number, compared with a string: == never holds | write 2 without quotes\n" },
    { ALLOW("level(input.parts.cpu0) == 2")
      "level(p) := p.level\n",
      "" },
    { ALLOW("level(input.parts.cpu0, \"x\") == 2")
      "level(p, \"y\") := p.level\n",
      "" },
    { ALLOW("in_range(input.parts.cpu0.level)")
      "in_range(v) if { v >= 2; v <= 31 }\n",
      "" },
    { ALLOW("in_range(input.parts.cpu0.status)")
      "in_range(v) if { v >= 2; v <= 31 }\n",
      "5:18 type_mismatch input.parts.cpu0.status is a string, compared with a number: >= goes by the kinds alone | write \"2\", or to_number(input.parts.cpu0.status)\n"
      "5:26 type_mismatch input.parts.cpu0.status is a string, compared with a number: <= goes by the kinds alone | write \"31\", or to_number(input.parts.cpu0.status)\n" },
    { ALLOW("not debug(input.parts.cpu0)")
      "debug(p) if p.evidence.tdx.debug\n",
      "3:1 fail_open this holds as well when input.parts.cpu0 is missing | demand it in the same body: input.parts.cpu0\n" },
    { ALLOW("not debug(input.parts.cpu0)")
      "default debug(_) := false\n"
      "debug(p) if p.evidence.tdx.debug\n",
      "3:1 fail_open this holds as well when input.parts.cpu0 is missing | demand it in the same body: input.parts.cpu0\n" },
    { ALLOW("debug(input.parts.cpu0) == false")
      "default debug(_) := false\n"
      "debug(p) if p.evidence.tdx.debug\n",
      "3:1 fail_open this holds as well when input.parts.cpu0.evidence.tdx is missing | demand it in the same body: input.parts.cpu0.evidence.tdx\n" },
    { ALLOW("no(input.exp)")
      "no(x) := false\n",
      "3:1 never_true this is always false\n" },
    { ALLOW("first([input.iss, \"b\"]) == 3")
      "first([a, _]) := a\n",
      "3:1 type_mismatch this value[0] is a string, compared with a number: == never holds\n" },
};

static void test_infer_call__functions(void **state)
{
    (void) state;
    CHECK_LINTS(FUNCTIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_call_builtin__operands),
        cmocka_unit_test(test_call_is__asked),
        cmocka_unit_test(test_call_member__elements),
        cmocka_unit_test(test_infer_call__functions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

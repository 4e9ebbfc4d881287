/* What stopped a body, in words: how values are named by the way they came. */
#include "tests/unit/policy/explained.h"

#define P "package t\n"
#define CHECK(cases) check_explained(cases, sizeof(cases) / sizeof((cases)[0]), false)

static void test_moment_print__comparisons(void **state)
{
    static const struct explain_case cases[] = {
        { "left", P "p if input.a == \"y\"", "{\"a\":\"z\"}", "p.rego:2: input.a == \"y\": left is \"z\"" },
        { "right", P "p if 1 == input.a", "{\"a\":2}", "p.rego:2: 1 == input.a: right is 2" },
        { "both", P "p if input.a < input.b", "{\"a\":3,\"b\":2}", "p.rego:2: input.a < input.b: left is 3, right is 2" },
        { "unequal", P "p if input.a != input.b", "{\"a\":3,\"b\":3}", "p.rego:2: input.a != input.b: both are 3" },
        { "a constant", P "p if input.a != 3", "{\"a\":3}", "p.rego:2: input.a != 3: left is 3" },
        { "two constants", P "p if 1 == 2", NULL, "p.rego:2: 1 == 2: that is never so" },
        { "written otherwise", P "p if input[\"a\"] == 1", "{\"a\":3}", "p.rego:2: input[\"a\"] == 1: input.a is 3" },
        { "through a variable", P "p if {\n x := input.a.b\n x == 1\n}", "{\"a\":{\"b\":2}}", "p.rego:4: x == 1: input.a.b is 2" },
        { "computed", P "p if {\n x := input.a + 1\n x == 1\n}", "{\"a\":2}", "p.rego:4: x == 1: left is 3" },
        { "computed, where another rule looked something up", P "p if input.a.b.c == 1\np if {\n x := input.n + 1\n x == 1\n}",
          "{\"a\":{\"b\":{\"c\":2}},\"n\":2}", "p.rego:5: x == 1: left is 3" },
        { "unified", P "p if input.a = 5", "{\"a\":2}", "p.rego:2: input.a = 5: left is 2" },
        { "of data", P "p if data.base[1] == 1", NULL, "p.rego:2: data.base[1] == 1: left is 2" },
        { "of a rule", P "p if q.a == 1\nq := {\"a\": 2}", NULL, "p.rego:2: q.a == 1: data.t.q.a is 2" },
        { "member", P "p if input.a in {1, 2}", "{\"a\":3}", "p.rego:2: input.a in {1, 2}: left is 3" },
        { "false", P "p if input.a", "{\"a\":false}", "p.rego:2: input.a: input.a is false" },
        { "a call", P "p if startswith(input.a, \"x\")", "{\"a\":\"y\"}",
          "p.rego:2: startswith(input.a, \"x\"): startswith(\"y\", \"x\") is false" },
    };
    CHECK(cases);
}

static void test_moment_print__undefined(void **state)
{
    static const struct explain_case cases[] = {
        { "no such key", P "p if input.submods.cpu.x == 1", "{\"submods\":{\"cpu0\":1,\"gpu0\":2}}",
          "p.rego:2: input.submods.cpu.x == 1: input.submods.cpu is undefined; submods has cpu0, gpu0 (did you mean cpu0?)" },
        { "keys that are no names", P "p if input.a.b", "{\"a\":{\"x-y\":1}}", "p.rego:2: input.a.b: input.a.b is undefined; a has \"x-y\"" },
        { "many", P "p if input.a", "{\"q1\":1,\"q2\":1,\"q3\":1,\"q4\":1,\"q5\":1,\"q6\":1,\"q7\":1,\"q8\":1,\"q9\":1,\"q10\":1}",
          "p.rego:2: input.a: input.a is undefined; input has q1, q10, q2, q3, q4, q5, q6, q7 and 2 more" },
        { "empty", P "p if input.a.b", "{\"a\":{}}", "p.rego:2: input.a.b: input.a.b is undefined; a is empty" },
        { "of a scalar", P "p if input.a.b", "{\"a\":1}", "p.rego:2: input.a.b: input.a.b is undefined; a is 1" },
        { "beyond an array", P "p if input.a[2]", "{\"a\":[1,2]}", "p.rego:2: input.a[2]: input.a[2] is undefined; a is an array of 2" },
        { "behind a bracket", P "p if input[\"a-b\"].c", "{\"a-b\":{}}",
          "p.rego:2: input[\"a-b\"].c: input[\"a-b\"].c is undefined; input[\"a-b\"] is empty" },
        { "no input", P "p if input.a", NULL, "p.rego:2: input.a: there is no input" },
        { "a rule's name mistyped", P "p if data.t.abd\nabc := 1", NULL, "p.rego:2: data.t.abd: there is no data.t.abd; did you mean abc?" },
        { "a builtin's error", P "p if count(input.a) > 1", "{\"a\":1}",
          "p.rego:2: count(input.a) > 1: call failed: count: operand 1 must be one of {array, object, set, string} but got number" },
        { "control characters in a builtin's error", P "p if to_number(input)", "\"\\n\\u001b\"",
          "p.rego:2: to_number(input): call failed: to_number: strconv.ParseFloat: parsing \"  \": invalid syntax" },
        { "control characters in a key", P "p if {\n x := {\"a\": 1}\n x[input.b]\n}", "{\"b\":\"\\n\"}",
          "p.rego:4: x[input.b]: \"\\n\" is no member; what it is looked up in has a" },
        { "control characters of a claim", P "p if input.a == 1", "{\"a\":\"x\\n\\u001b[2J\"}",
          "p.rego:2: input.a == 1: left is \"x\\n\\x1b[2J\"" },
    };
    CHECK(cases);
}

static void test_moment_print__loops(void **state)
{
    static const struct explain_case cases[] = {
        { "the last that came as far", P "p if {\n some s in input\n s.a == 1\n s.b == 1\n}",
          "{\"k\":{\"a\":1,\"b\":2},\"l\":{\"a\":2}}", "p.rego:5: s.b == 1: input.k.b is 2" },
        { "of an array", P "p if {\n some i\n input[i] > 5\n}", "[1,2]", "p.rego:4: input[i] > 5: input[1] is 2" },
        { "of constants", P "p if {\n some x in [1, 2]\n x > 5\n}", NULL, "p.rego:4: x > 5: left is 2" },
        { "of nothing", P "p if {\n some x in input\n x > 5\n}", "[]", "p.rego:3: some x in input: input is empty" },
        { "of no collection", P "p if input[_] > 5", "3", "p.rego:2: input[_] > 5: input is a number, there is nothing to go through" },
        { "every", P "p if every x in input { x < 2 }", "[1,2]", "p.rego:2: x < 2: input[1] is 2 (x is input[1])" },
        { "every, whose first turn looked around", P "p if every x in input { some y in [2, 1]; y == x }", "[1,7]",
          "p.rego:2: y == x: left is 1, input[1] is 7 (x is input[1])" },
        { "shape", P "p if [x, y] = input", "[1]", "p.rego:2: [x, y] = input: an array of 2 is wanted, input is [1]" },
        { "shape of a constant", P "p if {\n [x] = [1, 2]\n}", NULL, "p.rego:3: [x] = [1, 2]: an array of 1 is wanted, it is [1, 2]" },
    };
    CHECK(cases);
}

static void test_moment_print__closures_and_calls(void **state)
{
    static const struct explain_case cases[] = {
        { "not", P "p if not input.a == 1", "{\"a\":1}", "p.rego:2: not input.a == 1: what is negated holds: left is 1" },
        { "not, of a rule", P "p if not q\nq if input", "1", "p.rego:2: not q: what is negated holds: data.t.q is true" },
        { "not, under with", P "p if not input.a with input.a as 3", "{}", "p.rego:2: not input.a with input.a as 3: what is negated holds: input.a is 3" },
        { "not, of a member", P "p if not 2 in input", "[1,2]", "p.rego:2: not 2 in input: what is negated holds: right is [1, 2]" },
        { "a rule in turn", P "p if q\nq if r\nr if input.a", "{}", "p.rego:4: input.a: input.a is undefined; input is empty" },
        { "a function's argument", P "p if f(input)\nf(x) if x.a == 1", "{\"a\":2}", "p.rego:3: x.a == 1: left is 2" },
        { "arguments that do not fit", P "p if f(3)\nf(1)", NULL, "p.rego:3: f(1): called with (3)" },
        { "else", P "p if false else if input.a == 1", "{\"a\":2}", "p.rego:2: false: it is false" },
    };
    CHECK(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moment_print__comparisons),
        cmocka_unit_test(test_moment_print__undefined),
        cmocka_unit_test(test_moment_print__loops),
        cmocka_unit_test(test_moment_print__closures_and_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

"""The policy author's tools on the built program, without token, broker or configuration: check, eval,
explain, test and bench; and that a broker decides and explains the same."""

import json
import os
import re
import unittest

from guest import b64u
from vault import Vault

POLICY = """\
package policy

import rego.v1

default allow := false

allow if {
	data.plugin == "resource"
	data["resource-path"][0] == "team"
	affirming
}

affirming if {
	count(input.submods) > 0
	every _, s in input.submods {
		s["ear.status"] == "affirming"
	}
}
"""

TESTS = """\
package policy_test

import data.policy

asked := {"plugin": "resource", "resource-path": ["team", "key", "one"], "query": {}}

test_affirming_is_allowed if {
	policy.allow with input as {"submods": {"cpu0": {"ear.status": "affirming"}}}
		with data.plugin as "resource" with data["resource-path"] as ["team", "key", "one"]
}

test_warning_is_denied if {
	not policy.allow with input as {"submods": {"cpu0": {"ear.status": "warning"}}}
		with data.plugin as "resource" with data["resource-path"] as ["team", "key", "one"]
}

todo_test_other_plugins if false
"""

GOOD = {"submods": {"cpu0": {"ear.status": "affirming"}, "gpu0": {"ear.status": "affirming"}}}
BAD = {"submods": {"cpu0": {"ear.status": "affirming"}, "gpu0": {"ear.status": "warning"}}}


class Tools(unittest.TestCase):
    def setUp(self):
        self.vault = Vault()
        self.policy = self.vault.write("policy.rego", POLICY)
        self.good = self.vault.write("good.json", json.dumps(GOOD))
        self.bad = self.vault.write("bad.json", json.dumps(BAD))

    def tearDown(self):
        self.vault.__exit__(None)

    def run_tool(self, code, *args):
        """(stdout, stderr) of strongroom policy ARGS, which must end with this code."""
        done = self.vault.run("policy", *args, check=False)
        self.assertEqual(done.returncode, code, (args, done.stdout, done.stderr))
        return done.stdout.decode(), done.stderr.decode()

    def case(self, claims, *more, policy=None):
        return ("--policy", policy or self.policy, "--resource", "kbs:///team/key/one", "--claims", claims, *more)

    # ---- check --------------------------------------------------------------------------------

    def test_check_says_ok_and_tells_every_error_at_once(self):
        self.assertEqual(self.run_tool(0, "check", self.policy), (f"{self.policy}: ok\n", ""))
        wrong = self.vault.write("wrong.rego", "package policy\n\nallow if {\n\tstartwith(data.plugin, \"re\")\n"
                                 "\tx := http.send({})\n\tnosuch\n}\n")
        out, said = self.run_tool(2, "check", self.policy, wrong)
        self.assertEqual(out, f"{self.policy}: ok\n")
        self.assertTrue(said.startswith(
            "FILE:4:2: rego_type_error: undefined function startwith\n"
            "     startwith(data.plugin, \"re\")\n"
            "     ^\n"
            "    did you mean startswith?\n".replace("FILE", wrong)), said)
        self.assertIn(f"{wrong}:5:7: rego_type_error: unsafe built-in function calls in expression: http.send\n", said)
        self.assertTrue(said.endswith("strongroom: 1 of 2 policies refused\n"), said)

    def test_check_puts_the_mark_below_the_place_behind_wide_characters(self):
        wrong = self.vault.write("wrong.rego", "package policy\n\nallow if \"\u00e4\u00f6\" == nosuch(1)\n")
        said = self.run_tool(2, "check", wrong)[1].splitlines()
        self.assertEqual(said[1][said[2].index("^"):], "nosuch(1)")

    def test_check_warns_of_what_nobody_would_ask_and_strict_refuses_it(self):
        for text, word in (("package policy\n\nallowed := true\n", "did you mean allow?"),
                           ("package my_policy\n\nallow := true\n", "package policy")):
            file = self.vault.write("odd.rego", text)
            out, said = self.run_tool(0, "check", file)
            self.assertEqual(out, f"{file}: ok\n")
            self.assertRegex(said, rf"^{re.escape(file)}:\d+:\d+: warning: ")
            self.assertIn(word, said)
            out, said = self.run_tool(2, "check", "--strict", file)
            self.assertEqual(out, "")
            self.assertNotIn("warning", said)

    def test_check_as_json(self):
        wrong = self.vault.write("wrong.rego", "package policy\n\nallow if nosuch(1)\n")
        out, _ = self.run_tool(2, "check", "--format", "json", self.policy, wrong)
        good, bad = json.loads(out)["files"]
        self.assertEqual(good, {"file": self.policy, "ok": True, "errors": [], "warnings": []})
        self.assertEqual((bad["ok"], bad["errors"][0]["line"], bad["errors"][0]["column"]), (False, 3, 10))

    def test_check_shows_no_control_characters(self):
        wrong = self.vault.write("wrong.rego", "package policy\n\nallow if nosuch(\"\u009b2J\x7f\")\n")
        said = self.run_tool(2, "check", wrong)[1]
        self.assertNotRegex(said, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")

    # ---- eval and explain ---------------------------------------------------------------------

    def test_eval_allows_and_denies_with_the_reason(self):
        self.assertEqual(self.run_tool(0, "eval", *self.case(self.good)), ("allow\n", ""))
        out, said = self.run_tool(4, "eval", *self.case(self.bad))
        self.assertEqual(out, "deny: allow is false\n")
        self.assertEqual(said, f"strongroom: denied: {self.policy}:16: s[\"ear.status\"] == \"affirming\": "
                         "input.submods.gpu0[\"ear.status\"] is \"warning\" (s is input.submods.gpu0)\n"
                         .replace(self.policy, self.policy[-63:]))

    def test_eval_sees_what_a_broker_would(self):
        echo = self.vault.write("echo.rego", "package policy\n\nasked := data.query\n\nplace := [data.plugin, "
                                "data[\"resource-path\"]]\n\nnow := time.now_ns()\n\ndigest := crypto.sha256(\"a\")\n")

        def value(rule, resource, *more):
            out, _ = self.run_tool(0, "eval", "--policy", echo, "--resource", resource, "--claims", self.good,
                                   "--rule", "data.policy." + rule, *more)
            return json.loads(out)

        self.assertEqual(value("place", "kbs:///a/b%20c/d"), ["resource", ["a", "b c", "d"]])
        self.assertEqual(value("place", "a/b/c"), ["resource", ["a", "b", "c"]])
        self.assertEqual(value("place", "kbs+pkcs11:///resource/a/b/c"), ["pkcs11", ["resource", "a", "b", "c"]])
        self.assertEqual(value("place", "a/b/c", "--plugin", "other"), ["other", ["a", "b", "c"]])
        self.assertEqual(value("asked", "kbs:///a/b/c?x=1&y=2", "-q", "x=3", "-q", "z="), {"x": "3", "y": "2", "z": ""})
        self.assertEqual(value("digest", "a/b/c"), "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb")
        self.assertEqual(value("now", "a/b/c", "--now", "2026-11-24T12:00:00.5Z"), 1795521600500000000)

    def test_eval_reads_a_token_and_says_that_it_does_not_verify(self):
        part = lambda value: b64u(json.dumps(value).encode())
        token = self.vault.write("token", f"{part({'alg': 'ES256'})}.{part(GOOD)}.{b64u(bytes(64))}\n")
        out, said = self.run_tool(0, "eval", "-p", self.policy, "-r", "team/key/one", "--token", token)
        self.assertEqual(out, "allow\n")
        self.assertIn("signature", said)

    def test_eval_of_another_rule_and_print(self):
        policy = self.vault.write("print.rego", "package policy\n\nallow if {\n\tprint(\"seen\", input.a)\n}\n\n"
                                  "claims := {\"n\": 1.50}\n\nnone if false\n")
        claims = self.vault.write("claims.json", '{"a": "x\\ny"}')
        self.assertEqual(self.run_tool(0, "eval", *self.case(claims, policy=policy)), ("allow\n", "print: seen x y\n"))
        self.assertEqual(self.run_tool(0, "eval", *self.case(claims, "--rule", "data.policy.claims", policy=policy))[0],
                         '{"n":1.50}\n')
        out, said = self.run_tool(4, "eval", *self.case(claims, "--rule", "data.policy.none", policy=policy))
        self.assertEqual((out, said.count("strongroom: ")), ("undefined\n", 1))

    def test_an_error_of_a_builtin_denies_as_in_a_broker(self):
        policy = self.vault.write("error.rego", "package policy\n\nallow if not bad\n\nbad if to_number(input.a) > 3\n")
        claims = self.vault.write("claims.json", '{"a": "x"}')
        out, _ = self.run_tool(4, "eval", *self.case(claims, "--format", "json", policy=policy))
        answer = json.loads(out)
        self.assertEqual((answer["allow"], answer["outcome"]), (False, "failed"))
        self.assertIn("to_number", answer["error"])

    def test_explain_shows_every_body_on_a_screen(self):
        out, said = self.run_tool(0, "explain", *self.case(self.bad))
        self.assertEqual(said, "")
        self.assertEqual(out.replace(self.policy[-63:], "FILE").replace(self.policy, "FILE"), """\
data.policy.allow is false
  FILE:7: allow  stopped
    line 10: affirming
        data.policy.affirming is undefined
  FILE:5: default allow := false  holds: false
data.policy.affirming is undefined
  FILE:13: affirming  stopped
    line 16: s["ear.status"] == "affirming"
        input.submods.gpu0["ear.status"] is "warning"
        where s is input.submods.gpu0
""")
        rules = json.loads(self.run_tool(0, "explain", *self.case(self.bad, "--format", "json"))[0])["explanation"]["rules"]
        self.assertEqual([rule["name"] for rule in rules], ["data.policy.allow", "data.policy.affirming"])
        self.assertEqual(rules[1]["bodies"][0]["stop"]["line"], 16)
        allowed = self.run_tool(0, "eval", *self.case(self.good, "--explain"))[0]
        self.assertTrue(allowed.startswith("allow\ndata.policy.allow is true\n"), allowed)

    def test_a_negation_that_holds_for_want_of_the_path_is_pointed_out(self):
        policy = self.vault.write("open.rego", "package policy\n\nallow if not input.submods.cpu.debug\n")
        out, _ = self.run_tool(0, "explain", *self.case(self.good, policy=policy))
        self.assertIn("a negation in it holds only because a path leads nowhere", out)
        self.assertIn("input.submods.cpu is undefined; submods has cpu0, gpu0 (did you mean cpu0?)", out)

    # ---- test ---------------------------------------------------------------------------------

    def folder(self, **more):
        os.makedirs(self.vault.path("policies/deeper"), exist_ok=True)
        for name, text in {"policy.rego": POLICY, "deeper/policy_test.rego": TESTS, "notes.txt": "no Rego", **more}.items():
            self.vault.write(os.path.join("policies", name), text)
        return self.vault.path("policies")

    def test_tests_of_a_folder(self):
        out, said = self.run_tool(0, "test", self.folder())
        self.assertEqual((out, said), ("2 passed, 0 failed, 0 ended in an error, 1 skipped\n", ""))
        out, _ = self.run_tool(0, "test", "-v", "--run", "warning", self.folder())
        self.assertEqual(out, "data.policy_test.test_warning_is_denied: PASS\n"
                         "1 passed, 0 failed, 0 ended in an error, 0 skipped\n")

    def test_failing_tests_say_why_and_what_they_printed(self):
        folder = self.folder(**{"more_test.rego": "package more_test\n\ntest_fails if {\n\tprint(\"at\", 1)\n"
                                "\tdata.policy.affirming with input as {\"submods\": {\"a\": {\"ear.status\": \"none\"}}}\n}\n\n"
                                "test_conflict := 1\n\ntest_conflict := 2\n"})
        out, said = self.run_tool(4, "test", folder)
        self.assertRegex(out, r'(?m)^data\.more_test\.test_fails: FAIL\n    .+policy\.rego:16: s\["ear\.status"\] == '
                         r'"affirming": input\.submods\.a\["ear\.status"\] is "none" \(s is input\.submods\.a\)\n'
                         r'    print: at 1\n')
        self.assertRegex(out, r"(?m)^data\.more_test\.test_conflict: ERROR\n.*eval_conflict_error")
        self.assertIn("2 passed, 1 failed, 1 ended in an error, 1 skipped\n", out)
        self.assertEqual(said, "strongroom: 2 of 4 tests did not hold\n")
        self.assertIn("data.policy.affirming is undefined", self.run_tool(4, "test", "-v", folder)[0])
        answer = json.loads(self.run_tool(4, "test", "--format", "json", folder)[0])
        self.assertEqual((answer["passed"], answer["failed"], answer["errors"], answer["skipped"]), (2, 1, 1, 1))
        failed = next(test for test in answer["tests"] if test["result"] == "failed")
        self.assertEqual((failed["name"], failed["line"], failed["printed"]), ("data.more_test.test_fails", 3, "at 1\n"))

    def test_coverage_counts_lines_of_what_is_tested(self):
        folder = self.folder()
        out, _ = self.run_tool(0, "test", "--coverage", folder)
        self.assertRegex(out, r"(?m)^coverage +100\.0 %  9 of 9 lines$")
        out, said = self.run_tool(4, "test", "--run", "warning", "--min-coverage", "80", folder)
        self.assertRegex(out, r"policy\.rego +77\.7 %  7 of 9 lines; missed: 7, 13\n")
        self.assertIn("77.7 %", said)
        answer = json.loads(self.run_tool(0, "test", "--min-coverage", "60", "--format", "json", folder)[0])
        self.assertEqual((answer["coverage"]["lines"], answer["coverage"]["covered"]), (9, 9))
        self.assertEqual([file["missed"] for file in answer["coverage"]["files"] if not file["tests"]], [[]])

    def test_builtin_errors_end_a_test_only_when_strict(self):
        file = self.vault.write("strict_test.rego", "package t\n\nbad if to_number(\"x\") > 1\n\ntest_a if not bad\n")
        self.run_tool(0, "test", file)
        self.assertIn("to_number", self.run_tool(4, "test", "--strict", file)[0])

    # ---- bench --------------------------------------------------------------------------------

    def test_bench_reports_times_and_memory(self):
        out, _ = self.run_tool(0, "bench", *self.case(self.good, "--runs", "20"))
        self.assertRegex(out, r"(?m)^evaluation +\d+ +\d+ +\d+$")
        answer = json.loads(self.run_tool(0, "bench", *self.case(self.good, "-n", "5", "--format", "json"))[0])
        for times in (answer["evaluation_ns"], answer["compile_ns"]):
            self.assertLessEqual(times["min"], times["median"])
            self.assertLessEqual(times["median"], times["max"])
            self.assertGreater(times["min"], 0)
        self.assertEqual((answer["samples"], answer["outcome"]), (5, "allow"))
        self.assertGreater(answer["program_bytes"], 0)
        self.assertGreater(answer["steps"], 0)

    # ---- mistakes -----------------------------------------------------------------------------

    def test_mistakes_are_one_sentence(self):
        deep = self.vault.path("deep" + "/d" * 20)
        os.makedirs(deep)
        empty = self.vault.path("empty")
        os.makedirs(empty)
        wrong = self.vault.write("wrong.rego", "package policy\n\nallow if nosuch(1)\n")
        text = self.vault.write("text.json", "{")
        for code, args, words in (
                (2, ("check",), ("FILE",)),
                (2, ("check", "--nonsense", self.policy), ("unknown option --nonsense",)),
                (3, ("check", "no such file"), ("no such file",)),
                (2, ("check", "--format", "xml", self.policy), ("table or json",)),
                (2, ("eval",), ("--policy",)),
                (2, ("eval", "-p", self.policy, "-r", "a/b/c"), ("--claims", "--token")),
                (2, ("eval", "-p", self.policy, "--claims", self.good), ("--resource",)),
                (2, ("eval", "-p", self.policy, "--claims", self.good, "-r", "https://a/b"), ("kbs:///",)),
                (3, ("eval", "-p", "no such file"), ("no such file",)),
                (3, ("eval", *self.case("no such claims")), ("no such claims",)),
                (2, ("eval", *self.case(text)), (text, "at byte 1")),
                (2, ("eval", "-p", self.policy, "-r", "a/b/c", "--token", text), (text, "three parts")),
                (2, ("eval", *self.case(self.good, "--query", "novalue")), ("NAME=VALUE", "novalue")),
                (2, ("eval", *self.case(self.good, *("-q", "a=b") * 17)), ("more than 16",)),
                (2, ("eval", *self.case(self.good, "--now", "tomorrow")), ("tomorrow",)),
                (2, ("eval", *self.case(self.good, policy=wrong)), ("undefined function nosuch", "refused")),
                (2, ("eval", *self.case(self.good, "--rule", "x :=")), ("refused",)),
                (2, ("explain", *self.case(self.good, policy=wrong)), ("refused",)),
                (2, ("bench", *self.case(self.good, "--runs", "0")), ("from 1 to",)),
                (2, ("bench", *self.case(self.good, "--runs", "1000001")), ("from 1 to",)),
                (2, ("test", wrong), ("undefined function nosuch", "compile")),
                (2, ("test", empty), ("*.rego",)),
                (2, ("test", self.vault.path("deep")), ("deeper",)),
                (3, ("test", "no such folder"), ("no such folder",)),
                (3, ("test", self.policy), ("no test ran",)),
                (2, ("test", "--run", "(", self.policy), ("regular expression",)),
                (2, ("test", "--min-coverage", "101", self.policy), ("percentage",)),
        ):
            out, said = self.run_tool(code, *args)
            self.assertEqual(out, "", args)
            for word in words:
                self.assertIn(word, said, args)
            self.assertEqual(said.count("strongroom: "), 1, said)


class Broker(unittest.TestCase):
    def test_the_debug_log_of_a_broker_says_why(self):
        with Vault(config={"process": {"log_level": "debug"}}) as vault:
            vault.start()
            vault.put("team/key/one", b"value")
            vault.allow_if('data["resource-path"][0] == "other"')
            with self.assertRaises(Exception):
                vault.guest().fetch("team/key/one")
            self.assertRegex(vault.read("log"), r'policy\.why line="policy\.rego:\d+: data\[\\"resource-path\\"\]\[0\] == '
                             r'\\"other\\": left is \\"team\\""')


class Fmt(unittest.TestCase):
    UGLY = "package p\nallow if{input.a;input.b} # why\n"
    NEAT = "package p\n\nallow if {\n\tinput.a\n\tinput.b\n} # why\n"

    def setUp(self):
        self.vault = Vault()
        self.addCleanup(self.vault.__exit__, None)
        self.file = self.vault.write("p.rego", self.UGLY, 0o640)

    def fmt(self, *args, **options):
        return self.vault.run("policy", "fmt", *args, check=False, **options)

    def test_prints_what_is_laid_out(self):
        self.assertEqual(self.fmt(self.file).stdout.decode(), self.NEAT)
        self.assertEqual(self.fmt(stdin=self.UGLY.encode()).stdout.decode(), self.NEAT)
        self.assertEqual(self.vault.read("p.rego"), self.UGLY)

    def test_write_changes_the_file_and_keeps_its_mode(self):
        self.assertEqual(self.fmt("--check", self.file).returncode, 1)
        self.assertEqual(self.fmt("-w", self.file).returncode, 0)
        self.assertEqual(self.vault.read("p.rego"), self.NEAT)
        self.assertEqual(os.stat(self.file).st_mode & 0o777, 0o640)
        done = self.fmt("--check", self.file)
        self.assertEqual((done.returncode, done.stdout), (0, b""))

    def test_diff_shows_the_change_alone(self):
        done = self.fmt("-d", self.file)
        self.assertEqual(done.returncode, 1)
        self.assertIn("-allow if{input.a;input.b} # why", done.stdout.decode())
        self.assertIn("+\tinput.b", done.stdout.decode())

    def test_what_does_not_parse_stays_as_it_is(self):
        bad = self.vault.write("bad.rego", "package p\nallow {\n")
        done = self.fmt("-w", bad, self.file)
        self.assertEqual(done.returncode, 2)
        self.assertIn("bad.rego:2:7: rego_parse_error", done.stderr.decode())
        self.assertEqual(self.vault.read("bad.rego"), "package p\nallow {\n")
        self.assertEqual(self.vault.read("p.rego"), self.NEAT)

    def test_mistakes(self):
        for args, text in ((("-w",), "--write wants files"), (("-w", "--check", self.file), "excludes"),
                           (("/nonexistent",), "nonexistent")):
            done = self.fmt(*args)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(text, done.stderr.decode())


if __name__ == "__main__":
    unittest.main()

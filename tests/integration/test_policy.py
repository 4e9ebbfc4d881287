"""The release policy in Rego: set by operators, asked for every guest, on the built program."""

import base64
import hashlib
import json
import pathlib
import re
import shutil
import threading
import unittest

from guest import Guest, Refused
from vault import ALLOW_ALL, DENY_ALL, Vault, wait_until

VECTORS = pathlib.Path(__file__).resolve().parents[1] / "vectors" / "kbs"
DENIED = {"type": "https://github.com/confidential-containers/kbs/errors/PolicyDeny",
          "detail": "Access denied by policy"}

# Ten to the twelfth turns, each of which is cheap.
ENDLESS = ("count([1 | some a in numbers.range(1, 10000); some b in numbers.range(1, 10000); "
           "some c in numbers.range(1, 10000); a == b; b == c]) == 10000")


class Policies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.vault = Vault(config={"process": {"log_level": "debug"}}).prepare()
        cls.vault.start()
        cls.vault.put("team/key/one", b"value")
        cls.guest = cls.vault.guest().handshake()

    @classmethod
    def tearDownClass(cls):
        cls.vault.__exit__(None)

    def allowed(self, name="team/key/one", plugin="resource"):
        """Whether the guest gets it; a refusal is always the same one."""
        status, _, body = self.vault.ask("GET", f"/kbs/v0/{plugin}/{name}", None, self.guest.headers())
        if status == 200:
            self.assertEqual(self.guest.open(body), b"value")
            return True
        self.assertEqual((status, json.loads(body)), (403, DENIED))
        return False

    def last_denial(self):
        """What the log says of the last denial, and the record's reason for it."""
        line = [line for line in self.vault.read("log").splitlines() if " release.denied " in line][-1]
        record = self.vault.audit()[-1]
        self.assertEqual((record["action"], record["decision"]), ("release", "deny"))
        self.assertRegex(record["policy"], "^[0-9a-f]{16}$")
        self.assertIn("digest=" + record["policy"], line)
        return line, record["reason"]

    def metric(self, name):
        text = self.vault.ask("GET", "/metrics")[2].decode()
        return int(re.search(rf"^{name} (\d+)$", text, re.M).group(1))

    # ---- what a policy sees -------------------------------------------------------------------

    def test_a_policy_decides_by_what_the_guest_is_and_asks(self):
        evidence = 'input.submods.cpu0["ear.veraison.annotated-evidence"]'
        for condition, allowed in (
                (f'{evidence}.sample.svn == "1"', True),
                (f'{evidence}.sample.svn == "2"', False),
                (f"not {evidence}.sample", False),
                ('input.submods.cpu0["ear.status"] == "affirming"', False),
                ('data["resource-path"] == ["team", "key", "one"]', True),
                ('data["resource-path"][0] == "other"', False),
                ('data.plugin == "resource"', True),
                ("data.query == {}", True),
                ("input.exp > time.now_ns() / 1000000000", True),
                ("input.exp - input.iat > 100000", False),
                ('regex.match("^[a-z]+$", data["resource-path"][2])', True),
                ('crypto.sha256(data.plugin) == "' + hashlib.sha256(b"resource").hexdigest() + '"', True)):
            self.vault.allow_if(condition)
            self.assertEqual(self.allowed(), allowed, condition)
        self.vault.allow_if('data.query.release == "v 2"')
        self.assertTrue(self.allowed("team/key/one?release=v+2"))
        self.assertFalse(self.allowed())
        self.vault.allow_if('data.plugin == "pkcs11"')
        self.assertTrue(self.allowed("resource/team/key/one", plugin="pkcs11"))
        self.assertFalse(self.allowed())

    def test_the_stock_policies_of_kbs_client(self):
        """A sample guest, which is contraindicated: what each of them says to it."""
        for name, resource, pkcs11 in (
                ("new-admin-policy-allow", True, False), ("old-admin-policy-allow-all", True, True),
                ("new-admin-policy-deny", False, False), ("old-admin-policy-deny-all", False, False),
                ("new-admin-policy-affirming", False, False), ("old-admin-policy-affirming", False, False),
                ("old-admin-policy-default", False, False)):
            exchange = json.loads((VECTORS / f"{name}.json").read_text())[0]
            status, _, body = self.vault.admin("POST", "/kbs/v0/resource-policy",
                                               exchange["request"]["body"])
            self.assertEqual((status, body), (200, b""), name)
            self.assertEqual(self.allowed(), resource, name)
            self.assertEqual(self.allowed("resource/team/key/one", plugin="pkcs11"), pkcs11, name)

    # ---- denials ------------------------------------------------------------------------------

    def test_a_denial_says_in_the_log_which_kind_it_is_and_nothing_to_the_guest(self):
        head = "package policy\n"
        for text, reason in (
                (DENY_ALL, "allow is false"),
                (head + "allow if input.nosuch", "allow is undefined"),
                (head + "allowed := true", "allow is undefined"),
                ("package release\nallow := true", "allow is undefined"),
                (head + 'allow := "true"', "allow is not a boolean but of type string"),
                (head + "allow := true\nallow := false if data.plugin",
                 "the policy failed: eval_conflict_error policy.rego:3"),
                (head + "allow if not to_number(data.plugin)",
                 "the policy failed: eval_builtin_error policy.rego:2")):
            status, _, body = self.vault.set_policy(text)
            self.assertEqual(status, 200, body)
            self.assertFalse(self.allowed())
            line, recorded = self.last_denial()
            self.assertEqual(recorded, reason)
            self.assertIn(f'reason="{reason}"', line)
            self.assertEqual(" detail=" in line, "failed" in reason)
            self.assertIn("resource=team/key/one", line)
            self.assertIn("principal=guest:", line)

    def test_a_policy_without_end_denies_and_the_broker_goes_on(self):
        errors = self.metric("kbs_policy_errors_total")
        self.vault.allow_if(ENDLESS)
        self.assertFalse(self.allowed())
        line, reason = self.last_denial()
        self.assertEqual(reason, "the policy used up its budget policy.rego:4")
        self.assertIn("too many steps", line)
        self.assertEqual(self.metric("kbs_policy_errors_total"), errors + 1)
        refused = []

        def ask():
            try:
                self.vault.guest().fetch("team/key/one")
            except Refused as error:
                refused.append(error.status)

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        self.assertEqual(self.vault.ask("GET", "/healthz")[0], 200)
        for thread in threads:
            thread.join()
        self.assertEqual(refused, [403] * 6)
        self.vault.allow_all()
        self.assertTrue(self.allowed())

    def test_print_goes_to_the_debug_log_and_is_bounded(self):
        self.vault.allow_if('print("asked for", data["resource-path"])')
        before = len(self.vault.read("log"))
        self.assertTrue(self.allowed())
        self.assertIn('debug policy.print line="asked for [\\"team\\", \\"key\\", \\"one\\"]"',
                      self.vault.read("log")[before:])
        self.vault.allow_if("count([1 | some n in numbers.range(1, 1000); print(n)]) == 1000")
        before = len(self.vault.read("log"))
        self.assertTrue(self.allowed())
        lines = re.findall(r"policy\.print line=(.*)", self.vault.read("log")[before:])
        self.assertEqual((len(lines), lines[99]), (101, "100"))
        self.assertIn("no more lines", lines[100])

    # ---- setting it ---------------------------------------------------------------------------

    def test_mistakes_are_told_to_the_person_who_made_them(self):
        """As somebody types them: the line, a mark below the place, the way out; the old one stays."""
        self.vault.allow_all()
        for text, shown in (
                ("package policy\n\nallow if {\n\tstartwith(data.plugin, \"re\")\n}\n", """\
FILE:4:2: rego_type_error: undefined function startwith
     startwith(data.plugin, "re")
     ^
    did you mean startswith?
"""),
                ("package policy\n\nallow {\n\tinput.debug == false\n}\n", """\
FILE:3:7: rego_parse_error: `if` keyword is required before rule body
    allow {
          ^
    Rego of before version 1: write `allow if {`
"""),
                ("package policy\n\nallow if submod == \"x\"\nallow if input.a == vector\n", """\
FILE:3:10: rego_unsafe_var_error: var submod is unsafe
    allow if submod == "x"
             ^
    nothing gives it a value here: no rule, import or expression outside of `not`
FILE:4:10: rego_unsafe_var_error: var vector is unsafe
    allow if input.a == vector
             ^
    nothing gives it a value here: no rule, import or expression outside of `not`
""")):
            file = self.vault.write("typed.rego", text)
            done = self.vault.command("policy", "set", file, check=False)
            self.assertEqual(done.returncode, 2)
            said = done.stderr.decode().replace(file, "FILE")
            self.assertTrue(said.startswith(shown), said)
            self.assertEqual(said[len(shown):], "strongroom: policy set: FILE is refused, and the "
                             "policy of before stays in force\n")
            self.assertTrue(self.allowed())
            self.assertEqual(self.vault.audit()[-2]["reason"], "refused")

    def test_an_upload_over_http_says_the_same_in_text_and_in_members(self):
        status, headers, body = self.vault.set_policy("package policy\n\nallow if nosuch(1)\n")
        self.assertEqual((status, headers["content-type"]), (400, "application/json"))
        answer = json.loads(body)
        self.assertEqual(answer["type"].rsplit("/", 1)[1], "PolicyEngineError")
        self.assertEqual(answer["detail"].splitlines()[:2], [
            "Policy engine error: Failed to load policy: policy.rego:3:10: rego_type_error: "
            "undefined function nosuch", "    allow if nosuch(1)"])
        self.assertEqual([(e["line"], e["column"], e["source"]) for e in answer["errors"]],
                         [(3, 10, "allow if nosuch(1)")])

    def test_what_uploads_are_not_taken(self):
        self.vault.allow_all()
        encoded = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()
        for body in (b"", b"{", json.dumps({"policy": encoded(ALLOW_ALL.encode()) + "="}),
                     json.dumps({"policy": encoded(b"package policy\n# \xff\n")}),
                     json.dumps({"policy": encoded(b"package policy\n#" + b"x" * (256 << 10))})):
            status, _, answer = self.vault.admin("POST", "/kbs/v0/resource-policy", body)
            self.assertEqual(status, 400, answer)
        self.assertTrue(self.allowed())


class OfItsOwn(unittest.TestCase):
    """Each on a token of its own."""

    def test_a_policy_survives_a_restart_and_a_damaged_one_denies_all(self):
        with Vault() as vault:
            vault.start().allow_if('data["resource-path"][0] == "open"')
            vault.put("open/a/b", b"one")
            vault.put("shut/a/b", b"two")
            for _ in range(2):
                guest = vault.guest()
                self.assertEqual(guest.fetch("open/a/b"), b"one")
                with self.assertRaises(Refused):
                    guest.get("shut/a/b")
                vault.restart()
            vault.stop()
            label = "strongroom:policy:resource-policy"
            good = vault.object_bytes(label)
            vault.delete_object(label)
            vault.write_object(label, good[:-1] + bytes([good[-1] ^ 1]))
            vault.start()
            status, _, body = vault.ask("GET", "/readyz")
            self.assertEqual((status, json.loads(body)["reason"]), (503, "policy-damaged"))
            with self.assertRaises(Refused) as caught:
                vault.guest().fetch("open/a/b")
            self.assertEqual(json.loads(caught.exception.body), DENIED)
            self.assertEqual(vault.audit()[-1]["reason"], "the policy is damaged")
            vault.allow_all()
            self.assertEqual(vault.guest().fetch("open/a/b"), b"one")
            wait_until(lambda: vault.ask("GET", "/readyz")[0] == 200, 20, "ready again")

    def test_a_reader_notices_the_writers_policy(self):
        with Vault() as writer:
            writer.start().allow_if('data.query.word == "old"')
            writer.put("a/b/c", b"one")
            reader = Vault(label=writer.label, base=writer.path("reader"))
            for name in ("pin", "softhsm2.conf", "signer.pem", "signer.crt", "admin.pem.pub"):
                shutil.copy(writer.path(name), reader.path(name))
            reader.pin = writer.pin
            reader.configure(token={"role": "reader", "writer": "the writer's host"})
            reader.start()
            guest = Guest(reader).handshake()

            def gets(word):
                try:
                    return guest.get("a/b/c?word=" + word) == b"one"
                except Refused as error:
                    self.assertEqual(json.loads(error.body), DENIED)
                    return False

            self.assertTrue(gets("old"))
            writer.allow_if('data.query.word == "new"')
            wait_until(lambda: gets("new"), 10, "the new policy")
            self.assertFalse(gets("old"))
            reader.stop()


if __name__ == "__main__":
    unittest.main()

"""The policy's versions on the built program: read back, compared, tried, rolled back."""

import difflib
import json
import os
import random
import shutil
import signal
import threading
import unittest

from guest import Guest, Refused
from vault import ALLOW_ALL, DENY_ALL, Vault, wait_until

POLICY = "/strongroom/v1/policy"
LABEL = "strongroom:policy:resource-policy"


def only(repository):
    return f'package policy\n\nallow if data["resource-path"][0] == "{repository}"\n'


class Story(unittest.TestCase):
    def policy(self, *args, code=0, stdin=b""):
        """strongroom policy ARGS: what it says on standard output; code None: any."""
        self.done = self.vault.command("policy", *args, stdin=stdin, check=False)
        if code is not None:
            self.assertEqual(self.done.returncode, code, self.done.stderr.decode())
        return self.done.stdout.decode()

    def refused(self, code, *words, args):
        self.policy(*args, code=code)
        text = self.done.stderr.decode()
        for word in words:
            self.assertIn(word, text)
        self.assertEqual(text.count("strongroom: "), 1, text)

    def file(self, text, name="p.rego"):
        return self.vault.write(name, text)

    def versions(self):
        return json.loads(self.policy("list", "--format", "json"))["versions"]

    def gets(self, guest, name):
        try:
            guest.get(name)
            return True
        except Refused as error:
            self.assertEqual(error.status, 403)
            return False


class History:
    """The same whether a broker serves or not; the subclasses say which."""

    serves = False

    def setUp(self):
        self.vault = Vault().prepare()
        if self.serves:
            self.vault.start()

    def tearDown(self):
        self.vault.__exit__(None)

    def test_nothing_is_there_yet(self):
        self.assertEqual(self.versions(), [])
        self.refused(3, "there is no policy", args=("get",))
        self.refused(3, args=("get", "--version", "1"))
        self.refused(3, "no other version", args=("rollback",))
        self.refused(3, "no other version", args=("diff",))
        self.refused(3, args=("rollback", "1"))

    def test_what_was_set_is_read_back_and_compared(self):
        texts = [ALLOW_ALL, only("a"), only("b") + "# Grüße\n"]
        for text in texts:
            self.policy("set", self.file(text))
        self.assertEqual(self.policy("get"), texts[2])
        for number, text in enumerate(texts, 1):
            self.assertEqual(self.policy("get", "--version", str(number)), text)
        self.assertEqual([(v["version"], v["current"], v["state"], v["size"])
                          for v in self.versions()],
                         [(3, True, "live", len(texts[2].encode())), (2, False, "live", len(texts[1])),
                          (1, False, "live", len(texts[0]))])
        table = self.policy("list").splitlines()
        self.assertEqual(len(table), 4)
        self.assertEqual([line[0] for line in table], [" ", "*", " ", " "])
        self.assertIn(self.versions()[0]["digest"], table[1])
        file = self.file(DENY_ALL, "next.rego")
        for args, old, new, names in (
                ((), 2, 3, None), (("1",), 1, 3, None), (("1", "2"), 1, 2, None),
                (("3", "1"), 3, 1, None), ((file,), 3, DENY_ALL, ("policy version 3", file)),
                (("1", file), 1, DENY_ALL, ("policy version 1", file)),
                ((file, "2"), DENY_ALL, 2, (file, "policy version 2"))):
            text = lambda side: texts[side - 1] if isinstance(side, int) else side
            names = names or (f"policy version {old}", f"policy version {new}")
            expected = "".join(difflib.unified_diff(text(old).splitlines(True),
                                                    text(new).splitlines(True), *names))
            self.assertEqual(self.policy("diff", *args, code=1), expected, args)
        same = self.file(texts[2])
        for args in ((same,), ("3",), ("2", "2"), (same, same), (same, "3")):
            self.assertEqual(self.policy("diff", *args), "", args)

    def test_two_files_need_no_vault(self):
        a, b = self.file("a\n", "a"), self.file("b\n", "b")
        done = self.vault.run("policy", "diff", a, b, "-c", "/none", check=False)
        self.assertEqual((done.returncode, done.stderr), (1, b""))
        self.assertIn(b"-a\n+b\n", done.stdout)

    def test_rollback_and_back_again(self):
        for text in (only("a"), only("b"), only("c"), only("c")):
            self.policy("set", self.file(text))
        self.policy("rollback")     # past 3, which says the same
        self.assertIn("version 2 of the policy is in force again, as version 5",
                      self.done.stderr.decode())
        self.assertEqual(self.policy("get"), only("b"))
        self.policy("rollback")
        self.assertEqual(self.policy("get"), only("c"))
        self.policy("rollback", "1", "--if-match", "6")
        self.assertEqual(self.policy("get"), only("a"))
        self.assertEqual([v["version"] for v in self.versions()], [7, 6, 5, 4, 3, 2, 1])
        self.assertEqual(len({v["digest"] for v in self.versions()}), 3)
        last = [r for r in self.vault.audit() if r["action"] == "rollback-policy"]
        self.assertEqual([(r["decision"], r["version"], r["reason"]) for r in last],
                         [("done", 5, "restored version 2"), ("done", 6, "restored version 4"),
                          ("done", 7, "restored version 1")])

    def test_mistyped_versions(self):
        self.policy("set", self.file(ALLOW_ALL))
        self.policy("set", self.file(DENY_ALL))
        for word in ("0", "x", "1x", "-1", "1.0", "", " 1", "99999999999999999999"):
            self.refused(2, args=("rollback", "--", word))
            self.refused(2, args=("get", "--version", word))
        for word in ("0", "99999999999999999999"):
            self.refused(2, "number from 1 on", args=("diff", word))
        self.refused(3, "no version 7, or no longer", args=("rollback", "7"))
        self.refused(3, "no version 7, or no longer", args=("get", "--version", "7"))
        self.refused(3, "no version 7, or no longer", args=("diff", "7"))
        self.refused(3, "none.rego", args=("diff", self.vault.path("none.rego")))
        self.refused(5, "at version 2 already", args=("rollback", "2"))
        self.refused(5, args=("rollback", "1", "--if-match", "1"))
        self.assertEqual(self.policy("get"), DENY_ALL)
        self.assertEqual(len(self.versions()), 2)

    def test_if_match_and_create(self):
        file = self.file(ALLOW_ALL)
        self.policy("set", "--create", file)
        self.refused(5, args=("set", "--create", file))
        self.refused(5, "at version 1, not 2", args=("set", "--if-match", "2", file))
        self.policy("set", "--if-match", "1", "--deny-all")
        self.refused(5, "at version 2, not 1", args=("rollback", "1", "--if-match", "1"))
        self.refused(2, args=("rollback", "1", "--if-match", "two"))
        self.refused(2, "exclude each other", args=("set", "--create", "--if-match", "1", file))
        self.policy("rollback", "1", "--if-match", "2")
        self.assertEqual(self.policy("get"), ALLOW_ALL)

    def test_as_many_as_are_configured(self):
        if self.serves:
            self.vault.stop()
        self.vault.configure(policy={"keep_versions": 3}, storage={"keep_versions": 1})
        if self.serves:
            self.vault.start()
        for number in range(1, 7):
            self.policy("set", self.file(ALLOW_ALL + f"# {number}\n"))
        self.assertEqual([v["version"] for v in self.versions()], [6, 5, 4])
        self.refused(3, "or no longer", args=("get", "--version", "3"))
        self.policy("rollback", "4")    # the oldest: it goes, what it says stays
        self.assertEqual([v["version"] for v in self.versions()], [7, 6, 5])
        self.assertEqual(self.policy("get"), ALLOW_ALL + "# 4\n")


class OnTheToken(History, Story):
    def test_a_dry_run_without_a_broker(self):
        self.policy("set", self.file(only("a")))
        self.assertIn("0 recent requests", self.policy("dry-run"))
        self.assertIn("no broker runs", self.done.stderr.decode())
        claims = self.vault.write("claims.json", '{"svn": 3}')
        text = self.policy("dry-run", "--claims", claims, "--resource", "a/b/c")
        self.assertIn("1 request: 1 allowed, 0 denied", text)


class ThroughTheBroker(History, Story):
    serves = True

    def test_a_rollback_decides_at_once(self):
        self.vault.put("a/b/c", b"x")
        guest = self.vault.guest().handshake()
        self.policy("set", "--allow-all")
        self.policy("set", "--deny-all")
        self.assertFalse(self.gets(guest, "a/b/c"))
        self.policy("rollback")
        self.assertTrue(self.gets(guest, "a/b/c"))

    def test_over_http_for_operators_alone(self):
        self.vault.allow_all()
        self.vault.set_policy(DENY_ALL)
        guest = self.vault.guest().handshake()
        for method, path, body in (("GET", "", None), ("GET", "/versions", None),
                                   ("GET", "/versions/1", None), ("POST", "/rollback", '{"version":1}'),
                                   ("POST", "/dry-run", "{}")):
            for headers in ({}, guest.headers(), {"Authorization": f"Bearer {guest.token}"}):
                status, _, answer = self.vault.ask(method, POLICY + path, body, headers)
                self.assertEqual(status, 401)
                self.assertNotIn(b"package", answer)
        status, headers, body = self.vault.admin("GET", POLICY)
        self.assertEqual((status, body.decode(), headers["etag"]), (200, DENY_ALL, '"2"'))
        self.assertEqual(headers["content-type"], "text/plain; charset=utf-8")
        status, headers, body = self.vault.admin("GET", POLICY + "/versions/1")
        self.assertEqual((status, body.decode(), headers["etag"]), (200, ALLOW_ALL, '"1"'))
        digest = headers["strongroom-policy-digest"]
        self.assertEqual(digest, self.versions()[1]["digest"])
        status, _, body = self.vault.admin("POST", POLICY + "/rollback", '{"version":1}',
                                           {"If-Match": '"1"'})
        self.assertEqual(status, 412, body)
        status, headers, body = self.vault.admin("POST", POLICY + "/rollback", '{"version":1}',
                                                 {"If-Match": '"2"'})
        answer = json.loads(body)
        warned = [w["code"] for w in answer.pop("warnings")]  # as an upload of it would be
        self.assertEqual(warned, ["lint_default_allow"])
        self.assertEqual((status, headers["etag"], answer),
                         (200, '"3"', {"version": 3, "restored": 1, "digest": digest}))
        self.assertEqual(json.loads(self.vault.admin("GET", "/kbs/v0/resource-policy")[2]),
                         ["resource-policy"])

    def test_a_damaged_policy_is_rolled_back(self):
        self.vault.put("a/b/c", b"x")
        self.policy("set", self.file(only("a")))
        before = self.vault.object_bytes(LABEL)
        self.vault.delete_object(LABEL)
        self.vault.restart()
        self.policy("set", "--deny-all")
        damaged = self.vault.object_bytes(LABEL)
        self.vault.stop()
        self.vault.delete_object(LABEL)
        # The first one as version 1 again, and a damaged one above it: a name that was known goes on counting.
        self.vault.write_object(LABEL, before)
        self.vault.write_object(LABEL, damaged[:-1] + bytes([damaged[-1] ^ 1]))
        self.vault.start()
        self.assertEqual([(v["version"], v["state"]) for v in self.versions()],
                         [(2, "damaged"), (1, "live")])
        self.refused(8, "damaged", args=("get",))
        self.refused(8, "version 2 of policy resource-policy is damaged", args=("rollback", "2"))
        guest = self.vault.guest().handshake()
        self.assertFalse(self.gets(guest, "a/b/c"))
        self.policy("rollback")
        self.assertTrue(self.gets(guest, "a/b/c"))
        self.assertEqual([(v["version"], v["state"]) for v in self.versions()][0], (3, "live"))

    # ---- dry runs ---------------------------------------------------------------------------

    def ask_for(self, guest, *names):
        for name in names:
            try:
                guest.get(name)
            except Refused:
                pass

    def test_a_dry_run_shows_what_would_change_and_changes_nothing(self):
        for name in ("a/b/c", "b/b/c"):
            self.vault.put(name, b"x")
        self.vault.allow_all()
        guest = self.vault.guest().handshake()
        self.ask_for(guest, "a/b/c", "a/b/c", "b/b/c", "no/such/one")
        file = self.file(only("a"))
        for args in (("dry-run", file), ("set", "--dry-run", file)):
            text = self.policy(*args)
            self.assertEqual(text.splitlines()[-1], "3 recent requests: 1 allowed, 2 denied; "
                             "2 would change: 0 to allow, 2 to deny")
            self.assertRegex(text, r"(?m)^allow -> deny  b/b/c +allow is undefined$")
            self.assertNotIn("a/b/c", text)
        self.assertEqual(self.policy("get"), ALLOW_ALL)
        self.assertEqual(len(self.versions()), 1)
        self.assertTrue(self.gets(guest, "b/b/c"))
        answer = json.loads(self.policy("dry-run", file, "--format", "json"))
        change = [d for d in answer["decisions"] if d["resource"] == "b/b/c"][0]
        self.assertEqual((change["old"], change["new"], change["seen"], change["tee"]),
                         ("allow", "deny", 2, "sample"))
        self.assertNotIn("tee-pubkey", json.dumps(answer))
        records = [r for r in self.vault.audit() if r["action"] == "policy-dry-run"]
        self.assertEqual([r["decision"] for r in records], ["done"] * 3)
        self.assertEqual(records[0]["policy"], answer["candidate"]["digest"])
        self.policy("set", file)
        self.assertIn("2 would change", self.policy("dry-run"))    # than they were decided
        self.assertIn("none would change", self.policy("dry-run", file))

    def test_a_dry_run_on_a_token_that_is_brought_along(self):
        claims = self.vault.write("claims.json", json.dumps({"submods": {"cpu0": {"svn": 3}}}))
        file = self.file("package policy\n\nallow if {\n\tinput.submods.cpu0.svn >= 3\n"
                         '\tdata.plugin == "pkcs11"\n\tdata.query.k == "v"\n}\n')
        self.assertIn("1 allowed", self.policy("dry-run", file, "--claims", claims, "--plugin",
                                               "pkcs11", "--query", "x&k=v", "--resource",
                                               "resource/a/b/c"))
        self.assertIn("allow is undefined", self.policy("dry-run", file, "--claims", claims))
        for args, words in ((("--resource", "a/b/c"), ("--claims",)),
                            (("--claims", self.file("[", "bad")), ("bad",)),
                            (("--claims", self.file("[]", "list")), ("needs", "claims")),
                            (("--claims", claims, "--query", "=v"), ("NAME=VALUE",)),
                            ((self.file(b"package policy\n# \xff\n", "bytes"),), ("UTF-8",))):
            self.refused(2, *words, args=("dry-run", *args))

    def test_a_dry_run_of_what_does_not_compile(self):
        file = self.file("package policy\n\nallow if nosuch(1)\n")
        for args in (("dry-run", file), ("set", "--dry-run", file)):
            self.policy(*args, code=2)
            said = self.done.stderr.decode().splitlines()
            self.assertEqual(said[:3], [f"{file}:3:10: rego_type_error: undefined function nosuch",
                                        "    allow if nosuch(1)", "             ^"])
            self.assertEqual(said[3], f"strongroom: policy dry-run: {file} is refused")

    def test_dry_runs_beside_releases(self):
        self.vault.put("a/b/c", b"x")
        self.vault.allow_all()
        guests = [self.vault.guest().handshake() for _ in range(4)]
        stop, wrong = threading.Event(), []

        def release(guest):
            while not stop.is_set():
                if guest.get("a/b/c") != b"x":
                    wrong.append("value")

        threads = [threading.Thread(target=release, args=(guest,)) for guest in guests]
        for thread in threads:
            thread.start()
        body = json.dumps({"policy": DENY_ALL})
        for _ in range(30):
            status, _, answer = self.vault.admin("POST", POLICY + "/dry-run", body)
            self.assertEqual(status, 200)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.assertEqual(json.loads(answer)["now_denied"], 4)


class Kill(Story):
    """kill -9 in the middle of changes: what was acknowledged is there, and every version is whole."""

    ROUNDS = int(os.environ.get("STRONGROOM_POLICY_KILL_ROUNDS", "25"))

    def change(self, acknowledged, texts):
        """Sets and rolls back until the connection breaks."""
        count = max(texts) if texts else 0
        try:
            while True:
                if count > 2 and random.random() < 0.4:
                    wanted = random.choice(sorted(texts)[-5:-1])
                    status, headers, _ = self.vault.admin("POST", POLICY + "/rollback",
                                                          json.dumps({"version": wanted}))
                    text = texts[wanted]
                else:
                    text = ALLOW_ALL + f"# {random.getrandbits(64)}\n" * random.choice((1, 50, 1000))
                    self.trying = text
                    status, headers, _ = self.vault.set_policy(text)
                if status != 200:
                    raise AssertionError(f"answered {status}")
                count = int(headers["etag"].strip('"'))
                texts[count] = text
                acknowledged.append(count)
        except (OSError, json.JSONDecodeError, __import__("http.client").client.HTTPException):
            pass

    def test_nothing_acknowledged_is_lost_and_no_version_is_half(self):
        random.seed(815)
        texts, acknowledged = {}, []
        with Vault(variant="release") as self.vault:
            for _ in range(self.ROUNDS):
                self.vault.start()
                before, wanted = len(acknowledged), random.randrange(4)
                writer = threading.Thread(target=self.change, args=(acknowledged, texts))
                writer.start()
                wait_until(lambda: len(acknowledged) >= before + wanted, 60, "changes")
                # A random moment is the point of the test.
                threading.Event().wait(random.uniform(0, 0.02))
                self.vault.kill()
                writer.join(20)
                self.vault.start()
                versions = json.loads(self.vault.admin("GET", POLICY + "/versions")[2])["versions"]
                if acknowledged:
                    self.assertGreaterEqual(versions[0]["version"], acknowledged[-1])
                    self.assertLessEqual(versions[0]["version"], acknowledged[-1] + 1)
                for version in versions:
                    number = version["version"]
                    self.assertEqual(version["state"], "live")
                    _, _, body = self.vault.admin("GET", POLICY + f"/versions/{number}")
                    if number in texts:
                        self.assertEqual(body.decode(), texts[number], number)
                    else:   # begun, not acknowledged: one that we tried, and whole
                        self.assertIn(body.decode(), {self.trying, *texts.values()})
                        texts[number] = body.decode()
                        acknowledged.append(number)
                self.assertLessEqual(len(versions), 11)
                self.vault.stop()
            self.assertGreater(len(acknowledged), self.ROUNDS // 2)


class TwoBrokers(Story):
    def test_a_reader_notices_a_rollback_and_does_none(self):
        with Vault() as self.vault:
            self.vault.start().allow_if('data.query.word == "old"')
            self.vault.allow_if('data.query.word == "new"')
            self.vault.put("a/b/c", b"one")
            reader = Vault(label=self.vault.label, base=self.vault.path("reader"))
            for name in ("pin", "softhsm2.conf", "signer.pem", "signer.crt", "admin.pem",
                         "admin.pem.pub"):
                shutil.copy(self.vault.path(name), reader.path(name))
            reader.pin = self.vault.pin
            reader.configure(token={"role": "reader", "writer": "the writer's host"})
            reader.start()
            guest = Guest(reader).handshake()
            self.assertTrue(self.gets(guest, "a/b/c?word=new"))
            self.policy("rollback")
            wait_until(lambda: self.gets(guest, "a/b/c?word=old"), 10, "the old policy")
            status, _, body = reader.admin("GET", POLICY + "/versions")
            self.assertEqual((status, [v["version"] for v in json.loads(body)["versions"]]),
                             (200, [3, 2, 1]))
            status, _, body = reader.admin("POST", POLICY + "/rollback", '{"version":2}')
            self.assertEqual(status, 503, body)
            done = reader.command("policy", "rollback", check=False)
            self.assertEqual(done.returncode, 5, done.stderr)
            status, _, body = reader.admin("POST", POLICY + "/dry-run",
                                           json.dumps({"policy": DENY_ALL}))
            self.assertEqual((status, json.loads(body)["now_denied"]), (200, 1))
            reader.stop()

    def test_rolling_back_what_another_one_changed_meanwhile(self):
        with Vault() as self.vault:
            self.vault.start()
            for text in (only("a"), only("b"), only("c")):
                self.vault.set_policy(text)
            status, _, body = self.vault.admin("POST", POLICY + "/rollback", '{"version":1}',
                                               {"If-Match": "2"})
            self.assertEqual(status, 412, body)
            self.vault.process.send_signal(signal.SIGHUP)   # a reload is no change of the policy
            self.assertEqual(self.policy("get"), only("c"))


if __name__ == "__main__":
    unittest.main()

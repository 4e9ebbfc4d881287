"""The ladder by which the token is brought back, on a broker that runs: every way of losing the token.

One broker lives through all cases of a class, one after the other. All along somebody asks it: each answer must
be the right value, or a 503 that says when to come back; and /healthz is 200."""

import json
import os
import re
import subprocess
import threading
import time
import unittest
from datetime import datetime, timezone

import exposition
from vault import MODULE, Vault, wait_until

NAME, VALUE = "a/b/c", b"value"
EXIT = {"up": 0, "recovering": 6, "waiting": 6, "human": 7}
DEVICE_ERROR, DEVICE_REMOVED, SESSION_HANDLE_INVALID, NOT_LOGGED_IN = 0x30, 0x32, 0xb3, 0x101
PIN_FINAL_TRY_FLAG = 0x20000
PIN_LOCKED_FLAG = 0x40000


class Asking(threading.Thread):
    """A guest who asks again and again, and keeps what was no honest answer."""

    def __init__(self, vault, guest):
        super().__init__(daemon=True)
        self.vault, self.guest = vault, guest
        self.wrong, self.statuses, self.over = [], set(), threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.02):
            try:
                self.ask()
            except Exception as error:  # a thread that dies unseen proves nothing
                self.wrong.append(repr(error))

    def ask(self):
        status, headers, body = self.vault.ask("GET", f"/kbs/v0/resource/{NAME}", None, self.guest.headers())
        self.statuses.add(status)
        if status == 200 and self.guest.open(body) != VALUE:
            self.wrong.append("a wrong value")
        if status not in (200, 503):
            self.wrong.append((status, body))
        if status == 503 and int(headers["retry-after"]) < 1:
            self.wrong.append(headers)
        live, _, _ = self.vault.ask("GET", "/healthz")
        if live != 200:
            self.wrong.append(f"/healthz {live}")

    def end(self):
        self.over.set()
        self.join()
        return self.wrong


class Broker(unittest.TestCase):
    """A broker on a token that fails where it is told to, and what it says of itself."""

    isolation, variant = "in-process", None
    token = {}

    @classmethod
    def setUpClass(cls):
        cls.vault = Vault(variant=cls.variant).prepare()
        cls.addClassCleanup(cls.vault.__exit__, None)
        # As from a terminal, which is itself a service: nobody starts what ends there.
        terminal = {"INVOCATION_ID": "the terminal's", "SYSTEMD_EXEC_PID": str(os.getpid())}
        cls.vault.with_faults(isolation=cls.isolation, **cls.token).start(terminal).allow_all()
        cls.vault.put(NAME, VALUE)
        cls.guest = cls.vault.guest().handshake()
        cls.pid = cls.vault.process.pid

    def setUp(self):
        self.records = len(self.vault.audit())
        self.before = self.steps()
        self.began = int(time.time())
        self.asking = Asking(self.vault, self.guest)

    def tearDown(self):
        wrong = self.asking.end()
        self.vault.faults()
        self.assertEqual(wrong, [])
        self.assertIsNone(self.vault.process.poll())

    # ---- what it says ------------------------------------------------------------------------

    def ready(self):
        status, headers, body = self.vault.ask("GET", "/readyz")
        return status, headers, json.loads(body)

    def status(self):
        done = self.vault.command("status", "--format", "json", check=False)
        return done.returncode, json.loads(done.stdout)["token"]

    def metrics(self):
        _, _, body = self.vault.ask("GET", "/metrics")
        return exposition.read(body.decode())

    def steps(self):
        """Steps that were taken so far: {(step, "helped" or "failed"): n}."""
        return {(dict(labels)["step"], dict(labels)["result"]): int(n)
                for labels, n in self.metrics()["strongroom_token_recoveries_total"].samples.items()}

    def token_records(self):
        return [(r["action"], r["decision"]) for r in self.vault.audit()[self.records:]
                if r["action"].startswith("token-")]

    def assert_state(self, state, step="restart"):
        """/readyz, `strongroom status` and the metrics tell the same."""
        code, said = self.status()
        http, headers, ready = self.ready()
        self.assertEqual((code, said["state"], ready["token"]["state"]), (EXIT[state], state, state))
        self.assertEqual(said["since"], ready["token"]["since"])
        since = datetime.strptime(said["since"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
        self.assertGreaterEqual(since, self.began if state != "up" else 0)
        self.assertLessEqual(since, time.time())
        families = self.metrics()
        self.assertEqual(families["strongroom_token_up"].samples, {(): state == "up"})
        self.assertEqual(families["strongroom_token_state"].samples,
                         {(("state", name),): name == state for name in EXIT})
        self.assertEqual((http, ready["ready"]), (200, True) if state == "up" else (503, False))
        if state == "up":
            self.assertNotIn("next", said)
            return
        self.assertGreaterEqual(int(headers["retry-after"]), 1)
        for where in (said, ready["token"]):
            self.assertEqual(where["next"], step)
            self.assertRegex(where["next_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            self.assertGreaterEqual(where["tries"], step == "restart")
        self.assertTrue(said["reason"])

    # ---- away and back -----------------------------------------------------------------------

    def goes(self, state, *rules, step="restart"):
        """The token fails so from now on, and the broker says that it is in this state."""
        self.vault.faults(*rules)
        wait_until(lambda: self.ready()[2]["token"]["state"] == state, 60, state)
        self.assert_state(state, step)

    def refuses_writes(self):
        status, headers, body = self.vault.admin("POST", "/kbs/v0/resource/w/w/w", b"x")
        self.assertEqual(status, 503, body)
        self.assertGreaterEqual(int(headers["retry-after"]), 1)

    def released(self):
        status, _, _ = self.vault.ask("GET", f"/kbs/v0/resource/{NAME}", None, self.guest.headers())
        return status == 200

    def comes_back(self, step, *records):
        """By itself, by this step at last (None: none was needed); the record has these states and no others."""
        back = ("token-back", "done")
        wait_until(lambda: back in self.token_records(), 60, "the token")
        wait_until(self.released, 60, "a release")
        wait_until(lambda: self.ready()[0] == 200, 60, "ready")
        self.assert_state("up")
        self.vault.put("w/w/w", b"x")
        self.assertEqual(self.token_records(), [("token-down", "error"), *records, back])
        if step:
            self.assertGreater(self.steps()[step, "helped"], self.before[step, "helped"])
        self.assertEqual(self.vault.process.pid, self.pid)


WAITING = ("token-waiting", "error")
HUMAN = ("token-login", "deny")


class TokenCases:
    """The token or its module is lost."""

    def test_unplugged_and_plugged_again(self):
        self.goes("waiting", "token unplugged")
        self.refuses_writes()
        self.vault.faults()
        self.comes_back("restart", WAITING)

    def test_reset(self):
        """All sessions and handles are gone, and the login."""
        self.vault.faults("sessions drop")
        self.comes_back("login")

    def test_network_hsm_starts_again(self):
        for code in (DEVICE_ERROR, DEVICE_REMOVED):
            with self.subTest(code=code):
                self.records, self.before = len(self.vault.audit()), self.steps()
                self.goes("waiting", f"* rv={code:#x}")
                self.refuses_writes()
                # Here it is again; but what was initialised before is nothing to it.
                self.vault.faults(f"token stale={code:#x}")
                self.comes_back("restart", WAITING)

    def test_finalized_by_another(self):
        self.vault.faults("token finalized")
        self.comes_back("restart")

    def test_another_slot(self):
        """After the module was initialised again the token is in another slot."""
        for rules in (["slots rotate=1", f"token stale={DEVICE_REMOVED:#x}"],
                      [f"token stale={DEVICE_REMOVED:#x}"]):
            with self.subTest(rules=rules):
                self.records, self.before = len(self.vault.audit()), self.steps()
                self.vault.faults(*rules)
                self.comes_back("restart")


    def test_when_it_fails_again_and_again(self):
        """Soon after each return it is lost again: then nothing is tried before a pause. (By its name the last
        one here, since that is remembered for ten seconds.)"""
        for n in range(1, 20):
            self.vault.faults("sessions drop")
            wait_until(lambda: self.token_records().count(("token-back", "done")) == n, 60, "the token")
            if WAITING in self.token_records():
                break
        said = " ".join(action for action, _ in self.token_records())
        self.assertRegex(said, "^(token-down token-back )*token-down token-waiting token-back$")
        self.assert_state("up")


class LoginCases:
    """Sessions, the login and the PIN are lost."""

    def test_one_session_expired(self):
        """Nobody notices."""
        self.vault.faults(f"C_Decrypt rv={SESSION_HANDLE_INVALID:#x} count=1")
        wait_until(lambda: self.steps()["session", "helped"] > self.before["session", "helped"], 60, "a repetition")
        self.vault.faults()
        self.assertEqual(self.token_records(), [])
        self.assert_state("up")
        self.assertEqual(self.asking.statuses, {200})

    def test_all_sessions_expire(self):
        self.goes("waiting", f"C_Decrypt rv={SESSION_HANDLE_INVALID:#x}")
        self.vault.faults()
        self.comes_back("restart", WAITING)

    def test_another_slot_found_at_the_login(self):
        """What is in the slot now must not see our PIN."""
        for rules in (["slots rotate=1"], []):
            with self.subTest(rules=rules):
                self.records, self.before = len(self.vault.audit()), self.steps()
                counts = self.vault.path("counts")
                self.vault.faults(*rules, "sessions drop", f"count {counts}")
                self.comes_back("restart")
                self.assertEqual(self.calls("C_Login"), 1)

    def test_login_forgotten(self):
        self.vault.faults("login forget")
        self.comes_back("login")

    def test_login_forgotten_again_and_again(self):
        self.goes("waiting", f"C_Decrypt rv={NOT_LOGGED_IN:#x}")
        self.vault.faults()
        self.comes_back("restart", WAITING)

    def calls(self, name):
        return int(re.search(rf"^{name} +(\d+)$", self.vault.read("counts"), re.MULTILINE).group(1))

    def hurry(self):
        """A person says that something changed; waits until that was tried."""
        tries = self.ready()[2]["token"]["tries"]
        self.vault.reload()
        wait_until(lambda: self.ready()[2]["token"].get("tries") != tries, 60, "a try")

    def test_pin_refused(self):
        """Somebody changed it: the old one is sent once and never again, whatever happens."""
        old, new = self.vault.pin, os.urandom(16).hex()
        self.change_pin(new)
        # SoftHSM sees a new PIN when it is initialised again.
        self.goes("human", "token finalized", f"count {self.vault.path('counts')}")
        self.refuses_writes()
        for _ in range(2):
            self.hurry()
            self.assert_state("human")
        self.assertEqual(self.calls("C_Login"), 1)
        self.assertIn("PIN", self.status()[1]["reason"])
        self.assertNotIn(old, self.vault.read("log"))
        self.vault.write("pin", new)
        self.hurry()
        self.comes_back("restart", HUMAN)
        self.assertEqual(self.calls("C_Login"), 2)

    def change_pin(self, new):
        subprocess.run(["pkcs11-tool", "--module", MODULE, "--token-label", self.vault.label, "--login",
                        "--pin", "env:PIN", "--change-pin", "--new-pin", "env:NEW"], check=True,
                       capture_output=True, env={**self.vault.env, "PIN": self.vault.pin, "NEW": new}, timeout=60)
        self.vault.pin = new

    def test_pin_locked(self):
        """The token says so: it is not asked at all, until a person mended it and says so, too."""
        self.goes("human", "login forget", f"tokeninfo set={PIN_LOCKED_FLAG:#x}",
                  f"count {self.vault.path('counts')}")
        self.hurry()
        self.assert_state("human")
        self.assertEqual(self.calls("C_Login"), 0)
        self.assertIn("locked", self.status()[1]["reason"])
        self.assert_token_status(7, "the user PIN is locked")
        self.vault.faults()
        self.hurry()
        self.comes_back("restart", HUMAN)
        self.assert_token_status(0, "")

    def test_pin_locked_by_somebody_else(self):
        """Who is logged in stays so: the broker serves on, and `token status` tells before the next login does."""
        for flag, sentence in ((PIN_LOCKED_FLAG, "the user PIN is locked"),
                               (PIN_FINAL_TRY_FLAG, "one more wrong PIN locks the token"), (0, "")):
            self.vault.faults(f"tokeninfo set={flag:#x}")
            self.vault.reload()
            code = 7 if flag else 0
            wait_until(lambda: self.token_status().returncode == code, 60, "a look at the token")
            self.assert_token_status(code, sentence)
            self.assertEqual(self.status()[1]["state"], "up")

    def token_status(self, *more):
        return self.vault.command("token", "status", *more, check=False)

    def assert_token_status(self, code, sentence):
        """Of the command, which asks the broker; it prints all the same."""
        for form in ("table", "json"):
            done = self.token_status("--format", form)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(sentence, done.stderr.decode())
            self.assertIn(b"pin_locked", done.stdout)


class TokenInProcess(TokenCases, Broker):
    pass


class TokenInHelper(TokenCases, Broker):
    isolation, variant = "helper", "release"

    def test_a_module_that_is_beyond_repair(self):
        """What it keeps in its process outlives C_Finalize, and the helper goes with it."""
        starts = self.vault.metric("strongroom_token_helper_starts_total")
        self.goes("waiting", f"token spoiled={DEVICE_ERROR:#x}")
        self.vault.faults()  # for the next process
        self.comes_back("restart", WAITING)
        self.assertEqual(self.vault.metric("strongroom_token_helper_starts_total"), starts + 1)


class LoginInProcess(LoginCases, Broker):
    pass


class LoginInHelper(LoginCases, Broker):
    isolation, variant = "helper", "release"


class Hanging(Broker):
    """Calls that do not return. With a helper they end with it: test_isolation.py."""

    # A busy machine may be late now and then; that is a 503 as well.
    token = {"workers": 4, "crypto_deadline": 1000, "object_deadline": 3000, "hang_deadline": 1}

    def test_calls_that_return_at_last(self):
        self.goes("waiting", "C_Decrypt hang", step="look")
        self.assertIn("does not return", self.status()[1]["reason"])
        self.assertGreaterEqual(self.vault.metric("strongroom_token_calls_hanging"), 1)
        # Nobody would start it again, so it stays.
        wait_until(lambda: "restart-needed" in self.vault.read("log"), 60, "a word on it")
        self.vault.faults()
        self.comes_back(None, WAITING)
        self.assertEqual(self.vault.metric("strongroom_token_calls_hanging"), 0)

    def test_with_a_service_manager_it_ends_itself(self):
        self.asking.end()
        self.vault.stop()
        self.vault.start({"INVOCATION_ID": "a service manager's"})
        guest = self.vault.guest().handshake()
        self.vault.faults("C_Decrypt hang")
        self.assertEqual(self.vault.process.wait(60), 6)
        log = self.vault.read("log")
        for event in ("token.down", "token.hangs", "stop.unfinished"):
            self.assertIn(event, log)
        actions = [(r["action"], r["decision"]) for r in self.vault.audit()[self.records:]]
        self.assertIn(("token-down", "error"), actions)
        self.assertEqual(actions[-1], ("stop", "error"))
        # As the manager does; the token is put in order meanwhile.
        self.vault.faults()
        self.vault.start()
        guest = self.vault.guest().handshake()
        self.assertEqual(guest.get(NAME), VALUE)
        type(self).pid, type(self).guest = self.vault.process.pid, guest


if __name__ == "__main__":
    unittest.main()

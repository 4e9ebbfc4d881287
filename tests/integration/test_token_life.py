"""The token goes away and comes back; slow tokens; jobs on workers of their own."""

import os
import re
import threading
import unittest

from guest import Refused
from vault import Vault, wait_until

SERVICE = os.path.join(os.path.dirname(__file__), "../../scripts/share/strongroom.service")


def called(vault, name):
    return os.path.exists(vault.path("calls")) and name + "\n" in vault.read("calls")


class Late(unittest.TestCase):
    def test_a_token_that_comes_after_the_service(self):
        """A start ends at once, so the unit must try for as long as it takes."""
        with Vault() as vault:
            os.rename(vault.path("tokens"), vault.path("tokens-away"))
            os.mkdir(vault.path("tokens"))
            done = vault.command("serve", check=False)
            self.assertEqual(done.returncode, 3, done.stderr)
            os.rmdir(vault.path("tokens"))
            os.rename(vault.path("tokens-away"), vault.path("tokens"))
            vault.start()
        with open(SERVICE, encoding="utf-8") as unit:
            lines = unit.read().splitlines()
        self.assertIn("Restart=on-failure", lines)
        self.assertIn("StartLimitIntervalSec=0", lines)


class Away(unittest.TestCase):
    def test_the_broker_comes_back_by_itself(self):
        with Vault() as vault:
            vault.start().allow_all()
            vault.put("a/b/c", b"value")
            guest = vault.guest().handshake()
            self.assertEqual(guest.get("a/b/c"), b"value")
            os.rename(vault.path("tokens"), vault.path("tokens-away"))
            wait_until(lambda: "token.down" in vault.read("log"), 30, "token.down")

            def refused():
                try:
                    guest.get("a/b/c")
                except Refused as error:
                    return error.status
                return None

            self.assertEqual(wait_until(refused, 20, "a refusal"), 503)
            self.assertEqual(vault.ask("GET", "/healthz")[0], 200)
            wait_until(lambda: vault.ask("GET", "/readyz")[0] == 503, 20, "not ready")
            os.rename(vault.path("tokens-away"), vault.path("tokens"))
            wait_until(lambda: "token.back" in vault.read("log"), 60, "token.back")
            self.assertEqual(guest.get("a/b/c"), b"value")
            self.assertEqual(vault.put("a/b/c", b"again"), 2)
            wait_until(lambda: vault.ask("GET", "/readyz")[0] == 200, 20, "ready")
            self.assertEqual(vault.read("log").count("token.down"), 1)
            states = [(r["action"], r["decision"]) for r in vault.audit()
                      if r["action"].startswith("token-")]
            self.assertEqual(states, [("token-down", "error"), ("token-waiting", "error"),
                                      ("token-back", "done")])


class Workers(unittest.TestCase):
    def test_jobs_on_workers_suspend_their_connections(self):
        with Vault() as vault:
            vault.with_faults(workers=3, crypto_deadline=20000)
            vault.start().allow_all()
            for n in range(4):
                vault.put(f"w/w/{n}", b"%d" % n)
            guests = [vault.guest().handshake() for _ in range(8)]
            vault.faults("C_Decrypt delay_us=100000")
            got = {}

            def read(n):
                got[n] = guests[n].get(f"w/w/{n % 4}")

            threads = [threading.Thread(target=read, args=(n,)) for n in range(8)]
            for thread in threads:
                thread.start()
            # Nothing that needs no token waits for it.
            for _ in range(5):
                self.assertEqual(vault.ask("GET", "/healthz")[0], 200)
                self.assertEqual(vault.ask("GET", "/kbs/v0/resource/w/w/0")[0], 401)
            for thread in threads:
                thread.join()
            self.assertEqual(got, {n: b"%d" % (n % 4) for n in range(8)})

    def test_stopping_does_not_wait_for_a_token_that_hangs(self):
        """Nothing is freed under the request that runs: the process ends, and the record says so."""
        with Vault() as vault:
            vault.with_faults()
            vault.start().allow_all()
            vault.put("w/w/a", b"value")
            guest = vault.guest().handshake()
            vault.faults(f"log {vault.path('calls')}", "C_Decrypt hang")

            answers = []

            def read():
                try:
                    answers.append(guest.get("w/w/a"))
                except Refused as error:
                    answers.append(error.status)
                except OSError:
                    answers.append(None)

            thread = threading.Thread(target=read)
            thread.start()
            wait_until(lambda: called(vault, "C_Decrypt"), 20, "a decrypt")
            with self.assertRaisesRegex(AssertionError, "ended with 6:"):
                vault.stop()
            thread.join()
            # On a worker its call was given up; where the request is nobody could answer.
            self.assertIn(answers, [[None], [503]])
            self.assertIn("stop.unfinished", vault.read("log"))
            last = vault.audit()[-1]
            self.assertEqual((last["action"], last["decision"]), ("stop", "error"))
            vault.faults()
            vault.start()  # the lock is free again
            self.assertEqual(vault.guest().handshake().get("w/w/a"), b"value")

    def test_stopping_ends_in_time_though_no_request_hangs(self):
        """Calls of our own hang, of which nobody waits for an answer: a look, a login, the module's start and end."""
        with Vault() as looks, Vault() as logs_in, Vault() as starts, Vault() as ends:
            hangs = {looks: ("*",), logs_in: ("C_Login", "token stale=0x32"),
                     starts: ("C_Initialize", "token stale=0x32"), ends: ("C_Finalize",)}
            for vault, (call, *trouble) in hangs.items():
                vault.with_faults()
                vault.start()
                vault.faults(f"log {vault.path('calls')}", f"{call} hang", *trouble)
            for vault, (call, *_) in hangs.items():
                if vault is not ends:
                    wait_until(lambda: called(vault, call.strip("*")), 60, call)
            for vault in hangs:
                vault.process.terminate()
            for vault, (call, *_) in hangs.items():
                with self.subTest(call), self.assertRaisesRegex(AssertionError, "ended with 6:"):
                    vault.stop()
                self.assertIn("stop.unfinished", vault.read("log"))
                self.assertEqual([r["decision"] for r in vault.audit() if r["action"] == "stop"], ["error"])

    def test_a_start_that_hangs_says_so_and_can_be_stopped(self):
        with Vault() as logs_in, Vault() as starts, Vault() as lists:
            hangs = {logs_in: ("C_Login", "login"), starts: ("C_Initialize", "start"), lists: ("C_FindObjects", "objects")}
            for vault, (call, _) in hangs.items():
                vault.with_faults().faults(f"{call} hang")
                vault.start(wait=False)
            for vault, (call, word) in hangs.items():
                said = f'warn starting call=.*{word}.* why="the PKCS#11 module does not return from this call"'
                wait_until(lambda: re.search(said, vault.read("log")), 60, call)
                vault.process.terminate()
            for vault, (call, _) in hangs.items():
                with self.subTest(call), self.assertRaisesRegex(AssertionError, "ended with 6:"):
                    vault.stop()
                self.assertIn("stop.unfinished", vault.read("log"))
            logs_in.faults()
            logs_in.start()

    def test_stopping_waits_for_what_is_under_way(self):
        with Vault() as vault:
            vault.with_faults(workers=1, crypto_deadline=20000)
            vault.start().allow_all()
            vault.put("w/w/a", b"value")
            guest = vault.guest().handshake()
            vault.faults(f"log {vault.path('calls')}", "C_Decrypt delay_us=700000")
            got = []
            thread = threading.Thread(target=lambda: got.append(guest.get("w/w/a")))
            thread.start()
            wait_until(lambda: called(vault, "C_Decrypt"), 20, "a decrypt")
            vault.stop()
            thread.join()
            self.assertEqual(got, [b"value"])


if __name__ == "__main__":
    unittest.main()

"""A token that is slow, that hangs, or that is busy with its objects: who waits for it, and who does not."""

import os
import threading
import unittest

from guest import Refused
from vault import Vault, wait_until


def status_of(get):
    """200, or the status that a guest was refused with."""
    try:
        get()
    except Refused as error:
        return error.status
    return 200


class Asking:
    """A guest's GET on a thread of its own."""

    def __init__(self, guest, name):
        self.status = None
        self.thread = threading.Thread(target=self.run, args=(guest, name))
        self.thread.start()

    def run(self, guest, name):
        self.status = status_of(lambda: guest.get(name))

    def join(self):
        self.thread.join()
        return self.status


def called(vault, name):
    return os.path.exists(vault.path("calls")) and name + "\n" in vault.read("calls")


class Hanging(unittest.TestCase):
    def test_only_those_who_need_the_token_hear_of_it(self):
        """Cryptography hangs: a release is answered 503 all the same, and all else as ever."""
        with Vault() as vault:
            vault.with_faults(workers=4, crypto_deadline=100)
            vault.start().allow_all()
            vault.put("a/b/c", b"value")
            vault.allow_if('data["resource-path"][0] == "a"')
            guest, denied = vault.guest().handshake(), vault.guest().handshake()
            vault.faults("C_Decrypt hang")
            self.assertEqual(status_of(lambda: guest.get("a/b/c")), 503)
            for _ in range(3):
                self.assertEqual(vault.ask("GET", "/healthz")[0], 200)
                self.assertEqual(vault.ask("GET", "/metrics")[0], 200)
                self.assertEqual(vault.ask("GET", "/kbs/v0/resource/a/b/c")[0], 401)
                self.assertEqual(status_of(lambda: denied.get("d/e/f")), 403)
            self.assertGreaterEqual(vault.metric("strongroom_token_calls_hanging"), 1)
            record = [r for r in vault.audit() if r["action"] == "release"][0]
            self.assertEqual((record["decision"], record["resource"]), ("error", "a/b/c"))
            vault.faults()  # the calls return, without a restart
            wait_until(lambda: vault.metric("strongroom_token_calls_hanging") == 0, 60, "they return")
            wait_until(lambda: status_of(lambda: guest.get("a/b/c")) == 200, 60, "a release")

    def test_no_more_threads_than_a_limit_are_spent_on_it(self):
        with Vault() as vault:
            vault.with_faults(workers=2, crypto_deadline=50)
            vault.start().allow_all()
            vault.put("a/b/c", b"value")
            guests = [vault.guest().handshake() for _ in range(4)]
            vault.faults("C_Decrypt hang")
            refused = 'strongroom_jobs_total{where="refused"}'
            while vault.metric(refused) == 0:
                asked = [Asking(guest, "a/b/c") for guest in guests]
                self.assertEqual({a.join() for a in asked}, {503})
            hanging = vault.metric("strongroom_token_calls_hanging")
            self.assertGreaterEqual(hanging, 16)  # P11_LOST_MAX, and the last of the workers
            self.assertLessEqual(hanging, 20)
            status, headers, _ = vault.ask("GET", "/kbs/v0/resource/a/b/c", headers=guests[0].headers())
            self.assertEqual((status, headers["retry-after"]), (503, "1"))
            vault.faults()
            wait_until(lambda: status_of(lambda: guests[0].get("a/b/c")) == 200, 60, "a release")


class Fast(unittest.TestCase):
    def test_a_slow_token_is_noticed_and_a_fast_one_again(self):
        with Vault(variant="release") as vault:
            vault.with_faults(crypto_deadline=20000)
            vault.start().allow_all()
            vault.put("a/b/c", b"value")
            guest = vault.guest().handshake()
            vault.faults("C_Decrypt delay_us=60000")

            def slow(wanted):
                self.assertEqual(guest.get("a/b/c"), b"value")
                return vault.metric("strongroom_token_slow") == wanted

            wait_until(lambda: slow(1), 60, "slow")
            self.assertIn("token.slow", vault.read("log"))
            vault.faults()
            wait_until(lambda: slow(0), 60, "fast")


class Objects(unittest.TestCase):
    def test_releases_pass_writes_scans_and_misses(self):
        """Finding and creating objects takes for ever; whoever only opens a value does not notice."""
        with Vault() as vault:
            vault.with_faults(object_deadline=30000, crypto_deadline=20000)
            vault.start().allow_all()
            vault.put("a/b/c", b"value")
            guest = vault.guest().handshake()
            self.assertEqual(guest.get("a/b/c"), b"value")
            for call in ("C_CreateObject", "C_FindObjects"):
                vault.faults(f"log {vault.path('calls')}", f"{call} hang")
                put = threading.Thread(target=vault.put, args=("a/b/new", b"more"))
                put.start()
                wait_until(lambda: called(vault, call), 60, call)
                for _ in range(5):
                    self.assertEqual(guest.get("a/b/c"), b"value")
                    self.assertEqual(vault.ask("GET", "/healthz")[0], 200)
                vault.faults()
                put.join()
                os.remove(vault.path("calls"))
                self.assertEqual(guest.get("a/b/new"), b"more")

    def test_a_write_that_hangs_is_answered(self):
        with Vault() as vault:
            vault.with_faults(object_deadline=200, crypto_deadline=20000)
            vault.start().allow_all()
            vault.put("a/b/c", b"value")
            guest = vault.guest().handshake()
            vault.faults("C_CreateObject hang")
            status, headers, body = vault.admin("POST", "/kbs/v0/resource/a/b/c", b"second")
            self.assertEqual((status, headers["retry-after"]), (503, "1"), body)
            self.assertEqual(guest.get("a/b/c"), b"value")
            vault.faults()
            # What hung goes on when the token does, so nothing is half-written.
            wait_until(lambda: guest.get("a/b/c") == b"second", 60, "the write")


if __name__ == "__main__":
    unittest.main()

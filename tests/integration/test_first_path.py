"""A secret goes from an operator onto the token, and from the token to an attested guest."""

import json
import os
import unittest

from guest import Refused
from vault import Vault


class FirstPath(unittest.TestCase):
    config = None

    @classmethod
    def setUpClass(cls):
        cls.vault = Vault(config=cls.config).prepare().start().allow_all()

    @classmethod
    def tearDownClass(cls):
        cls.vault.__exit__(None)

    def test_values_come_back_byte_for_byte_and_survive_a_restart(self):
        values = {"first/values/empty": b"", "first/values/nul": b"\0",
                  "first/values/text": "Grüße\n".encode(), "first/values/64k": os.urandom(65536),
                  "first/values/limit": os.urandom(2 << 20)}
        for name, value in values.items():
            self.vault.put(name, value)
        for restarted in (False, True):
            if restarted:
                self.vault.restart()
            guest = self.vault.guest()
            for name, value in values.items():
                self.assertEqual(guest.fetch(name), value, name)

    def test_versions_count_and_if_match_guards(self):
        put = self.vault.put
        self.assertEqual(put("first/versions/a", b"1"), 1)
        self.assertEqual(put("first/versions/a", b"2"), 2)
        status, _, _ = self.vault.admin("POST", "/kbs/v0/resource/first/versions/a", b"x",
                                        {"If-Match": '"1"'})
        self.assertEqual(status, 412)
        self.assertEqual(put("first/versions/a", b"3", headers={"If-Match": '"2"'}), 3)
        status, _, _ = self.vault.admin("POST", "/kbs/v0/resource/first/versions/a", b"x",
                                        {"If-None-Match": "*"})
        self.assertEqual(status, 412)
        self.assertEqual(self.vault.guest().fetch("first/versions/a"), b"3")

    def test_delete_is_a_tombstone_and_the_counter_goes_on(self):
        self.vault.put("first/delete/a", b"1")
        status, _, _ = self.vault.admin("DELETE", "/kbs/v0/resource/first/delete/a")
        self.assertEqual(status, 200)
        with self.assertRaises(Refused) as caught:
            self.vault.guest().fetch("first/delete/a")
        self.assertEqual(caught.exception.status, 404)
        self.vault.restart()
        with self.assertRaises(Refused):
            self.vault.guest().fetch("first/delete/a")
        self.assertEqual(self.vault.put("first/delete/a", b"again"), 3)
        self.assertEqual(self.vault.guest().fetch("first/delete/a"), b"again")

    def test_bearer_token_alone_opens(self):
        self.vault.put("first/bearer/a", b"passport")
        guest = self.vault.guest().handshake()
        headers = {"Authorization": f"Bearer {guest.token}"}
        self.assertEqual(guest.get("first/bearer/a", headers), b"passport")

    def test_both_resource_paths_are_one_store(self):
        self.vault.put("first/paths/a", b"one store")
        guest = self.vault.guest().handshake()
        status, _, body = self.vault.ask("GET", "/kbs/v0/pkcs11/resource/first/paths/a", None,
                                         guest.headers())
        self.assertEqual(status, 200)
        self.assertEqual(guest.open(body), b"one store")

    def test_the_token_shows_names_and_no_plaintext(self):
        secret = b"the plaintext must not be found on the token"
        self.vault.put("first/token/a", secret)
        listing = self.vault.pkcs11_tool("-O", "--type", "data").stdout.decode()
        self.assertIn("first/token/a", listing)
        self.assertIn("strongroom", listing)
        self.assertNotIn(secret, self.vault.object_bytes("first/token/a"))
        keys = self.vault.pkcs11_tool("-O", "--type", "secrkey").stdout.decode()
        self.assertIn("strongroom-kek-1", keys)
        self.assertRegex(keys, r"Access:\s+.*sensitive.*")

    def test_commands_use_the_broker_that_runs(self):
        self.vault.command("resource", "put", "first/cli/a", stdin=b"from stdin")
        self.assertEqual(self.vault.guest().fetch("first/cli/a"), b"from stdin")
        got = self.vault.command("resource", "get", "first/cli/a").stdout
        self.assertEqual(got, b"from stdin")
        listing = json.loads(self.vault.command("resource", "list", "first/cli/",
                                                "--format", "json").stdout)
        self.assertEqual([r["name"] for r in listing["resources"]], ["first/cli/a"])
        self.vault.command("resource", "rm", "first/cli/a")
        gone = self.vault.command("resource", "get", "first/cli/a", check=False)
        self.assertEqual(gone.returncode, 3, gone.stderr)

    def test_every_decision_is_in_the_audit_file(self):
        self.vault.put("first/audit/a", b"x")
        guest = self.vault.guest()
        guest.fetch("first/audit/a")
        with self.assertRaises(Refused):
            guest.fetch("first/audit/none")
        mine = [r for r in self.vault.audit() if r.get("resource", "").startswith("first/audit/")]
        self.assertEqual([(r["action"], r["decision"]) for r in mine],
                         [("put", "done"), ("release", "allow"), ("release", "missing")])
        self.assertTrue(all(r["token"] for r in mine))
        self.assertNotIn(self.vault.pin, self.vault.read("audit.jsonl") + self.vault.read("log"))

    def test_status_and_readiness(self):
        status, _, body = self.vault.ask("GET", "/readyz")
        self.assertEqual((status, json.loads(body)["ready"]), (200, True))
        state = json.loads(self.vault.command("token", "status", "--format", "json").stdout)
        self.assertTrue(state["healthy"])
        self.assertIn("AES-GCM", state["suite"])


class Offline(unittest.TestCase):
    def test_commands_work_on_the_token_when_no_broker_runs(self):
        with Vault() as vault:
            vault.command("resource", "put", "a/b/c", stdin=b"offline")
            self.assertEqual(vault.command("resource", "get", "a/b/c").stdout, b"offline")
            vault.command("policy", "set", "--allow-all")
            keks = json.loads(vault.command("kek", "list", "--format", "json").stdout)["keks"]
            self.assertEqual([(k["generation"], k["active"], k["sound"], k["extractable"],
                               k["never_extractable"]) for k in keks],
                             [(1, True, True, False, True)])
            vault.start()
            self.assertEqual(vault.guest().fetch("a/b/c"), b"offline")

    def test_a_second_kek_seals_and_the_first_still_opens(self):
        with Vault() as vault:
            vault.command("resource", "put", "a/b/old", stdin=b"under one")
            again = vault.command("kek", "create", check=False)
            self.assertEqual(again.returncode, 5, again.stderr)
            vault.command("kek", "create", "--next")
            vault.command("resource", "put", "a/b/new", stdin=b"under two")
            listing = json.loads(vault.command("resource", "list", "--format", "json").stdout)
            self.assertEqual({r["name"]: r["kek_generation"] for r in listing["resources"]},
                             {"a/b/old": 1, "a/b/new": 2})
            self.assertEqual(vault.command("resource", "get", "a/b/old").stdout, b"under one")
            self.assertEqual(vault.command("resource", "get", "a/b/new").stdout, b"under two")


class FirstPathByHelper(FirstPath):
    """The same with the module in a process of its own."""
    config = {"token": {"isolation": "helper"}}


if __name__ == "__main__":
    unittest.main()

"""Versions of a resource: listed, restored, undeleted, expired, purged; with a broker and without."""

import json
import time
import unittest

from guest import Refused
from vault import Vault, wait_until

NAME = "history/key/1"


class History(unittest.TestCase):
    serves = False

    def setUp(self):
        self.vault = Vault().prepare()
        self.addCleanup(self.vault.__exit__, None)
        self.vault.configure(storage={"keep_versions": 5})
        if self.serves:
            self.vault.start()

    def resource(self, *args, check=True, **options):
        return self.vault.command("resource", *args, check=check, **options)

    def value(self):
        return self.resource("get", NAME).stdout

    def versions(self):
        done = self.resource("versions", NAME, "--format", "json")
        return [(v["version"], v["state"]) for v in json.loads(done.stdout)["versions"]]

    def test_an_older_version_and_a_deleted_one_come_back(self):
        for value in (b"one", b"two"):
            self.resource("put", NAME, stdin=value)
        done = self.resource("restore", NAME)
        self.assertIn(b"version 1 of history/key/1 is there again, as version 3", done.stderr)
        self.assertEqual(self.value(), b"one")
        done = self.resource("restore", NAME, "2", "--if-match", "2", check=False)
        self.assertEqual((done.returncode, self.value()), (5, b"one"))
        self.resource("restore", NAME, "2", "--if-match", '"3"')
        self.assertEqual(self.value(), b"two")
        self.resource("rm", NAME)
        self.assertEqual(self.versions()[0], (5, "deleted"))
        self.assertEqual(self.resource("get", NAME, check=False).returncode, 3)
        self.resource("restore", NAME)
        self.assertEqual(self.value(), b"two")
        self.assertEqual(self.versions()[0], (6, "live"))
        self.assertEqual(len(self.versions()), 5)

    def test_mistakes(self):
        self.resource("put", NAME, stdin=b"one")
        for code, word, *args in (
                (2, "number from 1 on", "restore", NAME, "first"),
                (3, "no older value", "restore", NAME),
                (3, "version 9", "restore", NAME, "9"),
                (5, "already", "restore", NAME, "1"),
                (3, "no resource", "versions", "history/no/such"),
                (5, "delete it first", "purge", NAME),
                (2, "--all", "purge"),
                (2, "--all", "purge", "--all", NAME)):
            done = self.resource(*args, check=False)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(word, done.stderr.decode())
        self.assertEqual(self.value(), b"one")

    def test_what_expired_is_gone_and_can_be_purged(self):
        self.resource("put", NAME, "--days", "2", stdin=b"for two days")
        self.assertEqual(self.value(), b"for two days")
        done = self.resource("put", NAME, "--days", "36501", stdin=b"x", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("  live  ", self.resource("list").stdout.decode())
        self.resource("put", "history/key/2", stdin=b"deleted")
        self.resource("rm", "history/key/2")
        done = self.resource("purge", "--all")
        self.assertEqual(done.stderr, b"purged history/key/2\n")
        listed = json.loads(self.resource("list", "--deleted", "--format", "json").stdout)
        self.assertEqual([(r["name"], r["expired"]) for r in listed["resources"]], [(NAME, False)])


class Served(History):
    serves = True

    def test_a_guest_gets_nothing_that_expired(self):
        self.vault.allow_all()
        guest = self.vault.guest().handshake()
        soon = int(time.time()) + 2
        status, _, _ = self.vault.admin("POST", f"/kbs/v0/resource/{NAME}?not_after={soon}", b"short")
        self.assertEqual(status, 200)
        self.assertEqual(guest.get(NAME), b"short")

        def gone():
            try:
                guest.get(NAME)
            except Refused as error:
                return error.status
            return None

        self.assertEqual(wait_until(gone, 20, "the end of it"), 404)
        for args in (("list",), ("versions", NAME)):
            shown = self.resource(*args).stdout.decode()
            self.assertIn(" expired ", shown)
            self.assertNotIn(" live ", shown)
        self.assertEqual(self.resource("purge", "--all").stderr, b"purged history/key/1\n")
        actions = [r["action"] for r in self.vault.audit()]
        self.assertEqual(actions.count("purge"), 1)


if __name__ == "__main__":
    unittest.main()

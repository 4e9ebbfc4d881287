"""`strongroom fetch`: where the value goes, and by which way it is asked for."""

import os
import stat
import unittest

from vault import Vault

NAME = "fetch/key/1"


class Fetch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.vault = Vault().prepare().start().allow_all()
        cls.vault.put(NAME, b"value")

    @classmethod
    def tearDownClass(cls):
        cls.vault.__exit__(None)

    def fetch(self, name, output, **options):
        return self.vault.run("fetch", "--url", self.vault.url, "--output", output, name, **options)

    def test_into_a_file(self):
        new = self.vault.path("fetched")
        self.fetch(NAME, new)
        old = self.vault.write("fetched.old", "what was there", mode=0o644)
        os.link(old, self.vault.path("fetched.other"))
        self.fetch(NAME, old)
        for path in (new, old):
            with open(path, "rb") as file:
                self.assertEqual(file.read(), b"value")
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertEqual(self.vault.read("fetched.other"), "what was there")   # replaced, not emptied
        self.assertEqual(self.fetch("fetch/key/none", old, check=False).returncode, 3)
        self.assertEqual(self.vault.read("fetched.old"), "value")
        done = self.fetch(NAME, self.vault.path("none/x"), check=False)
        self.assertEqual((done.returncode, b"none/x" in done.stderr), (2, True), done.stderr)

    def test_into_what_is_no_file(self):
        target = self.vault.write("target", "longer than the value")
        os.symlink(target, self.vault.path("link"))
        self.fetch(NAME, self.vault.path("link"))
        self.assertTrue(os.path.islink(self.vault.path("link")))
        self.assertEqual(self.vault.read("target"), "value")
        self.assertEqual(self.fetch(NAME, "/dev/stdout").stdout, b"value")
        self.assertEqual(self.fetch(NAME, "-").stdout, b"value")
        pipe = self.vault.path("pipe")
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        try:
            self.fetch(NAME, pipe)
            self.assertEqual(os.read(reader, 100), b"value")
        finally:
            os.close(reader)

    def test_the_token_comes_before_the_value(self):
        done = self.vault.run("fetch", "--url", self.vault.url, "--print-token", NAME)
        token, value = done.stdout.split(b"\n")
        self.assertEqual((token.count(b"."), value), (2, b"value"))

    def test_asks_this_host_by_no_proxy(self):
        for more in ({}, {"no_proxy": "example.org"}, {"no_proxy": "*"}):
            done = self.fetch(NAME, "-", env={"http_proxy": "http://127.0.0.1:1", **more})
            self.assertEqual(done.stdout, b"value")


if __name__ == "__main__":
    unittest.main()

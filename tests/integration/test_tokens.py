"""The same on every token: SoftHSM, openCryptoki, and SoftHSM and NSS with envelopes in a directory."""

import json
import os
import signal
import sys
import threading
import unittest

from guest import Refused
from tokens import (INSIDE, DirectoryVault, NssVault, OpenCryptokiVault, in_opencryptoki,
                    opencryptoki_missing)
from vault import DENY_ALL, Vault, wait_until


POLICY = """package policy

default allow = false

path := concat("/", data["resource-path"])

allow if not startswith(path, "forbidden/")
"""


class Core:
    """What every token must do; a class below for each."""

    make = None
    suite = store = None

    @classmethod
    def setUpClass(cls):
        cls.vault = cls.make(config={"token": {"content_key_cache": 2}}).prepare().start().allow_all()
        cls.values = {"core/values/empty": b"", "core/values/block": b"x" * 16,
                      "core/values/64k": os.urandom(65536), "core/values/limit": os.urandom(2 << 20)}
        cls.write()
        cls.vault.process.send_signal(signal.SIGKILL)
        cls.vault.process.wait()
        cls.vault.start()

    @classmethod
    def tearDownClass(cls):
        cls.vault.__exit__(None)

    @classmethod
    def write(cls):
        """What the tests find after the broker was killed and started again."""
        put = cls.vault.put
        for name, value in cls.values.items():
            put(name, value)
        assert [put("core/versions/a", b"1"), put("core/versions/a", b"2")] == [1, 2]
        put("core/deleted/a", b"1")
        assert cls.vault.admin("DELETE", "/kbs/v0/resource/core/deleted/a")[0] == 200
        put("core/rotation/a", b"before")
        cls.vault.command("kek", "create", "--next")
        cls.vault.command("kek", "rotate")
        cls.vault.command("kek", "rm", "1")
        cls.vault.set_policy(DENY_ALL)
        cls.vault.set_policy(POLICY)
        put("core/last/a", b"acknowledged")

    def assert_refused(self, status, name):
        with self.assertRaises(Refused) as caught:
            self.vault.guest().fetch(name)
        self.assertEqual(caught.exception.status, status, name)

    def test_status_says_what_was_found(self):
        state = json.loads(self.vault.command("token", "status", "--format", "json").stdout)
        self.assertTrue(state["healthy"])
        self.assertIn(self.suite, state["suite"])
        self.assertTrue(state["store"].startswith(self.store), state["store"])
        self.assertRegex(self.vault.read("log"), f'info serving .*store="?{self.store}')

    def test_values_come_back(self):
        guest = self.vault.guest()
        for name, value in {**self.values, "core/last/a": b"acknowledged"}.items():
            self.assertEqual(guest.fetch(name), value, name)

    def test_versions_and_tombstones(self):
        put = self.vault.put
        self.assertEqual(self.vault.guest().fetch("core/versions/a"), b"2")
        status, _, _ = self.vault.admin("POST", "/kbs/v0/resource/core/versions/a", b"x",
                                        {"If-Match": '"1"'})
        self.assertEqual(status, 412)
        self.assert_refused(404, "core/deleted/a")
        self.assertEqual(put("core/deleted/a", b"again"), 3)
        self.assertEqual(self.vault.guest().fetch("core/deleted/a"), b"again")
        self.assertEqual(self.vault.admin("DELETE", "/kbs/v0/resource/core/deleted/a")[0], 200)
        self.vault.command("resource", "purge", "core/deleted/a")
        self.assertEqual(put("core/deleted/a", b"anew"), 1)

    def test_policy_decides_and_is_kept(self):
        self.vault.put("forbidden/by/policy", b"x")
        self.assert_refused(403, "forbidden/by/policy")
        versions = json.loads(self.vault.command("policy", "list", "--format", "json").stdout)
        self.assertEqual([v["version"] for v in versions["versions"]], [3, 2, 1])

    def test_reading_beside_writing(self):
        """Content keys are unwrapped, since the cache has no room for them, while objects are made and found."""
        names = [f"core/beside/{n}" for n in range(4)]
        for name in names:
            self.vault.put(name, name.encode())
        wrong, stop = [], threading.Event()

        def read_on():
            guest = self.vault.guest().handshake()
            while not stop.is_set():
                wrong.extend(name for name in names if guest.get(name) != name.encode())

        readers = [threading.Thread(target=read_on) for _ in range(3)]
        for thread in readers:
            thread.start()
        try:
            for n in range(40):
                self.vault.put("core/beside/written", b"%d" % n)
        finally:
            stop.set()
            for thread in readers:
                thread.join()
        self.assertEqual(wrong, [])
        self.assertEqual(self.vault.guest().fetch("core/beside/written"), b"39")

    def test_everything_moved_to_the_new_key(self):
        self.assertEqual(self.vault.guest().fetch("core/rotation/a"), b"before")
        keks = json.loads(self.vault.command("kek", "list", "--format", "json").stdout)["keks"]
        self.assertEqual([(k["generation"], k["active"]) for k in keks], [(2, True)])


class SoftHsm(Core, unittest.TestCase):
    make = Vault
    suite = "AES-KW recipients, AES-GCM payloads"
    store = "token"


class SoftHsmDirectory(Core, unittest.TestCase):
    make = DirectoryVault
    suite = "AES-KW recipients, AES-GCM payloads"
    store = "directory "

    def test_only_keys_are_on_the_token(self):
        self.vault.put("core/place/a", b"the plaintext must not be found")
        self.assertNotIn("core/place/a", self.vault.pkcs11_tool("-O").stdout.decode())
        self.assertIn("strongroom-kek-", self.vault.pkcs11_tool("-O").stdout.decode())
        files = {os.path.join(folder, file): os.stat(os.path.join(folder, file))
                 for folder, _, names in os.walk(self.vault.envelopes()) for file in names}
        self.assertEqual(len([f for f in files if "/core+place+a~" in f]), 1)
        self.assertEqual({s.st_mode & 0o777 for s in files.values()}, {0o600})
        for file in files:
            with open(file, "rb") as f:
                self.assertNotIn(b"the plaintext must not be found", f.read())


class Nss(Core, unittest.TestCase):
    make = NssVault
    suite = "AES-KWP recipients, AES-GCM payloads"
    store = "directory "

    @classmethod
    def setUpClass(cls):
        # A failure, not a skip: scripts/bootstrap --test installs it.
        missing = NssVault.missing()
        if missing:
            raise AssertionError(f"NSS: {missing}; scripts/bootstrap --test installs it")
        super().setUpClass()


if os.environ.get(INSIDE):
    class InOpenCryptoki(Core, unittest.TestCase):
        make = OpenCryptokiVault
        suite = "AES-CBC-PAD recipients, AES-CBC payloads with HMAC-SHA-256"
        store = "token"

        def test_weakness_is_said_loudly(self):
            self.assertRegex(self.vault.read("log"), "warn token.suite-weak .*come out readable")

    class LastingInOpenCryptoki(unittest.TestCase):
        def test_more_releases_than_openssl_has_room_for(self):
            """With each HMAC the module loses a block of OpenSSL's secure heap, of which a broker has 4,096."""
            with OpenCryptokiVault(variant="release", config={"token": {"isolation": "helper"}}) as vault:
                vault.start().allow_all()
                vault.put("core/lasting/a", b"value")
                vault.crowd("cookie", 6000, "P-256", "8", "core/lasting/a")
                self.assertEqual(vault.metric("strongroom_token_helper_starts_total"), 1)


class OpenCryptoki(unittest.TestCase):
    def test_the_same_on_its_software_token(self):
        missing = opencryptoki_missing()
        if missing:
            self.skipTest(f"openCryptoki was NOT tried: {missing}")
        for name, tests in (("InOpenCryptoki", 7), ("LastingInOpenCryptoki", 1)):
            done = in_opencryptoki(sys.executable, "-m", "unittest", "-v", f"test_tokens.{name}")
            said = (done.stdout + done.stderr).decode()
            self.assertEqual(done.returncode, 0, said)
            self.assertRegex(said, rf"Ran {tests} tests? in .*\n\nOK\n", said)


class Readers(unittest.TestCase):
    def test_a_reader_of_the_same_directory_follows_the_writer(self):
        with DirectoryVault() as vault:
            vault.start().allow_all()
            vault.put("readers/a/b", b"1")
            os.makedirs(vault.path("run2"), mode=0o700)
            vault.put("readers/a/c", b"1")
            writer, url = vault.process, vault.url
            vault.configure(token={"role": "reader", "writer": "the-writer"},
                            process={"run_dir": vault.path("run2")},
                            http_server={"admin_socket": vault.path("run2/admin.sock")},
                            audit={"file": vault.path("audit2.jsonl")})
            vault.start()
            reader, reader_url = vault.process, vault.url
            try:
                self.assertEqual(vault.guest().fetch("readers/a/b"), b"1")
                status, _, body = vault.admin("POST", "/kbs/v0/resource/readers/a/b", b"x")
                self.assertEqual(status, 503)
                self.assertIn(b"does not write", body)
                vault.url = url
                vault.put("readers/a/b", b"2")
                vault.put("readers/new/c", b"new")
                vault.url = reader_url
                self.assertEqual(vault.guest().fetch("readers/new/c"), b"new")
                self.assertEqual(vault.guest().fetch("readers/a/b"), b"2")
            finally:
                vault.process = writer
                vault.stop()
                vault.process = reader


class Directory(unittest.TestCase):
    def test_what_is_stored_is_never_hidden_by_configuration(self):
        with DirectoryVault() as vault:
            vault.command("resource", "put", "a/b/c", stdin=b"in the directory")
            vault.configure(storage={"place": "token"})
            done = vault.command("resource", "get", "a/b/c", check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn(b"storage.place: directory", done.stderr)
            vault.configure(storage={"place": "auto"})
            self.assertEqual(vault.command("resource", "get", "a/b/c").stdout, b"in the directory")
        with Vault() as vault:
            vault.command("resource", "put", "a/b/c", stdin=b"on the token")
            vault.configure(storage={"place": "directory"})
            done = vault.command("resource", "get", "a/b/c", check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn(b"storage.place: token", done.stderr)

    def test_a_directory_that_goes_and_comes_back(self):
        with DirectoryVault() as vault:
            vault.start().allow_all()
            vault.put("away/a/b", b"value")
            guest = vault.guest().handshake()

            def answers():
                return (vault.ask("GET", "/kbs/v0/resource/away/a/b", None, guest.headers())[0],
                        vault.admin("POST", "/kbs/v0/resource/away/a/c", b"x")[0])

            os.rename(vault.envelopes(), vault.path("elsewhere"))
            wait_until(lambda: answers() == (503, 503), what="a refusal")
            os.mkdir(vault.envelopes(), 0o700)  # as an empty mount point looks
            self.assertEqual(answers(), (503, 503))
            os.rmdir(vault.envelopes())
            os.rename(vault.path("elsewhere"), vault.envelopes())
            wait_until(lambda: answers() == (200, 200), what="serving again")
            self.assertEqual(guest.fetch("away/a/b"), b"value")
            self.assertEqual(guest.fetch("away/a/c"), b"x")


if __name__ == "__main__":
    unittest.main()

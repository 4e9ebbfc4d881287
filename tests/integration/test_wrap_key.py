"""Key pairs on the token: made by the command, used by pkcs11/wrap-key, and what other people's tools
see of them."""

import json
import os
import unittest

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from guest import Refused
from vault import ALLOW_ALL, Vault, wait_until

PATH = "/kbs/v0/pkcs11/wrap-key"
ALLOW_WRAP = ('package policy\n\ndefault allow := false\n\nallow if {\n\tdata.plugin == "pkcs11"\n'
              '\tdata["resource-path"] == ["wrap-key"]\n}\n')
STOCK_ALLOW_ALL = ('package policy\n\ndefault allow = false\n\nplugin = data.plugin\n\n'
                   'allow if {\n\tplugin == "resource"\n}\n')
KEY = os.urandom(32)


def unwrap(guest, wrapped):
    status, _, body = guest.vault.ask("GET", PATH, wrapped, guest.headers())
    if status != 200:
        raise Refused(status, body)
    return guest.open(body)


def oaep(algorithm):
    return padding.OAEP(padding.MGF1(algorithm()), algorithm(), None)


class KeyPairs(unittest.TestCase):
    def check_pkcs11_tool(self, vault, label):
        listed = vault.pkcs11_tool("--list-objects", "--type", "privkey").stdout.decode()
        self.assertIn(label, listed)
        self.assertIn("sensitive", listed)
        self.assertIn("never extractable", listed)

    def create_and_list(self, vault):
        done = vault.command("token", "keypair", "create", "--bits", "2048", "--public-out",
                             vault.path("wrap.pem"))
        self.assertIn("strongroom-wrap-key", done.stdout.decode())
        public = serialization.load_pem_public_key(vault.read("wrap.pem").encode())
        self.assertIsInstance(public, rsa.RSAPublicKey)
        self.assertEqual(public.key_size, 2048)
        self.assertEqual(os.stat(vault.path("wrap.pem")).st_mode & 0o777, 0o644)
        done = vault.command("token", "keypair", "create", "--bits", "2048", check=False)
        self.assertEqual(done.returncode, 5)
        self.assertIn("choose another label", done.stderr.decode())
        vault.command("token", "keypair", "create", "--type", "ec-p256", "--label", "signer")
        pairs = json.loads(vault.command("token", "keypair", "list", "--format", "json").stdout)
        self.assertEqual({(k["label"], k["type"]) for k in pairs["keypairs"]},
                         {("strongroom-wrap-key", "rsa"), ("signer", "ec-p256")})
        for k in pairs["keypairs"]:
            self.assertTrue(k["sound"] and k["sensitive"] and k["never_extractable"])
            self.assertFalse(k["extractable"])
        table = vault.command("token", "keypair", "list", "--label", "signer", "--public-out",
                              vault.path("signer.pub")).stdout.decode()
        self.assertIn("ec-p256", table)
        self.assertNotIn("strongroom-wrap-key", table)
        serialization.load_pem_public_key(vault.read("signer.pub").encode())
        self.check_pkcs11_tool(vault, "strongroom-wrap-key")

    def test_without_a_broker_and_with_one(self):
        with Vault() as vault:
            self.create_and_list(vault)
        with Vault() as vault:
            vault.start()
            self.create_and_list(vault)
            records = [r for r in vault.audit() if r["action"] == "keypair-create"]
            self.assertEqual([(r["decision"], r["reason"]) for r in records],
                             [("done", "strongroom-wrap-key"), ("error", "conflict"),
                              ("done", "signer")])

    def test_mistakes(self):
        with Vault() as vault:
            for args, code, word in (
                    (("--bits", "1024"), 2, "2048, 3072 or 4096"),
                    (("--type", "dsa"), 2, "rsa or ec-p256"),
                    (("--type", "dsa", "--label", "x"), 2, "rsa or ec-p256"),
                    (("--type", "ec-p256"), 2, "--label is needed"),
                    (("--type", "ec-p256", "--label", "x", "--bits", "256"), 2, "bits are for RSA"),
                    (("--label", "strongroom-kek-5"), 2, "Strongroom's own"),
                    (("--label", ""), 2, "1 to 64")):
                done = vault.command("token", "keypair", "create", *args, check=False)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(word, done.stderr.decode())
            done = vault.command("token", "keypair", "list", "--label", "x", check=False)
            self.assertEqual(done.returncode, 3)
            done = vault.command("token", "keypair", "list", "--public-out", "x", check=False)
            self.assertEqual(done.returncode, 2)
            # The pair is made even when its public key's file cannot be written, and that is said.
            done = vault.command("token", "keypair", "create", "--type", "ec-p256", "--label", "y",
                                 "--public-out", vault.path("no/such/dir"), check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("the key pair was made", done.stderr.decode())
            self.assertIn("y", vault.command("token", "keypair", "list").stdout.decode())
            # A link, as /dev/stdout is one, is written through and stays.
            os.symlink(vault.path("target"), vault.path("link"))
            vault.command("token", "keypair", "list", "--label", "y", "--public-out", vault.path("link"))
            self.assertTrue(os.path.islink(vault.path("link")))
            self.assertIn("BEGIN PUBLIC KEY", vault.read("target"))


class WrapKey(unittest.TestCase):
    def test_from_the_operator_to_the_guest(self):
        with Vault() as vault:
            vault.start()
            status, _, body = vault.admin("POST", PATH, KEY)
            self.assertEqual(status, 404)
            self.assertIn("strongroom token keypair create --type rsa", json.loads(body)["detail"])
            vault.command("token", "keypair", "create", "--bits", "2048", "--public-out",
                          vault.path("wrap.pem"))
            status, headers, wrapped = vault.admin("POST", PATH, KEY)
            self.assertEqual((status, headers["content-type"], len(wrapped)), (200, "text/xml", 256))
            self.assertEqual(vault.set_policy(ALLOW_WRAP)[0], 200)
            guest = vault.guest().handshake()
            self.assertEqual(unwrap(guest, wrapped), KEY)
            # Wrapped by somebody else, with the public key alone.
            public = serialization.load_pem_public_key(vault.read("wrap.pem").encode())
            self.assertEqual(unwrap(guest, public.encrypt(KEY, oaep(hashes.SHA256))), KEY)
            for bad in (public.encrypt(KEY, oaep(hashes.SHA1)), bytes(256),
                        public.encrypt(KEY, padding.PKCS1v15())):
                with self.assertRaises(Refused) as refused:
                    unwrap(guest, bad)
                self.assertEqual(refused.exception.status, 400)
                self.assertEqual(refused.exception.detail(), "this was not wrapped for this key")
            # It lasts over a restart, as the reference's keys do not.
            vault.restart()
            guest = vault.guest().handshake()
            self.assertEqual(unwrap(guest, wrapped), KEY)
            records = [(r["action"], r["decision"], r.get("resource")) for r in vault.audit()]
            self.assertIn(("wrap", "done", "wrap-key"), records)
            self.assertIn(("unwrap", "allow", "wrap-key"), records)
            self.assertIn("strongroom_unwraps_total 1", vault.ask("GET", "/metrics")[2].decode())
            vault.command("audit", "verify")
            with open(vault.path("log"), "rb") as log:
                self.assertNotIn(KEY, log.read())

    def test_policies(self):
        with Vault() as vault:
            vault.command("token", "keypair", "create", "--bits", "2048")
            vault.start()
            wrapped = vault.admin("POST", PATH, KEY)[2]
            guest = vault.guest().handshake()
            for policy, allowed in ((STOCK_ALLOW_ALL, False), (ALLOW_ALL, True), (ALLOW_WRAP, True)):
                self.assertEqual(vault.set_policy(policy)[0], 200)
                if allowed:
                    self.assertEqual(unwrap(guest, wrapped), KEY)
                    continue
                with self.assertRaises(Refused) as refused:
                    unwrap(guest, wrapped)
                self.assertEqual(refused.exception.status, 403)
            status, _, _ = vault.ask("GET", PATH, wrapped)
            self.assertEqual(status, 401)

    def test_bodies_of_get_are_read_to_their_limit(self):
        with Vault() as vault:
            vault.command("token", "keypair", "create", "--bits", "2048")
            vault.start().allow_all()
            vault.put("a/b/c", b"value")
            guest = vault.guest().handshake()
            for size, status in ((0, 400), (255, 400), (4096, 400), (4097, 413)):
                got, _, _ = vault.ask("GET", PATH, bytes(size), guest.headers())
                self.assertEqual(got, status, size)
            # Where a body means nothing it still is ignored.
            self.assertEqual(vault.ask("GET", "/kbs/v0/resource/a/b/c", bytes(100),
                                       guest.headers())[0], 200)
            # In pieces, too (http.client sends an iterator chunked).
            wrapped = vault.admin("POST", PATH, KEY)[2]
            status, _, body = vault.ask("GET", PATH, iter([wrapped[:100], wrapped[100:]]),
                                        guest.headers())
            self.assertEqual(status, 200)
            self.assertEqual(guest.open(body), KEY)

    def test_sha1_by_configuration_and_another_label(self):
        with Vault(config={"token": {"wrap_key_oaep": "sha1", "wrap_key_label": "old key"}}) as vault:
            vault.command("token", "keypair", "create", "--bits", "2048", "--public-out",
                          vault.path("wrap.pem"))
            self.assertIn("old key", vault.command("token", "keypair", "list").stdout.decode())
            vault.start().allow_all()
            public = serialization.load_pem_public_key(vault.read("wrap.pem").encode())
            guest = vault.guest().handshake()
            self.assertEqual(unwrap(guest, public.encrypt(KEY, oaep(hashes.SHA1))), KEY)
            with self.assertRaises(Refused):
                unwrap(guest, public.encrypt(KEY, oaep(hashes.SHA256)))
            self.assertNotIn("token.oaep", vault.read("log"))    # the token does all of it

    def test_a_kbs_s_configuration_goes_on_unwrapping(self):
        """What was wrapped for a KBS opens here, with its label and its hash (RsaPkcsTest is SHA-1)."""
        for mechanism, algorithm in (("RsaPkcsTest", hashes.SHA1), ("RsaPkcsOaep", hashes.SHA256)):
            with Vault() as vault:
                vault.write("kbs.toml", f'''
[[plugins]]
name = "pkcs11"
module = "/usr/lib/softhsm/libsofthsm2.so"
pin = "12345678"
lookup_label = "my-wrap"
rsa_mechanism = "{mechanism}"
''')
                done = vault.run("config", "convert", vault.path("kbs.toml"), check=False)
                self.assertNotIn("wrap", done.stderr.decode())
                said = [line.strip().split(": ", 1) for line in done.stdout.decode().splitlines()
                        if line.startswith("  wrap_key_")]
                vault.configure(token={key: json.loads(value) for key, value in said})
                vault.pkcs11_tool("--keypairgen", "--key-type", "rsa:2048", "--label", "my-wrap",
                                  "--id", "07", "--usage-decrypt")
                vault.command("token", "keypair", "list", "--label", "my-wrap", "--public-out",
                              vault.path("wrap.pem"))
                public = serialization.load_pem_public_key(vault.read("wrap.pem").encode())
                vault.start().allow_all()
                guest = vault.guest().handshake()
                self.assertEqual(unwrap(guest, public.encrypt(KEY, oaep(algorithm))), KEY)
                self.assertEqual(unwrap(guest, vault.admin("POST", PATH, KEY)[2]), KEY)

    def test_a_pair_of_another_tool(self):
        with Vault() as vault:
            vault.pkcs11_tool("--keypairgen", "--key-type", "rsa:2048", "--label",
                              "strongroom-wrap-key", "--id", "07", "--usage-decrypt")
            vault.start().allow_all()
            status, _, wrapped = vault.admin("POST", PATH, KEY)
            self.assertEqual(status, 200, wrapped)
            self.assertEqual(unwrap(vault.guest().handshake(), wrapped), KEY)
            self.assertIn("token.oaep", vault.read("log"))    # said loudly: we decode

    def test_two_of_the_label_are_the_operators_to_mend(self):
        with Vault() as vault:
            for ident in ("07", "08"):
                vault.pkcs11_tool("--keypairgen", "--key-type", "rsa:2048", "--label",
                                  "strongroom-wrap-key", "--id", ident, "--usage-decrypt")
            vault.start().allow_all()
            guest = vault.guest().handshake()
            for status, headers, body in (vault.ask("GET", PATH, bytes(256), guest.headers()),
                                          vault.admin("POST", PATH, KEY)):
                self.assertEqual((status, headers.get("retry-after")), (503, "1"), body)
            self.assertIn("2 private keys", vault.read("log"))
            self.assertIn("2 private keys", json.loads(vault.ask_local("POST", PATH, KEY)[2])["detail"])


class Faults(unittest.TestCase):
    def test_a_token_that_fails_is_503_and_comes_back(self):
        for workers in (0, 2):
            with Vault() as vault:
                vault.command("token", "keypair", "create", "--bits", "2048")
                vault.with_faults(workers=workers)
                vault.start().allow_all()
                wrapped = vault.admin("POST", PATH, KEY)[2]
                guest = vault.guest().handshake()
                self.assertEqual(unwrap(guest, wrapped), KEY)
                vault.faults("C_Decrypt rv=0x30")
                status, headers, _ = vault.ask("GET", PATH, wrapped, guest.headers())
                self.assertEqual(status, 503)
                self.assertGreater(int(headers.get("retry-after")), 0)
                vault.faults()

                def again():
                    try:
                        return unwrap(guest, wrapped) == KEY
                    except Refused:
                        return False

                wait_until(again, 60, "unwrapping again")


if __name__ == "__main__":
    unittest.main()

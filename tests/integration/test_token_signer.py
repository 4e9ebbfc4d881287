"""Attestation tokens signed by a key of the token: a guest verifies them, and the broker lives through
a token that goes away."""

import base64
import json
import os
import subprocess
import threading
import unittest

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from guest import Refused, unb64u
from vault import Vault, program, wait_until


class SignerVault(Vault):
    """As README shows it: a key pair on the token, and a certificate of it by a CA."""

    uri = "pkcs11:object=signer;type=private"

    def make_signer(self):
        for command in (["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out",
                         self.path("ca.key")],
                        ["req", "-x509", "-new", "-key", self.path("ca.key"), "-subj", "/CN=test CA",
                         "-days", "2", "-out", self.path("ca.crt")]):
            subprocess.run(["openssl", *command], check=True, capture_output=True)

    def prepare(self):
        self.init_token()
        self.run("admin", "keygen", self.path("admin.pem"))
        self.make_signer()
        super().configure()
        self.edit(lambda signer: signer.clear())
        self.command("kek", "create")
        self.command("token", "keypair", "create", "--type", "ec-p256", "--label", "signer",
                     "--public-out", self.path("signer.pub"))
        self.certify("signer.pub")
        self.configure()
        return self

    def certify(self, public):
        subprocess.run(["openssl", "x509", "-new", "-force_pubkey", self.path(public), "-subj",
                        "/CN=signer", "-CA", self.path("ca.crt"), "-CAkey", self.path("ca.key"),
                        "-days", "2", "-out", self.path("leaf.crt")], check=True, capture_output=True)
        self.write("chain.pem", self.read("leaf.crt") + self.read("ca.crt"))

    def edit(self, change):
        config = json.loads(self.read("strongroom.yaml"))
        change(config["attestation_service"]["attestation_token_broker"]["signer"])
        config["attestation_token"]["trusted_certs_paths"] = [self.path("ca.crt")]
        self.write("strongroom.yaml", json.dumps(config))

    def configure(self, **changes):
        super().configure(**changes)
        self.edit(lambda signer: (signer.clear(), signer.update(
            key_uri=self.uri, cert_path=self.path("chain.pem"))))

    def start_fails(self):
        done = subprocess.run([program(self.variant), "serve", "-c", self.path("strongroom.yaml")],
                              capture_output=True, env=self.env, timeout=60)
        return done.returncode, done.stderr.decode()


def verify(token, ca):
    """As a guest or a relying party does it, with nothing of ours (RFC 7515, RFC 5280)."""
    header, payload, signature = token.split(".")
    jwk = json.loads(unb64u(header))["jwk"]
    chain = [x509.load_der_x509_certificate(base64.b64decode(c)) for c in jwk["x5c"]]
    leaf, root = chain[0], chain[-1]
    assert root.public_bytes(serialization.Encoding.PEM) == ca
    root.public_key().verify(leaf.signature, leaf.tbs_certificate_bytes,
                             ec.ECDSA(leaf.signature_hash_algorithm))
    numbers = leaf.public_key().public_numbers()
    assert numbers.x == int.from_bytes(unb64u(jwk["x"]), "big")
    assert numbers.y == int.from_bytes(unb64u(jwk["y"]), "big")
    raw = unb64u(signature)
    assert len(raw) == 64
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    leaf.public_key().verify(der, f"{header}.{payload}".encode(), ec.ECDSA(hashes.SHA256()))
    return json.loads(unb64u(payload))


class Signer(unittest.TestCase):
    def test_a_guest_verifies_its_token(self):
        for workers in (0, 2):
            with SignerVault(config={"token": {"workers": workers}}) as vault:
                vault.start().allow_all()
                vault.put("a/b/c", b"value")
                guest = vault.guest().handshake()
                with open(vault.path("ca.crt"), "rb") as file:
                    claims = verify(guest.token, file.read())
                self.assertIn("cpu0", claims["submods"])
                self.assertEqual(guest.get("a/b/c"), b"value")
                passport = {"Authorization": f"Bearer {guest.token}"}
                self.assertEqual(guest.get("a/b/c", passport), b"value")
                # The key stays: a token of before is good after a restart.
                vault.restart()
                self.assertEqual(guest.get("a/b/c", passport), b"value")

    def test_many_at_once(self):
        with SignerVault(config={"token": {"workers": 2}}) as vault:
            vault.start().allow_all()
            vault.put("a/b/c", b"value")
            failed = []

            def visit():
                try:
                    if vault.guest().fetch("a/b/c") != b"value":
                        failed.append("value")
                except Exception as error:  # pylint: disable=broad-except
                    failed.append(error)

            threads = [threading.Thread(target=visit) for _ in range(12)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(failed, [])

    def test_what_does_not_start(self):
        with SignerVault() as vault:
            vault.command("token", "keypair", "create", "--type", "ec-p256", "--label", "other")
            vault.command("token", "keypair", "create", "--type", "rsa", "--bits", "2048")
            for uri, words in (
                    ("pkcs11:object=other", ("-force_pubkey",)),
                    ("pkcs11:object=none", ("strongroom token keypair create --type ec-p256 "
                                            "--label 'none'",)),
                    ("pkcs11:object=strongroom-wrap-key", ("no ec-p256 key pair",)),
                    ("pkcs11:token=elsewhere;object=signer", ("another token",)),
                    ("pkcs11:object=signer;type=public", ("type=private",))):
                vault.uri = uri
                vault.configure()
                code, text = vault.start_fails()
                self.assertNotEqual(code, 0, uri)
                self.assertNotIn("Sanitizer", text)
                for word in words:
                    self.assertIn(word, text)
            vault.uri = SignerVault.uri
            vault.configure()
            vault.edit(lambda signer: signer.update(key_path=vault.path("ca.key")))
            self.assertIn("exclude each other", vault.start_fails()[1])
            vault.edit(lambda signer: (signer.pop("key_path"), signer.pop("cert_path")))
            self.assertIn("key_uri needs cert_path", vault.start_fails()[1])
            # A signer that nobody trusts is found at start, as one in a file is.
            vault.configure()
            config = json.loads(vault.read("strongroom.yaml"))
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout",
                            vault.path("y.key"), "-subj", "/CN=other", "-out", vault.path("y.crt")],
                           check=True, capture_output=True)
            config["attestation_token"]["trusted_certs_paths"] = [vault.path("y.crt")]
            vault.write("strongroom.yaml", json.dumps(config))
            self.assertIn("name the root of our signer's chain", vault.start_fails()[1])

    def test_a_token_that_does_not_sign(self):
        for workers in (0, 2):
            with SignerVault() as vault:
                vault.with_faults(workers=workers)
                vault.start().allow_all()
                vault.put("a/b/c", b"value")
                before = vault.guest().handshake()
                vault.faults("C_Sign rv=0x30")
                guest = vault.guest().auth()
                status, headers, _ = vault.ask("POST", "/kbs/v0/attest",
                                               json.dumps(guest.attestation()), guest.headers())
                self.assertEqual((status, headers.get("retry-after")), (503, "1"))
                # Who has a token already is served meanwhile.
                self.assertEqual(before.get("a/b/c"), b"value")
                vault.faults()
                guest.attest()
                self.assertEqual(guest.get("a/b/c"), b"value")

    def test_the_token_goes_away_and_comes_back(self):
        with SignerVault() as vault:
            vault.start().allow_all()
            vault.guest().handshake()
            os.rename(vault.path("tokens"), vault.path("tokens-away"))
            wait_until(lambda: "token.down" in vault.read("log"), 30, "token.down")
            with self.assertRaises(Refused) as refused:
                vault.guest().handshake()
            self.assertEqual(refused.exception.status, 503)
            os.rename(vault.path("tokens-away"), vault.path("tokens"))
            wait_until(lambda: "token.back" in vault.read("log"), 60, "token.back")
            vault.guest().handshake()

    def test_commands_of_their_own_need_no_signer(self):
        with SignerVault() as vault:
            vault.write("chain.pem", "no chain")
            vault.command("kek", "list")
            vault.command("token", "keypair", "list")


if __name__ == "__main__":
    unittest.main()

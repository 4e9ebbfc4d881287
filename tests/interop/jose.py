#!/usr/bin/python3
"""broker/jose against python3-jwcrypto, both ways: jose.py PATH_TO_DRIVER

One line a case; exit code 1 when a case failed."""
import json
import pathlib
import subprocess
import sys
import tempfile

from jwcrypto import jwe, jwk, jws

PLAINTEXTS = {"empty": b"", "short": b"1234567890abcde\n", "large": bytes(range(256)) * 8192}
JWE_KEYS = {
    "P-256": (dict(kty="EC", crv="P-256"), "ECDH-ES+A256KW"),
    "P-521": (dict(kty="EC", crv="P-521"), "ECDH-ES+A256KW"),
    "RSA-OAEP-256": (dict(kty="RSA", size=2048), "RSA-OAEP-256"),
    "RSA1_5": (dict(kty="RSA", size=3072), "RSA1_5"),
}
JWS_KEYS = {
    "ES256": dict(kty="EC", crv="P-256"), "ES384": dict(kty="EC", crv="P-384"),
    "ES512": dict(kty="EC", crv="P-521"), "EdDSA": dict(kty="OKP", crv="Ed25519"),
    **{a: dict(kty="RSA", size=2048) for a in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")},
}
JWE_MEMBERS = ("protected", "encrypted_key", "iv", "ciphertext", "tag")
SIGNED_BY_US = ("ES256", "ES384", "EdDSA")


class Bench:
    def __init__(self, driver, folder):
        self.driver, self.folder, self.failed = driver, pathlib.Path(folder), 0

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def run(self, *args):
        done = subprocess.run([self.driver, *args], capture_output=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode().strip())
        return done.stdout

    def refuses(self, *args):
        done = subprocess.run([self.driver, *args], capture_output=True, timeout=60)
        return done.returncode == 1 and not done.stdout

    def case(self, name, check):
        try:
            good, why = check(), ""
        except Exception as error:  # whatever it is, the case failed and the next one runs
            good, why = False, f": {error!r}"
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'}  {name}{why}")


def public_text(key, alg):
    return json.dumps({**json.loads(key.export_public()), "alg": alg})


def pem(key):
    return key.export_to_pem(private_key=True, password=None)


def jwe_cases(bench, name, key, alg):
    header = json.dumps({"alg": alg, "enc": "A256GCM"})
    allowed = [alg, "A256GCM"]  # jwcrypto leaves RSA1_5 out unless it is named
    key_file = bench.file("key.jwk", public_text(key, alg))
    pem_file = bench.file("key.pem", pem(key))

    def ours_to_theirs(plaintext):
        text = bench.run("encrypt", key_file, bench.file("plain", plaintext))
        token = jwe.JWE(algs=allowed)
        token.deserialize(text.decode(), key)
        return token.payload == plaintext

    def theirs(plaintext):
        token = jwe.JWE(plaintext, protected=header, algs=allowed)
        token.add_recipient(key)
        # Its JSON form puts epk outside the protected header; its compact form does not.
        parts = token.serialize(compact=True).split(".")
        return json.dumps(dict(zip(JWE_MEMBERS, parts)))

    def theirs_to_ours(plaintext):
        return bench.run("decrypt", pem_file, bench.file("jwe", theirs(plaintext))) == plaintext

    def changed():
        token = json.loads(theirs(b"value"))
        token["tag"] = ("B" if token["tag"][0] == "A" else "A") + token["tag"][1:]
        return bench.refuses("decrypt", pem_file, bench.file("jwe", json.dumps(token)))

    for size, plaintext in PLAINTEXTS.items():
        if plaintext:  # jwcrypto 1.1 takes an empty plaintext for a failure
            bench.case(f"jwe {name} {size}: theirs opens ours", lambda: ours_to_theirs(plaintext))
        bench.case(f"jwe {name} {size}: ours opens theirs", lambda: theirs_to_ours(plaintext))
    bench.case(f"jwe {name}: ours refuses theirs with another tag", changed)


def jws_cases(bench, alg, key):
    payload = b'{"sub":"interop"}'
    key_file = bench.file("key.jwk", public_text(key, alg))

    def theirs():
        token = jws.JWS(payload)
        token.allowed_algs = [alg]
        token.add_signature(key, alg, json.dumps({"alg": alg}))
        return token.serialize(compact=True)

    def verify():
        return bench.run("verify", key_file, bench.file("token", theirs())) == payload

    def changed():
        head, body, signature = theirs().split(".")
        body = ("f" if body[0] == "e" else "e") + body[1:]
        return bench.refuses("verify", key_file, bench.file("token", ".".join((head, body, signature))))

    def sign():
        text = bench.run("sign", alg, bench.file("key.pem", pem(key)), bench.file("payload", payload))
        token = jws.JWS()
        token.allowed_algs = [alg]
        token.deserialize(text.decode(), key)
        return token.payload == payload

    bench.case(f"jws {alg}: ours verifies theirs", verify)
    bench.case(f"jws {alg}: ours refuses theirs with another payload", changed)
    if alg in SIGNED_BY_US:
        bench.case(f"jws {alg}: theirs verifies ours", sign)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: jose.py PATH_TO_DRIVER")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(sys.argv[1], folder)
        for name, (parameters, alg) in JWE_KEYS.items():
            jwe_cases(bench, name, jwk.JWK.generate(**parameters), alg)
        for alg, parameters in JWS_KEYS.items():
            jws_cases(bench, alg, jwk.JWK.generate(**parameters))
    sys.exit(1 if bench.failed else 0)


if __name__ == "__main__":
    main()

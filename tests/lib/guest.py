"""A guest in Python: its own implementation of the handshake and of JWE, to hold the broker to."""

import base64
import hashlib
import json

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64u(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def canonical(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def client_aad(protected):
    """What clients authenticate: not the text that came but the header as they write it again, alg and enc
    first, the rest in order of names (kbs-api.md 5.2)."""
    header = json.loads(unb64u(protected))
    ordered = {"alg": header.pop("alg"), "enc": header.pop("enc"), **json.loads(canonical(header))}
    return b64u(json.dumps(ordered, separators=(",", ":")).encode()).encode()


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status}: {body[:300]!r}")
        self.status = status
        self.body = body

    def detail(self):
        return json.loads(self.body)["detail"]


class Guest:
    def __init__(self, vault, key=None):
        self.vault = vault
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.cookie = None
        self.nonce = None
        self.token = None

    def jwk(self):
        numbers = self.key.public_key().public_numbers()
        return {"kty": "EC", "crv": "P-256", "alg": "ECDH-ES+A256KW",
                "x": b64u(numbers.x.to_bytes(32, "big")), "y": b64u(numbers.y.to_bytes(32, "big"))}

    def headers(self):
        return {"Cookie": self.cookie} if self.cookie else {}

    def auth(self):
        status, headers, body = self.vault.ask("POST", "/kbs/v0/auth", json.dumps(
            {"version": "0.4.0", "tee": "sample", "extra-params": {}}))
        if status != 200:
            raise Refused(status, body)
        self.cookie = headers["set-cookie"].split(";")[0]
        self.nonce = json.loads(body)["nonce"]
        return self

    def evidence(self, nonce=None, jwk=None):
        jwk = jwk or self.jwk()
        bound = hashlib.sha384(canonical({"additional-evidence": "", "nonce": nonce or self.nonce,
                                          "tee-pubkey": jwk})).digest()
        return {"svn": "1", "report_data": base64.b64encode(bound).decode()}

    def attestation(self, **changes):
        return {"init-data": None,
                "runtime-data": {"nonce": self.nonce, "tee-pubkey": self.jwk()},
                "tee-evidence": {"primary_evidence": self.evidence(), "additional_evidence": ""},
                **changes}

    def attest(self, body=None):
        status, _, reply = self.vault.ask("POST", "/kbs/v0/attest",
                                          json.dumps(body or self.attestation()), self.headers())
        if status != 200:
            raise Refused(status, reply)
        self.token = json.loads(reply)["token"]
        return self

    def handshake(self):
        return self.auth().attest()

    def get(self, name, headers=None):
        status, _, body = self.vault.ask("GET", f"/kbs/v0/resource/{name}", None,
                                         headers if headers is not None else self.headers())
        if status != 200:
            raise Refused(status, body)
        return self.open(body)

    def fetch(self, name):
        if not self.token:
            self.handshake()
        return self.get(name)

    def open(self, body):
        """RFC 7516 5.2 with ECDH-ES+A256KW (RFC 7518 4.6) for P-256; the header as clients take it."""
        jwe = json.loads(body)
        epk = json.loads(unb64u(jwe["protected"]))["epk"]
        point = ec.EllipticCurvePublicNumbers(int.from_bytes(unb64u(epk["x"]), "big"),
                                              int.from_bytes(unb64u(epk["y"]), "big"),
                                              ec.SECP256R1()).public_key()
        algorithm = b"ECDH-ES+A256KW"
        info = (1).to_bytes(4, "big") + self.key.exchange(ec.ECDH(), point) + \
            len(algorithm).to_bytes(4, "big") + algorithm + bytes(8) + (256).to_bytes(4, "big")
        content_key = aes_key_unwrap(hashlib.sha256(info).digest(), unb64u(jwe["encrypted_key"]))
        return AESGCM(content_key).decrypt(unb64u(jwe["iv"]),
                                           unb64u(jwe["ciphertext"]) + unb64u(jwe["tag"]),
                                           client_aad(jwe["protected"]))

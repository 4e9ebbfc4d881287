"""Whose tokens are believed: key sets and keys of servers, their rotation, and servers that misbehave."""

import json
import pathlib
import re
import signal
import socket
import unittest

from guest import Guest, Refused
from key_server import KeyServer, Signer, key_set, make_authority
from vault import Vault, wait_until

VALUE = b"for whom the keys say"
PATH = "/kbs/v0/resource/a/b/c"


class Keys(unittest.TestCase):
    def setUp(self):
        self.vault = Vault(label="keys")
        self.addCleanup(self.vault.__exit__, None)
        self.folder = pathlib.Path(self.vault.dir)
        make_authority(self.folder)
        self.vault.prepare()
        self.old, self.new = Signer("old"), Signer("new")
        self.guest = Guest(self.vault)
        self.names = 0

    def serve(self, port=0):
        server = KeyServer(self.folder, port)
        self.addCleanup(server.__exit__)
        return server

    def start(self, *sets, ca="ca.pem", **rules):
        trust = {"trusted_jwk_sets": list(sets), **rules}
        if ca:
            trust["jwk_sets_ca"] = str(self.folder / ca)
        self.vault.configure(attestation_service={"verifier": "none"}, attestation_token=trust)
        self.vault.start()
        self.vault.put("a/b/c", VALUE)
        self.vault.allow_all()

    def token(self, signer, header=None, **claims):
        return signer.sign({"tee-pubkey": self.guest.jwk(), **claims}, **(header or {}))

    def status(self, token):
        try:
            value = self.guest.get("a/b/c", {"Authorization": f"Bearer {token}"})
        except Refused as refused:
            return refused.status
        self.assertEqual(value, VALUE)
        return 200

    def becomes(self, token, status):
        wait_until(lambda: self.status(token) == status, 30, f"status {status}")

    def metric(self, name, source="attestation_token.trusted_jwk_sets[0]"):
        text = self.vault.ask("GET", "/metrics")[2].decode()
        found = re.search(rf'^{name}{{source="{re.escape(source)}"}} (\d+)$', text, re.MULTILINE)
        return int(found.group(1)) if found else None

    def look_again(self, good=True):
        """SIGHUP, and until the look that it causes is over."""
        name = "strongroom_key_refreshes_total" if good else "strongroom_key_failures_total"
        before = self.metric(name)
        self.vault.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.metric(name) > before, 40, "a look at the keys")


class Rotation(Keys):
    def test_a_new_key_works_after_one_look_and_an_old_one_ends(self):
        server = self.serve()
        server.pages["/jwks"] = key_set(self.old)
        self.start(server.url + "/jwks")
        old, new = self.token(self.old), self.token(self.new)
        self.assertEqual(self.status(old), 200)
        self.assertEqual(server.asked["/jwks"], 1)

        server.pages["/jwks"] = key_set(self.old, self.new)
        self.assertEqual(self.status(new), 401)  # which has the keys looked at
        self.becomes(new, 200)
        self.assertEqual(self.status(old), 200)
        self.assertEqual(server.asked["/jwks"], 2)

        server.pages["/jwks"] = key_set(self.new)
        self.assertEqual(self.status(old), 200)  # not known yet
        self.look_again()
        self.assertEqual(self.status(old), 401)  # though it was remembered
        self.assertEqual(self.status(new), 200)
        self.assertIn('effect="tokens of keys that went are refused"', self.vault.read("log"))

    def test_unknown_keys_cause_one_look_however_many_they_are(self):
        server = self.serve()
        server.pages["/jwks"] = key_set(self.old)
        self.start(server.url + "/jwks")
        for i in range(100):
            self.assertEqual(self.status(self.token(Signer(f"nobody's {i}"))), 401)
        wait_until(lambda: server.asked["/jwks"] == 2, 30, "one look")
        self.look_again()
        self.assertEqual(server.asked["/jwks"], 3)  # the one of this signal
        self.assertEqual(self.status(self.token(self.old)), 200)

    def test_a_server_that_is_down_at_the_start_stops_nobody(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.start(f"https://127.0.0.1:{port}/jwks")
        token = self.token(self.old)
        self.assertEqual(self.status(token), 401)
        self.assertIn("error keys.unavailable source=attestation_token.trusted_jwk_sets[0]",
                      self.vault.read("log"))
        status, _, body = self.vault.ask("GET", "/readyz")
        self.assertEqual((status, json.loads(body)["sources_without_keys"]), (200, 1))
        server = self.serve(port)
        server.pages["/jwks"] = key_set(self.old)
        self.look_again()
        self.assertEqual(self.status(token), 200)
        self.assertNotIn("sources_without_keys", json.loads(self.vault.ask("GET", "/readyz")[2]))

    def test_files_are_read_again_too(self):
        path = self.vault.write("set.json", key_set(self.old))
        self.start(path)
        self.assertEqual(self.status(self.token(self.old)), 200)
        self.vault.write("set.json", key_set(self.new))
        self.assertEqual(self.status(self.token(self.new)), 401)
        self.becomes(self.token(self.new), 200)  # the unknown key had the file read
        self.assertEqual(self.status(self.token(self.old)), 401)
        self.vault.write("set.json", "not a set")
        self.look_again(good=False)
        self.assertEqual(self.status(self.token(self.new)), 200)


class Sources(Keys):
    def test_an_openid_issuer(self):
        server = self.serve()
        server.pages["/jwks"] = key_set(self.old)
        self.start(server.issuer("/realm", "/jwks"), server.issuer("/other", "/jwks", named="https://x"))
        self.assertEqual(self.status(self.token(self.old)), 200)
        self.assertEqual(self.metric("strongroom_keys"), 1)
        self.assertEqual(self.metric("strongroom_keys", "attestation_token.trusted_jwk_sets[1]"), 0)
        self.assertIn("the discovery document is of issuer", self.vault.read("log"))

    def test_a_server_of_another_ca(self):
        server = self.serve()
        server.pages["/jwks"] = key_set(self.old)
        self.start(server.url + "/jwks", ca=None)
        self.assertEqual(self.status(self.token(self.old)), 401)
        self.assertIn("no answer from " + server.url, self.vault.read("log"))
        self.assertEqual(server.asked["/jwks"], 0)

    def test_the_key_itself_where_a_set_has_no_names(self):
        server = self.serve()
        nameless, stranger = Signer(), Signer()
        server.pages["/jwks"] = key_set(nameless)
        self.start(server.url + "/jwks", issuers=["CoCo-Attestation-Service"], audiences=["kbs"])
        fits = {"iss": "CoCo-Attestation-Service", "aud": ["kbs", "x"]}
        shown = {"jwk": nameless.jwk()}
        self.assertEqual(self.status(self.token(nameless, shown, **fits)), 200)
        self.assertEqual(self.status(self.token(stranger, {"jwk": stranger.jwk()}, **fits)), 401)
        self.assertEqual(self.status(self.token(stranger, shown, **fits)), 401)
        self.assertEqual(self.status(self.token(nameless, shown, **{**fits, "iss": "me"})), 401)
        self.assertEqual(self.status(self.token(nameless, shown, **{**fits, "aud": "me"})), 401)
        self.assertEqual(self.status(self.token(nameless, shown, **fits, nbf=4102444800)), 401)

    def test_what_servers_may_do_wrong(self):
        server = self.serve()
        good = key_set(self.old)
        server.pages["/jwks"] = good
        self.start(server.url + "/jwks")
        token = self.token(self.old)
        many = key_set(*[self.new] * 129)
        wrong = [
            ("redirects are not followed", (302, {"Location": "/elsewhere"}, good)),
            ("the server answers 503", (503, {}, good)),
            ("JWK set", "<html>"),
            ("more than 128 keys", many),
            ("is larger than 1048576 bytes", good + " " * (1 << 20)),
            ("is larger than 1048576 bytes", server.endless),
            ("no answer from", server.slow),
        ]
        server.pages["/elsewhere"] = key_set(self.new)
        for why, page in wrong:
            with self.subTest(why):
                before = len(self.vault.read("log"))
                server.pages["/jwks"] = page
                self.look_again(good=False)
                self.assertIn(why, self.vault.read("log")[before:])
                self.assertEqual(self.status(token), 200)  # the keys of before stay
                server.pages["/jwks"] = good
                self.look_again()
        self.assertEqual(server.asked["/elsewhere"], 0)
        server.pages["/jwks"] = json.dumps({"keys": [self.old.jwk(), self.new.jwk(kid="old")]})
        self.look_again()
        self.assertEqual(self.status(token), 401)  # a name of two keys is of neither


class Operators(Keys):
    def configure(self, *providers):
        self.vault.configure(admin={
            "authorization_mode": "AuthenticatedAuthorization", "authentication": {"bearer_jwt": {
                "identity_providers": [{"uri_ca": str(self.folder / "ca.pem"), **p}
                                       for p in providers]}}})

    def put(self, token):
        return self.vault.admin("POST", PATH, VALUE, token=token)[0]

    def test_providers_by_issuer_and_by_key(self):
        server = self.serve()
        legacy = Signer()
        server.pages["/jwks"] = key_set(self.old)
        server.pages["/pem"] = legacy.pem()
        idp = server.issuer("/realm/", "/jwks")
        self.configure({"issuer": idp, "audience": "kbs", "jwk_set_uri": idp},
                       {"public_key_uri": server.url + "/pem", "default_role": "admin"})
        self.vault.start()
        claims = {"iss": idp, "aud": "kbs", "role": "admin"}
        self.assertEqual(self.put(self.old.sign(claims)), 200)
        self.assertEqual(self.put(self.old.sign({**claims, "aud": "other"})), 401)
        self.assertEqual(self.put(self.old.sign({"iss": idp, "aud": "kbs"})), 401)
        self.assertEqual(self.put(self.old.sign({**claims, "role": "guest"})), 403)
        self.assertEqual(self.put(legacy.sign({})), 200)
        self.assertEqual(self.put(self.new.sign(claims)), 401)
        server.pages["/jwks"] = key_set(self.new)
        self.vault.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.put(self.new.sign(claims)) == 200, 30, "the new key")
        self.assertEqual(self.put(self.old.sign(claims)), 401)


if __name__ == "__main__":
    unittest.main()

"""What bad input gets: one clear sentence that names the thing and the way out, and nothing that
is stored changes."""

import json
import os
import subprocess
import tempfile
import unittest

from guest import Guest, Refused, b64u
from vault import MODULE, Vault, program, wait_until


class Requests(unittest.TestCase):
    """Against one running broker, which must serve on after each of them."""

    @classmethod
    def setUpClass(cls):
        cls.vault = Vault().prepare().start().allow_all()
        cls.vault.put("bad/kept/value", b"kept")

    @classmethod
    def tearDownClass(cls):
        cls.vault.__exit__(None)

    def tearDown(self):
        self.assertEqual(self.vault.guest().fetch("bad/kept/value"), b"kept")

    def refused(self, status, call, *args):
        with self.assertRaises(Refused) as caught:
            call(*args)
        self.assertEqual(caught.exception.status, status)
        return caught.exception

    def test_a_path_that_is_no_resource(self):
        for path in ("a/b", "a/b/c/d", "a/../c", ".a/b/c", "a/b/c%20d", "a//c"):
            status, _, body = self.vault.admin("POST", f"/kbs/v0/resource/{path}", b"x")
            self.assertEqual(status, 400, path)
            self.assertTrue(json.loads(body)["detail"], path)

    def test_a_value_over_the_limit(self):
        head = (f"POST /kbs/v0/resource/bad/kept/value HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                f"{self.vault.cached_token()}\r\nContent-Length: {(2 << 20) + 1}\r\n\r\n")
        reply = self.vault.raw(head.encode())   # refused before the body is sent
        self.assertIn(b" 413 ", reply.split(b"\r\n")[0])
        self.assertIn("limit", json.loads(reply.split(b"\r\n\r\n")[1])["detail"])

    def test_a_body_cut_short(self):
        token = self.vault.admin_token()
        head = (f"POST /kbs/v0/resource/bad/kept/value HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: Bearer {token}\r\nContent-Length: 100\r\n\r\n").encode()
        import socket
        with socket.create_connection(self.vault.address(), 10) as sock:
            sock.sendall(head + b"only this")

    def test_a_smuggled_request(self):
        inner = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        reply = self.vault.raw(b"POST /kbs/v0/auth HTTP/1.1\r\nHost: x\r\nContent-Length: "
                               + str(5 + len(inner)).encode() +
                               b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner)
        self.assertEqual(reply.count(b"HTTP/1.1 "), 1, reply)
        self.assertIn(b" 400 ", reply.split(b"\r\n")[0] + b" ")

    def test_an_unknown_session(self):
        guest = self.vault.guest()
        guest.cookie = "kbs-session-id=" + "0" * 32
        error = self.refused(401, guest.get, "bad/kept/value")
        self.assertIn("TokenNotFound", error.body.decode())

    def test_a_wrong_nonce(self):
        guest = self.vault.guest().auth()
        body = guest.attestation()
        body["runtime-data"]["nonce"] = b64u(bytes(32))
        self.refused(401, guest.attest, body)

    def test_evidence_for_another_key(self):
        guest = self.vault.guest().auth()
        body = guest.attestation()
        body["runtime-data"]["tee-pubkey"] = self.vault.guest().jwk()
        self.refused(401, guest.attest, body)

    def test_a_bad_token_signature(self):
        guest = self.vault.guest().handshake()
        head, payload, signature = guest.token.split(".")
        forged = ".".join((head, payload, signature[:-8] + "AAAAAAAA"))
        error = self.refused(401, guest.get, "bad/kept/value",
                             {"Authorization": f"Bearer {forged}"})
        self.assertIn("TokenVerifierError", error.body.decode())

    def test_an_expired_token(self):
        import time
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec, utils
        import base64
        with open(self.vault.path("signer.pem"), "rb") as file:
            signer = serialization.load_pem_private_key(file.read(), None)
        guest = self.vault.guest().handshake()
        head, payload, _ = guest.token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        for exp, expected in ((int(time.time()) + 60, 200), (int(time.time()) - 120, 401)):
            text = head + "." + b64u(json.dumps({**claims, "exp": exp}).encode())
            r, s = utils.decode_dss_signature(signer.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
            token = text + "." + b64u(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
            status, _, _ = self.vault.ask("GET", "/kbs/v0/resource/bad/kept/value", None,
                                          {"Authorization": f"Bearer {token}"})
            self.assertEqual(status, expected)

    def test_an_operator_without_a_good_token(self):
        path = "/kbs/v0/resource/bad/kept/value"
        stranger = Vault(label="stranger")
        stranger.run("admin", "keygen", stranger.path("admin.pem"))
        for headers in ({}, {"Authorization": "Bearer x.y.z"},
                        {"Authorization": "Bearer " + stranger.admin_token()}):
            status, _, body = self.vault.ask("POST", path, b"changed", headers)
            self.assertEqual(status, 401, body)
        status, _, _ = self.vault.admin("POST", path, b"changed",
                                        token=self.vault.admin_token("--role", "nobody"))
        self.assertEqual(status, 403)
        stranger.stop()

    def test_a_policy_that_is_not_understood_leaves_the_old_one(self):
        status, _, body = self.vault.set_policy("package policy\n\nallow { true }\n")
        self.assertEqual(status, 400)
        self.assertIn("policy.rego:3:7: ", json.loads(body)["detail"])


class Token(unittest.TestCase):
    """Each on a token of its own."""

    def serve_fails(self, vault, code, *words):
        done = vault.run("serve", "-c", vault.path("strongroom.yaml"), check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr.decode())
        return done

    def test_a_wrong_pin_is_sent_once_and_never_again(self):
        with Vault() as vault:
            vault.write("pin", "not the pin")
            fault = os.path.join(os.environ["STRONGROOM_BUILD"],
                                 "release/tests/fault/p11fault.so")
            control = vault.write("control", f"log {vault.path('calls')}\n")
            vault.configure(token={"module": fault})
            vault.env.update(P11FAULT_CONTROL=control, P11FAULT_MODULE=MODULE)
            for _ in range(3):
                self.serve_fails(vault, 7, "PIN")
            self.assertEqual(vault.read("calls").split().count("C_Login"), 1)
            vault.write("pin", vault.pin)
            vault.command("resource", "put", "a/b/c", stdin=b"x")

    def test_final_try_and_locked_stop_before_the_login(self):
        with Vault() as vault:
            fault = os.path.join(os.environ["STRONGROOM_BUILD"],
                                 "release/tests/fault/p11fault.so")
            vault.configure(token={"module": fault})
            for flag, word in (("0x20000", "one more wrong PIN"), ("0x40000", "locked")):
                control = vault.write("control", f"log {vault.path('calls')}\n"
                                      f"tokeninfo set={flag}\n")
                vault.env.update(P11FAULT_CONTROL=control, P11FAULT_MODULE=MODULE)
                self.serve_fails(vault, 7, word)
            self.assertNotIn("C_Login", vault.read("calls").split())

    def test_no_such_token(self):
        with Vault() as vault:
            vault.configure(token={"uri": "pkcs11:token=nosuch"})
            self.serve_fails(vault, 3, "nosuch", "test")

    def test_two_tokens_with_one_label(self):
        with Vault() as vault:
            subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", vault.label,
                            "--so-pin", "12345678", "--pin", "12345678"], env=vault.env,
                           check=True, capture_output=True)
            self.serve_fails(vault, 5, "serial")

    def test_pin_files(self):
        with Vault() as vault:
            os.chmod(vault.path("pin"), 0o644)
            self.serve_fails(vault, 2, "chmod 600")
            os.unlink(vault.path("pin"))
            self.serve_fails(vault, 3, "pin")

    def test_the_kek_of_another_broker(self):
        with Vault() as one, Vault(label="other") as other:
            one.command("resource", "put", "a/b/c", stdin=b"mine")
            other.command("resource", "put", "x/y/z", stdin=b"theirs")
            foreign = other.object_bytes("x/y/z")
            one.write_object("x/y/z", foreign)
            one.start().allow_all()
            guest = one.guest()
            self.assertEqual(guest.fetch("a/b/c"), b"mine")
            with self.assertRaises(Refused) as caught:
                guest.fetch("x/y/z")
            self.assertEqual(caught.exception.status, 404)
            state = json.loads(one.command("token", "status", "--format", "json").stdout)
            self.assertEqual(state["foreign_objects"], 1)
            self.assertEqual(one.object_bytes("x/y/z"), foreign)

    def damaged(self, change, expected):
        """Version 2 is replaced on the token by change(bytes); version 1 is kept beside it."""
        with Vault(config={"storage": {"keep_versions": 2}}) as vault:
            vault.command("resource", "put", "a/b/c", stdin=b"one")
            first = vault.object_bytes("a/b/c")
            vault.command("resource", "rm", "a/b/c")
            vault.command("resource", "put", "a/b/c", stdin=b"two")
            vault.command("resource", "put", "d/e/f", stdin=b"other")
            while vault.pkcs11_tool("--delete-object", "--type", "data", "--label", "a/b/c",
                                    check=False).returncode == 0:
                pass
            vault.write_object("a/b/c", first)
            vault.write_object("a/b/c", change(first, vault))
            vault.start().allow_all()
            guest = vault.guest()
            self.assertEqual(guest.fetch("d/e/f"), b"other")
            if isinstance(expected, bytes):
                self.assertEqual(guest.fetch("a/b/c"), expected)
                return
            with self.assertRaises(Refused) as caught:
                guest.fetch("a/b/c")
            self.assertEqual(caught.exception.status, expected)
            self.assertIn("a/b/c", vault.read("log"))
            vault.put("a/b/c", b"healed")
            self.assertEqual(guest.fetch("a/b/c"), b"healed")

    def test_a_damaged_newest_version_fails_and_no_older_one_is_served(self):
        def change(first, _):
            newer = first[:8] + (9).to_bytes(8, "big") + first[16:]
            return newer            # the header is bound: this no longer verifies
        self.damaged(change, 500)

    def test_a_torn_object_is_ignored(self):
        def change(first, _):
            newer = first[:8] + (9).to_bytes(8, "big") + first[16:]
            return newer[:-10]
        self.damaged(change, b"one")

    def test_an_object_moved_to_another_label(self):
        with Vault() as vault:
            vault.command("resource", "put", "a/b/c", stdin=b"one")
            vault.write_object("moved/to/here", vault.object_bytes("a/b/c"))
            vault.start().allow_all()
            guest = vault.guest()
            self.assertEqual(guest.fetch("a/b/c"), b"one")
            with self.assertRaises(Refused) as caught:
                guest.fetch("moved/to/here")
            self.assertIn(caught.exception.status, (404, 500))

    def test_a_damaged_policy_denies_all(self):
        with Vault() as vault:
            vault.command("resource", "put", "a/b/c", stdin=b"one")
            vault.command("policy", "set", "--allow-all")
            label = "strongroom:policy:resource-policy"
            good = vault.object_bytes(label)
            vault.delete_object(label)
            vault.write_object(label, good[:-1] + bytes([good[-1] ^ 1]))
            vault.start()
            with self.assertRaises(Refused) as caught:
                vault.guest().fetch("a/b/c")
            self.assertEqual(caught.exception.status, 403)
            self.assertIn("policy.damaged", vault.read("log"))
            vault.allow_all()
            self.assertEqual(vault.guest().fetch("a/b/c"), b"one")

    def test_a_full_token(self):
        with Vault() as vault:
            fault = os.path.join(os.environ["STRONGROOM_BUILD"],
                                 "release/tests/fault/p11fault.so")
            control = vault.write("control", "")
            vault.configure(token={"module": fault})
            vault.env.update(P11FAULT_CONTROL=control, P11FAULT_MODULE=MODULE)
            vault.start().allow_all()
            vault.put("a/b/c", b"kept")
            vault.write("control", "C_CreateObject rv=0x31\n")    # CKR_DEVICE_MEMORY
            status, _, body = vault.admin("POST", "/kbs/v0/resource/a/b/c", b"new")
            self.assertEqual(status, 507, body)
            self.assertEqual(vault.guest().fetch("a/b/c"), b"kept")
            vault.write("control", "\n")
            self.assertEqual(vault.put("a/b/c", b"new"), 2)

    def test_a_second_broker_on_one_token(self):
        with Vault() as vault:
            vault.start()
            vault.configure(http_server={"sockets": ["127.0.0.1:0"], "admin_socket": ""})
            self.serve_fails(vault, 5, "strongroom serve, pid")

    def test_a_port_in_use(self):
        with Vault() as vault, Vault(label="other") as other:
            vault.start()
            other.configure(http_server={"sockets": [vault.url.removeprefix("http://")]})
            self.serve_fails(other, 5, vault.url.removeprefix("http://"))

    def test_closed_descriptors_are_not_taken_by_files(self):
        """What is printed and logged would land in the file, or go out by the socket, that has the number."""
        with Vault(variant="release") as vault:
            def closed(which, *args):
                return subprocess.Popen(["sh", "-c", f'exec "$0" "$@" {which}', program("release"), *args, "-c",
                                         vault.path("strongroom.yaml")], env=vault.env)
            vault.command("resource", "put", "a/b/c", stdin=b"nobody's to read")
            for which in ("1>&-", "0<&- 1>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"):
                self.assertEqual(closed(which, "resource", "get", "a/b/c").wait(60), 1, which)
            for folder, _, names in os.walk(vault.path(".")):
                for name in names:
                    with open(os.path.join(folder, name), "rb") as file:
                        self.assertNotIn(b"nobody's to read", file.read(), name)
            vault.command("audit", "verify")
            vault.configure(token={"isolation": "helper"})
            serve = closed("0<&- 1>&- 2>&-", "serve")
            try:
                wait_until(lambda: vault.command("status", check=False).returncode == 0, 30, "serving")
                for number in range(3):
                    self.assertEqual(os.readlink(f"/proc/{serve.pid}/fd/{number}"), "/dev/null")
                serve.terminate()
                self.assertEqual(serve.wait(60), 0)
            finally:
                serve.kill()
                serve.wait()

    def test_a_token_killed_in_login_is_repaired_from_its_copy(self):
        """SoftHSM truncates and rewrites token.object in each C_Login."""
        with Vault() as vault:
            vault.command("resource", "put", "a/b/c", stdin=b"still here")
            folder = vault.path(os.path.join("tokens", os.listdir(vault.path("tokens"))[0]))
            with open(os.path.join(folder, "token.object"), "wb"):
                pass
            self.serve_fails(vault, 3)
            copy = [n for n in os.listdir(vault.path("state")) if n.endswith("token.object")]
            self.assertEqual(len(copy), 1)
            with open(vault.path("state/" + copy[0]), "rb") as good, \
                    open(os.path.join(folder, "token.object"), "wb") as broken:
                broken.write(good.read())
            self.assertEqual(vault.command("resource", "get", "a/b/c").stdout, b"still here")


class Configuration(unittest.TestCase):
    def check(self, text, code, *words):
        vault = Vault()
        vault.write("strongroom.yaml", text)
        done = vault.run("serve", "--check-config", "-c", vault.path("strongroom.yaml"),
                         check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        for word in words:
            self.assertIn(word, (done.stderr + done.stdout).decode())
        vault.__exit__(None)

    def test_an_unknown_key_names_its_place_and_the_nearest_one(self):
        self.check("tocken:\n  uri: x\n", 2, "strongroom.yaml:1:1", "tocken", "`token`")
        self.check("token:\n  modul: x\n", 2, "strongroom.yaml:2:3", "`module`")

    def test_a_pin_in_the_file_is_refused(self):
        self.check("token:\n  pin: \"1234\"\n", 2, "pin_source")

    def test_the_printed_defaults_are_accepted(self):
        vault = Vault()
        text = vault.run("serve", "--print-defaults").stdout
        vault.__exit__(None)
        self.check(text.replace(b"file:/etc/strongroom/pin", b"credential:pin"), 0)

    def test_a_pin_that_cannot_be_read(self):
        vault = Vault()
        pin = vault.write("a-pin", "1234\n")
        config = f'token: {{pin_source: "file:{pin}"}}\nattestation_service: {{verifier: sample}}\n'
        self.check(config, 0)
        os.chmod(pin, 0o644)
        self.check(config, 2, "token.pin_source", "a-pin", "chmod 600")
        os.remove(pin)
        self.check(config, 3, "token.pin_source", "a-pin", "No such file")
        vault.__exit__(None)

    def test_a_module_that_is_not_there(self):
        self.check("token: {module: /usr/lib/none.so, pin_source: prompt}\n"
                   "attestation_service: {verifier: sample}\n", 2, "token.module", "/usr/lib/none.so",
                   "no such PKCS#11 library")

    def test_the_example_is_accepted(self):
        example = os.path.join(os.path.dirname(__file__), "../../scripts/share/strongroom.yaml")
        with open(example, encoding="utf-8") as file:
            text = file.read()
        self.check(text, 3, "/etc/strongroom/tls.crt")  # which this host does not have
        with Vault() as vault:
            folder = vault.path("")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=example",
                            "-days", "30", "-keyout", folder + "tls.key",
                            "-out", folder + "tls.crt"], check=True, capture_output=True)
            text = text.replace("/etc/strongroom/tls", folder + "tls")
            self.check(text, 3, "/etc/strongroom/admin.pem.pub")
            os.rename(folder + "tls.crt", folder + "attestation-ca.pem")
            os.symlink(folder + "attestation-ca.pem", folder + "tls.crt")
            text = text.replace("/etc/strongroom/a", folder + "a")
            self.check(text, 2, "/opt/vendor/lib/libvendor-pkcs11.so")
            self.check(text.replace("/opt/vendor/lib/libvendor-pkcs11.so", MODULE), 0, "is right")

    def test_files_that_are_named_are_read(self):
        with Vault() as vault:
            vault.write("none.pem", "nothing of the kind\n")
            vault.write("keys.json", "{\"keys\":[]")
            bad = vault.path("none.pem")
            verifier = "attestation_service:\n  verifier: sample\n"
            for text, code, *words in (
                    (f"attestation_token:\n  trusted_certs_paths: [{bad}]\n", 2, bad),
                    (f"attestation_token:\n  trusted_jwk_sets: [{vault.path('keys.json')}]\n", 2,
                     "trusted_jwk_sets[0]"),
                    (f"{verifier}  attestation_token_broker: {{signer: {{key_path: {bad}, cert_path: {bad}}}}}\n", 2, bad),
                    (f"{verifier}  attestation_token_broker: {{signer: {{key_path: {bad}.not, cert_path: {bad}}}}}\n", 3,
                     bad + ".not"),
                    ("attestation_service:\n  verifier: grpc\n  as_addr: https://127.0.0.1:1\n"
                     f"  as_ca_cert: {bad}.not\nattestation_token:\n  trusted_jwk_sets: [https://127.0.0.1:1/]\n",
                     2, bad + ".not")):
                self.check(text, code, *words)


class CommandLine(unittest.TestCase):
    def test_mistypings(self):
        vault = Vault()
        for args, code, word in ((("sevre",), 2, "no command"), (("serve", "--confg", "x"), 2, "--confg"),
                                 (("resource", "put"), 2, "REPOSITORY/TYPE/TAG"),
                                 (("resource", "put", "a/b", "x"), 2, "a/b"),
                                 (("serve", "-c", "/nonexistent"), 3, "/nonexistent"),
                                 (("fetch",), 2, "kbs:///"), (("kek",), 2, "no command"),
                                 (("token", "init"), 2, "--module")):
            done = vault.run(*args, check=False)
            self.assertEqual(done.returncode, code, (args, done.stderr))
            self.assertIn(word, done.stderr.decode())
        vault.__exit__(None)

    def test_help_and_version(self):
        vault = Vault()
        overview = vault.run("help").stdout.decode()
        self.assertRegex(vault.run("--version").stdout.decode(), r"^strongroom \d+\.\d+\.\d+\n$")
        import re
        names = re.findall(r"^  (\S+(?: \S+)?) {2,}\S", overview, re.M)
        self.assertIn("resource put", names)
        for name in names:
            text = vault.run("help", *name.split()).stdout.decode()
            self.assertIn(f"usage: strongroom {name}", text)
            self.assertEqual(text, vault.run(*name.split(), "--help").stdout.decode())
        vault.__exit__(None)


if __name__ == "__main__":
    unittest.main()

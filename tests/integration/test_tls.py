"""HTTPS in the broker itself: certificates, their reload, and client certificates for operators."""

import contextlib
import datetime
import http.client
import json
import os
import socket
import ssl
import subprocess
import unittest
import warnings

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from guest import Refused
from vault import Vault, program

DAY = datetime.timedelta(days=1)
USAGE = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


class Pki:
    """Certificates as NAME.crt and NAME.key in a folder; `issuer` is one made before."""

    def __init__(self, folder):
        self.folder = folder
        self.made = {}

    def path(self, name):
        return os.path.join(self.folder, name)

    def make(self, name, issuer=None, usage="server", days=30, ca=False):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer_key, signer = (self.made[issuer] if issuer else (key, subject))
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(signer)
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now - 30 * DAY).not_valid_after(now + days * DAY)
                   .add_extension(x509.BasicConstraints(ca, None), True)
                   .add_extension(x509.SubjectAlternativeName([
                       x509.DNSName("localhost"),
                       x509.IPAddress(__import__("ipaddress").ip_address("127.0.0.1"))]), False))
        if not ca:
            builder = builder.add_extension(x509.ExtendedKeyUsage([USAGE[usage]]), False)
        certificate = builder.sign(signer_key, hashes.SHA256())
        self.made[name] = (key, subject)
        self.write(name + ".crt", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        self.write(name + ".key", key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()), 0o600)
        return self

    def write(self, name, data, mode):
        with open(self.path(name), "wb") as file:
            file.write(data)
        os.chmod(self.path(name), mode)

    def copy(self, name, to):
        """As an ACME client does it: the new pair takes the place of the old one."""
        for end in (".crt", ".key"):
            with open(self.path(name + end), "rb") as file:
                data = file.read()
            self.write(to + end, data, 0o644 if end == ".crt" else 0o600)

    def context(self, pair=None):
        context = ssl.create_default_context(cafile=self.path("ca.crt"))
        if pair:
            context.load_cert_chain(self.path(pair + ".crt"), self.path(pair + ".key"))
        return context


def open_vault(stack, **http_server):
    vault = Vault(label="tls")
    pki = Pki(vault.dir)
    pki.make("ca", ca=True).make("first", "ca").make("second", "ca", days=60)
    pki.make("server", "ca")
    vault.extra = {"http_server": {"certificate": pki.path("server.crt"),
                                   "private_key": pki.path("server.key"), **http_server}}
    stack.enter_context(vault)
    pki.copy("first", "server")
    vault.tls = pki.context()
    return vault, pki


def shown_subject(vault):
    """CN of the certificate that a new connection is shown."""
    with socket.create_connection(vault.address(), 10) as plain, \
            vault.tls.wrap_socket(plain, server_hostname="localhost") as sock:
        return dict(pair[0] for pair in sock.getpeercert()["subject"])["commonName"]


class Https(unittest.TestCase):
    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.vault, self.pki = open_vault(self.stack)

    def start(self):
        self.vault.start().allow_all()
        return self.vault

    def test_a_guest_and_an_operator(self):
        vault = self.start()
        self.assertTrue(vault.url.startswith("https://127.0.0.1:"), vault.url)
        vault.put("tls/guest/a", b"over TLS")
        self.assertEqual(vault.guest().fetch("tls/guest/a"), b"over TLS")
        large = os.urandom(1 << 20)
        vault.put("tls/guest/large", large)
        self.assertEqual(vault.guest().fetch("tls/guest/large"), large)
        # the commands reach the broker by its admin socket, which has no TLS
        listed = json.loads(vault.command("resource", "list", "tls/", "--format", "json").stdout)
        self.assertEqual(len(listed["resources"]), 2)

    def test_our_own_client(self):
        vault = self.start()
        vault.put("tls/fetch/a", b"fetched")
        fetch = ["fetch", "--url", vault.url, "kbs:///tls/fetch/a"]
        done = vault.run(*fetch, "--cacert", self.pki.path("ca.crt"))
        self.assertEqual(done.stdout, b"fetched")
        done = vault.run(*fetch, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"does not verify", done.stderr)
        self.assertIn(b"--cacert", done.stderr)
        done = vault.run(*fetch, "--cacert", vault.path("signer.crt"), check=False)
        self.assertNotEqual(done.returncode, 0)

    def test_plain_http_on_the_port_is_no_request(self):
        vault = self.start()
        self.assertNotIn(b"HTTP/1", vault.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"))
        self.assertEqual(vault.ask("GET", "/healthz")[0], 200)

    def test_versions_older_than_1_2_are_refused(self):
        vault = self.start()
        for version, spoken in ((ssl.TLSVersion.TLSv1, False), (ssl.TLSVersion.TLSv1_1, False),
                                (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)):
            vault.tls = self.pki.context()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                vault.tls.set_ciphers("ALL:@SECLEVEL=0")
                vault.tls.minimum_version = vault.tls.maximum_version = version
            with self.subTest(version=version):
                if spoken:
                    self.assertEqual(vault.ask("GET", "/healthz")[0], 200)
                else:
                    self.assertRaises((ssl.SSLError, ConnectionResetError), vault.ask, "GET",
                                      "/healthz")

    def test_no_http2_is_promised(self):
        vault = self.start()
        vault.tls.set_alpn_protocols(["h2", "http/1.1"])
        with socket.create_connection(vault.address(), 10) as plain, \
                vault.tls.wrap_socket(plain, server_hostname="localhost") as sock:
            self.assertEqual(sock.selected_alpn_protocol(), "http/1.1")

    def test_expiry_in_readiness_and_metrics(self):
        vault = self.start()
        ready = json.loads(vault.ask("GET", "/readyz")[2])
        self.assertTrue(ready["ready"])
        end = datetime.datetime.strptime(ready["certificate_expires"], "%Y-%m-%dT%H:%M:%SZ")
        self.assertAlmostEqual((end - datetime.datetime.utcnow()) / DAY, 30, delta=1)
        seconds = int((end - datetime.datetime(1970, 1, 1)).total_seconds())
        self.assertIn(f"\nstrongroom_tls_certificate_expiry_seconds {seconds}\n",
                      vault.ask("GET", "/metrics")[2].decode())

    def test_a_guest_that_asks_for_leave_to_send(self):
        """Expect: 100-continue: refused before the body to who may not, continued to who may."""
        vault = self.start()
        with socket.create_connection(vault.address(), 30) as plain, \
                vault.tls.wrap_socket(plain, server_hostname="localhost") as sock:
            head = (b"POST /kbs/v0/resource/a/b/c HTTP/1.1\r\nHost: x\r\n"
                    b"Content-Length: 5\r\nExpect: 100-continue\r\n")
            token = vault.cached_token().encode()
            sock.sendall(head + b"Authorization: Bearer " + token + b"\r\n\r\n")
            self.assertTrue(sock.recv(4096).startswith(b"HTTP/1.1 100 "))
            sock.sendall(b"value")
            self.assertTrue(sock.recv(4096).startswith(b"HTTP/1.1 200 "))
            sock.sendall(head + b"\r\n")
            self.assertTrue(sock.recv(4096).startswith(b"HTTP/1.1 401 "))
            rest = b"x"
            while rest:
                rest = sock.recv(4096)  # and the connection ends: nobody waits for the body


class Reload(unittest.TestCase):
    def test_new_certificate_then_a_bad_one(self):
        with contextlib.ExitStack() as stack:
            vault, pki = open_vault(stack)
            vault.start().allow_all()
            vault.put("tls/reload/a", b"there")
            self.assertEqual(shown_subject(vault), "first")
            kept = stack.enter_context(contextlib.closing(vault.connection()))
            kept.request("GET", "/healthz")
            self.assertEqual(kept.getresponse().read(), b"")

            pki.copy("second", "server")
            self.assertIn("reload.done", vault.reload())
            self.assertEqual(shown_subject(vault), "second")
            kept.request("GET", "/healthz")  # on the connection of before
            self.assertEqual(kept.getresponse().status, 200)
            end = json.loads(vault.ask("GET", "/readyz")[2])["certificate_expires"]
            self.assertGreater(end, (datetime.datetime.utcnow() + 50 * DAY).isoformat())

            bad = {"key of another": lambda: pki.copy("first", "server") or os.replace(
                       pki.path("second.key"), pki.path("server.key")),
                   "no certificate": lambda: pki.write("server.crt", b"nonsense\n", 0o644),
                   "open key": lambda: pki.copy("first", "server") or os.chmod(
                       pki.path("server.key"), 0o644),
                   "gone": lambda: os.unlink(pki.path("server.crt"))}
            for what, spoil in bad.items():
                with self.subTest(what=what):
                    spoil()
                    line = vault.reload()
                    self.assertIn("reload.refused", line)
                    self.assertIn("server.", line)  # names the file
                    self.assertEqual(shown_subject(vault), "second")
            self.assertEqual(vault.guest().fetch("tls/reload/a"), b"there")

            pki.copy("first", "server")
            self.assertIn("reload.done", vault.reload())
            self.assertEqual(shown_subject(vault), "first")

    def test_tls_is_not_switched_off_by_a_reload(self):
        with contextlib.ExitStack() as stack:
            vault, pki = open_vault(stack)
            vault.start()
            vault.configure(http_server={"certificate": None, "private_key": None})
            line = vault.reload()
            self.assertIn("reload.refused", line)
            self.assertIn("restart", line)
            self.assertEqual(shown_subject(vault), "first")


class ClientCertificates(unittest.TestCase):
    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.vault, self.pki = open_vault(self.stack)
        pki = self.pki
        pki.make("people", ca=True).make("alice", "people", "client")
        pki.make("website", "people", "server").make("gone", "people", "client", days=-1)
        pki.make("others", ca=True).make("mallory", "others", "client")
        self.vault.extra["http_server"]["admin_client_ca"] = [pki.path("people.crt")]
        self.vault.configure()
        self.vault.start()

    def as_(self, pair):
        self.vault.tls = self.pki.context(pair)
        return self.vault

    def test_operators_show_one_and_guests_need_none(self):
        vault = self.as_("alice")
        vault.allow_all()
        vault.put("tls/admin/a", b"by alice")
        record = [r for r in vault.audit() if r["action"] == "put"][-1]
        self.assertEqual(record["certificate"], "CN=alice")
        self.assertTrue(record["principal"].startswith("admin:"), record)

        for pair in (None, "mallory", "website", "gone"):
            with self.subTest(pair=pair):
                vault = self.as_(pair)
                status, _, body = vault.admin("POST", "/kbs/v0/resource/tls/admin/b", b"x")
                self.assertEqual(status, 401)
                error = json.loads(body)
                self.assertTrue(error["type"].endswith("/AdminAuthInitialization"), error)
                self.assertIn("client certificate", error["detail"])
                status, _, body = vault.admin("GET", "/kbs/v0/resource-policy")
                self.assertEqual(status, 401)
                self.assertTrue(json.loads(body)["type"].endswith("/AdminAuthAccess"), body)
                last = vault.audit()[-1]
                self.assertEqual((last["action"], last["decision"]), ("admin", "deny"))
                self.assertNotIn("certificate", last)

        self.assertEqual(self.as_(None).guest().fetch("tls/admin/a"), b"by alice")
        self.assertEqual(self.as_("mallory").guest().fetch("tls/admin/a"), b"by alice")
        # and the host's own operator comes by the socket
        vault.command("resource", "put", "tls/admin/local", stdin=b"local")

    def test_the_certificate_is_no_token(self):
        status, _, body = self.as_("alice").ask("POST", "/kbs/v0/resource/a/b/c", b"x")
        self.assertEqual(status, 401)
        self.assertNotIn("client certificate", json.loads(body)["detail"])
        last = self.vault.audit()[-1]
        self.assertEqual((last["decision"], last["certificate"]), ("deny", "CN=alice"))

    def test_other_cas_by_reload(self):
        vault = self.as_("alice")
        kept = self.stack.enter_context(contextlib.closing(vault.connection()))
        headers = {"Authorization": f"Bearer {vault.cached_token()}"}

        def status():
            kept.request("GET", "/strongroom/v1/status", headers=headers)
            reply = kept.getresponse()
            reply.read()
            return reply.status

        self.assertEqual(status(), 200)
        vault.configure(http_server={"admin_client_ca": [self.pki.path("others.crt")]})
        self.assertIn("reload.done", vault.reload())
        self.assertEqual(status(), 401)  # a connection does not outlive the CA's removal
        self.assertEqual(self.as_("mallory").admin("GET", "/strongroom/v1/status")[0], 200)


class Files(unittest.TestCase):
    """What a start and --check-config say of files that do not do."""

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.vault, self.pki = open_vault(self.stack)

    def check(self, **http_server):
        self.vault.configure(http_server=http_server)
        return self.vault.run("serve", "--check-config", "-c", self.vault.path("strongroom.yaml"),
                              check=False)

    def refused(self, *words, **http_server):
        done = self.check(**http_server)
        self.assertEqual(done.returncode, 2, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr.decode())
        return done

    def test_check_config(self):
        self.assertEqual(self.check().returncode, 0)
        os.chmod(self.pki.path("server.key"), 0o640)
        self.refused("server.key", "chmod 600")
        os.chmod(self.pki.path("server.key"), 0o600)
        self.refused("second.key", "is not that of the first certificate",
                     private_key=self.pki.path("second.key"))
        self.refused("log", "no certificate in PEM",
                     certificate=self.vault.write("log-file", "hello\n"))
        self.refused("insecure_http: true means plain HTTP", insecure_http=True)
        self.refused("certificate needs its private_key", private_key=None)
        self.refused("no TLS version is left", tls_profile="modern", tls_max_version="1.2")
        self.refused("signer.pem", admin_client_ca=[self.vault.path("signer.pem")])
        done = self.check(certificate=self.pki.path("none.crt"))
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn(b"none.crt", done.stderr)

    def test_plain_http_beyond_loopback_is_loud(self):
        plain = {"certificate": None, "private_key": None}
        beyond = {"sockets": ["127.0.0.1:8080", "0.0.0.0:8081"]}
        for warned, settings in ((True, {**plain, **beyond}), (False, beyond), (False, plain),
                                 (False, {**plain, **beyond, "insecure_http": True})):
            with self.subTest(settings=settings):
                done = self.check(**settings)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(b"PLAIN HTTP" in done.stderr, warned, done.stderr)
                self.assertNotIn(b"socket=127.0.0.1", done.stderr)

    def test_a_start_with_such_files_fails_with_the_same_words(self):
        os.chmod(self.pki.path("server.key"), 0o644)
        done = subprocess.run([program(self.vault.variant), "serve", "-c",
                               self.vault.path("strongroom.yaml")], capture_output=True,
                              env=self.vault.env, timeout=60)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn(b"chmod 600", done.stderr)

    def test_an_expired_certificate_is_loud_and_served(self):
        self.pki.make("old", "ca", days=-2)
        self.pki.copy("old", "server")
        done = self.check()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"EXPIRED", done.stderr)
        self.vault.start()
        self.assertIn("warn tls.certificate-time", self.vault.read("log"))
        self.assertRaises(ssl.SSLCertVerificationError, self.vault.ask, "GET", "/healthz")
        self.vault.tls.check_hostname = False
        self.vault.tls.verify_mode = ssl.CERT_NONE
        self.assertEqual(self.vault.ask("GET", "/healthz")[0], 200)


if __name__ == "__main__":
    unittest.main()

"""A broker on a throw-away SoftHSM token, for integration tests: real token, real server.

    with Vault() as vault:
        vault.start()
        vault.put("a/b/c", b"value")
        guest = vault.guest()
        guest.fetch("a/b/c")
"""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

BUILD = os.environ.get("STRONGROOM_BUILD", "build")
MODULE = "/usr/lib/softhsm/libsofthsm2.so"
ALLOW_ALL = "package policy\n\ndefault allow = true\n"
DENY_ALL = "package policy\n\ndefault allow = false\n"
VARIANT = os.environ.get("STRONGROOM_VARIANT", "asan")


def program(variant=None):
    return os.path.join(BUILD, variant or VARIANT, "strongroom")


def wait_until(condition, seconds=20, what="it"):
    """Polls until condition() is true; tests wait on conditions, never for a fixed time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {seconds} s")


class SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Vault:
    def __init__(self, label="test", variant=None, config=None, base=None):
        self.dir = base or tempfile.mkdtemp(prefix="strongroom test ")
        self.label = label
        self.variant = variant
        self.extra = config or {}
        self.process = None
        self.url = None
        self.tls = None  # an ssl.SSLContext, for a broker that speaks HTTPS
        for name in ("tokens", "state", "run"):
            os.makedirs(self.path(name), mode=0o700, exist_ok=True)
        self.env = {**os.environ, "SOFTHSM2_CONF": self.path("softhsm2.conf"),
                    "ASAN_OPTIONS": "detect_leaks=1:exitcode=99",
                    "LSAN_OPTIONS": "print_suppressions=0:suppressions='" + os.path.abspath(
                        os.path.join(os.path.dirname(__file__), "lsan.supp")) + "'",
                    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}
        self.write("softhsm2.conf", f"directories.tokendir = {self.path('tokens')}\n"
                   "objectstore.backend = file\nlog.level = ERROR\n")
        self.pin = os.urandom(16).hex()
        self.write("pin", self.pin)
        self.write("so-pin", os.urandom(16).hex())

    def __enter__(self):
        return self.prepare()

    def __exit__(self, kind, *_):
        self.stop(check=kind is None)
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text, mode=0o600):
        with open(self.path(name), "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(self.path(name), mode)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8", errors="replace") as file:
            return file.read()

    # ---- the command line --------------------------------------------------------------------

    def run(self, *args, stdin=b"", check=True, env=None):
        """strongroom ARGS; a config option is added where the command takes one."""
        done = subprocess.run([program(self.variant), *args], input=stdin, capture_output=True,
                              env={**self.env, **(env or {})}, timeout=120)
        if done.returncode in (99, -6, -11) or b"Sanitizer" in done.stderr:
            raise AssertionError(f"{args} crashed or leaked:\n{done.stderr.decode()}")
        if check and done.returncode != 0:
            raise AssertionError(f"{args} exited {done.returncode}: {done.stderr.decode()}")
        return done

    def command(self, *args, **options):
        return self.run(*args, "-c", self.path("strongroom.yaml"), **options)

    def prepare(self):
        self.init_token()
        self.run("admin", "keygen", self.path("admin.pem"))
        self.make_signer()
        self.configure()
        self.command("kek", "create")
        return self

    def init_token(self, label=None):
        return self.run("token", "init", "--module", MODULE, "--label", label or self.label,
                        "--so-pin-file", self.path("so-pin"), "--pin-file", self.path("pin"),
                        "--state-dir", self.path("state"))

    def make_signer(self):
        for command in (["ecparam", "-name", "prime256v1", "-genkey", "-noout",
                         "-out", self.path("signer.pem")],
                        ["req", "-new", "-x509", "-key", self.path("signer.pem"), "-subj",
                         "/CN=test signer", "-days", "2", "-out", self.path("signer.crt")]):
            subprocess.run(["openssl", *command], check=True, capture_output=True)

    def configure(self, **changes):
        """Writes strongroom.yaml; JSON is YAML too. Sections given by keyword are merged."""
        config = {
            "http_server": {"sockets": ["127.0.0.1:0"],
                            "admin_socket": self.path("run/admin.sock")},
            # The fault module too; test_isolation.py has the helper.
            "token": {"isolation": "in-process", "module": MODULE, "uri": f"pkcs11:token={self.label}",
                      "pin_source": "file:" + self.path("pin"),
                      # a busy machine is no token that hangs
                      "crypto_deadline": 20000, "object_deadline": 30000},
            "attestation_service": {"verifier": "sample", "attestation_token_broker": {
                "signer": {"key_path": self.path("signer.pem"),
                           "cert_path": self.path("signer.crt")}}},
            "attestation_token": {"trusted_certs_paths": [self.path("signer.crt")]},
            "admin": {"authorization_mode": "AuthenticatedAuthorization", "authentication": {
                "bearer_jwt": {"identity_providers": [
                    {"public_key_uri": self.path("admin.pem.pub")}]}}},
            "audit": {"file": self.path("audit.jsonl"), "sync": "none"},
            "process": {"state_dir": self.path("state"), "run_dir": self.path("run"),
                        "memory_lock": "best-effort"},
        }
        for layer in (self.extra, changes):
            for section, values in layer.items():
                config.setdefault(section, {}).update(values)
        self.write("strongroom.yaml", json.dumps(config, indent=1))

    # ---- the broker --------------------------------------------------------------------------

    def start(self, env=None, wait=True):
        log = open(self.path("log"), "ab")
        before = os.path.getsize(self.path("log"))
        self.process = subprocess.Popen(
            [program(self.variant), "serve", "-c", self.path("strongroom.yaml")],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**self.env, **(env or {})})
        log.close()
        if not wait:
            return self

        def serving():
            if self.process.poll() is not None:
                raise AssertionError(f"the broker ended with {self.process.returncode}:\n"
                                     + self.read("log"))
            found = re.search(r"info serving url=(\S+)", self.read("log")[before:])
            return found and found.group(1)

        self.url = wait_until(serving, 60, "serving")
        return self

    def stop(self, check=True):
        if not self.process:
            return
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process = None
        if check and code != 0:
            raise AssertionError(f"the broker ended with {code}:\n{self.read('log')[-6000:]}")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def wait_killed(self, seconds=60):
        """For one that kills itself (the fault module does)."""
        code = self.process.wait(seconds)
        self.process = None
        if code != -signal.SIGKILL:
            raise AssertionError(f"the broker ended with {code}, not killed:\n{self.read('log')[-6000:]}")

    def reload(self):
        """SIGHUP; waits for the line that says what came of it, and gives it."""
        before = len(self.read("log"))
        self.process.send_signal(signal.SIGHUP)

        def done():
            found = re.search(r"reload\.\w+.*", self.read("log")[before:])
            return found and found.group(0)

        return wait_until(done, what="a reload")

    def restart(self):
        self.stop()
        return self.start()

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))

    def second(self, **token):
        """Another broker on the same token, which only reads; not started yet."""
        reader = Vault(label=self.label, variant=self.variant, base=self.path("reader"))
        for name in ("pin", "softhsm2.conf", "signer.pem", "signer.crt", "admin.pem.pub", "admin.pem"):
            shutil.copy(self.path(name), reader.path(name))
        reader.pin = self.pin
        reader.configure(token={"role": "reader", "writer": "the writer's host", **token})
        return reader

    # ---- the fault module: tests/fault/p11fault.c ---------------------------------------------

    def with_faults(self, **token):
        """From the next start on the token is behind the module that fails where it is told to."""
        module = os.path.join(os.path.abspath(BUILD), "release/tests/fault/p11fault.so")
        self.configure(token={"module": module, **token})
        self.env.update(P11FAULT_CONTROL=self.path("control"), P11FAULT_MODULE=MODULE)
        return self.faults()

    def faults(self, *rules):
        """These rules and no others; they count from now on."""
        os.replace(self.write("control.new", "".join(f"{rule}\n" for rule in rules)), self.path("control"))
        return self

    # ---- HTTP --------------------------------------------------------------------------------

    def address(self):
        host, port = self.url.split("//")[1].rsplit(":", 1)
        return host, int(port)

    def connection(self, timeout=30):
        if self.tls:
            return http.client.HTTPSConnection(*self.address(), timeout=timeout, context=self.tls)
        return http.client.HTTPConnection(*self.address(), timeout=timeout)

    def ask(self, method, path, body=None, headers=None):
        """(status, headers, body) of one request."""
        return self.ask_by(self.connection(), method, path, body, headers)

    def ask_local(self, method, path, body=None, headers=None):
        """The same by the admin socket."""
        return self.ask_by(SocketConnection(self.path("run/admin.sock"), 30),
                           method, path, body, headers)

    @staticmethod
    def ask_by(connection, method, path, body, headers):
        try:
            connection.request(method, path, body, headers or {})
            reply = connection.getresponse()
            return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
        finally:
            connection.close()

    def raw(self, data, timeout=10):
        """Everything that comes back for these bytes until the peer closes."""
        with socket.create_connection(self.address(), timeout) as sock:
            sock.sendall(data)
            parts = []
            try:
                while part := sock.recv(65536):
                    parts.append(part)
            except (socket.timeout, ConnectionResetError):
                pass
            return b"".join(parts)

    def admin_token(self, *more):
        done = self.run("admin", "token", "--key", self.path("admin.pem"), *more)
        return done.stdout.decode().strip()

    def admin(self, method, path, body=None, headers=None, token=None):
        headers = {"Authorization": f"Bearer {token or self.cached_token()}", **(headers or {})}
        return self.ask(method, path, body, headers)

    def cached_token(self):
        if not hasattr(self, "token_"):
            self.token_ = self.admin_token()
        return self.token_

    def put(self, name, value, **options):
        status, headers, body = self.admin("POST", f"/kbs/v0/resource/{name}", value, **options)
        assert status == 200, (status, body)
        return int(headers["etag"].strip('"'))

    def set_policy(self, text, query=""):
        import base64
        encoded = base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
        return self.admin("POST", "/kbs/v0/resource-policy" + query, json.dumps({"policy": encoded}))

    def allow_if(self, condition):
        """A policy of this one condition."""
        status, _, body = self.set_policy(f"package policy\n\nallow if {{\n\t{condition}\n}}\n")
        assert status == 200, body
        return self

    def allow_all(self):
        status, _, body = self.set_policy(ALLOW_ALL)
        assert status == 200, body
        return self

    def guest(self, **options):
        from guest import Guest
        return Guest(self, **options)

    def audit(self):
        return [json.loads(line) for line in self.read("audit.jsonl").splitlines()]

    def crowd(self, mode, rounds, *options):
        """So many rounds of guests against the broker, from C: tests/bench/bench_guests.c."""
        program = os.path.join(BUILD, "release", "tests", "bench", "bench_guests")
        done = subprocess.run([program, "%s:%d" % self.address(), mode, str(rounds), *options],
                              capture_output=True, timeout=240)
        if done.returncode != 0:
            raise AssertionError(f"bench_guests {mode}: {done.stderr.decode()}")
        return json.loads(done.stdout)

    def metric(self, name):
        _, _, body = self.ask("GET", "/metrics")
        return int(re.search(rf"^{re.escape(name)} (\d+)$", body.decode(), re.MULTILINE).group(1))

    # ---- the token, with other people's tools -------------------------------------------------

    def pkcs11_tool(self, *args, check=True):
        done = subprocess.run(["pkcs11-tool", "--module", MODULE, "--token-label", self.label,
                               "--login", "--pin", "env:PIN", *args], capture_output=True,
                              env={**self.env, "PIN": self.pin}, timeout=60)
        if check and done.returncode != 0:
            raise AssertionError(f"pkcs11-tool {args}: {done.stderr.decode()}")
        return done

    def object_bytes(self, label):
        path = self.path("object.bin")
        self.pkcs11_tool("--read-object", "--type", "data", "--label", label,
                         "--output-file", path)
        with open(path, "rb") as file:
            return file.read()

    def write_object(self, label, data):
        path = self.path("object.new")
        with open(path, "wb") as file:
            file.write(data)
        self.pkcs11_tool("--write-object", path, "--type", "data", "--label", label,
                         "--application-label", "strongroom", "--private")

    def delete_object(self, label):
        self.pkcs11_tool("--delete-object", "--type", "data", "--label", label)

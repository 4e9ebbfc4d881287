"""The rows of kbs-api.md 9.2 and 15.16 that are the server's own: each test is called after its row. Whatever
is refused, the broker serves on."""

import json
import socket
import threading
import unittest

from vault import Vault, wait_until

GET = "GET /kbs/v0/resource/a/b/c HTTP/1.1\r\nHost: x\r\n"


class Rows(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.vault = Vault(config={"http_server": {"head_timeout": 2, "body_timeout": 2, "idle_timeout": 2}})
        cls.vault.prepare().start().allow_all()
        cls.vault.put("a/b/c", b"kept")

    @classmethod
    def tearDownClass(cls):
        cls.vault.__exit__(None)

    def tearDown(self):
        self.assertEqual(self.vault.guest().fetch("a/b/c"), b"kept")

    def status(self, request):
        reply = self.vault.raw(request if isinstance(request, bytes) else request.encode())
        self.assertTrue(reply.startswith(b"HTTP/1.1 "), reply[:100])
        return int(reply.split(b" ")[1])

    def error(self, method, path, headers=None, body=None):
        status, reply, text = self.vault.ask(method, path, body, headers)
        return status, reply, json.loads(text) if text else None

    def test_row_9_2__other_methods(self):
        for method in ("OPTIONS", "PATCH", "TRACE", "get"):
            status, headers, _ = self.error(method, "/kbs/v0/resource/a/b/c")
            self.assertEqual(status, 405, method)
            self.assertEqual(headers["allow"], "GET, POST, PUT, DELETE")
        status, headers, body = self.error("HEAD", "/kbs/v0/resource/a/b/c")
        self.assertEqual((status, body), (405, None))

    def test_row_9_2__unknown_path(self):
        for path in ("/", "/x", "/kbs", "/kbs/", "/kbs/v0", "/kbs/v1/resource/a/b/c", "/healthz/x", "/metrics/",
                     "/kbs%2Fv0/resource/a/b/c", "/KBS/v0/resource/a/b/c", "//kbs/v0/x"):
            status, _, body = self.error("GET", path)
            self.assertEqual(status, 404, path)
            self.assertEqual(sorted(body), ["detail", "type"], path)

    def test_row_9_2__metrics_and_healthz(self):
        for path in ("/metrics", "/healthz"):
            self.assertEqual(self.vault.ask("GET", path)[0], 200)
            status, headers, _ = self.error("POST", path)
            self.assertEqual((status, headers["allow"]), (405, "GET"))
        self.assertEqual(self.vault.ask("GET", "/healthz")[2], b"")

    def test_row_9_2__payload_too_large(self):
        limit = 2 << 20
        self.vault.put("rows/at/limit", b"x" * limit)
        reply = self.vault.raw(("POST /kbs/v0/resource/rows/over/limit HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                                f"{self.vault.cached_token()}\r\nContent-Length: {limit + 1}\r\n\r\n").encode())
        head, _, body = reply.partition(b"\r\n\r\n")
        self.assertIn(b" 413 ", head.split(b"\r\n")[0])
        self.assertIn(b"content-type: application/json", head.lower())
        self.assertEqual(json.loads(body)["detail"], "payload reached size limit")

    def test_row_9_2__undecodable_query(self):
        for query in ("%zz", "a=%", "a=%ff", "&&", "=", "a=1&a=2", "+"):
            self.assertEqual(self.error("GET", "/kbs/v0/resource/a/b/c?" + query)[0], 401, query)
            guest = self.vault.guest()
            guest.handshake()
            self.assertEqual(guest.get("a/b/c?" + query), b"kept")

    def test_row_9_2__large_head(self):
        """A head below 96 KiB is read whatever it is made of; beyond the limits it is refused."""
        token = "x" * (60 << 10)
        self.assertEqual(self.status(GET + f"Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"), 401)
        self.assertIn(self.status(GET + f"X-Large: {'x' * (200 << 10)}\r\n\r\n"), (400, 413, 431))

    def test_row_15_16__header_lines(self):
        """96 of them, which the reference takes, are taken."""
        lines = "".join(f"X-{n}: 1\r\n" for n in range(94))
        self.assertEqual(self.status(GET + lines + "Connection: close\r\n\r\n"), 401)
        lines = "".join(f"X-{n}: 1\r\n" for n in range(200))
        self.assertEqual(self.status(GET + lines + "\r\n"), 431)

    def test_row_15_16__long_target(self):
        self.assertIn(self.status(f"GET /kbs/v0/resource/{'x' * 70000} HTTP/1.1\r\nHost: x\r\n\r\n"), (400, 414))

    def test_row_15_16__unfinished_header(self):
        """The connection ends; the reference answers 408 before."""
        self.assertIn(self.vault.raw(GET.encode(), timeout=30)[:12], (b"", b"HTTP/1.1 408"))

    def test_row_15_16__bodies_end_in_time(self):
        """The reference waits for ever."""
        self.assertEqual(self.status("POST /kbs/v0/auth HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"), 408)

    def test_row_15_16__idle_keep_alive(self):
        with socket.create_connection(self.vault.address(), 30) as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            reply = b""
            while b"\r\n\r\n" not in reply:
                reply += sock.recv(4096)
            self.assertEqual(sock.recv(4096), b"")   # the server ends it, and not we

    def test_row_15_2__targets(self):
        for target, status in (("/kbs/v0/%72esource/a/b/c", 401), ("/kbs/v0/resource%2Fa/b/c", 401),
                               ("/kbs/v0/resource/a%2Fb/c#fragment", 401), ("/kbs/v0/resource/a/b/%", 401),
                               ("http://elsewhere/kbs/v0/resource/a/b/c", 401)):
            reply = self.vault.raw(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            self.assertEqual(int(reply.split(b" ")[1]), status, target)
        guest = self.vault.guest()
        guest.handshake()
        for name in ("a%2Fb%2Fc", "%61/b/c", "/a/b/c"):
            self.assertEqual(guest.get(name), b"kept", name)

    def test_row_2_6__many_attests_in_one_session(self):
        """Each is answered, and what the session has afterwards opens (15.6: the reference may drop some)."""
        guest = self.vault.guest()
        guest.auth()
        body = json.dumps(guest.attestation())
        answers = []

        def attest():
            answers.append(self.vault.ask("POST", "/kbs/v0/attest", body, guest.headers()))
        threads = [threading.Thread(target=attest) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([status for status, _, _ in answers], [200] * 12)
        self.assertEqual(guest.get("a/b/c"), b"kept")


class Expiry(unittest.TestCase):
    def test_row_2_3__a_session_ends(self):
        """After its end the client hears 401 and attests anew by itself (14.13)."""
        with Vault(config={"attestation_service": {"verifier": "sample", "session_seconds": 3}}) as vault:
            vault.start().allow_all()
            vault.put("a/b/c", b"value")
            guest = vault.guest()
            guest.handshake()

            def ended():
                return vault.ask("GET", "/kbs/v0/resource/a/b/c", None, guest.headers())
            status, _, body = wait_until(lambda: (reply := ended())[0] != 200 and reply, what="its end")
            self.assertEqual((status, json.loads(body)["detail"]), (401, "Attestation Token not found"))
            guest.handshake()
            self.assertEqual(guest.get("a/b/c"), b"value")


if __name__ == "__main__":
    unittest.main()

"""More than the broker can do: who is served, who is refused and how, and who gets through all the same."""

import re
import socket
import threading
import unittest

from vault import Vault, wait_until

CONNECTIONS = 8
CROWD = 32      # guests that come again and again, each time by another connection
ROUNDS = 25     # of each
STRANGERS = 32  # as many as have room together, or fewer
LARGEST = 2 << 20
SMALL = 64 << 10
PROBES = ("/healthz", "/readyz", "/metrics")


def get(path, headers=""):
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode()


def hear(address, request):
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(request)
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(4096)
            if not piece:
                break
            head += piece
    return int(head.split(b" ", 2)[1]), head.split(b"\r\n\r\n")[0].decode()


def answer(address, request):
    """(status, head) of a request on a connection of its own; (why, "") where there was none."""
    try:
        return hear(address, request)
    except (OSError, IndexError) as error:
        return repr(error), ""


class Overload(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.vault = Vault(config={"http_server": {"max_connections": CONNECTIONS}}).prepare()
        cls.vault.start().allow_all()
        cls.vault.put("a/b/c", b"value")
        cls.token = cls.vault.guest().handshake()

    @classmethod
    def tearDownClass(cls):
        cls.vault.__exit__(None)

    def answer(self, request):
        return answer(self.vault.address(), request)

    def fill(self):
        """All the connections that there may be, each with a request that is not whole."""
        self.end([])
        held = []
        for _ in range(CONNECTIONS):
            held.append(socket.create_connection(self.vault.address(), timeout=30))
            held[-1].sendall(b"GET /kbs/v0/resource/a/b/c HTTP/1.1\r\n")
        wait_until(lambda: self.vault.metric("strongroom_connections") == CONNECTIONS + 1, what="a full broker")
        return held

    def end(self, held):
        for connection in held:
            connection.close()
        wait_until(lambda: self.vault.metric("strongroom_connections") == 1, what="an empty broker")

    def test_probes_and_operators_get_through(self):
        held = self.fill()
        refused = self.vault.metric("strongroom_connections_refused_total")
        for _ in range(3):
            for path in PROBES:
                status, _ = self.answer(get(path))
                self.assertEqual(status, 200, path)
        status, head = self.answer(get("/kbs/v0/resource/a/b/c"))
        self.assertEqual(status, 503)
        self.assertIn("Retry-After: 1", head)
        self.assertEqual(self.vault.metric("strongroom_connections_refused_total"), refused + 1)
        status, _, _ = self.vault.ask_local("GET", "/strongroom/v1/status")
        self.assertEqual(status, 200)
        self.end(held)
        self.assertEqual(self.token.get("a/b/c"), b"value")

    def test_a_crowd_is_served_or_refused(self):
        """Guests get 200 or 503 and nothing else; probes get 200 all the while."""
        request = get("/kbs/v0/resource/a/b/c", "Cookie: " + self.token.headers()["Cookie"] + "\r\n")
        answers, probes, over = [], [], threading.Event()

        def come():
            for _ in range(ROUNDS):
                answers.append(self.answer(request)[0])

        def probe():
            while not over.is_set():
                for path in PROBES:
                    probes.append(self.answer(get(path))[0])

        guests = [threading.Thread(target=come) for _ in range(CROWD)]
        prober = threading.Thread(target=probe)
        for thread in (prober, *guests):
            thread.start()
        for thread in guests:
            thread.join()
        over.set()
        prober.join()
        print(f"{answers.count(200)} served, {answers.count(503)} refused, {len(probes)} probes",
              end=" ... ", flush=True)
        self.assertEqual(len(answers), CROWD * ROUNDS)
        self.assertEqual(set(answers) - {503}, {200})
        self.assertEqual(set(probes), {200})
        self.end([])
        self.assertEqual(self.token.get("a/b/c"), b"value")


class LargeBodies(unittest.TestCase):
    def test_strangers_keep_no_guest_out(self):
        """Bodies as large as they may be, of which nobody sends the last byte."""
        with Vault(config={"http_server": {"body_timeout": 300, "request_timeout": 600}}) as vault:
            vault.start().allow_all()
            vault.put("a/b/c", b"value")
            held = []

            def one_more():
                held.append(socket.create_connection(vault.address(), timeout=30))
                held[-1].sendall(f"POST /kbs/v0/attest HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGEST}\r\n\r\n"
                                 .encode() + b" " * (LARGEST - 1))
                return len(held) > STRANGERS and vault.ask("POST", "/kbs/v0/attest", b" " * LARGEST)[0] == 503

            wait_until(one_more, seconds=120, what="no room for one more")
            for _ in range(3):
                self.assertEqual(vault.guest().fetch("a/b/c"), b"value")
            status, _, _ = vault.ask("POST", "/kbs/v0/attest", b" " * SMALL)
            self.assertEqual(status, 401)
            for connection in held:
                connection.close()
            wait_until(lambda: vault.ask("POST", "/kbs/v0/attest", b" " * LARGEST)[0] == 401, what="room again")


class Https(unittest.TestCase):
    def test_probes_have_a_plain_socket(self):
        """What the others ask for cannot be seen, so probes have an address of their own."""
        vault = Vault()
        vault.extra = {"http_server": {
            "certificate": vault.path("signer.crt"), "private_key": vault.path("signer.pem"),
            "max_connections": CONNECTIONS, "probe_sockets": ["127.0.0.1:0"]}}
        with vault:
            vault.start()
            host, port = re.search(r"serving.probes socket=(\S+):(\d+)", vault.read("log")).groups()
            probes = (host, int(port))
            held = [socket.create_connection(vault.address(), timeout=30) for _ in range(CONNECTIONS + 1)]
            wait_until(lambda: "\nstrongroom_connections_refused_total 1\n" in
                       vault.ask_local("GET", "/metrics")[2].decode(), what="a full broker")
            for path in PROBES:
                self.assertIn(answer(probes, get(path))[0], (200, 503) if path == "/readyz" else (200,))
            self.assertEqual(answer(probes, get("/kbs/v0/auth"))[0], 404)
            for connection in held:
                connection.close()


if __name__ == "__main__":
    unittest.main()

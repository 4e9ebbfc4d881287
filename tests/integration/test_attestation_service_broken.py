"""Attestation services that are broken or hostile. Whatever they answer: a guest is told so in time, gets no
token, and the next one is served by a service that is well again. On the built program."""

import json
import os
import struct
import threading
import time
import unittest

from attestation_service import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEAD, OK, PING,
                                 RST_STREAM, SETTINGS, Appraiser, HandMadeGrpc, RestService, field, fields,
                                 grpc_frame, h2_frame, h2_headers, hpack)
from guest import Guest, Refused, unb64u
from vault import Vault, wait_until

SECONDS = 4  # what one question may take here


class Broken:
    """misbehave(what, status): one handshake while the service answers like that."""

    def setUp(self):
        self.vault = Vault()
        self.addCleanup(self.vault.__exit__, None)
        self.vault.prepare()
        self.appraiser = Appraiser(self.vault.path("signer.pem"), self.vault.path("signer.crt"))
        self.service = self.make()
        self.addCleanup(self.service.stop)
        self.vault.configure(attestation_service={
            "verifier": self.service.kind, "as_addr": self.service.url(), "call_timeout": SECONDS,
            "pool_size": 2})
        self.vault.start()
        self.end = threading.Event()
        self.addCleanup(self.end.set)

    def misbehave(self, what, status=503, why=""):
        self.vault.guest().handshake()  # it is well before
        self.service.set_misbehave(what)
        guest = self.vault.guest().auth()
        with self.assertRaises(Refused) as refused:
            guest.attest()
        self.assertEqual(refused.exception.status, status, self.vault.read("log"))
        body = refused.exception.body.decode()
        self.assertTrue(set(json.loads(body)) == {"type", "detail"})
        lines = [line for line in self.vault.read("log").splitlines()
                 if " attest.failed " in line or " attest.refused " in line]
        self.assertIn(why, lines[-1])
        self.assertLess(len(lines[-1]), 2000)
        self.service.set_misbehave(None)
        guest.attest()                  # and the same session after

    def attest_all_bad(self, count, statuses, **more):
        """Guests whose own evidence makes their question fail, one after the other."""
        for _ in range(count):
            guest = self.vault.guest().auth()
            bad = guest.attestation()
            bad["tee-evidence"]["primary_evidence"].update(more)
            with self.assertRaises(Refused) as refused:
                guest.attest(bad)
            self.assertIn(refused.exception.status, statuses, refused.exception.body)

    def until_closed(self, exchange, data):
        """Sends it over and over until the broker has had enough."""
        while not self.end.is_set():
            exchange.send(data)

    def drip(self, exchange, data):
        for byte in data:
            exchange.send(bytes([byte]))
            if self.end.wait(0.2):
                return


class Grpc(Broken, unittest.TestCase):
    def make(self):
        return HandMadeGrpc(self.appraiser)

    def test_it_works_when_it_behaves(self):
        guest = self.vault.guest().handshake()
        bad = guest.auth().attestation()
        bad["tee-evidence"]["primary_evidence"] = guest.evidence(nonce="AAAA")
        with self.assertRaises(Refused) as refused:
            guest.attest(bad)
        self.assertEqual(refused.exception.status, 401)
        self.assertEqual(self.service.connections, 1)

    # ---- not gRPC, not HTTP ---------------------------------------------------------------------

    def test_garbage(self):
        self.misbehave(lambda x: x.send(os.urandom(5000)))

    def test_http_1(self):
        self.misbehave(lambda x: x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"))

    def test_early_close(self):
        self.misbehave(lambda x: None)

    def test_close_in_the_middle(self):
        def what(x):
            x.head()
            x.data(grpc_frame(x.honest())[:50])
        self.misbehave(what)

    def test_close_before_the_trailers(self):
        def what(x):
            x.head()
            x.data(grpc_frame(x.honest()))
        self.misbehave(what)

    def test_reset(self):
        self.misbehave(lambda x: x.send(h2_frame(RST_STREAM, 0, x.stream, struct.pack(">I", 2))) or
                       self.end.wait(SECONDS * 2))

    def test_goaway(self):
        self.misbehave(lambda x: x.send(h2_frame(GOAWAY, 0, 0, struct.pack(">II", 0, 11))))

    def test_a_cut_answer_is_asked_for_again(self):
        """What a connection looks like that goes away with the last bytes."""
        def what(x):
            self.service.set_misbehave(None)
            x.head()
            x.data(grpc_frame(x.honest()), END_STREAM)
            x.keep()
        self.service.set_misbehave(what)
        self.vault.guest().handshake()
        self.assertIsNone(self.service.misbehave)  # it did come to that
        self.assertNotIn(" attest.failed ", self.vault.read("log"))

    def test_wrong_content_type(self):
        def what(x):
            x.answer(x.honest(), [(":status", "200"), ("content-type", "text/html")])
            x.keep()
        self.misbehave(what, why="not gRPC")

    def test_statuses_of_proxies(self):
        for status in ("301", "401", "404", "429", "502", "503", "504"):
            with self.subTest(status):
                self.misbehave(lambda x: (x.head([(":status", status), ("content-type", "text/html"),
                                                  ("location", "http://127.0.0.1:1/")],
                                                 END_HEADERS | END_STREAM), x.keep()),
                               why="HTTP status " + status)

    # ---- not this gRPC ---------------------------------------------------------------------------

    def test_status(self):
        for trailers, why in (([], "no status of gRPC"), ([("grpc-status", "abc")], "no status"),
                              ([("grpc-status", "")], "no status"), ([("grpc-status", "17")], "no status"),
                              ([("grpc-status", "-0")], "no status"),
                              ([("grpc-status", "0"), ("grpc-status", "14")], "UNAVAILABLE"),
                              ([("grpc-status", "14"), ("grpc-message", "no%20healthy upstream")],
                               "no healthy upstream"),
                              ([("grpc-status", "12")], "UNIMPLEMENTED"),
                              ([("grpc-status", "2"), ("grpc-message", "%F")], "UNKNOWN: %F")):
            with self.subTest(trailers):
                self.misbehave(lambda x: (x.answer(x.honest(), trailers=trailers or [("x", "y")]),
                                          x.keep()), why=why)

    def test_refusals_are_401(self):
        for trailers in ([("grpc-status", "10"), ("grpc-message", "a%7F%00%0Ab" * 1000)],
                         [("grpc-status", "3")], [("grpc-status", "11")]):
            self.misbehave(lambda x: (x.head(HEAD + trailers, END_HEADERS | END_STREAM),
                                      x.keep()), 401, "refused it")

    def test_message(self):
        for make, why in ((lambda m: b"", "no message"), (lambda m: b"\0\0\0", "no message"),
                          (lambda m: grpc_frame(m, flag=1), "compressed"),
                          (lambda m: grpc_frame(m) + grpc_frame(m), "more than one"),
                          (lambda m: grpc_frame(m) + b"\0", "more than one"),
                          (lambda m: grpc_frame(m, length=len(m) + 1), "shorter than it says"),
                          (lambda m: grpc_frame(m, length=2**32 - 1), "shorter than it says"),
                          (lambda m: grpc_frame(m, length=len(m) - 1), "more than one"),
                          (lambda m: grpc_frame(os.urandom(400)), ""),
                          (lambda m: grpc_frame(b"\x0a\xff\xff\xff\xff\x0f"), "no protobuf"),
                          (lambda m: grpc_frame(b""), "not of an attestation service"),
                          (lambda m: grpc_frame(field(1, "")), "not of an attestation service"),
                          (lambda m: grpc_frame(field(1, "<html>")), "not of an attestation service"),
                          (lambda m: grpc_frame(field(1, "a.b." + "c" * 100_000)), "too long")):
            with self.subTest(why):
                def what(x):
                    x.head()
                    x.data(make(x.honest()))
                    x.trailers()
                    x.keep()
                self.misbehave(what, 401 if why == "too long" else 503, why=why)

    # ---- too much, too slow ------------------------------------------------------------------------

    def test_endless_body(self):
        def what(x):
            x.head()
            self.until_closed(x, h2_frame(DATA, 0, x.stream, b"x" * 16384))
        self.misbehave(what, 401, why="larger than")

    def test_huge_headers(self):
        def what(x):
            x.send(self.large(x.stream, HEAD, 0))
            x.data(grpc_frame(x.honest()))
            x.trailers()
        self.misbehave(what)

    @staticmethod
    def large(stream, pairs, flags):
        return h2_headers(stream, pairs, flags) + b"".join(
            h2_frame(CONTINUATION, END_HEADERS if n == 40 else 0, stream, hpack(("x", "y" * 10000)))
            for n in range(41))

    def test_huge_trailers(self):
        def what(x):
            x.head()
            x.data(grpc_frame(x.honest()))
            x.send(self.large(x.stream, OK, END_STREAM))
        self.misbehave(what)

    def test_endless_continuations(self):
        def what(x):
            x.send(h2_headers(x.stream, HEAD, 0))
            self.until_closed(x, h2_frame(CONTINUATION, 0, x.stream, hpack(("x", "y" * 1000))))
        self.misbehave(what)

    def test_endless_informational_answers(self):
        self.misbehave(lambda x: self.until_closed(x, h2_headers(x.stream, [(":status", "103")])),
                       401, why="larger than")

    def test_endless_pings_and_settings(self):
        for data in (h2_frame(PING, 0, 0, b"12345678"), h2_frame(PING, ACK, 0, b"12345678"),
                     h2_frame(SETTINGS, 0, 0)):
            self.misbehave(lambda x: self.until_closed(x, data * 100))

    def test_no_answer_at_all(self):
        began = time.monotonic()
        self.misbehave(lambda x: self.end.wait(30), why="Timeout")
        self.assertLess(time.monotonic() - began, 25)  # of 30: it was not waited for

    def test_slow_drip(self):
        def what(x):
            x.head()
            self.drip(x, b"".join(h2_frame(DATA, 0, x.stream, b"x") for _ in range(100)))
        self.misbehave(what, why="Timeout")

    def test_no_window_to_send_in(self):
        """The service takes no more of a question than its first 64 KiB."""
        self.service.window = False
        self.vault.guest().handshake()
        guest = self.vault.guest().auth()
        large = guest.attestation()
        large["tee-evidence"]["primary_evidence"]["more"] = "x" * 200_000
        with self.assertRaises(Refused) as refused:
            guest.attest(large)
        self.assertEqual(refused.exception.status, 503)
        self.service.window = True
        guest.attest(large)

    # ---- tokens ------------------------------------------------------------------------------------

    def test_token_for_another_key(self):
        other = Guest(self.vault).jwk()

        def change(claims):
            held = claims["submods"]["cpu0"]["ear.veraison.annotated-evidence"]["runtime_data_claims"]
            held["tee-pubkey"] = other
            return claims

        def what(x):
            self.appraiser.change = change
            x.answer(x.honest())
            self.appraiser.change = lambda claims: claims
            x.keep()
        self.misbehave(what, 401, "for another key")

    def test_an_old_token(self):
        """Of a handshake before, with the same key: the nonce differs."""
        guest = self.vault.guest().handshake()
        old = guest.token
        guest.auth()
        self.service.set_misbehave(lambda x: (x.answer(field(1, old)), x.keep()))
        with self.assertRaises(Refused) as refused:
            guest.attest()
        self.assertEqual(refused.exception.status, 401)
        self.assertIn("its nonce differs", self.vault.read("log"))

    # ---- the breaker ---------------------------------------------------------------------------------

    def well_but_for(self, evil):
        """The service does `evil` to evidence that says it is evil, and answers everything else as it should."""
        def what(x):
            if x.path == "/AttestationEvaluate" and b'"evil"' in self.evidence_of(x):
                evil(x)
            else:
                x.answer(x.honest())
                x.keep()
        self.service.set_misbehave(what)

    @staticmethod
    def evidence_of(exchange):
        pieces = [dict(fields(value)) for n, value in fields(exchange.message) if n == 1]
        return b"".join(unb64u(piece[3].decode()) for piece in pieces)

    def test_no_guest_closes_the_service_for_others(self):
        def quoted(x):  # 100,000 bytes of it, as the service does; libcurl calls that no answer
            x.send(h2_headers(x.stream, HEAD + [("grpc-status", "10")], END_STREAM) + b"".join(
                h2_frame(CONTINUATION, END_HEADERS if n == 9 else 0, x.stream,
                         hpack(("grpc-message", "x" * 10_000))) for n in range(10)))
            x.keep()

        def unavailable(x):
            x.head(HEAD + [("grpc-status", "14")], END_HEADERS | END_STREAM)
            x.keep()

        for evil, status in ((quoted, 503), (unavailable, 503), (lambda x: None, 503)):
            self.well_but_for(evil)
            for _ in range(3):
                self.attest_all_bad(5, {status}, evil=1)
                self.vault.guest().handshake()  # at once, not after a while
        self.assertNotIn(" attestation-service.down ", self.vault.read("log"))
        asked = [what for what, _ in self.appraiser.asked if what == "challenge"]
        self.assertEqual(len(asked), 9)


    def test_a_hanging_service_holds_nobody_for_long(self):
        """Guests beyond the pool wait their turn; once it is given up, nobody waits."""
        self.service.set_misbehave(lambda x: self.end.wait(60))
        statuses = []

        def one():
            try:
                self.vault.guest().handshake()
                statuses.append(200)
            except Refused as refused:
                statuses.append(refused.status)

        threads = [threading.Thread(target=one) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        self.assertEqual(statuses, [503] * 12)
        self.assertIn(" attestation-service.down ", self.vault.read("log"))
        self.service.set_misbehave(None)

        def works():
            one()
            return statuses[-1] == 200
        wait_until(works, 40, "the service's return")
        self.assertIn(" attestation-service.up ", self.vault.read("log"))


class Rest(Broken, unittest.TestCase):
    def make(self):
        return RestService(self.appraiser)

    @staticmethod
    def say(status, body=b"", head=b"", length=None):
        def what(handler):
            handler.wfile.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (
                status, len(body) if length is None else length, head, body))
        return what

    def test_garbage(self):
        self.misbehave(lambda h: h.wfile.write(b"\0\1\2 nonsense\r\n\r\n"))

    def test_early_close(self):
        self.misbehave(lambda h: None)

    def test_no_token(self):
        for body in (b"", b"<html>", b'{"token":"a.b.c"}', b"a.b", b"a.b.c.d", b"a.b.c\0", b"\xff.\xff.\xff"):
            with self.subTest(body[:20]):
                self.misbehave(self.say(b"200 OK", body), why="not of an attestation service")

    def test_token_too_long(self):
        self.misbehave(self.say(b"200 OK", b"a.b." + b"c" * 200_000), 401, why="too long")

    def test_token_of_nobody(self):
        self.misbehave(self.say(b"200 OK", b"a.b.c"), why="no strict base64url")

    def test_statuses_of_proxies(self):
        for status in (b"301 Moved", b"401 No", b"403 No", b"404 No", b"405 No", b"429 No", b"502 Bad Gateway",
                       b"503 Busy", b"504 Late", b"520 Odd"):
            with self.subTest(status):
                self.misbehave(self.say(status, b"from a proxy", b"Location: http://127.0.0.1:1/\r\n"),
                               why="HTTP status " + status[:3].decode())

    def test_refusals_are_401(self):
        for status in (b"500 No", b"400 No", b"413 No"):
            self.misbehave(self.say(status, b"An internal error occured: \n0: " + b"x\x7f\n\xff" * 9000), 401)

    def test_shorter_than_it_says(self):
        self.misbehave(self.say(b"200 OK", b"a.b.c", length=100))

    def test_compressed(self):
        self.misbehave(self.say(b"200 OK", os.urandom(100), b"Content-Encoding: gzip\r\n"))

    def test_endless_body(self):
        def what(handler):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while not self.end.is_set():
                handler.wfile.write(b"x" * 65536)
        self.misbehave(what, 401, why="larger than")

    def test_endless_chunks(self):
        def what(handler):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while not self.end.is_set():
                handler.wfile.write(b"1\r\nx\r\n" * 1000)
        self.misbehave(what, 401, why="larger than")

    def test_endless_headers(self):
        def what(handler):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not self.end.is_set():
                handler.wfile.write(b"X: y\r\n" * 1000)
        self.misbehave(what, 401, why="larger than")

    def test_slow_drip(self):
        def what(handler):
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\na.b.c":
                handler.wfile.write(bytes([byte]))
                if self.end.wait(0.2):
                    return
        self.misbehave(what, why="Timeout")

    def test_no_answer_at_all(self):
        self.misbehave(lambda h: self.end.wait(30), why="Timeout")


if __name__ == "__main__":
    unittest.main()

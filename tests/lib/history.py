"""Clients that record what they ask and what they are answered, for tests/lib/linear.py to judge.

    history = History()
    client = Client(vault, history)
    client.put("a/b/c", 100)
    client.get("a/b/c")
    history.check()
"""

import hashlib
import http.client
import itertools
import json
import os
import threading
import time

from linear import Op, explain


def value_of(number, size, fill=None):
    """Shows which one it is, and whether it is whole."""
    body = b"%012d" % number + (fill or os.urandom(1)) * size
    return body + hashlib.sha256(body).digest()


def number_of(data):
    body, digest = data[:-32], data[-32:]
    if hashlib.sha256(body).digest() != digest:
        raise AssertionError(f"half a value of {len(data)} bytes was read")
    return int(body[:12])


RENEW_SECONDS = 120     # tokens live for five minutes


def guest_of(vault):
    """One for all; its token outlives the broker that signed it, and is renewed in time."""
    guest, since = getattr(vault, "guest_", (None, 0))
    if not guest or time.monotonic() > since + RENEW_SECONDS:
        try:
            guest = vault.guest().handshake()
            vault.guest_ = guest, time.monotonic()
        except (OSError, http.client.HTTPException):
            if not guest:
                raise
    return guest


class History:
    def __init__(self):
        self.ops = {}               # by resource
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()
        self.wrong = []             # what no answer may be, whatever the order

    def add(self, name, op):
        with self.lock:
            self.ops.setdefault(name, []).append(op)

    def broker_died(self):
        """What had no answer until now took place before, or never will."""
        now = time.monotonic()
        with self.lock:
            for op in itertools.chain(*self.ops.values()):
                op.end = min(op.end, now)

    def count(self):
        return sum(map(len, self.ops.values()))

    def check(self):
        """Raises AssertionError with what cannot have been."""
        if self.wrong:
            raise AssertionError("\n".join(self.wrong))
        for name, ops in self.ops.items():
            # What was asked without an answer told nothing, and a get changes nothing.
            flaw = explain([op for op in ops if op.result or op.kind != "get"])
            if flaw:
                raise AssertionError(f"{name}: {flaw}")


class Client:
    """One connection; an operation at a time. `patient`: a 5xx is an answer as good as none."""

    def __init__(self, vault, history, patient=False):
        self.vault, self.history, self.patient = vault, history, patient
        self.operator = {"Authorization": f"Bearer {vault.cached_token()}"}
        self.connection, self.guest = None, guest_of(vault)     # while the broker lives in any case
        self.unanswered = 0

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def is_connected(self):
        """False when nobody listens; then nothing was asked."""
        if self.connection:
            return True
        connection = self.vault.connection()
        try:
            connection.connect()
        except OSError:
            return False
        self.connection = connection
        return True

    def exchange(self, method, path, body, headers):
        """(status, ETag as a number, body), or None when the connection breaks."""
        try:
            self.connection.request(method, path, body, headers)
            reply = self.connection.getresponse()
            return reply.status, int((reply.getheader("ETag") or "0").strip('"')), reply.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return None

    def record(self, name, op, method, headers, body=None, path="/kbs/v0/resource/"):
        """The status; None when there was no answer, or one that leaves open what became of it."""
        if not self.is_connected():
            self.unanswered += 1
            time.sleep(0.01)
            return None
        op.begin = time.monotonic()
        self.history.add(name, op)
        answer = self.exchange(method, path + name, body, headers)
        now = time.monotonic()
        if answer is None or answer[0] >= 500:
            self.unanswered += 1
            if answer and not self.patient:
                self.history.wrong.append(f"{op.kind} {name} was answered {answer[0]}: {answer[2][:300]!r}")
            return None
        status, version, text = answer
        if status == 200 and op.kind == "get":
            op.result = ("ok", number_of(self.guest.open(text)), version)
        elif status == 200:
            op.result = ("ok", version) if version else ("ok",)
        elif status in (404, 409, 412):
            op.result = ("missing",) if status == 404 else ("failed",)
        else:
            self.history.wrong.append(f"{op.kind} {name} was answered {status}: {text[:300]!r}")
            return None
        op.end = now
        return status

    # ---- what can be asked -------------------------------------------------------------------

    def writer_headers(self, if_match):
        if if_match is None:
            return self.operator
        if if_match == 0:
            return {**self.operator, "If-None-Match": "*"}
        return {**self.operator, "If-Match": f'"{if_match}"'}

    def put(self, name, size=100, if_match=None):
        number = next(self.history.numbers)
        return self.record(name, Op("put", number, if_match), "POST", self.writer_headers(if_match),
                           value_of(number, size))

    def delete(self, name, if_match=None):
        return self.record(name, Op("delete", None, if_match), "DELETE", self.writer_headers(if_match))

    def restore(self, name, version, number):
        """Writes the kept version, whose value has this number, as the next."""
        return self.record(name, Op("put", number), "POST", self.operator, json.dumps({"version": version}),
                           "/strongroom/v1/resource-restore/")

    def purge(self, name):
        return self.record(name, Op("purge"), "POST", self.operator, None, "/strongroom/v1/resource-purge/")

    def get(self, name):
        """The version that was read; 0 when there is none, None when that is open."""
        op = Op("get")
        self.guest = guest_of(self.vault)
        status = self.record(name, op, "GET", {"Authorization": f"Bearer {self.guest.token}"})
        return status and (op.result[2] if status == 200 else 0)

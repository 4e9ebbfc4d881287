"""kill -9 in the middle of puts: no acknowledged put is lost, none is half read."""

import hashlib
import http.client
import os
import random
import threading
import unittest

from vault import Vault

ROUNDS = int(os.environ.get("STRONGROOM_KILL_ROUNDS", "200"))
NAMES = [f"kill/{n}/value" for n in range(4)]


def value(number, size):
    """Shows whether it is whole, and which one it is."""
    body = b"%012d" % number + os.urandom(1) * size
    return body + hashlib.sha256(body).digest()


def number_of(data):
    body, digest = data[:-32], data[-32:]
    if hashlib.sha256(body).digest() != digest:
        raise AssertionError(f"half a value of {len(data)} bytes was read")
    return int(body[:12])


class Writer(threading.Thread):
    """Puts ever higher numbers under one name until the connection breaks."""

    def __init__(self, vault, name, first):
        super().__init__(daemon=True)
        self.vault, self.name_, self.tried, self.acknowledged = vault, name, first - 1, 0

    def run(self):
        connection = http.client.HTTPConnection(*self.vault.address(), timeout=10)
        headers = {"Authorization": f"Bearer {self.vault.cached_token()}"}
        try:
            while True:
                self.tried += 1
                size = random.choice((10, 1000, 20000))
                connection.request("POST", f"/kbs/v0/resource/{self.name_}",
                                   value(self.tried, size), headers)
                reply = connection.getresponse()
                reply.read()
                if reply.status != 200:
                    raise AssertionError(f"put answered {reply.status}")
                self.acknowledged = self.tried
        except (OSError, http.client.HTTPException):
            connection.close()


class Kill(unittest.TestCase):
    def test_nothing_acknowledged_is_lost(self):
        random.seed(4711)
        with Vault(variant="release") as vault:
            vault.start().allow_all()
            low = {name: 0 for name in NAMES}       # acknowledged or read: may not be undercut
            high = {name: 0 for name in NAMES}      # the last one that was begun
            acknowledged = 0
            for _ in range(ROUNDS):
                writers = [Writer(vault, name, high[name] + 1) for name in NAMES]
                for writer in writers:
                    writer.start()
                # A random moment is the point of the test: the broker dies wherever it is.
                threading.Event().wait(random.uniform(0.002, 0.06))
                vault.kill()
                for writer in writers:
                    writer.join(20)
                    high[writer.name_] = writer.tried
                    if writer.acknowledged:
                        acknowledged += 1
                        low[writer.name_] = max(low[writer.name_], writer.acknowledged)
                vault.start()
                guest = vault.guest().handshake()
                for name in NAMES:
                    if low[name] == 0:
                        continue
                    found = number_of(guest.get(name))
                    self.assertGreaterEqual(found, low[name], f"{name}: an acknowledged put is lost")
                    self.assertLessEqual(found, high[name], name)
                    low[name] = found
            print(f"{ROUNDS} kills, {acknowledged} of {ROUNDS * len(NAMES)} writers had a put "
                  f"acknowledged before", end=" ... ", flush=True)
            self.assertGreater(acknowledged, ROUNDS // 4)


if __name__ == "__main__":
    unittest.main()

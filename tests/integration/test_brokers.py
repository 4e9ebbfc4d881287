"""Two brokers on one token: one writes, the other reads and is never far behind."""

import os
import random
import sys
import threading
import time
import unittest

from guest import Refused
from vault import Vault, wait_until

NAMES = 25
CHANGES = 40


def lags(took):
    """Milliseconds as a line of shares and a histogram."""
    took = sorted(took)
    bars = ", ".join(f"<{bound} ms {sum(bound - 50 <= ms < bound for ms in took)}" for bound in range(50, 301, 50))
    return (f"median {took[len(took) // 2]:.0f} ms, nine of ten {took[len(took) * 9 // 10]:.0f} ms, "
            f"longest {took[-1]:.0f} ms; {bars}, more {sum(ms >= 300 for ms in took)}")


class Brokers(unittest.TestCase):
    def setUp(self):
        self.writer = Vault().prepare()
        self.addCleanup(self.writer.__exit__, None)
        self.writer.start().allow_all()
        self.writer.put("a/b/c", b"one")
        self.reader = self.writer.second().start()
        self.addCleanup(self.reader.stop)
        self.guest = self.reader.guest().handshake()

    def answer(self, name):
        """The value, or the status and kind of a refusal."""
        try:
            return self.guest.get(name)
        except Refused as error:
            return error.status, error.body

    def test_the_reader_sees_what_the_writer_writes_and_writes_nothing(self):
        self.assertEqual(self.answer("a/b/c"), b"one")
        self.writer.put("a/b/c", b"two")
        wait_until(lambda: self.answer("a/b/c") == b"two", 30, "the second version")
        status, _, body = self.reader.admin("POST", "/kbs/v0/resource/a/b/c", b"x")
        self.assertEqual(status, 503, body)
        self.assertIn(b"the writer's host", body)
        self.writer.admin("DELETE", "/kbs/v0/resource/a/b/c")
        wait_until(lambda: self.answer("a/b/c")[0] == 404, 30, "the end of it")
        self.writer.set_policy("package policy\n\ndefault allow = false\n")
        wait_until(lambda: b"PolicyDeny" in self.answer("a/b/c")[1], 30, "the new policy")

    def test_a_policy_is_in_force_though_the_reader_is_held_up(self):
        """The thread that looks for what others write hangs in a call, and another takes its place."""
        self.reader.stop()
        self.reader.with_faults(role="reader", writer="the writer's host", object_deadline=200)
        self.reader.start()
        self.guest = self.reader.guest().handshake()
        self.assertEqual(self.answer("a/b/c"), b"one")
        calls = self.reader.path("calls")
        self.reader.faults(f"log {calls}", "C_GetAttributeValue hang count=1")
        wait_until(lambda: os.path.exists(calls) and "C_GetAttributeValue\n" in self.reader.read("calls"), 30, "a look")
        self.writer.set_policy("package policy\n\ndefault allow = false\n")
        wait_until(lambda: self.answer("a/b/c") != b"one", 30, "the new policy")
        self.assertIn(b"PolicyDeny", self.answer("a/b/c")[1])
        self.reader.faults()

    def test_a_change_is_served_soon_and_for_good(self):
        """How soon is printed: the reader looks at the epoch object every 100 ms."""
        took, values = [], [b"one"]
        for n in range(CHANGES):
            threading.Event().wait(random.random() / 10)  # at any moment between two looks
            values.append(b"change %d" % n)
            self.writer.put("a/b/c", values[-1])
            began = time.monotonic()
            while (value := self.answer("a/b/c")) != values[-1]:
                self.assertEqual(value, values[-2])  # what was there before, nothing older, and no refusal
                self.assertLess(time.monotonic() - began, 30)
            took.append(1000 * (time.monotonic() - began))
            self.assertEqual(self.answer("a/b/c"), values[-1])
        print("\nfrom the writer's answer until the reader has it: " + lags(took), file=sys.stderr)

    def test_what_was_written_is_never_missing(self):
        """A 404 comes after a look at what the writer did, however soon; and those who read something else
        meanwhile are served."""
        wrong, stop = [], threading.Event()

        def read_on():
            guest = self.reader.guest().handshake()
            while not stop.is_set():
                value = guest.get("a/b/c")
                if value != b"one":
                    wrong.append(value)

        readers = [threading.Thread(target=read_on) for _ in range(2)]
        for thread in readers:
            thread.start()
        try:
            for n in range(NAMES):
                self.writer.put(f"new/name/{n}", b"%d" % n)
                self.assertEqual(self.answer(f"new/name/{n}"), b"%d" % n)
        finally:
            stop.set()
            for thread in readers:
                thread.join()
        self.assertEqual(wrong, [])
        self.assertEqual(self.answer("new/name/none")[0], 404)


if __name__ == "__main__":
    unittest.main()

"""Two brokers on one token: one writes, the other reads and is never far behind."""

import threading
import unittest

from guest import Refused
from vault import Vault, wait_until

NAMES = 25


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

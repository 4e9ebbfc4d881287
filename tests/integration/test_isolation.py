"""The vendor's module in a helper process: it may die, hang and be killed; the broker stays, and comes back."""

import glob
import os
import signal
import threading
import unittest

from guest import Refused
from vault import MODULE, Vault, wait_until

# More than the five seconds after which a helper is taken for hanging where nothing is said of it.
DEADLINE_MS = 6000
HELPER = {"token": {"isolation": "helper", "object_deadline": DEADLINE_MS, "crypto_deadline": DEADLINE_MS}}


def helpers(pid):
    """Pids of the helpers that this process started."""
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            with open(os.path.dirname(path) + "/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z" and b"token-helper" in words:
            found.append(int(path.split("/")[2]))
    return found


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def memory_holds(pid, secret):
    """Whether these bytes stand anywhere in the memory of a process (root may look)."""
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps, \
            open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            if "r" not in line.split()[1] or "[v" in line:
                continue
            first, last = (int(x, 16) for x in line.split()[0].split("-"))
            # A sanitizer's shadow is huge, and made of what the program cannot write.
            if last - first > 1 << 30:
                continue
            try:
                memory.seek(first)
                if secret in memory.read(last - first):
                    return True
            except (OSError, ValueError, OverflowError):
                continue
    return False


def fault(vault, **token):
    module = os.path.join(os.environ["STRONGROOM_BUILD"], "release/tests/fault/p11fault.so")
    control = vault.write("control", "\n")
    vault.configure(token={"module": module, **token})
    vault.env.update(P11FAULT_CONTROL=control, P11FAULT_MODULE=MODULE)


def rules(vault, text):
    """Replaces the rules of the fault module at once."""
    os.rename(vault.write("control.new", text), vault.path("control"))


class Isolation(unittest.TestCase):
    def assert_comes_back(self, vault, guest, old):
        """By itself, with another helper; the broker is the same process. 503 until then."""
        answers = set()

        def works():
            try:
                return guest.get("a/b/c") == b"value"
            except Refused as error:
                answers.add(error.status)
                return False

        wait_until(works, 90, "a release")
        self.assertLessEqual(answers, {503, 504})
        self.assertIsNone(vault.process.poll())
        new = helpers(vault.process.pid)
        self.assertEqual(len(new), 1)
        self.assertNotEqual(new[0], old)
        self.assertTrue(gone(old))
        return new[0]

    def test_a_helper_that_is_killed_or_crashes_or_hangs(self):
        with Vault(config=HELPER, variant="release") as vault:
            fault(vault)
            vault.start().allow_all()
            vault.put("a/b/c", b"value")
            guest = vault.guest().handshake()
            self.assertEqual(guest.get("a/b/c"), b"value")
            old, = helpers(vault.process.pid)
            os.kill(old, signal.SIGKILL)
            old = self.assert_comes_back(vault, guest, old)
            self.assertRegex(vault.read("log"), r"token\.helper-died .*SIGKILL")
            # The module itself fails, once.
            rules(vault, "C_Decrypt segv count=1\n")
            old = self.assert_crashed(vault, guest, old)
            rules(vault, "C_Decrypt hang\n")
            thread = threading.Thread(target=self.read, args=(guest,))
            thread.start()
            wait_until(lambda: gone(old), 60, "the end of a helper that hangs")
            thread.join()
            rules(vault, "\n")
            self.assert_comes_back(vault, guest, old)
            self.assertRegex(vault.read("log"), rf"token\.helper-killed .*after_ms={DEADLINE_MS} .*does not answer")
            self.assertGreaterEqual(vault.metric("strongroom_token_helper_starts_total"), 4)
            self.assertEqual(vault.put("a/b/c", b"again"), 2)

    def read(self, guest):
        try:
            guest.get("a/b/c")
        except Refused:
            pass

    def assert_crashed(self, vault, guest, old):
        self.read(guest)
        wait_until(lambda: gone(old), 60, "the crash")
        rules(vault, "\n")
        new = self.assert_comes_back(vault, guest, old)
        self.assertRegex(vault.read("log"), r"token\.helper-died .*SIGSEGV")
        return new

    def test_the_pin_is_in_the_helper_alone(self):
        with Vault(config=HELPER, variant="release") as vault:
            vault.start().allow_all()
            vault.put("a/b/c", b"value")
            self.assertEqual(vault.guest().fetch("a/b/c"), b"value")
            helper, = helpers(vault.process.pid)
            for what in ("environ", "cmdline"):
                for pid in (helper, vault.process.pid):
                    with open(f"/proc/{pid}/{what}", "rb") as file:
                        self.assertNotIn(vault.pin.encode(), file.read())
            # The broker does not have the module either.
            for pid, has in ((helper, True), (vault.process.pid, False)):
                with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as file:
                    self.assertEqual("softhsm" in file.read(), has)
            with open(f"/proc/{helper}/status", encoding="ascii") as file:
                self.assertRegex(file.read(), r"NoNewPrivs:\s+1\nSeccomp:\s+2\n")
            with open(f"/proc/{helper}/limits", encoding="ascii") as file:
                self.assertRegex(file.read(), r"Max core file size\s+0\s+0")
            if os.geteuid() != 0:
                return
            self.assertFalse(memory_holds(vault.process.pid, vault.pin.encode()))
            # That the look finds what is there.
            vault.configure(token={"isolation": "in-process"})
            vault.restart()
            self.assertTrue(memory_holds(vault.process.pid, vault.pin.encode()))

    def test_the_helper_ends_with_the_broker(self):
        with Vault(config=HELPER, variant="release") as vault:
            vault.start()
            helper, = helpers(vault.process.pid)
            vault.kill()
            wait_until(lambda: gone(helper), 30, "the helper's end")
            vault.start()
            helper, = helpers(vault.process.pid)
            os.kill(helper, signal.SIGTERM)  # as a service manager does to all of a service
            vault.stop()
            self.assertTrue(gone(helper))
            self.assertNotIn("helper-died", vault.read("log"))

    def test_auto_is_a_helper_for_all_but_softhsm(self):
        with Vault(variant="release") as vault:
            vault.configure(token={"isolation": "auto"})
            for count in (0, 1):
                if count:
                    fault(vault, isolation="auto")
                vault.start()
                self.assertEqual(len(helpers(vault.process.pid)), count)
                vault.stop()

    def test_commands_with_a_helper(self):
        """Those that open the token themselves, since no broker runs, have one too; a person may not start it."""
        with Vault(config=HELPER) as vault:
            vault.command("resource", "put", "a/b/c", stdin=b"value")
            self.assertEqual(vault.command("resource", "get", "a/b/c").stdout, b"value")
            vault.write("pin", "0" * 16)
            refused = vault.command("resource", "get", "a/b/c", check=False)
            self.assertEqual(refused.returncode, 7)
            self.assertIn(b"PIN", refused.stderr)
            refused = vault.run("token-helper", check=False)
            self.assertEqual(refused.returncode, 2)
            self.assertNotIn(b"token-helper", vault.run("help").stdout)


if __name__ == "__main__":
    unittest.main()

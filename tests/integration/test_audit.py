"""The audit file: one chain over restarts and rotations; changes to it show; a full disk releases nothing."""

import json
import os
import resource
import signal
import subprocess
import unittest

from guest import Refused
from vault import Vault, program, wait_until


class Chain(unittest.TestCase):
    def setUp(self):
        self.vault = Vault().prepare().start().allow_all()
        self.addCleanup(self.vault.__exit__, None)
        self.file = self.vault.path("audit.jsonl")
        self.vault.put("audit/chain/a", b"value")

    def verify(self, *args, check=True):
        return self.vault.run("audit", "verify", *args, check=check)

    def test_restarts_and_a_kill_leave_one_sound_chain(self):
        self.vault.guest().fetch("audit/chain/a")
        self.vault.restart()
        self.vault.guest().fetch("audit/chain/a")
        self.vault.kill()
        self.vault.start()
        self.vault.stop()
        done = self.verify(self.file)
        records = self.vault.audit()
        self.assertIn(f"{len(records)} records of ", done.stdout.decode())
        self.assertEqual(self.vault.command("audit", "verify").stdout, done.stdout)
        head = done.stdout.decode().split("head ")[1].split()[0]
        self.assertIn(f"head={head}", self.vault.read("log"))
        self.verify("--head", head, self.file)
        release = next(r for r in records if r["action"] == "release")
        self.assertGreater(release["duration_us"], 0)

    def test_a_changed_record_and_a_missing_one_are_named_by_line(self):
        self.vault.stop()
        lines = self.vault.read("audit.jsonl").splitlines(keepends=True)
        at = next(i for i, line in enumerate(lines) if '"action":"put"' in line)
        self.vault.write("audit.jsonl", "".join(lines).replace("audit/chain/a", "audit/chain/b", 1))
        done = self.verify(self.file, check=False)
        self.assertEqual(done.returncode, 8)
        self.assertIn(f"audit.jsonl:{at + 2}: the link does not fit", done.stdout.decode())
        self.vault.write("audit.jsonl", "".join(lines[:at] + lines[at + 1:]))
        done = self.verify(self.file, check=False)
        self.assertEqual(done.returncode, 8)
        self.assertIn(f"audit.jsonl:{at + 1}: seq does not follow", done.stdout.decode())
        self.vault.write("audit.jsonl", "".join(lines))
        done = self.verify("--head", "0" * 64, self.file, check=False)
        self.assertEqual(done.returncode, 8)
        self.assertIn("records at the end are missing", done.stderr.decode())

    def test_rotation_goes_on_in_a_new_file(self):
        old = self.file + ".1"
        os.rename(self.file, old)
        self.vault.process.send_signal(signal.SIGHUP)
        wait_until(lambda: os.path.exists(self.file) and self.vault.audit(), 20, "a new file")
        self.vault.guest().fetch("audit/chain/a")
        self.vault.stop()
        self.assertEqual(self.vault.audit()[0]["action"], "rotate")
        both = self.verify(old, self.file)
        self.assertNotIn("follows", both.stdout.decode())
        alone = self.verify(self.file)
        self.assertIn("the first record follows", alone.stdout.decode())
        self.assertEqual(self.verify(self.file, old, check=False).returncode, 8)

    def test_tail_shows_the_last_ones_and_follows_a_rotation(self):
        done = self.vault.command("audit", "tail", "-n", "1", "--format", "json")
        self.assertEqual(json.loads(done.stdout)["action"], "put")
        done = self.vault.command("audit", "tail", "--action", "put", "--resource", "chain/a")
        self.assertIn(b"audit/chain/a", done.stdout)
        self.assertEqual(len(done.stdout.splitlines()), 1)
        for count in (1, 2):  # the last ones that fit, however much came after them
            done = self.vault.command("audit", "tail", "-n", str(count), "--action", "start", "--format", "json")
            shown = [json.loads(line) for line in done.stdout.splitlines()]
            starts = [record for record in self.vault.audit() if record["action"] == "start"]
            self.assertEqual(shown, starts[-count:])
        self.assertGreater(len(starts), 1)
        done = self.vault.command("audit", "tail", "--action", "start", "--resource", "nowhere")
        self.assertEqual(done.stdout, b"")
        self.vault.guest().fetch("audit/chain/a")
        tail = subprocess.Popen([program(self.vault.variant), "audit", "tail", "-f", "-n", "1",
                                 "--decision", "allow", "--action", "release", "--format", "json",
                                 self.file], stdout=subprocess.PIPE, env=self.vault.env)
        try:
            self.assertEqual(json.loads(tail.stdout.readline())["action"], "release")
            self.vault.guest().fetch("audit/chain/a")
            self.assertEqual(json.loads(tail.stdout.readline())["resource"], "audit/chain/a")
            os.rename(self.file, self.file + ".1")
            self.vault.process.send_signal(signal.SIGHUP)
            wait_until(lambda: os.path.exists(self.file), 20, "a new file")
            self.vault.guest().fetch("audit/chain/a")
            self.assertEqual(json.loads(tail.stdout.readline())["resource"], "audit/chain/a")
        finally:
            tail.kill()
            tail.wait()
            tail.stdout.close()

    def test_tail_loses_no_record_at_a_rotation(self):
        """The new file may be there before the broker writes into it; until then the old one gets records."""
        path = self.vault.path("rotated.jsonl")
        number = 0

        def add(file):
            nonlocal number
            number += 1
            with open(file, "a", encoding="ascii") as out:
                out.write(json.dumps({"action": "put", "resource": str(number)}) + "\n")

        add(path)
        tail = subprocess.Popen([program(self.vault.variant), "audit", "tail", "-f", "--format", "json", path],
                                stdout=subprocess.PIPE, env=self.vault.env)
        try:
            self.assertEqual(json.loads(tail.stdout.readline())["resource"], "1")
            for turn in range(40):
                old, first = f"{path}.{turn}", number + 1
                add(path)
                os.rename(path, old)
                open(path, "x", encoding="ascii").close()
                for _ in range(20):
                    add(old)
                add(path)
                for wanted in range(first, number + 1):
                    self.assertEqual(json.loads(tail.stdout.readline())["resource"], str(wanted))
        finally:
            tail.kill()
            tail.wait()
            tail.stdout.close()

    def test_a_full_disk_releases_nothing_and_recovers(self):
        guest = self.vault.guest().handshake()
        size = os.path.getsize(self.file)
        pid = self.vault.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 40, before[1]))
        with self.assertRaises(Refused) as caught:
            guest.get("audit/chain/a", guest.headers())
        self.assertEqual(caught.exception.status, 503)
        self.assertEqual(os.path.getsize(self.file), size)
        status, _, body = self.vault.admin("GET", "/readyz")
        self.assertEqual((status, json.loads(body)["reason"]), (503, "audit-failed"))
        done = self.vault.command("status", check=False)
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertIn("audit      cannot be written", done.stdout.decode())
        done = self.vault.command("resource", "get", "audit/chain/a", check=False)
        self.assertEqual(done.returncode, 6)
        self.assertIn("it cannot be recorded, so it is refused: the audit file", done.stderr.decode())
        self.assertIn("is the disk full? (HTTP 503)", done.stderr.decode())
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        self.assertEqual(self.vault.admin("GET", "/readyz")[0], 200)
        self.assertEqual(self.vault.command("status").returncode, 0)
        self.assertEqual(guest.get("audit/chain/a", guest.headers()), b"value")
        self.vault.stop()
        self.verify(self.file)

    def test_a_second_writer_is_told_to_take_another_file(self):
        other = Vault().prepare()
        self.addCleanup(other.__exit__, None)
        other.configure(audit={"file": self.file})
        done = other.command("serve", check=False)
        self.assertEqual(done.returncode, 5)
        self.assertIn(b"another process writes the audit file", done.stderr)

    def test_mistakes_are_answered_in_one_line(self):
        for args, code, text in ((("tail", "/nonexistent"), 3, "no audit file"),
                                 (("verify", "/nonexistent"), 3, "no audit file"),
                                 (("tail", "-n", "x", self.file), 2, "--lines"),
                                 (("tail", "--format", "xml", self.file), 2, "table or json")):
            done = self.vault.run("audit", *args, check=False)
            self.assertEqual((done.returncode, text in done.stderr.decode()), (code, True), args)


if __name__ == "__main__":
    unittest.main()

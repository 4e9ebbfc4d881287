"""What happens to the token behind the broker's back: it goes away, takes no writes, is full; objects are
damaged, removed, taken back. Clients never get a wrong value, and never an older one unsaid; the log, the
metrics, the record and `strongroom token verify` name what is wrong."""

import contextlib
import ctypes
import glob
import json
import os
import shutil
import struct
import subprocess
import time
import unittest

from guest import Refused
from vault import Vault, wait_until

LIBC = ctypes.CDLL(None, use_errno=True)
MS_RDONLY, MS_REMOUNT = 1, 32
DAMAGED, UNAVAILABLE, FULL = 500, 503, 507
# Of sizes of their own, so that their files can be told apart.
BAD, LOST, OLD, NEW = (bytes([65 + n]) * 3000 * n for n in (1, 2, 3, 4))
OFTEN = {"storage": {"scrub_rate": 1000, "scrub_pause": 1}}


def mount(source, target, kind, flags, options=""):
    if LIBC.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode()) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), target)


@contextlib.contextmanager
def small_disk(vault, options):
    """The token's directory as a tmpfs of its own; skips where mounting is not permitted."""
    tokens = vault.path("tokens")
    try:
        mount("tmpfs", tokens, "tmpfs", 0, options)
    except PermissionError as error:
        vault.__exit__(unittest.SkipTest)
        raise unittest.SkipTest("mounting a tmpfs is not permitted here (not root)") from error
    try:
        yield
    finally:
        vault.stop(check=False)
        LIBC.umount2(tokens.encode(), 2)


def on_small_disk(test, options, **config):
    """A vault whose token lies on such a disk."""
    vault = Vault(config=config)
    test.enterContext(small_disk(vault, options))
    test.addCleanup(vault.__exit__, None)
    return vault.prepare()


def status_of(guest, name):
    """Status of a get, or the value."""
    try:
        return guest.get(name)
    except Refused as error:
        return error.status


def verify(vault, code=8, **options):
    """(findings as {(fault, label): version}, the whole report) of `token verify`."""
    done = vault.command("token", "verify", "--json", check=False, **options)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    report = json.loads(done.stdout)
    assert report["sound"] == (code == 0), report
    return {(f["fault"], f["label"]): f.get("version", 0) for f in report["findings"]}, report


def metric(vault, fault):
    return vault.metric(f'strongroom_findings{{fault="{fault}"}}')


def recorded(vault):
    return {(r["reason"], r["resource"]) for r in vault.audit() if r["action"] == "integrity"}


def files(vault):
    """The object files of a SoftHSM token."""
    found = glob.glob(os.path.join(glob.escape(vault.path("tokens")), "*", "*.object"))
    return {path for path in found if not path.endswith("token.object")}


def value_in(path):
    """(offset, length) of the encrypted CKA_VALUE in an object file: type, kind 3, length, bytes."""
    with open(path, "rb") as file:
        data = file.read()
    at = data.index(struct.pack(">QQ", 0x11, 3)) + 24
    return at, struct.unpack(">Q", data[at - 8:at])[0]


def flip(path, where):
    """Changes a byte of the value's ciphertext, `where` from its end (behind the IV it is AES-CBC)."""
    at, length = value_in(path)
    with open(path, "r+b") as file:
        file.seek(at + length - where)
        byte = file.read(1)
        file.seek(at + length - where)
        file.write(bytes([byte[0] ^ 0x55]))


class Canary(unittest.TestCase):
    def test_a_damaged_canary(self):
        """Nothing new is sealed under its key. What is stored is read on, whether the token shows the canary or not."""
        with Vault() as vault:
            canary = max(files(vault), key=lambda path: value_in(path)[1])
            vault.command("resource", "put", "a/b/c", stdin=b"value")
            for where in (100, 17):
                flip(canary, where)
                done = vault.command("resource", "get", "a/b/c")
                self.assertEqual(done.stdout, b"value")
                self.assertIn(b"kek.canary-bad", done.stderr)
                refused = vault.command("resource", "put", "a/b/c", stdin=b"new", check=False)
                self.assertEqual(refused.returncode, 7, refused.stderr)
                flip(canary, where)
            vault.command("resource", "put", "a/b/c", stdin=b"new")


class OneObject(unittest.TestCase):
    """One file of the token is damaged, removed, or replaced by an older copy of itself. SoftHSM shows a
    running program what it read before, so the broker is down meanwhile."""

    def setUp(self):
        self.vault = self.enterContext(Vault(config=OFTEN))
        self.vault.start().allow_all()
        self.vault.put("good/b/c", b"good")

    def file_of(self, size):
        """The one file with a value about so long (an envelope adds some 200 bytes, the token a few)."""
        found = [path for path in files(self.vault) if size < value_in(path)[1] < size + 400]
        self.assertEqual(len(found), 1)
        return found[0]

    def guest(self):
        return self.vault.guest().handshake()

    def test_a_damaged_file(self):
        self.vault.put("bad/b/c", BAD)
        self.vault.put("lost/b/c", LOST)
        self.vault.stop()
        verify(self.vault, 0)
        flip(self.file_of(len(BAD)), 100)  # the token still shows it: the tag does not verify
        flip(self.file_of(len(LOST)), 17)  # its padding is wrong: the token shows nothing
        found, _ = verify(self.vault)
        wanted = {("damaged", "bad/b/c"): 1, ("damaged", "lost/b/c"): 0}
        self.assertEqual(found, wanted)
        self.vault.start()
        guest = self.guest()
        self.assertEqual(status_of(guest, "bad/b/c"), DAMAGED)
        self.assertEqual(status_of(guest, "lost/b/c"), DAMAGED)
        self.assertEqual(guest.get("good/b/c"), b"good")
        wait_until(lambda: metric(self.vault, "damaged") == 2, 60, "the scrubber finding both")
        self.assertEqual(verify(self.vault)[0], wanted)
        self.assertLessEqual({("damaged", "bad/b/c"), ("damaged", "lost/b/c")}, recorded(self.vault))
        for name in ("bad/b/c", "lost/b/c"):
            self.assertEqual(self.vault.read("log").count(f"scrub.found fault=damaged label={name} "), 1)
        self.vault.put("bad/b/c", b"healed")
        self.vault.put("lost/b/c", b"healed")
        self.assertEqual(guest.get("bad/b/c"), b"healed")
        self.assertEqual(guest.get("lost/b/c"), b"healed")
        self.assertEqual(verify(self.vault, 0)[0], {})
        wait_until(lambda: metric(self.vault, "damaged") == 0, 60, "no more damage")

    def test_a_file_that_softhsm_does_not_survive(self):
        self.vault.put("bad/b/c", BAD)
        self.vault.stop()
        path = self.file_of(len(BAD))
        with open(path, "r+b") as file:
            file.seek(value_in(path)[0] - 7)
            file.write(b"\xff")  # of the value's length: for so much memory SoftHSM calls exit(5)
        for command in (["serve"], ["token", "verify"], ["resource", "get", "good/b/c"]):
            done = self.vault.command(*command, check=False)
            self.assertEqual(done.returncode, 8, done.stderr)
            self.assertIn(path, done.stderr.decode())
        os.remove(path)
        self.assertEqual(verify(self.vault)[0], {("missing", "bad/b/c"): 1})
        self.vault.start()
        self.assertEqual(self.guest().get("good/b/c"), b"good")
        self.vault.put("bad/b/c", b"healed")
        self.assertEqual(verify(self.vault, 0)[0], {})

    def test_a_removed_file(self):
        self.vault.put("gone/b/c", b"one")
        self.vault.put("gone/b/c", BAD)
        self.vault.stop()
        os.remove(self.file_of(len(BAD)))
        self.assertEqual(verify(self.vault)[0], {("missing", "gone/b/c"): 2})
        self.vault.start()
        guest = self.guest()
        self.assertEqual(status_of(guest, "gone/b/c"), 404)
        wait_until(lambda: metric(self.vault, "missing") == 1, 60, "the manifest missing it")
        self.assertIn(("missing", "gone/b/c"), recorded(self.vault))
        self.assertIn("scrub.found fault=missing label=gone/b/c version=2", self.vault.read("log"))
        # Whatever is written meanwhile does not make the manifest forget it.
        self.vault.put("good/b/c", b"better")
        self.vault.restart()
        self.assertEqual(verify(self.vault)[0], {("missing", "gone/b/c"): 2})
        self.assertEqual(self.vault.put("gone/b/c", LOST), 3)
        self.assertEqual(verify(self.vault, 0)[0], {})
        # Below a running broker: the scrubber comes upon it.
        os.remove(self.file_of(len(LOST)))
        wait_until(lambda: metric(self.vault, "missing") == 1, 60, "the scrubber missing it")
        self.assertEqual(status_of(self.guest(), "gone/b/c"), 404)

    def test_an_older_copy(self):
        self.vault.put("back/b/c", OLD)
        self.vault.stop()
        path = self.file_of(len(OLD))
        copy = self.vault.path("older")
        shutil.copy(path, copy)
        self.vault.start()
        self.vault.put("back/b/c", NEW)
        self.vault.stop()
        os.remove(self.file_of(len(NEW)))
        shutil.copy(copy, path)
        self.assertEqual(verify(self.vault)[0], {("rolled-back", "back/b/c"): 2})
        self.vault.start()
        # The highest version that is there decides, and it is said loudly.
        self.assertEqual(self.guest().get("back/b/c"), OLD)
        wait_until(lambda: metric(self.vault, "rolled-back") == 1, 60, "the manifest knowing better")
        self.assertIn(("rolled-back", "back/b/c"), recorded(self.vault))
        self.assertIn("scrub.found fault=rolled-back label=back/b/c version=2", self.vault.read("log"))
        self.assertEqual(self.vault.put("back/b/c", b"three"), 3)
        self.assertEqual(verify(self.vault, 0)[0], {})

    def test_an_older_copy_beside_the_newer_one_changes_nothing(self):
        self.vault.put("back/b/c", OLD)
        self.vault.stop()
        path = self.file_of(len(OLD))
        copy = self.vault.path("older")
        shutil.copy(path, copy)
        self.vault.start()
        self.vault.put("back/b/c", NEW)
        self.vault.stop()
        shutil.copy(copy, path)
        self.assertEqual(verify(self.vault, 0)[0], {})
        self.vault.start()
        self.assertEqual(self.guest().get("back/b/c"), NEW)

    def test_the_whole_token_taken_back(self):
        self.vault.put("a/b/c", b"one")
        self.vault.stop()
        shutil.copytree(self.vault.path("tokens"), self.vault.path("backup"))
        self.vault.start()
        self.vault.put("a/b/c", b"two")
        self.vault.stop()
        shutil.rmtree(self.vault.path("tokens"))
        shutil.copytree(self.vault.path("backup"), self.vault.path("tokens"))
        found, _ = verify(self.vault)
        self.assertEqual(list(found), [("rolled-back", "strongroom:manifest")])
        self.vault.start()
        wait_until(lambda: metric(self.vault, "rolled-back") == 1, 60, "the host knowing better")
        self.assertIn(b"findings   1: `strongroom token verify`", self.vault.command("status").stdout)
        self.vault.put("a/b/c", b"later")
        self.vault.restart()
        self.assertEqual(list(verify(self.vault)[0]), [("rolled-back", "strongroom:manifest")])
        done = self.vault.command("token", "verify", "--accept")
        self.assertIn(b"sound", done.stdout)
        self.assertIn(("verify-accept", "done"),
                      {(r["action"], r["decision"]) for r in self.vault.audit()})
        wait_until(lambda: metric(self.vault, "rolled-back") == 0, 60, "no more of it")
        self.assertNotIn(b"findings", self.vault.command("status").stdout)

    def test_objects_under_names_that_are_not_theirs(self):
        self.vault.put("mine/b/c", b"value")
        envelope = self.vault.object_bytes("mine/b/c")
        self.vault.write_object("yours/b/c", envelope)
        self.vault.write_object("torn/b/c", envelope[:-1])
        self.vault.write_object("strange/b/c", b"no envelope")
        self.vault.stop()
        empty = os.path.join(os.path.dirname(next(iter(files(self.vault)))),
                             "11111111-2222-3333-4444-555555555555.object")
        with open(empty, "wb"):
            pass
        os.utime(empty, (time.time() - 600,) * 2)
        self.vault.start()
        self.assertEqual(status_of(self.guest(), "yours/b/c"), 404)
        found, report = verify(self.vault)
        self.assertEqual(set(found), {("misplaced", "yours/b/c"), ("torn", "torn/b/c"),
                                      ("foreign", "strange/b/c"), ("leftover", empty)})
        self.assertEqual(report["counts"]["leftover"], 1)
        text = self.vault.command("token", "verify", check=False)
        self.assertEqual(text.returncode, 8)
        self.assertRegex(text.stdout.decode(), r"1 misplaced, 1 torn, 1 foreign, 1 leftover: NOT SOUND")
        self.assertIn(b"remove the file and its .lock", text.stdout)
        for label in ("yours/b/c", "torn/b/c"):
            self.vault.delete_object(label)
        self.assertEqual(set(verify(self.vault, 0)[0]), {("foreign", "strange/b/c"), ("leftover", empty)})


class Away(unittest.TestCase):
    def test_a_store_that_is_pulled_away_is_no_damage(self):
        with Vault(config=OFTEN) as vault:
            vault.start().allow_all()
            names = [f"a/b/{n}" for n in range(20)]
            for name in names:
                vault.put(name, name.encode())
            guest = vault.guest().handshake()
            wait_until(lambda: vault.metric("strongroom_scrub_passes_total") > 0, 60, "a pass")
            os.rename(vault.path("tokens"), vault.path("away"))
            wait_until(lambda: "token.down" in vault.read("log"), 60, "token.down")
            for name in names:
                self.assertEqual(status_of(guest, name), UNAVAILABLE)
            self.assertEqual(vault.command("token", "verify", check=False).returncode, 6)
            os.rename(vault.path("away"), vault.path("tokens"))
            wait_until(lambda: "token.back" in vault.read("log"), 60, "token.back")
            for name in names:
                self.assertEqual(guest.get(name), name.encode())
            self.assertEqual(verify(vault, 0)[0], {})
            self.assertEqual(recorded(vault), set())
            self.assertNotIn("scrub.found", vault.read("log"))


class ReadOnly(unittest.TestCase):
    def test_reads_go_on_and_writes_come_back(self):
        vault = on_small_disk(self, "size=4m,mode=0700", **OFTEN)
        vault.start().allow_all()
        vault.put("a/b/c", b"one")
        guest = vault.guest().handshake()
        wait_until(lambda: vault.metric("strongroom_manifest_behind") == 0, 60, "the manifest")
        mount("tmpfs", vault.path("tokens"), "tmpfs", MS_REMOUNT | MS_RDONLY)
        for size in (500, 16384):
            status, _, body = vault.admin("POST", "/kbs/v0/resource/a/b/c", b"x" * size)
            self.assertIn(status, (UNAVAILABLE, FULL), body)
            self.assertEqual(guest.get("a/b/c"), b"one")
        status, _, _ = vault.admin("DELETE", "/kbs/v0/resource/a/b/c")
        self.assertIn(status, (UNAVAILABLE, FULL))
        self.assertEqual(guest.get("a/b/c"), b"one")
        mount("tmpfs", vault.path("tokens"), "tmpfs", MS_REMOUNT)

        def put():
            return vault.admin("POST", "/kbs/v0/resource/a/b/c", b"two")[0] == 200

        wait_until(put, 90, "a write")
        self.assertEqual(guest.get("a/b/c"), b"two")
        vault.restart()
        self.assertEqual(vault.guest().handshake().get("a/b/c"), b"two")
        found = verify(vault, 0)[0]
        self.assertEqual({fault for fault, _ in found} - {"leftover"}, set())


class Full(unittest.TestCase):
    """SoftHSM says CKR_OK to small objects that never reach a full disk, and CKR_GENERAL_ERROR to large
    ones; in both cases the write is refused, and nothing of before is lost."""

    def fill(self, size):
        vault = on_small_disk(self, "size=700k,mode=0700", **OFTEN)
        vault.start().allow_all()
        vault.put("keep/b/c", b"keep")
        guest = vault.guest().handshake()
        acknowledged, refused = {}, 0
        for n in range(2000):
            value = b"%08d" % n + b"x" * size
            name = f"fill/b/{n}"
            status, headers, body = vault.admin("POST", f"/kbs/v0/resource/{name}", value)
            if status == 200:
                acknowledged[name] = value
                continue
            self.assertEqual(status, FULL, body)
            refused += 1
            if refused == 5:
                break
        self.assertEqual(refused, 5)
        # Reads go on, of everything that was acknowledged; what was refused is not there.
        self.assertEqual(guest.get("keep/b/c"), b"keep")
        for name, value in acknowledged.items():
            self.assertEqual(guest.get(name), value)
        self.assertEqual(status_of(guest, f"fill/b/{n}"), 404)
        self.assertEqual(vault.admin("POST", "/kbs/v0/resource/keep/b/c", b"y" * size)[0], FULL)
        self.assertEqual(guest.get("keep/b/c"), b"keep")
        self.assertEqual({f for f, _ in verify(vault, 0)[0]} - {"leftover"}, set())
        # A restart on the full disk (the login rewrites a file of the token) and room again.
        mount("tmpfs", vault.path("tokens"), "tmpfs", MS_REMOUNT, "size=8m")
        self.assertEqual(vault.put("keep/b/c", b"again"), 2)
        vault.put(f"fill/b/{n}", b"now")
        vault.restart()
        guest = vault.guest().handshake()
        self.assertEqual(guest.get("keep/b/c"), b"again")
        self.assertEqual(guest.get(f"fill/b/{n}"), b"now")
        for name, value in acknowledged.items():
            self.assertEqual(guest.get(name), value)
        self.assertEqual({f for f, _ in verify(vault, 0)[0]} - {"leftover"}, set())

    def test_small_values(self):
        self.fill(500)

    def test_large_values(self):
        self.fill(16384)


class Killed(unittest.TestCase):
    def test_kills_are_no_findings(self):
        """Whatever moment a kill comes at, what is on the token afterwards is sound."""
        with Vault(variant="release", config={"storage": {"keep_versions": 2}}) as vault:
            vault.start().allow_all()
            for turn in range(6):
                vault.put("kill/b/c", b"%d" % turn)
                vault.put(f"kill/b/{turn % 3}", b"%d" % turn)
                if turn % 3 == 2:
                    vault.admin("DELETE", "/kbs/v0/resource/kill/b/2")
                    vault.admin("POST", "/strongroom/v1/resource-purge/kill/b/2")
                # A random moment is the point: between write and manifest, within it, behind it.
                time.sleep(turn * 0.26)
                vault.kill()
                vault.start()
                found, report = verify(vault, 0)
                self.assertEqual({f for f, _ in found} - {"leftover"}, set(), report)


if __name__ == "__main__":
    unittest.main()

"""Rotation of the key-encryption key: while guests read, cut off and gone on with, and the old key removed."""

import json
import threading
import unittest

from vault import Vault

COUNT = 24


class Rotation:
    serves = True

    def setUp(self):
        self.vault = Vault().prepare()
        self.addCleanup(self.vault.__exit__, None)
        for i in range(COUNT):
            self.kek("put", f"rotate/key/{i}", group="resource", stdin=b"value %d" % i)
        if self.serves:
            self.vault.start().allow_all()

    def kek(self, *args, group="kek", check=True, **options):
        return self.vault.command(group, *args, check=check, **options)

    def generations(self):
        listed = json.loads(self.kek("list", "--format", "json", group="resource").stdout)
        return [r["kek_generation"] for r in listed["resources"]]

    def keys(self):
        return [k["generation"] for k in json.loads(self.kek("list", "--format", "json").stdout)["keks"]]

    def check_values(self):
        for i in range(COUNT):
            got = self.kek("get", f"rotate/key/{i}", group="resource").stdout
            self.assertEqual(got, b"value %d" % i)

    def test_to_the_next_generation_and_the_old_key_goes(self):
        self.assertEqual(self.kek("rm", "1", check=False).returncode, 5)
        self.kek("rotate", "--rate", "100000")
        self.assertEqual(set(self.generations()), {2})
        self.assertEqual(self.keys(), [1, 2])
        self.kek("rm", "1")
        self.assertEqual(self.keys(), [2])
        self.check_values()
        done = self.kek("rm", "2", check=False)
        self.assertEqual(done.returncode, 5)
        self.assertIn(b"in use", done.stderr)
        self.assertEqual(self.kek("rm", "1", check=False).returncode, 3)
        self.assertEqual(self.kek("rm", "one", check=False).returncode, 2)
        self.assertEqual(self.kek("rotate", "--rate", "0", check=False).returncode, 2)


class Offline(Rotation, unittest.TestCase):
    serves = False

    def test_damaged_ones_stay_and_hold_up_no_others(self):
        whole = (0, COUNT // 2, COUNT - 2, COUNT - 1)
        for i in set(range(COUNT)) - set(whole):
            label = f"rotate/key/{i}"
            data = bytearray(self.vault.object_bytes(label))
            data[-1] ^= 1
            self.vault.delete_object(label)
            self.vault.write_object(label, bytes(data))
        # Four a batch: in some batches there is nothing but damage.
        done = self.kek("rotate", "--rate", "4", check=False)
        self.assertEqual(done.returncode, 8, done.stderr)
        self.assertIn(b"4 objects are now under generation 2", done.stderr)
        self.assertIn(b"20 are damaged and stay as they are", done.stderr)
        for i in whole:
            got = self.kek("get", f"rotate/key/{i}", group="resource").stdout
            self.assertEqual(got, b"value %d" % i)
        # The next command, a process of its own, does not take the damage for a rotation that was cut off.
        done = self.kek("rotate", "--rate", "4", check=False)
        self.assertEqual(done.returncode, 8, done.stderr)
        self.assertIn(b"4 objects are now under generation 3", done.stderr)
        self.assertIn(b"20 are damaged and stay as they are", done.stderr)
        self.assertEqual(self.keys(), [1, 2, 3])


class Online(Rotation, unittest.TestCase):
    def test_guests_read_on_and_a_cut_rotation_goes_on(self):
        vault, failures, reads = self.vault, [], []
        stop = threading.Event()

        def read():
            guest = vault.guest().handshake()
            while not stop.is_set():
                for i in range(COUNT):
                    try:
                        if guest.get(f"rotate/key/{i}") != b"value %d" % i:
                            failures.append((i, "another value"))
                    except Exception as error:  # whatever a guest was told
                        failures.append((i, repr(error)))
                reads.append(1)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            rotate = self.spawn("kek", "rotate", "--rate", "8")
            while 2 not in self.generations():
                self.assertIsNone(rotate.poll(), "the rotation ended before it could be cut off")
            rotate.kill()
            rotate.wait()
            self.assertIn(1, self.generations())
            vault.put("rotate/key/0", b"value 0")   # writers go on as well
            done = self.kek("rotate", "--rate", "1000")
            self.assertIn(b"going on with the move to generation 2", done.stderr)
        finally:
            stop.set()
            reader.join()
        self.assertEqual(failures, [])
        self.assertGreater(len(reads), 0)
        self.assertEqual(self.keys(), [1, 2])
        self.assertEqual(set(self.generations()), {2})
        vault.kill()
        vault.start()
        self.kek("rm", "1")
        self.check_values()
        self.assertEqual(vault.guest().fetch("rotate/key/7"), b"value 7")
        self.assertIn("kek-remove", [r["action"] for r in vault.audit()])

    def spawn(self, *args):
        import subprocess
        from vault import program
        return subprocess.Popen([program(self.vault.variant), *args, "-c",
                                 self.vault.path("strongroom.yaml")], env=self.vault.env,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    unittest.main()

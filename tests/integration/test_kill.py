"""kill -9 at every step of what changes a token: nothing acknowledged is lost, nothing half written is read,
nothing comes back from the dead.

Every call to the token after the login is a step: the broker (or the command) dies before the n-th, for n = 1,
2, 3, ... until the operation gets through, and within those calls in which SoftHSM writes a file anew."""

import json
import os
import subprocess
import time
import unittest

import kbs_store
from history import Client, History, number_of, value_of
from linear import Op
from vault import Vault, program

ALL = bool(os.environ.get("STRONGROOM_KILL_ALL"))   # make kill
NEVER_REACHED = 100000


class Killed:
    """A vault behind the fault module, a client, and the history that both write."""

    def __init__(self, test, **config):
        self.vault = Vault(variant="release", config=config).prepare()
        test.addCleanup(self.vault.__exit__, None)
        self.vault.with_faults()
        self.history = History()
        self.kills, self.names = 0, set()
        self.vault.start().allow_all()
        self.client = Client(self.vault, self.history)

    def revive(self):
        """After a death: the broker starts as ever, and everything is read."""
        self.vault.faults()
        self.kills += 1
        self.history.broker_died()
        self.client.close()
        if not self.vault.process:
            self.vault.start()
        for name in sorted(self.names):
            self.client.get(name)
        return self

    def dies(self, rule, name, act):
        """Whether it died by this rule while it acted; then it was revived."""
        self.names.add(name)
        self.vault.faults(rule)
        if act(name) and self.outlives():
            self.client.get(name)
            return False
        self.vault.wait_killed()
        self.revive()
        return True

    def outlives(self):
        """Whether it lives when it got through. What goes on behind the answer (the manifest) may be in the call
        that it dies of, and has not died yet."""
        self.vault.faults()
        try:
            self.vault.process.wait(0.3)
        except subprocess.TimeoutExpired:
            return True
        return False

    def at_each(self, rule, prepare, act, first=0):
        """Dies by the rule at each n until `act` gets through (is true)."""
        for n in range(first, NEVER_REACHED):
            if not self.dies(rule.format(n=n), prepare(n), act):
                return n
        raise AssertionError("it never got through")

    def steps(self, act, after=None):
        """(function, which call of it) of all calls of this, or of those after the first of `after`. A death
        before one that only reads is the same as before the next."""
        seen, steps, counts = {}, [], after is None
        log = self.vault.path("calls")
        self.vault.faults(f"log {log}")
        act()
        self.vault.faults()
        for call in self.vault.read("calls").split():
            if counts and not call.startswith(("C_Get", "C_Find")):
                steps.append((call, seen.get(call, 0)))
            seen[call] = seen.get(call, 0) + 1
            counts |= call == after
        os.remove(log)
        return steps


class Online(unittest.TestCase):
    """The broker itself dies."""

    def setUp(self):
        self.k = Killed(self)

    def tearDown(self):
        self.k.client.close()
        if self._outcome.success:
            self.k.history.check()
            print(f"{self.k.kills} kills, {self.k.history.count()} operations", end=" ... ", flush=True)

    def existing(self, n):
        name = f"kill/there/{n % 3}"
        if not self.k.client.get(name):
            self.k.client.put(name)
        return name

    def test_put(self):
        client = self.k.client
        steps = self.k.at_each("* kill after={n}", lambda n: f"kill/put/{n}", client.put)
        self.assertGreater(steps, 10)
        self.k.at_each("C_CreateObject within={n}", lambda n: f"kill/within/{n}", client.put, first=1)

    def test_replace(self):
        client = self.k.client
        self.assertGreater(self.k.at_each("* kill after={n}", self.existing, client.put), 10)

    def test_delete(self):
        client = self.k.client
        self.assertGreater(self.k.at_each("* kill after={n}", self.existing, client.delete), 10)
        self.k.at_each("C_SetAttributeValue within={n}", self.existing, client.delete, first=1)


@unittest.skipUnless(ALL, "takes minutes: make kill")
class Rarer(Online):
    """What changes a token less often."""

    test_put = test_replace = test_delete = None

    def setUp(self):
        self.k = Killed(self, storage={"keep_versions": 3})

    def test_undelete(self):
        client, numbers, kept = self.k.client, {}, {}

        def deleted(n):
            name = f"kill/undelete/{n % 3}"
            if name not in numbers:
                client.put(name)
                numbers[name] = self.k.history.ops[name][-1].value
            if client.get(name):
                client.delete(name)
            listed = json.loads(client.vault.command("resource", "versions", name, "--format", "json").stdout)
            kept[name] = next(v["version"] for v in listed["versions"] if v["state"] == "live")
            return name

        def undelete(name):
            return client.restore(name, kept[name], numbers[name])

        self.assertGreater(self.k.at_each("* kill after={n}", deleted, undelete), 10)

    def test_purge(self):
        client = self.k.client

        def deleted(n):
            name = f"kill/purge/{n % 3}"
            while (client.get(name) or 0) < 3:
                client.put(name)
            client.delete(name)
            return name

        self.assertGreater(self.k.at_each("* kill after={n}", deleted, client.purge), 3)

    def test_rotation(self):
        """Made, everything moved, the old one removed; cut off, it is gone on with."""
        client, vault = self.k.client, self.k.vault
        names = [f"kill/rotate/{n}" for n in range(2)]
        for name in names:
            client.put(name, 1000)
        self.k.names.update(names)

        def run(*args):
            return vault.command("kek", *args, check=False).returncode == 0

        def rotate(_):
            """From the one key that there is."""
            return run("rotate", "--rate", "100000") and run("rm", str(self.key))

        def whole(_):
            if len(self.generations()) > 1:
                self.assertTrue(run("rotate", "--rate", "100000"))
                for generation in self.generations()[:-1]:
                    self.assertTrue(run("rm", str(generation)))
            self.key, = self.generations()
            client.put(names[0], 10)
            return names[0]

        whole(0)
        steps = self.k.steps(lambda: rotate(0))
        self.assertGreater(len(steps), 40)
        for call, before in steps:
            self.k.dies(f"{call} kill after={before}", whole(0), rotate)
        self.k.at_each("C_CreateObject within={n}", whole, rotate, first=1)
        self.k.at_each("C_GenerateKey within={n}", whole, rotate, first=1)
        for name in names:
            client.get(name)

    def generations(self):
        listed = json.loads(self.k.vault.command("kek", "list", "--format", "json").stdout)
        return sorted(k["generation"] for k in listed["keks"])

    def test_import(self):
        """Run again it goes on, and all of it is there."""
        client, vault, history = self.k.client, self.k.vault, self.k.history

        def run(name):
            names = [name[:-1] + tag for tag in "abc"]
            self.k.names.update(names)
            values = {}
            for each in names:
                known = history.ops.get(each)
                number = known[0].value if known else next(history.numbers)
                values[each] = value_of(number, 100, fill=b"i")
                history.add(each, Op("put", number, 0, begin=time.monotonic()))
            root = kbs_store.local_fs(vault.path(name.replace("/", "-")), {"repository": values})
            done = vault.command("import", "--from-kbs", root, "--apply", check=False)
            for each in names:
                op = history.ops[each][-1]
                op.end = min(op.end, time.monotonic()) if done.returncode == 0 else op.end
            return done.returncode == 0

        def finished(n):
            before = f"kill/import{n - 1}/a"
            if n > 0:
                self.assertTrue(run(before))
                for tag in "abc":
                    self.assertEqual(client.get(before[:-1] + tag), 1)
            return f"kill/import{n}/a"

        self.assertGreater(self.k.at_each("* kill after={n}", finished, run), 30)


@unittest.skipUnless(ALL, "takes minutes: make kill")
class Offline(unittest.TestCase):
    """The command dies, where no broker serves. SoftHSM does not survive a kill within C_Login, so it lives
    until that has returned."""

    def setUp(self):
        self.k = Killed(self)
        self.k.vault.stop()

    def at_each(self, op, steps, args, prepare):
        vault, history, name = self.k.vault, self.k.history, "kill/offline/x"
        for call, before in steps:
            prepare(name)
            vault.faults(f"{call} kill after={before}")
            number = next(history.numbers)
            one = Op(op, number if op == "put" else None, begin=time.monotonic())
            history.add(name, one)
            done = subprocess.run([program(vault.variant), *args, name, "-c", vault.path("strongroom.yaml")],
                                  input=value_of(number, 100), capture_output=True, env=vault.env, timeout=120)
            one.end = time.monotonic()
            vault.faults()
            self.assertIn(done.returncode, (0, -9), done.stderr)
            self.k.kills += done.returncode != 0
            self.read(name)

    def read(self, name):
        """By a command as well."""
        history, vault = self.k.history, self.k.vault
        op = Op("get", begin=time.monotonic())
        done = vault.command("resource", "get", name, check=False)
        self.assertIn(done.returncode, (0, 3), done.stderr)
        op.result = ("ok", number_of(done.stdout)) if done.returncode == 0 else ("missing",)
        op.end = time.monotonic()
        history.add(name, op)
        return done.returncode == 0

    def put(self, name):
        number = next(self.k.history.numbers)
        op = Op("put", number, begin=time.monotonic())
        self.k.history.add(name, op)
        self.k.vault.command("resource", "put", name, stdin=value_of(number, 10))
        op.end = time.monotonic()

    def there(self, name):
        if not self.read(name):
            self.put(name)

    def gone(self, name):
        if self.read(name):
            op = Op("delete", begin=time.monotonic())
            self.k.history.add(name, op)
            self.k.vault.command("resource", "rm", name)
            op.end = time.monotonic()

    def test_put_replace_and_delete(self):
        steps = self.k.steps(lambda: self.k.vault.command("resource", "put", "kill/offline/y", stdin=b"y"), "C_Login")
        self.assertIn(("C_CreateObject", 0), steps)
        self.at_each("put", steps, ["resource", "put"], self.gone)
        writing = steps[-20:]   # all that comes before is the same start
        self.at_each("put", writing, ["resource", "put"], self.there)
        self.at_each("delete", writing, ["resource", "rm"], self.there)
        self.assertGreater(self.k.kills, len(steps))
        self.k.history.check()
        print(f"{self.k.kills} kills", end=" ... ", flush=True)


if __name__ == "__main__":
    unittest.main()

"""Readers and writers at once: what all of them saw of a resource is explained by one order of it all."""

import os
import random
import threading
import time
import unittest

from history import Client, History
from linear import NEVER, Op, explain
from vault import Vault

SECONDS = float(os.environ.get("STRONGROOM_LINEAR_SECONDS", "4"))
KILLS = int(os.environ.get("STRONGROOM_KILLS", "6"))
NAMES = [f"linear/{n}/value" for n in range(3)]
READERS, WRITERS = 3, 4


class Checker(unittest.TestCase):
    """The judge itself, on histories made by hand."""

    def test_what_has_an_order(self):
        for ops in (
            [],
            [Op("get", end=1, result=("missing",))],
            # A read beside a write may see it or not.
            [Op("put", "a", begin=0, end=9, result=("ok", 1)), Op("get", begin=1, end=2, result=("missing",)),
             Op("get", begin=3, end=4, result=("ok", "a", 1))],
            # Of two writes at once the one that asked later may be first.
            [Op("put", "a", begin=0, end=9, result=("ok", 2)), Op("put", "b", begin=1, end=8, result=("ok", 1)),
             Op("get", begin=10, end=11, result=("ok", "a", 2))],
            # Two create it, one does.
            [Op("put", "a", 0, 0, 5, ("failed",)), Op("put", "b", 0, 0, 5, ("ok", 1))],
            # Without an answer: it was, or was not, and that shows late.
            [Op("put", "a", begin=0, end=5), Op("get", begin=6, end=7, result=("ok", "a", 1))],
            [Op("put", "a", begin=0, end=5), Op("get", begin=6, end=7, result=("missing",)),
             Op("put", "b", begin=8, end=9, result=("ok", 1))],
            [Op("put", "a", begin=0, end=NEVER), Op("get", begin=6, end=7, result=("missing",)),
             Op("get", begin=8, end=9, result=("ok", "a", 1))],
            [Op("put", "a", begin=0, end=1, result=("ok", 1)), Op("delete", begin=2, end=3, result=("ok", 2)),
             Op("delete", begin=4, end=5, result=("missing",)), Op("put", "b", 0, 6, 7, ("ok", 3)),
             Op("delete", begin=8, end=9, result=("ok", 4)), Op("purge", begin=10, end=11, result=("ok",)),
             Op("put", "c", begin=12, end=13, result=("ok", 1))],
        ):
            self.assertIsNone(explain(ops), ops)

    def test_what_has_none(self):
        written = Op("put", "a", begin=0, end=1, result=("ok", 1))
        again = Op("put", "b", begin=2, end=3, result=("ok", 2))
        for ops in (
            # lost: an acknowledged write is not there
            [written, Op("get", begin=2, end=3, result=("missing",))],
            # stale: an older one is read after a newer one was acknowledged
            [written, again, Op("get", begin=4, end=5, result=("ok", "a", 1))],
            # back and forth: the newer one was seen already, though its write has no answer yet
            [written, Op("put", "b", begin=2, end=9, result=("ok", 2)),
             Op("get", begin=3, end=4, result=("ok", "b", 2)), Op("get", begin=5, end=6, result=("ok", "a", 1))],
            # back from the dead
            [written, Op("delete", begin=2, end=3, result=("ok", 2)),
             Op("get", begin=4, end=5, result=("ok", "a", 1))],
            # both of two that were to create it
            [Op("put", "a", 0, 0, 5, ("ok", 1)), Op("put", "b", 0, 0, 5, ("ok", 2))],
            # the same number twice
            [written, Op("put", "b", begin=2, end=3, result=("ok", 1))],
            # refused although it matched
            [written, Op("put", "b", 1, 2, 3, ("failed",))],
            # purged while it was there
            [written, Op("purge", begin=2, end=3, result=("ok",))],
            # never written
            [written, Op("get", begin=2, end=3, result=("ok", "c", 1))],
            # what died with the broker comes later all the same
            [Op("put", "a", begin=0, end=5), Op("get", begin=6, end=7, result=("missing",)),
             Op("get", begin=8, end=9, result=("ok", "a", 1))],
        ):
            self.assertIn("fits nowhere", explain(ops) or "", ops)

    def test_long_histories_are_judged_quickly(self):
        """Twelve at once, four hundred times: without a memory of what was tried that takes for ever."""
        ops, version, rng = [], 0, random.Random(1)
        for turn in range(400):
            for _ in range(12):
                if rng.random() < 0.4:
                    version += 1
                    ops.append(Op("put", version, None, turn, turn + 0.9, ("ok", version)))
                elif version:
                    ops.append(Op("get", None, None, turn, turn + 0.9, ("ok", version, version)))
        self.assertIsNone(explain(ops))
        ops[-1].result = ("ok", 1) if ops[-1].kind == "put" else ("ok", 1, 1)
        self.assertIsNotNone(explain(ops))


class Worker(threading.Thread):
    """Asks until it is told to stop; then what it did not expect is in `failure`."""

    def __init__(self, client, step, stop):
        super().__init__(daemon=True)
        self.client, self.step, self.stop_, self.failure = client, step, stop, None

    def run(self):
        try:
            while not self.stop_.is_set():
                self.step(self.client)
        except Exception as error:  # shown by who joins us
            self.failure = error
        self.client.close()


def read(client):
    client.get(random.choice(NAMES))


def write(client):
    name, chance = random.choice(NAMES), random.random()
    if chance < 0.4:
        client.put(name, random.choice((10, 1000, 20000)))
    elif chance < 0.8:      # only over what was seen; 0: only where nothing is
        seen = client.get(name)
        if seen is not None:
            client.put(name, 100, if_match=seen)
    elif chance < 0.9:
        client.delete(name)
    else:
        seen = client.get(name)
        if seen:
            client.delete(name, if_match=seen)


class Linear(unittest.TestCase):
    def work(self, vault, history, seconds, patient=False):
        stop = threading.Event()
        workers = [Worker(Client(vault, history, patient), write if n < WRITERS else read, stop)
                   for n in range(WRITERS + READERS)]
        for worker in workers:
            worker.start()
        return workers, stop, time.monotonic() + seconds

    def done(self, workers, stop):
        stop.set()
        for worker in workers:
            worker.join(60)
            self.assertFalse(worker.is_alive())
            if worker.failure:
                raise worker.failure

    def judge(self, history):
        history.check()
        outcomes = {}
        for op in sum(history.ops.values(), []):
            outcome = (op.kind, op.result[0] if op.result else "unknown")
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        print(", ".join(f"{kind} {said} {n}" for (kind, said), n in sorted(outcomes.items())),
              end=" ... ", flush=True)
        for must in (("put", "ok"), ("put", "failed"), ("delete", "ok"), ("get", "ok"), ("get", "missing")):
            self.assertIn(must, outcomes)
        return outcomes

    def test_at_once(self):
        history = History()
        with Vault() as vault:
            vault.start().allow_all()
            workers, stop, end = self.work(vault, history, SECONDS)
            while time.monotonic() < end and all(w.is_alive() for w in workers):
                stop.wait(0.05)
            self.done(workers, stop)
            self.judge(history)

    def test_while_the_broker_is_killed(self):
        """What had no answer when it died may have been or not; all else must fit."""
        history = History()
        with Vault(variant="release") as vault:
            vault.start().allow_all()
            for _ in range(KILLS):
                workers, stop, _ = self.work(vault, history, 0, patient=True)
                # A random moment is the point: it dies wherever it is.
                stop.wait(random.uniform(0.05, 0.5))
                vault.kill()
                self.done(workers, stop)
                history.broker_died()
                vault.start()
                reader = Client(vault, history)
                for name in NAMES:
                    reader.get(name)
                reader.close()
            print(f"{KILLS} kills", end=", ", flush=True)
            outcomes = self.judge(history)
            self.assertIn(("put", "unknown"), outcomes)


if __name__ == "__main__":
    unittest.main()

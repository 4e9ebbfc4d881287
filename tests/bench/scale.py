#!/usr/bin/python3
"""What ten thousand resources cost beside a hundred, on SoftHSM tokens of their own.

    tests/bench/scale.py BUILD [SECONDS [TURNS]]

Each figure is the median of TURNS, which small and large token take by turns, since the machine is noisy;
ratios are of core time a release (broker and generator together), which other work disturbs least, each of one
turn, since what disturbs comes and goes over minutes. Also how long a second broker on the large token takes to
see what the first one writes.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

BUILD = str(pathlib.Path(sys.argv[1]).resolve())
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 2
TURNS = int(sys.argv[3]) if len(sys.argv) > 3 else 5
os.environ.update(STRONGROOM_BUILD=BUILD, STRONGROOM_VARIANT="release")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from guest import Refused          # noqa: E402
from vault import Vault            # noqa: E402

FEW, MANY, BIG = 100, 10000, 64 << 10
BUDGET = 64 << 20
PROGRAM = os.path.join(BUILD, "release/tests/bench/bench_scale")


def filled(count, size, **config):
    """A token with so many resources, in a vault whose broker does not run."""
    vault = Vault(variant="release", config=config).prepare()
    vault.command("policy", "set", "--allow-all")
    begun = time.monotonic()
    run(vault, "fill", count, size)
    print(f"  filled with {count} resources of {size} bytes in {time.monotonic() - begun:.0f} s", flush=True)
    return vault


def run(vault, *args):
    mode, *rest = map(str, args)
    done = subprocess.run([PROGRAM, mode, vault.path("strongroom.yaml"), *rest], env=vault.env,
                          capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench_scale {mode}: {done.stderr}")
    return done.stdout


def measure(vault, count, hot):
    return json.loads(run(vault, "measure", count, hot, SECONDS))


def median(measured, key):
    return statistics.median(m[key] for m in measured)


def verdict(good):
    return "" if good else "  MISSED"


def compare(name, few, many, must=None):
    ratio = statistics.median(f["release_us"] / m["release_us"] for f, m in zip(few, many, strict=True))
    print(f"  {name:<44} {median(many, 'release_us'):6.0f} us, {median(many, 'release_per_s'):6.0f}/s;"
          f" rate ratio {ratio:.3f}{verdict(must is None or ratio >= must)}", flush=True)


def per_resource(measured):
    m = measured[-1]
    assert m["live"] == m["resources"] + 1      # and the policy
    return (m["store_bytes"] - m["envelope_bytes"]) / m["resources"]


# ---- what the second broker sees -------------------------------------------------------------------


def seen_after(guest, name, value):
    begun = time.monotonic()
    while True:
        try:
            if guest.get(name) == value:
                return (time.monotonic() - begun) * 1000
        except Refused as error:
            if error.status != 503:
                raise


def brokers(writer):
    writer.start()
    reader = writer.second().start()
    guest = reader.guest().handshake()
    new, changed = [], []
    for turn in range(3):
        writer.put(f"second/new/{turn}", b"new")
        begun = time.monotonic()
        assert guest.get(f"second/new/{turn}") == b"new"    # never a 404
        new.append((time.monotonic() - begun) * 1000)
        writer.put("bench/value/0", b"%d" % turn)
        changed.append(seen_after(guest, "bench/value/0", b"%d" % turn))
    reader.stop()
    writer.stop()
    print(f"  a second broker: a new name is read after {statistics.median(new):.0f} ms, without a 404; a new "
          f"value after {statistics.median(changed):.0f} ms", flush=True)


def rescans(vault):
    """Reading the token again after another's write, without the other, by core time."""
    seen = [json.loads(run(vault, "rescan", 5)) for _ in range(TURNS)]
    again = median(seen, "rescan_core_ms")
    print(f"  reading what another wrote: {median(seen, 'rescan_ms'):.0f} ms by the clock, {again:.0f} ms of core "
          f"time{verdict(again < 1000)}", flush=True)


def main():
    print(f"{FEW} and {MANY} resources, each asked for in turn by 16 connections")
    small, large = filled(FEW, 1024), filled(MANY, 1024)
    few, hot, each, roomy = [], [], [], []
    for _ in range(TURNS):
        few.append(measure(small, FEW, FEW))
        hot.append(measure(large, MANY, FEW))
        each.append(measure(large, MANY, MANY))
        large.configure(token={"content_key_cache": MANY + 100})
        roomy.append(measure(large, MANY, MANY))
        large.configure()
    print(f"  {FEW:<44} {median(few, 'release_us'):6.0f} us, {median(few, 'release_per_s'):6.0f}/s")
    compare(f"{MANY}, of which {FEW} are asked for", few, hot, 0.95)
    compare(f"{MANY}, all asked for in turn", few, each)
    compare(f"the same with content_key_cache: {MANY + 100}", few, roomy, 0.95)
    start = median(hot + each, "start_core_ms")
    print(f"  start to ready: {median(hot + each, 'start_ms'):.0f} ms by the clock, {start:.0f} ms of core time"
          f"{verdict(start < 5000)} ({FEW}: {median(few, 'start_core_ms'):.0f} ms)")
    extra = per_resource(each)
    print(f"  memory of the store a resource, beyond its envelope: {extra:.0f} bytes{verdict(extra < 256)}")
    print(f"  resident with the module: {each[-1]['rss_kib'] >> 10} MiB ({FEW}: {few[-1]['rss_kib'] >> 10} MiB)")
    rescans(large)
    brokers(large)
    large.__exit__(None)
    big = filled(MANY, BIG)
    base = filled(FEW, BIG)
    few, many = [], []
    for _ in range(TURNS):
        few.append(measure(base, FEW, FEW))
        many.append(measure(big, MANY, MANY))
    held = max(m["envelope_bytes"] for m in many)
    print(f"  {FEW} of {BIG >> 10} KiB {'':<31} {median(few, 'release_us'):6.0f} us, "
          f"{median(few, 'release_per_s'):6.0f}/s")
    compare(f"{MANY} of {BIG >> 10} KiB, all asked for in turn", few, many)
    print(f"  envelopes in memory: {held >> 20} MiB of {BUDGET >> 20}{verdict(held <= BUDGET)}; resident with the "
          f"module: {many[-1]['rss_kib'] >> 10} MiB; start to ready: {median(many, 'start_core_ms'):.0f} ms "
          "of core time")
    for vault in (small, big, base):
        vault.__exit__(None)


main()

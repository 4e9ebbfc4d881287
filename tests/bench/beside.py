#!/usr/bin/python3
"""Our policy engine beside the reference's, in one run.

    tests/bench/beside.py BUILD [ROUNDS] [MILLISECONDS]

BUILD/tests/rego/beside is ours, BUILD/../regorus/release/regorus-beside the other (tests/bench/regorus,
built here when a cargo is found that can). Both are asked in turn, ROUNDS times; each figure is the
median. A line a policy: ours, theirs, how many times faster, and the bound. Says so and succeeds where
there is no cargo.
"""

import base64
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
VECTORS = HERE.parent / "vectors" / "kbs"
STOCK = (("default", "old-admin-policy-default.json"), ("affirming", "new-admin-policy-affirming.json"),
         ("allow-all", "new-admin-policy-allow.json"), ("affirming, before 0.21", "old-admin-policy-affirming.json"))
STOCK_BOUND, LARGER_BOUND = 4.0, 1.0
DATA = {"plugin": "resource", "resource-path": ["default", "key", "one"], "query": {}}


def build_theirs(target):
    """The other engine's program, or why there is none."""
    cargo = shutil.which("cargo")
    if not cargo:
        return None, "no cargo"
    done = subprocess.run([cargo, "build", "--release", "--quiet", "--locked"], cwd=HERE / "regorus",
                          env={**os.environ, "CARGO_TARGET_DIR": str(target)},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        return None, (done.stdout.strip().splitlines() or ["cargo failed"])[-1]
    return target / "release" / "regorus-beside", None


# ---- what is measured ----------------------------------------------------------------------------


def stock_text(name):
    """The policy inside a recorded upload."""
    for exchange in json.loads((VECTORS / name).read_text()):
        body = exchange["request"].get("body") or ""
        try:
            text = json.loads(body)["policy"]
        except (ValueError, KeyError, TypeError):
            continue
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    raise SystemExit(f"beside: {name} holds no policy")


def token(size):
    """Claims of an affirmed guest, padded with evidence to about `size` bytes of JSON."""
    vector = {"configuration": 2, "executables": 2, "file-system": 0, "hardware": 2,
              "instance-identity": 0, "runtime-opaque": 0, "sourced-data": 0, "storage-opaque": 0}
    claims = {"eat_profile": "tag:github.com,2024:confidential-containers/Trustee",
              "iat": 1780000000, "exp": 1780000300, "iss": "CoCo-Attestation-Service",
              "submods": {"cpu0": {"ear.status": "affirming", "ear.trustworthiness-vector": vector,
                                   "ear.appraisal-policy-id": "default",
                                   "ear.veraison.annotated-evidence": {"snp": {}}}}}
    evidence = claims["submods"]["cpu0"]["ear.veraison.annotated-evidence"]["snp"]
    number = 0
    while len(json.dumps(claims, separators=(",", ":"))) < size:
        evidence[f"measurement-{number}"] = f"{number:064x}"
        number += 1
    return claims


def many():
    """Input of the larger policies."""
    dice = random.Random(7)
    components = [{"name": f"component-{i}", "digest": f"sha256:{dice.getrandbits(256):064x}",
                   "kind": ("layer", "config", "blob", "index")[i % 4], "size": (i * 37) % 200}
                  for i in range(200)]
    claims = token(1024)
    claims.update(components=components, names=[c["name"] for c in components],
                  ids=list(range(1000)), allowed_ids=list(range(500, 1500)),
                  few=[{"name": f"few-{i}", "group": i % 10} for i in range(60)],
                  image="registry.example/app:1", settings={"level": 5, "extra": {"deep": 7}})
    return claims


def path_rules(count):
    rules = "".join(f'allow if {{\n\tdata["resource-path"] == ["default", "key", "n{i}"]\n\tinput.iat > 0\n}}\n\n'
                    for i in range(count - 1))
    return ("package policy\n\ndefault allow := false\n\n" + rules +
            'allow if {\n\tdata["resource-path"] == ["default", "key", "one"]\n\tinput.iat > 0\n}\n')


def write(folder, name, content):
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def cases(folder):
    """(label, bound, [QUERY, POLICY, INPUT, DATA])"""
    data = write(folder, "data.json", DATA)
    small, large = (write(folder, f"token-{n}.json", token(n * 1024)) for n in (1, 6))
    big = write(folder, "many.json", many())
    query = "data.policy.allow"
    for number, (label, file) in enumerate(STOCK):
        policy = write(folder, f"stock-{number}.rego", stock_text(file))
        for size, claims in (("1 KiB", small), ("6 KiB", large)):
            yield f"stock: {label}, {size}", STOCK_BOUND, [query, policy, claims, data]
    for path in sorted((HERE / "policies").glob("*.rego")):
        yield path.stem, LARGER_BOUND, [query, str(path), big, data]
    yield "1,000 path rules", LARGER_BOUND, [query, write(folder, "paths.rego", path_rules(1000)), small, data]


# ---- running ---------------------------------------------------------------------------------------


def ask(program, milliseconds, words):
    done = subprocess.run([str(program), "bench", str(milliseconds), *words], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise SystemExit(f"beside: {program.name}: {done.stderr.strip()}")
    lines = [line.split(" ", 1) for line in done.stdout.splitlines()]
    wrong = [number for number, (_, value) in enumerate(lines) if value != "true"]
    if wrong:
        raise SystemExit(f"beside: {program.name}: {words[4 * wrong[0] + 1]} is {lines[wrong[0]][1]}, "
                         "so nothing was measured")
    return [float(ns) for ns, _ in lines]


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    rounds, milliseconds = (int(sys.argv[i]) if len(sys.argv) > i else d for i, d in ((2, 5), (3, 20)))
    ours = build / "tests" / "rego" / "beside"
    theirs, why = build_theirs(build.parent / "regorus")
    if not theirs:
        print(f"regorus       not measured: {why}")
        return 0
    folder = build / "tests" / "bench" / "beside"
    folder.mkdir(parents=True, exist_ok=True)
    listed = list(cases(folder))
    words = [word for _, _, four in listed for word in four]
    runs = {ours: [], theirs: []}
    for _ in range(rounds):
        for program, found in runs.items():
            found.append(ask(program, milliseconds, words))
    medians = {program: [statistics.median(times) for times in zip(*found)] for program, found in runs.items()}
    print(f"{'policy':<34} {'ours':>10} {'regorus':>10}  {'faster':>7}   bound")
    behind = 0
    for (label, bound, _), mine, other in zip(listed, medians[ours], medians[theirs]):
        ratio = other / mine
        behind += ratio < bound
        print(f"{label:<34} {mine / 1000:>7.2f} us {other / 1000:>7.2f} us  {ratio:>6.1f}x   "
              f"{bound:.0f}x {'ok' if ratio >= bound else 'BEHIND'}")
    print(f"regorus       {len(listed) - behind} of {len(listed)} within their bounds")
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""The same generated policies through our engine and the reference's: same answers, or explained ones.

    tests/rego/differential/run.py BUILD [COUNT] [SEED]

Differences that are the other engine's are recognised by explained.txt, counted, and printed by reason;
any other one is made smaller, printed, and fails the run. Says so and succeeds where there is no cargo.
"""

import collections
import json
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "bench")]
sys.dont_write_bytecode = True
from beside import build_theirs  # noqa: E402
from generate import case        # noqa: E402

SHOWN_MAX = 12


class Engine:
    def __init__(self, program):
        self.process = subprocess.Popen([str(program), "oracle"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)

    def ask(self, question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"differential: {self.process.args[0]} died of {json.dumps(question)}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def kind(answer):
    return "error" if "refused" in answer else next(iter(answer))


def same(ours, theirs):
    return kind(ours) == kind(theirs) and (kind(ours) != "value" or ours["value"] == theirs["value"])


def read_explained():
    """[(ours, theirs, pattern of the policy's text, pattern of both answers, reason)]"""
    rows = []
    for number, line in enumerate((HERE / "explained.txt").read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split(" | ")]
        if len(fields) != 5:
            raise SystemExit(f"explained.txt:{number}: wants five fields between bars")
        rows.append((fields[0], fields[1], re.compile(fields[2]), re.compile(fields[3]), fields[4]))
    return rows


def explain(rows, question, ours, theirs):
    text, said = question["modules"][0], f"{json.dumps(ours)} {json.dumps(theirs)}"
    for mine, other, pattern, answer, reason in rows:
        if mine in (kind(ours), "any") and other in (kind(theirs), "any") and pattern.search(text) and answer.search(said):
            return reason
    return None


def differs(pair, question):
    ours, theirs = (engine.ask(question) for engine in pair)
    return None if same(ours, theirs) else (ours, theirs)


def shrink(pair, question, rows):
    """Takes rules, statements and members of the input away as long as the difference stays unexplained."""
    rule = question["query"].rsplit(".", 1)[1]

    def still(candidate):
        if not re.search(rf"^{rule} ", candidate["modules"][0], re.M):
            return False
        found = differs(pair, candidate)
        return bool(found) and "refused" not in found[0] and not explain(rows, candidate, *found)

    def with_text(text):
        return {**question, "modules": [text]}

    changed = True
    while changed:
        changed = False
        head, *rules = question["modules"][0].split("\n\n")
        for i in range(1, len(rules)):
            candidate = with_text("\n\n".join([head] + rules[:i] + rules[i + 1:]))
            if still(candidate):
                question, changed = candidate, True
                break
        if changed:
            continue
        text = question["modules"][0]
        for piece in re.finditer(r"; [^;{}]*(?=[;}])|(?<=\{ )[^;{}]*; ", text):
            candidate = with_text(text[:piece.start()] + text[piece.end():])
            if still(candidate):
                question, changed = candidate, True
                break
        for name in list(question["input"]) if not changed else ():
            candidate = {**question, "input": {k: v for k, v in question["input"].items() if k != name}}
            if still(candidate):
                question, changed = candidate, True
                break
    return question


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    count, seed = (int(sys.argv[i]) if len(sys.argv) > i else d for i, d in ((2, 10000), (3, 1)))
    theirs, why = build_theirs(build.parent / "regorus")
    if not theirs:
        print(f"differential: not run: {why}")
        return 0
    rows = read_explained()
    pair = Engine(build / "tests" / "rego" / "beside"), Engine(theirs)
    kinds, reasons, unexplained, refusals = (collections.Counter() for _ in range(4))
    for number in range(seed * 1000000, seed * 1000000 + count):
        question = case(number)
        ours, other = (engine.ask(question) for engine in pair)
        kinds[kind(ours)] += 1
        if "refused" in ours and "refused" not in other:
            refusals[re.sub(r"\b(l|r)\d+\b|:\d+", "_", ours["refused"])[:90]] += 1
        if same(ours, other):
            continue
        reason = explain(rows, question, ours, other)
        if reason:
            reasons[reason] += 1
            continue
        unexplained[number] += 1
        if len(unexplained) <= SHOWN_MAX:
            small = shrink(pair, question, rows) if "refused" not in ours else question
            print(f"---- case {number}: {small['query']}\n{small['modules'][0]}input {json.dumps(small['input'])}")
            print(f"ours   {json.dumps(pair[0].ask(small))}\ntheirs {json.dumps(pair[1].ask(small))}")
    for engine in pair:
        engine.close()
    print("answers of ours: " + ", ".join(f"{n} {name}" for name, n in kinds.most_common()))
    for text, n in refusals.most_common(10):
        print(f"refused by us alone: {n:>5}  {text}")
    for reason, n in reasons.most_common():
        print(f"explained: {n:>5}  {reason}")
    same_count = count - sum(reasons.values()) - len(unexplained)
    print(f"differential: {count} cases, {same_count} the same, {sum(reasons.values())} explained, {len(unexplained)} not")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())

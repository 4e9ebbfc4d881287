#!/usr/bin/python3
"""Generated policies through our engine and through a slow evaluator by definition: the same answers.

    tests/rego/differential/definition.py BUILD [COUNT] [SEED]

Where one of them meets a conflict (two values where there may be one) the answers are counted, not compared:
which parts of a body are looked at first decides whether it is met. A difference is printed and fails the run.
"""

import collections
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "bench")]
sys.dont_write_bytecode = True
from plain import answer                 # noqa: E402
from run import Engine, kind, same       # noqa: E402
from shapes import case                  # noqa: E402

SHOWN_MAX = 5


def verdict(ours, wanted):
    if "refused" in ours:
        return "rules in each other's way" if " conflicts with [" in ours["refused"] else "different"
    if "skipped" in wanted:
        return "too long"
    if "error" in ours or "error" in wanted:
        return "conflicts" if "error" in wanted or "must" in ours["error"] else "different"
    return f"the same {kind(ours)}" if same(ours, wanted) else "different"


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    count, seed = (int(sys.argv[i]) if len(sys.argv) > i else d for i, d in ((2, 2000), (3, 1)))
    sys.setrecursionlimit(20000)
    engine, verdicts = Engine(build / "tests" / "rego" / "beside"), collections.Counter()
    for number in range(seed * 1000000, seed * 1000000 + count):
        question, rules, functions, name = case(number)
        ours = engine.ask(question)
        wanted = answer(rules, functions, question, name)
        found = verdict(ours, wanted)
        verdicts[found] += 1
        if found == "different" and verdicts[found] <= SHOWN_MAX:
            print(f"---- case {number}: {question['query']}")
            print("====\n".join(question["modules"]) + "input " + json.dumps(question["input"]))
            print(f"data {json.dumps(question['data'])}\nours   {json.dumps(ours)}\nwanted {json.dumps(wanted)}")
    engine.close()
    print(f"by definition: {count} cases, " + ", ".join(f"{n} {text}" for text, n in verdicts.most_common()))
    return 1 if verdicts["different"] else 0


if __name__ == "__main__":
    sys.exit(main())

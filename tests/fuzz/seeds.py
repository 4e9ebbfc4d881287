#!/usr/bin/env python3
"""Seeds for the fuzz targets that read Rego: the modules and queries of conformance cases.

    seeds.py OUT FOLDER...

Writes OUT/<target>/<hash>. The folders hold cases in the JSON form of OPA's suite; files that cannot
be read are passed over. Nothing of this is kept in the repository.
"""
import hashlib
import json
import os
import sys

TARGETS = {"modules": ("rego_lexer", "rego_parser", "rego_eval"), "query": ("rego_lexer", "rego_parser")}


def write(out, kind, text):
    for target in TARGETS[kind]:
        folder = os.path.join(out, target)
        os.makedirs(folder, exist_ok=True)
        data = text.encode("utf-8", "surrogatepass")
        with open(os.path.join(folder, hashlib.sha256(data).hexdigest()[:16]), "wb") as f:
            f.write(data)


def main(out, folders):
    for folder in folders:
        for name in sorted(os.listdir(folder)):
            if not name.endswith(".json"):
                continue
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                cases = json.load(f).get("cases", [])
            for case in cases:
                for module in case.get("modules") or []:
                    write(out, "modules", module)
                write(out, "query", case.get("query", ""))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

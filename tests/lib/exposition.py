"""A strict reader of Prometheus' text format 0.0.4: whatever a scraper may refuse is an error here.

    families = exposition.read(text)            # {name: Family}
    families["x_total"].samples[(("tee_type", "snp"),)]
"""

import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|\Z)')
SAMPLE = re.compile(r"([^ {]+)(?:\{([^}]*)\})? ([^ ]+)\Z")
NUMBER = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?|\+Inf)\Z")   # no counter of ours is negative or NaN
TYPES = ("counter", "gauge", "histogram")


class Family:
    """One metric: what stands between its # HELP and the next one's."""

    def __init__(self, name, text):
        self.name, self.help, self.type = name, text, None
        self.samples = {}   # labels -> value; of a histogram: (suffix, labels) -> value

    def add(self, name, labels, value):
        suffix = name.removeprefix(self.name)
        if self.type == "histogram":
            assert suffix in ("_bucket", "_sum", "_count"), f"{name} is no part of {self.name}"
            key = (suffix, labels)
        else:
            assert suffix == "", f"{name} stands below {self.name}"
            key = labels
        assert key not in self.samples, f"{name}{dict(labels)} comes twice"
        self.samples[key] = value

    def check(self):
        assert self.samples, f"{self.name} has no samples"
        if self.type == "counter":
            assert self.name.endswith("_total"), f"{self.name} is a counter and not called so"
        if self.type == "histogram":
            self.check_histogram()

    def check_histogram(self):
        bounds, counts = [], []
        for (suffix, labels), value in self.samples.items():
            if suffix == "_bucket":
                ((label, bound),) = labels
                assert label == "le", label
                bounds.append(float(bound))
                counts.append(value)
            else:
                assert labels == (), labels
        assert bounds == sorted(set(bounds)) and bounds[-1] == float("inf"), bounds
        assert counts == sorted(counts), f"{self.name}: buckets are not cumulative: {counts}"
        assert counts[-1] == self.samples["_count", ()], f"{self.name}: +Inf is not the count"
        assert all(count == int(count) for count in counts), counts
        assert ("_sum", ()) in self.samples, f"{self.name} has no sum"


def read_labels(text):
    labels = []
    at = 0
    while at < len(text):
        found = LABEL.match(text, at)
        assert found, f"labels {text!r}"
        labels.append((found[1], found[2]))
        at = found.end()
        assert found[3] == "" or at < len(text), f"labels {text!r} end in a comma"
    assert len({name for name, _ in labels}) == len(labels), f"labels {text!r}"
    return tuple(sorted(labels))


def read_sample(line):
    found = SAMPLE.match(line)
    assert found, f"sample {line!r}"
    assert NAME.match(found[1]), f"name {found[1]!r}"
    assert NUMBER.match(found[3]), f"value {found[3]!r}"
    return found[1], read_labels(found[2] or ""), float(found[3])


def read(text):
    """All families by name. An AssertionError says what is wrong."""
    assert text.endswith("\n"), "the last line has no end"
    families, current = {}, None
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name, _, words = line[len("# HELP "):].partition(" ")
            assert NAME.match(name) and words, f"help {line!r}"
            assert name not in families, f"{name} has two groups"
            assert current is None or current.type, f"{current.name} has no type"
            current = families[name] = Family(name, words)
        elif line.startswith("# TYPE "):
            name, kind = line[len("# TYPE "):].split(" ")
            assert current and name == current.name and not current.type, f"type {line!r}"
            assert kind in TYPES, f"type {line!r}"
            current.type = kind
        else:
            assert current and current.type, f"{line!r} has no head"
            current.add(*read_sample(line))
    for family in families.values():
        family.check()
    return families

"""Random well-formed Rego policies with inputs, reproducible by seed.

Values come from small pools, so that comparisons hold about as often as not; a tenth of the operands
has a random type, so that undefined and type errors appear as well. Only what both engines offer is
generated.
"""

import random

NUMBERS = ("0", "1", "2", "3", "-1", "7", "10", "2.5")
STRINGS = ('"a"', '"b"', '"ab"', '""', '"key"', '"A-b"', '"x/y"')
KEYS = ("a", "b", "c", "k")
TYPES = ("num", "str", "bool", "arr", "set", "obj")


def value(dice, depth=2):
    """A JSON value for the input."""
    kinds = ["num", "num", "str", "str", "bool", "null"] + (["arr", "obj"] if depth else [])
    kind = dice.choice(kinds)
    if kind == "num":
        return dice.choice((0, 1, 2, 3, -1, 7, 10, 2.5))
    if kind == "str":
        return dice.choice(("a", "b", "ab", "", "key", "A-b", "x/y"))
    if kind == "arr":
        return [value(dice, depth - 1) for _ in range(dice.randrange(4))]
    if kind == "obj":
        return {dice.choice(KEYS): value(dice, depth - 1) for _ in range(dice.randrange(4))}
    return dice.choice((True, False)) if kind == "bool" else None


def document(dice):
    """The input: typed members, some of which are missing."""
    whole = {
        "n": dice.choice((0, 1, 2, 3, 7)),
        "s": dice.choice(("a", "b", "ab", "key")),
        "flag": dice.choice((True, False)),
        "xs": [dice.choice((0, 1, 2, 3, 7)) for _ in range(dice.randrange(6))],
        "ss": [dice.choice(("a", "b", "ab", "key", "")) for _ in range(dice.randrange(5))],
        "o": {k: dice.choice((0, 1, 2, 3)) for k in KEYS if dice.random() < 0.6},
        "os": [{"id": i, "tag": dice.choice(("a", "b")), "ns": [dice.randrange(3) for _ in range(dice.randrange(3))]}
               for i in range(dice.randrange(4))],
        "any": value(dice),
    }
    return {name: v for name, v in whole.items() if dice.random() > 0.1}


class Policy:
    """One policy on its way: rules in order, each using those before it."""

    def __init__(self, dice):
        self.dice = dice
        self.rules = []      # (name, type) of those that can be referred to
        self.functions = []  # (name, type of argument, type of result)
        self.text = []
        self.fresh = 0

    def pick(self, *choices):
        return self.dice.choice(choices)

    def name(self):
        self.fresh += 1
        return f"l{self.fresh}"

    # ---- terms: text of a term of about this type, over these locals {name: type} ----

    def term(self, kind, scope, depth=2):
        if self.dice.random() < 0.08:
            kind = self.dice.choice(TYPES)
        local = [name for name, t in scope.items() if t == kind]
        if local and self.dice.random() < 0.4:
            return self.dice.choice(local)
        rules = [f"{name}" for name, t in self.rules if t == kind]
        if rules and self.dice.random() < 0.25:
            return self.dice.choice(rules)
        return getattr(self, kind)(scope, depth)

    def num(self, scope, depth):
        t = lambda kind: self.term(kind, scope, depth - 1)
        simple = [lambda: self.dice.choice(NUMBERS), lambda: "input.n", lambda: f"input.o.{self.pick(*KEYS)}",
                  lambda: f"input.xs[{self.dice.randrange(4)}]"]
        calls = [lambda: f"({t('num')} {self.pick('+', '-', '*')} {t('num')})", lambda: f"count({t(self.pick('arr', 'set', 'obj', 'str'))})",
                 lambda: f"abs({t('num')})", lambda: f"sum({t('arr')})", lambda: f"max({t('set')})", lambda: f"min({t('arr')})",
                 lambda: f"round({t('num')})", lambda: f"({t('num')} % {self.pick('2', '3')})", lambda: f"indexof({t('str')}, {t('str')})",
                 lambda: f"object.get({t('obj')}, {t('str')}, {t('num')})", lambda: f"to_number({t('str')})",
                 lambda: f"({t('num')} / {self.pick('1', '2', '4')})"] + self.calls("num", t)
        return self.dice.choice(simple + calls if depth > 0 else simple)()

    def str(self, scope, depth):
        t = lambda kind: self.term(kind, scope, depth - 1)
        simple = [lambda: self.dice.choice(STRINGS), lambda: "input.s", lambda: f"input.ss[{self.dice.randrange(3)}]"]
        calls = [lambda: f"concat({t('str')}, {t('arr')})", lambda: f"lower({t('str')})", lambda: f"upper({t('str')})",
                 lambda: f"replace({t('str')}, {t('str')}, {t('str')})", lambda: f"trim({t('str')}, {t('str')})",
                 lambda: f"substring({t('str')}, {self.pick('0', '1', '2')}, {self.pick('-1', '1', '2')})",
                 lambda: f"sprintf(\"%v-%v\", [{t('str')}, {t('bool')}])", lambda: f"type_name({t(self.dice.choice(TYPES))})",
                 lambda: f"trim_prefix({t('str')}, {t('str')})", lambda: f"base64.encode({t('str')})"] + self.calls("str", t)
        return self.dice.choice(simple + calls if depth > 0 else simple)()

    def bool(self, scope, depth):
        t = lambda kind: self.term(kind, scope, depth - 1)
        simple = [lambda: self.pick("true", "false"), lambda: "input.flag"]
        calls = [lambda: f"startswith({t('str')}, {t('str')})", lambda: f"contains({t('str')}, {t('str')})",
                 lambda: f"endswith({t('str')}, {t('str')})",
                 lambda: f"is_{self.pick('number', 'string', 'array', 'object', 'set', 'boolean', 'null')}({t(self.dice.choice(TYPES))})",
                 lambda: f"regex.match({self.pick('`^a`', '`b+$`', '`[a-k]`', '`^$`')}, {t('str')})"] + self.calls("bool", t)
        return self.dice.choice(simple + calls if depth > 0 else simple)()

    def arr(self, scope, depth):
        t = lambda kind: self.term(kind, scope, depth - 1)
        simple = [lambda: "input.xs", lambda: "input.ss", lambda: "[]", lambda: f"[{self.dice.choice(NUMBERS)}, {self.dice.choice(NUMBERS)}]",
                  lambda: f"[{self.dice.choice(STRINGS)}]"]
        calls = [lambda: f"array.concat({t('arr')}, {t('arr')})", lambda: f"array.slice({t('arr')}, {self.pick('0', '1')}, {self.pick('1', '2')})",
                 lambda: f"sort({t(self.pick('arr', 'set'))})", lambda: f"split({t('str')}, {t('str')})",
                 lambda: f"[{t('num')}, {t('str')}]", lambda: self.comprehension("[", "]", scope, depth),
                 lambda: f"array.reverse({t('arr')})", lambda: f"numbers.range({self.pick('0', '1', '3')}, {t('num')})"] + self.calls("arr", t)
        return self.dice.choice(simple + calls if depth > 0 else simple)()

    def set(self, scope, depth):
        t = lambda kind: self.term(kind, scope, depth - 1)
        simple = [lambda: "set()", lambda: "{1, 2}", lambda: '{"a", "b"}', lambda: "{0, 3, 7}"]
        calls = [lambda: f"({t('set')} {self.pick('|', '&', '-')} {t('set')})", lambda: self.comprehension("{", "}", scope, depth),
                 lambda: f"{{{t('num')}, {t('str')}}}", lambda: f"union({{{t('set')}}})", lambda: f"object.keys({t('obj')})"] + self.calls("set", t)
        return self.dice.choice(simple + calls if depth > 0 else simple)()

    def obj(self, scope, depth):
        t = lambda kind: self.term(kind, scope, depth - 1)
        simple = [lambda: "input.o", lambda: "{}", lambda: '{"a": 1}', lambda: f"input.os[{self.dice.randrange(2)}]"]
        calls = [lambda: f"object.union({t('obj')}, {t('obj')})", lambda: f"{{{t('str')}: {t('num')}, \"z\": {t('bool')}}}",
                 lambda: f"object.remove({t('obj')}, {t(self.pick('arr', 'set'))})", lambda: f"object.filter({t('obj')}, {t('set')})",
                 lambda: self.object_comprehension(scope, depth)] + self.calls("obj", t)
        return self.dice.choice(simple + calls if depth > 0 else simple)()

    def calls(self, kind, t):
        return [lambda f=f, a=a: f"{f}({t(a)})" for f, a, result in self.functions if result == kind]

    def comprehension(self, left, right, scope, depth):
        body, inner = self.body(scope, depth - 1, self.pick(1, 2))
        return f"{left}{self.term(self.pick('num', 'str'), inner, depth - 1)} | {body}{right}"

    def object_comprehension(self, scope, depth):
        x, y = self.name(), self.name()
        inner = {**scope, x: "str", y: "num"}
        return f"{{{x}: {y} | {self.some(f'{x}, {y}', 'obj', scope, depth - 1)}; {self.expr(inner, depth - 1)}}}"

    def some(self, names, kind, scope, depth):
        """The other engine wants the collection in a variable when it is a call."""
        collection = self.term(kind, scope, depth)
        if "(" not in collection and "|" not in collection:
            return f"some {names} in {collection}"
        bound = self.name()
        return f"{bound} := {collection}; some {names} in {bound}"

    # ---- bodies ----

    def body(self, scope, depth, length):
        scope = dict(scope)
        parts = []
        for _ in range(length):
            text, bound = self.statement(scope, depth)
            parts.append(text)
            scope.update(bound)
        return "; ".join(parts), scope

    def statement(self, scope, depth):
        x = self.name()
        dice = self.dice.random()
        if dice < 0.25:
            kind = self.dice.choice(TYPES)
            return f"{x} := {self.term(kind, scope, depth)}", {x: kind}
        if dice < 0.4:
            collection, kind = self.pick(("arr", "num"), ("set", "num"), ("arr", "str"))
            return self.some(x, collection, scope, depth), {x: kind}
        if dice < 0.47:
            y = self.name()
            return self.some(f"{x}, {y}", "obj", scope, depth), {x: "str", y: "num"}
        if dice < 0.53:
            y = self.name()
            return f"some {y}; {x} := input.{self.pick('xs', 'ss')}[{y}]", {x: "num", y: "num"}
        if dice < 0.57:
            y = self.name()
            return f"[{x}, {y}] = [{self.term('num', scope, depth)}, {self.term('str', scope, depth)}]", {x: "num", y: "str"}
        return self.expr(scope, depth), {}

    def expr(self, scope, depth):
        t = lambda kind: self.term(kind, scope, max(depth - 1, 0))
        kind = self.dice.choice(TYPES)
        choice = self.dice.random()
        if choice < 0.35:
            return f"{t(kind)} {self.pick('==', '!=', '<', '<=', '>', '>=')} {t(kind)}"
        if choice < 0.5:
            return f"{t(self.pick('num', 'str'))} in {t(self.pick('arr', 'set', 'obj'))}"
        if choice < 0.62:
            return f"not {self.simple(scope)}"
        if choice < 0.7 and depth > 0:
            x = self.name()
            inner, _ = self.body({**scope, x: self.pick("num", "str")}, depth - 1, 1)
            return f"every {x} in {t(self.pick('arr', 'set'))} {{ {x} != {self.pick(*STRINGS, *NUMBERS)}; {inner} }}"
        if choice < 0.76 and self.rules:
            name, kind = self.dice.choice(self.rules)
            with_value = self.pick("3", '"b"', "[1, 2]", "{}", "input.o")
            return f"{name} == {self.literal(kind)} with input.{self.pick('n', 's', 'xs', 'o')} as {with_value}"
        if choice < 0.8:
            return f"input.{self.pick('any', 'o', 'os', 'missing')}[{self.pick(chr(34) + 'a' + chr(34), '0', '_')}]"
        return t("bool")

    def simple(self, scope):
        """What may stand behind `not`."""
        kind = self.dice.choice(TYPES)
        return self.pick(f"{self.term(kind, scope, 0)} == {self.term(kind, scope, 0)}", self.term("bool", scope, 1),
                         f"input.{self.pick('missing', 'flag', 'o.a', 'any')}",
                         f"{self.term('num', scope, 0)} in {self.term('arr', scope, 0)}")

    def literal(self, kind):
        return {"num": "1", "str": '"a"', "bool": "true", "arr": "[1, 2]", "set": "{1, 2}", "obj": '{"a": 1}'}[kind]

    # ---- rules ----

    def add_rule(self):
        kind, name = self.dice.choice(TYPES), f"r{len(self.text)}"
        make = self.pick(self.complete, self.complete, self.chain, self.members, self.entries, self.function, self.boolean)
        make(name, kind)

    def complete(self, name, kind):
        if self.dice.random() < 0.4:
            self.text.append(f"default {name} := {self.literal(kind)}")
        body, scope = self.body({}, 2, self.pick(1, 2, 3))
        self.text.append(f"{name} := {self.term(kind, scope, 1)} if {{ {body} }}")
        self.rules.append((name, kind))

    def boolean(self, name, _):
        for _ in range(self.pick(1, 2)):
            body, _scope = self.body({}, 2, self.pick(1, 2, 3))
            self.text.append(f"{name} if {{ {body} }}")
        self.rules.append((name, "bool"))

    def chain(self, name, kind):
        text = ""
        for part in range(self.pick(2, 3)):
            body, scope = self.body({}, 1, self.pick(1, 2))
            head = f"{name} := " if part == 0 else " else := "
            text += f"{head}{self.term(kind, scope, 1)} if {{ {body} }}"
        self.text.append(text)
        self.rules.append((name, kind))

    def members(self, name, _):
        for _ in range(self.pick(1, 2)):
            body, scope = self.body({}, 2, self.pick(1, 2))
            self.text.append(f"{name} contains {self.term(self.pick('num', 'str'), scope, 1)} if {{ {body} }}")
        self.rules.append((name, "set"))

    def entries(self, name, _):
        body, scope = self.body({}, 2, self.pick(1, 2))
        self.text.append(f"{name}[{self.term('str', scope, 1)}] := {self.term('num', scope, 1)} if {{ {body} }}")
        self.rules.append((name, "obj"))

    def function(self, name, kind):
        argument = self.dice.choice(TYPES)
        for _ in range(self.pick(1, 1, 2)):
            parameter = self.pick("x", "x", self.literal(argument) if argument in ("num", "str", "bool") else "x")
            scope = {"x": argument} if parameter == "x" else {}
            body, scope = self.body(scope, 1, self.pick(1, 2))
            self.text.append(f"{name}({parameter}) := {self.term(kind, scope, 1)} if {{ {body} }}")
        self.functions.append((name, argument, kind))


def case(seed):
    """{"modules", "query", "input", "data"} of this seed."""
    dice = random.Random(seed)
    policy = Policy(dice)
    for _ in range(dice.randrange(2, 7)):
        policy.add_rule()
    if not policy.rules:
        policy.boolean("last", None)
    name = policy.rules[-1 if dice.random() < 0.6 else dice.randrange(len(policy.rules))][0]
    text = "\n\n".join(["package t", "import rego.v1"] + policy.text) + "\n"
    return {"modules": [text], "query": f"data.t.{name}", "input": document(dice), "data": {}}

"""Random policies as terms for plain.py, and the same as text: rules with references as heads and variables in
them, functions with patterns, closures in closures, `with` on everything, several packages, data.

Each body is made in an order in which it can be evaluated and printed in another one. Names of variables differ
from each other until they are printed: then those of a closure are called like ones outside as often as they may.
Reproducible by seed.
"""

import json
import random

from plain import BUILTINS, WILD, Function, Rule, Rules, of_json, to_json

LETTERS = ("a", "b", "c")
CONSTANTS = (0, 1, 2, 3, "a", "b", "c", True, False, None, "ab")
OPERATORS = ("+", "-", "*", "|", "&")
NAMES = ("x", "y", "z", "x", "y")  # what variables of closures may be called, beside names of rules


def value(v):
    return ("value", of_json(v))


def var(name):
    return ("var", name)


def anything(dice, depth):
    kind = dice.choice(("constant", "constant", "list", "map")) if depth else "constant"
    if kind == "list":
        return [anything(dice, depth - 1) for _ in range(dice.randrange(4))]
    if kind == "map":
        return {dice.choice(LETTERS): anything(dice, depth - 1) for _ in range(dice.randrange(4))}
    return dice.choice(CONSTANTS)


def document(dice):
    def few(make, most=4):
        return [make() for _ in range(dice.randrange(most))]

    def digit():
        return dice.randrange(3)

    def letter():
        return dice.choice(LETTERS)

    return {
        "n": dice.randrange(4), "s": letter(), "xs": few(digit), "ss": few(letter), "any": anything(dice, 3),
        "ps": few(lambda: [digit(), dice.choice((digit(), [letter(), digit()]))]),
        "os": few(lambda: {k: v for k, v in (("id", digit()), ("tag", letter()), ("ns", few(digit, 3)))
                           if dice.random() < 0.97}),
        "m": {k: {j: digit() for j in LETTERS if dice.random() < 0.6} for k in LETTERS if dice.random() < 0.7},
    }


# ---- which variables and rules a term or part of a body mentions ----

def mentions(x):
    """Names of all variables anywhere in it."""
    if isinstance(x, tuple) and x and x[0] == "value":
        return set()
    if isinstance(x, tuple) and x and x[0] == "var":
        return {x[1]} - {WILD}
    if isinstance(x, tuple) and x and x[0] == "every":
        return set(x[1]).union(*map(mentions, x[2:]))
    if isinstance(x, (tuple, list)):
        return set().union(*map(mentions, x))
    return set()


def mentions_here(x):
    """Of those the ones outside of closures, which a body binds for itself."""
    if isinstance(x, tuple) and x and x[0] in ("closure", "text", "not", "every", "some", "value"):
        return set()
    if isinstance(x, tuple) and x and x[0] == "with":
        return mentions_here(x[1])
    if isinstance(x, tuple) and x and x[0] == "var":
        return mentions(x)
    return set().union(*map(mentions_here, x)) if isinstance(x, (tuple, list)) else set()


def called(x):
    """Names of rules and functions."""
    if isinstance(x, tuple) and len(x) > 1 and x[0] in ("rule", "call", "function") and isinstance(x[1], str):
        return {x[1]}.union(*map(called, x[2:]))
    return set().union(*map(called, x)) if isinstance(x, (tuple, list)) else set()


def declares(part):
    """Names that must not stand before this part."""
    if part[0] == "some":
        return mentions(part[1])
    return mentions(part[1]) if part[0] == "unify" and len(part) == 4 else set()


# ---- text ----

class Printer:
    def __init__(self, dice, package, packages, functions):
        self.dice, self.package, self.packages, self.functions = dice, package, packages, functions
        self.called_as, self.outside, self.may_declare = {}, set(), True

    def rarely(self):
        return self.dice.random() < 0.3

    def name(self, name):
        return self.called_as.get(name, name)

    def global_name(self, name):
        if name in BUILTINS:
            return name
        package = self.packages[name]
        return name if package == self.package and self.dice.random() < 0.8 else f"data.{package}.{name}"

    def operand(self, t):
        return f"({self.term(t)})" if t[0] == "in" else self.term(t)

    def operands(self, items):
        return ", ".join(map(self.operand, items))

    def key(self, key):
        if key[0] == "value" and key[1][0] == "string" and self.dice.random() < 0.7:
            return f".{key[1][1]}"
        return f"[{self.term(key)}]"

    def term(self, t):
        match t:
            case ("value", v):
                return json.dumps(to_json(v))
            case ("var", name):
                return self.name(name)
            case ("list", items):
                return f"[{self.operands(items)}]"
            case ("members", items):
                return f"{{{self.operands(items)}}}"
            case ("map", pairs):
                return "{" + ", ".join(f"{self.operand(k)}: {self.operand(v)}" for k, v in pairs) + "}"
            case ("ref", root, keys):
                return (root[0] if root[0] != "rule" else self.global_name(root[1])) + "".join(map(self.key, keys))
            case ("on", inner, keys):
                return self.term(inner) + "".join(f"[{self.term(key)}]" for key in keys)
            case ("call", name, items) if name in OPERATORS:
                return f"({self.operand(items[0])} {name} {self.operand(items[1])})"
            case ("call", name, items):
                return f"{self.global_name(name)}({self.operands(items)})"
            case ("in", wanted, collection):
                return f"{self.operands(wanted)} in {self.operand(collection)}"
            case ("text", pieces):
                return '$"' + "".join(p if isinstance(p, str) else f"{{{self.term(p)}}}" for p in pieces) + '"'
            case ("closure", kind, head, body):
                saved = self.rename(t, set().union(*map(declares, body)))
                left, right = "[]" if kind == "array" else "{}"
                text = ": ".join(map(self.head, head)) if kind == "object" else self.head(head)
                text = f"{left}{text} | {self.body(body)}{right}"
                self.called_as = saved
                return text

    def head(self, t):
        """What stands before the body that binds its variables."""
        saved, self.may_declare = self.may_declare, False
        text = self.operand(t)
        self.may_declare = saved
        return text

    def rename(self, within, declared):
        """Variables declared in a closure get names of variables and rules that it does not need. Returns the old names."""
        saved = self.called_as
        taken = {self.name(n) for n in mentions(within)} | called(within)
        free = [n for n in (*NAMES, *list(self.packages)[-3:]) if n not in taken]
        self.called_as = dict(saved)
        for name in sorted(declared):
            if free and self.dice.random() < 0.6:
                self.called_as[name] = self.dice.choice(free)
                free = [n for n in free if n != self.called_as[name]]
        return saved

    def part(self, part):
        match part:
            case ("term", t):
                return self.term(t)
            case ("unify", left, right, "declares"):
                return f"{self.term(left)} := {self.operand(right)}"
            case ("unify", left, ("call", name, items)) if name not in OPERATORS and left[0] != "call" and self.rarely():
                return f"{self.global_name(name)}({self.operands(items + [left])})"
            case ("unify", left, right):
                return f"{self.operand(left)} = {self.operand(right)}"
            case ("compare", op, left, right):
                return f"{self.operand(left)} {op} {self.operand(right)}"
            case ("some", patterns, collection):
                return f"some {self.operands(patterns)} in {self.operand(collection)}"
            case ("not", inner):
                return f"not {self.part(inner)}"
            case ("every", names, collection, body):
                over = self.operand(collection)
                saved, outside = self.rename(part, set(names).union(*map(declares, body))), self.outside
                self.outside = outside | set(names)
                text = f"every {', '.join(map(self.name, names))} in {over} {{ {self.body(body)} }}"
                self.called_as, self.outside = saved, outside
                return text
            case ("with", inner, replacements):
                return self.part(inner) + "".join(f" with {self.target(target)} as {self.replacement(t)}"
                                                  for target, t in replacements)

    def target(self, target):
        if target[0] == "rule":
            return f"data.{self.packages[target[1]]}.{target[1]}"
        return self.global_name(target[1]) if target[0] == "function" else ".".join([target[0]] + [k[1] for k in target[1]])

    def replacement(self, t):
        return self.global_name(t[1]) if t[0] == "function" else self.operand(t)

    def body(self, parts):
        """In any order in which no name stands before what declares it; other names are declared now and then."""
        rest, order = list(parts), []
        while rest:
            ready = [p for p in rest if not any(q is not p and mentions(p) & declares(q) for q in rest)]
            order.append(self.dice.choice(ready) if self.dice.random() < 0.6 else ready[0])
            rest = [p for p in rest if p is not order[-1]]
        said = set().union(*map(declares, parts))
        own, outside, seen, text = mentions_here(parts) - said - self.outside, self.outside, set(), []
        self.outside = outside | own | said
        for part in order:
            for name in sorted(mentions(part) & own - seen):
                if self.may_declare and self.rarely():
                    text.append(f"some {self.name(name)}")
            seen |= mentions(part)
            text.append(self.part(part))
        self.outside = outside
        return self.dice.choice(("; ", "; ", "\n  ")).join(text)


# ---- terms and bodies ----

class Maker:
    def __init__(self, dice):
        self.dice, self.package, self.fresh = dice, "t", 0
        self.rules, self.functions, self.packages = {}, {}, {}
        self.texts = {"t": [], "u": []}

    def pick(self, *choices):
        return self.dice.choice(choices)

    def name(self):
        self.fresh += 1
        return f"v{self.fresh}"

    def seen(self, table):
        """Of rules or functions those that may be used here: earlier ones, of u from everywhere."""
        return [n for n in table if self.package == "t" or self.packages[n] == "u"]

    def small(self, scope):
        known = scope and self.dice.random() < 0.6
        return var(self.dice.choice(sorted(scope))) if known else value(self.dice.choice(CONSTANTS))

    def given(self, *keys):
        keys = [value(k) if isinstance(k, (str, int)) else k for k in keys]
        return self.pick(("ref", ("input",), keys), ("ref", ("data",), [value("d")] + keys))

    def key(self, scope, free=None):
        """A key of a reference; `free` may name a variable without a value, or be the wildcard."""
        r = self.dice.random()
        if free and r < 0.45:
            return var(self.pick(free, WILD))
        if free and r < 0.5:
            return ("list", [self.small(scope), var(free)])
        if r < 0.57:
            return self.pick(self.given("s"), self.given("n"))
        if scope and r < 0.75:
            return var(self.dice.choice(sorted(scope)))
        return value(self.pick("a", "b", "q", "r", 0, 1))

    def ref(self, scope, free=None):
        rules = self.seen(self.rules)
        if rules and self.dice.random() < 0.5:
            keys = [self.key(scope, free) for _ in range(self.pick(0, 1, 1, 2, 2, 3))]
            return ("ref", ("rule", self.dice.choice(rules)), keys)
        path = self.pick(("n",), ("s",), ("os", None, "id"), ("os", None, "ns", None), ("m", None, None), ("m", None),
                         ("xs", None), ("any", None), ("ps", None, 1), ("any",), ("missing",), ("os", None))
        return self.given(*(self.key(scope, free) if k is None else k for k in path))

    def collection(self, scope, depth):
        r, rules = self.dice.random(), self.seen(self.rules)
        if rules and r < 0.35:
            return ("ref", ("rule", self.dice.choice(rules)), [])
        if r < 0.8:
            return self.given(*self.pick(("xs",), ("ss",), ("ps",), ("os",), ("m",), ("any",), ("m", "a")))
        if depth > 0 and r < 0.92:
            return self.closure(scope, depth - 1)
        two = [value(self.dice.choice(CONSTANTS)) for _ in range(2)]
        return self.pick(("list", two), ("members", two), ("map", list(zip((value("a"), value("b")), two))))

    def term(self, scope, depth=2):
        r = self.dice.random()
        if scope and r < 0.4:
            return var(self.dice.choice(sorted(scope)))
        if r < 0.5:
            return value(self.dice.choice(CONSTANTS))
        if r < 0.68 or depth <= 0:
            return self.ref(scope)
        return self.pick(self.composite, self.builtin, self.builtin, self.closure, self.call, self.call, self.indexed,
                         self.template)(scope, depth - 1)

    def composite(self, scope, depth):
        a, b = self.term(scope, depth), self.term(scope, depth)
        return self.pick(("list", [a, b]), ("members", [a, b]), ("map", [(self.small(scope), b)]),
                         ("map", [(self.given("s"), a), (value("a"), b)]))

    def builtin(self, scope, depth):
        name = self.pick("count", "max", "sort", "type_name", "object.keys", "object.union", "object.get", "in", *OPERATORS)
        if name in ("|", "&", "-"):
            return ("call", name, [self.closure(scope, depth, "set"), ("members", [self.small(scope), self.small(scope)])])
        if name in OPERATORS:
            return ("call", name, [self.pick(self.small(scope), self.given("n")), self.pick(value(2), self.ref(scope))])
        if name == "in":
            return ("in", [self.small(scope) for _ in range(self.pick(1, 1, 2))], self.collection(scope, depth))
        if name == "object.get":
            key = self.pick(value("a"), self.small(scope), ("list", [value("a"), value("b")]))
            return ("call", name, [self.pick(self.given("m"), self.collection(scope, 0)), key, self.term(scope, depth)])
        return ("call", name, [self.collection(scope, depth) for _ in range(2 if name == "object.union" else 1)])

    def call(self, scope, depth):
        names = self.seen(self.functions)
        if not names:
            return self.ref(scope)
        name = self.dice.choice(names)
        small = lambda: self.term(scope, 0)
        make = {"any": lambda: self.term(scope, depth),
                "pair": lambda: self.pick(("list", [small(), small()]), self.given("ps", 0)),
                "map": lambda: self.pick(("map", [(value("id"), small())]), self.given("os", 0), small()),
                "letter": lambda: self.pick(value("a"), value("b"), self.given("s"), self.small(scope))}
        return ("call", name, [make[kind]() for kind in self.functions[name].patterns])

    def indexed(self, scope, depth):
        inner = self.pick(self.call, self.closure, self.composite)(scope, depth)
        if inner[0] in ("ref", "members"):
            return inner
        return ("on", inner, [self.key(scope) for _ in range(self.pick(1, 1, 2))])

    def template(self, scope, depth):
        return ("text", ["(", self.term(scope, depth), self.pick("", "-"), self.term(scope, 0), ")"])

    def closure(self, scope, depth, kind=None):
        kind = kind or self.pick("array", "set", "object")
        body, inner = self.body(scope, depth, self.pick(1, 2))
        if kind == "object":
            key = self.pick(value("k"), self.small(inner), self.small(inner))
            return ("closure", kind, (key, self.term(inner, 0)), body)
        return ("closure", kind, self.term(inner, min(depth, 1)), body)

    def body(self, scope, depth, length):
        scope, parts = set(scope), []
        for _ in range(length):
            part, bound = self.part(scope, depth)
            parts.append(part)
            scope |= bound
        return parts, scope

    def flipped(self, left, right):
        return ("unify", left, right) if self.dice.random() < 0.6 else ("unify", right, left)

    def part(self, scope, depth):
        """A part of a body, and the variables that it binds."""
        r, x, y = self.dice.random(), self.name(), self.name()
        if r < 0.14:
            return ("unify", var(x), self.term(scope, depth), "declares"), {x}
        if r < 0.27:
            return self.flipped(var(x), self.term(scope, depth) if r < 0.22 else self.ref(scope, WILD)), {x}
        if r < 0.36:
            return ("some", [var(x)], self.collection(scope, depth - 1)), {x}
        if r < 0.42:
            return ("some", [var(x), var(y)], self.collection(scope, depth - 1)), {x, y}
        if r < 0.55:
            return self.pattern(scope, x, y)
        if r < 0.66:
            ref = self.ref(scope, x)
            if self.dice.random() < 0.4:
                return ("term", ref), mentions(ref) - scope
            other = self.pick(var(y), self.small(scope))
            return self.flipped(other, ref), mentions((other, ref)) - scope
        return self.condition(scope, depth), set()

    def pattern(self, scope, x, y):
        t = lambda: self.term(scope, 0)
        object_of = lambda *values: ("map", list(zip(map(value, ("id", "tag", "ns")), values)))
        left, right = self.pick(
            (("list", [var(x), var(y)]), None), (("list", [var(x), ("list", [var(y), var(WILD)])]), None),
            (("list", [value(1), var(x)]), None), (object_of(var(x), var(y), var(WILD)), None),
            (object_of(var(x), value("a"), ("list", [var(y)])), None),
            (("list", [var(x), ("list", [var(y), var(x)])]), ("list", [t(), ("list", [t(), t()])])),
            (("map", [(value("a"), var(x)), (value("b"), ("list", [var(y)]))]),
             ("map", [(value("a"), t()), (value("b"), ("list", [t()]))])),
            (("list", [var(x), value(1)]), ("list", [t(), var(y)])),
            (("list", [var(x), var(WILD), ("map", [(value("k"), var(y))])]),
             ("list", [t(), t(), ("map", [(value("k"), t())])])),
            (("map", [(self.small(scope), var(x))]), self.given("m", self.key(scope, WILD))))
        bound = mentions((left, right or ())) - scope
        if right:
            return self.flipped(left, right), bound
        return ("some", [left], self.given("os" if left[0] == "map" else "ps")), bound

    def condition(self, scope, depth):
        r, t = self.dice.random(), lambda: self.term(scope, min(depth, 1))
        if r < 0.28:
            return ("compare", self.pick("==", "!=", "==", "<", "<=", ">=", ">"), t(), t())
        if r < 0.43:
            return ("term", ("in", [self.small(scope) for _ in range(self.pick(1, 1, 2))], self.collection(scope, 0)))
        if r < 0.55:
            return ("not", self.pick(("term", self.ref(scope)), ("term", self.call(scope, 1)),
                                     ("compare", self.pick("==", "<", "!="), self.term(scope, 0), self.term(scope, 0))))
        if r < 0.65 and depth > 0:
            names = [self.name() for _ in range(self.pick(1, 2))]
            other = var(names[0]) if len(names) == 2 else value(self.dice.choice(CONSTANTS))
            body, _ = self.body(scope | set(names), depth - 1, 1)
            return ("every", names, self.collection(scope, depth - 1), [("compare", "!=", var(names[-1]), other)] + body)
        if r < 0.88 and self.seen(self.rules):
            return self.replacing(scope)
        return ("term", t())

    def replacing(self, scope):
        rules, functions = self.seen(self.rules), self.seen(self.functions)
        asked = ("ref", ("rule", self.dice.choice(rules)), [])
        if functions and self.dice.random() < 0.3:
            asked = self.call(scope, 1)
        replacements = []
        for _ in range(self.pick(1, 1, 2, 3)):
            path = list(map(of_json, self.pick(("n",), ("s",), ("xs",), ("m",), ("os",), ("any",), ("m", "a"), ("m", "a", "c"))))
            target = self.pick(("input", path), ("input", path), ("data", [of_json("d")] + path),
                               ("rule", self.dice.choice(rules)), ("function", self.dice.choice(functions + ["count"])))
            one = ("map", [(value("a"), value(1))])
            t = self.pick(self.small(scope), self.small(scope), ("list", [value(1), value(2)]), one,
                          ("map", [(value("a"), one)]), self.given("n"), self.given("m"), ("members", [value(1), value("a")]))
            if target[0] == "function" and self.dice.random() < 0.6:
                size = len(self.functions[target[1]].patterns) if target[1] in self.functions else 1
                same = [f for f in functions if f != target[1] and len(self.functions[f].patterns) == size]
                same += ["type_name"] if size == 1 else []
                t = ("function", self.dice.choice(same)) if same else t
            replacements.append((target, t))
        return ("with", self.pick(("term", asked), ("not", ("term", asked)), ("compare", "==", asked, self.term(scope, 0)),
                                  ("compare", "!=", ("list", [asked, self.ref(scope)]), value(1))), replacements)

    # ---- rules ----

    def add_rule(self):
        name = f"{self.package}{len(self.packages)}"
        self.printer = Printer(self.dice, self.package, self.packages, self.functions)
        make = self.pick(self.complete, self.complete, self.members, self.function, *[self.documents] * 3)
        self.packages[name] = self.package  # known while it is printed; used by later rules only
        make(name)

    def say(self, text):
        self.texts[self.package].append(text)

    def chain_text(self, head, chain, joined=" := "):
        branches = [f"{self.printer.head(t)} if {{ {self.printer.body(body)} }}" for body, t in chain]
        return head + joined + " else := ".join(branches)

    def branch(self, scope=(), length=None):
        body, inner = self.body(scope, self.pick(1, 2), length or self.pick(1, 2, 3))
        return body, self.term(inner, 1)

    def complete(self, name):
        rules = Rules()
        for _ in range(self.pick(1, 1, 2)):
            rules.texts.append(Rule([], [self.branch() for _ in range(self.pick(1, 1, 2, 3))]))
            self.say(self.chain_text(name, rules.texts[-1].chain))
        if self.dice.random() < 0.3:
            rules.default = of_json(self.pick(1, "a", {"a": 1}, False))
            self.say(f"default {name} := {json.dumps(to_json(rules.default))}")
        self.rules[name] = rules

    def members(self, name):
        rules = Rules()
        for _ in range(self.pick(1, 2)):
            rules.texts.append(Rule([], [self.branch()], collects=True))
            self.say(self.chain_text(name, rules.texts[-1].chain, " contains "))
        self.rules[name] = rules

    def documents(self, name):
        """References as heads, all of a kind, so that most do not get in each other's way."""
        rules = Rules()
        key = lambda scope: var(self.dice.choice(sorted(scope))) if scope else value("a")
        fixed = [list(map(value, path)) for path in (["a"], ["b", "q"], ["b", "r"], ["b", "q"])]
        kind = self.pick("fixed", "one", "two", "below", "sets")
        for path in fixed[:self.pick(1, 2, 3, 4)] if kind == "fixed" else fixed[:self.pick(1, 1, 2)]:
            body, scope = self.body((), self.pick(1, 2), self.pick(1, 2, 3))
            if kind == "one":
                path = [key(scope)]
            elif kind == "two":
                path = [key(scope), key(scope)]
            elif kind == "below":
                path = self.pick([value("q"), key(scope), value("r")], [key(scope), value("a")], [value("a"), key(scope)],
                                 [value("q"), value("a"), value("b")])
            elif kind == "sets":
                path = self.pick([key(scope), value("q")], [value("q"), key(scope)])
            rules.texts.append(Rule(path, [(body, self.term(scope, 1))], collects=kind == "sets"))
            self.say(self.chain_text(name + "".join(map(self.printer.key, path)), rules.texts[-1].chain,
                                     " contains " if kind == "sets" else " := "))
        if kind == "fixed" and self.dice.random() < 0.3:
            rules.defaults.append(([of_json("a")], of_json(7)))
            self.say(f"default {name}.a := 7")
        self.rules[name] = rules

    def function(self, name):
        made = Function([self.pick("any", "any", "pair", "map", "letter") for _ in range(self.pick(1, 1, 2))])
        for _ in range(self.pick(1, 2)):
            patterns = [self.parameter(kind) for kind in made.patterns]
            scope = mentions(patterns)
            chain = [self.branch(scope, self.pick(1, 2)) for _ in range(self.pick(1, 1, 2))]
            made.definitions.append((patterns, chain))
            self.printer.outside = scope
            self.say(self.chain_text(f"{name}({', '.join(map(self.printer.term, patterns))})", chain))
            self.printer.outside = set()
        if self.dice.random() < 0.2:
            made.default = of_json(9)
            self.say(f"default {name}({', '.join(WILD for _ in made.patterns)}) := 9")
        self.functions[name] = made

    def parameter(self, kind):
        x, y = var(self.name()), var(self.name())
        return {"any": lambda: x, "map": lambda: self.pick(x, ("map", [(value("id"), x)])),
                "letter": lambda: self.pick(x, value("a"), value("b")),
                "pair": lambda: self.pick(x, ("list", [x, y]), ("list", [x, var(WILD)]), ("list", [x, x]))}[kind]()


def case(seed):
    """The question for an engine, and what plain.answer needs: rules, functions and the rule's name."""
    dice = random.Random(seed)
    maker = Maker(dice)
    for package, count in (("u", dice.randrange(3)), ("t", dice.randrange(1, 5))):
        maker.package = package
        for _ in range(count):
            maker.add_rule()
    while not any(maker.packages[n] == "t" for n in maker.rules):
        maker.add_rule()
    name = dice.choice([n for n in maker.rules if maker.packages[n] == "t"][-2:])
    modules = ["\n\n".join([f"package {p}"] + texts) + "\n" for p, texts in maker.texts.items() if texts]
    question = {"modules": modules, "query": f"data.t.{name}", "input": document(dice), "data": {"d": document(dice)}}
    return question, maker.rules, maker.functions, name

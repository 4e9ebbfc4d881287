"""Rego by definition: a slow evaluator of terms for comparison, without an order of its own, a plan or an index.

Values are tagged pairs that hash and compare: ("null", None), ("boolean", b), ("number", n), ("string", s),
("array", tuple), ("object", frozenset of pairs), ("set", frozenset).

Terms: ("value", v), ("var", name), ("list", terms), ("members", terms), ("map", pairs of terms),
("ref", root, keys), ("on", term, keys), ("call", name, terms), ("in", terms, collection), ("text", pieces),
("closure", "array" | "set" | "object", head, body).
Roots: ("input",), ("data",), ("rule", name).

A body is a list in an order in which each part knows the variables that it needs:
("term", t), ("unify", l, r), ("unify", l, r, "declares"), ("compare", op, l, r), ("some", patterns, collection), ("not", part),
("every", names, collection, body), ("with", part, [(target, term)]).
Targets: ("input", keys), ("data", keys), ("rule", name), ("function", name); a function may stand in for another.
"""

import functools
import json

RANK = {tag: rank for rank, tag in enumerate(("null", "boolean", "number", "string", "array", "object", "set"))}
TRUE, FALSE = ("boolean", True), ("boolean", False)
STEPS_MAX = 200000
WILD = "_"


class Conflict(Exception):
    """Two values where there may be one. Which of several is met first is a matter of the order."""


class TooLong(Exception):
    pass


# ---- values ----

def number(n):
    return ("number", n)


def string(s):
    return ("string", s)


def of_json(v):
    if v is None:
        return ("null", None)
    if isinstance(v, bool):
        return ("boolean", v)
    if isinstance(v, int):
        return number(v)
    if isinstance(v, str):
        return string(v)
    if isinstance(v, list):
        return ("array", tuple(map(of_json, v)))
    return of_pairs({string(k): of_json(x) for k, x in v.items()})


def of_pairs(pairs):
    return ("object", frozenset(pairs.items()))


def to_json(v):
    tag, of = v
    if tag == "array":
        return [to_json(x) for x in of]
    if tag == "set":
        return [to_json(x) for x in in_order(of)]
    if tag == "object":
        return {k[1] if k[0] == "string" else key_text(k): to_json(x) for k, x in of}
    return of


def key_text(key):
    """A key that is no string, as JSON in the manner of OPA."""
    text = json.dumps(to_json(key), separators=(",", ":"), sort_keys=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def compare(a, b):
    if a[0] != b[0]:
        return RANK[a[0]] - RANK[b[0]]
    tag, x, y = a[0], a[1], b[1]
    if tag in ("array", "set", "object"):
        x, y = (list(v) if tag == "array" else in_order(v) if tag == "set" else
                [part for pair in sorted(v, key=lambda p: ORDER(p[0])) for part in pair] for v in (x, y))
        different = (compare(p, q) for p, q in zip(x, y))
        return next((c for c in different if c), 0) or len(x) - len(y)
    if tag == "string":
        x, y = x.encode(), y.encode()
    return 0 if tag == "null" else (x > y) - (x < y)


ORDER = functools.cmp_to_key(compare)


def in_order(values):
    return sorted(values, key=ORDER)


def entries(v):
    """(key, value) of a collection's members; none of anything else."""
    if v[0] == "array":
        return [(number(i), x) for i, x in enumerate(v[1])]
    if v[0] == "object":
        return sorted(v[1], key=lambda pair: ORDER(pair[0]))
    return [(x, x) for x in in_order(v[1])] if v[0] == "set" else []


def member(v, key):
    return dict(entries(v)).get(key)


def printed(v, top=True):
    tag, of = v
    if tag == "string" and top:
        return of
    if tag == "array":
        return "[" + ", ".join(printed(x, False) for x in of) + "]"
    if tag == "set":
        return "{" + ", ".join(printed(x, False) for x in in_order(of)) + "}" if of else "set()"
    if tag == "object":
        return "{" + ", ".join(f"{printed(k, False)}: {printed(x, False)}" for k, x in entries(v)) + "}"
    return json.dumps(of, ensure_ascii=False)


def with_member(document, keys, v):
    if not keys:
        return v
    pairs = dict(document[1]) if document and document[0] == "object" else {}
    pairs[keys[0]] = with_member(pairs.get(keys[0]), keys[1:], v)
    return of_pairs(pairs)


# ---- functions that are built in: a value, or None where they are undefined ----

def merged(a, b):
    if a[0] != "object" or b[0] != "object":
        return b
    pairs = dict(a[1])
    for k, v in b[1]:
        pairs[k] = merged(pairs[k], v) if k in pairs else v
    return of_pairs(pairs)


def object_get(o, key, otherwise):
    if o[0] != "object":
        return None
    if key[0] != "array":
        return dict(o[1]).get(key, otherwise)
    for k in key[1]:
        o = member(o, k)
        if o is None:
            return otherwise
    return o


def numeric(f):
    return lambda a, b: number(f(a[1], b[1])) if a[0] == b[0] == "number" else None


def of_sets(f):
    return lambda a, b: ("set", f(a[1], b[1])) if a[0] == b[0] == "set" else None


def minus(a, b):
    return (of_sets(frozenset.__sub__) if a[0] == "set" else numeric(int.__sub__))(a, b)


BUILTINS = {
    "count": lambda v: number(len(v[1])) if v[0] in ("string", "array", "object", "set") else None,
    "max": lambda v: in_order(v[1])[-1] if v[0] in ("array", "set") and v[1] else None,
    "sort": lambda v: ("array", tuple(in_order(v[1]))) if v[0] in ("array", "set") else None,
    "type_name": lambda v: string(v[0]),
    "object.keys": lambda v: ("set", frozenset(k for k, _ in v[1])) if v[0] == "object" else None,
    "object.union": lambda a, b: merged(a, b) if a[0] == b[0] == "object" else None,
    "object.get": object_get,
    "+": numeric(int.__add__), "*": numeric(int.__mul__), "-": minus,
    "|": of_sets(frozenset.__or__), "&": of_sets(frozenset.__and__),
}
COMPARES = {"==": lambda c: c == 0, "!=": lambda c: c != 0, "<": lambda c: c < 0, "<=": lambda c: c <= 0,
            ">": lambda c: c > 0, ">=": lambda c: c >= 0}


# ---- rules: what shapes.py makes ----

class Rule:
    """One text of a rule: `name.path := value if body else ...`, or `contains`."""

    def __init__(self, path, chain, collects=False):
        self.path, self.chain, self.collects = path, chain, collects

    def ground(self):
        keys = []
        for key in self.path:
            if key[0] != "value":
                break
            keys.append(key[1])
        return keys


class Rules:
    """All texts of one name. `default` is of the whole, `defaults` are (keys, value)."""

    def __init__(self):
        self.texts, self.default, self.defaults = [], None, []


class Function:
    """Definitions are (patterns, chain)."""

    def __init__(self, patterns):
        self.patterns, self.definitions, self.default = patterns, [], None


class World:
    """What an expression sees; `with` makes another."""

    def __init__(self, rules, functions, given, data):
        self.rules, self.functions, self.input, self.data = rules, functions, given, data
        self.replaced, self.known = {}, {}

    def copy(self):
        other = World(self.rules, self.functions, self.input, self.data)
        other.replaced = dict(self.replaced)
        return other


# ---- the evaluator: everything yields all its solutions ----

class Evaluation:
    def __init__(self):
        self.steps = 0

    def tick(self):
        self.steps += 1
        if self.steps > STEPS_MAX:
            raise TooLong()

    def term(self, world, t, env):
        """(value, env) of each way."""
        self.tick()
        match t:
            case ("value", v):
                yield v, env
            case ("var", name):
                yield env[name], env
            case ("list", items):
                for values, after in self.terms(world, items, env):
                    yield ("array", tuple(values)), after
            case ("members", items):
                for values, after in self.terms(world, items, env):
                    yield ("set", frozenset(values)), after
            case ("map", pairs):
                pairs = sorted(pairs, key=lambda pair: pair[0][0] != "value")  # of equal keys the computed one wins
                for values, after in self.terms(world, [part for pair in pairs for part in pair], env):
                    yield of_pairs(dict(zip(values[::2], values[1::2]))), after
            case ("ref", root, keys):
                v = {"input": lambda: world.input, "data": lambda: world.data}.get(
                    root[0], lambda: self.rule(world, root[1]))()
                if v is not None:
                    yield from self.below(world, v, keys, env)
            case ("on", inner, keys):
                for v, after in self.term(world, inner, env):
                    yield from self.below(world, v, keys, after)
            case ("call", name, operands):
                for values, after in self.terms(world, operands, env):
                    v = self.call(world, name, values)
                    if v is not None:
                        yield v, after
            case ("in", wanted, collection):
                for values, after in self.terms(world, wanted + [collection], env):
                    wants = tuple(values[:-1])
                    yield ("boolean", any(pair[2 - len(wants):] == wants for pair in entries(values[-1]))), after
            case ("text", pieces):
                yield string("".join(self.piece(world, p, env) for p in pieces)), env
            case ("closure", kind, head, body):
                yield self.closure(world, kind, head, body, env), env

    def terms(self, world, items, env):
        if not items:
            yield [], env
            return
        for v, after in self.term(world, items[0], env):
            for rest, last in self.terms(world, items[1:], after):
                yield [v] + rest, last

    def piece(self, world, piece, env):
        if isinstance(piece, str):
            return piece
        values = {v for v, _ in self.term(world, piece, env)}
        if len(values) > 1:
            raise Conflict("template")
        return printed(values.pop()) if values else "<undefined>"

    def below(self, world, v, keys, env):
        self.tick()
        if not keys:
            yield v, env
        elif known(keys[0], env):
            for key, after in self.term(world, keys[0], env):
                found = member(v, key)
                if found is not None:
                    yield from self.below(world, found, keys[1:], after)
        else:
            for key, found in entries(v):
                for after in self.match(world, keys[0], key, env):
                    yield from self.below(world, found, keys[1:], after)

    def closure(self, world, kind, head, body, env):
        values, pairs = [], {}
        for inner in self.body(world, body, env):
            if kind != "object":
                values += [v for v, _ in self.term(world, head, inner)]
                continue
            for (k, v), _ in self.terms(world, list(head), inner):
                if pairs.setdefault(k, v) != v:
                    raise Conflict("comprehension")
        if kind == "object":
            return of_pairs(pairs)
        return ("array", tuple(values)) if kind == "array" else ("set", frozenset(values))

    # ---- patterns ----

    def match(self, world, pattern, v, env):
        """env of each way in which the pattern is this value."""
        match pattern:
            case ("var", name) if name == WILD:
                yield env
            case ("var", name) if name not in env:
                yield {**env, name: v}
            case ("list", items) if not known(pattern, env):
                if v[0] == "array" and len(v[1]) == len(items):
                    yield from self.match_all(world, list(zip(items, v[1])), env)
            case ("map", pairs) if not known(pattern, env):
                keys = [next((k for k, _ in self.term(world, key, env)), None) for key, _ in pairs]
                if v[0] == "object" and set(keys) == set(dict(v[1])):
                    yield from self.match_all(world, [(p, member(v, k)) for k, (_, p) in zip(keys, pairs)], env)
            case _:
                for value, after in self.term(world, pattern, env):
                    if value == v:
                        yield after

    def match_all(self, world, pairs, env):
        if not pairs:
            yield env
            return
        for after in self.match(world, *pairs[0], env):
            yield from self.match_all(world, pairs[1:], after)

    def unify(self, world, left, right, env):
        if left[0] == right[0] == "list" and not known(left, env) and not known(right, env):
            yield from self.unify_all(world, list(zip(left[1], right[1])), env)
            return
        pattern, whole = (left, right) if known(right, env) else (right, left)
        for v, after in self.term(world, whole, env):
            yield from self.match(world, pattern, v, after)

    def unify_all(self, world, pairs, env):
        """The first of which one side is known, then the rest."""
        if not pairs:
            yield env
            return
        at = next(i for i, pair in enumerate(pairs) if known(pair[0], env) or known(pair[1], env))
        for after in self.unify(world, *pairs[at], env):
            yield from self.unify_all(world, pairs[:at] + pairs[at + 1:], after)

    # ---- bodies ----

    def body(self, world, parts, env):
        if not parts:
            yield env
            return
        for after in self.part(world, parts[0], env):
            yield from self.body(world, parts[1:], after)

    def holds(self, world, parts, env):
        return any(True for _ in self.body(world, parts, env))

    def part(self, world, part, env):
        self.tick()
        match part:
            case ("term", t):
                yield from (after for v, after in self.term(world, t, env) if v != FALSE)
            case ("unify", left, right, *_):  # a fourth: it is written `:=`
                yield from self.unify(world, left, right, env)
            case ("compare", op, left, right):
                for (a, b), after in self.terms(world, [left, right], env):
                    if COMPARES[op](compare(a, b)):
                        yield after
            case ("some", patterns, collection):
                for v, after in self.term(world, collection, env):
                    for pair in entries(v):
                        yield from self.match_all(world, list(zip(patterns, pair[2 - len(patterns):])), after)
            case ("not", inner):
                if not self.holds(world, [inner], env):
                    yield env
            case ("every", names, collection, body):
                for v, after in self.term(world, collection, env):
                    if v[0] in ("array", "object", "set") and all(
                            self.holds(world, body, {**after, **dict(zip(names, pair[2 - len(names):]))}) for pair in entries(v)):
                        yield after
            case ("with", inner, replacements):
                for other, after in self.replace(world, replacements, env):
                    yield from self.part(other, inner, after)

    def replace(self, world, replacements, env):
        for values, after in self.terms(world, [t for _, t in replacements if t[0] != "function"], env):
            other, values = world.copy(), iter(values)
            for target, t in replacements:
                v = t if t[0] == "function" else next(values)
                if target[0] == "input":
                    other.input = with_member(other.input, target[1], v)
                elif target[0] == "data":
                    other.data = with_member(other.data, target[1], v)
                else:
                    other.replaced[target] = v
            yield other, after

    # ---- calls and rules ----

    def call(self, world, name, values):
        instead = world.replaced.get(("function", name))
        if instead and instead[0] != "function":
            return instead
        if instead:
            world, name = world.copy(), instead[1]
            world.replaced = {k: v for k, v in world.replaced.items() if k[0] != "function"}
        if name in BUILTINS:
            return BUILTINS[name](*values)
        f = world.functions[name]
        found = {v for patterns, chain in f.definitions for v in self.chain(world, chain, list(zip(patterns, values)))}
        return only(found, f.default, name)

    def chain(self, world, chain, arguments=()):
        """The values of the first branch that has any."""
        for body, head in chain:
            found = {v for env in self.match_all(world, list(arguments), {}) for inner in self.body(world, body, env)
                     for v, _ in self.term(world, head, inner)}
            if found:
                return found
        return set()

    def rule(self, world, name):
        if ("rule", name) in world.replaced:
            return world.replaced[("rule", name)]
        if name not in world.known:
            world.known[name] = self.extent(world, world.rules[name])
        return world.known[name]

    def extent(self, world, rules):
        texts = rules.texts
        if all(not r.path for r in texts):
            found = {v for r in texts for v in self.chain(world, r.chain)}
            return ("set", frozenset(found)) if texts[0].collects else only(found, rules.default, "rule")
        tree = {}
        for r in texts:
            keys = r.ground()
            inside = any(len(o.ground()) < len(o.path) and keys[:len(o.ground())] == o.ground()
                         and (o is not r and len(keys) == len(r.path) or len(o.ground()) < len(keys)) for o in texts)
            if inside:
                continue  # belongs to a document with variable keys: there when it has a value
            if len(keys) < len(r.path):
                node_of(tree, keys)
            elif r.collects:
                node_of(tree, keys[:-1]).setdefault(keys[-1], set())
            else:
                node_of(tree, keys[:-1])
        for r in texts:
            self.add(world, tree, r)
        for keys, v in rules.defaults:
            node_of(tree, keys[:-1]).setdefault(keys[-1], v)
        return frozen(tree)

    def add(self, world, tree, r):
        if not r.collects and len(r.ground()) == len(r.path):
            found = only(self.chain(world, r.chain), None, "rule")
            if found is not None:
                put(tree, r.ground(), found, False)
            return
        body, head = r.chain[0]
        for env in self.body(world, body, {}):
            for values, _ in self.terms(world, r.path + [head], env):
                put(tree, values[:-1], values[-1], r.collects)


def known(t, env):
    """Does the term stand for a value already? Refs and calls do; a wildcard never does."""
    match t:
        case ("var", name):
            return name in env
        case ("list" | "members", items):
            return all(known(x, env) for x in items)
        case ("map", pairs):
            return all(known(x, env) for pair in pairs for x in pair)
    return True


def only(found, otherwise, what):
    if len(found) > 1:
        raise Conflict(what)
    return next(iter(found), otherwise)


def node_of(tree, keys):
    for key in keys:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise Conflict("overlap")
    return tree


def put(tree, keys, v, collects):
    node = node_of(tree, keys[:-1])
    there = node.setdefault(keys[-1], set() if collects else v)
    if isinstance(there, set) != collects or not collects and there != v:
        raise Conflict("key")
    if collects:
        there.add(v)


def frozen(node):
    if isinstance(node, dict):
        return of_pairs({k: frozen(v) for k, v in node.items()})
    return ("set", frozenset(node)) if isinstance(node, set) else node


def answer(rules, functions, question, name):
    """{"value"}, {"undefined"}, {"error"} or {"skipped"} for the rule of this name."""
    world = World(rules, functions, of_json(question["input"]), of_json(question["data"]))
    try:
        v = Evaluation().rule(world, name)
    except Conflict as conflict:
        return {"error": f"conflict: {conflict}"}
    except TooLong:
        return {"skipped": "takes too long by definition"}
    return {"undefined": True} if v is None else {"value": to_json(v)}

"""An OpenAPI 3.1 document held against a server: each answer against what its operation describes,
and bodies that are made worse bit by bit.

    document = Document(json.load(file))
    document.check("getResource", status, headers, body)    # [] or what is wrong with the answer
"""

import copy
import json
import re

import jsonschema
from jsonschema import Draft202012Validator as Validator

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# An answer that has one of these must be described as having it. Allow belongs to 405 alone.
TOLD_HEADERS = ("etag", "set-cookie", "retry-after", "allow", "location", "cache-control",
                "www-authenticate", "strongroom-")
FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time")
def is_date_time(text):
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text))


def strict_json(body):
    """As RFC 8259 has it: UTF-8, no NaN; no member twice, no text that cannot be kept."""
    def no_constant(name):
        raise ValueError(name)

    def members(pairs):
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("a member twice")
        return dict(pairs)

    def texts(value):
        for path in places(value):
            at = value
            for key in path:
                at = at[key]
            yield from (item for item in (at, *path) if isinstance(item, str))
    value = json.loads(body.decode("utf-8", "strict"), parse_constant=no_constant,
                       object_pairs_hook=members)
    if any("\0" in text or not text.isascii() and re.search("[\ud800-\udfff]", text)
           for text in texts(value)):
        raise ValueError("a NUL or half a pair of surrogates")
    return value


def closed(schema):
    """The same schema, in which an object has no members but those that are described."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {name: closed(value) for name, value in schema.items()}
    if "properties" in schema and "$ref" not in schema:
        out.setdefault("additionalProperties", False)
    return out


class Operation:
    def __init__(self, path, method, item):
        self.path, self.method, self.text = path, method.upper(), item[method]
        self.id = self.text["operationId"]
        self.local = self.text.get("x-admin-socket", False)
        self.parameters = item.get("parameters", []) + self.text.get("parameters", [])
        body = self.text.get("requestBody", {})
        self.max_bytes = body.get("x-max-bytes", 64 << 10)
        self.body_required = body.get("required", False)
        self.json_body = body.get("content", {}).get("application/json")


class Document:
    def __init__(self, text):
        self.text = text
        self.operations = {}
        for path, item in text["paths"].items():
            for method in METHODS:
                if method in item:
                    operation = Operation(path, method, item)
                    assert operation.id not in self.operations, f"{operation.id} twice"
                    self.operations[operation.id] = operation

    def look_up(self, thing):
        while "$ref" in thing:
            at = self.text
            for part in thing["$ref"].removeprefix("#/").split("/"):
                at = at[part.replace("~1", "/").replace("~0", "~")]
            thing = at
        return thing

    def problems_of(self, value, schema, strict=True):
        close = closed if strict else copy.deepcopy
        whole = {**close(schema), "components": {"schemas": close(self.text["components"]["schemas"])}}
        errors = Validator(whole, format_checker=FORMATS).iter_errors(value)
        return [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in errors]

    # ---- the document itself ------------------------------------------------------------------

    def problems(self):
        """What no schema of OpenAPI says: references, path parameters, schemas, examples."""
        found, used = [], set()

        def walk(node):
            if isinstance(node, list):
                for item in node:
                    walk(item)
            elif isinstance(node, dict):
                if isinstance(node.get("$ref"), str):
                    used.add(node["$ref"])
                    try:
                        self.look_up(node)
                    except KeyError:
                        found.append(f"{node['$ref']} is not there")
                for item in node.values():
                    walk(item)
        walk(self.text)
        for kind in ("parameters", "headers", "responses", "schemas"):
            for name, part in self.text["components"][kind].items():
                if f"#/components/{kind}/{name}" not in used:
                    found.append(f"components/{kind}/{name} is not used")
                try:
                    Validator.check_schema(part if kind == "schemas" else part.get("schema", {}))
                except jsonschema.SchemaError as error:
                    found.append(f"components/{kind}/{name}: {error.message}")
        for operation in self.operations.values():
            found += self.problems_of_operation(operation)
        return found

    def problems_of_operation(self, operation):
        found = []
        declared = {p["name"] for p in map(self.look_up, operation.parameters) if p["in"] == "path"}
        if declared != set(re.findall(r"{(\w+)}", operation.path)):
            found.append(f"{operation.id}: path parameters {declared} of {operation.path}")
        for scheme in operation.text["security"]:
            found += [f"{operation.id}: no scheme {name}" for name in scheme
                      if name not in self.text["components"]["securitySchemes"]]
        if operation.json_body and "example" in operation.json_body:
            wrong = self.problems_of(operation.json_body["example"], operation.json_body["schema"])
            found += [f"{operation.id}: example: {text}" for text in wrong]
        return found

    # ---- answers --------------------------------------------------------------------------------

    def check(self, ident, status, headers, body):
        """What is wrong with this answer; headers have names in lower case."""
        described = self.operations[ident].text["responses"].get(str(status))
        if described is None:
            return [f"status {status} is not described: {body[:200]!r}"]
        described = self.look_up(described)
        return (self.wrong_headers(described.get("headers", {}), headers)
                + self.wrong_body(described, headers.get("content-type"), body))

    def wrong_headers(self, described, headers):
        known = {name.lower(): self.look_up(header) for name, header in described.items()}
        found = [f"the header {name} is not described" for name in headers
                 if name.startswith(TOLD_HEADERS) and name not in known]
        for name, header in known.items():
            if name in headers:
                found += [f"{name} {text}" for text in self.problems_of(headers[name], header["schema"])]
            elif header.get("required"):
                found.append(f"no header {name}")
        return found

    def wrong_body(self, described, content_type, body):
        content = described.get("content")
        if not content or (not body and described.get("x-body-optional")):
            return [f"a body that is not described: {body[:100]!r}"] if body else []
        if content_type not in content:
            return [f"Content-Type {content_type}"]
        schema = content[content_type].get("schema")
        if schema is None:
            return []
        try:
            value = strict_json(body) if "json" in content_type else body.decode()
        except ValueError as error:
            return [f"the body: {error}: {body[:100]!r}"]
        return self.problems_of(value, schema)

    def may_be_sent(self, operation, body):
        """Whether the document allows this body of JSON."""
        if not body:
            return not operation.body_required
        try:
            value = strict_json(body)
        except (ValueError, RecursionError):
            return False
        return not self.problems_of(value, operation.json_body["schema"], strict=False)


# ---- worse and worse bodies -------------------------------------------------------------------------

VALUES = (None, True, 0, -1, 1.5, 1 << 70, "", "x", "\u0000", "é" * 40, "A" * 3000, [], {}, [[]], {"a": 1})
BODIES = (b"", b"{", b"null", b"[]", b"{}", b"0", b'""', b"\xff\xfe", b"\xef\xbb\xbf{}", b"{} {}",
          b"[" * 70 + b"]" * 70, b'{"policy":"a","policy":"b"}', b'{"version":NaN}', b"\x00" * 9)


def places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else (
        enumerate(value) if isinstance(value, list) else ())
    for key, item in items:
        yield from places(item, path + (key,))


def changed(rng, value):
    """A copy with one place of it gone, of another kind, or with a member that nobody knows."""
    value = copy.deepcopy(value)
    path = rng.choice(list(places(value)))
    if not path:
        return rng.choice(VALUES) if rng.random() < 0.2 else {**value, "x-unknown": 1}
    parent = value
    for key in path[:-1]:
        parent = parent[key]
    kind = rng.random()
    if kind < 0.3:
        del parent[path[-1]]
    elif kind < 0.4 and isinstance(parent[path[-1]], dict):
        parent[path[-1]]["x-unknown"] = 1
    elif kind < 0.6 and isinstance(parent[path[-1]], str) and parent[path[-1]]:
        text = parent[path[-1]]
        at = rng.randrange(len(text))
        parent[path[-1]] = text[:at] + rng.choice(("", "=", "~", "A", " ", "/")) + text[at + 1:]
    else:
        parent[path[-1]] = rng.choice(VALUES)
    return value


def worse_bodies(rng, example, count):
    """The fixed ones first, then `count` made from the example."""
    yield from BODIES
    for _ in range(count):
        body = json.dumps(changed(rng, example)).encode()
        if rng.random() < 0.15:
            at = rng.randrange(len(body))
            body = body[:at] + bytes([rng.randrange(256)]) + body[at + rng.randrange(2):]
        yield body

"""The OpenAPI document that the broker serves, held against that broker: every operation is driven
with what it should take and what it should not, and each answer must be one that is described. On the
built program."""

import base64
import contextlib
import json
import pathlib
import random
import socket
import subprocess
import unittest
from http.client import HTTPConnection

from attestation_service import Appraiser, RestService
from guest import b64u
from openapi import METHODS, Document, changed, worse_bodies
from test_tls import open_vault
from vault import ALLOW_ALL, DENY_ALL, SocketConnection, Vault, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
VALIDATOR = ROOT / "build" / "openapi-venv" / "bin" / "python"
SEED, WORSE = 20261129, 60      # made bodies for each operation that takes JSON
PATH = {"repository": "openapi", "type": "test", "tag": "1", "name": "svn", "version": "1",
        "id": "spare"}
OPERATOR, LIMITED, GARBAGE, NOBODY = "operator", "limited", "garbage", "nobody"

# Statuses that need a fault, which other tests bring about, and not seen here.
FAULTS = {"408", "500", "503", "507"}
NOT_SEEN = {("listReferenceValues", "400")}     # damaged values: test_appraisal.py
# With statuses: reference a missing resource and a bad path share the name of what failed inside.
NAMED_INTERNAL = {404: "ResourceNotFound", 400: "InvalidRequestPath"}
NOT_WRAPPED = "this was not wrapped for this key"
BAD_SEGMENTS = ("", ".a", "a%20b", "%C3%A9", "a%2Fb", "a%25", "x" * 252, "..", "a;b")
PRECONDITIONS = ('"x"', 'W/"1"', "*", "", '"1", "2"', "99999999999999999999999", "-1")


def policy(text, **more):
    return json.dumps({"policy": b64u(text.encode()), **more})


def message(values, **more):
    payload = base64.b64encode(json.dumps(values).encode()).decode()
    return json.dumps({"version": "0.1.0", "type": "sample", "payload": payload, **more},
                      ensure_ascii=False).encode()


def name_of(body):
    return json.loads(body)["type"].rsplit("/", 1)[1]


class Described(unittest.TestCase):
    statuses = "truthful"

    def setUp(self):
        self.vault = Vault(config={"http_server": {"statuses": self.statuses},
                                   "storage": {"keep_versions": 5}}).prepare()
        self.addCleanup(self.vault.__exit__, None)
        self.vault.start()
        status, self.headers, body = self.vault.ask("GET", "/strongroom/v1/openapi.json")
        self.assertEqual(status, 200)
        self.text = body
        self.document = Document(json.loads(body))
        self.seen = set()
        self.tokens = {OPERATOR: self.vault.admin_token(),
                       LIMITED: self.vault.admin_token("--role", LIMITED), GARBAGE: "e30.e30.e30"}

    # ---- one request ---------------------------------------------------------------------------

    def who(self, operation, who):
        """Headers of who asks; without a word the one whom the document names."""
        schemes = [name for scheme in operation.text["security"] for name in scheme]
        if who is None and "operatorToken" in schemes:
            who = OPERATOR
        return {"Authorization": f"Bearer {self.tokens[who]}"} if who in self.tokens else {}

    def target(self, operation, path=None):
        at = operation.path
        for name, value in {**PATH, **(path or {})}.items():
            at = at.replace("{" + name + "}", value)
        return at

    def call(self, ident, status=None, body=None, path=None, query="", headers=None, who=None,
             tcp=False):
        """Asks; the answer must be described, and have this status if one is given."""
        operation = self.document.operations[ident]
        ask = self.vault.ask_local if operation.local and not tcp else self.vault.ask
        target = self.target(operation, path) + query
        answer = ask(operation.method, target, body, {**self.who(operation, who), **(headers or {})})
        self.hold(ident, status, f"{target[:200]} {headers} {who} {(body or '')[:300]!r}", *answer,
                  local=ask == self.vault.ask_local)
        return answer

    def truthful(self, ident, status, headers, body):
        """The body of a 401 that stands for this status, by the names that the document has."""
        error = json.loads(body)
        kind, name = error["type"].rsplit("/", 1)
        self.assertNotIn(name, NAMED_INTERNAL.values(), body)
        if name != "PluginInternalError" or not self.document.check(ident, status, headers, body):
            return body                 # unwrapKey has that name for itself
        return json.dumps({**error, "type": f"{kind}/{NAMED_INTERNAL.get(status, name)}"}).encode()

    def hold(self, ident, wanted, what, status, headers, body, local=False):
        if self.statuses == "reference" and status == 401 and wanted and wanted >= 400 and not local:
            status, body = wanted, self.truthful(ident, wanted, headers, body)
        wrong = self.document.check(ident, status, headers, body)
        if wanted is not None and status != wanted:
            wrong.append(f"{status} is not {wanted}: {body[:300]!r}")
        self.assertFalse(wrong, f"{ident} {what}\n" + "\n".join(wrong))
        self.seen.add((ident, str(status)))

    # ---- who may -------------------------------------------------------------------------------

    def drive_strangers(self):
        for ident, operation in self.document.operations.items():
            schemes = [name for scheme in operation.text["security"] for name in scheme]
            if operation.local:
                self.call(ident, 404, who=OPERATOR, tcp=True)
                continue
            if not schemes:
                continue
            for who in (NOBODY, GARBAGE):
                self.call(ident, None if ident == "attest" else 401, who=who)
            if "operatorToken" in schemes:
                self.call(ident, 403, who=LIMITED)
                guest = self.vault.guest().handshake()
                self.call(ident, 401, who=NOBODY, headers=guest.headers())
            for cookie in ("kbs-session-id=", "kbs-session-id=" + "0" * 32, "kbs-session-id=../x"):
                if "session" in schemes and ident != "attest":
                    self.call(ident, 401, who=NOBODY, headers={"Cookie": cookie})

    # ---- open to anybody -----------------------------------------------------------------------

    def drive_health(self):
        for ident in ("healthz", "readyz", "metrics"):
            self.call(ident, 200)
        _, headers, body = self.call("openapi", 200)
        self.assertEqual(body, (ROOT / "broker" / "api" / "openapi.json").read_bytes())
        self.call("openapi", 304, headers={"If-None-Match": headers["etag"]})
        self.call("openapi", 200, headers={"If-None-Match": '"0"'})

    # ---- the handshake, and what comes of it ------------------------------------------------------

    def drive_handshake(self):
        request = self.document.operations["auth"].json_body["example"]
        _, _, body = self.call("auth", 200, json.dumps(request))
        self.assertRegex(json.loads(body)["nonce"], "^[A-Za-z0-9+/]{43}=$")
        for version in ("0.3.0", "0.4", "1.0.0", ""):
            self.call("auth", 401, json.dumps({**request, "version": version}))
        for tee in self.document.text["components"]["schemas"]["Tee"]["enum"]:
            self.call("auth", 200, json.dumps({**request, "tee": tee}))
        guest = self.vault.guest().auth()
        body = guest.attestation()
        other = self.vault.guest()
        self.call("attest", 401, json.dumps(body))
        self.call("attest", 401, json.dumps(guest.attestation(**{
            "runtime-data": {"nonce": guest.nonce, "tee-pubkey": other.jwk()}})), headers=guest.headers())
        self.call("attest", 400, "{", headers=guest.headers())
        wrong = self.document.problems_of(
            body, self.document.operations["attest"].json_body["schema"])
        self.assertFalse(wrong, wrong)
        self.call("attest", 200, json.dumps(body), headers=guest.headers())
        self.call("attest", 200, json.dumps(body), headers=guest.headers())

    def drive_resources(self):
        guest = self.vault.guest().handshake()
        bearer = {"Authorization": f"Bearer {guest.token}"}
        names = (("getResource", "putResource", "deleteResource"),
                 ("getPkcs11Resource", "putPkcs11Resource", "deletePkcs11Resource"))
        for get, put, delete in names:
            self.vault.set_policy(DENY_ALL)
            self.call(get, 403, headers=guest.headers())
            self.vault.set_policy('package policy\n\nallow if data.plugin != ""\n')
            self.call(get, 404, headers=guest.headers())
            self.call(delete, 404)
            for value in (b"", b"x", bytes(range(256)) * 256, bytes(2 << 20)):
                self.call(put, 200, value)
                _, _, body = self.call(get, 200, headers=guest.headers())
                self.assertEqual(guest.open(body), value)
            self.call(get, 200, headers=bearer)
            _, headers, _ = self.call(put, 200, b"y")
            self.call(put, 412, b"z", headers={"If-None-Match": "*"})
            self.call(put, 412, b"z", headers={"If-Match": '"1"'})
            self.call(put, 200, b"z", headers={"If-Match": headers["etag"]})
            for ident in (put, delete):
                for value in PRECONDITIONS:
                    self.call(ident, 400, b"", headers={"If-Match": value})
                self.call(ident, 400, b"", headers={"If-None-Match": '"1"'})
            for query in ("?a=b&c", "?=&&=&a=%zz&a=+", "?" + "&".join(f"n{n}=" for n in range(32))):
                self.call(get, 200, query=query, headers=guest.headers())
            self.call(get, 400, query="?" + "&".join(f"n{n}=" for n in range(33)),
                      headers=guest.headers())
            self.drive_names(guest, get, put, delete)
            self.call(delete, 412, headers={"If-Match": '"1"'})
            self.call(delete, 200)
            self.call(put, 412, b"z", headers={"If-Match": '"1"'})

    def drive_names(self, guest, *idents):
        for ident in idents:
            headers = guest.headers() if ident.startswith("get") else {}
            for segment in BAD_SEGMENTS:
                for part in ("repository", "type", "tag"):
                    dropped = segment == "" and part == "repository"     # the one that is allowed
                    if not dropped:
                        self.call(ident, 400, path={part: segment}, headers=headers)

    # ---- policies ------------------------------------------------------------------------------

    def drive_no_policy(self):
        self.call("getPolicy", 404)
        self.call("getPolicyVersion", 404)
        self.call("listPolicyVersions", 200)
        self.call("status", 200)
        self.call("rollBackPolicy", 404, json.dumps({"version": 1}))
        self.call("dryRunPolicy", 200)
        self.call("getResource", 403, headers=self.vault.guest().handshake().headers())
        self.call("listReferenceValues", 200)
        self.call("listResources", 200)
        self.call("getAttestationPolicy", 404)
        self.call("listAttestationPolicyVersions", 200)
        self.call("getAttestationPolicyVersion", 404)
        self.call("rollBackAttestationPolicy", 404, json.dumps({"version": 1}))

    def drive_policy(self):
        broad = "package policy\n\nallow if {\n\tinput.teee == 1\n}\n"      # warned of
        self.call("listResourcePolicies", 200)
        self.call("setResourcePolicy", 200, policy(ALLOW_ALL))
        _, headers, _ = self.call("setResourcePolicy", 200, policy(broad))
        _, _, body = self.call("setResourcePolicy", 200, policy(broad), query="?warnings=1")
        self.assertTrue(json.loads(body)["warnings"])
        self.call("setResourcePolicy", 400, policy(broad), query="?strict=true")
        self.call("setResourcePolicy", 400, policy("package policy\n\nallow if {\n\tx == y\n}\n" * 9))
        self.call("setResourcePolicy", 412, policy(ALLOW_ALL), headers={"If-Match": headers["etag"]})
        for value in PRECONDITIONS:
            self.call("setResourcePolicy", 400, policy(ALLOW_ALL), headers={"If-Match": value})
        _, headers, body = self.call("getPolicy", 200)
        self.assertEqual(body.decode(), broad)
        self.call("listPolicyVersions", 200)
        current = headers["etag"].strip('"')
        self.call("getPolicyVersion", 200, path={"version": current})
        for version in ("0", "x", "-1", "1.0", "9" * 30, "%31x"):
            self.call("getPolicyVersion", 400, path={"version": version})
        self.call("getPolicyVersion", 404, path={"version": "999"})
        self.call("rollBackPolicy", 409, json.dumps({"version": int(current)}))
        self.call("rollBackPolicy", 404, json.dumps({"version": 999}))
        self.call("rollBackPolicy", 412, json.dumps({"version": 1}), headers={"If-Match": "999"})
        older = json.dumps({"version": int(current) - 1})
        self.call("rollBackPolicy", 400, older, query="?strict=1")
        self.call("rollBackPolicy", 200, older)
        self.call("status", 200)

    def drive_dry_run(self):
        guest = self.vault.guest().handshake()
        self.call("getResource", 403, headers=guest.headers())
        broken = "package policy\n\nallow if {\n\tnothing(1)\n}\n"
        example = self.document.operations["dryRunPolicy"].json_body["example"]
        for body in (None, {}, {"policy": ALLOW_ALL}, {"policy": DENY_ALL}, example,
                     {"claims": {}, "resource": "a"}, {"requests": []}):
            self.call("dryRunPolicy", 200, body and json.dumps(body))
        for body in ({"policy": broken}, {"requests": [{}] * 65}, {"requests": [], "claims": {}}):
            self.call("dryRunPolicy", 400, json.dumps(body))

    def drive_appraisal_history(self):
        """The versions are a usable policy, then two useless ones."""
        _, headers, _ = self.call("listAttestationPolicyVersions", 200)
        current = int(headers["etag"].strip('"'))
        self.call("getAttestationPolicyVersion", 200, path={"version": str(current)})
        for version in ("0", "x", "9" * 30):
            self.call("getAttestationPolicyVersion", 400, path={"version": version})
        for ident in ("listAttestationPolicyVersions", "rollBackAttestationPolicy"):
            self.call(ident, 400, "{}" if ident.startswith("roll") else None, path={"id": "a%20b"})
        self.call("listAttestationPolicyVersions", 404, path={"id": "spare/1/2"})
        for wanted, status, headers in ((current, 409, {}), (999, 404, {}), (1, 412, {"If-Match": "999"}),
                                        (1, 400, {"If-Match": "x"}), (2, 400, {}), (1, 200, {})):
            self.call("rollBackAttestationPolicy", status, json.dumps({"version": wanted}), headers=headers)

    def drive_appraisal(self):
        usable = "package policy\n\ntrust_claims := {\"executables\": 2}\n"
        useless = "package policy\n\ntrust_claims := {\"nobody-knows\": 2}\n"
        for body in (policy(usable, policy_id="spare"), policy(useless, policy_id="spare")):
            self.call("setAttestationPolicy", 200, body)
        _, _, body = self.call("getAttestationPolicy", 200)
        self.assertEqual(body.decode(), useless)
        for segment in (*BAD_SEGMENTS, "a/b"):
            self.call("getAttestationPolicy", 400, path={"id": segment})
        _, _, body = self.call("setAttestationPolicy", 200, policy(useless, policy_id="spare"),
                               query="?warnings=1")
        self.assertTrue(json.loads(body)["warnings"])
        for query in ("?usable=1", "?strict=1"):
            self.call("setAttestationPolicy", 400, policy(useless, policy_id="spare"), query=query)
        for ident in ("", "../x", "a/b", "x" * 65, ".x"):
            self.call("setAttestationPolicy", 400, policy(usable, policy_id=ident))
        self.call("setAttestationPolicy", 412, policy(usable, policy_id="spare"), headers={"If-None-Match": "*"})
        self.call("setAttestationPolicy", 400, policy(usable, policy_id="spare"), headers={"If-Match": "W/1"})
        self.drive_appraisal_history()
        self.call("setReferenceValues", 200, message({"svn": ["1"], "a/b": {"c": None}, "n": 1.5}))
        self.call("setReferenceValues", 200, message({"old": True}, expires=0))
        self.call("setReferenceValues", 400, message({"old": True}, expires=1))
        self.call("setReferenceValues", 400, message([1]))
        self.call("setReferenceValues", 400, message({}, version="x" + "é" * 40))   # told, cut short
        for name in ("svn", "a/b", "a%2Fb", "n", "old"):
            self.call("getReferenceValue", 200, path={"name": name})
        self.call("getReferenceValue", 404, path={"name": "none"})
        for name in ("", "x" * 256):
            self.call("getReferenceValue", 400, path={"name": name})
        self.call("listReferenceValues", 200)

    # ---- Strongroom's own ------------------------------------------------------------------------

    def drive_own(self):
        self.vault.put("openapi/test/1", b"value")
        self.vault.put("openapi/test/2", b"value")
        self.vault.admin("DELETE", "/kbs/v0/resource/openapi/test/2")
        for query in ("", "?prefix=openapi/", "?deleted=1", "?prefix=none", "?deleted=x&prefix", "?deleted=1&limit=1",
                      "?after=openapi"):
            self.call("listResources", 200, query=query)
        self.call("listResources", 400, query="?limit=0")
        _, _, body = self.call("readResource", 200)
        self.assertEqual(body, b"value")
        self.call("readResource", 404, path={"tag": "none"})
        for segment in BAD_SEGMENTS:
            self.call("readResource", 400, path={"tag": segment})
        _, _, body = self.call("writeResources", 200, b"5 0 openapi/test/3\nvalue6 0 openapi/test/1\nothers0 0 a\n")
        self.assertEqual([r.get("version") or r["class"] for r in json.loads(body)["results"]],
                         [1, "precondition", "usage"])
        for wrong in (b"x", b"5 0 a/b/c\nval", b"5 0\nvalue", b"5 a/b/c\nvalue", b"-1 0 a/b/c\n", b"1 0 a/b/c",
                      b"18446744073709551616 0 a/b/c\n", b"0 0 " + 256 * b"a" + b"\n", b"0 0 a\0b\n",
                      b"".join(b"0 0 openapi/many/%d\n" % i for i in range(65))):
            self.call("writeResources", 400, wrong)
        self.drive_history()
        self.drive_verify()
        self.call("listKeks", 200)
        self.call("createKek", 409)
        self.call("createKek", 200, query="?next=1")
        for number in ("", "?limit", "?limit=x", "?generation=-1&limit=-1", "?limit=4294967296"):
            self.call("rewrap", 400, query=number)
            self.call("removeKek", 400, query=number)
        for generation in (1, 2):       # what is under the first, and the active one
            self.call("removeKek", 409, query=f"?generation={generation}")
        self.call("removeKek", 404, query="?generation=77")
        self.call("rewrap", 200, query="?limit=0")
        left = 1
        while left:                     # the broker moves a few at a time, however many are asked for
            _, _, body = self.call("rewrap", 200, query="?limit=4294967295")
            left = json.loads(body)["left"]
            self.assertTrue(left == 0 or json.loads(body)["moved"] > 0, body)
        self.call("removeKek", 200, query="?generation=1")
        self.call("listKeks", 200)

    def drive_verify(self):
        self.call("listFindings", 200)
        self.vault.write_object("somebody/else/s", b"no envelope")
        _, _, body = self.call("verify", 200)
        before = json.loads(body)["passes"]
        wait_until(lambda: json.loads(self.call("listFindings", 200)[2])["passes"] > before, 60, "a pass")
        found = json.loads(self.call("listFindings", 200)[2])
        self.assertEqual([f["label"] for f in found["findings"]], ["somebody/else/s"])
        self.vault.delete_object("somebody/else/s")
        _, _, body = self.call("verify", 200, query="?accept=1")
        self.assertEqual(json.loads(body), {"forgotten": 0})

    def drive_history(self):
        self.call("putResource", 200, b"older")
        self.call("putResource", 200, b"newest")
        _, headers, _ = self.call("listResourceVersions", 200)
        self.call("listResourceVersions", 200, path={"tag": "2"})
        newest = int(headers["etag"].strip('"'))
        self.call("purgeResource", 409)
        self.call("restoreResource", 409, json.dumps({"version": newest}))
        self.call("restoreResource", 404, json.dumps({"version": 999}))
        self.call("restoreResource", 412, json.dumps({"version": newest - 1}),
                  headers={"If-Match": "999"})
        self.call("restoreResource", 400, json.dumps({"version": 1}), headers={"If-Match": "*"})
        self.call("deleteResource", 200)
        for after in ("0", "1", "x", "-1", "", "253402300800", str((1 << 63) - 1), str(1 << 64)):
            self.call("putResource", 400, b"y", query=f"?not_after={after}")
        self.call("putResource", 200, b"y", query="?not_after=253402300799")
        self.call("listResourceVersions", 200)
        self.call("listResources", 200)
        self.call("restoreResource", 200, json.dumps({"version": newest}))
        self.call("purgeResource", 200, path={"tag": "2"})
        for ident in ("listResourceVersions", "purgeResource"):
            self.call(ident, 404, path={"tag": "none"})
            self.call(ident, 400, path={"tag": ".x"})

    # ---- key pairs, and wrapping to one ------------------------------------------------------------

    def drive_keys(self):
        guest = self.vault.guest().handshake()
        self.vault.set_policy(DENY_ALL)
        self.call("unwrapKey", 403, b"x", headers=guest.headers())
        self.vault.set_policy('package policy\n\nallow if data.plugin != ""\n')
        self.call("wrapKey", 404, b"x")
        self.call("unwrapKey", 404, b"x", headers=guest.headers())
        self.drive_key_pairs()
        for value in (b"", b"x", bytes(range(190))):
            _, _, wrapped = self.call("wrapKey", 200, value)
            self.assertEqual(len(wrapped), 256)
            for headers in (guest.headers(), {"Authorization": f"Bearer {guest.token}"}):
                _, _, body = self.call("unwrapKey", 200, wrapped, headers=headers)
                self.assertEqual(guest.open(body), value)
        for size in (191, 4096, 4097):
            self.call("wrapKey", 413, bytes(size))
        self.call("unwrapKey", 401, wrapped)
        for query in ("?a=b&c", "?" + "&".join(f"n{n}=" for n in range(32))):
            self.call("unwrapKey", 200, wrapped, query=query, headers=guest.headers())
        self.call("unwrapKey", 400, wrapped, query="?" + "&".join(f"n{n}=" for n in range(33)),
                  headers=guest.headers())
        self.call("unwrapKey", 413, bytes(4097), headers=guest.headers())
        for bad in (bytes(256), b"\xff" * 256, wrapped[:-1] + bytes([wrapped[-1] ^ 1])):
            _, _, body = self.call("unwrapKey", 400, bad, headers=guest.headers())
            self.assertEqual(json.loads(body)["detail"], NOT_WRAPPED)
        for bad in (b"", wrapped[:-1], wrapped + b"x", bytes(4096)):
            self.call("unwrapKey", 400, bad, headers=guest.headers())

    def drive_key_pairs(self):
        wish = {"label": "strongroom-wrap-key", "type": "rsa", "bits": 2048}
        self.call("listKeyPairs", 200)
        _, _, body = self.call("createKeyPair", 200, json.dumps(wish))
        self.assertEqual({name: json.loads(body)[name] for name in wish}, wish)
        self.call("createKeyPair", 409, json.dumps(wish))
        self.call("createKeyPair", 200, json.dumps({"label": "x" * 64, "type": "ec-p256"}))
        for change in ({"bits": 1024}, {"bits": 2049}, {"bits": 5120}, {"bits": None}, {"bits": "2048"},
                       {"type": "dsa"}, {"type": "ec-p256"}, {"type": None}, {"label": ""},
                       {"label": "y" * 65}, {"label": "é"}, {"label": "strongroom-kek-5"},
                       {"label": "strongroom:x"}, {"label": 1}):
            self.call("createKeyPair", 400, json.dumps({**wish, "label": "other", **change}))
        for body in (None, b"", b"{", b"[]"):
            self.call("createKeyPair", 400, body)
        _, _, body = self.call("listKeyPairs", 200)
        self.assertEqual({pair["label"] for pair in json.loads(body)["keypairs"]},
                         {wish["label"], "x" * 64})

    # ---- everywhere ----------------------------------------------------------------------------

    def drive_too_large(self):
        """One byte over what the document says is refused on the head alone."""
        for ident, operation in self.document.operations.items():
            for length, status in ((operation.max_bytes + 1, 413), (1 << 60, 413)):
                connection = SocketConnection(self.vault.path("run/admin.sock"), 30) \
                    if operation.local else HTTPConnection(*self.vault.address(), timeout=30)
                connection.putrequest(operation.method, self.target(operation))
                for name, value in self.who(operation, None).items():
                    connection.putheader(name, value)
                connection.putheader("Content-Length", str(length))
                connection.endheaders()
                answer = connection.getresponse()
                headers = {name.lower(): value for name, value in answer.getheaders()}
                self.hold(ident, status, f"{length} bytes", answer.status, headers, answer.read(),
                          local=operation.local)
                connection.close()

    def drive_other_methods(self):
        """What a path does not describe is refused with the methods that it has."""
        error = {"$ref": "#/components/schemas/ErrorInformation"}
        reference = self.statuses == "reference"
        for path, item in self.document.text["paths"].items():
            described = [method.upper() for method in ("get", "post", "put", "delete") if method in item]
            operation = next(o for o in self.document.operations.values() if o.path == path)
            for method in (m.upper() for m in METHODS if m.upper() not in described):
                status, headers, body = self.vault.admin(method, self.target(operation))
                what = f"{method} {path}: {status} {headers} {body[:200]!r}"
                kbs = path.startswith("/kbs/v0/") and method in ("GET", "POST", "PUT", "DELETE")
                other = 404 if reference and path == "/healthz" else 401 if reference and kbs else 405
                self.assertIn(status, (400, 401, 404, other) if kbs else (other,), what)
                if not path.startswith("/kbs/v0/") and status == 405:
                    self.assertEqual(headers["allow"], ", ".join(described), what)
                elif status == 405:
                    self.assertIn("allow", headers, what)
                if method != "HEAD":
                    self.assertEqual(headers["content-type"], "application/json", what)
                    self.assertFalse(self.document.problems_of(json.loads(body), error), what)

    def drive_worse_bodies(self):
        """What the document forbids is refused, and whatever comes is answered as described."""
        rng = random.Random(SEED)
        for ident, operation in self.document.operations.items():
            if not operation.json_body:
                continue
            for _ in range(2):
                self.drive_worse(ident, operation, rng)

    def drive_worse(self, ident, operation, rng):
        guest = self.vault.guest().auth()
        example = operation.json_body.get("example") or guest.attestation()
        for body in worse_bodies(rng, example, WORSE // 2):
            if ident == "attest":       # a session that has attested would have its token again
                guest = self.vault.guest().auth()
                if body.startswith(b'{"'):
                    body = json.dumps(changed(rng, guest.attestation())).encode()
            status, _, answer = self.call(ident, None, body, headers=guest.headers())
            allowed = self.document.may_be_sent(operation, body)
            if not allowed:
                self.assertGreaterEqual(status, 400, f"{ident} takes {body[:300]!r}")
            if allowed and ident == "auth":
                self.assertEqual(status, 200, f"{ident} refuses {body[:300]!r}: {answer!r}")

    # ---- all of it -------------------------------------------------------------------------------

    def drive(self):
        for part in ("no_policy", "strangers", "health", "handshake", "resources", "policy", "dry_run",
                     "appraisal", "own", "keys", "too_large", "other_methods"):
            with self.subTest(part):
                getattr(self, "drive_" + part)()


class Truthful(Described):
    def test_every_operation_answers_as_described(self):
        self.drive()
        with self.subTest("worse_bodies"):
            self.drive_worse_bodies()
        described = {(ident, status) for ident, operation in self.document.operations.items()
                     for status in operation.text["responses"]}
        missed = {(ident, status) for ident, status in described - self.seen - NOT_SEEN
                  if status not in FAULTS}
        self.assertFalse(missed, "described, and never answered: drive it, or take it out")
        undriven = set(self.document.operations) - {ident for ident, status in self.seen
                                                    if status.startswith("2")}
        self.assertFalse(undriven, "operations that never went well")
        self.assertFalse(NOT_SEEN & self.seen, "seen after all: take it out of NOT_SEEN")

    def test_a_broker_that_does_not_write(self):
        """What is said while a broker cannot write."""
        self.vault.stop()
        self.vault.configure(token={"role": "reader"})
        self.vault.start()
        for ident, body in (("putResource", b"x"), ("deleteResource", None),
                            ("setResourcePolicy", policy(ALLOW_ALL)),
                            ("setReferenceValues", message({"a": 1})),
                            ("setAttestationPolicy", policy(ALLOW_ALL, policy_id="spare")),
                            ("createKeyPair", json.dumps({"label": "x", "type": "ec-p256"}))):
            self.call(ident, 503, body)

    def test_a_broker_that_is_not_ready(self):
        with Vault() as vault:
            vault.init_token("bare")
            vault.label = "bare"
            vault.configure()
            vault.start()
            self.hold("readyz", 503, "", *vault.ask("GET", "/readyz"))
            for method, path, ident in (("POST", "/kbs/v0/resource/a/b/c", "putResource"),
                                        ("GET", "/strongroom/v1/keks", "listKeks"),
                                        ("GET", "/strongroom/v1/status", "status")):
                self.hold(ident, None, path, *vault.admin(method, path, b"" if method == "POST" else None))

    def test_what_readyz_may_say_beside(self):
        with contextlib.ExitStack() as stack:
            vault, pki = open_vault(stack)
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            vault.configure(attestation_service={"verifier": "none"}, attestation_token={
                "trusted_jwk_sets": [f"https://127.0.0.1:{port}/jwks"], "jwk_sets_ca": pki.path("ca.crt")})
            vault.start()
            answer = vault.ask("GET", "/readyz")
            self.hold("readyz", 200, "", *answer)
            self.assertEqual(set(json.loads(answer[2])),
                             {"ready", "token", "certificate_expires", "sources_without_keys"})

    def test_with_an_attestation_service(self):
        service = RestService(Appraiser(self.vault.path("signer.pem"), self.vault.path("signer.crt")))
        self.vault.stop()
        self.vault.configure(attestation_service={"verifier": "rest", "as_addr": service.url()})
        self.vault.start()
        example = self.document.operations["auth"].json_body["example"]
        _, _, body = self.call("auth", 200, json.dumps({**example, "tee": "se"}))
        self.assertIn("request_blob", json.loads(body)["nonce"])
        self.assertEqual(json.loads(body)["extra-params"], {"selected-hash-algorithm": "sha512"})
        guest = self.vault.guest().auth()
        self.call("attest", 200, json.dumps(guest.attestation()), headers=guest.headers())
        _, _, body = self.call("readyz", 200)
        self.assertEqual(json.loads(body)["attestation_service"], "up")
        for ident, text in (("getAttestationPolicy", None), ("listAttestationPolicyVersions", None),
                            ("getAttestationPolicyVersion", None), ("rollBackAttestationPolicy", "{}")):
            _, _, body = self.call(ident, 404, text)
            self.assertEqual(name_of(body), "InvalidRequestPath")
        self.call("listReferenceValues", 400)
        service.stop()
        guest = self.vault.guest().auth()
        self.call("attest", 503, json.dumps(guest.attestation()), headers=guest.headers())

    def test_the_document(self):
        self.assertEqual(self.document.problems(), [])

    def test_the_document_is_openapi_3_1(self):
        """By another's validator, which scripts/bootstrap --test fetches."""
        if not VALIDATOR.exists():
            self.skipTest("build/openapi-venv is not there; scripts/bootstrap --test makes it, "
                          "with a network")
        path = self.vault.write("openapi.json", self.text)
        done = subprocess.run([str(VALIDATOR), "-m", "openapi_spec_validator", "--schema", "3.1", path],
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Reference(Described):
    """With http_server.statuses: reference, where a refusal is 401 over TCP; the admin socket still
    tells the truth."""
    statuses = "reference"

    def test_every_operation_answers_as_described(self):
        self.drive()
        status, _, body = self.vault.admin("DELETE", "/kbs/v0/resource/no/such/thing")
        self.assertEqual((status, name_of(body)), (401, "PluginInternalError"))
        for path in ("/kbs/v0/resource/no/such/thing", "/strongroom/v1/resource-versions/no/such/thing"):
            method = "DELETE" if path.startswith("/kbs") else "GET"
            status, _, body = self.vault.ask_local(method, path)
            self.assertEqual((status, name_of(body)), (404, "ResourceNotFound"))


if __name__ == "__main__":
    unittest.main()

"""Appraisal: operators set attestation policies and reference values; the token says what came of it,
and the release policy decides by that. On the built program."""

import base64
import hashlib
import json
import pathlib
import threading
import unittest

from guest import Guest, Refused, b64u, canonical, unb64u
from vault import Vault

ROOT = pathlib.Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors" / "kbs"
KNOWN = {"svn": ["1"], "launch_digest": ["abcde"], "major_version": 1, "minimum_minor_version": 1}
AFFIRMING = ('count(input.submods) > 0\n\tevery submod in input.submods '
             '{ submod["ear.status"] == "affirming" }')
CPU = "package policy\n\nimport rego.v1\n\n"


class Appraisal(unittest.TestCase):
    def setUp(self):
        self.vault = Vault().prepare()
        self.addCleanup(self.vault.__exit__, None)
        self.vault.start()

    def register(self, values, **more):
        payload = base64.b64encode(json.dumps(values).encode()).decode()
        return self.vault.admin("POST", "/kbs/v0/reference-value", json.dumps(
            {"version": "0.1.0", "type": "sample", "payload": payload, **more}))

    def set_policy(self, text, ident="default_cpu", query=""):
        return self.vault.admin("POST", "/kbs/v0/attestation-policy" + query, json.dumps(
            {"type": "rego", "policy_id": ident, "policy": b64u(text.encode())}))

    def submods(self, guest=None):
        guest = guest or self.vault.guest().handshake()
        return json.loads(unb64u(guest.token.split(".")[1]))["submods"]

    def status(self):
        cpu = self.submods()["cpu0"]
        return cpu["ear.status"], {name: value for name, value
                                   in cpu["ear.trustworthiness-vector"].items() if value}

    # ---- the way of an operator ---------------------------------------------------------------

    def test_reference_values_open_the_vault_and_close_it(self):
        self.vault.put("team/key/one", b"value")
        self.vault.allow_if(AFFIRMING)
        stranger = self.vault.guest().handshake()
        self.assertEqual(self.status(), ("contraindicated", {"configuration": 2, "executables": 33,
                                                             "hardware": 97}))
        with self.assertRaises(Refused) as refused:
            stranger.get("team/key/one")
        self.assertEqual(refused.exception.status, 403)

        self.assertEqual(self.register(KNOWN)[0], 200)
        self.assertEqual(self.status(), ("affirming", {"configuration": 2, "executables": 3,
                                                       "hardware": 2}))
        self.assertEqual(self.vault.guest().fetch("team/key/one"), b"value")
        with self.assertRaises(Refused):
            stranger.get("team/key/one")  # what it was told stays what it was told

        self.vault.restart()              # they lie on the token
        self.assertEqual(self.status()[0], "affirming")
        self.assertEqual(self.register({"launch_digest": None})[0], 200)
        self.assertEqual(self.status(), ("warning", {"configuration": 2, "executables": 33,
                                                     "hardware": 2}))
        with self.assertRaises(Refused) as refused:
            self.vault.guest().fetch("team/key/one")
        self.assertEqual(refused.exception.status, 403)

    def test_commands(self):
        run = self.vault.command
        run("reference-value", "set", "svn", '["1"]', "--days", "0")
        values = self.vault.write("values.json", json.dumps({"a/b c": {"x": [1.50, None]}, "major_version": 1}))
        run("reference-value", "set", "--file", values)
        self.assertEqual(json.loads(run("reference-value", "get", "a/b c").stdout), {"x": [1.5, None]})
        listed = run("reference-value", "list").stdout.decode()
        self.assertRegex(listed, r'svn +for ever +\["1"\]')
        self.assertRegex(listed, r"major_version +20\d\d-")
        run("reference-value", "rm", "svn")
        self.assertEqual(run("reference-value", "rm", "svn", check=False).returncode, 3)
        gone = run("reference-value", "get", "svn", check=False)
        self.assertEqual(gone.returncode, 3)
        self.assertIn(b"No reference value found for the given id: svn", gone.stderr)
        plain = run("reference-value", "set", "svn", "abc", check=False)
        self.assertEqual(plain.returncode, 2)
        self.assertIn(b"""'"text"'""", plain.stderr)

        unset = run("policy", "get", "--attestation", "default_cpu", check=False)
        self.assertEqual(unset.returncode, 3)
        self.assertIn(b"the built-in one is in force", unset.stderr)
        text = CPU + 'trust_claims := {"hardware": 2}\n'
        policy = self.vault.write("cpu.rego", text)
        run("policy", "set", "--attestation", "default_cpu", policy)
        self.assertEqual(run("policy", "get", "--attestation", "default_cpu").stdout.decode(), text)
        self.assertEqual(run("policy", "get", "--attestation", "../x", check=False).returncode, 2)
        self.assertEqual(self.status(), ("affirming", {"hardware": 2}))
        run("policy", "set", "--attestation", "default_cpu",
            self.vault.write("three.rego", CPU + 'trust_claims := {"hardware": 3}\n'))
        self.assertEqual(self.status(), ("affirming", {"hardware": 3}))
        self.assertRegex(run("policy", "list", "--attestation", "default_cpu").stdout.decode(),
                         r"\* +2 live [^*]*\n +1 live ")
        self.assertEqual(run("policy", "get", "--attestation", "default_cpu", "--version", "1").stdout.decode(), text)
        run("policy", "rollback", "--attestation", "default_cpu")
        self.assertEqual(self.status(), ("affirming", {"hardware": 2}))
        self.assertEqual(self.vault.audit()[-1]["action"], "attest")
        self.assertIn("rollback-attestation-policy", [record["action"] for record in self.vault.audit()])
        for option, why in ((["--create"], b"default_cpu is there already, at version 3"),
                            (["--if-match", "2"], b"default_cpu is at version 3")):
            other = run("policy", "set", "--attestation", "default_cpu", *option, policy, check=False)
            self.assertEqual(other.returncode, 5, other.stderr)
            self.assertIn(why, other.stderr)
        run("policy", "set", "--attestation", "default_cpu", "--if-match", "3", policy)
        wrong = self.vault.write("wrong.rego", CPU + 'trust_claims := {"hardwear": 2}\n')
        refused = run("policy", "set", "--attestation", "default_cpu", wrong, check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn(b'"hardwear", which is no claim', refused.stderr)
        self.assertEqual(self.status()[0], "affirming")
        self.vault.stop()  # without a broker they go to the token themselves
        run("policy", "set", "--attestation", "default_cpu",
            self.vault.write("cpu.rego", CPU + 'trust_claims := {"hardware": 99}\n'))
        run("reference-value", "set", "later", "1")
        self.vault.start()
        self.assertEqual(self.status(), ("contraindicated", {"hardware": 99}))
        self.assertEqual(self.vault.admin("GET", "/kbs/v0/reference-value/later")[2], b"1")

    def test_what_clients_send(self):
        """The recorded bodies of kbs-client."""
        for name, status in (("refval", 200), ("getref", 200), ("attpol", 200)):
            exchange = json.loads((VECTORS / f"new-admin-{name}.json").read_text())[0]
            request, expected = exchange["request"], exchange["response"]
            code, headers, body = self.vault.admin(request["method"], request["target"],
                                                   request["body"] or None)
            self.assertEqual((code, body.decode()), (status, expected["body"]), name)
            wanted = dict(expected["headers"]).get("content-type")
            if wanted:
                self.assertEqual(headers["content-type"], wanted)
        self.assertEqual(self.status(), ("affirming", {"configuration": 2, "executables": 3,
                                                       "hardware": 2}))

    # ---- policies -------------------------------------------------------------------------------

    def test_devices_and_init_data(self):
        self.assertEqual(self.set_policy(CPU + 'trust_claims := {"hardware": 2}\n', "default_gpu")[0], 200)
        toml = ('algorithm = "sha256"\nversion = "0.1.0"\n[data]\n"policy.rego" = """\npolicy_data := '
                '{"containers": [{"OCI": {"Annotations": {"io.kubernetes.cri.image-name": "img:1"}, '
                '"Process": {"User": {"UID": 7}}}}]}"""\n')
        guest = Guest(self.vault).auth()
        bound = hashlib.sha384(canonical({"nonce": guest.nonce, "tee-pubkey": guest.jwk()})).digest()
        device = json.dumps({"sampledevice": {"svn": "2", "report_data": base64.b64encode(bound).decode()}})
        primary = hashlib.sha384(canonical({"additional-evidence": device, "nonce": guest.nonce,
                                            "tee-pubkey": guest.jwk()})).digest()
        guest.attest(guest.attestation(**{
            "init-data": {"format": "toml", "body": toml},
            "tee-evidence": {"additional_evidence": device, "primary_evidence": {
                "svn": "1", "report_data": base64.b64encode(primary).decode()}}}))
        submods = self.submods(guest)
        self.assertEqual(sorted(submods), ["cpu0", "gpu0"])
        self.assertEqual(submods["gpu0"]["ear.status"], "affirming")
        self.assertEqual(submods["cpu0"]["ear.status"], "contraindicated")
        self.assertEqual(submods["cpu0"]["ear.appraisal-policy-id"], "default")
        self.assertEqual(submods["cpu0"]["ear.trustee.identifiers"],
                         {"validated": {"container_images": ["img:1"], "container_uids": [7]}})

    def test_what_a_policy_does_wrong_fails_attestation_only(self):
        for text, reason in (
                ('trust_claims := {}', "it claims nothing"),
                ('trust_claims := {"nonsense": 1}', "which is no claim"),
                ('trust_claims := {"hardware": 128}', "no integer from -128 to 127"),
                ('trust_claims := {"hardware": x}\n\nx := 1\n\nx := 2 if input.sample', "eval_conflict_error"),
                ('trust_claims := {"hardware": 2}\n\nextensions := [{"name": "ear.status", "key": 1, '
                 '"value": "affirming"}]', 'cannot be called "ear.status"'),
                ('trust_claims := {"hardware": count([1 | some a in numbers.range(1, 9999); '
                 'some b in numbers.range(1, 9999); a == b])}', "limit_error")):
            self.assertEqual(self.set_policy(CPU + text + "\n")[0], 200, text)
            with self.assertRaises(Refused) as refused:
                self.vault.guest().handshake()
            self.assertEqual(refused.exception.status, 401)
            self.assertEqual(refused.exception.detail(), "Attestation error: RCAR handshake Attest failed")
            line = [line for line in self.vault.read("log").splitlines() if " attest.refused " in line][-1]
            self.assertIn(reason.replace('"', '\\"'), line)
        strict = self.set_policy(CPU + 'trust_claims := {"nonsense": 1}\n', query="?strict=1")
        self.assertEqual(strict[0], 400)
        self.assertEqual(self.set_policy(CPU + "trust_claims := {\"hardware\": 2}\n")[0], 200)
        self.assertEqual(self.status()[0], "affirming")

    def test_refused_uploads_change_nothing(self):
        before = self.status()
        for ident in ("", "../x", ".x", "a/b", "x" * 65, "ä"):
            self.assertEqual(self.set_policy(CPU, ident)[0], 400, ident)
        status, _, body = self.set_policy(CPU + "trust_claims := nosuch(1)\n")
        self.assertEqual(status, 400)
        self.assertIn("policy.rego:5:17: rego_type_error: undefined function nosuch",
                      json.loads(body)["detail"])
        self.assertEqual(self.register({"": 1})[0], 400)
        self.assertEqual(self.register({"a": 1, "b" * 256: 1})[0], 400)
        self.assertEqual(self.vault.admin("GET", "/kbs/v0/reference-value/a")[0], 404)
        status, _, body = self.vault.admin("GET", "/kbs/v0/reference-value/")
        self.assertIn("query reference values", json.loads(body)["detail"])
        self.assertEqual(self.status(), before)
        # The release policy cannot ask for them, and says who can.
        status, _, body = self.vault.admin("POST", "/kbs/v0/resource-policy", json.dumps(
            {"policy": b64u((CPU + 'allow := query_reference_value("a")\n').encode())}))
        self.assertEqual(status, 400)
        self.assertIn("attestation policies have query_reference_value", json.loads(body)["detail"])

    def test_damaged_objects_fail_attestation_loudly(self):
        self.assertEqual(self.register(KNOWN)[0], 200)
        self.assertEqual(self.set_policy(CPU + 'trust_claims := {"hardware": 2}\n')[0], 200)
        for label, heal in (
                ("strongroom:policy:attestation/default_cpu",
                 lambda: self.set_policy(CPU + 'trust_claims := {"hardware": 2}\n')),
                ("strongroom:reference-value:all", lambda: self.register(KNOWN, replace=True))):
            self.vault.stop()
            data = bytearray(self.vault.object_bytes(label))
            data[-1] ^= 1
            self.vault.delete_object(label)
            self.vault.write_object(label, bytes(data))
            self.vault.start()
            with self.assertRaises(Refused):
                self.vault.guest().handshake()
            self.assertIn("unusable", self.vault.read("log"))
            if "reference" in label:
                status, _, body = self.register(KNOWN)
                self.assertEqual(status, 400)
                self.assertIn('"replace\\": true', body.decode())
            self.assertEqual(heal()[0], 200)
            self.assertEqual(self.status()[0], "affirming")

    def test_many_at_once(self):
        """Registrations at the same moment lose nothing; guests meanwhile see whole sets."""
        failed = []

        def register(number):
            for turn in range(3):
                status = self.register({f"value-{number}-{turn}": number})[0]
                if status != 200:
                    failed.append(status)

        threads = [threading.Thread(target=register, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(10):
            self.vault.guest().handshake()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])
        names = [v["name"] for v in json.loads(
            self.vault.admin("GET", "/strongroom/v1/reference-values")[2])["values"]]
        self.assertEqual(names, sorted(f"value-{n}-{t}" for n in range(4) for t in range(3)))


class Nowhere(unittest.TestCase):
    def test_a_broker_that_verifies_nothing_says_so(self):
        with Vault(config={"attestation_service": {"verifier": "none"}}) as vault:
            vault.start()
            status, _, body = vault.admin("GET", "/kbs/v0/reference-value/svn")
            self.assertEqual(status, 400)
            self.assertIn("set them where its attestation tokens are issued", json.loads(body)["detail"])
            status, _, body = vault.admin("POST", "/kbs/v0/attestation-policy", json.dumps(
                {"policy_id": "default_cpu", "policy": b64u(CPU.encode())}))
            self.assertEqual(status, 400)
            self.assertIn("attestation_service.verifier is none", json.loads(body)["detail"])


if __name__ == "__main__":
    unittest.main()

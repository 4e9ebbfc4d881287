"""A broker whose evidence an attestation service verifies, over gRPC and over REST: whole handshakes, what
operators set, a service that goes away and comes back. On the built program."""

import base64
import hashlib
import json
import threading
import unittest

from attestation_service import Appraiser, GrpcService, RestService, client_tls, make_pki, server_tls
from guest import Guest, Refused, b64u, canonical, unb64u
from vault import Vault, wait_until

try:
    import grpc
except ImportError:
    grpc = None

REGO = "package policy\n\nimport rego.v1\n\ntrust_claims := {\"hardware\": 2}\n"
FAILED = "Attestation error: RCAR handshake Attest failed"
DOWN = "evidence cannot be verified now; try again"


def bound(guest, additional, algorithm="sha384", nonce=None):
    value = {"nonce": nonce or guest.nonce, "tee-pubkey": guest.jwk()}
    if additional is not None:
        value["additional-evidence"] = additional
    return base64.b64encode(hashlib.new(algorithm, canonical(value)).digest()).decode()


class Shared:
    """The same for both ways to ask."""

    config = {}

    def setUp(self):
        self.vault = Vault()
        self.addCleanup(self.vault.__exit__, None)
        self.vault.prepare()
        self.appraiser = Appraiser(self.vault.path("signer.pem"), self.vault.path("signer.crt"))
        self.service = self.make()
        self.addCleanup(lambda: self.service.stop())
        self.addCleanup(self.appraiser.hold.set)
        self.serve()

    def serve(self, **more):
        self.vault.configure(attestation_service={
            "verifier": self.service.kind, "as_addr": self.service.url(), "call_timeout": 5, **more})
        self.vault.start()

    def restart(self, **more):
        self.vault.stop()
        self.serve(**more)

    def detail(self, refused):
        return json.loads(refused.body)["detail"]

    def refused(self, call, status=401):
        with self.assertRaises(Refused) as caught:
            call()
        self.assertEqual(caught.exception.status, status, caught.exception.body)
        return caught.exception

    def down(self):
        """One handshake while the service is down: 503, and when to come again."""
        guest = self.vault.guest().auth()
        status, headers, body = self.vault.ask("POST", "/kbs/v0/attest", json.dumps(guest.attestation()),
                                               guest.headers())
        self.assertEqual((status, json.loads(body)["detail"]), (503, DOWN))
        self.assertTrue(json.loads(body)["type"].endswith("/Unavailable"))
        self.assertGreaterEqual(int(headers["retry-after"]), 1)

    def up_again(self):
        def works():
            try:
                return self.vault.guest().handshake()
            except Refused as refused:
                self.assertEqual(refused.status, 503)
        return wait_until(works, 40, "the service's return")

    def metric(self, name):
        text = self.vault.ask("GET", "/metrics")[2].decode()
        return int([line for line in text.splitlines() if line.startswith(name + " ")][0].split()[1])

    def ready(self):
        status, _, body = self.vault.ask("GET", "/readyz")
        return status, json.loads(body).get("attestation_service")

    def lines(self, event):
        return [line for line in self.vault.read("log").splitlines() if f" {event} " in line]

    # ---- handshakes ---------------------------------------------------------------------------

    def test_the_main_path(self):
        self.vault.put("a/b/c", b"value")
        self.vault.allow_if('input.submods.cpu0["ear.status"] == "affirming"')
        guest = self.vault.guest()
        self.assertEqual(guest.fetch("a/b/c"), b"value")
        claims = json.loads(unb64u(guest.token.split(".")[1]))
        self.assertEqual(claims["iss"], "test AS")
        stranger = Guest(self.vault, guest.key)  # the token alone does as well
        self.assertEqual(stranger.get("a/b/c", {"Authorization": "Bearer " + guest.token}), b"value")
        self.assertEqual(len(self.appraiser.asked), 1)
        again = guest.token
        self.assertEqual(guest.attest().token, again)  # the session's own, nobody is asked
        self.assertEqual(len(self.appraiser.asked), 1)
        self.assertEqual(self.ready(), (200, "up"))
        self.assertEqual(self.metric("strongroom_attestation_service_up"), 1)
        self.assertEqual(self.metric("strongroom_attestation_service_calls_total"), 1)

    def test_additional_evidence_and_init_data(self):
        """One question for all; evidence byte by byte as the guest wrote it."""
        toml = 'algorithm = "sha256"\nversion = "0.1.0"\n[data]\n"a" = "ü\\n"\n'
        guest = self.vault.guest().auth()
        device = '{ "sampledevice": {"svn":"2", "big": 12345678901234567890.10, "report_data": "%s"} }' % \
            bound(guest, None)
        body = json.dumps(guest.attestation(**{
            "init-data": {"format": "toml", "body": toml},
            "tee-evidence": {"additional_evidence": device, "primary_evidence": "HERE"}}))
        primary = '{"report_data":  "%s", "svn":"1", "x": 1.50e3}' % bound(guest, device)
        status, _, reply = self.vault.ask("POST", "/kbs/v0/attest", body.replace('"HERE"', primary),
                                          guest.headers())
        self.assertEqual(status, 200, reply)
        claims = json.loads(unb64u(json.loads(reply)["token"].split(".")[1]))
        self.assertEqual(sorted(claims["submods"]), ["cpu0", "gpu0"])
        (_, pieces), = self.appraiser.asked
        self.assertEqual([p["tee"] for p in pieces], ["sample", "sampledevice"])
        self.assertEqual(unb64u(pieces[0]["evidence"]).decode(), primary)
        self.assertEqual(unb64u(pieces[1]["evidence"]).decode(), device[len('{ "sampledevice": '):-2])
        self.assertEqual([p["init_data"] for p in pieces], [toml, None])
        self.assertEqual(pieces[0]["runtime"], {"tee-pubkey": guest.jwk(), "nonce": guest.nonce,
                                                "additional-evidence": device})
        self.assertEqual(pieces[1]["runtime"], {"tee-pubkey": guest.jwk(), "nonce": guest.nonce})
        self.assertEqual([p["hash"] for p in pieces], ["sha384", "sha384"])

    def test_what_the_service_refuses(self):
        guest = self.vault.guest().auth()
        wrong = guest.attestation()
        wrong["tee-evidence"]["primary_evidence"] = guest.evidence(nonce="AAAA")
        refused = self.refused(lambda: guest.attest(wrong))
        self.assertEqual(self.detail(refused), FAILED)  # the cause is for the log
        line = self.lines("attest.refused")[-1]
        self.assertIn("REPORT_DATA is different", line)
        self.assertLess(len(line), 1500)
        guest.attest()  # the session stays as it was
        for _ in range(10):  # refusals never count as being down
            self.refused(lambda: self.vault.guest().auth().attest(wrong | {"runtime-data": {
                "nonce": "AAAA", "tee-pubkey": guest.jwk()}}))
            fresh = self.vault.guest().auth()
            bad = fresh.attestation()
            bad["tee-evidence"]["primary_evidence"] = fresh.evidence(nonce="AAAA")
            self.refused(lambda: fresh.attest(bad))
        self.assertEqual(self.ready(), (200, "up"))
        self.assertEqual(self.metric("strongroom_attestation_service_refusals_total"), 11)
        self.assertEqual(self.metric("strongroom_attestation_service_failures_total"), 0)

    def test_nobody_is_asked_for_what_we_refuse(self):
        guest = self.vault.guest().auth()
        for change, status in (({"runtime-data": {"nonce": "x", "tee-pubkey": guest.jwk()}}, 401),
                               ({"init-data": {"format": "json", "body": "{}"}}, 401),
                               ({"runtime-data": {"nonce": guest.nonce, "tee-pubkey": {"kty": "oct"}}}, 401),
                               ({"runtime-data": {}}, 400)):
            self.refused(lambda: guest.attest(guest.attestation(**change)), status)
        guest.cookie = "kbs-session-id=" + "0" * 32
        self.refused(guest.attest)
        guest.cookie = None
        self.refused(guest.attest)
        self.assertEqual(self.appraiser.asked, [])

    def test_tokens_that_are_not_this_guests(self):
        """Whatever the service signs: another key, another nonce, no key."""
        other = Guest(self.vault).jwk()

        def changed(claims, **runtime):
            held = claims["submods"]["cpu0"]["ear.veraison.annotated-evidence"]["runtime_data_claims"]
            held.update(runtime)
            return claims

        def without(claims):
            del claims["submods"]["cpu0"]["ear.veraison.annotated-evidence"]["runtime_data_claims"]
            return claims

        for change, loud in ((lambda c: changed(c, **{"tee-pubkey": other}), True),
                             (lambda c: changed(c, nonce="AAAA"), True),
                             (without, False)):  # as that of a device, which any guest may attest with
            before = len(self.lines("attest.foreign-token"))
            self.appraiser.change = change
            self.assertEqual(self.detail(self.refused(self.vault.guest().handshake)), FAILED)
            self.assertEqual(len(self.lines("attest.foreign-token")) - before, int(loud))
        self.appraiser.change = lambda c: c

    def test_tokens_that_are_not_believed(self):
        """No guest can help it: it may come again, and an operator is told."""
        from cryptography.hazmat.primitives.asymmetric import ec
        sign = self.appraiser.sign

        def unbelieved():
            before = len(self.lines("attest.failed"))
            self.assertEqual(self.detail(self.refused(self.vault.guest().handshake, 503)), DOWN)
            self.assertIn("the attestation service's token: ", self.lines("attest.failed")[before])

        self.appraiser.change = lambda c: c | {"exp": 1000}
        unbelieved()
        self.appraiser.change = lambda c: c
        self.appraiser.sign = lambda claims: sign(claims, ec.generate_private_key(ec.SECP256R1()))
        unbelieved()
        self.appraiser.sign = sign
        self.vault.guest().handshake()

    # ---- IBM SE: the verifier makes the nonce ----------------------------------------------------

    def test_se_challenge(self):
        def auth(params):
            return self.vault.ask("POST", "/kbs/v0/auth", json.dumps(
                {"version": "0.4.0", "tee": "se", "extra-params": params}))

        params = {"supported-hash-algorithms": ["sha256", "SHA512"], "n": 1}
        status, headers, body = auth(params)
        self.assertEqual(status, 200, body)
        challenge = json.loads(body)
        self.assertEqual(challenge["extra-params"], {"selected-hash-algorithm": "sha512"})
        self.assertIn("request_blob", json.loads(challenge["nonce"]))
        self.assertEqual(self.appraiser.asked, [("challenge", ("se", json.dumps(params)))])

        guest = self.vault.guest()
        guest.cookie = headers["set-cookie"].split(";")[0]
        guest.nonce = challenge["nonce"]
        guest.attest(guest.attestation(**{"tee-evidence": {"additional_evidence": "", "primary_evidence": {
            "svn": "1", "report_data": bound(guest, "", "sha512")}}}))
        self.assertEqual(self.appraiser.asked[-1][1][0]["hash"], "sha512")
        self.vault.put("a/b/c", b"value")
        self.vault.allow_all()
        self.assertEqual(guest.get("a/b/c"), b"value")

        self.assertEqual(json.loads(auth({})[2])["extra-params"], "")
        for params, cause in (({"supported-hash-algorithms": ["sha256"]}, "does not support sha512"),
                              ({"refuse": 1}, "Attestation Service generate challenge failed")):
            status, _, body = auth(params)
            self.assertEqual(status, 401)
            self.assertIn(cause, json.loads(body)["detail"])
            self.assertNotIn("no such image", body.decode())
        self.service.stop()
        status, headers, body = auth({})
        self.assertEqual(status, 503)
        self.assertIn("retry-after", headers)
        self.vault.guest().auth()  # for the others no service is asked

    # ---- operators ---------------------------------------------------------------------------------

    def set_policy(self, text):
        return self.vault.admin("POST", "/kbs/v0/attestation-policy", json.dumps(
            {"policy_id": "default_cpu", "policy": b64u(text.encode())}))

    def test_policies_go_to_the_service(self):
        self.assertEqual(self.set_policy(REGO)[0], 200)
        self.assertEqual(self.appraiser.policies, {"default_cpu": REGO})
        status, _, body = self.set_policy("not rego")
        self.assertEqual(status, 400)
        self.assertIn("expecting `package`", json.loads(body)["detail"])  # it is the operator's own
        self.vault.command("policy", "set", "--attestation", "default_gpu",
                           self.vault.write("gpu.rego", REGO))
        self.assertEqual(self.appraiser.policies["default_gpu"], REGO)
        self.vault.stop()  # without a broker the command asks the service itself
        self.vault.command("policy", "set", "--attestation", "default_x", self.vault.path("gpu.rego"))
        self.assertIn("default_x", self.appraiser.policies)
        self.vault.start()

    # ---- down and up ----------------------------------------------------------------------------

    def test_down_then_up(self):
        self.vault.put("a/b/c", b"value")
        self.vault.allow_all()
        early = self.vault.guest().handshake()
        self.service.stop()
        for _ in range(8):
            self.down()
        self.assertEqual(self.set_policy(REGO)[0], 503)
        self.assertEqual(self.ready(), (200, "down"))  # who has a token is served
        self.assertEqual(early.get("a/b/c"), b"value")
        self.assertEqual(self.metric("strongroom_attestation_service_up"), 0)
        self.assertEqual(self.metric("strongroom_attestation_service_downs_total"), 1)
        self.assertEqual(self.metric("strongroom_attestation_service_failures_total"), 5)
        self.assertEqual(len(self.lines("attestation-service.down")), 1)
        self.service.start()
        self.up_again()
        self.assertEqual(self.ready(), (200, "up"))
        self.assertEqual(len(self.lines("attestation-service.up")), 1)
        self.assertEqual([r["decision"] for r in self.vault.audit() if r["action"] == "attest"][1:3],
                         ["error", "error"])

    def test_restart_between_requests(self):
        """Connections that were closed while they lay idle cost no guest anything."""
        for _ in range(3):
            self.vault.guest().handshake()
        self.assertEqual(self.service.connections, 1)
        self.service.stop()
        self.service.start()
        self.vault.guest().handshake()
        self.assertEqual(self.metric("strongroom_attestation_service_failures_total"), 0)

    def test_many_guests_at_once(self):
        self.restart(pool_size=4)
        failed = []
        self.appraiser.hold.clear()

        def one():
            try:
                self.vault.guest().handshake()
            except Refused as refused:
                failed.append(refused)

        threads = [threading.Thread(target=one) for _ in range(16)]
        for thread in threads:
            thread.start()
        wait_until(lambda: self.appraiser.under_way == 4, 20, "four questions at once")
        self.vault.guest().auth()  # the event loops are free meanwhile
        self.assertEqual(self.vault.ask("GET", "/readyz")[0], 200)
        wait_until(lambda: self.metric("strongroom_attestation_service_jobs_waiting") == 12, 20, "a queue")
        self.appraiser.hold.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])
        self.assertEqual(self.appraiser.most_under_way, 4)
        self.assertLessEqual(self.service.connections, 4)

    def test_stop_while_a_question_is_open(self):
        self.restart(call_timeout=40)
        self.appraiser.hold.clear()
        guest = self.vault.guest().auth()
        answered = []

        def one():
            try:
                answered.append(guest.attest())
            except (Refused, OSError) as refused:
                answered.append(refused)

        thread = threading.Thread(target=one)
        thread.start()
        wait_until(lambda: self.appraiser.under_way == 1, 20, "a question")
        self.vault.stop()  # within the grace for requests under way, with exit code 0
        thread.join()
        self.assertEqual(getattr(answered[0], "status", 503), 503)

    # ---- TLS ---------------------------------------------------------------------------------------

    def test_tls_with_certificates_of_both(self):
        make_pki(self.vault)
        self.service.stop()
        self.service = self.make(tls=True)
        self.restart(**client_tls(self.vault))
        for _ in range(3):
            self.vault.guest().handshake()
        self.assertEqual(self.service.connections, 1)
        for wrong in ({"as_ca_cert": self.vault.path("stranger-ca.crt")},
                      {"as_client_cert": self.vault.path("stranger.crt"),
                       "as_client_key": self.vault.path("stranger.key")}):
            self.restart(**{**client_tls(self.vault), **wrong})
            self.down()
        self.assertTrue(any("certificate" in line for line in self.lines("attest.failed")))


@unittest.skipUnless(grpc, "grpcio is not installed: see tests/integration/requirements.txt")
class Grpc(Shared, unittest.TestCase):
    def make(self, tls=False):
        return GrpcService(self.appraiser, tls=self.vault if tls else None)

    def test_the_deadline_is_told(self):
        self.vault.guest().handshake()
        self.assertTrue(0 < self.service.timeouts[0] <= 5)

    def test_evidence_that_is_quoted_at_length_closes_nothing(self):
        """The service says no with all of the evidence in the status, more than headers may hold."""
        self.restart(call_timeout=20)
        for length in (100_000, 30_000):
            for _ in range(5):
                guest = self.vault.guest().auth()
                bad = guest.attestation()
                bad["tee-evidence"]["primary_evidence"] = "x" * length
                self.refused(lambda: guest.attest(bad), 503 if length > 65536 else 401)
            self.vault.guest().handshake()
        self.assertEqual(self.metric("strongroom_attestation_service_failures_total"), 5)
        self.assertEqual(self.metric("strongroom_attestation_service_downs_total"), 0)
        self.assertEqual([what for what, _ in self.appraiser.asked].count("challenge"), 1)
        self.assertEqual(self.appraiser.asked[5], ("challenge", ("sample", "")))
        self.assertTrue(5 < self.service.timeouts[4] <= 20)
        self.assertTrue(0 < self.service.timeouts[5] <= 5)  # the broker's own question

    def test_reference_values_go_to_the_service(self):
        run = self.vault.command
        run("reference-value", "set", "svn", '["1"]')
        self.assertEqual(self.appraiser.values, {"svn": ["1"]})
        self.assertEqual(json.loads(run("reference-value", "get", "svn").stdout), ["1"])
        gone = run("reference-value", "get", "none", check=False)
        self.assertEqual(gone.returncode, 3)
        self.assertIn(b"No reference value found for the given id: none", gone.stderr)
        status, _, body = self.vault.admin("POST", "/kbs/v0/reference-value", json.dumps(
            {"version": "9", "type": "sample", "payload": ""}))
        self.assertEqual(status, 400)
        self.assertIn("unsupported version", json.loads(body)["detail"])
        listed = run("reference-value", "list", check=False)
        self.assertIn(b"only a broker that appraises by itself lists them", listed.stderr)

    def test_connections_that_the_service_ages_out(self):
        """GOAWAY on idle connections: the next request takes a new one, and no guest notices."""
        self.service.stop()
        self.service = GrpcService(self.appraiser, options=[("grpc.max_connection_age_ms", 1000),
                                                            ("grpc.max_connection_age_grace_ms", 60000)])
        self.restart()
        wait_until(lambda: self.vault.guest().handshake() and self.service.connections >= 4, 60,
                   "a fourth connection")
        self.assertEqual(self.metric("strongroom_attestation_service_failures_total"), 0)

    def test_large_evidence(self):
        guest = self.vault.guest().auth()
        body = guest.attestation()
        body["tee-evidence"]["primary_evidence"]["more"] = "x" * 1_000_000
        guest.attest(body)
        body["tee-evidence"]["primary_evidence"]["more"] = "x" * 2_000_000
        other = self.vault.guest().auth()
        large = other.attestation()
        large["tee-evidence"]["primary_evidence"]["more"] = "x" * 2_000_000
        other.attest(large)


class Rest(Shared, unittest.TestCase):
    def make(self, tls=False):
        return RestService(self.appraiser, tls=server_tls(self.vault) if tls else None)

    def test_reference_values_have_no_place_there(self):
        for method, path, body in (("GET", "/kbs/v0/reference-value/svn", None),
                                   ("POST", "/kbs/v0/reference-value", "{}")):
            status, _, reply = self.vault.admin(method, path, body)
            self.assertEqual(status, 400)
            self.assertIn("set them at the RVPS", json.loads(reply)["detail"])
        self.assertEqual(self.appraiser.asked, [])


class Settings(unittest.TestCase):
    def test_mistakes_are_found_before_the_start(self):
        vault = Vault()
        self.addCleanup(vault.__exit__, None)
        vault.prepare()
        for section, sentence in (
                ({"as_addr": "localhost:50004"}, b"takes a URL of http:// or https://"),
                ({"as_addr": "http://a:b@host"}, b"takes a URL of http:// or https://"),
                ({"as_client_cert": "/x", "as_addr": "https://h"}, b"go together"),
                ({"as_ca_cert": "/x"}, b"certificates are for https://"),
                ({"call_timeout": 50}, b"must be less than http_server.request_timeout"),
                ({"pool_size": 0}, b"pool_size"),
                ({"type": "coco_as_grpc"}, b"say attestation_service.verifier")):
            vault.configure(attestation_service={"verifier": "coco_as_grpc", **section})
            done = vault.command("serve", "--check-config", check=False)
            self.assertEqual(done.returncode, 2, section)
            self.assertIn(sentence, done.stderr, section)
        vault.configure(attestation_service={"verifier": "grpc"},
                        attestation_token={"trusted_certs_paths": []})
        done = vault.command("serve", "--check-config", check=False)
        self.assertIn(b"needs its signer", done.stderr)
        vault.configure(attestation_service={"verifier": "grpc", "as_addr": "https://127.0.0.1:1",
                                             "as_ca_cert": vault.path("none.crt")})
        self.assertIn(b"none.crt", vault.command("serve", check=False).stderr)


if __name__ == "__main__":
    unittest.main()

"""/metrics as a scraper reads it: the text is valid, and the numbers are those of what was done."""

import threading
import unittest

import exposition
from guest import Refused
from vault import DENY_ALL, Vault, wait_until

# What dashboards made for the reference server ask for (kbs-api.md 9.3).
REFERENCE = {
    "kbs_resource_reads_total": "counter", "kbs_resource_writes_total": "counter",
    "kbs_resource_deletes_total": "counter", "kbs_http_requests_total": "counter",
    "kbs_policy_evaluations_total": "counter", "kbs_policy_approvals_total": "counter",
    "kbs_policy_violations_total": "counter", "kbs_policy_errors_total": "counter",
    "kbs_attestation_requests_total": "counter", "kbs_attestation_errors_total": "counter",
    "kbs_attestation_successes_total": "counter", "kbs_attestation_failures_total": "counter",
    "kbs_auth_requests_total": "counter", "kbs_auth_successes_total": "counter",
    "kbs_auth_errors_total": "counter", "kbs_http_request_duration_seconds": "histogram",
    "kbs_http_request_size_bytes": "histogram", "kbs_http_response_size_bytes": "histogram",
    "kbs_http_active_connections": "gauge", "kbs_build_info": "gauge",
}
BOUNDS = {
    "kbs_http_request_duration_seconds": "0.0005 0.001 0.005 0.01 0.05 0.5 1 +Inf",
    "kbs_http_request_size_bytes": "32 128 512 2048 8192 +Inf",
    "kbs_http_response_size_bytes": "32 128 512 2048 8192 +Inf",
}
OURS = ("strongroom_sessions", "strongroom_sessions_attested", "strongroom_tokens_remembered",
        "strongroom_token_up", "strongroom_audit_failures_total", "strongroom_releases_total",
        "strongroom_envelope_cache_bytes", "strongroom_locked_bytes", "strongroom_connections",
        "strongroom_connections_total", "strongroom_connections_refused_total",
        "strongroom_malformed_requests_total", "strongroom_timeouts_total",
        "strongroom_token_helper_starts_total")

SOURCES = ("strongroom_keys", "strongroom_key_age_seconds", "strongroom_key_refreshes_total",
           "strongroom_key_failures_total")


class Reader(unittest.TestCase):
    """The reader itself refuses what a scraper may refuse."""

    GOOD = ("# HELP h_seconds Of it\n# TYPE h_seconds histogram\nh_seconds_bucket{le=\"1\"} 2\n"
            "h_seconds_bucket{le=\"+Inf\"} 3\nh_seconds_sum 4.5\nh_seconds_count 3\n"
            "# HELP a_total Of a\n# TYPE a_total counter\na_total{x=\"y\",z=\"\"} 1\n")

    def test_mistakes(self):
        exposition.read(self.GOOD)
        for old, new in ((' 2\n', ' 4\n'), ('+Inf', '2'), ('le="1"', 'le="+Inf"'), ('count 3', 'count 4'),
                         ('h_seconds_sum 4.5\n', ''), ('a_total{', 'b_total{'), ('"y",', '"y",,'),
                         ('# TYPE a_total counter\n', ''), ('counter', 'number'), ('x="y"', 'z="y"'),
                         (' 1\n', ' one\n'), (' 1\n', ' 1'), ('"y"', 'y'), ('a_total', 'h_seconds'),
                         ('a_total', 'a'), (' 1\n', ' 1\na_total{x="y",z=""} 1\n'), ('Of a', '')):
            with self.subTest(old=old, new=new), self.assertRaises((AssertionError, ValueError)):
                self.assertIn(old, self.GOOD)
                exposition.read(self.GOOD.replace(old, new))


class Metrics(unittest.TestCase):
    def setUp(self):
        self.vault = Vault().prepare().start().allow_all()
        self.addCleanup(self.vault.__exit__, None)

    def scrape(self):
        status, headers, body = self.vault.ask("GET", "/metrics")
        self.assertEqual(status, 200)
        self.assertEqual({k.lower(): v for k, v in dict(headers).items()}["content-type"],
                         "text/plain; version=0.0.4; charset=utf-8")
        self.families = exposition.read(body.decode("utf-8"))
        return self.families

    def value(self, name, **labels):
        return self.families[name].samples[tuple(sorted(labels.items()))]

    def total(self, name):
        return sum(self.families[name].samples.values())

    def none_active(self):
        """A request ends a moment after its answer was read."""
        def idle():
            self.scrape()
            return self.value("kbs_http_active_connections") == 0
        wait_until(idle, what="the end of all requests")

    def test_names_and_types(self):
        families = self.scrape()
        self.assertEqual({name: families[name].type for name in REFERENCE}, REFERENCE)
        for name, bounds in BOUNDS.items():
            found = [dict(labels)["le"] for suffix, labels in families[name].samples
                     if suffix == "_bucket"]
            self.assertEqual(found, bounds.split(), name)
        for name in OURS:
            self.assertIn(name, families)
        self.assertEqual(self.value("strongroom_token_up"), 1)

    def test_labels_are_closed_sets(self):
        guest = self.vault.guest()
        for name in ("metrics/of/nobody", "metrics/are/here"):
            with self.assertRaises(Refused):
                guest.fetch(name)
        self.vault.ask("GET", "/kbs/v0/resource/metrics/by/strangers")
        labels = {name: {label for key in family.samples for label, _ in
                         (key[1] if family.type == "histogram" else key)}
                  for name, family in self.scrape().items()}
        self.assertEqual({name: found for name, found in labels.items() if found}, {
            "kbs_attestation_successes_total": {"tee_type"},
            "kbs_attestation_failures_total": {"tee_type"},
            "strongroom_token_state": {"state"}, "strongroom_token_recoveries_total": {"step", "result"},
            "strongroom_findings": {"fault"}, "kbs_build_info": {"version"},
            "strongroom_jobs_total": {"where"},
            "strongroom_token_crypto_seconds": {"le"},
            "strongroom_token_object_seconds": {"le"},
            **{name: {"source"} for name in SOURCES},      # names of the configuration's
            **{name: {"le"} for name in BOUNDS}})
        self.assertEqual(len(self.families["kbs_attestation_successes_total"].samples), 14)

    def test_numbers_of_what_was_done(self):
        self.vault.put("metrics/a/b", b"x" * 3000)
        guest = self.vault.guest()
        self.assertEqual(guest.fetch("metrics/a/b"), b"x" * 3000)
        with self.assertRaises(Refused):
            guest.attest({"no": "attestation"})
        with self.assertRaises(Refused):
            other = self.vault.guest()
            other.auth()
            other.attest(other.attestation(**{"tee-evidence": {
                "primary_evidence": {"svn": "1", "report_data": "AAAA"}, "additional_evidence": ""}}))
        self.vault.set_policy(DENY_ALL)
        with self.assertRaises(Refused):
            guest.fetch("metrics/a/b")
        self.scrape()
        self.assertEqual(self.value("kbs_resource_writes_total"), 1)
        self.assertEqual(self.value("kbs_resource_reads_total"), 1)
        self.assertEqual(self.value("strongroom_releases_total"), 1)
        self.assertEqual(self.value("kbs_policy_approvals_total"), 1)
        self.assertEqual(self.value("kbs_policy_violations_total"), 1)
        self.assertEqual(self.value("kbs_attestation_errors_total"), 1)
        self.assertEqual(self.value("kbs_attestation_failures_total", tee_type="sample"), 1)
        self.assertEqual(self.value("kbs_attestation_requests_total"),
                         self.value("kbs_attestation_errors_total")
                         + self.total("kbs_attestation_successes_total")
                         + self.total("kbs_attestation_failures_total"))
        for name in BOUNDS:
            self.assertEqual(self.families[name].samples["_count", ()],
                             self.value("kbs_http_requests_total"), name)
        sizes = self.families["kbs_http_request_size_bytes"].samples
        self.assertGreaterEqual(sizes["_sum", ()], 3000)   # the value that was put
        answers = self.families["kbs_http_response_size_bytes"].samples
        self.assertGreater(answers["_sum", ()], 4000)      # it again, in base64
        self.assertGreater(sizes["_bucket", (("le", "8192"),)], sizes["_bucket", (("le", "2048"),)])
        self.none_active()

    def test_true_to_itself_under_load(self):
        guest = self.vault.guest()
        self.vault.put("metrics/a/b", b"value")
        guest.handshake()
        threads = [threading.Thread(target=lambda: [guest.get("metrics/a/b") for _ in range(40)])
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self.scrape()   # the reader asserts that buckets, +Inf and count fit together
            self.assertLessEqual(self.value("kbs_http_active_connections"), 4)
        for thread in threads:
            thread.join()
        self.scrape()
        self.assertEqual(self.value("strongroom_releases_total"), 160)
        self.none_active()


if __name__ == "__main__":
    unittest.main()

"""Moving in from a KBS: its store in every layout, its configuration, hostile ones, and an import that
is killed in the middle."""

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from cryptography.hazmat.primitives.serialization import load_pem_private_key

import kbs_store
import postgres
from vault import ALLOW_ALL, DENY_ALL, Vault, program, wait_until

CPU_POLICY = b"package policy\n\nimport rego.v1\n\ntrust_claims := {\"hardware\": 2}\n"
RESOURCES = {
    "default/key/1": b"one\n",
    "default/key/2": bytes(range(256)),
    "Repo_A/a.b/tag-3": b"x" * 70000,
    "default/empty/value": b"",
    "default/large/value": os.urandom(2 << 20),
}
SPACES = {
    "repository": RESOURCES,
    "kbs": {"resource-policy.rego": ALLOW_ALL.encode()},
    "attestation_service_policy": {"default_cpu.rego": CPU_POLICY},
    "reference_value": {"svn": kbs_store.reference_value("svn", ["1", 2, 1.5]),
                        "odd name": kbs_store.reference_value("odd name", {"a": True})},
    "kbs_protocol_session": {"0123": b"{}"},
}
TAKEN = len(RESOURCES) + 4


class Story(unittest.TestCase):
    def setUp(self):
        self.vault = Vault().__enter__()
        self.addCleanup(self.vault.__exit__, None, None, None)
        self.dir = tempfile.mkdtemp(prefix="kbs store ")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def run_import(self, source, *more, code=0, env=None):
        """(entries by kind and name, summary, the report)"""
        done = self.vault.command("import", "--from-kbs", source, "--json", *more, check=False, env=env)
        self.assertEqual(done.returncode, code, done.stderr.decode())
        report = json.loads(done.stdout)
        self.log = done.stderr.decode()
        entries = {(e["kind"], e["name"]): e for e in report["entries"]}
        return entries, {k: v for k, v in report["summary"].items() if v}, report

    def get(self, name):
        return self.vault.command("resource", "get", name).stdout

    def assert_taken(self, resources=None):
        for name, value in (resources or RESOURCES).items():
            self.assertEqual(self.get(name), value, name)

    def assert_policies_taken(self):
        self.assertEqual(self.vault.command("policy", "get").stdout, ALLOW_ALL.encode())
        listed = json.loads(self.vault.command("reference-value", "list", "--format", "json").stdout)
        values = {v["name"]: (v["value"], v["expires"]) for v in listed["values"]}
        self.assertEqual(values, {"svn": (["1", 2, 1.5], 3789547200),
                                  "odd name": ({"a": True}, 3789547200)})

    def assert_moves_in(self, source, env=None):
        """Dry run, import, and again: nothing more to do."""
        before = self.snapshot()
        _, summary, report = self.run_import(source, env=env)
        self.assertEqual(summary, {"would-take": TAKEN})
        self.assertFalse(report["applied"])
        self.assertIn("nothing was written", self.log)
        self.assertEqual(self.vault.command("resource", "list", "--format", "json").stdout,
                         b'{"resources":[]}\n')
        entries, summary, _ = self.run_import(source, "--apply", env=env)
        self.assertEqual(summary, {"taken": TAKEN})
        self.assertTrue(all(e["verified"] for e in entries.values()))
        self.assertEqual(entries["resource", "Repo_A/a.b/tag-3"]["size"], 70000)
        self.assert_taken()
        self.assert_policies_taken()
        _, summary, _ = self.run_import(source, "--apply", env=env)
        self.assertEqual(summary, {"same": TAKEN})
        self.assertEqual(self.snapshot(), before)

    def snapshot(self):
        """The source, which an import never changes."""
        found = {}
        for folder, _, files in os.walk(self.dir):
            for name in files:
                path = os.path.join(folder, name)
                found[path] = os.lstat(path).st_mtime_ns, os.lstat(path).st_size
        return found


class Layouts(Story):
    def test_local_fs(self):
        self.assert_moves_in(kbs_store.local_fs(self.path("storage"), SPACES))

    def test_local_json(self):
        self.assert_moves_in(kbs_store.local_json(self.path("storage"), SPACES))

    def test_operator(self):
        root = self.path("storage")
        kbs_store.local_fs(root, {k: v for k, v in SPACES.items() if k != "reference_value"})
        kbs_store.local_json(os.path.join(root, "local_json"),
                             {"reference_value": SPACES["reference_value"]})
        self.assert_moves_in(root)

    def test_through_a_serving_broker(self):
        self.vault.start()
        self.assert_moves_in(kbs_store.local_fs(self.path("storage"), SPACES))
        self.assertEqual(self.vault.guest().fetch("default/key/1"), b"one\n")

    def test_nested_with_kubernetes_mounts_and_the_old_policy(self):
        root = self.path("repository")
        kbs_store.nested(root, {"default/key/1": b"nested"})
        kbs_store.mounted_secret(os.path.join(root, "default/secret"), {"a": b"A", "b.pem": b"B"})
        kbs_store.write(self.path("policy.rego"), ALLOW_ALL.encode())
        entries, summary, _ = self.run_import(root, "--apply", "--policy", self.path("policy.rego"))
        self.assertEqual(summary, {"taken": 4})
        self.assertIn("read as a repository", self.log)
        self.assert_taken({"default/key/1": b"nested", "default/secret/a": b"A",
                           "default/secret/b.pem": b"B"})
        self.assertIn(("policy", "resource-policy"), entries)
        # Kubernetes swaps the mount: the next run sees the new value.
        secret = os.path.join(root, "default/secret")
        kbs_store.write(os.path.join(secret, "..new", "a"), b"A2")
        kbs_store.write(os.path.join(secret, "..new", "b.pem"), b"B")
        os.symlink("..new", os.path.join(secret, "..tmp"))
        os.rename(os.path.join(secret, "..tmp"), os.path.join(secret, "..data"))
        entries, summary, _ = self.run_import(root, "--apply", code=5)
        self.assertEqual(summary, {"same": 2, "differs": 1})
        self.assertEqual(entries["resource", "default/secret/a"]["result"], "differs")

    def test_mounts_below_a_store(self):
        root = self.path("storage")
        kbs_store.local_fs(root, {"repository": {"default/x/a": b"flat"}})
        kbs_store.mounted_secret(os.path.join(root, "repository/default/x"), {"a": b"nested", "b": b"B"})
        entries, summary, _ = self.run_import(root, "--apply", code=9)
        self.assertEqual(summary, {"taken": 2, "skipped": 1})
        self.assert_taken({"default/x/a": b"flat", "default/x/b": b"B"})

    def test_a_nested_store_beside_a_namespace_is_not_lost_in_silence(self):
        root = kbs_store.nested(self.path("storage"), {"default/key/1": b"nested"})
        os.mkdir(os.path.join(root, "reference_value"))
        for more in ([], ["--apply"]):
            entries, summary, _ = self.run_import(root, *more, code=9)
            self.assertEqual(summary, {"skipped": 1})
            self.assertIn("no namespace", entries["resource", "default"]["reason"])
        os.rmdir(os.path.join(root, "reference_value"))
        self.run_import(root, "--apply")
        self.assert_taken({"default/key/1": b"nested"})

    def test_by_configuration(self):
        flat = kbs_store.local_fs(self.path("fs"), {"repository": {"a/b/c": b"flat"}})
        values = kbs_store.local_json(self.path("json"), {
            "reference_value": {"n": kbs_store.reference_value("n", 1)}})
        config = self.path("kbs-config.toml")
        kbs_store.write(config, f"""
[storage_backend]
storage_type = "local_fs"
[storage_backend.backends.local_fs]
dir_path = "{flat}"
[storage_backend.backends.local_json]
file_dir_path = "{values}"
[attestation_service.rvps_config]
storage_type = "LocalJson"
""".encode())
        entries, summary, _ = self.run_import(config, "--apply")
        self.assertEqual(set(entries), {("resource", "a/b/c"), ("reference-value", "n")})
        old = kbs_store.nested(self.path("old"), {"d/e/f": b"old"})
        kbs_store.write(self.path("p.rego"), DENY_ALL.encode())
        kbs_store.write(self.path("old.json"), json.dumps({
            "plugins": [{"name": "resource", "type": "LocalFs", "dir_path": old}],
            "policy_engine": {"policy_path": self.path("p.rego")}}).encode())
        entries, summary, _ = self.run_import(self.path("old.json"), "--apply")
        self.assertEqual(set(entries), {("resource", "d/e/f"), ("policy", "resource-policy")})
        self.assertEqual(summary, {"taken": 2})

    def test_what_is_no_store_of_files(self):
        def says(source, sentence, text=None):
            if text:
                kbs_store.write(source, text.encode())
            done = self.vault.command("import", "--from-kbs", source, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(sentence, done.stderr.decode())

        says("redis://127.0.0.1:6379", "SCAN")
        says(self.path("r.toml"), "SCAN", '[storage_backend]\nstorage_type = "Redis"\n')
        says(self.path("m.toml"), "in the KBS's memory", "[storage_backend]\n")
        says(self.path("n.toml"), "names no store", "[http_server]\n")
        says(self.path("v.yaml"), "kept by \"vault\"",
             "plugins: [{name: resource, storage_backend_type: vault}]\n")
        says("ftp://x", "postgresql:// URL")
        done = self.vault.command("import", "--from-kbs", self.path("nowhere"), check=False)
        self.assertEqual(done.returncode, 3)


class Rules(Story):
    def test_what_is_here_stays_unless_it_is_asked_for(self):
        root = kbs_store.local_fs(self.path("storage"), SPACES)
        self.vault.command("resource", "put", "default/key/1", stdin=b"ours")
        self.vault.command("resource", "put", "default/key/2", stdin=b"gone")
        self.vault.command("resource", "rm", "default/key/2")
        self.vault.command("policy", "set", "--deny-all")
        self.vault.command("reference-value", "set", "svn", "3")
        entries, summary, _ = self.run_import(root, "--apply", code=5)
        self.assertEqual(summary, {"taken": TAKEN - 4, "differs": 4})
        self.assertIn("deleted here", entries["resource", "default/key/2"]["reason"])
        self.assertEqual(self.get("default/key/1"), b"ours")
        _, summary, _ = self.run_import(root, "--replace", code=0)
        self.assertEqual(summary, {"would-replace": 4, "same": TAKEN - 4})
        self.assertEqual(self.get("default/key/1"), b"ours")
        _, summary, _ = self.run_import(root, "--replace", "--apply")
        self.assertEqual(summary, {"replaced": 4, "same": TAKEN - 4})
        self.assert_taken()
        self.assert_policies_taken()

    def test_what_expired_here(self):
        vault = self.vault
        vault.start()
        vault.cached_token()
        soon = int(time.time()) + 2
        self.assertEqual(vault.admin("POST", f"/kbs/v0/resource/a/b/c?not_after={soon}", b"short")[0], 200)
        wait_until(lambda: vault.command("resource", "get", "a/b/c", check=False).returncode == 3, what="its end")
        root = kbs_store.local_fs(self.path("storage"), {"repository": {"a/b/c": b"kbs", "a/b/large": b"x" * 70000}})
        entries, summary, _ = self.run_import(root, "--apply", code=5)
        self.assertEqual(summary, {"differs": 1, "taken": 1})
        self.assertIn("it expired here; --replace", entries["resource", "a/b/c"]["reason"])
        _, summary, _ = self.run_import(root, "--apply", "--replace")
        self.assertEqual(summary, {"replaced": 1, "same": 1})
        self.assertEqual(self.get("a/b/c"), b"kbs")

    def test_policies_that_do_not_compile_are_refused_and_the_rest_goes_on(self):
        root = kbs_store.local_fs(self.path("storage"), {
            "repository": {"a/b/c": b"1"},
            "kbs": {"resource-policy.rego": b"package policy\nallow { true }\n", "other.rego": b"x",
                    "resource-policy": b"x"},
            "attestation_service_policy": {"default_cpu.rego": b"", "default_gpu.rego": b"package policy\n\ntrust_claims := {}\n",
                                           "mine.rego": CPU_POLICY, "no rego": b"x"},
            "reference_value": {"old": kbs_store.reference_value("old", 1, "2020-01-01T00:00:00Z"),
                                "list": b"[]", "none": b'{"version":"0.1.0","expiration":'
                                b'"2090-01-01T00:00:00Z","hash-value":[]}',
                                "time": kbs_store.reference_value("time", 1, "tomorrow")}})
        for more in ([], ["--apply"]):
            entries, summary, _ = self.run_import(root, *more, code=9)
            self.assertEqual(summary, {"taken" if more else "would-take": 2, "skipped": 10})
            why = {e["name"]: e.get("reason", "") for e in entries.values()}
            self.assertIn("2:", why["resource-policy"])
            self.assertIn("no effect", why["other.rego"])
            self.assertIn("ends in .rego", entries["attestation-policy", "no rego"]["reason"])
            self.assertIn("empty", why["default_cpu"])
            self.assertIn("expired at 2020-01-01", why["old"])
            self.assertIn("no \"value\"", why["none"])
            self.assertIn("no time", why["time"])
        self.assertEqual(self.get("a/b/c"), b"1")
        self.assertEqual(self.vault.command("policy", "get", check=False).returncode, 3)

    def test_appraisal_elsewhere(self):
        self.vault.configure(attestation_service={"verifier": "none"})
        root = kbs_store.local_fs(self.path("storage"), SPACES)
        entries, summary, _ = self.run_import(root, "--apply", code=9)
        self.assertEqual(summary, {"taken": len(RESOURCES) + 1, "skipped": 3})
        self.assertIn("verifier", entries["reference-value", "svn"]["reason"])

    def test_a_text_report(self):
        root = kbs_store.local_fs(self.path("storage"), {"repository": {"a/b/c": b"1", "nameless": b"2"}})
        done = self.vault.command("import", "--from-kbs", root, "--apply", check=False)
        self.assertEqual(done.returncode, 9)
        lines = done.stdout.decode().splitlines()
        self.assertEqual(len(lines), 2)
        self.assertRegex(lines[0], r"^taken +resource +a/b/c \(verified\)$")
        self.assertRegex(lines[1], r"^skipped +resource +/.*nameless: ")
        self.assertIn("import: 1 taken, 1 skipped", done.stderr.decode())

    def test_no_secret_in_any_output(self):
        root = kbs_store.local_json(self.path("storage"), {
            "repository": {"a/b/c": b"super-secret-value", "bad": b"super-secret-value"}})
        for more in ([], ["--apply"], ["--apply", "--replace"]):
            done = self.vault.command("import", "--from-kbs", root, *more, check=False)
            for text in (done.stdout, done.stderr, self.vault.read("audit.jsonl").encode()):
                self.assertNotIn(b"super-secret", text)
                self.assertNotIn(base64.urlsafe_b64encode(b"super-secret-value"), text)

    def test_options(self):
        for arguments, sentence in (([], "--from-kbs is missing"),
                                    (["--from-kbs", self.dir, "--apply", "--dry-run"], "exclude"),
                                    (["--from-kbs", self.dir, "--policy", self.path("no")], "no policy")):
            done = self.vault.command("import", *arguments, check=False)
            self.assertIn(done.returncode, (2, 3))
            self.assertIn(sentence, done.stderr.decode())


class Hostile(Story):
    def test_files(self):
        root = self.path("storage")
        flat = os.path.join(root, "repository")
        kbs_store.local_fs(root, {"repository": {"a/b/c": b"good"}})
        secret = self.path("outside")
        kbs_store.write(secret, b"not of this store")
        os.symlink(secret, os.path.join(flat, "a\\x2Fb\\x2Foutside"))
        os.symlink("/etc", os.path.join(flat, "etc"))
        os.symlink("a\\x2Fb\\x2Fc", os.path.join(flat, "a\\x2Fb\\x2Finside"))
        os.symlink("a\\x2Fb\\x2Floop", os.path.join(flat, "a\\x2Fb\\x2Floop"))
        os.symlink("nowhere", os.path.join(flat, "a\\x2Fb\\x2Fdangling"))
        os.mkfifo(os.path.join(flat, "a\\x2Fb\\x2Ffifo"))
        kbs_store.write(os.path.join(flat, "a\\x2Fb\\x2Fhuge"), b"x" * (3 << 20))
        kbs_store.write(os.path.join(flat, "a\\x2Fb\\x2Fover"), b"x" * ((2 << 20) + 1))
        kbs_store.write(os.path.join(flat, "a\\x2F..\\x2Fc"), b"dots")
        kbs_store.write(os.path.join(flat, ".dockerconfigjson"), b"{}")
        kbs_store.write(os.path.join(flat, "deep/er/than/that"), b"x")
        with open(os.path.join(os.fsencode(flat), b"a\\x2Fb\\x2F\xff\xfe\x1b[31m"), "wb") as file:
            file.write(b"x")
        skipped = 11
        if os.geteuid() != 0:
            unreadable = os.path.join(flat, "a\\x2Fb\\x2Funreadable")
            kbs_store.write(unreadable, b"x")
            os.chmod(unreadable, 0)
            skipped += 1
        for more in ([], ["--apply"]):
            entries, summary, report = self.run_import(root, *more, code=9)
            self.assertEqual(summary, {"taken" if more else "would-take": 2, "skipped": skipped})
        why = {os.path.basename(e["source"]): e.get("reason", "") for e in report["entries"]}
        for name, sentence in (("outside", "leads out"), ("loop", "cannot be opened"),
                               ("dangling", "cannot be opened"), ("fifo", "no regular file"),
                               ("huge", "limit of 2097152"), ("over", "limit of 2097152")):
            self.assertIn(sentence, why[f"a\\x5cx2Fb\\x5cx2F{name}"]
                          if f"a\\x5cx2Fb\\x5cx2F{name}" in why else why[f"a\\x2Fb\\x2F{name}"], name)
        self.assertIn("leads out", why["etc"])
        self.assertIn("folder", why["than"])
        self.assertNotIn("\x1b", json.dumps(report, ensure_ascii=False))
        self.assert_taken({"a/b/c": b"good", "a/b/inside": b"good"})

    def test_local_json(self):
        root = self.path("storage")
        os.makedirs(root)
        text = base64.urlsafe_b64encode
        kbs_store.write(os.path.join(root, "repository"), json.dumps({
            "a/b/1": "AAE", "a/b/2": "AA+/", "a/b/3": {"x": [1, None]}, "a/b/4": 5, "a/b/5": "_-8=",
            "a/b/6": text(b"y" * (2 << 20)).decode(), "a/b/7": text(b"y" * (3 << 20)).decode(),
            "k" * 3000: "AAAA", "a/b/\u00e9": "AAAA"}).encode().replace(b'"_-8="', b'"\\u005f-8="'))
        kbs_store.write(os.path.join(root, "reference_value"), b'[{"name": "svn"}]')
        kbs_store.write(os.path.join(root, "kbs"), b'{"resource-policy.rego": "AAAA"} x')
        entries, summary, report = self.run_import(root, "--apply", code=9)
        self.assertEqual(summary, {"taken": 2, "skipped": 9})
        self.assert_taken({"a/b/5": b"\xff\xef", "a/b/6": b"y" * (2 << 20)})
        why = " ".join(e.get("reason", "") for e in report["entries"])
        self.assertIn("a JSON object is expected", why)
        self.assertIn("something follows", why)

    def test_names_that_stand_twice(self):
        root = self.path("storage")
        kbs_store.write(os.path.join(root, "repository"),
                        b'{"a/b/1": "AAAA", "a/b/2": "BBBB", "a/b/1": "CCCC"}')
        _, summary, report = self.run_import(root, "--apply", code=9)
        self.assertEqual(summary, {"taken": 1, "skipped": 2})
        self.assertEqual([(e["name"], e["reason"]) for e in report["entries"] if "reason" in e],
                         [("a/b/1", f"it stands twice in {root}/repository")] * 2)
        self.assertNotEqual(self.vault.command("resource", "get", "a/b/1", check=False).returncode, 0)
        self.assert_taken({"a/b/2": b"\x04\x10\x41"})

    def test_the_limit_of_entries(self):
        vault = self.vault
        vault.variant = "release"
        root = self.path("storage")
        kbs_store.local_fs(root, {"repository": {f"a/b/{n}": b"" for n in range(10000)}})
        _, summary, _ = self.run_import(root)
        self.assertEqual(summary, {"would-take": 10000})
        kbs_store.local_fs(root, {"kbs": {"resource-policy.rego": ALLOW_ALL.encode()}})
        done = vault.command("import", "--from-kbs", root, "--apply", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"more than 10000 entries", done.stderr)
        kbs_store.local_fs(root, {"repository": {"a/b/more": b""}})
        done = vault.command("import", "--from-kbs", root, "--apply", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"more than 10000 names", done.stderr)
        self.assertEqual(vault.command("resource", "list").stdout.count(b"\n"), 1)


class Killed(Story):
    def test_an_import_that_was_killed_goes_on(self):
        values = {f"many/values/{n:04}": os.urandom(64) for n in range(150)}
        root = kbs_store.local_fs(self.path("storage"), {"repository": values})
        process = subprocess.Popen(
            [program(), "import", "--from-kbs", root, "--apply", "-c", self.vault.path("strongroom.yaml")],
            env=self.vault.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def puts():
            self.assertIsNone(process.poll(), "it ended before it was killed")
            if not os.path.exists(self.vault.path("audit.jsonl")):
                return 0
            return self.vault.read("audit.jsonl").count('"action":"put"')

        wait_until(lambda: puts() >= 20, 60, "some puts")
        os.kill(process.pid, signal.SIGKILL)
        self.assertEqual(process.wait(), -signal.SIGKILL)
        _, summary, _ = self.run_import(root, "--apply")
        self.assertEqual(set(summary), {"taken", "same"})
        self.assertGreaterEqual(summary["same"], 19)
        self.assertEqual(sum(summary.values()), 150)
        _, summary, _ = self.run_import(root)
        self.assertEqual(summary, {"same": 150})


@unittest.skipUnless(postgres.available(), "no PostgreSQL server here (Debian package postgresql)")
class FromPostgres(Story):
    def test_moving_in(self):
        with postgres.Postgres() as server:
            server.store(SPACES)
            self.assert_moves_in(server.url, env=server.env)

    def test_odd_rows(self):
        with postgres.Postgres() as server:
            server.store({"repository": {"a/b/c": b"1", "a/b/huge": b"x" * ((2 << 20) + 1),
                                         "it's": b"x", "a/b/c; DROP TABLE repository": b"x"}})
            server.psql("INSERT INTO repository VALUES (NULL, 'a/b/null')")
            entries, summary, _ = self.run_import(server.url, "--apply", code=9, env=server.env)
            self.assertEqual(summary, {"taken": 1, "skipped": 4})
            self.assertIn("limit of 2097152", [e["reason"] for e in entries.values()
                                               if e["source"].endswith("huge")][0])
            config = self.path("kbs.toml")
            kbs_store.write(config, f"""
[storage_backend]
storage_type = "Postgres"
[storage_backend.backends.postgres]
host = "{server.dir}"
db = "postgres"
username = "kbs"
password = "never-used"
""".encode())
            _, summary, _ = self.run_import(config, code=9, env=server.env)
            self.assertEqual(summary, {"same": 1, "skipped": 4})
            self.assertIn("left alone", self.log)
            self.assertNotIn("never-used", self.log)

    def test_who_may_not(self):
        with postgres.Postgres() as server:
            def says(url, sentence, code, **env):
                done = self.vault.command("import", "--from-kbs", url, check=False, env=env)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(sentence, done.stderr.decode())
                self.assertNotIn(server.password, done.stderr.decode())

            with_password = server.url.replace("kbs@", f"kbs:{server.password}@")
            says(with_password, "list of processes", 2)
            says(server.url + f"&password={server.password}", "PGPASSFILE", 2)
            says(server.url, "PGPASSWORD", 2, PGPASSWORD=server.password)
            says(server.url, "no password supplied", 6, PGPASSFILE="/dev/null")
            says(server.url, "no table repository", 3, **server.env)
            says("postgresql://kbs@/x?host=/nonexistent", "PostgreSQL", 6)
            says("postgresql://kbs@/x?nonsense=1", "no connection URL", 2)


class Configuration(Story):
    def convert(self, name, text, code):
        kbs_store.write(self.path(name), text.encode())
        out = self.path(name + ".out")
        done = self.vault.run("config", "convert", self.path(name), "-o", out, check=False)
        self.assertEqual(done.returncode, code, done.stderr.decode())
        with open(out, encoding="utf-8") as file:
            made = file.read()
        # A KBS has no PIN of its own: this is what the note asks for.
        here = made.replace("\ntoken:\n", "\ntoken:\n  pin_source: " + json.dumps("file:" + self.vault.path("pin")) + "\n")
        kbs_store.write(out + ".here", here.encode())
        checked = self.vault.run("serve", "-c", out + ".here", "--check-config", check=False)
        self.assertEqual(checked.returncode, 0, checked.stderr.decode())
        return made, done.stderr.decode()

    def test_converted_files_are_right(self):
        text, log = self.convert("old.toml", f"""
[http_server]
sockets = ["127.0.0.1:8080", "localhost:8081"]
worker_count = 4
[admin]
type = "Simple"
[[admin.personas]]
id = "alice"
public_key_path = "{self.vault.path('admin.pem.pub')}"
[attestation_token]
insecure_key = true
[attestation_service]
timeout = 7
[[plugins]]
name = "pkcs11"
module = "/usr/lib/softhsm/libsofthsm2.so"
pin = "hunter2-12345678"
[[plugins]]
name = "resource"
type = "LocalFs"
""", 9)
        self.assertIn('sockets: ["127.0.0.1:8080"]', text)
        self.assertIn("threads: 4", text)
        self.assertIn("timeout: 7", text)
        self.assertIn('"default_role":"alice"', text)
        self.assertIn("insecure_header_jwk: true", text)
        self.assertIn('module: "/usr/lib/softhsm/libsofthsm2.so"', text)
        for where in (text, log):
            self.assertIn("plugins[0].pin", where)
            self.assertIn("http_server.sockets[1]", where)
            self.assertNotIn("hunter2", where)

    def test_nothing_is_overwritten(self):
        kbs_store.write(self.path("k.json"), b'{"admin": {"authorization_mode": "DenyAll"}}')
        kbs_store.write(self.path("there"), b"mine")
        done = self.vault.run("config", "convert", self.path("k.json"), "-o", self.path("there"),
                              check=False)
        self.assertEqual(done.returncode, 5)
        with open(self.path("there"), "rb") as file:
            self.assertEqual(file.read(), b"mine")
        done = self.vault.run("config", "convert", self.path("k.json"), check=False)
        self.assertEqual(done.returncode, 9)
        self.assertIn(b'authorization_mode: "DenyAll"', done.stdout)

    def test_old_keys_of_operators_are_accepted(self):
        """auth_public_key of a KBS until v0.15: a token without a role, as old clients sign it, operates."""
        text, _ = self.convert("v015.toml", f"""
[http_server]
sockets = ["127.0.0.1:0"]
insecure_http = true
[admin]
auth_public_key = "{self.vault.path('admin.pem.pub')}"
insecure_api = false
""", 9)
        vault = self.vault
        for section, more in (("http_server", {"admin_socket": vault.path("run/admin.sock")}),
                              ("token", {"uri": f"pkcs11:token={vault.label}",
                                         "pin_source": "file:" + vault.path("pin")})):
            lines = "".join(f"  {key}: {json.dumps(value)}\n" for key, value in more.items())
            text = text.replace(f"\n{section}:\n", f"\n{section}:\n{lines}")
        text += "audit: " + json.dumps({"file": vault.path("audit.jsonl")}) + "\nprocess: " + json.dumps(
            {"state_dir": vault.path("state"), "run_dir": vault.path("run"), "memory_lock": "best-effort"})
        vault.write("strongroom.yaml", text)
        vault.start()
        with open(vault.path("admin.pem"), "rb") as file:
            key = load_pem_private_key(file.read(), None)

        def put(claims):
            part = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=")
                    for p in ({"alg": "EdDSA", "typ": "JWT"}, claims)]
            signature = base64.urlsafe_b64encode(key.sign(b".".join(part))).rstrip(b"=")
            return vault.admin("POST", "/kbs/v0/resource/a/b/c", b"x",
                               token=b".".join([*part, signature]).decode())[0]

        now = int(time.time())
        self.assertEqual(put({"iat": now, "exp": now + 7200}), 200)
        self.assertNotEqual(put({"iat": now, "exp": now - 7200}), 200)


if __name__ == "__main__":
    unittest.main()

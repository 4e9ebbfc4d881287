"""Every command as an operator types it: what it prints, its exit code, what it refuses. With a
broker that serves (by its admin socket) and without one (on the token itself)."""

import base64
import json
import os
import re
import resource
import shlex
import shutil
import signal
import stat
import subprocess
import time
import unittest

from guest import Refused
from vault import ALLOW_ALL, MODULE, Vault, program, wait_until

README = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../README.md")
VALUE_MAX = 2 << 20
COMMANDS = ("serve", "dev", "status", "token init", "token status", "token verify",
            "token keypair create", "token keypair list", "kek create", "kek list", "kek rotate",
            "kek rm", "resource put",
            "resource get", "resource list", "resource rm", "resource versions", "resource restore",
            "resource purge", "policy set", "policy get",
            "policy list", "policy diff", "policy dry-run", "policy rollback", "policy check",
            "policy fmt", "policy eval", "policy explain", "policy test", "policy bench",
            "reference-value set", "reference-value get", "reference-value list",
            "reference-value rm", "audit tail",
            "audit verify", "admin keygen",
            "admin token", "import", "config convert", "fetch")


def decode(part):
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class Readme(unittest.TestCase):
    """The commands of README's "Setting it up", line by line, on a host that has nothing of ours yet: of
    what they name only the folders' place is another, and the editor writes what a test needs."""

    def run_line(self, vault, words):
        if words[0] == "editor":
            vault.configure(token={"uri": "pkcs11:token=strongroom",
                                   "pin_source": "file:" + vault.path("etc/strongroom/pin")},
                            audit={"file": vault.path("var/log/strongroom/audit.jsonl")})
            shutil.copy(vault.path("strongroom.yaml"), words[1])
        elif words[0] != "strongroom":
            subprocess.run(words, input=vault.read("pin").encode(), check=True)
        elif words[1:] == ["serve"]:
            vault.start()
        elif words[1:3] == ["token", "init"]:
            vault.run(*words[1:], "--so-pin-file", vault.path("so-pin"), "--pin-file", vault.path("pin"),
                      "--state-dir", vault.path("state"))
        elif words[1] == "admin":
            vault.run(*words[1:])
        else:
            vault.run(*words[1:], "-c", vault.path("etc/strongroom/strongroom.yaml"))

    def test_setting_it_up(self):
        with open(README, encoding="utf-8") as file:
            block = re.search(r"\n## Setting it up .*\n\n((?:    .*\n)+)", file.read()).group(1)
        with Vault() as vault:
            policy = vault.write("policy.rego", ALLOW_ALL)
            places = {"/etc/": vault.path("etc/"), "/var/log/": vault.path("var/log/"), "MODULE": MODULE,
                      "policy.rego": policy}
            for line in block.splitlines():
                words = shlex.split(line, comments=True)
                for readme, here in places.items():
                    words = [here + w[len(readme):] if w.startswith(readme) else w for w in words]
                self.run_line(vault, words)
            vault.command("resource", "put", "a/b/c", stdin=b"1")
            self.assertEqual(vault.guest().fetch("a/b/c"), b"1")
            self.assertIn('"release"', vault.read("var/log/strongroom/audit.jsonl"))


class Commands(unittest.TestCase):
    def refused(self, done, code, *words):
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, b"")
        text = done.stderr.decode()
        for word in words:
            self.assertIn(word, text)
        self.assertEqual(text.count("strongroom: "), 1, text)   # one sentence, once


class Help(Commands):
    """Needs no token and no configuration."""

    @classmethod
    def setUpClass(cls):
        cls.vault = Vault()

    @classmethod
    def tearDownClass(cls):
        cls.vault.__exit__(None)

    def test_the_overview_names_every_command(self):
        overview = self.vault.run().stdout.decode()
        self.assertEqual(tuple(re.findall(r"^  (\S+(?: \S+){0,2}) {2,}\S", overview, re.M)), COMMANDS)
        self.assertEqual(overview, self.vault.run("--help").stdout.decode())

    def test_help_says_how_and_every_option_named_is_known(self):
        for name in COMMANDS:
            text = self.vault.run(*name.split(), "--help").stdout.decode()
            self.assertIn(f"usage: strongroom {name} [options]", text)
            options = re.findall(r"^  (?:-\w, |   +)--([\w-]+)( [A-Z]+)?", text, re.M)
            self.assertIn("help", [option for option, _ in options])
            for option, argument in options:
                if argument:    # an option with an argument says so when it is left out
                    self.refused(self.vault.run(*name.split(), f"--{option}", check=False), 2,
                                 f"--{option} wants a value")
            for line in text.splitlines():
                self.assertLessEqual(len(line), 110, line)

    def test_mistakes(self):
        for args, words in (
                (("serve", "--nonsense"), ("unknown option --nonsense",)),
                (("serve", "extra"), ("extra",)),
                (("resource", "get", "a/b/c", "d/e/f"), ("d/e/f",)),
                (("kek", "list", "--format", "xml"), ("table or json", "xml")),
                (("token", "status", "--format", "JSON"), ("table or json",)),
                (("resource", "list", "--format", ""), ("table or json",)),
                (("resource", "list", "a?b"), ("prefix",)),
                (("admin", "token"), ("--key", "keygen")),
                (("token", "keypair", "create", "--type", "dsa"), ("--type is rsa or ec-p256",)),
                (("admin", "token", "--key", "x", "--seconds", "soon"), ("wants a number", "soon")),
                (("admin", "token", "--key", "x", "--seconds", "-1"), ("wants a number",)),
                (("admin", "token", "--key", "x", "--seconds", "0"), ("from 1 on",)),
                (("admin", "token", "--key", "x", "--seconds", "4294967296"), ("wants a number",)),
                (("fetch", "--token-file", "x", "kbs:///a/b/c"), ("--key-file",)),
        ):
            self.refused(self.vault.run(*args, check=False), 2, *words)

    def test_a_short_option_that_is_none(self):
        for args, word in ((("serve", "-x"), "-x"), (("policy", "fmt", "-wx"), "-x"), (("policy", "fmt", "-xw", "a"), "-x"),
                           (("policy", "fmt", "a", "-dx"), "-x")):
            self.refused(self.vault.run(*args, check=False), 2, f"unknown option {word};")

    def test_help_of_a_group(self):
        for args in (("help", "token"), ("token", "--help"), ("token", "-h"), ("help", "token", "keypair"), ("token", "keypair", "--help")):
            done = self.vault.run(*args)
            self.assertIn(b"  token keypair create ", done.stdout)
            self.assertNotIn(b"serve", done.stdout)
        for args in (("help", "nonsense"), ("nonsense", "--help"), ("token",), ("token", "nonsense", "--help")):
            done = self.vault.run(*args, check=False)
            self.assertEqual((done.returncode, done.stdout), (2, b""), args)

    def test_fetch_without_a_broker(self):
        done = self.vault.run("fetch", "--url", "http://127.0.0.1:1", "kbs:///a/b/c", check=False)
        self.refused(done, 6, "http://127.0.0.1:1")
        for url in ("ftp://127.0.0.1", "http://[::1", "http://a b"):
            self.refused(self.vault.run("fetch", "--url", url, "kbs:///a/b/c", check=False), 2, url)
        missing = self.vault.path("none.pem")
        done = self.vault.run("fetch", "--url", "https://127.0.0.1:1", "--cacert", missing, "kbs:///a/b/c", check=False)
        self.refused(done, 3, missing)

    def test_print_defaults_is_a_configuration(self):
        text = self.vault.run("serve", "--print-defaults").stdout.decode()
        for section in ("http_server", "token", "attestation_service", "attestation_token", "admin",
                        "audit", "process", "storage"):
            self.assertRegex(text, rf"(?m)^{section}:")
        pin = "file:/etc/strongroom/pin"
        self.assertIn(pin, text)
        path = self.vault.write("defaults.yaml", text.replace(pin, "credential:pin"))
        done = self.vault.run("serve", "--check-config", "-c", path)
        self.assertIn("is right", done.stdout.decode())


    def test_output_that_cannot_be_written(self):
        key = self.vault.path("full.pem")
        self.vault.run("admin", "keygen", key)
        records = self.vault.write("full.jsonl", '{"time":"t","action":"put"}\n')
        for args in ((), ("help",), ("--version",), ("admin", "keygen", "--help"), ("serve", "--print-defaults"),
                     ("admin", "token", "--key", key), ("audit", "tail", records)):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([program(), *args], stdin=subprocess.DEVNULL, stdout=full,
                                      stderr=subprocess.PIPE, env=self.vault.env, timeout=60)
            self.assertEqual((done.returncode, done.stderr.count(b"cannot write to standard output")),
                             (1, 1), (args, done.stderr))
        with open("/dev/full", "wb") as full:   # its own error is the one that counts
            done = subprocess.run([program(), "audit", "verify", "--head", "none", records], stdout=full,
                                  stderr=subprocess.PIPE, env=self.vault.env, timeout=60)
        self.assertEqual(done.returncode, 8, done.stderr)


class WhatStandsInTheWay(Commands):
    """Exit code and sentence are the same whether a broker serves or not, and nothing is said twice."""

    def test_without_a_key(self):
        with Vault() as vault:
            vault.run("token", "init", "--module", MODULE, "--label", "keyless", "--so-pin-file", vault.path("so-pin"),
                      "--pin-file", vault.path("pin"), "--state-dir", vault.path("state"))
            vault.configure(token={"uri": "pkcs11:token=keyless"})
            for served in (False, True):
                if served:
                    vault.start()
                for args in (("resource", "put", "a/b/c"), ("kek", "rotate"), ("policy", "set", "--deny-all")):
                    done = vault.command(*args, stdin=b"1", check=False)
                    self.refused(done, 7, "strongroom kek create")
                    self.assertEqual(done.stderr.count(b"kek create"), 1, done.stderr)
            self.assertIn("kek        none: strongroom kek create", vault.command("status").stdout.decode())
            vault.command("kek", "create")
            self.assertNotIn("kek", vault.command("status").stdout.decode())

    def test_a_reader(self):
        with Vault() as vault:
            reader = vault.second()
            for served in (False, True):
                if served:
                    reader.start()
                for args in (("resource", "put", "a/b/c"), ("kek", "rotate"), ("policy", "set", "--deny-all")):
                    done = reader.command(*args, stdin=b"1", check=False)
                    self.refused(done, 5, "the writer's host")
                    self.assertEqual(done.stderr.count(b"the writer's host"), 1, done.stderr)
            reader.stop()

    def test_who_holds_the_token_is_said_once(self):
        with Vault(config={"http_server": {"admin_socket": ""}}) as vault:
            vault.start()
            done = vault.command("resource", "list", check=False)
            self.refused(done, 5, f"strongroom serve, pid {vault.process.pid} writes to this token")
            self.refused(vault.command("status", check=False), 2, "admin_socket is empty")


class Operators(Commands):
    """`admin keygen` and `admin token`."""

    def setUp(self):
        self.vault = Vault()
        self.key = self.vault.path("op.pem")
        self.vault.run("admin", "keygen", self.key)

    def tearDown(self):
        self.vault.__exit__(None)

    def mode(self, path):
        return stat.S_IMODE(os.stat(path).st_mode)

    def test_keygen_modes_and_pems(self):
        self.assertEqual(self.mode(self.key), 0o600)
        self.assertEqual(self.mode(self.key + ".pub"), 0o644)
        public = subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout"], check=True,
                                capture_output=True).stdout
        self.assertEqual(self.vault.read("op.pem.pub").encode(), public)
        self.assertIn("ED25519", subprocess.run(
            ["openssl", "pkey", "-pubin", "-in", self.key + ".pub", "-noout", "-text"], check=True,
            capture_output=True).stdout.decode())

    def test_keygen_never_overwrites(self):
        before = self.vault.read("op.pem"), self.vault.read("op.pem.pub")
        self.refused(self.vault.run("admin", "keygen", self.key, check=False), 5, self.key)
        self.assertEqual(before, (self.vault.read("op.pem"), self.vault.read("op.pem.pub")))

    def test_keygen_leaves_no_half_pair(self):
        path = self.vault.path("half.pem")
        self.vault.write("half.pem.pub", "old")
        for _ in range(2):
            self.refused(self.vault.run("admin", "keygen", path, check=False), 5, path + ".pub")
            self.assertFalse(os.path.exists(path))
        self.assertEqual(self.vault.read("half.pem.pub"), "old")
        os.unlink(path + ".pub")
        done = subprocess.run(
            [program("release"), "admin", "keygen", path], capture_output=True, env=self.vault.env, timeout=60,
            restore_signals=False,  # SIGXFSZ stays ignored: a write that fails
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20)))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(path, done.stderr.decode())
        self.assertFalse(os.path.exists(path))
        self.vault.run("admin", "keygen", path)

    def test_keygen_in_a_folder_that_is_missing(self):
        path = self.vault.path("none/op.pem")
        self.refused(self.vault.run("admin", "keygen", path, check=False), 2, path)

    def token(self, *more, key=None):
        done = self.vault.run("admin", "token", "--key", key or self.key, *more)
        text = done.stdout.decode()
        self.assertRegex(text, r"^[\w-]+\.[\w-]+\.[\w-]+\n$")
        head, claims, signature = text.strip().split(".")
        return decode(head), decode(claims), f"{head}.{claims}".encode(), signature

    def test_token_claims(self):
        now = int(time.time())
        head, claims, signed, signature = self.token()
        self.assertEqual(head, {"alg": "EdDSA", "typ": "JWT"})
        self.assertEqual(set(claims), {"role", "iat", "exp"})
        self.assertEqual(claims["role"], "admin")
        self.assertIn(claims["iat"] - now, range(-1, 30))
        self.assertEqual(claims["exp"] - claims["iat"], 7200)
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        public = load_pem_public_key(self.vault.read("op.pem.pub").encode())
        public.verify(base64.urlsafe_b64decode(signature + "=="), signed)   # raises when wrong

        _, claims, _, _ = self.token("--role", "writer", "--subject", 'an "odd" näme', "--issuer",
                                     "me", "--audience", "KBS", "--seconds", "60")
        self.assertEqual((claims["role"], claims["sub"], claims["iss"], claims["aud"]),
                         ("writer", 'an "odd" näme', "me", "KBS"))
        self.assertEqual(claims["exp"] - claims["iat"], 60)

    def test_token_of_an_ec_key(self):
        path = self.vault.path("ec.pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-out", path], check=True, capture_output=True)
        os.chmod(path, 0o600)
        head, _, _, signature = self.token(key=path)
        self.assertEqual(head["alg"], "ES256")
        self.assertEqual(len(base64.urlsafe_b64decode(signature + "==")), 64)

    def test_token_key_files(self):
        os.chmod(self.key, 0o644)
        done = self.vault.run("admin", "token", "--key", self.key, check=False)
        self.refused(done, 2, "0644", "chmod 600 " + self.key)
        os.chmod(self.key, 0o600)
        link = self.vault.path("link.pem")
        os.symlink(self.key, link)
        self.token(key=link)
        done = self.vault.run("admin", "token", "--key", self.vault.path("none"), check=False)
        self.refused(done, 3, self.vault.path("none"))
        rsa = self.vault.path("rsa.pem")
        subprocess.run(["openssl", "genrsa", "-out", rsa, "2048"], check=True, capture_output=True)
        os.chmod(rsa, 0o600)
        self.refused(self.vault.run("admin", "token", "--key", rsa, check=False), 2, rsa, "Ed25519 or EC P-256")
        garbage = self.vault.write("garbage.pem", "no PEM")
        done = self.vault.run("admin", "token", "--key", garbage, check=False)
        self.assertIn(garbage, done.stderr.decode())
        self.assertNotIn(done.returncode, (0, 1))


class Resources:
    """The same whether a broker serves or not; the subclasses say which."""

    serves = False

    @classmethod
    def setUpClass(cls):
        cls.vault = Vault().prepare()
        if cls.serves:
            cls.vault.start()

    @classmethod
    def tearDownClass(cls):
        cls.vault.__exit__(None)

    def json_of(self, *args):
        done = self.vault.command(*args, "--format", "json")
        self.assertTrue(done.stdout.endswith(b"\n"))
        return json.loads(done.stdout)

    def put(self, name, value, *more, check=True):
        return self.vault.command("resource", "put", name, *more, stdin=value, check=check)

    def get(self, name, check=True):
        return self.vault.command("resource", "get", name, check=check)

    def test_put_get_rm(self):
        done = self.put("cmd/plain/one", b"some\0bytes\n")
        self.assertEqual((done.stdout, done.stderr), (b"", b"stored cmd/plain/one, version 1\n"))
        self.assertEqual(self.get("kbs:///cmd/plain/one").stdout, b"some\0bytes\n")
        path = self.vault.write("value", "from a file")
        self.put("cmd/plain/one", b"not this", path)
        self.assertEqual(self.get("cmd/plain/one").stdout, b"from a file")
        self.put("cmd/plain/one", b"from stdin", "-")
        self.assertEqual(self.get("cmd/plain/one").stdout, b"from stdin")
        self.put("cmd/plain/empty", b"")
        self.assertEqual(self.get("cmd/plain/empty").stdout, b"")
        self.vault.command("resource", "rm", "cmd/plain/one")
        self.refused(self.get("cmd/plain/one", check=False), 3, "cmd/plain/one")
        self.refused(self.vault.command("resource", "rm", "cmd/plain/one", check=False), 3)

    def test_create_and_if_match(self):
        self.put("cmd/if/x", b"1", "--create")
        self.refused(self.put("cmd/if/x", b"2", "--create", check=False), 5, "cmd/if/x")
        self.put("cmd/if/x", b"2", "--if-match", "1")
        self.refused(self.put("cmd/if/x", b"3", "--if-match", "1", check=False), 5, "cmd/if/x")
        self.refused(self.put("cmd/if/none", b"3", "--if-match", "1", check=False), 5)
        self.assertEqual(self.get("cmd/if/x").stdout, b"2")
        rm = lambda version: self.vault.command("resource", "rm", "cmd/if/x", "--if-match", version,
                                                check=False)
        self.refused(rm("1"), 5)
        self.refused(rm("soon"), 2)
        self.assertEqual(rm("2").returncode, 0)

    def test_an_if_match_that_is_no_version_is_refused(self):
        self.put("cmd/if/z", b"1")
        self.put("cmd/if/z", b"2")
        command = lambda *args: self.vault.command(*args, stdin=b"3", check=False)
        for text in ("", " ", "soon", '"', '""', '"2', "2 ", 'W/"2"', "-1", "9" * 21, "2" + " " * 80 + "x"):
            for args in (("resource", "put", "cmd/if/z"), ("resource", "rm", "cmd/if/z"),
                         ("resource", "restore", "cmd/if/z"), ("resource", "restore", "cmd/if/z", "1"),
                         ("policy", "set", "--allow-all"), ("policy", "rollback"),
                         ("policy", "rollback", "1")):
                self.refused(command(*args, "--if-match", text), 2, "--if-match wants a version")
        self.assertEqual(self.get("cmd/if/z").stdout, b"2")
        self.assertEqual(command("resource", "put", "cmd/if/z", "--if-match", '"2"').returncode, 0)
        self.assertEqual(self.get("cmd/if/z").stdout, b"3")
        self.assertEqual(command("resource", "rm", "cmd/if/z", "--if-match", '"3"').returncode, 0)

    def test_the_largest_value_and_one_byte_more(self):
        value = os.urandom(VALUE_MAX)
        self.put("cmd/size/x", value)
        self.assertEqual(self.get("cmd/size/x").stdout, value)
        self.refused(self.put("cmd/size/x", value + b"!", check=False), 2, str(VALUE_MAX))
        path = self.vault.write("large", value + b"!")
        self.refused(self.put("cmd/size/x", b"", path, check=False), 2, path, str(VALUE_MAX))
        self.assertEqual(self.get("cmd/size/x").stdout, value)

    def test_files_that_cannot_be_read(self):
        missing = self.vault.path("no such file")
        self.refused(self.put("cmd/file/x", b"", missing, check=False), 3, missing)
        done = self.put("cmd/file/x", b"", self.vault.dir, check=False)
        self.assertIn(done.returncode, (1, 2))
        self.assertIn(self.vault.dir, done.stderr.decode())
        self.refused(self.get("cmd/file/x", check=False), 3)

    def test_list(self):
        for name in ("cmdlist/a/1", "cmdlist/a/2", "cmdlist/b/1"):
            self.put(name, b"value of it")
        self.vault.command("resource", "rm", "cmdlist/a/2")
        names = lambda *args: [r["name"] for r in self.json_of("resource", "list", *args)["resources"]]
        self.assertEqual(names("cmdlist/"), ["cmdlist/a/1", "cmdlist/b/1"])
        self.assertEqual(names("cmdlist/a"), ["cmdlist/a/1"])
        self.assertEqual(names("cmdlist/a", "--deleted"), ["cmdlist/a/1", "cmdlist/a/2"])
        self.assertEqual(names("nothing"), [])
        row = self.json_of("resource", "list", "cmdlist/b")["resources"][0]
        self.assertEqual((row["version"], row["size"], row["kek_generation"]), (1, 11, 1))
        table = self.vault.command("resource", "list", "cmdlist/").stdout.decode().splitlines()
        self.assertEqual(len(table), 3)
        self.assertTrue(table[0].startswith("NAME"))
        self.assertNotIn("value of it", "".join(table))

    def test_a_list_of_several_pages(self):
        """The test build takes three entries a page."""
        wanted = [f"pages/a/{n}" for n in range(7)]
        for name in wanted:
            self.put(name, b"x")
        listed = self.json_of("resource", "list", "pages/")["resources"]
        self.assertEqual([r["name"] for r in listed], wanted)
        table = self.vault.command("resource", "list", "pages/").stdout.decode().splitlines()
        self.assertEqual([row.split()[0] for row in table], ["NAME", *wanted])
        for name in wanted[1:]:
            self.vault.command("resource", "rm", name)
        self.vault.command("resource", "purge", "--all")
        listed = self.json_of("resource", "list", "pages/", "--deleted")["resources"]
        self.assertEqual([r["name"] for r in listed], wanted[:1])

    def test_kek_list(self):
        keks = self.json_of("kek", "list")["keks"]
        self.assertEqual(len(keks), 1)
        self.assertEqual((keks[0]["generation"], keks[0]["active"], keks[0]["sound"],
                          keks[0]["canary_ok"], keks[0]["extractable"]),
                         (1, True, True, True, False))
        table = self.vault.command("kek", "list").stdout.decode().splitlines()
        self.assertEqual(len(table), 2)
        self.assertIn(keks[0]["label"], table[1])

    def test_kek_create_only_when_asked_for_the_next(self):
        self.refused(self.vault.command("kek", "create", check=False), 5, "--next")

    def test_token_status(self):
        token = self.json_of("token", "status")["token"]
        self.assertEqual(token["label"], self.vault.label)
        self.assertIn(token["serial"], self.vault.command("token", "status").stdout.decode())

    def test_policy_set(self):
        run = lambda *args: self.vault.command("policy", "set", *args, check=False)
        good = self.vault.write("good.rego", ALLOW_ALL)
        bad = self.vault.write("bad.rego", "package policy\n\nallow { true }\n")
        for args in ((good,), ("--allow-all",), ("--deny-all",)):
            self.assertEqual(run(*args).returncode, 0, args)
        for args in ((), ("--allow-all", "--deny-all"), (good, "--deny-all"),
                     (good, "--allow-all", "--deny-all")):
            self.refused(run(*args), 2, "one of FILE, --allow-all and --deny-all")
        self.refused(run(bad), 2, "bad.rego:3:7: rego_parse_error: ", "bad.rego is refused")
        self.refused(run(self.vault.path("none.rego")), 3, "none.rego")
        large = self.vault.write("large.rego", ALLOW_ALL + "#" * (256 << 10))
        self.refused(run(large), 2, "large.rego", "limit")

    def test_reference_values_of_any_name(self):
        for name in ("../a", "a/../b", "a/./b", "./a", "a//b", "ä b?c=d#e%20"):
            self.vault.command("reference-value", "set", name, json.dumps([name]))
            got = self.vault.command("reference-value", "get", name, check=False)
            self.assertEqual((got.returncode, got.stdout and json.loads(got.stdout)), (0, [name]), got.stderr)
            self.vault.command("reference-value", "rm", name)

    def test_a_name_that_is_none(self):
        for name in ("a/b", "a/b/c/d", "a/b/", "../b/c", "a/b/c d", "kbs://host/a/b/c"):
            self.refused(self.put(name, b"x", check=False), 2)
            self.refused(self.get(name, check=False), 2)


class OnTheToken(Resources, Commands):
    def test_status(self):
        self.refused(self.vault.command("status", check=False), 6, "no broker answers on ", "strongroom serve")

    def test_the_next_generation(self):
        with Vault() as vault:
            vault.command("resource", "put", "a/b/c", stdin=b"old")
            made = json.loads(vault.command("kek", "create", "--next", "--format", "json").stdout)
            self.assertEqual((made["generation"], made["active"]), (2, True))
            vault.command("resource", "put", "d/e/f", stdin=b"new")
            self.assertEqual(vault.command("resource", "get", "a/b/c").stdout, b"old")
            rows = json.loads(vault.command("resource", "list", "--format", "json").stdout)
            self.assertEqual([r["kek_generation"] for r in rows["resources"]], [1, 2])

    def test_commands_do_not_chat(self):
        self.put("cmd/quiet/x", b"1")
        self.assertEqual(self.get("cmd/quiet/x").stderr, b"")
        self.assertEqual(self.vault.command("kek", "list").stderr, b"")

    def test_token_init_refuses_a_label_in_use(self):
        before = len(os.listdir(self.vault.path("tokens")))
        done = self.vault.run(
            "token", "init", "--module", MODULE, "--label", self.vault.label, "--so-pin-file",
            self.vault.path("so-pin"), "--pin-file", self.vault.path("pin"), "--state-dir",
            self.vault.path("state"), check=False)
        self.refused(done, 5, self.vault.label)
        self.assertEqual(len(os.listdir(self.vault.path("tokens"))), before)
        self.put("cmd/after/init", b"still there")

    def test_token_init_pin_files(self):
        with Vault(label="fresh") as vault:
            os.chmod(vault.path("so-pin"), 0o644)
            done = vault.run("token", "init", "--module", MODULE, "--label", "second",
                             "--so-pin-file", vault.path("so-pin"), "--pin-file", vault.path("pin"),
                             "--state-dir", vault.path("state"), check=False)
            self.refused(done, 2, "chmod 600")


    def test_token_init_prints_a_uri_that_the_configuration_takes(self):
        for label in ("my token;a%2F", "schlüssel?b=c&d", "-._~"):
            with Vault() as vault:
                uri = vault.init_token("second " + label).stdout.decode().strip()
                self.assertRegex(uri, r"^pkcs11:token=[\w.~%-]+;serial=[\w.~%-]+$")
                vault.configure(token={"uri": uri})
                vault.command("kek", "create")
                token = json.loads(vault.command("token", "status", "--format", "json").stdout)["token"]
                self.assertEqual(token["label"], "second " + label)


class ThroughTheBroker(Resources, Commands):
    serves = True

    def test_status(self):
        token = self.json_of("status")["token"]
        self.assertEqual((token["label"], token["state"]), (self.vault.label, "up"))
        text = self.vault.command("status").stdout.decode()
        self.assertIn(f"state      up since {token['since']}", text)
        self.refused(self.vault.command("status", "--format", "yaml", check=False), 2, "table or json")

    def test_a_policy_takes_effect_at_once(self):
        self.put("cmd/policy/x", b"value")
        self.vault.command("policy", "set", "--deny-all")
        with self.assertRaises(Refused) as caught:
            self.vault.guest().fetch("cmd/policy/x")
        self.assertEqual(caught.exception.status, 403)
        self.vault.command("policy", "set", "--allow-all")
        self.assertEqual(self.vault.guest().fetch("cmd/policy/x"), b"value")

    def test_every_read_is_audited_with_who(self):
        self.put("cmd/audit/x", b"value")
        self.get("cmd/audit/x")
        records = [r for r in self.vault.audit() if "cmd/audit/x" in json.dumps(r)]
        self.assertEqual(len(records), 2)
        self.assertIn(f"uid={os.getuid()}", json.dumps(records[1]))


class Daemon(Commands):
    """Signals, reloading, and who holds the token."""

    def ends(self, vault, number):
        process = vault.process
        process.send_signal(number)
        vault.process = None
        self.assertEqual(process.wait(60), 0, vault.read("log"))

    def test_sigterm_and_sigint_end_well(self):
        with Vault() as vault:
            for number, name in ((signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT")):
                vault.start()
                self.ends(vault, number)
                last = vault.read("log").splitlines()[-3:]
                self.assertEqual(last[0], f"info stopping signal={name}")
                self.assertTrue(last[1].startswith("info audit.closed "), last[1])
                self.assertEqual(last[2], "info stopped")
                self.assertEqual(vault.audit()[-1]["action"], "stop")

    def hup(self, vault, event, count=1):
        vault.process.send_signal(signal.SIGHUP)
        wait_until(lambda: vault.read("log").count(event) >= count, 20, event)
        return [line for line in vault.read("log").splitlines() if event in line][-1]

    def test_reload_keeps_the_old_configuration_on_a_broken_file(self):
        with Vault() as vault:
            vault.start().allow_all()
            vault.put("a/b/c", b"value")
            good = vault.read("strongroom.yaml")
            vault.write("strongroom.yaml", "http_server: {sockets: 7\n")
            line = self.hup(vault, "reload.refused")
            self.assertTrue(line.startswith("error "), line)
            self.assertIn("the old configuration stays", line)
            self.assertIn("error=", line)
            vault.write("strongroom.yaml", good.replace("memory_lock", "memory_lok"))
            self.assertIn("memory_lok", self.hup(vault, "reload.refused", 2))
            os.unlink(vault.path("strongroom.yaml"))
            self.assertIn("strongroom.yaml", self.hup(vault, "reload.refused", 3))
            self.assertEqual(vault.guest().fetch("a/b/c"), b"value")

    def test_reload_changes_the_log_level(self):
        with Vault() as vault:
            vault.start()
            vault.configure(process={"log_level": "error"})
            vault.process.send_signal(signal.SIGHUP)
            # The line that says so is of level info, and so already left out: a refusal shows it.
            vault.write("strongroom.yaml", "broken: [")
            wait_until(lambda: self.hup(vault, "reload.refused"), 20, "reload")
            vault.configure(process={"log_level": "info"})
            self.assertIn("process.log_level", self.hup(vault, "reload.done"))

    def test_reload_names_what_waits_for_a_restart(self):
        with Vault() as vault:
            vault.start()
            vault.configure(process={"log_level": "debug"}, storage={"keep_versions": 3}, policy={"keep_versions": 2})
            line = self.hup(vault, "reload.restart-needed")
            self.assertTrue(line.startswith("warn "), line)
            self.assertIn('keys="storage.keep_versions policy.keep_versions"', line)
            self.assertIn("reload.done", vault.read("log"))

    def test_a_command_while_a_broker_without_admin_socket_holds_the_token(self):
        with Vault() as vault:
            vault.configure(http_server={"admin_socket": ""})
            vault.start()
            who = f"strongroom serve, pid {vault.process.pid}"
            for args in (("resource", "list"), ("resource", "get", "a/b/c"), ("kek", "list"),
                         ("policy", "set", "--deny-all"), ("serve",)):
                self.refused_by_lock(vault.command(*args, check=False), who)
            vault.command("token", "status")   # needs no login, so no lock
            vault.stop()
            vault.command("resource", "list")

    def test_a_broker_of_another_token_is_not_asked(self):
        """Two brokers on a host, and a configuration that was copied with its socket."""
        with Vault(label="first") as first, Vault(label="second") as second:
            first.start()
            first.command("resource", "put", "a/b/c", stdin=b"first")
            socket = first.path("run/admin.sock")
            second.configure(http_server={"admin_socket": socket})
            for args in (("status",), ("token", "status"), ("token", "verify"), ("kek", "create", "--next"),
                         ("resource", "put", "a/b/c"), ("resource", "get", "a/b/c"), ("resource", "rm", "a/b/c"),
                         ("policy", "set", "--allow-all"), ("import", "--from-kbs", second.dir, "--apply")):
                done = second.command(*args, stdin=b"second", check=False)
                self.refused(done, 2, socket, 'the token "first"', "token.uri", "admin_socket of its own")
            self.assertEqual(first.command("resource", "get", "a/b/c").stdout, b"first")
            serial = json.loads(first.command("status", "--format", "json").stdout)["token"]["serial"]
            first.configure(token={"uri": f"pkcs11:serial={serial}"})
            self.assertEqual(first.command("resource", "get", "a/b/c").stdout, b"first")

    def test_a_broker_that_somebody_else_may_ask(self):
        with Vault() as vault:
            vault.start()
            config = vault.write("theirs.yaml", vault.read("strongroom.yaml"), mode=0o644)
            os.chmod(vault.dir, 0o711)
            root = os.geteuid() == 0
            os.chmod(vault.path("run"), 0o700 if root else 0)
            for args in (("status",), ("resource", "list"), ("token", "status")):
                done = subprocess.run([program("release"), *args, "-c", config], capture_output=True, timeout=60,
                                      env=vault.env, stdin=subprocess.DEVNULL, user=65534 if root else None)
                self.refused(done, 4, vault.path("run/admin.sock"), "run this as the user that serves")
            os.chmod(vault.path("run"), 0o700)

    def refused_by_lock(self, done, who):
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn(who, done.stderr.decode())

    def test_no_secret_in_arguments_or_log(self):
        with Vault(config={"process": {"log_level": "debug"}}) as vault:
            vault.start().allow_all()
            vault.put("a/b/c", b"a very secret value")
            self.assertEqual(vault.guest().fetch("a/b/c"), b"a very secret value")
            with open(f"/proc/{vault.process.pid}/cmdline", "rb") as file:
                self.assertEqual(file.read().split(b"\0")[:-1],
                                 [program().encode(), b"serve", b"-c",
                                  vault.path("strongroom.yaml").encode()])
            vault.stop()
            for text in (vault.read("log"), vault.read("audit.jsonl")):
                self.assertNotIn("a very secret", text)
                self.assertNotIn(vault.pin, text)
                self.assertNotIn(vault.cached_token(), text)


if __name__ == "__main__":
    unittest.main()

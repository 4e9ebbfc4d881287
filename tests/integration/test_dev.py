"""`strongroom dev`: everything one needs next, on loopback, gone at the end. And `fetch`."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from vault import Vault, program, wait_until


class Dev:
    def __init__(self, *args):
        self.base = tempfile.mkdtemp(prefix="dev test ")
        self.out = open(os.path.join(self.base, "out"), "wb")
        self.process = subprocess.Popen(
            [program(), "dev", "--listen", "127.0.0.1:0", *args], stdout=self.out,
            stderr=subprocess.STDOUT, env={**os.environ, "TMPDIR": self.base,
                                           "LSAN_OPTIONS": Vault(base=self.base + "/x").env["LSAN_OPTIONS"]})
        self.url = wait_until(lambda: self.find(r"broker +(http\S+)"), 60, "dev")
        wait_until(lambda: "Ctrl-C ends it" in self.text(), 20, "dev")
        self.dir = self.find(r"everything in +(.*?)(?: \(removed at exit\))?\n")

    def text(self):
        with open(self.out.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def find(self, pattern):
        found = re.search(pattern, self.text())
        return found and found.group(1)

    def stop(self, by=signal.SIGINT):
        self.process.send_signal(by)
        code = self.process.wait(60)
        self.out.close()
        return code

    def remove(self):
        shutil.rmtree(self.base, ignore_errors=True)

    def strongroom(self, *args, stdin=b""):
        return subprocess.run([program(), *args], input=stdin, capture_output=True, timeout=60)


class DevMode(unittest.TestCase):
    def test_what_it_prints_works_and_nothing_stays(self):
        dev = Dev()
        try:
            got = dev.strongroom("fetch", "--url", dev.url, "kbs:///default/hello/world")
            self.assertEqual(got.stdout, b"Hello from the vault.\n", got.stderr)
            config = os.path.join(dev.dir, "strongroom.yaml")
            put = dev.strongroom("resource", "put", "-c", config, "default/my/secret",
                                 stdin=b"secret\n")
            self.assertEqual(put.returncode, 0, put.stderr)
            curl = subprocess.run(["curl", "-fsS", "-H", f"@{dev.dir}/admin-header",
                                   "--data-binary", "by curl",
                                   f"{dev.url}/kbs/v0/resource/default/my/file"],
                                  capture_output=True)
            self.assertEqual(curl.returncode, 0, curl.stderr)
            for name, value in (("secret", b"secret\n"), ("file", b"by curl")):
                got = dev.strongroom("fetch", "--url", dev.url, f"default/my/{name}")
                self.assertEqual(got.stdout, value, got.stderr)
            self.assertEqual(os.stat(os.path.join(dev.dir, "pin")).st_mode & 0o777, 0o600)
        finally:
            code = dev.stop()
        self.assertEqual(code, 0, dev.text())
        self.assertFalse(os.path.exists(dev.dir))
        dev.remove()

    def test_a_closed_terminal_ends_it(self):
        dev = Dev()
        self.assertEqual(dev.stop(signal.SIGHUP), 0, dev.text())
        self.assertFalse(os.path.exists(dev.dir))
        dev.remove()

    def test_interrupted_while_it_is_set_up(self):
        """Whenever that is: nothing is left, the PIN least of all."""
        for by in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with tempfile.TemporaryDirectory() as base:
                process = subprocess.Popen([program(), "dev", "--listen", "127.0.0.1:0"], stdout=subprocess.DEVNULL,
                                           stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": base})
                wait_until(lambda: os.listdir(base) or process.poll() is not None, 60, "its folder")
                process.send_signal(by)
                _, err = process.communicate(timeout=60)
                self.assertIn(process.returncode, (0, 1), err)
                self.assertEqual(os.listdir(base), [])

    def test_keep_keeps(self):
        dev = Dev("--keep")
        self.assertEqual(dev.stop(), 0, dev.text())
        self.assertTrue(os.path.exists(os.path.join(dev.dir, "strongroom.yaml")))
        dev.remove()

    def test_only_loopback(self):
        done = subprocess.run([program(), "dev", "--listen", "0.0.0.0:0"], capture_output=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"loopback", done.stderr)
        done = subprocess.run([program(), "dev", "--listen", "127.0.0.1"], capture_output=True)
        self.assertEqual((done.returncode, b"yaml" in done.stderr, b"--listen takes an address and a port" in done.stderr),
                         (2, False, True), done.stderr)

    def test_where_its_folder_may_be(self):
        with tempfile.TemporaryDirectory() as base:
            long = os.path.join(base, "x" * 100)
            os.mkdir(long)
            done = subprocess.run([program(), "dev", "--listen", "127.0.0.1:0"], capture_output=True,
                                  env={**os.environ, "TMPDIR": long})
            self.assertEqual((done.returncode, b"TMPDIR" in done.stderr), (2, True), done.stderr)
            self.assertEqual(os.listdir(long), [])
            os.mkdir(os.path.join(base, "t"))
            process = subprocess.Popen([os.path.abspath(program()), "dev", "--listen", "127.0.0.1:0"], cwd=base,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "TMPDIR": "t"})
            self.assertIn(b"for development only", process.stdout.readline())
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
            self.assertEqual((process.returncode, os.listdir(os.path.join(base, "t"))), (0, []))


class Fetch(unittest.TestCase):
    def test_passport_init_data_and_exit_codes(self):
        with Vault() as vault:
            vault.start().allow_all()
            vault.put("a/b/c", b"value")
            subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout",
                            "-out", vault.path("tee.pem")], check=True, capture_output=True)
            url = ("--url", vault.url)
            key = ("--key-file", vault.path("tee.pem"))
            token = vault.run("fetch", *url, *key, "--print-token").stdout
            vault.write("token", token)
            got = vault.run("fetch", *url, *key, "--token-file", vault.path("token"), "a/b/c")
            self.assertEqual(got.stdout, b"value")
            vault.write("init.toml", 'algorithm = "sha384"\nversion = "0.1.0"\n\n[data]\n"x" = "y"\n')
            got = vault.run("fetch", *url, "--init-data", vault.path("init.toml"), "kbs:///a/b/c")
            self.assertEqual(got.stdout, b"value")
            got = vault.run("fetch", *url, "kbs+pkcs11:///resource/a/b/c", "--output",
                            vault.path("out"))
            self.assertEqual((got.stdout, vault.read("out")), (b"", "value"))
            self.assertEqual(vault.run("fetch", *url, "a/b/none", check=False).returncode, 3)
            vault.set_policy("package policy\n\ndefault allow = false\n")
            self.assertEqual(vault.run("fetch", *url, "a/b/c", check=False).returncode, 4)
            vault.stop()
            self.assertEqual(vault.run("fetch", *url, "a/b/c", check=False).returncode, 6)


if __name__ == "__main__":
    unittest.main()

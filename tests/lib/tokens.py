"""Vaults on other tokens than SoftHSM's own, and on its token with envelopes beside it."""

import os
import secrets
import shutil
import subprocess

from vault import Vault

NSS = "/usr/lib/x86_64-linux-gnu/libsoftokn3.so"


class DirectoryVault(Vault):
    """SoftHSM; the envelopes as files."""

    place = "directory"

    def __init__(self, **options):
        super().__init__(**options)
        self.extra.setdefault("storage", {})["place"] = "directory"

    def envelopes(self):
        return self.path("state/envelopes")


class NssVault(DirectoryVault):
    """NSS softokn, which keeps no data objects: found by trying."""

    place = "auto"

    @staticmethod
    def missing():
        """Why it cannot run here, or None."""
        if not os.path.exists(NSS):
            return f"no {NSS} (libnss3)"
        return None if shutil.which("certutil") else "no certutil (libnss3-tools)"

    def __init__(self, **options):
        super().__init__(**options)
        self.extra["storage"]["place"] = "auto"
        os.makedirs(self.path("nssdb"), mode=0o700, exist_ok=True)
        self.extra.setdefault("token", {}).update({
            "module": NSS, "uri": "pkcs11:token=NSS%20Certificate%20DB",
            "init_args": f"configdir='sql:{self.path('nssdb')}' certPrefix='' keyPrefix='' "
                         "secmod='secmod.db' flags="})

    def init_token(self, label=None):
        subprocess.run(["certutil", "-N", "-d", "sql:" + self.path("nssdb"), "-f", self.path("pin")],
                       check=True, capture_output=True)


OPENCRYPTOKI = "/usr/lib/x86_64-linux-gnu/pkcs11/libopencryptoki.so"
INSIDE = "STRONGROOM_IN_OPENCRYPTOKI"  # set where in_opencryptoki.sh has made the token


class OpenCryptokiVault(Vault):
    """openCryptoki's software token. One at a time, and only within in_opencryptoki()."""

    def __init__(self, **options):
        super().__init__(label="strongroom", **options)
        # It crashes when keys are unwrapped while objects are sought.
        self.extra.setdefault("token", {}).update({"module": OPENCRYPTOKI, "serialize_all": True})
        self.pin = os.environ["OPENCRYPTOKI_PIN"]
        self.write("pin", self.pin)
        self.env["ASAN_OPTIONS"] = "detect_leaks=0:exitcode=99"  # the module's own, unloaded by then

    def init_token(self, label=None):
        """in_opencryptoki.sh did it."""


def opencryptoki_missing():
    """Why openCryptoki cannot run here, or None."""
    if not os.path.exists(OPENCRYPTOKI) or not shutil.which("pkcsslotd"):
        return "openCryptoki is not installed (opencryptoki)"
    if os.geteuid() != 0:
        return "openCryptoki's daemon needs root"
    done = subprocess.run(["unshare", "--mount", "--ipc", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/run"],
                          capture_output=True)
    return None if done.returncode == 0 else "no mounts of our own here: " + done.stderr.decode().strip()


def in_opencryptoki(*command):
    """Runs a command where the token is; its daemon ends with it."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "in_opencryptoki.sh")
    return subprocess.run(["unshare", "--mount", "--ipc", "--fork", script, *command], capture_output=True,
                          timeout=300, env={**os.environ, INSIDE: "1",
                                            "OPENCRYPTOKI_PIN": secrets.token_hex(4)})

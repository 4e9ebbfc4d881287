"""Vaults on other tokens than SoftHSM's own, and on its token with envelopes beside it."""

import json
import os
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

    def status(self):
        return json.loads(self.command("token", "status", "--format", "json").stdout)

"""Two thousand resources: all are there after a restart, and the broker stays small."""

import http.client
import json
import os
import re
import time
import unittest

from vault import Vault

COUNT = 2000
RSS_KIB = 25 * 1024     # beyond what the broker has on an empty token with the module loaded


class Scale(unittest.TestCase):
    def test_two_thousand_resources(self):
        with Vault(variant="release") as vault:
            vault.start().allow_all()
            empty = vault.rss_kib()
            connection = http.client.HTTPConnection(*vault.address(), timeout=60)
            headers = {"Authorization": f"Bearer {vault.cached_token()}"}
            values = {f"scale/{n % 20}/r{n}": os.urandom(1024) for n in range(COUNT)}
            for name, value in values.items():
                connection.request("POST", f"/kbs/v0/resource/{name}", value, headers)
                reply = connection.getresponse()
                reply.read()
                self.assertEqual(reply.status, 200)
            connection.close()
            vault.stop()
            begin = time.monotonic()
            vault.start()
            started = time.monotonic() - begin
            guest = vault.guest().handshake()
            connection = http.client.HTTPConnection(*vault.address(), timeout=60)
            for name, value in values.items():
                connection.request("GET", f"/kbs/v0/resource/{name}", None, guest.headers())
                reply = connection.getresponse()
                self.assertEqual(guest.open(reply.read()), value)
            connection.close()
            grown = vault.rss_kib() - empty
            listing = json.loads(vault.command("resource", "list", "--format", "json").stdout)
            self.assertEqual([r["name"] for r in listing["resources"]], sorted(values))
            loaded = re.findall(r"store.open .* live=(\d+)", vault.read("log"))
            self.assertEqual(loaded[-1], str(COUNT + 1))        # and the policy
            print(f"started in {started:.2f} s, grew by {grown} KiB", end=" ... ", flush=True)
            self.assertLess(grown, RSS_KIB)


if __name__ == "__main__":
    unittest.main()

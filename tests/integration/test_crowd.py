"""Many guests: memory stays flat, and a flood of strangers puts nobody out who has attested."""

import unittest

from vault import Vault, wait_until

HANDSHAKES = 10000
ROUNDS = 3
REMEMBERED = 10000      # tokens that the broker remembers at most: from then on memory is full
FLOOD = 100000
SESSIONS = 2000         # at once, in the flood
GROWTH_KIB = 4 * 1024   # 400 bytes a handshake, 40 a flooded session: less than any of them takes


def broker(**attestation):
    """The program as it is shipped: a sanitizer's memory is another one."""
    return Vault(variant="release", config={"attestation_service": attestation})


class Crowd(unittest.TestCase):
    def grows_little(self, vault, before):
        after = vault.rss_kib()
        print(f"{before} KiB before, {after} after", end=" ... ", flush=True)
        self.assertLess(after - before, GROWTH_KIB)

    def handshakes(self, vault, count):
        """How many sessions live at once depends on how fast the machine is, and memory keeps room for the most
        there were: so all of them end before the next round, and at most `count` ever live."""
        vault.crowd("handshake", count)
        wait_until(lambda: vault.metric("strongroom_sessions") == 0, what="the sessions' end")

    def test_ten_thousand_handshakes(self):
        # Sessions end quickly, since attested ones never make room for others.
        with broker(session_seconds=2) as vault:
            vault.start()
            self.handshakes(vault, REMEMBERED + 1000)
            # What is lost for good is lost in each round.
            growth = []
            while not growth or (growth[-1] >= GROWTH_KIB and len(growth) < ROUNDS):
                before = vault.rss_kib()
                self.handshakes(vault, HANDSHAKES)
                growth.append(vault.rss_kib() - before)
            print(f"{growth} KiB more", end=" ... ", flush=True)
            self.assertLess(growth[-1], GROWTH_KIB)
            self.assertGreaterEqual(vault.metric('kbs_attestation_successes_total{tee_type="sample"}'),
                                    REMEMBERED + 1000 + HANDSHAKES)
            self.assertEqual(vault.metric("kbs_attestation_errors_total"), 0)

    def test_flood(self):
        with broker(max_sessions=SESSIONS) as vault:
            vault.start().allow_all()
            vault.put("a/b/c", b"for who attested")
            guest = vault.guest().handshake()
            vault.crowd("auth", 2 * SESSIONS)
            self.assertEqual(vault.metric("strongroom_sessions"), SESSIONS)
            before, evicted = vault.rss_kib(), vault.metric("strongroom_sessions_evicted_total")
            vault.crowd("auth", FLOOD)
            self.grows_little(vault, before)
            self.assertEqual(vault.metric("strongroom_sessions"), SESSIONS)
            self.assertGreaterEqual(vault.metric("strongroom_sessions_evicted_total"),
                                    evicted + FLOOD)
            self.assertEqual(vault.metric("strongroom_sessions_attested"), 1)
            # By its session alone, which was there before them all.
            self.assertEqual(guest.get("a/b/c"), b"for who attested")
            # And whoever comes in the midst of it is served as well.
            self.assertEqual(vault.guest().fetch("a/b/c"), b"for who attested")


if __name__ == "__main__":
    unittest.main()

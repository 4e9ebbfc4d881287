"""What a request costs the token, and what comes of it when the token answers with an error."""

import re
import time
import unittest

from guest import Refused
from vault import Vault, wait_until

# One code of each reaction of the table, and one that no standard names.
CODES = {
    "CKR_ENCRYPTED_DATA_INVALID": 0x40, "CKR_MECHANISM_INVALID": 0x70,
    "CKR_OBJECT_HANDLE_INVALID": 0x82, "CKR_GENERAL_ERROR": 0x05,
    "CKR_SESSION_HANDLE_INVALID": 0xb3, "CKR_SESSION_COUNT": 0xb1, "CKR_DEVICE_MEMORY": 0x31,
    "CKR_USER_NOT_LOGGED_IN": 0x101, "CKR_DEVICE_REMOVED": 0x32,
    "CKR_FIPS_SELF_TEST_FAILED": 0x1b6, "CKR_PIN_INVALID": 0xa1,
    "CKR_SESSION_EXISTS": 0xb6, "CKR_VENDOR_DEFINED+0x384": 0x80000384,
}


class Calls(unittest.TestCase):
    """The broker looks after itself meanwhile: its checks open the canary, the only C_UnwrapKey here; and every two
    seconds it looks at the token."""

    @classmethod
    def setUpClass(cls):
        cls.vault = Vault().prepare()
        cls.vault.with_faults().start().allow_all()
        cls.vault.put("a/b/c", b"value")
        cls.guest = cls.vault.guest().handshake()
        cls.guest.get("a/b/c")

    @classmethod
    def tearDownClass(cls):
        cls.vault.__exit__(None)

    def count(self, times, request):
        """Calls by function, and the seconds that it took."""
        path = self.vault.path(f"counts {self.id()}")
        self.vault.faults(f"count {path}")
        began = time.monotonic()
        for _ in range(times):
            request()
        took = time.monotonic() - began
        with open(path, encoding="ascii") as file:
            return {name: int(n) for name, n in (line.split() for line in file)}, took

    def missing(self):
        with self.assertRaises(Refused) as refused:
            self.guest.get("a/b/missing")
        self.assertEqual(refused.exception.status, 404)

    def others(self, calls, names, took):
        others = {name: n for name, n in calls.items() if n and name not in (*names, "sessions", "together")}
        # Checks: each ends with its key's C_DestroyObject, and may open a session beside ours.
        for name in ("C_UnwrapKey", "C_DestroyObject", "C_OpenSession"):
            if others.get(name, 0) <= calls["C_UnwrapKey"] + 1:
                others.pop(name, None)
        for name in ("C_GetInfo", "C_GetTokenInfo", "C_GetSessionInfo"):
            if others.get(name, 0) <= took / 2 + 1:
                others.pop(name, None)
        return others

    def count_nothing_but(self, times, request, *names):
        """As count. Some time after a change the broker writes its manifest: then once more."""
        for _ in range(3):
            calls, took = self.count(times, request)
            others = self.others(calls, names, took)
            if not others:
                return calls, took
        self.fail(f"beside {names}: {others}")

    def test_a_release_is_one_decrypt(self):
        calls, _ = self.count_nothing_but(100, lambda: self.assertEqual(self.guest.get("a/b/c"), b"value"),
                                          "C_DecryptInit", "C_Decrypt", "C_GetAttributeValue")
        for name in ("C_DecryptInit", "C_Decrypt"):
            # A check may be under way while we count.
            self.assertIn(calls[name] - calls["C_UnwrapKey"], (99, 100, 101))
            self.assertGreaterEqual(calls[name], 100)

    def test_a_404_is_one_look_at_the_epoch(self):
        calls, took = self.count_nothing_but(100, self.missing, "C_DecryptInit", "C_Decrypt",
                                             "C_GetAttributeValue")
        self.assertGreaterEqual(calls["C_GetAttributeValue"], 100)
        # Beside those the broker looks by itself, ten times a second at most.
        self.assertLessEqual(calls["C_GetAttributeValue"], 100 + 10 * took + 2)
        self.assertLessEqual(calls["C_Decrypt"], calls["C_UnwrapKey"] + 1)


class Codes(unittest.TestCase):
    """Any code at any call of a request: an honest answer, and then the right one."""

    @classmethod
    def setUpClass(cls):
        cls.vault = Vault().prepare()
        cls.vault.with_faults().start().allow_all()
        cls.values = {b"value"}  # what may be stored
        cls.vault.put("a/b/c", b"value")
        cls.guest = cls.vault.guest().handshake()
        cls.puts = 0

    @classmethod
    def tearDownClass(cls):
        cls.vault.__exit__(None)

    def get(self, name):
        """(status, value)"""
        try:
            return 200, self.guest.get(name)
        except Refused as refused:
            return refused.status, None

    def release(self):
        status, value = self.get("a/b/c")
        if status == 200:
            self.assertIn(value, self.values)
        return status

    def put(self):
        cls = type(self)
        cls.puts += 1
        value = b"value %d" % self.puts
        status, _, _ = self.vault.admin("POST", "/kbs/v0/resource/a/b/c", value)
        # One that was not acknowledged may be there or not, but it is one of the two.
        cls.values = {value} if status == 200 else {*self.values, value}
        return status

    def missing(self):
        status, _ = self.get("a/b/missing")
        return 200 if status == 404 else status  # the right answer to this one

    def survives(self, request, *calls):
        for call in calls:
            for name, code in CODES.items():
                with self.subTest(call=call, code=name):
                    self.vault.faults(f"{call} rv={code:#x}")
                    status = request()
                    self.vault.faults()
                    self.assertTrue(status == 200 or 500 <= status <= 599, status)
                    wait_until(lambda: request() == 200, 60, f"the right answer after {name}")
        self.assertIsNone(self.vault.process.poll())

    def test_release(self):
        self.survives(self.release, "C_DecryptInit", "C_Decrypt")

    def test_put(self):
        self.survives(self.put, "C_GenerateKey", "C_Encrypt", "C_WrapKey", "C_CreateObject",
                      "C_FindObjects", "C_GetAttributeValue", "C_SetAttributeValue",
                      "C_DestroyObject")
        self.assertEqual(self.release(), 200)

    def test_a_policy_that_cannot_be_read_now_is_no_denial(self):
        objects = self.vault.pkcs11_tool("--list-objects", "--type", "data").stdout.decode()
        self.vault.faults("C_Decrypt rv=0x32")
        # Without the epoch object a look finds a change, and after a scan the policy is read again.
        self.vault.delete_object(re.search(r"strongroom:epoch:\w+", objects).group())
        status = wait_until(lambda: next((s for s in [self.get("a/b/missing")[0]] if s != 404), None),
                            60, "the policy to be looked at")
        self.vault.faults()
        self.assertEqual(status, 503)
        wait_until(lambda: self.release() == 200, 60, "the right answer")

    def test_404(self):
        self.survives(self.missing, "C_GetAttributeValue", "C_FindObjectsInit")


if __name__ == "__main__":
    unittest.main()

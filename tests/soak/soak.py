#!/usr/bin/python3
"""A broker, a token that fails every second, and clients that check every answer.

    tests/soak/soak.py BUILD [SECONDS [SEED [in-process|helper]]]

An answer is right, or an honest 5xx: a value is one that was put and not yet replaced, its version never falls,
a 404 means that nothing can be there. Now and then the token works for a while: then the broker must come
back by itself, everything must be readable, and descriptors, sessions, threads and memory are counted. In the
end they may not be more than after the first of these pauses, by the bounds below. Exit code 1 says what was
wrong.
"""

import http.client
import os
import pathlib
import random
import re
import sys
import threading
import time
import traceback

BUILD = str(pathlib.Path(sys.argv[1]).resolve())
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 1800
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 1
ISOLATION = sys.argv[4] if len(sys.argv) > 4 else "in-process"
os.environ.update(STRONGROOM_BUILD=BUILD, STRONGROOM_VARIANT="release")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from guest import Refused                   # noqa: E402
from history import number_of, value_of     # noqa: E402
from vault import Vault, wait_until         # noqa: E402

CONSTANT = 20           # resources that are never written again
READERS, WRITERS = 4, 3
FAULTS_A_ROUND = 20     # one a second, then a pause
RECOVER_SECONDS = 150   # after the last fault; the broker itself pauses up to 60 s between tries
GUEST_SECONDS = 100     # then a new handshake: tokens live for five minutes

# What may be more at the end than after the first pause.
MORE_DESCRIPTORS = 4    # connections of clients that come and go
MORE_SESSIONS = 2       # the pool opens them as needed, up to its cap
MORE_THREADS = 2
MORE_KIB = 24 << 10     # SoftHSM keeps what was deleted until it is initialised again

CODES = {name: code for name, code in (
    ("HOST_MEMORY", 0x02), ("GENERAL_ERROR", 0x05), ("FUNCTION_FAILED", 0x06), ("DEVICE_ERROR", 0x30),
    ("DEVICE_MEMORY", 0x31), ("DEVICE_REMOVED", 0x32), ("ENCRYPTED_DATA_INVALID", 0x40), ("KEY_HANDLE_INVALID", 0x60),
    ("OBJECT_HANDLE_INVALID", 0x82), ("OPERATION_ACTIVE", 0x90), ("OPERATION_NOT_INITIALIZED", 0x91),
    ("SESSION_CLOSED", 0xB0), ("SESSION_COUNT", 0xB1), ("SESSION_HANDLE_INVALID", 0xB3), ("TOKEN_NOT_PRESENT", 0xE0),
    ("USER_NOT_LOGGED_IN", 0x101), ("CRYPTOKI_NOT_INITIALIZED", 0x190), ("vendor", 0x80000384))}
CALLS = ("C_Decrypt", "C_DecryptInit", "C_UnwrapKey", "C_Encrypt", "C_EncryptInit", "C_GenerateKey", "C_WrapKey",
         "C_CreateObject", "C_DestroyObject", "C_GetAttributeValue", "C_SetAttributeValue", "C_FindObjectsInit",
         "C_FindObjects", "C_FindObjectsFinal", "C_OpenSession", "C_CloseSession")


def some_fault(rng):
    """One to a few lines of the control file. Never what only a person may mend (a wrong PIN), nor a token that
    shows other values than it holds: no answer could be right then."""
    call, (name, code) = rng.choice(CALLS), rng.choice(sorted(CODES.items()))
    kinds = (
        (6, lambda: f"{call} rv={code:#x} count={rng.randint(1, 5)}"),
        (2, lambda: f"{call} rv={code:#x} done count=1"),
        (1, lambda: f"{call} rv={code:#x}"),
        (1, lambda: f"* rv={code:#x} count={rng.randint(1, 3)}"),
        (2, lambda: f"{call} {rng.choice(('drop', 'drop_all', 'forget', 'finalize', 'unplug'))} count=1"),
        (1, lambda: f"{call} delay_us={rng.choice((1000, 20000, 300000))} count=20"),
        (1, lambda: f"{call} hang count=1"),
        (1, lambda: rng.choice(("sessions drop", "login forget", "token finalized"))),
        (1, lambda: rng.choice(("token unplugged", f"token stale={CODES['DEVICE_REMOVED']:#x}"))),
        (1, lambda: f"sessions max={rng.randint(1, 4)}"),
        (1, lambda: "objects value_max=10 rv=0x31"),
        # The module dies, and with it whoever it lives in: that may be no broker.
        (2 if ISOLATION == "helper" else 0, lambda: f"{call} {rng.choice(('segv', 'kill'))} count=1"),
    )
    return rng.choices([make for _, make in kinds], [weight for weight, _ in kinds])[0]()


class Wrong(Exception):
    """An answer that nothing excuses."""


class Guests:
    """A token for all readers, renewed in time."""

    def __init__(self, vault):
        self.vault, self.lock, self.guest, self.until = vault, threading.Lock(), None, 0

    def now(self):
        with self.lock:
            if time.monotonic() > self.until:
                self.guest, self.until = self.vault.guest().handshake(), time.monotonic() + GUEST_SECONDS
            return self.guest


class Client(threading.Thread):
    """Asks one question after another; `step` is what its kind asks."""

    def __init__(self, soak):
        super().__init__(daemon=True)
        self.soak, self.connection = soak, None
        self.rng = random.Random(soak.rng.random())

    def run(self):
        while not self.soak.over.is_set():
            try:
                self.step()
            except Wrong as error:
                self.soak.tell(str(error))
            except Exception:   # shown at the end; a client that breaks proves nothing
                self.soak.tell(traceback.format_exc())
            self.soak.over.wait(0.005)

    def ask(self, method, name, body=None, headers=None):
        """(status, version, body); None when the connection broke, which idle ones may."""
        try:
            if not self.connection:
                self.connection = self.soak.vault.connection(120)
            self.connection.request(method, f"/kbs/v0/resource/{name}", body, headers)
            reply = self.connection.getresponse()
            answer = reply.status, int((reply.getheader("ETag") or "0").strip('"')), reply.read()
        except (OSError, http.client.HTTPException):
            self.connection = None
            self.soak.count(method, "none")
            return None
        self.soak.count(method, answer[0])
        return answer

    def get(self, name):
        """(number, version) of what is there, (None, 0) for a 404, None for an honest failure."""
        try:
            guest = self.soak.guests.now()
        except Refused as error:
            if error.status < 500:
                raise
            return None
        answer = self.ask("GET", name, None, {"Authorization": f"Bearer {guest.token}"})
        if not answer or answer[0] >= 500:
            return None
        if answer[0] == 404:
            return None, 0
        if answer[0] != 200:
            raise Wrong(f"get {name} was answered {answer[0]}: {answer[2][:200]!r}")
        return number_of(guest.open(answer[2])), answer[1]


class Reader(Client):
    def step(self):
        n = self.rng.randrange(CONSTANT + 1)
        if n == CONSTANT:
            found, wanted = self.get(f"soak/never/{self.rng.randrange(1000)}"), (None, 0)
        else:
            found, wanted = self.get(f"soak/constant/{n}"), (n, 1)
        if found and found != wanted:
            raise Wrong(f"constant {n}: {found}, not {wanted}")


class Writer(Client):
    """The one who writes its name, so it knows what can be there: what was acknowledged last, or one of those
    without a clear answer since."""

    def __init__(self, soak, number):
        super().__init__(soak)
        self.name_ = f"soak/written/{number}"
        self.number, self.version, self.may = 0, 0, {None}

    def step(self):
        chance = self.rng.random()
        if chance < 0.5:
            self.check(self.get(self.name_))
        elif chance < 0.95:
            self.number += 1
            size = self.rng.choice((10, 1000, 20000))
            self.write("POST", self.number, value_of(self.number, size))
        else:
            self.write("DELETE", None, None)

    def write(self, method, number, body):
        operator = {"Authorization": f"Bearer {self.soak.vault.cached_token()}"}
        answer = self.ask(method, self.name_, body, operator)
        status = answer[0] if answer else 500
        if status == 200:
            if answer[1] <= self.version:
                raise Wrong(f"{self.name_}: version {answer[1]} was given after {self.version}")
            self.version, self.may = answer[1], {number}
        elif status >= 500:
            self.may.add(number)
        elif status == 404 and number is None:
            self.check((None, 0))
        else:
            raise Wrong(f"{method} {self.name_} was answered {status}: {answer[2][:200]!r}")

    def check(self, found):
        if not found:
            return
        number, version = found
        if number not in self.may:
            raise Wrong(f"{self.name_}: {number} at version {version}, not one of {self.may} after {self.version}")
        if number is not None and version < self.version:
            raise Wrong(f"{self.name_}: version {version} after {self.version}")
        self.version = max(self.version, version)


class Soak:
    def __init__(self, vault):
        self.vault, self.rng, self.over = vault, random.Random(SEED), threading.Event()
        self.guests = Guests(vault)
        self.lock, self.wrong, self.counts, self.taken = threading.Lock(), [], {}, []

    def tell(self, text):
        with self.lock:
            self.wrong.append(text)
        print(f"WRONG: {text}", flush=True)

    def count(self, method, status):
        with self.lock:
            self.counts[method, status] = self.counts.get((method, status), 0) + 1

    def alive(self):
        return self.vault.process.poll() is None

    def trouble(self):
        for _ in range(FAULTS_A_ROUND):
            fault = some_fault(self.rng)
            self.vault.faults(fault)
            if self.over.wait(1) or not self.alive():
                break
            if fault.startswith("token unplugged"):
                self.over.wait(self.rng.uniform(0, 2))
        self.vault.faults()

    def pause(self, clients):
        """The token works: the broker comes back, all is there, and what it holds is counted."""
        counts = self.vault.path("counts")
        begun = time.monotonic()
        self.vault.faults(f"count {counts}")
        wait_until(lambda: self.vault.ask("GET", "/readyz")[0] == 200, RECOVER_SECONDS, "ready again")
        back = time.monotonic() - begun
        check = Reader(self)
        for n in range(CONSTANT):
            wait_until(lambda n=n: check.get(f"soak/constant/{n}") == (n, 1), RECOVER_SECONDS, f"constant {n}")
        for client in clients:
            if isinstance(client, Writer):
                wait_until(lambda c=client: check.get(c.name_), RECOVER_SECONDS, client.name_)
        wait_until(lambda: self.vault.metric("strongroom_jobs_waiting") == 0, 60, "an empty queue")
        pid = self.vault.process.pid
        sessions = re.search(r"^sessions +(\d+)$", self.vault.read("counts"), re.MULTILINE)
        self.taken.append({"descriptors": len(os.listdir(f"/proc/{pid}/fd")), "sessions": int(sessions.group(1)),
                           "threads": len(os.listdir(f"/proc/{pid}/task")), "rss_kib": self.vault.rss_kib(),
                           "locked": self.vault.metric("strongroom_locked_bytes")})
        print(f"back in {back:.1f} s: {self.taken[-1]}", flush=True)

    def run(self):
        for n in range(CONSTANT):
            self.vault.put(f"soak/constant/{n}", value_of(n, 1000))
        clients = [Reader(self) for _ in range(READERS)] + [Writer(self, n) for n in range(WRITERS)]
        for client in clients:
            client.start()
        end = time.monotonic() + SECONDS
        try:
            while time.monotonic() < end and self.alive():
                self.trouble()
                self.pause(clients)
        except AssertionError as error:
            self.tell(str(error))
        self.over.set()
        for client in clients:
            client.join(150)
            if client.is_alive():
                self.tell("a client waits for an answer still")
        if not self.alive():
            self.tell(f"the broker ended with {self.vault.process.returncode}")
            self.vault.process = None

    def judge(self):
        first, last = self.taken[0], self.taken[-1]
        for what, more in (("descriptors", MORE_DESCRIPTORS), ("sessions", MORE_SESSIONS), ("threads", MORE_THREADS),
                           ("rss_kib", MORE_KIB)):
            if last[what] > first[what] + more:
                self.tell(f"{what} grew from {first[what]} to {last[what]}, more than {more}")


def main():
    vault = Vault(config={"token": {"sessions": 8}}).prepare()
    vault.with_faults(isolation=ISOLATION)
    vault.start().allow_all()
    soak = Soak(vault)
    soak.run()
    if soak.taken:
        soak.judge()
    for (method, status), n in sorted(soak.counts.items(), key=str):
        print(f"{method} {status}: {n}")
    log = vault.read("log")
    downs, backs = log.count("token.down"), log.count("token.back")
    print(f"{ISOLATION}, seed {SEED}: {len(soak.taken)} pauses, {downs} times down, {backs} times back; {len(soak.wrong)} wrong", flush=True)
    if soak.wrong or not soak.taken:
        print(f"the log is {vault.path('log')}", flush=True)
        vault.stop(check=False)
        return 1
    vault.__exit__(None)
    return 0


sys.exit(main())

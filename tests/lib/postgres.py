"""A throw-away PostgreSQL cluster that listens on a Unix socket only.

    with Postgres() as server:
        server.sql("CREATE TABLE ...")
"""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile

from vault import wait_until


def binary(name):
    """Debian keeps the server's programs out of PATH."""
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return found[-1] if found else shutil.which(name)


def available():
    return all(binary(name) for name in ("initdb", "postgres", "psql"))


class Postgres:
    USER, DATABASE = "kbs", "postgres"

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="strongroom-pg-", dir="/tmp")
        self.password = os.urandom(12).hex()
        self.process = None
        # The server refuses to run as root.
        self.as_user = {}
        if os.geteuid() == 0:
            entry = pwd.getpwnam("nobody")
            self.as_user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            os.chown(self.dir, entry.pw_uid, entry.pw_gid)

    def path(self, name):
        return os.path.join(self.dir, name)

    def __enter__(self):
        secret = self.path("password")
        with open(secret, "w", encoding="ascii") as file:
            file.write(self.password + "\n")
        os.chmod(secret, 0o600)
        if self.as_user:
            os.chown(secret, self.as_user["user"], self.as_user["group"])
        subprocess.run([binary("initdb"), "-D", self.path("data"), "-U", self.USER, "-E", "UTF8",
                        "--locale=C.UTF-8", "--auth=scram-sha-256", "--pwfile", secret, "-N"],
                       check=True, capture_output=True, cwd=self.dir, **self.as_user)
        log = open(self.path("log"), "wb")
        self.process = subprocess.Popen(
            [binary("postgres"), "-D", self.path("data"), "-k", self.dir, "-c", "listen_addresses=",
             "-c", "fsync=off"], stdout=log, stderr=log, cwd=self.dir, **self.as_user)
        log.close()
        self.pgpass = self.path("pgpass")
        with open(self.pgpass, "w", encoding="ascii") as file:
            file.write(f"*:*:*:{self.USER}:{self.password}\n")
        os.chmod(self.pgpass, 0o600)
        wait_until(lambda: self.psql("SELECT 1", check=False).returncode == 0, 60, "PostgreSQL")
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        shutil.rmtree(self.dir, ignore_errors=True)

    @property
    def url(self):
        return f"postgresql://{self.USER}@/{self.DATABASE}?host={self.dir}"

    @property
    def env(self):
        return {"PGPASSFILE": self.pgpass}

    def psql(self, sql, check=True):
        return subprocess.run([binary("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", self.url],
                              input=sql.encode(), capture_output=True, check=check,
                              env={**os.environ, **self.env})

    def store(self, spaces):
        """The tables as the KBS has them."""
        for space, values in spaces.items():
            sql = [f"CREATE TABLE IF NOT EXISTS {space} (value BYTEA, key TEXT PRIMARY KEY);"]
            for key, value in values.items():
                quoted = key.replace("'", "''")
                sql.append(f"INSERT INTO {space} VALUES ('\\x{value.hex()}', '{quoted}');")
            self.psql("\n".join(sql))

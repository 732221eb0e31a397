"""A PostgreSQL of Debian's package, on a cluster of its own that is gone afterwards."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from pathlib import Path

import psycopg

from lms.embedded.cluster import end, spawn_tool
from lms.embedded.process import LOOPBACK, EmbeddedError, account_for, explain, free_port, tail

SUPERUSER = "postgres"
DATABASE = "lms"
START_SECONDS = 60.0


def binaries() -> Path | None:
    """Return the folder of the newest installed server's programs; None when there is none."""
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max(
        (path.parent for path in found), key=lambda path: float(path.parent.name), default=None
    )


def major_version() -> int | None:
    """Return the major version of the newest installed server."""
    folder = binaries()
    return None if folder is None else int(folder.parent.name)


class DebianPostgres:
    """A server on a free loopback port, behind a random password.

    Debian's own cluster is not touched: it need not exist, nor run.

    Args:
        directory: holds the data and the log; made if missing.
    """

    def __init__(self, directory: Path) -> None:
        self._data = directory / "data"
        self._log = directory / "postgres.log"
        self._password = secrets.token_urlsafe(24)
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True)

    @property
    def admin_url(self) -> str:
        """The SQLAlchemy URL of the superuser, password included."""
        login = f"{SUPERUSER}:{self._password}"
        return f"postgresql+psycopg://{login}@{LOOPBACK}:{self._port}/{DATABASE}"

    def start(self) -> None:
        """Make the cluster, start the server, and wait until it answers.

        Raises:
            EmbeddedError: no server is installed, or it does not start.
        """
        folder = binaries()
        if folder is None:
            raise EmbeddedError("No PostgreSQL of Debian's is installed.")
        account = account_for(folder / "postgres", self._log.parent)
        password = self._data.with_name("password")
        password.write_text(self._password)
        self._data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            for path in (self._data, password):
                os.chown(path, account.uid, account.gid)
        initdb = [
            *(str(folder / "initdb"), f"--pgdata={self._data}", f"--username={SUPERUSER}"),
            *(f"--pwfile={password}", "--auth=scram-sha-256", "--no-sync"),
            *("--encoding=UTF8", "--locale=C.UTF-8"),
        ]
        status = spawn_tool(initdb, account, self._log, signal.SIGTERM, {}).wait(START_SECONDS)
        if status != 0:
            raise explain("Debian's PostgreSQL could not make its data", tail(self._log))
        settings = {
            "port": self._port,
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
            "max_locks_per_transaction": 256,
            "fsync": "off",
            "full_page_writes": "off",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        postgres = [str(folder / "postgres"), "-D", str(self._data), *options]
        self._process = spawn_tool(postgres, account, self._log, signal.SIGINT, {})
        with self._first_connection() as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}")

    def stop(self) -> None:
        """End the server at once; does nothing if it does not run."""
        if self._process is not None:
            end(self._process, [signal.SIGQUIT])
            self._process = None

    def _first_connection(self) -> psycopg.Connection:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return psycopg.connect(
                    host=LOOPBACK,
                    port=self._port,
                    user=SUPERUSER,
                    password=self._password,
                    dbname="postgres",
                    autocommit=True,
                )
            except psycopg.OperationalError:
                ended = self._process is None or self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    raise explain("Debian's PostgreSQL did not start", tail(self._log)) from None
                time.sleep(0.05)

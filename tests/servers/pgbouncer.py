"""Debian's PgBouncer in transaction mode, set up as docs/operations.md says."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psycopg
from sqlalchemy import URL, make_url

from lms.embedded.cluster import end
from lms.embedded.process import LOOPBACK, account_for, explain, free_port, spawn, tail

START_SECONDS = 15.0
SERVER_CONNECTIONS = 2
"""Fewer than any pool of ours, so that clients do share them."""

SETTINGS = """\
[databases]
* = host={host} port={port}

[pgbouncer]
listen_addr = {listen}
listen_port = {listen_port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = {connections}
query_wait_timeout = 2
"""


def binary() -> Path | None:
    """Return the installed program; None when there is none."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    return None if found is None else Path(found)


class PgBouncer:
    """A pooler on a free loopback port in front of one PostgreSQL.

    Args:
        directory: holds its settings and its log; made if missing.
        app_url: the login role's address at PostgreSQL itself.
    """

    def __init__(self, directory: Path, app_url: str) -> None:
        self._directory = directory
        self._log = directory / "pgbouncer.log"
        self._server: URL = make_url(app_url)
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True)

    @property
    def app_url(self) -> str:
        """The login role's address at the pooler."""
        url = self._server.set(host=LOOPBACK, port=self._port)
        return url.render_as_string(hide_password=False)

    def start(self) -> None:
        """Start it and wait until it lets the login role through; PostgreSQL must know the role.

        Raises:
            EmbeddedError: it does not start.
        """
        program = binary()
        assert program is not None
        users, settings = self._directory / "userlist.txt", self._directory / "pgbouncer.ini"
        users.write_text(f'"{self._server.username}" "{self._server.password}"\n')
        settings.write_text(
            SETTINGS.format(
                host=self._server.host,
                port=self._server.port,
                listen=LOOPBACK,
                listen_port=self._port,
                users=users,
                connections=SERVER_CONNECTIONS,
            )
        )
        # As somebody else when we are root: it refuses to be.
        account = account_for(program, self._directory)
        for file in (users, settings):
            file.chmod(0o600)
            if os.geteuid() == 0:
                os.chown(file, account.uid, account.gid)
        with self._log.open("wb") as log:
            self._process = spawn(
                [str(program), str(settings)],
                death_signal=signal.SIGQUIT,
                output=log,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                account=account,
            )
        self._wait_until_ready()

    def stop(self) -> None:
        """End it at once; does nothing if it does not run."""
        if self._process is not None:
            # Since 1.23 it waits for its clients after SIGTERM.
            end(self._process, [signal.SIGQUIT])
            self._process = None

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        address = make_url(self.app_url).set(drivername="postgresql")
        while True:
            try:
                psycopg.connect(address.render_as_string(hide_password=False)).close()
            except psycopg.OperationalError:
                ended = self._process is None or self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    raise explain("PgBouncer did not start", tail(self._log)) from None
                time.sleep(0.05)
            else:
                return

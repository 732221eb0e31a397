"""PostgreSQL servers that hold many empty organizations, filled once and kept for the next run."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from psycopg import sql
from rich.progress import track
from sqlalchemy import make_url

from bench.report import Context
from bench.stage import LOGIN_ROLE, POSTGRES_SETTINGS, libpq_url
from lms.core.ids import new_id
from lms.embedded.postgres import EmbeddedPostgres
from tenants import ddl, migrator, provisioning
from tenants.engines import create_admin_engine
from tenants.provisioning import NewOrganization

PLATFORM_VERSIONS = ddl.MIGRATIONS / "platform" / "versions"
THREADS = 2
SETTLE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Filled:
    """A running server with organizations.

    Attributes:
        admin_url: SQLAlchemy URL of the schemas' owner.
        app_url: of the login role.
        count: how many organizations it was filled with.
        postmaster: process id of the server.
    """

    admin_url: str
    app_url: str
    count: int
    postmaster: int

    @property
    def environment(self) -> dict[str, str]:
        """The addresses as our processes read them."""
        return {"DATABASE_ADMIN_URL": self.admin_url, "DATABASE_URL": self.app_url}


@contextmanager
def filled(context: Context, count: int) -> Iterator[Filled]:
    """Start a server with `count` organizations, as empty as they are when just provisioned.

    Made by our provisioning; found again by the next run unless tables changed meanwhile. A server
    without organizations is made anew each time.

    Yields:
        The server, as durable as PostgreSQL is by default; it stops afterwards.
    """
    if count == 0:
        with tempfile.TemporaryDirectory(dir=context.home, prefix="empty-") as folder:
            yield from _started(Path(folder), 0)
        return
    folder = context.home / f"organizations-{count}"
    stamp = folder / "filled"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != _fingerprint():
        shutil.rmtree(folder, ignore_errors=True)
        _fill(context, folder, count)
        stamp.write_text(_fingerprint(), encoding="utf-8")
    yield from _started(folder, count)


def cpu_seconds(postmaster: int) -> float:
    """Return the CPU time that a server has used, its ended processes included.

    Waits until nobody is connected, because a backend's time is exact once it has ended.

    Args:
        postmaster: process id of the server.
    """
    server = psutil.Process(postmaster)
    deadline = time.monotonic() + SETTLE_SECONDS
    while any(map(_serves_a_client, server.children())) and time.monotonic() < deadline:
        time.sleep(0.005)
    times = server.cpu_times()
    total = times.children_user + times.children_system
    for child in server.children():
        with suppress(psutil.Error):
            own = child.cpu_times()
            total += own.user + own.system
    return total


def _serves_a_client(process: psutil.Process) -> bool:
    # PostgreSQL writes who is served into the title: "postgres: user database host(port) ...".
    try:
        return " 127.0.0.1(" in " ".join(process.cmdline())
    except psutil.ZombieProcess:
        return True  # its time is not the server's yet
    except psutil.NoSuchProcess:
        return False


def _started(folder: Path, count: int) -> Iterator[Filled]:
    postgres = EmbeddedPostgres(folder, settings=POSTGRES_SETTINGS)
    try:
        postgres.start()
        app_url = _app_url(postgres)
        migrator.upgrade_platform(postgres.admin_url, app_url)
        if postgres.pid is None:
            raise RuntimeError("PostgreSQL ended while it was prepared")
        yield Filled(postgres.admin_url, app_url, count, postgres.pid)
    finally:
        postgres.stop()


def _fill(context: Context, folder: Path, count: int) -> None:
    """Provision on a server that does not wait for the disk; its shutdown writes everything."""
    settings = {**POSTGRES_SETTINGS, "autovacuum": "off"}
    postgres = EmbeddedPostgres(folder, settings=settings, fast=True)
    try:
        postgres.start()
        migrator.upgrade_platform(postgres.admin_url, _app_url(postgres))
        admin = create_admin_engine(postgres.admin_url)

        def provision(number: int) -> None:
            new = NewOrganization(new_id(), f"filled-{number:05d}", f"Filled {number}")
            provisioning.create_organization(admin, new, login_role=LOGIN_ROLE)

        with ThreadPoolExecutor(THREADS) as pool:
            made = pool.map(provision, range(count))
            description = f"provision {count:,} organizations (kept for the next run)"
            for _ in track(made, description, total=count, console=context.console, transient=True):
                pass
        _vacuum_catalogs(postgres.admin_url)
    finally:
        postgres.stop()


def _vacuum_catalogs(admin_url: str) -> None:
    """Do what autovacuum would have done; the organizations' own tables are empty."""
    with psycopg.connect(libpq_url(admin_url), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE platform.organizations, platform.audit_events")
        catalogs = connection.execute(
            "SELECT relname FROM pg_class"
            " WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r'"
        ).fetchall()
        for (name,) in catalogs:
            table = sql.Identifier("pg_catalog", name)
            connection.execute(sql.SQL("VACUUM ANALYZE {}").format(table))


def _app_url(postgres: EmbeddedPostgres) -> str:
    url = make_url(postgres.admin_url).set(username=LOGIN_ROLE, password="bench-only")
    return url.render_as_string(hide_password=False)


def _fingerprint() -> str:
    """Return what the tables of the platform and of an organization depend on."""
    digest = hashlib.sha256(ddl.END_STATE.read_bytes())
    for version in sorted(PLATFORM_VERSIONS.glob("*.py")):
        digest.update(version.read_bytes())
    return digest.hexdigest()

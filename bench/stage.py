"""What stands before a measurement: PostgreSQL, Redis, seeded organizations, settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from rich.console import Console
from sqlalchemy import make_url

from bench import peer, seed
from bench.academy import Shape
from bench.report import Context
from bench.reset import forget_purchases
from bench.seed import Seed
from lms.embedded.postgres import EmbeddedPostgres
from lms.embedded.redis import EmbeddedRedis
from tenants import ddl, migrator
from tenants.session import Database

DATABASE = "lms_bench"
LOGIN_ROLE = "app"
SECRET_KEY = "bench-only-secret-bench-only-secret-0123456789"
ORGANIZATIONS = 300

POSTGRES_SETTINGS = {
    "shared_buffers": "512MB",
    "max_connections": "120",
    "max_locks_per_transaction": "512",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "autovacuum_naptime": "5min",
}
"""The comparison's own settings, so that ours alone is measured on the same server.

Durability is PostgreSQL's default: fsync and synchronous_commit are on.
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where measurements run.

    Attributes:
        admin_url: SQLAlchemy URL of the superuser, on the seeded database.
        app_url: of the login role.
        environment: the API's settings, as its processes read them.
        seed: the organizations.
        postmaster: PostgreSQL's data folder; its `postmaster.pid` names the server's process.
        home: folder for logs and files.
    """

    admin_url: str
    app_url: str
    environment: dict[str, str]
    seed: Seed
    postmaster: Path
    home: Path

    def forget_purchases(self, count: int) -> None:
        """Take back all purchases in the first organizations."""
        schemas = [organization.schema for organization in self.seed.organizations[:count]]
        forget_purchases(self.conninfo, schemas)

    @property
    def conninfo(self) -> str:
        """The superuser's URL as libpq reads it."""
        return libpq_url(self.admin_url)


@contextmanager
def set_up(
    context: Context, *, count: int = ORGANIZATIONS, shape: Shape | None = None
) -> Iterator[Stage]:
    """Start the servers and make the organizations, or find them made by an earlier run.

    With a comparison, its PostgreSQL serves both, each its own database.

    Yields:
        The stage; its servers stop afterwards.
    """
    shape = shape or Shape()
    home = context.home / "ours"
    home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        server_url, data = stack.enter_context(_postgres(context))
        redis = EmbeddedRedis(home / "redis")
        stack.callback(redis.stop)
        redis.start()
        admin_url = _database(server_url, seed.fingerprint(count, shape))
        app_url = _as_login_role(admin_url)
        migrator.upgrade_platform(admin_url, app_url)
        database = Database(app_url, served_revisions=ddl.served_revisions(), pool_size=1)
        try:
            made = _fill(context.console, admin_url, database, count, shape)
        finally:
            database.dispose()
        yield Stage(
            admin_url=admin_url,
            app_url=app_url,
            environment={
                "DATABASE_URL": app_url,
                "REDIS_URL": redis.url,
                "SECRET_KEY": SECRET_KEY,
                "ENVIRONMENT": "production",
                "BASE_DOMAIN": seed.BASE_DOMAIN,
                "STORAGE_PATH": str(home / "storage"),
                "SCRATCH_PATH": str(home / "scratch"),
            },
            seed=made,
            postmaster=data,
            home=home,
        )


@contextmanager
def _postgres(context: Context) -> Iterator[tuple[str, Path]]:
    """Yield the superuser's URL on the maintenance database, and the data folder."""
    if context.peer is not None:
        with context.console.status("start the comparison's PostgreSQL"):
            socket, data = peer.start_postgres(context)
        try:
            yield f"postgresql+psycopg://postgres@/postgres?host={socket}", data
        finally:
            peer.stop_postgres(context)
        return
    postgres = EmbeddedPostgres(context.home / "postgres", settings=POSTGRES_SETTINGS)
    with context.console.status("start PostgreSQL"):
        postgres.start()
    try:
        url = make_url(postgres.admin_url).set(database="postgres")
        yield url.render_as_string(hide_password=False), context.home / "postgres" / "data"
    finally:
        postgres.stop()


def _database(server_url: str, wanted: str) -> str:
    """Return the URL of our database, made when missing and made anew when seeded otherwise."""
    url = make_url(server_url).set(database=DATABASE).render_as_string(hide_password=False)
    with psycopg.connect(libpq_url(server_url), autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
        if found.fetchone() is not None:
            if seed.kept_fingerprint(url) == wanted:
                return url
            connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
            _drop_organizations_roles(connection)
        connection.execute(
            f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
            " LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
        )
    return url


def _drop_organizations_roles(connection: psycopg.Connection[Any]) -> None:
    """Drop what the dropped database's organizations leave on the server."""
    found = connection.execute(r"SELECT rolname FROM pg_roles WHERE rolname ~ '^o_[0-9a-f]{32}$'")
    for (role,) in found.fetchall():
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def libpq_url(url: str) -> str:
    """Return SQLAlchemy's URL as libpq and psycopg read it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _as_login_role(admin_url: str) -> str:
    url = make_url(admin_url)
    password = None if url.password is None else "bench-only"
    return url.set(username=LOGIN_ROLE, password=password).render_as_string(hide_password=False)


def _fill(console: Console, admin_url: str, database: Database, count: int, shape: Shape) -> Seed:
    with console.status("") as status:
        return seed.fill(
            admin_url,
            database,
            login_role=LOGIN_ROLE,
            count=count,
            shape=shape,
            on_progress=lambda done, total: status.update(f"seed organizations: {done} of {total}"),
        )

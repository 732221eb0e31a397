"""On which PostgreSQL the suite runs, and what that needs to be installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import make_url

from lms.embedded.postgres import EmbeddedPostgres
from tenants import migrator
from tests.servers import debian, pgbouncer
from tests.servers.debian import DebianPostgres
from tests.servers.pgbouncer import PgBouncer

CHOICES = {
    "embedded": "PostgreSQL 18 from its wheel",
    "pgbouncer": "the same PostgreSQL 18, the app behind PgBouncer in transaction mode",
    "debian": "PostgreSQL of Debian's package",
}
PACKAGES = {"pgbouncer": "pgbouncer", "debian": "postgresql"}
"""What `apt-get install` calls the parts that do not come from wheels."""


class Postgres(Protocol):
    """A server that can be started and stopped."""

    @property
    def admin_url(self) -> str: ...

    def start(self) -> None: ...


@dataclass(frozen=True)
class Chosen:
    """A migrated database.

    Attributes:
        admin_url: the owner's, always PostgreSQL itself.
        app_url: the login role's; at the pooler where there is one.
        prepared_statements: whether the app may use them there.
    """

    admin_url: str
    app_url: str
    prepared_statements: bool


def missing(choice: str) -> str | None:
    """Return the Debian package that a choice needs and that is not installed."""
    installed = {"pgbouncer": pgbouncer.binary, "debian": debian.binaries}
    needed = installed.get(choice)
    return None if needed is None or needed() is not None else PACKAGES[choice]


@contextmanager
def running(choice: str, folder: Path) -> Iterator[Chosen]:
    """Start what was chosen, migrate it, and stop it afterwards."""
    with ExitStack() as stack:
        postgres: Postgres
        if choice == "debian":
            postgres = DebianPostgres(folder / "pg")
            stack.callback(postgres.stop)
        else:
            postgres = EmbeddedPostgres(folder / "pg", fast=True)
            stack.callback(postgres.stop, "immediate")
        postgres.start()
        app_url = (
            make_url(postgres.admin_url)
            .set(username="app", password="app-password")
            .render_as_string(hide_password=False)
        )
        migrator.upgrade_platform(postgres.admin_url, app_url)
        if choice != "pgbouncer":
            yield Chosen(postgres.admin_url, app_url, prepared_statements=True)
            return
        pooler = PgBouncer(folder / "pgbouncer", app_url)
        stack.callback(pooler.stop)
        pooler.start()
        yield Chosen(postgres.admin_url, pooler.app_url, prepared_statements=False)

"""Fills a database with organizations that all hold the same academy under their own ids.

The first one is made by the product's operations, the others are copies of its rows in schemas that
the product's provisioning makes. Seeding again is skipped when nothing that it depends on changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from bench.academy import Academy, Shape, Student, make_academy
from bench.copies import read_rows, renumber, write_rows
from lms.core.ids import new_id
from tenants import ddl, names, provisioning
from tenants.engines import create_admin_engine
from tenants.provisioning import NewOrganization
from tenants.session import Database

BASE_DOMAIN = "lms.test"
HERE = Path(__file__).resolve().parent
SOURCES = (HERE / "seed.py", HERE / "academy.py", HERE / "copies.py", ddl.END_STATE)


@dataclass(frozen=True, slots=True)
class Organization:
    """A seeded organization.

    Attributes:
        id: the organization's.
        number: of the copy that it is; the first one, 0, is the original.
    """

    id: UUID
    number: int

    @property
    def host(self) -> str:
        """The host that requests name."""
        return f"{slug_of(self.number)}.{BASE_DOMAIN}"

    @property
    def schema(self) -> str:
        """Where its rows are."""
        return names.schema_name(self.id)

    def own(self, identifier: str) -> str:
        """Return what an id of the original is called here."""
        return identifier if self.number == 0 else renumber(identifier, self.number)


@dataclass(frozen=True, slots=True)
class Seed:
    """What a database was filled with: the original's ids, and where copies of it are."""

    academy: Academy
    organizations: list[Organization]


def slug_of(number: int) -> str:
    """Return the slug of a copy."""
    return f"academy-{number:04d}"


def fill(
    admin_url: str,
    database: Database,
    *,
    login_role: str,
    count: int,
    shape: Shape,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Seed:
    """Fill a migrated database, unless it was filled in the same way before.

    Args:
        admin_url: SQLAlchemy URL of a superuser that owns the schemas.
        database: the login role's pool.
        login_role: its name.
        count: organizations to make.
        shape: of each academy.
        on_progress: told after each organization how many of how many there are.

    Raises:
        ValueError: it was filled in another way; drop it first.
    """
    admin = create_admin_engine(admin_url)
    mark = fingerprint(count, shape)
    with admin.begin() as connection:
        found = _read_kept(connection)
    if found is not None:
        if found["fingerprint"] != mark:
            raise ValueError("this database was seeded in another way")
        return _parse(found)
    seed = make_organizations(
        admin, database, login_role=login_role, count=count, shape=shape, on_progress=on_progress
    )
    _settle(admin, seed, mark)
    return seed


def make_organizations(
    admin: Engine,
    database: Database,
    *,
    login_role: str,
    count: int,
    shape: Shape,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Seed:
    """Make organizations and fill them; `fill` says what the arguments are.

    Args:
        admin: engine of a superuser that owns the schemas.
        database: the login role's pool.
        login_role: its name.
        count: organizations to make.
        shape: of each academy.
        on_progress: told after each organization.
    """
    organizations = [Organization(new_id(), number) for number in range(count)]
    first = organizations[0]
    _provision(admin, first, login_role)
    academy = make_academy(database, first.id, shape)
    with admin.begin() as connection:
        rows = read_rows(connection, first.id)
    on_progress(1, count)
    for done, organization in enumerate(organizations[1:], start=2):
        _provision(admin, organization, login_role)
        with admin.begin() as connection:
            connection.execute(text("SET LOCAL synchronous_commit = off"))
            write_rows(connection, organization.id, rows, organization.number)
        on_progress(done, count)
    return Seed(academy, organizations)


def fingerprint(count: int, shape: Shape) -> str:
    """Return a hash of everything that decides what seeding makes."""
    digest = hashlib.sha256(f"{count} {shape}".encode())
    for path in SOURCES:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def kept_fingerprint(admin_url: str) -> str | None:
    """Return the fingerprint of what a database was filled with; None when it was not."""
    with create_admin_engine(admin_url).begin() as connection:
        found = _read_kept(connection)
    return None if found is None else found["fingerprint"]


def _provision(admin: Engine, organization: Organization, login_role: str) -> None:
    slug = slug_of(organization.number)
    new = NewOrganization(organization.id, slug, f"Academy {organization.number}", "USD")
    provisioning.create_organization(admin, new, login_role=login_role)


def _settle(admin: Engine, seed: Seed, mark: str) -> None:
    content = {
        "fingerprint": mark,
        "academy": asdict(seed.academy),
        "organizations": [str(organization.id) for organization in seed.organizations],
    }
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
        connection.execute(text("CREATE TABLE public.bench_seed (content jsonb NOT NULL)"))
        connection.execute(
            text("INSERT INTO public.bench_seed VALUES (CAST(:content AS jsonb))"),
            {"content": json.dumps(content)},
        )


def _read_kept(connection: Connection) -> dict[str, Any] | None:
    table = text("SELECT to_regclass('public.bench_seed')")
    if connection.execute(table).scalar() is None:
        return None
    return connection.execute(text("SELECT content FROM public.bench_seed")).scalar()


def _parse(kept: dict[str, Any]) -> Seed:
    academy = dict(kept["academy"])
    academy["students"] = [Student(**student) for student in academy["students"]]
    ids = kept["organizations"]
    return Seed(
        Academy(**academy), [Organization(UUID(one), number) for number, one in enumerate(ids)]
    )

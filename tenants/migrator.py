"""Bring the platform and every organization to the newest revision.

An organization's revision changes in the same transaction as its schema, so a deploy with nothing
to do is one query, a killed run resumes where it was, and one failed organization is reported
while the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from uuid import UUID

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from tenants import ddl, names, roles
from tenants.engines import create_admin_engine
from tenants.errors import NotMigratedError
from tenants.session import Database

ORGANIZATIONS_PER_CONNECTION = 100
"""A backend keeps catalog caches of every schema it has touched, and only closing it frees them."""


HOLD = text("SELECT revision FROM platform.organizations WHERE id = :id FOR UPDATE")
ARRIVED = sql.SQL("""
    UPDATE platform.organizations SET revision = {head}, version = version + 1
     WHERE id = {id} AND revision <> {head}
""")


@dataclass(slots=True)
class Report:
    """What a run over the organizations did.

    Attributes:
        migrated: organizations that moved to the newest revision.
        failed: organization id -> message of the error that left it where it was.
    """

    migrated: list[UUID] = field(default_factory=list)
    failed: dict[UUID, str] = field(default_factory=dict)


def upgrade_platform(admin_url: str, app_url: str) -> None:
    """Make the shared roles and run the platform history to its head; safe to repeat.

    Several runs at once wait for each other.

    Args:
        admin_url: SQLAlchemy URL of the schemas' owner.
        app_url: SQLAlchemy URL of the restricted login role.
    """
    roles.prepare_database(admin_url, app_url)
    config = Config()
    config.set_main_option("script_location", str(ddl.MIGRATIONS / "platform"))
    with create_admin_engine(admin_url).begin() as connection:
        # Alembic looks for the revision and acts on it without a lock of its own.
        roles.serialize(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        roles.grant_host_lookup(connection, roles.login_role(app_url))


def check_platform(database: Database) -> None:
    """Make sure that the platform schema is at this code's revision, or at a newer release's.

    Organizations are checked one by one as they are entered, so nothing here grows with them.

    Raises:
        NotMigratedError: `lms migrate` has to run first.
    """
    head = ScriptDirectory(str(ddl.MIGRATIONS / "platform")).get_current_head() or ""
    found = database.platform_revision()
    # Revisions are numbered. A newer release's platform only has more (expand): this code goes on.
    if found is None or found < head:
        raise NotMigratedError(f"the platform is at {found}, this code needs {head}")


def upgrade_organizations(
    admin_url: str,
    *,
    only: Iterable[UUID] | None = None,
    connections: int = 3,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Report:
    """Migrate every organization that is behind, one transaction each.

    Args:
        admin_url: SQLAlchemy URL of the schemas' owner.
        only: limit the run to these organizations.
        connections: organizations migrated at the same time.
        on_progress: called with (done, total) after each organization.

    Returns:
        A report; the caller turns failures into an exit status.
    """
    admin = create_admin_engine(admin_url)
    pending = _behind(admin, None if only is None else set(only))
    report = Report()
    lanes = min(connections, len(pending))
    with _lanes(admin, lanes) as idle, ThreadPoolExecutor(max(lanes, 1)) as pool:
        outcomes = pool.map(lambda one: (one, _try_upgrade(idle, one)), pending)
        for done, (organization_id, failure) in enumerate(outcomes, start=1):
            if failure is None:
                report.migrated.append(organization_id)
            else:
                report.failed[organization_id] = failure
            on_progress(done, len(pending))
    return report


def revisions_after(revision: str) -> tuple[str, ...]:
    """Return the tenant revisions that follow `revision`, oldest first.

    Raises:
        LookupError: the revision is not in this code's history (a newer deploy made it).
    """
    history = ddl.tenant_revisions()
    if revision not in history:
        raise LookupError(f"revision {revision} is not in this code's history")
    return history[history.index(revision) + 1 :]


def _behind(admin: Engine, only: set[UUID] | None) -> list[UUID]:
    with admin.begin() as connection:
        rows = connection.execute(
            text("SELECT id FROM platform.organizations WHERE revision <> :head ORDER BY id"),
            {"head": ddl.head_revision()},
        ).scalars()
        return [row for row in rows if only is None or row in only]


@contextmanager
def _lanes(admin: Engine, count: int) -> Iterator[SimpleQueue[Connection]]:
    """Open the connections that organizations take turns on.

    Opening one takes several times as long as a small migration.
    """
    with ExitStack() as stack:
        idle: SimpleQueue[Connection] = SimpleQueue()
        for number in range(count):
            try:
                idle.put(stack.enter_context(admin.connect()))
            except OperationalError:
                # One is enough; a server that is short of connections may have no more.
                if number == 0:
                    raise
                break
        yield idle


def _try_upgrade(idle: SimpleQueue[Connection], organization_id: UUID) -> str | None:
    connection = idle.get()
    try:
        _retire_well_travelled(connection)
        with connection.begin():
            _upgrade(connection, organization_id)
    except (SQLAlchemyError, psycopg.Error, LookupError) as error:
        return str(error)
    finally:
        idle.put(connection)
    return None


def _retire_well_travelled(connection: Connection) -> None:
    """Count one more organization; over the budget, the next statement opens a new connection."""
    count = connection.info.get("organizations", 0) + 1
    if count > ORGANIZATIONS_PER_CONNECTION:
        connection.invalidate()
        count = 1
    connection.info["organizations"] = count


def _upgrade(connection: Connection, organization_id: UUID) -> None:
    schema, role = names.schema_name(organization_id), names.role_name(organization_id)
    roles.limit_lock_waits(connection)
    current = connection.execute(HOLD, {"id": organization_id}).scalar_one()
    scripts = [ddl.render_revision(revision) for revision in revisions_after(current)]
    roles.execute_script(
        connection,
        f"SET LOCAL search_path TO {names.search_path(schema)};"
        + ddl.for_organization("\n".join(scripts), role)
        + ARRIVED.format(
            head=sql.Literal(ddl.head_revision()), id=sql.Literal(organization_id)
        ).as_string(),
    )

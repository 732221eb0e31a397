"""The only way to the database: a transaction that says whose data it may reach.

`Database.transaction(scope)` opens a session whose transaction begins by setting `search_path` and
role for that scope alone, both transaction-local, so nothing leaks to the next borrower of the
connection and PgBouncer's transaction mode works. The login role may read nothing in an
organization's schema by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.orm import Session, SessionTransaction

from tenants import binding, names, pool
from tenants.engines import create_login_engine, errors_told_apart
from tenants.errors import (
    OrganizationMigratingError,
    OrganizationNotFoundError,
    UnboundSessionError,
)

ACTIVE = frozenset({"active"})
STILL_SETTLING = frozenset({"active", "suspended", "deleting"})
"""States in which provider webhooks, refunds and sweeps go on: money is never refused."""


@dataclass(frozen=True, slots=True)
class OrganizationScope:
    """One organization's data.

    Attributes:
        id: the organization.
        states: states in which it may be entered; the default is `active` only.
    """

    id: UUID
    states: frozenset[str] = ACTIVE


@dataclass(frozen=True, slots=True)
class PlatformScope:
    """The shared tables, as the platform's own role."""


PLATFORM = PlatformScope()
Scope = OrganizationScope | PlatformScope


@dataclass(frozen=True, slots=True)
class BoundOrganization:
    """What the binding statement read of the organization that the transaction entered.

    `revision` is of its tables, `currency` ISO 4217, `time_zone` an IANA name, `settings` the
    organization's own settings.
    """

    id: UUID
    revision: str
    slug: str
    name: str
    currency: str
    time_zone: str
    locale: str
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PipelinedQuery:
    """A query that goes to PostgreSQL together with the binding, or with COMMIT, in one round trip.

    It runs bound: it sees what the scope may see, and nothing else.

    Attributes:
        sql: with PostgreSQL's own placeholders, `$1`.
        values: in their order.
    """

    sql: LiteralString
    values: Sequence[Any]


BIND_ORGANIZATION = """
    SELECT o.state, o.revision, o.slug, o.name, o.currency, o.time_zone, o.locale, o.settings,
           set_config('search_path', $1, true), set_config('role', $2, true)
      FROM platform.organizations o
     WHERE o.id = $3
"""
BIND_PLATFORM = """
    SELECT set_config('search_path', $1, true), set_config('role', $2, true)
"""
FIND_HOST = text("""
    SELECT o.id FROM platform.organizations o
     WHERE o.slug = :slug
    UNION ALL
    SELECT d.organization_id FROM platform.organization_domains d
     WHERE d.host = :host AND d.verified_at IS NOT NULL
     LIMIT 1
""")


class ScopedSession(Session):
    """A session that belongs to one scope; `after_begin` binds every transaction to it."""


def organization_of(session: Session) -> BoundOrganization:
    """Return the organization whose data this session reaches.

    Raises:
        UnboundSessionError: when the session is the platform's or has not begun.
    """
    bound = session.info.get("organization")
    if bound is None:
        raise UnboundSessionError("this session is not inside an organization")
    return bound


def first_rows(session: Session) -> list[tuple[Any, ...] | None]:
    """Return the first row, or None, that each of the transaction's `PipelinedQuery`s found."""
    return session.info.get("first_rows", [])


def send_with_commit(session: Session, query: PipelinedQuery) -> None:
    """Let the transaction end with `query`, in the round trip of its COMMIT.

    Whatever it locks is held for no longer than that. What the session still holds back is written
    before it, and queries run in the order in which they are given here. Nothing is learnt of their
    rows; when one fails, nothing is committed.
    """
    session.info.setdefault("last_queries", []).append(query)


def on_commit(session: Session, callback: Callable[..., None], *ids: UUID | str) -> None:
    """Run `callback(*ids)` once this session's transaction has committed, and only then.

    Args:
        session: the session whose commit is awaited.
        callback: must not raise for ordinary trouble; the transaction is already durable.
        ids: plain identifiers. ORM objects are refused: they belong to the closed session.

    Raises:
        TypeError: when something other than a UUID or a string is passed.
    """
    for value in ids:
        if not isinstance(value, UUID | str):
            raise TypeError(f"on_commit takes ids, not {type(value).__name__}")
    session.info.setdefault("on_commit", []).append((callback, ids))


@event.listens_for(ScopedSession, "after_begin")
def _bind(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    if transaction.nested:
        return  # a savepoint, inside what is bound already
    scope = session.info.get("scope")
    along = session.info.get("first_queries", ())
    if isinstance(scope, OrganizationScope):
        schema = names.schema_name(scope.id)
        values = (names.search_path(schema), names.role_name(scope.id), scope.id)
        connection.info[binding.NAMED] = binding.comment(schema)
        sent = binding.send(connection, BIND_ORGANIZATION, values, along)
        served = session.info.get("served_revisions", frozenset())
        bound = _entered(scope, sent.bound, served)
        session.info["organization"] = bound
        connection.info[binding.NAMED] = binding.comment(schema, bound.revision)
        connection.info.setdefault(pool.KNOWN, set()).add(scope.id)
    elif isinstance(scope, PlatformScope):
        values = (names.search_path(names.PLATFORM_SCHEMA), names.PLATFORM_ROLE)
        sent = binding.send(connection, BIND_PLATFORM, values, along)
    else:
        raise UnboundSessionError("open sessions with Database.transaction(scope)")
    session.info["first_rows"] = sent.rows()


def _entered(
    scope: OrganizationScope, row: tuple[Any, ...] | None, served: frozenset[str]
) -> BoundOrganization:
    if row is None or row[0] not in scope.states:
        raise OrganizationNotFoundError(str(scope.id))
    if row[1] not in served:
        raise OrganizationMigratingError(str(scope.id))
    return BoundOrganization(scope.id, *row[1:8])


class Database:
    """A pool of connections as the restricted login role, and the transactions over it.

    Args:
        url: SQLAlchemy URL of the login role, `postgresql+psycopg://app:...`.
        served_revisions: tenant revisions that this code can serve (the newest and the one before).
        pool_size: connections kept per process.
        pool_timeout: seconds to wait for a free connection before giving up.
        prepared_statements: off behind PgBouncer in transaction mode.
        organizations_per_connection: a backend keeps about 0.5 MB of catalog cache per schema it
            has touched and only closing it frees that; a connection over this budget is retired.
        statements_per_connection: prepared statements that a connection keeps, those of all its
            organizations together, and for a while up to twice as many: psycopg lets go of one
            when it meets a new text. Each takes about 50 kB of the backend.
    """

    def __init__(
        self,
        url: str,
        *,
        served_revisions: frozenset[str],
        pool_size: int = 5,
        pool_timeout: float = 2.0,
        prepared_statements: bool = True,
        organizations_per_connection: int = 100,
        statements_per_connection: int = 2000,
    ) -> None:
        self._served_revisions = served_revisions
        self._engine = create_login_engine(
            url,
            pool_size=pool_size,
            pool_timeout=pool_timeout,
            prepared_statements=prepared_statements,
            organizations_per_connection=organizations_per_connection,
            statements_per_connection=statements_per_connection,
        )

    @property
    def events(self) -> Engine:
        """The engine, for listeners that count statements; never for queries."""
        return self._engine

    @contextmanager
    def transaction(self, scope: Scope, *first: PipelinedQuery) -> Iterator[Session]:
        """Open one transaction in `scope`; commit at the end, roll back when anything is raised.

        Args:
            scope: whose data it may reach.
            first: sent along with the binding; see `first_rows`.

        Yields:
            A session bound to the scope.

        Raises:
            OrganizationNotFoundError: unknown, or not in one of the scope's states.
            OrganizationMigratingError: its schema is at a revision that this code does not serve.
            DatabaseUnavailableError: no connection, or the connection broke.
            StalePlanError: a migration changed what a prepared statement returns; may be repeated.
        """
        session = ScopedSession(self._engine, expire_on_commit=False)
        session.info["scope"] = scope
        session.info["first_queries"] = first
        session.info["served_revisions"] = self._served_revisions
        with errors_told_apart():
            try:
                # Bound at once, so that a step without a query of its own is refused too.
                with pool.wanting(scope.id if isinstance(scope, OrganizationScope) else None):
                    session.connection()
                yield session
                _commit(session)
            except BaseException:
                session.rollback()
                raise
            finally:
                session.close()
        for callback, ids in session.info.get("on_commit", ()):
            callback(*ids)

    def find_host(self, *, slug: str | None, host: str) -> UUID | None:
        """Look an organization up by its slug or a verified custom domain, in any state.

        The only read that the login role does as itself.
        """
        with errors_told_apart(), self._engine.begin() as connection:
            return connection.execute(FIND_HOST, {"slug": slug, "host": host}).scalar()

    def platform_revision(self) -> str | None:
        """Return the revision that the platform schema is at; None before the first migration."""
        with errors_told_apart(), self._engine.begin() as connection:
            return connection.execute(
                text("SELECT version_num FROM platform.alembic_version")
            ).scalar()

    def ping(self) -> None:
        """Ask PostgreSQL for a sign of life.

        Raises:
            DatabaseUnavailableError: when there is none.
        """
        with errors_told_apart(), self._engine.begin() as connection:
            connection.execute(text("SELECT 1"))

    def dispose(self) -> None:
        """Close the pool's connections; for forks and shutdown."""
        self._engine.dispose()


def _commit(session: Session) -> None:
    last = session.info.get("last_queries")
    if last:
        session.flush()
        binding.commit(session.connection(), last)
    session.commit()

"""How the login role and the owner are connected to PostgreSQL, and what goes wrong there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg
from sqlalchemy import Engine, ExceptionContext, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from tenants import binding, pool
from tenants.errors import DatabaseOverloadedError, DatabaseUnavailableError, StalePlanError

PREPARED_AFTER = 0
"""Uses of a statement after which a connection keeps it prepared: none, so it is planned once."""

CONNECT_TIMEOUT_S = 3
BUSY = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
"""Somebody else changes the same thing; left to whoever asked."""

NETWORK = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}
"""Of libpq: a host that vanished is noticed after 10 s unacknowledged, 20 s idle. The second line
is in milliseconds, the others in seconds."""


def create_login_engine(
    url: str,
    *,
    pool_size: int,
    pool_timeout: float,
    prepared_statements: bool,
    organizations_per_connection: int,
    statements_per_connection: int,
) -> Engine:
    """Return the restricted login role's engine; arguments as of `tenants.session.Database`."""

    def take_back(_driver: object, record: Any) -> None:
        record.info.pop(binding.NAMED, None)
        if len(record.info.get(pool.KNOWN, ())) > organizations_per_connection:
            record.invalidate()
            record.info.clear()

    def set_up(driver: psycopg.Connection[Any], _record: object) -> None:
        driver.prepared_max = statements_per_connection
        # For results that are read as they are used (`yield_per`); with the same placeholders.
        driver.server_cursor_factory = psycopg.RawServerCursor

    engine = create_engine(
        url,
        poolclass=pool.OrganizationPool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout,
        # Transactions are begun by `tenants.binding`; what is outside of one is one statement.
        isolation_level="AUTOCOMMIT",
        json_deserializer=orjson.loads,
        hide_parameters=True,
        use_native_hstore=False,
        # Statements go out as they are written, with PostgreSQL's own placeholders: psycopg
        # would read each for `%` on every use, because each names its organization.
        paramstyle="numeric_dollar",
        connect_args={
            **NETWORK,
            "cursor_factory": psycopg.RawCursor,
            "prepare_threshold": PREPARED_AFTER if prepared_statements else None,
        },
    )
    event.listen(engine, "connect", set_up)
    event.listen(engine, "before_cursor_execute", binding.name_organization, retval=True)
    event.listen(engine, "rollback", binding.roll_back)
    event.listen(engine, "checkin", take_back)
    event.listen(engine, "handle_error", _leave_values_out)
    return engine


def create_admin_engine(url: str) -> Engine:
    """Return an engine as the owner of the schemas, for provisioning and migrations only.

    Each use opens and closes its own connection (catalog caches of many schemas are not kept).
    A platform request uses it to make an organization; an organization's request never does.
    The owner has none of the login role's time-outs: call `roles.limit_lock_waits` first where
    others may hold what is needed.
    """
    engine = create_engine(
        url,
        poolclass=NullPool,
        use_native_hstore=False,
        hide_parameters=True,
        connect_args={**NETWORK, "prepare_threshold": None},
    )
    event.listen(engine, "handle_error", _leave_values_out)
    return engine


def _leave_values_out(context: ExceptionContext) -> None:
    """Keep people's data out of what errors say, which goes to the log and to rows of work.

    PostgreSQL adds the row, or the key, that a constraint refuses; SQLAlchemy's `hide_parameters`
    leaves out only what the statement was given.
    """
    error, wrapped = context.original_exception, context.sqlalchemy_exception
    if not isinstance(error, psycopg.Error) or error.diag.message_primary is None:
        return
    told, kept = str(error), error.diag.message_primary
    error.args = (kept,)
    if wrapped is not None:
        wrapped.args = (str(wrapped.args[0]).replace(told, kept),)


@contextmanager
def errors_told_apart() -> Iterator[None]:
    """Raise what became of the database as errors of this floor.

    Raises:
        DatabaseUnavailableError: no connection, or the connection broke.
        DatabaseOverloadedError: it refused for want of something.
        StalePlanError: a migration changed what a prepared statement returns; may be repeated.
    """
    try:
        yield
    except PoolTimeoutError as error:
        raise DatabaseUnavailableError("the connection pool is exhausted") from error
    except DBAPIError as error:
        if error.connection_invalidated or _is_away(error.orig):
            raise DatabaseUnavailableError("PostgreSQL is not reachable") from error
        if isinstance(error, OperationalError) and not isinstance(error.orig, BUSY):
            raise DatabaseOverloadedError(str(error.orig)) from error
        if _is_stale_plan(error.orig):
            raise StalePlanError("a prepared statement outlived a migration") from error
        raise


def _is_away(error: BaseException | None) -> bool:
    """Tell whether there is no server to talk to.

    No code: libpq found none. Class 08: the connection broke. 57P: the server starts or stops.
    53300: it takes no more connections. (PostgreSQL's manual, appendix A.)
    """
    if not isinstance(error, psycopg.OperationalError):
        return False
    code = error.sqlstate
    return code is None or code.startswith(("08", "57P")) or code == "53300"


def _is_stale_plan(error: BaseException | None) -> bool:
    # The code, 0A000, is shared by many errors, and the message is translated by lc_messages.
    return (
        isinstance(error, psycopg.errors.FeatureNotSupported)
        and error.diag.source_function == "RevalidateCachedQuery"
    )

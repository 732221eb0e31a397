"""A transaction's first round trip (BEGIN, binding, queries that need it), and its last (COMMIT).

Sent as a pipeline (libpq's pipeline mode): PostgreSQL runs the statements in order and answers them
together, so that a request waits once where it would wait three times.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, LiteralString, Protocol, cast

import psycopg
from psycopg import pq
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

Row = tuple[Any, ...]

NAMED = "named"
"""Under this name a connection's `info` keeps the comment that names whom it is bound to."""


class Query(Protocol):
    """A query with its values, as `tenants.session.PipelinedQuery`."""

    @property
    def sql(self) -> LiteralString:
        """With PostgreSQL's own placeholders, `$1`."""
        ...

    @property
    def values(self) -> Sequence[Any]:
        """In the order of the placeholders."""
        ...


@dataclass(frozen=True, slots=True)
class Sent:
    """What came back.

    Attributes:
        bound: the binding's row, None when it found none.
    """

    bound: Row | None
    _cursors: Sequence[psycopg.Cursor[Row]]
    _failure: Exception | None

    def rows(self) -> list[Row | None]:
        """Return the first row of each query that was sent along.

        Call it when the binding has been judged: where that found nothing, the queries ran unbound
        and their failure says nothing.

        Raises:
            sqlalchemy.exc.DBAPIError: one failed.
        """
        if self._failure is not None:
            raise self._failure
        return [cursor.fetchone() for cursor in self._cursors]


def send(
    connection: Connection, sql: LiteralString, values: Sequence[Any], along: Sequence[Query]
) -> Sent:
    """Begin the transaction: bind it, and send queries along.

    Args:
        connection: of an engine in AUTOCOMMIT, because psycopg's own BEGIN is a round trip apart.
        sql: the binding.
        values: of the binding.
        along: what is asked along with it, in this order; each returns rows.

    Raises:
        sqlalchemy.exc.DBAPIError: the binding failed, or the connection is lost; the pool knows.
    """
    driver = cast("psycopg.Connection[Row]", connection.connection.driver_connection)
    cursors: list[psycopg.Cursor[Row]] = []
    failure: Exception | None = None
    binding = driver.cursor()
    try:
        with driver.pipeline():
            driver.execute("BEGIN")
            binding.execute(sql, values)
            for query in along:
                cursors.append(driver.cursor())
                named = query.sql + connection.info.get(NAMED, "")
                cursors[-1].execute(cast("LiteralString", named), query.values)
    except psycopg.Error as error:
        _tell_when_lost(connection)
        if binding.description is None:
            raise _as_sqlalchemys(sql, error) from error
        failed = [query for query, it in zip(along, cursors, strict=False) if not it.description]
        failure = _as_sqlalchemys(failed[0].sql, error) if failed else None
    return Sent(binding.fetchone(), cursors, failure)


def commit(connection: Connection, last: Sequence[Query]) -> None:
    """Send the transaction's last statements together with its COMMIT.

    SQLAlchemy commits after this; psycopg then finds no transaction, and sends nothing.

    Raises:
        sqlalchemy.exc.DBAPIError: one failed and nothing is committed, or the connection is lost
            and, as with any COMMIT, nobody knows.
    """
    driver = cast("psycopg.Connection[Row]", connection.connection.driver_connection)
    comment_of_all = connection.info.get(NAMED, "")
    try:
        with driver.pipeline():
            for query in last:
                named = cast("LiteralString", query.sql + comment_of_all)
                driver.execute(named, query.values)
            driver.execute("COMMIT")
    except psycopg.Error as error:
        _tell_when_lost(connection)
        raise _as_sqlalchemys("COMMIT", error) from error


def comment(schema: str, revision: str = "") -> str:
    """Return the SQL comment that makes a statement one organization's own.

    Args:
        schema: the organization's.
        revision: of its tables, once it is known: what was prepared before a migration is then
            another statement.
    """
    return f"\n-- {schema} {revision}"


def name_organization(
    connection: Connection, _cursor: object, statement: str, parameters: Any, *_context: object
) -> tuple[str, Any]:
    """Name the organization in each statement that is sent; SQLAlchemy's `before_cursor_execute`.

    psycopg prepares a statement by its text, and PostgreSQL plans a prepared one anew whenever
    `search_path` is another than the last time. With the name in it, each organization's is
    prepared, and planned, for itself.
    """
    return statement + connection.info.get(NAMED, ""), parameters


def roll_back(connection: Connection) -> None:
    """End a transaction that we refuse without a word to psycopg; SQLAlchemy's `rollback` event.

    psycopg drops all prepared statements on a ROLLBACK that it sends, in case what they name was
    made in the transaction. Nothing is made in ours, and a refused request is no reason to plan
    everything anew. After an error of PostgreSQL's it may send its own: in a pipeline that failed
    it takes statements for prepared that never were.
    """
    if connection.closed or connection.invalidated:
        return
    driver = cast("psycopg.Connection[Row]", connection.connection.driver_connection)
    if driver.pgconn.transaction_status == pq.TransactionStatus.INTRANS:
        with suppress(psycopg.Error):  # SQLAlchemy's own rollback follows, and tells
            driver.pgconn.exec_(b"ROLLBACK")


def _tell_when_lost(connection: Connection) -> None:
    driver = cast("psycopg.Connection[Row]", connection.connection.driver_connection)
    if driver.closed:
        # Asked through SQLAlchemy, which so learns that its pooled connections are gone.
        connection.exec_driver_sql("SELECT 1")


def _as_sqlalchemys(sql: str, error: psycopg.Error) -> Exception:
    """Return what SQLAlchemy would have raised, which is what everybody catches."""
    return DBAPIError.instance(sql, None, error, psycopg.Error)

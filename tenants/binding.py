"""The first round trip of a transaction: BEGIN, the binding, and one query that needs it.

Sent as a pipeline (libpq's pipeline mode): PostgreSQL runs the statements in order and answers them
together, so that a request waits once where it would wait three times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString, Protocol, cast

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

Row = tuple[Any, ...]


class Query(Protocol):
    """A query with its values, as `tenants.session.FirstQuery`."""

    @property
    def sql(self) -> LiteralString:
        """With psycopg's placeholders."""
        ...

    @property
    def values(self) -> Mapping[str, Any]:
        """By name."""
        ...


@dataclass(frozen=True, slots=True)
class Sent:
    """What came back.

    Attributes:
        bound: the binding's row, None when it found none.
    """

    bound: Row | None
    _first: psycopg.Cursor[Row] | None
    _failure: Exception | None

    def first(self) -> Row | None:
        """Return the first row of the query that was sent along.

        Call it when the binding has been judged: where that found nothing, the query ran unbound
        and its failure says nothing.

        Raises:
            sqlalchemy.exc.DBAPIError: it failed.
        """
        if self._failure is not None:
            raise self._failure
        return None if self._first is None else self._first.fetchone()


def send(
    connection: Connection, sql: LiteralString, values: Mapping[str, Any], first: Query | None
) -> Sent:
    """Begin the transaction: bind it, and send a query along.

    Args:
        connection: of an engine in AUTOCOMMIT, because psycopg's own BEGIN is a round trip apart.
        sql: the binding, with psycopg's placeholders.
        values: of the binding.
        first: what is asked along with it.

    Raises:
        sqlalchemy.exc.DBAPIError: the binding failed, or the connection is lost; the pool knows.
    """
    driver = cast("psycopg.Connection[Row]", connection.connection.driver_connection)
    found: psycopg.Cursor[Row] | None = None
    failure: Exception | None = None
    binding = driver.cursor()
    try:
        with driver.pipeline():
            driver.execute("BEGIN")
            binding.execute(sql, values)
            if first is not None:
                found = driver.execute(first.sql, first.values)
    except psycopg.Error as error:
        if driver.closed:
            # Asked through SQLAlchemy, which so learns that its pooled connections are gone.
            connection.exec_driver_sql("SELECT 1")
        if binding.description is None:
            raise _as_sqlalchemys(sql, error) from error
        failure = None if first is None else _as_sqlalchemys(first.sql, error)
    return Sent(binding.fetchone(), found, failure)


def _as_sqlalchemys(sql: str, error: psycopg.Error) -> Exception:
    """Return what SQLAlchemy would have raised, which is what everybody catches."""
    return DBAPIError.instance(sql, None, error, psycopg.Error)

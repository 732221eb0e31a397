"""Connections that return to the organizations they know.

What PostgreSQL has learnt of an organization (catalog, prepared statements with their plans) is
kept by the one process behind each connection. Learning it takes longer than most requests, and
about half a megabyte. So a free connection that has served an organization before is preferred; a
newcomer goes to the one that has served the fewest, which spreads organizations over them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from sqlalchemy.pool import QueuePool
from sqlalchemy.util.queue import Queue

_wanted: ContextVar[UUID | None] = ContextVar("wanted", default=None)

KNOWN = "organizations"
"""Under this name a connection's `info` keeps the set of organizations that it has served."""


class _FreeConnections(Queue[Any]):
    """SQLAlchemy's queue of free connections; `_get` is its documented way to another order."""

    def _get(self) -> Any:
        organization = _wanted.get()
        best, fewest = len(self.queue) - 1, None
        for place in range(len(self.queue) - 1, -1, -1):
            known = self.queue[place].info.get(KNOWN, ())
            if organization in known:
                best = place
                break
            if fewest is None or len(known) < fewest:
                best, fewest = place, len(known)
        connection = self.queue[best]
        del self.queue[best]
        return connection


class OrganizationPool(QueuePool):
    """SQLAlchemy's pool, which chooses among its free connections; see `wanting`."""

    _queue_class = _FreeConnections


@contextmanager
def wanting(organization: UUID | None) -> Iterator[None]:
    """Say for which organization a connection is taken inside; None for the platform."""
    token = _wanted.set(organization)
    try:
        yield
    finally:
        _wanted.reset(token)

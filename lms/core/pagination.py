"""Cursor pagination over UUIDv7 ids: stable under inserts, one bounded query a page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, TypeVarTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select
from sqlalchemy.orm import InstrumentedAttribute, Session

from lms.core.errors import DomainError

T = TypeVar("T")
Columns = TypeVarTuple("Columns")
DEFAULT_LIMIT = 50
MAX_LIMIT = 100


class InvalidCursorError(DomainError):
    """The cursor is not one that we gave."""

    kind = "invalid"
    code = "invalid_cursor"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list.

    Attributes:
        items: at most `limit` of them, in the list's order.
        next_cursor: opaque; `None` on the last page.
    """

    items: Sequence[T]
    next_cursor: str | None


def paginate(
    session: Session,
    query: Select[T],
    key: InstrumentedAttribute[UUID],
    *,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
    newest_first: bool = False,
) -> Page[T]:
    """Read one page of a query of one entity.

    Args:
        session: where to read.
        query: the filtered query, without an order.
        key: the entity's UUIDv7 primary key, by which the list is ordered.
        limit: most items to return.
        cursor: `next_cursor` of the page before.
        newest_first: order by falling key.

    Raises:
        InvalidCursorError: the cursor was not made by `paginate`.
    """
    page = paginate_rows(session, query, key, limit=limit, cursor=cursor, newest_first=newest_first)
    return Page([row[0] for row in page.items], page.next_cursor)


def paginate_rows(
    session: Session,
    query: Select[*Columns],
    key: InstrumentedAttribute[UUID],
    *,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
    newest_first: bool = False,
) -> Page[Row[*Columns]]:
    """Read one page of a query whose first column is the entity, or its key; else as `paginate`.

    Raises:
        InvalidCursorError: the cursor was not made here.
    """
    order: ColumnElement[Any] = key.desc() if newest_first else key.asc()
    query = query.order_by(order).limit(limit + 1)
    if cursor is not None:
        after = _decode(cursor)
        query = query.where(key < after if newest_first else key > after)
    rows = session.execute(query).all()
    items = rows[:limit]
    more = len(rows) > limit
    if not more:
        return Page(items, None)
    last = items[-1][0]
    return Page(items, _encode(last if isinstance(last, UUID) else getattr(last, key.key)))


def _encode(key: UUID) -> str:
    return base64.urlsafe_b64encode(key.bytes).decode().rstrip("=")


def _decode(cursor: str) -> UUID:
    try:
        return UUID(bytes=base64.urlsafe_b64decode(cursor + "=="))
    except (ValueError, binascii.Error) as error:
        raise InvalidCursorError("This cursor did not come from a page of this list.") from error

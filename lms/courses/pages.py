"""Cursor pagination of what people put in order: modules of a version, lessons of a module."""

from __future__ import annotations

import base64
import binascii
import struct
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Select, tuple_
from sqlalchemy.orm import Session

from lms.core.pagination import InvalidCursorError, Page
from lms.courses.models import Lesson, Module

T = TypeVar("T", Module, Lesson)
CURSOR = struct.Struct(">q16s")


def page_in_order(
    session: Session, query: Select[T], entity: type[T], *, limit: int, cursor: str | None
) -> Page[T]:
    """Read one page by position.

    Args:
        session: where to read.
        query: the filtered query of the entity, without an order.
        entity: `Module` or `Lesson`.
        limit: most items to return.
        cursor: `next_cursor` of the page before.

    Raises:
        InvalidCursorError: the cursor was not made here.
    """
    if cursor is not None:
        query = query.where(tuple_(entity.position, entity.id) > _decode(cursor))
    query = query.order_by(entity.position, entity.id).limit(limit + 1)
    rows = session.scalars(query).all()
    return Page(rows[:limit], _encode(rows[limit - 1]) if len(rows) > limit else None)


def _encode(row: Module | Lesson) -> str:
    return base64.urlsafe_b64encode(CURSOR.pack(row.position, row.id.bytes)).decode().rstrip("=")


def _decode(cursor: str) -> tuple[int, UUID]:
    try:
        position, key = CURSOR.unpack(base64.urlsafe_b64decode(cursor + "=="))
    except (ValueError, binascii.Error, struct.error) as error:
        raise InvalidCursorError("This cursor did not come from a page of this list.") from error
    return position, UUID(bytes=key)

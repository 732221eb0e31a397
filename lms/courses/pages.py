"""Cursor pagination of what people put in order: modules of a version, lessons of a module."""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, tuple_
from sqlalchemy.orm import Session

from lms.core.pagination import InvalidCursorError, Page
from lms.courses.models import Lesson, Module

T = TypeVar("T", Module, Lesson)
CURSOR = struct.Struct(">q16s")
VERSION_CURSOR = struct.Struct(">qq16s")


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
        query = query.where(tuple_(entity.position, entity.id) > _unpack(CURSOR, cursor))
    query = query.order_by(entity.position, entity.id).limit(limit + 1)
    rows = session.scalars(query).all()
    return Page(rows[:limit], _encode(rows[limit - 1]) if len(rows) > limit else None)


def page_of_version(
    session: Session, query: Select[Lesson, int], *, limit: int, cursor: str | None
) -> Page[Lesson]:
    """Read one page of a version's lessons, module by module.

    Args:
        session: where to read.
        query: the filtered query of lessons and their modules' positions, without an order.
        limit: most items to return.
        cursor: `next_cursor` of the page before.

    Raises:
        InvalidCursorError: the cursor was not made here.
    """
    if cursor is not None:
        after = _unpack(VERSION_CURSOR, cursor)
        query = query.where(tuple_(Module.position, Lesson.position, Lesson.id) > after)
    query = query.order_by(Module.position, Lesson.position, Lesson.id).limit(limit + 1)
    rows = session.execute(query).all()
    lessons = [lesson for lesson, _ in rows[:limit]]
    if len(rows) <= limit:
        return Page(lessons, None)
    last, module_position = rows[limit - 1]
    packed = VERSION_CURSOR.pack(module_position, last.position, last.id.bytes)
    return Page(lessons, _text_of(packed))


def _encode(row: Module | Lesson) -> str:
    return _text_of(CURSOR.pack(row.position, row.id.bytes))


def _text_of(packed: bytes) -> str:
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _unpack(form: struct.Struct, cursor: str) -> tuple[Any, ...]:
    """Return what a cursor holds: positions, and an id at last."""
    try:
        *positions, key = form.unpack(base64.urlsafe_b64decode(cursor + "=="))
    except (ValueError, binascii.Error, struct.error) as error:
        raise InvalidCursorError("This cursor did not come from a page of this list.") from error
    return *positions, UUID(bytes=key)

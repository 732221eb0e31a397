"""Optimistic concurrency: the version a client read against the one that is stored."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy.orm import Mapped

from lms.core.errors import StaleVersionError


class Versioned(Protocol):
    """A row with SQLAlchemy's `version_id_col`, which makes the check atomic in the UPDATE."""

    version: Mapped[int]


def check_version(row: Versioned, expected: int | None) -> None:
    """Refuse a write over a state that the client has not seen.

    Args:
        row: what is stored; its own UPDATE carries the version too, so a change between this
            check and the UPDATE is refused as well (StaleDataError, answered 412).
        expected: from If-Match; None means any.

    Raises:
        StaleVersionError: they differ.
    """
    if expected is not None and row.version != expected:
        raise StaleVersionError(
            "It was changed since you read it; read it again and repeat.",
            current_etag=f'"{row.version}"',
        )

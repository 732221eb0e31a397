"""Identifiers: UUIDv7 (RFC 9562, 5.7), so that ids sort by the time they were made."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from uuid import UUID

import uuid_utils.compat


def new_id() -> UUID:
    """Return a new UUIDv7."""
    return uuid_utils.compat.uuid7()


def derived_id(moment: datetime, subject_id: UUID) -> UUID:
    """Return a UUIDv7 that is always the same for the same arguments.

    For what is made once, by work that may be done again: the second time it is found, or refused
    by its key.

    Args:
        moment: when it was decided that it is to be made; after 1970.
        subject_id: for what it is made.
    """
    milliseconds = int(moment.timestamp() * 1000)
    digest = int.from_bytes(sha256(subject_id.bytes).digest()[:10])
    return UUID(int=(milliseconds << 80 | digest) & ~(0xF << 76 | 0x3 << 62) | 7 << 76 | 2 << 62)

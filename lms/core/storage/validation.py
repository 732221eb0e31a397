"""Rules for arguments that both adapters share: what is good for one is good for the other."""

from __future__ import annotations

import math
import re
from datetime import timedelta

from lms.core.storage.base import InvalidKey, StorageError, StoredObject

# A file name on common file systems holds 255 bytes, a key in S3 1,024.
_SEGMENT = re.compile(r"[A-Za-z0-9._-]{1,255}")
_MAX_KEY_LENGTH = 1024

# The longest life of an address with an AWS signature version 4.
_MAX_EXPIRY = timedelta(days=7)


def validate_key(key: str) -> str:
    """Return the key if it is one that we could have made.

    Raises:
        InvalidKey: It is empty, too long or absolute, has an empty, ``.`` or ``..`` segment or a
            foreign character.
    """
    segments = key.split("/")
    if len(key) > _MAX_KEY_LENGTH or not all(
        _SEGMENT.fullmatch(segment) and segment not in {".", ".."} for segment in segments
    ):
        raise InvalidKey(f"not a storage key: {key[:100]!r}")
    return key


def validate_prefix(prefix: str) -> str:
    """Return the prefix if it ends at a segment, so that ``o/1/`` can never mean ``o/10/`` too.

    Raises:
        InvalidKey: It does not end with ``/``, or what is before that is no key.
    """
    if not prefix.endswith("/"):
        raise InvalidKey(f"a storage prefix ends with a slash: {prefix[:100]!r}")
    validate_key(prefix[:-1])
    return prefix


def validate_range(start: int, end: int | None) -> None:
    """Accept a range of bytes ``[start, end)``.

    Raises:
        ValueError: It is negative or runs backwards.
    """
    if start < 0 or (end is not None and end < start):
        raise ValueError(f"not a range of bytes: [{start}, {end})")


def whole_seconds(expires_in: timedelta) -> int:
    """Return the life of a signed address in seconds, rounded up.

    Raises:
        ValueError: It is not positive, or longer than 7 days.
    """
    if not timedelta(0) < expires_in <= _MAX_EXPIRY:
        raise ValueError(f"a signed address lives up to 7 days, not {expires_in}")
    return math.ceil(expires_in.total_seconds())


def expect_size(found: StoredObject, size: int) -> StoredObject:
    """Return the object if it has ``size`` bytes.

    Raises:
        StorageError: It has not.
    """
    if found.size != size:
        raise StorageError(f"{found.key} has {found.size} bytes, not {size}")
    return found

"""How a file is divided into the parts of an upload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# S3 takes parts from 5 MiB (the last may be smaller); small enough to send again after a failure.
MIN_PART_SIZE = 8 * 1024 * 1024

# S3 takes 10,000 parts; a tenth of that keeps the list of addresses below a megabyte.
MAX_PARTS = 1_000

# S3's limit for one part is 5 GiB.
MAX_SIZE = MAX_PARTS * 5 * 1024**3

_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class PartRange:
    """One part: its number from 1, and its offset and size in bytes within the file."""

    number: int
    offset: int
    size: int


def part_size(size: int) -> int:
    """Return the bytes of every part but the last for a file of ``size`` bytes.

    8 MiB; only files above 8,000 MiB get larger parts, in whole MiB.
    """
    smallest = -(-size // MAX_PARTS)
    return max(MIN_PART_SIZE, -(-smallest // _MEBIBYTE) * _MEBIBYTE)


def plan_parts(size: int) -> list[PartRange]:
    """Divide a file of ``size`` bytes.

    An empty file has one empty part, because S3 completes no upload without any.

    Raises:
        ValueError: The size is negative or above 5,000 GiB.
    """
    if not 0 <= size <= MAX_SIZE:
        raise ValueError(f"a file has 0 to {MAX_SIZE} bytes, not {size}")
    step = part_size(size)
    return [
        PartRange(number, offset, min(step, size - offset))
        for number, offset in enumerate(range(0, max(size, 1), step), start=1)
    ]


def missing_parts(size: int, arrived: Mapping[int, int]) -> list[int]:
    """Return the numbers of parts that have not arrived in full.

    Args:
        size: Bytes of the file.
        arrived: Size in bytes by part number.
    """
    return [part.number for part in plan_parts(size) if arrived.get(part.number) != part.size]

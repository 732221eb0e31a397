"""When a rendition's picture begins, by its fragments alone (ISO/IEC 14496-12).

Libraries read edit lists and move whole tracks, each in its own way; browsers go by what fragments
say and skip some of the rest.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

_PARENTS = frozenset({b"moov", b"trak", b"mdia", b"moof", b"traf"})
_OFFSET_PRESENT = 0x800
_BEFORE_OFFSET = (0x1, 0x4, 0x100, 0x200, 0x400)
"""Flags of a track run: each puts four bytes before the first sample's composition offset."""

_LARGEST_HEADER = 4 * 1024 * 1024
"""Bytes in which the description and the first fragment's header are."""


def first_times(file: Path) -> dict[bytes, float]:
    """Return when the first picture (`vide`) and the first sound (`soun`) are to be shown, seconds.

    Args:
        file: a fragmented MP4, its description first and its tracks in the order of the fragment.

    Raises:
        ValueError: it is none, or cut off.
    """
    scales: list[int] = []
    kinds: list[bytes] = []
    starts: list[int] = []
    offsets: list[int] = []
    with file.open("rb") as opened:
        data = opened.read(_LARGEST_HEADER)
    try:
        for kind, content in _boxes(data):
            match kind:
                case b"mdhd":
                    scales.append(struct.unpack_from(">I", content, 20 if content[0] else 12)[0])
                case b"hdlr":
                    kinds.append(content[8:12])
                case b"tfdt":
                    starts.append(int.from_bytes(content[4:]))
                case b"trun":
                    offsets.append(_composition_offset(content))
                case b"mdat" if starts:
                    break
                case _:
                    pass
    except (struct.error, IndexError) as error:
        raise ValueError("not a whole fragmented MP4") from error
    parts = zip(kinds, scales, starts, offsets, strict=False)
    return {kind: (start + offset) / scale for kind, scale, start, offset in parts}


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give the boxes with their content, in order; those inside of others instead of them."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8:
            raise ValueError("a box without a size")
        content = data[at + 8 : at + size]
        if kind in _PARENTS:
            yield from _boxes(content)
        else:
            yield kind, content
        at += size


def _composition_offset(run: bytes) -> int:
    """Return how much later than decoded a track run's first sample is shown, in its clock."""
    flags = int.from_bytes(run[1:4])
    if not flags & _OFFSET_PRESENT:
        return 0
    before = 4 * sum(bool(flags & flag) for flag in _BEFORE_OFFSET)
    return struct.unpack_from(">i" if run[0] else ">I", run, 8 + before)[0]

"""Picture and sound stay together in browsers, which do not read all that edit lists say."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.ffmpeg.transcode import Encoded

PRIMING_SECONDS = 1024 / 48_000
"""Of silence, with which the AAC encoder begins."""

PARENTS = {b"moov", b"trak", b"mdia", b"moof", b"traf"}
SIGNED = {0: ">I", 1: ">i"}


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give the boxes of an MP4 file (ISO/IEC 14496-12) with their content, in order."""
    while data:
        size, kind = struct.unpack_from(">I4s", data)
        if kind in PARENTS:
            yield from boxes(data[8:size])
        else:
            yield kind, data[8:size]
        data = data[size:]


def composition_offset(run: bytes) -> int:
    """Give how much later than decoded a track run's first sample is shown."""
    flags = int.from_bytes(run[1:4])
    if not flags & 0x800:
        return 0
    before = 4 * sum(bool(flags & flag) for flag in (0x1, 0x4, 0x100, 0x200, 0x400))
    return struct.unpack_from(SIGNED[run[0]], run, 8 + before)[0]


def first_times(media: Path) -> dict[bytes, float]:
    """When picture (`vide`) and sound (`soun`) begin, in seconds, by the fragments alone."""
    scales: list[int] = []
    kinds: list[bytes] = []
    starts: list[int] = []
    offsets: list[int] = []
    for kind, content in boxes(media.read_bytes()):
        match kind:
            case b"mdhd":
                scales.append(struct.unpack_from(">I", content, 20 if content[0] else 12)[0])
            case b"hdlr":
                kinds.append(content[8:12])
            case b"tfdt":
                starts.append(int.from_bytes(content[4:]))
            case b"trun":
                offsets.append(composition_offset(content))
    parts = zip(kinds, scales, starts, offsets, strict=False)
    return {kind: (start + offset) / scale for kind, scale, start, offset in parts}


def test_picture_and_sound_begin_together_without_edit_lists(lecture: Encoded) -> None:
    for rendition in lecture.renditions:
        first = first_times(rendition.media)
        assert first[b"vide"] == 0
        assert first[b"soun"] == pytest.approx(0, abs=PRIMING_SECONDS)

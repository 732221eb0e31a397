"""Picture and sound stay together in browsers, which do not read all that edit lists say."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from jobs.ffmpeg.fragments import first_times
from jobs.ffmpeg.transcode import Encoded

PRIMING_SECONDS = 1024 / 48_000
"""Of silence, with which the AAC encoder begins."""


def test_picture_and_sound_begin_together_without_edit_lists(lecture: Encoded) -> None:
    for rendition in lecture.renditions:
        first = first_times(rendition.media)
        assert first[b"vide"] == 0
        assert first[b"soun"] == pytest.approx(0, abs=PRIMING_SECONDS)


@pytest.mark.parametrize("content", [b"", b"\0\0\0\4moov", b"\0\0\0\x14moof\0\0\0\x0ctraf"])
def test_what_is_no_fragmented_mp4_says_nothing_or_so(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "rendition.mp4"
    file.write_bytes(content)
    with suppress(ValueError):
        assert first_times(file) == {}

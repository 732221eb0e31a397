"""Thumbnails: one sheet of pictures, and which of them belongs to which time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest

from jobs.ffmpeg.stills import MAX_TILES, Sheet, sheet_of, webvtt
from jobs.ffmpeg.transcode import Encoded

if TYPE_CHECKING:
    from conftest import Studio

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")

Encode = Callable[[Path], Encoded]


def test_a_short_video_has_a_thumbnail_every_two_seconds() -> None:
    assert sheet_of(640, 360, 21.0) == Sheet(160, 90, count=11, interval_seconds=2)


def test_a_portrait_has_thumbnails_of_its_shape() -> None:
    sheet = sheet_of(360, 640, 4.0)
    assert (sheet.tile_width, sheet.tile_height) == (90, 160)


@pytest.mark.parametrize("hours", [1, 8, 10])
def test_a_long_video_has_fewer_thumbnails_and_not_a_larger_sheet(hours: int) -> None:
    sheet = sheet_of(640, 360, hours * 3600.0)
    assert MAX_TILES - 20 < sheet.count <= MAX_TILES
    assert sheet.count * sheet.interval_seconds >= hours * 3600
    assert sheet.columns * sheet.tile_width <= 1600
    assert sheet.rows * sheet.tile_height <= 1800


def test_a_video_of_a_single_picture_has_one_thumbnail() -> None:
    sheet = sheet_of(640, 360, 0.04)
    assert (sheet.count, sheet.columns, sheet.rows) == (1, 1, 1)


def test_cues_follow_each_other_through_the_rows_to_the_end() -> None:
    text = webvtt(Sheet(160, 90, count=12, interval_seconds=360), 12 * 360 - 0.5, "sheet.jpg")
    first, *_, tenth, eleventh, twelfth = text.removeprefix("WEBVTT\n\n").strip().split("\n\n")
    assert first == "00:00:00.000 --> 00:06:00.000\nsheet.jpg#xywh=0,0,160,90"
    assert tenth == "00:54:00.000 --> 01:00:00.000\nsheet.jpg#xywh=1440,0,160,90"
    assert eleventh == "01:00:00.000 --> 01:06:00.000\nsheet.jpg#xywh=0,90,160,90"
    assert twelfth == "01:06:00.000 --> 01:11:59.500\nsheet.jpg#xywh=160,90,160,90"


def test_each_thumbnail_shows_the_picture_of_its_time(studio: Studio, encode: Encode) -> None:
    parts = ("red", "blue", "white")
    graph = [f"color={name}:size=160x120:rate=30000/1001:duration=2.1[{name}]" for name in parts]
    joined = "".join(f"[{name}]" for name in parts) + f"concat=n={len(parts)}"
    clip = studio.make("flag.mp4", "-f", "lavfi", "-i", ";".join([*graph, joined]), *H264)
    thumbnails = encode(clip).thumbnails
    with av.open(str(thumbnails.image), "r") as container:
        sheet = next(container.decode(video=0)).reformat(format="rgb24")
    assert (sheet.width, sheet.height) == (4 * 160, 120)
    (plane,) = sheet.planes
    middle = bytes(plane)[60 * plane.line_size :]
    shown = [tuple(level > 128 for level in middle[3 * x : 3 * x + 3]) for x in range(80, 640, 160)]
    red, blue, white = (True, False, False), (False, False, True), (True, True, True)
    assert shown == [red, red, blue, white]
    assert thumbnails.cues.read_text().count("thumbnails.jpg#xywh=") == 4

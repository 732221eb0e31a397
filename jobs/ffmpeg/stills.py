"""Pictures beside a video, made from its renditions: a poster, and a sheet of thumbnails.

A sheet is one image of many small pictures, which a player shows while somebody seeks. A WebVTT
file says which part of it (`#xywh=`, W3C Media Fragments) belongs to which time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import cast

import ffmpeg
from ffmpeg.nodes import FilterableStream

from jobs.ffmpeg.filters import apply
from jobs.ffmpeg.ladder import KEYFRAME_SECONDS

TILE_LONG_SIDE = 160
"""Pixels of each thumbnail's longer side."""
COLUMNS = 10
MAX_TILES = 200
"""Of a sheet, however long the video is: about half a megabyte. A film of ten hours gets one every
three minutes."""
_EARLY_SECONDS = 0.1
"""A keyframe may be so much before its place on the grid and still be meant for it."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of thumbnails, row by row.

    Attributes:
        tile_width: of one thumbnail, pixels.
        tile_height: of one thumbnail, pixels.
        count: how many thumbnails.
        interval_seconds: from one to the next.
    """

    tile_width: int
    tile_height: int
    count: int
    interval_seconds: int

    @property
    def columns(self) -> int:
        """How many thumbnails are side by side."""
        return min(self.count, COLUMNS)

    @property
    def rows(self) -> int:
        """How many rows of thumbnails there are; the last may not be full."""
        return ceil(self.count / self.columns)


def sheet_of(width: int, height: int, duration_seconds: float) -> Sheet:
    """Lay out the thumbnails of a video: one for each keyframe, or for fewer in a long one.

    Args:
        width: of the rendition, pixels.
        height: of the rendition, pixels.
        duration_seconds: of the video.
    """
    scale = Fraction(TILE_LONG_SIDE, max(width, height))
    keyframes = max(1, ceil(duration_seconds / KEYFRAME_SECONDS))
    interval = KEYFRAME_SECONDS * ceil(keyframes / MAX_TILES)
    return Sheet(
        tile_width=_even(width * scale),
        tile_height=_even(height * scale),
        count=max(1, ceil(duration_seconds / interval)),
        interval_seconds=interval,
    )


def _even(length: Fraction) -> int:
    return max(2, 2 * round(length / 2))


def poster_command(executable: str, path: Path, seconds: float, name: str) -> list[str]:
    """Build the command that makes a poster from a rendition.

    Args:
        executable: ffmpeg.
        path: a rendition's media file.
        seconds: where to look for a telling picture.
        name: the JPEG to write, relative to the working directory.
    """
    file = ffmpeg.input(f"file:{path}", protocol_whitelist="file", ss=f"{seconds:.3f}")
    # The most typical of the next 50 pictures: no black, no cross-fade.
    picture = apply(file.video, "thumbnail", n=50)
    return _jpeg(executable, apply(picture, "scale", out_range="full"), name, quality=3)


def sheet_command(executable: str, path: Path, sheet: Sheet, name: str) -> list[str]:
    """Build the command that makes a sheet of thumbnails from a rendition's keyframes.

    Args:
        executable: ffmpeg.
        path: a rendition's media file.
        sheet: how it is laid out.
        name: the JPEG to write, relative to the working directory.
    """
    # Other pictures are neither read nor decoded.
    file = ffmpeg.input(
        f"file:{path}", protocol_whitelist="file", discard="nokey", skip_frame="nokey"
    )
    due = f"gte(t-start_t,selected_n*{sheet.interval_seconds}-{_EARLY_SECONDS})"
    picture = apply(file.video, "select", due)
    picture = apply(picture, "scale", w=sheet.tile_width, h=sheet.tile_height, out_range="full")
    # The last picture fills up what is missing, so that there is a picture for every time.
    picture = apply(picture, "tpad", stop_mode="clone", stop=-1)
    picture = apply(picture, "tile", f"{sheet.columns}x{sheet.rows}", nb_frames=sheet.count)
    return _jpeg(executable, picture, name, quality=5)


def webvtt(sheet: Sheet, duration_seconds: float, image: str) -> str:
    """Say which part of a sheet belongs to which time.

    Args:
        sheet: how it is laid out.
        duration_seconds: where the last thumbnail's time ends.
        image: the sheet's file name.
    """
    return "\n\n".join(["WEBVTT", *_cues(sheet, duration_seconds, image)]) + "\n"


def _cues(sheet: Sheet, duration_seconds: float, image: str) -> Iterator[str]:
    for number in range(sheet.count):
        start = number * sheet.interval_seconds
        end = min(start + sheet.interval_seconds, max(duration_seconds, start + 0.001))
        row, column = divmod(number, sheet.columns)
        part = (
            f"{column * sheet.tile_width},{row * sheet.tile_height}"
            f",{sheet.tile_width},{sheet.tile_height}"
        )
        yield f"{_timestamp(start)} --> {_timestamp(end)}\n{image}#xywh={part}"


def _timestamp(seconds: float) -> str:
    """Write a time as WebVTT does: hours, minutes, seconds, milliseconds."""
    whole, milliseconds = divmod(round(1000 * seconds), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}.{milliseconds:03}"


def _jpeg(executable: str, picture: FilterableStream, name: str, *, quality: int) -> list[str]:
    """Build the command that writes one picture, of samples of full range as JPEG (JFIF) has."""
    picture = apply(picture, "format", "yuvj420p")
    options = {"frames:v": 1, "q:v": quality, "map_metadata": -1, "update": 1}
    written = ffmpeg.output(picture, name, format="image2", **options).global_args(
        "-nostdin", "-hide_banner", "-loglevel", "error"
    )
    return cast("list[str]", ffmpeg.compile(written, cmd=executable, overwrite_output=True))

"""Applies ffmpeg's filters, typed."""

from __future__ import annotations

from typing import cast

import ffmpeg
from ffmpeg.nodes import FilterableStream


def apply(
    stream: FilterableStream, name: str, *values: str | int, **options: str | int
) -> FilterableStream:
    """Return the stream after a filter."""
    # The module's function, as the methods of the same names are attached at run time.
    return cast("FilterableStream", ffmpeg.filter(stream, name, *values, **options))


def split(stream: FilterableStream, name: str, count: int) -> list[FilterableStream]:
    """Return so many branches of a stream; `name` is `split` for pictures, `asplit` for sound."""
    branches = ffmpeg.filter_multi_output(stream, name)
    return [branches[number] for number in range(count)]

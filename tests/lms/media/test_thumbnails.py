"""Thumbnails: cues that name parts of a sheet."""

from __future__ import annotations

import pytest

from lms.media.thumbnails import CUES, key_beside, point_cues

STORED = """WEBVTT

00:00:00.000 --> 00:00:02.000
thumbnails.jpg#xywh=0,0,160,90

00:00:02.000 --> 00:00:04.000
thumbnails.jpg#xywh=160,0,160,90
"""


def test_thumbnails_lie_beside_the_poster_of_the_same_conversion() -> None:
    assert key_beside("o/1/2/attempt-3/poster.jpg", CUES) == "o/1/2/attempt-3/thumbnails.vtt"


def test_every_cue_becomes_a_part_of_the_signed_sheet() -> None:
    url = "https://cdn.example/o/1/a.jpg?X-Amz-Signature=abc&x=%2F"
    pointed = point_cues(STORED, url)
    assert pointed == STORED.replace("thumbnails.jpg", url)


@pytest.mark.parametrize("url", ["https://a#b", "https://a\n\n00:00:00.000 --> "])
def test_an_address_cannot_break_out_of_its_cue(url: str) -> None:
    with pytest.raises(ValueError, match="fragment"):
        point_cues(STORED, url)

"""Playlists for players."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from lms.media.hls import master_playlist, point_playlist

STORED = """#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:6
#EXT-X-MAP:URI="720p.mp4",BYTERANGE="1294@0"
#EXTINF:6.000000,
#EXT-X-BYTERANGE:1000@1294
720p.mp4
#EXTINF:2.000000,
#EXT-X-BYTERANGE:500
720p.mp4
#EXT-X-ENDLIST
"""


@dataclass(frozen=True)
class Rung:
    label: str
    width: int
    height: int
    bandwidth: int
    average_bandwidth: int = 90_000
    codecs: str = "avc1.64001f,mp4a.40.2"
    frame_rate: float = 29.97002997


LADDER = [
    Rung("1080p", 1920, 1080, 5_000_000),
    Rung("480p", 854, 480, 1_200_000),
    Rung("720p", 1280, 720, 2_500_000),
    Rung("360p", 640, 360, 700_000),
]


def test_a_variant_says_what_a_player_needs_to_choose() -> None:
    text = master_playlist(LADDER[:1], lambda rung: f"{rung.label}.m3u8")
    assert text.splitlines() == [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        (
            "#EXT-X-STREAM-INF:BANDWIDTH=5000000,AVERAGE-BANDWIDTH=90000,"
            'CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1920x1080,FRAME-RATE=29.970'
        ),
        "1080p.m3u8",
    ]


def test_players_begin_with_a_decent_picture_that_starts_at_once() -> None:
    text = master_playlist(LADDER, lambda rung: rung.label)
    order = [line for line in text.splitlines() if not line.startswith("#")]
    assert order == ["480p", "360p", "720p", "1080p"]


def test_every_name_of_the_media_file_becomes_the_signed_address() -> None:
    url = "https://cdn.example/o/1/a.mp4?X-Amz-Signature=abc&x=%2F"
    pointed = point_playlist(STORED, url)
    assert "720p.mp4" not in pointed
    assert pointed == STORED.replace("720p.mp4", url)


def test_an_address_cannot_break_out_of_the_playlist() -> None:
    with pytest.raises(ValueError, match="quotes"):
        point_playlist(STORED, 'https://a"\n#EXT-X-KEY')

from __future__ import annotations

import pytest

from jobs.ffmpeg.playlists import Playlist, parse

PLAYLIST = """#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:6
#EXT-X-MAP:URI="720p.mp4",BYTERANGE="1000@0"
#EXTINF:6.000000,
#EXT-X-BYTERANGE:6000@1000
720p.mp4
#EXTINF:6.000000,
#EXT-X-BYTERANGE:12000
720p.mp4
#EXTINF:1.000000,
#EXT-X-BYTERANGE:9000@19000
720p.mp4
#EXT-X-ENDLIST
"""


@pytest.fixture
def playlist() -> Playlist:
    return parse(PLAYLIST)


def test_a_range_without_offset_follows_the_one_before(playlist: Playlist) -> None:
    assert [segment.offset for segment in playlist.segments] == [1000, 7000, 19000]


def test_the_file_is_named_and_the_length_added_up(playlist: Playlist) -> None:
    assert (playlist.media, playlist.duration, playlist.complete) == ("720p.mp4", 13, True)


def test_ranges_cover_a_file_of_exactly_their_size(playlist: Playlist) -> None:
    assert playlist.covers(28000)
    assert not playlist.covers(27999)
    assert not playlist.covers(28001)


def test_a_gap_between_ranges_does_not_cover_the_file() -> None:
    assert not parse(PLAYLIST.replace("9000@19000", "8999@19001")).covers(28000)


def test_the_peak_is_over_sets_of_segments_near_the_target_duration(playlist: Playlist) -> None:
    # The last second alone (72 kbit/s) is too short to count; with the one before it is 7 s.
    assert playlist.peak_bandwidth() == 24000
    assert playlist.average_bandwidth() == 16616


def test_a_playlist_of_one_short_segment_has_its_bit_rate() -> None:
    text = "#EXT-X-TARGETDURATION:6\n#EXTINF:1,\n#EXT-X-BYTERANGE:1000@0\na.mp4\n"
    assert parse(text).peak_bandwidth() == 8000


@pytest.mark.parametrize(
    "text",
    ["#EXTM3U\n", PLAYLIST.replace("720p.mp4\n#EXT-X-ENDLIST", "other.mp4\n#EXT-X-ENDLIST")],
    ids=["no segment", "two files"],
)
def test_a_playlist_that_is_not_of_one_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="one media file"):
        parse(text)
